"""What a resource type is: how it is created, updated and deleted through the API of its service."""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import yaml
from botocore.exceptions import ClientError

from springboard_local.cloud import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from springboard_local.clock import Clock

type Properties = dict[str, Any]


class ResourceError(Exception):
    """A resource cannot be made as the template has it; the message says why."""


class NeedsReplacementError(Exception):
    """Raised by an update that finds that only a new resource will do."""


@dataclass(frozen=True)
class Made:
    """A resource that exists: what Ref gives, and what GetAtt gives."""

    physical_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


class StackLike(Protocol):
    """What a resource may know of its stack."""

    stack_id: str
    stack_name: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Work:
    """One operation on one resource, and the means for it."""

    stack: StackLike
    logical_id: str
    clients: Callable[[str], Any]
    clock: Clock
    endpoint: str
    exists: Callable[[str], None]  # tell the physical ID once there is one, for creations of several calls

    def client(self, service: str) -> Any:
        """The API of a service, with the rights of the stack's operation."""
        return self.clients(service)

    def call(self, service: str, operation: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation with CloudFormation's properties, fitted to the shape that the API wants."""
        client = self.clients(service)
        model = client.meta.service_model.operation_model(operation)
        parameters = fitted(model.input_shape, dict(properties), operation)
        method = {v: k for k, v in client.meta.method_to_api_mapping.items()}[operation]
        answer: dict[str, Any] = getattr(client, method)(**parameters)
        return answer

    def name(self, limit: int = 64, *, lower: bool = False) -> str:
        """A name as CloudFormation makes them: stack, logical ID, and something random."""
        suffix = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12))
        room = limit - len(suffix) - 1
        stem = f"{self.stack.stack_name}-{self.logical_id}"
        if len(stem) > room:
            stem = f"{self.stack.stack_name[: room // 2]}-{self.logical_id}"[:room]
        name = f"{stem.rstrip('-')}-{suffix}"
        return name.lower() if lower else name

    def tags(self, own: Any = None) -> list[dict[str, str]]:
        """The resource's tags as a list, with those of the stack."""
        merged = {**self.stack.tags, **tag_map(own)}
        return [{"Key": key, "Value": value} for key, value in merged.items()]

    def arn(self, service: str, rest: str) -> str:
        """An ARN of this account and region."""
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"

    def wait(self, what: str, done: Callable[[], bool], seconds: float = 3_600, every: float = 5) -> None:
        """Block, in virtual time, until `done()`."""
        waited = 0.0
        while not done():
            if waited >= seconds:
                raise ResourceError(f"{what} did not become stable within {seconds:g} s")
            self.clock.sleep(every)
            waited += every


class ResourceType:
    """One row of the table. `replacing` names the properties that no update can change."""

    TYPE: ClassVar[str]
    replacing: ClassVar[frozenset[str]] = frozenset()
    updatable: ClassVar[bool] = True

    def create(self, work: Work, properties: Properties) -> Made:
        """Make the resource."""
        raise NotImplementedError

    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        """Change the resource in place; `NeedsReplacementError` where that cannot be."""
        raise NeedsReplacementError

    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Remove the resource; one that is gone already is fine."""
        raise NotImplementedError


TABLE: dict[str, ResourceType] = {}


def resource[T: type[ResourceType]](kind: T) -> T:
    """Enter a class into the table."""
    TABLE[kind.TYPE] = kind()
    return kind


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """The names of properties that differ."""
    return {name for name in {*old, *new} if old.get(name) != new.get(name)}


def gone(action: Callable[..., Any], *codes: str, **parameters: Any) -> None:
    """Call a delete operation; an error that says that there is nothing to delete is success."""
    try:
        action(**parameters)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in codes and not any(
            word in code for word in ("NotFound", "NoSuch", "DoesNotExist", "NonExistent")
        ):
            raise


def tag_map(tags: Any) -> dict[str, str]:
    """Tags as a map, from either of the forms that templates have."""
    if not tags:
        return {}
    if isinstance(tags, dict):
        return {str(key): str(value) for key, value in tags.items()}
    return {str(each["Key"]): str(each["Value"]) for each in tags}


def document(value: Any) -> str:
    """A policy or another JSON document as text."""
    return value if isinstance(value, str) else json.dumps(value)


def boolean(value: Any) -> bool:
    """A boolean, which a parameter makes a string."""
    return value if isinstance(value, bool) else str(value).lower() == "true"


def picked(properties: Mapping[str, Any], *names: str) -> Properties:
    """Those of the named properties that are given."""
    return {name: properties[name] for name in names if name in properties}


def without(properties: Mapping[str, Any], *names: str) -> Properties:
    """All properties but the named."""
    return {name: value for name, value in properties.items() if name not in names}


def only(kind: str, properties: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse properties that the local cloud does not have, so that none is left out silently."""
    unknown = sorted(set(properties) - set(known))
    if unknown:
        raise ResourceError(f"The local cloud has no property {', '.join(unknown)} of {kind}")


def structured(text: str) -> Any:
    """JSON or YAML text as values."""
    return json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)


# fitting a template's values to an API's shapes


def fitted(shape: Any, value: Any, path: str) -> Any:  # noqa: PLR0911 - one for each kind of shape
    """`value` in the form of a botocore shape.

    Templates have every name in PascalCase and, where a parameter comes in, every scalar as a string;
    APIs have names of either case and typed scalars. A name that the API does not know is an error.
    """
    match shape.type_name:
        case "structure":
            return _fitted_structure(shape, value, path)
        case "list":
            return _fitted_list(shape, value, path)
        case "map":
            pairs = tag_map(value) if isinstance(value, list) else value
            return {str(key): fitted(shape.value, each, f"{path}.{key}") for key, each in pairs.items()}
        case "boolean":
            return boolean(value)
        case "integer" | "long":
            return int(value)
        case "float" | "double":
            return float(value)
        case "string":
            return _fitted_string(value)
    return value


def _fitted_structure(shape: Any, value: Any, path: str) -> Any:
    if getattr(shape, "is_document_type", False):
        return value
    if not isinstance(value, dict):
        raise ResourceError(f"{path} has to be an object, not {value!r}")
    members = {name.lower(): name for name in shape.members}
    result = {}
    for name, each in value.items():
        member = members.get(name.lower())
        if member is None:
            raise ResourceError(f"Encountered unsupported property {name} of {path}")
        result[member] = fitted(shape.members[member], each, f"{path}.{name}")
    return result


def _fitted_list(shape: Any, value: Any, path: str) -> list[Any]:
    if isinstance(value, dict) and shape.member.type_name == "structure":
        members = set(shape.member.members)
        if {"Key", "Value"} <= members or {"key", "value"} <= members:
            value = [{"Key": key, "Value": each} for key, each in value.items()]
    if not isinstance(value, list):
        value = [value]
    return [fitted(shape.member, each, f"{path}[{index}]") for index, each in enumerate(value)]


def _fitted_string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return str(value)
