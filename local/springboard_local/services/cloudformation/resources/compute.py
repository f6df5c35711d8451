"""Lambda, Step Functions, EventBridge and its scheduler."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar, override

from springboard_local.services.cloudformation.resources.base import (
    Made,
    Properties,
    ResourceError,
    ResourceType,
    Work,
    changed,
    document,
    gone,
    picked,
    resource,
    structured,
    tag_map,
    without,
)


def _zip_of(code: Properties) -> Properties:
    """The code of a function or layer, under the API's names."""
    if "ZipFile" in code:
        raise ResourceError("Inline code (ZipFile) is not part of the local cloud; package the function")
    if "ImageUri" in code:
        raise ResourceError("Image functions are not part of the local cloud; use a zip package")
    return picked(code, "S3Bucket", "S3Key", "S3ObjectVersion")


def _sync_tags(work: Work, arn: str, old: Any, new: Any) -> None:
    """Give a resource whose API has TagResource(Resource, Tags: map) its new tags."""
    client = work.client("lambda")
    before, after = tag_map(old), tag_map(work.tags(new))
    if removed := sorted(set(before) - set(after)):
        client.untag_resource(Resource=arn, TagKeys=removed)
    if after:
        client.tag_resource(Resource=arn, Tags=after)


@resource
class Function(ResourceType):
    """A zip function; reserved concurrency is a call of its own."""

    TYPE = "AWS::Lambda::Function"
    replacing: ClassVar = frozenset({"FunctionName", "PackageType"})
    _OWN = ("Code", "Tags", "ReservedConcurrentExecutions", "FunctionName", "RuntimeManagementConfig")

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get("FunctionName") or work.name()
        request = {
            **without(properties, *self._OWN),
            "FunctionName": name,
            "Code": _zip_of(properties["Code"]),
            "Tags": tag_map(work.tags(properties.get("Tags"))),
        }
        arn = work.call("lambda", "CreateFunction", request)["FunctionArn"]
        work.exists(name)
        self._concurrency(work, name, properties)
        return Made(name, {"Arn": arn})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        differing = changed(old, new)
        if "Code" in differing or "Architectures" in differing:
            code = {"FunctionName": physical_id, **_zip_of(new["Code"]), **picked(new, "Architectures")}
            work.call("lambda", "UpdateFunctionCode", code)
        settings = without(new, *self._OWN, "Architectures", "PackageType", "CodeSigningConfigArn")
        if changed(without(old, *self._OWN, "Architectures"), without(new, *self._OWN, "Architectures")):
            # What the template no longer has goes back to Lambda's default.
            cleared: Properties = {"Environment": {}, "Layers": [], "DeadLetterConfig": {}, "VpcConfig": {}}
            absent = {name: value for name, value in cleared.items() if name in old and name not in new}
            if "VpcConfig" in absent:
                absent["VpcConfig"] = {"SubnetIds": [], "SecurityGroupIds": []}
            work.call("lambda", "UpdateFunctionConfiguration", {"FunctionName": physical_id, **absent, **settings})
        if "ReservedConcurrentExecutions" in differing:
            if "ReservedConcurrentExecutions" not in new:
                work.client("lambda").delete_function_concurrency(FunctionName=physical_id)
            self._concurrency(work, physical_id, new)
        arn = work.client("lambda").get_function_configuration(FunctionName=physical_id)["FunctionArn"]
        _sync_tags(work, arn, old.get("Tags"), new.get("Tags"))
        return Made(physical_id, {"Arn": arn})

    @staticmethod
    def _concurrency(work: Work, name: str, properties: Properties) -> None:
        if "ReservedConcurrentExecutions" in properties:
            reserved = int(properties["ReservedConcurrentExecutions"])
            work.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("lambda").delete_function, FunctionName=physical_id)


@resource
class LayerVersion(ResourceType):
    """One version of a layer: any change makes another."""

    TYPE = "AWS::Lambda::LayerVersion"
    updatable = False

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get("LayerName") or work.name(140)
        request = {
            **without(properties, "LayerName", "Content"),
            "LayerName": name,
            "Content": _zip_of(properties["Content"]),
        }
        arn = work.call("lambda", "PublishLayerVersion", request)["LayerVersionArn"]
        return Made(arn, {"LayerVersionArn": arn, "Arn": arn})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        name, version = physical_id.rsplit(":", 2)[1:]
        gone(work.client("lambda").delete_layer_version, LayerName=name, VersionNumber=int(version))


@resource
class Permission(ResourceType):
    """One statement of a function's policy."""

    TYPE = "AWS::Lambda::Permission"
    updatable = False

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        statement = work.name(100)
        work.call("lambda", "AddPermission", {**properties, "StatementId": statement})
        return Made(statement, {"Id": statement})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(
            work.client("lambda").remove_permission,
            FunctionName=properties["FunctionName"],
            StatementId=physical_id,
        )


