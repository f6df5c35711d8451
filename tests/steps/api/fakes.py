"""The API's world in memory: the same methods as the real store and adapters, so that tests take no time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from api.app import respond
from springboard.aws.ecr import Found
from springboard.aws.eks import OfferedAddon
from springboard.aws.route53 import Zone
from springboard.errors import ConflictError
from springboard.record import Environment, Lock, Operation, OperationStatus, Phase
from springboard.runtime import Settings
from springboard.site import Site
from springboard.store import codec

if TYPE_CHECKING:
    from springboard.capacity import InstanceType
    from springboard.record import Intent

ACCOUNT = "111122223333"
REGION = "eu-west-1"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/shop:1.4.2"
DIGEST = "sha256:" + "a" * 64
ALICE = f"arn:aws:sts::{ACCOUNT}:assumed-role/Alice/laptop"
ALICE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/Alice"
BOB = f"arn:aws:sts::{ACCOUNT}:assumed-role/Bob/desk"
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class FakeStore:
    """springboard.store.table.Store in a dictionary."""

    def __init__(self) -> None:
        self.environments: dict[str, Environment] = {}
        self.pointers: dict[str, str] = {}
        self.ended: dict[str, list[Operation]] = {}
        self.saved_events: dict[str, list[dict[str, Any]]] = {}
        self.answers: dict[str, Any] = {}
        self.writes: list[str] = []

    def by_name(self, name: str) -> Environment | None:
        return self.by_uid(self.pointers.get(name, ""))

    def by_uid(self, uid: str) -> Environment | None:
        return self.environments.get(uid)

    def names(self, after: str, limit: int) -> list[str]:
        return [name for name in sorted(self.pointers) if name > after][:limit]

    def operation(self, uid: str, operation: str) -> Operation | None:
        return next((each for each in self.ended.get(uid, []) if each.id == operation), None)

    def operations(self, uid: str, limit: int = 50) -> list[Operation]:
        return sorted(self.ended.get(uid, []), key=lambda each: each.id, reverse=True)[:limit]

    def events(self, uid: str, after: str = "", limit: int = 100) -> list[dict[str, Any]]:
        return [event for event in self.saved_events.get(uid, []) if event["id"] > after][:limit]

    def create(self, environment: Environment, operation: Operation) -> None:
        self.writes.append("create")
        if environment.name in self.pointers or environment.uid in self.environments:
            raise ConflictError(f"the name {environment.name} is taken", "choose another name")
        self.pointers[environment.name] = environment.uid
        self._save(environment, operation)

    def _save(self, environment: Environment, operation: Operation) -> None:
        # Through JSON, as the real one does, so that what can't be stored is found here too.
        started = replace(environment, operation=operation, lock=Lock(operation.id, operation.requested_at))
        text = json.dumps(codec.environment_to_json(started))
        self.environments[environment.uid] = codec.environment_from_json(json.loads(text))

    def update_spec(self, before: Environment, after: Environment, operation: Operation) -> None:
        self.writes.append("update_spec")
        self._free(before)
        self._save(after, operation)

    def request_operation(self, environment: Environment, operation: Operation) -> None:
        self.writes.append("request_operation")
        self._free(environment)
        self._save(environment, operation)

    def _free(self, before: Environment) -> None:
        present = self.environments[before.uid]
        if present.lock is not None or present.intent is not None or present.generation != before.generation:
            raise ConflictError(f"another operation on {before.name} is at work", "wait for it")

    def intend(self, environment: Environment, intent: Intent) -> None:
        self.writes.append("intend")
        present = self.environments[environment.uid]
        if present.lock is None:
            raise ConflictError("the running operation has just ended", "try again")
        self.environments[environment.uid] = replace(present, intent=intent)

    def answer(self, key_hash: str) -> Any:
        return self.answers.get(key_hash)

    def save_answer(self, key_hash: str, answer: Any, _now: datetime) -> None:
        self.answers[key_hash] = answer

    # What a machine's end does to the record.

    def hand_over(self, environment: Environment, ended: Operation, following: Operation, now: datetime) -> bool:
        self.ended.setdefault(environment.uid, []).append(ended)
        present = self.environments[environment.uid]
        self.environments[environment.uid] = replace(
            present, operation=following, lock=Lock(following.id, now), intent=None
        )
        return True

    def release(self, environment: Environment, ended: Operation) -> bool:
        self.ended.setdefault(environment.uid, []).append(ended)
        present = self.environments[environment.uid]
        self.environments[environment.uid] = replace(present, operation=ended, lock=None, intent=None)
        return True

    def record_failure(self, environment: Environment, failure: Any, phase: Any, conditions: Any) -> None:
        present = self.environments[environment.uid]
        assert present.operation
        self.environments[environment.uid] = replace(
            present,
            phase=phase,
            conditions={**present.conditions, **conditions},
            operation=replace(present.operation, failure=failure, status=OperationStatus.FAILED),
        )


@dataclass
class FakeStates:
    """Executions by ARN."""

    running: dict[str, str] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)

    def start(self, machine_arn: str, name: str, _input: dict[str, Any]) -> str:
        arn = f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
        self.running.setdefault(arn, "RUNNING")
        self.started.append(arn)
        return arn

    def stop(self, arn: str, _error: str, _cause: str) -> None:
        self.running[arn] = "ABORTED"

    def status(self, arn: str) -> str | None:
        return self.running.get(arn)


def version(name: str, *, default: bool = False, ends: str = "2027-12-01") -> dict[str, Any]:
    return {
        "clusterVersion": name,
        "clusterType": "eks",
        "defaultVersion": default,
        "releaseDate": "2026-01-01",
        "endOfStandardSupportDate": ends,
        "endOfExtendedSupportDate": f"{int(ends[:4]) + 1}{ends[4:]}",
        "versionStatus": "STANDARD_SUPPORT",
    }


def site(**changes: Any) -> Site:
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "region": REGION,
        "partition": "aws",
        "prefix": "springboard",
        "base_domain": "dev.example.com",
        "hosted_zone_id": "Z0DEV",
        "vpc_id": "vpc-1",
        "vpc_cidrs": ("10.0.0.0/16",),
        "private_subnet_ids": ("subnet-1", "subnet-2", "subnet-3"),
        "public_subnet_ids": ("subnet-4", "subnet-5", "subnet-6"),
        "api_access_security_group_id": "sg-1",
        "cluster_role_arn": "",
        "node_role_arn": "",
        "workload_role_arn": "",
        "addon_role_arns": (),
        "secrets_key_arn": "",
        "app_role_path": "/springboard-apps/",
        "log_retention_days": 90,
        "schedule_group": "springboard",
        "schedule_role_arn": "",
        "ttl_function_arn": "",
        "drift_function_arn": "",
        "schedule_dlq_arn": "",
        "alarm_topic_arn": "",
        "access_logs_bucket": "",
    }
    return Site(**{**values, **changes})


class FakeWorld:
    """springboard.runtime.World with nothing behind it."""

    def __init__(self, **changes: Any) -> None:
        self.site = site(**changes)
        machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:"
        self.settings = Settings(
            self.site, "table", "bus", "topic", f"{machine}Provision", f"{machine}Teardown", {"workload": "Workload"}
        )
        self.store = FakeStore()
        self.states = FakeStates()
        self.asked: list[dict[str, Any]] = []
        self.observed: dict[str, dict[str, Any]] = {"workload": {"component": "workload", "changes": []}}
        self.zones = [Zone("Z0DEV", "dev.example.com", private=False)]
        self.images = {("shop", "1.4.2"): Found(DIGEST, frozenset({"amd64"}))}
        self.versions = [version("1.34", ends="2026-12-02"), version("1.35", default=True), version("1.36")]
        self.types: dict[str, InstanceType] = {}
        self.addons = {
            "aws-ebs-csi-driver": OfferedAddon(("v1.50.1-eksbuild.1", "v1.49.0-eksbuild.1"), "v1.49.0-eksbuild.1"),
            "coredns": OfferedAddon(("v1.12.4-eksbuild.1",), "v1.12.4-eksbuild.1"),
        }
        self.asked_addons: list[tuple[str, set[str]]] = []
        self.eks = SimpleNamespace(cluster_versions=lambda: self.versions, offered_addons=self._offered_addons)
        self.ec2 = SimpleNamespace(
            instance_types=lambda names: {name: self.types[name] for name in names if name in self.types}
        )
        self.route53 = SimpleNamespace(
            zones=lambda name: [zone for zone in self.zones if zone.name == name],
            zone=lambda wanted: next((z for z in self.zones if z.id == wanted), None),
        )
        self.ecr = SimpleNamespace(
            image=lambda repository, tag="", digest="", **_: self.images.get((repository, digest or tag))
        )
        self.functions = SimpleNamespace(ask=self._ask)

    def _offered_addons(self, kubernetes: str, names: set[str]) -> dict[str, OfferedAddon]:
        self.asked_addons.append((kubernetes, names))
        return self.addons

    def _ask(self, functions: Any, event: dict[str, Any], _seconds: float) -> dict[str, dict[str, Any]]:
        json.dumps(event)
        self.asked.append(event)
        return {name: self.observed.get(name, {"unknown": "no answer"}) for name in functions}

    def finish(self, name: str, status: OperationStatus = OperationStatus.SUCCEEDED) -> None:
        """What the machine's last steps do."""
        environment = self.store.by_name(name)
        assert environment
        assert environment.operation
        ended = replace(environment.operation, status=status, ended_at=NOW)
        self.store.release(environment, ended)
        made = status is OperationStatus.SUCCEEDED
        self.store.environments[environment.uid] = replace(
            self.store.environments[environment.uid],
            phase=Phase.READY if made else Phase.FAILED,
            observed_generation=environment.generation if made else 0,
        )


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    document: Any


