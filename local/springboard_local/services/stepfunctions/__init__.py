"""Step Functions: an engine of its own for JSONata machines, in the place of moto's interpreter."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

from springboard_local.services import metrics
from springboard_local.services.stepfunctions import api
from springboard_local.services.stepfunctions.machines import Machines, status_detail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from springboard_local.cloud import Cloud
    from springboard_local.services.stepfunctions.executions import Execution

log = logging.getLogger(__name__)


def install(cloud: Cloud) -> None:
    """Serve the API; the operations were registered when the module was imported."""
    api.machines = Machines(cloud, _emit)


def reset(cloud: Cloud) -> None:
    """Forget all machines and stop what runs."""
    if api.machines:
        api.machines.close()
    api.machines = Machines(cloud, _emit)


def close(_cloud: Cloud) -> None:
    """Stop what runs."""
    if api.machines:
        api.machines.close()
        api.machines = None


def tags_of(arn: str) -> Mapping[str, str]:
    """A state machine's tags; {} for one that is not there."""
    machine = api.machines.machines.get(arn) if api.machines else None
    return dict(machine.tags) if machine else {}


# AWS/States names what it counts after how an execution ended, and times those that ended by themselves.
_MEASURED = {
    "RUNNING": "ExecutionsStarted",
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}


def _emit(execution: Execution) -> None:
    machine = execution.machine_arn
    metrics.count("AWS/States", _MEASURED[execution.status], StateMachineArn=machine)
    if execution.stop is not None:
        milliseconds = (execution.stop - execution.start).total_seconds() * 1_000
        metrics.count("AWS/States", "ExecutionTime", milliseconds, "Milliseconds", StateMachineArn=machine)
    events = _events()
    if events is None or execution.express:
        return
    try:
        events.put_aws_event(
            "aws.states", "Step Functions Execution Status Change", [execution.arn], status_detail(execution)
        )
    except Exception:  # best effort, as on AWS: the execution goes on
        log.exception("cannot send the status of %s", execution.name)


def _events() -> ModuleType | None:
    name = "springboard_local.services.events"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None
