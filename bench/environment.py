"""Lives of the example environment in this process: calls, transitions, events, handlers, and how soon it is ready.

The stack runs on the manual clock, so a figure is AWS's time as the latency model draws it, with none of the machine's
in it; what the handlers themselves take is measured beside it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, override

from bench import critical_path
from bench.budgets import Figure
from springboard_local.clock import ManualClock
from springboard_local.cloud import LocalCloud, Settings
from springboard_local.latency import LatencyModel
from tests.steps.flow import stack
from tests.steps.flow.springboard import OWN, Springboard, example
from tests.template import source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from springboard_local.pipeline import Record

    type Handler = Callable[[object, object], object]

# Asking for credentials counts as a call (design, section 9).
_OWN = OWN - {"sts"}
# Handlers on the way from the first call to the last target; the others run beside them.
_ON_THE_WAY = ("begin", "schedules", "firewall", "target", "cluster", "access", "addons", "node", "workload", "targets")
# Lambda (arm64) and Step Functions standard, us-east-1 list prices of 2026-06.
_GB_SECOND, _REQUEST, _TRANSITION = 0.0000133334, 0.20e-6, 0.025e-3


class Recording(LatencyModel):
    """Draws, and keeps the longest of each operation."""

    def __init__(self) -> None:
        super().__init__(spread=False)
        self.longest: dict[str, float] = {}

    def begin(self, seed: int | None) -> None:
        """Forget, and draw from another seed; None: medians."""
        super().__init__(seed or 0, spread=seed is not None)
        self.longest = {}

    @override
    def seconds(self, operation: str) -> float:
        drawn = super().seconds(operation)
        self.longest[operation] = max(drawn, self.longest.get(operation, 0.0))
        return drawn


@dataclass
class Handlers:
    """Seconds of every invocation, by function."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def wrap(self, name: str, run: Handler) -> Handler:
        """The handler, timed."""

        def timed(event: object, context: object) -> object:
            begun = time.perf_counter()
            try:
                return run(event, context)
            finally:
                self.seconds[name].append(time.perf_counter() - begun)

        return timed

    def taken(self) -> dict[str, list[float]]:
        """What was measured since it was last taken."""
        taken, self.seconds = dict(self.seconds), defaultdict(list)
        return taken


def measure(seeds: int) -> list[Figure]:
    """One life on medians, counted; then `seeds` creates and deletes with draws, timed."""
    clock, latency, handlers = ManualClock(), Recording(), Handlers()
    with tempfile.TemporaryDirectory() as state:
        settings = Settings(Path(state), extra={"handlers": {}})
        with LocalCloud(settings, clock, latency) as cloud:
            springboard = Springboard(cloud, clock, stack.deploy(cloud, clock))
            registered = cloud.settings.extra["handlers"]
            registered.update({name: handlers.wrap(name, run) for name, run in registered.items()})
            figures = list(_counted(springboard, handlers))
            figures += _ready(springboard, latency, handlers, seeds)
    clock.close()
    return figures


def _counted(springboard: Springboard, handlers: Handlers) -> Iterator[Figure]:
    shop = example("shop")
    changed = example("shop")
    changed["spec"]["apps"][0]["replicas"] = 4
    how = "in process, median latencies, functions' calls without the record's, the bus's and the executions'"
    acts: dict[str, Callable[[], object]] = {
        "create": lambda: springboard.apply(shop),
        "no-op": lambda: springboard.send(shop),
        "change": lambda: springboard.apply(changed),
        "delete": lambda: springboard.delete("shop"),
    }
    for act, run in acts.items():
        mark = max((call.number for call in springboard.cloud.pipeline.calls()), default=0)
        handlers.taken()
        run()
        calls = [call for call in springboard.cloud.pipeline.calls() if call.number > mark and _counts(call)]
        changing = [call for call in calls if call.mutating]
        yield Figure(f"AWS calls of a {act}", "calls", len(calls), how, _by_service(calls))
        yield Figure(f"mutating AWS calls of a {act}", "calls", len(changing), how, _by_service(changing))
        if act == "no-op":
            continue
        states, events = _history(springboard, "TeardownMachineArn" if act == "delete" else "ProvisionMachineArn")
        yield Figure(f"transitions of a {act}", "transitions", states, "states entered by its execution")
        yield Figure(f"history events of a {act}", "events", events, "of its execution")
        yield from _cost(act, handlers.taken(), states)


def _counts(call: Record) -> bool:
    return not call.internal and call.service not in _OWN and f"assumed-role/{stack.STACK}-" in call.principal


def _by_service(calls: list[Record]) -> dict[str, int]:
    return dict(Counter(call.service for call in calls).most_common())


def _history(springboard: Springboard, machine: str) -> tuple[int, int]:
    """States entered and events of the machine's latest execution."""
    states = springboard.cloud.client("stepfunctions")
    latest = states.list_executions(stateMachineArn=springboard.outputs[machine])["executions"][0]["executionArn"]
    pages = states.get_paginator("get_execution_history").paginate(executionArn=latest)
    types = [event["type"] for page in pages for event in page["events"]]
    return sum(each.endswith("StateEntered") for each in types), len(types)


def _cost(act: str, taken: dict[str, list[float]], transitions: int) -> Iterator[Figure]:
    memory = _memory()
    used = sum(sum(seconds) * memory.get(name, 256) / 1024 for name, seconds in taken.items())
    invocations = sum(len(seconds) for seconds in taken.values())
    how = "handlers' seconds in this process times their memory: AWS's answers take longer, its machines are slower"
    yield Figure(f"Lambda of a {act}", "GB-seconds", round(used, 3), how, {"invocations": invocations})
    dollars = used * _GB_SECOND + invocations * _REQUEST + transitions * _TRANSITION
    priced = "that, requests and transitions at list prices of us-east-1, 2026-06"
    yield Figure(f"cost of a {act}", "USD", round(dollars, 5), priced)


def _memory() -> dict[str, int]:
    """MB by function name, as the template says."""
    functions = source.resources("AWS::Serverless::Function")
    return {
        each["Properties"]["FunctionName"]["Fn::Sub"].replace("${Prefix}", stack.STACK): int(
            each["Properties"].get("MemorySize", 256)
        )
        for each in functions.values()
    }


def _ready(springboard: Springboard, latency: Recording, handlers: Handlers, seeds: int) -> list[Figure]:
    ratios: list[float] = []
    for seed in range(1, seeds + 1):
        latency.begin(seed)
        handlers.taken()
        operation = springboard.apply(example("shop")).operation
        ended, started = (datetime.fromisoformat(operation[key]) for key in ("endedAt", "startedAt"))
        own = sum(
            sum(seconds)
            for name, seconds in handlers.taken().items()
            if any(part in name.removeprefix(f"{stack.STACK}-") for part in _ON_THE_WAY)
        )
        shortest = critical_path.seconds(latency.longest)
        ratios.append(((ended - started).total_seconds() + own) / shortest)
        latency.begin(None)
        springboard.delete("shop")
    how = f"{seeds} seeds, each against the critical path of its own draws; virtual and measured handlers' seconds"
    if not ratios:
        return []
    p95 = sorted(ratios)[min(len(ratios) - 1, round(0.95 * len(ratios)))]
    return [
        Figure("app-ready over critical path", "ratio", round(statistics.median(ratios), 3), f"median of {how}"),
        Figure("app-ready over critical path, p95", "ratio", round(p95, 3), f"95th percentile of {how}"),
    ]
