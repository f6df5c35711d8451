"""The shapes that every component speaks in."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site


class Absent(enum.Enum):
    """The type of `ABSENT`: the thing is not there, or should not be."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent.ABSENT


class Action(enum.StrEnum):
    """What a change does to a resource."""

    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"


class Effect(enum.StrEnum):
    """What a change means for those who use the environment meanwhile."""

    NONE = "None"
    DISRUPTS = "Disrupts"  # connections or pods are moved, the application keeps serving
    REPLACES = "Replaces"  # the resource goes and comes again


@dataclass(frozen=True)
class Change:
    """One act on one resource, and why. Components derive a class per act and add what it needs.

    `resource` reads as `managed node group workers`, for people; `reason` completes "because …".
    """

    action: Action
    resource: str
    reason: str
    effect: Effect = Effect.NONE
    # `False`: not possible yet (an update is under way, a need is missing); shown in a plan, not applied.
    possible: bool = True


@dataclass(frozen=True)
class Pace:
    """When to look again, in seconds: after starting something, and while it is under way.

    The longer it is overdue, the more rarely: never before a `share`th of the time since `first` has passed.
    """

    first: int
    poll: int
    share: int = 25


@dataclass(frozen=True)
class Ready:
    """The thing is as it should be."""

    reason: str = "AsDesired"
    message: str = ""


@dataclass(frozen=True)
class Waiting:
    """Work or a need is under way. `on` names a component or an AWS state; `reason` is for people."""

    on: str
    reason: str
    after: int | Pace = 0  # seconds until the next look; 0: the component's pace; a Pace of its own: aimed at
    aimed: bool = False  # what the component's pace tells the duration of is under way: no look before its `first`
    strictly: bool = False  # a look before that would mislead: there is none, though the handler be killed and retried
    remedy: str = ""  # once patience has ended, where it is known better than by the component's row


@dataclass(frozen=True)
class Failed:
    """It will not come right by waiting."""

    cause: str
    remedy: str
    code: str = "Failed"  # PascalCase, becomes the condition's reason


type Verdict = Ready | Waiting | Failed


@dataclass(frozen=True)
class Observation:
    """Base of what components see: `waiting` names a need that is not there yet (None: all are)."""

    waiting: Waiting | None = field(default=None, kw_only=True)


class Component(Protocol):
    """The functions of a component module (modules are checked against this by mypy and a test)."""

    def desired(self, environment: Environment, site: Site) -> Any:
        """What should be there, from the record and the site alone (pure); ABSENT for nothing."""

    def changes(self, desired: Any, observed: Any) -> Sequence[Change]:
        """What makes observed as desired, in order; empty when it already is. NotOursError if it can't."""

    def condition(self, desired: Any, observed: Any) -> Verdict:
        """How it stands; Ready for (ABSENT, nothing left)."""

    def observe(self, world: World, environment: Environment) -> Any:
        """What is there, found by deterministic name or owner tag; never by what an earlier step returned."""

    def apply(self, world: World, environment: Environment, change: Change) -> Mapping[str, Any] | None:
        """Make one change. May run twice, or be killed after any call, with the same outcome.

        What AWS tells only in its answer (the id of a DNS change) may be returned: the next `observe` finds it
        among the component's facts. Nothing may depend on it.
        """

    def learned(self, observed: Any) -> Mapping[str, Any]:
        """Facts for the record, JSON values: ids, endpoints, versions. No secrets."""


@dataclass(frozen=True)
class Row:
    """A component's line in the table of `components.table`."""

    name: str  # node_groups: the module's name
    condition: str  # NodeGroupsReady
    pace: Pace
    patience: int  # seconds from the condition's lastTransitionTime until Waiting becomes Failed
    remedy: str  # what to look at when patience ends
    removal_patience: int = 3600
    needs: tuple[str, ...] = ()
    removal_waits_for: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """NodeGroups, as in the states EnsureNodeGroups and RemoveNodeGroups."""
        return "".join(part.capitalize() for part in self.name.split("_"))

    def step(self, *, removal: bool = False) -> str:
        """EnsureNodeGroups or RemoveNodeGroups, as the state and the operation's step are called."""
        return f"{'Remove' if removal else 'Ensure'}{self.title}"


@dataclass(frozen=True)
class Outcome:
    """What one run of a component came to."""

    ready: bool
    retry_after: int  # seconds; 0 when ready
    verdict: Verdict
    changes: tuple[Change, ...]  # those that were applied
    learned: Mapping[str, Any]
    at: datetime
