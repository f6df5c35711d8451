"""CloudWatch Logs groups, mended over moto: their key can be changed, and their tags go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.responses import EmptyResult
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.models import LogsBackend
from moto.logs.responses import LogsResponse

from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from springboard_local.cloud import Cloud

_mending = Mending()

_RETENTION_DAYS = {
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
}  # fmt: skip


def _put_retention_policy(original: Any) -> Any:
    def put(backend: Any, log_group_name: str, retention_in_days: int) -> None:
        if int(retention_in_days) not in _RETENTION_DAYS:
            raise InvalidParameterException(
                constraint=f"Member must satisfy enum value set: {sorted(_RETENTION_DAYS)}",
                parameter="retentionInDays",
                value=str(retention_in_days),
            )
        original(backend, log_group_name, retention_in_days)

    return put


def _delete_log_group(original: Any) -> Any:
    def delete(backend: Any, log_group_name: str) -> None:
        group = backend.groups.get(log_group_name)
        original(backend, log_group_name)
        backend.tagger.delete_all_tags_for_resource(group.arn)

    return delete


def _list_tags_for_resource(original: Any) -> Any:
    def tags(backend: Any, resource_arn: str) -> dict[str, str]:
        if ":log-group:" in resource_arn and all(group.arn != resource_arn for group in backend.groups.values()):
            raise ResourceNotFoundException
        found: dict[str, str] = original(backend, resource_arn)
        return found

    return tags


def _group(response: Any) -> Any:
    name = response._get_param("logGroupName")
    identifier = response._get_param("resourceIdentifier") or ""
    name = name or identifier.partition(":log-group:")[2].removesuffix(":*")
    group = response.logs_backend.groups.get(name)
    if group is None:
        raise ResourceNotFoundException
    return group


def _associate_kms_key(response: Any) -> EmptyResult:
    _group(response).kms_key_id = response._get_param("kmsKeyId")
    return EmptyResult()


def _disassociate_kms_key(response: Any) -> EmptyResult:
    _group(response).kms_key_id = None
    return EmptyResult()


def install(cloud: Cloud) -> None:
    """Mend moto's logs."""
    close(cloud)
    _mending.replace(
        LogsBackend,
        put_retention_policy=_put_retention_policy(LogsBackend.put_retention_policy),
        delete_log_group=_delete_log_group(LogsBackend.delete_log_group),
        list_tags_for_resource=_list_tags_for_resource(LogsBackend.list_tags_for_resource),
    )
    _mending.replace(LogsResponse, associate_kms_key=_associate_kms_key, disassociate_kms_key=_disassociate_kms_key)


def close(cloud: Cloud) -> None:
    """Take the mending back. Idempotent."""
    del cloud
    _mending.undo()
