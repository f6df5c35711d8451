"""What of an account is one environment's, by plain AWS calls: each thing with its identity, owner and settings.

An identity is what there may be one of: the cluster's name, a listener's port, a rule's hosts. Two things of the same
kind and identity are a duplicate, whatever their ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from springboard.naming import OWNER_TAG
from tests.steps.flow.inventory import pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.steps.flow.inventory import Client

# What AWS counts or dates, and what is another one each time.
_VOLATILE = frozenset(
    {
        "certificateAuthority",
        "CertificateArn",
        "clientRequestToken",
        "CreatedAt",
        "createdAt",
        "createdBy",
        "CreatedBy",
        "CreateTime",
        "CreationDate",
        "CreatedTime",
        "creationTime",
        "endpoint",
        "ForwardedValues",
        "GroupOwnerId",
        "health",
        "identity",
        "IpAddress",
        "issuer",
        "IssuedAt",
        "modifiedAt",
        "NotAfter",
        "NotBefore",
        "OwnerId",
        "Serial",
        "status",
        "storedBytes",
        "tags",
        "Tags",
    }
)
_VOLATILE_ENDINGS = ("Arn", "ARN", "Timestamp", "arn", "Version", "PeerId", "PeeringConnectionId", "RuleId")
_IDS = re.compile(r"\b(subnet|vpc|sg|lt|sgr|a)-[0-9a-f]{8,17}\b")


@dataclass(frozen=True)
class Resource:
    """One thing of an environment. `tags` is None where AWS takes none on such a thing."""

    kind: str
    identity: str
    tags: Mapping[str, str] | None = None
    settings: Any = field(default=None, compare=False)
    state: str = ""  # AWS's own word, where the kind has a lifecycle
    aws_id: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.identity}"


def owned(client: Client, name: str, uid: str, stack: str = "springboard") -> list[Resource]:
    """All of the environment's: by its owner tag, by its names, by what hangs on these."""
    return [
        *_cluster(client, f"{stack}-{name}"),
        *_network(client, f"{stack}-{name}-", uid),
        *_load_balancing(client, uid),
        *_certificates(client, uid),
        *_records(client, uid),
        *_schedules(client, f"{stack}-{name}-"),
        *_monitoring(client, f"{stack}-{name}", uid),
    ]


def normalised(resources: Sequence[Resource], name: str, uid: str) -> dict[str, str]:
    """Kind and identity → settings and state, with what is one environment's alone taken out: name, uid, ids.

    Two environments of equal specs are equal so, whenever and however they were made.
    """
    ids = {each.aws_id: each.identity for each in resources if each.aws_id}
    words = re.compile(rf"\b{re.escape(name)}\b")

    def told(text: str) -> str:
        text = _IDS.sub(lambda found: ids.get(found[0], found[1]), text)
        text = re.sub(rf"({re.escape(name)}(?:-[a-z-]+)?)-[a-z2-7]{{8}}\b", r"\1-HASH", text.replace(uid, "UID"))
        text = re.sub(r"eks-([a-z0-9-]+)-[0-9a-f]{8}-[0-9a-f-]{27}", r"eks-\1-UUID", text)
        text = re.sub(r"\bat\([0-9T:-]+\)", "at(TIME)", text)
        return words.sub("NAME", text)

    def sorted_again(settings: Any) -> str:
        # Lists were in the order of ids.
        return json.dumps(settled(json.loads(told(json.dumps(settings, default=str)))), sort_keys=True)

    return {told(str(each)): f"{each.state} {sorted_again(each.settings)}" for each in resources}


def settled(settings: Any) -> Any:
    """Settings without what differs from one making to the next: ids, times, counters."""
    if isinstance(settings, Mapping):
        return {
            key: settled(value)
            for key, value in sorted(settings.items())
            if key not in _VOLATILE and not key.endswith(_VOLATILE_ENDINGS)
        }
    if isinstance(settings, list):
        return sorted((settled(each) for each in settings), key=lambda each: json.dumps(each, default=str))
    return settings


def _pairs(tags: Any) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in tags or ()}


