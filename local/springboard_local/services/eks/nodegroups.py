"""Managed node groups: requests, and the way from CREATING to gone.

A group is an Auto Scaling group with EKS's own launch template; its nodes follow the instances (nodes.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import EC2ClientError

from springboard_local.services import autoscaling
from springboard_local.services.eks import access, calendar, clusters, network, nodes, rolling, updates, validation
from springboard_local.services.eks.errors import (
    in_use,
    invalid_parameter,
    invalid_request,
    limit_exceeded,
)
from springboard_local.services.eks.instance_types import instance_type
from springboard_local.services.eks.state import Cluster, Eks, Fields, Nodegroup, paged, shown

if TYPE_CHECKING:
    from springboard_local.services.eks.state import Update

# https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html, read 2026-11-26
LIMIT = 30  # node groups per cluster
_MOST_NODES = 450  # of one group
PATIENCE = 1_200  # virtual seconds for which EKS waits for nodes before it gives up
_LAUNCH = 0.1  # share of the creation time after which the Auto Scaling group exists
_POLL = 15
_DISK = 20  # GiB, where none is asked for
_ARCHITECTURE = {"x86_64": "AL2023_x86_64_STANDARD", "arm64": "AL2023_ARM_64_STANDARD"}


# requests


def create(eks: Eks, parameters: Fields) -> Fields:
    """CreateNodegroup."""
    if made := eks.remembered("CreateNodegroup", parameters):
        return {"nodegroup": shown(made.fields)}
    cluster = eks.cluster(parameters["clusterName"])
    name = parameters["nodegroupName"]
    if not validation.NODEGROUP_NAME.fullmatch(name):
        raise invalid_parameter(f"The nodegroup name {name} is not valid", cluster.name, name)
    if name in cluster.nodegroups:
        message = f"NodeGroup already exists with name {name} and cluster name {cluster.name}"
        raise in_use(message, cluster.name, name)
    if len(cluster.nodegroups) >= LIMIT:
        raise limit_exceeded(f"Nodegroup limit exceeded: {LIMIT} for a cluster", cluster.name)
    if cluster.status not in {"ACTIVE", "UPDATING"}:
        raise invalid_request(f"Cluster '{cluster.name}' is not in ACTIVE status", cluster.name, name)
    group = Nodegroup({})
    group.fields = _fields(eks, cluster, group, parameters)
    cluster.nodegroups[name] = group
    eks.remember("CreateNodegroup", parameters, group)
    access.admit_nodes(eks, cluster, parameters["nodeRole"])
    answer = shown(group.fields)
    _begin(eks, cluster, group)
    return {"nodegroup": answer}


def _fields(eks: Eks, cluster: Cluster, group: Nodegroup, parameters: Fields) -> Fields:
    name = parameters["nodegroupName"]
    clusters.check_role(parameters["nodeRole"], "ec2.amazonaws.com", cluster.name, name)
    found = network.subnets(parameters["subnets"], cluster.name)
    if not found or found[0].vpc_id != cluster.fields["resourcesVpcConfig"]["vpcId"]:
        raise invalid_parameter("Subnets are not in the VPC of the cluster", cluster.name, name)
    template = _template(cluster, group, parameters)
    types, ami_type = _instance_types(cluster, parameters, template)
    version = _version(cluster, name, parameters.get("version"))
    fields: Fields = {
        "nodegroupName": name,
        "nodegroupArn": eks.arn(f"nodegroup/{cluster.name}/{name}/{eks.uuid()}"),
        "clusterName": cluster.name,
        "version": version,
        "releaseVersion": _release(cluster, name, version, parameters.get("releaseVersion")),
        "createdAt": eks.now,
        "modifiedAt": eks.now,
        "status": "CREATING",
        "capacityType": parameters.get("capacityType") or "ON_DEMAND",
        "scalingConfig": _scaling(cluster, name, parameters.get("scalingConfig")),
        "instanceTypes": types,
        "subnets": list(parameters["subnets"]),
        "amiType": ami_type,
        "nodeRole": parameters["nodeRole"],
        "labels": _labels(cluster, name, parameters.get("labels") or {}),
        "taints": [_taint(cluster, name, each) for each in parameters.get("taints") or []],
        "health": {"issues": []},
        "updateConfig": _update_config(cluster, name, parameters.get("updateConfig")),
        "nodeRepairConfig": _repair_config(cluster, name, parameters.get("nodeRepairConfig")),
        "tags": validation.tags(parameters.get("tags")),
    }
    if template:
        fields["launchTemplate"] = template
    else:
        fields["diskSize"] = parameters.get("diskSize") or _DISK
    return fields


_FORBIDDEN_IN_TEMPLATE = {
    "IamInstanceProfile": "IAM instance profile",
    "InstanceInitiatedShutdownBehavior": "shutdown behavior",
    "HibernationOptions": "hibernate behavior",
    "Placement": "placement",
}


def _template(cluster: Cluster, group: Nodegroup, parameters: Fields) -> Fields | None:
    """The user's launch template, with what EKS refuses in it refused; its data go to the group."""
    reference = parameters.get("launchTemplate")
    if not reference:
        return None
    name = group.fields.get("nodegroupName") or parameters["nodegroupName"]
    template, version = network.launch_template(reference)
    data = version.data
    interfaces = data.get("NetworkInterfaces") or []
    wrong = [words for key, words in _FORBIDDEN_IN_TEMPLATE.items() if data.get(key)]
    if any(each.get("SubnetId") for each in interfaces):
        wrong.append("subnet")
    if wrong:
        words = ", ".join(wrong)
        message = f"Launch template {template.name} should not specify {words}. The noted parameters are set by EKS."
        raise invalid_parameter(message, cluster.name, name)
    if parameters.get("diskSize"):
        message = "Disk size must be specified within the launch template."
        raise invalid_parameter(message, cluster.name, name)
    if data.get("InstanceType") and parameters.get("instanceTypes"):
        message = "Cannot specify instance types in both the launch template and the nodegroup request"
        raise invalid_parameter(message, cluster.name, name)
    if data.get("ImageId"):
        message = "A launch template with an image of its own is not part of the local cloud: use amiType"
        raise invalid_parameter(message, cluster.name, name)
    group.custom_template = dict(data)
    return {"name": template.name, "version": str(version.number), "id": template.id}


