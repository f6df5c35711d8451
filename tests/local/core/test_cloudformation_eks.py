"""A cluster as people write it in CloudFormation: made, read without a difference, upgraded in place, deleted.

Nothing in the local cloud knows that it is CloudFormation that asks: the engine calls EKS as any other client does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.core.test_cloudformation import events, finished, parameters

if TYPE_CHECKING:
    from springboard_local.clock import ManualClock

pytestmark = pytest.mark.slow

TEMPLATE = (Path(__file__).parent / "eks.yaml").read_text()
CAPABILITIES = ["CAPABILITY_IAM"]


class Stack:
    """The stack `shop` and its account."""

    def __init__(self, aws: Any, clock: ManualClock) -> None:
        self.api, self.eks, self.ec2, self.clock = aws("cloudformation"), aws("eks"), aws("ec2"), clock

    def deploy(self, template: str = TEMPLATE, *, update: bool = False, **values: str) -> dict[str, Any]:
        act = self.api.update_stack if update else self.api.create_stack
        given = {"Capabilities": CAPABILITIES, "Parameters": parameters(**values)}
        identity = act(StackName="shop", TemplateBody=template, **given)["StackId"]
        return finished(self.api, self.clock, identity)

    def change_set(self, template: str = TEMPLATE, **values: str) -> Any:
        self.api.create_change_set(
            StackName="shop",
            ChangeSetName="second",
            TemplateBody=template,
            Capabilities=CAPABILITIES,
            Parameters=parameters(**values),
        )
        found = self.api.describe_change_set(StackName="shop", ChangeSetName="second")
        self.api.delete_change_set(StackName="shop", ChangeSetName="second")
        return found

    def failures(self) -> list[str]:
        found = self.api.describe_stack_events(StackName="shop")["StackEvents"]
        return [each.get("ResourceStatusReason", "") for each in found if each["ResourceStatus"].endswith("_FAILED")]

    def outputs(self) -> dict[str, str]:
        [stack] = self.api.describe_stacks(StackName="shop")["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}

    @property
    def cluster(self) -> Any:
        return self.eks.describe_cluster(name="shop")["cluster"]

    @property
    def group(self) -> Any:
        return self.eks.describe_nodegroup(clusterName="shop", nodegroupName="workers")["nodegroup"]

    def association(self) -> Any:
        where = {"clusterName": "shop", "associationId": self.outputs()["AssociationId"]}
        return self.eks.describe_pod_identity_association(**where)["association"]

    def entry(self) -> Any:
        principal = self.outputs()["AccessEntry"].partition("|")[0]
        return self.eks.describe_access_entry(clusterName="shop", principalArn=principal)["accessEntry"]

    def addon(self) -> Any:
        return self.eks.describe_addon(clusterName="shop", addonName="vpc-cni")["addon"]


@pytest.fixture
def stack(aws: Any, clock: ManualClock) -> Stack:
    return Stack(aws, clock)


def test_a_cluster_lives_its_life_in_a_stack(stack: Stack) -> None:
    vpcs = len(stack.ec2.describe_vpcs()["Vpcs"])
    made = stack.deploy()
    assert made["StackStatus"] == "CREATE_COMPLETE", stack.failures()
    cluster, group = stack.cluster, stack.group
    outputs = stack.outputs()
    assert outputs["Arn"] == cluster["arn"]
    assert outputs["Endpoint"] == cluster["endpoint"]
    assert outputs["CertificateAuthorityData"] == cluster["certificateAuthority"]["data"]
    assert outputs["ClusterSecurityGroupId"] == cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]
    assert outputs["OpenIdConnectIssuerUrl"] == cluster["identity"]["oidc"]["issuer"]
    assert outputs["EncryptionConfigKeyArn"] == outputs["Key"]
    assert (outputs["Nodegroup"], outputs["NodegroupArn"]) == ("shop/workers", group["nodegroupArn"])
    assert (outputs["Addon"], outputs["AddonArn"]) == ("shop|vpc-cni", stack.addon()["addonArn"])
    assert outputs["Association"] == stack.association()["associationArn"]
    assert outputs["AccessEntryArn"] == stack.entry()["accessEntryArn"]
    assert cluster["tags"] == group["tags"] == {"team": "checkout"}
    assert group["launchTemplate"]["version"] == "1"

    second = stack.change_set()
    assert second["Status"] == "FAILED"
    assert "didn't contain changes" in second["StatusReason"]

    planned = stack.change_set(Release="1.35")
    changes = {
        each["ResourceChange"]["LogicalResourceId"]: each["ResourceChange"]["Replacement"]
        for each in planned["Changes"]
    }
    assert changes["Cluster"] == changes["Nodes"] == "False"
    assert stack.deploy(update=True, Release="1.35")["StackStatus"] == "UPDATE_COMPLETE", stack.failures()
    assert (stack.cluster["version"], stack.group["version"]) == ("1.35", "1.35")
    assert stack.outputs() == outputs

    assert stack.deploy(update=True, Release="1.35", Team="payment")["StackStatus"] == "UPDATE_COMPLETE"
    for tagged in (stack.cluster, stack.group, stack.addon(), stack.entry(), stack.association()):
        assert tagged["tags"] == {"team": "payment"}

    stack.api.delete_stack(StackName="shop")
    assert finished(stack.api, stack.clock, made["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert stack.eks.list_clusters()["clusters"] == []
    assert len(stack.ec2.describe_vpcs()["Vpcs"]) == vpcs
    running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    assert stack.ec2.describe_instances(Filters=running)["Reservations"] == []
    assert stack.ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert stack.ec2.describe_launch_templates()["LaunchTemplates"] == []
    assert ("Cluster", "DELETE_COMPLETE") in events(stack.api, made["StackId"])


def test_what_can_change_in_place_does(stack: Stack) -> None:
    assert stack.deploy()["StackStatus"] == "CREATE_COMPLETE", stack.failures()
    created = (stack.cluster["createdAt"], stack.group["createdAt"])
    template = TEMPLATE
    for before, after in (
        ("{EnabledTypes: [{Type: api}, {Type: audit}]}", "{EnabledTypes: [{Type: audit}]}"),
        ("EndpointPrivateAccess: true}", "EndpointPrivateAccess: true, EndpointPublicAccess: false}"),
        (
            "BootstrapSelfManagedAddons: false",
            (
                "BootstrapSelfManagedAddons: false\n      DeletionProtection: false\n      "
                "UpgradePolicy: {SupportType: STANDARD}\n      ControlPlaneScalingConfig: {Tier: tier-xl}"
            ),
        ),
        ("HttpTokens: required", "HttpTokens: required, HttpPutResponseHopLimit: 3"),
        (
            "DesiredSize: 2}",
            "DesiredSize: 3}\n      NodeRepairConfig: {Enabled: true}\n      UpdateConfig: {MaxUnavailable: 2}",
        ),
        ("Labels: {pool: workers}", "Labels: {tier: front}"),
        ("Effect: PREFER_NO_SCHEDULE", "Effect: NO_SCHEDULE"),
        ("AddonName: vpc-cni,", 'AddonName: vpc-cni, ConfigurationValues: "{\\"enableNetworkPolicy\\": \\"true\\"}",'),
        ("KubernetesGroups: [shop:viewers]", "KubernetesGroups: [shop:editors]\n      Username: viewer"),
        ("AmazonEKSViewPolicy", "AmazonEKSEditPolicy"),
        ("ServiceAccount: shop", "ServiceAccount: shop\n      DisableSessionTags: true"),
    ):
        assert before in template
        template = template.replace(before, after)
    assert stack.deploy(template, update=True)["StackStatus"] == "UPDATE_COMPLETE", stack.failures()
    cluster, group = stack.cluster, stack.group
    assert (cluster["createdAt"], group["createdAt"]) == created
    assert {"types": ["audit"], "enabled": True} in cluster["logging"]["clusterLogging"]
    assert cluster["resourcesVpcConfig"]["endpointPublicAccess"] is False
    assert cluster["upgradePolicy"] == {"supportType": "STANDARD"}
    assert cluster["controlPlaneScalingConfig"] == {"tier": "tier-xl"}
    assert group["launchTemplate"]["version"] == "2"
    assert (group["scalingConfig"]["desiredSize"], group["updateConfig"]) == (3, {"maxUnavailable": 2})
    assert group["nodeRepairConfig"] == {"enabled": True}
    assert group["labels"] == {"tier": "front"}
    assert group["taints"] == [{"key": "dedicated", "value": "shop", "effect": "NO_SCHEDULE"}]
    assert stack.addon()["configurationValues"] == '{"enableNetworkPolicy": "true"}'
    entry = stack.entry()
    assert (entry["kubernetesGroups"], entry["username"]) == (["shop:editors"], "viewer")
    policies = stack.eks.list_associated_access_policies(clusterName="shop", principalArn=entry["principalArn"])
    assert [each["policyArn"].rpartition("/")[2] for each in policies["associatedAccessPolicies"]] == [
        "AmazonEKSEditPolicy"
    ]
    assert stack.association()["disableSessionTags"] is True


def test_a_group_changes_its_version_and_nothing_else_with_it(stack: Stack) -> None:
    assert stack.deploy(Release="1.35")["StackStatus"] == "CREATE_COMPLETE", stack.failures()
    template = TEMPLATE.replace(
        "Version: !Ref Release\n      LaunchTemplate", "ReleaseVersion: 1.35.5-20261020\n      LaunchTemplate"
    )
    template = template.replace("DesiredSize: 2}", "DesiredSize: 3}")
    assert stack.deploy(template, update=True, Release="1.35")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "Version and ReleaseVersion updates cannot be combined with other updates" in stack.failures()


@pytest.mark.parametrize("kind", ["FargateProfile", "IdentityProviderConfig"])
def test_what_the_local_eks_lacks_is_refused_by_name(stack: Stack, kind: str) -> None:
    template = f"{{Resources: {{Thing: {{Type: 'AWS::EKS::{kind}', Properties: {{ClusterName: shop}}}}}}}}"
    assert stack.deploy(template)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert f"Resource type AWS::EKS::{kind} is not part of the local cloud" in stack.failures()


def test_a_property_that_the_local_eks_lacks_is_refused_by_name(stack: Stack) -> None:
    template = TEMPLATE.replace("Name: shop", "Name: shop\n      KubeApiServerConfig: {EventTtl: 60}", 1)
    assert stack.deploy(template)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any("kubeApiServerConfig.eventTtl is not part of the local cloud" in each for each in stack.failures())
    assert stack.eks.list_clusters()["clusters"] == []
