"""What ELB, ACM, Route 53 and the owners of other names do to an environment's address: F28-F31."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.services import eks
from tests.steps.flow import invariants
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.steps.flow.springboard import Springboard

pytestmark = pytest.mark.sweep

BASE = "dev.example.com"


def slow(springboard: Springboard, operation: str, seconds: float) -> None:
    """Let AWS take so long over something."""
    springboard.cloud.latency.slow[operation] = seconds  # type: ignore[attr-defined] # the fixture's


def zone(springboard: Springboard) -> str:
    """The hosted zone that the environments' names are in."""
    [found] = springboard.client("route53").list_hosted_zones_by_name(DNSName=BASE, MaxItems="1")["HostedZones"]
    return str(found["Id"])


def records(springboard: Springboard, name: str) -> list[dict[str, Any]]:
    """All records of a name."""
    found = springboard.client("route53").list_resource_record_sets(HostedZoneId=zone(springboard))
    return [each for each in found["ResourceRecordSets"] if each["Name"] == f"{name}."]


def change(springboard: Springboard, action: str, record: dict[str, Any]) -> None:
    """A change that somebody else makes."""
    springboard.client("route53").change_resource_record_sets(
        HostedZoneId=zone(springboard), ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    )


def record(name: str, kind: str) -> dict[str, Any]:
    """A record of somebody else's."""
    value = {"A": "192.0.2.7", "AAAA": "2001:db8::7", "CNAME": "theirs.example.org"}[kind]
    return {"Name": f"{name}.", "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}


# F28


def test_f28_a_load_balancer_that_is_never_active_is_bounded_and_waited_for_again(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    wanted = document("stuck")
    slow(springboard, "elbv2:CreateLoadBalancer", 9000)
    failed = springboard.apply(wanted)
    assert failed.phase == "Failed"
    assert failed.failure["step"] in {"EnsureLoadBalancer", "EnsureTargets", "EnsureWorkload"}, failed.failure
    assert "waited " in failed.failure["cause"]
    assert "provisioning" in failed.condition("LoadBalancerReady")["message"], failed.condition("LoadBalancerReady")
    springboard.forget_calls()
    invariants.converges(springboard, wanted)
    assert "elasticloadbalancing:CreateLoadBalancer" not in springboard.mutating()
    invariants.deleted(springboard, "stuck", before)


def test_f28_targets_that_stay_unhealthy_are_bounded_with_what_the_pods_say(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    wanted = document("mute")
    accepted = springboard.send(wanted)
    springboard.until(lambda: eks.control_plane("springboard-mute") is not None)
    plane = eks.control_plane("springboard-mute")
    assert plane is not None
    plane.inject({"kind": "Image", "match": "*shop*", "reason": "NotReady"})
    springboard.finish(accepted)
    failed = springboard.get("mute")
    assert failed.phase == "Failed"
    assert failed.failure["step"] in {"EnsureWorkload", "EnsureTargets"}, failed.failure
    invariants.check(springboard, "mute")
    diagnosis = str(springboard.call("GET", "/environments/mute/diagnosis").document)
    assert "readiness probe" in diagnosis, diagnosis
    plane.inject({"kind": "Image", "match": "*shop*", "reason": ""})
    invariants.converges(springboard, wanted)
    invariants.deleted(springboard, "mute", before)


def target_group(springboard: Springboard, name: str) -> dict[str, Any]:
    """The target group of the environment's one application."""
    found = springboard.client("elbv2").describe_target_groups()["TargetGroups"]
    [ours] = [each for each in found if each["TargetGroupName"].startswith(f"springboard-{name}-")]
    return dict(ours)


def node_ingress(springboard: Springboard, name: str) -> dict[str, Any]:
    """The security group that lets the load balancer reach the nodes' ports."""
    filters = [{"Name": "tag:springboard:name", "Values": [name]}]
    found = springboard.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    [ours] = [each for each in found if "-node-ingress-" in each["GroupName"]]
    return dict(ours)


def wrong_path(springboard: Springboard, name: str) -> None:
    """Somebody has the health check ask for a page that there isn't."""
    springboard.client("elbv2").modify_target_group(
        TargetGroupArn=target_group(springboard, name)["TargetGroupArn"], HealthCheckPath="/actuator/nothing"
    )


def blocked(springboard: Springboard, name: str) -> None:
    """Somebody takes the rule away by which the load balancer reaches the nodes."""
    group = node_ingress(springboard, name)
    springboard.client("ec2").revoke_security_group_ingress(
        GroupId=group["GroupId"], IpPermissions=group["IpPermissions"]
    )


@pytest.mark.parametrize(
    ("spoil", "code", "remedy"),
    [
        (wrong_path, "Target.ResponseCodeMismatch", "spring.actuatorPath"),
        (blocked, "Target.Timeout", "security groups"),
    ],
)
def test_f28_healthy_pods_behind_unhealthy_targets_tell_the_load_balancer_s_reason(
    springboard: Springboard, spoil: Callable[[Springboard, str], None], code: str, remedy: str
) -> None:
    """While it is created and while it is changed; each time a retry puts our own rule or health check back."""
    before = inventory(springboard.client)
    name = spoil.__name__.replace("_", "-")
    wanted = document(name)
    accepted = springboard.send(wanted)
    springboard.clock.advance(120)  # groups and rules are made, nodes are not
    spoil(springboard, name)
    springboard.finish(accepted)
    unhealthy(springboard, name, code, remedy)
    invariants.converges(springboard, wanted)

    # A node group more: its nodes are registered with what somebody has spoilt meanwhile.
    more = document(name, nodeGroups=[{"name": "workers", "size": 2}, {"name": "more", "size": 1}])
    accepted = springboard.send(more)
    springboard.clock.advance(60)
    spoil(springboard, name)
    springboard.finish(accepted)
    unhealthy(springboard, name, code, remedy)
    invariants.converges(springboard, more)

    spoil(springboard, name)
    invariants.deleted(springboard, name, before)


def unhealthy(springboard: Springboard, name: str, code: str, remedy: str) -> None:
    """EnsureTargets failed for what the load balancer says; the pods are well, and that is told too."""
    invariants.check(springboard, name)
    failed = springboard.get(name)
    assert failed.failure["step"] == "EnsureTargets", failed.failure
    assert code in failed.failure["cause"], failed.failure
    assert remedy in failed.failure["remedy"], failed.failure
    assert code in failed.condition("TargetsReady")["message"]
    assert failed.condition("TargetsReady")["reason"] == "TimedOut"
    assert failed.condition("WorkloadReady")["status"] == "True"
    assert springboard.call("GET", f"/environments/{name}/diagnosis").document["reports"] == []


# F29


def test_f29_a_certificate_that_is_not_issued_shows_the_wanted_record_and_is_waited_for_again(
    springboard: Springboard,
) -> None:
    before = inventory(springboard.client)
    wanted = document("unproven")
    slow(springboard, "acm:Validation", 8000)
    failed = springboard.apply(wanted)
    assert (failed.phase, failed.failure["step"]) == ("Failed", "EnsureCertificate")
    condition = failed.condition("CertificateReady")
    assert condition["reason"] == "TimedOut"
    assert f".unproven.{BASE}" in condition["message"], condition
    assert " CNAME " in condition["message"], condition
    assert "acm-validations.aws" in condition["message"], condition
    springboard.forget_calls()
    invariants.converges(springboard, wanted)
    assert "acm:RequestCertificate" not in springboard.mutating()

    moved = document("unproven")
    moved["spec"]["apps"][0]["host"] = f"elsewhere.{BASE}"
    slow(springboard, "acm:Validation", 8000)
    failed = springboard.apply(moved)
    assert (failed.phase, failed.failure["step"]) == ("Degraded", "EnsureCertificate")
    assert f".elsewhere.{BASE}" in failed.condition("CertificateReady")["message"]
    assert failed.condition("Available")["status"] == "True"
    invariants.check(springboard, "unproven")
    invariants.converges(springboard, moved)
    invariants.deleted(springboard, "unproven", before)


# F30


@pytest.mark.parametrize(
    ("zones", "host", "told"),
    [
        ([], "shop.nowhere.example.net", "no hosted zone of this account holds"),
        (["private"], "shop.inside.example.net", "only private hosted zones hold"),
        (["public", "public"], "shop.twice.example.net", "several public hosted zones"),
    ],
)
def test_f30_a_host_without_one_public_zone_is_refused_before_anything_is_made(
    springboard: Springboard, zones: list[str], host: str, told: str
) -> None:
    assert springboard.apply(document("homed")).phase == "Ready"
    route53 = springboard.client("route53")
    vpc = springboard.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    made = []
    for number, kind in enumerate(zones):
        private: dict[str, Any] = {
            "VPC": {"VPCRegion": "eu-west-1", "VPCId": vpc},
            "HostedZoneConfig": {"PrivateZone": True},
        }
        name, only = host.partition(".")[2], private if kind == "private" else {}
        made.append(route53.create_hosted_zone(Name=name, CallerReference=f"{host}-{number}", **only))
    before = inventory(springboard.client)
    wanted = document("homeless")
    wanted["spec"]["apps"][0]["host"] = host
    moved = document("homed")
    moved["spec"]["apps"][0]["host"] = host
    springboard.forget_calls()
    answers = [springboard.call("POST", "/environments", wanted), springboard.send(moved)]
    for each in made:
        route53.delete_hosted_zone(Id=each["HostedZone"]["Id"])
    for refused in answers:
        assert refused.status == 422, refused
        [error] = refused.document["errors"]
        assert told in error["message"], error
        assert error["remedy"]
        assert "host" in error["field"]
    assert springboard.mutating() == []
    invariants.check(springboard, "homed")
    assert springboard.call("GET", "/environments/homeless").status == 404
    assert inventory(springboard.client) <= before


# F31


@pytest.mark.parametrize("kind", ["A", "AAAA", "CNAME"])
def test_f31_a_name_that_somebody_has_is_not_taken_by_a_create(springboard: Springboard, kind: str) -> None:
    before = inventory(springboard.client)
    name = f"owned-{kind.lower()}"
    theirs = record(f"{name}.{BASE}", kind)
    change(springboard, "CREATE", theirs)
    wanted = document(name)
    failed = springboard.apply(wanted)
    assert (failed.phase, failed.failure["step"]) == ("Failed", "EnsureDns"), failed.failure
    assert failed.condition("DnsReady")["reason"] == "NotOurs"
    assert theirs["ResourceRecords"][0]["Value"] in failed.failure["cause"]
    assert "choose another host" in failed.failure["remedy"]
    invariants.check(springboard, name)
    assert records(springboard, f"{name}.{BASE}") == [theirs]
    change(springboard, "DELETE", theirs)
    invariants.converges(springboard, wanted)
    invariants.deleted(springboard, name, before)


def test_f31_nor_by_a_change_of_host_nor_by_a_delete(springboard: Springboard) -> None:
    wildcard = record(f"*.{BASE}", "CNAME")
    change(springboard, "CREATE", wildcard)
    theirs = record(f"coveted.{BASE}", "CNAME")
    change(springboard, "CREATE", theirs)
    before = inventory(springboard.client)
    wanted = document("mover")
    assert springboard.apply(wanted).phase == "Ready"

    moved = document("mover")
    moved["spec"]["apps"][0]["host"] = f"coveted.{BASE}"
    failed = springboard.apply(moved)
    assert (failed.phase, failed.failure["step"]) == ("Degraded", "EnsureDns"), failed.failure
    assert records(springboard, f"coveted.{BASE}") == [theirs]
    back = springboard.apply(wanted)
    assert back.phase == "Ready", back.document["status"]

    [ours] = records(springboard, f"mover.{BASE}")
    taken_over = record(f"mover.{BASE}", "A")
    change(springboard, "UPSERT", taken_over)
    assert ours["AliasTarget"]
    springboard.delete("mover")
    assert records(springboard, f"mover.{BASE}") == [taken_over]
    change(springboard, "DELETE", taken_over)
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, "mover", before)
    assert [each["Type"] for each in records(springboard, f"\\052.{BASE}")] == ["CNAME"]
    change(springboard, "DELETE", theirs)
    change(springboard, "DELETE", wildcard)
