"""What goes back over HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from springboard import problems

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Answer:
    """A status, headers and a JSON document."""

    status: int
    document: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"

    def payload(self) -> dict[str, Any]:
        """As an HTTP API wants it (payload format 2.0)."""
        return {
            "statusCode": self.status,
            "headers": {"content-type": self.media_type, "cache-control": "no-store", **self.headers},
            "body": json.dumps(self.document, separators=(",", ":"), ensure_ascii=True),
        }


def of_problem(problem: problems.Problem, instance: str) -> Answer:
    """A refusal as an answer."""
    return Answer(problem.status, problem.document(instance), dict(problem.headers), problems.MEDIA_TYPE)
