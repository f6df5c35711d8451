"""The Lambda Runtime API of one worker: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(eq=False)
class Work:
    """One invocation on its way through a worker."""

    request_id: str
    arn: str
    payload: bytes
    trace_id: str
    deadline: float = 0.0  # seconds of the epoch
    answer: bytes = b""
    error: str | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def finish(self, answer: bytes, error: str | None) -> None:
        """The first answer counts."""
        if not self.done.is_set():
            self.answer, self.error = answer, error
            self.done.set()


class RuntimeApi:
    """Listens for one worker process; hands it work and takes its answers."""

    def __init__(self) -> None:
        self.ready = threading.Event()  # the worker has asked for its first invocation
        self.init_error: bytes | None = None
        self._inbox: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._current: Work | None = None
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        # The poll interval is how long `close` takes.
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="runtime-api", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Of AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_port}"

    def give(self, work: Work) -> None:
        """Let the worker have `work` as soon as it asks."""
        self._current = work
        self._inbox.put(work)

    def close(self) -> None:
        """Stop listening; a worker that waits for work is let go."""
        self._inbox.put(None)
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()

    def next(self) -> Work | None:
        """Block until there is work; None when the worker should end."""
        self.ready.set()
        return self._inbox.get()

    def answered(self, request_id: str, body: bytes, error: str | None) -> bool:
        """Take an answer; False if nobody asked."""
        work = self._current
        if work is None or work.request_id != request_id:
            return False
        self._current = None
        work.finish(body, error)
        return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: RuntimeApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A killed worker leaves broken connections; they mean nothing."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536  # the whole answer in one segment
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Not to standard error."""

    def do_GET(self) -> None:
        work = self.server.api.next()
        if work is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": work.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(work.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": work.arn,
            "Lambda-Runtime-Trace-Id": work.trace_id,
            "Content-Type": "application/json",
        }
        self._reply(200, headers, work.payload)

    def do_POST(self) -> None:
        body = self._body()
        api = self.server.api
        if self.path.endswith("/init/error"):
            api.init_error = body
            self._reply(202, {})
            return
        request_id, kind = self.path.split("/")[-2:]
        known = api.answered(request_id, body, None if kind == "response" else "Unhandled")
        self._reply(202 if known else 400, {})

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)