def _instance_types(cluster: Cluster, parameters: Fields, template: Fields | None) -> tuple[list[str], str]:
    name = parameters["nodegroupName"]
    of_template = _of_template(template)
    types = list(parameters.get("instanceTypes") or ([of_template] if of_template else ["t3.medium"]))
    unknown = [each for each in types if instance_type(each) is None]
    if unknown:
        message = f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
        raise invalid_parameter(message, cluster.name, name)
    architectures = {found.architecture for each in types if (found := instance_type(each))}
    if len(architectures) > 1:
        message = f"Instance types [{', '.join(types)}] have more than one architecture"
        raise invalid_parameter(message, cluster.name, name)
    architecture = architectures.pop()
    ami_type = parameters.get("amiType") or _ARCHITECTURE[architecture]
    if ("ARM" in ami_type) != (architecture == "arm64"):
        message = f"[{', '.join(types)}] is not a valid instance type for requested amiType {ami_type}"
        raise invalid_request(message, cluster.name, name)
    if ami_type.startswith(("WINDOWS", "CUSTOM")) or (ami_type.startswith("AL2_") and _without_al2(cluster)):
        message = f"Requested amiType {ami_type} is not supported for kubernetes version {cluster.version}"
        raise invalid_parameter(message, cluster.name, name)
    return types, ami_type


def _without_al2(cluster: Cluster) -> bool:
    return calendar.minor(cluster.version) > 32


def _of_template(reference: Fields | None) -> str:
    if reference is None:
        return ""
    _, version = network.launch_template({"id": reference["id"], "version": reference["version"]})
    return str(version.data.get("InstanceType") or "")


