"""Environments from nothing to nothing, and what changes on the way: no more than was asked for."""

from __future__ import annotations

import json
import ssl
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from springboard.components.table import ROWS
from springboard_local.services import eks, ingress
from tests.steps.flow.invariants import unchanged, unchanged_by_an_operation
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document, example

if TYPE_CHECKING:
    from tests.steps.flow.springboard import Springboard

REGISTRY = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
SPRING_FAILURE = """\
***************************
APPLICATION FAILED TO START
***************************

Description:

Failed to configure a DataSource: 'url' attribute is not specified.

Action:

Consider the following:
\tIf you want an embedded database, please put it on the classpath.
"""


@pytest.fixture(scope="module")
def shop(deployed: Springboard) -> str:
    """A Ready environment; who changes it leaves it Ready."""
    ready = deployed.apply(document("shop"))
    assert ready.phase == "Ready", ready.document["status"]
    return "shop"


def declared(springboard: Springboard, name: str, **app: Any) -> dict[str, Any]:
    """The document as it stands, with changes to its application."""
    present = springboard.get(name).document
    changed = {key: present[key] for key in ("apiVersion", "kind", "metadata", "spec")}
    changed["metadata"] = {"name": name, "labels": present["metadata"].get("labels", {})}
    changed["spec"]["apps"][0] |= app
    return changed


def kubernetes(name: str, kind: str, *, api: str = "v1", app: str = "") -> dict[str, Any]:
    """An object of an environment's cluster."""
    plane = eks.control_plane(f"springboard-{name}")
    assert plane is not None
    found = plane.get(api, kind, name, app or name)
    assert found is not None, kind
    return found


def page(springboard: Springboard, host: str) -> tuple[int, dict[str, Any]]:
    """What a browser gets from the load balancer that the host's record points to."""
    zone = springboard.client("route53").list_hosted_zones()["HostedZones"][0]["Id"]
    records = springboard.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    [alias] = [each["AliasTarget"]["DNSName"] for each in records if each["Name"] == f"{host}." and each["Type"] == "A"]
    where = ingress.address(alias.rstrip(".").removeprefix("dualstack."))
    context = ssl.create_default_context(cafile=where["ca"])
    context.check_hostname = False  # the loopback address stands for the host
    request = urllib.request.Request(f"https://127.0.0.1:{where['https']}/", headers={"Host": host})
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {}


def test_a_new_stack_answers(springboard: Springboard) -> None:
    offered = springboard.call("GET", "/versions")
    assert (offered.status, springboard.call("GET", "/environments").status) == (200, 200)
    assert "1.35" in json.dumps(offered.document)


def test_ready_is_told_in_full(springboard: Springboard, shop: str) -> None:
    status = springboard.get(shop)
    conditions = {each["type"]: each["status"] for each in status.document["status"]["conditions"]}
    components = {row.condition for row in ROWS}
    assert set(conditions) == components | {"Ready", "Available", "Progressing", "Drifted"}
    assert {name for name, state in conditions.items() if state == "True"} >= components | {"Ready", "Available"}
    assert status.document["status"]["url"] == "https://shop.dev.example.com"
    assert status.document["status"]["cluster"]["name"] == "springboard-shop"
    events = springboard.events(shop)
    assert len({each["id"] for each in events}) == len(events)
    phases = [each["data"]["to"] for each in events if each["type"].endswith("PhaseChanged")]
    assert phases[:3] == ["Pending", "Provisioning", "Ready"]
    assert all(each["subject"] == shop for each in events)


def test_the_same_again_changes_nothing(springboard: Springboard, shop: str) -> None:
    springboard.forget_calls()
    reply = springboard.send(declared(springboard, shop))
    assert (reply.status, springboard.mutating()) == (200, [])


def test_another_image_and_replica_count_touch_the_deployment_alone(springboard: Springboard, shop: str) -> None:
    springboard.apply(declared(springboard, shop, image=f"{REGISTRY}/shop:1.4.2", replicas=2))
    before, service = kubernetes(shop, "Deployment", api="apps/v1"), kubernetes(shop, "Service")
    springboard.forget_calls()
    changed = springboard.apply(declared(springboard, shop, image=f"{REGISTRY}/shop:1.4.3", replicas=3))
    assert changed.phase == "Ready", changed.document["status"]
    assert springboard.mutating() == []
    after = kubernetes(shop, "Deployment", api="apps/v1")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert (after["spec"]["replicas"], after["status"]["availableReplicas"]) == (3, 3)
    images = [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in (before, after)]
    assert images[0] != images[1]
    untouched = kubernetes(shop, "Service")
    assert untouched["metadata"]["resourceVersion"] == service["metadata"]["resourceVersion"]


