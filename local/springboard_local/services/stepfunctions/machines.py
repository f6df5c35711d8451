"""State machines with their versions and aliases, and all executions of one cloud."""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from springboard_local.clock import iso
from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.pipeline import ApiError
from springboard_local.services import iam
from springboard_local.services.stepfunctions import definition as asl
from springboard_local.services.stepfunctions.engine import Engine
from springboard_local.services.stepfunctions.executions import Execution
from springboard_local.services.stepfunctions.expressions import Evaluator
from springboard_local.services.stepfunctions.integrations import Integrations
from springboard_local.services.stepfunctions.interpreter import DATA_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from springboard_local.cloud import Cloud

PRINCIPAL = "states.amazonaws.com"

# What Step Functions asks of the role of a machine that logs (its guide, "Logging using CloudWatch Logs"); all on *.
_LOG_DELIVERY = tuple(
    f"logs:{name}"
    for name in (
        "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
        "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
    )
)  # fmt: skip

_BAD_IN_NAMES = frozenset('<>{}[]?*"#%\\^|~`$&,;:/')


@dataclass
class Revision:
    """One state of a machine's definition and role."""

    id: str
    text: str
    definition: Mapping[str, Any]
    role: str
    made: datetime


@dataclass
class Version:
    """A published revision."""

    number: int
    arn: str
    revision: Revision
    description: str
    made: datetime


@dataclass
class Alias:
    """A name for one or two versions."""

    name: str
    arn: str
    description: str
    routing: list[dict[str, Any]]
    made: datetime
    updated: datetime


@dataclass
class Machine:
    """A state machine."""

    name: str
    arn: str
    type: str
    revision: Revision
    made: datetime
    settings: dict[str, Any]  # logging, tracing, encryption: kept and described
    tags: dict[str, str] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)
    aliases: dict[str, Alias] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)  # by name, oldest first
    published: int = 0