def _version(cluster: Cluster, name: str, version: str | None) -> str:
    if version is None:
        return cluster.version
    if version not in calendar.versions():
        raise invalid_parameter(f"Requested Kubernetes version {version} is not supported", cluster.name, name)
    if version != cluster.version:
        message = f"Nodegroup Kubernetes version should be equal to Cluster kubernetes version {cluster.version}"
        raise invalid_parameter(message, cluster.name, name)
    return version


def _release(cluster: Cluster, name: str, version: str, release: str | None) -> str:
    known = calendar.node_releases()[version]
    if release is None:
        return known[-1]
    if release not in known:
        message = f"Requested release version {release} is not valid for kubernetes version {version}."
        raise invalid_parameter(message, cluster.name, name)
    return release


def _scaling(cluster: Cluster, name: str, config: Fields | None) -> Fields:
    scaling = {"minSize": 1, "maxSize": 2, "desiredSize": 2, **(config or {})}
    low, high, desired = scaling["minSize"], scaling["maxSize"], scaling["desiredSize"]
    if high > _MOST_NODES:
        raise limit_exceeded(f"A nodegroup can have at most {_MOST_NODES} nodes", cluster.name)
    if low > high:
        raise invalid_parameter("minSize can't be greater than maxSize", cluster.name, name)
    if desired < low:
        message = f"Minimum capacity {low} can't be greater than desired size {desired}"
        raise invalid_parameter(message, cluster.name, name)
    if desired > high:
        message = f"desired capacity {desired} can't be greater than max size {high}"
        raise invalid_parameter(message, cluster.name, name)
    return scaling


def _labels(cluster: Cluster, name: str, labels: dict[str, str]) -> dict[str, str]:
    for key in labels:
        prefix = key.partition("/")[0] if "/" in key else ""
        if re.search(r"(^|\.)(kubernetes\.io|k8s\.io|eks\.amazonaws\.com)$", prefix):
            message = f"Label cannot contain reserved prefixes [kubernetes.io/, k8s.io/, eks.amazonaws.com/]: {key}"
            raise invalid_parameter(message, cluster.name, name)
    return dict(labels)


def _taint(cluster: Cluster, name: str, taint: Fields) -> Fields:
    if not taint.get("key") or taint.get("effect") not in nodes.EFFECTS:
        raise invalid_parameter("Taint key and effect must be set", cluster.name, name)
    return dict(taint)


def _update_config(cluster: Cluster, name: str, config: Fields | None) -> Fields:
    config = dict(config or {})
    if "maxUnavailable" in config and "maxUnavailablePercentage" in config:
        message = "Nodegroup update config must have exactly one of maxUnavailable and maxUnavailablePercentage set"
        raise invalid_parameter(message, cluster.name, name)
    if "maxUnavailablePercentage" not in config:
        config.setdefault("maxUnavailable", 1)
    if config.get("maxUnavailable", 1) > 100:
        raise invalid_parameter("maxUnavailable cannot be more than 100", cluster.name, name)
    return config


def _repair_config(cluster: Cluster, name: str, config: Fields | None) -> Fields:
    config = {"enabled": False, **(config or {})}
    for number, percentage in (
        ("maxUnhealthyNodeThresholdCount", "maxUnhealthyNodeThresholdPercentage"),
        ("maxParallelNodesRepairedCount", "maxParallelNodesRepairedPercentage"),
    ):
        if number in config and percentage in config:
            message = f"Node repair config can have only one of {number} and {percentage}"
            raise invalid_parameter(message, cluster.name, name)
    return config


# the way to ACTIVE


