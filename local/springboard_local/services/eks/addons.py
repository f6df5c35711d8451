"""Add-ons: versions, configuration, lifecycle, and the Kubernetes objects that they install."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import yaml

from springboard_local.services.eks import access, calendar, conflicts, manifests, nodegroups, updates, validation
from springboard_local.services.eks.errors import in_use, invalid_parameter, invalid_request, not_found
from springboard_local.services.eks.state import Addon, Cluster, Eks, Fields, paged, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard_local.kubernetes.lane import ControlPlane
    from springboard_local.services.eks.state import Update

SELF_MANAGED = ("vpc-cni", "kube-proxy", "coredns")
_CONFLICT = "ConfigurationConflict"
_POLL, _SLOWEST_POLL = 5, 60  # virtual seconds between looks at a Deployment: at first, and in the end
_APPLIED = 0.2  # estimate: share of the creation time after which the objects are there; the rest, their pods start


# the catalogue


def describe_versions(eks: Eks, parameters: Fields) -> Fields:
    """DescribeAddonVersions."""
    version = parameters.get("kubernetesVersion")
    if version and version not in calendar.offered(eks.now):
        raise invalid_parameter(f"The specified Kubernetes version {version} is not supported")
    # Of a name that it does not know EKS tells nothing, and no error: so Terraform's "empty result"
    # (github.com/terraform-aws-modules/terraform-aws-eks/issues/2412, /issues/3079).
    name = parameters.get("addonName")
    found = [
        kind.describe(version)
        for kind in calendar.addon_kinds().values()
        if (not name or kind.name == name)
        and kind.type in (parameters.get("types") or [kind.type])
        and kind.owner in (parameters.get("owners") or [kind.owner])
        and "eks" in (parameters.get("publishers") or ["eks"])
    ]
    return paged(parameters, "addons", [each for each in found if each["addonVersions"]])


def describe_configuration(_eks: Eks, parameters: Fields) -> Fields:
    """DescribeAddonConfiguration."""
    name, version = parameters["addonName"], parameters["addonVersion"]
    kind = calendar.addon_kinds().get(name)
    if kind is None or kind.version(version) is None:
        raise not_found(f"Addon {name} with version {version} not found", addon=name)
    answer: Fields = {
        "addonName": name,
        "addonVersion": version,
        "configurationSchema": json.dumps(kind.schema),
        "podIdentityConfiguration": [],
    }
    if kind.pod_identity:
        identity = kind.pod_identity
        answer["podIdentityConfiguration"] = [
            {"serviceAccount": identity["serviceAccount"], "recommendedManagedPolicies": identity["policies"]}
        ]
    return answer


def _check_version(cluster: Cluster, kind: calendar.AddonKind, version: str | None) -> str:
    if version is None:
        return kind.default(cluster.version).version
    known = kind.version(version)
    if known is None or cluster.version not in known.compatible:
        raise invalid_parameter("Addon version specified is not supported", cluster.name, addon=kind.name)
    return version


def _check_configuration(cluster: Cluster, kind: calendar.AddonKind, text: str | None) -> None:
    if not text:
        return
    try:
        values = yaml.safe_load(text)
        jsonschema.validate(values, kind.schema)
    except yaml.YAMLError as err:
        message = "ConfigurationValue is not in valid JSON or YAML format"
        raise invalid_parameter(message, cluster.name, addon=kind.name) from err
    except jsonschema.ValidationError as err:
        where = "/".join(str(each) for each in err.absolute_path)
        message = (
            f"ConfigurationValue provided in request is not supported: Json schema validation failed with error: "
            f"[$.{where}: {err.message}]"
        )
        raise invalid_parameter(message, cluster.name, addon=kind.name) from err


def _check_roles(cluster: Cluster, parameters: Fields) -> None:
    if arn := parameters.get("serviceAccountRoleArn"):
        validation.role(arn, "service account role", cluster.name)
    for each in parameters.get("podIdentityAssociations") or []:
        access.check_pod_role(each["roleArn"], cluster)


# lifecycle


def create(eks: Eks, parameters: Fields) -> Fields:
    """CreateAddon."""
    if made := eks.remembered("CreateAddon", parameters):
        return {"addon": shown(made.fields)}
    cluster = eks.cluster(parameters["clusterName"])
    name = parameters["addonName"]
    kind = calendar.addon_kinds().get(name)
    if kind is None:
        raise invalid_parameter(f"Addon {name} specified is not supported", cluster.name, addon=name)
    if name in cluster.addons:
        raise in_use("Addon already exists.", cluster.name, addon=name)
    if cluster.status not in {"ACTIVE", "UPDATING"}:
        message = f"Cluster {cluster.name} is not in ACTIVE status"
        raise invalid_request(message, cluster.name, addon=name)
    version = _check_version(cluster, kind, parameters.get("addonVersion"))
    _check_configuration(cluster, kind, parameters.get("configurationValues"))
    _check_roles(cluster, parameters)
    addon = Addon(_fields(eks, cluster, kind, version, parameters))
    cluster.addons[name] = addon
    _associate(eks, cluster, addon, parameters.get("podIdentityAssociations"))
    eks.remember("CreateAddon", parameters, addon)
    answer = shown(addon.fields)
    # In a creation PRESERVE is no other than NONE: there is nothing of the add-on's own to preserve.
    _begin(eks, cluster, addon, "OVERWRITE" if parameters.get("resolveConflicts") == "OVERWRITE" else "NONE")
    return {"addon": answer}


def _fields(eks: Eks, cluster: Cluster, kind: calendar.AddonKind, version: str, parameters: Fields) -> Fields:
    fields: Fields = {
        "addonName": kind.name,
        "clusterName": cluster.name,
        "status": "CREATING",
        "addonVersion": version,
        "health": {"issues": []},
        "addonArn": eks.arn(f"addon/{cluster.name}/{kind.name}/{eks.uuid()}"),
        "createdAt": eks.now,
        "modifiedAt": eks.now,
        "tags": validation.tags(parameters.get("tags")),
        "publisher": "eks",
        "owner": kind.owner,
        "namespaceConfig": {"namespace": manifests.NAMESPACE},
    }
    for key in ("serviceAccountRoleArn", "configurationValues"):
        if parameters.get(key):
            fields[key] = parameters[key]
    return fields


def _associate(eks: Eks, cluster: Cluster, addon: Addon, wanted: list[Fields] | None) -> None:
    """Replace the add-on's own pod identity associations; None leaves them."""
    if wanted is None:
        return
    arn = addon.fields["addonArn"]
    for identifier in [key for key, each in cluster.associations.items() if each.get("ownerArn") == arn]:
        del cluster.associations[identifier]
    made = [
        access.associate_service_account(
            eks, cluster, (manifests.NAMESPACE, each["serviceAccount"]), each["roleArn"], owner=arn
        )
        for each in wanted
    ]
    addon.fields["podIdentityAssociations"] = [each["associationArn"] for each in made]


