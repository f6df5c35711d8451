#!/usr/bin/env bash
# The life of a cluster by the plain AWS CLI and kubectl, as a person would script it: nothing in here knows of the
# local cloud. The surroundings bring AWS_ENDPOINT_URL, a region, keys, and KUBECONFIG.
set -euo pipefail

value() { aws "$@" --output text; }
trust() { echo "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"sts:AssumeRole\",\"Principal\":{\"Service\":\"$1.amazonaws.com\"}}]}"; }
role() { value iam create-role --role-name "$1" --assume-role-policy-document "$(trust "$2")" --query Role.Arn; }
subnet() { value ec2 create-subnet --vpc-id "$vpc" --cidr-block "$1" --availability-zone "$AWS_REGION$2" --query Subnet.SubnetId; }
say() { echo "== $*"; }

vpc=$(value ec2 create-vpc --cidr-block 10.0.0.0/16 --query Vpc.VpcId)
subnets="$(subnet 10.0.0.0/20 a),$(subnet 10.0.16.0/20 b)"
cluster_role=$(role cli-cluster eks)
node_role=$(role cli-node ec2)

aws eks create-cluster --name cli --kubernetes-version 1.34 --role-arn "$cluster_role" \
  --resources-vpc-config "subnetIds=$subnets" --access-config authenticationMode=API \
  --no-bootstrap-self-managed-addons --tags team=checkout >/dev/null
aws eks wait cluster-active --name cli
say cluster "$(value eks describe-cluster --name cli --query cluster.status)"

for addon in vpc-cni kube-proxy; do
  aws eks create-addon --cluster-name cli --addon-name "$addon" >/dev/null
  aws eks wait addon-active --cluster-name cli --addon-name "$addon"
  say "$addon" "$(value eks describe-addon --cluster-name cli --addon-name "$addon" --query addon.status)"
done

aws eks create-nodegroup --cluster-name cli --nodegroup-name workers --node-role "$node_role" --subnets ${subnets//,/ } \
  --scaling-config minSize=1,maxSize=3,desiredSize=2 --instance-types m7i.large >/dev/null
aws eks wait nodegroup-active --cluster-name cli --nodegroup-name workers
say nodegroup "$(value eks describe-nodegroup --cluster-name cli --nodegroup-name workers --query nodegroup.status)"

aws eks update-kubeconfig --name cli --alias cli >/dev/null
say token "$(aws eks get-token --cluster-name cli --query kind --output text)"
say nodes "$(kubectl get nodes --no-headers | awk '{print $2, substr($5, 1, 5)}' | sort | uniq -c | xargs)"

if [ "${1:-}" = upgrade ]; then
  ended() { # of an update; the CLI has no waiter for it
    until [ "$(value eks describe-update --name cli --update-id "$1" "${@:2}" --query update.status)" != InProgress ]; do sleep 1; done
    value eks describe-update --name cli --update-id "$1" "${@:2}" --query update.status
  }
  say upgrade "$(ended "$(value eks update-cluster-version --name cli --kubernetes-version 1.35 --query update.id)")"
  group=(--nodegroup-name workers)
  say upgrade "$(ended "$(value eks update-nodegroup-version --cluster-name cli "${group[@]}" --kubernetes-version 1.35 --query update.id)" "${group[@]}")"
  say version "$(value eks describe-cluster --name cli --query cluster.version)" "$(kubectl get --raw /version | grep -o 'v1[.][0-9]*' | head -n 1)"
  say nodes "$(kubectl get nodes --no-headers | awk '{print $2, substr($5, 1, 5)}' | sort | uniq -c | xargs)"
  aws eks tag-resource --resource-arn "$(value eks describe-cluster --name cli --query cluster.arn)" --tags ring=early
  say tags "$(aws eks describe-cluster --name cli --query 'cluster.tags.[team,ring]' --output text | xargs)"
fi

aws eks delete-nodegroup --cluster-name cli --nodegroup-name workers >/dev/null
aws eks wait nodegroup-deleted --cluster-name cli --nodegroup-name workers
aws eks delete-addon --cluster-name cli --addon-name kube-proxy >/dev/null
aws eks wait addon-deleted --cluster-name cli --addon-name kube-proxy
aws eks delete-cluster --name cli >/dev/null
aws eks wait cluster-deleted --name cli
say clusters "$(aws eks list-clusters --query 'length(clusters)')"
for each in ${subnets//,/ }; do aws ec2 delete-subnet --subnet-id "$each"; done
aws ec2 delete-vpc --vpc-id "$vpc"
for each in cli-cluster cli-node; do aws iam delete-role --role-name "$each"; done
