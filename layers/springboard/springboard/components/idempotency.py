"""Idempotency tokens of the calls that components make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard import naming

if TYPE_CHECKING:
    from springboard.record import Environment


def token(environment: Environment, what: str) -> str:
    """The same for every run of the same operation; a retry asks anew.

    AWS replays its answer, even a failed one, to a token that it knows: so the environment's name is none.
    """
    operation = environment.operation
    if operation is None:
        return naming.token(environment.uid, "", 0, what)
    return naming.token(environment.uid, operation.id, operation.attempt, what)
