"""get, describe, events, why, export, versions, schema."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.unit.cli.stand_ins import (
    COMPONENTS,
    Json,
    Machine,
    answer,
    at,
    condition,
    environment,
    operation,
    problem,
    step,
)


def test_get_lists_as_kubectl_does(machine: Machine) -> None:
    machine.api.add(environment("shop"), environment("market", phase="Provisioning", cluster={}))
    machine.clock.sleep(3 * 3600)

    result = machine.run("get")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "NAME     PHASE          VERSION   NODES   URL                              AGE",
        "shop     Ready          1.35      3       https://shop.dev.example.com     3h00m",
        "market   Provisioning   1.35      3       https://market.dev.example.com   3h00m",
    ]


def test_get_reads_all_pages_and_passes_what_was_asked(machine: Machine) -> None:
    machine.api.says(
        "GET",
        "/environments",
        answer({"items": [environment("a")], "metadata": {"continue": "a"}}),
        answer({"items": [environment("b")], "metadata": {}}),
    )

    result = machine.run("get", "-l", "team=checkout,ring!=canary", "--phase", "Ready", "-o", "name")

    assert result.stdout == "environment/a\nenvironment/b\n"
    first, second = machine.api.sent
    assert first.query["labelSelector"] == "team=checkout,ring!=canary"
    assert first.query["phase"] == "Ready"
    assert second.query["after"] == "a"


def test_nothing_there_is_no_error(machine: Machine) -> None:
    result = machine.run("get")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "no environments" in result.stderr


def test_get_one_that_is_not_there(machine: Machine) -> None:
    result = machine.run("get", "nobody")

    assert result.exit_code == 5
    assert "no environment 'nobody'" in result.stderr


def test_a_name_that_could_be_a_path_is_not_sent(machine: Machine) -> None:
    for name in ("../versions", "a/b", "a?b", "%2e%2e", "."):
        assert machine.run("get", name).exit_code == 5
    assert machine.api.sent == []


def test_get_as_json_and_yaml_is_what_the_api_answered(machine: Machine) -> None:
    machine.api.add(environment())

    assert json.loads(machine.run("get", "shop", "-o", "json").stdout) == environment()
    assert yaml.safe_load(machine.run("get", "shop", "-o", "yaml").stdout) == environment()
    assert json.loads(machine.run("get", "-o", "json").stdout)["items"] == [environment()]


def test_wide_shows_owner_labels_and_message(machine: Machine) -> None:
    machine.api.add(environment())

    result = machine.run("get", "-o", "wide")

    assert "role/developer" in result.stdout
    assert "team=checkout" in result.stdout


def test_watch_prints_what_changes_until_it_is_gone(machine: Machine) -> None:
    machine.api.says(
        "GET",
        "/environments/shop",
        answer(environment(phase="Provisioning")),
        answer(environment(phase="Provisioning")),
        answer(environment()),
        problem(404, "no environment 'shop'"),
    )

    result = machine.run("get", "shop", "-w")

    assert result.exit_code == 0
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["PHASE", "Provisioning", "Ready"]


def test_no_text_of_the_api_steers_the_terminal(machine: Machine) -> None:
    document = environment()
    document["status"]["conditions"][0]["message"] = "\x1b[2J\x9b31mgone\u202e\rfake"
    machine.api.add(document)

    for command in (("get", "-o", "wide"), ("describe", "shop")):
        printed = machine.run(*command).stdout
        assert not {"\x1b", "\x9b", "\u202e", "\r"} & set(printed)
        assert "gone" in printed


def troubled() -> Json:
    steps = [step("EnsureCluster", 0, 564), step("EnsureWorkload", 700, 900, "the rollout stopped")]
    return environment(
        phase="Failed",
        conditions=[
            condition("Ready", "False", "OperationFailed", "EnsureWorkload: the rollout stopped"),
            *(condition(each, "True", "AsDesired") for each in COMPONENTS[:-1]),
            condition("WorkloadReady", "False", "CrashLoopBackOff", "EnsureWorkload: shop restarts"),
        ],
        operation=operation(
            status="Failed",
            steps=steps,
            endedAt=at(900),
            failure={"step": "EnsureWorkload", "cause": "shop restarts", "remedy": "`springboard why` shows more"},
        ),
    )


def test_describe_tells_conditions_operation_and_durations(machine: Machine) -> None:
    machine.api.add(troubled())
    machine.clock.sleep(1000)

    lines = machine.run("describe", "shop").stdout.splitlines()

    assert "Name:         shop" in lines
    assert "Protected:    no" in lines
    assert "  Version:      1.35" in lines
    assert any(line.split()[:3] == ["ClusterReady", "True", "16m40s"] for line in lines)
    assert any(line.split() == ["EnsureCluster", at(0), "9m24s"] for line in lines)
    assert any("the rollout stopped" in line for line in lines)
    assert "  Failed at:    EnsureWorkload" in lines


CRASH: Json = {
    "reports": [
        {
            "app": "shop",
            "pod": "shop-5c9d-x2x4",
            "container": "shop",
            "reason": "CrashLoopBackOff",
            "message": "back-off 40s; Error, exit code 1",
            "restarts": 3,
            "description": "Failed to configure a DataSource: 'url' attribute is not specified.\n\nReason: no driver",
            "action": "Consider the following:\n\tIf you want an embedded database, put it on the classpath.",
            "log": ["line one", "line two"],
        }
    ]
}


def test_why_shows_springs_own_analysis_as_cause_and_remedy(machine: Machine) -> None:
    machine.api.add(troubled())
    machine.api.says("GET", "/environments/shop/diagnosis", answer(CRASH))

    result = machine.run("why", "shop")

    assert result.exit_code == 0
    assert "Failed at  EnsureWorkload" in result.stdout
    assert "shop-5c9d-x2x4/shop: CrashLoopBackOff, restarted 3 times" in result.stdout
    assert "  Cause   Failed to configure a DataSource" in result.stdout
    assert "  Remedy  Consider the following:" in result.stdout
    assert "line one" not in result.stdout
    assert "WorkloadReady" in result.stdout
    assert "ClusterReady" not in result.stdout


def test_why_shows_the_log_where_spring_said_nothing(machine: Machine) -> None:
    machine.api.add(troubled())
    report = CRASH["reports"][0] | {"description": "", "action": ""}
    machine.api.says("GET", "/environments/shop/diagnosis", answer({"reports": [report]}))

    assert "    line two" in machine.run("why", "shop").stdout


def test_pods_with_the_same_trouble_are_one_story(machine: Machine) -> None:
    machine.api.add(troubled())
    first = CRASH["reports"][0]
    second, third = (
        first | {"pod": "shop-2", "message": "back-off 20s"},
        first | {"pod": "shop-3", "reason": "OOMKilled"},
    )
    machine.api.says("GET", "/environments/shop/diagnosis", answer({"reports": [first, second, third]}))

    printed = machine.run("why", "shop").stdout

    assert "  The same: shop-2" in printed
    assert printed.count("  Cause   Failed") == 2


def test_why_of_what_is_well(machine: Machine) -> None:
    machine.api.add(environment())
    machine.api.says("GET", "/environments/shop/diagnosis", answer({"reports": []}))

    assert "Nothing is wrong" in machine.run("why", "shop").stdout


def test_why_says_so_when_the_pods_could_not_be_asked(machine: Machine) -> None:
    machine.api.add(environment())
    machine.api.says("GET", "/environments/shop/diagnosis", answer({"unknown": "it did not answer in 20 s"}))

    result = machine.run("why", "shop")

    assert "could not be asked: it did not answer in 20 s" in result.stdout
    assert "Nothing is wrong" not in result.stdout


def event(number: int, name: str, **data: object) -> Json:
    return {"id": str(number), "time": at(number), "type": f"springboard.{name}", "data": {"type": name, **data}}


def test_events_are_read_to_their_end(machine: Machine) -> None:
    machine.api.add(environment())
    machine.api.says(
        "GET",
        "/environments/shop/events",
        answer({"items": [event(1, "PhaseChanged", **{"from": None, "to": "Pending"})]}, retry_after="0"),
        answer(
            {
                "items": [
                    event(2, "ConditionChanged", condition="ClusterReady", status="True", reason="AsDesired"),
                    event(3, "OperationFailed", kind="Create", failure={"step": "EnsureDns", "cause": "no zone"}),
                ]
            },
            retry_after="5",
        ),
    )

    result = machine.run("events", "shop")

    assert [each.query.get("after") for each in machine.api.sent] == [None, "1"]
    lines = [line.split(None, 2)[1:] for line in result.stdout.splitlines()]
    assert lines == [
        ["TYPE", "MESSAGE"],
        ["PhaseChanged", "nothing -> Pending"],
        ["ConditionChanged", "ClusterReady is True: AsDesired"],
        ["OperationFailed", "Create failed at EnsureDns: no zone"],
    ]
    assert machine.clock.slept == []


def test_export_is_a_file_that_apply_takes(machine: Machine) -> None:
    machine.api.add(environment())

    exported = machine.run("export", "shop").stdout
    machine.api.says("PUT", "/environments/shop", answer(environment()))
    result = machine.run("apply", text=exported)

    assert result.exit_code == 0
    (put,) = machine.api.writes()
    assert put.body["spec"] == environment()["spec"]
    assert put.body["metadata"] == {"name": "shop", "labels": {"team": "checkout"}}


def test_export_quotes_what_yaml_would_bend(machine: Machine) -> None:
    document = environment()
    document["spec"]["cluster"]["minVersion"] = "1.30"
    document["spec"]["apps"][0]["env"] = {"COUNTRY": "NO", "START": "02:00", "FLAG": "true", "N": "007"}
    machine.api.add(document)

    exported = machine.run("export", "shop").stdout

    assert yaml.safe_load(exported)["spec"] == document["spec"]


def test_versions_and_schema(machine: Machine) -> None:
    machine.api.says(
        "GET",
        "/versions",
        answer(
            {
                "items": [
                    {
                        "version": "1.35",
                        "default": True,
                        "patch": "1.35.2",
                        "support": "STANDARD_SUPPORT",
                        "endOfStandardSupport": "2027-03-27",
                        "endOfExtendedSupport": "2028-03-27",
                    }
                ]
            }
        ),
    )
    machine.api.says("GET", "/schema", answer({"title": "Springboard environment"}))

    row = machine.run("versions").stdout.splitlines()[1].split()
    assert row == ["1.35", "default", "1.35.2", "STANDARD_SUPPORT", "2027-03-27", "2028-03-27"]
    assert machine.run("versions", "-o", "name").stdout == "1.35\n"
    assert json.loads(machine.run("schema").stdout) == {"title": "Springboard environment"}


def test_a_selector_with_spaces_is_sent_as_it_is_signed(machine: Machine) -> None:
    """SigV4 knows a space as %20 alone: with + the API would refuse the signature."""
    machine.api.says("GET", "/environments", answer({"items": [], "metadata": {}}))

    machine.run("get", "-l", "team in (a, b),example.com/x!=1")

    [(_, url)] = machine.account.signed
    query = url.partition("?")[2]
    assert "labelSelector=team%20in%20%28a%2C%20b%29%2Cexample.com%2Fx%21%3D1" in query
    assert machine.api.sent[0].query["labelSelector"] == "team in (a, b),example.com/x!=1"


@pytest.mark.parametrize("selection", [("-l", "team=other"), ("--phase", "Failed")])
def test_one_environment_is_not_selected_among_others(machine: Machine, selection: tuple[str, str]) -> None:
    """It would be shown though it is none of those that were asked for."""
    machine.api.add(environment("shop"))

    result = machine.run("get", "shop", *selection)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "leave out the name" in result.stderr
