"""Clusters: created, described, deleted; their control planes and what they leave in the account."""

from __future__ import annotations

import base64
import ipaddress
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends
from moto.logs.models import logs_backends

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.services import iam
from springboard_local.services.eks import access, addons, calendar, insights, network, validation
from springboard_local.services.eks.errors import (
    in_use,
    invalid_parameter,
    invalid_request,
    limit_exceeded,
    unsupported_zone,
)
from springboard_local.services.eks.state import Cluster, Eks, Fields, paged, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html, read 2026-11-26
LIMIT = 100  # clusters per Region
_MOST_GROUPS = 4  # control-plane security groups of a cluster
_MOST_CIDRS = 40  # ranges that may reach a public endpoint
LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
EVERYWHERE = "0.0.0.0/0"
_ZONES_WITHOUT_CONTROL_PLANES = {"use1-az3", "usw1-az2", "cac1-az3"}
_NETWORK_READY = 0.25  # share of the creation time after which security group and interfaces exist
_LAST_LOGS = 300  # seconds after the end of a cluster at which EKS writes the rest of its logs


def create(eks: Eks, parameters: Fields, principal: str) -> Fields:
    """CreateCluster."""
    if made := eks.remembered("CreateCluster", parameters):
        return {"cluster": shown(made.fields)}
    name = parameters["name"]
    if name in eks.clusters:
        raise in_use(f"Cluster already exists with name: {name}", name)
    if len(eks.clusters) >= LIMIT:
        raise limit_exceeded(f"Cluster limit exceeded: {LIMIT} clusters in this account and Region", name)
    unasked = parameters.get("bootstrapSelfManagedAddons", True)
    cluster = Cluster(_fields(eks, parameters), creator=principal, self_managed=unasked)
    eks.clusters[name] = cluster
    eks.remember("CreateCluster", parameters, cluster)
    access.bootstrap(eks, cluster)
    _begin(eks, cluster)
    return {"cluster": shown(cluster.fields)}


def _fields(eks: Eks, parameters: Fields) -> Fields:
    name = parameters["name"]
    version = parameters.get("version") or calendar.default_version()
    if version not in calendar.offered(eks.now):
        raise invalid_parameter(f"unsupported Kubernetes version {version}", name)
    check_role(parameters["roleArn"], "eks.amazonaws.com", name)
    fields: Fields = {
        "name": name,
        "arn": eks.arn(f"cluster/{name}"),
        "createdAt": eks.now,
        "version": version,
        "roleArn": parameters["roleArn"],
        "resourcesVpcConfig": vpc_config(parameters["resourcesVpcConfig"], name),
        "kubernetesNetworkConfig": _network_config(parameters.get("kubernetesNetworkConfig"), name),
        "logging": logging_config(parameters.get("logging"), None),
        "identity": {},
        "status": "CREATING",
        "certificateAuthority": {},
        "clientRequestToken": parameters.get("clientRequestToken"),
        "platformVersion": calendar.versions()[version].platform,
        "tags": validation.tags(parameters.get("tags")),
        "encryptionConfig": encryption_config(parameters.get("encryptionConfig"), name),
        "health": {"issues": []},
        "accessConfig": {
            "bootstrapClusterCreatorAdminPermissions": True,
            "authenticationMode": "CONFIG_MAP",
            **(parameters.get("accessConfig") or {}),
        },
        "upgradePolicy": {"supportType": "EXTENDED", **(parameters.get("upgradePolicy") or {})},
        "zonalShiftConfig": {"enabled": False, **(parameters.get("zonalShiftConfig") or {})},
        "deletionProtection": bool(parameters.get("deletionProtection")),
        "controlPlaneScalingConfig": {"tier": "standard", **(parameters.get("controlPlaneScalingConfig") or {})},
    }
    if not fields["encryptionConfig"]:
        del fields["encryptionConfig"]
    # Of Auto Mode only that it is off: what asks for more has been refused before.
    fields.update({key: parameters[key] for key in ("computeConfig", "storageConfig") if parameters.get(key)})
    return fields


