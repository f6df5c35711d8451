"""Amazon EKS."""

from __future__ import annotations

from typing import Any

from springboard.aws.client import Adapter
from springboard.errors import RefusedError


class Eks(Adapter):
    """Amazon EKS: what is there, as the service describes it, and the calls that change it.

    Reads answer None where the thing, or its cluster, does not exist; deletes of what is gone are no error.
    """

    missing = frozenset({"ResourceNotFoundException"})

    def cluster(self, name: str) -> dict[str, Any] | None:
        """DescribeCluster."""
        answer = self.find("describe_cluster", name=name)
        return answer["cluster"] if answer else None

    def create_cluster(self, **parameters: Any) -> None:
        """CreateCluster."""
        self.call("create_cluster", **parameters)

    def update_cluster_config(self, name: str, token: str, **one_kind: Any) -> None:
        """UpdateClusterConfig; EKS takes one kind of change per call, and one update at a time."""
        self.call("update_cluster_config", name=name, clientRequestToken=token, **one_kind)

    def delete_cluster(self, name: str) -> None:
        """DeleteCluster."""
        self.find("delete_cluster", name=name)

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """TagResource."""
        self.call("tag_resource", resourceArn=arn, tags=tags)

    def untag(self, arn: str, keys: list[str]) -> None:
        """UntagResource."""
        self.call("untag_resource", resourceArn=arn, tagKeys=keys)

    # Access entries

    def access_entries(self, cluster: str) -> list[str] | None:
        """ListAccessEntries: the principals; None without the cluster."""
        try:
            return self.pages("list_access_entries", "accessEntries", clusterName=cluster)
        except RefusedError as err:
            if err.code in self.missing:
                return None
            raise

    def access_entry(self, cluster: str, principal: str) -> dict[str, Any] | None:
        """DescribeAccessEntry."""
        answer = self.find("describe_access_entry", clusterName=cluster, principalArn=principal)
        return answer["accessEntry"] if answer else None

    def access_policies(self, cluster: str, principal: str) -> list[dict[str, Any]]:
        """ListAssociatedAccessPolicies."""
        answer = self.find("list_associated_access_policies", clusterName=cluster, principalArn=principal)
        return list(answer["associatedAccessPolicies"]) if answer else []

    def create_access_entry(self, cluster: str, principal: str, **parameters: Any) -> None:
        """CreateAccessEntry; one that exists already is no error."""
        try:
            self.call("create_access_entry", clusterName=cluster, principalArn=principal, **parameters)
        except RefusedError as err:
            if err.code != "ResourceInUseException":
                raise

    def update_access_entry(self, cluster: str, principal: str, groups: list[str], token: str) -> None:
        """UpdateAccessEntry: the Kubernetes groups."""
        self.call(
            "update_access_entry",
            clusterName=cluster,
            principalArn=principal,
            kubernetesGroups=groups,
            clientRequestToken=token,
        )

    def associate_access_policy(self, cluster: str, principal: str, policy: str, scope: dict[str, Any]) -> None:
        """AssociateAccessPolicy; for a policy that is associated already it sets the scope."""
        self.call(
            "associate_access_policy", clusterName=cluster, principalArn=principal, policyArn=policy, accessScope=scope
        )

    def disassociate_access_policy(self, cluster: str, principal: str, policy: str) -> None:
        """DisassociateAccessPolicy."""
        self.find("disassociate_access_policy", clusterName=cluster, principalArn=principal, policyArn=policy)

    def delete_access_entry(self, cluster: str, principal: str) -> None:
        """DeleteAccessEntry, with its policies."""
        self.find("delete_access_entry", clusterName=cluster, principalArn=principal)
