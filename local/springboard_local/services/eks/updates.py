"""Updates: their records, and what UpdateClusterVersion and UpdateClusterConfig do."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from springboard_local.services.eks import access, calendar, clusters, insights, network, validation
from springboard_local.services.eks.errors import in_use, invalid_parameter, invalid_request, invalid_state, not_found
from springboard_local.services.eks.state import Cluster, Eks, Fields, Update, paged, shown

if TYPE_CHECKING:
    from collections.abc import Callable

_ROLLBACK_WINDOW = timedelta(days=7)
_ROLLBACK_TIMEOUTS = (120, 10_080)  # minutes


# records


def params(**values: Any) -> list[Fields]:
    """The parameters of an update as it shows them; None is left out."""
    return [
        {"type": key, "value": value if isinstance(value, str) else json.dumps(value)}
        for key, value in values.items()
        if value is not None
    ]


def begin(
    eks: Eks,
    cluster: Cluster,
    kind: str,
    parameters: list[Fields],
    *,
    nodegroup: str | None = None,
    addon: str | None = None,
) -> Update:
    """A new record, in progress."""
    fields = {
        "id": eks.uuid(),
        "status": "InProgress",
        "type": kind,
        "params": parameters,
        "createdAt": eks.now,
        "errors": [],
    }
    made = Update(fields, nodegroup, addon)
    cluster.updates.append(made)
    return made


def succeed(update: Update) -> None:
    """The update has ended well."""
    update.fields["status"] = "Successful"


def fail(update: Update, code: str, message: str, resources: list[str] | None = None) -> None:
    """The update has ended with an error."""
    update.fields["status"] = "Failed"
    update.fields["errors"] = [{"errorCode": code, "errorMessage": message, "resourceIds": resources or []}]


def struck(eks: Eks, update: Update, name: str) -> bool:
    """Whether an injected failure ends the update; it is then recorded."""
    resource = "nodegroup" if update.nodegroup else "addon" if update.addon else "cluster"
    cluster = next((each.name for each in eks.clusters.values() if update in each.updates), "")
    fault = eks.take_fault("update", resource, cluster, name)
    if fault:
        fail(update, fault.code, fault.message, fault.resourceIds)
    return fault is not None


def _owned(cluster: Cluster, parameters: Fields) -> list[Update]:
    nodegroup, addon = parameters.get("nodegroupName"), parameters.get("addonName")
    if nodegroup:
        cluster.nodegroup(nodegroup)
    if addon:
        cluster.addon(addon)
    return [each for each in cluster.updates if (each.nodegroup, each.addon) == (nodegroup, addon)]


def describe(eks: Eks, parameters: Fields) -> Fields:
    """DescribeUpdate."""
    cluster = eks.cluster(parameters["name"])
    found = next((each for each in _owned(cluster, parameters) if each.id == parameters["updateId"]), None)
    if found is None:
        message = f"No update found for ID: {parameters['updateId']}"
        raise not_found(message, cluster.name, parameters.get("nodegroupName"), parameters.get("addonName"))
    return {"update": shown(found.fields)}


def list_ids(eks: Eks, parameters: Fields) -> Fields:
    """ListUpdates, the newest first."""
    cluster = eks.cluster(parameters["name"])
    return paged(parameters, "updateIds", [each.id for each in reversed(_owned(cluster, parameters))])


def cancel(eks: Eks, parameters: Fields) -> Fields:
    """CancelUpdate: for rollbacks of EKS Auto Mode alone, so never here."""
    answer = describe(eks, parameters)
    message = f"Update {answer['update']['id']} of type {answer['update']['type']} cannot be cancelled"
    raise invalid_request(message, parameters["name"])


def _idle(cluster: Cluster, kind: str) -> None:
    """Refuse an update of a kind while the control plane is not ACTIVE or another update of it runs."""
    for each in cluster.updates:
        if each.running and not each.nodegroup and not each.addon:
            message = f"Cannot {kind} because cluster {cluster.name} currently has update {each.id} in progress"
            raise in_use(message, cluster.name)
    if cluster.status != "ACTIVE":
        raise invalid_request(f"Cluster is not in ACTIVE status: {cluster.status}", cluster.name)


# the version


def update_version(eks: Eks, parameters: Fields) -> Fields:
    """UpdateClusterVersion: one minor up, or back again by a rollback."""
    if made := eks.remembered("UpdateClusterVersion", parameters):
        return {"update": shown(made.fields)}
    cluster = eks.cluster(parameters["name"])
    version = parameters["version"]
    _idle(cluster, "VersionUpdate")
    try:
        step = calendar.minor(version) - calendar.minor(cluster.version)
    except ValueError as err:
        raise invalid_parameter(f"unsupported Kubernetes version {version}", cluster.name) from err
    rollback = step == -1
    if version not in calendar.offered(eks.now):
        raise invalid_parameter(
            f"unsupported Kubernetes version update from {cluster.version} to {version}", cluster.name
        )
    if step not in {1, -1}:
        message = (
            f"Cluster is already at version {version}"
            if step == 0
            else f"Unsupported Kubernetes minor version update from {cluster.version} to {version}"
        )
        raise invalid_parameter(message, cluster.name)
    if rollback:
        _check_rollback(eks, cluster, parameters)
    else:
        _check_upgrade(cluster, version, parameters)
    kind = "VersionRollback" if rollback else "VersionUpdate"
    platform = calendar.versions()[version].platform
    made = begin(eks, cluster, kind, params(Version=version, PlatformVersion=platform))
    eks.remember("UpdateClusterVersion", parameters, made)
    cluster.fields["status"] = "UPDATING"
    seconds = eks.draw("eks:UpdateClusterVersion")
    eks.after(seconds, lambda: _end_version(eks, cluster, made, version, rollback=rollback))
    return {"update": shown(made.fields)}


def _check_upgrade(cluster: Cluster, version: str, parameters: Fields) -> None:
    if parameters.get("rollbackConfig"):
        raise invalid_parameter("rollbackConfig can be set for a rollback alone", cluster.name)
    behind = [group.name for group in cluster.nodegroups.values() if group.fields["version"] != cluster.version]
    if behind:
        message = (
            f"Nodegroups {', '.join(behind)} must be updated to match cluster version {cluster.version} "
            f"before updating cluster version"
        )
        raise invalid_request(message, cluster.name)
    blocking = insights.blocking(cluster, "UPGRADE_READINESS", version)
    if blocking and not parameters.get("force"):
        raise invalid_state(f"Update is blocked by upgrade insights in ERROR: {', '.join(blocking)}", cluster.name)


def _check_rollback(eks: Eks, cluster: Cluster, parameters: Fields) -> None:
    version = parameters["version"]
    low, high = _ROLLBACK_TIMEOUTS
    minutes = (parameters.get("rollbackConfig") or {}).get("timeoutMinutes", 720)
    if not low <= minutes <= high:
        raise invalid_parameter(f"rollbackConfig.timeoutMinutes must be between {low} and {high}", cluster.name)
    if not cluster.upgraded or cluster.upgraded[0] != version:
        raise invalid_request(
            f"Cluster was not upgraded from version {version}, so cannot be rolled back", cluster.name
        )
    if eks.now - cluster.upgraded[1] > _ROLLBACK_WINDOW:
        raise invalid_request("The rollback window of 7 days after the upgrade has passed", cluster.name)
    support = calendar.versions()[version].support(eks.now)
    if support == "EXTENDED_SUPPORT" and cluster.fields["upgradePolicy"]["supportType"] != "EXTENDED":
        message = f"Version {version} is in extended support: set the upgrade policy's supportType to EXTENDED first"
        raise invalid_request(message, cluster.name)
    blocking = insights.blocking(cluster, "ROLLBACK_READINESS", version)
    if blocking and not parameters.get("force"):
        raise invalid_state(f"Rollback is blocked by insights in ERROR: {', '.join(blocking)}", cluster.name)


def _end_version(eks: Eks, cluster: Cluster, update: Update, version: str, *, rollback: bool) -> None:
    if cluster.deleted:
        return
    cluster.fields["status"] = "ACTIVE"
    if struck(eks, update, cluster.name):
        return
    plane = cluster.plane
    if plane:
        plane.set_version(version)
    cluster.upgraded = None if rollback else (cluster.version, eks.now)
    cluster.fields.update(version=version, platformVersion=calendar.versions()[version].platform)
    succeed(update)
    insights.refresh_now(eks, cluster)


# the configuration


def update_config(eks: Eks, parameters: Fields) -> Fields:
    """UpdateClusterConfig: one kind of change in a call, and a change it has to be."""
    if made := eks.remembered("UpdateClusterConfig", parameters):
        return {"update": shown(made.fields)}
    cluster = eks.cluster(parameters["name"])
    asked = [key for key in _CHANGES if parameters.get(key) is not None]
    if not asked:
        raise invalid_parameter("No changes needed for the cluster config provided", cluster.name)
    if len(asked) > 1:
        raise invalid_parameter("Only one type of update can be allowed.", cluster.name)
    kind = _kind(asked[0], parameters[asked[0]])
    _idle(cluster, kind)
    changed, apply = _CHANGES[asked[0]](cluster, parameters[asked[0]])
    made = begin(eks, cluster, kind, changed)
    eks.remember("UpdateClusterConfig", parameters, made)
    cluster.fields["status"] = "UPDATING"
    eks.after(eks.draw("eks:UpdateClusterConfig"), lambda: _end_config(eks, cluster, made, apply))
    return {"update": shown(made.fields)}


def _end_config(eks: Eks, cluster: Cluster, update: Update, apply: Callable[[], None]) -> None:
    if cluster.deleted:
        return
    cluster.fields["status"] = "ACTIVE"
    if struck(eks, update, cluster.name):
        return
    apply()
    clusters.write_logs(cluster)
    if cluster.fields["accessConfig"]["authenticationMode"] != "CONFIG_MAP":
        for group in cluster.nodegroups.values():
            access.admit_nodes(eks, cluster, group.fields["nodeRole"])
    succeed(update)


_KINDS = {
    "logging": "LoggingUpdate",
    "accessConfig": "AccessConfigUpdate",
    "upgradePolicy": "UpgradePolicyUpdate",
    "zonalShiftConfig": "ZonalShiftConfigUpdate",
    "deletionProtection": "DeletionProtectionUpdate",
    "controlPlaneScalingConfig": "ControlPlaneScalingConfigUpdate",
}


def _kind(asked: str, wanted: Any) -> str:
    """The type of the update that a member of the request makes."""
    if asked != "resourcesVpcConfig":
        return _KINDS[asked]
    if wanted.get("controlPlaneEgressMode") is not None:
        return "ControlPlaneEgressUpdate"
    return "VpcConfigUpdate" if any(wanted.get(key) is not None for key in _NETWORK_KEYS) else "EndpointAccessUpdate"


type _Change = tuple[list[Fields], Callable[[], None]]


def _same(cluster: Cluster, what: str) -> None:
    raise invalid_parameter(f"Cluster is already at the desired configuration with {what}", cluster.name)


def _change_logging(cluster: Cluster, wanted: Fields) -> _Change:
    after = clusters.logging_config(wanted, cluster.fields["logging"])
    if after == cluster.fields["logging"]:
        raise invalid_parameter("No changes needed for the logging config provided", cluster.name)
    return params(ClusterLogging=wanted), lambda: cluster.fields.update(logging=after)


def _change_vpc(cluster: Cluster, wanted: Fields) -> _Change:
    network_keys = [key for key in _NETWORK_KEYS if wanted.get(key) is not None]
    access_keys = [key for key in _ACCESS_PARAMS if wanted.get(key) is not None]
    mode = wanted.get("controlPlaneEgressMode")
    if sum(map(bool, (network_keys, access_keys, mode))) > 1:
        raise invalid_parameter("Only one type of update can be allowed.", cluster.name)
    present = cluster.fields["resourcesVpcConfig"]
    if mode is not None:
        return _change_egress(cluster, present, mode)
    after = _vpc_after(cluster, present, wanted) if network_keys else _access_after(cluster, present, wanted)
    if after == present:
        _same(cluster, _access_words(present))

    def apply() -> None:
        cluster.fields["resourcesVpcConfig"] = after
        if network_keys:
            network.remove_interfaces(cluster.network_interfaces)
            groups = [after["clusterSecurityGroupId"], *after["securityGroupIds"]]
            made = network.make_control_plane_interfaces(cluster.name, after["subnetIds"], groups)
            cluster.network_interfaces = made

    if network_keys:
        shown_params = params(Subnets=wanted.get("subnetIds"), SecurityGroups=wanted.get("securityGroupIds"))
        return shown_params, apply
    shown_params = params(**{_ACCESS_PARAMS[key]: wanted[key] for key in access_keys})
    return shown_params, apply


def _change_egress(cluster: Cluster, present: Fields, mode: str) -> _Change:
    if mode == present["controlPlaneEgressMode"]:
        _same(cluster, f"controlPlaneEgressMode: {mode}")
    if mode == "AWS_MANAGED":
        message = (
            f"controlPlaneEgressMode cannot be changed back to AWS_MANAGED from {present['controlPlaneEgressMode']}"
        )
        raise invalid_parameter(message, cluster.name)
    changed = params(ControlPlaneEgressMode=mode)
    return changed, lambda: present.update(controlPlaneEgressMode=mode)


_NETWORK_KEYS = ("subnetIds", "securityGroupIds")
_ACCESS_PARAMS = {
    "endpointPublicAccess": "EndpointPublicAccess",
    "endpointPrivateAccess": "EndpointPrivateAccess",
    "publicAccessCidrs": "PublicAccessCidrs",
}


def _access_words(config: Fields) -> str:
    return (
        f"endpointPrivateAccess: {str(config['endpointPrivateAccess']).lower()} , "
        f"endpointPublicAccess: {str(config['endpointPublicAccess']).lower()}, "
        f"and Public Endpoint Restrictions: [{', '.join(config['publicAccessCidrs'])}]"
    )


def _vpc_after(cluster: Cluster, present: Fields, wanted: Fields) -> Fields:
    request = {
        "subnetIds": wanted.get("subnetIds") or present["subnetIds"],
        "securityGroupIds": present["securityGroupIds"]
        if wanted.get("securityGroupIds") is None
        else wanted["securityGroupIds"],
    }
    checked = clusters.vpc_config(request, cluster.name)
    if checked["vpcId"] != present["vpcId"]:
        raise invalid_parameter("Provided subnets belong to a different VPC than the cluster", cluster.name)
    return {**present, "subnetIds": checked["subnetIds"], "securityGroupIds": checked["securityGroupIds"]}


def _access_after(cluster: Cluster, present: Fields, wanted: Fields) -> Fields:
    after = {**present, **{key: wanted[key] for key in _ACCESS_PARAMS if wanted.get(key) is not None}}
    if wanted.get("publicAccessCidrs") is not None:
        after["publicAccessCidrs"] = clusters.access_cidrs(wanted["publicAccessCidrs"], cluster.name)
    clusters.check_endpoint_access(after, cluster.name)
    return after


def _change_access(cluster: Cluster, wanted: Fields) -> _Change:
    order = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")
    present = cluster.fields["accessConfig"]["authenticationMode"]
    mode = wanted.get("authenticationMode") or present
    if mode == present:
        raise invalid_parameter(f"Unsupported authentication mode update from {present} to {mode}", cluster.name)
    if order.index(mode) - order.index(present) != 1:
        raise invalid_parameter(f"Unsupported authentication mode update from {present} to {mode}", cluster.name)
    return params(AuthenticationMode=mode), lambda: cluster.fields["accessConfig"].update(authenticationMode=mode)


def _simple(key: str, param: str) -> Callable[[Cluster, Any], _Change]:
    def change(cluster: Cluster, wanted: Any) -> _Change:
        present = cluster.fields[key]
        after = {**present, **wanted} if isinstance(wanted, dict) else wanted
        if after == present:
            _same(cluster, f"{key}: {json.dumps(wanted)}")
        shown_value = wanted.get("supportType", wanted) if isinstance(wanted, dict) else wanted
        return params(**{param: shown_value}), lambda: cluster.fields.update({key: after})

    return change


_CHANGES: dict[str, Callable[[Cluster, Any], _Change]] = {
    "resourcesVpcConfig": _change_vpc,
    "logging": _change_logging,
    "accessConfig": _change_access,
    "upgradePolicy": _simple("upgradePolicy", "UpgradePolicy"),
    "zonalShiftConfig": _simple("zonalShiftConfig", "ZonalShiftConfig"),
    "deletionProtection": _simple("deletionProtection", "DeletionProtection"),
    "controlPlaneScalingConfig": _simple("controlPlaneScalingConfig", "UpdatedTier"),
}


def associate_encryption(eks: Eks, parameters: Fields) -> Fields:
    """AssociateEncryptionConfig: once, and for good."""
    if made := eks.remembered("AssociateEncryptionConfig", parameters):
        return {"update": shown(made.fields)}
    cluster = eks.cluster(parameters["clusterName"])
    _idle(cluster, "AssociateEncryptionConfig")
    if cluster.fields.get("encryptionConfig"):
        raise invalid_parameter("Encryption is already enabled for this cluster", cluster.name)
    config = clusters.encryption_config(parameters["encryptionConfig"], cluster.name)
    made = begin(eks, cluster, "AssociateEncryptionConfig", params(EncryptionConfig=config))
    eks.remember("AssociateEncryptionConfig", parameters, made)
    cluster.fields["status"] = "UPDATING"
    seconds = eks.draw("eks:UpdateClusterConfig")
    eks.after(seconds, lambda: _end_config(eks, cluster, made, lambda: cluster.fields.update(encryptionConfig=config)))
    return {"update": shown(made.fields)}


# versions and tags


def describe_versions(eks: Eks, parameters: Fields) -> Fields:
    """DescribeClusterVersions."""
    found = [each.describe(eks.now) for each in reversed(calendar.versions().values())]
    wanted = parameters.get("clusterVersions")
    if parameters.get("clusterType") not in {None, "eks"}:
        found = []
    status = parameters.get("versionStatus") or (parameters.get("status") or "").upper().replace("-", "_")
    if status:
        found = [each for each in found if each["versionStatus"] == status]
    elif not parameters.get("includeAll") and not wanted:
        found = [each for each in found if each["versionStatus"] != "UNSUPPORTED"]
    if wanted:
        found = [each for each in found if each["clusterVersion"] in wanted]
    if parameters.get("defaultOnly"):
        found = [each for each in found if each["defaultVersion"]]
    return paged(parameters, "clusterVersions", found)


def _tagged(eks: Eks, arn: str) -> Fields:
    for cluster in eks.clusters.values():
        for fields, key in _taggable(cluster):
            if fields[key] == arn:
                return fields
    raise not_found(f"No resource found for ARN: {arn}")


def existing_arn(eks: Eks, named: str) -> str:
    """The ARN that `named` stands for, a star in place of the uuid that EKS has given; `named` itself without one."""
    start = named.removesuffix("*")
    found = (
        str(fields[key])
        for cluster in list(eks.clusters.values())
        for fields, key in _taggable(cluster)
        if str(fields[key]).startswith(start) and "/" not in str(fields[key])[len(start) :]
    )
    return next(found, named)


def tags_of(eks: Eks, arn: str) -> dict[str, str] | None:
    """The tags on what has that ARN; None where nothing has."""
    for cluster in list(eks.clusters.values()):
        for fields, key in _taggable(cluster):
            if fields[key] == arn:
                return dict(fields["tags"])
    return None


def _taggable(cluster: Cluster) -> list[tuple[Fields, str]]:
    return [
        (cluster.fields, "arn"),
        *((each.fields, "nodegroupArn") for each in cluster.nodegroups.values()),
        *((each.fields, "addonArn") for each in cluster.addons.values()),
        *((each.fields, "accessEntryArn") for each in cluster.access.values()),
        *((each, "associationArn") for each in cluster.associations.values()),
    ]


def list_tags(eks: Eks, parameters: Fields) -> Fields:
    """ListTagsForResource."""
    return {"tags": shown(_tagged(eks, parameters["resourceArn"])["tags"])}


def tag(eks: Eks, parameters: Fields) -> Fields:
    """TagResource."""
    fields = _tagged(eks, parameters["resourceArn"])
    fields["tags"] = validation.tags({**fields["tags"], **parameters["tags"]})
    return {}


def untag(eks: Eks, parameters: Fields) -> Fields:
    """UntagResource."""
    fields = _tagged(eks, parameters["resourceArn"])
    fields["tags"] = {key: value for key, value in fields["tags"].items() if key not in parameters["tagKeys"]}
    return {}
