"""JSON values as DynamoDB's attribute values, and back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

type Attribute = dict[str, Any]


def to_attribute(value: Any) -> Attribute:  # noqa: ANN401 - any JSON value, one return for each type
    """The attribute value; TypeError for what JSON does not have."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | float() | Decimal():
            return {"N": str(value)}
        case dict():
            return {"M": {str(key): to_attribute(inner) for key, inner in value.items()}}
        case list() | tuple():
            return {"L": [to_attribute(inner) for inner in value]}
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON value")


def from_attribute(attribute: Attribute) -> Any:  # noqa: ANN401 - any JSON value
    """The reverse of `to_attribute`; whole numbers are ints. TypeError for sets and binaries, which we never write."""
    ((kind, value),) = attribute.items()
    match kind:
        case "NULL":
            return None
        case "BOOL" | "S":
            return value
        case "N":
            number = Decimal(value)
            return int(number) if number == number.to_integral_value() else float(number)
        case "M":
            return {key: from_attribute(inner) for key, inner in value.items()}
        case "L":
            return [from_attribute(inner) for inner in value]
        case _:
            raise TypeError(f"attribute of type {kind}")
