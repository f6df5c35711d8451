"""The local cloud as a process of its own: start, find, end. What `springboard local` calls."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from springboard_local.cloud import DEVELOPER_ACCESS_KEY, DEVELOPER_SECRET_KEY, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_PORT = 5102
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


class NotStartedError(RuntimeError):
    """The local cloud did not start; the message says why and where its log is."""


@dataclass(frozen=True)
class Status:
    """A local cloud's process; `running` is False for one that has ended."""

    running: bool
    pid: int = 0
    endpoint: str = ""
    instance: str = ""
    speed: float = 0.0
    kubernetes: str = ""
    state: str = ""
    log: str = ""
    started: float = 0.0  # the kernel's start time of the process, which tells it from another of the same pid


def default_state() -> Path:
    """$SPRINGBOARD_STATE, or .springboard in the project that the current folder is in."""
    if given := os.environ.get("SPRINGBOARD_STATE"):
        return Path(given)
    here = Path.cwd()
    marks = (".springboard", "template.yaml", ".git")
    for folder in (here, *here.parents):
        if any((folder / mark).exists() for mark in marks):
            return folder / ".springboard"
    return here / ".springboard"


def up(
    port: int | None = None,
    speed: float = 60,
    kubernetes: str | None = None,
    state: Path | None = None,
    worker_python: Path | None = None,
    options: tuple[str, ...] = (),
) -> Status:
    """Start the local cloud, or find it running; answers once it serves.

    `port` None: 5102, or any free one when that is taken. `kubernetes` is the lane, embedded or real; None: that of the
    one that runs, else embedded. `options` are further ones of the process. NotStartedError, too, when one with the
    other lane runs.
    """
    folder = (state or default_state()).absolute()
    with _locked(folder):
        found = status(folder)
        if found.running:
            if kubernetes not in {None, found.kubernetes}:
                lanes = f"runs here with the {found.kubernetes} Kubernetes lane, not the {kubernetes} one"
                raise NotStartedError(f"A local cloud {lanes}; end it with `springboard local down`.")
            return found
        project = folder.parent
        interpreter = worker_python or _existing(project / ".tools" / "worker" / "bin" / "python")
        examples = _existing(project / "examples")
        more = (*options, *((f"--examples={examples}",) if examples else ()))
        lane = kubernetes or "embedded"
        _check_built(lane)
        return _start(folder, _free(port), speed=speed, kubernetes=lane, worker_python=interpreter, options=more)


def _check_built(lane: str) -> None:
    """Say at once what the process would say in its log."""
    if lane == "real":
        from springboard_local.kubernetes.real import toolchain  # noqa: PLC0415 - only those who ask for it pay for it

        try:
            toolchain.find()
        except toolchain.NotBuiltError as error:
            raise NotStartedError(str(error)) from error


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


def _free(port: int | None) -> int:
    """The port to ask for; with one given a refusal is the process's to report."""
    if port is not None:
        return port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return 0
    return DEFAULT_PORT


def _start(
    folder: Path, port: int, *, speed: float, kubernetes: str, worker_python: Path | None, options: tuple[str, ...]
) -> Status:
    instance = uuid.uuid4().hex
    run = folder / "run"
    run.mkdir(parents=True, exist_ok=True)
    log, endpoint_file = folder / "local-cloud.log", run / f"endpoint-{instance}"
    command = [
        sys.executable,
        "-m",
        "springboard_local",
        f"--state={folder / 'cloud'}",
        f"--port={port}",
        f"--speed={speed}",
        f"--kubernetes={kubernetes}",
        f"--instance={instance}",
        f"--endpoint-file={endpoint_file}",
        *([f"--worker-python={worker_python}"] if worker_python else []),
        *options,
    ]
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=folder
        )
    endpoint = _await(process, endpoint_file, instance, log)
    made = Status(
        running=True,
        pid=process.pid,
        endpoint=endpoint,
        instance=instance,
        speed=speed,
        kubernetes=kubernetes,
        state=str(folder),
        log=str(log),
        started=_start_time(process.pid) or 0.0,
    )
    _write(folder, made)
    process.returncode = 0  # it is meant to outlive us: no warning that it still runs
    return made


