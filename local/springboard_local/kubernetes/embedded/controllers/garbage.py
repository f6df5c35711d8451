"""The garbage collector: dependents follow their owners, and finalizers of a cascade are seen to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.objects import Key, Obj, is_terminating, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.embedded.controllers.manager import Item
    from springboard_local.kubernetes.embedded.store import Change, Place

_CASCADE = frozenset({"foregroundDeletion", "orphan"})


def _encode(place: Place) -> str:
    (group, plural), namespace, name = place
    return json.dumps([group, plural, namespace, name])


def _decode(text: str) -> Place:
    group, plural, namespace, name = json.loads(text)
    return (group, plural), namespace, name


class GarbageCollector:
    """An item is either an owner's uid (and where the owner is, if it is still there), or a new dependent's place."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    def items(self, change: Change) -> Iterable[Item]:
        """Owners that go, and dependents that come without an owner or go before it."""
        meta = change.obj["metadata"]
        place = change.key, namespace_of(change.obj), name_of(change.obj)
        if change.type == "DELETED":
            if self._store.owned_by(meta["uid"]):
                yield meta["uid"], ""
        elif meta.get("deletionTimestamp") and _CASCADE & set(meta.get("finalizers") or ()):
            yield meta["uid"], _encode(place)
        references = meta.get("ownerReferences") or ()
        if change.type == "ADDED" and references:
            yield "", _encode(place)
        if change.type == "DELETED":
            for reference in references:
                key = self._context.registry.catalog.key_of(reference)
                if key and reference.get("blockOwnerDeletion"):
                    yield reference["uid"], _encode((key, namespace_of(change.obj), reference["name"]))

    def reconcile(self, namespace: str, name: str) -> None:
        """`namespace` is an owner's uid or empty, `name` an encoded place or empty."""
        if not namespace:
            self._check_owners(_decode(name))
            return
        owner = self._owner_at(namespace, name)
        if owner is None:
            self._release(namespace, None)
            return
        key, obj = owner
        finalizers = set(obj["metadata"].get("finalizers") or ())
        if not is_terminating(obj):
            return
        if "orphan" in finalizers:
            self._orphan(namespace)
            self._drop_finalizer(key, obj, "orphan")
        elif "foregroundDeletion" in finalizers:
            self._release(namespace, obj)
            if not self._is_blocked(namespace):
                self._drop_finalizer(key, obj, "foregroundDeletion")

    def _owner_at(self, uid: str, text: str) -> tuple[Key, Obj] | None:
        if not text:
            return None
        key, namespace, name = _decode(text)
        found = self._store.get(key, namespace, name) or self._store.get(key, "", name)
        return (key, found) if found is not None and uid_of(found) == uid else None

    def _check_owners(self, place: Place) -> None:
        """A new object all of whose owners are gone goes too."""
        obj = self._store.get(*place)
        references = obj["metadata"].get("ownerReferences") if obj else None
        if obj and references and not any(self._exists(r, place[1]) for r in references):
            self._context.remove(place[0], obj)

    def _exists(self, reference: Obj, namespace: str) -> bool:
        key = self._context.registry.catalog.key_of(reference)
        if key is None:
            return False
        found = self._store.get(key, namespace, reference["name"]) or self._store.get(key, "", reference["name"])
        return found is not None and uid_of(found) == reference["uid"]

    def _dependents(self, uid: str) -> list[tuple[Key, Obj]]:
        return [(place[0], obj) for place in self._store.owned_by(uid) if (obj := self._store.get(*place))]

    def _release(self, uid: str, owner: Obj | None) -> None:
        """Delete the dependents; those with another living owner only lose this one."""
        for key, dependent in self._dependents(uid):
            others = [r for r in dependent["metadata"]["ownerReferences"] if r["uid"] != uid]
            if any(self._exists(r, namespace_of(dependent)) for r in others):
                self._set_owners(key, dependent, others)
            elif not is_terminating(dependent):
                self._context.remove(key, dependent, "Foreground" if owner else "Background")

    def _orphan(self, uid: str) -> None:
        for key, dependent in self._dependents(uid):
            self._set_owners(key, dependent, [r for r in dependent["metadata"]["ownerReferences"] if r["uid"] != uid])

    def _set_owners(self, key: Key, dependent: Obj, references: list[Obj]) -> None:
        def change(obj: Obj) -> None:
            obj["metadata"]["ownerReferences"] = references
            if not references:
                del obj["metadata"]["ownerReferences"]

        self._context.registry.edit(key, dependent, change)

    def _is_blocked(self, uid: str) -> bool:
        return any(
            reference.get("blockOwnerDeletion") and reference["uid"] == uid
            for _, dependent in self._dependents(uid)
            for reference in dependent["metadata"]["ownerReferences"]
        )

    def _drop_finalizer(self, key: Key, obj: Obj, finalizer: str) -> None:
        def change(target: Obj) -> None:
            meta = target["metadata"]
            meta["finalizers"] = [f for f in meta.get("finalizers") or () if f != finalizer]

        self._context.registry.edit(key, obj, change)
