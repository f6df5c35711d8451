"""Add-ons: which wait for nodes, what a retry does, and what is left to the people who changed it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from springboard.components import addons
from springboard.components.addons import Addon, Addons, Found, Observed
from springboard.components.contract import ABSENT, Failed, Ready, Waiting
from springboard.record import OperationKind
from tests.unit.components.records import SITE, environment, under

if TYPE_CHECKING:
    from springboard.runtime import World

CLUSTER = {
    "name": "springboard-shop",
    "status": "ACTIVE",
    "version": "1.35",
    "endpoint": "https://example",
    "certificateAuthority": "",
    "securityGroupId": "sg-1",
}
DEFAULTS = dict.fromkeys(("vpc-cni", "kube-proxy", "eks-pod-identity-agent", "coredns", "metrics-server"), "v1")


def wanted(*more: dict[str, Any]) -> Addons:
    return addons.desired(environment(addons=list(more)), SITE)


def active(addon: Addon, **other: Any) -> Found:
    return replace(Found(addon.name, "v1", "ACTIVE", addon.configuration), **other)


def seen(desired: Addons, **by_name: dict[str, Any]) -> Observed:
    found = tuple(active(addon, **by_name.get(addon.name.replace("-", "_"), {})) for addon in desired.addons)
    return Observed(addons=found, nodes=True, defaults=DEFAULTS)


def addon(desired: Addons, name: str) -> Addon:
    return next(each for each in desired.addons if each.name == name)


def test_only_what_nodes_need_is_made_before_there_are_nodes() -> None:
    changes = addons.changes(wanted(), Observed(defaults=DEFAULTS))
    names = [change.addon.name for change in changes if isinstance(change, addons.CreateAddon) and change.possible]
    assert names == ["vpc-cni", "kube-proxy", "eks-pod-identity-agent"]
    later = addons.changes(wanted(), Observed(defaults=DEFAULTS, nodes=True))
    assert all(change.possible for change in later)
    assert len(later) == 5


def test_the_network_plugin_has_prefixes_policies_and_its_own_role() -> None:
    cni = addon(wanted(), "vpc-cni")
    assert cni.configuration == {"enableNetworkPolicy": "true", "env": {"ENABLE_PREFIX_DELEGATION": "true"}}
    assert (cni.service_account, cni.role_arn) == ("aws-node", SITE.addon_role_arns[0][1])
    assert addon(wanted(), "coredns").role_arn == ""


def test_what_the_spec_says_of_the_base_set_wins_member_by_member() -> None:
    cni = addon(
        wanted({"name": "vpc-cni", "version": "v1.22.1-eksbuild.1", "configuration": {"env": {"WARM_IP_TARGET": "3"}}}),
        "vpc-cni",
    )
    assert cni.version == "v1.22.1-eksbuild.1"
    assert cni.configuration["env"] == {"ENABLE_PREFIX_DELEGATION": "true", "WARM_IP_TARGET": "3"}
    assert len(wanted({"name": "vpc-cni"}).addons) == 5


def test_a_newer_default_version_is_no_reason_to_touch_an_addon() -> None:
    desired = wanted()
    observed = seen(desired, coredns={"version": "v0"})
    assert addons.changes(desired, observed) == ()
    assert isinstance(addons.condition(desired, observed), Ready)


def test_another_version_or_configuration_is_an_update() -> None:
    desired = wanted({"name": "coredns", "version": "v1.12.0-eksbuild.1", "configuration": {"replicaCount": 3}})
    (change,) = addons.changes(desired, seen(desired, coredns={"configuration": {}}))
    assert isinstance(change, addons.UpdateAddon)
    assert (change.version, change.configuration, change.possible) == ("v1.12.0-eksbuild.1", {"replicaCount": 3}, True)
    (busy,) = addons.changes(desired, seen(desired, coredns={"configuration": {}, "status": "UPDATING"}))
    assert not busy.possible


def test_an_addon_that_left_the_spec_goes_unless_it_is_somebody_elses() -> None:
    desired = wanted()
    ours, theirs = Found("aws-ebs-csi-driver", "v1", "ACTIVE"), Found("adot", "v1", "ACTIVE", ours=False)
    observed = replace(seen(desired), addons=(*seen(desired).addons, ours, theirs))
    (change,) = addons.changes(desired, observed)
    assert isinstance(change, addons.DeleteAddon)
    assert change.name == "aws-ebs-csi-driver"
    assert isinstance(addons.condition(desired, observed), Waiting)


def test_coredns_without_nodes_waits_and_is_no_failure() -> None:
    desired = wanted()
    few = (("InsufficientNumberOfReplicas", "0 of 2"),)
    assert isinstance(addons.condition(desired, seen(desired, coredns={"status": "DEGRADED", "issues": few})), Waiting)


@pytest.mark.parametrize(
    ("status", "code"),
    [("DEGRADED", "AccessDenied"), ("CREATE_FAILED", "ConfigurationConflict"), ("UPDATE_FAILED", "AccessDenied")],
)
def test_a_lasting_cause_is_a_failure_with_a_remedy(status: str, code: str) -> None:
    desired = wanted()
    observed = seen(desired, vpc_cni={"status": status, "issues": ((code, "no"),)})
    verdict = addons.condition(desired, observed)
    assert isinstance(verdict, Failed)
    assert verdict.code == code
    assert verdict.remedy != ""
    assert addons.changes(desired, observed) == ()


def test_a_retry_makes_a_failed_addon_again_and_leaves_its_pods() -> None:
    desired = wanted()
    (change,) = addons.changes(desired, seen(desired, vpc_cni={"status": "CREATE_FAILED", "failed_before": True}))
    assert isinstance(change, addons.DeleteAddon)
    assert change.preserve


def test_f19_one_whose_last_update_failed_is_updated_again_to_what_it_has() -> None:
    """The spec was taken back: nothing differs, and without another update EKS leaves it UPDATE_FAILED for ever."""
    desired = wanted()
    (change,) = addons.changes(desired, seen(desired, vpc_cni={"status": "UPDATE_FAILED", "failed_before": True}))
    assert isinstance(change, addons.UpdateAddon)
    assert change.possible
    assert addons.changes(desired, seen(desired, vpc_cni={"status": "UPDATE_FAILED"})) == ()


def test_what_this_operation_saw_as_desired_is_not_compared_again() -> None:
    desired = wanted({"name": "coredns", "configuration": {"replicaCount": 3}})
    observed = seen(desired, coredns={"configuration": {}, "settled": True})
    assert addons.changes(desired, observed) == ()


@pytest.mark.parametrize(
    ("status", "on"),
    [
        ("CREATING", "network"),
        ("DELETING", "network"),
        ("CREATE_FAILED", "network"),  # of an earlier operation: it is made again
        ("UPDATING", "addons"),
        ("DEGRADED", "addons"),
    ],
)
def test_node_groups_wait_for_a_network_plugin_that_comes_and_not_for_one_that_changes(status: str, on: str) -> None:
    desired = wanted()
    verdict = addons.condition(desired, seen(desired, vpc_cni={"status": status, "failed_before": True}))
    assert isinstance(verdict, Waiting)
    assert verdict.on == on
    others = addons.condition(desired, seen(desired, kube_proxy={"status": status, "failed_before": True}))
    assert isinstance(others, Waiting)
    assert others.on == "addons"


def test_of_addons_under_way_one_is_asked_after_at_a_time() -> None:
    standing = {"coredns": "CREATING", "metrics-server": "CREATING"}
    asked: list[str] = []

    def described(_: str, name: str) -> dict[str, Any]:
        asked.append(name)
        return {"addonVersion": "v1", "status": standing[name]}

    eks = SimpleNamespace(addon=described, addons=lambda _: (), default_addon_versions=lambda *_: {})
    world = cast("World", SimpleNamespace(eks=eks, site=SITE))
    record = under(environment(), OperationKind.CREATE)
    assert record.operation is not None
    operation = f"{record.operation.id}/{record.operation.attempt}"
    early = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent")
    known = [{"name": name, "version": "v1", "status": "ACTIVE", "settled": True} for name in early]
    known += [{"name": name, "version": "v1", "status": "CREATING", "settled": False} for name in standing]
    record = record.with_facts("addons", {"operation": operation, "addons": known})
    record = record.with_facts("node_groups", {"groups": [{"name": "workers", "status": "ACTIVE"}]})
    record = record.with_facts("cluster", CLUSTER)

    assert isinstance(addons.condition(wanted(), addons.observe(world, record)), Waiting)
    assert asked == ["coredns"]
    standing["coredns"] = "ACTIVE"
    addons.observe(world, record)
    assert asked == ["coredns", "coredns", "metrics-server"]


def test_addons_go_with_the_cluster() -> None:
    assert addons.changes(ABSENT, seen(wanted())) == ()
    assert isinstance(addons.condition(ABSENT, seen(wanted())), Ready)
