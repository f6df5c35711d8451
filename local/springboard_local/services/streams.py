"""Event source mappings: DynamoDB streams and SQS queues are read for functions, never inside of the write.

A write only says that there is something to read. Each mapping is read by one thread at a time, in order;
the cloud's clock stands still from the write until the function has seen the record.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.awslambda import models as lambda_models
from moto.awslambda.exceptions import InvalidParameterValueException
from moto.sqs import models as sqs_models

from springboard_local.clock import iso
from springboard_local.cloud import ACCOUNT
from springboard_local.services import dynamodb, iam, metrics, patterns
from springboard_local.services.delivery import Carrier
from springboard_local.services.lambda_ import invoke
from springboard_local.services.lambda_.errors import Throttled
from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from springboard_local.cloud import Cloud

log = logging.getLogger(__name__)

_LONGEST_DELAY = 60.0
_RETENTION = 86_400
_mending = Mending()

_NEEDED = {
    "dynamodb": ("dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream", "dynamodb:ListStreams"),
    "sqs": ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
}


@dataclass
class _Batch:
    """Records that are tried together."""

    records: list[dict[str, Any]]
    tried: int = 0


@dataclass
class _Reader:
    """How far one mapping has read."""

    mapping: Any
    position: int = 0
    batches: deque[_Batch] = field(default_factory=deque)
    busy: bool = False
    told: bool = False  # something was written while it was busy
    ripe: bool = False  # the batching window has passed

    @property
    def source(self) -> str:
        return str(self.mapping.event_source_arn)


class _Running:
    """The readers of one cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.carrier = Carrier(cloud, "event-source")
        self.readers: dict[str, _Reader] = {}
        self.lock = threading.Lock()
        self.receiving = threading.Lock()
        self.closed = False

    def close(self) -> None:
        self.closed = True
        self.carrier.close()


_running: _Running | None = None


def install(cloud: Cloud) -> None:
    """Read event sources in moto's place."""
    global _running  # noqa: PLW0603 - one cloud per process, as moto's backends are
    _running = _Running(cloud)
    _mending.undo()
    backend, queue = lambda_models.LambdaBackend, sqs_models.Queue
    _mending.replace(
        backend,
        create_event_source_mapping=_creating(backend.create_event_source_mapping),
        update_event_source_mapping=_updating(backend.update_event_source_mapping),
    )
    _mending.replace(queue, add_message=_adding(queue.add_message))
    # Delays and visibility of messages run on the cloud's clock, and how often a queue may be purged.
    _mending.replace(
        sqs_models,
        unix_time_millis=lambda: cloud.clock.now().timestamp() * 1_000,
        unix_time=lambda: cloud.clock.now().timestamp(),
    )


def reset(cloud: Cloud) -> None:
    """Forget all positions."""
    global _running  # noqa: PLW0603 - see install
    if _running:
        _running.close()
    _running = _Running(cloud)


def close(_: Cloud) -> None:
    """Stop reading, and give moto its own methods back."""
    global _running  # noqa: PLW0603 - see install
    if _running:
        _running.close()
    _running = None
    _mending.undo()


def written(table: Any) -> None:
    """Tell the readers of a table's stream that there is a record. Does not block."""
    if _running is not None:
        prefix = f"{table.table_arn}/stream/"
        _tell(_running, lambda reader: reader.source.startswith(prefix))


def _tell(running: _Running, whom: Callable[[_Reader], bool]) -> None:
    with running.lock:
        readers = [reader for reader in running.readers.values() if whom(reader)]
    for reader in readers:
        _wake(running, reader)


def _wake(running: _Running, reader: _Reader) -> None:
    with running.lock:
        if reader.busy:
            reader.told = True
            return
        reader.busy = True
    running.carrier.submit(lambda: _read(running, reader))


# moto's operations


