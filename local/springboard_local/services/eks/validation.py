"""Checks of requests: against botocore's model of the API, then against the account."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import botocore.session
import yaml

from springboard_local.services.eks.errors import invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROLE = re.compile(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+")
PRINCIPAL = re.compile(r"arn:aws:iam::\d{12}:(role|user)/[\w+=,.@/-]+|arn:aws:iam::\d{12}:root")
NODEGROUP_NAME = re.compile(r"[0-9A-Za-z][A-Za-z0-9_-]{0,62}")
_TAG_LIMIT = 50


@cache
def model() -> Any:
    """The model of EKS that botocore brings."""
    return botocore.session.get_session().get_service_model("eks")


def check(operation: str, parameters: Mapping[str, Any]) -> None:
    """Refuse what the API's model does not allow, and what the local EKS does not have.

    InvalidParameterException names the member.
    """
    shape = model().operation_model(operation).input_shape
    _structure(shape, parameters, "")
    for path, value in members(shape, parameters):
        _served(operation, path, value)


@cache
def served() -> dict[str, dict[str, Any]]:
    """By operation and path of a member of its request: what the local EKS does with it; read from the data file."""
    text = (files("springboard_local") / "data" / "eks_requests.yaml").read_text()
    return dict(yaml.safe_load(text)["operations"])


def treatment(operation: str, path: str) -> Any:
    """What the local EKS does with a member, which may be named by a member around it; None for one unheard of."""
    known = served()[operation]
    while path:
        if path in known:
            return known[path]
        path = path.rpartition(".")[0]
        if path.removesuffix("[]") in known:
            return known[path.removesuffix("[]")]
    return None


def members(shape: Any, value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The innermost members of a request that are given, by path: `taints[].key`."""
    match shape.type_name:
        case "structure":
            for name, each in value.items():
                if each is not None and name in shape.members:
                    yield from members(shape.members[name], each, f"{path}.{name}" if path else name)
        case "list" if shape.member.type_name == "structure":
            for each in value:
                yield from members(shape.member, each, f"{path}[]")
        case "list" | "map":
            if value:
                yield path, value
        case _:
            yield path, value


def _served(operation: str, path: str, value: Any) -> None:
    match treatment(operation, path):
        case None:
            raise invalid_parameter(f"{path} is not part of the local cloud")
        case {"refused": str(why)}:
            raise invalid_parameter(f"{path} is not part of the local cloud: {why}")
        case {"only": list(accepted), "why": str(why)}:
            for each in value if isinstance(value, list) else [value]:
                if each not in accepted:
                    raise invalid_parameter(f"{path} {_text(each)} is not part of the local cloud: {why}")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _structure(shape: Any, value: Mapping[str, Any], path: str) -> None:
    for name in shape.required_members:
        if value.get(name) in (None, ""):
            raise invalid_parameter(f"{path}{name} cannot be null or empty.")
    for name, member in shape.members.items():
        if value.get(name) is not None:
            _value(member, value[name], f"{path}{name}")


def _value(shape: Any, value: Any, path: str) -> None:
    match shape.type_name:
        case "structure":
            _structure(shape, value, f"{path}.")
        case "list":
            _length(shape, len(value), path)
            for number, each in enumerate(value):
                _value(shape.member, each, f"{path}[{number}]")
        case "map":
            _length(shape, len(value), path)
            for key, each in value.items():
                _value(shape.key, key, f"{path} key {key}")
                _value(shape.value, each, f"{path}[{key}]")
        case "string":
            _string(shape, value, path)
        case "integer" | "long":
            _length(shape, value, path)


def _length(shape: Any, size: int, path: str) -> None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        bounds = f"between {low} and {high}" if None not in (low, high) else f"at {'least' if high is None else 'most'}"
        limit = "" if None not in (low, high) else f" {low if high is None else high}"
        raise invalid_parameter(f"{path} must be {bounds}{limit}")


def _string(shape: Any, value: str, path: str) -> None:
    if shape.enum and value not in shape.enum:
        raise invalid_parameter(f"{path} must be one of: {', '.join(shape.enum)}; got {value}")
    _length(shape, len(value), path)
    pattern = shape.metadata.get("pattern")
    # EKS's patterns end with a class and its star, which Java matches against the whole value.
    if pattern and not re.fullmatch(pattern, value):
        raise invalid_parameter(f"The value for {path} is not valid: it must match {pattern}")


def tags(value: Mapping[str, str] | None) -> dict[str, str]:
    """The tags of a new resource."""
    found = dict(value or {})
    for key in found:
        if key.lower().startswith("aws:"):
            raise invalid_parameter(f"Tag keys that start with aws: are reserved: {key}")
    if len(found) > _TAG_LIMIT:
        raise invalid_parameter(f"A resource can have at most {_TAG_LIMIT} tags")
    return found


def role(arn: str, what: str = "role", cluster: str | None = None) -> str:
    """A role's ARN."""
    if not ROLE.fullmatch(arn):
        raise invalid_parameter(f"The {what} ARN is invalid: {arn}", cluster)
    return arn


def trusted_services(role: Any) -> set[str]:
    """The services that may assume a role, by its trust policy."""
    document = role.assume_role_policy_document
    document = json.loads(document) if isinstance(document, str) else document
    statements = document.get("Statement", [])
    found: set[str] = set()
    for statement in statements if isinstance(statements, list) else [statements]:
        services = (statement.get("Principal") or {}).get("Service", [])
        found.update([services] if isinstance(services, str) else services)
    return found
