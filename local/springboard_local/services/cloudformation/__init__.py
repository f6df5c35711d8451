"""CloudFormation, in moto's place: stacks, change sets, nested stacks, rollback.

A template's resources are made through the public API of their services, so that the calls, their
permissions and their errors are those that any client would have. What this engine does not know makes
the stack fail, and the event says which type or property it was.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.pipeline import ApiError, operation
from springboard_local.services import iam, sam
from springboard_local.services.cloudformation import planning
from springboard_local.services.cloudformation import template as templates
from springboard_local.services.cloudformation.engine import Engine
from springboard_local.services.cloudformation.stacks import UPDATABLE, ChangeSet, Event, Plan, Resource, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from springboard_local.cloud import Cloud
    from springboard_local.pipeline import Call, Handler

_EMPTY = "The submitted information didn't contain changes. Submit different information to create a change set."
_HIDDEN = "****"


class _State:
    """What belongs to the cloud that runs."""

    cloud: Cloud
    engine: Engine


def install(cloud: Cloud) -> None:
    """Serve CloudFormation for this cloud."""
    _State.cloud = cloud
    _State.engine = Engine(cloud)
    _refuse_the_rest()


def reset(cloud: Cloud) -> None:
    """Forget all stacks."""
    _State.engine.close()
    _State.engine = Engine(cloud)


def close(_cloud: Cloud) -> None:
    """Wait a moment for operations that run."""
    _State.engine.close()


def _refuse_the_rest() -> None:
    """Moto must not answer for an operation that this engine lacks: it knows none of its stacks."""
    from moto.core.utils import get_service_model  # noqa: PLC0415

    for name in get_service_model("cloudformation").operation_names:
        if name not in _OPERATIONS:
            operation("cloudformation", name)(_not_implemented)


def _not_implemented(call: Call) -> Mapping[str, Any]:
    raise NotImplementedError(call.operation)


_OPERATIONS: set[str] = set()


def _serves(name: str) -> Callable[[Handler], Handler]:
    _OPERATIONS.add(name)
    return operation("cloudformation", name)


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationError", message)


# what is asked for


def _stack(name: str) -> Stack:
    found = _State.engine.find(name)
    if found is None:
        raise _invalid(f"Stack with id {name} does not exist")
    return found


def _text(parameters: Mapping[str, Any], stack: Stack | None) -> str:
    if text := parameters.get("TemplateBody"):
        return str(text)
    if url := parameters.get("TemplateURL"):
        return planning.template_at(_State.cloud, url)
    if parameters.get("UsePreviousTemplate") and stack and stack.plan:
        return stack.plan.text
    raise _invalid("Either Template URL or Template Body must be specified.")


def _given(parameters: Mapping[str, Any], stack: Stack | None) -> dict[str, str]:
    previous = stack.plan.given if stack and stack.plan else {}
    given = {}
    for each in parameters.get("Parameters") or []:
        name = each["ParameterKey"]
        if each.get("UsePreviousValue"):
            if name in previous:
                given[name] = previous[name]
        else:
            given[name] = str(each.get("ParameterValue", ""))
    return given


def _role(parameters: Mapping[str, Any]) -> str | None:
    """The service role that is named; whether its namer may pass it, IAM has decided."""
    role: str | None = parameters.get("RoleARN")
    if role and iam.trust_problem(role, "cloudformation.amazonaws.com"):
        raise _invalid(f"Role {role} is invalid or cannot be assumed")
    return role


def _plan(parameters: Mapping[str, Any], stack: Stack | None) -> Plan:
    tags = {each["Key"]: each["Value"] for each in parameters.get("Tags") or []}
    if "Tags" not in parameters and stack:
        tags = stack.tags
    try:
        return planning.plan(
            _State.engine,
            _text(parameters, stack),
            _given(parameters, stack),
            tags,
            list(parameters.get("Capabilities") or []),
            role_arn=_role(parameters),
            notification_arns=parameters.get("NotificationARNs"),
            description=parameters.get("Description", ""),
        )
    except templates.TemplateError as error:
        raise _invalid(str(error)) from error


def _plan_or_invalid(parameters: Mapping[str, Any], stack: Stack | None) -> Plan:
    try:
        return _plan(parameters, stack)
    except planning.TransformError as error:
        raise _invalid(str(error)) from error


def _check_idle(stack: Stack, to: str) -> None:
    if stack.status not in UPDATABLE:
        raise _invalid(f"Stack:{stack.stack_id} is in {stack.status} state and can not be {to}.")


# stacks


@_serves("CreateStack")
def create_stack(call: Call) -> Mapping[str, Any]:
    """Create a stack at once, without a change set."""
    parameters = call.parameters
    _check_new(parameters["StackName"])
    plan = _plan_or_invalid(parameters, None)
    stack = _State.engine.add(parameters["StackName"])
    stack.on_failure = parameters.get("OnFailure", "DO_NOTHING" if parameters.get("DisableRollback") else "ROLLBACK")
    stack.protected = bool(parameters.get("EnableTerminationProtection", False))
    _begin(stack, "CREATE", plan)
    return {"StackId": stack.stack_id}


def _check_new(name: str) -> None:
    if _State.engine.find(name):
        raise ApiError("AlreadyExistsException", f"Stack [{name}] already exists")


def _begin(stack: Stack, kind: str, plan: Plan) -> None:
    stack.set_status(f"{kind}_IN_PROGRESS", "User Initiated")
    action = _State.engine.create if kind == "CREATE" else _State.engine.update
    _State.engine.start(lambda: action(stack, plan), f"{kind.lower()} {stack.stack_name}")


@_serves("UpdateStack")
def update_stack(call: Call) -> Mapping[str, Any]:
    """Update a stack at once, without a change set."""
    stack = _stack(call.parameters["StackName"])
    _check_idle(stack, "updated")
    plan = _plan_or_invalid(call.parameters, stack)
    if not _State.engine.changes(stack, plan) and stack.tags == plan.tags:
        raise _invalid("No updates are to be performed.")
    _begin(stack, "UPDATE", plan)
    return {"StackId": stack.stack_id}


@_serves("DeleteStack")
def delete_stack(call: Call) -> Mapping[str, Any]:
    """Delete a stack; one that is gone already is fine."""
    stack = _State.engine.find(call.parameters["StackName"])
    if stack is None or stack.deleted:
        return {}
    if stack.protected:
        raise _invalid(f"Stack [{stack.stack_name}] cannot be deleted while TerminationProtection is enabled")
    if stack.busy:
        raise _invalid(f"Stack:{stack.stack_id} is in {stack.status} state and can not be deleted.")
    for output in stack.outputs:
        users = (
            [name for name in _State.engine.importers(output.export) if name != stack.stack_name]
            if output.export
            else []
        )
        if users:
            raise _invalid(f"Export {output.export} cannot be deleted as it is in use by {', '.join(users)}")
    stack.role_arn = _role(call.parameters) or stack.role_arn
    stack.set_status("DELETE_IN_PROGRESS", "User Initiated")
    retain = call.parameters.get("RetainResources") or []
    _State.engine.start(lambda: _State.engine.delete(stack, retain), f"delete {stack.stack_name}")
    return {}


@_serves("DescribeStacks")
def describe_stacks(call: Call) -> Mapping[str, Any]:
    """One stack, or all."""
    if name := call.parameters.get("StackName"):
        return {"Stacks": [_described(_stack(name))]}
    return {"Stacks": [_described(each) for each in reversed(_State.engine.alive())]}


def _described(stack: Stack) -> dict[str, Any]:
    plan = stack.plan
    return {
        "StackId": stack.stack_id,
        "StackName": stack.stack_name,
        "Description": plan.template.get("Description") if plan else None,
        "Parameters": _parameters(plan),
        "CreationTime": stack.created,
        "LastUpdatedTime": stack.updated,
        "DeletionTime": stack.deleted,
        "RollbackConfiguration": {},
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason or None,
        "DisableRollback": stack.on_failure == "DO_NOTHING",
        "NotificationARNs": plan.notification_arns if plan else [],
        "Capabilities": plan.capabilities if plan else [],
        "Outputs": [
            {
                "OutputKey": each.key,
                "OutputValue": each.value,
                "Description": each.description or None,
                "ExportName": each.export or None,
            }
            for each in stack.outputs
        ],
        "RoleARN": stack.role_arn,
        "Tags": [{"Key": key, "Value": value} for key, value in stack.tags.items()],
        "EnableTerminationProtection": stack.protected,
        "ParentId": stack.parent_id or None,
        "RootId": stack.root_id or None,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }


def _parameters(plan: Plan | None) -> list[dict[str, Any]]:
    if plan is None:
        return []
    listed = []
    for name, declared in (plan.template.get("Parameters") or {}).items():
        shown = plan.given.get(name, templates._text(declared.get("Default", "")))
        each = {"ParameterKey": name, "ParameterValue": _HIDDEN if name in plan.hidden else shown}
        if str(declared.get("Type", "")).startswith("AWS::SSM::Parameter::Value<"):
            each["ResolvedValue"] = str(plan.values.get(name, ""))
        listed.append(each)
    return listed


@_serves("ListStacks")
def list_stacks(call: Call) -> Mapping[str, Any]:
    """All stacks, also those deleted."""
    wanted = call.parameters.get("StackStatusFilter") or []
    stacks = [each for each in _State.engine.stacks.values() if not wanted or each.status in wanted]
    return {
        "StackSummaries": [
            {
                "StackId": each.stack_id,
                "StackName": each.stack_name,
                "TemplateDescription": each.plan.template.get("Description") if each.plan else None,
                "CreationTime": each.created,
                "LastUpdatedTime": each.updated,
                "DeletionTime": each.deleted,
                "StackStatus": each.status,
                "StackStatusReason": each.reason or None,
                "ParentId": each.parent_id or None,
                "RootId": each.root_id or None,
                "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
            }
            for each in reversed(stacks)
        ]
    }


@_serves("UpdateTerminationProtection")
def update_termination_protection(call: Call) -> Mapping[str, Any]:
    """Protect a stack against deletion."""
    stack = _stack(call.parameters["StackName"])
    stack.protected = bool(call.parameters["EnableTerminationProtection"])
    return {"StackId": stack.stack_id}


@_serves("DescribeStackEvents")
def describe_stack_events(call: Call) -> Mapping[str, Any]:
    """A stack's history, the newest first, in pages."""
    stack = _stack(call.parameters["StackName"])
    events = list(reversed(stack.events))
    page, token = _page(events, call.parameters.get("NextToken"), 100)
    return {"StackEvents": [_event(stack, each) for each in page], "NextToken": token}