def _cluster(client: Client, name: str) -> Iterator[Resource]:
    eks = client("eks")
    if name not in pages(eks, "list_clusters", "clusters"):
        return
    cluster = eks.describe_cluster(name=name)["cluster"]
    yield Resource("cluster", name, cluster["tags"], settled(cluster), cluster["status"])
    for group in pages(eks, "list_nodegroups", "nodegroups", clusterName=name):
        found = eks.describe_nodegroup(clusterName=name, nodegroupName=group)["nodegroup"]
        yield Resource("node group", group, found["tags"], settled(found), found["status"])
        for asg in found.get("resources", {}).get("autoScalingGroups", ()):
            yield from _scaling(client, group, asg["name"])
    for addon in pages(eks, "list_addons", "addons", clusterName=name):
        found = eks.describe_addon(clusterName=name, addonName=addon)["addon"]
        yield Resource("add-on", addon, found["tags"], settled(found), found["status"])
    for principal in pages(eks, "list_access_entries", "accessEntries", clusterName=name):
        found = eks.describe_access_entry(clusterName=name, principalArn=principal)["accessEntry"]
        policies = pages(
            eks, "list_associated_access_policies", "associatedAccessPolicies", clusterName=name, principalArn=principal
        )
        by_eks = found["type"] != "STANDARD"  # the nodes' own entry
        tags = None if by_eks else found["tags"]
        settings = {**settled(found), "policies": sorted((e["policyArn"], str(e["accessScope"])) for e in policies)}
        yield Resource("access entry", principal, tags, settings)
    for each in pages(eks, "list_pod_identity_associations", "associations", clusterName=name):
        found = eks.describe_pod_identity_association(clusterName=name, associationId=each["associationId"])
        identity = f"{each['namespace']}/{each['serviceAccount']}"
        # One that an add-on declares is EKS's own.
        tags = None if found["association"].get("ownerArn") else found["association"]["tags"]
        yield Resource("pod identity", identity, tags, settled(found["association"]))


def _scaling(client: Client, group: str, name: str) -> Iterator[Resource]:
    """The Auto Scaling group that EKS made: it carries EKS's tags, not ours."""
    autoscaling = client("autoscaling")
    for found in autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]:
        sizes = {key: found[key] for key in ("MinSize", "MaxSize", "DesiredCapacity")}
        sources = pages(autoscaling, "describe_traffic_sources", "TrafficSources", AutoScalingGroupName=name)
        settings = {**sizes, "instances": len(found["Instances"]), "targets": sum(1 for _ in sources)}
        yield Resource("Auto Scaling group", group, None, settings)


def _network(client: Client, prefix: str, uid: str) -> Iterator[Resource]:
    ec2 = client("ec2")
    for group in pages(ec2, "describe_security_groups", "SecurityGroups"):
        tags = _pairs(group.get("Tags"))
        if tags.get(OWNER_TAG) != uid and not group["GroupName"].startswith(prefix):
            continue
        told = {key: value for key, value in settled(group).items() if key != "GroupId"}
        yield Resource("security group", group["GroupName"], tags, told, aws_id=group["GroupId"])
        filters = [{"Name": "group-id", "Values": [group["GroupId"]]}]
        for rule in pages(ec2, "describe_security_group_rules", "SecurityGroupRules", Filters=filters):
            known = {key: value for key, value in settled(rule).items() if value is not None and key != "GroupId"}
            yield Resource("rule", f"{group['GroupName']} {json.dumps(known, sort_keys=True)}", None, known)
    for template in pages(ec2, "describe_launch_templates", "LaunchTemplates"):
        tags = _pairs(template.get("Tags"))
        if tags.get(OWNER_TAG) == uid or template["LaunchTemplateName"].startswith(prefix):
            name = template["LaunchTemplateName"]
            latest = ec2.describe_launch_template_versions(LaunchTemplateName=name, Versions=["$Latest"])
            data = latest["LaunchTemplateVersions"][0]["LaunchTemplateData"]
            yield Resource("launch template", name, tags, settled(data), aws_id=template["LaunchTemplateId"])


def _load_balancing(client: Client, uid: str) -> Iterator[Resource]:
    elb = client("elbv2")
    balancers = list(pages(elb, "describe_load_balancers", "LoadBalancers"))
    groups = list(pages(elb, "describe_target_groups", "TargetGroups"))
    tags = _elb_tags(elb, [e["LoadBalancerArn"] for e in balancers] + [e["TargetGroupArn"] for e in groups])
    for group in groups:
        arn = group["TargetGroupArn"]
        if tags[arn].get(OWNER_TAG) == uid:
            kept = {key: group[key] for key in ("Protocol", "Port", "TargetType", "HealthCheckPath", "Matcher")}
            attributes = elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
            health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
            states = sorted(each["TargetHealth"]["State"] for each in health)
            settings = {**kept, "attributes": settled(attributes), "health": states}
            yield Resource("target group", group["TargetGroupName"], tags[arn], settings)
    for balancer in balancers:
        arn = balancer["LoadBalancerArn"]
        if tags[arn].get(OWNER_TAG) != uid:
            continue
        attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        kept = {"Scheme": balancer["Scheme"], "zones": len(balancer["AvailabilityZones"])}
        kept |= {"groups": len(balancer["SecurityGroups"]), "attributes": settled(attributes)}
        yield Resource("load balancer", balancer["LoadBalancerName"], tags[arn], kept, balancer["State"]["Code"])
        for listener in pages(elb, "describe_listeners", "Listeners", LoadBalancerArn=arn):
            its = _elb_tags(elb, [listener["ListenerArn"]])[listener["ListenerArn"]]
            yield Resource("listener", str(listener["Port"]), its, settled(listener))
            for rule in pages(elb, "describe_rules", "Rules", ListenerArn=listener["ListenerArn"]):
                if rule["IsDefault"]:
                    continue
                its = _elb_tags(elb, [rule["RuleArn"]])[rule["RuleArn"]]
                identity = json.dumps([listener["Port"], settled(rule["Conditions"])], sort_keys=True)
                yield Resource("listener rule", identity, its, settled(rule))


