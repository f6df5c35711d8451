"""CloudWatch alarms: judged at each full minute of the cloud's clock while there is something to judge.

moto keeps their settings; state, history and actions are from here. An alarm sleeps once nothing that it watches
has moved for its whole window, because its state can then not change by itself.
"""

from __future__ import annotations

import functools
import json
import logging
import operator
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard_local.clock import iso
from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.services import events, metric_math, metrics
from springboard_local.services.delivery import Carrier, Parcel, UndeliverableError, deliver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from springboard_local.clock import Timer
    from springboard_local.cloud import Cloud

log = logging.getLogger(__name__)

MINUTE = metrics.MINUTE
_HISTORY = 1_000
_COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True)
class Judgement:
    """What the datapoints, the newest first, say; `state` None leaves the alarm as it is."""

    state: str | None
    reason: str = ""


def judge(
    datapoints: Sequence[float | None], *, comparison: str, threshold: float, needed: int, missing: str
) -> Judgement:
    """The state after the evaluation periods' datapoints; `needed` of them have to breach for an ALARM.

    `missing` is TreatMissingData. Where points are missing and count for nothing, the state changes only when
    those that are there decide it.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """
    breaches, words = _COMPARISONS[comparison]
    present = [each for each in datapoints if each is not None]
    gaps = len(datapoints) - len(present)
    breaching = sum(breaches(each, threshold) for each in present)
    fine = len(present) - breaching
    if missing == "breaching":
        breaching += gaps
    elif missing == "notBreaching":
        fine += gaps
    elif not present:
        state = None if missing == "ignore" else "INSUFFICIENT_DATA"
        return Judgement(state, "Insufficient Data: the metric has no data.")
    shown = ", ".join(f"{each:g}" for each in present)
    if breaching >= needed:
        found = f"{breaching} out of the last {len(datapoints)} datapoints [{shown}] was {words}"
        return Judgement("ALARM", f"Threshold Crossed: {found} the threshold ({threshold}).")
    if fine > len(datapoints) - needed:
        found = f"{len(present)} datapoints [{shown}] were not {words} the threshold ({threshold})"
        filled = f"; {gaps} missing datapoints were treated as [{missing}]" if gaps else ""
        return Judgement("OK", f"Threshold Crossed: {found}{filled}.")
    return Judgement(None)


@dataclass(frozen=True)
class Entry:
    """One item of an alarm's history."""

    alarm: str
    time: float
    kind: str  # ConfigurationUpdate, StateUpdate, Action
    summary: str
    data: str


