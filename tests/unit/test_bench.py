"""The pure parts of the bench: budgets that are never left out, a critical path that knows the components, a model."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace

import pytest

from bench import budgets, critical_path, model
from bench.budgets import BUDGETS, FIGURES, Budget, Figure
from bench.draws import Drawn, drawn
from springboard.components.contract import Pace
from springboard.components.table import BY_NAME
from springboard_local.latency import DURATIONS


def test_every_figure_stands_in_the_document_measured_or_not() -> None:
    told = budgets.document([Figure("AWS calls of a create", "calls", 131, "counted"), Figure("demo", "s", 75, "one")])
    rows = {row["name"]: row for row in json.loads(json.dumps(told))["figures"]}
    assert list(rows) == list(FIGURES)
    assert (rows["AWS calls of a create"]["met"], rows["AWS calls of a create"]["budget"]) == (False, 130)
    assert (rows["layer zipped"]["value"], rows["layer zipped"]["met"]) == (None, None)
    assert (rows["demo"]["budget"], rows["demo"]["met"]) == (None, None)
    shown = {name: next(line for line in budgets.lines(told) if line.startswith(f"{name} ")) for name in FIGURES}
    assert "MISSED" in shown["AWS calls of a create"]
    assert [name for name, line in shown.items() if "not measured" in line] == [
        name for name in BUDGETS if name != "AWS calls of a create"
    ]


def test_the_budgets_are_those_that_were_agreed() -> None:
    assert {
        "app-ready over critical path": Budget("ratio", 1.04),
        "AWS calls of a create": Budget("calls", 130),
        "mutating AWS calls of a create": Budget("calls", 50),
        "AWS calls of a no-op": Budget("calls", 30),
        "mutating AWS calls of a no-op": Budget("calls", 0),
        "transitions of a create": Budget("transitions", 150),
        "history events of a create": Budget("events", 2000),
        "layer zipped": Budget("MB", 40, strict=True),
        "layer unzipped": Budget("MB", 110, strict=True),
        "workload function init over raw REST": Budget("ratio", 1.1),
        "local cloud answers": Budget("s", 10, strict=True),
        "environment Ready after deploy at speed 60": Budget("s", 30, strict=True),
        "make test": Budget("s", 300, strict=True),
    } == BUDGETS


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("app-ready over critical path", "ratio"),
        ("app-ready over critical path, p95", "ratio"),
        *((f"AWS calls of a {act}", "calls") for act in ("create", "change", "no-op", "delete")),
        *((f"mutating AWS calls of a {act}", "calls") for act in ("create", "change", "no-op", "delete")),
        ("transitions of a create", "transitions"),
        ("history events of a create", "events"),
        ("Lambda of an environment", "GB-seconds"),
        ("cost of an environment", "USD"),
        ("layer zipped", "MB"),
        ("init of each function over raw REST", "ratio"),
        ("workload function init over raw REST", "ratio"),
        ("memory of each function", "MB"),
        ("local cloud answers", "s"),
        ("demo", "s"),
        ("make test", "s"),
    ],
)
def test_nothing_that_was_to_be_measured_is_left_out(name: str, unit: str) -> None:
    assert FIGURES[name] == unit


def test_a_budget_is_kept_up_to_it_or_short_of_it() -> None:
    assert BUDGETS["AWS calls of a create"].holds(130)
    assert not BUDGETS["layer zipped"].holds(40)


def test_a_figure_in_another_unit_or_with_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="is in kB, its budget in MB"):
        budgets.document([Figure("layer zipped", "kB", 1, "weighed")])
    with pytest.raises(ValueError, match="not in the list of figures: layer zippd"):
        budgets.document([Figure("layer zippd", "MB", 1, "weighed")])


# The critical path


def test_the_critical_path_is_the_longest_way() -> None:
    durations = {edge.operation: 10.0 for edge in critical_path.EDGES}
    assert critical_path.seconds(durations) == 47  # cluster, vpc-cni, 7 s until nodes join, pod, Spring
    assert critical_path.seconds({**durations, "eks:CreateAddon:coredns": 100}) == 130
    assert critical_path.seconds({**durations, "eks:CreateAddon:coredns": 100}, critical_path.SERVES) == 47
    assert critical_path.seconds({**durations, "acm:Validation": 100}) == 110  # once its record is everywhere
    assert critical_path.seconds({**durations, "elbv2:CreateLoadBalancer": 100}) == 100


def test_its_edges_are_operations_of_the_model() -> None:
    known: set[str] = set()
    for edge in critical_path.EDGES:
        before = {*edge.after, *([edge.during[0]] if edge.during else [])}
        assert edge.operation in DURATIONS
        assert known.issuperset(before), f"{edge.operation} comes before what it waits for"
        known.add(edge.operation)
    assert known.issuperset(critical_path.SERVES)


# Needs that cost no time of AWS's own, or none on the way; with the reason.
NO_WAIT = {
    ("load_balancer", "certificate"): "it is made without: only 443 needs the certificate, which is fast to add",
    ("dns", "load_balancer"): "CreateLoadBalancer's answer holds the name, long before it is active",
}
# Edges between components that the table does not order, because another part of them comes first.
WITHIN = {
    ("addons", "node_groups"): "coredns and metrics-server need nodes, which need vpc-cni: the same component",
    ("workload", "node_groups"): "its objects are applied at once; their pods wait for nodes, not the component",
    ("certificate", "dns"): "the record that proves the domain is the certificate's own, as slow as an alias",
}


def test_its_edges_are_the_needs_of_the_table_and_the_needs_its_edges() -> None:
    component = {edge.operation: edge.component for edge in critical_path.EDGES}
    edges = {
        (edge.component, component[before])
        for edge in critical_path.EDGES
        for before in (*edge.after, *([edge.during[0]] if edge.during else []))
        if component[before] != edge.component
    }
    timed = set(component.values())
    needs = {(row.name, need) for row in BY_NAME.values() for need in row.needs if {row.name, need} <= timed}
    assert edges - set(WITHIN) <= needs
    implied = {(a, d) for a, b in edges for c, d in edges if b == c}
    assert needs - set(NO_WAIT) <= edges | implied
    assert set(NO_WAIT) <= needs, "an exception that is none any more"
    assert set(WITHIN) <= edges, "an exception that is none any more"


# The model


def test_draws_are_the_seeds_own_whatever_the_order() -> None:
    assert drawn(7) == drawn(7) != drawn(8)
    latency = Drawn()
    latency.begin(7)
    assert [latency.seconds("eks:CreateCluster") for _ in range(2)] == [drawn(7)["eks:CreateCluster"]] * 2
    assert drawn(None)["eks:CreateCluster"] == DURATIONS["eks:CreateCluster"].median


def test_a_create_is_never_faster_than_aws_and_slower_by_what_the_looks_lose() -> None:
    for seed in range(1, 51):
        durations = drawn(seed)
        assert model.create(durations).ready >= critical_path.seconds(durations)
    exactly = model.create(drawn(None), paces=replace(model.Paces(), cluster=Pace(564, 1)))
    rarely = model.create(drawn(None), paces=replace(model.Paces(), cluster=Pace(564 + 100, 1)))
    assert rarely.ready - exactly.ready == 100


def test_what_handlers_take_comes_on_top() -> None:
    without, with_them = model.create(drawn(None)), model.create(drawn(None), {"schedules": 2.0, "cluster": 0.0})
    assert with_them.ready == pytest.approx(without.ready + 2, abs=15)  # the looks that follow fall elsewhere
    assert with_them.ready > without.ready


def test_app_ready_keeps_its_budget_with_its_waits_alone() -> None:
    draws = [drawn(seed) for seed in range(1, 201)]
    ratios = [model.create(each).ready / critical_path.seconds(each) for each in draws]
    assert BUDGETS["app-ready over critical path"].holds(statistics.median(ratios))
    assert BUDGETS["transitions of a create"].holds(statistics.median(model.create(each).transitions for each in draws))
