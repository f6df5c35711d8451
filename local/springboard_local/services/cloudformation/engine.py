"""Deploys stacks: resource after resource through the services' APIs, and back again when one fails."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, override

from botocore.exceptions import BotoCoreError, ClientError

from springboard_local.services.cloudformation import template as templates
from springboard_local.services.cloudformation.resources import TABLE
from springboard_local.services.cloudformation.resources.base import (
    Made,
    NeedsReplacementError,
    Properties,
    ResourceError,
    ResourceType,
    Work,
    changed,
)
from springboard_local.services.cloudformation.stacks import STACK_TYPE, Output, Plan, Resource, Stack, new_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from springboard_local.cloud import Cloud

log = logging.getLogger(__name__)

_NO_UPDATES = "No updates are to be performed."
UNKNOWN = "{{changeSet:KNOWN_AFTER_APPLY}}"


class FailedError(Exception):
    """A resource failed; the operation is to be rolled back."""

    def __init__(self, logical_ids: list[str], reason: str) -> None:
        super().__init__(reason)
        self.logical_ids = logical_ids


@dataclass
class _Journal:
    """What an operation has done so far, so that it can be undone or cleaned up after."""

    created: list[Resource] = field(default_factory=list)
    updated: list[tuple[Resource, Resource]] = field(default_factory=list)  # before, after
    replaced: list[tuple[Resource, Resource]] = field(default_factory=list)


class Engine:
    """All stacks of the account."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.stacks: dict[str, Stack] = {}  # by ID, in the order of their creation
        self.lock = threading.RLock()
        self._threads: list[threading.Thread] = []

    # finding stacks

    def find(self, name: str) -> Stack | None:
        """The stack of that ID, or the one of that name that has not been deleted."""
        with self.lock:
            if name in self.stacks:
                return self.stacks[name]
            alive = [each for each in self.stacks.values() if each.stack_name == name and not each.deleted]
            return alive[-1] if alive else None

    def alive(self) -> list[Stack]:
        """All stacks that have not been deleted."""
        with self.lock:
            return [each for each in self.stacks.values() if not each.deleted]

    def add(self, name: str) -> Stack:
        """A new stack in the store."""
        stack = new_stack(name, self._cloud.clock)
        with self.lock:
            self.stacks[stack.stack_id] = stack
        return stack

    def exports(self) -> dict[str, tuple[str, Stack]]:
        """Value and owner of each export."""
        return {
            output.export: (output.value, stack) for stack in self.alive() for output in stack.outputs if output.export
        }

    def importers(self, export: str) -> list[str]:
        """Names of the stacks that import an export."""
        wanted = json.dumps(export)
        found = []
        for stack in self.alive():
            if stack.plan and "Fn::ImportValue" in json.dumps(stack.plan.template):
                used: set[str] = set()
                self._resolve_all(stack, stack.plan, used)
                if json.loads(wanted) in used:
                    found.append(stack.stack_name)
        return found

    def _resolve_all(self, stack: Stack, plan: Plan, imported: set[str]) -> None:
        resolver = self.resolver(stack, plan, preview=True, imported=imported)
        for resource in templates.enabled(plan.template, resolver).values():
            resolver.resolve(resource.get("Properties") or {})

    # running operations

    def start(self, operation: Callable[[], None], name: str) -> None:
        """Run an operation in a thread; one that is over at once is over when this returns.

        A short one is waited for, because SDK waiters look once and then sleep for many seconds.
        """
        hold = self._cloud.clock.hold()

        def run() -> None:
            with self._cloud.clock.working():
                hold.release()
                try:
                    operation()
                except Exception:
                    log.exception("%s failed", name)

        thread = threading.Thread(target=run, name=f"cloudformation {name}", daemon=True)
        with self.lock:
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
        thread.start()
        thread.join(timeout=0.5)

    def close(self) -> None:
        """Wait a moment for what still runs."""
        for thread in list(self._threads):
            thread.join(timeout=2)

    # resolving

    def resolver(  # noqa: C901 - the four look-ups belong together
        self,
        stack: Stack,
        plan: Plan,
        *,
        preview: bool = False,
        replaced: Iterable[str] = (),
        imported: set[str] | None = None,
    ) -> templates.Resolver:
        """What resolves the plan's template against the stack's resources.

        In a preview, what is not there yet is UNKNOWN; `imported` collects the exports that are used.
        """
        unknown = set(replaced)

        def found(name: str) -> Resource | None:
            resource = stack.resources.get(name)
            if preview and (resource is None or name in unknown):
                return None
            if resource is None:
                raise templates.TemplateError(
                    f"Template format error: Unresolved resource dependencies [{name}] "
                    "in the Resources block of the template"
                )
            return resource

        def ref(name: str) -> Any:
            resource = found(name)
            return resource.physical_id if resource else UNKNOWN

        def attribute(name: str, wanted: str) -> Any:
            resource = found(name)
            if resource is None:
                return UNKNOWN
            if wanted not in resource.attributes:
                raise templates.TemplateError(
                    f"Template error: resource {name} does not support attribute type {wanted} in Fn::GetAtt"
                )
            return resource.attributes[wanted]

        def import_value(export: str) -> str:
            if imported is not None:
                imported.add(export)
            exports = self.exports()
            if export not in exports:
                raise templates.TemplateError(f"No export named {export} found.")
            return exports[export][0]

        return templates.Resolver(
            plan.template,
            plan.values,
            stack.stack_id,
            stack.stack_name,
            ref,
            attribute,
            import_value,
            self._read_dynamic,
            plan.notification_arns,
        )

    def read_parameter(self, name: str) -> str:
        """The value of a parameter of the Parameter Store."""
        try:
            value = self._cloud.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        except ClientError as error:
            raise templates.TemplateError(f"Unable to fetch parameters [{name}] from parameter store") from error
        return str(value)

    def _read_dynamic(self, service: str, reference: str) -> str:
        if service in {"ssm", "ssm-secure"}:
            return self.read_parameter(reference)
        identity, _, rest = reference.partition(":SecretString:")
        secret = self._cloud.client("secretsmanager").get_secret_value(SecretId=identity)["SecretString"]
        key = rest.split(":", 1)[0]
        return str(json.loads(secret)[key]) if key else str(secret)

    # planning

    def changes(self, stack: Stack, plan: Plan) -> list[dict[str, Any]]:
        """What deploying the plan would do, as a change set lists it."""
        enabled = templates.enabled(plan.template, self.resolver(stack, plan, preview=True))
        listed: list[dict[str, Any]] = []
        replaced: set[str] = set()
        for name in templates.in_order(templates.dependencies(enabled)):
            declared, resource = enabled[name], stack.resources.get(name)
            if resource is None:
                listed.append(_change("Add", name, declared["Type"]))
                continue
            resolver = self.resolver(stack, plan, preview=True, replaced=replaced)
            properties = resolver.resolve(declared.get("Properties") or {})
            differing = changed(resource.properties, properties)
            replacement = resource.type != declared["Type"] or self._is_replaced(resource, differing)
            if resource.type != declared["Type"] or differing or self._stack_tags_matter(stack, plan, resource):
                listed.append(_change("Modify", name, declared["Type"], resource, differing, replacement=replacement))
                if replacement:
                    replaced.add(name)
        listed += [
            _change("Remove", name, resource.type, resource)
            for name, resource in stack.resources.items()
            if name not in enabled
        ]
        if not listed and self._outputs_differ(stack, plan):
            listed.append(_change("Modify", stack.stack_name, STACK_TYPE))
        return listed

    def _outputs_differ(self, stack: Stack, plan: Plan) -> bool:
        return self._outputs(stack, plan, preview=True) != stack.outputs

    @staticmethod
    def _stack_tags_matter(stack: Stack, plan: Plan, resource: Resource) -> bool:
        handler = TABLE.get(resource.type)
        return stack.tags != plan.tags and handler is not None and handler.updatable

    @staticmethod
    def _is_replaced(resource: Resource, differing: set[str]) -> bool:
        handler = TABLE.get(resource.type)
        return bool(differing) and (handler is None or not handler.updatable or bool(differing & handler.replacing))

    # deploying

    def create(self, stack: Stack, plan: Plan) -> None:
        """Create the stack's resources; on failure do what the stack's `on_failure` says."""
        stack.plan, stack.tags, stack.role_arn = plan, plan.tags, plan.role_arn
        journal = _Journal()
        try:
            self._apply(stack, plan, journal)
        except FailedError as failed:
            self._create_failed(stack, failed)
            return
        stack.set_status("CREATE_COMPLETE")

    def _create_failed(self, stack: Stack, failed: FailedError) -> None:
        reason = f"The following resource(s) failed to create: [{', '.join(failed.logical_ids)}]. "
        if not failed.logical_ids:
            reason = f"{failed} "
        if stack.on_failure == "DO_NOTHING":
            stack.set_status("CREATE_FAILED", reason.strip())
            return
        deleting = stack.on_failure == "DELETE"
        asked = "Delete requested by user." if deleting else "Rollback requested by user."
        stack.set_status("DELETE_IN_PROGRESS" if deleting else "ROLLBACK_IN_PROGRESS", reason + asked)
        left = self._remove(stack, list(stack.resources.values()), rollback=True)
        stack.outputs = []
        if left:
            stack.set_status("ROLLBACK_FAILED", f"The following resource(s) failed to delete: [{', '.join(left)}]. ")
        elif deleting:
            self._deleted(stack)
        else:
            stack.set_status("ROLLBACK_COMPLETE")

    def update(self, stack: Stack, plan: Plan) -> None:
        """Bring the stack to the plan; on failure back to what it was."""
        before = (stack.plan, dict(stack.resources), stack.tags, list(stack.outputs))
        stack.plan, stack.tags, stack.updated = plan, plan.tags, self._cloud.clock.now()
        stack.role_arn = plan.role_arn or stack.role_arn
        journal = _Journal()
        try:
            self._apply(stack, plan, journal, old_tags=before[2])
        except FailedError as failed:
            self._update_failed(stack, before, journal, failed)
            return
        stack.set_status("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        resolver = self.resolver(stack, plan)
        wanted = templates.enabled(plan.template, resolver)
        removed = [each for name, each in stack.resources.items() if name not in wanted]
        superseded = [old for old, _ in journal.replaced if old.update_replace_policy != "Retain"]
        self._remove(stack, superseded, replaced=True)
        self._remove(stack, removed)
        stack.set_status("UPDATE_COMPLETE")

    def _update_failed(self, stack: Stack, before: Any, journal: _Journal, failed: FailedError) -> None:
        plan, resources, tags, outputs = before
        stack.plan, stack.tags, stack.outputs = plan, tags, outputs
        reason = f"The following resource(s) failed to update: [{', '.join(failed.logical_ids)}]. "
        stack.set_status("UPDATE_ROLLBACK_IN_PROGRESS", reason if failed.logical_ids else str(failed))
        not_restored = self._restore(stack, journal)
        if not_restored:
            left = ", ".join(not_restored)
            stack.set_status("UPDATE_ROLLBACK_FAILED", f"The following resource(s) failed to update: [{left}]. ")
            return
        stack.set_status("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        new = [each for _, each in journal.replaced] + journal.created
        self._remove(stack, new, rollback=True, replaced=True)
        stack.resources = resources
        stack.set_status("UPDATE_ROLLBACK_COMPLETE")

    def _restore(self, stack: Stack, journal: _Journal) -> list[str]:
        """Give updated resources their former properties, the last first; the IDs of those that refuse."""
        refused = []
        for old, new in reversed(journal.updated):
            stack.resources[old.logical_id] = old
            stack.set_resource_status(old, "UPDATE_IN_PROGRESS")
            try:
                handler = self._handler(old.type)
                made = handler.update(self._work(stack, old), old.physical_id, new.properties, old.properties)
                old.attributes = made.attributes
            except _FAILURES as error:
                stack.set_resource_status(old, "UPDATE_FAILED", _reason(error))
                refused.append(old.logical_id)
            else:
                stack.set_resource_status(old, "UPDATE_COMPLETE")
        return refused

    def _apply(self, stack: Stack, plan: Plan, journal: _Journal, old_tags: Mapping[str, str] | None = None) -> None:
        try:
            resolver = self.resolver(stack, plan)
            enabled = templates.enabled(plan.template, resolver)
            order = templates.in_order(templates.dependencies(enabled))
        except templates.TemplateError as error:
            raise FailedError([], str(error)) from error
        retagged = old_tags is not None and old_tags != stack.tags
        for name in order:
            self._apply_one(stack, resolver, name, enabled[name], journal, retagged=retagged)
        try:
            stack.outputs = self._outputs(stack, plan)
        except templates.TemplateError as error:
            raise FailedError([], str(error)) from error

    def _apply_one(
        self,
        stack: Stack,
        resolver: templates.Resolver,
        name: str,
        declared: Mapping[str, Any],
        journal: _Journal,
        *,
        retagged: bool,
    ) -> None:
        existing = stack.resources.get(name)
        resource = Resource(
            name,
            declared["Type"],
            self._cloud.clock.now(),
            deletion_policy=str(declared.get("DeletionPolicy", "Delete")),
            update_replace_policy=str(declared.get("UpdateReplacePolicy", "Delete")),
        )
        try:
            resource.properties = resolver.resolve(declared.get("Properties") or {})
        except templates.TemplateError as error:
            if existing is None:
                stack.resources[name] = resource
            stack.set_resource_status(resource, "UPDATE_FAILED" if existing else "CREATE_FAILED", str(error))
            raise FailedError([name], str(error)) from error
        if existing is None or not existing.physical_id:
            self._create_one(stack, resource, journal.created)
            return
        if existing.type != resource.type:
            reason = f"Update of resource type is not permitted. The new template modifies resource type of: [{name}]"
            stack.set_resource_status(existing, "UPDATE_FAILED", reason)
            raise FailedError([name], reason)
        self._update_one(stack, existing, resource, journal, retagged=retagged)

    def _create_one(self, stack: Stack, resource: Resource, made: list[Resource]) -> None:
        name = resource.logical_id
        stack.resources[name] = resource
        stack.set_resource_status(resource, "CREATE_IN_PROGRESS", properties=json.dumps(resource.properties))
        made.append(resource)

        def exists(physical_id: str) -> None:
            resource.physical_id = physical_id
            stack.set_resource_status(resource, "CREATE_IN_PROGRESS", "Resource creation Initiated")

        try:
            result = self._handler(resource.type).create(self._work(stack, resource, exists), resource.properties)
        except _FAILURES as error:
            stack.set_resource_status(resource, "CREATE_FAILED", _reason(error))
            raise FailedError([name], _reason(error)) from error
        if not resource.physical_id:
            exists(result.physical_id)
        resource.physical_id, resource.attributes = result.physical_id, result.attributes
        stack.set_resource_status(resource, "CREATE_COMPLETE")

    def _update_one(
        self, stack: Stack, existing: Resource, wanted: Resource, journal: _Journal, *, retagged: bool
    ) -> None:
        differing = changed(existing.properties, wanted.properties)
        handler = TABLE.get(existing.type)
        retagged = retagged and handler is not None and handler.updatable
        if not differing and not retagged:
            existing.deletion_policy = wanted.deletion_policy
            existing.update_replace_policy = wanted.update_replace_policy
            return
        if self._is_replaced(existing, differing):
            self._replace_one(stack, existing, wanted, journal)
            return
        wanted.physical_id, wanted.attributes = existing.physical_id, existing.attributes
        name = existing.logical_id
        before = replace(existing)
        stack.resources[name] = wanted
        stack.set_resource_status(wanted, "UPDATE_IN_PROGRESS", properties=json.dumps(wanted.properties))
        try:
            work = self._work(stack, wanted)
            made = self._handler(wanted.type).update(work, before.physical_id, before.properties, wanted.properties)
        except NeedsReplacementError:
            wanted.physical_id, wanted.attributes = "", {}
            stack.resources[name] = before
            self._replace_one(stack, before, wanted, journal)
            return
        except _FAILURES as error:
            stack.set_resource_status(wanted, "UPDATE_FAILED", _reason(error))
            # It may have been changed in part, so it is restored like the others.
            journal.updated.append((before, wanted))
            raise FailedError([name], _reason(error)) from error
        wanted.physical_id, wanted.attributes = made.physical_id, made.attributes
        journal.updated.append((before, wanted))
        stack.set_resource_status(wanted, "UPDATE_COMPLETE")

    def _replace_one(self, stack: Stack, existing: Resource, wanted: Resource, journal: _Journal) -> None:
        name = existing.logical_id
        reason = "Requested update requires the creation of a new physical resource; hence creating one."
        stack.set_resource_status(existing, "UPDATE_IN_PROGRESS", reason)
        made: list[Resource] = []
        try:
            self._create_one(stack, wanted, made)
        except FailedError:
            stack.resources[name] = existing
            if wanted.physical_id:
                journal.created.append(wanted)
            raise
        journal.replaced.append((existing, wanted))
        stack.set_resource_status(wanted, "UPDATE_COMPLETE")

    def _outputs(self, stack: Stack, plan: Plan, *, preview: bool = False) -> list[Output]:
        resolver = self.resolver(stack, plan, preview=preview)
        outputs = []
        exports = self.exports()
        for key, declared in (plan.template.get("Outputs") or {}).items():
            if "Condition" in declared and not resolver.condition(declared["Condition"]):
                continue
            value = resolver.resolve(declared["Value"])
            if value is templates.NO_VALUE or isinstance(value, (dict, list)):
                raise templates.TemplateError(
                    f"Template format error: The Value field of every Outputs member must evaluate to a String ({key})."
                )
            export = str(resolver.resolve(declared["Export"]["Name"])) if "Export" in declared else ""
            if export and not preview and exports.get(export, (None, stack))[1] is not stack:
                raise templates.TemplateError(
                    f"Export with name {export} is already exported by stack {exports[export][1].stack_name}."
                )
            outputs.append(Output(key, str(value), str(declared.get("Description", "")), export))
        return outputs

    # deleting

    def delete(self, stack: Stack, retain: Iterable[str] = ()) -> None:
        """Delete the stack's resources, the last first."""
        kept = set(retain)
        doomed = [each for name, each in stack.resources.items() if name not in kept]
        for name in kept & set(stack.resources):
            stack.set_resource_status(stack.resources[name], "DELETE_SKIPPED")
        left = self._remove(stack, doomed)
        if left:
            stack.set_status("DELETE_FAILED", f"The following resource(s) failed to delete: [{', '.join(left)}]. ")
            return
        self._deleted(stack)

    def _deleted(self, stack: Stack) -> None:
        stack.deleted = self._cloud.clock.now()
        stack.outputs = []
        stack.set_status("DELETE_COMPLETE")

    def _remove(
        self, stack: Stack, doomed: list[Resource], *, rollback: bool = False, replaced: bool = False
    ) -> list[str]:
        """Delete resources, the last first; the IDs of those that would not go."""
        left = []
        for resource in self._last_first(stack, doomed):
            retained = {"Retain"} if rollback else {"Retain", "RetainExceptOnCreate"}
            if not resource.physical_id:
                self._forget(stack, resource)
            elif resource.deletion_policy in retained and not replaced:
                stack.set_resource_status(resource, "DELETE_SKIPPED")
                self._forget(stack, resource)
            elif not self._remove_one(stack, resource):
                left.append(resource.logical_id)
        return left

    def _last_first(self, stack: Stack, doomed: list[Resource]) -> list[Resource]:
        order = list(reversed(doomed))
        plan = stack.plan
        if plan is None:
            return order
        needs = templates.dependencies({k: v for k, v in plan.template["Resources"].items() if k in stack.resources})
        try:
            rank = {name: index for index, name in enumerate(templates.in_order(needs))}
        except templates.TemplateError:
            return order
        # What the present template does not have any more was removed from it, so nothing there needs it.
        return sorted(order, key=lambda each: -rank.get(each.logical_id, len(rank)))

    @staticmethod
    def _forget(stack: Stack, resource: Resource) -> None:
        if stack.resources.get(resource.logical_id) is resource:
            del stack.resources[resource.logical_id]

    def _remove_one(self, stack: Stack, resource: Resource) -> bool:
        stack.set_resource_status(resource, "DELETE_IN_PROGRESS")
        try:
            handler = self._handler(resource.type)
            handler.delete(self._work(stack, resource), resource.physical_id, resource.properties)
        except _FAILURES as error:
            stack.set_resource_status(resource, "DELETE_FAILED", _reason(error))
            return False
        stack.set_resource_status(resource, "DELETE_COMPLETE")
        self._forget(stack, resource)
        return True

    # the means

    def _handler(self, kind: str) -> ResourceType:
        if kind == STACK_TYPE:
            return NestedStack(self, self._cloud)
        if kind not in TABLE:
            raise ResourceError(f"Resource type {kind} is not part of the local cloud")
        return TABLE[kind]

    def _work(self, stack: Stack, resource: Resource, exists: Callable[[str], None] = lambda _: None) -> Work:
        def client(service: str) -> Any:
            return self._cloud.client(service, stack.role_arn, "AWSCloudFormation")

        return Work(stack, resource.logical_id, client, self._cloud.clock, self._cloud.endpoint, exists)


_FAILURES = (ClientError, BotoCoreError, ResourceError, templates.TemplateError, KeyError, TypeError, ValueError)


def _reason(error: Exception) -> str:
    if isinstance(error, ClientError):
        told = error.response["Error"]
        request = error.response.get("ResponseMetadata", {}).get("RequestId", "")
        where = f"Service: {error.operation_name}, Error Code: {told.get('Code')}, Request ID: {request}"
        return f"{told.get('Message', '')} ({where})"
    if isinstance(error, KeyError):
        return f"Property {error} is missing"
    return str(error) or type(error).__name__


def _change(
    action: str,
    name: str,
    kind: str,
    resource: Resource | None = None,
    differing: Iterable[str] = (),
    *,
    replacement: bool = False,
) -> dict[str, Any]:
    change: dict[str, Any] = {
        "Action": action,
        "LogicalResourceId": name,
        "ResourceType": kind,
        "Scope": [],
        "Details": [],
    }
    if resource is not None:
        change["PhysicalResourceId"] = resource.physical_id
    if action == "Modify":
        change["Replacement"] = "True" if replacement else "False"
        change["Scope"] = ["Properties"] if differing else ["Tags"]
        change["Details"] = [
            {
                "Target": {
                    "Attribute": "Properties",
                    "Name": each,
                    "RequiresRecreation": "Always" if replacement else "Never",
                },
                "Evaluation": "Static",
                "ChangeSource": "DirectModification",
            }
            for each in sorted(differing)
        ]
    return {"Type": "Resource", "ResourceChange": change}


class NestedStack(ResourceType):
    """A stack as a resource of another; its template lies in S3."""

    TYPE = STACK_TYPE

    def __init__(self, engine: Engine, cloud: Cloud) -> None:
        self._engine = engine
        self._cloud = cloud

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        parent = self._parent(work)
        name = work.name(128)
        self._check(parent, "CreateStack", work.arn("cloudformation", f"stack/{name}/*"))
        child = self._engine.add(name)
        child.parent_id, child.root_id = parent.stack_id, parent.root_id or parent.stack_id
        work.exists(child.stack_id)
        child.set_status("CREATE_IN_PROGRESS", "User Initiated")
        self._engine.create(child, self._plan(work, properties, parent))
        return self._made(child, "created")

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        child = self._engine.stacks[physical_id]
        self._check(self._parent(work), "UpdateStack", physical_id)
        child.set_status("UPDATE_IN_PROGRESS", "User Initiated")
        self._engine.update(child, self._plan(work, new, self._parent(work)))
        return self._made(child, "updated")

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        child = self._engine.stacks[physical_id]
        if child.deleted:
            return
        parent = self._parent(work)
        self._check(parent, "DeleteStack", physical_id)
        child.role_arn = parent.role_arn
        child.set_status("DELETE_IN_PROGRESS", "User Initiated")
        self._engine.delete(child)
        if not child.deleted:
            raise ResourceError(f"Embedded stack {physical_id} was not successfully deleted: {child.reason}")

    @staticmethod
    def _check(parent: Stack, operation: str, arn: str) -> None:
        """A nested stack is CloudFormation's own call, with the service role's rights."""
        from springboard_local.services import iam  # noqa: PLC0415 - of moto, which the cloud has to prepare first

        action = f"cloudformation:{operation}"
        if parent.role_arn and not iam.role_allows(parent.role_arn, action, arn):
            raise ResourceError(f"{parent.role_arn} is not authorized to perform: {action} on resource: {arn}")

    @staticmethod
    def _parent(work: Work) -> Stack:
        assert isinstance(work.stack, Stack)  # noqa: S101 - the engine gives nothing else
        return work.stack

    def _plan(self, work: Work, properties: Properties, parent: Stack) -> Plan:
        from springboard_local.services.cloudformation import planning  # noqa: PLC0415 - planning knows the engine

        text = planning.template_at(self._cloud, properties["TemplateURL"])
        given = {
            name: ",".join(map(str, value)) if isinstance(value, list) else _plain(value)
            for name, value in (properties.get("Parameters") or {}).items()
        }
        tags = {each["Key"]: each["Value"] for each in work.tags(properties.get("Tags"))}
        capabilities = parent.plan.capabilities if parent.plan else []
        return planning.plan(self._engine, text, given, tags, capabilities, role_arn=parent.role_arn)

    @staticmethod
    def _made(child: Stack, what: str) -> Made:
        if child.status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            failed = [event.reason for event in child.events if event.status.endswith("_FAILED") and event.reason]
            reason = f"{child.reason} {' '.join(failed[-1:])}".strip()
            raise ResourceError(f"Embedded stack {child.stack_id} was not successfully {what}: {reason}")
        return Made(child.stack_id, {f"Outputs.{output.key}": output.value for output in child.outputs})


def _plain(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
