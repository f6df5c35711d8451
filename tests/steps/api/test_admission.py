"""What a spec leaves open is looked up before anything is made."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from springboard import admission, capacity
from springboard.aws.ecr import Found
from springboard.aws.route53 import Zone
from springboard.capacity import InstanceType
from springboard.errors import InvalidError
from springboard.spec import EnvironmentSpec
from tests.steps.api.fakes import ALICE_ROLE, DIGEST, IMAGE, NOW, FakeWorld, document, version

if TYPE_CHECKING:
    from springboard.admission import Admitted
    from springboard.errors import FieldError


def admit(world: FakeWorld, raw: object = None, **spec: Any) -> Admitted:
    return admission.admit(
        world,  # type: ignore[arg-type] # a fake world
        raw or document(**spec),
        caller=ALICE_ROLE,
        now=NOW,
        uid="u",
    )


def refused(world: FakeWorld, **spec: Any) -> list[FieldError]:
    with pytest.raises(InvalidError) as found:
        admit(world, **spec)
    return found.value.errors


def test_the_smallest_is_completed(world: FakeWorld) -> None:
    environment = admit(world).environment
    assert environment.resolved.version == "1.35"
    assert environment.resolved.zone_id == "Z0DEV"
    assert environment.resolved.zone_name == "dev.example.com"
    assert environment.resolved.architecture == "amd64"
    assert environment.resolved.creator_role_arn == ALICE_ROLE
    app = environment.resolved.app("shop")
    assert app.host == "shop.dev.example.com"
    assert app.image == IMAGE.partition(":")[0] + f"@{DIGEST}"
    assert app.node_port == 30000
    assert environment.generation == 1


def test_the_root_user_gets_no_access_entry(world: FakeWorld) -> None:
    root = "arn:aws:iam::111122223333:root"
    made = admission.admit(world, document(), caller=root, now=NOW, uid="u")  # type: ignore[arg-type]
    assert made.environment.resolved.creator_role_arn == ""
    assert made.environment.owner == root


def test_a_floor_raises_the_default_and_does_not_lower_it(world: FakeWorld) -> None:
    assert admit(world, cluster={"minVersion": "1.36"}).environment.resolved.version == "1.36"
    assert admit(world, cluster={"minVersion": "1.34"}).environment.resolved.version == "1.35"


def test_a_floor_out_of_support(world: FakeWorld) -> None:
    world.versions.append(version("1.30", ends="2025-07-23"))
    (error,) = refused(world, cluster={"minVersion": "1.30"})
    assert error.message == "Kubernetes 1.30 has been out of support since 2026-07-23"
    assert error.remedy == "EKS offers 1.34, 1.35 (default), 1.36"


def test_an_image_that_is_not_there(world: FakeWorld) -> None:
    world.images.clear()
    (error,) = refused(world)
    assert error.field == "spec.apps[0].image"
    assert "push the image" in error.remedy


def test_an_image_for_other_machines(world: FakeWorld) -> None:
    world.images["shop", "1.4.2"] = Found(DIGEST, frozenset({"arm64"}))
    (error,) = refused(world)
    assert error.message == "is built for arm64, the nodes are amd64"
    assert admit(world, nodeGroups=[{"name": "w", "instanceTypes": ["m7g.large"]}]).environment


def test_an_image_for_several_machines(world: FakeWorld) -> None:
    world.images["shop", "1.4.2"] = Found(DIGEST, frozenset({"arm64", "amd64"}))
    assert admit(world).environment.resolved.apps[0].digest == DIGEST


def test_a_registry_that_is_allowed_but_not_asked() -> None:
    world = FakeWorld(allowed_registries=("registry.example.com/team/*",))
    made = admit(world, apps=[{"image": "registry.example.com/team/shop:1"}])
    assert made.environment.resolved.apps[0].image == "registry.example.com/team/shop:1"
    assert "were not looked up" in made.warnings[0]
    refused(world, apps=[{"image": "registry.example.com/other/shop:1"}])


def test_f30_zones() -> None:
    """Missing, private, several: refused before anything is created."""
    world = FakeWorld(hosted_zone_id="")
    assert admit(world).environment.resolved.zone_id == "Z0DEV"
    world.zones = [Zone("Z1", "example.com", private=False), Zone("Z2", "dev.example.com", private=True)]
    assert admit(world).environment.resolved.zone_id == "Z1"
    world.zones = [Zone("Z1", "dev.example.com", private=False), Zone("Z2", "dev.example.com", private=False)]
    (error,) = refused(world)
    assert "several" in error.message
    assert error.remedy == "name one of Z1, Z2"
    assert admit(world, ingress={"hostedZoneId": "Z2"}).environment.resolved.zone_id == "Z2"
    world.zones = [Zone("Z2", "dev.example.com", private=True)]
    (error,) = refused(world)
    assert "private" in error.message
    (error,) = refused(world, ingress={"hostedZoneId": "Z2"})
    assert "private" in error.message
    world.zones = []
    (error,) = refused(world)
    assert "no hosted zone" in error.message
    (error,) = refused(world, ingress={"hostedZoneId": "Z9"})
    assert error.field == "spec.ingress.hostedZoneId"


def test_instance_types_that_no_data_file_knows(world: FakeWorld) -> None:
    groups = [{"name": "w", "instanceTypes": ["x9.large"]}]
    (error,) = refused(world, nodeGroups=groups)
    assert error.field == "spec.nodeGroups[0].instanceTypes[0]"
    world.types["x9.large"] = InstanceType(2, 8192, "amd64")
    assert admit(world, nodeGroups=groups).environment


@pytest.mark.parametrize(
    ("addon", "field", "message", "remedy"),
    [
        (
            {"name": "aws-ebs-csi-drivr"},
            "spec.addons[1].name",
            "EKS offers no such add-on for Kubernetes 1.35",
            "did you mean aws-ebs-csi-driver?",
        ),
        (
            {"name": "nothing-like-it", "version": "v1.0.0-eksbuild.1"},
            "spec.addons[1].name",
            "EKS offers no such add-on for Kubernetes 1.35",
            "`aws eks describe-addon-versions --kubernetes-version 1.35` lists those that there are",
        ),
        (
            {"name": "coredns", "version": "v1.9.9-eksbuild.9"},
            "spec.addons[1].version",
            "EKS does not offer this version of coredns for Kubernetes 1.35",
            "write default, or one of v1.12.4-eksbuild.1",
        ),
    ],
)
def test_b11_add_ons_and_versions_that_eks_does_not_offer(
    world: FakeWorld, addon: dict[str, Any], field: str, message: str, remedy: str
) -> None:
    (error,) = refused(world, addons=[{"name": "aws-ebs-csi-driver"}, addon])
    given = addon["version" if field.endswith("version") else "name"]
    assert (error.field, error.message, error.remedy, error.value) == (field, message, remedy, repr(given))


def test_add_ons_are_looked_up_once_for_the_clusters_version(world: FakeWorld) -> None:
    """EKS is asked about what no former admission has found, for the version that the cluster has by now."""
    driver, base = {"name": "aws-ebs-csi-driver"}, {"name": "metrics-server", "configuration": {"replicas": 3}}
    made = admit(world, cluster={"minVersion": "1.36"}, addons=[base, driver]).environment
    assert world.asked_addons == [("1.36", {"aws-ebs-csi-driver"})]
    world.asked_addons.clear()
    upgraded = made.with_facts("cluster", {"version": "1.37"})
    pinned = {"name": "coredns", "version": "v1.12.4-eksbuild.1"}
    for addons, asked in (([driver, base], []), ([driver, pinned], [("1.37", {"coredns"})])):
        admission.admit(
            world,  # type: ignore[arg-type] # a fake world
            document(addons=addons),
            caller=ALICE_ROLE,
            now=NOW,
            uid="u",
            previous=upgraded,
        )
        assert world.asked_addons == asked


def test_add_ons_are_not_judged_by_a_version_that_is_wrong(world: FakeWorld) -> None:
    found = refused(world, cluster={"minVersion": "1.99"}, addons=[{"name": "other"}])
    assert [error.field for error in found] == ["spec.cluster.minVersion"]


def test_nodes_of_two_architectures(world: FakeWorld) -> None:
    (error,) = refused(world, nodeGroups=[{"name": "w", "instanceTypes": ["m7i.large", "m7g.large"]}])
    assert error.field == "spec.nodeGroups[0].instanceTypes[1]"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"apps": [{"image": IMAGE, "resources": {"cpu": "3"}}]}, "spec.apps[0].resources"),
        ({"apps": [{"image": IMAGE, "resources": {"memory": "16Gi"}}]}, "spec.apps[0].resources"),
        ({"apps": [{"image": IMAGE, "autoscaling": {"maxReplicas": 30}}]}, "spec.apps"),
        ({"apps": [{"image": IMAGE, "replicas": 4, "resources": {"memory": "5Gi"}}]}, "spec.apps"),
        (
            {
                "nodeGroups": [
                    {"name": "w", "size": 1},
                    {"name": "x", "size": 9, "taints": [{"key": "batch", "effect": "NO_SCHEDULE"}]},
                ],
                "apps": [{"image": IMAGE, "replicas": 4}],
            },
            "spec.apps",
        ),
    ],
)
def test_what_does_not_fit_on_the_nodes(world: FakeWorld, spec: dict[str, Any], field: str) -> None:
    assert [error.field for error in refused(world, **spec)] == [field]


def test_a_rollout_needs_room_for_one_more_pod(world: FakeWorld) -> None:
    cpu, _ = capacity.known_types()["m7i.large"].allocatable
    third = (cpu - capacity.CLUSTER_PODS[0]) // 3
    spec = {"nodeGroups": [{"name": "w", "instanceTypes": ["m7i.large"], "size": 1}]}
    app = {"image": IMAGE, "replicas": 2}
    assert admit(world, **spec, apps=[{**app, "resources": {"cpu": f"{third}m"}}])
    (error,) = refused(world, **spec, apps=[{**app, "resources": {"cpu": f"{third + 1}m"}}])
    assert error.field == "spec.apps"


@pytest.mark.parametrize("types", [["small", "large"], ["large", "small"]])
@pytest.mark.parametrize(("resources", "fits"), [({}, True), ({"memory": "16Gi"}, False), ({"cpu": "4"}, False)])
def test_of_a_groups_instance_types_the_smallest_counts(
    types: list[str], resources: dict[str, str], *, fits: bool
) -> None:
    known = {"small": InstanceType(4, 16 * 1024, "amd64"), "large": InstanceType(8, 64 * 1024, "amd64")}
    made = document(apps=[{"image": IMAGE, "replicas": 1, "resources": resources}], nodeGroups=[{"name": "w"}])
    spec = EnvironmentSpec.model_validate_json(json.dumps(made["spec"]))
    (group,) = spec.node_groups
    spec = spec.model_copy(update={"node_groups": [group.model_copy(update={"instance_types": types})]})
    assert [each.field for each in capacity.check(spec, known)] == ([] if fits else ["spec.apps[0].resources"])


def test_an_update_keeps_ports_and_the_beginning_of_life(world: FakeWorld) -> None:
    """A new application gets a port that nobody has, and hours count from the creation."""
    made = admit(world, apps=[{"image": IMAGE, "name": "shop"}], ttlHours=48).environment
    raw = document(apps=[{"image": IMAGE, "name": name} for name in ("cart", "shop")], ttlHours=48)
    later = NOW + timedelta(hours=10)
    changed = admission.admit(world, raw, caller=ALICE_ROLE, now=later, uid="u", previous=made).environment  # type: ignore[arg-type]
    assert {app.name: app.node_port for app in changed.resolved.apps} == {"shop": 30000, "cart": 30001}
    assert (changed.created_at, changed.expires_at) == (NOW, NOW + timedelta(hours=48))


def test_roles_outside_the_stacks_path(world: FakeWorld) -> None:
    good = "arn:aws:iam::111122223333:role/springboard-apps/shop"
    assert admit(world, apps=[{"image": IMAGE, "roleArn": good}]).environment
    for bad in (
        "arn:aws:iam::111122223333:role/admin",
        "arn:aws:iam::999999999999:role/springboard-apps/shop",
        "arn:aws:iam::111122223333:role/springboard-apps-not/shop",
    ):
        (error,) = refused(world, apps=[{"image": IMAGE, "roleArn": bad}])
        assert error.field == "spec.apps[0].roleArn"


def test_what_the_load_balancer_cannot_use(world: FakeWorld) -> None:
    there = "arn:aws:acm:us-east-1:111122223333:certificate/1"
    found = refused(world, ingress={"accessLogs": True, "certificateArn": there})
    assert [error.field for error in found] == ["spec.ingress.accessLogs", "spec.ingress.certificateArn"]
    logging = FakeWorld(access_logs_bucket="logs")
    assert admit(logging, ingress={"accessLogs": True, "certificateArn": there.replace("us-east-1", "eu-west-1")})


def test_default_hosts_that_are_too_long_for_a_certificate() -> None:
    world = FakeWorld(base_domain="a-rather-long-name-for-a-team.development.example.com", hosted_zone_id="")
    world.zones = [Zone("Z1", "example.com", private=False)]
    found = refused(world, apps=[{"image": IMAGE, "name": "b" * 30}])
    assert found[0].field == "spec.apps[0].host"
    assert "64" in found[0].message


def test_what_is_allowed_and_worth_a_word(world: FakeWorld) -> None:
    made = admit(
        world,
        cluster={"apiAccess": {"publicCidrs": ["0.0.0.0/0"]}, "supportType": "STANDARD"},
        apps=[{"image": IMAGE, "replicas": 1}],
    )
    assert len(made.warnings) == 3


def test_wrong_parts_are_not_judged(world: FakeWorld) -> None:
    """A stand-in for a wrong image is not looked for in the registry, and so on."""
    asked: list[str] = []
    world.ecr.image = lambda repository, **_: asked.append(repository)
    found = refused(world, apps=[{"image": "shop"}])
    assert [error.field for error in found] == ["spec.apps[0].image"]
    assert asked == []


def test_a_stack_with_a_zone_writes_to_no_other() -> None:
    """Its functions' roles could not: said at once, not by a step that IAM refuses."""
    ingress = {"hostedZoneId": "Z9"}
    (error,) = refused(FakeWorld(), ingress=ingress)
    assert (error.field, error.value) == ("spec.ingress.hostedZoneId", "Z9")
    assert error.message == "the stack may write to the hosted zone Z0DEV alone"
    assert "DnsZones" in error.remedy
    assert admit(FakeWorld(), ingress={"hostedZoneId": "Z0DEV"})
    (error,) = refused(FakeWorld(any_zone=True), ingress=ingress)
    assert "no such hosted zone" in error.message


def test_an_update_stays_in_the_zone_that_holds_its_records() -> None:
    world = FakeWorld(any_zone=True)
    made = admit(world).environment
    world.zones.append(Zone("Z9", "example.org", private=False))
    raw = document(apps=[{"image": IMAGE, "host": "shop.example.org"}], ingress={"hostedZoneId": "Z9"})
    with pytest.raises(InvalidError) as found:
        admission.admit(world, raw, caller=ALICE_ROLE, now=NOW, uid="u", previous=made)  # type: ignore[arg-type]
    (error,) = found.value.errors
    assert error.field == "spec.ingress.hostedZoneId"
    assert "dev.example.com (Z0DEV)" in error.message
    assert "keep hosts under dev.example.com" in error.remedy
