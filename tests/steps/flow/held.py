"""Which conditions of a role's policies hold a stranger off: what was refused is asked again without each of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from springboard_local.services import iam
from tests.steps.flow import needed
from tests.template import grants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from springboard_local.services.iam import Decision
    from tests.template.grants import Condition


def number() -> int:
    """Of the last refusal so far."""
    return max((each.number for each in iam.refusals.all()), default=0)


def conditions(since: int) -> set[Condition]:
    """Those without which one of the refusals after that number would have been none."""
    return set(of([each for each in iam.refusals.all() if each.number > since]))


def of(
    refusals: Sequence[Decision], documents: Callable[[Decision], Sequence[str]] = needed.documents
) -> Iterator[Condition]:
    """The conditions each of which, by itself, turns one of the refusals into leave."""
    for role, refusal in needed.of_stack(refusals):
        statements = [each for document in documents(refusal) for each in json.loads(document)["Statement"]]
        for each in grants.of_statements(role, statements):
            if each.action == refusal.action:
                left = list(grants.unconditioned(statements, each))
                if needed.allowed(refusal, [json.dumps({"Statement": left})]):
                    yield each