def _seconds(eks: Eks, name: str) -> float:
    try:
        return eks.draw(f"eks:CreateAddon:{name}")
    except KeyError:
        return eks.draw("eks:CreateAddon")


def _failed(addon: Addon, status: str, code: str, message: str, resources: Sequence[str] = ()) -> None:
    issue = {"code": code, "message": message, "resourceIds": list(resources)}
    addon.fields.update(status=status, health={"issues": [issue]})


def _begin(eks: Eks, cluster: Cluster, addon: Addon, mode: str) -> None:
    fault = eks.take_fault("health", "addon", cluster.name, addon.name)

    def arrive() -> None:
        if cluster.deleted or cluster.addons.get(addon.name) is not addon or addon.status != "CREATING":
            return
        if fault:
            _failed(addon, "CREATE_FAILED", fault.code, fault.message, fault.resourceIds)
            return
        _judge(eks, cluster, addon)

    def apply() -> None:
        if fault or cluster.deleted or cluster.addons.get(addon.name) is not addon or addon.status != "CREATING":
            return
        if conflict := _install(cluster, addon, mode):
            _failed(addon, "CREATE_FAILED", _CONFLICT, conflict)

    # The durations are those of EKS's users: they include that the pods start.
    seconds = _seconds(eks, addon.name)
    eks.after(seconds * _APPLIED, apply)
    eks.after(seconds, arrive)


