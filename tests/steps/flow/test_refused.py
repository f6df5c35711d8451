"""What is somebody else's IAM itself refuses: asked with the session of the function's own role, past our code.

Each case makes the same thing several times: the stack's own, on which the call is allowed, and somebody else's, on
which it is not. `NAMESAKE` has our prefix in its name and not our tag; it tells a role that goes by the owner tag
from one that goes by names.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from springboard.naming import STACK_TAG
from springboard_local.cloud import ACCOUNT, REGION
from tests.steps.flow import stack
from tests.template import grants, source
from tests.template.grants import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.steps.flow.springboard import Springboard

pytestmark = pytest.mark.slow

DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",'
    ' "Principal": {"Service": "ec2.amazonaws.com"}}]}'
)


@dataclass(frozen=True)
class Whose:
    """An owner: how the names of what it has begin, and the stack that its tags name."""

    prefix: str
    stack: str = ""

    @property
    def tags(self) -> dict[str, str]:
        return {STACK_TAG: self.stack} if self.stack else {"team": "billing"}

    @property
    def pairs(self) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]


OURS = Whose(f"{stack.STACK}-", stack.STACK)
NAMESAKE = Whose(f"{stack.STACK}-")
ANOTHER_STACK = Whose("staging-", "staging")
SOMEBODY = Whose("billing-")
OTHERS = (SOMEBODY, ANOTHER_STACK)
ALL = (*OTHERS, NAMESAKE)


class Account:
    """The account with the stack in it, its administrator, and the sessions of the functions' roles."""

    def __init__(self, springboard: Springboard) -> None:
        self.springboard = springboard
        self.roles = dict(self._roles(stack.STACK))
        self._numbers = itertools.count(1)
        self._clusters: dict[Whose, str] = {}

    def _roles(self, name: str) -> Iterator[tuple[str, str]]:
        """Logical and own names of a stack's roles, and of those of stacks in it."""
        found = self.client("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
        for each in found:
            if each["ResourceType"] == "AWS::IAM::Role":
                yield each["LogicalResourceId"], each["PhysicalResourceId"]
            if each["ResourceType"] == "AWS::CloudFormation::Stack":
                yield from self._roles(each["PhysicalResourceId"])

    def client(self, service: str) -> Any:
        return self.springboard.client(service)

    def acting(self, role: str, service: str) -> Any:
        """A client with the session of a role of the stack."""
        return self.springboard.cloud.client(service, f"arn:aws:iam::{ACCOUNT}:role/{self.roles[role]}")

    def arn(self, role: str) -> str:
        """Of a role of the stack."""
        return f"arn:aws:iam::{ACCOUNT}:role/{self.roles[role]}"

    def name(self, whose: Whose) -> str:
        return f"{whose.prefix}x{next(self._numbers)}"

    def refusals(self) -> int:
        """The number of the last one so far."""
        from tests.steps.flow import held  # noqa: PLC0415 - imports moto, which the cloud has to prepare first

        return held.number()

    def held(self, since: int) -> set[Condition]:
        """The conditions without which a refusal after that number would have been none."""
        from tests.steps.flow import held  # noqa: PLC0415 - as above

        return held.conditions(since)

    # What there is of everybody's

    @property
    def vpc(self) -> str:
        return self.springboard.outputs["VpcId"]

    def subnets(self) -> list[str]:
        """One per zone."""
        found = self.client("ec2").describe_subnets(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["Subnets"]
        return sorted({each["AvailabilityZone"]: each["SubnetId"] for each in found}.values())

    def group(self, whose: Whose) -> str:
        made = self.client("ec2").create_security_group(
            GroupName=self.name(whose),
            Description="d",
            VpcId=self.vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": whose.pairs}],
        )
        return str(made["GroupId"])

    def launch_template(self, whose: Whose) -> str:
        name = self.name(whose)
        self.client("ec2").create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={"InstanceType": "m7i.large"},
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": whose.pairs}],
        )
        return name

    def target_group(self, whose: Whose) -> str:
        made = self.client("elbv2").create_target_group(
            Name=self.name(whose), Protocol="HTTP", Port=30000, VpcId=self.vpc, Tags=whose.pairs
        )
        return str(made["TargetGroups"][0]["TargetGroupArn"])

    def load_balancer(self, whose: Whose) -> str:
        made = self.client("elbv2").create_load_balancer(
            Name=self.name(whose), Subnets=self.subnets(), Scheme="internal", Tags=whose.pairs
        )
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    def listener(self, whose: Whose) -> str:
        made = self.client("elbv2").create_listener(
            LoadBalancerArn=self.load_balancer(whose),
            Protocol="HTTP",
            Port=80,
            DefaultActions=[NOT_FOUND],
            Tags=whose.pairs,
        )
        return str(made["Listeners"][0]["ListenerArn"])

    def rule(self, whose: Whose) -> str:
        made = self.client("elbv2").create_rule(
            ListenerArn=self.listener(whose), Priority=1, Conditions=[HOST], Actions=[NOT_FOUND], Tags=whose.pairs
        )
        return str(made["Rules"][0]["RuleArn"])

    def certificate(self, whose: Whose) -> str:
        domain = f"{self.name(whose)}.{stack.BASE_DOMAIN}"
        made = self.client("acm").request_certificate(DomainName=domain, ValidationMethod="DNS", Tags=whose.pairs)
        return str(made["CertificateArn"])

    def alarm(self, whose: Whose) -> str:
        name = self.name(whose)
        self.client("cloudwatch").put_metric_alarm(AlarmName=name, Tags=whose.pairs, **ALARM)
        return name

    def dashboard(self, whose: Whose) -> str:
        name = self.name(whose)
        self.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody='{"widgets": []}')
        return name

    def log_group(self, whose: Whose) -> str:
        name = f"/aws/eks/{self.name(whose)}/cluster"
        self.client("logs").create_log_group(logGroupName=name)
        return name

    def schedule(self, whose: Whose) -> dict[str, str]:
        scheduler = self.client("scheduler")
        group = stack.STACK if whose in {OURS, NAMESAKE} else whose.prefix.rstrip("-")
        if group not in {each["Name"] for each in scheduler.list_schedule_groups()["ScheduleGroups"]}:
            scheduler.create_schedule_group(Name=group)
        named = {"GroupName": group, "Name": self.name(whose)}
        scheduler.create_schedule(**named, **SCHEDULE, Target=self.target())
        return named

    def target(self) -> dict[str, str]:
        return {
            "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{stack.STACK}-ttl-reached",
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{self.roles['ScheduleRole']}",
        }

    def cluster(self, whose: Whose) -> str:
        """One per owner, ACTIVE."""
        if whose not in self._clusters:
            name = self._clusters[whose] = self.name(whose)
            eks = self.client("eks")
            eks.create_cluster(
                name=name,
                roleArn=self.role_of_clusters(whose),
                resourcesVpcConfig={"subnetIds": self.subnets()},
                accessConfig={"authenticationMode": "API"},
                tags=whose.tags,
            )
            self.springboard.until(lambda: eks.describe_cluster(name=name)["cluster"]["status"] == "ACTIVE")
        return self._clusters[whose]

    def role_of_clusters(self, whose: Whose) -> str:
        """The stack's, which EKS assumes for names like the stack's alone; of others, one of their own. Its ARN."""
        if whose.prefix == OURS.prefix:
            return self.arn("ClusterRole")
        made = self.client("iam").create_role(
            RoleName=self.name(whose), AssumeRolePolicyDocument=TRUST.replace("ec2.amazonaws", "eks.amazonaws")
        )
        return str(made["Role"]["Arn"])

    def node_group(self, whose: Whose) -> dict[str, str]:
        made = {"clusterName": self.cluster(whose), "nodegroupName": self.name(whose)}
        self.client("eks").create_nodegroup(
            **made,
            subnets=self.subnets(),
            nodeRole=f"arn:aws:iam::{ACCOUNT}:role/{self.roles['NodeRole']}",
            tags=whose.tags,
        )
        return made

    def addon(self, whose: Whose) -> dict[str, str]:
        """One of a name for each cluster, that is to say for each case."""
        eks, cluster = self.client("eks"), self.cluster(whose)
        there = eks.list_addons(clusterName=cluster)["addons"]
        name = next(each for each in ("kube-proxy", "vpc-cni", "coredns") if each not in there)
        eks.create_addon(clusterName=cluster, addonName=name, tags=whose.tags)
        return {"clusterName": cluster, "addonName": name}

    def access_entry(self, whose: Whose) -> dict[str, str]:
        role = self.client("iam").create_role(RoleName=self.name(whose), AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        made = {"clusterName": self.cluster(whose), "principalArn": role}
        self.client("eks").create_access_entry(**made, tags=whose.tags)
        return made

    def role_of_an_application(self) -> str:
        """One that an operator keeps for pods; its ARN."""
        made = self.client("iam").create_role(
            RoleName=self.name(SOMEBODY),
            Path="/springboard-apps/",
            AssumeRolePolicyDocument=TRUST.replace("ec2", "pods.eks").replace(
                '"sts:AssumeRole"', '["sts:AssumeRole", "sts:TagSession"]'
            ),
        )
        return str(made["Role"]["Arn"])

    def pod_identity(self, whose: Whose) -> dict[str, str]:
        role = self.role_of_an_application()
        cluster = self.cluster(whose)
        made = self.client("eks").create_pod_identity_association(
            clusterName=cluster, namespace="shop", serviceAccount=self.name(whose), roleArn=role, tags=whose.tags
        )
        return {"clusterName": cluster, "associationId": made["association"]["associationId"]}

    def scaling_group(self, whose: Whose) -> str:
        """As EKS makes it for a node group of that owner's cluster."""
        name = f"eks-{self.name(whose)}"
        self.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=0,
            LaunchTemplate={"LaunchTemplateName": self.launch_template(whose), "Version": "$Latest"},
            VPCZoneIdentifier=",".join(self.subnets()),
            Tags=[{"Key": "eks:cluster-name", "Value": self.name(whose), "PropagateAtLaunch": True}],
        )
        return name

    def zone(self) -> str:
        """The zone of the applications' names."""
        zones = self.client("route53").list_hosted_zones_by_name(DNSName=stack.BASE_DOMAIN)["HostedZones"]
        return str(zones[0]["Id"]).rpartition("/")[2]


