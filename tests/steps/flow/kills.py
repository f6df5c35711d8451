"""Deaths of functions around their mutating calls, as many and where a clean run has made some.

On AWS, to the record, to the bus: the pipeline ends the worker before a call has reached the service, or after the
service has done it and before the function hears of it. To Kubernetes: the in-process stack does the same.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from springboard_local.pipeline import Rule
from tests.steps.flow import stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.steps.flow.springboard import Springboard

type Moment = Literal["kill-before", "kill-after"]
MOMENTS: tuple[Moment, ...] = ("kill-before", "kill-after")

# What the outbox does is repeated for each event: it dies many times in a run, at a distance.
PUBLISHER = "publish-events"
PUBLISHER_DISTANCE = 13
# They look at environments from outside of any operation.
_BYSTANDERS = frozenset({"drift-check", "sweep", "execution-ended"})


@dataclass(frozen=True)
class Mutation:
    """One mutating call of a function, the `number`th of its calls in a clean run (from 0)."""

    function: str  # firewall
    call: str  # ec2:CreateSecurityGroup
    number: int


def mutations(springboard: Springboard) -> dict[str, list[Mutation]]:
    """What each function has changed since `forget_calls`, in order; kubernetes:PATCH among it."""
    found: dict[str, list[Mutation]] = defaultdict(list)
    for call in springboard.recorded():
        function = call.principal.rpartition("/")[2].removeprefix(f"{stack.STACK}-")
        if call.mutating and f"{stack.STACK}-{function}" in springboard.functions and function not in _BYSTANDERS:
            found[function].append(Mutation(function, f"{call.service}:{call.operation}", len(found[function])))
    return dict(found)


def arm(springboard: Springboard, moment: Moment, number: int, functions: Mapping[str, Sequence[Mutation]]) -> None:
    """Let every function die once, around the `number`th of its mutating calls from now on."""
    for function, calls in functions.items():
        for skip in range(number, len(calls), PUBLISHER_DISTANCE if function == PUBLISHER else len(calls)):
            springboard.cloud.pipeline.inject(
                Rule("*", moment, principal=f"*/{stack.STACK}-{function}", mutating=True, skip=skip, times=1)
            )


def kill(springboard: Springboard, moment: Moment, call: str, function: str = "*", skip: int = 0) -> Rule:
    """Let a function die around one call: ec2:CreateSecurityGroup."""
    service, _, operation = call.partition(":")
    return springboard.cloud.pipeline.inject(
        Rule(service, moment, operation, f"*/{stack.STACK}-{function}", mutating=True, skip=skip, times=1)
    )


def deaths(springboard: Springboard) -> int:
    """How often a function has died of the faults that are there."""
    return sum(rule.struck for rule in rules(springboard))


def rules(springboard: Springboard) -> list[Rule]:
    """Those that end functions around their calls."""
    return [fault for fault in springboard.cloud.pipeline.faults() if isinstance(fault, Rule)]


def disarm(springboard: Springboard) -> None:
    """Nobody dies any more."""
    springboard.cloud.pipeline.clear_faults()
    springboard.kubernetes.clear()
