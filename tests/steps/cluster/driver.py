"""Runs components as the state machines do, on a manual clock: each looks, acts, and says when to look again."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3

from springboard.components import contract, table
from springboard.components.contract import Failed, Ready
from springboard.components.reconcile import plan, reconcile
from springboard.record import (
    Condition,
    Environment,
    Operation,
    OperationKind,
    OperationStatus,
    Resolved,
    ResolvedApp,
)
from springboard.runtime import Settings, World
from springboard.site import Site
from springboard.spec import EnvironmentSpec
from springboard_local.cloud import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard.components.contract import Change, Outcome, Verdict
    from springboard_local.clock import ManualClock
    from springboard_local.cloud import LocalCloud

DIGEST = "sha256:" + "a" * 64
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/shop"
TRUST = {"Version": "2012-10-17", "Statement": []}


def role(cloud: LocalCloud, name: str, *services: str, path: str = "/") -> str:
    """A role that these services, and the account itself, may assume, and that may do everything."""
    iam = cloud.client("iam")
    who = {"AWS": f"arn:aws:iam::{ACCOUNT}:root", "Service": [f"{service}.amazonaws.com" for service in services]}
    if not services:
        who.pop("Service")
    trust = {
        **TRUST,
        "Statement": [{"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Principal": who}],
    }
    made = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="everything", PolicyDocument=json.dumps(everything))
    return str(made["Arn"])


def make_site(cloud: LocalCloud) -> Site:
    """What the stack would have made: a network, roles, a key, a zone, a group of schedules."""
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.64.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.64.{16 * number}.0/20", AvailabilityZone=f"{REGION}{'abc'[number % 3]}"
        )["Subnet"]["SubnetId"]
        for number in range(6)
    ]
    table_id = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table_id, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    for subnet in subnets[3:]:
        ec2.associate_route_table(RouteTableId=table_id, SubnetId=subnet)
    group = ec2.create_security_group(GroupName="api-access", Description="API access", VpcId=vpc)["GroupId"]
    key = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    zone = cloud.client("route53").create_hosted_zone(Name="dev.example.com", CallerReference="1")["HostedZone"]["Id"]
    cloud.client("scheduler").create_schedule_group(Name="springboard")
    topic = cloud.client("sns").create_topic(Name="springboard")["TopicArn"]
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:springboard-dlq"
    return Site(
        account=ACCOUNT,
        region=REGION,
        partition="aws",
        prefix="sb",
        base_domain="dev.example.com",
        hosted_zone_id=zone.rpartition("/")[2],
        vpc_id=vpc,
        vpc_cidrs=("10.64.0.0/16",),
        private_subnet_ids=tuple(subnets[:3]),
        public_subnet_ids=tuple(subnets[3:]),
        api_access_security_group_id=group,
        cluster_role_arn=role(cloud, "cluster", "eks"),
        node_role_arn=role(cloud, "node", "ec2"),
        workload_role_arn=role(cloud, "workload", "lambda"),
        addon_role_arns=(("vpc-cni", role(cloud, "cni", "pods.eks")),),
        secrets_key_arn=key,
        app_role_path="/springboard-apps/",
        log_retention_days=90,
        schedule_group="springboard",
        schedule_role_arn=role(cloud, "schedules", "scheduler"),
        ttl_function_arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:ttl",
        drift_function_arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:drift",
        schedule_dlq_arn=queue,
        alarm_topic_arn=topic,
        access_logs_bucket="",
    )


class CountedWorld(World):
    """The real world against the local cloud, in the role of the workload function; counts its calls."""

    def __init__(self, cloud: LocalCloud, site: Site) -> None:
        keys = cloud.client("sts").assume_role(RoleArn=site.workload_role_arn, RoleSessionName="test")["Credentials"]
        session = boto3.session.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name=REGION
        )
        self.calls: Counter[str] = Counter()
        session.events.register("before-call", self._count)
        super().__init__(
            Settings(site, "table", "bus", "topic", "provision", "teardown", functions={}), session, cloud.endpoint
        )

    def _count(self, model: Any, **_: Any) -> None:
        self.calls[f"{model.service_model.service_name}:{model.name}"] += 1


def environment(name: str, number: int, zone_id: str, **spec: Any) -> Environment:
    """The record of a new environment, as admission leaves it; `number` tells uids and ports apart."""
    parsed = EnvironmentSpec.model_validate_json(json.dumps({"apps": [{"image": f"{IMAGE}:1"}], **spec}))
    apps = tuple(
        ResolvedApp(
            name=app.name or name,
            host=app.host or f"{app.name or name}.dev.example.com",
            image=f"{IMAGE}@{DIGEST}",
            digest=DIGEST,
            architecture="amd64",
            node_port=port,
        )
        for port, app in enumerate(parsed.apps, 30000)
    )
    creator = f"arn:aws:iam::{ACCOUNT}:role/creator"
    return Environment(
        uid=f"01jd{number:022}",
        name=name,
        owner=creator,
        generation=1,
        created_at=datetime(2026, 11, 23, 9, 0, tzinfo=UTC),
        spec=parsed,
        labels={"team": "checkout"},
        resolved=Resolved("1.35", zone_id, "dev.example.com", apps, "amd64", creator),
    )


@dataclass
class Driver:
    """One environment under one operation after the other."""

    cloud: LocalCloud
    world: CountedWorld
    environment: Environment
    clock: ManualClock
    number: int = 0
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def begin(self, kind: OperationKind) -> None:
        self.number += 1
        now = self.clock.now()
        operation = Operation(
            id=f"op{self.number}",
            kind=kind,
            status=OperationStatus.RUNNING,
            generation=self.environment.generation,
            requested_at=now,
            requested_by="somebody",
            started_at=now,
        )
        self.environment = replace(self.environment, operation=operation)

    def end(self) -> None:
        assert self.environment.operation
        ended = replace(self.environment.operation, status=OperationStatus.SUCCEEDED)
        self.environment = replace(self.environment, operation=ended)

    def change(self, **spec: Any) -> None:
        """Another generation, as a PUT makes it."""
        before = self.environment
        later = environment(before.name, 0, before.resolved.zone_id, **spec)
        self.environment = replace(
            self.environment,
            spec=later.spec,
            resolved=later.resolved,
            generation=self.environment.generation + 1,
        )

    def step(self, name: str, *, removal: bool = False) -> Outcome:
        """One run of one component, and its facts and condition into the record."""
        row, now = table.BY_NAME[name], self.clock.now()
        outcome = reconcile(component(name), row, self.world, self.environment, now, removal=removal)
        self.verdicts[name] = outcome.verdict
        before = self.environment.conditions.get(row.condition)
        status = "True" if isinstance(outcome.verdict, Ready) and not removal else "False"
        since = before.last_transition_time if before and before.status == status else now
        condition = Condition(row.condition, status, "", "", since, self.environment.generation)
        self.environment = replace(
            self.environment.with_facts(name, json.loads(json.dumps(dict(outcome.learned)))),
            conditions={**self.environment.conditions, row.condition: condition},
        )
        at = round((now - self.environment.created_at).total_seconds())
        did = ", ".join(f"{change.action} {change.resource}" for change in outcome.changes)
        self.log.append(f"{at:>5} {name}: {did or '-'} → {outcome.verdict}")
        return outcome

    def ensure(self, *names: str, limit: int = 7200) -> None:
        """All of them side by side, until each is ready."""
        self._loop(names, removal=False, limit=limit)

    def remove(self, *names: str, limit: int = 7200) -> None:
        """All of them side by side, until each is gone."""
        self._loop(names, removal=True, limit=limit)

    def _loop(self, names: Iterable[str], *, removal: bool, limit: int) -> None:
        due: dict[str, float] = dict.fromkeys(names, 0.0)
        at = 0.0
        while due:
            name = min(due, key=lambda each: due[each])
            if due[name] > at:
                self.clock.advance(due[name] - at)
                at = due[name]
            outcome = self.step(name, removal=removal)
            assert not isinstance(outcome.verdict, Failed), f"{name}: {outcome.verdict}"
            if outcome.ready:
                del due[name]
            else:
                due[name] = at + outcome.retry_after
            assert at <= limit, f"still waiting: {self.verdicts}"

    @property
    def app(self) -> str:
        """The first application."""
        return self.environment.resolved.apps[0].name

    def plan(self, name: str, *, removal: bool = False) -> tuple[Change, ...]:
        """What a run would do."""
        return plan(component(name), self.world, self.environment, removal=removal).changes


def component(name: str) -> contract.Component:
    """The module of that name."""
    module: Any = importlib.import_module(f"springboard.components.{name}")
    found: contract.Component = module
    return found