NOT_FOUND = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
HOST = {"Field": "host-header", "HostHeaderConfig": {"Values": ["shop.dev.example.com"]}}
PERMISSION = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
EGRESS = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
ALARM: dict[str, Any] = {
    "MetricName": "m",
    "Namespace": "n",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
SCHEDULE: dict[str, Any] = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"}}
POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


def record(account: Account, kind: str, name: str, value: str) -> dict[str, Any]:
    made = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}
    changes = [{"Action": "UPSERT", "ResourceRecordSet": made}]
    return {"HostedZoneId": account.zone(), "ChangeBatch": {"Changes": changes}}


OWNER, MAKER, CLUSTER = (
    f"aws:ResourceTag/{STACK_TAG}",
    f"aws:RequestTag/{STACK_TAG}",
    "aws:ResourceTag/eks:cluster-name",
)
PREFIXES = {"elbv2": "elasticloadbalancing"}


@dataclass(frozen=True)
class Case:
    """A call of a role, and who else's it has to be refused on."""

    role: str
    call: str  # eks.delete_cluster
    parameters: Callable[[Account, Whose], dict[str, Any]]
    others: tuple[Whose, ...] = ALL
    key: str = OWNER  # of the condition that refuses it; "" where the name alone tells

    def __str__(self) -> str:
        return f"{self.role}-{self.call}"

    @property
    def holds(self) -> set[Condition]:
        """The condition that it is about."""
        service, _, name = self.call.partition(".")
        action = f"{PREFIXES.get(service, service)}:{''.join(word.capitalize() for word in name.split('_'))}"
        return {Condition(self.role, action, self.key)} if self.key else set()


