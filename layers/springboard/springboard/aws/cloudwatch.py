"""Amazon CloudWatch alarms and dashboards."""

from __future__ import annotations

from springboard.aws.client import Adapter


class CloudWatch(Adapter):
    """Amazon CloudWatch alarms and dashboards."""

    missing = frozenset({"ResourceNotFound", "DashboardNotFoundError"})
