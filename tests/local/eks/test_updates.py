"""Updates of the control plane: versions, configuration, rollback; and what insights say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.local.eks.test_clusters import refused

if TYPE_CHECKING:
    from tests.local.eks.conftest import Account

DAY = 86_400


def status(account: Account, update: Any) -> Any:
    return account.eks.describe_update(name="shop", updateId=update["id"])["update"]


def upgrade(account: Account, version: str, **more: Any) -> Any:
    """The update, ended."""
    made = account.eks.update_cluster_version(name="shop", version=version, **more)["update"]
    account.clock.advance(541)
    return status(account, made)


def test_an_upgrade_takes_its_time_and_changes_the_plane(account: Account) -> None:
    account.cluster(version="1.34")
    made = account.eks.update_cluster_version(name="shop", version="1.35")["update"]
    assert (made["type"], made["status"]) == ("VersionUpdate", "InProgress")
    assert account.eks.describe_cluster(name="shop")["cluster"]["status"] == "UPDATING"
    code, message = refused(account.eks.update_cluster_config, name="shop", deletionProtection=True)
    assert code == "ResourceInUseException"
    assert (
        message == f"Cannot DeletionProtectionUpdate because cluster shop currently has update {made['id']} in progress"
    )
    account.clock.advance(541)
    assert status(account, made)["status"] == "Successful"
    cluster = account.eks.describe_cluster(name="shop")["cluster"]
    assert (cluster["status"], cluster["version"]) == ("ACTIVE", "1.35")
    assert account.plane().version == "1.35"
    assert account.eks.list_updates(name="shop")["updateIds"] == [made["id"]]


@pytest.mark.parametrize(
    ("version", "code"),
    [
        ("1.36", "InvalidParameterException"),  # a skip
        ("1.34", "InvalidParameterException"),  # where it is
        ("1.33", "InvalidRequestException"),  # back, but it never was there
        ("1.99", "InvalidParameterException"),
        ("latest", "InvalidParameterException"),
    ],
)
def test_versions_that_are_not_the_next(account: Account, version: str, code: str) -> None:
    account.cluster(version="1.34")
    assert refused(account.eks.update_cluster_version, name="shop", version=version)[0] == code


def test_node_groups_have_to_follow_before_the_next_hop(account: Account) -> None:
    account.cluster(version="1.34")
    account.addon("vpc-cni")
    account.nodegroup()
    upgrade(account, "1.35")
    code, message = refused(account.eks.update_cluster_version, name="shop", version="1.36")
    assert code == "InvalidRequestException"
    assert "workers must be updated to match" in message
    where = {"clusterName": "shop", "nodegroupName": "workers"}
    account.eks.update_nodegroup_version(**where)
    account.clock.advance(1_300)
    assert account.describe_nodegroup()["version"] == "1.34"  # without a version, it stays at its own
    account.eks.update_nodegroup_version(**where, version="1.35")
    account.clock.advance(1_300)
    assert account.describe_nodegroup()["version"] == "1.35"
    account.eks.start_insights_refresh(clusterName="shop")
    account.clock.advance(61)
    code, message = refused(account.eks.update_cluster_version, name="shop", version="1.37")
    assert code == "InvalidParameterException"
    assert upgrade(account, "1.36")["status"] == "Successful"


def test_an_insight_in_error_blocks_unless_forced(account: Account) -> None:
    account.cluster(version="1.36")
    account.addon("coredns", addonVersion="v1.13.2-eksbuild.4")
    account.eks.start_insights_refresh(clusterName="shop")
    account.clock.advance(61)
    wanted = {"categories": ["UPGRADE_READINESS"], "statuses": ["ERROR"]}
    found = account.eks.list_insights(clusterName="shop", filter=wanted)["insights"]
    assert [each["name"] for each in found] == ["EKS add-on version compatibility"]
    insight = account.eks.describe_insight(clusterName="shop", id=found[0]["id"])["insight"]
    details = insight["categorySpecificSummary"]["addonCompatibilityDetails"]
    assert details == [{"name": "coredns", "compatibleVersions": ["v1.14.2-eksbuild.1"]}]
    code, _ = refused(account.eks.update_cluster_version, name="shop", version="1.37")
    assert code == "InvalidStateException"
    assert upgrade(account, "1.37", force=True)["status"] == "Successful"


def test_a_refresh_of_insights_has_a_beginning_and_an_end(account: Account) -> None:
    account.cluster()
    assert refused(account.eks.describe_insights_refresh, clusterName="shop")[0] == "ResourceNotFoundException"
    assert account.eks.start_insights_refresh(clusterName="shop")["status"] == "IN_PROGRESS"
    before = account.eks.describe_insights_refresh(clusterName="shop")
    assert before["startedAt"]
    account.clock.advance(61)
    after = account.eks.describe_insights_refresh(clusterName="shop")
    assert (after["status"], after["startedAt"]) == ("COMPLETED", before["startedAt"])
    for each in account.eks.list_insights(clusterName="shop")["insights"]:
        assert each["lastRefreshTime"] > before["startedAt"]


def test_a_rollback_goes_back_one_minor_within_seven_days(account: Account) -> None:
    account.cluster(version="1.34")
    upgrade(account, "1.35")
    back = upgrade(account, "1.34", rollbackConfig={"timeoutMinutes": 120})
    assert (back["type"], back["status"]) == ("VersionRollback", "Successful")
    assert account.plane().version == "1.34"
    code, _ = refused(account.eks.update_cluster_version, name="shop", version="1.33")
    assert code == "InvalidRequestException"


def test_a_rollback_after_seven_days_is_refused(account: Account) -> None:
    account.cluster(version="1.34")
    upgrade(account, "1.35")
    account.clock.advance(7 * DAY)
    code, message = refused(account.eks.update_cluster_version, name="shop", version="1.34")
    assert code == "InvalidRequestException"
    assert "7 days" in message


def test_a_rollback_into_extended_support_needs_the_policy(account: Account) -> None:
    account.cluster(version="1.33", upgradePolicy={"supportType": "STANDARD"})
    upgrade(account, "1.34")
    code, message = refused(account.eks.update_cluster_version, name="shop", version="1.33")
    assert code == "InvalidRequestException"
    assert "EXTENDED" in message


def test_an_injected_failure_leaves_the_version_as_it_was(account: Account) -> None:
    account.cluster(version="1.34")
    account.eks_module.fail_next("update", "shop", "IpNotAvailable", "no free address in subnet")
    made = upgrade(account, "1.35")
    assert made["status"] == "Failed"
    assert made["errors"][0]["errorCode"] == "IpNotAvailable"
    cluster = account.eks.describe_cluster(name="shop")["cluster"]
    assert (cluster["status"], cluster["version"]) == ("ACTIVE", "1.34")


@pytest.mark.parametrize(
    ("change", "kind", "read"),
    [
        ({"deletionProtection": True}, "DeletionProtectionUpdate", lambda c: c["deletionProtection"] is True),
        (
            {"upgradePolicy": {"supportType": "STANDARD"}},
            "UpgradePolicyUpdate",
            lambda c: c["upgradePolicy"]["supportType"] == "STANDARD",
        ),
        (
            {"logging": {"clusterLogging": [{"types": ["audit"], "enabled": True}]}},
            "LoggingUpdate",
            lambda c: {"types": ["audit"], "enabled": True} in c["logging"]["clusterLogging"],
        ),
        (
            {"resourcesVpcConfig": {"endpointPrivateAccess": True, "endpointPublicAccess": False}},
            "EndpointAccessUpdate",
            lambda c: c["resourcesVpcConfig"]["endpointPublicAccess"] is False,
        ),
        (
            {"resourcesVpcConfig": {"publicAccessCidrs": ["203.0.113.0/24"]}},
            "EndpointAccessUpdate",
            lambda c: c["resourcesVpcConfig"]["publicAccessCidrs"] == ["203.0.113.0/24"],
        ),
    ],
)
def test_a_change_of_the_configuration_and_its_repetition(
    account: Account, change: dict[str, Any], kind: str, read: Any
) -> None:
    account.cluster()
    made = account.eks.update_cluster_config(name="shop", **change)["update"]
    assert made["type"] == kind
    account.clock.advance(121)
    assert status(account, made)["status"] == "Successful"
    assert read(account.eks.describe_cluster(name="shop")["cluster"])
    assert refused(account.eks.update_cluster_config, name="shop", **change)[0] == "InvalidParameterException"


def test_one_kind_of_change_in_a_call(account: Account) -> None:
    account.cluster()
    code, message = refused(
        account.eks.update_cluster_config,
        name="shop",
        deletionProtection=True,
        upgradePolicy={"supportType": "STANDARD"},
    )
    assert (code, message) == ("InvalidParameterException", "Only one type of update can be allowed.")


def test_the_calendar_and_its_filters(account: Account) -> None:
    def versions(**wanted: Any) -> list[str]:
        found = account.eks.describe_cluster_versions(**wanted)["clusterVersions"]
        return [each["clusterVersion"] for each in found]

    assert versions() == ["1.37", "1.36", "1.35", "1.34", "1.33"]
    assert versions(defaultOnly=True) == ["1.35"]
    assert versions(versionStatus="EXTENDED_SUPPORT") == ["1.33"]
    assert versions(status="extended-support") == ["1.33"]
    assert versions(clusterVersions=["1.34", "1.36"]) == ["1.36", "1.34"]
    account.clock.advance(30 * DAY)
    assert versions(versionStatus="EXTENDED_SUPPORT") == ["1.34", "1.33"]
    first = account.eks.describe_cluster_versions(clusterVersions=["1.35"])["clusterVersions"][0]
    assert first["endOfStandardSupportDate"].isoformat().startswith("2027-03-27")
    assert first["defaultVersion"] is True


# the rules of the state: what stands against what


@pytest.mark.parametrize(
    ("call", "more", "code", "words"),
    [
        (
            "update_cluster_config",
            {"name": "shop", "deletionProtection": True},
            "ResourceInUseException",
            "in progress",
        ),
        ("update_cluster_version", {"name": "shop", "version": "1.36"}, "ResourceInUseException", "in progress"),
        (
            "associate_encryption_config",
            {
                "clusterName": "shop",
                "encryptionConfig": [
                    {"resources": ["secrets"], "provider": {"keyArn": "arn:aws:kms:eu-west-1:111122223333:key/1"}}
                ],
            },
            "ResourceInUseException",
            "Cannot AssociateEncryptionConfig because cluster shop currently has update",
        ),
        ("delete_cluster", {"name": "shop"}, "ResourceInUseException", "currently has an update in progress"),
    ],
)
def test_while_an_update_of_the_control_plane_runs(
    account: Account, call: str, more: dict[str, Any], code: str, words: str
) -> None:
    account.cluster()
    account.eks.update_cluster_version(name="shop", version="1.36")
    found, message = refused(getattr(account.eks, call), **more)
    assert found == code
    assert words in message
    account.eks.tag_resource(resourceArn=account.eks.describe_cluster(name="shop")["cluster"]["arn"], tags={"a": "b"})


def test_while_an_update_of_a_group_runs(account: Account) -> None:
    account.cluster(version="1.34")
    account.addon("vpc-cni")
    account.nodegroup()
    upgrade(account, "1.35")
    where = {"clusterName": "shop", "nodegroupName": "workers"}
    code, message = refused(account.eks.update_nodegroup_version, **where, version="1.36")
    assert code == "InvalidParameterException"
    assert message == (
        "Nodegroup Kubernetes version should be equal to Cluster kubernetes version 1.35 "
        "or NodeGroup kubernetes version 1.34"
    )
    account.eks.update_nodegroup_version(**where, version="1.35")
    for call, more in (
        (account.eks.update_nodegroup_version, {}),
        (account.eks.update_nodegroup_config, {"scalingConfig": {"maxSize": 9}}),
        (account.eks.delete_nodegroup, {}),
    ):
        assert refused(call, **where, **more)[0] == "ResourceInUseException"
    assert refused(account.eks.delete_cluster, name="shop") == (
        "ResourceInUseException",
        "Cluster has nodegroups attached",
    )


def test_a_group_that_is_not_active_is_not_updated(account: Account) -> None:
    account.cluster()
    account.request_nodegroup()
    code, message = refused(account.eks.update_nodegroup_version, clusterName="shop", nodegroupName="workers")
    assert (code, message) == (
        "ResourceInUseException",
        "Nodegroup cannot be updated as it is currently not in Active State",
    )


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("securityGroupIds", [f"sg-{number}" for number in range(5)]),
        ("publicAccessCidrs", [f"203.0.113.{number}/32" for number in range(41)]),
    ],
)
def test_quotas_of_a_cluster(account: Account, member: str, value: list[str]) -> None:
    config = {"subnetIds": account.subnets, member: value}
    code, message = refused(account.request_cluster, resourcesVpcConfig=config)
    assert code == "ResourceLimitExceededException"
    assert "at most" in message


def test_quotas_of_groups_and_clusters(account: Account) -> None:
    account.cluster()
    scaling = {"minSize": 1, "maxSize": 451, "desiredSize": 1}
    assert refused(account.request_nodegroup, scalingConfig=scaling)[0] == "ResourceLimitExceededException"
    for number in range(30):
        account.request_nodegroup(f"group-{number}")
    assert refused(account.request_nodegroup)[0] == "ResourceLimitExceededException"
    for number in range(99):
        account.request_cluster(f"cluster-{number}")
    assert refused(account.request_cluster, name="one-more")[0] == "ResourceLimitExceededException"


def test_egress_does_not_go_back_to_aws(account: Account) -> None:
    account.cluster()
    for mode in ("CUSTOMER_ROUTED", "CUSTOMER_ISOLATED"):
        account.eks.update_cluster_config(name="shop", resourcesVpcConfig={"controlPlaneEgressMode": mode})
        account.clock.advance(301)
    code, message = refused(
        account.eks.update_cluster_config, name="shop", resourcesVpcConfig={"controlPlaneEgressMode": "AWS_MANAGED"}
    )
    assert (code, "cannot be changed back" in message) == ("InvalidParameterException", True)
