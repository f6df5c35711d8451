"""`python -m bench.calls`: what one create, one repetition and one delete ask of AWS, by function and operation.

Runs the stack in this process on a manual clock, so that the counts are the same on every machine. Springboard's own
table, bus, executions and logs do not count. `python -m bench` holds the sums to their budgets.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from springboard_local.latency import LatencyModel
from tests.steps.flow import stack
from tests.steps.flow.springboard import example, in_process

if TYPE_CHECKING:
    from springboard_local.pipeline import Record
    from tests.steps.flow.springboard import Springboard


def main() -> None:
    """Let the example live once, and list its calls."""
    with (
        tempfile.TemporaryDirectory() as state,
        in_process(Path(state), LatencyModel(spread=False)) as springboard,
    ):
        listed(springboard)


def listed(springboard: Springboard) -> None:
    """A table for the create, for the same document again, and for the delete."""
    shop = example("shop")
    springboard.forget_calls()
    created = springboard.apply(shop)
    if created.phase != "Ready":
        raise SystemExit(f"{created.phase}: {created.document['status']}")
    table("create", springboard.calls())
    springboard.forget_calls()
    springboard.send(shop)
    table("repetition", springboard.calls())
    springboard.forget_calls()
    springboard.delete("shop")
    table("delete", springboard.calls())


def table(title: str, calls: list[Record]) -> None:
    """Calls by function, the busiest first."""
    functions = Counter(function(call) for call in calls)
    print(f"\n{title}: {len(calls)} calls, {sum(call.mutating for call in calls)} of them mutating")
    for name, count in functions.most_common():
        operations = Counter(
            f"{call.service}:{call.operation}{'*' if call.mutating else ''}" for call in calls if function(call) == name
        )
        told = ", ".join(f"{operation} {times}" for operation, times in operations.most_common())
        print(f"  {count:4} {name:16} {told}")


def function(call: Record) -> str:
    """The function that called."""
    return call.principal.rpartition("/")[2].removeprefix(f"{stack.STACK}-")


if __name__ == "__main__":
    main()
