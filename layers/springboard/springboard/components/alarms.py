"""What tells people that the environment does not serve: alarms on the load balancer, and a dashboard."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard import naming
from springboard.components.contract import Absent, Action, Change, Observation, Ready, Verdict, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

_NAMESPACE = "AWS/ApplicationELB"
_MINUTE = 60
_LATENCY_SECONDS = 2.0
_ERRORS = 10  # 5xx answers of the applications or the load balancer in a minute
_RUNBOOK = "runbook docs/guide/runbooks.md#environment-"
# What we set of an alarm, and so compare; `Metrics` and `Dimensions` in no order.
_COMPARED = (
    "AlarmDescription",
    "MetricName",
    "Namespace",
    "Dimensions",
    "Period",
    "EvaluationPeriods",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "AlarmActions",
    "Statistic",
    "ExtendedStatistic",
)


@dataclass(frozen=True)
class Desired:
    """Alarms by name, as PutMetricAlarm takes them, and the dashboard; nothing until all that they watch is known."""

    known: bool
    alarms: Mapping[str, Mapping[str, Any]]
    dashboard: str
    body: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Observed(Observation):
    """Alarms under the environment's prefix, by name, and the dashboard's body."""

    alarms: Mapping[str, Mapping[str, Any]]
    dashboard: str
    body: str | None


@dataclass(frozen=True, kw_only=True)
class PutAlarm(Change):
    """PutMetricAlarm."""

    alarm: Mapping[str, Any]
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class DeleteAlarm(Change):
    """DeleteAlarms."""

    name: str


@dataclass(frozen=True, kw_only=True)
class PutDashboard(Change):
    """PutDashboard."""

    name: str
    body: str


@dataclass(frozen=True, kw_only=True)
class DeleteDashboard(Change):
    """DeleteDashboards."""

    name: str


def desired(environment: Environment, site: Site) -> Desired:
    """Errors and latency of the load balancer, unhealthy targets of each application.

    Answers 5xx of the applications and of the load balancer itself (no target was there to answer) are one alarm on
    metric math: each alarm is a call of the create.
    """
    balancer = _suffix(environment.facts.get("load_balancer", {}).get("arn", ""), "loadbalancer/")
    groups = environment.facts.get("target_groups", {}).get("groups", {})
    dashboard = naming.dashboard(site.prefix, environment.name, environment.uid)
    alarms: list[dict[str, Any]] = []
    suffixes: list[tuple[str, str]] = []
    for app in environment.resolved.apps:
        group = naming.target_group(site.prefix, environment.name, environment.uid, app.name, app.node_port)
        if group in groups:
            suffixes.append((app.name, _suffix(groups[group], "")))
    if balancer:
        alarms.append(
            _alarm(
                _name(environment, site, "errors"),
                f"{environment.name}: over {_ERRORS} answers 5xx a minute, {_RUNBOOK}errors",
                site.alarm_topic_arn,
                watched={
                    "Metrics": [
                        _series("target", "HTTPCode_Target_5XX_Count", balancer),
                        _series("balancer", "HTTPCode_ELB_5XX_Count", balancer),
                        {"Id": "total", "Label": "5xx", "Expression": "SUM(FILL(METRICS(), 0))", "ReturnData": True},
                    ]
                },
                threshold=_ERRORS,
                periods=5,
            )
        )
        alarms.append(
            _alarm(
                _name(environment, site, "latency"),
                f"{environment.name}: 1 of 20 answers takes over {_LATENCY_SECONDS:g} s, {_RUNBOOK}latency",
                site.alarm_topic_arn,
                watched=_metric("TargetResponseTime", {"ExtendedStatistic": "p95"}, LoadBalancer=balancer),
                threshold=_LATENCY_SECONDS,
                periods=5,
            )
        )
        for app_name, suffix in suffixes:
            alarms.append(
                _alarm(
                    _name(environment, site, f"unhealthy-{app_name}"),
                    f"{environment.name}: targets of {app_name} are unhealthy, {_RUNBOOK}unhealthy",
                    site.alarm_topic_arn,
                    watched=_metric(
                        "UnHealthyHostCount", {"Statistic": "Maximum"}, LoadBalancer=balancer, TargetGroup=suffix
                    ),
                    threshold=0,
                    periods=5,
                )
            )
    return Desired(
        known=bool(balancer) and len(suffixes) == len(environment.resolved.apps),
        alarms={alarm["AlarmName"]: alarm for alarm in alarms},
        dashboard=dashboard,
        body=_body(site.region, environment.name, balancer, suffixes),
        tags={**environment.labels, **naming.owner_tags(site.stack_name, environment.name, environment.uid)},
    )


def changes(desired: Desired | Absent, observed: Observed) -> Sequence[Change]:
    """Alarms and dashboard put that differ, alarms deleted that nobody asks for."""
    return tuple(_removal(observed) if isinstance(desired, Absent) else _wanted(desired, observed))


def _wanted(desired: Desired, observed: Observed) -> Iterator[Change]:
    if not desired.known:
        return
    for name, alarm in desired.alarms.items():
        found = observed.alarms.get(name)
        if found is None or _compared(found) != _compared(alarm):
            yield PutAlarm(
                Action.UPDATE if found else Action.CREATE,
                f"alarm {name}",
                "its settings differ" if found else "it does not exist",
                alarm=alarm,
                tags=desired.tags,
            )
    for name in sorted(set(observed.alarms) - set(desired.alarms)):
        yield DeleteAlarm(Action.DELETE, f"alarm {name}", "no application asks for it", name=name)
    if observed.body is None or json.loads(observed.body) != json.loads(desired.body):
        yield PutDashboard(
            Action.UPDATE if observed.body else Action.CREATE,
            f"dashboard {desired.dashboard}",
            "its widgets differ" if observed.body else "it does not exist",
            name=desired.dashboard,
            body=desired.body,
        )


def _removal(observed: Observed) -> Iterator[Change]:
    for name in sorted(observed.alarms):
        yield DeleteAlarm(Action.DELETE, f"alarm {name}", "the environment goes away", name=name)
    if observed.body is not None:
        yield DeleteDashboard(
            Action.DELETE, f"dashboard {observed.dashboard}", "the environment goes away", name=observed.dashboard
        )


def condition(desired: Desired | Absent, observed: Observed) -> Verdict:
    """Ready when there is nothing to change."""
    if not isinstance(desired, Absent) and not desired.known:
        return Waiting("load balancer", "it, or a target group, is not there yet to be watched")
    left = changes(desired, observed)
    return Waiting("alarms", f"{left[0].resource}: {left[0].reason}") if left else Ready()


def observe(world: World, environment: Environment) -> Observed:
    """Two calls."""
    dashboard = naming.dashboard(world.site.prefix, environment.name, environment.uid)
    found = world.cloudwatch.alarms(_name(environment, world.site, ""))
    return Observed({each["AlarmName"]: each for each in found}, dashboard, world.cloudwatch.dashboard(dashboard))


def apply(world: World, environment: Environment, change: Change) -> None:  # noqa: ARG001 - the components' signature
    """One alarm or the dashboard."""
    match change:
        case PutAlarm():
            world.cloudwatch.put_alarm(dict(change.alarm), dict(change.tags))
        case DeleteAlarm():
            world.cloudwatch.delete_alarms([change.name])
        case PutDashboard():
            world.cloudwatch.put_dashboard(change.name, change.body)
        case DeleteDashboard():
            world.cloudwatch.delete_dashboard(change.name)
        case _:
            raise TypeError(f"not a change of alarms: {change!r}")


def learned(observed: Observed) -> Mapping[str, Any]:
    """Names, for those who look for them in the console."""
    return {"alarms": sorted(observed.alarms), "dashboard": observed.dashboard if observed.body else ""}


def _name(environment: Environment, site: Site, what: str) -> str:
    return naming.alarm(site.prefix, environment.name, environment.uid, what)


def _alarm(
    name: str, description: str, topic_arn: str, *, watched: Mapping[str, Any], threshold: float, periods: int
) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "AlarmDescription": description,
        **watched,
        "EvaluationPeriods": periods,
        "Threshold": float(threshold),
        "ComparisonOperator": "GreaterThanThreshold",
        # A load balancer without traffic has no data, and that is no fault.
        "TreatMissingData": "notBreaching",
        "AlarmActions": [topic_arn],
    }


def _metric(name: str, statistic: Mapping[str, str], **dimensions: str) -> dict[str, Any]:
    """What an alarm on one metric says of it."""
    return {
        "Namespace": _NAMESPACE,
        "MetricName": name,
        "Dimensions": _pairs(dimensions),
        "Period": _MINUTE,
        **statistic,
    }


def _series(name: str, metric: str, balancer: str) -> dict[str, Any]:
    """One metric of an expression, summed up over a minute."""
    found = {"Namespace": _NAMESPACE, "MetricName": metric, "Dimensions": _pairs({"LoadBalancer": balancer})}
    return {"Id": name, "MetricStat": {"Metric": found, "Period": _MINUTE, "Stat": "Sum"}, "ReturnData": False}


def _pairs(dimensions: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": key, "Value": value} for key, value in sorted(dimensions.items())]


def _compared(alarm: Mapping[str, Any]) -> dict[str, Any]:
    picked = {key: alarm[key] for key in _COMPARED if alarm.get(key) is not None}
    picked["Dimensions"] = _unordered(picked.get("Dimensions", ()))
    picked["Metrics"] = {each["Id"]: _query(each) for each in alarm.get("Metrics") or ()}
    return picked


def _query(query: Mapping[str, Any]) -> tuple[Any, ...]:
    """What counts of one member of `Metrics`."""
    stat = query.get("MetricStat") or {}
    metric = stat.get("Metric") or {}
    named = (metric.get("Namespace"), metric.get("MetricName"), _unordered(metric.get("Dimensions") or ()))
    return query.get("Expression"), query.get("ReturnData"), stat.get("Period"), stat.get("Stat"), named


def _unordered(dimensions: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    return sorted((each["Name"], each["Value"]) for each in dimensions)


def _suffix(arn: str, beginning: str) -> str:
    """The part of an ELB ARN that CloudWatch uses as a dimension."""
    return arn.rpartition(":")[2].removeprefix(beginning)


def _body(region: str, environment: str, balancer: str, groups: Sequence[tuple[str, str]]) -> str:
    def widget(title: str, metrics: list[list[str]], stat: str, row: int, column: int) -> dict[str, Any]:
        properties = {"title": title, "region": region, "metrics": metrics, "stat": stat, "period": _MINUTE}
        return {"type": "metric", "x": 12 * column, "y": 6 * row, "width": 12, "height": 6, "properties": properties}

    def metric(name: str) -> list[str]:
        return [_NAMESPACE, name, "LoadBalancer", balancer]

    widgets = [
        widget(f"{environment}: requests", [metric("RequestCount")], "Sum", 0, 0),
        widget("5xx", [metric("HTTPCode_Target_5XX_Count"), metric("HTTPCode_ELB_5XX_Count")], "Sum", 0, 1),
        widget("Response time, seconds, p95", [metric("TargetResponseTime")], "p95", 1, 0),
        widget(
            "Healthy targets",
            [[_NAMESPACE, "HealthyHostCount", "TargetGroup", suffix, "LoadBalancer", balancer] for _, suffix in groups],
            "Minimum",
            1,
            1,
        ),
    ]
    return json.dumps({"widgets": widgets})