CASES = (
    # Nothing but the name tells whose a schedule, a dashboard or a log group is: those carry no tags, or lose them
    # when EKS makes the group again.
    Case("SchedulesFunctionRole", "scheduler.delete_schedule", lambda a, w: a.schedule(w), OTHERS, ""),
    Case(
        "SchedulesFunctionRole",
        "scheduler.update_schedule",
        lambda a, w: {**a.schedule(w), **SCHEDULE, "Target": a.target()},
        OTHERS,
        "",
    ),
    Case("FirewallFunctionRole", "ec2.delete_security_group", lambda a, w: {"GroupId": a.group(w)}),
    *(
        Case(
            "FirewallFunctionRole",
            f"ec2.{verb}_security_group_{way}",
            lambda a, w, rule=rule: {"GroupId": a.group(w), "IpPermissions": [rule]},  # type: ignore[misc]
        )
        for verb, way, rule in (
            ("authorize", "ingress", PERMISSION),
            ("authorize", "egress", PERMISSION),
            ("revoke", "egress", EGRESS),
        )
    ),
    Case(
        "FirewallFunctionRole",
        "ec2.revoke_security_group_ingress",
        lambda a, w: {"GroupId": opened(a, w), "IpPermissions": [PERMISSION]},
    ),
    Case("TargetGroupsFunctionRole", "elbv2.delete_target_group", lambda a, w: {"TargetGroupArn": a.target_group(w)}),
    Case(
        "TargetGroupsFunctionRole",
        "elbv2.modify_target_group",
        lambda a, w: {"TargetGroupArn": a.target_group(w), "HealthCheckPath": "/"},
    ),
    Case(
        "TargetGroupsFunctionRole",
        "elbv2.modify_target_group_attributes",
        lambda a, w: {
            "TargetGroupArn": a.target_group(w),
            "Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}],
        },
    ),
    Case("CertificateFunctionRole", "acm.delete_certificate", lambda a, w: {"CertificateArn": a.certificate(w)}),
    Case(
        "LoadBalancerFunctionRole",
        "elbv2.delete_load_balancer",
        lambda a, w: {"LoadBalancerArn": a.load_balancer(w)},
    ),
    Case(
        "LoadBalancerFunctionRole",
        "elbv2.set_security_groups",
        lambda a, w: {"LoadBalancerArn": a.load_balancer(w), "SecurityGroups": [a.group(w)]},
    ),
    Case(
        "LoadBalancerFunctionRole",
        "elbv2.modify_load_balancer_attributes",
        lambda a, w: {
            "LoadBalancerArn": a.load_balancer(w),
            "Attributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "61"}],
        },
    ),
    Case(
        "LoadBalancerFunctionRole",
        "elbv2.create_listener",
        lambda a, w: {
            "LoadBalancerArn": a.load_balancer(w),
            "Protocol": "HTTP",
            "Port": 80,
            "DefaultActions": [NOT_FOUND],
        },
    ),
    Case(
        "LoadBalancerFunctionRole",
        "elbv2.modify_listener",
        lambda a, w: {"ListenerArn": a.listener(w), "DefaultActions": [NOT_FOUND]},
    ),
    Case(
        "LoadBalancerFunctionRole",
        "elbv2.create_rule",
        lambda a, w: {"ListenerArn": a.listener(w), "Priority": 9, "Conditions": [HOST], "Actions": [NOT_FOUND]},
    ),
    Case(
        "LoadBalancerFunctionRole",
        "elbv2.modify_rule",
        lambda a, w: {"RuleArn": a.rule(w), "Conditions": [HOST], "Actions": [NOT_FOUND]},
    ),
    Case("LoadBalancerFunctionRole", "elbv2.delete_rule", lambda a, w: {"RuleArn": a.rule(w)}),
    Case("AlarmsFunctionRole", "cloudwatch.delete_alarms", lambda a, w: {"AlarmNames": [a.alarm(w)]}),
    Case(
        "AlarmsFunctionRole", "cloudwatch.put_metric_alarm", lambda a, w: {"AlarmName": a.alarm(w), **ALARM}, OTHERS, ""
    ),
    Case(
        "AlarmsFunctionRole",
        "cloudwatch.delete_dashboards",
        lambda a, w: {"DashboardNames": [a.dashboard(w)]},
        OTHERS,
        "",
    ),
    Case("ClusterFunctionRole", "eks.delete_cluster", lambda a, w: {"name": occupied(a, w)}),
    Case(
        "ClusterFunctionRole",
        "eks.update_cluster_config",
        lambda a, w: {"name": a.cluster(w), "deletionProtection": False},
    ),
    Case("ClusterFunctionRole", "logs.delete_log_group", lambda a, w: {"logGroupName": a.log_group(w)}, OTHERS, ""),
    Case(
        "ClusterFunctionRole",
        "logs.put_retention_policy",
        lambda a, w: {"logGroupName": a.log_group(w), "retentionInDays": 1},
        OTHERS,
        "",
    ),
    Case("AccessFunctionRole", "eks.delete_access_entry", lambda a, w: a.access_entry(w)),
    Case(
        "AccessFunctionRole",
        "eks.update_access_entry",
        lambda a, w: {**a.access_entry(w), "kubernetesGroups": ["admins"]},
    ),
    Case(
        "AccessFunctionRole",
        "eks.associate_access_policy",
        lambda a, w: {**a.access_entry(w), "policyArn": POLICY, "accessScope": {"type": "cluster"}},
    ),
    Case(
        "AccessFunctionRole",
        "eks.create_access_entry",
        lambda a, w: {**a.access_entry(w), "principalArn": f"arn:aws:iam::{ACCOUNT}:role/{a.roles['CniRole']}"},
    ),
    Case("AddonsFunctionRole", "eks.delete_addon", lambda a, w: a.addon(w)),
    Case(
        "AddonsFunctionRole",
        "eks.update_addon",
        lambda a, w: {**a.addon(w), "resolveConflicts": "PRESERVE"},
    ),
    Case("NodeGroupsFunctionRole", "eks.delete_nodegroup", lambda a, w: a.node_group(w)),
    Case(
        "NodeGroupsFunctionRole",
        "eks.update_nodegroup_config",
        lambda a, w: {**a.node_group(w), "labels": {"addOrUpdateLabels": {"a": "b"}}},
    ),
    Case(
        "NodeGroupsFunctionRole",
        "ec2.delete_launch_template",
        lambda a, w: {"LaunchTemplateName": a.launch_template(w)},
    ),
    Case(
        "NodeGroupsFunctionRole",
        "ec2.create_launch_template_version",
        lambda a, w: {"LaunchTemplateName": a.launch_template(w), "LaunchTemplateData": {"InstanceType": "m7i.large"}},
    ),
    Case("WorkloadFunctionRole", "eks.delete_pod_identity_association", lambda a, w: a.pod_identity(w)),
    Case(
        "TargetsFunctionRole",
        "autoscaling.attach_traffic_sources",
        lambda a, w: {"AutoScalingGroupName": a.scaling_group(w), **sources(a)},
        OTHERS,
        CLUSTER,
    ),
    Case(
        "TargetsFunctionRole",
        "autoscaling.detach_traffic_sources",
        lambda a, w: {"AutoScalingGroupName": a.scaling_group(w), **sources(a)},
        OTHERS,
        CLUSTER,
    ),
    # What exists is told by its tags; what is made, by those that it is made with.
    Case(
        "FirewallFunctionRole",
        "ec2.create_security_group",
        lambda a, w: {
            "GroupName": a.name(OURS),
            "Description": "d",
            "VpcId": a.vpc,
            "TagSpecifications": [{"ResourceType": "security-group", "Tags": w.pairs}],
        },
        key=MAKER,
    ),
    Case(
        "TargetGroupsFunctionRole",
        "elbv2.create_target_group",
        lambda a, w: {"Name": a.name(OURS), "Protocol": "HTTP", "Port": 30000, "VpcId": a.vpc, "Tags": w.pairs},
        key=MAKER,
    ),
    Case(
        "CertificateFunctionRole",
        "acm.request_certificate",
        lambda a, w: {
            "DomainName": f"{a.name(OURS)}.{stack.BASE_DOMAIN}",
            "ValidationMethod": "DNS",
            "Tags": w.pairs,
        },
        key=MAKER,
    ),
    Case(
        "CertificateFunctionRole",
        "acm.add_tags_to_certificate",
        lambda a, w: {"CertificateArn": a.certificate(OURS), "Tags": w.pairs},
        key=MAKER,
    ),
    Case(
        "LoadBalancerFunctionRole",
        "elbv2.create_load_balancer",
        lambda a, w: {"Name": a.name(OURS), "Subnets": a.subnets(), "Scheme": "internal", "Tags": w.pairs},
        key=MAKER,
    ),
    Case(
        "ClusterFunctionRole",
        "eks.create_cluster",
        lambda a, w: {
            "name": a.name(OURS),
            "roleArn": a.arn("ClusterRole"),
            "resourcesVpcConfig": {"subnetIds": a.subnets()},
            "tags": w.tags,
        },
        key=MAKER,
    ),
    Case(
        "NodeGroupsFunctionRole",
        "ec2.create_launch_template",
        lambda a, w: {
            "LaunchTemplateName": a.name(OURS),
            "LaunchTemplateData": {"InstanceType": "m7i.large"},
            "TagSpecifications": [{"ResourceType": "launch-template", "Tags": w.pairs}],
        },
        key=MAKER,
    ),
    Case(
        "ClusterFunctionRole",
        "eks.untag_resource",
        lambda a, w: {"resourceArn": f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{a.cluster(w)}", "tagKeys": ["none"]},
    ),
    Case(
        "AccessFunctionRole",
        "eks.disassociate_access_policy",
        lambda a, w: {**a.access_entry(w), "policyArn": POLICY},
    ),
    Case(
        "AddonsFunctionRole",
        "eks.create_addon",
        lambda a, w: {"clusterName": a.cluster(w), "addonName": "metrics-server"},
    ),
    Case(
        "NodeGroupsFunctionRole",
        "eks.create_nodegroup",
        lambda a, w: {
            "clusterName": a.cluster(w),
            "nodegroupName": a.name(w),
            "subnets": a.subnets(),
            "nodeRole": a.arn("NodeRole"),
        },
    ),
    Case("NodeGroupsFunctionRole", "eks.update_nodegroup_version", lambda a, w: a.node_group(w)),
    *(
        Case(
            role,
            "eks.create_pod_identity_association",
            lambda a, w, passed=passed: {  # type: ignore[misc]
                "clusterName": a.cluster(w),
                "namespace": "shop",
                "serviceAccount": a.name(w),
                "roleArn": passed(a),
            },
        )
        for role, passed in (
            ("AddonsFunctionRole", lambda a: a.arn("CniRole")),
            ("WorkloadFunctionRole", lambda a: a.role_of_an_application()),
        )
    ),
    Case("WorkloadFunctionRole", "eks.update_pod_identity_association", lambda a, w: a.pod_identity(w)),
)


def opened(account: Account, whose: Whose) -> str:
    group = account.group(whose)
    account.client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[PERMISSION])
    return group


