"""What each type of state does with data and with time."""

from __future__ import annotations

import importlib
import json
import threading
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from springboard_local.clock import ManualClock
from springboard_local.cloud import ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY, REGION

if TYPE_CHECKING:
    from .conftest import Workshop

ODD = [
    'it\'s "quoted"',
    "{% $x %}",
    "line\nbreak",
    "back\\slash",
    "`tick`",
    "/* no comment */",
    "ünï¢ode 🚀",
    "$uuid()",
]


@pytest.mark.parametrize("text", ODD)
def test_data_is_never_read_as_an_expression(workshop: Workshop, text: str) -> None:
    states = {
        "Keep": {"Type": "Pass", "Assign": {"kept": "{% $states.input.text %}"}, "Next": "Give"},
        "Give": {
            "Type": "Pass",
            "Output": {"text": "{% $kept & '' %}", "same": "{% $kept = $states.input.text %}"},
            "End": True,
        },
    }
    assert workshop.run(states, {"text": text})["output"] == {"text": text, "same": True}


def test_assignments_are_seen_by_the_next_state_only(workshop: Workshop) -> None:
    states = {
        "First": {"Type": "Pass", "Assign": {"x": 1}, "Next": "Second"},
        "Second": {"Type": "Pass", "Assign": {"x": 2, "y": "{% $x %}"}, "Output": "{% $x %}", "Next": "Third"},
        "Third": {
            "Type": "Pass",
            "Output": {"in": "{% $states.input %}", "x": "{% $x %}", "y": "{% $y %}"},
            "End": True,
        },
    }
    assert workshop.run(states)["output"] == {"in": 1, "x": 2, "y": 1}


def test_a_branch_reads_outer_variables_and_keeps_its_own(workshop: Workshop) -> None:
    def branch(number: int) -> dict[str, Any]:
        return {
            "StartAt": f"Set{number}",
            "States": {
                f"Set{number}": {
                    "Type": "Pass",
                    "Assign": {"mine": "{% $outer * " + str(number) + " %}"},
                    "Next": f"Get{number}",
                },
                f"Get{number}": {"Type": "Pass", "Output": "{% $mine %}", "End": True},
            },
        }

    states = {
        "Outer": {"Type": "Pass", "Assign": {"outer": 10}, "Next": "Both"},
        "Both": {"Type": "Parallel", "Branches": [branch(1), branch(2)], "Next": "After"},
        "After": {
            "Type": "Pass",
            "Output": {"both": "{% $states.input %}", "leaked": "{% $exists($mine) %}"},
            "End": True,
        },
    }
    assert workshop.run(states)["output"] == {"both": [10, 20], "leaked": False}


def test_null_is_a_value_and_undefined_an_error(workshop: Workshop) -> None:
    states = {
        "A": {"Type": "Pass", "Assign": {"n": None}, "Next": "B"},
        "B": {"Type": "Pass", "Output": "{% $n %}", "End": True},
    }
    assert workshop.run(states)["output"] is None
    failed = workshop.run({"A": {"Type": "Pass", "Output": "{% $states.input.nothing %}", "End": True}})
    assert failed["error"] == "States.QueryEvaluationError"
    assert "returned nothing (undefined)" in failed["cause"]
    assert "'Output'" in failed["cause"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$partition([1..5], 2)", [[1, 2], [3, 4], [5]]),
        ("$range(1, 9, 4)", [1, 5, 9]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$parse('{\"a\": [1, null]}')", {"a": [1, None]}),
        ("$hash('x', 'SHA-256')", "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),
        ("$length($uuid())", 36),
        ("$random() < 1", True),
        ("$random(7) = $random(7)", True),
        ("6 / 2", 3),
        ("$now()", "2026-11-23T09:00:00.000Z"),
    ],
)
def test_functions_of_step_functions(cloud: Any, expression: str, value: Any) -> None:
    del cloud
    # Imported once the account is set: the package imports moto.
    module = importlib.import_module("springboard_local.services.stepfunctions.expressions")
    assert module.Evaluator(ManualClock().now).fill({"r": "{% " + expression + " %}"}, {}, "Output") == {"r": value}


def test_eval_is_not_there(workshop: Workshop) -> None:
    failed = workshop.run({"A": {"Type": "Pass", "Output": "{% $eval('1') %}", "End": True}})
    assert failed["error"] == "States.QueryEvaluationError"


def test_a_choice_takes_the_first_rule_that_holds(workshop: Workshop) -> None:
    states = {
        "Which": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $states.input.n > 10 %}", "Next": "Big"},
                {
                    "Condition": "{% $states.input.n > 5 %}",
                    "Output": "middle",
                    "Assign": {"seen": True},
                    "Next": "Middle",
                },
            ],
            "Default": "Small",
            "Output": "by default",
        },
        "Big": {"Type": "Succeed"},
        "Middle": {"Type": "Succeed", "Output": ["{% $states.input %}", "{% $seen %}"]},
        "Small": {"Type": "Succeed"},
    }
    assert workshop.run(states, {"n": 11})["output"] == {"n": 11}
    assert workshop.run(states, {"n": 7})["output"] == ["middle", True]
    assert workshop.run(states, {"n": 1})["output"] == "by default"


