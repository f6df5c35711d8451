"""Lambda: functions run as real processes under awslambdaric, or in this process for tests.

moto keeps the control plane; invocations, logs and what moto drops are here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.awslambda import models

from springboard_local import pipeline
from springboard_local.services.lambda_ import control_plane
from springboard_local.services.lambda_.errors import Throttled, WorkerKilled
from springboard_local.services.lambda_.runtime import Invocation, Runtime
from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from springboard_local.cloud import Cloud
    from springboard_local.pipeline import Call
    from springboard_local.services.lambda_.pool import Runner

__all__ = [
    "Invocation",
    "Throttled",
    "WorkerKilled",
    "close",
    "end_worker",
    "install",
    "invoke",
    "invoke_async",
    "reset",
    "worker_of",
]

_mending = Mending()


def install(cloud: Cloud) -> None:
    """Take over from moto what it cannot do."""
    control_plane.runtime = Runtime(cloud)
    _mending.undo()
    control_plane.mend(_mending)
    _mending.replace(models.LambdaFunction, invoke=_invoked_by_moto)
    _mending.replace(models.LambdaBackend, delete_function=_deleting(models.LambdaBackend.delete_function))
    pipeline.kill = _kill


def reset(cloud: Cloud) -> None:
    """End all workers and forget queued events."""
    if control_plane.runtime:
        control_plane.runtime.close()
        control_plane.runtime = Runtime(cloud)


def close(_cloud: Cloud) -> None:
    """End all workers and give moto its own methods back."""
    if control_plane.runtime:
        control_plane.runtime.close()
        control_plane.runtime = None
    _mending.undo()
    pipeline.kill = None


def invoke(function: str, payload: bytes, *, qualifier: str | None = None) -> Invocation:
    """Run a function, by name or ARN, and wait for its answer; raises Throttled."""
    return control_plane._running().invoke(function, payload, qualifier)


def invoke_async(function: str, payload: bytes, *, qualifier: str | None = None) -> str:
    """Queue an event invocation, with AWS's retries, dead-letter queue and destinations; its request id."""
    return control_plane._running().accept(function, payload, qualifier)


def worker_of(access_key: str) -> Runner | None:
    """The worker that is busy with these credentials; for faults that end one."""
    return control_plane.runtime.worker_of(access_key) if control_plane.runtime else None


def end_worker(access_key: str) -> None:
    """Kill the worker that is busy with these credentials, if there is one."""
    worker = worker_of(access_key)
    if worker:
        worker.kill()


def _kill(call: Call) -> None:
    end_worker(call.access_key)


def _invoked_by_moto(self: Any, body: Any, _headers: Any, response_headers: Any) -> bytes:
    """What moto's own event sources call: SNS, S3 and log subscriptions are asynchronous on AWS too."""
    payload = body if isinstance(body, bytes) else (body or "{}").encode()
    invoke_async(self.function_arn, payload)
    response_headers.setdefault("x-amz-executed-version", str(self.version))
    return b""


def _deleting(delete: Callable[..., None]) -> Callable[..., None]:
    def delete_function(self: Any, function_name: str, qualifier: str | None = None) -> None:
        arn = self.get_function(function_name, qualifier).function_arn
        delete(self, function_name, qualifier)
        if control_plane.runtime:
            control_plane.runtime.retire(arn)

    return delete_function