def occupied(account: Account, whose: Whose) -> str:
    """A cluster that EKS itself would not delete: other cases need it."""
    account.node_group(whose)
    return account.cluster(whose)


def sources(account: Account) -> dict[str, Any]:
    return {"TrafficSources": [{"Identifier": account.target_group(OURS), "Type": "elbv2"}]}


@pytest.fixture(scope="module")
def account(deployed: Springboard) -> Account:
    return Account(deployed)


def refusal(call: Callable[..., Any], parameters: dict[str, Any]) -> str:
    """IAM's words, or nothing where it has no objection, whatever the service itself says after it."""
    try:
        call(**parameters)
    except ClientError as error:
        told = error.response["Error"]
        return str(told["Message"]) if told["Code"] in DENIED else ""
    return ""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_role_reaches_what_is_the_stacks_and_nothing_else(account: Account, case: Case) -> None:
    service, _, name = case.call.partition(".")
    call = getattr(account.acting(case.role, service), name)
    assert refusal(call, case.parameters(account, OURS)) == ""
    since = account.refusals()
    for whose in case.others:
        told = refusal(call, case.parameters(account, whose))
        action = "".join(word.capitalize() for word in name.split("_"))
        assert f":{action} on resource: " in told, f"{whose}: {told or 'allowed'}"
        assert "because no identity-based policy allows" in told
    assert account.held(since) >= case.holds


TYPES, NAMES = (f"route53:ChangeResourceRecordSets{what}" for what in ("RecordTypes", "NormalizedRecordNames"))
RECORDS = (
    ("DnsFunctionRole", "A", "shop", {TYPES}),
    ("CertificateFunctionRole", "CNAME", "_1234.shop", {TYPES, NAMES}),
)


@pytest.mark.parametrize(("role", "kind", "name", "keys"), RECORDS)
def test_a_record_is_of_the_type_and_name_that_its_role_writes(
    account: Account, role: str, kind: str, name: str, keys: set[str]
) -> None:
    """The record of a load balancer, and ACM's; never the zone's own, mail's, or another's proof."""
    change = account.acting(role, "route53").change_resource_record_sets
    others = {("A", "shop"), ("CNAME", "_1234.shop"), ("CNAME", "www"), ("TXT", "_dmarc"), ("MX", "mail"), ("NS", "a")}
    values = {"A": "10.0.0.1", "CNAME": "a.example.com", "TXT": '"v"', "MX": "1 a.example.com", "NS": "a.example.com"}
    assert refusal(change, record(account, kind, f"{name}.{stack.BASE_DOMAIN}", values[kind])) == ""
    since = account.refusals()
    for other, label in sorted(others - {(kind, name)}):
        told = refusal(change, record(account, other, f"{label}.{stack.BASE_DOMAIN}", values[other]))
        assert "route53:ChangeResourceRecordSets on resource: " in told, (other, label)
    assert account.held(since) == {Condition(role, "route53:ChangeResourceRecordSets", key) for key in keys}


@dataclass(frozen=True)
class Asked:
    """What IAM is asked about itself, because AWS asks it beside a call, or because no call gets as far."""

    role: str
    action: str
    resource: Callable[[Account], str]
    keys: Mapping[str, tuple[str, str]]  # condition key → the value that is meant, and a stranger's
    number: int = 0  # among the role's statements that grant the action

    def __str__(self) -> str:
        return f"{self.role}-{self.action}-{self.number}"

    @property
    def holds(self) -> set[Condition]:
        return {Condition(self.role, self.action, key, self.number) for key in self.keys}


def arn(text: str) -> Callable[[Account], str]:
    """Of something that need not be there."""
    return lambda _: text.format(R=REGION, A=ACCOUNT)


def passed(role: str, name: str, service: str) -> Asked:
    return Asked(
        role, "iam:PassRole", lambda a: a.arn(name), {"iam:PassedToService": (service, "lambda.amazonaws.com")}
    )


def linked(role: str, service: str) -> Asked:
    place = arn(f"arn:aws:iam::{{A}}:role/aws-service-role/{service}/AWSServiceRoleForIt")
    return Asked(
        role, "iam:CreateServiceLinkedRole", place, {"iam:AWSServiceName": (service, "autoscaling.amazonaws.com")}
    )


