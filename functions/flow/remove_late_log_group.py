"""RemoveLateLogGroup: EKS's service-linked role may have made the control plane's log group anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard import naming
from springboard.runtime import flow_handler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard.flow.step import Task
    from springboard.runtime import World


def remove_late_log_group(world: World, task: Task, _event: Mapping[str, Any]) -> dict[str, Any]:
    """Delete it, unless another environment has taken the name since."""
    environment = world.store.by_uid(task.environment)
    if environment is None or world.store.by_name(environment.name) is not None:
        return {"deleted": False}
    name = naming.log_group(world.site.prefix, environment.name)
    return {"deleted": world.logs.find("delete_log_group", logGroupName=name) is not None}


handler = flow_handler("RemoveLateLogGroup", remove_late_log_group)
