"""What follows from a policy document, by AWS's evaluation logic."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.local.iam.conftest import allow, deny, document

BUCKET = "arn:aws:s3:::logs/2026/a.txt"


def verdict(
    documents: list[str],
    action: str = "s3:GetObject",
    resource: str = BUCKET,
    context: dict[str, tuple[str, ...]] | None = None,
) -> str:
    from springboard_local.services.iam import policy  # noqa: PLC0415 - after moto has its account

    return policy.verdict(documents, policy.Request(action, resource, context or {}))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (allow("s3:GetObject"), "allow"),
        (allow("S3:getobject"), "allow"),
        (allow("s3:Get*", "arn:aws:s3:::logs/*"), "allow"),
        (allow("s3:Get?bject"), "allow"),
        (allow("s3:Get*", "arn:aws:s3:::LOGS/*"), "none"),
        (allow("s3:PutObject"), "none"),
        ({"Effect": "Allow", "NotAction": "s3:Delete*", "Resource": "*"}, "allow"),
        ({"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"}, "none"),
        ({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::logs/*"}, "none"),
        ({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::other/*"}, "allow"),
        (deny("s3:*"), "deny"),
    ],
)
def test_a_statement_speaks_of_actions_and_resources(statement: dict[str, Any], expected: str) -> None:
    assert verdict([document(statement)]) == expected


def test_an_explicit_deny_wins_wherever_it_stands() -> None:
    assert verdict([document(allow("*")), document(deny("s3:*", "arn:aws:s3:::logs/*"))]) == "deny"
    assert verdict([document(deny("s3:*", "arn:aws:s3:::logs/*"), allow("*"))]) == "deny"


CONDITIONS: list[tuple[str, dict[str, Any], dict[str, tuple[str, ...]], bool]] = [
    ("StringEquals", {"a:k": "x"}, {"a:k": ("x",)}, True),
    ("StringEquals", {"A:K": ["y", "x"]}, {"a:k": ("x",)}, True),
    ("StringEquals", {"a:k": "x"}, {"a:k": ("X",)}, False),
    ("StringEquals", {"a:k": "x"}, {}, False),
    ("StringEqualsIfExists", {"a:k": "x"}, {}, True),
    ("StringEqualsIgnoreCase", {"a:k": "x"}, {"a:k": ("X",)}, True),
    ("StringNotEquals", {"a:k": "x"}, {}, True),
    ("StringNotEquals", {"a:k": ["x", "y"]}, {"a:k": ("y",)}, False),
    ("StringLike", {"a:k": "x*z"}, {"a:k": ("xyz",)}, True),
    ("StringNotLike", {"a:k": "x*"}, {"a:k": ("xyz",)}, False),
    ("NumericLessThan", {"a:k": "10"}, {"a:k": ("9",)}, True),
    ("NumericLessThan", {"a:k": "10"}, {"a:k": ("ten",)}, False),
    ("NumericGreaterThanEquals", {"a:k": 10}, {"a:k": ("10",)}, True),
    ("DateGreaterThan", {"a:k": "2026-01-01T00:00:00Z"}, {"a:k": ("2026-11-23T09:00:00Z",)}, True),
    ("DateLessThan", {"a:k": "2026-01-01T00:00:00Z"}, {"a:k": ("2026-11-23T09:00:00Z",)}, False),
    ("Bool", {"a:k": True}, {"a:k": ("true",)}, True),
    ("Bool", {"a:k": "false"}, {"a:k": ("true",)}, False),
    ("IpAddress", {"a:k": "127.0.0.0/8"}, {"a:k": ("127.0.0.1",)}, True),
    ("NotIpAddress", {"a:k": "127.0.0.0/8"}, {"a:k": ("127.0.0.1",)}, False),
    ("ArnLike", {"a:k": "arn:aws:events:*:1:rule/*"}, {"a:k": ("arn:aws:events:eu:1:rule/x",)}, True),
    ("ArnLike", {"a:k": "arn:aws:*:rule/x"}, {"a:k": ("arn:aws:events:eu:1:rule/x",)}, False),
    ("ArnNotEquals", {"a:k": "arn:aws:iam::1:role/a"}, {"a:k": ("arn:aws:iam::1:role/b",)}, True),
    ("Null", {"a:k": "true"}, {}, True),
    ("Null", {"a:k": "false"}, {"a:k": ("x",)}, True),
    ("Null", {"a:k": "true"}, {"a:k": ("x",)}, False),
    ("ForAllValues:StringEquals", {"a:k": ["x", "y"]}, {"a:k": ("x", "y")}, True),
    ("ForAllValues:StringEquals", {"a:k": ["x"]}, {"a:k": ("x", "y")}, False),
    ("ForAllValues:StringEquals", {"a:k": ["x"]}, {}, True),
    ("ForAnyValue:StringEquals", {"a:k": ["x"]}, {"a:k": ("x", "y")}, True),
    ("ForAnyValue:StringEquals", {"a:k": ["x"]}, {}, False),
    ("StringSomething", {"a:k": "x"}, {"a:k": ("x",)}, False),
]


@pytest.mark.parametrize(("operator", "wanted", "context", "met"), CONDITIONS)
def test_conditions(operator: str, wanted: dict[str, Any], context: dict[str, tuple[str, ...]], met: bool) -> None:  # noqa: FBT001
    assert verdict([document(allow("*", condition={operator: wanted}))], context=context) == (
        "allow" if met else "none"
    )


def test_a_variable_is_taken_literally() -> None:
    policy = [document(allow("s3:GetObject", "arn:aws:s3:::logs/${aws:PrincipalTag/team}/*"))]
    tag = "aws:principaltag/team"
    assert verdict(policy, resource="arn:aws:s3:::logs/shop/a", context={tag: ("shop",)}) == "allow"
    assert verdict(policy, resource="arn:aws:s3:::logs/shop/a", context={tag: ("*",)}) == "none"
    assert verdict(policy, resource="arn:aws:s3:::logs/shop/a") == "none"


@settings(max_examples=60)
@given(st.text(alphabet="ab*?[].${}", max_size=8), st.text(alphabet="ab[].", max_size=8))
def test_no_pattern_is_read_as_a_regular_expression(pattern: str, value: str) -> None:
    text = document(allow("s3:GetObject", "arn:aws:s3:::" + pattern.replace("$", "")))
    expected = _glob(pattern.replace("$", ""), value)
    assert (verdict([text], resource="arn:aws:s3:::" + value) == "allow") == expected


def _glob(pattern: str, value: str) -> bool:
    if not pattern:
        return not value
    if pattern[0] == "*":
        return any(_glob(pattern[1:], value[index:]) for index in range(len(value) + 1))
    return bool(value) and pattern[0] in {"?", value[0]} and _glob(pattern[1:], value[1:])


def test_a_document_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON object"):
        verdict([json.dumps(["Statement"])])