def through(role: str, use: str, service: str, number: int = 0) -> Asked:
    """A use of the stack's key, through a service alone."""
    via = (f"{service}.{REGION}.amazonaws.com", f"s3.{REGION}.amazonaws.com")
    return Asked(role, f"kms:{use}", lambda a: key_arn(a, "Key"), {"kms:ViaService": via}, number)


def tagging(role: str, place: str, maker: str, number: int = 0) -> Asked:
    """Tags come with the call that makes the thing, or not at all."""
    service = place.split(":")[2]
    action = "CreateTags" if service == "ec2" else "AddTags"
    return Asked(
        role, f"{service}:{action}", arn(place), {f"{service}:CreateAction": (maker, "CreateTargetGroups")}, number
    )


FUNCTIONS = sorted(role for role in source.resources("AWS::IAM::Role") if role.endswith("FunctionRole"))
SENDERS = tuple(f"{name}FunctionRole" for name in ("ExecutionEnded", "Sweep", "TtlReached", "DriftCheck"))
BALANCER = "arn:aws:elasticloadbalancing:{R}:{A}:loadbalancer/app/springboard-x/1"
ASKED = (
    passed("SchedulesFunctionRole", "ScheduleRole", "scheduler.amazonaws.com"),
    passed("ClusterFunctionRole", "ClusterRole", "eks.amazonaws.com"),
    passed("NodeGroupsFunctionRole", "NodeRole", "eks.amazonaws.com"),
    linked("LoadBalancerFunctionRole", "elasticloadbalancing.amazonaws.com"),
    linked("ClusterFunctionRole", "eks.amazonaws.com"),
    linked("NodeGroupsFunctionRole", "eks-nodegroup.amazonaws.com"),
    *(through(role, "Decrypt", "dynamodb") for role in FUNCTIONS),
    *(through(role, "Decrypt", "sqs", 1) for role in SENDERS),
    *(through(role, "GenerateDataKey", "sqs") for role in SENDERS),
    *(through("PublishEventsFunctionRole", "Decrypt", service, 1) for service in ("sns", "sqs")),
    *(through("PublishEventsFunctionRole", "GenerateDataKey", service) for service in ("sns", "sqs")),
    *(through("ScheduleRole", use, "sqs") for use in ("Decrypt", "GenerateDataKey")),
    Asked(
        "FirewallFunctionRole",
        "ec2:CreateTags",
        arn("arn:aws:ec2:{R}:{A}:security-group/sg-1"),
        {"ec2:CreateAction": ("CreateSecurityGroup", "RunInstances"), MAKER: (stack.STACK, "staging")},
    ),
    tagging("NodeGroupsFunctionRole", "arn:aws:ec2:{R}:{A}:launch-template/lt-1", "CreateLaunchTemplate"),
    tagging("NodeGroupsFunctionRole", "arn:aws:ec2:{R}:{A}:instance/i-1", "RunInstances", 1),
    tagging(
        "TargetGroupsFunctionRole",
        "arn:aws:elasticloadbalancing:{R}:{A}:targetgroup/springboard-x/1",
        "CreateTargetGroup",
    ),
    tagging("LoadBalancerFunctionRole", BALANCER, "CreateLoadBalancer"),
    tagging("LoadBalancerFunctionRole", BALANCER.replace("loadbalancer/", "listener/") + "/2", "CreateListener", 1),
    tagging("LoadBalancerFunctionRole", BALANCER.replace("loadbalancer/", "listener-rule/") + "/2/3", "CreateRule", 2),
    Asked(
        "NodeGroupsFunctionRole",
        "ec2:RunInstances",
        arn("arn:aws:ec2:{R}:{A}:subnet/subnet-1"),
        {"ec2:Vpc": ("{vpc}", "arn:aws:ec2:eu-west-1:123456789012:vpc/vpc-1")},
        1,
    ),
    Asked(
        "NodeGroupsFunctionRole",
        "ec2:RunInstances",
        arn("arn:aws:ec2:{R}:{A}:launch-template/lt-1"),
        {OWNER: (stack.STACK, "staging")},
        2,
    ),
)


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_each_condition_is_needed_to_keep_out_what_is_not_meant(account: Account, asked: Asked) -> None:
    vpc = f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/{account.vpc}"
    meant = {key.lower(): (value.format(vpc=vpc),) for key, (value, _) in asked.keys.items()}
    role, resource = account.roles[asked.role], asked.resource(account)
    assert why_not(role, asked.action, resource, meant) is None
    since = account.refusals()
    for key, (_, strange) in asked.keys.items():
        without = {name: values for name, values in meant.items() if name != key.lower()}
        for context in (without, {**without, key.lower(): (strange,)}):
            told = str(why_not(role, asked.action, resource, context))
            assert "because no identity-based policy allows" in told, context
    assert account.held(since) >= asked.holds


OF_LAMBDA = {
    Condition("WorkloadFunctionRole", f"ec2:{action}", "lambda:SourceFunctionArn")
    for action in (
        "CreateNetworkInterface",
        "DescribeNetworkInterfaces",
        "DeleteNetworkInterface",
        "AssignPrivateIpAddresses",
        "UnassignPrivateIpAddresses",
        "DescribeSubnets",
    )
}


def test_what_lambda_needs_of_the_network_the_functions_own_code_may_not(account: Account) -> None:
    """Lambda attaches the function in its role's name; with the keys that the code has, nobody touches an interface."""
    from springboard_local.services import iam  # noqa: PLC0415 - of moto, which the cloud has to prepare first

    role = account.arn("WorkloadFunctionRole")
    code = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{stack.STACK}-workload"
    lambdas = account.acting("WorkloadFunctionRole", "ec2")
    keys = iam.assume_for_service(role, "lambda.amazonaws.com", "session", function=code)
    stolen = account.springboard.aws.client(
        "ec2",
        endpoint_url=account.springboard.cloud.endpoint,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        aws_session_token=keys.session_token,
    )
    [subnet, *_] = account.subnets()
    interface = lambdas.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    addresses = {"NetworkInterfaceId": interface, "PrivateIpAddresses": ["10.64.0.9"]}
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("create_network_interface", {"SubnetId": subnet}),
        ("describe_network_interfaces", {}),
        ("describe_subnets", {}),
        ("assign_private_ip_addresses", addresses),
        ("unassign_private_ip_addresses", addresses),
        ("delete_network_interface", {"NetworkInterfaceId": interface}),
    )
    since = account.refusals()
    for call, parameters in calls:
        told = refusal(getattr(stolen, call), parameters)
        assert "is not authorized to perform: ec2:" in told, call
    assert account.held(since) == OF_LAMBDA
    for call, parameters in calls:
        assert "is not authorized" not in refusal(getattr(lambdas, call), parameters), call