def _install(cluster: Cluster, addon: Addon, mode: str) -> str:
    """Apply the add-on's objects; or say what conflicts, where the mode is NONE, and apply nothing."""
    plane = cluster.plane
    wanted = list(_manifests(cluster, addon.name, addon.fields["addonVersion"], values(addon)))
    if plane is None:
        return ""
    present = [_present(plane, each) for each in wanted]
    applied = [cluster.applied.get((each["kind"], each["metadata"]["name"])) for each in wanted]
    if mode == "NONE":
        found = [each for three in zip(wanted, present, applied, strict=True) for each in conflicts.found(*three)]
        if found:
            return (
                "Conflicts found when trying to apply. Will not continue due to resolve conflicts mode. "
                f"Conflicts: {', '.join(found)}"
            )
    addon.manifests = [
        conflicts.preserving(*three, replicas_alone=mode != "PRESERVE") if mode != "OVERWRITE" else three[0]
        for three in zip(wanted, present, applied, strict=True)
    ]
    for manifest in addon.manifests:
        plane.apply(manifest)
        cluster.applied[manifest["kind"], manifest["metadata"]["name"]] = manifest
    return ""


def _present(plane: ControlPlane, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    metadata = manifest["metadata"]
    return plane.get(manifest["apiVersion"], manifest["kind"], metadata.get("namespace", ""), metadata["name"])


def _manifests(cluster: Cluster, name: str, version: str, configured: dict[str, Any]) -> Iterator[dict[str, Any]]:
    services = ipaddress.ip_network(cluster.fields["kubernetesNetworkConfig"]["serviceIpv4Cidr"])
    return manifests.of(name, version, configured, dns_address=str(services[10]))


def values(addon: Addon) -> dict[str, Any]:
    """The add-on's configuration values."""
    loaded = yaml.safe_load(addon.fields.get("configurationValues") or "")
    return loaded if isinstance(loaded, dict) else {}


def _judge(eks: Eks, cluster: Cluster, addon: Addon) -> None:
    """ACTIVE, or DEGRADED for a Deployment without a node to run on; then look again until it does run."""
    kind = calendar.addon_kinds()[addon.name]
    if kind.workload_kind == "DaemonSet" or _replicas_run(cluster, kind):
        addon.fields.update(status="ACTIVE", health={"issues": []})
        if addon.name == "vpc-cni":
            nodegroups.network_ready(eks, cluster)
        return
    issue = {
        "code": "InsufficientNumberOfReplicas",
        "message": "The add-on is unhealthy because it doesn't have the desired number of replicas.",
        "resourceIds": [],
    }
    addon.fields.update(status="DEGRADED", health={"issues": [issue]})
    _look_again(eks, cluster, addon, _POLL)


def _replicas_run(cluster: Cluster, kind: calendar.AddonKind) -> bool:
    """Whether the Deployment is complete. Nodes with no network run nothing, whatever a controller says."""
    plane = cluster.plane
    if plane is None or not any(manifests.ready(node) for node in plane.nodes()):
        return False
    found = plane.get("apps/v1", kind.workload_kind, manifests.NAMESPACE, kind.workload_name)
    if found is None:
        return False
    wanted = found.get("spec", {}).get("replicas", 1)
    return bool(found.get("status", {}).get("availableReplicas", 0) >= wanted)


def _look_again(eks: Eks, cluster: Cluster, addon: Addon, seconds: float) -> None:
    def look() -> None:
        if not cluster.deleted and cluster.addons.get(addon.name) is addon and addon.status == "DEGRADED":
            if _replicas_run(cluster, calendar.addon_kinds()[addon.name]):
                addon.fields.update(status="ACTIVE", health={"issues": []})
            else:
                _look_again(eks, cluster, addon, min(seconds * 1.2, _SLOWEST_POLL))

    eks.after(seconds, look)


def install_self_managed(cluster: Cluster) -> None:
    """Install what EKS installs unasked: the objects alone, with no add-on to show."""
    for name in SELF_MANAGED:
        version = calendar.addon_kinds()[name].default(cluster.version).version
        for manifest in _manifests(cluster, name, version, {}):
            if cluster.plane:
                cluster.plane.apply(manifest)


def describe(eks: Eks, parameters: Fields) -> Fields:
    """DescribeAddon."""
    return {"addon": shown(eks.cluster(parameters["clusterName"]).addon(parameters["addonName"]).fields)}


def list_names(eks: Eks, parameters: Fields) -> Fields:
    """ListAddons."""
    return paged(parameters, "addons", sorted(eks.cluster(parameters["clusterName"]).addons))


def update(eks: Eks, parameters: Fields) -> Fields:
    """UpdateAddon."""
    if made := eks.remembered("UpdateAddon", parameters):
        return {"update": shown(made.fields)}
    cluster = eks.cluster(parameters["clusterName"])
    addon = cluster.addon(parameters["addonName"])
    kind = calendar.addon_kinds()[addon.name]
    if addon.status in {"CREATING", "UPDATING", "DELETING"}:
        message = f"Addon {addon.name} is in {addon.status} status and cannot be updated"
        raise in_use(message, cluster.name, addon=addon.name)
    version = _check_version(cluster, kind, parameters.get("addonVersion") or addon.fields["addonVersion"])
    _check_configuration(cluster, kind, parameters.get("configurationValues"))
    _check_roles(cluster, parameters)
    changed = updates.params(
        AddonVersion=version if version != addon.fields["addonVersion"] else None,
        ServiceAccountRoleArn=parameters.get("serviceAccountRoleArn"),
        ResolveConflicts=parameters.get("resolveConflicts"),
        ConfigurationValues=parameters.get("configurationValues"),
        PodIdentityAssociations=parameters.get("podIdentityAssociations"),
    )
    made = updates.begin(eks, cluster, "AddonUpdate", changed, addon=addon.name)
    eks.remember("UpdateAddon", parameters, made)
    answer = shown(made.fields)
    addon.fields.update(status="UPDATING", modifiedAt=eks.now)
    _associate(eks, cluster, addon, parameters.get("podIdentityAssociations"))
    eks.after(
        eks.draw("eks:UpdateAddon"), lambda: _end_update(eks, cluster, addon, made, {**parameters, "version": version})
    )
    return {"update": answer}


def _end_update(eks: Eks, cluster: Cluster, addon: Addon, made: Update, parameters: Fields) -> None:
    if cluster.deleted or cluster.addons.get(addon.name) is not addon or addon.status != "UPDATING":
        return
    if updates.struck(eks, made, addon.name):
        error = made.fields["errors"][0]
        _failed(addon, "UPDATE_FAILED", error["errorCode"], error["errorMessage"])
        return
    before = dict(addon.fields)
    addon.fields["addonVersion"] = parameters["version"]
    for key in ("serviceAccountRoleArn", "configurationValues"):
        if parameters.get(key) is not None:
            addon.fields[key] = parameters[key]
    if conflict := _install(cluster, addon, parameters.get("resolveConflicts") or "NONE"):
        addon.fields.clear()
        addon.fields.update(before)
        updates.fail(made, _CONFLICT, conflict)
        _failed(addon, "UPDATE_FAILED", _CONFLICT, conflict)
        return
    _judge(eks, cluster, addon)
    updates.succeed(made)


def delete(eks: Eks, parameters: Fields) -> Fields:
    """DeleteAddon; with `preserve` the objects stay in the cluster."""
    cluster = eks.cluster(parameters["clusterName"])
    addon = cluster.addon(parameters["addonName"])
    if addon.status in {"UPDATING", "CREATING"}:
        message = f"Addon {addon.name} is in {addon.status} status and cannot be deleted"
        raise invalid_request(message, cluster.name, addon=addon.name)
    if addon.status != "DELETING":
        addon.fields.update(status="DELETING", modifiedAt=eks.now)
        preserve = bool(parameters.get("preserve"))
        eks.after(eks.draw("eks:DeleteAddon"), lambda: _remove(eks, cluster, addon, preserve=preserve))
    return {"addon": shown(addon.fields)}


def _remove(eks: Eks, cluster: Cluster, addon: Addon, *, preserve: bool) -> None:
    if cluster.deleted or cluster.addons.get(addon.name) is not addon:
        return
    for manifest in [] if preserve else addon.manifests:
        if cluster.plane:
            cluster.plane.delete(manifest)
        cluster.applied.pop((manifest["kind"], manifest["metadata"]["name"]), None)
    _associate(eks, cluster, addon, [])
    del cluster.addons[addon.name]
