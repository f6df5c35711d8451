"""What ELB, ACM, Route 53 and the owners of other names do to an environment's address: F28-F31."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.services import eks
from tests.steps.flow import invariants
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
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
    refused = springboard.call("POST", "/environments", wanted)
    for each in made:
        route53.delete_hosted_zone(Id=each["HostedZone"]["Id"])
    assert refused.status == 422, refused
    [error] = refused.document["errors"]
    assert told in error["message"], error
    assert error["remedy"]
    assert "host" in error["field"]
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