def _await(process: subprocess.Popen[bytes], endpoint_file: Path, instance: str, log: Path) -> str:
    """Wait until the process that we started, and no other on its port, answers."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotStartedError(f"The local cloud ended with {process.returncode}. {_tail(log)}")
        if endpoint_file.exists():
            endpoint = endpoint_file.read_text()
            if _health(endpoint).get("instance") == instance:
                endpoint_file.unlink()
                return endpoint
        time.sleep(0.05)
    process.terminate()
    process.wait(timeout=_STOP_SECONDS)
    raise NotStartedError(f"The local cloud did not answer within {_START_SECONDS:g} s. {_tail(log)}")


def _tail(log: Path, lines: int = 8) -> str:
    text = log.read_text(errors="replace").strip().splitlines()[-lines:]
    return "\n".join([f"Its log {log} ends with:", *text]) if text else f"Its log {log} is empty."


def status(state: Path | None = None) -> Status:
    """The local cloud of this state folder."""
    folder = (state or default_state()).absolute()
    written = _read(folder)
    if written is None:
        return Status(running=False, state=str(folder))
    alive = _is_ours(written) and _health(written.endpoint).get("instance") == written.instance
    return written if alive else Status(running=False, state=str(folder), log=written.log)


def down(state: Path | None = None) -> bool:
    """End the local cloud and remove what it kept; False if none ran."""
    folder = (state or default_state()).absolute()
    if not folder.exists():
        return False
    with _locked(folder):
        written = _read(folder)
        ours = written is not None and _is_ours(written)
        if written is not None and ours:
            _end(written)
        _clear(folder)
    with contextlib.suppress(OSError):
        (folder / "lock").unlink()
        folder.rmdir()
    return ours


def reset(state: Path | None = None) -> Status:
    """Empty the account of a local cloud that runs; NotStartedError if none does."""
    found = status(state)
    if not found.running:
        raise NotStartedError("No local cloud runs here; start one with `springboard local up`.")
    request = urllib.request.Request(f"{found.endpoint}/_local/reset", method="POST")  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=60):  # noqa: S310 - loopback
        pass
    return found


def env(state: Path | None = None) -> dict[str, str | None]:
    """What to export, so that boto3, the AWS CLI, SAM and others use the local cloud; None: to be unset."""
    found = status(state)
    if not found.running:
        raise NotStartedError("No local cloud runs here; start one with `springboard local up`.")
    return {
        "AWS_ENDPOINT_URL": found.endpoint,
        "AWS_ACCESS_KEY_ID": DEVELOPER_ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": DEVELOPER_SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        # The layer is built for the functions' processor, and here they run on this machine's.
        "ARCHITECTURE": "aarch64" if platform.machine() in {"arm64", "aarch64"} else "x86_64",
        "AWS_PROFILE": None,
        "AWS_DEFAULT_PROFILE": None,
        "AWS_SESSION_TOKEN": None,
        "AWS_SECURITY_TOKEN": None,
        "AWS_ROLE_ARN": None,
        "AWS_WEB_IDENTITY_TOKEN_FILE": None,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": None,
    }


# the process file


def _file(folder: Path) -> Path:
    return folder / "local-cloud.json"


def _write(folder: Path, made: Status) -> None:
    partial = _file(folder).with_suffix(".partial")
    partial.write_text(json.dumps(asdict(made), indent=2))
    partial.replace(_file(folder))


def _read(folder: Path) -> Status | None:
    try:
        return Status(**json.loads(_file(folder).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One `up` or `down` of a folder at a time."""
    import fcntl  # noqa: PLC0415 - not on Windows, where the rest of the module can be read all the same

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _clear(folder: Path) -> None:
    """Remove what a local cloud made there, and nothing else."""
    for name in ("cloud", "run", "demo"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("local-cloud.json", "local-cloud.partial", "local-cloud.log"):
        (folder / name).unlink(missing_ok=True)


# the process


def _is_ours(written: Status) -> bool:
    """Whether the process of that number is still the one that was started."""
    try:
        os.kill(written.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    started = _start_time(written.pid)
    return started is not None and abs(started - written.started) < 2


def _start_time(pid: int) -> float | None:
    """When a process started: clock ticks since boot on Linux, seconds of the epoch elsewhere."""
    proc = Path(f"/proc/{pid}/stat")
    if proc.exists():
        fields = proc.read_text().rsplit(")", 1)[1].split()
        return None if fields[0] == "Z" else float(fields[19])
    shown = subprocess.run(  # noqa: S603 - a fixed command
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    ).stdout.strip()
    return time.mktime(time.strptime(shown)) if shown else None


def _end(written: Status) -> None:
    os.kill(written.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        _reap(written.pid)
        if not _is_ours(written):
            return
        time.sleep(0.05)
    os.kill(written.pid, signal.SIGKILL)
    _reap(written.pid)


def _reap(pid: int) -> None:
    """Take the exit status of a child, where it is one of this process's."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _health(endpoint: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{endpoint}/_local/health", timeout=5) as answer:  # noqa: S310 - loopback
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError):
        return {}
