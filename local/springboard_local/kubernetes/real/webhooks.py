"""What kube-apiserver and kube-scheduler ask back: whose a token is, what a policy allows, what may be placed.

Plain HTTP on loopback: it tells only what the askers know already, a token's bearer or a request's author.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from springboard_local.kubernetes.embedded.access import attributes_of, subject_of, user_info

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from springboard_local.kubernetes.embedded.faults import Faults
    from springboard_local.kubernetes.embedded.objects import Obj
    from springboard_local.kubernetes.lane import AccessPolicies, TokenReviewer


class Webhooks:
    """One cluster's webhooks, on the event loop; the reviewer and the policies may block, so they run beside it."""

    def __init__(self, review: TokenReviewer, allow: AccessPolicies, faults: Faults, executor: Executor) -> None:
        self._review, self._allow, self._faults, self._executor = review, allow, faults, executor
        application = web.Application(client_max_size=16 * 2**20)
        application.router.add_post("/authenticate", self._authenticate)
        application.router.add_post("/authorize", self._authorize)
        application.router.add_post("/scheduler/filter", self._filter)
        self._runner = web.AppRunner(application, access_log=None)
        self.url = ""

    async def start(self) -> None:
        """Listen on a free port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()

    async def _beside[T](self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _authenticate(self, request: web.Request) -> web.Response:
        review: Obj = await request.json()
        token = review["spec"].get("token", "")
        user = await self._beside(lambda: self._review(token))
        status: Obj = {"authenticated": False}
        if user is not None:
            status = {"authenticated": True, "user": user_info(user), "audiences": review["spec"].get("audiences")}
        return web.json_response({**_head(review), "status": status})

    async def _authorize(self, request: web.Request) -> web.Response:
        review: Obj = await request.json()
        attributes = attributes_of(subject_of(review["spec"]), review["spec"], "")
        allowed = await self._beside(lambda: self._allow(attributes))
        return web.json_response({**_head(review), "status": {"allowed": allowed}})

    async def _filter(self, request: web.Request) -> web.Response:
        """A scheduler extender's filter: no node is fit for a pod that is made unschedulable."""
        arguments: dict[str, Any] = await request.json()
        meta = arguments["Pod"]["metadata"]
        names = arguments.get("NodeNames") or []
        fault = self._faults.of_pod(meta.get("namespace", ""), meta["name"])
        if fault is None or fault.reason != "Unschedulable":
            return web.json_response({"NodeNames": names})
        why = fault.message or "node(s) were made unfit for the pod"
        return web.json_response({"NodeNames": [], "FailedNodes": dict.fromkeys(names, why)})


def _head(review: Obj) -> Obj:
    return {"apiVersion": review["apiVersion"], "kind": review["kind"]}
