"""Managed node groups: Auto Scaling groups, instances and nodes, and how they come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.local.eks.test_clusters import refused

if TYPE_CHECKING:
    from tests.local.eks.conftest import Account


@pytest.fixture
def networked(account: Account) -> Account:
    """An ACTIVE cluster with vpc-cni."""
    account.cluster()
    assert account.addon("vpc-cni")["status"] == "ACTIVE"
    return account


def group_of(account: Account, name: str = "workers") -> Any:
    """The Auto Scaling group behind a node group."""
    group = account.describe_nodegroup(name)["resources"]["autoScalingGroups"][0]["name"]
    found = account.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    return found["AutoScalingGroups"][0]


def test_a_group_becomes_active_with_instances_in_every_zone(networked: Account) -> None:
    made = networked.nodegroup()
    assert (made["status"], made["amiType"], made["version"]) == ("ACTIVE", "AL2023_x86_64_STANDARD", "1.35")
    assert made["updateConfig"] == {"maxUnavailable": 1}
    group = group_of(networked)
    assert group["AutoScalingGroupName"].startswith("eks-workers-")
    assert {each["LifecycleState"] for each in group["Instances"]} == {"InService"}
    instances = networked.running()
    assert sorted(each["Placement"]["AvailabilityZone"][-1] for each in instances) == ["a", "b", "c"]
    assert {each["PrivateDnsName"] for each in instances} == set(networked.plane().members)
    tags = {tag["Key"]: tag["Value"] for tag in instances[0]["Tags"]}
    assert tags["eks:nodegroup-name"] == "workers"
    assert instances[0]["NetworkInterfaces"][0]["Attachment"]["DeleteOnTermination"] is True
    assert {tuple(each["CpuOptions"].items()) for each in instances} == {(("CoreCount", 1), ("ThreadsPerCore", 2))}
    assert not any("InstanceLifecycle" in each for each in instances)
    spec = networked.plane().specs[instances[0]["PrivateDnsName"]]
    assert (spec.cpu, spec.architecture, spec.pods) == ("2", "amd64", 29)
    assert spec.kubelet_version.startswith("v1.35.6-eks-")
    assert networked.eks_module.node_of_instance(instances[0]["InstanceId"]) == ("shop", spec.name)


def test_the_security_group_of_the_cluster_is_on_the_nodes(networked: Account) -> None:
    networked.nodegroup()
    cluster = networked.eks.describe_cluster(name="shop")["cluster"]
    expected = cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]
    assert {group["GroupId"] for each in networked.running() for group in each["SecurityGroups"]} == {expected}


def test_without_a_network_plugin_nodes_stay_unready_and_the_group_fails(account: Account) -> None:
    account.cluster()
    assert account.nodegroup()["status"] == "CREATING"
    reasons = {node["status"]["conditions"][0]["status"] for node in account.plane().nodes()}
    assert reasons == {"False"}
    account.clock.advance(1_200)
    made = account.describe_nodegroup()
    assert made["status"] == "CREATE_FAILED"
    issue = made["health"]["issues"][0]
    assert issue["code"] == "NodeCreationFailure"
    assert sorted(issue["resourceIds"]) == sorted(each["InstanceId"] for each in account.running())


def test_nodes_that_wait_for_the_network_plugin_are_ready_with_it(account: Account) -> None:
    account.cluster()
    account.nodegroup()
    account.addon("vpc-cni")
    account.clock.advance(15)
    assert account.describe_nodegroup()["status"] == "ACTIVE"


def test_scaling_adds_and_removes_nodes(networked: Account) -> None:
    networked.nodegroup()
    update = networked.eks.update_nodegroup_config(
        clusterName="shop", nodegroupName="workers", scalingConfig={"desiredSize": 5}
    )["update"]
    networked.clock.advance(61)
    assert len(networked.plane().members) == 5
    found = networked.eks.describe_update(name="shop", updateId=update["id"], nodegroupName="workers")["update"]
    assert found["status"] == "Successful"
    assert networked.describe_nodegroup()["scalingConfig"]["desiredSize"] == 5
    networked.eks.update_nodegroup_config(clusterName="shop", nodegroupName="workers", scalingConfig={"desiredSize": 1})
    networked.clock.advance(61)
    assert len(networked.plane().members) == len(networked.running()) == 1


def test_an_instance_ended_by_hand_is_replaced(networked: Account) -> None:
    networked.nodegroup()
    gone = networked.running()[0]
    networked.client("ec2").terminate_instances(InstanceIds=[gone["InstanceId"]])
    networked.clock.settle()
    assert gone["PrivateDnsName"] not in networked.plane().members
    assert networked.eks_module.node_of_instance(gone["InstanceId"]) is None
    networked.clock.advance(125)
    assert len(networked.plane().members) == 3


def test_an_update_replaces_the_nodes_one_after_the_other(networked: Account) -> None:
    networked.nodegroup(releaseVersion="1.35.5-20261020")
    before = set(networked.plane().members)
    made = networked.eks.update_nodegroup_version(clusterName="shop", nodegroupName="workers")["update"]
    assert made["type"] == "VersionUpdate"
    most = 0
    for _ in range(120):
        networked.clock.advance(10)
        most = max(most, len(networked.plane().members))
    assert most == 4
    group = networked.describe_nodegroup()
    assert (group["status"], group["releaseVersion"]) == ("ACTIVE", "1.35.6-20261110")
    after = networked.plane().members
    assert len(after) == 3
    assert before.isdisjoint(after)
    assert group_of(networked)["DesiredCapacity"] == 3


def test_the_minimal_strategy_never_has_more_nodes_than_before(networked: Account) -> None:
    networked.nodegroup(
        releaseVersion="1.35.5-20261020", updateConfig={"maxUnavailable": 1, "updateStrategy": "MINIMAL"}
    )
    before = set(networked.plane().members)
    networked.eks.update_nodegroup_version(clusterName="shop", nodegroupName="workers")
    numbers = set()
    for _ in range(160):
        networked.clock.advance(10)
        numbers.add(len(networked.plane().members))
    assert numbers == {2, 3}
    assert networked.describe_nodegroup()["releaseVersion"] == "1.35.6-20261110"
    assert before.isdisjoint(networked.plane().members)
    assert group_of(networked)["DesiredCapacity"] == 3


def test_a_budget_stops_the_minimal_strategy_before_anything_has_gone(networked: Account) -> None:
    networked.nodegroup(
        releaseVersion="1.35.5-20261020", updateConfig={"maxUnavailable": 1, "updateStrategy": "MINIMAL"}
    )
    before = set(networked.plane().members)
    networked.plane().blocked = True
    made = networked.eks.update_nodegroup_version(clusterName="shop", nodegroupName="workers")["update"]
    networked.clock.advance(1_300)
    found = networked.eks.describe_update(name="shop", updateId=made["id"], nodegroupName="workers")["update"]
    assert [each["errorCode"] for each in found["errors"]] == ["PodEvictionFailure"]
    assert set(networked.plane().members) == before
    assert networked.plane().cordoned == set()


def test_a_release_does_not_go_back(networked: Account) -> None:
    networked.nodegroup()
    code, message = refused(
        networked.eks.update_nodegroup_version,
        clusterName="shop",
        nodegroupName="workers",
        releaseVersion="1.35.5-20261020",
    )
    assert (code, "cannot be rolled back" in message) == ("InvalidParameterException", True)


def test_a_disruption_budget_stops_the_update_after_fifteen_minutes(networked: Account) -> None:
    networked.nodegroup(releaseVersion="1.35.5-20261020")
    before = set(networked.plane().members)
    networked.plane().blocked = True
    made = networked.eks.update_nodegroup_version(clusterName="shop", nodegroupName="workers")["update"]
    networked.clock.advance(1_300)
    found = networked.eks.describe_update(name="shop", updateId=made["id"], nodegroupName="workers")["update"]
    assert found["status"] == "Failed"
    assert found["errors"][0]["errorCode"] == "PodEvictionFailure"
    assert set(networked.plane().members) == before
    assert networked.plane().cordoned == set()
    assert networked.describe_nodegroup()["releaseVersion"] == "1.35.5-20261020"


def test_force_replaces_the_nodes_in_spite_of_a_budget(networked: Account) -> None:
    networked.nodegroup(releaseVersion="1.35.5-20261020", scalingConfig={"minSize": 1, "maxSize": 2, "desiredSize": 1})
    networked.plane().blocked = True
    networked.eks.update_nodegroup_version(clusterName="shop", nodegroupName="workers", force=True)
    networked.clock.advance(1_600)
    assert networked.describe_nodegroup()["releaseVersion"] == "1.35.6-20261110"


def test_deletion_takes_group_instances_interfaces_and_template(networked: Account) -> None:
    networked.nodegroup()
    group = group_of(networked)["AutoScalingGroupName"]
    networked.eks.delete_nodegroup(clusterName="shop", nodegroupName="workers")
    assert networked.describe_nodegroup()["status"] == "DELETING"
    networked.clock.advance(400)
    assert networked.eks.list_nodegroups(clusterName="shop")["nodegroups"] == []
    found = networked.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    assert found["AutoScalingGroups"] == []
    assert networked.running() == []
    assert networked.plane().members == {}
    assert networked.client("ec2").describe_launch_templates()["LaunchTemplates"] == []
    interfaces = networked.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    assert {each["Description"] for each in interfaces} == {"Amazon EKS shop"}


def template(account: Account, **data: Any) -> str:
    made = account.client("ec2").create_launch_template(LaunchTemplateName="mine", LaunchTemplateData=data)
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def test_a_launch_template_brings_its_security_groups_and_disk(networked: Account) -> None:
    ec2 = networked.client("ec2")
    mine = ec2.create_security_group(GroupName="mine", Description="mine", VpcId=networked.vpc)["GroupId"]
    disk = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 50, "VolumeType": "gp3", "Encrypted": True}}]
    identifier = template(networked, SecurityGroupIds=[mine], BlockDeviceMappings=disk)
    made = networked.nodegroup(launchTemplate={"id": identifier, "version": "1"})
    assert made["launchTemplate"] == {"name": "mine", "version": "1", "id": identifier}
    assert "diskSize" not in made
    assert {group["GroupId"] for each in networked.running() for group in each["SecurityGroups"]} == {mine}


@pytest.mark.parametrize(
    ("data", "more", "words"),
    [
        ({"IamInstanceProfile": {"Name": "x"}}, {}, "IAM instance profile"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": "subnet-1"}]}, {}, "subnet"),
        ({"KeyName": "x"}, {"diskSize": 30}, "Disk size must be specified within the launch template"),
        ({"InstanceType": "m7i.large"}, {}, "instance types in both"),
    ],
)
def test_what_eks_sets_itself_is_refused_in_a_launch_template(
    networked: Account, data: dict[str, Any], more: dict[str, Any], words: str
) -> None:
    identifier = template(networked, **data)
    code, message = refused(networked.request_nodegroup, launchTemplate={"id": identifier}, **more)
    assert code == "InvalidParameterException"
    assert words in message


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"version": "1.36"}, "InvalidParameterException", "should be equal to Cluster kubernetes version 1.35"),
        ({"version": "1.34"}, "InvalidParameterException", "should be equal to Cluster kubernetes version 1.35"),
        ({"instanceTypes": ["m99.large"]}, "InvalidParameterException", "do not exist: [m99.large]"),
        ({"amiType": "AL2023_ARM_64_STANDARD"}, "InvalidRequestException", "not a valid instance type"),
        ({"scalingConfig": {"minSize": 3, "maxSize": 2, "desiredSize": 2}}, "InvalidParameterException", "minSize"),
        ({"nodeRole": "arn:aws:iam::111122223333:role/none"}, "InvalidParameterException", "could not be assumed"),
        ({"labels": {"kubernetes.io/x": "y"}}, "InvalidParameterException", "reserved prefixes"),
        ({"amiType": "NONSENSE"}, "InvalidParameterException", "amiType must be one of"),
    ],
)
def test_bad_requests_name_what_is_wrong(networked: Account, more: dict[str, Any], code: str, words: str) -> None:
    found, message = refused(networked.request_nodegroup, **more)
    assert found == code
    assert words in message
    assert networked.eks.list_nodegroups(clusterName="shop")["nodegroups"] == []


def test_arm_instances_get_an_arm_image(networked: Account) -> None:
    made = networked.nodegroup(instanceTypes=["m7g.large"])
    assert made["amiType"] == "AL2023_ARM_64_STANDARD"
    assert {spec.architecture for spec in networked.plane().specs.values()} == {"arm64"}


def test_an_injected_failure_ends_the_creation(networked: Account) -> None:
    networked.eks_module.fail_next("nodegroup", "work*", "Ec2SubnetInvalidConfiguration", "no public addresses")
    made = networked.nodegroup()
    assert made["status"] == "CREATE_FAILED"
    assert made["health"]["issues"][0]["code"] == "Ec2SubnetInvalidConfiguration"


def test_labels_and_taints_reach_the_nodes(networked: Account) -> None:
    networked.nodegroup(labels={"team": "checkout"}, taints=[{"key": "gpu", "value": "yes", "effect": "NO_SCHEDULE"}])
    assert len(networked.plane().specs) == 3
    for spec in networked.plane().specs.values():
        assert spec.labels["team"] == "checkout"
        assert spec.taints == ({"key": "gpu", "value": "yes", "effect": "NoSchedule"},)
