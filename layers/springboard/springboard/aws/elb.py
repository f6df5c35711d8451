"""Elastic Load Balancing v2."""

from __future__ import annotations

from typing import Any

from springboard.aws.client import Adapter
from springboard.aws.ec2 import pairs
from springboard.errors import RefusedError, UnavailableError

_TAGGED = 20  # resources in one DescribeTags


class Elb(Adapter):
    """Elastic Load Balancing v2."""

    missing = frozenset({"LoadBalancerNotFound", "TargetGroupNotFound", "ListenerNotFound", "RuleNotFound"})

    # Target groups

    def target_group(self, name: str) -> dict[str, Any] | None:
        """DescribeTargetGroups: the one of that name."""
        answer = self.find("describe_target_groups", Names=[name])
        return answer["TargetGroups"][0] if answer and answer["TargetGroups"] else None

    def target_groups(self, beginning: str) -> list[dict[str, Any]]:
        """DescribeTargetGroups: those whose names begin so."""
        found = self.pages("describe_target_groups", "TargetGroups")
        return [each for each in found if each["TargetGroupName"].startswith(beginning)]

    def target_health(self, arn: str) -> list[dict[str, Any]]:
        """DescribeTargetHealth: one entry per target, with state and reason."""
        answer = self.find("describe_target_health", TargetGroupArn=arn)
        return list(answer["TargetHealthDescriptions"]) if answer else []

    def target_group_attributes(self, arn: str) -> dict[str, str]:
        """DescribeTargetGroupAttributes."""
        answer = self.find("describe_target_group_attributes", TargetGroupArn=arn)
        return attributes(answer["Attributes"]) if answer else {}

    def create_target_group(self, name: str, tags: dict[str, str], **settings: Any) -> str:
        """CreateTargetGroup: its ARN; the one that has the name already is taken as it is.

        UnavailableError while ELB refuses the name for one that it does not show yet.
        """
        try:
            answer = self.call("create_target_group", Name=name, Tags=pairs(tags), **settings)
        except RefusedError as err:
            if err.code != "DuplicateTargetGroupName":
                raise
            found = self.target_group(name)
            if found is None:
                raise UnavailableError(f"ELB does not show the target group {name} yet") from err
            return str(found["TargetGroupArn"])
        return str(answer["TargetGroups"][0]["TargetGroupArn"])

    # Load balancers

    def load_balancer(self, name: str) -> dict[str, Any] | None:
        """DescribeLoadBalancers: the one of that name."""
        answer = self.find("describe_load_balancers", Names=[name])
        return answer["LoadBalancers"][0] if answer and answer["LoadBalancers"] else None

    def load_balancer_attributes(self, arn: str) -> dict[str, str]:
        """DescribeLoadBalancerAttributes."""
        answer = self.find("describe_load_balancer_attributes", LoadBalancerArn=arn)
        return attributes(answer["Attributes"]) if answer else {}

    def listeners(self, arn: str) -> list[dict[str, Any]]:
        """DescribeListeners of a load balancer."""
        answer = self.find("describe_listeners", LoadBalancerArn=arn)
        return list(answer["Listeners"]) if answer else []

    def rules(self, listener_arn: str) -> list[dict[str, Any]]:
        """DescribeRules of a listener, its default rule left out."""
        answer = self.find("describe_rules", ListenerArn=listener_arn)
        return [rule for rule in answer["Rules"] if not rule.get("IsDefault")] if answer else []

    def create_load_balancer(self, name: str, tags: dict[str, str], **settings: Any) -> dict[str, Any] | None:
        """CreateLoadBalancer: what was made; None where one has the name already, whoever's it is."""
        try:
            answer = self.call("create_load_balancer", Name=name, Tags=pairs(tags), **settings)
        except RefusedError as err:
            if err.code != "DuplicateLoadBalancerName":
                raise
            return None
        return dict(answer["LoadBalancers"][0])

    def put_listener(self, arn: str, listener_arn: str, request: dict[str, Any], tags: dict[str, str]) -> str:
        """CreateListener, or ModifyListener where `listener_arn` is given: the listener's ARN.

        One made meanwhile is no error; its ARN is not looked up: "". UnavailableError where ELB does not know the
        certificate: of one that ACM has just issued it may hear a moment later
        (https://github.com/hashicorp/terraform-provider-aws/pull/3901, read 2026-11-26).
        """
        try:
            if listener_arn:
                self.call("modify_listener", ListenerArn=listener_arn, **request)
                return listener_arn
            answer = self.call("create_listener", LoadBalancerArn=arn, Tags=pairs(tags), **request)
        except RefusedError as err:
            if err.code == "CertificateNotFound":
                raise UnavailableError(err.message) from err
            if err.code != "DuplicateListener":
                raise
            return ""
        return str(answer["Listeners"][0]["ListenerArn"])

    def put_rule(
        self, listener_arn: str, rule_arn: str, priority: int, request: dict[str, Any], tags: dict[str, str]
    ) -> None:
        """CreateRule, or ModifyRule where `rule_arn` is given; one made meanwhile is no error."""
        if rule_arn:
            self.call("modify_rule", RuleArn=rule_arn, **request)
            return
        try:
            self.call("create_rule", ListenerArn=listener_arn, Priority=priority, Tags=pairs(tags), **request)
        except RefusedError as err:
            if err.code != "PriorityInUse":
                raise

    # Tags

    def tags(self, arns: list[str]) -> dict[str, dict[str, str]]:
        """DescribeTags, 20 resources a call: ARN → tags; what is gone is left out."""
        found: dict[str, dict[str, str]] = {}
        for first in range(0, len(arns), _TAGGED):
            found |= self._tags(arns[first : first + _TAGGED])
        return found

    def _tags(self, arns: list[str]) -> dict[str, dict[str, str]]:
        """One call; halves of it where one of them is gone, since ELB then answers for none."""
        answer = self.find("describe_tags", ResourceArns=arns)
        if answer is not None:
            listed = answer["TagDescriptions"]
            return {each["ResourceArn"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]} for each in listed}
        if len(arns) == 1:
            return {}
        half = len(arns) // 2
        return self._tags(arns[:half]) | self._tags(arns[half:])


def attributes(listed: list[dict[str, str]]) -> dict[str, str]:
    """Attributes as a dict."""
    return {each["Key"]: each["Value"] for each in listed}
