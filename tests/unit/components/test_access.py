"""Access entries: who gets which policy where, and whose entries are left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from springboard.components import access
from springboard.components.access import VIEWERS, Entries, Entry, Observed, Policy
from springboard.components.contract import ABSENT, Failed, Ready, Waiting
from tests.unit.components.records import ACCOUNT, CREATOR, SITE, environment

EDIT = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"
VIEW = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


def wanted(access_spec: Any = None) -> Entries:
    return access.desired(environment(cluster={"access": access_spec}), SITE)


def test_the_workload_function_is_admin_and_the_creator_edits_the_namespace() -> None:
    workload, creator = wanted().entries
    assert workload == Entry(SITE.workload_role_arn, (), (Policy(ADMIN),))
    assert creator == Entry(CREATOR, (VIEWERS,), (Policy(EDIT, ("shop",)),))


def test_lines_for_one_principal_become_one_entry_with_the_wider_scope() -> None:
    lines = [
        {"principalArn": CREATOR, "policy": "AmazonEKSEditPolicy", "namespaces": ["b"]},
        {"principalArn": CREATOR, "policy": "AmazonEKSEditPolicy", "namespaces": ["a"]},
        {"principalArn": CREATOR, "policy": "AmazonEKSViewPolicy", "namespaces": ["a"]},
        {"principalArn": CREATOR, "policy": "AmazonEKSViewPolicy"},
    ]
    (_, person) = wanted(lines).entries
    assert person.policies == (Policy(EDIT, ("a", "b")), Policy(VIEW))


def test_an_empty_list_leaves_the_workload_function_alone() -> None:
    assert [entry.principal for entry in wanted([]).entries] == [SITE.workload_role_arn]


def test_the_root_of_an_account_gets_no_entry() -> None:
    record = environment()
    record = replace(record, resolved=replace(record.resolved, creator_role_arn=f"arn:aws:iam::{ACCOUNT}:root"))
    assert len(access.desired(record, SITE).entries) == 1


def test_found_as_desired_changes_nothing() -> None:
    desired = wanted()
    assert access.changes(desired, Observed(entries=desired.entries)) == ()
    assert isinstance(access.condition(desired, Observed(entries=desired.entries)), Ready)


def test_what_differs_is_changed_and_what_is_not_named_any_more_goes() -> None:
    desired = wanted()
    workload, creator = desired.entries
    stale = replace(creator, groups=(), policies=(Policy(EDIT, ("other",)), Policy(VIEW)), arn="arn:entry")
    former = Entry(f"arn:aws:iam::{ACCOUNT}:role/former", (VIEWERS,), (Policy(EDIT),))
    change, deletion = access.changes(desired, Observed(entries=(workload, stale, former)))
    assert isinstance(change, access.ChangeEntry)
    assert (change.groups, change.associate, change.disassociate) == (creator.groups, creator.policies, (VIEW,))
    assert isinstance(deletion, access.DeleteEntry)
    assert deletion.principal == former.principal


def test_somebody_elses_entry_is_adopted_when_named_and_left_alone_when_not() -> None:
    desired = wanted()
    workload, creator = desired.entries
    theirs = Entry(f"arn:aws:iam::{ACCOUNT}:role/theirs", (), (Policy(ADMIN),), ours=False)
    (change,) = access.changes(desired, Observed(entries=(workload, replace(creator, ours=False), theirs)))
    assert isinstance(change, access.ChangeEntry)
    assert change.principal == creator.principal
    assert change.tags == desired.tags


def test_the_nodes_entry_is_no_persons() -> None:
    desired = wanted([{"principalArn": SITE.node_role_arn}])
    nodes = Entry(SITE.node_role_arn, (), (), type="EC2_LINUX", ours=False)
    observed = Observed(entries=(desired.entries[0], nodes))
    assert access.changes(desired, observed) == ()
    assert isinstance(access.condition(desired, observed), Failed)


def test_without_a_cluster_the_plan_shows_what_is_not_possible_yet() -> None:
    observed = Observed(waiting=Waiting("cluster", "the control plane is CREATING"))
    changes = access.changes(wanted(), observed)
    assert [change.possible for change in changes] == [False, False]
    assert access.condition(wanted(), observed) == observed.waiting


def test_entries_go_with_the_cluster() -> None:
    observed = Observed(entries=wanted().entries)
    assert access.changes(ABSENT, observed) == ()
    assert isinstance(access.condition(ABSENT, observed), Ready)
