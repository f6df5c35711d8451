"""A worker's log stream: its own lines and the platform's, in the order in which they happened."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from springboard_local.services.lambda_.configuration import Configuration

log = logging.getLogger(__name__)

_TAIL_LINES = 200
_TAIL_CHARACTERS = 4096


def _moment() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LogStream:
    """Writes to CloudWatch Logs as the Lambda service does, and remembers the tail."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        date = datetime.now(UTC)
        self.group = configuration.log_group
        self.name = f"{date:%Y/%m/%d}/[{configuration.version}]{uuid.uuid4().hex}"
        if not configuration.log_group.startswith("/aws/lambda/"):
            # A shared group tells its functions apart by the stream's name.
            self.name = f"{date:%Y/%m/%d}/{configuration.name}[{configuration.version}]{uuid.uuid4().hex}"
        self._streaming = False
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._lock = threading.Lock()

    def tail(self) -> str:
        """The last 4 KB of the log."""
        with self._lock:
            return "\n".join(self._tail)[-_TAIL_CHARACTERS:]

    def forget_tail(self) -> None:
        """Begin the tail of another invocation."""
        with self._lock:
            self._tail.clear()

    def write(self, lines: list[str]) -> None:
        """Append lines of the function."""
        if not lines:
            return
        with self._lock:
            self._tail.extend(lines)
        timestamp = int(time.time() * 1000)
        try:
            backend = self._backend()
            if not self._may_write(backend):
                return
            backend.ensure_log_group(self.group)
            backend.ensure_log_stream(self.group, self.name)
            backend.put_log_events(
                self.group, self.name, [{"timestamp": timestamp, "message": line} for line in lines if line]
            )
        except Exception:  # a function runs on when its logs cannot be written, as on AWS
            log.exception("cannot write logs of %s", self._configuration.name)

    def start(self, request_id: str) -> None:
        """The platform's START line."""
        version = self._configuration.version
        self._platform(
            "platform.start",
            {"requestId": request_id, "version": version},
            f"START RequestId: {request_id} Version: {version}",
        )

    def report(self, request_id: str, status: str, *, seconds: float, init: float | None, memory: int) -> None:
        """The platform's END and REPORT lines; `status` is success, error, timeout or failure."""
        milliseconds = round(seconds * 1000, 2)
        billed = int(milliseconds) + 1
        metrics: dict[str, Any] = {
            "durationMs": milliseconds,
            "billedDurationMs": billed,
            "memorySizeMB": self._configuration.memory,
            "maxMemoryUsedMB": memory,
        }
        text = (
            f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms\tBilled Duration: {billed} ms"
            f"\tMemory Size: {self._configuration.memory} MB\tMax Memory Used: {memory} MB"
        )
        if init is not None:
            metrics["initDurationMs"] = round(init * 1000, 2)
            text += f"\tInit Duration: {init * 1000:.2f} ms"
        if status != "success":
            text += f"\tStatus: {status}"
        if not self._configuration.json_logs:
            self._platform("", {}, f"END RequestId: {request_id}")
        record = {"requestId": request_id, "metrics": metrics, "status": status}
        self._platform("platform.report", record, text)

    def _platform(self, kind: str, record: dict[str, Any], text: str) -> None:
        if self._configuration.json_logs:
            if not self._configuration.platform_lines:
                return
            text = json.dumps({"time": _moment(), "type": kind, "record": record}, separators=(",", ":"))
        self.write([text])

    def _may_write(self, backend: Any) -> bool:
        """Lambda writes with the rights of the function's role, and without them not at all."""
        from springboard_local.services import iam  # noqa: PLC0415 - nothing of moto before its account is set

        group = f"arn:aws:logs:{self._configuration.region}:{self._configuration.account}:log-group:{self.group}"
        needed = {
            "logs:CreateLogGroup": (f"{group}:*", self.group in backend.groups),
            "logs:CreateLogStream": (f"{group}:*", self._streaming),
            "logs:PutLogEvents": (f"{group}:log-stream:{self.name}", False),
        }
        role = self._configuration.role
        allowed = all(done or iam.role_allows(role, action, arn) for action, (arn, done) in needed.items())
        self._streaming = self._streaming or allowed
        return allowed

    def _backend(self) -> Any:
        from moto.logs.models import logs_backends  # noqa: PLC0415 - nothing of moto before its account is set

        return logs_backends[self._configuration.account][self._configuration.region]
