"""Amazon EC2 Auto Scaling."""

from __future__ import annotations

from springboard.aws.client import Adapter
from springboard.errors import RefusedError

_ELBV2 = "elbv2"


class AutoScaling(Adapter):
    """Amazon EC2 Auto Scaling: which target groups the node groups' Auto Scaling groups register instances with."""

    # The service has no code of its own for "no such group".
    missing = frozenset({"ValidationError"})

    def traffic_sources(self, group: str) -> dict[str, str] | None:
        """DescribeTrafficSources: target group ARN → state; None without the Auto Scaling group."""
        answer = self.find(
            "describe_traffic_sources", AutoScalingGroupName=group, TrafficSourceType=_ELBV2, MaxRecords=50
        )
        if answer is None:
            return None
        return {each.get("Identifier") or each["TrafficSource"]: each["State"] for each in answer["TrafficSources"]}

    def attach(self, group: str, arns: list[str]) -> None:
        """AttachTrafficSources; of what is attached already nothing changes, nor of a group that has gone meanwhile."""
        sources = [{"Identifier": arn, "Type": _ELBV2} for arn in arns]
        try:
            self.call("attach_traffic_sources", AutoScalingGroupName=group, TrafficSources=sources)
        except RefusedError as err:
            if err.code not in self.missing or self.traffic_sources(group) is not None:
                raise

    def detach(self, group: str, arns: list[str]) -> None:
        """DetachTrafficSources; what is not attached any more, or not there, is no error."""
        sources = [{"Identifier": arn, "Type": _ELBV2} for arn in arns]
        self.find("detach_traffic_sources", AutoScalingGroupName=group, TrafficSources=sources)