def test_a_condition_has_to_be_a_boolean(workshop: Workshop) -> None:
    states = {
        "C": {"Type": "Choice", "Choices": [{"Condition": "{% 'yes' %}", "Next": "S"}], "Default": "S"},
        "S": {"Type": "Succeed"},
    }
    assert workshop.run(states)["error"] == "States.QueryEvaluationError"


def test_waits_take_virtual_time(workshop: Workshop) -> None:
    states = {"W": {"Type": "Wait", "Seconds": "{% $states.input.s %}", "End": True}}
    begun = workshop.clock.now()
    execution = workshop.start(workshop.machine(states), {"s": 564})
    workshop.clock.advance(563)
    assert workshop.describe(execution)["status"] == "RUNNING"
    workshop.clock.advance(1)
    ended = workshop.describe(execution)
    assert ended["status"] == "SUCCEEDED"
    assert (ended["stopDate"] - begun).total_seconds() == 564


def test_a_wait_until_a_timestamp(workshop: Workshop) -> None:
    until = "2030-01-01T00:00:00Z"
    execution = workshop.start(workshop.machine({"W": {"Type": "Wait", "Timestamp": until, "End": True}}))
    workshop.clock.run_until(lambda: workshop.describe(execution)["status"] != "RUNNING", limit=10**9)
    assert workshop.describe(execution)["stopDate"].isoformat() == "2030-01-01T00:00:00+00:00"


def test_hundreds_of_waiting_executions_need_no_threads(workshop: Workshop) -> None:
    machine = workshop.machine({"W": {"Type": "Wait", "Seconds": 3600, "End": True}})
    workshop.start(machine)
    before = threading.active_count()
    for _ in range(150):
        workshop.states.start_execution(stateMachineArn=machine)
    workshop.clock.settle()
    assert threading.active_count() <= before + 10
    workshop.clock.advance(3600)
    ended = workshop.states.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED", maxResults=1000)
    assert len(ended["executions"]) == 151


def test_a_map_runs_its_items_within_its_concurrency(workshop: Workshop) -> None:
    states = {
        "Each": {
            "Type": "Map",
            "Items": "{% $states.input.items %}",
            "ItemSelector": {
                "item": "{% $states.context.Map.Item.Value %}",
                "at": "{% $states.context.Map.Item.Index %}",
            },
            "MaxConcurrency": 2,
            "ItemProcessor": {
                "StartAt": "Rest",
                "States": {
                    "Rest": {"Type": "Wait", "Seconds": 10, "Next": "Give"},
                    "Give": {
                        "Type": "Pass",
                        "Output": "{% $states.input.item & $string($states.input.at) %}",
                        "End": True,
                    },
                },
            },
            "End": True,
        }
    }
    ended = workshop.run(states, {"items": ["a", "b", "c", "d", "e"]})
    assert ended["output"] == ["a0", "b1", "c2", "d3", "e4"]
    assert (ended["stopDate"] - ended["startDate"]).total_seconds() == 30


def test_the_context_says_who_runs(workshop: Workshop) -> None:
    machine = workshop.machine({"A": {"Type": "Pass", "Output": "{% $states.context %}", "End": True}})
    execution = workshop.start(machine, {"q": 1}, name="run-1")
    context = workshop.describe(execution)["output"]
    assert context["Execution"]["Id"] == execution
    assert context["Execution"]["Name"] == "run-1"
    assert context["Execution"]["Input"] == {"q": 1}
    assert context["Execution"]["RoleArn"] == workshop.role
    assert context["StateMachine"]["Id"] == machine
    assert context["State"] == {"Name": "A", "EnteredTime": context["Execution"]["StartTime"], "RetryCount": 0}


def test_too_much_data_ends_the_execution_and_no_wildcard_catches_it(workshop: Workshop) -> None:
    workshop.function("big", lambda _event, _context: "x" * 300_000)
    states = {
        "Call": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": "big"},
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Done"}],
            "Next": "Done",
        },
        "Done": {"Type": "Succeed"},
    }
    ended = workshop.run(states)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.DataLimitExceeded")


def test_a_history_ends_at_25000_events(workshop: Workshop) -> None:
    states = {
        "A": {"Type": "Pass", "Next": "B"},
        "B": {"Type": "Choice", "Choices": [{"Condition": False, "Next": "C"}], "Default": "A"},
        "C": {"Type": "Succeed"},
    }
    execution = workshop.start(workshop.machine(states))
    ended = workshop.describe(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
    newest = workshop.states.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=1)["events"][0]
    assert (newest["id"], newest["type"]) == (25_000, "ExecutionFailed")


def test_express_machines_answer_at_once(workshop: Workshop) -> None:
    machine = workshop.machine(
        {"A": {"Type": "Pass", "Output": {"n": "{% $states.input.n + 1 %}"}, "End": True}}, kind="EXPRESS"
    )
    # The API's host has a prefix for this operation, which a loopback address cannot carry.
    client = boto3.client(
        "stepfunctions",
        region_name=REGION,
        endpoint_url=workshop.cloud.endpoint,
        aws_access_key_id=ADMIN_ACCESS_KEY,
        aws_secret_access_key=ADMIN_SECRET_KEY,
        config=Config(inject_host_prefix=False),
    )
    answer = client.start_sync_execution(stateMachineArn=machine, input='{"n": 1}')
    client.close()
    assert (answer["status"], json.loads(answer["output"])) == ("SUCCEEDED", {"n": 2})
