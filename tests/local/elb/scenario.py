"""A local account with a network, and a stand-in for the clusters behind its instances."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from springboard_local.clock import ManualClock
from springboard_local.cloud import LocalCloud, Settings
from springboard_local.kubernetes.lane import Backend

if TYPE_CHECKING:
    from collections.abc import Iterator

POD = Backend("shop", "shop-7d4b9c-x1", "node", "10.0.0.9", ready=True, reason="", admits_vpc=True, image="shop:1")
IMAGE = "ami-12c6146b"  # one of those that moto knows
DEFAULT_ACTION = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


@dataclass
class Cluster:
    """What the instances lead to; also its own control plane."""

    pods: list[Backend] = field(default_factory=lambda: [POD])
    node_ready: bool = True
    is_node: bool = True

    def node_of_instance(self, instance_id: str) -> tuple[str, str] | None:
        return ("cluster", f"node-of-{instance_id}") if self.is_node else None

    def control_plane(self, cluster_name: str) -> Plane:
        assert cluster_name == "cluster"
        return Plane(self)

    def change(self, **changes: Any) -> None:
        self.pods = [replace(pod, **changes) for pod in self.pods]


@dataclass
class Plane:
    cluster: Cluster

    def nodes(self) -> list[dict[str, Any]]:
        status = "True" if self.cluster.node_ready else "False"
        conditions = [{"type": "Ready", "status": status}]
        return [{"metadata": {"name": name}, "status": {"conditions": conditions}} for name in AnyNode.names]

    def backends(self, node_port: int) -> list[Backend]:
        return self.cluster.pods if node_port == 30000 else []


class AnyNode:
    """Names of the nodes of all instances that a test has started."""

    names: list[str] = []  # noqa: RUF012 - filled by the account, emptied with it


class Account:
    """What the tests say to the local cloud."""

    def __init__(self, cloud: LocalCloud, clock: ManualClock, cluster: Cluster) -> None:
        self.cloud, self.clock, self.cluster = cloud, clock, cluster
        for service in ("ec2", "elbv2", "acm", "route53", "ecr", "cloudwatch", "logs"):
            setattr(self, service, cloud.client(service))
        self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(VpcId=self.vpc, InternetGatewayId=gateway)
        self.subnets = [self.subnet(zone, number) for number, zone in enumerate("abc")]
        self.group = self.security_group("alb")
        self.node_group = self.security_group("nodes")

    ec2: Any
    elbv2: Any
    acm: Any
    route53: Any
    ecr: Any
    cloudwatch: Any
    logs: Any

    def clear(self) -> None:
        """Delete what the tests make, except in EC2: each test has a VPC of its own there.

        A reset of the whole cloud would make moto load its machine images again, which is slow.
        """
        for balancer in self.elbv2.describe_load_balancers()["LoadBalancers"]:
            arn = balancer["LoadBalancerArn"]
            self.elbv2.delete_load_balancer(LoadBalancerArn=arn)
        for group in self.elbv2.describe_target_groups()["TargetGroups"]:
            self.elbv2.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
        for certificate in self.acm.list_certificates()["CertificateSummaryList"]:
            self.acm.delete_certificate(CertificateArn=certificate["CertificateArn"])
        for zone in self.route53.list_hosted_zones()["HostedZones"]:
            sets = self.route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
            changes = [{"Action": "DELETE", "ResourceRecordSet": each} for each in sets if each["Name"] != zone["Name"]]
            if changes:
                self.route53.change_resource_record_sets(HostedZoneId=zone["Id"], ChangeBatch={"Changes": changes})
            self.route53.delete_hosted_zone(Id=zone["Id"])

    def subnet(self, zone: str, number: int) -> str:
        made = self.ec2.create_subnet(
            VpcId=self.vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"eu-west-1{zone}"
        )
        return str(made["Subnet"]["SubnetId"])

    def security_group(self, name: str) -> str:
        return str(self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"])

    def admit(self, **source: Any) -> None:
        """Let `source` reach the node ports of the instances."""
        rule = {"IpProtocol": "tcp", "FromPort": 30000, "ToPort": 30085, **source}
        self.ec2.authorize_security_group_ingress(GroupId=self.node_group, IpPermissions=[rule])

    def admit_load_balancer(self) -> None:
        self.admit(UserIdGroupPairs=[{"GroupId": self.group}])

    def load_balancer(self, name: str = "shop", *, active: bool = True, **settings: Any) -> str:
        given = {"Subnets": self.subnets[:2], "SecurityGroups": [self.group], **settings}
        arn = self.elbv2.create_load_balancer(Name=name, **given)["LoadBalancers"][0]["LoadBalancerArn"]
        if active:
            self.clock.advance(145)
        return str(arn)

    def target_group(self, name: str = "shop", **settings: Any) -> str:
        given = {
            "Protocol": "HTTP",
            "Port": 30000,
            "VpcId": self.vpc,
            "HealthCheckPath": "/readyz",
            "HealthCheckIntervalSeconds": 10,
            "HealthyThresholdCount": 3,
            "UnhealthyThresholdCount": 2,
            **settings,
        }
        return str(self.elbv2.create_target_group(Name=name, **given)["TargetGroups"][0]["TargetGroupArn"])

    def listener(self, balancer: str, action: dict[str, Any] | None = None, **settings: Any) -> str:
        given = {"Port": 80, "Protocol": "HTTP", "DefaultActions": [action or DEFAULT_ACTION], **settings}
        made = self.elbv2.create_listener(LoadBalancerArn=balancer, **given)["Listeners"][0]
        return str(made["ListenerArn"])

    def rule(self, listener: str, priority: int, action: dict[str, Any], **condition: Any) -> str:
        made = self.elbv2.create_rule(ListenerArn=listener, Priority=priority, Conditions=[condition], Actions=[action])
        return str(made["Rules"][0]["RuleArn"])

    def instance(self, subnet: int = 0) -> str:
        made = self.ec2.run_instances(
            ImageId=IMAGE, MinCount=1, MaxCount=1, SubnetId=self.subnets[subnet], SecurityGroupIds=[self.node_group]
        )
        name = str(made["Instances"][0]["InstanceId"])
        AnyNode.names.append(f"node-of-{name}")
        return name

    def register(self, group: str, instance: str) -> None:
        self.elbv2.register_targets(TargetGroupArn=group, Targets=[{"Id": instance}])

    def health(self, group: str) -> list[tuple[str, str | None]]:
        """State and reason of each target."""
        answer = self.elbv2.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return [(each["TargetHealth"]["State"], each["TargetHealth"].get("Reason")) for each in answer]

    def zone(self, name: str = "dev.example.com", **settings: Any) -> str:
        made = self.route53.create_hosted_zone(Name=name, CallerReference=uuid4().hex, **settings)
        return str(made["HostedZone"]["Id"])

    def change(self, zone: str, action: str, name: str, kind: str = "A", *values: str, **settings: Any) -> Any:
        records = {"TTL": 60, "ResourceRecords": [{"Value": value} for value in values]} if values else {}
        record_set = {"Name": name, "Type": kind, **records, **settings}
        return self.route53.change_resource_record_sets(
            HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record_set}]}
        )["ChangeInfo"]

    def request_certificate(self, name: str = "shop.dev.example.com", *more: str, **settings: Any) -> str:
        alternatives = {"SubjectAlternativeNames": list(more)} if more else {}
        made = self.acm.request_certificate(DomainName=name, ValidationMethod="DNS", **alternatives, **settings)
        return str(made["CertificateArn"])

    def certificate(self, arn: str) -> dict[str, Any]:
        found: dict[str, Any] = self.acm.describe_certificate(CertificateArn=arn)["Certificate"]
        return found

    def validate(self, zone: str, arn: str) -> None:
        """Put the certificate's records into `zone`."""
        self.clock.advance(6)
        for option in self.certificate(arn)["DomainValidationOptions"]:
            record = option["ResourceRecord"]
            self.change(zone, "UPSERT", record["Name"], record["Type"], record["Value"])

    def issued_certificate(self, name: str = "shop.dev.example.com", *more: str) -> str:
        arn = self.request_certificate(name, *more)
        self.validate(self.zone(), arn)
        self.clock.advance(220)
        return arn


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalCloud, ManualClock, Cluster]]:
    clock, cluster = ManualClock(), Cluster()
    settings = Settings(
        state=tmp_path_factory.mktemp("cloud"), enforce_iam=False, spread=False, extra={"nodes": cluster}
    )
    with LocalCloud(settings, clock) as cloud:
        yield cloud, clock, cluster
    clock.close()


@pytest.fixture
def account(running: tuple[LocalCloud, ManualClock, Cluster]) -> Iterator[Account]:
    cloud, clock, cluster = running
    cluster.__init__()  # type: ignore[misc]  # back to its defaults
    AnyNode.names.clear()
    account = Account(cloud, clock, cluster)
    yield account
    account.clear()
