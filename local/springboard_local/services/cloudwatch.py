"""CloudWatch alarms, mended over moto: deletion is all or nothing and takes the tags along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.cloudwatch.exceptions import ResourceNotFound, ResourceNotFoundException
from moto.cloudwatch.models import CloudWatchBackend

from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from springboard_local.cloud import Cloud

_mending = Mending()


def _put_metric_alarm(original: Any) -> Any:
    """A new alarm has seen no data yet; a changed one keeps its state and its tags."""

    def put(backend: Any, **settings: Any) -> Any:
        before = backend.alarms.get(settings["name"])
        if before is not None:
            settings["tags"] = None  # AWS ignores the tags of an update
        alarm = original(backend, **settings)
        if before is None:
            alarm.state_value = "INSUFFICIENT_DATA"
        else:
            alarm.state_value, alarm.history = before.state_value, before.history
            alarm.state_reason, alarm.state_updated_timestamp = before.state_reason, before.state_updated_timestamp
        return alarm

    return put


def _delete_alarms(backend: Any, alarm_names: list[str]) -> None:
    missing = [name for name in alarm_names if name not in backend.alarms]
    if missing:
        raise ResourceNotFound(f"Alarms not found: {', '.join(missing)}")
    for name in alarm_names:
        backend.tagger.delete_all_tags_for_resource(backend.alarms.pop(name).alarm_arn)


def _list_tags_for_resource(backend: Any, arn: str) -> dict[str, str]:
    if ":alarm:" in arn and all(alarm.alarm_arn != arn for alarm in backend.alarms.values()):
        raise ResourceNotFoundException
    tags: dict[str, str] = backend.tagger.get_tag_dict_for_resource(arn)
    return tags


def install(cloud: Cloud) -> None:
    """Mend moto's cloudwatch."""
    close(cloud)
    _mending.replace(
        CloudWatchBackend,
        put_metric_alarm=_put_metric_alarm(CloudWatchBackend.put_metric_alarm),
        delete_alarms=_delete_alarms,
        list_tags_for_resource=_list_tags_for_resource,
    )


def close(cloud: Cloud) -> None:
    """Take the mending back. Idempotent."""
    del cloud
    _mending.undo()