def _event(stack: Stack, event: Event) -> dict[str, Any]:
    return {
        "StackId": stack.stack_id,
        "EventId": event.id,
        "StackName": stack.stack_name,
        "LogicalResourceId": event.logical_id,
        "PhysicalResourceId": event.physical_id,
        "ResourceType": event.type,
        "Timestamp": event.timestamp,
        "ResourceStatus": event.status,
        "ResourceStatusReason": event.reason or None,
        "ResourceProperties": event.properties or None,
    }


def _page[T](items: list[T], token: str | None, size: int) -> tuple[list[T], str | None]:
    """A page, and the token of the next. Tokens count from the end, because new events come at the front."""
    start = len(items) - int(token) if token and token.isdigit() else 0
    end = start + size
    return items[start:end], str(len(items) - end) if end < len(items) else None


@_serves("DescribeStackResources")
def describe_stack_resources(call: Call) -> Mapping[str, Any]:
    """A stack's resources, or the stack of a resource."""
    parameters = call.parameters
    if name := parameters.get("StackName"):
        stack = _stack(name)
    else:
        wanted = parameters.get("PhysicalResourceId")
        owners = [
            each for each in _State.engine.alive() if any(r.physical_id == wanted for r in each.resources.values())
        ]
        if not owners:
            raise _invalid(f"Stack for {wanted} does not exist")
        stack = owners[0]
    chosen = parameters.get("LogicalResourceId")
    resources = [each for name, each in stack.resources.items() if not chosen or name == chosen]
    return {"StackResources": [_resource(stack, each) for each in resources]}


