"""What roles were allowed and refused, one by one.

From it tests learn which permissions are needed, by what, and whom their conditions hold off.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from springboard_local.services.iam.policy import Context

# Of one action of one role; names that differ by a generated part would else pile up.
_RESOURCES = 200


@dataclass(frozen=True)
class Decision:
    """A role's policies allowed an action on a resource, or did not; of several alike the last."""

    number: int  # grows with time, over all decisions
    role: str  # its name
    action: str
    resource: str
    demanded_by: str  # the call, if the action was demanded beside it: eks:CreateCluster; "" if it was called itself
    context: Context  # all condition keys, in lower case


class Decisions:
    """The record of them."""

    def __init__(self, *, by_context: bool = False) -> None:
        """`by_context`: those of one resource with other conditions are not alike."""
        self._by_context = by_context
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._kept: dict[tuple[str, str, str], dict[tuple[str, ...], Decision]] = {}

    def note(self, role: str, action: str, resource: str, context: Context, demanded_by: str = "") -> None:
        """Keep a decision."""
        with self._lock:
            alike = self._kept.setdefault((role, action, demanded_by), {})
            if self._by_context:
                key: tuple[str, ...] = (resource, repr(sorted(context.items())))
            else:
                key = (resource, *context.get("kms:viaservice", ()))  # one KMS key is used through several services
            alike.pop(key, None)
            alike[key] = Decision(next(self._numbers), role, action, resource, demanded_by, context)
            if len(alike) > _RESOURCES:
                del alike[next(iter(alike))]

    def all(self) -> list[Decision]:
        """Oldest first."""
        with self._lock:
            return sorted(
                (each for alike in self._kept.values() for each in alike.values()), key=lambda each: each.number
            )

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._kept.clear()
