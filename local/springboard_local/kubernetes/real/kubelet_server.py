"""The kubelets' own API, as far as kube-apiserver asks it: the logs of containers.

Addresses of nodes are those of the VPC, where nobody listens. As on EKS, the API server reaches nodes through a tunnel
(its egress selector, here an HTTP CONNECT proxy on loopback), and the tunnel ends at one server for all nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from typing import TYPE_CHECKING

from aiohttp import web

from springboard_local.kubernetes.embedded.container_log import ContainerLogs
from springboard_local.kubernetes.embedded.errors import ApiError
from springboard_local.kubernetes.embedded.objects import PODS, Obj, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from springboard_local.kubernetes.embedded.pki import Identity
    from springboard_local.kubernetes.real.mirror import MirrorStore
    from springboard_local.kubernetes.real.node_agents import NodeAgents

_CHUNK = 2**16


class KubeletServer:
    """One cluster's kubelet API and the tunnel to it, on the lane's event loop."""

    def __init__(self, identity: Identity, store: MirrorStore) -> None:
        self._identity, self._store = identity, store
        self._agents: NodeAgents | None = None
        self._logs: ContainerLogs | None = None
        application = web.Application()
        application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._container_log)
        self._runner = web.AppRunner(application, access_log=None)
        self._tunnel: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self.tunnel = ""

    async def start(self) -> None:
        """Listen on free ports."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls()).start()
        self._tunnel = await asyncio.start_server(self._connect, "127.0.0.1", 0, ssl=self._tls())
        self.tunnel = f"https://127.0.0.1:{self._tunnel.sockets[0].getsockname()[1]}"

    def attach(self, agents: NodeAgents) -> None:
        """Answer for these nodes from now on."""
        self._agents, self._logs = agents, ContainerLogs(agents.kubelets)

    async def stop(self) -> None:
        """Listen no more."""
        if self._tunnel:
            self._tunnel.close()
        for task in tuple(self._pipes):
            task.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)
        await self._runner.cleanup()

    def _tls(self) -> ssl.SSLContext:
        """Only the API server, which has a certificate of the same authority, may ask."""
        context = self._identity.server_context()
        context.verify_mode = ssl.CERT_REQUIRED
        with tempfile.NamedTemporaryFile() as file:
            file.write(self._identity.authority)
            file.flush()
            context.load_verify_locations(file.name)
        return context

    # the tunnel

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is handled in a task")
        self._pipes.add(task)
        task.add_done_callback(self._pipes.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, *_ = head.split()
            address = target.rpartition(":")[0]
            if method != "CONNECT" or self._agents is None or not self._agents.serves(address):
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            else:
                port = self._runner.addresses[0][1]
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
            await writer.drain()
        writer.close()

    # the kubelets

    async def _container_log(self, request: web.Request) -> web.StreamResponse:
        place = request.match_info["namespace"], request.match_info["pod"]
        pod = self._store.get(PODS, *place)
        if pod is None or self._logs is None:
            return web.Response(status=404, text=f'pod "{place[1]}" not found\n')
        try:
            return await self._logs.answer(request, pod, request.match_info["container"], self._is_gone)
        except ApiError as error:
            return web.Response(status=error.code, text=error.message)

    def _is_gone(self, pod: Obj) -> bool:
        left = self._store.get(PODS, namespace_of(pod), name_of(pod))
        return left is None or uid_of(left) != uid_of(pod)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what one side says until it is silent."""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(_CHUNK):
            writer.write(piece)
            await writer.drain()
    writer.close()
