"""A site and records for tests of the pure halves."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from springboard.record import Environment, Operation, OperationKind, OperationStatus, Resolved, ResolvedApp
from springboard.site import Site
from springboard.spec import EnvironmentSpec

ACCOUNT = "111122223333"
UID = "01jd0000000000000000000000"
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
IMAGE = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/shop"
CREATOR = f"arn:aws:iam::{ACCOUNT}:role/creator"

SITE = Site(
    account=ACCOUNT,
    region="eu-west-1",
    partition="aws",
    prefix="sb",
    base_domain="dev.example.com",
    hosted_zone_id="Z1",
    vpc_id="vpc-1",
    vpc_cidrs=("10.64.0.0/16", "100.64.0.0/16"),
    private_subnet_ids=("subnet-a", "subnet-b", "subnet-c"),
    public_subnet_ids=("subnet-d", "subnet-e", "subnet-f"),
    api_access_security_group_id="sg-api",
    cluster_role_arn=f"arn:aws:iam::{ACCOUNT}:role/cluster",
    node_role_arn=f"arn:aws:iam::{ACCOUNT}:role/node",
    workload_role_arn=f"arn:aws:iam::{ACCOUNT}:role/workload",
    addon_role_arns=(("vpc-cni", f"arn:aws:iam::{ACCOUNT}:role/cni"),),
    secrets_key_arn="arn:aws:kms:eu-west-1:111122223333:key/1",
    app_role_path="/springboard-apps/",
    log_retention_days=90,
    schedule_group="springboard",
    schedule_role_arn=f"arn:aws:iam::{ACCOUNT}:role/schedules",
    ttl_function_arn="arn:ttl",
    drift_function_arn="arn:drift",
    schedule_dlq_arn="arn:dlq",
    alarm_topic_arn="arn:topic",
    access_logs_bucket="",
)


def environment(*, labels: dict[str, str] | None = None, **spec: Any) -> Environment:
    """Environment `shop`, as admission leaves it."""
    parsed = EnvironmentSpec.model_validate_json(json.dumps({"apps": [{"image": f"{IMAGE}:1"}], **spec}))
    apps = tuple(
        ResolvedApp(app.name or "shop", f"{app.name or 'shop'}.example.com", f"{IMAGE}@{DIGEST}", DIGEST, "amd64", port)
        for port, app in enumerate(parsed.apps, 30000)
    )
    return Environment(
        uid=UID,
        name="shop",
        owner=CREATOR,
        generation=1,
        created_at=NOW,
        spec=parsed,
        labels=labels or {},
        resolved=Resolved("1.35", "Z1", "dev.example.com", apps, "amd64", CREATOR),
    )


def under(
    environment: Environment, kind: OperationKind, status: OperationStatus = OperationStatus.RUNNING
) -> Environment:
    """The record while an operation of that kind has that status."""
    operation = Operation("op1", kind, status, environment.generation, NOW, CREATOR, started_at=NOW)
    return replace(environment, operation=operation)
