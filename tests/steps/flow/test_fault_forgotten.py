"""What leaves the spec leaves the account, even if a killed handler had made it and nobody had written it down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.steps.flow import invariants, kills
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from tests.steps.flow.springboard import Springboard


@pytest.mark.sweep
def test_f4_a_host_that_leaves_before_a_retry_takes_its_record_and_certificate_along(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    wanted = document("moved")
    wanted["spec"]["apps"][0]["host"] = "former.dev.example.com"
    assert springboard.send(wanted).status == 202
    # Certificate and record are made, and every handler dies before it can say so, until the machine gives up.
    made = kills.kill(springboard, "kill-after", "route53:ChangeResourceRecordSets", "dns")
    springboard.until(lambda: made.struck > 0)
    springboard.client("stepfunctions").stop_execution(
        executionArn=springboard.execution(springboard.get("moved").operation)
    )
    failed = invariants.at_rest(springboard, "moved")
    assert failed.phase == "Failed"
    former = [each for each in inventory(springboard.client) - before if "former.dev.example.com" in each]
    assert len(former) >= 2, former

    wanted["spec"]["apps"][0]["host"] = "present.dev.example.com"
    status = springboard.apply(wanted)
    assert status.phase == "Ready", status.document["status"]
    left = [each for each in inventory(springboard.client) - before if "former.dev.example.com" in each]
    assert left == []
    invariants.deleted(springboard, "moved", before)


@pytest.mark.slow
def test_f4_killed_as_the_former_certificate_goes_the_change_looks_once_more_and_is_ready(
    springboard: Springboard,
) -> None:
    before = inventory(springboard.client)
    wanted = document("dropped")
    wanted["spec"]["apps"][0]["host"] = "dropped.dev.example.com"
    assert springboard.apply(wanted).phase == "Ready"
    deletion = kills.kill(springboard, "kill-after", "acm:DeleteCertificate", "certificate")
    wanted["spec"]["apps"][0]["host"] = "kept.dev.example.com"
    status = springboard.apply(wanted)
    assert deletion.struck == 1
    assert status.phase == "Ready", status.document["status"]
    left = [each for each in inventory(springboard.client) - before if "dropped.dev.example.com" in each]
    assert left == []
    invariants.unchanged(springboard, wanted)
    invariants.deleted(springboard, "dropped", before)


def stopped(springboard: Springboard, wanted: dict[str, Any], call: str, function: str) -> None:
    """Ask for the document; a handler dies after a call, before it can say so, and the execution is stopped there."""
    made = kills.kill(springboard, "kill-after", call, function)
    assert springboard.send(wanted).status == 202
    name = wanted["metadata"]["name"]
    springboard.until(lambda: made.struck > 0)
    execution = springboard.execution(springboard.get(name).operation)
    springboard.client("stepfunctions").stop_execution(executionArn=execution)
    invariants.at_rest(springboard, name)
    invariants.check(springboard, name)


def templates(springboard: Springboard, name: str) -> list[str]:
    """Launch templates of ours, and not those that EKS makes of them."""
    return [each for each in inventory(springboard.client) if each.startswith(f"launch template springboard-{name}-")]


@pytest.mark.sweep
def test_f4_what_a_stopped_change_had_begun_goes_with_the_spec_that_wanted_it(springboard: Springboard) -> None:
    """A node group's launch template, the end of life, a label: each made, and never written down."""
    before = inventory(springboard.client)
    plain = document("undone")
    assert springboard.apply(plain).phase == "Ready"
    group = {"name": "more", "size": 1}
    more = document("undone", nodeGroups=[*plain["spec"]["nodeGroups"], group])
    stopped(springboard, more, "ec2:CreateLaunchTemplate", "node-groups")
    assert len(templates(springboard, "undone")) == 2
    mortal = document("undone", ttlHours=8)
    stopped(springboard, mortal, "scheduler:CreateSchedule", "schedules")
    assert [each for each in inventory(springboard.client) - before if "schedule" in each and "ttl" in each]
    labelled = {**plain, "metadata": {"name": "undone", "labels": {"team": "checkout"}}}
    stopped(springboard, labelled, "eks:TagResource", "cluster")
    status = springboard.apply(plain)
    assert status.phase == "Ready", status.document["status"]
    assert len(templates(springboard, "undone")) == 1
    assert not [each for each in inventory(springboard.client) - before if "schedule" in each and "ttl" in each]
    cluster = springboard.client("eks").describe_cluster(name="springboard-undone")["cluster"]
    assert "team" not in cluster["tags"]
    invariants.unchanged(springboard, plain)
    invariants.unchanged_by_an_operation(springboard, "undone")
    invariants.deleted(springboard, "undone", before)


@pytest.mark.sweep
def test_a_node_group_that_leaves_takes_its_launch_template_along(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    both = document("fewer", nodeGroups=[{"name": "workers", "size": 2}, {"name": "more", "size": 2}])
    assert springboard.apply(both).phase == "Ready"
    assert len(templates(springboard, "fewer")) == 2
    status = springboard.apply(document("fewer"))
    assert status.phase == "Ready", status.document["status"]
    assert len(templates(springboard, "fewer")) == 1
    invariants.unchanged(springboard, document("fewer"))
    invariants.deleted(springboard, "fewer", before)


def proofs(springboard: Springboard, host: str) -> list[dict[str, Any]]:
    """The CNAMEs that prove a host, and the zone's id with each."""
    route53 = springboard.client("route53")
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    found = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    proving = [each for each in found if each["Type"] == "CNAME" and each["Name"].endswith(f".{host}.")]
    return [{"zone": zone, "record": each} for each in proving]


@pytest.mark.slow
def test_a_validation_record_that_somebody_removed_is_told_and_made_anew(springboard: Springboard) -> None:
    """ACM renews only what is still proven: told under `drift: Report`, mended under `Repair` and by an apply."""
    name, host = "proven", "proven.dev.example.com"
    before = inventory(springboard.client)
    assert springboard.apply(document(name)).phase == "Ready"

    def remove() -> None:
        [found] = proofs(springboard, host)
        springboard.client("route53").change_resource_record_sets(
            HostedZoneId=found["zone"],
            ChangeBatch={"Changes": [{"Action": "DELETE", "ResourceRecordSet": found["record"]}]},
        )

    remove()
    springboard.clock.advance(8 * 3600)
    drifted = springboard.get(name)
    assert drifted.condition("Drifted")["status"] == "True"
    [difference] = drifted.document["status"]["drift"]
    assert (difference["component"], difference["action"]) == ("certificate", "Create")
    assert proofs(springboard, host) == []
    assert springboard.apply(document(name)).operation["kind"] == "Repair"
    assert len(proofs(springboard, host)) == 1
    invariants.unchanged(springboard, document(name))

    assert springboard.apply(document(name, drift="Repair")).phase == "Ready"
    remove()
    springboard.until(lambda: springboard.get(name).operation["kind"] == "Repair", 8 * 3600)
    mended = invariants.at_rest(springboard, name)
    assert mended.phase == "Ready", mended.document["status"]
    assert len(proofs(springboard, host)) == 1
    springboard.clock.advance(8 * 3600)
    assert springboard.get(name).condition("Drifted")["status"] == "False"
    invariants.deleted(springboard, name, before)
