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
from typing import TYPE_CHECKING

from bench import critical_path, model
from bench.budgets import Figure, p95
from bench.draws import Drawn, drawn
from tests.steps.flow import stack
from tests.steps.flow.springboard import OWN, example, in_process
from tests.template import source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from springboard_local.pipeline import Record
    from tests.steps.flow.springboard import Reply, Springboard, Status

    type Handler = Callable[[object, object], object]

# Asking for credentials counts as a call (design, section 9).
_OWN = OWN - {"sts"}
# Lambda (arm64) and Step Functions standard, us-east-1 list prices of 2026-06.
_GB_SECOND, _REQUEST, _TRANSITION = 0.0000133334, 0.20e-6, 0.025e-3
_USED = "handlers' seconds in this process times their memory: AWS's answers take longer, its machines are slower"
_PRICED = "Springboard's own: that, requests and transitions at list prices of us-east-1, 2026-06"


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


def measure(seeds: int, runs: int) -> list[Figure]:
    """One life on medians, counted; `runs` whole creates on draws; and `seeds` creates by the model, held to these."""
    latency, handlers = Drawn(), Handlers()
    with tempfile.TemporaryDirectory() as state, in_process(Path(state), latency) as springboard:
        registered = springboard.cloud.settings.extra["handlers"]
        registered.update({name: handlers.wrap(name, run) for name, run in registered.items()})
        figures = list(_counted(springboard, handlers))
        own: dict[str, list[float]] = defaultdict(list)
        sample = [_whole(springboard, latency, handlers, seed, own) for seed in range(1, runs + 1)]
    figures += _sampled(sample)
    figures += _modelled(seeds, {name: statistics.median(seconds) for name, seconds in own.items()})
    return figures


def _counted(springboard: Springboard, handlers: Handlers) -> Iterator[Figure]:
    shop = example("shop")
    changed = example("shop")
    changed["spec"]["apps"][0]["replicas"] = 4
    how = "in process, median latencies, functions' calls without the record's, the bus's and the executions'"
    acts: dict[str, Callable[[], object]] = {
        "create": lambda: _ready(springboard.apply(shop)),
        "no-op": lambda: _nothing_to_do(springboard.send(shop)),
        "change": lambda: _ready(springboard.apply(changed)),
        "delete": lambda: springboard.delete("shop"),
    }
    used = spent = 0.0
    for act, run in acts.items():
        springboard.forget_calls()
        handlers.taken()
        run()
        calls = _calls(springboard)
        changing = [call for call in calls if call.mutating]
        yield Figure(f"AWS calls of a {act}", "calls", len(calls), how, _by_service(calls))
        yield Figure(f"mutating AWS calls of a {act}", "calls", len(changing), how, _by_service(changing))
        if act == "no-op":
            continue
        states, events = _history(springboard, "TeardownMachineArn" if act == "delete" else "ProvisionMachineArn")
        yield Figure(f"transitions of a {act}", "transitions", states, "states entered by its execution")
        yield Figure(f"history events of a {act}", "events", events, "of its execution")
        gigabytes, dollars = _cost(handlers.taken(), states)
        used, spent = used + gigabytes, spent + dollars
        yield Figure(f"Lambda of a {act}", "GB-seconds", round(gigabytes, 3), _USED)
        yield Figure(f"cost of a {act}", "USD", round(dollars, 5), _PRICED)
    yield Figure("Lambda of an environment", "GB-seconds", round(used, 3), f"create, change and delete; {_USED}")
    yield Figure("cost of an environment", "USD", round(spent, 5), f"create, change and delete; {_PRICED}")


def _ready(status: Status) -> Status:
    """The environment that was made; what has failed half-way costs less, and is no measurement of anything."""
    if status.phase != "Ready":
        raise SystemExit(f"nothing to measure, the environment is {status.phase}: {status.document['status']}")
    return status


def _nothing_to_do(reply: Reply) -> None:
    """As above, of a document that is sent once more."""
    if reply.status != 200:
        raise SystemExit(f"nothing to measure, the same document again was answered {reply.status}: {reply.document}")


def _calls(springboard: Springboard) -> list[Record]:
    return [call for call in springboard.recorded() if call.service not in _OWN]


def _by_service(calls: list[Record]) -> dict[str, int]:
    return dict(Counter(call.service for call in calls).most_common())


