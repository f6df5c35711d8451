"""Retries, catches, time-outs, and what a failure ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Workshop

INVOKE = "arn:aws:states:::lambda:invoke"


def call(name: str, **more: Any) -> dict[str, Any]:
    """A Task that invokes a function."""
    return {
        "Type": "Task",
        "Resource": INVOKE,
        "Arguments": {"FunctionName": name, "Payload": "{% $states.input %}"},
        **more,
    }


class Flaky:
    """Fails some times before it succeeds."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    def __call__(self, _event: Any, _context: Any) -> Any:
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionResetError("not yet")
        return self.calls


def test_retries_back_off_in_virtual_time(workshop: Workshop) -> None:
    flaky = Flaky(3)
    workshop.function("flaky", flaky)
    retry = [
        {
            "ErrorEquals": ["ConnectionResetError"],
            "IntervalSeconds": 10,
            "BackoffRate": 3,
            "MaxDelaySeconds": 60,
            "MaxAttempts": 5,
        }
    ]
    ended = workshop.run({"Call": call("flaky", Retry=retry, Output="{% $states.result.Payload %}", End=True)})
    assert ended["output"] == 4
    assert (ended["stopDate"] - ended["startDate"]).total_seconds() == 10 + 30 + 60


def test_full_jitter_waits_at_most_as_long(workshop: Workshop) -> None:
    workshop.function("flaky", Flaky(2))
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 100, "BackoffRate": 1, "JitterStrategy": "FULL"}]
    ended = workshop.run({"Call": call("flaky", Retry=retry, End=True)})
    assert 0 < (ended["stopDate"] - ended["startDate"]).total_seconds() < 200


def test_each_retry_rule_counts_for_itself_and_then_the_catch_comes(workshop: Workshop) -> None:
    errors = iter([KeyError("k"), ValueError("v"), KeyError("k")])

    def fail(_event: Any, _context: Any) -> Any:
        raise next(errors)

    workshop.function("fail", fail)
    states = {
        "Call": call(
            "fail",
            Retry=[{"ErrorEquals": ["KeyError"], "MaxAttempts": 1}, {"ErrorEquals": ["ValueError"], "MaxAttempts": 1}],
            Catch=[
                {"ErrorEquals": ["ValueError"], "Next": "Wrong"},
                {
                    "ErrorEquals": ["States.TaskFailed"],
                    "Assign": {"error": "{% $states.errorOutput.Error %}"},
                    "Output": {
                        "was": "{% $states.input.n %}",
                        "cause": "{% $parse($states.errorOutput.Cause).errorMessage %}",
                    },
                    "Next": "Caught",
                },
            ],
            End=True,
        ),
        "Wrong": {"Type": "Fail"},
        "Caught": {"Type": "Pass", "Output": {"error": "{% $error %}", "input": "{% $states.input %}"}, "End": True},
    }
    ended = workshop.run(states, {"n": 5})
    assert ended["output"] == {"error": "KeyError", "input": {"was": 5, "cause": "'k'"}}


def test_an_uncaught_error_ends_the_execution_with_its_name_and_cause(workshop: Workshop) -> None:
    states = {"Stop": {"Type": "Fail", "Error": "{% 'Shop.' & $states.input.kind %}", "Cause": "closed"}}
    ended = workshop.run(states, {"kind": "Closed"})
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "Shop.Closed", "closed")


def test_a_timeout_in_a_branch_reaches_the_catch_of_the_parallel(workshop: Workshop) -> None:
    release = threading.Event()
    workshop.function("slow", lambda _event, _context: release.wait(20))
    states = {
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Slow", "States": {"Slow": call("slow", TimeoutSeconds=1, End=True)}},
                {"StartAt": "Idle", "States": {"Idle": {"Type": "Wait", "Seconds": 100_000, "End": True}}},
            ],
            "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "Caught"}],
            "Next": "Missed",
        },
        "Missed": {"Type": "Fail"},
        "Caught": {"Type": "Succeed"},
    }
    execution = workshop.states.start_execution(stateMachineArn=workshop.machine(states), input="{}")["executionArn"]
    ended = threading.Event()
    for _ in range(200):
        if workshop.describe(execution)["status"] != "RUNNING" or ended.wait(0.05):
            break
    release.set()
    described = workshop.describe(execution)
    assert described["output"]["Error"] == "States.Timeout"
    assert described["stopDate"] == described["startDate"], "a time-out of a call is real time, not virtual"
    kinds = [event["type"] for event in workshop.events(execution)]
    assert kinds.count("WaitStateAborted") == 1
    assert kinds.index("TaskTimedOut") < kinds.index("ParallelStateFailed")


def test_a_failing_branch_cancels_its_siblings(workshop: Workshop) -> None:
    touched: list[Any] = []
    workshop.function("touch", lambda event, _context: touched.append(event))
    sibling = {"Idle": {"Type": "Wait", "Seconds": 60, "Next": "Touch"}, "Touch": call("touch", End=True)}
    states = {
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Idle", "States": sibling},
                {
                    "StartAt": "Soon",
                    "States": {
                        "Soon": {"Type": "Wait", "Seconds": 5, "Next": "Broken"},
                        "Broken": {"Type": "Fail", "Error": "Broken"},
                    },
                },
            ],
            "End": True,
        }
    }
    ended = workshop.run(states)
    workshop.clock.advance(1_000)
    assert (ended["status"], ended["error"]) == ("FAILED", "Broken")
    assert not touched


