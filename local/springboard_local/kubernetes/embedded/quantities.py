"""Amounts as Kubernetes writes them: 500m, 1Gi, 25%."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation

_UNITS = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
}
_QUANTITY = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi|n|u)?$")


def parse_quantity(text: object) -> Decimal:
    """The amount in base units; ValueError if it isn't one."""
    found = _QUANTITY.match(str(text))
    if not found:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    try:
        return Decimal(found[1]) * _UNITS[found[2] or ""]
    except InvalidOperation as error:
        raise ValueError(str(text)) from error


def scaled(value: object, total: int, *, round_up: bool) -> int:
    """An int-or-percent of `total`: 2 is 2, "25%" of 3 is 1 or 0."""
    if isinstance(value, str) and value.endswith("%"):
        exact = int(value[:-1]) * total / 100
        return math.ceil(exact) if round_up else math.floor(exact)
    return int(str(value or 0))