@pytest.mark.slow
def test_f33_a_release_that_crashes_is_diagnosed_while_the_one_before_serves(
    springboard: Springboard, shop: str
) -> None:
    springboard.apply(declared(springboard, shop, image=f"{REGISTRY}/shop:1.4.2"))
    good = kubernetes(shop, "Deployment", api="apps/v1")["spec"]["template"]["spec"]["containers"][0]["image"]
    plane = eks.control_plane("springboard-shop")
    assert plane is not None
    accepted = springboard.send(declared(springboard, shop, image=f"{REGISTRY}/shop:1.4.3"))
    wanted = springboard.get(shop).document["status"]["apps"][0]["digest"]
    fault = {"kind": "Image", "match": f"*{wanted}", "reason": "CrashLoopBackOff", "log": SPRING_FAILURE}
    plane.inject(fault)
    springboard.clock.advance(300)
    reply = springboard.call("GET", f"/environments/{shop}/diagnosis")
    report = reply.document["reports"][0]
    assert "Failed to configure a DataSource" in report["description"]
    assert "embedded database" in report["action"]
    status, answer = page(springboard, "shop.dev.example.com")
    assert (status, answer["image"]) == (200, good)
    springboard.finish(accepted)
    failed = springboard.get(shop)
    assert (failed.phase, failed.failure["step"]) == ("Degraded", "EnsureWorkload")
    assert "CrashLoopBackOff" in failed.failure["cause"]
    assert "DataSource" not in json.dumps(failed.document) + json.dumps(springboard.events(shop))
    plane.inject({**fault, "reason": ""})
    mended = springboard.apply(declared(springboard, shop, image=f"{REGISTRY}/shop:1.4.2"))
    assert mended.phase == "Ready", mended.document["status"]


@pytest.mark.slow
def test_a_larger_disk_replaces_the_nodes_and_nothing_else(springboard: Springboard, shop: str) -> None:
    name = f"springboard-{shop}"

    def nodes() -> dict[str, int]:
        """Instances of the group's, with the sizes of their disks."""
        ec2 = springboard.client("ec2")
        filters = [
            {"Name": "tag:eks:cluster-name", "Values": [name]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        found = [
            each
            for reservation in ec2.describe_instances(Filters=filters)["Reservations"]
            for each in reservation["Instances"]
        ]
        disks = {each["InstanceId"]: each["BlockDeviceMappings"][0]["Ebs"]["VolumeId"] for each in found}
        sizes = {each["VolumeId"]: each["Size"] for each in ec2.describe_volumes()["Volumes"]}
        return {instance: sizes[disk] for instance, disk in disks.items()}

    before = nodes()
    wanted = declared(springboard, shop)
    [group] = wanted["spec"]["nodeGroups"]
    group["diskGiB"] += 10
    springboard.forget_calls()
    changed = springboard.apply(wanted)
    assert changed.phase == "Ready", changed.document["status"]
    assert sorted(springboard.mutating()) == [
        "ec2:CreateLaunchTemplateVersion",
        "eks:UpdateNodegroupVersion",
    ]
    after = nodes()
    assert len(after) == len(before)
    assert not after.keys() & before.keys()
    assert set(after.values()) == {group["diskGiB"]}
    unchanged(springboard, wanted)
    unchanged_by_an_operation(springboard, shop)


def rules(springboard: Springboard) -> dict[str, list[str]]:
    """ARNs of the host rules on 443, by host."""
    elb = springboard.client("elbv2")
    [balancer] = [
        each
        for each in elb.describe_load_balancers()["LoadBalancers"]
        if each["LoadBalancerName"].startswith("springboard-shop-")
    ]
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    [secure] = [each["ListenerArn"] for each in listeners if each["Port"] == 443]
    found: dict[str, list[str]] = {}
    for rule in elb.describe_rules(ListenerArn=secure)["Rules"]:
        for condition in rule.get("Conditions", ()):
            for host in condition.get("HostHeaderConfig", {}).get("Values", ()):
                found.setdefault(host, []).append(rule["RuleArn"])
    return found


def test_drift_is_reported_and_where_the_spec_says_so_mended(springboard: Springboard, shop: str) -> None:
    elb, host = springboard.client("elbv2"), "shop.dev.example.com"
    for rule in rules(springboard)[host]:
        elb.delete_rule(RuleArn=rule)
    springboard.clock.advance(8 * 3600)
    drifted = springboard.get(shop)
    assert drifted.condition("Drifted")["status"] == "True"
    assert {each["component"] for each in drifted.document["status"]["drift"]} == {"load_balancer"}
    assert host not in rules(springboard)

    repairing = springboard.apply(
        {**declared(springboard, shop), "spec": {**drifted.document["spec"], "drift": "Repair"}}
    )
    assert host in rules(springboard)
    assert repairing.phase == "Ready"
    for rule in rules(springboard)[host]:
        elb.delete_rule(RuleArn=rule)
    springboard.until(lambda: springboard.get(shop).operation["kind"] == "Repair", 8 * 3600)
    springboard.clock.advance(600)
    assert host in rules(springboard)
    mended = springboard.get(shop)
    assert (mended.phase, mended.operation["kind"]) == ("Ready", "Repair")


def test_two_applications_answer_under_their_hosts_one_leaves_and_nothing_stays(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    market = example("two-apps")
    hosts = ["shop-m.dev.example.com", "orders.dev.example.com"]
    market["spec"]["apps"][0]["host"] = hosts[0]
    ready = springboard.apply(market)
    assert ready.phase == "Ready", ready.document["status"]
    for host, application in zip(hosts, ("shop", "orders"), strict=True):
        status, answer = page(springboard, host)
        assert (status, answer["application"], answer["namespace"]) == (200, application, "market")

    market["spec"]["apps"].pop()
    fewer = springboard.apply(market)
    assert fewer.phase == "Ready", fewer.document["status"]
    assert page(springboard, hosts[0])[0] == 200
    left = inventory(springboard.client) - before
    assert not [each for each in left if "orders" in each]
    assert len([each for each in left if ":targetgroup/" in each]) == 1

    springboard.delete("market")
    springboard.clock.advance(900)
    assert inventory(springboard.client) - before == set()
