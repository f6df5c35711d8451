"""The operations of the Step Functions API."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.pipeline import ApiError, Call, operation
from springboard_local.services.stepfunctions import definition as asl
from springboard_local.services.stepfunctions.executions import REDRIVABLE
from springboard_local.services.stepfunctions.failures import StateFailure
from springboard_local.services.stepfunctions.machines import Alias, Machine, Machines, check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from springboard_local.services.stepfunctions.engine import Promise
    from springboard_local.services.stepfunctions.executions import Execution

machines: Machines | None = None

type Answer = Mapping[str, Any] | None

_PAGE = 100
_HISTORY_PAGE = 1_000
_SETTINGS = ("loggingConfiguration", "tracingConfiguration", "encryptionConfiguration")


def service() -> Machines:
    """The service of the present cloud."""
    if machines is None:
        raise RuntimeError("the local cloud has no Step Functions")
    return machines


def _action(name: str) -> Callable[[Callable[[Machines, Mapping[str, Any]], Answer]], None]:
    """Serve one operation."""

    def register(action: Callable[[Machines, Mapping[str, Any]], Answer]) -> None:
        @functools.wraps(action)
        def handler(call: Call) -> Answer:
            return action(service(), call.parameters)

        operation("stepfunctions", name)(handler)

    return register


def _page(items: Sequence[Any], wanted: Mapping[str, Any], size: int) -> tuple[Sequence[Any], dict[str, str]]:
    """One page of a list, and the token of the next one."""
    token = wanted.get("nextToken") or "0"
    if not token.isdigit():
        raise ApiError("InvalidToken", f"Invalid Token: '{token}'")
    start = int(token)
    end = start + min(int(wanted.get("maxResults") or size) or size, size)
    return items[start:end], {"nextToken": str(end)} if end < len(items) else {}


# machines


@_action("CreateStateMachine")
def _create(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    name = wanted["name"]
    check_name(name)
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"
    revision = states.revision(wanted["definition"], wanted["roleArn"])
    states.check_logging(wanted["roleArn"], wanted.get("loggingConfiguration"))
    kind = wanted.get("type") or "STANDARD"
    with states.lock:
        machine = states.machines.get(arn)
        if machine:
            same = (machine.revision.text, machine.revision.role, machine.type) == (revision.text, revision.role, kind)
            if not same:
                raise ApiError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
        else:
            settings = {key: wanted[key] for key in _SETTINGS if key in wanted}
            tags = {tag["key"]: tag["value"] for tag in wanted.get("tags") or []}
            machine = Machine(name, arn, kind, revision, states.now(), settings, tags)
            states.machines[arn] = machine
    answer = {"stateMachineArn": arn, "creationDate": machine.made}
    if wanted.get("publish"):
        answer["stateMachineVersionArn"] = states.publish(machine, wanted.get("versionDescription", "")).arn
    elif wanted.get("versionDescription"):
        raise ApiError("ValidationException", "Version description can only be set when publish is true")
    return answer


@_action("UpdateStateMachine")
def _update(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    machine = states.find(wanted["stateMachineArn"])
    if not any(key in wanted for key in ("definition", "roleArn", *_SETTINGS)):
        raise ApiError("MissingRequiredParameter", "Either the definition, the role ARN, or a configuration is needed")
    text, role = wanted.get("definition") or machine.revision.text, wanted.get("roleArn") or machine.revision.role
    revision = states.revision(text, role)
    states.check_logging(role, wanted.get("loggingConfiguration") or machine.settings.get("loggingConfiguration"))
    with states.lock:
        machine.revision = revision
        machine.settings |= {key: wanted[key] for key in _SETTINGS if key in wanted}
    answer = {"updateDate": revision.made, "revisionId": revision.id}
    if wanted.get("publish"):
        answer["stateMachineVersionArn"] = states.publish(machine, wanted.get("versionDescription", "")).arn
    return answer


@_action("DeleteStateMachine")
def _delete(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    # As on AWS: deleting what is not there succeeds, and running executions end with the machine.
    with states.lock:
        machine = states.machines.pop(wanted["stateMachineArn"], None)
    for execution in list(machine.executions.values()) if machine else []:
        execution.abort(None, None)
    return {}


@_action("DescribeStateMachine")
def _describe(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    machine, revision, version_arn, _ = states.chosen(wanted["stateMachineArn"])
    answer = {
        "stateMachineArn": version_arn or machine.arn,
        "name": machine.name,
        "status": "ACTIVE",
        "definition": revision.text,
        "roleArn": revision.role,
        "type": machine.type,
        "creationDate": machine.made,
        "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
        "tracingConfiguration": {"enabled": False},
        **machine.settings,
    }
    if revision.id:
        answer["revisionId"] = revision.id
    return answer


@_action("ListStateMachines")
def _list(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    found = sorted(states.machines.values(), key=lambda machine: machine.name)
    page, token = _page(found, wanted, _PAGE)
    listed = [
        {"stateMachineArn": machine.arn, "name": machine.name, "type": machine.type, "creationDate": machine.made}
        for machine in page
    ]
    return {"stateMachines": listed, **token}


@_action("ValidateStateMachineDefinition")
def _validate(_states: Machines, wanted: Mapping[str, Any]) -> Answer:
    _, problems = asl.parse(wanted["definition"])
    listed = [
        {"severity": "ERROR", "code": problem.code, "message": problem.message, "location": problem.location}
        for problem in problems
    ]
    most = int(wanted.get("maxResults") or 0) or _PAGE
    return {"result": "FAIL" if listed else "OK", "diagnostics": listed[:most], "truncated": len(listed) > most}


@_action("PublishStateMachineVersion")
def _publish(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    machine = states.find(wanted["stateMachineArn"])
    if wanted.get("revisionId") not in {None, machine.revision.id}:
        raise ApiError("ConflictException", "The revision is not the present one of the state machine")
    version = states.publish(machine, wanted.get("description", ""))
    return {"creationDate": version.made, "stateMachineVersionArn": version.arn}


@_action("ListStateMachineVersions")
def _versions(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    machine = states.find(wanted["stateMachineArn"])
    page, token = _page(machine.versions[::-1], wanted, _PAGE)
    listed = [{"stateMachineVersionArn": version.arn, "creationDate": version.made} for version in page]
    return {"stateMachineVersions": listed, **token}


@_action("DeleteStateMachineVersion")
def _delete_version(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    arn = wanted["stateMachineVersionArn"]
    machine = states.find(arn)
    used = [alias.arn for alias in machine.aliases.values() for route in alias.routing if _target(route) == arn]
    if used:
        message = f"Version to be deleted must not be referenced by an alias. Current list of aliases: {used}"
        raise ApiError("ConflictException", message)
    machine.versions = [version for version in machine.versions if version.arn != arn]
    return {}


# aliases


def _target(route: Mapping[str, Any]) -> str:
    return str(route["stateMachineVersionArn"])


def _alias(states: Machines, arn: str) -> Alias:
    machine = states.find(arn)
    alias = machine.aliases.get(arn.rsplit(":", 1)[-1])
    if alias is None:
        raise ApiError("ResourceNotFound", f"Request references a resource that does not exist: '{arn}'", 404)
    return alias


def _check_routing(states: Machines, routing: Sequence[Mapping[str, Any]]) -> Machine:
    if not 1 <= len(routing) <= 2 or sum(int(route["weight"]) for route in routing) != 100:
        raise ApiError("ValidationException", "One or two routes are needed, whose weights make 100")
    machine = states.find(_target(routing[0]))
    for route in routing:
        states.chosen(_target(route))
    return machine


@_action("CreateStateMachineAlias")
def _create_alias(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    routing = [dict(route) for route in wanted["routingConfiguration"]]
    machine = _check_routing(states, routing)
    name, now = wanted["name"], states.now()
    check_name(name)
    with states.lock:
        if name in machine.aliases:
            raise ApiError("ConflictException", f"Alias {name} exists already")
        alias = Alias(name, f"{machine.arn}:{name}", wanted.get("description", ""), routing, now, now)
        machine.aliases[name] = alias
    return {"stateMachineAliasArn": alias.arn, "creationDate": now}


@_action("UpdateStateMachineAlias")
def _update_alias(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    alias = _alias(states, wanted["stateMachineAliasArn"])
    if "routingConfiguration" in wanted:
        routing = [dict(route) for route in wanted["routingConfiguration"]]
        _check_routing(states, routing)
        alias.routing = routing
    alias.description = wanted.get("description", alias.description)
    alias.updated = states.now()
    return {"updateDate": alias.updated}


@_action("DescribeStateMachineAlias")
def _describe_alias(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    alias = _alias(states, wanted["stateMachineAliasArn"])
    return {
        "stateMachineAliasArn": alias.arn,
        "name": alias.name,
        "description": alias.description,
        "routingConfiguration": alias.routing,
        "creationDate": alias.made,
        "updateDate": alias.updated,
    }


@_action("ListStateMachineAliases")
def _aliases(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    machine = states.find(wanted["stateMachineArn"])
    page, token = _page(list(machine.aliases.values()), wanted, _PAGE)
    listed = [{"stateMachineAliasArn": alias.arn, "creationDate": alias.made} for alias in page]
    return {"stateMachineAliases": listed, **token}


@_action("DeleteStateMachineAlias")
def _delete_alias(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    alias = _alias(states, wanted["stateMachineAliasArn"])
    states.find(alias.arn).aliases.pop(alias.name, None)
    return {}


# executions


@_action("StartExecution")
def _start(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    execution = states.start(wanted["stateMachineArn"], wanted.get("name"), wanted.get("input") or "{}")
    return {"executionArn": execution.arn, "startDate": execution.start}


@_action("StartSyncExecution")
def _start_sync(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    machine = states.find(wanted["stateMachineArn"])
    if machine.type != "EXPRESS":
        message = "This operation is not supported by this type of state machine"
        raise ApiError("StateMachineTypeNotSupported", message)
    execution = states.start(wanted["stateMachineArn"], wanted.get("name"), wanted.get("input") or "{}")
    execution.ended.wait()
    assert execution.stop is not None  # noqa: S101 - it has ended
    milliseconds = int((execution.stop - execution.start).total_seconds() * 1000)
    billing = {"billedMemoryUsedInMB": 64, "billedDurationInMilliseconds": -(-milliseconds // 100) * 100}
    return {**_described(execution), "billingDetails": billing}


@_action("StopExecution")
def _stop(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    execution = states.execution(wanted["executionArn"])
    execution.abort(wanted.get("error"), wanted.get("cause"))
    return {"stopDate": execution.stop}


@_action("DescribeExecution")
def _describe_execution(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    execution = states.execution(wanted["executionArn"])
    redrivable = execution.status in REDRIVABLE
    answer = {
        **_described(execution),
        "redriveCount": execution.redrives,
        "redriveStatus": "REDRIVABLE" if redrivable else "NOT_REDRIVABLE",
    }
    if not redrivable:
        answer["redriveStatusReason"] = f"Execution is {execution.status} and cannot be redriven"
    if execution.redriven:
        answer["redriveDate"] = execution.redriven
    return answer


def _described(execution: Execution) -> dict[str, Any]:
    answer = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start,
        "input": execution.input_text,
        "inputDetails": {"included": True},
    }
    more = {
        "stopDate": execution.stop,
        "output": execution.output_text,
        "outputDetails": {"included": True} if execution.output_text is not None else None,
        "error": execution.error,
        "cause": execution.cause,
        "stateMachineVersionArn": execution.version_arn,
        "stateMachineAliasArn": execution.alias_arn,
    }
    return answer | {key: value for key, value in more.items() if value is not None}


@_action("DescribeStateMachineForExecution")
def _describe_for_execution(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    execution = states.execution(wanted["executionArn"])
    machine = states.machines[execution.machine_arn]
    return {
        "stateMachineArn": machine.arn,
        "name": machine.name,
        "definition": execution.definition_text,
        "roleArn": execution.role,
        "updateDate": machine.revision.made,
        "revisionId": execution.revision,
        **machine.settings,
    }


@_action("ListExecutions")
def _list_executions(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    if "stateMachineArn" not in wanted:
        raise ApiError("ValidationException", "Must provide a State Machine ARN or Map Run ARN")
    arn = wanted["stateMachineArn"]
    machine = states.find(arn)
    if machine.type == "EXPRESS":
        message = "This operation is not supported by this type of state machine"
        raise ApiError("StateMachineTypeNotSupported", message)
    status = wanted.get("statusFilter")
    found = [
        execution
        for execution in reversed(list(machine.executions.values()))
        if status in {None, execution.status} and arn in {machine.arn, execution.version_arn, execution.alias_arn}
    ]
    page, token = _page(found, wanted, _HISTORY_PAGE if wanted.get("maxResults") else _PAGE)
    return {"executions": [_listed(execution) for execution in page], **token}


def _listed(execution: Execution) -> dict[str, Any]:
    described = _described(execution)
    kept = ("executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate")
    more = ("stateMachineVersionArn", "stateMachineAliasArn")
    item = {key: described[key] for key in (*kept, *more) if key in described}
    return item | {"redriveCount": execution.redrives}


@_action("GetExecutionHistory")
def _history(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    execution = states.execution(wanted["executionArn"])
    events = list(execution.history)
    if wanted.get("reverseOrder"):
        events.reverse()
    page, token = _page(events, wanted, _HISTORY_PAGE if wanted.get("maxResults") else _PAGE)
    if wanted.get("includeExecutionData") is False:
        page = [_without_data(event) for event in page]
    return {"events": page, **token}


_DATA = {"input", "output", "parameters", "assignedVariables"}


def _without_data(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: {name: item for name, item in value.items() if name not in _DATA} if key.endswith("Details") else value
        for key, value in event.items()
    }


@_action("RedriveExecution")
def _redrive(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    execution = states.execution(wanted["executionArn"])
    moment = execution.redrive()
    if moment is None:
        message = f"Execution is not redrivable: '{execution.arn}' is {execution.status}"
        raise ApiError("ExecutionNotRedrivable", message)
    return {"redriveDate": moment}


# task tokens


def _promise(states: Machines, wanted: Mapping[str, Any]) -> Promise:
    token = wanted["taskToken"]
    promise = states.integrations.tokens.get(token)
    if promise is None:
        if not token.startswith("AQC"):
            raise ApiError("InvalidToken", "Invalid Token: 'Invalid token'")
        raise ApiError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
    return promise


def _late() -> ApiError:
    return ApiError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")


@_action("SendTaskSuccess")
def _success(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    value = _task_output(wanted["output"])
    if not _promise(states, wanted).answer(value):
        raise _late()
    return {}


def _task_output(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ApiError("InvalidOutput", f"Invalid Output: '{error}'") from None


@_action("SendTaskFailure")
def _failure(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    failure = StateFailure(wanted.get("error") or "", wanted.get("cause") or "")
    if not _promise(states, wanted).answer(failure=failure):
        raise _late()
    return {}


@_action("SendTaskHeartbeat")
def _heartbeat(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    if not _promise(states, wanted).heartbeat():
        raise _late()
    return {}


# tags


@_action("TagResource")
def _tag(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    _tagged(states, wanted["resourceArn"]).tags |= {tag["key"]: tag["value"] for tag in wanted["tags"]}
    return {}


@_action("UntagResource")
def _untag(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    tags = _tagged(states, wanted["resourceArn"]).tags
    for key in wanted["tagKeys"]:
        tags.pop(key, None)
    return {}


@_action("ListTagsForResource")
def _tags(states: Machines, wanted: Mapping[str, Any]) -> Answer:
    tags = _tagged(states, wanted["resourceArn"]).tags
    return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}


def _tagged(states: Machines, arn: str) -> Machine:
    machine = states.machines.get(arn)
    if machine is None:
        raise ApiError("ResourceNotFound", f"Resource not found: '{arn}'", 404)
    return machine
