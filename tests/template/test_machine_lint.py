"""The lint finds what it should: small machines, each with one fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.template import machine_lint, source

if TYPE_CHECKING:
    from collections.abc import Callable

type Machine = dict[str, Any]

AROUND = machine_lint.Surroundings(
    substitutions=frozenset({"ClusterFunctionArn", "SettleFunctionArn"}),
    errors=frozenset({"ThrottledError", "UnavailableError", "FencedError"}),
    components=frozenset({"Cluster"}),
)
RETRY = [
    {
        "ErrorEquals": sorted(machine_lint.RETRIED),
        "BackoffRate": 2,
        "MaxAttempts": 8,
        "MaxDelaySeconds": 60,
        "JitterStrategy": "FULL",
    }
]
SOUND = """
QueryLanguage: JSONata
StartAt: BuildEnvironment
TimeoutSeconds: 600
States:
  BuildEnvironment:
    Type: Parallel
    Branches:
      - StartAt: EnsureCluster
        States:
          EnsureCluster:
            Type: Task
            Arguments:
              FunctionName: ${ClusterFunctionArn}
              Payload: "{% {'now': $states.context.State.EnteredTime} %}"
            Assign: {cluster: "{% $states.result.Payload %}"}
            TimeoutSeconds: 70
            Next: IsClusterReady
          IsClusterReady:
            Type: Choice
            Choices: [{Condition: "{% $cluster.ready %}", Next: ClusterReady}]
            Default: WaitForCluster
          WaitForCluster: {Type: Wait, Seconds: "{% $cluster.retryAfter %}", Next: EnsureCluster}
          ClusterReady: {Type: Succeed}
    Catch:
      - ErrorEquals: [States.ALL]
        Assign: {error: "{% $states.errorOutput.Error %}"}
        Next: OperationFailed
    Next: Settle
  Settle:
    Type: Task
    Arguments: {FunctionName: "${SettleFunctionArn}", Payload: "{% {'now': $states.context.State.EnteredTime} %}"}
    TimeoutSeconds: 70
    Catch: [{ErrorEquals: [States.ALL], Next: OperationSucceeded}]
    Next: OperationSucceeded
  OperationSucceeded: {Type: Succeed}
  OperationFailed: {Type: Fail, Error: "{% $error %}"}
