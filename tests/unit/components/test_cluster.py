"""The cluster: what is compared, in which order it is changed, and what a failure says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from springboard import naming
from springboard.components import cluster
from springboard.components.cluster import Cluster, Found, LogGroup, Observed
from springboard.components.contract import ABSENT, Failed, Ready, Waiting
from springboard.components.idempotency import token
from springboard.errors import NotOursError
from springboard.record import OperationKind
from tests.unit.components.records import NOW, SITE, UID, environment, under

GROUP = LogGroup("/aws/eks/sb-shop/cluster", "arn:logs", 90)


def wanted(**spec: Any) -> Cluster:
    return cluster.desired(environment(**spec), SITE)


def found(desired: Cluster, **other: Any) -> Found:
    """The cluster as EKS describes one that is as desired, but for what is given."""
    as_desired = Found(
        name=desired.name,
        arn="arn:cluster",
        status="ACTIVE",
        version=desired.version,
        platform_version="eks.1",
        endpoint="https://api",
        certificate_authority="Y2E=",
        vpc_id="vpc-1",
        subnet_ids=desired.subnet_ids,
        security_group_ids=desired.security_group_ids,
        cluster_security_group_id="sg-cluster",
        public=bool(desired.public_cidrs),
        public_cidrs=desired.public_cidrs,
        log_types=desired.log_types,
        support_type=desired.support_type,
        protected=desired.protected,
        issuer="https://oidc",
        issues=(),
        tags=desired.tags,
        created_at="2026-11-23T09:00:00Z",
    )
    return replace(as_desired, **other)


def seen(have: Found | None, group: LogGroup | None = GROUP, **other: Any) -> Observed:
    return Observed(cluster=have, log_group=group, log_group_seen=True, **other)


def test_the_log_group_is_made_before_the_cluster() -> None:
    changes = cluster.changes(wanted(), seen(None, None))
    assert [type(change) for change in changes] == [cluster.CreateLogGroup, cluster.CreateCluster]


def test_nothing_is_changed_when_all_is_as_desired() -> None:
    desired = wanted()
    observed = seen(found(desired))
    assert cluster.changes(desired, observed) == ()
    assert isinstance(cluster.condition(desired, observed), Ready)


def test_updates_come_one_at_a_time_and_one_kind_each() -> None:
    desired = wanted(cluster={"supportType": "STANDARD", "apiAccess": {"publicCidrs": ["8.8.8.0/24"]}})
    have = found(desired, public=False, public_cidrs=("0.0.0.0/0",), support_type="EXTENDED", protected=False)
    changes = [change for change in cluster.changes(desired, seen(have)) if isinstance(change, cluster.UpdateCluster)]
    assert [set(change.parameters) for change in changes] == [
        {"resourcesVpcConfig"},
        {"upgradePolicy"},
        {"deletionProtection"},
    ]
    assert [change.possible for change in changes] == [True, False, False]
    updating = cluster.changes(desired, seen(replace(have, status="UPDATING")))
    assert not any(change.possible for change in updating)


def test_a_private_endpoint_does_not_care_which_cidrs_eks_remembers() -> None:
    desired = wanted()
    assert cluster.changes(desired, seen(found(desired, public_cidrs=("0.0.0.0/0",)))) == ()


def test_a_version_above_the_floor_stays() -> None:
    desired = wanted()
    assert cluster.changes(desired, seen(found(desired, version="1.36"))) == ()


def test_labels_become_tags_and_go_with_them_but_tags_of_others_stay() -> None:
    desired = cluster.desired(environment(labels={"team": "checkout"}), SITE)
    have = found(desired, tags={**desired.tags, "team": "other", "ring": "one", "cost-center": "42"})
    (change,) = cluster.changes(desired, seen(have, label_keys=("ring", "team")))
    assert isinstance(change, cluster.TagCluster)
    assert (change.tags, change.gone) == ({"team": "checkout"}, ("ring",))


def test_tags_of_others_never_pass_for_labels_that_we_set() -> None:
    desired = cluster.desired(environment(labels={"team": "checkout"}), SITE)
    have = found(desired, tags={**desired.tags, "ring": "one", "cost-center": "42"})
    assert cluster.learned(seen(have, label_keys=("gone", "ring", "team")))["labelKeys"] == ["ring", "team"]


def test_a_cluster_of_somebody_else_is_refused_and_never_removed() -> None:
    observed = Observed(foreign="arn:theirs")
    with pytest.raises(NotOursError, match="sb-shop"):
        cluster.changes(wanted(), observed)
    assert cluster.changes(ABSENT, observed) == ()
    assert isinstance(cluster.condition(ABSENT, observed), Ready)


def test_a_failed_cluster_tells_its_health_and_is_kept_until_a_retry() -> None:
    desired = wanted()
    have = found(desired, status="FAILED", issues=(("KmsKeyDisabled", "key 1 is disabled"),))
    verdict = cluster.condition(desired, seen(have))
    assert isinstance(verdict, Failed)
    assert (verdict.code, verdict.cause) == ("KmsKeyDisabled", "KmsKeyDisabled: key 1 is disabled")
    assert "enable" in verdict.remedy
    assert cluster.changes(desired, seen(have)) == ()
    (change,) = cluster.changes(desired, seen(have, retrying=True))
    assert isinstance(change, cluster.DeleteCluster)


@pytest.mark.parametrize(
    ("kind", "age", "again"),
    [
        (OperationKind.RETRY, timedelta(minutes=20), True),
        (OperationKind.RETRY, timedelta(minutes=-20), False),  # the retry's own: made again for ever otherwise
        (OperationKind.UPDATE, timedelta(minutes=20), False),
    ],
)
def test_f14_a_retry_makes_only_what_had_failed_before_it_again(
    kind: OperationKind, age: timedelta, *, again: bool
) -> None:
    record = under(environment(), kind)
    tags = {naming.OWNER_TAG: UID}
    failed = {"name": "sb-shop", "arn": "arn:cluster", "status": "FAILED", "tags": tags, "createdAt": NOW - age}
    world = SimpleNamespace(
        site=SITE,
        eks=SimpleNamespace(cluster=lambda _: failed),
        logs=SimpleNamespace(group=lambda _: None),
    )
    observed = cluster.observe(world, record)  # type: ignore[arg-type]  # all it asks
    changes = cluster.changes(cluster.desired(record, SITE), observed)
    assert any(isinstance(change, cluster.DeleteCluster) for change in changes) is again


def test_an_active_cluster_with_a_health_issue_is_not_ready() -> None:
    desired = wanted()
    verdict = cluster.condition(desired, seen(found(desired, issues=(("IamRoleNotFound", "gone"),))))
    assert isinstance(verdict, Failed)


def test_removal_takes_protection_off_then_the_cluster_then_the_log_group() -> None:
    desired = wanted()
    protected = cluster.changes(ABSENT, seen(found(desired)))
    assert [(type(change), change.possible) for change in protected] == [
        (cluster.UpdateCluster, True),
        (cluster.DeleteCluster, False),
        (cluster.DeleteLogGroup, False),
    ]
    bare = cluster.changes(ABSENT, seen(found(desired, protected=False)))
    assert [(type(change), change.possible) for change in bare] == [
        (cluster.DeleteCluster, True),
        (cluster.DeleteLogGroup, False),
    ]
    deleting = seen(found(desired, status="DELETING"), None)
    assert cluster.changes(ABSENT, deleting) == ()
    assert isinstance(cluster.condition(ABSENT, deleting), Waiting)
    (last,) = cluster.changes(ABSENT, seen(None))
    assert (type(last), last.possible) == (cluster.DeleteLogGroup, True)
    assert isinstance(cluster.condition(ABSENT, seen(None)), Waiting)
    assert isinstance(cluster.condition(ABSENT, seen(None, None)), Ready)


def test_a_failed_cluster_is_removed_without_touching_its_protection() -> None:
    (change,) = cluster.changes(ABSENT, seen(found(wanted(), status="FAILED"), None))
    assert (type(change), change.possible) == (cluster.DeleteCluster, True)


def test_a_log_group_of_somebody_else_stays() -> None:
    assert cluster.changes(ABSENT, seen(None, replace(GROUP, ours=False))) == ()


def test_a_retry_asks_with_another_token() -> None:
    record = under(environment(), OperationKind.CREATE)
    assert record.operation
    again = replace(record, operation=replace(record.operation, attempt=2))
    assert token(record, "cluster") == token(record, "cluster") != token(again, "cluster")
    assert token(record, "cluster") != token(record, "other")


def test_the_owner_cannot_be_forged_by_a_label() -> None:
    desired = cluster.desired(environment(labels={naming.OWNER_TAG: "other"}), SITE)
    assert desired.tags[naming.OWNER_TAG] == UID


def test_facts_know_the_cluster_only_while_it_answers() -> None:
    record = environment()
    assert isinstance(cluster.known(record), Waiting)
    facts = cluster.learned(seen(found(wanted())))
    known = cluster.known(record.with_facts("cluster", facts))
    assert isinstance(known, cluster.Known)
    assert known.security_group_id == "sg-cluster"
    gone = cluster.learned(seen(found(wanted(), status="CREATING")))
    assert isinstance(cluster.known(record.with_facts("cluster", gone)), Waiting)
