"""Checks of requests: against botocore's model of the API, then against the account."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session

from springboard_local.services.eks.errors import invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

ROLE = re.compile(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+")
PRINCIPAL = re.compile(r"arn:aws:iam::\d{12}:(role|user)/[\w+=,.@/-]+|arn:aws:iam::\d{12}:root")
NODEGROUP_NAME = re.compile(r"[0-9A-Za-z][A-Za-z0-9_-]{0,62}")
_TAG_LIMIT = 50


@cache
def model() -> Any:
    """The model of EKS that botocore brings."""
    return botocore.session.get_session().get_service_model("eks")


def check(operation: str, parameters: Mapping[str, Any]) -> None:
    """Refuse what the API's model does not allow: InvalidParameterException, naming the member."""
    _structure(model().operation_model(operation).input_shape, parameters, "")


def _structure(shape: Any, value: Mapping[str, Any], path: str) -> None:
    for name in shape.required_members:
        if value.get(name) is None:
            raise invalid_parameter(f"{name} cannot be null or empty.")
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
                _value(shape.value, each, f"{path}[{key}]")
        case "string":
            _string(shape, value, path)
        case "integer":
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
