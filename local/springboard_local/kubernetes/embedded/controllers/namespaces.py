"""Namespaces: what every one has, and how one ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.objects import (
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    SERVICE_ACCOUNTS,
    Key,
    Obj,
    is_terminating,
    name_of,
    namespace_of,
    set_condition,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.embedded.controllers.manager import Item
    from springboard_local.kubernetes.embedded.store import Change

_ROOT_CA = "kube-root-ca.crt"
_GONE_WELL = (
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
)


class Namespaces:
    """Fills new namespaces and empties those that go."""

    def __init__(self, context: Context, authority: bytes) -> None:
        self._context = context
        self._store = context.store
        self._authority = authority.decode()

    def items(self, change: Change) -> Iterable[Item]:
        """Namespaces, and those that lost an object while they go, or one that they always have."""
        if change.key == NAMESPACES and change.type != "DELETED":
            yield "", name_of(change.obj)
        elif change.type == "DELETED" and namespace_of(change.obj):
            space = self._store.get(NAMESPACES, "", namespace_of(change.obj))
            if space and (is_terminating(space) or change.key in (SERVICE_ACCOUNTS, CONFIG_MAPS)):
                yield "", name_of(space)

    def reconcile(self, namespace: str, name: str) -> None:
        """Fill or empty."""
        space = self._store.get(NAMESPACES, namespace, name)
        if space is None:
            return
        if is_terminating(space):
            self._empty(space)
            return
        if not self._store.get(SERVICE_ACCOUNTS, name, "default"):
            self._context.create(SERVICE_ACCOUNTS, name, {"metadata": {"name": "default"}})
        if not self._store.get(CONFIG_MAPS, name, _ROOT_CA):
            note = (
                "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints "
                "such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
                "distributions of Kubernetes clusters."
            )
            meta = {"name": _ROOT_CA, "annotations": {"kubernetes.io/description": note}}
            self._context.create(CONFIG_MAPS, name, {"metadata": meta, "data": {"ca.crt": self._authority}})

    def _empty(self, space: Obj) -> None:
        left = self._contents(name_of(space))
        for key, obj in left:
            if not is_terminating(obj):
                self._context.remove(key, obj)
        left = self._contents(name_of(space))
        if not left:
            self._context.registry.edit(NAMESPACES, space, lambda n: n["spec"].__setitem__("finalizers", []))
            last = self._store.get(NAMESPACES, "", name_of(space))
            if last and not last["metadata"].get("finalizers"):
                self._store.remove(NAMESPACES, last)
            return
        self._tell_what_is_left(space, left)

    def _contents(self, name: str) -> list[tuple[Key, Obj]]:
        """Events go last, for others may still be written."""
        found = [
            (key, obj) for key, objects in list(self._store.objects.items()) for (ns, _), obj in list(objects.items())
            if ns == name
        ]  # fmt: skip
        return sorted(found, key=lambda item: item[0] == EVENTS)

    def _tell_what_is_left(self, space: Obj, left: list[tuple[Key, Obj]]) -> None:
        waiting = [(key, obj) for key, obj in left if obj["metadata"].get("finalizers")]
        counts: dict[str, int] = {}
        for _, obj in waiting:
            for finalizer in obj["metadata"]["finalizers"]:
                counts[finalizer] = counts.get(finalizer, 0) + 1
        parts = ", ".join(f"{f} in {n} resource instances" for f, n in sorted(counts.items()))

        def change(status: Obj) -> None:
            status["phase"] = "Terminating"
            for kind, reason, text in _GONE_WELL:
                set_condition(status, kind, "False", reason, text)
            if parts:
                kinds: dict[str, int] = {}
                for (group, plural), _ in waiting:
                    resource = f"{plural}.{group}" if group else f"{plural}."
                    kinds[resource] = kinds.get(resource, 0) + 1
                listing = ", ".join(f"{k} has {n} resource instances" for k, n in sorted(kinds.items()))
                text = f"Some resources are remaining: {listing}"
                set_condition(status, "NamespaceContentRemaining", "True", "SomeResourcesRemain", text)
                text = f"Some content in the namespace has finalizers remaining: {parts}"
                set_condition(status, "NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", text)

        self._context.registry.edit_status(NAMESPACES, space, change)