def _resource(stack: Stack, resource: Resource) -> dict[str, Any]:
    return {
        "StackName": stack.stack_name,
        "StackId": stack.stack_id,
        "LogicalResourceId": resource.logical_id,
        "PhysicalResourceId": resource.physical_id or None,
        "ResourceType": resource.type,
        "Timestamp": resource.timestamp,
        "LastUpdatedTimestamp": resource.timestamp,
        "ResourceStatus": resource.status,
        "ResourceStatusReason": resource.reason or None,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }


@_serves("DescribeStackResource")
def describe_stack_resource(call: Call) -> Mapping[str, Any]:
    """One resource of a stack."""
    stack, name = _stack(call.parameters["StackName"]), call.parameters["LogicalResourceId"]
    if name not in stack.resources:
        raise _invalid(f"Resource {name} does not exist for stack {stack.stack_name}")
    return {"StackResourceDetail": _resource(stack, stack.resources[name])}


@_serves("ListStackResources")
def list_stack_resources(call: Call) -> Mapping[str, Any]:
    """A stack's resources, in pages."""
    stack = _stack(call.parameters["StackName"])
    page, token = _page(list(stack.resources.values()), call.parameters.get("NextToken"), 100)
    return {"StackResourceSummaries": [_resource(stack, each) for each in page], "NextToken": token}


