"""DynamoDB: one request at a time, and transactions that neither copy the table nor tear it.

moto's tables have no lock: two conditional writes at once could both win.
"""

from __future__ import annotations

import base64
import copy
import functools
import pickle
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb import models, responses
from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.exceptions import (
    ConditionalCheckFailed,
    MockValidationException,
    MultipleTransactionsException,
    TooManyTransactionsException,
    TransactionCanceledException,
    TransactWriteSingleOpException,
)
from moto.dynamodb.models import table as table_module
from moto.dynamodbstreams import responses as stream_responses

from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from springboard_local.cloud import Cloud

# Guards all tables of the process; whoever reads or writes them past the API takes it too.
lock = threading.RLock()

_mending = Mending()
_cloud: Cloud | None = None

# moto gives every stream one shard of this name.
SHARD = "shardId-00000001541626099285-f35f62ef"
STREAM_RETENTION = timedelta(hours=24)

_KINDS = {"ConditionCheck", "Put", "Delete", "Update"}


def install(cloud: Cloud) -> None:
    """Put the lock around every request and every operation of the backend."""
    global _cloud  # noqa: PLW0603 - one cloud per process, as moto's backends are
    _cloud = cloud
    _mending.undo()
    backend = models.DynamoDBBackend
    guarded = {
        name: _guarded(method)
        for name, method in vars(backend).items()
        if callable(method) and not name.startswith("_") and not isinstance(method, staticmethod)
    }
    _mending.replace(backend, **{**guarded, "transact_write_items": _guarded(_transact_write_items)})
    for handler in (responses.DynamoHandler, stream_responses.DynamoDBStreamsHandler):
        _mending.replace(handler, call_action=_guarded(handler.call_action))
    _mending.replace(table_module.StreamShard, add=_add_to_stream)
    _mending.replace(models.DynamoType, __deepcopy__=_copied, to_regular_json=_plain)
    _mending.replace(BaseJSONSerializer, _serialize_type_structure=_structure(BaseJSONSerializer))


def close(_: Cloud) -> None:
    """Give moto its own methods back."""
    global _cloud  # noqa: PLW0603 - see install
    _cloud = None
    _mending.undo()


