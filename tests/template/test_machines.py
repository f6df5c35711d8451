"""The state machines as a graph, before anything runs them."""

from __future__ import annotations

import inspect

import pytest
from springboard import errors
from springboard.components.table import ROWS

from tests.template import asl, machine_lint, source

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
