"""Granted is what some test needs, no more and no less."""

from __future__ import annotations

import ast
import os
import random
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.services.iam.resources import authorization
from tests.template import grants, source
from tests.template.grants import Condition, Grant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SEED = int(os.environ.get("SPRINGBOARD_SEED", "1"))
TEMPLATES = {"template.yaml": source.template(), "network.yaml": source.network()}
GRANTED = grants.granted(*TEMPLATES.values())
PRINCIPALS = {each.piece for each in GRANTED if each.action.startswith("sts:") or each.action == grants.MANAGED}


def test_every_grant_is_needed_and_every_need_granted() -> None:
    assert list(grants.findings(GRANTED, grants.needs())) == []


def test_every_test_that_is_named_is_there() -> None:
    named = sorted(set(grants.needs().tests.values()))
    missing = [node for node in named if node not in set(_tests(node.partition("::")[0]))]
    assert not missing


def test_what_a_service_needs_is_told_in_a_sentence() -> None:
    short = {grant: why for grant, why in grants.needs().services.items() if len(why.split()) < 6}
    assert not short


def _tests(path: str) -> Iterator[str]:
    """Node ids of a file's test functions."""
    for node in ast.parse(source.text(path)).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield f"{path}::{node.name}"


def some(of: list[Any]) -> list[Any]:
    return random.Random(SEED).sample(of, 5)  # noqa: S311 - a sample, not a secret


@pytest.mark.parametrize("grant", some(sorted(GRANTED)), ids=str)
def test_one_grant_less_is_found(grant: Grant) -> None:
    less = [
        grants.without(template, grant) if grant.role in template["Resources"] else template
        for template in TEMPLATES.values()
    ]
    found = list(grants.findings(grants.granted(*less), grants.needs()))
    assert len(found) == 1
    assert f"{grant.role} {grant.action}" in found[0]


def _absent() -> list[tuple[str, str]]:
    """Actions that a role doesn't have, of the services that it deals with."""
    return sorted(
        (role, f"{service}:{action}")
        for role in source.resources("AWS::IAM::Role")
        for service in {grant.action.partition(":")[0] for grant in GRANTED if grant.role == role}
        for action in authorization().get(service, {}).get("actions", {})
        if (role, f"{service}:{action}") not in {(grant.role, grant.action) for grant in GRANTED}
    )


@pytest.mark.parametrize(("role", "action"), some(_absent()))
def test_one_grant_more_is_found(role: str, action: str) -> None:
    more = deepcopy(source.template())
    statement = next(grants.statements(more["Resources"][role]))
    statement["Action"] = [*grants.actions(statement), action]
    found = list(grants.findings(grants.granted(more, source.network()), grants.needs()))
    assert len(found) == 1
    assert found[0].startswith(f"{role} {action} on {grants.pieces(statement)[0]} is granted")


@pytest.mark.parametrize("grant", some(sorted(each for each in GRANTED if each.piece not in PRINCIPALS)), ids=str)
def test_one_resource_more_is_found(grant: Grant) -> None:
    """Also where the statement goes with several values, of which a test could tell nothing then."""
    more = deepcopy(source.template() if grant.role in source.template()["Resources"] else source.network())
    having = [each for each in grants.statements(more["Resources"][grant.role]) if grant.action in grants.actions(each)]
    statement = having[grant.number]
    several_values = grants.pieces(statement)[0] not in map(grants.name_of, grants.several(statement["Resource"]))
    statement["Resource"] = [*grants.several(statement["Resource"]), "surplus"]
    if several_values:
        with pytest.raises(ValueError, match="make statements of their own"):
            grants.granted(more)
        return
    needs = grants.read(source.text(grants.FILE), grants.granted(*TEMPLATES.values()))
    found = list(grants.findings(grants.granted(more), needs))
    surplus = [each for each in found if " on surplus is granted, and" in each]
    assert len(surplus) == len(grants.actions(statement))


@pytest.mark.parametrize("grant", some(sorted(set(GRANTED))), ids=str)
def test_one_grant_twice_is_found(grant: Grant) -> None:
    found = list(grants.findings([*GRANTED, grant], grants.needs()))
    assert found == [f"{grant} is granted 2 times by one statement"]


TAGGED = {"StringEquals": {"a:Tag": "x", "a:Via": ["y", "z"]}}
STATEMENTS: list[dict[str, Any]] = [
    {"Action": ["a:One", "a:Two"], "Resource": ["1", "2"]},
    {"Action": "a:One", "Resource": "3", "Condition": TAGGED},
]
ROLES: Mapping[str, Any] = {
    "Resources": {
        "R": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Statement": []},
                "Policies": [{"PolicyDocument": {"Statement": STATEMENTS}}],
            },
        }
    }
}


