"""Amazon CloudWatch alarms and dashboards."""

from __future__ import annotations

from typing import Any

from springboard.aws.client import Adapter
from springboard.aws.ec2 import pairs


class CloudWatch(Adapter):
    """Amazon CloudWatch alarms and dashboards."""

    missing = frozenset({"ResourceNotFound", "ResourceNotFoundException", "DashboardNotFoundError"})

    def alarms(self, beginning: str) -> list[dict[str, Any]]:
        """DescribeAlarms: metric alarms whose names begin so."""
        return self.pages("describe_alarms", "MetricAlarms", AlarmNamePrefix=beginning)

    def put_alarm(self, alarm: dict[str, Any], tags: dict[str, str]) -> None:
        """PutMetricAlarm; tags count only for one that is new."""
        self.call("put_metric_alarm", **alarm, Tags=pairs(tags))

    def delete_alarms(self, names: list[str]) -> None:
        """DeleteAlarms; those that are gone already are fine."""
        self.find("delete_alarms", AlarmNames=names)

    def dashboard(self, name: str) -> str | None:
        """GetDashboard: its body."""
        answer = self.find("get_dashboard", DashboardName=name)
        return str(answer["DashboardBody"]) if answer else None

    def put_dashboard(self, name: str, body: str) -> None:
        """PutDashboard."""
        self.call("put_dashboard", DashboardName=name, DashboardBody=body)

    def delete_dashboard(self, name: str) -> None:
        """DeleteDashboards; one that is gone already is fine."""
        self.find("delete_dashboards", DashboardNames=[name])