def _elb_tags(elb: Any, arns: list[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for first in range(0, len(arns), 20):  # the most that one call takes
        answer = elb.describe_tags(ResourceArns=arns[first : first + 20])["TagDescriptions"]
        found |= {each["ResourceArn"]: _pairs(each["Tags"]) for each in answer}
    return found


def _certificates(client: Client, uid: str) -> Iterator[Resource]:
    acm = client("acm")
    for summary in pages(acm, "list_certificates", "CertificateSummaryList"):
        arn = summary["CertificateArn"]
        tags = _pairs(acm.list_tags_for_certificate(CertificateArn=arn)["Tags"])
        if tags.get(OWNER_TAG) == uid:
            found = acm.describe_certificate(CertificateArn=arn)["Certificate"]
            hosts = sorted(found["SubjectAlternativeNames"])
            yield Resource("certificate", ",".join(hosts), tags, {"hosts": hosts}, found["Status"])


def _records(client: Client, uid: str) -> Iterator[Resource]:
    """The records that point to the environment's load balancers, and those that prove its certificates."""
    acm, elb, route53 = client("acm"), client("elbv2"), client("route53")
    balancers = {e["LoadBalancerArn"]: e["DNSName"] for e in pages(elb, "describe_load_balancers", "LoadBalancers")}
    tags = _elb_tags(elb, list(balancers))
    names = {name.lower() for arn, name in balancers.items() if tags[arn].get(OWNER_TAG) == uid}
    proofs: set[str] = set()
    for summary in pages(acm, "list_certificates", "CertificateSummaryList"):
        arn = summary["CertificateArn"]
        if _pairs(acm.list_tags_for_certificate(CertificateArn=arn)["Tags"]).get(OWNER_TAG) == uid:
            options = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
            proofs |= {option["ResourceRecord"]["Name"] for option in options if "ResourceRecord" in option}
    for zone in pages(route53, "list_hosted_zones", "HostedZones"):
        for record in pages(route53, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone["Id"]):
            target = record.get("AliasTarget", {}).get("DNSName", "").rstrip(".").lower().removeprefix("dualstack.")
            if target in names or record["Name"] in proofs:
                name = record["Name"] if target in names else f"proof of {record['Name'].partition('.')[2]}"
                yield Resource("record", f"{record['Type']} {name}", None, {"type": record["Type"]})


def _schedules(client: Client, prefix: str) -> Iterator[Resource]:
    scheduler = client("scheduler")
    for each in pages(scheduler, "list_schedules", "Schedules"):
        if each["Name"].startswith(prefix):
            found = scheduler.get_schedule(Name=each["Name"], GroupName=each["GroupName"])
            kept = {
                key: found[key] for key in ("ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow")
            }
            yield Resource("schedule", each["Name"], None, kept)


def _monitoring(client: Client, prefix: str, uid: str) -> Iterator[Resource]:
    cloudwatch, logs = client("cloudwatch"), client("logs")
    for alarm in pages(cloudwatch, "describe_alarms", "MetricAlarms"):
        tags = _pairs(cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"])
        if tags.get(OWNER_TAG) == uid or alarm["AlarmName"].startswith(f"{prefix}-"):
            kept = ("Namespace", "MetricName", "Threshold", "ComparisonOperator", "EvaluationPeriods", "Period")
            yield Resource("alarm", alarm["AlarmName"], tags, {key: alarm.get(key) for key in kept})
    for each in pages(cloudwatch, "list_dashboards", "DashboardEntries"):
        if each["DashboardName"].startswith(f"{prefix}-"):
            yield Resource("dashboard", each["DashboardName"])
    for group in pages(logs, "describe_log_groups", "logGroups", logGroupNamePrefix=f"/aws/eks/{prefix}/"):
        tags = logs.list_tags_for_resource(resourceArn=group["arn"].removesuffix(":*"))["tags"]
        yield Resource("log group", group["logGroupName"], tags, {"retention": group.get("retentionInDays")})
