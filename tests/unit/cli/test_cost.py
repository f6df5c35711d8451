"""Prices: from the list, for what is declared and what stands."""

from __future__ import annotations

import pytest

from springboard import capacity
from springboard_cli import cost
from tests.unit.cli.stand_ins import COMPONENTS, condition, environment, operation, step


@pytest.mark.parametrize(
    ("instance_type", "hour"),
    [
        ("m7i.large", 0.1008),
        ("m7i.xlarge", 0.2016),
        ("m7i.4xlarge", 0.8064),
        ("t3.medium", 0.0416),
        ("x99.large", None),
        ("m7i.metal", None),
        ("m7i", None),
    ],
)
def test_a_family_grows_with_its_sizes(instance_type: str, hour: float | None) -> None:
    assert cost.instance_hour(instance_type) == (None if hour is None else pytest.approx(hour))


def test_most_types_that_admission_knows_have_a_price() -> None:
    known = list(capacity.known_types())
    priced = [name for name in known if cost.instance_hour(name) is not None]

    assert len(priced) > len(known) * 0.8


def test_the_smallest_document_costs_what_its_defaults_cost() -> None:
    lines = cost.declared({"metadata": {"name": "shop"}, "spec": {"apps": [{"image": "x"}]}})

    hourly = sum(line.hourly or 0 for line in lines)
    assert hourly == pytest.approx(0.10 + 3 * 0.1008 + 3 * 50 * 0.08 / 730 + 0.0225 + 3 * 0.005)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"spec": None},
        {"spec": {"nodeGroups": "three"}},
        {"spec": {"nodeGroups": [None, {"size": "many", "instanceTypes": {"a": 1}, "diskGiB": -1}]}},
        {"spec": {"nodeGroups": [{"instanceTypes": []}]}},
    ],
)
def test_a_document_with_mistakes_is_no_reason_to_stop(document: dict[str, object]) -> None:
    assert cost.summary(cost.declared(document))


def test_an_unknown_price_is_said() -> None:
    lines = cost.declared({"spec": {"nodeGroups": [{"name": "gpu", "instanceTypes": ["p9.48xlarge"]}]}})

    assert (cost.table(lines)[1][1], cost.summary(lines)[:10]) == ("no price known", "at least $")


def test_only_what_was_begun_is_billed_after_a_failure() -> None:
    document = environment(
        phase="Failed",
        cluster={"name": "springboard-shop", "version": "1.35"},
        conditions=[condition(each) for each in COMPONENTS],
        operation=operation(status="Failed", steps=[step("EnsureFirewall", 0, 5), step("EnsureCluster", 5)]),
    )

    assert [line.what for line in cost.existing(document)] == ["EKS control plane 1.35"]


def test_what_was_removed_is_not_billed() -> None:
    document = environment(phase="Deleting", cluster={})
    document["status"]["conditions"] = [condition(each, "False", "Removed") for each in COMPONENTS]

    assert cost.existing(document) == []
