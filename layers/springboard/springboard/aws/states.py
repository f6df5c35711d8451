"""AWS Step Functions: executions of the two machines."""

from __future__ import annotations

import json
from typing import Any

from springboard.aws.client import Adapter
from springboard.errors import RefusedError


class States(Adapter):
    """Executions; an operation's id is its execution's name, so that starting twice starts one."""

    missing = frozenset({"ExecutionDoesNotExist"})

    def start(self, machine_arn: str, name: str, state: dict[str, Any]) -> str:
        """Start an execution and return its ARN; one that was started already is left as it is."""
        try:
            answer = self.call("start_execution", stateMachineArn=machine_arn, name=name, input=json.dumps(state))
        except RefusedError as err:
            if err.code == "ExecutionAlreadyExists":
                return f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
            raise
        return str(answer["executionArn"])

    def status(self, execution_arn: str) -> str | None:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED, PENDING_REDRIVE; None if it was never started."""
        answer = self.find("describe_execution", executionArn=execution_arn)
        return None if answer is None else str(answer["status"])

    def stop(self, execution_arn: str, error: str, cause: str) -> None:
        """Stop an execution; one that has ended or never was is fine."""
        self.find("stop_execution", executionArn=execution_arn, error=error, cause=cause)
