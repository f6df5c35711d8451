"""Amazon EventBridge Scheduler."""

from __future__ import annotations

from typing import Any

from springboard.aws.client import Adapter
from springboard.errors import RefusedError


class Scheduler(Adapter):
    """Amazon EventBridge Scheduler."""

    missing = frozenset({"ResourceNotFoundException"})

    def schedule(self, group: str, name: str) -> dict[str, Any] | None:
        """GetSchedule."""
        return self.find("get_schedule", GroupName=group, Name=name)

    def put(self, group: str, name: str, **schedule: Any) -> None:
        """CreateSchedule, or UpdateSchedule where it exists."""
        try:
            self.call("create_schedule", GroupName=group, Name=name, **schedule)
        except RefusedError as err:
            if err.code != "ConflictException":
                raise
            self.call("update_schedule", GroupName=group, Name=name, **schedule)

    def delete(self, group: str, name: str) -> None:
        """DeleteSchedule; one that is gone already is fine."""
        self.find("delete_schedule", GroupName=group, Name=name)