"""


def sound() -> Machine:
    machine = source.parse(SOUND)
    for task in (machine["States"]["Settle"], inside(machine)["EnsureCluster"]):
        task["Retry"] = yaml.safe_load(yaml.safe_dump(RETRY))
    return machine


def inside(machine: Machine) -> Machine:
    states: Machine = machine["States"]["BuildEnvironment"]["Branches"][0]["States"]
    return states


def test_the_sound_machine_has_no_finding() -> None:
    assert machine_lint.lint(sound(), AROUND) == []


def next_is_nowhere(machine: Machine) -> None:
    machine["States"]["Settle"]["Next"] = "OperationSucceded"


def next_leaves_the_branch(machine: Machine) -> None:
    inside(machine)["IsClusterReady"]["Choices"][0]["Next"] = "Settle"


def start_is_nowhere(machine: Machine) -> None:
    machine["StartAt"] = "BeginOperation"


def nothing_follows(machine: Machine) -> None:
    del machine["States"]["Settle"]["Next"]


def a_state_is_unreachable(machine: Machine) -> None:
    machine["States"]["OperationSuperseded"] = {"Type": "Fail"}


def a_name_is_used_twice(machine: Machine) -> None:
    machine["States"]["ClusterReady"] = machine["States"].pop("OperationSucceeded")
    machine["States"]["Settle"]["Next"] = "ClusterReady"
    machine["States"]["Settle"]["Catch"][0]["Next"] = "ClusterReady"


def a_name_has_no_verb(machine: Machine) -> None:
    inside(machine)["WaitForCluster"] |= {"Next": "ClusterPause"}
    inside(machine)["ClusterPause"] = {"Type": "Wait", "Seconds": 1, "Next": "EnsureCluster"}


def a_state_calls_another_function(machine: Machine) -> None:
    inside(machine)["EnsureCluster"]["Arguments"]["FunctionName"] = "${SettleFunctionArn}"


def an_ensure_state_removes(machine: Machine) -> None:
    payload = "{% {'now': $states.context.State.EnteredTime, 'removal': true} %}"
    inside(machine)["EnsureCluster"]["Arguments"]["Payload"] = payload


def the_time_is_left_out(machine: Machine) -> None:
    machine["States"]["Settle"]["Arguments"]["Payload"] = "{% $states.context.Execution.Input %}"


def nobody_looks_at_the_answer(machine: Machine) -> None:
    inside(machine)["EnsureCluster"] |= {"Next": "ClusterReady"}
    del inside(machine)["IsClusterReady"], inside(machine)["WaitForCluster"]


def no_timeout(machine: Machine) -> None:
    del inside(machine)["EnsureCluster"]["TimeoutSeconds"]


def no_machine_timeout(machine: Machine) -> None:
    del machine["TimeoutSeconds"]


def no_retry(machine: Machine) -> None:
    del machine["States"]["Settle"]["Retry"]


def throttling_is_not_retried(machine: Machine) -> None:
    inside(machine)["EnsureCluster"]["Retry"][0]["ErrorEquals"].remove("ThrottledError")


def a_fenced_step_is_retried(machine: Machine) -> None:
    inside(machine)["EnsureCluster"]["Retry"][0]["ErrorEquals"].append("FencedError")


def retries_come_together(machine: Machine) -> None:
    del inside(machine)["EnsureCluster"]["Retry"][0]["JitterStrategy"]


def retries_without_end(machine: Machine) -> None:
    inside(machine)["EnsureCluster"]["Retry"][0]["MaxAttempts"] = 99


def no_catch_around(machine: Machine) -> None:
    del machine["States"]["BuildEnvironment"]["Catch"]
    del machine["States"]["OperationFailed"]


def an_error_that_nothing_raises(machine: Machine) -> None:
    machine["States"]["Settle"]["Catch"].insert(0, {"ErrorEquals": ["FenceError"], "Next": "OperationSucceeded"})


def catch_all_comes_first(machine: Machine) -> None:
    machine["States"]["Settle"]["Catch"].append({"ErrorEquals": ["FencedError"], "Next": "OperationSucceeded"})


def a_branch_assigns_outside(machine: Machine) -> None:
    inside(machine)["EnsureCluster"]["Assign"]["error"] = "{% 'none' %}"


def a_variable_is_unassigned_on_one_way(machine: Machine) -> None:
    machine["States"]["Settle"]["Catch"][0]["Next"] = "OperationFailed"


def a_branch_reads_another_ones_variable(machine: Machine) -> None:
    wait = {**inside(machine)["WaitForCluster"], "Next": "WorkloadReady"}
    states = {"WaitForWorkload": wait, "WorkloadReady": {"Type": "Succeed"}}
    branches: list[Machine] = machine["States"]["BuildEnvironment"]["Branches"]
    branches.append({"StartAt": "WaitForWorkload", "States": states})


def jsonata_does_not_parse(machine: Machine) -> None:
    inside(machine)["WaitForCluster"]["Seconds"] = "{% $cluster.( %}"


def half_a_delimiter(machine: Machine) -> None:
    inside(machine)["WaitForCluster"]["Seconds"] = "{% $cluster.retryAfter }"


def another_query_language(machine: Machine) -> None:
    del machine["QueryLanguage"]


def no_default(machine: Machine) -> None:
    del inside(machine)["IsClusterReady"]["Default"]
    inside(machine)["IsClusterReady"]["Choices"].append({"Condition": "{% true %}", "Next": "WaitForCluster"})


def an_undefined_substitution(machine: Machine) -> None:
    machine["States"]["Settle"]["Arguments"]["FunctionName"] = "${SetleFunctionArn}"


FAULTS: list[tuple[Callable[[Machine], None], set[str]]] = [
    (next_is_nowhere, {"transitions_resolve"}),
    (next_leaves_the_branch, {"transitions_resolve", "states_are_reachable"}),
    (start_is_nowhere, {"transitions_resolve", "states_are_reachable"}),
    (nothing_follows, {"states_go_on_or_end"}),
    (a_state_is_unreachable, {"states_are_reachable"}),
    (a_name_is_used_twice, {"names_are_unique"}),
    (a_name_has_no_verb, {"names_say_what_is_done"}),
    (a_state_calls_another_function, {"names_say_what_is_done", "substitutions_match"}),
    (an_ensure_state_removes, {"removal_is_said"}),
    (the_time_is_left_out, {"time_is_told"}),
    (nobody_looks_at_the_answer, {"waiting_is_answered"}),
    (no_timeout, {"tasks_are_bounded"}),
    (no_machine_timeout, {"tasks_are_bounded"}),
    (no_retry, {"tasks_are_retried"}),
    (throttling_is_not_retried, {"tasks_are_retried"}),
    (a_fenced_step_is_retried, {"tasks_are_retried"}),
    (retries_come_together, {"tasks_are_retried"}),
    (retries_without_end, {"tasks_are_retried"}),
    (no_catch_around, {"failures_are_caught"}),
    (an_error_that_nothing_raises, {"errors_are_known"}),
    (catch_all_comes_first, {"errors_are_known"}),
    (a_branch_assigns_outside, {"assignments_stay_inside"}),
    (a_variable_is_unassigned_on_one_way, {"variables_are_set_before_use"}),
    (a_branch_reads_another_ones_variable, {"variables_are_set_before_use"}),
    (jsonata_does_not_parse, {"expressions_parse"}),
    (half_a_delimiter, {"expressions_parse"}),
    (another_query_language, {"expressions_parse"}),
    (no_default, {"choices_have_a_default"}),
    (an_undefined_substitution, {"substitutions_match"}),
]


@pytest.mark.parametrize(("fault", "rules"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_the_lint_finds(fault: Callable[[Machine], None], rules: set[str]) -> None:
    machine = sound()
    fault(machine)
    assert {finding.partition(":")[0] for finding in machine_lint.lint(machine, AROUND)} == rules


def test_every_rule_has_a_fault_that_it_finds() -> None:
    assert {rule for _, rules in FAULTS for rule in rules} == {rule.__name__ for rule in machine_lint.RULES}


def test_doubled_keys_are_refused() -> None:
    with pytest.raises(yaml.YAMLError, match="doubled keys: Settle"):
        source.parse("Settle: {Type: Task}\nSettle: {Type: Succeed}\n")
