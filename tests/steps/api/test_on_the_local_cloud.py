"""The API over the real store and adapters, and the store's twin in memory held to the same contract."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from springboard import admission
from springboard.errors import ConflictError
from springboard.record import Environment, Intent, Operation, OperationKind, OperationStatus
from springboard.runtime import Settings, World
from springboard.store.table import Answer, Store
from springboard_local.clock import ManualClock
from springboard_local.cloud import ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY, REGION, LocalCloud
from springboard_local.cloud import Settings as LocalSettings
from tests.steps.api.fakes import ALICE_ROLE, BOB, IMAGE, NOW, Client, FakeStore, FakeWorld, document, site

if TYPE_CHECKING:
    from collections.abc import Iterator

    type AnyStore = Store | FakeStore

WAITS = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    clock = ManualClock()
    settings = LocalSettings(state=tmp_path_factory.mktemp("state"), enforce_iam=False)
    with LocalCloud(settings, clock) as running:
        yield running
    clock.close()


def table(cloud: LocalCloud) -> str:
    """The stack's table, empty."""
    dynamodb = cloud.client("dynamodb")
    name = f"record-{len(dynamodb.list_tables()['TableNames'])}"
    keys = ("pk", "sk", "locked", "lockedSince")
    dynamodb.create_table(
        TableName=name,
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
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    return name


@pytest.fixture
def world(cloud: LocalCloud) -> World:
    from springboard_local.services import ecr  # noqa: PLC0415 - of moto, which the cloud has to prepare first

    cloud.reset()
    ecr.seed(cloud, [IMAGE])
    zone = cloud.client("route53").create_hosted_zone(Name="dev.example.com", CallerReference="x")["HostedZone"]
    role = cloud.client("iam").create_role(RoleName="machines", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    states = cloud.client("stepfunctions")
    machines = [
        states.create_state_machine(name=name, definition=json.dumps(WAITS), roleArn=role)["stateMachineArn"]
        for name in ("provision", "teardown")
    ]
    session = boto3.Session(ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY, region_name=REGION)
    stack = site(hosted_zone_id=zone["Id"].rpartition("/")[2])
    settings = Settings(stack, table(cloud), "bus", "topic", machines[0], machines[1], {})
    return World(settings, session, cloud.endpoint)


@pytest.fixture
def call(world: World) -> Client:
    return Client(world)  # type: ignore[arg-type] # the real one, for once


def test_the_life_of_an_environment(call: Client, world: World) -> None:
    created = call("POST", "/environments", document(deletionProtection=False), headers={"idempotency-key": "k"})
    assert created.status == 202, created
    again = call("POST", "/environments", document(deletionProtection=False), headers={"idempotency-key": "k"})
    assert again.document == created.document
    assert created.document["status"]["apps"][0]["digest"].startswith("sha256:")
    assert call("POST", "/environments", document(), user=BOB).status == 409
    assert call("GET", "/environments/shop", user=BOB).status == 404
    listed = call("GET", "/environments").document["items"]
    assert listed == [call("GET", "/environments/shop").document]
    cancelled = call("POST", "/environments/shop/cancel")
    assert cancelled.document["status"]["operation"]["status"] == "Cancelled"
    assert call("POST", "/environments/shop/retry").document["status"]["operation"]["attempt"] == 2
    deleted = call("DELETE", "/environments/shop")
    assert deleted.document["status"]["operation"]["kind"] == "Delete"
    kinds = [each["kind"] for each in call("GET", "/environments/shop/operations").document["items"]]
    assert sorted(kinds) == ["Create", "Delete", "Retry"]
    arn = f"{world.settings.teardown_arn.replace(':stateMachine:', ':execution:')}:"
    assert world.states.status(arn + deleted.document["status"]["operation"]["id"]) == "RUNNING"


def test_b11_add_ons_are_looked_up(call: Client, cloud: LocalCloud) -> None:
    """A name that EKS does not know, a version of another Kubernetes minor, and what there is."""
    kubernetes = next(
        each["clusterVersion"]
        for each in cloud.client("eks").describe_cluster_versions()["clusterVersions"]
        if each["defaultVersion"]
    )
    offered = cloud.client("eks").describe_addon_versions(addonName="kube-proxy")["addons"][0]["addonVersions"]
    other = next(
        each["addonVersion"]
        for each in offered
        if kubernetes not in {known["clusterVersion"] for known in each["compatibilities"]}
    )
    wrong = [{"name": "aws-ebs-csi-drivr"}, {"name": "kube-proxy", "version": other}]
    for how in ("", "?dryRun=All"):
        path, _, query = f"/environments{how}".partition("?")
        reply = call("POST", path, document(addons=wrong), query=query)
        assert (reply.status, reply.headers["content-type"]) == (422, "application/problem+json"), reply
        told = {each["field"]: each for each in reply.document["errors"]}
        assert told.keys() == {"spec.addons[0].name", "spec.addons[1].version"}
        assert told["spec.addons[0].name"]["remedy"] == "did you mean aws-ebs-csi-driver?"
        assert f"v{kubernetes}." in told["spec.addons[1].version"]["remedy"]
    assert call("GET", "/environments").document["items"] == []
    assert call("POST", "/environments", document(addons=[{"name": "aws-ebs-csi-driver"}])).status == 202


def test_f30_zones_are_looked_up(call: Client, cloud: LocalCloud) -> None:
    cloud.client("route53").create_hosted_zone(Name="example.org", CallerReference="y")
    call.world.site = replace(call.world.site, any_zone=True)
    reply = call("POST", "/environments", document(ingress={"hostedZoneId": "ZNONE"}))
    assert reply.document["errors"][0]["field"] == "spec.ingress.hostedZoneId"
    call.world.site = replace(call.world.site, hosted_zone_id="")
    made = document(apps=[{"image": IMAGE, "host": "shop.a.b.example.org"}])
    reply = call("POST", "/environments", made)
    assert reply.document["status"]["resolved"]["zone"] == "example.org"


def test_what_is_not_there_is_refused(call: Client) -> None:
    made = document(
        nodeGroups=[{"name": "w", "instanceTypes": ["m99.large"]}],
        cluster={"minVersion": "1.20"},
        apps=[{"image": IMAGE.replace("1.4.2", "none")}],
    )
    reply = call("POST", "/environments", made)
    assert reply.status == 422
    assert len(reply.document["errors"]) == 3
    assert call("GET", "/environments").document["items"] == []


def test_f10_two_posts_for_one_name_at_once(call: Client) -> None:
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: call("POST", "/environments", document()).status, range(4)))
    assert sorted(replies) == [202] + [409] * 3