def left(grant: Grant) -> list[dict[str, Any]]:
    return list(grants.statements(grants.without(ROLES, grant)["Resources"]["R"]))


def test_grants_are_told_apart_by_their_statements_resources_and_values() -> None:
    of_one = [
        Grant("R", "a:One", 0, "1"),
        Grant("R", "a:One", 0, "2"),
        Grant("R", "a:One", 1, "y"),
        Grant("R", "a:One", 1, "z"),
    ]
    of_two = [Grant("R", "a:Two", 0, "1"), Grant("R", "a:Two", 0, "2")]
    assert sorted(grants.granted(ROLES)) == [*of_one, *of_two]
    second = next(each for each in grants.granted(ROLES) if each == of_one[1])
    assert left(second) == [
        {"Action": ["a:Two"], "Resource": ["1", "2"]},
        {"Action": ["a:One"], "Resource": ["1"]},
        STATEMENTS[1],
    ]
    value = next(each for each in grants.granted(ROLES) if each == of_one[2])
    narrower = {"StringEquals": {"a:Tag": "x", "a:Via": ["z"]}}
    assert left(value) == [STATEMENTS[0], {"Action": ["a:One"], "Resource": "3", "Condition": narrower}]
    with pytest.raises(LookupError):
        grants.without(ROLES, Grant("R", "a:One", 2, "1"))


TRUST = {"Principal": {"Service": ["a.amazonaws.com", "b.amazonaws.com"]}, "Action": "sts:AssumeRole"}
TRUSTED: Mapping[str, Any] = {
    "Resources": {
        "R": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Statement": [TRUST]},
                "ManagedPolicyArns": [{"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/One"}],
            },
        }
    }
}


def test_who_may_assume_a_role_and_its_managed_policies_are_grants_too() -> None:
    policy, first, second = grants.granted(TRUSTED)
    assert policy == Grant("R", grants.MANAGED, 0, "One")
    assert (first.piece, second.piece) == ("a.amazonaws.com", "b.amazonaws.com")
    assert grants.granted(grants.without(TRUSTED, policy)) == [first, second]
    assert grants.granted(grants.without(TRUSTED, first)) == [policy, second]


def test_a_principal_of_another_kind_is_found() -> None:
    with pytest.raises(ValueError, match="several Service and AWS"):
        grants.pieces({**TRUST, "Principal": {"Service": "a.amazonaws.com", "AWS": "*"}})
    assert grants.pieces({**TRUST, "Principal": {"AWS": "arn:aws:iam::444455556666:root"}}) != ["a.amazonaws.com"]


def test_what_says_several_things_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="several Resource and a:Via: make statements of their own"):
        grants.pieces({**STATEMENTS[1], "Resource": ["3", "4"]})


def test_a_condition_is_taken_out_by_itself() -> None:
    tag, via = grants.conditions(ROLES)
    assert (tag, via) == (Condition("R", "a:One", "a:Tag", 1), Condition("R", "a:One", "a:Via", 1))
    bare = {"Action": "a:One", "Resource": "3", "Condition": {"StringEquals": {"a:Via": ["y", "z"]}}}
    assert list(grants.unconditioned(STATEMENTS, tag))[1] == bare
    (first, last) = grants.unconditioned([STATEMENTS[0], bare], via)
    assert (first["Resource"], last["Condition"]) == (["1", "2"], {})


def test_names_are_short_and_different() -> None:
    arn = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${Prefix}-provision"
    assert grants.name_of({"Fn::Sub": arn}) == "stateMachine:provision"
    assert grants.name_of({"Fn::Sub": "arn:${AWS::Partition}:ec2:${AWS::Region}::image/*"}) == "image/*"
    assert grants.name_of({"Fn::GetAtt": ["Table", "Arn"]}) == "Table"
    for template in TEMPLATES.values():
        for role in source.resources("AWS::IAM::Role", template).values():
            for statement in grants.statements(role):
                assert len(set(grants.pieces(statement))) == len(grants.pieces(statement)), statement


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("tests: {life: a}\nservices: {}\nroles: {R: {a:One: death}}", "death is neither"),
        ("tests: {life: a, death: b}\nservices: {}\nroles: {R: {a:One: life}}", "nobody uses death"),
        ("tests: {life: a}\nservices: {eks: b}\nroles: {R: {a:One: [life, life]}}", "nobody uses eks"),
    ],
)
def test_words_of_the_file_stand_for_something(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        grants.read(text, grants.granted(ROLES))
