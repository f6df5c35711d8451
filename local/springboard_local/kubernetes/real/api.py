"""Requests to a kube-apiserver, on the lane's event loop."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from springboard_local.kubernetes.embedded.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from springboard_local.kubernetes.embedded.catalog import Resource
    from springboard_local.kubernetes.embedded.objects import Obj

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10)
_LINE_LIMIT = 2**22


def path_of(resource: Resource, namespace: str, name: str = "", subresource: str = "") -> str:
    """The path of an object, or of a collection where `name` is empty."""
    base = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    space = f"/namespaces/{namespace}" if resource.namespaced and namespace else ""
    return base + space + "".join(f"/{each}" for each in (resource.plural, name, subresource) if each)


@dataclass(frozen=True)
class Access:
    """Where the server is, and with which token it is asked."""

    endpoint: str
    authority: bytes
    token: str


class Api:
    """A client with one pool of connections."""

    def __init__(self, access: Access) -> None:
        context = ssl.create_default_context(cadata=access.authority.decode())
        self._session = aiohttp.ClientSession(
            access.endpoint,
            connector=aiohttp.TCPConnector(ssl=context, limit=64),
            headers={"Authorization": f"Bearer {access.token}", "Accept": "application/json"},
            read_bufsize=_LINE_LIMIT,
        )

    async def request(
        self, method: str, path: str, body: Any = None, content: str = "application/json", **query: str
    ) -> Obj:
        """The answer's JSON; ApiError for a refusal."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content} if data is not None else {}
        async with self._session.request(
            method, path, data=data, headers=headers, params=query, timeout=_TIMEOUT
        ) as answer:
            text = await answer.text()
            if answer.status < 400:
                found: Obj = json.loads(text)
                return found
            raise _error(answer.status, text)

    async def watch(self, path: str, revision: str) -> AsyncIterator[Obj]:
        """The events of a collection after `revision`, bookmarks included, until the server ends it."""
        query = {"watch": "true", "resourceVersion": revision, "allowWatchBookmarks": "true"}
        async with self._session.get(path, params=query, timeout=_WATCH_TIMEOUT) as answer:
            if answer.status >= 400:
                raise _error(answer.status, await answer.text())
            async for line in answer.content:
                yield json.loads(line)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


def _error(status: int, text: str) -> ApiError:
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    return ApiError(status, body.get("reason") or "", body.get("message") or text.strip(), body.get("details") or {})
