"""The record as GET shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from springboard import documents, validation
from springboard.components.table import ROWS
from springboard.record import (
    Condition,
    Environment,
    Failure,
    Intent,
    Lock,
    Operation,
    OperationKind,
    OperationStatus,
    Phase,
    Resolved,
    ResolvedApp,
    Step,
)
from tests.steps.api.fakes import site

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SITE = site()


def environment(**changes: Any) -> Environment:
    raw = {
        "apiVersion": "springboard/v1beta1",
        "kind": "Environment",
        "metadata": {"name": "shop", "labels": {"team": "a"}},
        "spec": {"apps": [{"image": "registry.example.com/shop:1"}]},
    }
    document = validation.parse(raw)
    resolved = Resolved(
        "1.35",
        "Z1",
        "dev.example.com",
        (
            ResolvedApp(
                "shop", "shop.dev.example.com", "registry.example.com/shop@sha256:a", "sha256:a", "amd64", 30000
            ),
        ),
        "amd64",
    )
    made = Environment(
        uid="u",
        name="shop",
        owner="arn:aws:iam::111122223333:role/Alice",
        generation=1,
        created_at=NOW,
        spec=document.spec,
        labels={"team": "a"},
        resolved=resolved,
    )
    return replace(made, **changes)


def operation(**changes: Any) -> Operation:
    made = Operation("01J", OperationKind.CREATE, OperationStatus.RUNNING, 1, NOW, "arn:aws:iam::1:role/Alice")
    return replace(made, **changes)


def test_a_new_environment_knows_nothing_yet() -> None:
    status = documents.environment(environment(), SITE)["status"]
    assert status["phase"] == "Pending"
    assert {each["status"] for each in status["conditions"]} == {"Unknown"}
    assert len(status["conditions"]) == 4 + len(ROWS)
    assert status["url"] == "https://shop.dev.example.com"
    assert status["nodeGroups"] == [{"name": "workers"}]
    assert status["cluster"] == {}
    assert "operation" not in status


def test_what_waits_for_the_machine_is_progressing() -> None:
    made = environment(operation=operation(), lock=Lock("01J", NOW))
    conditions = {each["type"]: each for each in documents.conditions(made)}
    assert conditions["Progressing"]["status"] == "True"
    assert conditions["Ready"]["status"] == "Unknown"


def test_conditions_are_shown_as_they_were_written() -> None:
    ready = Condition("ClusterReady", "False", "CREATE_FAILED", "step, cause, remedy", NOW, 1)
    extra = Condition("Frozen", "True", "ByOperator", "", NOW, 1)
    listed = documents.conditions(environment(conditions={"ClusterReady": ready, "Frozen": extra}))
    assert listed[-1]["type"] == "Frozen"
    found = next(each for each in listed if each["type"] == "ClusterReady")
    assert found == {
        "type": "ClusterReady",
        "status": "False",
        "reason": "CREATE_FAILED",
        "message": "step, cause, remedy",
        "lastTransitionTime": "2026-11-23T09:00:00Z",
        "observedGeneration": 1,
    }


def test_steps_are_in_the_order_of_their_beginnings() -> None:
    steps = {
        "EnsureCluster": Step("EnsureCluster", NOW + timedelta(seconds=9)),
        "EnsureSchedules": Step("EnsureSchedules", NOW, NOW + timedelta(seconds=1)),
    }
    failure = Failure("EnsureCluster", "quota", "ask for more")
    shown = documents.operation(operation(steps=steps, failure=failure, execution_arn="arn:secret"))
    assert [step["name"] for step in shown["steps"]] == ["EnsureSchedules", "EnsureCluster"]
    assert "endedAt" not in shown["steps"][1]
    assert shown["failure"] == {"step": "EnsureCluster", "cause": "quota", "remedy": "ask for more"}
    assert "arn:secret" not in json.dumps(shown)


def test_facts_of_the_cluster_that_users_need_and_no_others() -> None:
    facts = {
        "cluster": {
            "name": "springboard-shop",
            "version": "1.35",
            "endpoint": "https://x",
            "certificateAuthority": "LS0t",
            "oidcIssuer": "https://y",
            "labelKeys": ["team"],
        },
        "workload": {"apps": [{"name": "shop", "replicas": 2, "readyReplicas": 2}]},
        "node_groups": {"groups": [{"name": "workers", "status": "ACTIVE"}]},
        "addons": {"addons": [{"name": "coredns", "version": "v1"}]},
    }
    status = documents.environment(environment(facts=facts), SITE)["status"]
    assert status["cluster"]["endpoint"] == "https://x"
    assert "oidcIssuer" not in status["cluster"]
    assert status["cluster"]["support"]["endOfStandardSupport"] == "2027-03-27"
    assert status["apps"][0]["readyReplicas"] == 2
    assert status["apps"][0]["digest"] == "sha256:a"
    assert status["nodeGroups"] == [{"name": "workers", "status": "ACTIVE"}]
    assert status["addons"] == [{"name": "coredns", "version": "v1"}]


def test_what_shall_follow_and_when_it_ends() -> None:
    made = environment(
        intent=Intent("01K", OperationKind.DELETE, NOW, "arn:aws:iam::1:role/Alice"),
        expires_at=NOW,
        deleted_at=NOW,
        phase=Phase.DELETED,
    )
    status = documents.environment(made, SITE)["status"]
    assert status["intent"] == {"kind": "Delete", "operation": "01K", "at": "2026-11-23T09:00:00Z"}
    assert status["expiresAt"] == status["deletedAt"] == "2026-11-23T09:00:00Z"


def test_what_is_shown_can_be_sent_back() -> None:
    made = environment()
    parsed = validation.parse(json.loads(json.dumps(documents.declared(made))))
    assert parsed.spec == made.spec
    assert parsed.metadata.labels == made.labels
