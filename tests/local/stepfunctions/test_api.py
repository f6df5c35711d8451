"""The API: definitions that are refused, and executions from start to end."""

from __future__ import annotations

import importlib
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from .conftest import Workshop

END = {"Type": "Pass", "End": True}
IDLE = {"W": {"Type": "Wait", "Seconds": 3_600, "End": True}}


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("{", "INVALID_JSON_DESCRIPTION"),
        ({"States": {"A": END}}, "These fields are required: ['StartAt']"),
        ({"StartAt": "B", "States": {"A": END}}, "Missing 'StartAt' target: B"),
        (
            {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}},
            "Missing 'Next' target: B at /States/A/Next",
        ),
        ({"StartAt": "A", "States": {"A": END, "B": END}}, 'State "B" is not reachable.'),
        ({"StartAt": "A", "States": {"A": {"Type": "Pass"}}}, "A state has either Next or End at /States/A"),
        ({"StartAt": "A", "States": {"A": {"Type": "Task", "End": True}}}, "These fields are required: ['Resource']"),
        ({"StartAt": "A", "States": {"A": {"Type": "Sleep", "End": True}}}, "The value should be one of these"),
        ({"StartAt": "A", "States": {"A": {**END, "ResultPath": "$.x"}}}, "Field is not supported"),
        ({"StartAt": "A", "States": {"A": {**END, "Output": "{% $( %}"}}}, "The JSONata expression is not valid"),
        ({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "A"}}}, "MISSING_END_STATE"),
        (
            {
                "StartAt": "P",
                "States": {
                    "P": {"Type": "Parallel", "End": True, "Branches": [{"StartAt": "P", "States": {"P": END}}]}
                },
            },
            'DUPLICATE_STATE_NAME: Duplicate state name: "P"',
        ),
        (
            {
                "StartAt": "X",
                "States": {
                    "X": {"Type": "Pass", "Assign": {"x": 1}, "Next": "P"},
                    "P": {
                        "Type": "Parallel",
                        "End": True,
                        "Branches": [{"StartAt": "B", "States": {"B": {**END, "Assign": {"x": 2}}}}],
                    },
                },
            },
            'Variable "x" of an outer scope',
        ),
        (
            {
                "StartAt": "P",
                "States": {
                    "P": {
                        "Type": "Parallel",
                        "End": True,
                        "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Pass", "Next": "C"}, "D": END}}],
                    },
                    "C": END,
                },
            },
            "Missing 'Next' target: C at /States/P/Branches[0]/States/B/Next",
        ),
        ({"StartAt": "A", "States": {"A": {**END, "Type": "Wait"}}}, "Exactly one field is required"),
    ],
)
def test_a_bad_definition_is_refused_with_what_is_wrong(workshop: Workshop, definition: Any, message: str) -> None:
    text = definition if isinstance(definition, str) else json.dumps({"QueryLanguage": "JSONata", **definition})
    with pytest.raises(workshop.states.exceptions.InvalidDefinition) as refused:
        workshop.states.create_state_machine(name="bad", definition=text, roleArn=workshop.role)
    assert message in str(refused.value)
    checked = workshop.states.validate_state_machine_definition(definition=text)
    assert checked["result"] == "FAIL"
    assert workshop.states.list_state_machines()["stateMachines"] == []


def test_paths_are_refused_rather_than_misread(workshop: Workshop) -> None:
    definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "InputPath": "$.a", "End": True}}}
    with pytest.raises(workshop.states.exceptions.InvalidDefinition, match="runs JSONata only"):
        workshop.states.create_state_machine(name="old", definition=json.dumps(definition), roleArn=workshop.role)


def test_creating_twice_is_one_machine_unless_they_differ(workshop: Workshop) -> None:
    text = json.dumps({"StartAt": "A", "States": {"A": END}})
    create = workshop.states.create_state_machine
    made = create(name="m", definition=text, roleArn=workshop.role)
    assert create(name="m", definition=text, roleArn=workshop.role)["stateMachineArn"] == made["stateMachineArn"]
    with pytest.raises(workshop.states.exceptions.StateMachineAlreadyExists):
        create(name="m", definition=text.replace('"A"', '"B"'), roleArn=workshop.role)