def _creating(original: Any) -> Any:
    def create_event_source_mapping(self: Any, spec: dict[str, Any]) -> Any:
        source = str(spec.get("EventSourceArn") or "")
        if spec.get("FunctionName") and source:
            _check_role(self.get_function(spec["FunctionName"]), source)
        mapping = original(self, spec)
        running = _running
        if running is None:
            return mapping
        for table in dynamodb.all_tables():
            table.lambda_event_source_mappings.clear()  # or else moto would call the function inside of a write
        for queue in sqs_models.sqs_backends[ACCOUNT][self.region_name].queues.values():
            queue.lambda_event_source_mappings.clear()
        reader = _Reader(mapping)
        if mapping.starting_position == "LATEST" and (table := _table(reader)) is not None:
            reader.position = dynamodb.stream_end(table)
        with running.lock:
            running.readers[mapping.uuid] = reader
        _wake(running, reader)
        return mapping

    return create_event_source_mapping


def _updating(original: Any) -> Any:
    def update_event_source_mapping(self: Any, identity: str, spec: dict[str, Any]) -> Any:
        mapping = original(self, identity, spec)
        if _running is not None and mapping is not None and (reader := _running.readers.get(mapping.uuid)):
            _wake(_running, reader)
        return mapping

    return update_event_source_mapping


def _adding(original: Any) -> Any:
    def add_message(self: Any, message: Any) -> Any:
        result = original(self, message)
        if _running is not None:
            _tell(_running, lambda reader: reader.source == self.queue_arn)
        return result

    return add_message


def _check_role(function: Any, source: str) -> None:
    service = source.split(":")[2]
    for action in _NEEDED.get(service, ()):
        resource = "*" if action.endswith("ListStreams") else source
        if not iam.role_allows(function.role, action, resource):
            name = action.partition(":")[2]
            if service == "sqs":
                message = f"The function execution role does not have permissions to call {name} on SQS"
            else:
                message = (
                    "Cannot access stream. Please ensure the role can perform the GetRecords, GetShardIterator, "
                    f"DescribeStream, and ListStreams Actions on your stream in IAM; it cannot {name}."
                )
            raise InvalidParameterValueException(message)


# reading


def _live(running: _Running, reader: _Reader) -> bool:
    mapping = reader.mapping
    region = lambda_models.lambda_backends[ACCOUNT][mapping.region]
    if region.get_event_source_mapping(mapping.uuid) is None:
        with running.lock:
            running.readers.pop(mapping.uuid, None)
        return False
    return bool(mapping.enabled) and not running.closed


def _read(running: _Running, reader: _Reader) -> None:
    """Read and hand on until there is nothing left, or something has to be waited for."""
    try:
        delay = _drain(running, reader)
    except Exception:
        log.exception("reading %s failed", reader.source)
        delay = None
    with running.lock:
        if delay is None and reader.told:
            delay = 0.0
        reader.told = False
        reader.busy = False
    if delay == 0.0:
        _wake(running, reader)
    elif delay is not None and not running.closed:
        running.cloud.clock.call_later(delay, lambda: _wake(running, reader))


def _drain(running: _Running, reader: _Reader) -> float | None:
    """None when all is read; else the seconds after which to go on."""
    while _live(running, reader):
        if ":sqs:" in reader.source:
            delay, more = _drain_queue(running, reader)
        else:
            delay, more = _drain_stream(running, reader)
        if delay is not None:
            return delay
        if not more:
            return None
    return None


# DynamoDB streams


def _table(reader: _Reader) -> Any:
    prefix = reader.source.split("/stream/", maxsplit=1)[0]
    return next((table for table in dynamodb.all_tables() if table.table_arn == prefix), None)


def _drain_stream(running: _Running, reader: _Reader) -> tuple[float | None, bool]:
    if not reader.batches:
        table = _table(reader)
        if table is None:
            return None, False
        found, behind = dynamodb.records(table, reader.position, reader.mapping.batch_size)
        if not found:
            return None, False
        window = float(reader.mapping.max_batch_window or 0)
        if window and len(found) < reader.mapping.batch_size and not reader.ripe:
            reader.ripe = True
            return window, False
        reader.ripe = False
        reader.position = behind
        wanted = [_as_event(reader, each) for each in found if _wanted(reader.mapping, each)]
        if not wanted:
            return None, True
        reader.batches.append(_Batch(wanted))
    return _try(running, reader), True


def _as_event(reader: _Reader, record: dict[str, Any]) -> dict[str, Any]:
    moment = record["dynamodb"].get("ApproximateCreationDateTime")
    if isinstance(moment, datetime):
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    change = {**record["dynamodb"], "ApproximateCreationDateTime": moment}
    return {**record, "dynamodb": change, "eventSourceARN": reader.source}


