"""What is made to go wrong: images that can't be pulled, containers that crash, nodes that fall silent, a sick API."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from springboard_local.kubernetes.embedded.errors import ApiError, unauthorized
from springboard_local.kubernetes.embedded.objects import name_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard_local.kubernetes.embedded.objects import Obj

PULL_REASONS = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName"})
CRASH_REASONS = frozenset({"CrashLoopBackOff", "OOMKilled", "Error"})
UNREADY_REASONS = frozenset({"NotReady", "Unready"})
UNREACHABLE = "Unreachable"  # the connection ends without an answer
KILL_BEFORE, KILL_AFTER = "KillBefore", "KillAfter"  # so does the process that asks, before or after it is served
KILLS = frozenset({KILL_BEFORE, KILL_AFTER})
_CONTAINER_REASONS = PULL_REASONS | CRASH_REASONS | UNREADY_REASONS
# HTTP status and text by the reason of a Status, as apimachinery's errors have them.
_STATUSES = {
    "Conflict": (
        409,
        "Operation cannot be fulfilled: the object has been modified; please apply your changes and try again",
    ),
    "Forbidden": (403, "forbidden"),
    "InternalError": (500, "Internal error occurred: etcdserver: request timed out"),
    "ServiceUnavailable": (503, "the server is currently unable to handle the request"),
    "Timeout": (
        504,
        "the server was unable to return a response in the time allotted, but may still be processing the request",
    ),
    "TooManyRequests": (429, "the server has received too many requests and has asked us to try again later"),
}
_REASONS = {
    "Image": _CONTAINER_REASONS,
    "Pod": _CONTAINER_REASONS | {"Unschedulable"},
    "Node": frozenset({"NotReady"}),
    "Api": frozenset({UNREACHABLE, "Unauthorized", *KILLS, *_STATUSES}),
}


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, for all that `match` matches."""

    kind: str
    match: str
    reason: str
    message: str = ""
    log: str = ""
    times: int | None = None  # how often a fault of the API strikes yet; None: until it is ended
    skip: int = 0  # how many requests a fault of the API lets pass yet

    @property
    def answer(self) -> ApiError:
        """What the API server answers instead, for a fault of the API."""
        if self.reason == "Unauthorized":
            return unauthorized()
        code, message = _STATUSES[self.reason]
        headers = {"Retry-After": "1"} if self.reason == "TooManyRequests" else {}
        return ApiError(code, self.reason, self.message or message, headers=headers)


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
        times, skip = condition.get("times", 1 if reason in KILLS else None), condition.get("skip", 0)
        if times is not None and (kind != "Api" or type(times) is not int or times < 1):
            raise ValueError(f"times is a number from 1, of a fault of the Api alone, not {times!r}")
        if type(skip) is not int or skip < 0 or (skip and kind != "Api"):
            raise ValueError(f"skip is a number from 0, of a fault of the Api alone, not {skip!r}")
        told = str(condition.get("message", "")), str(condition.get("log", ""))
        fault = Fault(kind, match, reason, *told, times, skip)
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

    def of_request(self, method: str, path: str) -> Fault | None:
        """What a request meets instead of an answer; counts it."""
        fault = self._find("Api", f"{method} {path}")
        if fault is None:
            return None
        key = (fault.kind, fault.match)
        if fault.skip:
            self._faults[key] = replace(fault, skip=fault.skip - 1)
            return None
        if fault.times is not None:
            if fault.times == 1:
                del self._faults[key]
            else:
                self._faults[key] = replace(fault, times=fault.times - 1)
        return fault

    def of_node(self, name: str) -> Fault | None:
        """What ails a node."""
        return self._find("Node", name)