class Alarms:
    """The alarms of one cloud."""

    def __init__(self, cloud: Cloud, store: metrics.Store) -> None:
        self._cloud = cloud
        self._store = store
        self._carrier = Carrier(cloud, "alarms")
        self._lock = threading.RLock()
        self._watchers: dict[metrics.Key, set[str]] = {}
        self._awake: set[str] = set()
        self._timer: Timer | None = None
        self._entries: list[Entry] = []
        self._closed = False
        self.unsettled: Callable[[metrics.Key], bool] = lambda _: False  # a level that will move by itself
        store.listen(self._got_data)

    def close(self) -> None:
        """Judge no more."""
        with self._lock:
            self._closed = True
            if self._timer:
                self._timer.cancel()
        self._carrier.close()

    def put(self, alarm: Any, *, new: bool) -> None:
        """An alarm is there, or has other settings."""
        alarm.configuration_updated_timestamp = self._now()
        watched = _watched(alarm)
        with self._lock:
            self._forget([alarm.name])
            for metric in watched.keys if watched else ():
                self._watchers.setdefault(metric, set()).add(alarm.name)
        if new:
            alarm.state_updated_timestamp = self._now()
        self._note(alarm.name, "ConfigurationUpdate", f"Alarm '{alarm.name}' {'created' if new else 'updated'}", {})
        self._wake([alarm.name])

    def deleted(self, names: Iterable[str]) -> None:
        """Alarms are gone; their history is kept, as on AWS."""
        with self._lock:
            self._awake -= set(names)
            self._forget(names)
        for name in names:
            self._note(name, "ConfigurationUpdate", f"Alarm '{name}' deleted", {})

    def set_state(self, alarm: Any, state: str, reason: str, data: str) -> None:
        """SetAlarmState: for a try; the next judgement corrects it."""
        self._change(alarm, state, reason, data)
        self._wake([alarm.name])

    def history(self, name: str | None = None) -> list[Entry]:
        """The history, the newest first."""
        with self._lock:
            return [each for each in reversed(self._entries) if name in {None, each.alarm}]

    # when

    def _forget(self, names: Iterable[str]) -> None:
        for watchers in self._watchers.values():
            watchers.difference_update(names)

    def _got_data(self, metric: metrics.Key) -> None:
        if names := self._watchers.get(metric):
            self._wake(list(names))

    def _wake(self, names: Iterable[str]) -> None:
        with self._lock:
            self._awake |= set(names)
            if self._awake and self._timer is None and not self._closed:
                now = self._cloud.clock.now().timestamp()
                self._timer = self._cloud.clock.call_later(MINUTE - now % MINUTE, self._tick)

    def _tick(self) -> None:
        with self._lock:
            self._timer = None
            awake, self._awake = self._awake, set()
        try:
            self._wake([alarm.name for alarm in _alarms() if alarm.name in awake and self._look(alarm)])
        except RuntimeError:
            log.debug("the cloud is going down", exc_info=True)

    def _now(self) -> Any:
        return self._cloud.clock.now()

    # what

    def _look(self, alarm: Any) -> bool:
        """Judge an alarm now; whether it has to be looked at again in a minute."""
        watched = _watched(alarm)
        if watched is None:  # composite alarms are not judged here
            return False
        period, periods = watched.period, int(alarm.evaluation_periods)
        # The timer comes a hair before or after the full minute on a scaled clock.
        end = round(self._now().timestamp() / MINUTE) * MINUTE
        points = [watched.value(self._store, end - (each + 1) * period, end - each * period) for each in range(periods)]
        found = judge(
            points,
            comparison=alarm.comparison_operator,
            threshold=float(alarm.threshold),
            needed=int(alarm.datapoints_to_alarm or periods),
            missing=alarm.treat_missing_data or "missing",
        )
        if found.state and found.state != alarm.state_value:
            data = {
                "version": "1.0",
                "queryDate": iso(self._now()),
                "statistic": watched.statistic,
                "period": period,
                "recentDatapoints": [each for each in points if each is not None],
                "threshold": float(alarm.threshold),
            }
            self._change(alarm, found.state, found.reason, json.dumps(data))
        since = end - (periods + 1) * period
        return any(self._store.moving(metric, since) or self.unsettled(metric) for metric in watched.keys)

    def _change(self, alarm: Any, state: str, reason: str, data: str) -> None:
        before = {"value": alarm.state_value, "reason": alarm.state_reason, "reasonData": alarm.state_reason_data}
        before["timestamp"] = iso(alarm.state_updated_timestamp)
        alarm.state_value, alarm.state_reason, alarm.state_reason_data = state, reason, data
        alarm.state_updated_timestamp = self._now()
        after = {"value": state, "reason": reason, "reasonData": data, "timestamp": iso(self._now())}
        told = {"version": "1.0", "oldState": before, "newState": after}
        self._note(alarm.name, "StateUpdate", f"Alarm updated from {before['value']} to {state}", told)
        if before["value"] == state:
            return  # SetAlarmState to the same
        events.put_aws_event(
            "aws.cloudwatch",
            "CloudWatch Alarm State Change",
            [alarm.alarm_arn],
            {
                "alarmName": alarm.name,
                "state": after,
                "previousState": before,
                "configuration": _configuration(alarm),
            },
        )
        if alarm.actions_enabled:
            actions = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}.get(state, alarm.insufficient_data_actions)
            message = json.dumps(_message(alarm, before["value"], iso(self._now())))
            for action in actions or ():
                self._carrier.submit(functools.partial(self._act, alarm, action, message))

    def _act(self, alarm: Any, action: str, message: str) -> None:
        subject = f'{alarm.state_value}: "{alarm.name}" in EU (Ireland)'
        parcel = Parcel("cloudwatch.amazonaws.com", alarm.alarm_arn, {"Arn": action}, message, self._now())
        try:
            deliver(self._cloud, parcel, {"Subject": subject})
        except UndeliverableError as error:
            log.warning("%s could not act: %s", alarm.name, error)
            summary = f"Failed to execute action {action}. Received error: {error.message!r}"
            self._note(alarm.name, "Action", summary, {"actionState": "Failed", "error": error.code})
        else:
            self._note(alarm.name, "Action", f"Successfully executed action {action}", {"actionState": "Succeeded"})

    def _note(self, alarm: str, kind: str, summary: str, data: Mapping[str, Any]) -> None:
        with self._lock:
            self._entries.append(Entry(alarm, self._now().timestamp(), kind, summary, json.dumps(data)))
            del self._entries[:-_HISTORY]