def test_a_start_is_idempotent_by_name_and_input(workshop: Workshop) -> None:
    machine = workshop.machine(IDLE)
    first = workshop.start(machine, {"n": 1}, name="operation-1")
    assert workshop.start(machine, {"n": 1}, name="operation-1") == first
    with pytest.raises(workshop.states.exceptions.ExecutionAlreadyExists):
        workshop.start(machine, {"n": 2}, name="operation-1")
    workshop.clock.advance(3_600)
    with pytest.raises(workshop.states.exceptions.ExecutionAlreadyExists):
        workshop.start(machine, {"n": 1}, name="operation-1")


@pytest.mark.parametrize(
    ("name", "value"),
    [("a b", "{}"), ("x" * 81, "{}"), ("a/b", "{}"), ("fine", "{"), ("fine", '"' + "x" * 262_144 + '"')],
)
def test_bad_names_and_inputs_start_nothing(workshop: Workshop, name: str, value: str) -> None:
    machine = workshop.machine(IDLE)
    with pytest.raises(ClientError):
        workshop.states.start_execution(stateMachineArn=machine, name=name, input=value)
    assert workshop.states.list_executions(stateMachineArn=machine)["executions"] == []


def test_stop_ends_an_execution_at_once_and_its_function_runs_on(workshop: Workshop) -> None:
    entered, release, finished = threading.Event(), threading.Event(), threading.Event()

    def slow(_event: Any, _context: Any) -> None:
        entered.set()
        release.wait(20)
        finished.set()

    workshop.function("slow", slow)
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "slow"},
        "Next": "After",
    }
    machine = workshop.machine({"Slow": task, "After": {"Type": "Succeed"}})
    execution = workshop.states.start_execution(stateMachineArn=machine)["executionArn"]
    assert entered.wait(20)
    workshop.states.stop_execution(executionArn=execution, error="Cancelled", cause="asked")
    stopped = workshop.describe(execution)
    assert (stopped["status"], stopped["error"], stopped["cause"]) == ("ABORTED", "Cancelled", "asked")
    release.set()
    assert finished.wait(20)
    workshop.clock.settle()
    kinds = [event["type"] for event in workshop.events(execution)]
    assert kinds[-1] == "ExecutionAborted"
    assert "TaskSucceeded" not in kinds
    assert workshop.describe(execution)["status"] == "ABORTED"


def test_the_history_is_paged_in_both_directions(workshop: Workshop) -> None:
    states = {f"S{number}": {"Type": "Pass", "Next": f"S{number + 1}"} for number in range(20)} | {
        "S20": {"Type": "Succeed"}
    }
    execution = workshop.start(workshop.machine(states), {"secret": "x"})
    forward = workshop.states.get_execution_history(executionArn=execution, maxResults=7)
    assert [event["id"] for event in forward["events"]] == list(range(1, 8))
    rest = workshop.states.get_execution_history(executionArn=execution, maxResults=7, nextToken=forward["nextToken"])
    assert rest["events"][0]["id"] == 8
    everything = workshop.events(execution)
    assert [event["id"] for event in everything] == list(range(1, 45))
    assert all(event["previousEventId"] < event["id"] for event in everything)
    back = workshop.states.get_execution_history(executionArn=execution, reverseOrder=True, includeExecutionData=False)
    assert back["events"][0]["type"] == "ExecutionSucceeded"
    assert "secret" not in json.dumps(back["events"], default=str)


def test_executions_are_listed_by_status_newest_first(workshop: Workshop) -> None:
    machine = workshop.machine(IDLE)
    names = [f"run-{number}" for number in range(3)]
    arns = [workshop.start(machine, name=name) for name in names]
    workshop.states.stop_execution(executionArn=arns[1])
    running = workshop.states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    assert [execution["name"] for execution in running] == ["run-2", "run-0"]
    first = workshop.states.list_executions(stateMachineArn=machine, maxResults=1)
    assert (len(first["executions"]), "nextToken" in first) == (1, True)


