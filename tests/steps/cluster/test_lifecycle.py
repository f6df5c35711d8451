"""Cluster, access, add-ons, nodes and applications against the local cloud: made, changed, mended, taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from springboard import naming
from springboard.components import workload
from springboard.components.contract import Failed, Waiting
from springboard.record import OperationKind
from springboard_local.services.eks import control_plane
from tests.steps.cluster.driver import IMAGE, Driver

if TYPE_CHECKING:
    from springboard.site import Site

INSIDE = ("access", "addons", "node_groups", "workload")
EVERYTHING = ("cluster", *INSIDE, "targets")


def make(driver: Driver) -> None:
    driver.begin(OperationKind.CREATE)
    driver.ensure("firewall", "target_groups")
    driver.ensure("cluster")
    driver.ensure(*INSIDE)
    driver.end()


def remove(driver: Driver) -> None:
    driver.begin(OperationKind.DELETE)
    for name in ("workload", "targets", "node_groups", "access", "addons", "cluster", "firewall", "target_groups"):
        driver.remove(name)
    driver.end()


def left(driver: Driver) -> list[str]:
    """What plain AWS calls still find of the environment."""
    cloud, uid = driver.cloud, driver.environment.uid
    name = naming.cluster("sb", driver.environment.name)
    ec2, logs = cloud.client("ec2"), cloud.client("logs")
    owned = [{"Name": f"tag:{naming.OWNER_TAG}", "Values": [uid]}]
    alive = [*owned, {"Name": "instance-state-name", "Values": ["pending", "running", "shutting-down", "stopping"]}]
    return [
        *(each for each in cloud.client("eks").list_clusters()["clusters"] if each == name),
        *(each["GroupId"] for each in ec2.describe_security_groups(Filters=owned)["SecurityGroups"]),
        *(each["LaunchTemplateName"] for each in ec2.describe_launch_templates(Filters=owned)["LaunchTemplates"]),
        *(each["ReservationId"] for each in ec2.describe_instances(Filters=alive)["Reservations"]),
        *(
            each["logGroupName"]
            for each in logs.describe_log_groups(logGroupNamePrefix=f"/aws/eks/{name}/")["logGroups"]
        ),
    ]


def hand_replicas_over(driver: Driver) -> None:
    """To an autoscaler and back."""
    driver.change(
        apps=[{"image": f"{IMAGE}:2", "autoscaling": {"minReplicas": 2, "maxReplicas": 6}, "env": {"A": "1"}}]
    )
    driver.begin(OperationKind.UPDATE)
    driver.ensure("workload")
    assert driver.environment.facts["workload"]["apps"][0]["replicas"] in {2, 3}  # never 1
    driver.change(apps=[{"image": f"{IMAGE}:2", "replicas": 4, "env": {"A": "1"}}])
    driver.begin(OperationKind.UPDATE)
    driver.ensure("workload")
    driver.end()
    assert driver.environment.facts["workload"]["apps"][0]["availableReplicas"] == 4
    assert driver.plan("workload") == ()


def test_an_environment_is_made_changed_and_taken_away_without_a_trace(driver: Driver, site: Site) -> None:
    make(driver)
    name = naming.cluster(site.prefix, driver.environment.name)
    eks = driver.cloud.client("eks")
    cluster = eks.describe_cluster(name=name)["cluster"]
    assert cluster["accessConfig"]["authenticationMode"] == "API"
    assert not cluster["resourcesVpcConfig"]["endpointPublicAccess"]
    assert cluster["encryptionConfig"][0]["resources"] == ["secrets"]
    assert cluster["deletionProtection"]
    group = driver.world.logs.group(f"/aws/eks/{name}/cluster")
    assert group is not None
    assert group["retentionInDays"] == 90
    instances = driver.cloud.client("ec2").describe_instances(
        Filters=[{"Name": f"tag:{naming.OWNER_TAG}", "Values": [driver.environment.uid]}]
    )
    machines = [each for reservation in instances["Reservations"] for each in reservation["Instances"]]
    assert len({each["Placement"]["AvailabilityZone"] for each in machines}) == 3
    assert all(each["MetadataOptions"]["HttpTokens"] == "required" for each in machines)
    assert driver.environment.facts["workload"]["apps"][0]["availableReplicas"] == 2

    driver.world.calls.clear()
    plans = {each: driver.plan(each) for each in EVERYTHING if each != "targets"}
    assert not any(plans.values())
    assert sum(driver.world.calls.values()) <= 15
    assert not [call for call in driver.world.calls if not call.split(":")[1].startswith(("Describe", "List"))]

    driver.change(apps=[{"image": f"{IMAGE}:2", "replicas": 3, "env": {"A": "1"}}])
    driver.begin(OperationKind.UPDATE)
    assert [change.resource for change in driver.plan("workload")] == [f"Deployment {driver.app}"]
    driver.ensure("cluster", *INSIDE)
    driver.end()
    assert driver.environment.facts["workload"]["apps"][0]["availableReplicas"] == 3

    hand_replicas_over(driver)
    plane = control_plane(name)
    assert plane is not None
    plane.inject(
        {"kind": "Image", "match": "*", "reason": "CrashLoopBackOff", "log": "No DataSource.\nAction:\nAdd one."}
    )
    driver.change(apps=[{"image": f"{IMAGE}:3", "env": {"A": "2"}}])
    driver.begin(OperationKind.UPDATE)
    driver.step("workload")
    driver.clock.advance(120)
    verdict = driver.step("workload").verdict
    assert isinstance(verdict, Waiting)
    assert "CrashLoopBackOff" in verdict.reason
    reports = workload.diagnose(driver.world, driver.environment)
    assert {(each["description"], each["action"]) for each in reports} == {("No DataSource.", "Add one.")}

    remove(driver)
    assert left(driver) == []


def test_killed_steps_are_taken_up_and_what_leaves_the_spec_leaves_the_cluster(driver: Driver) -> None:
    app, group = {"name": "one", "image": f"{IMAGE}:1"}, {"name": "workers", "size": 1}
    others = {"apps": [app, {**app, "name": "two"}], "nodeGroups": [group, {**group, "name": "others"}]}
    driver.change(**others, deletionProtection=False)
    driver.begin(OperationKind.CREATE)
    driver.ensure("firewall")
    for name in ("cluster", "addons"):
        before = driver.environment
        driver.step(name)
        driver.environment = before  # the step was killed before it wrote what it had learned
        driver.ensure(*(("cluster", "access") if name == "cluster" else ("addons", "node_groups", "workload")))
    made = {call: count for call, count in driver.world.calls.items() if ":Create" in call and "eks" in call}
    assert made == {
        "eks:CreateCluster": 1,
        "eks:CreateAccessEntry": 2,
        "eks:CreateAddon": 5,
        "eks:CreateNodegroup": 2,
    }
    driver.end()
    driver.change(apps=[app], nodeGroups=[group], deletionProtection=False)
    driver.begin(OperationKind.UPDATE)
    driver.ensure(*INSIDE)
    driver.end()
    assert [app["name"] for app in driver.environment.facts["workload"]["apps"]] == ["one"]
    assert [group["name"] for group in driver.environment.facts["node_groups"]["groups"]] == ["workers"]
    remove(driver)
    assert left(driver) == []


def test_a_cluster_of_somebody_else_is_left_alone(driver: Driver, site: Site) -> None:
    name = naming.cluster(site.prefix, driver.environment.name)
    eks = driver.cloud.client("eks")
    eks.create_cluster(
        name=name, roleArn=site.cluster_role_arn, resourcesVpcConfig={"subnetIds": list(site.private_subnet_ids)}
    )
    driver.begin(OperationKind.CREATE)
    outcome = driver.step("cluster")
    assert isinstance(outcome.verdict, Failed)
    assert outcome.verdict.code == "NotOurs"
    assert driver.world.logs.group(f"/aws/eks/{name}/cluster") is None
    remove(driver)
    assert eks.describe_cluster(name=name)["cluster"]["status"] == "CREATING"
    driver.clock.advance(600)
    eks.delete_cluster(name=name)


def test_needs_that_are_not_there_are_named_not_stumbled_over(driver: Driver) -> None:
    driver.begin(OperationKind.CREATE)
    for name in (*INSIDE, "targets"):
        verdict = driver.step(name).verdict
        assert isinstance(verdict, Waiting), name
        assert verdict.on in {"cluster", "node_groups"}, name
    assert not [call for call in driver.world.calls if ":Create" in call]


def test_without_a_cluster_removal_finds_nothing_to_do(driver: Driver) -> None:
    driver.environment = replace(driver.environment, facts={})
    remove(driver)
    assert not [call for call in driver.world.calls if "Delete" in call]
