"""A created environment held against the baseline of docs/guide/security.md, by plain AWS and Kubernetes calls.

One test per line of the page's table, whose name it carries in its first column.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.services import eks
from tests.steps.flow import stack
from tests.steps.flow.inventory import pages
from tests.steps.flow.springboard import document
from tests.template import source

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.steps.flow.springboard import Springboard

pytestmark = pytest.mark.slow

NAME = "hardened"
PAGE = "docs/guide/security.md"
HEADER = "| Check | What is so | Source |"


class Environment:
    """What there is of it, as AWS and Kubernetes show it."""

    def __init__(self, springboard: Springboard) -> None:
        made = springboard.apply(document(NAME))
        assert made.phase == "Ready", made.document["status"]
        self.client: Callable[[str], Any] = springboard.client
        self.cluster = self.client("eks").describe_cluster(name=f"{stack.STACK}-{NAME}")["cluster"]
        self.resources = {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in self.client("cloudformation").describe_stack_resources(StackName=stack.STACK)["StackResources"]
        }

    def node_groups(self) -> list[dict[str, Any]]:
        client, name = self.client("eks"), self.cluster["name"]
        return [
            client.describe_nodegroup(clusterName=name, nodegroupName=each)["nodegroup"]
            for each in client.list_nodegroups(clusterName=name)["nodegroups"]
        ]

    def launch_templates(self) -> list[dict[str, Any]]:
        """The data of the versions that the node groups run on."""
        found = [
            self.client("ec2").describe_launch_template_versions(
                LaunchTemplateId=each["launchTemplate"]["id"], Versions=[each["launchTemplate"]["version"]]
            )["LaunchTemplateVersions"][0]["LaunchTemplateData"]
            for each in self.node_groups()
        ]
        assert found
        return found

    def instances(self) -> list[dict[str, Any]]:
        tagged = [{"Name": "tag:eks:cluster-name", "Values": [self.cluster["name"]]}]
        reservations = pages(self.client("ec2"), "describe_instances", "Reservations", Filters=tagged)
        found = [instance for each in reservations for instance in each["Instances"]]
        assert found
        return found

    def load_balancer(self) -> dict[str, Any]:
        balancers = self.client("elbv2").describe_load_balancers()["LoadBalancers"]
        (found,) = [each for each in balancers if f"{stack.STACK}-{NAME}" in each["LoadBalancerName"]]
        return dict(found)

    def listeners(self) -> dict[int, dict[str, Any]]:
        arn = self.load_balancer()["LoadBalancerArn"]
        found = self.client("elbv2").describe_listeners(LoadBalancerArn=arn)["Listeners"]
        return {each["Port"]: each for each in found}

    def object(self, api: str, kind: str, name: str = NAME) -> dict[str, Any]:
        plane = eks.control_plane(self.cluster["name"])
        assert plane is not None
        found = plane.get(api, kind, "" if kind == "Namespace" else NAME, name)
        assert found is not None, (kind, name)
        return found

    def pod(self) -> dict[str, Any]:
        found: dict[str, Any] = self.object("apps/v1", "Deployment")["spec"]["template"]["spec"]
        return found


@pytest.fixture(scope="module")
def environment(deployed: Springboard) -> Environment:
    return Environment(deployed)


def endpoint(environment: Environment) -> None:
    network = environment.cluster["resourcesVpcConfig"]
    assert network["endpointPrivateAccess"]
    assert not network["endpointPublicAccess"]


def secrets(environment: Environment) -> None:
    (encryption,) = environment.cluster["encryptionConfig"]
    assert encryption["resources"] == ["secrets"]
    assert encryption["provider"]["keyArn"].endswith(f"/{environment.resources['SecretsKey']}")


def logs(environment: Environment) -> None:
    (setup,) = [each for each in environment.cluster["logging"]["clusterLogging"] if each["enabled"]]
    assert {"api", "audit", "authenticator"} <= set(setup["types"])
    prefix = f"/aws/eks/{environment.cluster['name']}/"
    (group,) = environment.client("logs").describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    assert group["retentionInDays"] == 90


def access(environment: Environment) -> None:
    config = environment.cluster["accessConfig"]
    assert config["authenticationMode"] == "API"
    assert not config.get("bootstrapClusterCreatorAdminPermissions")
    client, name = environment.client("eks"), environment.cluster["name"]
    administrators = []
    for principal in client.list_access_entries(clusterName=name)["accessEntries"]:
        entry = client.describe_access_entry(clusterName=name, principalArn=principal)["accessEntry"]
        # The nodes' entry is EKS's own and has the group of nodes.
        assert not [each for each in entry["kubernetesGroups"] if each == "system:masters"]
        policies = client.list_associated_access_policies(clusterName=name, principalArn=principal)
        arns = [each["policyArn"] for each in policies["associatedAccessPolicies"]]
        administrators += [principal for arn in arns if arn.endswith("/AmazonEKSClusterAdminPolicy")]
    assert [each.rpartition("/")[2] for each in administrators] == [environment.resources["WorkloadFunctionRole"]]


def metadata(environment: Environment) -> None:
    for data in environment.launch_templates():
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1


def disks(environment: Environment) -> None:
    for data in environment.launch_templates():
        assert [each["Ebs"]["Encrypted"] for each in data["BlockDeviceMappings"]] == [True]


def addresses(environment: Environment) -> None:
    instances = environment.instances()
    assert not [each["InstanceId"] for each in instances if each.get("PublicIpAddress")]
    subnets = {each["SubnetId"] for each in instances}
    tables = environment.client("ec2").describe_subnets(SubnetIds=sorted(subnets))["Subnets"]
    assert not [each["SubnetId"] for each in tables if each["MapPublicIpOnLaunch"]]


def shell(environment: Environment) -> None:
    assert not [each["nodegroupName"] for each in environment.node_groups() if each.get("remoteAccess")]
    assert not [data for data in environment.launch_templates() if "KeyName" in data]
    groups = {each["GroupId"] for instance in environment.instances() for each in instance["SecurityGroups"]}
    groups |= {each for data in environment.launch_templates() for each in data["SecurityGroupIds"]}
    for group in environment.client("ec2").describe_security_groups(GroupIds=sorted(groups))["SecurityGroups"]:
        for permission in group["IpPermissions"]:
            assert not permission.get("IpRanges"), group["GroupName"]  # from other groups alone


def pods(environment: Environment) -> None:
    labels = environment.object("v1", "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = environment.pod()
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] >= 1000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    assert not [each for each in pod["volumes"] if "hostPath" in each]
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert context["allowPrivilegeEscalation"] is False
        assert not context.get("privileged")
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert "@sha256:" in container["image"]


def tokens(environment: Environment) -> None:
    assert environment.pod()["automountServiceAccountToken"] is False
    assert environment.object("v1", "ServiceAccount")["automountServiceAccountToken"] is False
    assert environment.pod()["serviceAccountName"] == NAME


def identity(environment: Environment) -> None:
    client, name = environment.client("eks"), environment.cluster["name"]
    assert "eks-pod-identity-agent" in client.list_addons(clusterName=name)["addons"]
    attached = environment.client("iam").list_attached_role_policies(RoleName=environment.resources["NodeRole"])
    names = {each["PolicyName"] for each in attached["AttachedPolicies"]}
    assert names == {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"}  # the CNI's go to its pods
    (cni,) = client.list_pod_identity_associations(clusterName=name, namespace="kube-system")["associations"]
    found = client.describe_pod_identity_association(clusterName=name, associationId=cni["associationId"])
    assert found["association"]["roleArn"].endswith(f"/{environment.resources['CniRole']}")


def policies(environment: Environment) -> None:
    client, name = environment.client("eks"), environment.cluster["name"]
    cni = client.describe_addon(clusterName=name, addonName="vpc-cni")["addon"]
    assert '"enableNetworkPolicy": "true"' in cni["configurationValues"].replace('":"', '": "')
    default = environment.object("networking.k8s.io/v1", "NetworkPolicy", "springboard.isolation")["spec"]
    assert (default["podSelector"], default["policyTypes"]) == ({}, ["Ingress"])
    assert default["ingress"] == [{"from": [{"podSelector": {}}]}]


def transport(environment: Environment) -> None:
    listeners = environment.listeners()
    assert set(listeners) == {80, 443}
    assert listeners[443]["Protocol"] == "HTTPS"
    assert re.fullmatch(r"ELBSecurityPolicy-TLS13-1-[23]-.*", listeners[443]["SslPolicy"])
    (redirect,) = listeners[80]["DefaultActions"]
    assert redirect["Type"] == "redirect"
    assert redirect["RedirectConfig"]["Protocol"] == "HTTPS"


def headers(environment: Environment) -> None:
    arn = environment.load_balancer()["LoadBalancerArn"]
    told = environment.client("elbv2").describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    attributes = {each["Key"]: each["Value"] for each in told}
    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"


def actuator(environment: Environment) -> None:
    rules = environment.client("elbv2").describe_rules(ListenerArn=environment.listeners()[443]["ListenerArn"])["Rules"]
    first = min((each for each in rules if not each["IsDefault"]), key=lambda each: int(each["Priority"]))
    assert any("/actuator/*" in str(each) for each in first["Conditions"])
    assert first["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "404"


CHECKS: tuple[Callable[[Environment], None], ...] = (
    endpoint,
    secrets,
    logs,
    access,
    metadata,
    disks,
    addresses,
    shell,
    pods,
    tokens,
    identity,
    policies,
    transport,
    headers,
    actuator,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_created_environment_keeps_the_baseline(
    environment: Environment, check: Callable[[Environment], None]
) -> None:
    check(environment)


def test_the_page_has_a_line_for_each_check_with_its_source() -> None:
    lines = source.text(PAGE).partition(f"{HEADER}\n")[2].partition("\n\n")[0].splitlines()[1:]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert [row[0] for row in rows] == [f"`{check.__name__}`" for check in CHECKS]
    assert all(len(row) == 3 and "](https://" in row[2] for row in rows)
