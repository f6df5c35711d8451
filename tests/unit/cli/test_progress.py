"""The live table, times, and the local cloud's own time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from springboard_cli import times
from tests.unit.cli.stand_ins import (
    START,
    Account,
    Machine,
    answer,
    at,
    condition,
    environment,
    operation,
    problem,
    step,
)


def test_a_terminal_shows_a_table_that_stays(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    working = environment(
        phase="Provisioning",
        conditions=[
            condition("Ready", "False", "Create"),
            condition("ClusterReady", "False", "Waiting", "waits for CREATING"),
            condition("DnsReady"),
        ],
        operation=operation(steps=[step("EnsureCluster", 0)]),
    )
    machine.api.becomes(working, environment())

    result = machine.run("wait", "shop")

    assert result.exit_code == 0
    assert "cluster" in result.stderr
    assert "Working" in result.stderr
    assert "Pending" in result.stderr
    assert result.stdout.endswith("condition met\n")


LOCAL = "http://127.0.0.1:5102/_apigw/abc"


def local(machine: Machine, ahead: int, speed: float) -> None:
    machine.account = Account(
        {
            "describe_stacks": {
                "Stacks": [
                    {"StackStatus": "CREATE_COMPLETE", "Outputs": [{"OutputKey": "ApiUrl", "OutputValue": LOCAL}]}
                ]
            }
        }
    )
    machine.api.says("GET", "/_local/clock", answer({"now": at(ahead), "speed": speed}))


def test_ages_are_told_in_the_local_clouds_time(machine: Machine) -> None:
    local(machine, ahead=7200, speed=60)
    machine.api.says("GET", "/_apigw/abc/environments/shop", answer(environment()))

    assert machine.run("get", "shop").stdout.splitlines()[1].split()[-1] == "2h00m"


def test_the_local_cloud_is_asked_as_often_as_its_time_passes(machine: Machine) -> None:
    local(machine, ahead=0, speed=2)
    machine.api.says(
        "GET", "/_apigw/abc/environments/shop", answer(environment(phase="Provisioning")), answer(environment())
    )

    machine.run("wait", "shop")

    assert machine.clock.slept == [2.5]


def test_the_local_cloud_bills_nothing(machine: Machine) -> None:
    local(machine, ahead=0, speed=60)
    machine.api.says("POST", "/_apigw/abc/environments", answer(environment(), 202))
    machine.api.says("GET", "/_apigw/abc/environments/shop", answer({}, 404))

    result = machine.run("apply", "--no-wait", text="metadata: {name: shop}")

    assert result.exit_code == 1  # a 404 without a problem document is the gateway's
    machine.api.says("GET", "/_apigw/abc/environments/shop", problem(404, "no environment 'shop'"))
    assert "nothing is billed" in machine.run("apply", "--no-wait", text="metadata: {name: shop}").stderr


def test_the_local_cloud_comes_with_the_way_to_its_load_balancer(machine: Machine) -> None:
    local(machine, ahead=0, speed=60)
    machine.api.says("GET", "/_apigw/abc/environments/shop", answer(environment(), etag='"1"'))
    machine.api.says("PUT", "/_apigw/abc/environments/shop", answer(environment()))
    machine.api.says(
        "GET",
        "/_local/load-balancers",
        answer([{"hosts": ["shop.dev.example.com"], "https": 40443, "ca": "/s/ca.pem"}]),
    )

    result = machine.run("apply", text="metadata: {name: shop}")

    assert result.stdout == "https://shop.dev.example.com\n"
    assert (
        "curl --cacert /s/ca.pem --connect-to shop.dev.example.com:443:127.0.0.1:40443 https://shop.dev.example.com/"
        in result.stderr
    )


def test_waiting_for_what_is_so_already_is_silent(machine: Machine) -> None:
    machine.api.add(environment(operation=operation(status="Succeeded", steps=[step("EnsureCluster", 0, 5)])))

    assert machine.run("wait", "shop").stderr == ""


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("45m", 2700), ("1h30m", 5400), ("1h0m5s", 3605), ("0.5", 0.5)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert times.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "5d", "h", "1m1h", "1e3"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s"):
        times.seconds(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-3, "0s"), (59.6, "1m00s"), (564, "9m24s"), (3 * 3600, "3h00m"), (99 * 3600, "4d3h")],
)
def test_spans_are_told(seconds: float, text: str) -> None:
    assert times.span(seconds) == text
    assert times.age(at(0), START + timedelta(seconds=seconds)) == text