def test_a_parallel_is_retried_as_a_whole(workshop: Workshop) -> None:
    flaky, steady = Flaky(1), Flaky(0)
    workshop.function("flaky", flaky)
    workshop.function("steady", steady)
    branches = [
        {"StartAt": name, "States": {name: call(name, Output="{% $states.result.Payload %}", End=True)}}
        for name in ("flaky", "steady")
    ]
    ended = workshop.run(
        {"Both": {"Type": "Parallel", "Branches": branches, "Retry": [{"ErrorEquals": ["States.ALL"]}], "End": True}}
    )
    assert ended["output"][0] == 2
    assert ended["output"][1] == steady.calls


def test_the_machine_times_out_in_virtual_time(workshop: Workshop) -> None:
    ended = workshop.run({"W": {"Type": "Wait", "Seconds": 5_000, "End": True}}, TimeoutSeconds=120)
    assert ended["status"] == "TIMED_OUT"
    assert (ended["stopDate"] - ended["startDate"]).total_seconds() == 120


def test_a_throttled_function_has_the_name_that_retries_use(workshop: Workshop) -> None:
    workshop.function("stopped", lambda _event, _context: None)
    workshop.cloud.client("lambda").put_function_concurrency(FunctionName="stopped", ReservedConcurrentExecutions=0)
    assert workshop.run({"Call": call("stopped", End=True)})["error"] == "Lambda.TooManyRequestsException"


def test_errors_of_other_services_have_the_names_of_the_java_sdk(workshop: Workshop) -> None:
    states = {
        "Role": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:iam:getRole",
            "Arguments": {"RoleName": "nobody"},
            "Catch": [{"ErrorEquals": ["Iam.NoSuchEntityException"], "Next": "Group"}],
            "End": True,
        },
        "Group": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:iam:getRole",
            "Arguments": {"RoleName": "worker"},
            "Output": "{% $states.result.Role.RoleName %}",
            "End": True,
        },
    }
    assert workshop.run(states)["output"] == "worker"


def test_a_field_that_the_service_does_not_have_is_not_retried(workshop: Workshop) -> None:
    states = {
        "Role": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:iam:getRole",
            "Arguments": {"roleName": "worker"},
            "Retry": [{"ErrorEquals": ["States.ALL"]}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Role2"}],
            "End": True,
        },
        "Role2": {"Type": "Succeed"},
    }
    ended = workshop.run(states)
    assert ended["error"] == "States.Runtime"
    assert "'roleName'" in ended["cause"]


def test_a_task_token_is_answered_from_outside(workshop: Workshop) -> None:
    tokens: list[str] = []
    workshop.function("ask", lambda event, _context: tokens.append(event["token"]))
    task = {
        "Type": "Task",
        "Resource": f"{INVOKE}.waitForTaskToken",
        "Arguments": {"FunctionName": "ask", "Payload": {"token": "{% $states.context.Task.Token %}"}},
        "HeartbeatSeconds": 600,
        "Catch": [{"ErrorEquals": ["States.Timeout"], "Output": "too late", "Next": "End"}],
        "Next": "End",
    }
    machine = workshop.machine({"Ask": task, "End": {"Type": "Succeed"}})
    first, second, third = (workshop.start(machine) for _ in range(3))
    workshop.clock.advance(500)
    workshop.states.send_task_heartbeat(taskToken=tokens[1])
    workshop.states.send_task_success(taskToken=tokens[0], output='{"approved": true}')
    workshop.clock.advance(400)
    workshop.states.send_task_failure(taskToken=tokens[1], error="Refused", cause="no")
    workshop.clock.settle()
    assert workshop.describe(first)["output"] == {"approved": True}
    assert workshop.describe(second)["error"] == "Refused"
    assert workshop.describe(third)["output"] == "too late"
    with pytest.raises(workshop.states.exceptions.TaskTimedOut):
        workshop.states.send_task_success(taskToken=tokens[2], output="1")
    with pytest.raises(workshop.states.exceptions.InvalidToken):
        workshop.states.send_task_success(taskToken="made up", output="1")


def test_a_machine_waits_for_another(workshop: Workshop) -> None:
    child = workshop.machine(
        {"W": {"Type": "Wait", "Seconds": 30, "Output": {"n": "{% $states.input.n * 2 %}"}, "End": True}}
    )
    broken = workshop.machine({"F": {"Type": "Fail", "Error": "Inner"}})
    task = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "End": True}
    arguments = {"StateMachineArn": child, "Input": {"n": 21}}
    ended = workshop.run({"Run": {**task, "Arguments": arguments, "Output": "{% $states.result.Output.n %}"}})
    assert ended["output"] == 42
    failed = workshop.run({"Run": {**task, "Arguments": {"StateMachineArn": broken}}})
    assert failed["error"] == "States.TaskFailed"
    assert '"Error": "Inner"' in failed["cause"]