def _wanted(mapping: Any, record: Mapping[str, Any]) -> bool:
    filters = (mapping.filter_criteria or {}).get("Filters") or ()
    return not filters or any(patterns.matches(json.loads(each["Pattern"]), record) for each in filters)


def _try(running: _Running, reader: _Reader) -> float | None:
    batch = reader.batches[0]
    mapping = reader.mapping
    if _too_old(running, mapping, batch):
        reader.batches.popleft()
        _give_up(running, reader, batch, "RecordAgeExceeded")
        return None
    # Lambda measures the last record's age whenever it hands on a batch, and so again when it tries once more.
    written = batch.records[-1]["dynamodb"]["ApproximateCreationDateTime"]
    milliseconds = (running.cloud.clock.now().timestamp() - written) * 1_000
    name = _function(mapping).function_name
    metrics.count("AWS/Lambda", "IteratorAge", max(0.0, milliseconds), "Milliseconds", FunctionName=name)
    try:
        done = invoke(mapping.function_arn, json.dumps({"Records": batch.records}).encode())
    except Throttled:
        return 1.0
    failed = batch.records if done.error else _unprocessed(mapping, batch.records, done.payload)
    if not failed:
        reader.batches.popleft()
        return None
    return _failed(running, reader, batch, failed)


def _too_old(running: _Running, mapping: Any, batch: _Batch) -> bool:
    limit = mapping.max_record_age
    seconds = _RETENTION if limit in (None, -1) else int(limit)
    age: float = running.cloud.clock.now().timestamp() - batch.records[0]["dynamodb"]["ApproximateCreationDateTime"]
    return age > seconds


def _unprocessed(mapping: Any, records: list[dict[str, Any]], answer: bytes) -> list[dict[str, Any]]:
    """The records from the first failed one on, where the function reports single failures."""
    if "ReportBatchItemFailures" not in (mapping.function_response_types or ()):
        return []
    try:
        failures = (json.loads(answer or b"null") or {}).get("batchItemFailures") or []
        failed = {each["itemIdentifier"] for each in failures}
    except (ValueError, AttributeError, KeyError, TypeError):
        return records  # an answer that cannot be read fails the batch
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
    if not failed <= set(numbers):
        return records
    first = next((index for index, number in enumerate(numbers) if number in failed), None)
    return [] if first is None else records[first:]


def _failed(running: _Running, reader: _Reader, batch: _Batch, failed: list[dict[str, Any]]) -> float | None:
    mapping = reader.mapping
    reader.batches.popleft()
    tried = batch.tried + 1
    whole = len(failed) == len(batch.records)
    if mapping.bisect_on_error and whole and len(failed) > 1:
        middle = len(failed) // 2
        reader.batches.extendleft((_Batch(failed[middle:], batch.tried), _Batch(failed[:middle], batch.tried)))
        return None
    limit = mapping.max_retry_attempts
    if limit not in (None, -1) and tried > int(limit):
        _give_up(running, reader, _Batch(failed, tried), "RetryAttemptsExhausted")
        return None
    reader.batches.appendleft(_Batch(failed, tried))
    return float(min(2.0 ** min(tried - 1, 10), _LONGEST_DELAY))


