"""Which events a pattern matches, and what a target gets of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from springboard_local.services.patterns import at_path, fill, matches, payload

EVENT: dict[str, Any] = {
    "id": "1",
    "source": "springboard",
    "resources": ["arn:a", "arn:b"],
    "detail": {"phase": "Ready", "count": 3, "ok": True, "none": None, "host": "shop.example.com", "items": [{"n": 1}]},
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["springboard", "other"]}, True),
        ({"source": ["other"]}, False),
        ({"resources": ["arn:b"]}, True),
        ({"detail": {"phase": ["Ready"], "count": [3]}}, True),
        ({"detail": {"count": ["3"]}}, False),
        ({"detail": {"ok": [1]}}, False),
        ({"detail": {"ok": [True], "none": [None]}}, True),
        ({"detail": {"missing": [None]}}, False),
        ({"detail": {"phase": [{"anything-but": ["Failed", "Deleted"]}]}}, True),
        ({"detail": {"phase": [{"anything-but": "Ready"}]}}, False),
        ({"detail": {"phase": [{"anything-but": {"prefix": "Re"}}]}}, False),
        ({"detail": {"missing": [{"anything-but": "x"}]}}, False),
        ({"detail": {"host": [{"prefix": "shop."}]}}, True),
        ({"detail": {"host": [{"suffix": ".com"}]}}, True),
        ({"detail": {"host": [{"suffix": ".org"}]}}, False),
        ({"detail": {"host": [{"prefix": {"equals-ignore-case": "SHOP"}}]}}, True),
        ({"detail": {"phase": [{"equals-ignore-case": "ready"}]}}, True),
        ({"detail": {"host": [{"wildcard": "*.example.*"}]}}, True),
        ({"detail": {"host": [{"wildcard": "shop?example.com"}]}}, False),
        ({"detail": {"count": [{"numeric": [">", 2, "<=", 3]}]}}, True),
        ({"detail": {"count": [{"numeric": ["<", 3]}]}}, False),
        ({"detail": {"ok": [{"numeric": ["=", 1]}]}}, False),
        ({"detail": {"phase": [{"exists": True}]}}, True),
        ({"detail": {"phase": [{"exists": False}]}}, False),
        ({"detail": {"missing": [{"exists": False}]}}, True),
        ({"detail": {"deep": {"missing": [{"exists": False}]}}}, True),
        ({"detail": {"items": {"n": [1]}}}, True),
        ({"$or": [{"source": ["other"]}, {"detail": {"count": [3]}}]}, True),
        ({"$or": [{"source": ["other"]}, {"detail": {"count": [4]}}]}, False),
        ({"source": ["springboard"], "$or": [{"detail": {"count": [4]}}]}, False),
    ],
)
def test_patterns(pattern: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    assert matches(pattern, EVENT) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", EVENT),
        ("$.detail.phase", "Ready"),
        ("$.resources[1]", "arn:b"),
        ("$.detail['count']", 3),
        ("$.no.way", None),
    ],
)
def test_paths(path: str, expected: Any) -> None:
    assert at_path(path, EVENT) == expected


def test_a_target_gets_what_it_asks_for() -> None:
    assert json.loads(payload({}, EVENT, {})) == EVENT
    assert payload({"Input": '{"fixed": 1}'}, EVENT, {}) == '{"fixed": 1}'
    assert json.loads(payload({"InputPath": "$.detail.items"}, EVENT, {})) == [{"n": 1}]
    transformer = {
        "InputPathsMap": {"phase": "$.detail.phase", "all": "$.detail.items"},
        "InputTemplate": '{"text": "it is <phase>: <all>", "phase": <phase>, "all": <all>, "rule": "<aws.events.rule-name>"}',  # noqa: E501 - one template
    }
    assert json.loads(payload({"InputTransformer": transformer}, EVENT, {"aws.events.rule-name": "r"})) == {
        "text": 'it is Ready: [{"n": 1}]',
        "phase": "Ready",
        "all": [{"n": 1}],
        "rule": "r",
    }


def test_a_value_cannot_break_out_of_its_quotes() -> None:
    filled = fill('{"text": "<v>", "next": <v>}', {"v": 'a", "x": "'})
    assert json.loads(filled) == {"text": 'a", "x": "', "next": 'a", "x": "'}