def check_role(arn: str, service: str, cluster: str, nodegroup: str | None = None) -> None:
    """Refuse a role that does not exist or does not trust the service, as EKS does."""
    validation.role(arn, cluster=cluster)
    found = next((each for each in iam_backends[ACCOUNT]["aws"].roles.values() if each.arn == arn), None)
    source = f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{cluster}" if service == "eks.amazonaws.com" else None
    trusted = found is not None and service in validation.trusted_services(found)
    if not trusted or iam.trust_problem(arn, service, source):
        message = (
            f"Role with arn: {arn}, could not be assumed because it does not exist or the trusted entity is not correct"
        )
        raise invalid_parameter(message, cluster, nodegroup)


def vpc_config(request: Fields, name: str) -> Fields:
    """The resourcesVpcConfig of a new cluster."""
    subnet_ids = request.get("subnetIds") or []
    found = network.subnets(subnet_ids, name)
    if len({subnet.availability_zone for subnet in found}) < 2:
        raise invalid_parameter("Subnets specified must be in at least two different AZs", name)
    _check_zones(found, name)
    if len(request.get("securityGroupIds") or []) > _MOST_GROUPS:
        raise limit_exceeded(f"A cluster can have at most {_MOST_GROUPS} control plane security groups", name)
    vpc_id = found[0].vpc_id
    config = {
        "subnetIds": list(subnet_ids),
        "securityGroupIds": network.security_groups(request.get("securityGroupIds") or [], vpc_id, name),
        "vpcId": vpc_id,
        "endpointPublicAccess": request.get("endpointPublicAccess", True),
        "endpointPrivateAccess": request.get("endpointPrivateAccess", False),
        "publicAccessCidrs": access_cidrs(request.get("publicAccessCidrs"), name),
        "controlPlaneEgressMode": request.get("controlPlaneEgressMode", "AWS_MANAGED"),
    }
    check_endpoint_access(config, name)
    return config


def _check_zones(found: Iterable[Any], name: str) -> None:
    without = sorted(
        {each.availability_zone for each in found if each.availability_zone_id in _ZONES_WITHOUT_CONTROL_PLANES}
    )
    if without:
        valid = sorted({each.availability_zone for each in found} - set(without))
        message = (
            f"Cannot create cluster '{name}' because {without[0]}, the targeted availability zone, does not currently "
            f"have sufficient capacity to support the cluster. Retry and choose from these availability zones: "
            f"{', '.join(valid)}"
        )
        raise unsupported_zone(message, valid, name)


def check_endpoint_access(config: Fields, name: str) -> None:
    """One of the two endpoints has to be open."""
    if not config["endpointPublicAccess"] and not config["endpointPrivateAccess"]:
        raise invalid_parameter("Private and public endpoint access cannot be false", name)


def access_cidrs(cidrs: list[str] | None, name: str) -> list[str]:
    """publicAccessCidrs; the whole world where none are named."""
    wrong = [each for each in cidrs or [] if not _is_network(each)]
    if wrong:
        raise invalid_parameter(f"The following CIDRs are invalid in publicAccessCidrs: {wrong}", name)
    if len(cidrs or []) > _MOST_CIDRS:
        raise limit_exceeded(f"A cluster can have at most {_MOST_CIDRS} public endpoint access CIDR ranges", name)
    return list(cidrs or [EVERYWHERE])


def _is_network(cidr: str) -> bool:
    try:
        return "/" in cidr and ipaddress.ip_network(cidr, strict=False).version == 4  # as clusters are IPv4 here
    except ValueError:
        return False


