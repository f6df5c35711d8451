"""How refusals read over HTTP."""

from __future__ import annotations

import inspect

import pytest

from springboard import errors, problems
from springboard.errors import FieldError, InvalidError, SpringboardError

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, SpringboardError) and kind not in {SpringboardError, InvalidError}
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_its_document(kind: type[SpringboardError]) -> None:
    found = problems.problem(kind("the cause", "the remedy"))
    document = found.document("request-1")
    assert document["detail"] == "the cause"
    assert document["remedy"] == "the remedy"
    assert document["status"] == found.status >= 400
    assert document["instance"] == "request-1"
    assert document["title"]
    assert document["type"] == "about:blank"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFoundError("x"), 404),
        (errors.ConflictError("x"), 409),
        (errors.PreconditionError("x"), 412),
        (errors.ThrottledError("x"), 503),
        (errors.AccessDeniedError("x"), 500),
    ],
)
def test_statuses(error: SpringboardError, status: int) -> None:
    assert problems.problem(error).status == status


def test_patience_says_how_long() -> None:
    assert problems.problem(errors.UnavailableError("x")).headers == {"Retry-After": "5"}


def test_all_mistakes_are_listed_up_to_a_readable_number() -> None:
    mistakes = [FieldError(f"spec.apps[{n}]", "is wrong", "mend it", "x") for n in range(60)]
    document = problems.problem(InvalidError(mistakes)).document()
    assert document["status"] == 422
    assert document["detail"] == "60 mistakes in the request"
    assert len(document["errors"]) == 50
    assert document["moreErrors"] == 10
    assert document["errors"][0] == {"field": "spec.apps[0]", "message": "is wrong", "value": "x", "remedy": "mend it"}
    assert problems.problem(InvalidError(mistakes[:1])).document()["detail"] == "one mistake in the request"
