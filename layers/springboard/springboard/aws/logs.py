"""Amazon CloudWatch Logs."""

from __future__ import annotations

from typing import Any

from springboard.aws.client import Adapter
from springboard.errors import RefusedError


class Logs(Adapter):
    """Amazon CloudWatch Logs."""

    missing = frozenset({"ResourceNotFoundException"})

    def group(self, name: str) -> dict[str, Any] | None:
        """DescribeLogGroups, narrowed to the very name (the service looks by prefix)."""
        answer = self.call("describe_log_groups", logGroupNamePrefix=name, limit=50)
        for group in answer["logGroups"]:
            if group["logGroupName"] == name:
                return dict(group)
        return None

    def tags(self, arn: str) -> dict[str, str]:
        """ListTagsForResource of a log group, with or without the `:*` that DescribeLogGroups appends."""
        return dict(self.call("list_tags_for_resource", resourceArn=arn.removesuffix(":*")).get("tags", {}))

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """TagResource of a log group."""
        self.call("tag_resource", resourceArn=arn.removesuffix(":*"), tags=tags)

    def create_group(self, name: str, tags: dict[str, str]) -> None:
        """CreateLogGroup; one that exists already is no error."""
        try:
            self.call("create_log_group", logGroupName=name, tags=tags)
        except RefusedError as err:
            if err.code != "ResourceAlreadyExistsException":
                raise

    def keep(self, name: str, days: int) -> None:
        """PutRetentionPolicy."""
        self.call("put_retention_policy", logGroupName=name, retentionInDays=days)

    def delete_group(self, name: str) -> None:
        """DeleteLogGroup."""
        self.find("delete_log_group", logGroupName=name)