# The store's contract


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest, cloud: LocalCloud) -> AnyStore:
    if request.param == "memory":
        return FakeStore()
    return Store(cloud.client("dynamodb"), table(cloud))


def environment(name: str = "shop", uid: str = "u1") -> Environment:
    made = admission.admit(
        FakeWorld(),  # type: ignore[arg-type]
        document(name),
        caller=ALICE_ROLE,
        now=NOW,
        uid=uid,
    )
    return made.environment


def operation(number: int, **changes: Any) -> Operation:
    made = Operation(f"01J{number}", OperationKind.CREATE, OperationStatus.PENDING, 1, NOW, ALICE_ROLE)
    return replace(made, **changes)


def test_create_takes_the_name_and_the_lock(store: AnyStore) -> None:
    store.create(environment(), operation(1))
    found = store.by_name("shop")
    assert found == store.by_uid("u1")
    assert found
    assert found.lock
    assert found.lock.operation == "01J1"
    assert found.spec == environment().spec
    assert found.resolved == environment().resolved
    with pytest.raises(ConflictError):
        store.create(environment(uid="u2"), operation(2))
    assert store.by_uid("u2") is None
    assert store.by_name("nobody") is None


def test_a_locked_environment_takes_no_other_operation(store: AnyStore) -> None:
    store.create(environment(), operation(1))
    present = store.by_name("shop")
    assert present
    with pytest.raises(ConflictError):
        store.request_operation(present, operation(2))
    with pytest.raises(ConflictError):
        store.update_spec(present, replace(present, generation=2), operation(2))
    assert store.by_name("shop") == present


def test_a_free_one_does_once(store: AnyStore) -> None:
    store.create(environment(), operation(1))
    present = store.by_name("shop")
    assert present
    assert store.release(present, operation(1, status=OperationStatus.SUCCEEDED, ended_at=NOW))
    free = store.by_name("shop")
    assert free
    assert free.lock is None
    store.update_spec(free, replace(free, generation=2), operation(2))
    with pytest.raises(ConflictError):
        store.update_spec(free, replace(free, generation=2), operation(3))
    after = store.by_name("shop")
    assert after
    assert (after.generation, after.operation and after.operation.id) == (2, "01J2")


def test_an_intent_needs_a_holder_and_takes_over(store: AnyStore) -> None:
    store.create(environment(), operation(1))
    present = store.by_name("shop")
    assert present
    store.intend(present, Intent("01J2", OperationKind.DELETE, NOW, ALICE_ROLE))
    waiting = store.by_name("shop")
    assert waiting
    assert waiting.intent
    ended = operation(1, status=OperationStatus.CANCELLED, ended_at=NOW)
    assert store.hand_over(waiting, ended, operation(2, kind=OperationKind.DELETE), NOW)
    after = store.by_name("shop")
    assert after
    assert after.lock
    assert (after.lock.operation, after.intent) == ("01J2", None)
    assert [each.id for each in store.operations("u1")] == ["01J1"]
    assert store.operation("u1", "01J1") == ended
    assert store.operation("u1", "01J9") is None
    assert store.release(after, operation(2, ended_at=NOW))
    free = store.by_name("shop")
    assert free
    with pytest.raises(ConflictError):
        store.intend(free, Intent("01J3", OperationKind.DELETE, NOW, ALICE_ROLE))


def test_names_come_in_pages(store: AnyStore) -> None:
    for number in range(3):
        store.create(environment(f"shop-{number}", f"u{number}"), operation(number))
    assert store.names("", 2) == ["shop-0", "shop-1"]
    assert store.names("shop-1", 2) == ["shop-2"]
    assert store.names("shop-2", 2) == []


def test_answers_are_kept(store: AnyStore) -> None:
    answer = Answer("hash", 202, {"ETag": '"1"'}, "{}")
    assert store.answer("key") is None
    store.save_answer("key", answer, NOW + timedelta(seconds=1))
    assert store.answer("key") == answer
    assert store.events("u1") == []
