"""CloudWatch: metrics of the local services, alarms that are judged by them, dashboards.

moto keeps alarms' settings and dashboards, mended: deletion is all or nothing and takes the tags along. What is
measured is in `metrics`, how alarms are judged in `alarms`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.exceptions import ResourceNotFound, ResourceNotFoundException
from moto.cloudwatch.models import CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.sqs.models import Queue, SQSBackend, sqs_backends

from springboard_local import pipeline
from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.pipeline import ApiError
from springboard_local.services import metric_math, metrics
from springboard_local.services.alarms import Alarms
from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from springboard_local.cloud import Cloud

_mending = Mending()
_MOST_DATAPOINTS = 1_440  # of one GetMetricStatistics


class _Present:
    """The alarms of the cloud that runs."""

    alarms: Alarms | None = None


def _alarms() -> Alarms:
    if _Present.alarms is None:
        raise RuntimeError("no local cloud runs")
    return _Present.alarms


# moto's alarms


def _put_metric_alarm(original: Any) -> Any:
    """A new alarm has seen no data yet; a changed one keeps its state and its tags."""

    def put(backend: Any, **settings: Any) -> Any:
        before = backend.alarms.get(settings["name"])
        _check_metrics(settings.get("metric_data_queries") or ())
        if before is not None:
            settings["tags"] = None  # AWS ignores the tags of an update
        alarm = original(backend, **settings)
        if before is None:
            alarm.state_value = "INSUFFICIENT_DATA"
        else:
            alarm.state_value, alarm.history = before.state_value, before.history
            alarm.state_reason, alarm.state_updated_timestamp = before.state_reason, before.state_updated_timestamp
        _alarms().put(alarm, new=before is None)
        return alarm

    return put


def _check_metrics(queries: Sequence[Any]) -> None:
    """What an alarm on metric math has to be: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html."""
    if not queries:
        return
    stats = [each for each in queries if each.metric_stat]
    expressions = [each for each in queries if each.expression]
    if len(stats) > metric_math.MOST_METRICS or len(expressions) > metric_math.MOST_EXPRESSIONS:
        message = f"An alarm can have {metric_math.MOST_METRICS} metrics and {metric_math.MOST_EXPRESSIONS} expressions"
        raise ApiError("ValidationError", message)
    if sum(each.return_data is not False for each in queries) != 1:
        raise ApiError("ValidationError", "Exactly one element of the metrics list should return data.")
    if len({int(each.metric_stat.period) for each in stats}) > 1:
        raise ApiError("ValidationError", "Metrics list must contain metrics of a single period in the local cloud.")
    for each in queries:
        if not metric_math.IDENTIFIER.fullmatch(str(each.id)):
            raise ApiError("ValidationError", f"{each.id} is no id: it begins with a lower-case letter.")
    known = [each.id for each in stats]
    for each in expressions:
        try:
            metric_math.check(each.expression, known)
        except metric_math.ExpressionError as err:
            raise ApiError("ValidationError", f"Error in expression '{each.id}': {err}") from err


def _delete_alarms(backend: Any, alarm_names: list[str]) -> None:
    missing = [name for name in alarm_names if name not in backend.alarms]
    if missing:
        raise ResourceNotFound(f"Alarms not found: {', '.join(missing)}")
    for name in alarm_names:
        backend.tagger.delete_all_tags_for_resource(backend.alarms.pop(name).alarm_arn)
    _alarms().deleted(alarm_names)


def _set_alarm_state(backend: Any, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
    if alarm_name not in backend.alarms:
        raise ResourceNotFound
    if state_value not in {"OK", "ALARM", "INSUFFICIENT_DATA"}:
        message = f"Value '{state_value}' at 'stateValue' failed to satisfy constraint"
        raise ApiError("ValidationError", message)
    _alarms().set_state(backend.alarms[alarm_name], state_value, reason, reason_data or "{}")


def _list_tags_for_resource(backend: Any, arn: str) -> dict[str, str]:
    if ":alarm:" in arn and all(alarm.alarm_arn != arn for alarm in backend.alarms.values()):
        raise ResourceNotFoundException
    tags: dict[str, str] = backend.tagger.get_tag_dict_for_resource(arn)
    return tags


def _all_filters(choose: Any) -> Any:
    """DescribeAlarms by all that it was given: moto looks at the first of its filters alone."""

    def describe(response: Any) -> Any:
        answer = choose(response)
        names, state = response._get_param("AlarmNames"), response._get_param("StateValue")
        for key in ("MetricAlarms", "CompositeAlarms"):
            answer.result[key] = [
                alarm
                for alarm in answer.result[key]
                if state in {None, alarm.state_value} and (not names or alarm.name in names)
            ]
        return answer

    return describe


# metrics, by API


def _key(parameters: Any) -> metrics.Key:
    dimensions = [(each["Name"], each["Value"]) for each in parameters.get("Dimensions") or []]
    return metrics.key(parameters["Namespace"], parameters["MetricName"], dimensions)


def _put_metric_data(call: pipeline.Call) -> None:
    """PutMetricData: values, values with counts, and statistic sets."""
    parameters = call.parameters
    if parameters["Namespace"].startswith("AWS/"):
        message = "The value AWS/ for parameter Namespace is invalid: it is reserved."
        raise ApiError("InvalidParameterValue", message)
    for datum in parameters.get("MetricData") or []:
        metric = _key({"Namespace": parameters["Namespace"], **datum})
        at = metrics.seconds(datum["Timestamp"]) if datum.get("Timestamp") else None
        unit = datum.get("Unit") or "None"
        keep = functools.partial(metrics.present().count, metric, unit=unit, at=at)
        if datum.get("StatisticValues"):
            _keep_set(keep, datum["StatisticValues"])
        elif datum.get("Values"):
            for value, often in zip(datum["Values"], datum.get("Counts") or [1] * len(datum["Values"]), strict=True):
                keep(float(value), float(often))
        elif datum.get("Value") is not None:
            keep(float(datum["Value"]))
        else:
            message = "At least one of the parameters Value, Values or StatisticValues must be specified."
            raise ApiError("MissingParameter", message)


def _keep_set(keep: Any, values: Any) -> None:
    """A statistic set as samples that have its count, sum, minimum and maximum."""
    number, total = float(values["SampleCount"]), float(values["Sum"])
    least, most = float(values["Minimum"]), float(values["Maximum"])
    if number < 2:
        keep(total / number if number else 0.0, number)
        return
    keep(least)
    keep(most)
    if number > 2:
        keep((total - least - most) / (number - 2), number - 2)


def _points(metric: metrics.Key, statistic: str, period: int, start: float, end: float) -> list[tuple[float, float]]:
    """(moment, value) of each period that has data, the oldest first."""
    store = metrics.present()
    found = []
    moment = start // period * period
    while moment < end:
        try:
            value = metrics.statistic(statistic, store.samples(metric, moment, moment + period))
        except ValueError as err:
            raise ApiError("InvalidParameterValue", str(err)) from err
        if value is not None:
            found.append((moment, value))
        moment += period
    return found


def _range(parameters: Any, period: int) -> tuple[float, float]:
    start, end = metrics.seconds(parameters["StartTime"]), metrics.seconds(parameters["EndTime"])
    if end <= start:
        message = "The parameter StartTime must be less than the parameter EndTime."
        raise ApiError("InvalidParameterCombination", message)
    if period < 1 or period % 60:
        raise ApiError("InvalidParameterValue", "The parameter Period must be a multiple of 60.")
    return start, end


def _get_metric_statistics(call: pipeline.Call) -> dict[str, Any]:
    parameters = call.parameters
    period = int(parameters["Period"])
    start, end = _range(parameters, period)
    if (end - start) / period > _MOST_DATAPOINTS:
        message = f"You have requested more than {_MOST_DATAPOINTS} datapoints; reduce them by a longer Period."
        raise ApiError("InvalidParameterCombination", message)
    metric = _key(parameters)
    points: dict[float, dict[str, Any]] = {}
    for name in [*(parameters.get("Statistics") or []), *(parameters.get("ExtendedStatistics") or [])]:
        for moment, value in _points(metric, name, period, start, end):
            made = {"Timestamp": metrics.moment(moment), "Unit": metrics.present().unit(metric)}
            point = points.setdefault(moment, made)
            if name.startswith("p"):
                point.setdefault("ExtendedStatistics", {})[name] = value
            else:
                point[name] = value
    return {"Label": parameters["MetricName"], "Datapoints": list(points.values())}


def _get_metric_data(call: pipeline.Call) -> dict[str, Any]:
    """GetMetricData: metrics, and expressions that name them."""
    parameters = call.parameters
    results = []
    series: dict[str, dict[float, float]] = {}
    for query in (each for each in parameters["MetricDataQueries"] if "MetricStat" in each):
        stat = query["MetricStat"]
        period = int(stat["Period"])
        start, end = _range(parameters, period)
        series[query["Id"]] = dict(_points(_key(stat["Metric"]), stat["Stat"], period, start, end))
    for query in parameters["MetricDataQueries"]:
        measured = query.get("MetricStat")
        points = sorted(series[query["Id"]].items()) if measured else _worked_out(query, series)
        if parameters.get("ScanBy") != "TimestampAscending":
            points.reverse()
        if query.get("ReturnData", True):
            results.append(
                {
                    "Id": query["Id"],
                    "Label": query.get("Label")
                    or query.get("MetricStat", {}).get("Metric", {}).get("MetricName", query["Id"]),
                    "Timestamps": [metrics.moment(moment) for moment, _ in points],
                    "Values": [value for _, value in points],
                    "StatusCode": "Complete",
                }
            )
    return {"MetricDataResults": results, "Messages": []}


def _worked_out(query: Any, series: Mapping[str, Mapping[float, float]]) -> list[tuple[float, float]]:
    """An expression at each moment that any metric has data of."""
    found = []
    for moment in sorted({each for points in series.values() for each in points}):
        values = {name: points.get(moment) for name, points in series.items()}
        try:
            result = metric_math.evaluate(query["Expression"], values, list(series))
        except metric_math.ExpressionError as err:
            raise ApiError("ValidationError", f"Error in expression '{query['Id']}': {err}") from err
        if isinstance(result, list):
            raise ApiError("NotImplemented", "The local cloud has expressions of one time series alone.")
        if result is not None:
            found.append((moment, result))
    return found


def _list_metrics(call: pipeline.Call) -> dict[str, Any]:
    wanted = call.parameters
    found = []
    for namespace, name, dimensions in metrics.present().metrics():
        if wanted.get("Namespace") not in {None, namespace} or wanted.get("MetricName") not in {None, name}:
            continue
        present = dict(dimensions)
        if all(
            each["Name"] in present and each.get("Value") in {None, present[each["Name"]]}
            for each in wanted.get("Dimensions") or []
        ):
            shown = [{"Name": key, "Value": value} for key, value in dimensions]
            found.append({"Namespace": namespace, "MetricName": name, "Dimensions": shown})
    return {"Metrics": found}


def _describe_alarm_history(call: pipeline.Call) -> dict[str, Any]:
    wanted = call.parameters
    first = metrics.seconds(wanted["StartDate"]) if wanted.get("StartDate") else 0.0
    last = metrics.seconds(wanted["EndDate"]) if wanted.get("EndDate") else float("inf")
    found = [
        {
            "AlarmName": each.alarm,
            "AlarmType": "MetricAlarm",
            "Timestamp": metrics.moment(each.time),
            "HistoryItemType": each.kind,
            "HistorySummary": each.summary,
            "HistoryData": each.data,
        }
        for each in _alarms().history(wanted.get("AlarmName"))
        if first <= each.time <= last and wanted.get("HistoryItemType") in {None, each.kind}
    ]
    if wanted.get("ScanBy") == "TimestampAscending":
        found.reverse()
    return {"AlarmHistoryItems": found[: int(wanted.get("MaxRecords") or 100)]}


# levels of queues


def _report(queue: Any) -> None:
    name = str(queue.name)
    visible, hidden = len(queue.messages), queue.approximate_number_of_messages_not_visible
    metrics.level("AWS/SQS", "ApproximateNumberOfMessagesVisible", visible, QueueName=name)
    metrics.level("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", hidden, QueueName=name)
    sent = [each.sent_timestamp / 1_000 for each in queue._messages]
    metrics.age("AWS/SQS", "ApproximateAgeOfOldestMessage", min(sent, default=None), QueueName=name)


def _in_flight(metric: metrics.Key) -> bool:
    """Whether a queue has messages that will show again by themselves; its level is looked at for that."""
    namespace, _, dimensions = metric
    if namespace != "AWS/SQS":
        return False
    queue = sqs_backends[ACCOUNT][REGION].queues.get(dict(dimensions).get("QueueName", ""))
    if queue is None:
        return False
    _report(queue)
    return bool(queue.approximate_number_of_messages_not_visible)


def _reporting_queue(original: Any) -> Any:
    @functools.wraps(original)
    def act(queue: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return original(queue, *arguments, **named)
        finally:
            _report(queue)

    return act


def _reporting(original: Any) -> Any:
    @functools.wraps(original)
    def act(backend: Any, queue_name: str, *arguments: Any, **named: Any) -> Any:
        answer = original(backend, queue_name, *arguments, **named)
        if queue := backend.queues.get(queue_name):
            _report(queue)
        else:
            metrics.ended("QueueName", queue_name)
        return answer

    return act


_HANDLERS = {
    "PutMetricData": _put_metric_data,
    "GetMetricStatistics": _get_metric_statistics,
    "GetMetricData": _get_metric_data,
    "ListMetrics": _list_metrics,
    "DescribeAlarmHistory": _describe_alarm_history,
}


def install(cloud: Cloud) -> None:
    """Judge alarms for `cloud`, and mend moto's cloudwatch."""
    close(cloud)
    _begin(cloud)
    for name, handler in _HANDLERS.items():
        pipeline.operation("cloudwatch", name)(handler)
    _mending.replace(
        CloudWatchBackend,
        put_metric_alarm=_put_metric_alarm(CloudWatchBackend.put_metric_alarm),
        delete_alarms=_delete_alarms,
        set_alarm_state=_set_alarm_state,
        list_tags_for_resource=_list_tags_for_resource,
    )
    _mending.replace(CloudWatchResponse, describe_alarms=_all_filters(CloudWatchResponse.describe_alarms))
    changing = ("receive_message", "change_message_visibility", "purge_queue", "delete_queue")
    _mending.replace(SQSBackend, **{name: _reporting(getattr(SQSBackend, name)) for name in changing})
    _mending.replace(
        Queue,
        add_message=_reporting_queue(Queue.add_message),
        delete_message=_reporting_queue(Queue.delete_message),
    )


def _begin(cloud: Cloud) -> None:
    _Present.alarms = Alarms(cloud, metrics.present())
    _Present.alarms.unsettled = _in_flight


def reset(cloud: Cloud) -> None:
    """Forget all alarms' history; the alarms themselves are moto's to forget."""
    _end()
    _begin(cloud)


def _end() -> None:
    alarms, _Present.alarms = _Present.alarms, None
    if alarms:
        alarms.close()


def close(_cloud: Cloud) -> None:
    """Take the mending back. Idempotent."""
    _end()
    _mending.undo()
