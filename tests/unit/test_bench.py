"""The pure parts of the bench: budgets that are never left out, and a critical path that knows the components."""

from __future__ import annotations

import json

import pytest

from bench import budgets, critical_path
from bench.budgets import BUDGETS, Figure
from springboard.components.table import BY_NAME
from springboard_local.latency import DURATIONS


def test_every_budget_stands_in_the_document_measured_or_not() -> None:
    told = budgets.document([Figure("AWS calls of a create", "calls", 131, "counted"), Figure("demo", "s", 75, "one")])
    rows = {row["name"]: row for row in json.loads(json.dumps(told))["figures"]}
    assert list(rows) == [*BUDGETS, "demo"]
    assert (rows["AWS calls of a create"]["met"], rows["AWS calls of a create"]["budget"]) == (False, 130)
    assert (rows["layer zipped"]["value"], rows["layer zipped"]["met"]) == (None, None)
    assert (rows["demo"]["budget"], rows["demo"]["met"]) == (None, None)
    assert "MISSED" in next(line for line in budgets.lines(told) if line.startswith("AWS calls of a create"))


def test_a_budget_is_kept_up_to_it_or_short_of_it() -> None:
    assert BUDGETS["AWS calls of a create"].holds(130)
    assert not BUDGETS["layer zipped"].holds(40)


def test_a_figure_in_another_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="is in kB, its budget in MB"):
        budgets.document([Figure("layer zipped", "kB", 1, "weighed")])


def test_the_critical_path_is_the_longest_way() -> None:
    durations = {edge.operation: 1.0 for edge in critical_path.EDGES}
    assert critical_path.seconds(durations) == 6  # cluster, vpc-cni, nodes, pod, Spring, registration
    assert critical_path.seconds({**durations, "acm:Validation": 100}) == 101
    assert critical_path.seconds({**durations, "elbv2:CreateLoadBalancer": 100}) == 101


def test_its_edges_are_operations_of_the_model_and_components_of_the_table() -> None:
    known: set[str] = set()
    for edge in critical_path.EDGES:
        assert edge.operation in DURATIONS
        assert edge.component in BY_NAME
        assert known.issuperset(edge.after), f"{edge.operation} comes before what it waits for"
        known.add(edge.operation)
