"""Add-ons: their catalogue, lifecycle, configuration and objects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.eks.test_clusters import refused

if TYPE_CHECKING:
    from tests.local.eks.conftest import Account


def addon(account: Account, name: str) -> Any:
    return account.eks.describe_addon(clusterName="shop", addonName=name)["addon"]


def test_a_daemon_set_add_on_needs_no_node(account: Account) -> None:
    account.cluster()
    made = account.eks.create_addon(clusterName="shop", addonName="vpc-cni")["addon"]
    assert (made["status"], made["addonVersion"]) == ("CREATING", "v1.21.1-eksbuild.3")
    account.clock.advance(31)
    assert addon(account, "vpc-cni")["status"] == "ACTIVE"
    assert ("DaemonSet", "kube-system", "aws-node") in account.plane().objects


def test_a_deployment_is_degraded_until_there_are_nodes(account: Account) -> None:
    account.cluster()
    account.addon("vpc-cni")
    made = account.addon("coredns")
    assert made["status"] == "DEGRADED"
    assert made["health"]["issues"][0]["code"] == "InsufficientNumberOfReplicas"
    account.nodegroup()
    account.clock.advance(10)
    assert addon(account, "coredns")["status"] == "ACTIVE"
    assert addon(account, "coredns")["health"]["issues"] == []
    assert ("Service", "kube-system", "kube-dns") in account.plane().objects


def test_the_default_follows_the_version_of_the_cluster(account: Account) -> None:
    found = account.eks.describe_addon_versions(kubernetesVersion="1.36", addonName="kube-proxy")["addons"][0]
    defaults = [each["addonVersion"] for each in found["addonVersions"] if each["compatibilities"][0]["defaultVersion"]]
    assert defaults == ["v1.36.2-eksbuild.1"]
    assert found["addonVersions"][0]["addonVersion"] == "v1.36.2-eksbuild.1"
    names = {each["addonName"] for each in account.eks.describe_addon_versions(kubernetesVersion="1.35")["addons"]}
    assert {"vpc-cni", "kube-proxy", "coredns", "metrics-server", "eks-pod-identity-agent"} <= names


def test_the_schema_of_the_configuration_is_shown_and_kept(account: Account) -> None:
    account.cluster()
    found = account.eks.describe_addon_configuration(addonName="vpc-cni", addonVersion="v1.21.1-eksbuild.3")
    assert "enableNetworkPolicy" in json.loads(found["configurationSchema"])["properties"]
    good = json.dumps({"enableNetworkPolicy": "true", "env": {"ENABLE_PREFIX_DELEGATION": "true"}})
    made = account.addon("vpc-cni", configurationValues=good)
    assert made["configurationValues"] == good
    account.nodegroup()
    assert {spec.pods for spec in account.plane().specs.values()} == {110}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"configurationValues": '{"enableNetworkPolicy": true}'}, "Json schema validation failed"),
        ({"configurationValues": '{"nonsense": 1}'}, "Json schema validation failed"),
        ({"configurationValues": "{"}, "not in valid JSON or YAML"),
        ({"addonVersion": "v9.9.9"}, "version specified is not supported"),
        ({"addonName": "nonsense"}, "not supported"),
    ],
)
def test_bad_requests_name_what_is_wrong(account: Account, more: dict[str, Any], words: str) -> None:
    account.cluster()
    code, message = refused(account.eks.create_addon, **{"clusterName": "shop", "addonName": "vpc-cni", **more})
    assert code == "InvalidParameterException"
    assert words in message


def test_no_add_on_before_the_cluster_is_active(account: Account) -> None:
    account.request_cluster()
    assert refused(account.eks.create_addon, clusterName="shop", addonName="vpc-cni")[0] == "InvalidRequestException"


def test_an_update_changes_version_and_configuration(account: Account) -> None:
    account.cluster()
    account.addon("vpc-cni", addonVersion="v1.20.5-eksbuild.1")
    values = '{"env": {"WARM_ENI_TARGET": "1"}}'
    made = account.eks.update_addon(
        clusterName="shop",
        addonName="vpc-cni",
        addonVersion="v1.21.1-eksbuild.3",
        configurationValues=values,
        resolveConflicts="PRESERVE",
    )["update"]
    assert addon(account, "vpc-cni")["status"] == "UPDATING"
    account.clock.advance(46)
    found = account.eks.describe_update(name="shop", addonName="vpc-cni", updateId=made["id"])["update"]
    assert found["status"] == "Successful"
    assert addon(account, "vpc-cni")["addonVersion"] == "v1.21.1-eksbuild.3"
    container = account.plane().objects["DaemonSet", "kube-system", "aws-node"]["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert container["env"] == [{"name": "WARM_ENI_TARGET", "value": "1"}]


def test_a_conflict_fails_the_update(account: Account) -> None:
    account.cluster()
    account.addon("vpc-cni")
    account.eks_module.fail_next("update", "vpc-cni", "ConfigurationConflict", "Conflicts found")
    made = account.eks.update_addon(clusterName="shop", addonName="vpc-cni", addonVersion="v1.22.1-eksbuild.1")[
        "update"
    ]
    account.clock.advance(46)
    found = account.eks.describe_update(name="shop", addonName="vpc-cni", updateId=made["id"])["update"]
    assert found["errors"][0]["errorCode"] == "ConfigurationConflict"
    assert addon(account, "vpc-cni")["status"] == "UPDATE_FAILED"
    assert addon(account, "vpc-cni")["addonVersion"] == "v1.21.1-eksbuild.3"


@pytest.mark.parametrize("preserve", [True, False])
def test_deletion_takes_the_objects_unless_preserved(account: Account, *, preserve: bool) -> None:
    account.cluster()
    account.addon("kube-proxy")
    account.eks.delete_addon(clusterName="shop", addonName="kube-proxy", preserve=preserve)
    account.clock.advance(21)
    assert account.eks.list_addons(clusterName="shop")["addons"] == []
    assert (("DaemonSet", "kube-system", "kube-proxy") in account.plane().objects) is preserve


def test_an_add_on_brings_its_pod_identity(account: Account) -> None:
    account.cluster()
    made = account.addon(
        "vpc-cni", podIdentityAssociations=[{"serviceAccount": "aws-node", "roleArn": account.role("pod")}]
    )
    found = account.eks.list_pod_identity_associations(clusterName="shop")["associations"][0]
    assert made["podIdentityAssociations"] == [found["associationArn"]]
    assert found["ownerArn"] == made["addonArn"]


def test_unasked_add_ons_are_installed_as_objects_alone(account: Account) -> None:
    account.cluster(bootstrapSelfManagedAddons=True)
    assert account.eks.list_addons(clusterName="shop")["addons"] == []
    assert ("DaemonSet", "kube-system", "aws-node") in account.plane().objects
    assert account.nodegroup()["status"] == "ACTIVE"


IMAGE = 'DaemonSet.apps aws-node - .spec.template.spec.containers[name="aws-node"].image'


def container(account: Account) -> dict[str, Any]:
    found = account.plane().objects["DaemonSet", "kube-system", "aws-node"]
    first: dict[str, Any] = found["spec"]["template"]["spec"]["containers"][0]
    return first


@pytest.mark.parametrize("mode", ["NONE", "PRESERVE", None])
def test_an_add_on_over_another_version_that_eks_does_not_manage_conflicts(account: Account, mode: str | None) -> None:
    account.cluster(bootstrapSelfManagedAddons=True)
    more = {"resolveConflicts": mode} if mode else {}
    made = account.addon("vpc-cni", addonVersion="v1.20.5-eksbuild.1", **more)
    assert made["status"] == "CREATE_FAILED"
    assert made["health"]["issues"][0]["code"] == "ConfigurationConflict"
    assert IMAGE in made["health"]["issues"][0]["message"]
    assert container(account)["image"].endswith("v1.21.1-eksbuild.3")


def test_an_add_on_takes_over_what_is_equal_or_what_it_may_overwrite(account: Account) -> None:
    account.cluster(bootstrapSelfManagedAddons=True)
    assert account.addon("kube-proxy")["status"] == "ACTIVE"
    made = account.addon("vpc-cni", addonVersion="v1.20.5-eksbuild.1", resolveConflicts="OVERWRITE")
    assert made["status"] == "ACTIVE"
    assert container(account)["image"].endswith("v1.20.5-eksbuild.1")


@pytest.mark.parametrize(
    ("mode", "ended", "cpu", "version"),
    [
        ("NONE", "Failed", "50m", "v1.21.1-eksbuild.3"),
        ("PRESERVE", "Successful", "50m", "v1.22.1-eksbuild.1"),
        ("OVERWRITE", "Successful", "25m", "v1.22.1-eksbuild.1"),
    ],
)
def test_what_a_user_changed_conflicts_stays_or_goes(
    account: Account, mode: str, ended: str, cpu: str, version: str
) -> None:
    account.cluster()
    account.addon("vpc-cni")
    container(account)["resources"] = {"requests": {"cpu": "50m"}}
    made = account.eks.update_addon(
        clusterName="shop", addonName="vpc-cni", addonVersion="v1.22.1-eksbuild.1", resolveConflicts=mode
    )["update"]
    account.clock.advance(46)
    found = account.eks.describe_update(name="shop", addonName="vpc-cni", updateId=made["id"])["update"]
    assert found["status"] == ended
    assert container(account)["resources"] == {"requests": {"cpu": cpu}}
    assert container(account)["image"].endswith(version)
    assert addon(account, "vpc-cni")["addonVersion"] == version
    if mode == "NONE":
        assert [each["errorCode"] for each in found["errors"]] == ["ConfigurationConflict"]
        assert addon(account, "vpc-cni")["status"] == "UPDATE_FAILED"


def test_the_replicas_of_coredns_stay_with_who_scaled_it(account: Account) -> None:
    account.cluster()
    account.addon("coredns")
    account.plane().objects["Deployment", "kube-system", "coredns"]["spec"]["replicas"] = 4
    account.eks.update_addon(clusterName="shop", addonName="coredns", addonVersion="v1.14.2-eksbuild.1")
    account.clock.advance(46)
    assert addon(account, "coredns")["addonVersion"] == "v1.14.2-eksbuild.1"
    assert account.plane().objects["Deployment", "kube-system", "coredns"]["spec"]["replicas"] == 4


def test_dns_has_the_tenth_address_of_the_services(account: Account) -> None:
    account.cluster(kubernetesNetworkConfig={"serviceIpv4Cidr": "10.100.0.0/16"})
    account.addon("coredns")
    assert account.plane().objects["Service", "kube-system", "kube-dns"]["spec"]["clusterIP"] == "10.100.0.10"