def test_no_condition_is_without_a_story_and_no_story_without_a_condition() -> None:
    stories: tuple[Case | Asked, ...] = (*CASES, *ASKED)
    told = {each for story in stories for each in story.holds}
    told |= {each for role in TRUST_IN for each in trust_conditions(role)}
    templates = (source.template(), source.network())
    assert (
        sorted({role for each in templates for role in source.resources("AWS::IAM::Role", each)} - set(TRUST_IN)) == []
    )
    told |= {Condition(role, "route53:ChangeResourceRecordSets", key) for role, _, _, keys in RECORDS for key in keys}
    told |= OF_LAMBDA
    written = grants.conditions(*templates)
    assert sorted(set(written) - told) == []
    assert sorted(told - set(written)) == []


def test_only_our_own_roles_are_passed(account: Account) -> None:
    """A node group with an administrator's role on its instances, a cluster with it, a pod."""
    iam, eks = account.client("iam"), "eks"
    foreign = iam.create_role(RoleName=account.name(SOMEBODY), AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    own = {name: f"arn:aws:iam::{ACCOUNT}:role/{role}" for name, role in account.roles.items()}
    network = {"subnetIds": account.subnets()}
    cluster = account.cluster(OURS)
    calls: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("ClusterFunctionRole", "create_cluster", "roleArn", {"resourcesVpcConfig": network, "tags": OURS.tags}),
        ("NodeGroupsFunctionRole", "create_nodegroup", "nodeRole", {"subnets": account.subnets()}),
        ("WorkloadFunctionRole", "create_pod_identity_association", "roleArn", {"namespace": "a"}),
    )
    for role, call, parameter, more in calls:
        create = getattr(account.acting(role, eks), call)
        fit = {"ClusterFunctionRole": own["ClusterRole"], "NodeGroupsFunctionRole": own["NodeRole"]}.get(role)
        if fit is None:
            fit = account.client(eks).describe_pod_identity_association(**account.pod_identity(OURS))["association"][
                "roleArn"
            ]
        for arn, allowed in ((fit, True), (foreign, False), (own["WorkloadFunctionRole"], False)):
            named = {"name": account.name(OURS)} if call == "create_cluster" else {"clusterName": cluster}
            if call == "create_nodegroup":
                named["nodegroupName"] = account.name(OURS)
            if call == "create_pod_identity_association":
                named["serviceAccount"] = account.name(OURS)
            told = refusal(create, {**named, **more, parameter: arn})
            assert bool(told) != allowed, (role, arn, told)
            assert allowed or f" on resource: {arn} because" in told


# All that roles of the stack may do with IAM: none makes a role, or changes what one may do or who assumes it. So a
# stolen session has no way to a role with more rights than those that may be passed, and no boundary is needed for it.
OF_IAM = {"PassRole", "GetRole", "ListAttachedRolePolicies", "CreateServiceLinkedRole"}


def test_no_role_of_the_stack_makes_a_role_or_changes_one(account: Account) -> None:
    granted = {each.action for each in grants.granted(source.template(), source.network())}
    assert {action.partition(":")[2] for action in granted if action.startswith("iam:")} == OF_IAM
    iam = account.client("iam")
    everything = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    boundary = iam.create_policy(PolicyName=account.name(SOMEBODY), PolicyDocument=everything)["Policy"]["Arn"]
    profile = iam.create_instance_profile(InstanceProfileName=account.name(SOMEBODY))["InstanceProfile"]
    for role, name in account.roles.items():
        mine = {"RoleName": name}
        calls: tuple[tuple[str, dict[str, Any]], ...] = (
            ("create_role", {"RoleName": account.name(OURS), "AssumeRolePolicyDocument": TRUST}),
            ("create_role", {"RoleName": "own", "Path": "/springboard-apps/", "AssumeRolePolicyDocument": TRUST}),
            ("put_role_policy", {**mine, "PolicyName": "more", "PolicyDocument": everything}),
            ("attach_role_policy", {**mine, "PolicyArn": boundary}),
            ("update_assume_role_policy", {**mine, "PolicyDocument": TRUST}),
            ("put_role_permissions_boundary", {**mine, "PermissionsBoundary": boundary}),
            ("delete_role_permissions_boundary", mine),
            ("create_policy_version", {"PolicyArn": boundary, "PolicyDocument": everything, "SetAsDefault": True}),
            ("add_role_to_instance_profile", {"InstanceProfileName": profile["InstanceProfileName"], **mine}),
            ("create_service_linked_role", {"AWSServiceName": "ecs.amazonaws.com"}),
            ("create_user", {"UserName": account.name(OURS)}),
            ("create_access_key", {"UserName": "developer"}),
        )
        session = account.acting(role, "iam")
        for call, parameters in calls:
            action = f"iam:{''.join(word.capitalize() for word in call.split('_'))}"
            told = refusal(getattr(session, call), parameters)
            assert f"not authorized to perform: {action} on resource: " in told, (role, call, told)


def test_no_role_of_a_function_touches_roles_tables_queues_or_machines_that_it_does_not_own(account: Account) -> None:
    """Nobody's, not the stack's own either: what makes these is the deployer."""
    iam, table, queue = account.client("iam"), account.client("dynamodb"), account.client("sqs")
    victim = iam.create_role(RoleName=account.name(OURS), AssumeRolePolicyDocument=TRUST)["Role"]["RoleName"]
    table.create_table(
        TableName="billing",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    url = queue.create_queue(QueueName="billing")["QueueUrl"]
    item = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    calls: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("iam", "delete_role", {"RoleName": victim}),
        ("iam", "put_role_policy", {"RoleName": victim, "PolicyName": "p", "PolicyDocument": TRUST}),
        ("iam", "update_assume_role_policy", {"RoleName": victim, "PolicyDocument": TRUST}),
        ("dynamodb", "delete_table", {"TableName": "billing"}),
        ("dynamodb", "delete_table", {"TableName": f"{stack.STACK}-record"}),
        ("dynamodb", "put_item", {"TableName": "billing", "Item": item}),
        ("sqs", "delete_queue", {"QueueUrl": url}),
        ("sqs", "send_message", {"QueueUrl": url, "MessageBody": "m"}),
        ("sqs", "delete_queue", {"QueueUrl": account.springboard.outputs["DeadLetterQueueUrl"]}),
        ("kms", "schedule_key_deletion", {"KeyId": key(account, "SecretsKey")}),
        ("kms", "decrypt", {"KeyId": key(account, "SecretsKey"), "CiphertextBlob": b"c"}),
        ("lambda", "update_function_code", {"FunctionName": f"{stack.STACK}-api", "ZipFile": b"z"}),
        (
            "stepfunctions",
            "delete_state_machine",
            {"stateMachineArn": account.springboard.outputs["TeardownMachineArn"]},
        ),
        ("ec2", "terminate_instances", {"InstanceIds": ["i-0123456789abcdef0"]}),
        ("ec2", "delete_vpc", {"VpcId": account.vpc}),
        ("route53", "delete_hosted_zone", {"Id": account.zone()}),
    )
    functions = [role for role in account.roles if role.endswith(("FunctionRole", "MachineRole"))]
    assert len(functions) > 20
    for role in functions:
        for service, name, parameters in calls:
            assert refusal(getattr(account.acting(role, service), name), parameters), (role, service, name)
    # The same calls of somebody who may: what would have been lost.
    sweep = account.acting("SweepFunctionRole", "dynamodb")
    assert refusal(sweep.put_item, {"TableName": f"{stack.STACK}-record", "Item": item}) == ""
    dead_letters = {"QueueUrl": account.springboard.outputs["DeadLetterQueueUrl"], "MessageBody": "m"}
    assert refusal(account.acting("SweepFunctionRole", "sqs").send_message, dead_letters) == ""
    assert refusal(iam.delete_role, {"RoleName": victim}) == ""