def _structure(serializer: Any) -> Callable[..., None]:
    """Moto's way with structures, but for attribute values, which are most of what DynamoDB answers.

    An attribute value has ten members of which one is there; moto looks for all of them, at every depth.
    """
    original = serializer._serialize_type_structure

    def serialize(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name != "AttributeValue" or not isinstance(value, dict) or not key:
            original(self, serialized, value, shape, key)
            return
        wrapper: dict[str, Any] = {}
        serialized[key] = wrapper
        for member, inner in value.items():
            self._serialize(wrapper, inner, shape.members[member], member)

    return serialize


def _copied(self: Any, _memo: dict[int, Any] | None = None) -> Any:
    """A copy of an attribute value: a tree, whose leaves never change, needs no memory of what was copied.

    The record is one deep item, copied several times by each write.
    """
    made = self.__class__.__new__(self.__class__)
    made.type, value = self.type, self.value
    if isinstance(value, dict):
        value = {key: _copied(each) for key, each in value.items()}
    elif isinstance(value, list):
        value = [each if isinstance(each, str | bytes) else _copied(each) for each in value]
    made.value = value
    return made


def _plain(self: Any) -> dict[str, Any]:
    """An attribute value as JSON; moto copies the whole of it anew at every depth."""
    value = self.value
    if isinstance(value, dict):
        value = {key: _plain(each) for key, each in value.items()}
    elif isinstance(value, list):
        value = [each if isinstance(each, str | bytes) else _plain(each) for each in value]
    elif self.is_binary() and isinstance(value, str):
        value = base64.b64decode(value)
    return {self.type: value}


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def guarded(*arguments: Any, **named: Any) -> Any:
        with lock:
            return method(*arguments, **named)

    return guarded


# transactions


def _transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
    """All or nothing: every condition is looked at first, then everything is written."""
    if len(transact_items) > 100:
        raise TooManyTransactionsException
    if any(len(item) != 1 for item in transact_items):
        raise TransactWriteSingleOpException
    operations = [next(iter(item.items())) for item in transact_items]
    keys = [_key(self, kind, operation) for kind, operation in operations]
    named = [
        (operation["TableName"], str(sorted(key.items()))) for (_, operation), key in zip(operations, keys, strict=True)
    ]
    if len(set(named)) < len(named):
        raise MultipleTransactionsException
    reasons = [_unmet(self, operation, key) for (_, operation), key in zip(operations, keys, strict=True)]
    if any(code for code, _, _ in reasons):
        raise TransactionCanceledException(reasons)
    _write_all(self, operations, keys)


def _key(backend: Any, kind: str, operation: dict[str, Any]) -> dict[str, Any]:
    if kind not in _KINDS:
        raise MockValidationException(f"Unsupported transaction operation {kind}")
    table = backend.get_table(operation["TableName"])
    if kind != "Put":
        return dict(operation["Key"])
    names = [table.hash_key_attr, *([table.range_key_attr] if table.range_key_attr else [])]
    missing = [name for name in names if name not in operation["Item"]]
    if missing:
        message = f"One or more parameter values were invalid: Missing the key {missing[0]} in the item"
        raise MockValidationException(message)
    return {name: operation["Item"][name] for name in names}


type Reason = tuple[str | None, str | None, dict[str, Any] | None]


def _unmet(backend: Any, operation: dict[str, Any], key: dict[str, Any]) -> Reason:
    expression = operation.get("ConditionExpression")
    if expression is None:
        return None, None, None
    condition = get_filter_expression(
        expression, operation.get("ExpressionAttributeNames"), operation.get("ExpressionAttributeValues")
    )
    current = backend.get_item(operation["TableName"], key)
    if condition.expr(current):
        return None, None, None
    shown = operation.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and current
    return "ConditionalCheckFailed", "The conditional request failed", _image(current) if shown else None


def _write_all(backend: Any, operations: list[tuple[str, dict[str, Any]]], keys: list[dict[str, Any]]) -> None:
    undo: list[Callable[[], None]] = []
    try:
        for (kind, operation), key in zip(operations, keys, strict=True):
            if kind != "ConditionCheck":
                undo.append(_snapshot(backend.get_table(operation["TableName"]), key))
                _write(backend, kind, operation, key)
    except Exception as error:
        for each in reversed(undo):
            each()
        if isinstance(error, ConditionalCheckFailed):
            raise TransactionCanceledException([("ConditionalCheckFailed", str(error.message), None)]) from error
        raise


def _write(backend: Any, kind: str, operation: dict[str, Any], key: dict[str, Any]) -> None:
    names = operation.get("ExpressionAttributeNames")
    values = operation.get("ExpressionAttributeValues")
    table = operation["TableName"]
    # moto looks for the names and values of the condition too, so it is given again; it holds by now.
    condition = {
        "condition_expression": operation.get("ConditionExpression"),
        "expression_attribute_names": names,
        "expression_attribute_values": values,
    }
    match kind:
        case "Put":
            backend.put_item(table, operation["Item"], **condition)
        case "Delete":
            backend.delete_item(table, key, **condition)
        case "Update":
            backend.update_item(table, key, update_expression=operation["UpdateExpression"], **condition)


def _snapshot(table: Any, key: dict[str, Any]) -> Callable[[], None]:
    """How to put one item, and the stream, back as they are now."""
    hash_key = models.DynamoType(key[table.hash_key_attr])
    range_key = models.DynamoType(key[table.range_key_attr]) if table.range_key_attr else None
    held = table.items.get(hash_key)
    item = copy.deepcopy(held.get(range_key) if range_key and held else held)
    shard = table.stream_shard
    end = stream_end(table)

    def put_back() -> None:
        if shard:
            del shard.items[max(0, end - shard.starting_sequence_number) :]
        if range_key is None:
            if item is None:
                table.items.pop(hash_key, None)
            else:
                table.items[hash_key] = item
        elif item is None:
            table.items.get(hash_key, {}).pop(range_key, None)
        else:
            table.items[hash_key][range_key] = item

    return put_back


def _image(item: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = copy.deepcopy(item.to_json()["Attributes"])
    return attributes


# streams


class _StreamRecord:
    """A record of a stream, as it was when it was written: packed, because a stream is long and seldom read twice."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.at: datetime = record["dynamodb"]["ApproximateCreationDateTime"]
        self._packed = pickle.dumps(record)

    def to_json(self) -> dict[str, Any]:
        """The record, a new one each time."""
        record: dict[str, Any] = pickle.loads(self._packed)  # noqa: S301 - packed above
        return record


def _trim(shard: Any, now: datetime) -> None:
    """Drop what is older than a stream's 24 hours; the shard begins behind it."""
    old = 0
    while shard.items[old].at < now - STREAM_RETENTION:
        old += 1
    del shard.items[:old]
    shard.starting_sequence_number += old


def _add_to_stream(self: Any, old: Any, new: Any) -> None:
    """Record a change; who reads the stream is told, and reads it later."""
    if old is not None and new is not None and old == new:
        return  # a write that changes nothing leaves no record
    number = len(self.items) + self.starting_sequence_number
    event = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    kind = self.table.stream_specification["StreamViewType"]
    record = table_module.StreamRecord(self.table, kind, event, old, new, number).record
    record["awsRegion"] = self.table.table_arn.split(":")[3]
    if _cloud is not None:
        record["dynamodb"]["ApproximateCreationDateTime"] = _cloud.clock.now().replace(microsecond=0)
    self.items.append(_StreamRecord(record))
    _trim(self, record["dynamodb"]["ApproximateCreationDateTime"])
    from springboard_local.services import streams  # noqa: PLC0415 - it needs the lock of this module

    streams.written(self.table)


def records(table: Any, start: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """The stream's records from a sequence number on, and the number behind them."""
    with lock:
        shard = table.stream_shard
        if shard is None:
            return [], start
        first = max(start, shard.starting_sequence_number)
        index = first - shard.starting_sequence_number
        found = [each.to_json() for each in shard.items[index : index + limit]]
    return found, first + len(found)


def stream_end(table: Any) -> int:
    """The sequence number behind the stream's last record."""
    with lock:
        shard = table.stream_shard
        return shard.starting_sequence_number + len(shard.items) if shard else 0


def all_tables() -> Iterator[Any]:
    """Every table of the account, in whichever region."""
    from springboard_local.cloud import ACCOUNT  # noqa: PLC0415

    with lock:
        tables = [table for each in models.dynamodb_backends[ACCOUNT].values() for table in each.tables.values()]
    yield from tables
