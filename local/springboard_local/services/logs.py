"""CloudWatch Logs groups, mended over moto: their key can be changed, and their tags go with them."""

from __future__ import annotations

import fnmatch
import json
import operator
import re
from typing import TYPE_CHECKING, Any

from moto.core.responses import EmptyResult
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.models import LogsBackend
from moto.logs.responses import LogsResponse

from springboard_local.services import metrics
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


def _put_log_events(original: Any) -> Any:
    """Lines are read for metrics: those in the embedded format, and those that a metric filter matches."""

    def put(backend: Any, log_group_name: str, log_stream_name: str, log_events: list[dict[str, Any]]) -> Any:
        answer = original(backend, log_group_name, log_stream_name, log_events)
        filters = backend.filters.get_matching_filters(log_group_name=log_group_name)
        for event in log_events:
            metrics.embedded(event["message"])
            for each in filters:
                if matches(each["filterPattern"] or "", event["message"]):
                    _transform(each["metricTransformations"], event["message"])
        return answer

    return put


def _transform(transformations: list[dict[str, Any]], line: str) -> None:
    for each in transformations:
        value = str(each["metricValue"])
        found = _member(line, value) if value.startswith("$.") else value
        try:
            metrics.count(each["metricNamespace"], each["metricName"], float(found), each.get("unit") or "None")
        except (TypeError, ValueError):
            continue  # as on AWS: a value that is no number is no datapoint


_CLAUSE = re.compile(r'^\{\s*(\$[\w.]+)\s*(=|!=|<=|>=|<|>)\s*("[^"]*"|[\w.*-]+)\s*\}$')
_ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def matches(pattern: str, line: str) -> bool:
    """Whether a filter pattern matches: all lines (""), all of its terms, or one comparison of a JSON member.

    Raises InvalidParameterException for other patterns.
    """
    pattern = pattern.strip()
    if not pattern.startswith("{"):
        if pattern.startswith(("[", "%")):
            raise InvalidParameterException(constraint="unsupported", parameter="filterPattern", value=pattern)
        terms = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', pattern)]
        return all((term[1:] not in line) if term.startswith("-") else term in line for term in terms)
    clause = _CLAUSE.match(pattern)
    if clause is None:
        raise InvalidParameterException(constraint="unsupported", parameter="filterPattern", value=pattern)
    path, sign, wanted = clause[1], clause[2], clause[3].strip('"')
    found = _member(line, path)
    if found is None:
        return False
    if sign in _ORDERS:
        return isinstance(found, int | float) and _ORDERS[sign](found, float(wanted))
    text = json.dumps(found) if isinstance(found, bool) else str(found)
    return fnmatch.fnmatchcase(text, wanted) == (sign == "=")


def _member(line: str, path: str) -> Any:
    try:
        value = json.loads(line)
        for name in path.removeprefix("$.").split("."):
            value = value[name]
    except (KeyError, TypeError, ValueError):
        return None
    return value


def _put_metric_filter(original: Any) -> Any:
    def put(backend: Any, filter_name: str, filter_pattern: str, *arguments: Any, **named: Any) -> Any:
        matches(filter_pattern or "", "")
        return original(backend, filter_name, filter_pattern, *arguments, **named)

    return put


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
        put_log_events=_put_log_events(LogsBackend.put_log_events),
        put_metric_filter=_put_metric_filter(LogsBackend.put_metric_filter),
    )
    _mending.replace(LogsResponse, associate_kms_key=_associate_kms_key, disassociate_kms_key=_disassociate_kms_key)


def close(cloud: Cloud) -> None:
    """Take the mending back. Idempotent."""
    del cloud
    _mending.undo()
