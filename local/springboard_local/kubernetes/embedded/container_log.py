"""The log subresource of pods."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from springboard_local.kubernetes.embedded.errors import bad_request
from springboard_local.kubernetes.embedded.objects import Obj, moment, name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from springboard_local.kubernetes.embedded.controllers.kubelet import Container, Kubelets

_FOLLOW_SECONDS = 0.5

type Line = tuple[datetime, str]


class ContainerLogs:
    """Answers with what simulated containers have written."""

    def __init__(self, kubelets: Kubelets) -> None:
        self._kubelets = kubelets

    async def answer(
        self, request: web.BaseRequest, pod: Obj, name: str, is_gone: Callable[[Obj], bool]
    ) -> web.StreamResponse:
        """The log of the container `name` as the query wants it; a followed one grows until the pod is gone."""
        container = self._container(pod, name)
        lines = self._lines(request, pod, container)
        if request.query.get("follow") not in ("true", "1"):
            return web.Response(text=_cut(_text(request, lines), request), content_type="text/plain")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        written = 0
        try:
            while True:
                await response.write(_text(request, lines[written:]).encode())
                written = max(written, len(lines))
                if is_gone(pod):
                    return response
                await asyncio.sleep(_FOLLOW_SECONDS)
                lines = self._lines(request, pod, container)
        except ConnectionError:
            return response

    def _container(self, pod: Obj, name: str) -> Container:
        names = [c["name"] for c in pod["spec"]["containers"]]
        if not name and len(names) > 1:
            choices = " ".join(names)
            raise bad_request(f"a container name must be specified for pod {name_of(pod)}, choose one of: [{choices}]")
        if name and name not in names:
            raise bad_request(f"container {name} is not valid for pod {name_of(pod)}")
        found = self._kubelets.container(pod, name or names[0])
        if found is None:
            raise bad_request(f"pod {name_of(pod)} does not have a host assigned")
        return found

    def _lines(self, request: web.BaseRequest, pod: Obj, container: Container) -> list[Line]:
        previous = request.query.get("previous") in ("true", "1")
        place = f'"{container.name}" in pod "{name_of(pod)}"'
        if previous and container.last is None:
            raise bad_request(f"previous terminated container {place} not found")
        if not container.started_at:
            waits = {
                "pull_error": "image can't be pulled",
                "pull_backoff": "trying and failing to pull image",
            }.get(container.state, "ContainerCreating")
            raise bad_request(f"container {place} is waiting to start: {waits}")
        lines = self._kubelets.log_lines(pod, container, previous=previous)
        return _recent(request, lines)


def _recent(request: web.BaseRequest, lines: list[Line]) -> list[Line]:
    query = request.query
    since = None
    if query.get("sinceSeconds", "").isdigit():
        since = datetime.now(UTC) - timedelta(seconds=int(query["sinceSeconds"]))
    elif query.get("sinceTime"):
        since = moment(query["sinceTime"])
    if since is not None:
        lines = [line for line in lines if line[0] >= since]
    tail = query.get("tailLines", "")
    if tail.isdigit():
        lines = lines[len(lines) - min(len(lines), int(tail)) :]
    return lines


def _text(request: web.BaseRequest, lines: list[Line]) -> str:
    stamped = request.query.get("timestamps") in ("true", "1")
    return "".join(
        f"{time.strftime('%Y-%m-%dT%H:%M:%S.%fZ')} {text}\n" if stamped else f"{text}\n" for time, text in lines
    )


def _cut(text: str, request: web.BaseRequest) -> str:
    limit = request.query.get("limitBytes", "")
    return text.encode()[: int(limit)].decode(errors="ignore") if limit.isdigit() else text
