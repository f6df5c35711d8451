"""Functions in this process: what would end with a process ends with its worker."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

from springboard_local import pipeline
from springboard_local.pipeline import Rule

if TYPE_CHECKING:
    from .conftest import Account


class Kept:
    """Something that a function keeps from one invocation to the next."""


def test_what_a_killed_worker_held_is_closed_and_forgotten(account: Account) -> None:
    closed: list[str] = []
    kept: list[weakref.ref[Kept]] = []
    sessions: list[weakref.ref[Any]] = []

    def handler(_event: Any, context: Any) -> int:
        if "thing" not in context.kept:
            context.kept["thing"] = made = Kept()
            kept.append(weakref.ref(made))
            sessions.append(weakref.ref(context.session))
            context.at_end(lambda: closed.append("connection"))
        client = context.client("sqs")
        client.list_queues()
        client.create_queue(QueueName="made")
        return len(kept)

    account.function("busy", handler)
    assert [account.invoke("busy")[0] for _ in range(2)] == [1, 1]
    assert closed == []
    account.cloud.pipeline.inject(Rule("sqs", "kill-after", "CreateQueue"))
    assert pipeline.kill is not None
    answer, error = account.invoke("busy")
    assert (answer["errorType"], error) == ("Runtime.ExitError", "Unhandled")
    assert closed == ["connection"]
    gc.collect()
    assert (kept[0](), sessions[0]()) == (None, None)
    assert account.invoke("busy") == (2, None)
