"""Worker processes: the real awslambdaric in an interpreter that has nothing but the function's own packages."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import io
import json
import logging
import os
import select
import shutil
import signal
import subprocess
import threading
import time
import uuid
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from springboard_local.services.lambda_.logs import LogStream
from springboard_local.services.lambda_.runtime_api import RuntimeApi, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from springboard_local.services.lambda_.configuration import Configuration, Package

log = logging.getLogger(__name__)

_INIT_SECONDS = 10  # AWS's limit for a function's initialisation
_SHIM = Path(__file__).parent / "shim"
_INHERITED = ("PATH", "LANG", "TMPDIR")


@functools.cache
def program(python: Path) -> tuple[tuple[str, ...], bool]:
    """What an interpreter runs as the runtime, and whether it needs the shim for that.

    awslambdaric with its C++ client where it is installed; where it cannot be (macOS), our own in its place.
    """
    probe = "import importlib.util as u; print(bool(u.find_spec('awslambdaric')), bool(u.find_spec('runtime_client')))"
    done = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=True)  # noqa: S603
    interface, client = (word == "True" for word in done.stdout.split())
    return (("-m", "awslambdaric"), not client) if interface else ((str(_SHIM / "bootstrap.py"),), True)


class Worker:
    """One process of one function; runs one invocation at a time."""

    def __init__(
        self,
        configuration: Configuration,
        python: Path,
        state: Path,
        credentials: Mapping[str, str],
        endpoint: str,
    ) -> None:
        self.configuration = configuration
        self.access_key = credentials["AWS_ACCESS_KEY_ID"]
        self.log = LogStream(configuration)
        self.dead = threading.Event()
        self.last_used = time.monotonic()
        self.started = time.monotonic()
        self._api = RuntimeApi()
        self._lines = threading.Lock()
        self._rest = b""
        self._init_seconds: float | None = None  # reported with the first invocation
        self._fresh = True
        self._memory = 0
        runtime, shimmed = program(python)
        code = _unpack(configuration.code, state)
        layers = [_unpack(layer, state) for layer in configuration.layers]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter of the settings
                [python, "-s", *runtime, configuration.handler],
                cwd=code,
                env=self._environment([code, *layers], credentials, endpoint, shimmed=shimmed),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError:
            self._api.close()
            raise
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        self._output = self._process.stdout.fileno()
        fcntl.fcntl(self._output, fcntl.F_SETFL, fcntl.fcntl(self._output, fcntl.F_GETFL) | os.O_NONBLOCK)
        self._watcher = threading.Thread(target=self._watch, name=f"worker-{configuration.name}", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def invoke(self, payload: bytes, request_id: str) -> tuple[bytes, str | None]:
        """Run one invocation to its end; a worker that does not survive it is dead afterwards."""
        timeout = self.configuration.timeout
        root = f"1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"
        work = Work(request_id, self.configuration.arn, payload, f"Root={root};Sampled=0")
        self.log.forget_tail()
        init = self._wait_for_init()
        self.log.start(request_id)
        begun = time.monotonic()
        work.deadline = time.time() + timeout
        if not self.dead.is_set():
            self._api.give(work)
        status = self._wait_for(work, timeout)
        seconds = time.monotonic() - begun
        self._drain()
        if status == "timeout":
            self.log.write([f"{_now()} {request_id} Task timed out after {timeout:.2f} seconds"])
        self.log.report(request_id, status, seconds=seconds, init=init, memory=self._measured_memory())
        self.last_used = time.monotonic()
        return work.answer, work.error

    def kill(self) -> None:
        """End the process at once; what it ran ends as Runtime.ExitError."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process and wait until nothing of it is left."""
        self.kill()
        self._watcher.join(timeout=10)

    def _wait_for_init(self) -> float | None:
        """Wait until the worker is ready, has died or has had its time; how long a first start took."""
        if not self._fresh:
            return None
        self._fresh = False
        limit = self.started + _INIT_SECONDS + self.configuration.timeout
        while not self._api.ready.wait(0.005) and not self.dead.is_set() and time.monotonic() < limit:
            pass
        return time.monotonic() - self.started

    def _wait_for(self, work: Work, timeout: float) -> str:
        """Wait for the answer; the status of the REPORT line."""
        limit = time.monotonic() + timeout
        while not work.done.is_set():
            if self.dead.is_set():
                work.finish(self._api.init_error or self._exit_error(work.request_id), "Unhandled")
                return "error"
            left = limit - time.monotonic()
            if left <= 0:
                self.kill()
                message = f"RequestId: {work.request_id} Error: Task timed out after {timeout:.2f} seconds"
                work.finish(_error("Sandbox.Timedout", message), "Unhandled")
                self.dead.wait(10)
                return "timeout"
            # The answer ends the wait at once, a death after at most this long.
            work.done.wait(min(left, 0.05))
        return "error" if work.error else "success"

    def _exit_error(self, request_id: str) -> bytes:
        code = self._process.returncode
        reason = f"exit status {code}"
        if code is not None and code < 0:
            reason = "signal: killed" if code == -signal.SIGKILL else f"signal: {signal.Signals(-code).name.lower()}"
        return _error("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited with error: {reason}")

    def _watch(self) -> None:
        """Carry the process's output to its log until it ends."""
        while True:
            ready, _, _ = select.select([self._output], [], [], 1.0)
            if (ready and not self._drain()) or (not ready and self._process.poll() is not None):
                break
        self._process.wait()
        self.dead.set()
        self._api.ready.set()
        self._api.close()
        with self._lines:
            if self._process.stdout:
                self._process.stdout.close()

    def _drain(self) -> bool:
        """Write all lines that are there; False once the process has closed its output."""
        with self._lines:
            is_open = True
            while True:
                try:
                    block = os.read(self._output, 65536)
                except BlockingIOError:
                    break
                except (OSError, ValueError):
                    is_open = False
                    break
                if not block:
                    is_open = False
                    break
                self._rest += block
            *lines, self._rest = self._rest.split(b"\n")
            if not is_open and self._rest:
                lines.append(self._rest)
                self._rest = b""
            self.log.write([line.decode("utf-8", "replace").rstrip("\r") for line in lines])
        return is_open

    def _measured_memory(self) -> int:
        """The process's peak in MB; the last known one when it has ended."""
        with contextlib.suppress(OSError, StopIteration):
            text = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii", errors="replace")
            peak = next(line for line in text.splitlines() if line.startswith("VmHWM:"))
            self._memory = int(peak.split()[1]) // 1024
        if not self._memory and not Path("/proc/self").exists() and not self.dead.is_set():
            done = subprocess.run(["/bin/ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, check=False)  # noqa: S603
            self._memory = int(done.stdout.strip() or 0) // 1024
        return self._memory

    def _environment(
        self, packages: list[Path], credentials: Mapping[str, str], endpoint: str, *, shimmed: bool
    ) -> dict[str, str]:
        """What a function finds in its environment on AWS, and where the local cloud is."""
        configuration = self.configuration
        code, *layers = packages
        version = configuration.runtime or "python3.13"
        folders = [
            path for layer in layers for path in (layer / "python", layer / f"python/lib/{version}/site-packages")
        ]
        path = [code, *(folder for folder in folders if folder.is_dir()), *([_SHIM] if shimmed else [])]
        logging_level = {"AWS_LAMBDA_LOG_LEVEL": configuration.application_log_level} if configuration.json_logs else {}
        return {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            # The user's own ~/.aws must be as far away as it is on AWS.
            "HOME": str(code / ".no-home"),
            **configuration.environment,
            **credentials,
            **logging_level,
            "AWS_DEFAULT_REGION": configuration.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{version}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(configuration.memory),
            "AWS_LAMBDA_FUNCTION_NAME": configuration.name,
            "AWS_LAMBDA_FUNCTION_VERSION": configuration.version,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_FORMAT": configuration.log_format,
            "AWS_LAMBDA_LOG_GROUP_NAME": self.log.group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log.name,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_REGION": configuration.region,
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "LAMBDA_RUNTIME_DIR": str(code),
            "LAMBDA_TASK_ROOT": str(code),
            "PYTHONPATH": os.pathsep.join(str(folder) for folder in path),
            "PYTHONUNBUFFERED": "1",
            "TZ": ":UTC",
            "_HANDLER": configuration.handler,
        }


class Factory:
    """Makes workers with the settings of one cloud."""

    def __init__(
        self, python: Path, state: Path, endpoint: str, keys: Callable[[Configuration], Mapping[str, str]]
    ) -> None:
        """`keys`: the variables with the credentials of a function's code."""
        self._python = python
        self._state = state
        self._endpoint = endpoint
        self._keys = keys

    def __call__(self, configuration: Configuration) -> Worker:
        """Start a worker."""
        credentials = self._keys(configuration)
        return Worker(configuration, self._python, self._state, credentials, self._endpoint)


_unpacking = threading.Lock()


def _unpack(package: Package, state: Path) -> Path:
    """The folder with the package's files; each is unpacked once."""
    folder = state / "code" / package.sha256
    with _unpacking:
        if folder.exists():
            return folder
        partial = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}")
        partial.mkdir(parents=True)
        try:
            with zipfile.ZipFile(io.BytesIO(package.zip)) as archive:
                archive.extractall(partial)
        except BaseException:
            shutil.rmtree(partial)
            raise
        partial.rename(folder)
    return folder


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