def key(account: Account, name: str) -> str:
    """The id of a key of the stack."""
    found = account.client("cloudformation").describe_stack_resource(StackName=stack.STACK, LogicalResourceId=name)
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


def test_a_tag_of_ours_can_be_put_on_nothing_of_somebody_elses(account: Account) -> None:
    """Whoever can say whose a thing is can take it."""
    ours = [{"Key": STACK_TAG, "Value": stack.STACK}]
    ec2 = account.acting("FirewallFunctionRole", "ec2")
    assert refusal(ec2.create_tags, {"Resources": [account.group(SOMEBODY)], "Tags": ours})
    ec2 = account.acting("NodeGroupsFunctionRole", "ec2")
    template = account.client("ec2").describe_launch_templates(LaunchTemplateNames=[account.launch_template(SOMEBODY)])[
        "LaunchTemplates"
    ][0]["LaunchTemplateId"]
    assert refusal(ec2.create_tags, {"Resources": [template], "Tags": ours})
    for role, arn in (
        ("TargetGroupsFunctionRole", account.target_group(NAMESAKE)),
        ("LoadBalancerFunctionRole", account.load_balancer(NAMESAKE)),
    ):
        assert refusal(account.acting(role, "elbv2").add_tags, {"ResourceArns": [arn], "Tags": ours})


# Who may assume which role

CLUSTER_ARN = f"arn:aws:eks:{REGION}:{{}}:cluster/{{}}-shop"
TAG = "aws:RequestTag/"
# What is meant: source conditions, and for each of them what a stranger would come with.
POD = {
    f"{TAG}kubernetes-namespace": ("kube-system", "shop"),
    f"{TAG}kubernetes-service-account": ("aws-node", "shop"),
    f"{TAG}eks-cluster-arn": (CLUSTER_ARN.format(ACCOUNT, stack.STACK), CLUSTER_ARN.format(ACCOUNT, "staging")),
}
THIS_ACCOUNT = {"aws:SourceAccount": (ACCOUNT, "444455556666")}
TRUST_IN: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "ClusterRole": (
        "eks",
        {
            **THIS_ACCOUNT,
            "aws:SourceArn": (CLUSTER_ARN.format(ACCOUNT, stack.STACK), CLUSTER_ARN.format(ACCOUNT, "staging")),
        },
    ),
    "NodeRole": ("ec2", {}),
    "CniRole": ("pods.eks", POD),
    "ScheduleRole": ("scheduler", THIS_ACCOUNT),
    "FlowLogRole": ("vpc-flow-logs", THIS_ACCOUNT),
    **{role: ("lambda", {}) for role in FUNCTIONS},
    **dict.fromkeys(("ProvisionMachineRole", "TeardownMachineRole"), ("states", THIS_ACCOUNT)),
}
STRANGERS = ("lambda", "ec2", "ecs-tasks", "eks", "pods.eks", "scheduler", "states", "cloudformation", "ssm")


def trust_problem(account: Account, role: str, service: str, keys: Mapping[str, str]) -> str | None:
    """What the role's trust policy objects to a service on behalf of somebody."""
    from springboard_local.services import iam  # noqa: PLC0415 - of moto, which the cloud has to prepare first

    tags: dict[str, tuple[str, ...]] = {key.lower(): (value,) for key, value in keys.items() if key.startswith(TAG)}
    source = keys.get("aws:SourceArn"), keys.get("aws:SourceAccount", "444455556666")
    return iam.trust_problem(account.arn(role), f"{service}.amazonaws.com", *source, tags)


@pytest.mark.parametrize("role", TRUST_IN)
def test_a_role_is_assumed_by_its_service_alone_and_on_behalf_of_the_stack(account: Account, role: str) -> None:
    service, keys = TRUST_IN[role]
    meant = {key: value for key, (value, _) in keys.items()}
    assert trust_problem(account, role, service, meant) is None
    for other in set(STRANGERS) - {service}:
        assert "its trust policy does not allow it" in str(trust_problem(account, role, other, meant)), other
    since = account.refusals()
    for key, (_, strange) in keys.items():
        assert trust_problem(account, role, service, {**meant, key: strange}), key
        assert trust_problem(account, role, service, {each: meant[each] for each in meant if each != key}), key
    assert account.held(since) == {each for each in trust_conditions(role) if each.action == "sts:AssumeRole"}


def trust_conditions(role: str) -> set[Condition]:
    service, keys = TRUST_IN[role]
    actions = ("sts:AssumeRole", "sts:TagSession") if service == "pods.eks" else ("sts:AssumeRole",)
    return {Condition(role, action, key) for action in actions for key in keys}


def test_nobody_who_is_a_person_assumes_a_role_of_the_stack(account: Account) -> None:
    """Not an administrator with every right, not another role, and not one function in the name of another."""
    iam, sts = account.client("iam"), "sts"
    everything = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    trusted = TRUST.replace('{"Service": "ec2.amazonaws.com"}', f'{{"AWS": "arn:aws:iam::{ACCOUNT}:root"}}')
    name = account.name(SOMEBODY)
    powerful = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="everything", PolicyDocument=everything)
    callers = (
        account.client(sts),
        account.springboard.cloud.client(sts, powerful),
        account.acting("ApiFunctionRole", sts),
    )
    for role in account.roles:
        for caller in callers:
            told = refusal(caller.assume_role, {"RoleArn": account.arn(role), "RoleSessionName": "session"})
            assert "is not authorized to perform: sts:AssumeRole on resource: " in told, role
    assert refusal(callers[0].assume_role, {"RoleArn": powerful, "RoleSessionName": "session"}) == ""


# The stack's two keys

