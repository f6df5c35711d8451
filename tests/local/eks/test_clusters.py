"""Clusters from CREATING to gone."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.local.eks.conftest import Account


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    """Code and message of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_cluster_becomes_active_after_its_time(account: Account) -> None:
    made = account.request_cluster()
    assert made["status"] == "CREATING"
    assert "endpoint" not in made
    account.clock.advance(563)
    assert account.eks.describe_cluster(name="shop")["cluster"]["status"] == "CREATING"
    account.clock.advance(2)
    cluster = account.eks.describe_cluster(name="shop")["cluster"]
    assert cluster["status"] == "ACTIVE"
    assert cluster["endpoint"] == "https://127.0.0.1:6443"
    assert base64.b64decode(cluster["certificateAuthority"]["data"]).startswith(b"-----BEGIN")
    assert cluster["version"] == "1.35"
    assert cluster["resourcesVpcConfig"]["publicAccessCidrs"] == ["0.0.0.0/0"]
    assert cluster["upgradePolicy"] == {"supportType": "EXTENDED"}
    assert account.eks_module.control_plane("shop") is account.plane()


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"version": "1.31"}, "InvalidParameterException", "unsupported Kubernetes version"),
        ({"roleArn": "arn:aws:iam::111122223333:role/none"}, "InvalidParameterException", "could not be assumed"),
        ({"roleArn": "arn:aws:iam::111122223333:role/node"}, "InvalidParameterException", "trusted entity"),
        ({"name": "_shop"}, "InvalidParameterException", "name"),
        ({"upgradePolicy": {"supportType": "NEVER"}}, "InvalidParameterException", "supportType must be one of"),
        ({"tags": {"aws:x": "y"}}, "InvalidParameterException", "reserved"),
        ({"computeConfig": {"enabled": True}}, "InvalidParameterException", "Auto Mode"),
    ],
)
def test_bad_requests_name_what_is_wrong(account: Account, more: dict[str, Any], code: str, words: str) -> None:
    found, message = refused(account.request_cluster, **more)
    assert found == code
    assert words in message
    assert account.eks.list_clusters()["clusters"] == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"subnetIds": ["subnet-0"]}, "does not exist"),
        ({"endpointPublicAccess": False}, "cannot be false"),
        ({"publicAccessCidrs": ["10.0.0.300/8"]}, "publicAccessCidrs"),
        ({"publicAccessCidrs": ["2001:db8::/32"]}, "publicAccessCidrs"),
        ({"securityGroupIds": ["sg-0"]}, "does not exist"),
    ],
)
def test_bad_networks_name_what_is_wrong(account: Account, config: dict[str, Any], words: str) -> None:
    merged = {"subnetIds": account.subnets, **config}
    code, message = refused(account.request_cluster, resourcesVpcConfig=merged)
    assert code == "InvalidParameterException"
    assert words in message


def test_one_zone_is_too_few(account: Account) -> None:
    code, message = refused(account.request_cluster, resourcesVpcConfig={"subnetIds": account.subnets[:1]})
    assert (code, message) == (
        "InvalidParameterException",
        "Subnets specified must be in at least two different AZs",
    )


def test_a_taken_name_and_an_unknown_one(account: Account) -> None:
    account.request_cluster()
    code, message = refused(account.request_cluster)
    assert (code, message) == ("ResourceInUseException", "Cluster already exists with name: shop")
    code, message = refused(account.eks.describe_cluster, name="other")
    assert (code, message) == ("ResourceNotFoundException", "No cluster found for name: other.")


def test_a_client_token_gives_the_first_answer_again_even_of_a_failed_cluster(account: Account) -> None:
    account.eks_module.fail_next("cluster", "shop", "InternalFailure", "not today")
    first = account.request_cluster(clientRequestToken="one")
    assert account.request_cluster(clientRequestToken="one")["arn"] == first["arn"]
    account.clock.advance(600)
    cluster = account.eks.describe_cluster(name="shop")["cluster"]
    assert cluster["status"] == "FAILED"
    assert cluster["health"]["issues"] == [{"code": "InternalFailure", "message": "not today", "resourceIds": []}]
    account.eks.delete_cluster(name="shop")
    account.clock.advance(160)
    assert account.request_cluster(clientRequestToken="one")["status"] == "DELETING"
    assert account.eks.list_clusters()["clusters"] == []
    code, _ = refused(account.request_cluster, clientRequestToken="one", version="1.34")
    assert code == "InvalidParameterException"


def test_deletion_is_refused_while_protected_or_populated(account: Account) -> None:
    account.cluster(deletionProtection=True)
    code, message = refused(account.eks.delete_cluster, name="shop")
    assert code == "InvalidRequestException"
    assert "deletion protection" in message
    account.eks.update_cluster_config(name="shop", deletionProtection=False)
    account.clock.advance(121)
    account.addon("vpc-cni")
    account.nodegroup()
    code, message = refused(account.eks.delete_cluster, name="shop")
    assert (code, message) == ("ResourceInUseException", "Cluster has nodegroups attached")


