"""The objects of one cluster: versioned, with a bounded log of changes to watch.

Objects in the store are never changed in place: a write puts a new one there, so readers need no lock and
no copy. All of it runs on the one event loop.
"""

from __future__ import annotations

import collections
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.objects import Key, Obj, name_of, namespace_of, now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# How many changes are kept for watches that resume; older ones are answered with 410.
LOG_LENGTH = 4000

# Where an object is: resource, namespace, name.
type Place = tuple[Key, str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a resource's history. `type` is ADDED, MODIFIED or DELETED."""

    revision: int
    key: Key
    type: str
    obj: Obj
    previous: Obj | None


def _without_versions(obj: Obj) -> Obj:
    meta = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return {**obj, "metadata": meta}


def same_content(one: Obj, other: Obj) -> bool:
    """Whether two versions of an object differ in nothing but resourceVersion and managedFields."""
    return _without_versions(one) == _without_versions(other)


class Store:
    """A dict per resource, a revision, and an event log."""

    def __init__(self) -> None:
        self.revision = 1
        self.objects: dict[Key, dict[tuple[str, str], Obj]] = collections.defaultdict(dict)
        self._log: collections.deque[Change] = collections.deque(maxlen=LOG_LENGTH)
        self._oldest = 1
        self._listeners: list[Callable[[Change], None]] = []
        self._owned: dict[str, set[Place]] = collections.defaultdict(set)

    def get(self, key: Key, namespace: str, name: str) -> Obj | None:
        """One object, not to be changed."""
        return self.objects[key].get((namespace, name))

    def list(self, key: Key, namespace: str = "", test: Callable[[Obj], bool] | None = None) -> list[Obj]:
        """Objects in the order of namespace and name; all namespaces if none is given."""
        found = self.objects[key]
        return [
            found[place]
            for place in sorted(found)
            if (not namespace or place[0] == namespace) and (test is None or test(found[place]))
        ]

    def owned_by(self, uid: str) -> Iterable[Place]:
        """Where the objects are that name `uid` as an owner."""
        return tuple(sorted(self._owned.get(uid, ())))

    def create(self, key: Key, obj: Obj) -> Obj:
        """Put a new object in; it gets uid, creationTimestamp and resourceVersion."""
        self.revision += 1
        meta = obj["metadata"]
        meta.setdefault("uid", str(uuid.uuid4()))
        meta.setdefault("creationTimestamp", now())
        meta["resourceVersion"] = str(self.revision)
        self.objects[key][namespace_of(obj), name_of(obj)] = obj
        self._index(key, obj, add=True)
        self._emit(Change(self.revision, key, "ADDED", obj, None))
        return obj

    def replace(self, key: Key, obj: Obj) -> Obj:
        """Put a new version in; one with the same content costs no revision."""
        place = namespace_of(obj), name_of(obj)
        previous = self.objects[key][place]
        if same_content(obj, previous) and obj["metadata"].get("managedFields") == previous["metadata"].get(
            "managedFields"
        ):
            return previous
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        self._index(key, previous, add=False)
        self._index(key, obj, add=True)
        self.objects[key][place] = obj
        self._emit(Change(self.revision, key, "MODIFIED", obj, previous))
        return obj

    def remove(self, key: Key, obj: Obj) -> Obj:
        """Take an object out; its last version is answered."""
        previous = self.objects[key].pop((namespace_of(obj), name_of(obj)), None)
        if previous is None:
            return obj
        self.revision += 1
        self._index(key, previous, add=False)
        last = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}
        self._emit(Change(self.revision, key, "DELETED", last, previous))
        return last

    def knows(self, revision: int) -> bool:
        """Whether all that happened after `revision` is still in the log."""
        return revision >= self._oldest - 1

    def since(self, key: Key, revision: int) -> Sequence[Change]:
        """What happened to a resource after `revision`."""
        return [change for change in self._log if change.revision > revision and change.key == key]

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` on each change from now on; the answer ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _index(self, key: Key, obj: Obj, *, add: bool) -> None:
        place = key, namespace_of(obj), name_of(obj)
        for reference in obj["metadata"].get("ownerReferences") or ():
            places = self._owned[reference["uid"]]
            if add:
                places.add(place)
            else:
                places.discard(place)
                if not places:
                    del self._owned[reference["uid"]]

    def _emit(self, change: Change) -> None:
        if len(self._log) == self._log.maxlen:
            self._oldest = self._log[0].revision + 1
        self._log.append(change)
        for listener in tuple(self._listeners):
            listener(change)