def _history(springboard: Springboard, machine: str) -> tuple[int, int]:
    """States entered and events of the machine's latest execution."""
    states = springboard.cloud.client("stepfunctions")
    latest = states.list_executions(stateMachineArn=springboard.outputs[machine])["executions"][0]["executionArn"]
    pages = states.get_paginator("get_execution_history").paginate(executionArn=latest)
    types = [event["type"] for page in pages for event in page["events"]]
    return sum(each.endswith("StateEntered") for each in types), len(types)


def _cost(taken: dict[str, list[float]], transitions: int) -> tuple[float, float]:
    """GB-seconds, and US dollars for these, their requests and the transitions."""
    memory = _memory()
    used = sum(sum(seconds) * memory.get(name, 256) / 1024 for name, seconds in taken.items())
    invocations = sum(len(seconds) for seconds in taken.values())
    return used, used * _GB_SECOND + invocations * _REQUEST + transitions * _TRANSITION


def _memory() -> dict[str, int]:
    """MB by function name, as the template says."""
    functions = source.resources("AWS::Serverless::Function")
    return {
        each["Properties"]["FunctionName"]["Fn::Sub"].replace("${Prefix}", stack.STACK): int(
            each["Properties"].get("MemorySize", 256)
        )
        for each in functions.values()
    }


@dataclass(frozen=True)
class Whole:
    """A whole create in the local cloud, and what the model says of the same draws."""

    seconds: float
    transitions: int
    calls: int
    path: float
    modelled: model.Run


def whole(springboard: Springboard, latency: Drawn, seed: int | None) -> Whole:
    """Create the example on that seed's draws; it stays."""
    latency.begin(seed)
    springboard.forget_calls()
    operation = _ready(springboard.apply(example("shop"))).operation
    ended, started = (datetime.fromisoformat(operation[key]) for key in ("endedAt", "startedAt"))
    states, _ = _history(springboard, "ProvisionMachineArn")
    calls = _calls(springboard)
    path = critical_path.seconds(latency.durations)
    taken = (ended - started).total_seconds()
    return Whole(taken, states, len(calls), path, model.create(latency.durations))


def _whole(
    springboard: Springboard, latency: Drawn, handlers: Handlers, seed: int, own: dict[str, list[float]]
) -> Whole:
    handlers.taken()
    came = whole(springboard, latency, seed)
    for name, seconds in handlers.taken().items():
        own[name.removeprefix(f"{stack.STACK}-").replace("-", "_")] += seconds
    latency.begin(None)
    springboard.delete("shop")
    return came


def _sampled(sample: list[Whole]) -> Iterator[Figure]:
    if not sample:
        return
    how = f"{len(sample)} whole creates in the local cloud, virtual time alone"
    ratio = statistics.median(each.seconds / each.path for each in sample)
    yield Figure("app-ready over critical path, sample of full runs", "ratio", round(ratio, 4), f"median of {how}")
    apart = max(abs(each.seconds - each.modelled.ready) for each in sample)
    yield Figure("app-ready, model apart from full runs", "s", round(apart, 3), f"the largest of {how}, same draws")


def _modelled(seeds: int, own: dict[str, float]) -> Iterator[Figure]:
    draws = [drawn(seed) for seed in range(1, seeds + 1)]
    runs = [model.create(durations, own) for durations in draws]
    how = f"{seeds} seeds by the model of the machine (bench/model.py), "
    timed = how + "each against the critical path of its own draws; virtual and measured handlers' seconds"
    ready = [run.ready / critical_path.seconds(each) for run, each in zip(runs, draws, strict=True)]
    served = [
        run.served / critical_path.seconds(each, critical_path.SERVES) for run, each in zip(runs, draws, strict=True)
    ]
    yield from _spread("app-ready over critical path", "ratio", ready, timed, 4)
    yield from _spread("app served over its critical path", "ratio", served, timed + "; without the add-ons", 4)
    yield from _spread("AWS calls of a create, over seeds", "calls", [run.calls for run in runs], how + "counted")
    yield from _spread(
        "transitions of a create, over seeds", "transitions", [run.transitions for run in runs], how + "counted"
    )


def _spread(name: str, unit: str, values: Sequence[float], how: str, digits: int = 0) -> Iterator[Figure]:
    """Median and 95th percentile, as two figures."""
    yield Figure(name, unit, round(statistics.median(values), digits), f"median of {how}")
    yield Figure(f"{name}, p95", unit, round(p95(values), digits), f"95th percentile of {how}")
