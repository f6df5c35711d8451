"""CloudWatch's metric math, as far as alarms need it: arithmetic, comparisons, IF, FILL, SUM, AVG, MIN, MAX, METRICS().

An expression is worked out for one moment at a time. A metric without data at that moment is None: an operator gives
nothing for it, a function over several series leaves it out, FILL puts a number in its place.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html, read 2026-11-26. Whether
a moment at which none of the series has data is filled, that page does not say; here it is, and an alarm that takes
missing data for not breaching comes to the same either way.
"""

from __future__ import annotations

import ast
import operator
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

type Value = float | None
type Result = Value | list[Value]

# One alarm: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-limits.html, read 2026-11-26.
MOST_METRICS = 10
MOST_EXPRESSIONS = 10
IDENTIFIER = re.compile(r"[a-z][a-zA-Z0-9_]*")

_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_REDUCTIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "SUM": sum,
    "AVG": lambda values: sum(values) / len(values),
    "MIN": min,
    "MAX": max,
}


class ExpressionError(Exception):
    """No metric math, or not of the part that the local cloud has."""


def check(expression: str, known: Sequence[str]) -> None:
    """ExpressionError for an expression that cannot be worked out here; `known` are the ids it may name."""
    result = evaluate(expression, dict.fromkeys(known, 1.0), known)
    if isinstance(result, list):
        raise ExpressionError(f"{expression!r} gives several time series; an alarm watches one")


def evaluate(expression: str, values: Mapping[str, Value], metrics: Sequence[str]) -> Result:
    """The value at one moment, from those of other ids; `metrics` are the ids that METRICS() means.

    Raises ExpressionError for what is no metric math, or not of the part that is here.
    """
    try:
        body = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError as err:
        raise ExpressionError(f"{expression!r} is no expression: {err.msg}") from err
    return _Evaluation(expression, values, metrics).of(body)


class _Evaluation:
    def __init__(self, expression: str, values: Mapping[str, Value], metrics: Sequence[str]) -> None:
        self._expression = expression
        self._values = values
        self._metrics = metrics

    def of(self, node: ast.expr) -> Result:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                if name not in self._values:
                    raise ExpressionError(f"{self._expression!r} names {name}, which is no id")
                return self._values[name]
            case ast.List(elts=elements):
                return [self._one(each) for each in elements]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._combine(operator.mul, -1.0, self.of(operand))
            case ast.BinOp(left, act, right) | ast.Compare(left, [act], [right]) if type(act) in _OPERATORS:
                return self._combine(_OPERATORS[type(act)], self.of(left), self.of(right))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments)
        raise ExpressionError(f"the local cloud cannot work out {self._expression!r}")

    def _one(self, node: ast.expr) -> Value:
        result = self.of(node)
        if isinstance(result, list):
            raise ExpressionError(f"{self._expression!r} has an array where one time series has to be")
        return result

    def _combine(self, act: Callable[[float, float], float], left: Result, right: Result) -> Result:
        if isinstance(left, list) and isinstance(right, list):
            raise ExpressionError(f"{self._expression!r} combines two arrays")
        if isinstance(left, list):
            return [self._pair(act, each, right) for each in left]  # type: ignore[arg-type] # one of both is no list
        if isinstance(right, list):
            return [self._pair(act, left, each) for each in right]
        return self._pair(act, left, right)

    @staticmethod
    def _pair(act: Callable[[float, float], float], left: Value, right: Value) -> Value:
        if left is None or right is None:
            return None
        try:
            return float(act(left, right))
        except ZeroDivisionError:
            return None  # as on AWS: no data at that moment

    def _call(self, name: str, arguments: Sequence[ast.expr]) -> Result:
        if name == "METRICS" and not arguments:
            return [self._values[each] for each in self._metrics]
        if name == "FILL" and len(arguments) == 2:
            series, filler = self.of(arguments[0]), self._one(arguments[1])
            if isinstance(series, list):
                return [filler if each is None else each for each in series]
            return filler if series is None else series
        if name == "IF" and len(arguments) in {2, 3}:
            chosen = self._one(arguments[0])
            if chosen is None:
                return None
            return self._one(arguments[1]) if chosen else self._one(arguments[2]) if len(arguments) == 3 else None
        if name in _REDUCTIONS and len(arguments) == 1:
            series = self.of(arguments[0])
            if not isinstance(series, list):
                raise ExpressionError(f"the local cloud has {name} over an array of time series alone")
            present = [each for each in series if each is not None]
            return float(_REDUCTIONS[name](present)) if present else None
        raise ExpressionError(f"the local cloud has no {name} of {len(arguments)} in metric math")
