"""What differs between an environment as it was made and as it is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard.record import Condition, Phase, transition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from springboard.record import Environment


def comparable(environment: Environment) -> bool:
    """Whether the record says how the environment should be found: it was made, and nothing is at work."""
    return environment.lock is None and environment.phase in {Phase.READY, Phase.DEGRADED}


def found(answers: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry per difference: {component, action, resource, reason, effect}, or {component, unknown}.

    {component, failed, reason} of one that no change of ours would make right: somebody's record in our place, an
    expired certificate.
    """
    differences: list[dict[str, Any]] = []
    for component, answer in sorted(answers.items()):
        if "unknown" in answer:
            differences.append({"component": component, "unknown": answer["unknown"]})
        verdict = answer.get("verdict", {})
        if verdict.get("state") == "Failed":
            differences.append({"component": component, "failed": verdict["code"], "reason": verdict["cause"]})
        differences += [{"component": component, **change} for change in answer.get("changes", ())]
    return differences


def condition(environment: Environment, differences: Sequence[Mapping[str, Any]], now: datetime) -> Condition:
    """Drifted: True names what differs; Unknown where a component could not be asked and none differs."""
    differing = [difference for difference in differences if "unknown" not in difference]
    unknown = [difference["component"] for difference in differences if "unknown" in difference]
    if differing:
        status, reason = "True", "Differs"
        message = "; ".join(f"{each.get('resource') or each['component']}: {each['reason']}" for each in differing[:5])
    elif unknown:
        status, reason, message = "Unknown", "NotAnswered", f"no answer from {', '.join(unknown)}"
    else:
        status, reason, message = "False", "AsDeclared", ""
    before = environment.conditions.get("Drifted")
    return Condition(
        type="Drifted",
        status=status,
        reason=reason,
        message=message,
        last_transition_time=transition(before, status, now),
        observed_generation=environment.generation,
    )
