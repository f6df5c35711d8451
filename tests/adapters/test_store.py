"""The record's contract over the local DynamoDB: who holds the lock writes, and nobody else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from springboard.errors import ConflictError, FencedError, UnavailableError
from springboard.flow import outcome, settle
from springboard.flow.step import Task
from springboard.record import (
    Condition,
    Environment,
    Failure,
    Intent,
    Operation,
    OperationKind,
    OperationStatus,
    Phase,
    Resolved,
    Step,
)
from springboard.spec import EnvironmentSpec
from springboard.store.table import Store
from springboard_local.clock import ManualClock
from springboard_local.cloud import LocalCloud, Settings
from triggers.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)
OWNER = "arn:aws:iam::111122223333:role/developer"
READY = {"Ready": Condition("Ready", "True", "AsDeclared", "", NOW, 1)}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    clock = ManualClock()
    with LocalCloud(Settings(tmp_path_factory.mktemp("cloud"), enforce_iam=False), clock) as running:
        yield running
    clock.close()


@pytest.fixture
def store(cloud: LocalCloud) -> Store:
    """An empty table, as the template has it."""
    cloud.reset()
    keys = ("pk", "sk", "locked", "lockedSince")
    cloud.client("dynamodb").create_table(
        TableName="record",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "locks",
                "KeySchema": [
                    {"AttributeName": "locked", "KeyType": "HASH"},
                    {"AttributeName": "lockedSince", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["uid", "lock"]},
            }
        ],
    )
    return Store(cloud.client("dynamodb"), "record")


def operation(number: int, kind: OperationKind = OperationKind.CREATE, **changes: Any) -> Operation:
    return replace(Operation(f"op{number}", kind, OperationStatus.PENDING, 1, NOW, OWNER), **changes)


def environment(uid: str = "u1", name: str = "shop") -> Environment:
    spec = EnvironmentSpec.model_validate_json(json.dumps({"apps": [{"image": "registry.example.com/shop:1"}]}))
    return Environment(
        uid, name, OWNER, 1, NOW, spec, {"team": "checkout"}, Resolved("1.35", "Z1", "example.com", (), "amd64")
    )


@pytest.fixture
def made(store: Store) -> Environment:
    """An environment whose first operation holds the lock."""
    store.create(environment(), operation(1))
    return present(store)


def present(store: Store, uid: str = "u1") -> Environment:
    found = store.by_uid(uid)
    assert found is not None
    return found


def write(store: Store, holder: str, step: Step | None = None) -> None:
    store.write_step(
        "u1",
        holder,
        step=step or Step("EnsureCluster", NOW, LATER),
        condition=Condition("ClusterReady", "True", "Active", "", LATER, 1),
        component="cluster",
        learned={"name": "springboard-shop", "ratio": 0.5, "ports": [30000]},
    )


def test_the_holder_writes_its_steps_facts_and_conditions(store: Store, made: Environment) -> None:
    store.begin("u1", "op1", Phase.PROVISIONING, {}, NOW)
    store.begin("u1", "op1", Phase.PROVISIONING, {}, LATER)  # a second try keeps the first start
    store.start_step("u1", "op1", Step("EnsureCluster", NOW))
    store.start_step("u1", "op1", Step("EnsureCluster", LATER))
    begun = present(store)
    assert begun.operation
    assert begun.operation.started_at == NOW
    assert begun.operation.steps["EnsureCluster"] == Step("EnsureCluster", NOW)
    store.end_step("u1", "op1", Step("EnsureCluster", NOW, LATER, "slow down"))
    store.start_step("u1", "op1", Step("EnsureCluster", NOW), anew=True)
    tried_again = present(store)
    assert tried_again.operation
    assert tried_again.operation.steps["EnsureCluster"] == Step("EnsureCluster", NOW)
    write(store, "op1")
    after = present(store)
    assert after.operation
    assert after.operation.steps["EnsureCluster"].ended_at == LATER
    assert after.facts["cluster"] == {"name": "springboard-shop", "ratio": 0.5, "ports": [30000]}
    assert after.conditions["ClusterReady"].true
    store.record_ready(after, READY)
    ready = present(store)
    assert (ready.phase, ready.observed_generation, ready.conditions["Ready"].true) == (Phase.READY, 1, True)
    assert ready.spec == made.spec


def test_f13_whoever_does_not_hold_the_lock_writes_nothing(store: Store, made: Environment) -> None:
    late = replace(made, operation=operation(2), lock=made.lock and replace(made.lock, operation="op2"))
    failure = Failure("EnsureCluster", "cause", "remedy")
    attempts: list[Callable[[], None]] = [
        lambda: store.begin("u1", "op2", Phase.PROVISIONING, {}, NOW),
        lambda: store.start_step("u1", "op2", Step("EnsureCluster", NOW)),
        lambda: store.end_step("u1", "op2", Step("EnsureCluster", NOW)),
        lambda: write(store, "op2"),
        lambda: store.record_ready(late, READY),
        lambda: store.record_failure(late, failure, Phase.FAILED, {}),
        lambda: store.record_deleted(late, NOW),
    ]
    for attempt in attempts:
        with pytest.raises(FencedError):
            attempt()
        assert present(store) == made
    with pytest.raises(FencedError):
        store.begin("nobody", "op1", Phase.READY, {}, NOW)
    assert store.by_uid("nobody") is None


def test_locks_are_listed_while_they_are_held(store: Store, made: Environment) -> None:
    store.create(environment("u2", "other"), operation(2, requested_at=LATER))
    assert list(store.locked()) == [("u1", "op1"), ("u2", "op2")]
    assert store.release(made, operation(1, status=OperationStatus.SUCCEEDED, ended_at=LATER))
    assert list(store.locked()) == [("u2", "op2")]
    assert not store.release(made, operation(1, ended_at=LATER))


def test_locks_are_listed_page_by_page() -> None:
    """DynamoDB ends a page after a megabyte, which the sweep must not take for the end."""
    first = {"uid": {"S": "u1"}, "lock": {"M": {"operation": {"S": "op1"}}}}
    second = {"uid": {"S": "u2"}, "lock": {"M": {"operation": {"S": "op2"}}}}
    pages: dict[str | None, dict[str, Any]] = {
        None: {"Items": [first], "LastEvaluatedKey": first},
        "u1": {"Items": [second]},
    }

    def query(**asked: Any) -> dict[str, Any]:
        return pages[asked["ExclusiveStartKey"]["uid"]["S"] if "ExclusiveStartKey" in asked else None]

    assert list(Store(SimpleNamespace(query=query), "record").locked()) == [("u1", "op1"), ("u2", "op2")]


def test_f11_who_asks_for_an_operation_must_have_seen_the_latest(store: Store, made: Environment) -> None:
    """Another one on the same generation has come and gone meanwhile: nothing holds the lock, and still it is late."""
    assert store.release(made, operation(1, status=OperationStatus.FAILED, ended_at=LATER))
    read = present(store)
    store.request_operation(read, operation(2, OperationKind.RETRY))
    assert store.release(present(store), operation(2, OperationKind.RETRY, ended_at=LATER))
    with pytest.raises(ConflictError):
        store.request_operation(read, operation(3, OperationKind.RETRY))
    after = present(store)
    assert after.operation
    assert (after.operation.id, after.lock) == ("op2", None)


def test_f34_a_lock_is_not_freed_over_an_intent_that_its_holder_has_not_read(store: Store, made: Environment) -> None:
    store.intend(made, Intent("op2", OperationKind.DELETE, LATER, OWNER))
    assert not store.release(made, operation(1, ended_at=LATER))
    waiting = present(store)
    assert waiting.lock == made.lock
    assert waiting.intent
    assert waiting.intent.operation == "op2"
    assert not store.hand_over(waiting, operation(1, ended_at=LATER), operation(3, OperationKind.DELETE), LATER)
    assert present(store) == waiting
    assert store.hand_over(waiting, operation(1, ended_at=LATER), operation(2, OperationKind.DELETE), LATER)


def test_drift_is_written_only_while_nothing_is_at_work(store: Store, made: Environment) -> None:
    drifted = Condition("Drifted", "True", "Differs", "", LATER, 1)
    found = [{"component": "dns", "action": "Create", "resource": "record shop", "reason": "it is not there"}]
    with pytest.raises(ConflictError):
        store.record_drift(made, drifted, found)
    store.release(made, operation(1, ended_at=LATER))
    store.record_drift(made, drifted, found)
    after = present(store)
    assert after.conditions["Drifted"].true
    assert after.facts["drift"]["changes"] == found
    with pytest.raises(ConflictError):
        store.record_drift(replace(after, generation=2), drifted, [])
    with pytest.raises(ConflictError):
        store.record_drift(replace(after, generation=0), drifted, [])  # the spec has changed since it was looked at


def test_a_deleted_record_frees_its_name_and_keeps_its_history(store: Store, made: Environment) -> None:
    store.record_deleted(made, LATER)
    assert store.by_name("shop") is None
    assert (present(store).phase, present(store).deleted_at) == (Phase.DELETED, LATER)
    store.create(environment("u2"), operation(2))
    found = store.by_name("shop")
    assert found
    assert found.uid == "u2"


def test_f4_a_deletion_recorded_twice_does_not_take_the_name_from_who_has_it_by_then(world: Any) -> None:
    """RecordReady is killed after it has written, somebody takes the name, and the state machine tries again."""
    store = world.store
    store.create(environment(), operation(1, OperationKind.DELETE))
    gone = present(store)
    task = Task("u1", "op1", 1, LATER)
    assert outcome.ready(world, task) == {"phase": "Deleted"}
    store.create(environment("u2"), operation(2))
    assert outcome.ready(world, task) == {"phase": "Deleted"}
    with pytest.raises(FencedError):
        store.record_deleted(gone, LATER)
    found = store.by_name("shop")
    assert found
    assert found.uid == "u2"
    assert present(store).phase is Phase.DELETED


def test_f43_an_event_saved_twice_is_there_once(store: Store) -> None:
    for number in (1, 2, 1):
        store.save_event("u1", f"{number:030}", {"id": f"{number:030}", "type": "PhaseChanged"}, NOW)
    assert [each["id"] for each in store.events("u1")] == [f"{1:030}", f"{2:030}"]
    assert [each["id"] for each in store.events("u1", after=f"{1:030}")] == [f"{2:030}"]


# Settling


@dataclass
class Executions:
    """What Step Functions says of executions, and what was started."""

    statuses: dict[str, str] = field(default_factory=dict)  # by operation
    started: list[str] = field(default_factory=list)

    def status(self, arn: str) -> str | None:
        return self.statuses.get(arn.rpartition(":")[2])

    def start(self, machine: str, name: str, _state: dict[str, Any]) -> str:
        self.started.append(f"{machine.rpartition(':')[2]} {name}")
        self.statuses[name] = "RUNNING"
        return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"


@pytest.fixture
def world(store: Store) -> Any:
    machine = "arn:aws:states:eu-west-1:111122223333:stateMachine:"
    settings = SimpleNamespace(provision_arn=f"{machine}provision", teardown_arn=f"{machine}teardown")
    return SimpleNamespace(store=store, states=Executions(), settings=settings)


def test_settling_twice_frees_once_and_says_why(world: Any, made: Environment) -> None:
    del made
    world.states.statuses["op1"] = "ABORTED"
    world.store.start_step("u1", "op1", Step("EnsureCluster", NOW))
    assert settle.settle(world, "u1", "op1", LATER) == "released"
    assert settle.settle(world, "u1", "op1", LATER) == "settled"
    after = present(world.store)
    assert after.lock is None
    assert after.operation
    assert after.operation.failure
    assert (after.operation.failure.step, after.phase) == ("EnsureCluster", Phase.FAILED)
    assert "ABORTED" in after.operation.failure.cause
    assert after.conditions["Ready"].status == "False"


def test_what_runs_keeps_its_lock_and_what_never_started_is_started(world: Any, made: Environment) -> None:
    assert settle.settle(world, "u1", "op1", LATER) == "running"
    assert world.states.started == ["provision op1"]
    assert settle.settle(world, "u1", "op1", LATER) == "running"
    assert world.states.started == ["provision op1"]
    assert present(world.store).lock == made.lock


def test_f34_the_lock_goes_to_the_deletion_that_waits(world: Any, made: Environment) -> None:
    world.store.intend(made, Intent("op2", OperationKind.DELETE, LATER, OWNER))
    with pytest.raises(ConflictError):
        world.store.intend(made, Intent("op3", OperationKind.CANCEL, LATER, OWNER))
    world.states.statuses["op1"] = "ABORTED"
    assert settle.settle(world, "u1", "op1", LATER) == "handed-over"
    assert settle.settle(world, "u1", "op1", LATER) == "settled"
    after = present(world.store)
    assert after.lock
    assert (after.lock.operation, after.lock.since, after.intent) == ("op2", LATER, None)
    assert world.states.started == ["teardown op2"]
    former = world.store.operation("u1", "op1")
    assert former
    assert former.status is OperationStatus.CANCELLED
    assert list(world.store.locked()) == [("u1", "op2")]


def test_a_lock_that_cannot_be_settled_keeps_none_of_the_others(world: Any, made: Environment) -> None:
    """Neither one whose execution cannot be asked for, nor one whose record cannot be read."""
    del made
    world.store.create(environment("u2", "other"), operation(2))
    world.store.create(environment("u3", "third"), operation(3))
    world.states.statuses.update({"op1": "ABORTED", "op2": "ABORTED", "op3": "ABORTED"})
    asked, read = world.states.status, world.store.by_uid

    def status(arn: str) -> str | None:
        if arn.endswith(":op1"):
            raise UnavailableError("DescribeExecution answered InternalFailure")
        found: str | None = asked(arn)
        return found

    def by_uid(uid: str) -> Environment | None:
        if uid == "u2":
            raise KeyError("spec")
        found: Environment | None = read(uid)
        return found

    world.states.status, world.store.by_uid = status, by_uid
    found = settle.sweep(world, LATER, timedelta(minutes=2))
    assert sorted(found) == [("u1", settle.NOT_SETTLED), ("u2", settle.NOT_SETTLED), ("u3", "released")]
    event = {"time": LATER.isoformat().replace("+00:00", "Z")}
    world.site = SimpleNamespace(stack_name="springboard")
    with pytest.raises(UnavailableError, match=r"not settled: (u1, u2|u2, u1)$"):
        sweep(world, event)


def test_the_sweep_leaves_young_locks_and_what_runs(world: Any, made: Environment) -> None:
    del made
    grace = timedelta(minutes=2)
    assert settle.sweep(world, NOW + timedelta(minutes=1), grace) == []
    assert world.states.started == []
    world.states.statuses["op1"] = "RUNNING"
    assert settle.sweep(world, LATER, grace) == []
    world.states.statuses["op1"] = "TIMED_OUT"
    assert settle.sweep(world, LATER, grace) == [("u1", "released")]
    assert settle.sweep(world, LATER, grace) == []
