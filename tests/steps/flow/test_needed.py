"""A false claim about a permission is found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from springboard_local.services.iam import Decision
from tests.steps.flow import needed
from tests.template.grants import Grant

if TYPE_CHECKING:
    from collections.abc import Sequence

ROLE = "springboard-DnsFunctionRole-1A2B3C4D5E6F"
CHANGE, LIST = "route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"
POLICY = [
    {"Effect": "Allow", "Action": [CHANGE, LIST], "Resource": "arn:aws:route53:::hostedzone/Z1"},
    {"Effect": "Allow", "Action": CHANGE, "Resource": "arn:aws:route53:::hostedzone/Z2"},
]


def decision(action: str, zone: str = "Z1", role: str = ROLE) -> Decision:
    return Decision(1, role, action, f"arn:aws:route53:::hostedzone/{zone}", "", {})


def found(wanted: Grant, *made: Decision, policy: Sequence[object] = POLICY) -> list[str]:
    return list(needed.findings([wanted], made, lambda _: [json.dumps({"Statement": policy})]))


def test_what_is_asked_for_and_refused_without_is_needed() -> None:
    assert found(Grant("DnsFunctionRole", CHANGE, 0), decision(CHANGE)) == []
    assert found(Grant("DnsFunctionRole", CHANGE, 1), decision(CHANGE), decision(CHANGE, "Z2")) == []
    assert found(Grant("DnsFunctionRole", LIST, 0), decision(LIST)) == []


@pytest.mark.parametrize("other", [decision(LIST), decision(CHANGE, role="springboard-ApiFunctionRole-1A2B3C4D5E6F")])
def test_what_nobody_asked_for_is_not(other: Decision) -> None:
    assert found(Grant("DnsFunctionRole", CHANGE, 0), other)[-1:] == [f"DnsFunctionRole {CHANGE} was not asked for"]


def test_nor_is_what_another_statement_allows_too() -> None:
    wide = [*POLICY, {"Effect": "Allow", "Action": [CHANGE], "Resource": "*"}]
    [told] = found(Grant("DnsFunctionRole", CHANGE, 0), decision(CHANGE), policy=wide)
    assert told == f"DnsFunctionRole {CHANGE}: all that was asked for is allowed without it too"


def test_what_was_allowed_is_granted_in_the_template() -> None:
    [told] = needed.findings([], [decision("route53:CreateHostedZone")])
    assert told == "DnsFunctionRole was allowed route53:CreateHostedZone, which the template does not grant"
