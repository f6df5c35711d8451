"""The state machines as a graph, before anything runs them."""

from __future__ import annotations

import inspect
import re

import pytest

from springboard import errors
from springboard.components.table import ROWS
from springboard.flow import outcome
from tests.template import asl, history, machine_lint, source

RESOURCES = {"provision": "ProvisionMachine", "teardown": "TeardownMachine"}


def surroundings(name: str) -> machine_lint.Surroundings:
    properties = source.template()["Resources"][RESOURCES[name]]["Properties"]
    return machine_lint.Surroundings(
        substitutions=frozenset(properties["DefinitionSubstitutions"]),
        errors=frozenset(name for name, _ in inspect.getmembers(errors, inspect.isclass)),
        components=frozenset(row.title for row in ROWS),
    )


@pytest.mark.parametrize("name", source.MACHINES)
def test_the_machine_has_no_finding(name: str) -> None:
    assert machine_lint.lint(source.machine(name), surroundings(name)) == []


def test_every_machine_of_the_template_is_linted() -> None:
    deployed = source.resources("AWS::Serverless::StateMachine")
    files = {each["Properties"]["DefinitionUri"] for each in deployed.values()}
    assert files == {f"statemachines/{name}.asl.yaml" for name in source.MACHINES}
    assert set(deployed) == set(RESOURCES.values())
    assert {path.name for path in (source.ROOT / "statemachines").iterdir()} == {f"{n}.asl.yaml" for n in RESOURCES}


@pytest.mark.parametrize(("name", "verb"), [("provision", "Ensure"), ("teardown", "Remove")])
def test_every_component_has_its_state(name: str, verb: str) -> None:
    tasks = {state.name for state in asl.states(source.machine(name)) if state.type == "Task"}
    # The cluster takes its access entries and its add-ons along.
    gone_with_the_cluster = {"Access", "Addons"} if verb == "Remove" else set()
    assert {f"{verb}{row.title}" for row in ROWS if row.title not in gone_with_the_cluster} <= tasks


@pytest.mark.parametrize("name", source.MACHINES)
def test_f42_the_longest_history_stays_far_from_the_quota(name: str) -> None:
    # The quota is 25,000 events; the second bound is that of an account which throttles every call, for hours.
    assert history.worst(source.machine(name)).events < 10_000
    assert history.worst(source.machine(name), throttled=True).events < 15_000


@pytest.mark.parametrize("name", source.MACHINES)
def test_patience_ends_before_the_machine_does(name: str) -> None:
    # Else the record says "timed out" where it could name step, cause and remedy.
    machine = source.machine(name)
    assert history.worst(machine).seconds < 0.9 * machine["TimeoutSeconds"]


@pytest.mark.parametrize("name", source.MACHINES)
def test_every_loop_is_seen_by_the_bound(name: str) -> None:
    waits = {state.name for state in asl.states(source.machine(name)) if state.type == "Wait"}
    once = {"LetInFlightSettle", "AwaitLateLogGroup"}
    looped = {
        state.name for state in asl.states(source.machine(name)) if state.type == "Wait" and list(history.cycle(state))
    }
    assert waits - once == looped


def test_the_bound_grows_with_the_loops() -> None:
    teardown, provision = (history.worst(source.machine(name)) for name in ("teardown", "provision"))
    assert teardown.events > 40 * 5 + 10 * 100 * 4
    # The cluster branch: the control plane, its network, then what in it waits longest; the address is made meanwhile.
    patience = {row.name: row.patience for row in ROWS}
    assert provision.seconds == patience["cluster"] + patience["addons"] + patience["targets"]
    assert patience["targets"] >= patience["node_groups"] + patience["addons"]
    assert history.looks(100) == 1 + 21
    assert history.looks(3600) > history.looks(100) + 50


def test_functions_end_before_their_states_do() -> None:
    functions = source.resources("AWS::Serverless::Function")
    default = source.template()["Globals"]["Function"]["Timeout"]
    for name in source.MACHINES:
        for state in asl.states(source.machine(name)):
            if state.type == "Task":
                function = functions[state.function().removesuffix("Arn")]["Properties"]
                assert function.get("Timeout", default) < state.body["TimeoutSeconds"], state.name


def test_teardown_lets_a_stopped_handler_end() -> None:
    functions = source.resources("AWS::Serverless::Function").values()
    default = source.template()["Globals"]["Function"]["Timeout"]
    longest = max(each["Properties"].get("Timeout", default) for each in functions)
    assert longest <= outcome.IN_FLIGHT
    states = source.machine("teardown")["States"]
    assert states["LetInFlightSettle"]["Seconds"] == "{% $settle %}"
    assert states["BeginOperation"]["Assign"] == {"settle": "{% $states.result.Payload.settle %}"}


@pytest.mark.parametrize("name", source.MACHINES)
def test_states_call_the_handler_of_their_name(name: str) -> None:
    functions = source.resources("AWS::Serverless::Function")
    components = {row.title: row.name for row in ROWS}
    for state in asl.states(source.machine(name)):
        if state.type == "Task":
            logical = state.function().removesuffix("Arn")
            component = components.get(logical.removesuffix("Function"))
            said = re.sub(r"(?<!^)(?=[A-Z])", "_", "Settle" if state.name == "SettleFailure" else state.name).lower()
            wanted = f"components.{component}.handler" if component else f"flow.{said}.handler"
            assert functions[logical]["Properties"]["Handler"] == wanted, state.name