def _give_up(running: _Running, reader: _Reader, batch: _Batch, condition: str) -> None:
    mapping = reader.mapping
    log.warning(
        "%s gives up on %d records of %s: %s", mapping.function_arn, len(batch.records), reader.source, condition
    )
    destination = ((mapping.destination_config or {}).get("OnFailure") or {}).get("Destination")
    if not destination:
        return
    function = _function(mapping)
    try:
        _send(running.cloud, function.role, destination, json.dumps(_letter(running, reader, batch, condition)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the next records have to be read
        log.warning("what %s gave up on is lost: %s", mapping.function_arn, error)
        metrics.count("AWS/Lambda", "DestinationDeliveryFailures", FunctionName=function.function_name)


def _function(mapping: Any) -> Any:
    return lambda_models.lambda_backends[ACCOUNT][mapping.region].get_function(mapping.function_arn)


def _send(cloud: Cloud, role: str, destination: str, body: str) -> None:
    if ":sqs:" in destination:
        url = cloud.client("sqs").get_queue_url(QueueName=destination.rsplit(":", 1)[-1])["QueueUrl"]
        cloud.client("sqs", role).send_message(QueueUrl=url, MessageBody=body)
    else:
        cloud.client("sns", role).publish(TopicArn=destination, Message=body)


def _letter(running: _Running, reader: _Reader, batch: _Batch, condition: str) -> dict[str, Any]:
    changes = [record["dynamodb"] for record in batch.records]
    arrivals = [iso(datetime.fromtimestamp(change["ApproximateCreationDateTime"], UTC)) for change in changes]
    return {
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": reader.mapping.function_arn,
            "condition": condition,
            "approximateInvokeCount": batch.tried,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": iso(running.cloud.clock.now()),
        "DDBStreamBatchInfo": {
            "shardId": dynamodb.SHARD,
            "startSequenceNumber": changes[0]["SequenceNumber"],
            "endSequenceNumber": changes[-1]["SequenceNumber"],
            "approximateArrivalOfFirstRecord": arrivals[0],
            "approximateArrivalOfLastRecord": arrivals[-1],
            "batchSize": len(changes),
            "streamArn": reader.source,
        },
    }


# SQS


def _drain_queue(running: _Running, reader: _Reader) -> tuple[float | None, bool]:
    mapping = reader.mapping
    backend = sqs_models.sqs_backends[ACCOUNT][reader.source.split(":")[3]]
    name = reader.source.rsplit(":", 1)[-1]
    queue = backend.queues.get(name)
    if queue is None:
        return None, False
    # moto does not guard a queue against two readers; a dead letter that this makes takes the other lock.
    with running.receiving:
        messages = backend.receive_message(name, min(mapping.batch_size, 10), 0, queue.visibility_timeout)
    if not messages:
        return _until_visible(running, queue), False
    records = [_as_message(reader, message) for message in messages]
    handles = {record["messageId"]: record["receiptHandle"] for record in records}
    kept = [record for record in records if _wanted_message(mapping, record)]
    failed: set[str] = set()
    if kept:
        try:
            done = invoke(mapping.function_arn, json.dumps({"Records": kept}).encode())
            failed = _failed_messages(mapping, kept, done.error, done.payload)
        except Throttled:
            failed = {record["messageId"] for record in kept}
    for identifier, handle in handles.items():
        if identifier not in failed:
            queue.delete_message(handle)
    return None, True


def _until_visible(running: _Running, queue: Any) -> float | None:
    """The seconds until the next message can be received; None if the queue is empty."""
    now = running.cloud.clock.now().timestamp() * 1_000
    moments = [max(message.visible_at, message.delayed_until) for message in list(queue._messages)]
    return max(0.0, min(moments) - now) / 1_000 + 0.001 if moments else None


def _as_message(reader: _Reader, message: Any) -> dict[str, Any]:
    attributes = {
        "ApproximateReceiveCount": str(message.approximate_receive_count),
        "SentTimestamp": str(message.sent_timestamp),
        "SenderId": str(message.sender_id),
        "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
    }
    if message.group_id:
        attributes["MessageGroupId"] = str(message.group_id)
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": attributes,
        "messageAttributes": {
            name: {
                "dataType": value.get("DataType"),
                "stringValue": value.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
            }
            for name, value in (message.message_attributes or {}).items()
        },
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": reader.source,
        "awsRegion": reader.source.split(":")[3],
    }


def _wanted_message(mapping: Any, record: Mapping[str, Any]) -> bool:
    try:
        body = json.loads(record["body"])
    except ValueError:
        body = record["body"]
    return _wanted(mapping, {**record, "body": body})


def _failed_messages(mapping: Any, records: list[dict[str, Any]], error: str | None, answer: bytes) -> set[str]:
    everything = {record["messageId"] for record in records}
    if error:
        return everything
    if "ReportBatchItemFailures" not in (mapping.function_response_types or ()):
        return set()
    try:
        failures = (json.loads(answer or b"null") or {}).get("batchItemFailures") or []
        failed = {each["itemIdentifier"] for each in failures}
    except (ValueError, AttributeError, KeyError, TypeError):
        return everything
    return min(failed, everything)
