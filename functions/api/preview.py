"""What would change: every component function is asked what it observes, and nothing is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard import plan
from springboard.store.codec import environment_to_json

if TYPE_CHECKING:
    from springboard.admission import Admitted
    from springboard.record import Environment
    from springboard.runtime import World

_SECONDS = 20  # for all together; the gateway gives up at 30


def of(world: World, admitted: Admitted, present: Environment | None) -> dict[str, Any]:
    """The plan that makes the environment as admitted."""
    answers = _ask(world, admitted.environment, removal=False)
    return plan.document(admitted.environment, present, answers, warnings=admitted.warnings)


def of_removal(world: World, present: Environment) -> dict[str, Any]:
    """The plan that leaves nothing of it."""
    return plan.document(present, present, _ask(world, present, removal=True), removal=True)


def _ask(world: World, environment: Environment, *, removal: bool) -> dict[str, dict[str, Any]]:
    event = {
        "observe": True,
        "environment": environment.uid,
        "document": environment_to_json(environment),
        "removal": removal,
    }
    return world.functions.ask(world.settings.functions, event, _SECONDS)