def event(
    method: str,
    path: str,
    body: object = None,
    *,
    query: str = "",
    headers: dict[str, str] | None = None,
    user: str = ALICE,
    at: datetime = NOW,
    raw: str | None = None,
) -> dict[str, Any]:
    """An event as an HTTP API sends it (payload format 2.0)."""
    text = raw if raw is not None else None if body is None else json.dumps(body)
    sent = {"content-type": "application/json"} if text is not None else {}
    return {
        "version": "2.0",
        "routeKey": "ANY /{proxy+}",
        "rawPath": quote(path, safe="/%"),
        "rawQueryString": query,
        "headers": {**sent, **(headers or {})},
        "requestContext": {
            "stage": "$default",
            "requestId": "request-1",
            "timeEpoch": int(at.timestamp() * 1000),
            "authorizer": {"iam": {"userArn": user, "accountId": ACCOUNT}},
            "http": {"method": method, "path": path},
        },
        "isBase64Encoded": False,
        **({} if text is None else {"body": text}),
    }


def document(name: str = "shop", **spec: Any) -> dict[str, Any]:
    """The smallest environment, with changes."""
    return {
        "apiVersion": "springboard/v1beta1",
        "kind": "Environment",
        "metadata": {"name": name},
        "spec": {"apps": [{"image": IMAGE}], **spec},
    }


class Client:
    """Sends events to the function."""

    def __init__(self, world: FakeWorld) -> None:
        self.world = world

    def __call__(self, method: str, path: str, body: object = None, **how: Any) -> Reply:
        answer = respond(self.world, event(method, path, body, **how))  # type: ignore[arg-type] # a fake world
        return Reply(answer["statusCode"], answer["headers"], json.loads(answer["body"]))