USES = (
    "Encrypt",
    "Decrypt",
    "ReEncryptFrom",
    "GenerateDataKey",
    "DescribeKey",
    "ListGrants",
    "CreateGrant",
    "RevokeGrant",
    "PutKeyPolicy",
    "DisableKey",
    "ScheduleKeyDeletion",
)
SENDING = {"Decrypt", "GenerateDataKey"}
# Key → service through which, or "" by a call of KMS itself → role → what it may.
USERS: dict[str, dict[str, dict[str, set[str]]]] = {
    "Key": {
        "": {},
        "dynamodb": {"every function": {"Decrypt"}},
        "sqs": dict.fromkeys((*SENDERS, "PublishEventsFunctionRole", "ScheduleRole"), SENDING),
        "sns": {"PublishEventsFunctionRole": SENDING},
        "eks": {},
    },
    "SecretsKey": {
        via: {
            "ClusterRole": {"Encrypt", "Decrypt", "DescribeKey", "ListGrants"},
            "ClusterFunctionRole": {"DescribeKey", "CreateGrant"},
        }
        for via in ("", "dynamodb", "sqs", "sns", "eks")
    },
}


def key_arn(account: Account, name: str) -> str:
    return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key(account, name)}"


@pytest.mark.parametrize(("name", "via"), [(name, via) for name, ways in USERS.items() for via in ways])
def test_each_key_is_used_by_those_who_need_it_and_as_they_need_it(account: Account, name: str, via: str) -> None:
    wanted = {role: uses for role, uses in USERS[name][via].items() if role in account.roles}
    if "every function" in USERS[name][via]:
        uses = USERS[name][via]["every function"]
        wanted |= {role: uses for role in account.roles if role.endswith("FunctionRole")}
    context = {"kms:viaservice": (f"{via}.{REGION}.amazonaws.com",)} if via else {}
    # AWS's AmazonEKSClusterPolicy lets a cluster describe every key, which tells nothing of what it encrypts.
    wanted["ClusterRole"] = {*wanted.get("ClusterRole", ()), "DescribeKey"}
    found: dict[str, set[str]] = {}
    for logical, role in account.roles.items():
        may = {use for use in USES if not why_not(role, f"kms:{use}", key_arn(account, name), context)}
        if may:
            found[logical] = may
    assert found == wanted


def why_not(role: str, action: str, resource: str, context: Mapping[str, tuple[str, ...]]) -> str | None:
    """What IAM objects to an action of a role."""
    from springboard_local.services import iam  # noqa: PLC0415 - of moto, which the cloud has to prepare first

    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/session"
    principal = iam.Principal(
        session, "AROA:session", ACCOUNT, "session", "AssumedRole", f"arn:aws:iam::{ACCOUNT}:role/{role}"
    )
    return iam.is_allowed(principal, action, resource, dict(context))


@pytest.mark.parametrize("name", USERS)
def test_a_key_is_the_accounts_and_no_other_accounts(account: Account, name: str) -> None:
    """The key's own policy: whom IAM lets use it, in this account; in another nobody, whatever IAM there says."""
    arn = key_arn(account, name)
    iam = account.client("iam")
    role = iam.create_role(RoleName=account.name(SOMEBODY), AssumeRolePolicyDocument=TRUST)["Role"]["RoleName"]
    assert "because no identity-based policy allows the kms:Decrypt action" in str(
        why_not(role, "kms:Decrypt", arn, {})
    )
    everything = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}'
    iam.put_role_policy(RoleName=role, PolicyName="keys", PolicyDocument=everything)
    assert why_not(role, "kms:Decrypt", arn, {}) is None
    for other in ("arn:aws:iam::444455556666:root", "arn:aws:iam::444455556666:role/admin"):
        assert not any(key_allows(arn, use, ("AWS", other)) for use in USES)
    assert not any(key_allows(arn, use, ("AWS", f"arn:aws:iam::{ACCOUNT}:role/{role}")) for use in USES)
    assert all(key_allows(arn, use, ("AWS", f"arn:aws:iam::{ACCOUNT}:root")) for use in USES)


SERVICES = ("events", "cloudwatch", "scheduler", "sns", f"logs.{REGION}", "eks", "lambda", "s3", "dynamodb")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_uses_the_record_key_for_this_account_alone(account: Account, service: str) -> None:
    ours, theirs, secrets = ({"aws:sourceaccount": (number,)} for number in (ACCOUNT, "444455556666", ACCOUNT))
    logs = "kms:encryptioncontext:aws:logs:arn"
    group = f"arn:aws:logs:{REGION}:{{}}:log-group:/springboard/{stack.STACK}/api"
    principal = ("Service", f"{service}.amazonaws.com")

    def may(name: str, context: Mapping[str, tuple[str, ...]]) -> set[str]:
        return {use for use in USES if key_allows(key_arn(account, name), use, principal, context)}

    assert may("SecretsKey", {**secrets, logs: (group.format(ACCOUNT),)}) == set()
    assert may("Key", {}) == may("Key", theirs) == may("Key", {logs: (group.format("444455556666"),)}) == set()
    if service.startswith("logs."):
        assert may("Key", {logs: (group.format(ACCOUNT),)}) == {*SENDING, "Encrypt", "ReEncryptFrom", "DescribeKey"}
        assert may("Key", ours) == set()
    else:
        assert may("Key", ours) == (SENDING if service in {"events", "cloudwatch", "scheduler", "sns"} else set())


def key_allows(
    arn: str, use: str, principal: tuple[str, str], context: Mapping[str, tuple[str, ...]] | None = None
) -> bool:
    """What the policy on the key says by itself."""
    from springboard_local.services.iam.policy import Request, verdict  # noqa: PLC0415 - beside moto
    from springboard_local.services.iam.resource_policies import resource_policies  # noqa: PLC0415

    request = Request(f"kms:{use}", arn, context or {}, frozenset({principal}))
    return verdict(resource_policies(arn), request, of_resource=True) == "allow"


def test_with_a_zone_of_its_own_a_stack_writes_to_no_other(account: Account) -> None:
    springboard = account.springboard
    made = account.client("route53").create_hosted_zone(Name="example.org", CallerReference="other")
    other = made["HostedZone"]["Id"].rpartition("/")[2]
    change = account.acting("DnsFunctionRole", "route53").change_resource_record_sets
    asked = {**record(account, "A", "shop.example.org", "10.0.0.1"), "HostedZoneId": other}
    assert refusal(change, asked) == ""
    update(springboard, HostedZoneId=account.zone())
    assert f"on resource: arn:aws:route53:::hostedzone/{other} " in refusal(change, asked)
    assert refusal(change, record(account, "A", f"shop.{stack.BASE_DOMAIN}", "10.0.0.1")) == ""
    update(springboard, HostedZoneId=account.zone(), DnsZones="any")
    assert refusal(change, asked) == ""


def update(springboard: Springboard, **parameters: str) -> None:
    """The stack again, with other parameters."""
    stacks = springboard.client("cloudformation")
    stacks.update_stack(
        StackName=stack.STACK,
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": "BaseDomain", "UsePreviousValue": True},
            *({"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()),
        ],
    )
    springboard.until(
        lambda: stacks.describe_stacks(StackName=stack.STACK)["Stacks"][0]["StackStatus"] == "UPDATE_COMPLETE"
    )
