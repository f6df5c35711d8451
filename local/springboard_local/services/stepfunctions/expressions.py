"""JSONata as Step Functions evaluates it: data is bound to names, never spliced into the text."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import math
import random
import threading
import uuid
from typing import TYPE_CHECKING, Any

from jsonata import Jsonata
from jsonata.functions import Functions
from jsonata.jexception import JException
from jsonata.utils import Utils

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

_OPEN, _CLOSE = "{%", "%}"
_DIGESTS = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
_RANGE_MOST = 1_000


class QueryError(Exception):
    """The expression of a field cannot be evaluated, or gives nothing."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def is_expression(value: Any) -> bool:
    """Whether a string is JSONata in a definition."""
    return isinstance(value, str) and value.startswith(_OPEN) and value.endswith(_CLOSE) and len(value) >= 4


def syntax_error(value: str) -> str | None:
    """What is wrong with the text of an expression, if anything."""
    try:
        _parsed(value[2:-2].strip())
    except JException as error:
        return str(error)
    return None


class Evaluator:
    """Evaluates expressions with the clock and the functions of the local cloud."""

    def __init__(self, now: Callable[[], datetime], seed: int = 0) -> None:
        self._now = now
        self._random = random.Random(seed)  # noqa: S311 - `$random` is no secret
        self._functions = {
            "uuid": lambda: str(uuid.uuid4()),
            "hash": _hash,
            "partition": _partition,
            "range": _range,
            "random": self._draw,
            "parse": _parse,
            "eval": _no_eval,
            "now": lambda picture=None, zone=None: Functions.datetime_from_millis(self._millis(), picture, zone),
            "millis": self._millis,
        }

    def fill(self, template: Any, bindings: Mapping[str, Any], field: str) -> Any:
        """A copy of a JSON template with each expression in it replaced by its value."""
        if isinstance(template, str):
            return self.evaluate(template, bindings, field) if is_expression(template) else template
        if isinstance(template, dict):
            return {key: self.fill(value, bindings, f"{field}/{key}") for key, value in template.items()}
        if isinstance(template, list):
            return [self.fill(value, bindings, f"{field}[{number}]") for number, value in enumerate(template)]
        return template

    def evaluate(self, text: str, bindings: Mapping[str, Any], field: str) -> Any:
        """The value of one `{% … %}`; QueryError when there is none."""
        expression = text[2:-2].strip()
        where = f"The JSONata expression '{expression}' specified for the field '{field}'"
        # JSON's null and JSONata's undefined are both None in Python: a variable's null has to be said.
        bound = {name: Utils.NULL_VALUE if value is None else value for name, value in bindings.items()}
        bound |= {name: Jsonata.JLambda(function) for name, function in self._functions.items()}
        try:
            query = copy.copy(_parsed(expression))
            query.set_output_convert_nulls(False)
            Jsonata.CURRENT.jsonata = query  # what built-in functions call back into, per thread
            result = query.evaluate(None, bound)
        except (JException, ArithmeticError, TypeError, ValueError, RecursionError, LookupError) as error:
            raise QueryError(f"{where} threw an error during evaluation. {_described(error)}", field) from error
        if result is None:
            raise QueryError(f"{where} returned nothing (undefined).", field)
        try:
            return _plain(result)
        except TypeError:
            raise QueryError(f"{where} returned an unsupported result type.", field) from None

    def _millis(self) -> int:
        return int(self._now().timestamp() * 1000)

    def _draw(self, seed: Any = None) -> float:
        if seed is not None:
            return random.Random(seed).random()  # noqa: S311 - as above
        return self._random.random()


_cache_lock = threading.Lock()


@functools.lru_cache(maxsize=2_000)
def _parsed(expression: str) -> Any:
    with _cache_lock:
        return Jsonata(expression)


def _described(error: Exception) -> str:
    code = getattr(error, "error", "")
    return f"{code}: {error}" if code else str(error)


def _plain(value: Any) -> Any:
    """The result as JSON has it, sharing nothing with what was bound."""
    if value is Utils.NULL_VALUE or value is None:
        return None
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError("not a JSON number")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} is not JSON")


def _hash(data: Any = None, algorithm: Any = None) -> str | None:
    if data is None:
        return None
    if algorithm not in _DIGESTS:
        raise ValueError(f"the hash algorithm is one of {', '.join(_DIGESTS)}, not {algorithm}")
    return hashlib.new(_DIGESTS[algorithm], str(data).encode(), usedforsecurity=False).hexdigest()


def _partition(items: Any = None, size: Any = None) -> list[Any] | None:
    if items is None:
        return None
    if not isinstance(size, int | float) or isinstance(size, bool) or int(size) < 1:
        raise ValueError("the size of a partition is a positive number")
    return [list(items[start : start + int(size)]) for start in range(0, len(items), int(size))]


def _range(first: Any = None, last: Any = None, step: Any = None) -> list[int]:
    if any(not isinstance(number, int | float) or isinstance(number, bool) for number in (first, last, step)):
        raise ValueError("$range takes three numbers")
    if int(step) == 0:
        raise ValueError("the step of a range is not 0")
    numbers = range(int(first), int(last) + (1 if step > 0 else -1), int(step))
    if len(numbers) > _RANGE_MOST:
        raise ValueError(f"a range has at most {_RANGE_MOST} numbers")
    return list(numbers)


def _parse(text: Any = None) -> Any:
    if text is None:
        return None
    value = json.loads(text)
    return Utils.NULL_VALUE if value is None else value


def _no_eval(*_: Any) -> Any:
    raise ValueError("$eval is not supported by Step Functions: use $parse")