# templates


@_serves("GetTemplate")
def get_template(call: Call) -> Mapping[str, Any]:
    """A stack's template, as it was sent or as it was processed."""
    name = call.parameters.get("StackName")
    if change_set_name := call.parameters.get("ChangeSetName"):
        plan = _change_set(change_set_name, name)[1].plan
    else:
        stack = _stack(str(name))
        plan = stack.plan
    if plan is None:
        raise _invalid(f"Stack {name} has no template yet")
    processed = call.parameters.get("TemplateStage") == "Processed"
    body = json.dumps(plan.template) if processed else plan.text
    return {"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}


@_serves("GetTemplateSummary")
def get_template_summary(call: Call) -> Mapping[str, Any]:
    """What a template declares."""
    stack = _stack(call.parameters["StackName"]) if call.parameters.get("StackName") else None
    try:
        text = stack.plan.text if stack and stack.plan else _text(call.parameters, stack)
        template = templates.parse(text)
    except templates.TemplateError as error:
        raise _invalid(str(error)) from error
    needed = planning.required_capabilities(template, template)
    return {
        "Parameters": [_declared(name, each) for name, each in (template.get("Parameters") or {}).items()],
        "Description": template.get("Description"),
        "Capabilities": needed,
        "CapabilitiesReason": f"The following resource(s) require capabilities: {needed}" if needed else None,
        "ResourceTypes": planning.resource_types(template),
        "DeclaredTransforms": sam.transforms(template),
        "Version": template.get("AWSTemplateFormatVersion"),
        "Metadata": json.dumps(template["Metadata"]) if "Metadata" in template else None,
    }


def _declared(name: str, each: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ParameterKey": name,
        "DefaultValue": templates._text(each["Default"]) if "Default" in each else None,
        "ParameterType": each.get("Type", "String"),
        "NoEcho": str(each.get("NoEcho", "")).lower() == "true",
        "Description": each.get("Description"),
        "ParameterConstraints": {"AllowedValues": [templates._text(v) for v in each.get("AllowedValues", [])]},
    }


@_serves("ValidateTemplate")
def validate_template(call: Call) -> Mapping[str, Any]:
    """Whether a template is well-formed."""
    try:
        template = templates.parse(_text(call.parameters, None))
        if sam.TRANSFORM not in sam.transforms(template):
            templates.validate(template)
    except templates.TemplateError as error:
        raise _invalid(str(error)) from error
    needed = planning.required_capabilities(template, template)
    return {
        "Parameters": [_declared(name, each) for name, each in (template.get("Parameters") or {}).items()],
        "Description": template.get("Description"),
        "Capabilities": needed,
        "DeclaredTransforms": sam.transforms(template),
    }


# change sets


@_serves("CreateChangeSet")
def create_change_set(call: Call) -> Mapping[str, Any]:
    """Work out what a template would change."""
    parameters, name = call.parameters, call.parameters["StackName"]
    kind = parameters.get("ChangeSetType", "UPDATE")
    stack = _State.engine.find(name)
    if stack and stack.deleted:
        stack = None
    if kind == "IMPORT":
        raise NotImplementedError("import of resources")
    if parameters.get("DeploymentMode"):
        raise NotImplementedError("drift-aware change sets")
    stack = _stack_for(kind, name, stack)
    if any(each.name == parameters["ChangeSetName"] for each in stack.change_sets.values()):
        raise ApiError("AlreadyExistsException", f"ChangeSet {parameters['ChangeSetName']} already exists")
    change_set = _new_change_set(parameters, kind)
    present = stack if kind == "UPDATE" else None
    try:
        change_set.plan = _plan(parameters, present)
        change_set.changes = _State.engine.changes(stack, change_set.plan)
    except planning.TransformError as error:
        _fail(change_set, str(error))
    except templates.TemplateError as error:
        _fail(change_set, str(error))
    else:
        if not change_set.changes and stack.tags == change_set.plan.tags:
            _fail(change_set, _EMPTY)
    if stack.stack_id not in _State.engine.stacks:
        with _State.engine.lock:
            _State.engine.stacks[stack.stack_id] = stack
        stack.set_status("REVIEW_IN_PROGRESS", "User Initiated")
    stack.change_sets[change_set.id] = change_set
    return {"Id": change_set.id, "StackId": stack.stack_id}


def _stack_for(kind: str, name: str, stack: Stack | None) -> Stack:
    from springboard_local.services.cloudformation.stacks import new_stack  # noqa: PLC0415

    if kind == "CREATE":
        if stack and stack.status != "REVIEW_IN_PROGRESS":
            raise ApiError("AlreadyExistsException", f"Stack [{name}] already exists and cannot be created again")
        return stack or new_stack(name, _State.cloud.clock)
    if stack is None:
        raise _invalid(f"Stack [{name}] does not exist")
    _check_idle(stack, "updated")
    return stack


def _new_change_set(parameters: Mapping[str, Any], kind: str) -> ChangeSet:
    name = parameters["ChangeSetName"]
    identity = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/{name}/{uuid.uuid4()}"
    return ChangeSet(identity, name, kind, _State.cloud.clock.now(), parameters.get("Description", ""))


def _fail(change_set: ChangeSet, reason: str) -> None:
    change_set.status, change_set.execution, change_set.reason = "FAILED", "UNAVAILABLE", reason


def _change_set(name: str, stack_name: str | None) -> tuple[Stack, ChangeSet]:
    stacks: Iterable[Stack] = [_stack(stack_name)] if stack_name else _State.engine.alive()
    for stack in stacks:
        for change_set in stack.change_sets.values():
            if name in {change_set.id, change_set.name}:
                return stack, change_set
    raise ApiError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)


