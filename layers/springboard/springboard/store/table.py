"""The record in DynamoDB.

Items, by partition and sort key:

- `NAMES | name` points to the environment of that name; one per environment that is not deleted.
- `ENV#uid | STATUS` owner, generation, phase, lock, intent, conditions, facts, the latest operation.
- `ENV#uid | SPEC#000001` spec and what admission resolved, one per generation, immutable; it expires once another
  generation or the deletion has made it history.
- `ENV#uid | OPERATION#ulid` an operation that has ended, or waits.
- `ENV#uid | EVENT#…` what the stream's reader made of a change of STATUS.
- `IDEMPOTENCY#hash | ANSWER` what a POST was answered.

Every write of a step is one UpdateItem on the condition that the step's operation holds the lock. The sparse
index `locks` (partition `locked`, sort `lockedSince`) holds the environments under a lock, for the sweep.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from springboard.aws.client import Adapter
from springboard.errors import ConflictError, FencedError, RefusedError
from springboard.record import Environment, Lock, Operation, OperationStatus, Phase, text
from springboard.store import codec
from springboard.store.attributes import from_attribute, to_attribute

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from springboard.record import Condition, Failure, Intent, Step
    from springboard.store.codec import Json

_CONDITION_FAILED = "ConditionalCheckFailedException"
_CANCELLED = "TransactionCanceledException"
# Records of deleted environments, former specs, ended operations and events are kept this long.
HISTORY = timedelta(days=90)
ANSWERS = timedelta(hours=24)


@dataclass(frozen=True)
class Answer:
    """What a POST with an Idempotency-Key was answered, and for which body."""

    body_hash: str
    status: int
    headers: Mapping[str, str]
    body: str


class Store:
    """One table; all methods raise ThrottledError or UnavailableError where DynamoDB does."""

    def __init__(self, client: Any, table: str) -> None:  # noqa: ANN401 - botocore's clients are made at run time
        self._dynamodb = Adapter(client)
        self._table = table

    # Reading

    def by_name(self, name: str) -> Environment | None:
        """The environment of that name that is not deleted."""
        pointer = self._get("NAMES", name)
        return None if pointer is None else self.by_uid(pointer["uid"])

    def by_uid(self, uid: str) -> Environment | None:
        """The environment, deleted or not."""
        status = self._get(f"ENV#{uid}", "STATUS")
        if status is None:
            return None
        declared = self._get(f"ENV#{uid}", f"SPEC#{status['generation']:06d}")
        if declared is None:
            raise RefusedError(f"the record of {uid} has no spec of generation {status['generation']}")
        return codec.environment_from_json({**status, "spec": declared["spec"], "resolved": declared["resolved"]})

    def names(self, after: str, limit: int) -> list[str]:
        """Up to `limit` names in order, those after `after`."""
        answer = self._dynamodb.call(
            "query",
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk > :after",
            ExpressionAttributeValues=self._plain({":pk": "NAMES", ":after": after or " "}),
            Limit=limit,
        )
        return [str(self._value(item)["sk"]) for item in answer["Items"]]

    def operation(self, uid: str, operation: str) -> Operation | None:
        """One operation that has ended or waits; the running one stands in the environment."""
        item = self._get(f"ENV#{uid}", f"OPERATION#{operation}")
        return None if item is None else codec.operation_from_json(item["operation"])

    def operations(self, uid: str, limit: int = 50) -> list[Operation]:
        """The latest operations that have ended, latest first."""
        items = self._query(uid, "OPERATION#", limit=limit, forward=False)
        return [codec.operation_from_json(item["operation"]) for item in items]

    def events(self, uid: str, after: str = "", limit: int = 100) -> list[Json]:
        """Events in order, those after the event id `after`."""
        return [item["event"] for item in self._query(uid, "EVENT#", limit=limit, after=after)]

    def locked(self) -> Iterator[tuple[str, str]]:
        """(uid, operation) of each environment under a lock, longest first."""
        start: Json = {}
        while True:
            answer = self._dynamodb.call(
                "query",
                TableName=self._table,
                IndexName="locks",
                KeyConditionExpression="locked = :locked",
                ExpressionAttributeValues=self._plain({":locked": "yes"}),
                **({"ExclusiveStartKey": start} if start else {}),
            )
            for item in answer["Items"]:
                value = self._value(item)
                yield value["uid"], value["lock"]["operation"]
            start = answer.get("LastEvaluatedKey") or {}
            if not start:
                return

    # The API's writes

    def create(self, environment: Environment, operation: Operation) -> None:
        """A new environment with its first operation holding the lock; ConflictError if the name is taken."""
        started = replace(environment, operation=operation, lock=Lock(operation.id, operation.requested_at))
        try:
            self._transact(
                self._put("NAMES", environment.name, {"uid": environment.uid}, "attribute_not_exists(pk)"),
                self._put(f"ENV#{environment.uid}", "STATUS", _status(started), "attribute_not_exists(pk)"),
                self._put_spec(environment),
            )
        except RefusedError as err:
            if err.code == _CANCELLED:
                raise ConflictError(
                    f"the name {environment.name} is taken", "choose another name, or delete that environment first"
                ) from err
            raise

    def update_spec(self, before: Environment, after: Environment, operation: Operation) -> None:
        """A new generation and its operation; ConflictError if anything came between."""
        started = replace(after, operation=operation, lock=Lock(operation.id, operation.requested_at))
        self._unlocked_write(before, started, self._put_spec(after), self._expire_spec(before, operation.requested_at))

    def request_operation(self, environment: Environment, operation: Operation) -> None:
        """The lock for an operation on the present generation; ConflictError if anything came between."""
        started = replace(environment, operation=operation, lock=Lock(operation.id, operation.requested_at))
        self._unlocked_write(environment, started)

    def _unlocked_write(self, before: Environment, after: Environment, *more: Json) -> None:
        operation = before.operation
        condition = "generation = :before AND attribute_not_exists(#lock) AND attribute_not_exists(intent)"
        values: Json = {":before": before.generation}
        if operation is not None:
            condition += " AND #operation.id = :operation"
            values[":operation"] = operation.id
        put = self._put(f"ENV#{after.uid}", "STATUS", _status(after), condition)
        put["Put"]["ExpressionAttributeNames"] = {"#lock": "lock"} | ({"#operation": "operation"} if operation else {})
        put["Put"]["ExpressionAttributeValues"] = self._plain(values)
        try:
            self._transact(put, *more)
        except RefusedError as err:
            if err.code == _CANCELLED:
                raise ConflictError(
                    f"another operation on {after.name} is at work",
                    f"wait for it (`springboard wait {after.name} --for=condition=Ready`), then try again",
                ) from err
            raise

    def intend(self, environment: Environment, intent: Intent) -> None:
        """What shall follow the running operation; a later intent replaces an earlier one, but never a DELETE.

        ConflictError if the lock became free meanwhile, or a deletion waits already.
        """
        self._update(
            environment.uid,
            "SET intent = :intent",
            "attribute_exists(#lock) AND (attribute_not_exists(intent) OR intent.kind <> :delete)",
            {":intent": codec.intent_to_json(intent), ":delete": "Delete"},
            {"#lock": "lock"},
            failed=ConflictError("the running operation has just ended", "try again"),
        )

    def answer(self, key_hash: str) -> Answer | None:
        """What the POST with that Idempotency-Key (hashed with its caller) was answered."""
        item = self._get(f"IDEMPOTENCY#{key_hash}", "ANSWER")
        return None if item is None else Answer(item["bodyHash"], item["status"], item["headers"], item["body"])

    def save_answer(self, key_hash: str, answer: Answer, now: datetime) -> None:
        """Keep an answer for a day."""
        self._dynamodb.call(
            "put_item",
            TableName=self._table,
            Item=self._plain(
                {
                    "pk": f"IDEMPOTENCY#{key_hash}",
                    "sk": "ANSWER",
                    "bodyHash": answer.body_hash,
                    "status": answer.status,
                    "headers": dict(answer.headers),
                    "body": answer.body,
                    "expires": int((now + ANSWERS).timestamp()),
                }
            ),
        )

    # The steps' writes: each conditional on holding the lock

    def begin(self, uid: str, operation: str, phase: Phase, conditions: Mapping[str, Condition], now: datetime) -> None:
        """The operation runs from now on."""
        self._step(
            uid,
            operation,
            "SET phase = :phase, #operation.#status = :running,"
            " #operation.startedAt = if_not_exists(#operation.startedAt, :now)" + _set_conditions(conditions),
            {":phase": phase.value, ":running": OperationStatus.RUNNING.value, ":now": text(now)}
            | _condition_values(conditions),
            {"#status": "status"} | _condition_names(conditions),
        )

    def start_step(self, uid: str, operation: str, step: Step, *, anew: bool = False) -> None:
        """Note that a step has begun, so that a killed one can be named; `anew`: in place of how it ended before."""
        self._step(
            uid,
            operation,
            "SET #operation.steps.#step = " + (":step" if anew else "if_not_exists(#operation.steps.#step, :step)"),
            {":step": codec.step_to_json(step)},
            {"#step": step.name},
        )

    def end_step(self, uid: str, operation: str, step: Step) -> None:
        """Note how a step ended whose component has nothing to report (it failed)."""
        self._step(
            uid,
            operation,
            "SET #operation.steps.#step = :step",
            {":step": codec.step_to_json(step)},
            {"#step": step.name},
        )

    def write_step(
        self, uid: str, operation: str, *, step: Step, condition: Condition, component: str, learned: Mapping[str, Any]
    ) -> None:
        """What a component's run came to: its condition, its facts, its step."""
        self._step(
            uid,
            operation,
            "SET #operation.steps.#step = :step, facts.#component = :learned, conditions.#type = :condition",
            {
                ":step": codec.step_to_json(step),
                ":learned": dict(learned),
                ":condition": codec.condition_to_json(condition),
            },
            {"#step": step.name, "#component": component, "#type": condition.type},
        )

    def record_ready(self, environment: Environment, conditions: Mapping[str, Condition]) -> None:
        """Everything of this generation is there."""
        self._step(
            environment.uid,
            _holder(environment),
            "SET phase = :phase, observedGeneration = :generation, #operation.#status = :succeeded"
            + _set_conditions(conditions),
            {
                ":phase": Phase.READY.value,
                ":generation": environment.generation,
                ":succeeded": OperationStatus.SUCCEEDED.value,
            }
            | _condition_values(conditions),
            {"#status": "status"} | _condition_names(conditions),
        )

    def record_failure(
        self, environment: Environment, failure: Failure, phase: Phase, conditions: Mapping[str, Condition]
    ) -> None:
        """The operation failed, and why; what exists is kept."""
        self._step(
            environment.uid,
            _holder(environment),
            "SET phase = :phase, #operation.#status = :failed, #operation.failure = :failure"
            + _set_conditions(conditions),
            {
                ":phase": phase.value,
                ":failed": OperationStatus.FAILED.value,
                ":failure": {"step": failure.step, "cause": failure.cause, "remedy": failure.remedy},
            }
            | _condition_values(conditions),
            {"#status": "status"} | _condition_names(conditions),
        )

    def record_deleted(self, environment: Environment, now: datetime) -> None:
        """Nothing of it is left: the name is free again, the record stays for its history."""
        expires = int((now + HISTORY).timestamp())
        update = {
            "Update": {
                "TableName": self._table,
                "Key": self._plain({"pk": f"ENV#{environment.uid}", "sk": "STATUS"}),
                "UpdateExpression": "SET phase = :phase, deletedAt = :now, expires = :expires,"
                " #operation.#status = :succeeded",
                "ConditionExpression": "#lock.#operation = :operation",
                "ExpressionAttributeNames": {"#lock": "lock", "#operation": "operation", "#status": "status"},
                "ExpressionAttributeValues": self._plain(
                    {
                        ":phase": Phase.DELETED.value,
                        ":now": text(now),
                        ":expires": expires,
                        ":operation": _holder(environment),
                        ":succeeded": OperationStatus.SUCCEEDED.value,
                    }
                ),
            }
        }
        pointer = {
            "Delete": {
                "TableName": self._table,
                "Key": self._plain({"pk": "NAMES", "sk": environment.name}),
                "ConditionExpression": "attribute_not_exists(pk) OR uid = :uid",
                "ExpressionAttributeValues": self._plain({":uid": environment.uid}),
            }
        }
        try:
            self._transact(update, pointer, self._expire_spec(environment, now))
        except RefusedError as err:
            if err.code == _CANCELLED:
                raise FencedError(f"{_holder(environment)} no longer holds {environment.name}") from err
            raise

    def record_drift(self, environment: Environment, condition: Condition, differences: list[Json]) -> None:
        """What was found to differ; ConflictError if an operation has begun meanwhile."""
        self._update(
            environment.uid,
            "SET conditions.#type = :condition, facts.drift = :drift",
            "attribute_not_exists(#lock) AND generation = :generation",
            {
                ":condition": codec.condition_to_json(condition),
                ":drift": {"changes": differences, "at": text(condition.last_transition_time)},
                ":generation": environment.generation,
            },
            {"#type": condition.type, "#lock": "lock"},
            failed=ConflictError(f"an operation on {environment.name} has begun meanwhile"),
        )

    # Settling

    def release(self, environment: Environment, ended: Operation) -> bool:
        """Free the lock of an operation that has ended; False if an intent came between or the lock is gone."""
        return self._settled(
            environment,
            ended,
            "SET #operation = :ended REMOVE #lock, locked, lockedSince, intent",
            "#lock.#operation = :holder AND (attribute_not_exists(intent) OR intent.kind = :cancel)",
            {":cancel": "Cancel"},
        )

    def hand_over(self, environment: Environment, ended: Operation, following: Operation, now: datetime) -> bool:
        """Give the lock to the operation that waited as an intent; False if the lock is gone."""
        self._save_operation(environment.uid, ended, now)
        return self._settled(
            environment,
            following,
            "SET #operation = :ended, #lock = :lock, lockedSince = :since REMOVE intent",
            "#lock.#operation = :holder AND intent.#operation = :following",
            {
                ":lock": {"operation": following.id, "since": text(now)},
                ":since": text(now),
                ":following": following.id,
            },
        )

    def _settled(
        self, environment: Environment, operation: Operation, expression: str, condition: str, values: Json
    ) -> bool:
        if operation.ended_at is not None:
            self._save_operation(environment.uid, operation, operation.ended_at)
        try:
            self._update(
                environment.uid,
                expression,
                condition,
                {":ended": codec.operation_to_json(operation), ":holder": _holder(environment), **values},
                {"#lock": "lock", "#operation": "operation"},
                failed=FencedError("the lock changed hands"),
            )
        except FencedError:
            return False
        return True

    def _save_operation(self, uid: str, operation: Operation, now: datetime) -> None:
        self._dynamodb.call(
            "put_item",
            TableName=self._table,
            Item=self._plain(
                {
                    "pk": f"ENV#{uid}",
                    "sk": f"OPERATION#{operation.id}",
                    "operation": codec.operation_to_json(operation),
                    "expires": int((now + HISTORY).timestamp()),
                }
            ),
        )

    def save_event(self, uid: str, event_id: str, event: Json, now: datetime) -> None:
        """Keep an event; the same id again changes nothing."""
        self._dynamodb.call(
            "put_item",
            TableName=self._table,
            Item=self._plain(
                {
                    "pk": f"ENV#{uid}",
                    "sk": f"EVENT#{event_id}",
                    "event": event,
                    "expires": int((now + HISTORY).timestamp()),
                }
            ),
        )

    # Plumbing

    def _plain(self, values: Mapping[str, Any]) -> Json:
        return {key: to_attribute(value) for key, value in values.items()}

    def _value(self, item: Json) -> Json:
        return {key: from_attribute(value) for key, value in item.items()}

    def from_stream(self, image: Json) -> Json:
        """A stream record's image as plain values."""
        return self._value(image)

    def _get(self, pk: str, sk: str) -> Json | None:
        answer = self._dynamodb.call(
            "get_item", TableName=self._table, Key=self._plain({"pk": pk, "sk": sk}), ConsistentRead=True
        )
        item = answer.get("Item")
        return None if item is None else self._value(item)

    def _query(self, uid: str, prefix: str, *, limit: int, after: str = "", forward: bool = True) -> list[Json]:
        answer = self._dynamodb.call(
            "query",
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :from AND :to",
            ExpressionAttributeValues=self._plain(
                {":pk": f"ENV#{uid}", ":from": f"{prefix}{after}\x01" if after else prefix, ":to": f"{prefix}~"}
            ),
            Limit=limit,
            ScanIndexForward=forward,
        )
        return [self._value(item) for item in answer["Items"]]

    def _put(self, pk: str, sk: str, values: Json, condition: str) -> Json:
        item = self._plain({"pk": pk, "sk": sk, **values})
        return {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": condition}}

    def _put_spec(self, environment: Environment) -> Json:
        declared = {
            "spec": codec.spec_to_json(environment.spec),
            "resolved": codec.resolved_to_json(environment.resolved),
        }
        return self._put(
            f"ENV#{environment.uid}", f"SPEC#{environment.generation:06d}", declared, "attribute_not_exists(pk)"
        )

    def _expire_spec(self, environment: Environment, now: datetime) -> Json:
        """The environment's spec, which nothing will be made from any more, is kept as history only."""
        return {
            "Update": {
                "TableName": self._table,
                "Key": self._plain({"pk": f"ENV#{environment.uid}", "sk": f"SPEC#{environment.generation:06d}"}),
                "UpdateExpression": "SET expires = :expires",
                "ConditionExpression": "attribute_exists(pk)",
                "ExpressionAttributeValues": self._plain({":expires": int((now + HISTORY).timestamp())}),
            }
        }

    def _transact(self, *items: Json) -> None:
        self._dynamodb.call("transact_write_items", TransactItems=list(items))

    def _step(self, uid: str, operation: str, expression: str, values: Json, names: Mapping[str, str]) -> None:
        self._update(
            uid,
            expression,
            "#lock.#operation = :holder",
            {":holder": operation, **values},
            {"#lock": "lock", "#operation": "operation", **names},
            failed=FencedError(f"operation {operation} no longer holds the lock of {uid}"),
        )

    def _update(
        self,
        uid: str,
        expression: str,
        condition: str,
        values: Json,
        names: Mapping[str, str],
        *,
        failed: ConflictError | FencedError,
    ) -> None:
        try:
            self._dynamodb.call(
                "update_item",
                TableName=self._table,
                Key=self._plain({"pk": f"ENV#{uid}", "sk": "STATUS"}),
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeValues=self._plain(values),
                ExpressionAttributeNames=dict(names),
            )
        except RefusedError as err:
            if err.code == _CONDITION_FAILED:
                raise failed from err
            raise


def _status(environment: Environment) -> Json:
    status = codec.status_to_json(environment)
    if environment.lock is not None:
        status |= {"locked": "yes", "lockedSince": text(environment.lock.since)}
    return status


def _holder(environment: Environment) -> str:
    return environment.lock.operation if environment.lock else ""


def _set_conditions(conditions: Mapping[str, Condition]) -> str:
    return "".join(f", conditions.#c{number} = :c{number}" for number in range(len(conditions)))


def _condition_names(conditions: Mapping[str, Condition]) -> dict[str, str]:
    return {f"#c{number}": name for number, name in enumerate(conditions)}


def _condition_values(conditions: Mapping[str, Condition]) -> Json:
    return {f":c{number}": codec.condition_to_json(c) for number, c in enumerate(conditions.values())}
