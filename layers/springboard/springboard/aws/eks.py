"""Amazon EKS."""

from __future__ import annotations

from typing import Any

from springboard.aws.client import Adapter


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