@_serves("DescribeChangeSet")
def describe_change_set(call: Call) -> Mapping[str, Any]:
    """What a change set would change."""
    stack, change_set = _change_set(call.parameters["ChangeSetName"], call.parameters.get("StackName"))
    plan = change_set.plan
    page, token = _page(change_set.changes, call.parameters.get("NextToken"), 100)
    return {
        **_summary(stack, change_set),
        "Parameters": _parameters(plan),
        "Capabilities": plan.capabilities if plan else [],
        "Tags": [{"Key": key, "Value": value} for key, value in plan.tags.items()] if plan else [],
        "Changes": page,
        "NextToken": token,
        "NotificationARNs": plan.notification_arns if plan else [],
        "RollbackConfiguration": {},
    }


def _summary(stack: Stack, change_set: ChangeSet) -> dict[str, Any]:
    return {
        "StackId": stack.stack_id,
        "StackName": stack.stack_name,
        "ChangeSetId": change_set.id,
        "ChangeSetName": change_set.name,
        "ExecutionStatus": change_set.execution,
        "Status": change_set.status,
        "StatusReason": change_set.reason or None,
        "CreationTime": change_set.created,
        "Description": change_set.description or None,
        "IncludeNestedStacks": False,
    }


@_serves("ListChangeSets")
def list_change_sets(call: Call) -> Mapping[str, Any]:
    """A stack's change sets."""
    stack = _stack(call.parameters["StackName"])
    return {"Summaries": [_summary(stack, each) for each in stack.change_sets.values()]}