def test_a_redrive_goes_on_at_the_state_that_failed(workshop: Workshop) -> None:
    calls: list[Any] = []

    def once_broken(event: Any, _context: Any) -> Any:
        calls.append(event)
        if len(calls) == 1:
            raise ValueError("broken")
        return event

    workshop.function("once", once_broken)
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "once", "Payload": "{% $kept %}"},
    }
    states = {
        "Keep": {"Type": "Pass", "Assign": {"kept": {"n": 7}}, "Next": "Call"},
        "Call": {**task, "Output": "{% $states.result.Payload.n %}", "End": True},
    }
    execution = workshop.start(workshop.machine(states))
    assert workshop.describe(execution)["redriveStatus"] == "REDRIVABLE"
    workshop.states.redrive_execution(executionArn=execution)
    workshop.clock.settle()
    ended = workshop.describe(execution)
    assert (ended["status"], ended["output"], ended["redriveCount"]) == ("SUCCEEDED", 7, 1)
    kinds = [event["type"] for event in workshop.events(execution)]
    assert kinds.count("PassStateEntered") == 1
    assert "ExecutionRedriven" in kinds


def test_an_update_does_not_touch_what_runs(workshop: Workshop) -> None:
    machine = workshop.machine(
        {"W": {"Type": "Wait", "Seconds": 60, "Next": "Old"}, "Old": {"Type": "Succeed", "Output": "old"}}
    )
    execution = workshop.start(machine)
    new = {"QueryLanguage": "JSONata", "StartAt": "New", "States": {"New": {"Type": "Succeed", "Output": "new"}}}
    published = workshop.states.update_state_machine(stateMachineArn=machine, definition=json.dumps(new), publish=True)
    workshop.clock.advance(60)
    assert workshop.describe(execution)["output"] == "old"
    assert workshop.describe(workshop.start(machine))["output"] == "new"
    version = published["stateMachineVersionArn"]
    alias = workshop.states.create_state_machine_alias(
        name="live", routingConfiguration=[{"stateMachineVersionArn": version, "weight": 100}]
    )
    started = workshop.describe(workshop.start(alias["stateMachineAliasArn"]))
    assert (started["stateMachineVersionArn"], started["output"]) == (version, "new")


def test_tags_are_kept(workshop: Workshop) -> None:
    machine = workshop.machine(IDLE)
    workshop.states.tag_resource(
        resourceArn=machine, tags=[{"key": "team", "value": "checkout"}, {"key": "x", "value": "y"}]
    )
    workshop.states.untag_resource(resourceArn=machine, tagKeys=["x"])
    assert workshop.states.list_tags_for_resource(resourceArn=machine)["tags"] == [{"key": "team", "value": "checkout"}]


def test_calls_carry_the_role_of_the_machine(workshop: Workshop) -> None:
    states = {
        "Who": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:sts:getCallerIdentity",
            "Output": "{% $states.result.Arn %}",
            "End": True,
        }
    }
    assert ":assumed-role/worker/" in workshop.run(states)["output"]


def test_each_change_of_status_is_told_to_eventbridge(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    events = importlib.import_module("springboard_local.services.events")  # imports moto: not before its account is set
    seen: list[tuple[str, str, Any]] = []
    monkeypatch.setattr(
        events, "put_aws_event", lambda source, kind, _resources, detail: seen.append((source, kind, detail))
    )
    execution = workshop.start(workshop.machine(IDLE), {"n": 1})
    workshop.states.stop_execution(executionArn=execution)
    assert [(source, kind) for source, kind, _ in seen] == [
        ("aws.states", "Step Functions Execution Status Change")
    ] * 2
    assert [detail["status"] for _, _, detail in seen] == ["RUNNING", "ABORTED"]
    assert seen[1][2]["executionArn"] == execution
    assert seen[1][2]["input"] == '{"n": 1}'
