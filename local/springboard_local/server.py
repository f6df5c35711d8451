"""The HTTP server on loopback: one thread per connection, connections kept alive, whole answers."""

from __future__ import annotations

import io
import json
import logging
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import DechunkedInput, ThreadedWSGIServer

from springboard_local.pipeline import Reset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    type Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

log = logging.getLogger(__name__)

_LOCAL_NAMES = {"127.0.0.1", "localhost", "[::1]"}
_IDLE_SECONDS = 120.0


class Front:
    """Chooses who serves a path: an application mounted under a prefix, or else the AWS endpoint.

    Requests for other hosts are refused, so that no web page can reach the local cloud by DNS rebinding.
    """

    def __init__(self, aws: Application, admin: Application) -> None:
        self._aws = aws
        self._mounted: dict[str, Application] = {"/_local/": admin}
        self._hosts: dict[str, Application] = {}

    def mount(self, prefix: str, application: Application) -> None:
        """Serve all below `prefix` ("/_apigw/") by `application`."""
        self._mounted[prefix] = application

    def mount_host(self, label: str, application: Application) -> None:
        """Serve hosts of the form NAME.`label`.REGION.amazonaws.com by `application`."""
        self._hosts[label] = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve one request."""
        host = environ.get("HTTP_HOST", "").rsplit(":", 1)[0].lower()
        labels = host.split(".")
        if len(labels) == 5 and labels[3:] == ["amazonaws", "com"] and labels[1] in self._hosts:
            return self._hosts[labels[1]](environ, start_response)
        if host not in _LOCAL_NAMES and not host.endswith(".localhost"):
            return _refuse(start_response, "403 Forbidden", f"This is not {host or 'a server without a name'}.")
        path = environ.get("PATH_INFO", "/")
        if path.startswith("/moto-api"):
            return _refuse(start_response, "404 Not Found", "The admin API is under /_local/.")
        for prefix, application in self._mounted.items():
            if path.startswith(prefix):
                return application(environ, start_response)
        return self._aws(environ, start_response)


def _refuse(start_response: Any, status: str, message: str) -> Iterable[bytes]:
    body = json.dumps({"message": message}).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


class _Handler(MotoRequestHandler):  # type: ignore[misc]  # moto carries no types
    """Reads a whole request, answers it whole, and keeps the connection.

    werkzeug's own handler closes the connection after each answer and waits 10 ms to drain it.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    def run_wsgi(self) -> None:
        """Serve one request of this connection."""
        if self.headers.get("Expect", "").strip().lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        environ = self._whole_request()
        answer: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            answer.update(status=status, headers=headers)

        try:
            chunks = self.server.app(environ, start_response)
            body = b"".join(chunks)
        except Reset:
            self._reset()
            return
        except ConnectionError:
            self.close_connection = True
            return
        except Exception:
            log.exception("%s %s failed", self.command, self.path)
            answer.update(status="500 Internal Server Error", headers=[])
            body = b""
        self._send(answer["status"], answer["headers"], body)

    def _whole_request(self) -> dict[str, Any]:
        environ: dict[str, Any] = self.make_environ()
        if environ.get("wsgi.input_terminated"):
            body = DechunkedInput(self.rfile).read()
        else:
            body = self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("wsgi.input_terminated", None)
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return environ

    def _send(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        hop_by_hop = {"transfer-encoding", "connection"}
        has_body = code not in {"204", "304"} and not code.startswith("1")
        given_length = None
        for name, value in headers:
            if name.lower() == "content-length":
                given_length = value
            elif name.lower() not in hop_by_hop | {"date", "server"}:
                self.send_header(name, value)
        if has_body:
            # A HEAD answer tells the length of the body that a GET would have.
            length = given_length if self.command == "HEAD" and given_length is not None else str(len(body))
            self.send_header("Content-Length", length)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if has_body and self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def _reset(self) -> None:
        """End the connection as a host does that has lost it: with a TCP reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.forget(self.connection)
        self.connection.close()

    def setup(self) -> None:
        """Let the server know of the connection, so that it can end it."""
        super().setup()
        self.server.remember(self.connection)

    def finish(self) -> None:
        """The connection is over."""
        self.server.forget(self.connection)
        try:
            super().finish()
        except (OSError, ValueError):
            log.debug("the connection was gone already")

    def log_request(self, *_: Any, **__: Any) -> None:
        """The pipeline records calls."""


class _WSGIServer(ThreadedWSGIServer):  # type: ignore[misc]  # werkzeug's types are not read
    """Knows its open connections."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, application: Application, port: int) -> None:
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__("127.0.0.1", port, application, handler=_Handler)

    def remember(self, connection: socket.socket) -> None:
        with self._connections_lock:
            self._connections.add(connection)

    def forget(self, connection: socket.socket) -> None:
        with self._connections_lock:
            self._connections.discard(connection)

    def end_connections(self) -> None:
        with self._connections_lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("a connection was gone already")

    def shutdown_request(self, request: socket.socket) -> None:
        """A connection that was reset has nothing left to shut down."""
        if request.fileno() >= 0:
            super().shutdown_request(request)


class Server:
    """Serves an application on 127.0.0.1."""

    def __init__(self, application: Application, port: int = 0) -> None:
        """Bind the port, 0 for any free one; OSError when it is taken."""
        self._server = _WSGIServer(application, port)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.port)

    def start(self) -> None:
        """Serve in a thread."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="server", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and end all connections."""
        if self._thread:
            self._server.shutdown()
            self._thread.join(timeout=5)
        self._server.end_connections()
        self._server.server_close()