def _network_config(request: Fields | None, name: str) -> Fields:
    request = request or {}
    cidr = request.get("serviceIpv4Cidr")
    if cidr:
        _check_service_cidr(cidr, name)
    return {
        "serviceIpv4Cidr": cidr or "172.20.0.0/16",
        "ipFamily": "ipv4",
        "elasticLoadBalancing": {"enabled": False},
    }


def _check_service_cidr(cidr: str, name: str) -> None:
    private = [ipaddress.IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
    try:
        found = ipaddress.IPv4Network(cidr)
    except ValueError as err:
        raise invalid_parameter(f"serviceIpv4Cidr {cidr} is not a valid CIDR block", name) from err
    if not 12 <= found.prefixlen <= 24 or not any(found.subnet_of(each) for each in private):
        message = "serviceIpv4Cidr must lie in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 and be between /24 and /12"
        raise invalid_parameter(message, name)


def logging_config(request: Fields | None, present: Fields | None) -> Fields:
    """The `logging` member after a request; types not named stay as they are."""
    on = {each for setup in (present or {}).get("clusterLogging", []) if setup["enabled"] for each in setup["types"]}
    for setup in (request or {}).get("clusterLogging", []):
        types = set(setup.get("types") or [])
        on = on | types if setup.get("enabled") else on - types
    setups = [{"types": [each for each in LOG_TYPES if each in on], "enabled": True}] if on else []
    off = [each for each in LOG_TYPES if each not in on]
    return {"clusterLogging": setups + ([{"types": off, "enabled": False}] if off else [])}


def logs(cluster: Cluster) -> bool:
    """Whether any control-plane log is on."""
    return any(each["enabled"] for each in cluster.fields["logging"]["clusterLogging"])


def encryption_config(request: list[Fields] | None, name: str) -> list[Fields]:
    """Envelope encryption of secrets; nothing else can be encrypted."""
    for each in request or []:
        if each.get("resources") != ["secrets"]:
            raise invalid_parameter("encryptionConfig: the only supported value for resources is [secrets]", name)
        key = (each.get("provider") or {}).get("keyArn", "")
        if not key.startswith("arn:aws:kms:"):
            raise invalid_parameter(f"The keyArn in encryptionConfig provider {key} is invalid", name)
    return list(request or [])


# the way to ACTIVE


def _begin(eks: Eks, cluster: Cluster) -> None:
    seconds = eks.draw("eks:CreateCluster")
    fault = eks.take_fault("health", "cluster", cluster.name, cluster.name)
    started: list[bool] = []  # the control plane runs / the time is over: whichever is second makes it ACTIVE

    def arrive() -> None:
        started.append(True)
        if len(started) == 2 and not cluster.deleted:
            _activate(eks, cluster)

    def fail() -> None:
        if fault and not cluster.deleted:
            _fail(cluster, fault.code, fault.message, fault.resourceIds)

    eks.after(seconds * _NETWORK_READY, lambda: _make_network(eks, cluster))
    eks.after(seconds, fail if fault else arrive)
    if not fault:
        eks.aside(lambda: _start_plane(eks, cluster, arrive))


def _end_worker(access_key: str) -> None:
    from springboard_local.services import lambda_  # noqa: PLC0415 - Lambda is needed where a fault ends a worker alone

    lambda_.end_worker(access_key)


def _start_plane(eks: Eks, cluster: Cluster, arrive: Callable[[], None]) -> None:
    """Boot the control plane while the virtual time of the creation runs."""
    try:
        plane = eks.cloud.lane.start(
            cluster.name,
            cluster.version,
            review=access.reviewer(eks, cluster),
            allow=access.policies(eks, cluster),
            pod_start=lambda: eks.draw("kubernetes:PodStart") + eks.draw("kubernetes:SpringBoot"),
            service_cidr=cluster.fields["kubernetesNetworkConfig"]["serviceIpv4Cidr"],
            kill=_end_worker,
        )
    except Exception as err:
        with eks.lock:
            _fail(cluster, "InternalFailure", f"The control plane did not start: {err}")
        raise
    with eks.lock:
        cluster.plane = plane
        if not cluster.deleted:
            arrive()
            return
    plane.stop()


def _fail(cluster: Cluster, code: str, message: str, resources: Sequence[str] = ()) -> None:
    cluster.fields["status"] = "FAILED"
    cluster.fields["health"] = {"issues": [{"code": code, "message": message, "resourceIds": list(resources)}]}


def _make_network(eks: Eks, cluster: Cluster) -> None:
    if cluster.deleted:
        return
    config = cluster.fields["resourcesVpcConfig"]
    group = network.make_cluster_group(cluster.name, config["vpcId"], eks.hexadecimal(9))
    config["clusterSecurityGroupId"] = group
    cluster.network_interfaces = network.make_control_plane_interfaces(
        cluster.name, config["subnetIds"], [group, *config["securityGroupIds"]]
    )


def _activate(eks: Eks, cluster: Cluster) -> None:
    plane = cluster.plane
    if plane is None:
        return
    identifier = eks.hexadecimal(32).upper()
    cluster.fields.update(
        status="ACTIVE",
        endpoint=plane.endpoint,
        certificateAuthority={"data": base64.b64encode(plane.certificate_authority).decode()},
        identity={"oidc": {"issuer": f"https://oidc.eks.{REGION}.amazonaws.com/id/{identifier}"}},
    )
    if cluster.self_managed:
        addons.install_self_managed(cluster)
    insights.refresh_now(eks, cluster)
    write_logs(cluster)


def log_group(name: str) -> str:
    """The control plane's log group."""
    return f"/aws/eks/{name}/cluster"


def write_logs(cluster: Cluster) -> None:
    """Make the log group where logging is on and somebody has removed it, or nobody made it."""
    backend = logs_backends[ACCOUNT][REGION]
    if logs(cluster) and log_group(cluster.name) not in backend.groups:
        backend.create_log_group(log_group(cluster.name), {})


# reads and the way out


def describe(eks: Eks, parameters: Fields) -> Fields:
    """DescribeCluster."""
    return {"cluster": shown(eks.cluster(parameters["name"]).fields)}


def list_names(eks: Eks, parameters: Fields) -> Fields:
    """ListClusters."""
    return paged(parameters, "clusters", sorted(eks.clusters))


def delete(eks: Eks, parameters: Fields) -> Fields:
    """DeleteCluster."""
    name = parameters["name"]
    cluster = eks.cluster(name)
    if cluster.fields["deletionProtection"]:
        message = f"Cluster {name} has deletion protection enabled. Disable deletion protection before you delete it."
        raise invalid_request(message, name)
    if cluster.nodegroups:
        raise in_use("Cluster has nodegroups attached", name, next(iter(cluster.nodegroups)))
    if cluster.status == "CREATING":
        raise in_use(f"Cluster {name} is still being created", name)
    if any(update.running for update in cluster.updates):
        raise in_use(f"Cannot delete because cluster {name} currently has an update in progress", name)
    if cluster.status != "DELETING":
        cluster.fields["status"] = "DELETING"
        eks.after(eks.draw("eks:DeleteCluster"), lambda: _remove(eks, cluster))
    return {"cluster": shown(cluster.fields)}


def _remove(eks: Eks, cluster: Cluster) -> None:
    cluster.deleted = True
    plane, cluster.plane = cluster.plane, None  # the cluster itself is remembered, by the token that made it
    if plane:
        eks.aside(plane.stop)
    network.remove_interfaces(cluster.network_interfaces)
    if group := cluster.fields["resourcesVpcConfig"].get("clusterSecurityGroupId"):
        network.remove_security_group(group)
    del eks.clusters[cluster.name]
    if "endpoint" in cluster.fields:
        # EKS's service-linked role writes what is left, and makes the log group again for it.
        eks.after(_LAST_LOGS, lambda: write_logs(cluster))
