"""What an account holds, by plain AWS calls: whatever an environment leaves behind shows as a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    type Client = Callable[[str], Any]


def inventory(client: Client) -> frozenset[str]:
    """Everything of the kinds that an environment is made of, its own or not."""
    kinds = (_eks, _ec2, _autoscaling, _load_balancing, _certificates, _records, _schedules, _monitoring)
    return frozenset(each for kind in kinds for each in kind(client))


def pages(client: Any, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
    if not client.can_paginate(operation):
        yield from getattr(client, operation)(**parameters)[key]
        return
    for page in client.get_paginator(operation).paginate(**parameters):
        yield from page[key]


def _eks(client: Client) -> Iterator[str]:
    eks = client("eks")
    for cluster in pages(eks, "list_clusters", "clusters"):
        yield f"cluster {cluster}"
        yield from (f"node group {each}" for each in eks.list_nodegroups(clusterName=cluster)["nodegroups"])


def _ec2(client: Client) -> Iterator[str]:
    ec2 = client("ec2")
    groups = pages(ec2, "describe_security_groups", "SecurityGroups")
    yield from (f"security group {each['GroupId']} {each['GroupName']}" for each in groups)
    interfaces = pages(ec2, "describe_network_interfaces", "NetworkInterfaces")
    yield from (f"network interface {each['NetworkInterfaceId']} {each['Description']}" for each in interfaces)
    templates = pages(ec2, "describe_launch_templates", "LaunchTemplates")
    yield from (f"launch template {each['LaunchTemplateName']}" for each in templates)
    for reservation in pages(ec2, "describe_instances", "Reservations"):
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] != "terminated":
                yield f"instance {instance['InstanceId']}"
    yield from (f"volume {each['VolumeId']}" for each in pages(ec2, "describe_volumes", "Volumes"))


def _autoscaling(client: Client) -> Iterator[str]:
    groups = pages(client("autoscaling"), "describe_auto_scaling_groups", "AutoScalingGroups")
    yield from (f"Auto Scaling group {each['AutoScalingGroupName']}" for each in groups)


def _load_balancing(client: Client) -> Iterator[str]:
    elb = client("elbv2")
    yield from (each["LoadBalancerArn"] for each in pages(elb, "describe_load_balancers", "LoadBalancers"))
    yield from (each["TargetGroupArn"] for each in pages(elb, "describe_target_groups", "TargetGroups"))


def _certificates(client: Client) -> Iterator[str]:
    found = pages(client("acm"), "list_certificates", "CertificateSummaryList")
    yield from (f"{each['CertificateArn']} {each['DomainName']}" for each in found)


def _records(client: Client) -> Iterator[str]:
    route53 = client("route53")
    for zone in pages(route53, "list_hosted_zones", "HostedZones"):
        records = pages(route53, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone["Id"])
        yield from (f"record {each['Type']} {each['Name']}" for each in records)


def _schedules(client: Client) -> Iterator[str]:
    found = pages(client("scheduler"), "list_schedules", "Schedules")
    yield from (f"schedule {each['GroupName']}/{each['Name']}" for each in found)


def _monitoring(client: Client) -> Iterator[str]:
    cloudwatch = client("cloudwatch")
    yield from (f"alarm {each['AlarmName']}" for each in pages(cloudwatch, "describe_alarms", "MetricAlarms"))
    dashboards = pages(cloudwatch, "list_dashboards", "DashboardEntries")
    yield from (f"dashboard {each['DashboardName']}" for each in dashboards)
    yield from (
        f"log group {each['logGroupName']}" for each in pages(client("logs"), "describe_log_groups", "logGroups")
    )
