"""The budgets, and the document that tells what was reached of each. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Budget:
    """The most that something may be (inclusive, or less than when `strict`), in `unit`."""

    unit: str
    most: float
    strict: bool = False

    def holds(self, value: float) -> bool:
        """Whether `value` is within the budget."""
        return value < self.most if self.strict else value <= self.most


def p95(values: Sequence[float]) -> float:
    """The 95th percentile, as one of the values."""
    return sorted(values)[min(len(values) - 1, round(0.95 * len(values)))]


BUDGETS: dict[str, Budget] = {
    "app-ready over critical path": Budget("ratio", 1.04),
    "AWS calls of a create": Budget("calls", 130),
    "mutating AWS calls of a create": Budget("calls", 50),
    "AWS calls of a no-op": Budget("calls", 30),
    "mutating AWS calls of a no-op": Budget("calls", 0),
    "transitions of a create": Budget("transitions", 150),
    "history events of a create": Budget("events", 2000),
    "layer zipped": Budget("MB", 40, strict=True),
    "layer unzipped": Budget("MB", 110, strict=True),
    "workload function init over raw REST": Budget("ratio", 1.1),
    "local cloud answers": Budget("s", 10, strict=True),
    "environment Ready after deploy at speed 60": Budget("s", 30, strict=True),
    "make test": Budget("s", 300, strict=True),
}

_COUNTED = ("create", "change", "no-op", "delete")
_EXECUTED = ("create", "change", "delete")

# Name → unit of every figure that stands in the document, measured or not.
FIGURES: dict[str, str] = {
    **{name: budget.unit for name, budget in BUDGETS.items()},
    "app-ready over critical path, p95": "ratio",
    "app-ready over critical path, sample of full runs": "ratio",
    "app-ready, model apart from full runs": "s",
    "app served over its critical path": "ratio",
    "app served over its critical path, p95": "ratio",
    "AWS calls of a create, over seeds": "calls",
    "AWS calls of a create, over seeds, p95": "calls",
    "transitions of a create, over seeds": "transitions",
    "transitions of a create, over seeds, p95": "transitions",
    **{f"AWS calls of a {act}": "calls" for act in _COUNTED},
    **{f"mutating AWS calls of a {act}": "calls" for act in _COUNTED},
    **{f"transitions of a {act}": "transitions" for act in _EXECUTED},
    **{f"history events of a {act}": "events" for act in _EXECUTED},
    **{f"Lambda of a {act}": "GB-seconds" for act in _EXECUTED},
    "Lambda of an environment": "GB-seconds",
    **{f"cost of a {act}": "USD" for act in _EXECUTED},
    "cost of an environment": "USD",
    "init of each function over raw REST": "ratio",
    "memory of each function": "MB",
    "demo": "s",
}

# terraform's plain EKS environment: what a user would otherwise run.
PEERS: dict[str, str] = {
    "app-ready over critical path": "terraform 1.18",
    "AWS calls of a create": "terraform 354",
    "mutating AWS calls of a create": "terraform 65",
    "AWS calls of a no-op": "terraform 89 (a plan)",
}


@dataclass(frozen=True)
class Figure:
    """One measured value; None where this run did not measure it, and `how` says why."""

    name: str
    unit: str
    value: float | None
    how: str
    detail: dict[str, Any] | None = None


def document(figures: list[Figure]) -> dict[str, Any]:
    """The JSON document: each figure of `FIGURES` with its budget, even if nothing measured it.

    `met` is null where there is no budget or no value. ValueError for one that is not listed, or in another unit.
    """
    named = {figure.name: figure for figure in figures}
    if unknown := sorted(set(named) - set(FIGURES)):
        message = f"not in the list of figures: {', '.join(unknown)}"
        raise ValueError(message)
    return {
        "figures": [
            _row(named.get(name) or Figure(name, unit, None, "not measured in this run"))
            for name, unit in FIGURES.items()
        ]
    }


def _row(figure: Figure) -> dict[str, Any]:
    budget = BUDGETS.get(figure.name)
    if figure.unit != FIGURES[figure.name]:
        message = f"{figure.name} is in {figure.unit}, its budget in {FIGURES[figure.name]}"
        raise ValueError(message)
    met = None if budget is None or figure.value is None else budget.holds(figure.value)
    bound = None if budget is None else budget.most
    return {**asdict(figure), "budget": bound, "met": met, "peer": PEERS.get(figure.name)}


def lines(told: dict[str, Any]) -> list[str]:
    """The document as a table for people."""
    return [
        f"{row['name']:50} {_number(row['value']):>9} {row['unit']:12} {_bound(row['budget']):>9}"
        f"  {_mark(row):12} {row['peer'] or ''}".rstrip()
        for row in told["figures"]
    ]


def _mark(row: dict[str, Any]) -> str:
    """How a budget stands; one that this run did not measure is not passed over in silence."""
    if row["met"] is None:
        return "" if row["budget"] is None else "not measured"
    return "met" if row["met"] else "MISSED"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _bound(value: float | None) -> str:
    return "" if value is None else f"of {value:g}"