def _begin(eks: Eks, cluster: Cluster, group: Nodegroup) -> None:
    seconds = eks.draw("eks:CreateNodegroup")
    fault = eks.take_fault("health", "nodegroup", cluster.name, group.name)
    began = eks.now

    def launch() -> None:
        if current(cluster, group) and group.status == "CREATING":
            _make_group(eks, cluster, group, joining=seconds * 0.6)

    def arrive() -> None:
        if not current(cluster, group) or group.status != "CREATING":
            return
        if fault:
            _failed(group, fault.code, fault.message, fault.resourceIds or None)
            return
        _look(eks, cluster, group, (eks.now - began).total_seconds())

    eks.after(seconds * _LAUNCH, launch)
    eks.after(seconds, arrive)


def current(cluster: Cluster, group: Nodegroup) -> bool:
    """Whether the group is still the cluster's group of that name."""
    return not cluster.deleted and cluster.nodegroups.get(group.name) is group


def _make_group(eks: Eks, cluster: Cluster, group: Nodegroup, joining: float) -> None:
    identifier = eks.uuid()
    name = f"eks-{group.name}-{identifier}"
    template = network.ec2().create_launch_template(f"eks-{identifier}", "", template_data(cluster, group), {})
    group.template_id = template.id
    group.fields["resources"] = {"autoScalingGroups": [{"name": name}]}
    group.join_seconds = joining
    scaling = group.fields["scalingConfig"]
    owned = {
        "eks:cluster-name": cluster.name,
        "eks:nodegroup-name": group.name,
        f"kubernetes.io/cluster/{cluster.name}": "owned",
        "k8s.io/cluster-autoscaler/enabled": "true",
        f"k8s.io/cluster-autoscaler/{cluster.name}": "owned",
    }
    autoscaling.backend().create_auto_scaling_group(
        name=name,
        availability_zones=[],
        desired_capacity=scaling["desiredSize"],
        max_size=scaling["maxSize"],
        min_size=scaling["minSize"],
        launch_config_name="",
        launch_template={"LaunchTemplateId": template.id, "Version": "$Latest"},
        vpc_zone_identifier=",".join(group.fields["subnets"]),
        default_cooldown=None,
        health_check_period=15,
        health_check_type="EC2",
        load_balancers=[],
        target_group_arns=[],
        placement_group=None,
        termination_policies=["AllocationStrategy", "OldestLaunchTemplate", "OldestInstance"],
        tags=[{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in owned.items()],
        capacity_rebalance=True,
    )


def template_data(cluster: Cluster, group: Nodegroup) -> dict[str, Any]:
    """EKS's own launch template: the user's, with image, instance type and security groups filled in."""
    fields = group.fields
    custom = group.custom_template or {}
    kind = fields["instanceTypes"][0]
    found = instance_type(kind)
    architecture = found.architecture if found else "x86_64"
    groups = list(custom.get("SecurityGroupIds") or [])
    for interface in custom.get("NetworkInterfaces") or []:
        groups += interface.get("Groups") or []
    disk = {"VolumeSize": fields.get("diskSize", _DISK), "VolumeType": "gp3", "DeleteOnTermination": True}
    data = {
        "ImageId": network.image(fields["version"], fields["releaseVersion"], architecture),
        "InstanceType": kind,
        "SecurityGroupIds": groups or [cluster.fields["resourcesVpcConfig"]["clusterSecurityGroupId"]],
        "BlockDeviceMappings": custom.get("BlockDeviceMappings") or [{"DeviceName": "/dev/xvda", "Ebs": disk}],
        "MetadataOptions": custom.get("MetadataOptions") or {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "TagSpecifications": custom.get("TagSpecifications") or [],
    }
    if fields["capacityType"] == "SPOT":
        data["InstanceMarketOptions"] = {"MarketType": "spot"}
    return data


def _look(eks: Eks, cluster: Cluster, group: Nodegroup, waited: float) -> None:
    """ACTIVE once all nodes are ready; CREATE_FAILED when patience is over."""
    if not current(cluster, group) or group.status != "CREATING":
        return
    wanted = group.fields["scalingConfig"]["desiredSize"]
    if len(nodes.ready(cluster, group)) >= wanted:
        group.fields.update(status="ACTIVE", modifiedAt=eks.now)
        group.join_seconds = nodes.JOIN
        return
    if waited >= PATIENCE:
        _give_up(group)
        return
    eks.after(_POLL, lambda: _look(eks, cluster, group, waited + _POLL))


def _give_up(group: Nodegroup) -> None:
    if group.launch_error:
        _failed(group, nodes.LAUNCH_FAILURE, group.launch_error, [group.group_name or ""])
    elif any(group.instances.values()):
        unready = sorted(group.instances)
        _failed(group, "NodeCreationFailure", "Unhealthy nodes in the kubernetes cluster", unready)
    else:
        message = "Instances failed to join the kubernetes cluster"
        _failed(group, "NodeCreationFailure", message, sorted(group.instances))


def _failed(group: Nodegroup, code: str, message: str, resources: list[str] | None = None) -> None:
    ids = sorted(group.instances) if resources is None else resources
    group.fields["status"] = "CREATE_FAILED"
    group.fields["health"] = {"issues": [{"code": code, "message": message, "resourceIds": ids}]}


def network_ready(_eks: Eks, cluster: Cluster) -> None:
    """vpc-cni has become ACTIVE: the nodes that waited for it are ready."""
    for group in cluster.nodegroups.values():
        for name in group.instances.values():
            if name and cluster.plane:
                cluster.plane.set_node_ready(name, ready=True)


# reads


def describe(eks: Eks, parameters: Fields) -> Fields:
    """DescribeNodegroup."""
    return {"nodegroup": shown(eks.cluster(parameters["clusterName"]).nodegroup(parameters["nodegroupName"]).fields)}


def list_names(eks: Eks, parameters: Fields) -> Fields:
    """ListNodegroups."""
    return paged(parameters, "nodegroups", sorted(eks.cluster(parameters["clusterName"]).nodegroups))


# changes


def _idle(cluster: Cluster, group: Nodegroup) -> None:
    if any(each.running for each in cluster.updates if each.nodegroup == group.name):
        message = f"Nodegroup {group.name} currently has an update in progress"
        raise in_use(message, cluster.name, group.name)
    if group.status not in {"ACTIVE", "DEGRADED"}:
        message = "Nodegroup cannot be updated as it is currently not in Active State"
        raise in_use(message, cluster.name, group.name)


def update_config(eks: Eks, parameters: Fields) -> Fields:
    """UpdateNodegroupConfig."""
    if made := eks.remembered("UpdateNodegroupConfig", parameters):
        return {"update": shown(made.fields)}
    cluster = eks.cluster(parameters["clusterName"])
    group = cluster.nodegroup(parameters["nodegroupName"])
    _idle(cluster, group)
    after = _after(cluster, group, parameters)
    if not after:
        raise invalid_parameter("No changes needed for the nodegroup config provided", cluster.name, group.name)
    scaling = after.get("scalingConfig", {})
    made = updates.begin(
        eks,
        cluster,
        "ConfigUpdate",
        updates.params(
            MinSize=scaling.get("minSize"),
            MaxSize=scaling.get("maxSize"),
            DesiredSize=scaling.get("desiredSize"),
            LabelsToAdd=(parameters.get("labels") or {}).get("addOrUpdateLabels"),
            LabelsToRemove=(parameters.get("labels") or {}).get("removeLabels"),
            TaintsToAdd=(parameters.get("taints") or {}).get("addOrUpdateTaints"),
            TaintsToRemove=(parameters.get("taints") or {}).get("removeTaints"),
            MaxUnavailable=after.get("updateConfig", {}).get("maxUnavailable"),
            MaxUnavailablePercentage=after.get("updateConfig", {}).get("maxUnavailablePercentage"),
            UpdateStrategy=after.get("updateConfig", {}).get("updateStrategy"),
            NodeRepairEnabled=after.get("nodeRepairConfig", {}).get("enabled"),
            NodeRepairConfig=after.get("nodeRepairConfig"),
        ),
        nodegroup=group.name,
    )
    eks.remember("UpdateNodegroupConfig", parameters, made)
    group.fields["status"] = "UPDATING"
    eks.soon(lambda: _scale(cluster, group, after))
    eks.after(eks.draw("eks:UpdateNodegroupConfig"), lambda: _end_config(eks, cluster, group, made, after))
    return {"update": shown(made.fields)}


def _after(cluster: Cluster, group: Nodegroup, parameters: Fields) -> Fields:
    """The members of the group that the request changes."""
    fields = group.fields
    after: Fields = {}
    if parameters.get("scalingConfig"):
        merged = {**fields["scalingConfig"], **parameters["scalingConfig"]}
        after["scalingConfig"] = _scaling(cluster, group.name, merged)
    if parameters.get("updateConfig"):
        after["updateConfig"] = _update_config(cluster, group.name, parameters["updateConfig"])
    if parameters.get("nodeRepairConfig"):
        wanted = {"enabled": fields["nodeRepairConfig"]["enabled"], **parameters["nodeRepairConfig"]}
        after["nodeRepairConfig"] = _repair_config(cluster, group.name, wanted)
    if labels := parameters.get("labels"):
        added = _labels(cluster, group.name, labels.get("addOrUpdateLabels") or {})
        removed = set(labels.get("removeLabels") or [])
        after["labels"] = {key: each for key, each in {**fields["labels"], **added}.items() if key not in removed}
    if taints := parameters.get("taints"):
        after["taints"] = _taints_after(cluster, group, taints)
    return after


def _taints_after(cluster: Cluster, group: Nodegroup, wanted: Fields) -> list[Fields]:
    def key(taint: Fields) -> tuple[str, str]:
        return taint["key"], taint["effect"]

    present = {key(each): each for each in group.fields["taints"]}
    for each in wanted.get("addOrUpdateTaints") or []:
        present[key(each)] = _taint(cluster, group.name, each)
    for each in wanted.get("removeTaints") or []:
        present.pop(key(each), None)
    return list(present.values())


def _scale(cluster: Cluster, group: Nodegroup, after: Fields) -> None:
    found = autoscaling.backend().autoscaling_groups.get(group.group_name)
    scaling = after.get("scalingConfig")
    if scaling and found and current(cluster, group):
        found.min_size, found.max_size = scaling["minSize"], scaling["maxSize"]
        found.set_desired_capacity(scaling["desiredSize"])


def _end_config(eks: Eks, cluster: Cluster, group: Nodegroup, update: Update, after: Fields) -> None:
    if not current(cluster, group) or group.status != "UPDATING":
        return
    group.fields.update(status="ACTIVE", modifiedAt=eks.now)
    if updates.struck(eks, update, group.name):
        return
    group.fields.update(after)
    if {"labels", "taints"} & set(after):
        nodes.relabel(cluster, group)
    updates.succeed(update)


def update_version(eks: Eks, parameters: Fields) -> Fields:
    """UpdateNodegroupVersion: another version, image release or version of the launch template."""
    if made := eks.remembered("UpdateNodegroupVersion", parameters):
        return {"update": shown(made.fields)}
    cluster = eks.cluster(parameters["clusterName"])
    group = cluster.nodegroup(parameters["nodegroupName"])
    _idle(cluster, group)
    target = _target(cluster, group, parameters)
    made = updates.begin(
        eks,
        cluster,
        "VersionUpdate",
        updates.params(
            Version=target["version"],
            ReleaseVersion=target["releaseVersion"],
            LaunchTemplateName=target.get("launchTemplate", {}).get("name"),
            LaunchTemplateVersion=target.get("launchTemplate", {}).get("version"),
        ),
        nodegroup=group.name,
    )
    eks.remember("UpdateNodegroupVersion", parameters, made)
    group.fields["status"] = "UPDATING"
    rolling.roll(eks, cluster, group, made, target, force=bool(parameters.get("force")))
    return {"update": shown(made.fields)}


def _target(cluster: Cluster, group: Nodegroup, parameters: Fields) -> Fields:
    """version, releaseVersion and launchTemplate that the group is to have."""
    release = parameters.get("releaseVersion")
    of_release = ".".join(release.split(".")[:2]) if release else None
    version = parameters.get("version") or of_release or group.fields["version"]
    if version not in {cluster.version, group.fields["version"]}:
        message = (
            f"Nodegroup Kubernetes version should be equal to Cluster kubernetes version {cluster.version} "
            f"or NodeGroup kubernetes version {group.fields['version']}"
        )
        raise invalid_parameter(message, cluster.name, group.name)
    target: Fields = {"version": version, "releaseVersion": _release(cluster, group.name, version, release)}
    if _age(target["releaseVersion"]) < _age(group.fields["releaseVersion"]):
        message = (
            f"Nodegroup cannot be rolled back from release version {group.fields['releaseVersion']} "
            f"to {target['releaseVersion']}"
        )
        raise invalid_parameter(message, cluster.name, group.name)
    reference = parameters.get("launchTemplate")
    present = group.fields.get("launchTemplate")
    if not reference:
        return {**target, "custom_template": group.custom_template}
    if not present:
        message = "A nodegroup that was created without a launch template cannot be updated to one"
        raise invalid_parameter(message, cluster.name, group.name)
    template, _ = network.launch_template(reference)
    if template.id != present["id"]:
        message = "You cannot change the launch template of a nodegroup, only its version"
        raise invalid_parameter(message, cluster.name, group.name)
    checked = Nodegroup({"nodegroupName": group.name})
    target["launchTemplate"] = _template(cluster, checked, {**parameters, "nodegroupName": group.name})
    target["custom_template"] = checked.custom_template
    return target


def _age(release: str) -> tuple[int, ...]:
    """A release version (1.35.6-20261110) as numbers that compare."""
    return tuple(int(each) for each in re.split(r"[.-]", release))


# the way out


def delete(eks: Eks, parameters: Fields) -> Fields:
    """DeleteNodegroup."""
    cluster = eks.cluster(parameters["clusterName"])
    group = cluster.nodegroup(parameters["nodegroupName"])
    if any(each.running for each in cluster.updates if each.nodegroup == group.name):
        message = f"Nodegroup {group.name} currently has an update in progress"
        raise in_use(message, cluster.name, group.name)
    if group.status != "DELETING":
        group.fields.update(status="DELETING", modifiedAt=eks.now)
        seconds = eks.draw("eks:DeleteNodegroup")
        rolling.drain(
            eks,
            cluster,
            list(group.instances.values()),
            least=seconds * 0.5,
            # CoreDNS's budget blocks the last eviction on the last node: the measured seconds hold that wait already.
            patience=seconds * 0.5,
            done=lambda _: _end(eks, cluster, group, seconds),
        )
    return {"nodegroup": shown(group.fields)}


def _end(eks: Eks, cluster: Cluster, group: Nodegroup, seconds: float) -> None:
    """The nodes are drained, or have had their time: the instances go, then the rest."""
    if not current(cluster, group):
        return
    name = group.group_name
    if name in autoscaling.backend().autoscaling_groups:
        autoscaling.backend().delete_auto_scaling_group(name)
    if group.template_id:
        try:
            network.ec2().delete_launch_template(None, group.template_id)
        except EC2ClientError:
            group.template_id = ""  # somebody was faster
    eks.after(seconds * 0.5, lambda: _gone(cluster, group))


def _gone(cluster: Cluster, group: Nodegroup) -> None:
    if not current(cluster, group):
        return
    for name in list(group.instances.values()):
        if name and cluster.plane:
            cluster.plane.remove_node(name)
    del cluster.nodegroups[group.name]
    if not any(each.fields["nodeRole"] == group.fields["nodeRole"] for each in cluster.nodegroups.values()):
        entry = cluster.access.get(group.fields["nodeRole"])
        if entry and entry.fields["type"] == "EC2_LINUX":
            del cluster.access[group.fields["nodeRole"]]
