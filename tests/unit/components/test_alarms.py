"""Alarms and the dashboard: made once there is something to watch, and gone with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from springboard import naming
from springboard.components import alarms
from springboard.components.contract import Ready, Waiting
from springboard.errors import AccessDeniedError, ThrottledError
from springboard.record import OperationKind
from tests.unit.components.clients import Aws, survives_every_kill
from tests.unit.components.records import SITE, UID, environment, under

if TYPE_CHECKING:
    from springboard.record import Environment

ELB = "arn:aws:elasticloadbalancing:eu-west-1:111122223333"
ALARM = f"alarm {naming.alarm('sb', 'shop', UID, '')}"
DASHBOARD = f"dashboard {naming.dashboard('sb', 'shop', UID)}"


def watched(*apps: str, kind: OperationKind = OperationKind.CREATE) -> Environment:
    """The record once load balancer and target groups are known."""
    record = under(environment(apps=[{"name": app, "image": "ghcr.io/acme/shop:1"} for app in apps]), kind)
    names = [naming.target_group("sb", "shop", UID, app.name, app.node_port) for app in record.resolved.apps]
    groups = {name: f"{ELB}:targetgroup/{name}/0123456789abcdef" for name in names}
    record = record.with_facts("load_balancer", {"arn": f"{ELB}:loadbalancer/app/sb-shop/50dc6c495c0c9188"})
    return record.with_facts("target_groups", {"groups": groups})


BOTH = watched("shop", "cart")
LEAVING = under(environment(), OperationKind.DELETE)


def made() -> Aws:
    aws = Aws()
    aws.until_ready(alarms, BOTH)
    aws.forget()
    return aws


def test_errors_latency_and_each_applications_targets_are_watched() -> None:
    aws = made()
    assert set(aws.cloudwatch.state) == {
        DASHBOARD,
        *(f"{ALARM}{what}" for what in ("errors", "latency", "unhealthy-shop", "unhealthy-cart")),
    }
    unhealthy = aws.cloudwatch.state[f"{ALARM}unhealthy-cart"]
    group = naming.target_group("sb", "shop", UID, "cart", 30001)
    assert unhealthy["Dimensions"] == [
        {"Name": "LoadBalancer", "Value": "app/sb-shop/50dc6c495c0c9188"},
        {"Name": "TargetGroup", "Value": f"targetgroup/{group}/0123456789abcdef"},
    ]
    assert unhealthy["AlarmActions"] == [SITE.alarm_topic_arn]
    errors = aws.cloudwatch.state[f"{ALARM}errors"]["Metrics"]
    assert [each["MetricStat"]["Metric"]["MetricName"] for each in errors if "MetricStat" in each] == [
        "HTTPCode_Target_5XX_Count",
        "HTTPCode_ELB_5XX_Count",
    ]
    body = json.loads(aws.cloudwatch.state[DASHBOARD]["body"])
    assert all(widget["properties"]["metrics"] for widget in body["widgets"])


@pytest.mark.parametrize("lacks", ["load_balancer", "target_groups"])
def test_nothing_is_made_before_all_that_is_watched_is_known(lacks: str) -> None:
    aws = Aws()
    _, outcome = aws.run(alarms, BOTH.with_facts(lacks, {}))
    assert isinstance(outcome.verdict, Waiting)
    assert aws.changes() == []


def test_an_application_that_comes_or_goes_brings_or_takes_its_alarm() -> None:
    aws = made()
    aws.until_ready(alarms, watched("shop"))
    assert f"{ALARM}unhealthy-cart" not in aws.cloudwatch.state
    assert "cart" not in aws.cloudwatch.state[DASHBOARD]["body"]
    aws.until_ready(alarms, BOTH)
    assert aws.state() == made().state()


@pytest.mark.parametrize(
    "drift",
    [
        {"Threshold": 1e6},
        {"AlarmActions": []},
        {"EvaluationPeriods": 50},
        {"AlarmDescription": "nothing to see here"},
        {"Metrics": []},
        {"Metrics": [{"Id": "total", "Expression": "0", "ReturnData": True}]},
    ],
)
def test_an_alarm_that_was_changed_by_hand_is_mended(drift: dict[str, Any]) -> None:
    aws = made()
    before = aws.state()
    aws.cloudwatch.state[f"{ALARM}errors"] |= drift
    aws.until_ready(alarms, BOTH)
    assert aws.state() == before


def test_a_dashboard_that_was_changed_or_deleted_by_hand_is_mended() -> None:
    aws = made()
    before = aws.state()
    aws.cloudwatch.state[DASHBOARD]["body"] = json.dumps({"widgets": []})
    aws.until_ready(alarms, BOTH)
    del aws.cloudwatch.state[DASHBOARD]
    aws.until_ready(alarms, BOTH)
    assert aws.state() == before


def test_the_order_in_which_cloudwatch_lists_dimensions_is_no_difference() -> None:
    aws = made()
    aws.cloudwatch.state[f"{ALARM}unhealthy-cart"]["Dimensions"].reverse()
    aws.until_ready(alarms, BOTH)
    assert aws.changes() == []


def test_all_goes_without_the_facts_and_others_stay() -> None:
    aws = made()
    aws.cloudwatch.put_metric_alarm(AlarmName="sb-shop-theirs-errors")
    aws.until_ready(alarms, LEAVING, removal=True)
    assert set(aws.cloudwatch.state) == {"alarm sb-shop-theirs-errors"}


@pytest.mark.parametrize("removal", [False, True])
def test_killed_anywhere_it_ends_the_same(removal: bool) -> None:  # noqa: FBT001
    record = LEAVING if removal else BOTH
    assert survives_every_kill(made if removal else Aws, alarms, record, removal=removal) == 5


@pytest.mark.parametrize(("code", "error"), [("AccessDenied", AccessDeniedError), ("Throttling", ThrottledError)])
def test_what_only_waiting_or_a_permission_helps_is_passed_on(code: str, error: type[Exception]) -> None:
    aws = Aws()
    aws.cloudwatch.refuse["put_metric_alarm"] = code
    with pytest.raises(error):
        aws.run(alarms, BOTH)


def test_f36_what_is_gone_already_is_fine() -> None:
    aws = made()
    for code in ("ResourceNotFound", "ResourceNotFoundException"):
        aws.cloudwatch.refuse = {"delete_alarms": code, "delete_dashboards": code}
        assert isinstance(aws.run(alarms, LEAVING, removal=True)[1].verdict, Waiting)  # it is listed still
    assert isinstance(Aws().run(alarms, LEAVING, removal=True)[1].verdict, Ready)


def test_names_stay_inside_cloudwatchs_255_characters() -> None:
    assert len(naming.alarm("p" * naming.MAX_PREFIX, "e" * naming.MAX_ENVIRONMENT, UID, f"unhealthy-{'a' * 40}")) <= 255
