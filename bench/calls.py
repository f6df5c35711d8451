"""`python -m bench.calls`: what one create, one repetition and one delete ask of AWS, by function and operation.

Runs the stack in this process on a manual clock, so that the counts are the same on every machine. Budgets are
the design's; Springboard's own table, bus, executions and logs do not count, nor does the asking for credentials.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from springboard_local.clock import ManualClock
from springboard_local.cloud import LocalCloud, Settings
from tests.steps.flow import stack
from tests.steps.flow.springboard import Springboard, example

if TYPE_CHECKING:
    from springboard_local.pipeline import Record

BUDGETS = {"AWS calls of a create": 130, "mutating ones": 50, "transitions": 150, "AWS calls of a repetition": 30}


def main() -> int:
    """Measure and print; the exit code says whether all budgets are kept."""
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as state:
        settings = Settings(Path(state), spread=False, extra={"handlers": {}})
        with LocalCloud(settings, clock) as cloud:
            measured = measure(Springboard(cloud, clock, stack.deploy(cloud, clock)))
    clock.close()
    print()
    over = 0
    for name, most in BUDGETS.items():
        over += measured[name] > most
        print(f"{name:28} {measured[name]:5} of {most:4}{'   OVER' if measured[name] > most else ''}")
    return 1 if over else 0


def measure(springboard: Springboard) -> dict[str, int]:
    """The counts that have a budget."""
    shop = example("shop")
    springboard.forget_calls()
    created = springboard.apply(shop)
    if created.phase != "Ready":
        raise SystemExit(f"{created.phase}: {created.document['status']}")
    calls = springboard.calls()
    table("create", calls)
    transitions = entered(springboard)
    springboard.forget_calls()
    springboard.send(shop)
    again = springboard.calls()
    table("repetition", again)
    springboard.forget_calls()
    springboard.delete("shop")
    table("delete", springboard.calls())
    counts = (len(calls), sum(call.mutating for call in calls), transitions, len(again))
    return dict(zip(BUDGETS, counts, strict=True))


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


def entered(springboard: Springboard) -> int:
    """How many states the last execution of the provision machine has entered."""
    states = springboard.cloud.client("stepfunctions")
    machine = springboard.outputs["ProvisionMachineArn"]
    latest = states.list_executions(stateMachineArn=machine)["executions"][0]["executionArn"]
    history = states.get_paginator("get_execution_history").paginate(executionArn=latest)
    return sum(event["type"].endswith("StateEntered") for page in history for event in page["events"])


if __name__ == "__main__":
    raise SystemExit(main())