def _alarms() -> list[Any]:
    from moto.cloudwatch.models import cloudwatch_backends  # noqa: PLC0415 - once the account is set

    return list(cloudwatch_backends[ACCOUNT][REGION].alarms.values())


@dataclass(frozen=True)
class _Watched:
    """What an alarm looks at: one statistic of one metric, or an expression over several."""

    series: Mapping[str, tuple[metrics.Key, str]]  # id: metric, statistic
    period: int
    expression: str | None = None

    @property
    def keys(self) -> list[metrics.Key]:
        """The metrics."""
        return [metric for metric, _ in self.series.values()]

    @property
    def statistic(self) -> str:
        """The one statistic; an expression's is its metrics' own."""
        return next(iter(self.series.values()))[1]

    def value(self, store: metrics.Store, start: float, end: float) -> float | None:
        """The datapoint of a period."""
        values = {
            name: metrics.statistic(statistic, store.samples(metric, start, end))
            for name, (metric, statistic) in self.series.items()
        }
        if self.expression is None:
            return next(iter(values.values()))
        result = metric_math.evaluate(self.expression, values, list(self.series))
        return None if isinstance(result, list) else result


def _watched(alarm: Any) -> _Watched | None:
    if alarm.rule:
        return None
    if alarm.metric_name:
        statistic = alarm.extended_statistic or alarm.statistic
        return _Watched({"m": (_key(alarm), statistic)}, int(alarm.period))
    series = {
        each.id: (_key(each.metric_stat.metric), each.metric_stat.stat)
        for each in alarm.metric_data_queries
        if each.metric_stat
    }
    if not series:
        return None
    chosen = next(each for each in alarm.metric_data_queries if each.return_data is not False)
    period = next(int(each.metric_stat.period) for each in alarm.metric_data_queries if each.metric_stat)
    return _Watched(series, period, chosen.expression or chosen.id)


def _key(metric: Any) -> metrics.Key:
    """The identity of an alarm's own metric, or of one in its expression."""
    return metrics.key(metric.namespace, metric.metric_name, [(each.name, each.value) for each in metric.dimensions])


def _configuration(alarm: Any) -> dict[str, Any]:
    found = []
    if alarm.metric_name:
        dimensions = {each.name: each.value for each in alarm.dimensions}
        metric = {"namespace": alarm.namespace, "name": alarm.metric_name, "dimensions": dimensions}
        stat = {"stat": alarm.extended_statistic or alarm.statistic, "period": alarm.period}
        found = [{"metricStat": {"metric": metric, **stat}}]
    for each in alarm.metric_data_queries:
        shown = {"id": each.id, "returnData": each.return_data is not False}
        if each.expression:
            shown["expression"] = each.expression
        else:
            metric = {
                "namespace": each.metric_stat.metric.namespace,
                "name": each.metric_stat.metric.metric_name,
                "dimensions": {name.name: name.value for name in each.metric_stat.metric.dimensions},
            }
            shown["metricStat"] = {"metric": metric, "stat": each.metric_stat.stat, "period": each.metric_stat.period}
        found.append(shown)
    return {"description": alarm.description, "metrics": found}


def _message(alarm: Any, before: str, now: str) -> dict[str, Any]:
    """What a subscriber of the topic reads, in the form of CloudWatch's notifications."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": ACCOUNT,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": now,
        "Region": "EU (Ireland)",
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        "Trigger": {
            "MetricName": alarm.metric_name,
            "Namespace": alarm.namespace,
            "Statistic": alarm.extended_statistic or alarm.statistic,
            "Dimensions": [{"name": each.name, "value": each.value} for each in alarm.dimensions],
            "Period": alarm.period,
            "EvaluationPeriods": alarm.evaluation_periods,
            "ComparisonOperator": alarm.comparison_operator,
            "Threshold": alarm.threshold,
            "TreatMissingData": alarm.treat_missing_data or "missing",
        },
    }