@resource
class Version(ResourceType):
    """A published version, which outlives the template that asked for it only by DeletionPolicy."""

    TYPE = "AWS::Lambda::Version"
    updatable = False

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        request = without(properties, "ProvisionedConcurrencyConfig", "RuntimePolicy")
        answer = work.call("lambda", "PublishVersion", request)
        arn, version = answer["FunctionArn"], answer["Version"]
        arn = arn if arn.endswith(f":{version}") else f"{arn}:{version}"
        return Made(arn, {"Version": version, "FunctionArn": arn})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        name, version = physical_id.rsplit(":", 2)[1:]
        gone(work.client("lambda").delete_function, FunctionName=name, Qualifier=version)


@resource
class Alias(ResourceType):
    """A name for a version."""

    TYPE = "AWS::Lambda::Alias"
    replacing: ClassVar = frozenset({"FunctionName", "Name"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        arn = work.call("lambda", "CreateAlias", without(properties, "ProvisionedConcurrencyConfig"))["AliasArn"]
        return Made(arn, {"AliasArn": arn})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        work.call("lambda", "UpdateAlias", without(new, "ProvisionedConcurrencyConfig"))
        return Made(physical_id, {"AliasArn": physical_id})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("lambda").delete_alias, FunctionName=properties["FunctionName"], Name=properties["Name"])


@resource
class EventInvokeConfig(ResourceType):
    """What becomes of asynchronous invocations."""

    TYPE = "AWS::Lambda::EventInvokeConfig"
    replacing: ClassVar = frozenset({"FunctionName", "Qualifier"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        work.call("lambda", "PutFunctionEventInvokeConfig", self._request(properties))
        return Made(f"{properties['FunctionName']}|{properties['Qualifier']}")

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        work.call("lambda", "PutFunctionEventInvokeConfig", self._request(new))
        return Made(physical_id)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        target = picked(self._request(properties), "FunctionName", "Qualifier")
        gone(work.client("lambda").delete_function_event_invoke_config, **target)

    @staticmethod
    def _request(properties: Properties) -> Properties:
        if properties.get("Qualifier") == "$LATEST":
            return without(properties, "Qualifier")
        return properties


@resource
class EventSourceMapping(ResourceType):
    """A queue's or a stream's records on their way to a function."""

    TYPE = "AWS::Lambda::EventSourceMapping"
    replacing: ClassVar = frozenset({"EventSourceArn", "StartingPosition", "StartingPositionTimestamp"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        request = {**without(properties, "Tags"), "Tags": tag_map(work.tags(properties.get("Tags")))}
        answer = work.call(
            "lambda", "CreateEventSourceMapping", request if request["Tags"] else without(request, "Tags")
        )
        return Made(
            answer["UUID"], {"Id": answer["UUID"], "EventSourceMappingArn": answer.get("EventSourceMappingArn", "")}
        )

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        request = without(new, "Tags", *self.replacing, "Queues", "Topics")
        answer = work.call("lambda", "UpdateEventSourceMapping", {**request, "UUID": physical_id})
        return Made(physical_id, {"Id": physical_id, "EventSourceMappingArn": answer.get("EventSourceMappingArn", "")})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("lambda").delete_event_source_mapping, UUID=physical_id)


@resource
class StateMachine(ResourceType):
    """A state machine, whose definition may lie in S3 and have substitutions."""

    TYPE = "AWS::StepFunctions::StateMachine"
    replacing: ClassVar = frozenset({"StateMachineName", "StateMachineType"})
    _KNOWN = ("LoggingConfiguration", "TracingConfiguration", "EncryptionConfiguration")

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get("StateMachineName") or work.name(80)
        request = {
            **picked(properties, *self._KNOWN, "RoleArn"),
            "name": name,
            "type": properties.get("StateMachineType", "STANDARD"),
            "definition": self._definition(work, properties),
            "tags": work.tags(properties.get("Tags")),
        }
        answer = work.call("stepfunctions", "CreateStateMachine", request)
        return self._made(answer["stateMachineArn"], name, answer)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        request = {
            **picked(new, *self._KNOWN, "RoleArn"),
            "stateMachineArn": physical_id,
            "definition": self._definition(work, new),
        }
        answer = work.call("stepfunctions", "UpdateStateMachine", request)
        client, tags = work.client("stepfunctions"), work.tags(new.get("Tags"))
        if removed := sorted(set(tag_map(old.get("Tags"))) - set(tag_map(tags))):
            client.untag_resource(resourceArn=physical_id, tagKeys=removed)
        if tags:
            work.call("stepfunctions", "TagResource", {"resourceArn": physical_id, "tags": tags})
        return self._made(physical_id, physical_id.rsplit(":", 1)[1], answer)

    @staticmethod
    def _made(arn: str, name: str, answer: dict[str, Any]) -> Made:
        revision = answer.get("revisionId", "INITIAL")
        return Made(arn, {"Arn": arn, "Name": name, "StateMachineRevisionId": revision})

    @staticmethod
    def _definition(work: Work, properties: Properties) -> str:
        if location := properties.get("DefinitionS3Location"):
            found = work.client("s3").get_object(Bucket=location["Bucket"], Key=location["Key"])
            text = found["Body"].read().decode()
        else:
            text = properties.get("DefinitionString") or json.dumps(properties["Definition"])
        given = properties.get("DefinitionSubstitutions") or {}
        missing = sorted({name for name in re.findall(r"\$\{([A-Za-z0-9_]+)\}", text) if name not in given})
        if missing and given:
            raise ResourceError(f"DefinitionSubstitutions has no value for {', '.join(missing)}")

        def value(match: re.Match[str]) -> str:
            given_value = given[match[1]]
            return json.dumps(given_value) if isinstance(given_value, bool) else str(given_value)

        text = re.sub(r"\$\{([A-Za-z0-9_]+)\}", value, text) if given else text
        return json.dumps(structured(text))

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("stepfunctions").delete_state_machine, stateMachineArn=physical_id)


@resource
class EventBus(ResourceType):
    """A bus of the stack's own."""

    TYPE = "AWS::Events::EventBus"
    replacing: ClassVar = frozenset({"Name", "EventSourceName"})
    _IN_UPDATE = ("Description", "KmsKeyIdentifier", "DeadLetterConfig", "LogConfig")

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        request = {**without(properties, "Policy", "Tags"), "Tags": work.tags(properties.get("Tags"))}
        arn = work.call("events", "CreateEventBus", request)["EventBusArn"]
        name = properties["Name"]
        return Made(name, {"Arn": arn, "Name": name})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        if changed(picked(old, *self._IN_UPDATE), picked(new, *self._IN_UPDATE)):
            work.call("events", "UpdateEventBus", {"Name": physical_id, **picked(new, *self._IN_UPDATE)})
        arn = work.arn("events", f"event-bus/{physical_id}")
        work.client("events").tag_resource(ResourceARN=arn, Tags=work.tags(new.get("Tags")))
        return Made(physical_id, {"Arn": arn, "Name": physical_id})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("events").delete_event_bus, Name=physical_id)


@resource
class Rule(ResourceType):
    """A rule with its targets."""

    TYPE = "AWS::Events::Rule"
    replacing: ClassVar = frozenset({"Name", "EventBusName"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get("Name") or work.name()
        return self._put(work, name, {}, properties)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        return self._put(work, physical_id.rsplit("|", 1)[-1], old, new)

    def _put(self, work: Work, name: str, old: Properties, new: Properties) -> Made:
        request = {**without(new, "Targets", "Tags", "Name"), "Name": name}
        if "EventPattern" in request:
            request["EventPattern"] = document(request["EventPattern"])
        arn = work.call("events", "PutRule", request)["RuleArn"]
        work.exists(f"{new['EventBusName']}|{name}" if new.get("EventBusName") else name)
        bus = picked(new, "EventBusName")
        kept = {target["Id"] for target in new.get("Targets", [])}
        removed = [target["Id"] for target in old.get("Targets", []) if target["Id"] not in kept]
        if removed:
            work.client("events").remove_targets(Rule=name, Ids=removed, **bus)
        if new.get("Targets"):
            answer = work.call("events", "PutTargets", {"Rule": name, "Targets": new["Targets"], **bus})
            if answer.get("FailedEntryCount"):
                raise ResourceError(f"Targets of rule {name} were refused: {answer['FailedEntries']}")
        # Ref of a rule on a bus of one's own is bus|name.
        physical = f"{new['EventBusName']}|{name}" if new.get("EventBusName") else name
        return Made(physical, {"Arn": arn})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        client, bus = work.client("events"), picked(properties, "EventBusName")
        name = physical_id.rsplit("|", 1)[-1]
        if ids := [target["Id"] for target in properties.get("Targets", [])]:
            gone(client.remove_targets, Rule=name, Ids=ids, **bus)
        gone(client.delete_rule, Name=name, **bus)


@resource
class Schedule(ResourceType):
    """A schedule; its target's input may be an object."""

    TYPE = "AWS::Scheduler::Schedule"
    replacing: ClassVar = frozenset({"Name", "GroupName"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get("Name") or work.name()
        arn = work.call("scheduler", "CreateSchedule", {**properties, "Name": name})["ScheduleArn"]
        return Made(name, {"Arn": arn})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        arn = work.call("scheduler", "UpdateSchedule", {**new, "Name": physical_id})["ScheduleArn"]
        return Made(physical_id, {"Arn": arn})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("scheduler").delete_schedule, Name=physical_id, **picked(properties, "GroupName"))


@resource
class ScheduleGroup(ResourceType):
    """A group of schedules, which goes with all that are in it."""

    TYPE = "AWS::Scheduler::ScheduleGroup"
    replacing: ClassVar = frozenset({"Name"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get("Name") or work.name()
        request = {"Name": name, "Tags": work.tags(properties.get("Tags"))}
        arn = work.call("scheduler", "CreateScheduleGroup", request)["ScheduleGroupArn"]
        return Made(name, {"Arn": arn})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        arn = work.arn("scheduler", f"schedule-group/{physical_id}")
        work.client("scheduler").tag_resource(ResourceArn=arn, Tags=work.tags(new.get("Tags")))
        return Made(physical_id, {"Arn": arn})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("scheduler").delete_schedule_group, Name=physical_id)
