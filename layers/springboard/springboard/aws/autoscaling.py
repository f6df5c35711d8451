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
        try:
            found = self.pages(
                "describe_traffic_sources", "TrafficSources", AutoScalingGroupName=group, TrafficSourceType=_ELBV2
            )
        except RefusedError as err:
            if err.code in self.missing:
                return None
            raise
        return {source.get("Identifier") or source["TrafficSource"]: source["State"] for source in found}

    def attach(self, group: str, arns: list[str]) -> None:
        """AttachTrafficSources; of what is attached already nothing changes."""
        sources = [{"Identifier": arn, "Type": _ELBV2} for arn in arns]
        self.call("attach_traffic_sources", AutoScalingGroupName=group, TrafficSources=sources)

    def detach(self, group: str, arns: list[str]) -> None:
        """DetachTrafficSources; what is not attached any more, or not there, is no error."""
        sources = [{"Identifier": arn, "Type": _ELBV2} for arn in arns]
        self.find("detach_traffic_sources", AutoScalingGroupName=group, TrafficSources=sources)
