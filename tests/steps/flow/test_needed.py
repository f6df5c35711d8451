"""A false claim about a permission, or about a condition, is found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from springboard_local.services.iam import Decision
from tests.steps.flow import held as held_by
from tests.steps.flow import needed
from tests.template.grants import Condition, Grant

if TYPE_CHECKING:
    from collections.abc import Sequence

ROLE = "springboard-DnsFunctionRole-1A2B3C4D5E6F"
CHANGE, LIST = "route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"
POLICY: list[dict[str, object]] = [
    {"Effect": "Allow", "Action": [CHANGE, LIST], "Resource": "arn:aws:route53:::hostedzone/Z1"},
    {
        "Effect": "Allow",
        "Action": CHANGE,
        "Resource": ["arn:aws:route53:::hostedzone/Z2", "arn:aws:route53:::hostedzone/Z3"],
    },
]
FIRST = Grant("DnsFunctionRole", CHANGE, 0, "Z1")


def decision(action: str, zone: str = "Z1", role: str = ROLE) -> Decision:
    return Decision(1, role, action, f"arn:aws:route53:::hostedzone/{zone}", "", {})


def found(wanted: Grant, *made: Decision, policy: Sequence[object] = POLICY) -> list[str]:
    return list(needed.findings([wanted], made, lambda _: [json.dumps({"Statement": policy})]))


def test_what_is_asked_for_and_refused_without_is_needed() -> None:
    assert found(FIRST, decision(CHANGE)) == []
    for place, zone in enumerate(("Z2", "Z3")):
        wanted = Grant("DnsFunctionRole", CHANGE, 1, zone, place)
        assert found(wanted, decision(CHANGE), decision(CHANGE, zone)) == []
        assert found(wanted, decision(CHANGE), decision(CHANGE, "Z2" if place else "Z3")) == [
            f"{wanted}: all that was asked for is allowed without it too"
        ]
    assert found(Grant("DnsFunctionRole", LIST, 0, "Z1"), decision(LIST)) == []


@pytest.mark.parametrize("other", [decision(LIST), decision(CHANGE, role="springboard-ApiFunctionRole-1A2B3C4D5E6F")])
def test_what_nobody_asked_for_is_not(other: Decision) -> None:
    assert found(FIRST, other)[-1:] == [f"{FIRST} was not asked for"]


def test_nor_is_what_another_statement_allows_too() -> None:
    wide = [*POLICY, {"Effect": "Allow", "Action": [CHANGE], "Resource": "*"}]
    [told] = found(FIRST, decision(CHANGE), policy=wide)
    assert told == f"{FIRST}: all that was asked for is allowed without it too"


def test_what_was_allowed_is_granted_in_the_template() -> None:
    [told] = needed.findings([], [decision("route53:CreateHostedZone")])
    assert told == "DnsFunctionRole was allowed route53:CreateHostedZone, which the template does not grant"


def held(tag: str, zone: str = "Z1", policy: Sequence[object] = ()) -> list[Condition]:
    """What holds off a change with that tag."""
    conditions = {"StringEquals": {"aws:ResourceTag/a": "x"}, "StringLike": {"aws:ResourceTag/b": "y*"}}
    told = [*policy, {**POLICY[0], "Condition": conditions}]
    refused = Decision(
        1,
        ROLE,
        CHANGE,
        f"arn:aws:route53:::hostedzone/{zone}",
        "",
        {"aws:resourcetag/a": (tag,), "aws:resourcetag/b": ("y",)},
    )
    return list(held_by.of([refused], lambda _: [json.dumps({"Statement": told})]))


def test_a_condition_holds_what_would_be_allowed_without_it() -> None:
    assert held("z") == [Condition("DnsFunctionRole", CHANGE, "aws:ResourceTag/a")]
    assert held("z", policy=POLICY[1:]) == [Condition("DnsFunctionRole", CHANGE, "aws:ResourceTag/a", 1)]


def test_nothing_is_held_by_a_condition_where_the_resource_is_another() -> None:
    assert held("z", "Z4") == []
