"""Functions that run in the invoking thread, for tests: no processes, a debugger works, errors look the same."""

from __future__ import annotations

import importlib
import json
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from springboard_local.services.lambda_.errors import WorkerKilled
from springboard_local.services.lambda_.logs import LogStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from springboard_local.services.lambda_.configuration import Configuration

type Function = Callable[[Any, Any], Any]


class Context:
    """What awslambdaric gives a handler as its second argument, and a session with the function's role."""

    def __init__(self, worker: InProcessWorker, request_id: str) -> None:
        configuration = worker.configuration
        self.aws_request_id = request_id
        self.function_name = configuration.name
        self.function_version = configuration.version
        self.invoked_function_arn = configuration.arn
        self.memory_limit_in_mb = str(configuration.memory)
        self.log_group_name = worker.log.group
        self.log_stream_name = worker.log.name
        self.identity = None
        self.client_context = None
        self.environment = configuration.environment
        self._deadline = time.monotonic() + configuration.timeout
        self._worker = worker

    def get_remaining_time_in_millis(self) -> int:
        """Real milliseconds until the function's time-out."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))

    def log(self, message: str) -> None:
        """Write a line to the function's log."""
        self._worker.log.write([str(message)])

    def client(self, service: str) -> Any:
        """A boto3 client with the role's credentials; only in this process. The same while the worker lives."""
        return self._worker.client(service)

    @property
    def session(self) -> Any:
        """The boto3 session of `client`, for handlers that configure their own clients at `endpoint`."""
        return self._worker.session()

    @property
    def endpoint(self) -> str:
        """Where the local cloud listens."""
        return self._worker.endpoint

    @property
    def kept(self) -> dict[str, Any]:
        """What a process keeps in its modules from one invocation to the next; it goes with the worker."""
        return self._worker.kept

    def at_end(self, close: Callable[[], None]) -> None:
        """Have something closed that only the end of a process would close."""
        self._worker.at_end(close)


