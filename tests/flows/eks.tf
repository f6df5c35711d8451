terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
}
provider "aws" { region = "eu-west-1" }
variable "release" { default = "1.34" }
data "aws_caller_identity" "me" {}
resource "aws_vpc" "this" {
  cidr_block           = "10.0.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = "tf" }
}
resource "aws_subnet" "this" {
  for_each                = { a = "10.0.0.0/20", b = "10.0.16.0/20", c = "10.0.32.0/20" }
  vpc_id                  = aws_vpc.this.id
  cidr_block              = each.value
  availability_zone       = "eu-west-1${each.key}"
  map_public_ip_on_launch = true
}
resource "aws_internet_gateway" "this" { vpc_id = aws_vpc.this.id }
resource "aws_route_table" "this" {
  vpc_id = aws_vpc.this.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }
}
resource "aws_route_table_association" "this" {
  for_each       = aws_subnet.this
  subnet_id      = each.value.id
  route_table_id = aws_route_table.this.id
}
resource "aws_iam_role" "cluster" {
  name               = "tf-cluster"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = ["sts:AssumeRole", "sts:TagSession"], Principal = { Service = "eks.amazonaws.com" } }] })
}
resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
}
resource "aws_iam_role" "node" {
  name               = "tf-node"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }] })
}
resource "aws_iam_role_policy_attachment" "node" {
  for_each   = toset(["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonEKS_CNI_Policy"])
  role       = aws_iam_role.node.name
  policy_arn = "arn:aws:iam::aws:policy/${each.key}"
}
resource "aws_kms_key" "this" {
  description             = "secrets"
  deletion_window_in_days = 7
}
resource "aws_eks_cluster" "this" {
  name     = "tf"
  version  = var.release
  role_arn = aws_iam_role.cluster.arn
  bootstrap_self_managed_addons = false
  enabled_cluster_log_types     = ["api", "audit"]
  vpc_config {
    subnet_ids              = [for each in aws_subnet.this : each.id]
    endpoint_private_access = true
    endpoint_public_access  = true
    public_access_cidrs     = ["203.0.113.0/24"]
  }
  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }
  encryption_config {
    resources = ["secrets"]
    provider { key_arn = aws_kms_key.this.arn }
  }
  upgrade_policy { support_type = "EXTENDED" }
  zonal_shift_config { enabled = false }
  tags       = { team = "checkout" }
  depends_on = [aws_iam_role_policy_attachment.cluster]
}
data "aws_eks_addon_version" "this" {
  for_each           = toset(["vpc-cni", "kube-proxy", "eks-pod-identity-agent", "coredns", "metrics-server"])
  addon_name         = each.key
  kubernetes_version = aws_eks_cluster.this.version
}
resource "aws_eks_addon" "early" {
  for_each                    = toset(["vpc-cni", "kube-proxy", "eks-pod-identity-agent"])
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  addon_version               = data.aws_eks_addon_version.this[each.key].version
  configuration_values        = each.key == "vpc-cni" ? jsonencode({ enableNetworkPolicy = "true" }) : null
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "PRESERVE"
}
resource "aws_eks_addon" "late" {
  for_each      = toset(["coredns", "metrics-server"])
  cluster_name  = aws_eks_cluster.this.name
  addon_name    = each.key
  addon_version = data.aws_eks_addon_version.this[each.key].version
  depends_on    = [aws_eks_node_group.this]
}
resource "aws_launch_template" "this" {
  name_prefix            = "tf-"
  update_default_version = true
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size = 30
      volume_type = "gp3"
      encrypted   = true
    }
  }
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }
  vpc_security_group_ids = [aws_eks_cluster.this.vpc_config[0].cluster_security_group_id]
}
resource "aws_eks_node_group" "this" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "workers"
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = [for each in aws_subnet.this : each.id]
  version         = aws_eks_cluster.this.version
  instance_types  = ["m7i.large"]
  labels          = { pool = "workers" }
  scaling_config {
    min_size     = 1
    max_size     = 4
    desired_size = 2
  }
  update_config { max_unavailable = 1 }
  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }
  taint {
    key    = "dedicated"
    value  = "shop"
    effect = "PREFER_NO_SCHEDULE"
  }
  depends_on = [aws_eks_addon.early, aws_iam_role_policy_attachment.node]
}
resource "aws_iam_role" "pod" {
  name               = "tf-pod"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = ["sts:AssumeRole", "sts:TagSession"], Principal = { Service = "pods.eks.amazonaws.com" } }] })
}
resource "aws_eks_pod_identity_association" "this" {
  cluster_name    = aws_eks_cluster.this.name
  namespace       = "shop"
  service_account = "shop"
  role_arn        = aws_iam_role.pod.arn
}
resource "aws_eks_access_entry" "this" {
  cluster_name      = aws_eks_cluster.this.name
  principal_arn     = aws_iam_role.pod.arn
  kubernetes_groups = ["shop:viewers"]
  tags              = { team = "checkout" }
}
resource "aws_eks_access_policy_association" "this" {
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = aws_iam_role.pod.arn
  policy_arn    = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
  access_scope {
    type       = "namespace"
    namespaces = ["shop"]
  }
  depends_on = [aws_eks_access_entry.this]
}
data "aws_eks_cluster" "this" { name = aws_eks_cluster.this.name }
data "aws_eks_cluster_auth" "this" { name = aws_eks_cluster.this.name }
data "aws_eks_clusters" "all" { depends_on = [aws_eks_cluster.this] }
data "aws_eks_node_groups" "all" {
  cluster_name = aws_eks_cluster.this.name
  depends_on   = [aws_eks_node_group.this]
}
data "aws_eks_node_group" "this" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = aws_eks_node_group.this.node_group_name
}
data "aws_eks_cluster_versions" "all" {}
data "aws_eks_access_entry" "this" {
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = aws_eks_access_entry.this.principal_arn
}
data "aws_eks_addon" "this" {
  cluster_name = aws_eks_cluster.this.name
  addon_name   = aws_eks_addon.early["vpc-cni"].addon_name
}
output "endpoint" { value = aws_eks_cluster.this.endpoint }
output "issuer" { value = aws_eks_cluster.this.identity[0].oidc[0].issuer }