class Machines:
    """The Step Functions service of one cloud."""

    def __init__(self, cloud: Cloud, emit: Callable[[Execution], None]) -> None:
        """`emit` tells EventBridge about an execution's status."""
        self._cloud = cloud
        self._emit = emit
        self.engine = Engine(cloud.clock)
        self._evaluator = Evaluator(cloud.clock.now, cloud.settings.seed)
        self.integrations = Integrations(cloud, self._watch, REGION)
        self.lock = threading.RLock()
        self.machines: dict[str, Machine] = {}
        self._express: dict[str, Execution] = {}
        self._seed = cloud.settings.seed

    def now(self) -> datetime:
        """The virtual moment."""
        return self._cloud.clock.now()

    def close(self) -> None:
        """Let nothing run on."""
        for machine in list(self.machines.values()):
            for execution in list(machine.executions.values()):
                if execution.strand:
                    execution.strand.cancel()
        self.engine.close()

    # machines

    def revision(self, text: str, role: str) -> Revision:
        """A checked definition; InvalidDefinition names all that is wrong."""
        parsed, problems = asl.parse(text)
        if problems:
            listed = ", ".join(str(problem) for problem in problems)
            raise ApiError("InvalidDefinition", f"Invalid State Machine Definition: '{listed}'")
        if self._cloud.settings.enforce_iam and iam.trust_problem(role, PRINCIPAL):
            message = f"Neither the global service principal {PRINCIPAL}, nor the regional one is authorized to assume"
            raise ApiError("AccessDeniedException", f"{message} the provided role.")
        return Revision(str(uuid.uuid4()), text, parsed, role, self.now())

    def check_logging(self, role: str, configuration: Mapping[str, Any] | None) -> None:
        """Whether the role may have what it does delivered to CloudWatch Logs, if that is wanted."""
        if (configuration or {}).get("level", "OFF") == "OFF" or not self._cloud.settings.enforce_iam:
            return
        if not all(iam.role_allows(role, action, "*", "states:CreateStateMachine") for action in _LOG_DELIVERY):
            raise ApiError(
                "AccessDeniedException",
                "The state machine IAM Role is not authorized to access the Log Destination",
            )

    def find(self, arn: str) -> Machine:
        """The machine of an ARN, which may be one of a version or an alias."""
        machine = self.machines.get(":".join(arn.split(":")[:7]))
        if machine is None:
            raise ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return machine

    def chosen(self, arn: str) -> tuple[Machine, Revision, str | None, str | None]:
        """Machine, revision, version ARN and alias ARN that an ARN stands for."""
        machine = self.find(arn)
        if arn == machine.arn:
            return machine, machine.revision, None, None
        version_arn, alias_arn = arn, None
        if alias := machine.aliases.get(arn.rsplit(":", 1)[-1]):
            alias_arn = alias.arn
            version_arn = max(alias.routing, key=lambda route: route["weight"])["stateMachineVersionArn"]
        version = next((version for version in machine.versions if version.arn == version_arn), None)
        if version is None:
            raise ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return machine, version.revision, version.arn, alias_arn

    def publish(self, machine: Machine, description: str) -> Version:
        """A version of the present revision; the last one if it is of that revision already."""
        with self.lock:
            if machine.versions and machine.versions[-1].revision is machine.revision:
                return machine.versions[-1]
            machine.published += 1
            arn = f"{machine.arn}:{machine.published}"
            version = Version(machine.published, arn, machine.revision, description, self.now())
            machine.versions.append(version)
            return version

    # executions

    def start(self, arn: str, name: str | None, text: str) -> Execution:
        """Start an execution, or find the equal one that runs under the name."""
        machine, revision, version_arn, alias_arn = self.chosen(arn)
        value = _input(text)
        express = machine.type == "EXPRESS"
        name = name or str(uuid.uuid4())
        check_name(name)
        with self.lock:
            present = None if express else machine.executions.get(name)
            if present is not None:
                if present.status == "RUNNING" and present.input == value:
                    return present
                raise ApiError("ExecutionAlreadyExists", f"Execution Already Exists: '{present.arn}'")
            kind = "express" if express else "execution"
            suffix = f":{uuid.uuid4()}" if express else ""
            execution = Execution(
                self.engine,
                arn=f"arn:aws:states:{REGION}:{ACCOUNT}:{kind}:{machine.name}:{name}{suffix}",
                name=name,
                machine_arn=machine.arn,
                machine_name=machine.name,
                express=express,
                definition=revision.definition,
                definition_text=revision.text,
                role=revision.role,
                revision=revision.id,
                input=value,
                input_text=text,
                version_arn=version_arn,
                alias_arn=alias_arn,
                changed=self._emit,
            )
            if not express:
                machine.executions[name] = execution
        execution.begin(self._evaluator, self.integrations, self._seed)
        return execution

    def execution(self, arn: str) -> Execution:
        """A standard execution."""
        parts = arn.split(":")
        if len(parts) != 8 or parts[5] not in {"execution", "express"}:
            raise ApiError("InvalidArn", f"Invalid Arn: '{arn}'")
        machine = self.machines.get(f"arn:aws:states:{parts[3]}:{parts[4]}:stateMachine:{parts[6]}")
        execution = machine.executions.get(parts[7]) if machine else None
        if execution is None:
            raise ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return execution

    def _watch(self, arn: str, ended: Callable[[], None]) -> None:
        self.execution(arn).watch(ended)


def check_name(name: str) -> None:
    """Names of machines and executions have 1 to 80 characters, none of them special."""
    if not 1 <= len(name) <= 80 or any(sign in _BAD_IN_NAMES or sign.isspace() or ord(sign) < 32 for sign in name):
        raise ApiError("InvalidName", f"Invalid Name: '{name}'")


def _input(text: str) -> Any:
    if len(text.encode()) > DATA_BYTES:
        limit = f"Member must have length less than or equal to {DATA_BYTES}"
        message = f"1 validation error detected: Value at 'input' failed to satisfy constraint: {limit}"
        raise ApiError("ValidationException", message)
    try:
        return json.loads(text)
    except ValueError as error:
        raise ApiError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'") from None


def status_detail(execution: Execution) -> dict[str, Any]:
    """The detail of the event that EventBridge gets."""
    included = {"included": True}
    return {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": int(execution.start.timestamp() * 1000),
        "stopDate": int(execution.stop.timestamp() * 1000) if execution.stop else None,
        "input": execution.input_text,
        "output": execution.output_text,
        "inputDetails": included,
        "outputDetails": included if execution.output_text is not None else None,
        "stateMachineVersionArn": execution.version_arn,
        "stateMachineAliasArn": execution.alias_arn,
        "redriveCount": execution.redrives,
        "redriveDate": iso(execution.redriven) if execution.redriven else None,
        "error": execution.error,
        "cause": execution.cause,
    }