class _Output:
    """Stands for sys.stdout while functions run in this process: what a function's thread prints is its log's."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.mine = threading.local()

    def write(self, text: str) -> int:
        """Pass on, and keep for the thread's function."""
        if (kept := getattr(self.mine, "kept", None)) is not None:
            kept.append(text)
        return int(self.real.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


_output_lock = threading.Lock()
_printers: list[_Output] = []


@contextmanager
def _printing(write: Callable[[list[str]], None]) -> Iterator[None]:
    """What this thread prints goes into a function's log, too."""
    with _output_lock:
        output = _printers[-1] if _printers else _Output(sys.stdout)
        _printers.append(output)
        sys.stdout = output
    before, output.mine.kept = getattr(output.mine, "kept", None), []
    try:
        yield
    finally:
        lines = "".join(output.mine.kept).splitlines()
        output.mine.kept = before
        with _output_lock:
            _printers.pop()
            if not _printers and sys.stdout is output:
                sys.stdout = output.real
        write(lines)


class InProcessWorker:
    """Stands where a worker process would: own credentials, one invocation at a time, can be killed."""

    def __init__(
        self,
        configuration: Configuration,
        function: Function,
        credentials: Mapping[str, str],
        make_session: Callable[[InProcessWorker, Mapping[str, str]], Any],
        endpoint: str,
    ) -> None:
        self.configuration = configuration
        self.access_key = credentials["AWS_ACCESS_KEY_ID"]
        self.log = LogStream(configuration)
        self.started = self.last_used = time.monotonic()
        self.dead = threading.Event()
        self._function = function
        self._credentials = credentials
        self._make_session = make_session
        self.endpoint = endpoint
        self._session: Any = None
        self._clients: dict[str, Any] = {}
        self.kept: dict[str, Any] = {}
        self._running = threading.Lock()
        self._closers: list[Callable[[], None]] = []

    def at_end(self, close: Callable[[], None]) -> None:
        """Called once, when the worker has died and runs nothing any more."""
        self._closers.append(close)

    def client(self, service: str) -> Any:
        """A boto3 client whose calls end with the worker."""
        if service not in self._clients:
            self._clients[service] = self.session().client(service, endpoint_url=self.endpoint)
        return self._clients[service]

    def session(self) -> Any:
        """A boto3 session whose clients end with the worker."""
        if self._session is None:
            self._session = self._make_session(self, self._credentials)
        return self._session

    def invoke(self, payload: bytes, request_id: str) -> tuple[bytes, str | None]:
        """Run the handler; what it raises becomes the payload that awslambdaric would make of it."""
        with self._running:
            answer, error = self._invoke(payload, request_id)
        if self.dead.is_set():
            self._let_go()
        return answer, error

    def _invoke(self, payload: bytes, request_id: str) -> tuple[bytes, str | None]:
        self.log.forget_tail()
        self.log.start(request_id)
        begun = time.monotonic()
        try:
            answer, error = self._run(payload, request_id)
        except WorkerKilled:
            self.dead.set()
            answer, error = b"", "Unhandled"
        if self.dead.is_set():
            # Whatever the handler made of its broken connection, a dead process answers nothing.
            message = f"RequestId: {request_id} Error: Runtime exited with error: signal: killed"
            answer, error = _error("Runtime.ExitError", message), "Unhandled"
        self.last_used = time.monotonic()
        status = "error" if error else "success"
        self.log.report(request_id, status, seconds=self.last_used - begun, init=None, memory=0)
        return answer, error

    def kill(self) -> None:
        """Let its next call raise WorkerKilled; one that runs nothing is gone at once."""
        self.dead.set()
        if self._running.acquire(blocking=False):
            self._running.release()
            self._let_go()

    def close(self) -> None:
        """As kill: there is nothing to wait for."""
        self.kill()

    def _let_go(self) -> None:
        """What the end of a process would close and forget."""
        closers, self._closers = self._closers, []
        for close in closers:
            close()
        self.kept.clear()
        self._clients.clear()
        self._session = None

    def _run(self, payload: bytes, request_id: str) -> tuple[bytes, str | None]:
        try:
            event = json.loads(payload) if payload else {}
            with _printing(self.log.write):
                result = self._function(event, Context(self, request_id))
        except Exception as error:  # noqa: BLE001 - every failure of a handler is an answer
            return _raised(error, request_id), "Unhandled"
        try:
            return json.dumps(result, ensure_ascii=False).encode(), None
        except (TypeError, ValueError) as error:
            message = f"Unable to marshal response: {error}"
            return _error("Runtime.MarshalError", message, requestId=request_id, stackTrace=[]), "Unhandled"


class InProcessFactory:
    """Finds the handlers of in-process functions and makes workers for them."""

    def __init__(
        self,
        handlers: Mapping[str, Function],
        keys: Callable[[Configuration], Mapping[str, str]],
        make_session: Callable[[InProcessWorker, Mapping[str, str]], Any],
        endpoint: str,
    ) -> None:
        """`handlers` by function name; others are imported by the function's Handler."""
        self._handlers = handlers
        self._keys = keys
        self._make_session = make_session
        self._endpoint = endpoint

    def __call__(self, configuration: Configuration) -> InProcessWorker:
        """A worker for the function."""
        credentials = self._keys(configuration)
        function = self._find(configuration)
        return InProcessWorker(configuration, function, credentials, self._make_session, self._endpoint)

    def _find(self, configuration: Configuration) -> Function:
        if known := self._handlers.get(configuration.name):
            return known
        module, _, attribute = configuration.handler.rpartition(".")
        try:
            function: Function = getattr(importlib.import_module(module.replace("/", ".")), attribute)
        except (ImportError, ValueError) as error:
            return _broken("Runtime.ImportModuleError", f"Unable to import module '{module}': {error}")
        except AttributeError:
            return _broken("Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{module}'")
        return function


class InitError(Exception):
    """The function could not be loaded."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _broken(kind: str, message: str) -> Function:
    def fail(_event: Any, _context: Any) -> Any:
        raise InitError(kind, message)

    return fail


def _raised(error: Exception, request_id: str) -> bytes:
    if isinstance(error, InitError):
        return _error(error.kind, str(error), requestId=request_id, stackTrace=[])
    frames = traceback.format_list(traceback.extract_tb(error.__traceback__)[1:])
    return _error(type(error).__name__, str(error), requestId=request_id, stackTrace=frames)


def _error(kind: str, message: str, **more: Any) -> bytes:
    return json.dumps({"errorMessage": message, "errorType": kind, **more}, ensure_ascii=False).encode()