@_serves("DeleteChangeSet")
def delete_change_set(call: Call) -> Mapping[str, Any]:
    """Drop a change set; one that is gone already is fine."""
    try:
        stack, change_set = _change_set(call.parameters["ChangeSetName"], call.parameters.get("StackName"))
    except ApiError as error:
        if error.code != "ChangeSetNotFound":
            raise
        return {}
    del stack.change_sets[change_set.id]
    return {}


@_serves("ExecuteChangeSet")
def execute_change_set(call: Call) -> Mapping[str, Any]:
    """Do what a change set says."""
    stack, change_set = _change_set(call.parameters["ChangeSetName"], call.parameters.get("StackName"))
    if change_set.execution != "AVAILABLE" or change_set.plan is None:
        raise ApiError(
            "InvalidChangeSetStatus",
            f"ChangeSet [{change_set.id}] cannot be executed in its current status of [{change_set.status}]",
        )
    if stack.status != "REVIEW_IN_PROGRESS":
        _check_idle(stack, "updated")
    if change_set.kind == "CREATE":
        stack.on_failure = "DO_NOTHING" if call.parameters.get("DisableRollback") else "ROLLBACK"
    change_set.execution = "EXECUTE_COMPLETE"
    stack.change_sets.clear()
    stack.change_sets[change_set.id] = change_set
    _begin(stack, change_set.kind, change_set.plan)
    return {}


# exports


@_serves("ListExports")
def list_exports(_call: Call) -> Mapping[str, Any]:
    """All exports of the account."""
    exports = _State.engine.exports()
    return {
        "Exports": [
            {"ExportingStackId": stack.stack_id, "Name": name, "Value": value}
            for name, (value, stack) in sorted(exports.items())
        ]
    }


@_serves("ListImports")
def list_imports(call: Call) -> Mapping[str, Any]:
    """The stacks that import an export."""
    users = _State.engine.importers(call.parameters["ExportName"])
    if not users:
        raise _invalid(f"Export '{call.parameters['ExportName']}' is not imported by any stack.")
    return {"Imports": users}


@_serves("SetStackPolicy")
def set_stack_policy(call: Call) -> Mapping[str, Any]:
    """Stack policies are not part of the local cloud; the one that allows all is all that it takes."""
    body = json.loads(call.parameters.get("StackPolicyBody") or "{}")
    if any(each.get("Effect") != "Allow" for each in body.get("Statement", [])):
        raise NotImplementedError("stack policies")
    return {}


@_serves("GetStackPolicy")
def get_stack_policy(call: Call) -> Mapping[str, Any]:
    """No stack has one."""
    _stack(call.parameters["StackName"])
    return {}
