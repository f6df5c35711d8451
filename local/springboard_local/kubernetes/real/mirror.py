"""A copy of some of a cluster's objects, kept up to date by watches, for whoever in this process has to follow them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import aiohttp

from springboard_local.kubernetes.embedded.errors import ApiError
from springboard_local.kubernetes.embedded.objects import (
    BUDGETS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    SERVICES,
    Key,
    Obj,
    name_of,
    namespace_of,
    uid_of,
)
from springboard_local.kubernetes.embedded.store import Change, Store
from springboard_local.kubernetes.real.api import path_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from springboard_local.kubernetes.embedded.catalog import Resource
    from springboard_local.kubernetes.real.api import Api

log = logging.getLogger(__name__)

FOLLOWED = (NODES, PODS, SERVICES, BUDGETS, NETWORK_POLICIES)
_RETRY_SECONDS = 0.2


class MirrorStore(Store):
    """A store whose objects come, with their versions, from elsewhere."""

    def put(self, key: Key, obj: Obj) -> None:
        """Take an object over, unless a newer version of it is here."""
        previous = self.get(key, namespace_of(obj), name_of(obj))
        if previous is not None and uid_of(previous) != uid_of(obj):
            self.drop(key, previous)
            previous = None
        if previous is not None and _revision(previous) >= _revision(obj):
            return
        self.objects[key][namespace_of(obj), name_of(obj)] = obj
        self._emit(Change(_revision(obj), key, "MODIFIED" if previous else "ADDED", obj, previous))

    def refresh(self, key: Key, obj: Obj) -> None:
        """As `put`, but only where this very object is here still: the answer to a write may come after its end."""
        known = self.get(key, namespace_of(obj), name_of(obj))
        if known is not None and uid_of(known) == uid_of(obj):
            self.put(key, obj)

    def drop(self, key: Key, obj: Obj) -> None:
        """Let an object go, if it is this one that is here."""
        known = self.get(key, namespace_of(obj), name_of(obj))
        if known is not None and uid_of(known) == uid_of(obj):
            del self.objects[key][namespace_of(obj), name_of(obj)]
            self._emit(Change(_revision(obj), key, "DELETED", obj, known))


def _revision(obj: Obj) -> int:
    """How new an object is: versions are etcd revisions, and compare as numbers."""
    return int(obj["metadata"]["resourceVersion"])


class Mirror:
    """Lists and watches; all on the lane's event loop."""

    def __init__(self, api: Api, store: MirrorStore, resource: Callable[[Key], Resource]) -> None:
        self._api, self._store, self._resource = api, store, resource
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Follow from now on; everything is there when this returns."""
        revisions = await asyncio.gather(*(self._list(key) for key in FOLLOWED))
        self._tasks = [
            asyncio.create_task(self._follow(key, revision)) for key, revision in zip(FOLLOWED, revisions, strict=True)
        ]

    async def stop(self) -> None:
        """Follow no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _list(self, key: Key) -> str:
        resource = self._resource(key)
        answer = await self._api.request("GET", path_of(resource, ""))
        items = answer.get("items") or []
        for item in items:
            self._store.put(key, {"apiVersion": resource.api_version, "kind": resource.kind, **item})
        present = {uid_of(item) for item in items}
        for gone in [each for each in self._store.list(key) if uid_of(each) not in present]:
            self._store.drop(key, gone)
        return str(answer["metadata"]["resourceVersion"])

    async def _follow(self, key: Key, revision: str) -> None:
        while True:
            try:
                if not revision:
                    revision = await self._list(key)
                revision = await self._watch(key, revision)
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                # The server is being replaced, or has forgotten that revision: look anew.
                log.debug("watch of %s: %s", key, error)
                revision = ""
                await asyncio.sleep(_RETRY_SECONDS)

    async def _watch(self, key: Key, revision: str) -> str:
        """Follow one watch to its end; the last revision seen, or "" if all has to be read anew."""
        async for event in self._api.watch(path_of(self._resource(key), ""), revision):
            obj = event["object"]
            if event["type"] == "ERROR":
                return ""
            revision = str(obj["metadata"]["resourceVersion"])
            if event["type"] == "DELETED":
                self._store.drop(key, obj)
            elif event["type"] in {"ADDED", "MODIFIED"}:
                self._store.put(key, obj)
        return revision