def test_deletion_takes_plane_group_and_interfaces_and_the_log_group_comes_back(account: Account) -> None:
    logging = {"clusterLogging": [{"types": ["api", "audit"], "enabled": True}]}
    cluster = account.cluster(logging=logging)
    logs, ec2 = account.client("logs"), account.client("ec2")
    group = cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]
    tags = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["Tags"]
    assert {"Key": "aws:eks:cluster-name", "Value": "shop"} in tags
    assert len(ec2.describe_network_interfaces()["NetworkInterfaces"]) == 2
    assert refused(ec2.delete_subnet, SubnetId=account.subnets[0])[0] == "DependencyViolation"
    assert refused(ec2.delete_security_group, GroupId=group)[0] == "DependencyViolation"
    assert refused(ec2.delete_vpc, VpcId=account.vpc)[0] == "DependencyViolation"
    assert [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]] == ["/aws/eks/shop/cluster"]
    plane = account.plane()
    assert account.eks.delete_cluster(name="shop")["cluster"]["status"] == "DELETING"
    account.clock.advance(151)
    assert refused(account.eks.describe_cluster, name="shop")[0] == "ResourceNotFoundException"
    assert plane.stopped
    assert account.eks_module.control_plane("shop") is None
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert refused(ec2.describe_security_groups, GroupIds=[group])[0] == "InvalidGroup.NotFound"
    logs.delete_log_group(logGroupName="/aws/eks/shop/cluster")
    account.clock.advance(900)
    assert [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]] == ["/aws/eks/shop/cluster"]
    for subnet in account.subnets:
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=account.vpc)


def test_a_group_that_another_group_refers_to_stays(account: Account) -> None:
    ec2 = account.client("ec2")
    one, two = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=account.vpc)["GroupId"]
        for name in ("one", "two")
    )
    permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": one}]}
    ec2.authorize_security_group_ingress(GroupId=two, IpPermissions=[permission])
    assert refused(ec2.delete_security_group, GroupId=one)[0] == "DependencyViolation"
    ec2.revoke_security_group_ingress(GroupId=two, IpPermissions=[permission])
    ec2.delete_security_group(GroupId=one)


def test_the_interfaces_of_the_control_plane_are_not_the_users_to_delete(account: Account) -> None:
    account.cluster()
    ec2 = account.client("ec2")
    interface = ec2.describe_network_interfaces()["NetworkInterfaces"][0]
    assert interface["RequesterManaged"] is True
    code, _ = refused(ec2.delete_network_interface, NetworkInterfaceId=interface["NetworkInterfaceId"])
    assert code == "OperationNotPermitted"


def test_lists_are_paged(account: Account) -> None:
    for name in ("a", "b", "c"):
        account.request_cluster(name)
    pages = account.eks.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 2})
    assert [page["clusters"] for page in pages] == [["a", "b"], ["c"]]
    code, _ = refused(account.eks.list_clusters, nextToken="nonsense")
    assert code == "InvalidParameterException"


def test_tags_come_and_go(account: Account) -> None:
    arn = account.cluster(tags={"team": "checkout"})["arn"]
    account.eks.tag_resource(resourceArn=arn, tags={"ring": "early"})
    account.eks.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert account.eks.list_tags_for_resource(resourceArn=arn)["tags"] == {"ring": "early"}


def test_a_control_plane_that_does_not_start_fails_the_cluster(account: Account) -> None:
    account.lane.broken.add("shop")
    cluster = account.cluster()
    assert cluster["status"] == "FAILED"
    assert cluster["health"]["issues"][0]["code"] == "InternalFailure"
    assert "no free port" in cluster["health"]["issues"][0]["message"]


def test_a_reset_leaves_nothing_and_stops_the_planes(account: Account) -> None:
    account.cluster()
    plane = account.plane()
    account.eks_module.reset(account)
    assert plane.stopped
    assert account.eks.list_clusters()["clusters"] == []


def test_the_usual_instance_types_are_known_and_offered_in_every_zone(account: Account) -> None:
    types = ["m7i.large", "m7g.large", "m8g.large", "c7g.xlarge", "r7i.large", "t3.medium", "t4g.medium"]
    ec2 = account.client("ec2")
    found = ec2.describe_instance_types(InstanceTypes=types)["InstanceTypes"]
    assert {each["InstanceType"] for each in found} == set(types)
    wanted = [{"Name": "instance-type", "Values": types}]
    offers = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=wanted)
    zones = {(each["InstanceType"], each["Location"]) for each in offers["InstanceTypeOfferings"]}
    assert len(zones) == 3 * len(types)
