"""What is kept of a call's parameters: enough to see what was asked, and nothing that has to stay secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import UnknownServiceError
from botocore.model import OperationNotFoundError
from moto.core.utils import get_service_model

if TYPE_CHECKING:
    from collections.abc import Mapping

HIDDEN = "***"
_SECRET = re.compile(
    r"password|passphrase|secret(?!id|name|arn)|credential|private.?key|authorization|signature"
    r"|(session|security|task|identity|access|auth)token|samlassertion|plaintext|parametervalue",
    re.IGNORECASE,
)
# What users and functions say to each other: the form of it is the application's, so nobody knows what is in it.
_BODIES = {
    ("dynamodb", "AttributeValue"),
    ("events", "Detail"),
    ("lambda", "Payload"),
    ("logs", "message"),
    ("sns", "Message"),
    ("sqs", "MessageBody"),
    ("cloudformation", "TemplateBody"),
    ("scheduler", "Input"),
    ("ec2", "UserData"),
}
_TEXT, _ITEMS, _DEPTH = 300, 25, 10  # what is longer, more or deeper than this is cut


@cache
def _input(api: str, operation: str) -> Any:
    """The shape of an operation's input; None where botocore has none, as for calls of an API Gateway."""
    try:
        return get_service_model(api).operation_model(operation).input_shape
    except (UnknownServiceError, OperationNotFoundError):
        return None


@dataclass
class Redaction:
    """The parameters of one call without its secrets; `message` hides them in an error's text too."""

    api: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    _hidden: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, api: str, operation: str, parameters: Mapping[str, Any]) -> Redaction:
        """Redact by botocore's model, which says what is sensitive, and by names where it does not."""
        made = cls(api)
        shape = _input(api, operation)
        made.parameters = {
            name: made._kept(name, value, shape.members.get(name) if shape else None, 0)
            for name, value in parameters.items()
            if value is not None
        }
        return made

    def message(self, text: str) -> str:
        """An error's message, in which a service may have repeated what it was given."""
        for each in sorted(self._hidden, key=len, reverse=True):
            text = text.replace(each, HIDDEN)
        return text[:500]

    def _kept(self, name: str, value: Any, shape: Any, depth: int) -> Any:
        hidden = self._instead(name, value, shape)
        if hidden is not None:
            return hidden
        if isinstance(value, (dict, list, tuple)) and depth >= _DEPTH:
            return "…"
        if isinstance(value, dict):
            return self._members(value, shape, depth)
        if isinstance(value, (list, tuple)):
            inner = getattr(shape, "member", None)
            kept = [self._kept(name, each, inner, depth + 1) for each in value[:_ITEMS]]
            return [*kept, f"… {len(value) - _ITEMS} more"] if len(value) > _ITEMS else kept
        if isinstance(value, str) and len(value) > _TEXT:
            return f"{value[:_TEXT]}…"
        return value if isinstance(value, (str, bool, int, float)) else str(value)

    def _instead(self, name: str, value: Any, shape: Any) -> str | None:
        """What stands in the place of a value that is not kept; None for one that is."""
        if isinstance(value, (bytes, bytearray)):
            return f"<{len(value)} bytes>"
        if hasattr(value, "read") or (shape is not None and shape.type_name == "blob"):
            return "<bytes>"
        if self._is_body(name, shape):
            self._hide(value)
            return f"<{len(value)} characters>" if isinstance(value, str) else HIDDEN
        if (shape is not None and shape.metadata.get("sensitive")) or _SECRET.search(name):
            self._hide(value)
            return HIDDEN
        return None

    def _members(self, value: Mapping[str, Any], shape: Any, depth: int) -> dict[str, Any]:
        members = getattr(shape, "members", None) or {}
        value_shape = getattr(shape, "value", None)
        kept: dict[str, Any] = {}
        for name, each in list(value.items())[:_ITEMS]:
            # A DynamoDB key says which item is meant, and is what a reader looks for.
            if self.api == "dynamodb" and name == "Key" and isinstance(each, dict):
                kept[name] = {key: dict(part) if isinstance(part, dict) else HIDDEN for key, part in each.items()}
                continue
            kept[str(name)] = self._kept(str(name), each, members.get(name, value_shape), depth + 1)
        if len(value) > _ITEMS:
            kept["…"] = f"{len(value) - _ITEMS} more"
        return kept

    def _is_body(self, name: str, shape: Any) -> bool:
        return (self.api, name) in _BODIES or (shape is not None and (self.api, shape.name) in _BODIES)

    def _hide(self, value: Any) -> None:
        """Remember the texts in a hidden value, the short ones apart: they would hide half of every message."""
        if isinstance(value, str) and len(value) >= 6:
            self._hidden.add(value)
        elif isinstance(value, dict):
            for each in value.values():
                self._hide(each)
        elif isinstance(value, (list, tuple)):
            for each in value:
                self._hide(each)
