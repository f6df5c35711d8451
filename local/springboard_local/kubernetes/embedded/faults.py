"""What is made to go wrong: images that can't be pulled, containers that crash, nodes that fall silent."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from springboard_local.kubernetes.embedded.objects import name_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard_local.kubernetes.embedded.objects import Obj

PULL_REASONS = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName"})
CRASH_REASONS = frozenset({"CrashLoopBackOff", "OOMKilled", "Error"})
UNREADY_REASONS = frozenset({"NotReady", "Unready"})
_CONTAINER_REASONS = PULL_REASONS | CRASH_REASONS | UNREADY_REASONS
_REASONS = {
    "Image": _CONTAINER_REASONS,
    "Pod": _CONTAINER_REASONS | {"Unschedulable"},
    "Node": frozenset({"NotReady"}),
}


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, for all that `match` matches."""

    kind: str
    match: str
    reason: str
    message: str = ""
    log: str = ""


class Faults:
    """The faults in force; the last one injected wins."""

    def __init__(self) -> None:
        self._faults: dict[tuple[str, str], Fault] = {}

    def inject(self, condition: Mapping[str, Any]) -> Fault:
        """Put a fault in force, or end it where the reason is empty; ValueError for what isn't known."""
        kind, match = str(condition.get("kind", "")), str(condition.get("match") or "*")
        reason = str(condition.get("reason", ""))
        if kind not in _REASONS:
            raise ValueError(f"unknown kind {kind!r}: one of {', '.join(sorted(_REASONS))}")
        if reason and reason not in _REASONS[kind]:
            raise ValueError(f"unknown reason {reason!r} for {kind}: one of {', '.join(sorted(_REASONS[kind]))}")
        fault = Fault(kind, match, reason, str(condition.get("message", "")), str(condition.get("log", "")))
        self._faults.pop((kind, match), None)
        if reason:
            self._faults[kind, match] = fault
        return fault

    def _find(self, kind: str, text: str) -> Fault | None:
        found = (f for f in reversed(self._faults.values()) if f.kind == kind and fnmatchcase(text, f.match))
        return next(found, None)

    def of_container(self, pod: Obj, image: str) -> Fault | None:
        """What ails a container of a pod."""
        return self._find("Pod", f"{namespace_of(pod)}/{name_of(pod)}") or self._find("Image", image)

    def of_pod(self, namespace: str, name: str) -> Fault | None:
        """What ails a pod as a whole."""
        return self._find("Pod", f"{namespace}/{name}")

    def of_node(self, name: str) -> Fault | None:
        """What ails a node."""
        return self._find("Node", name)
