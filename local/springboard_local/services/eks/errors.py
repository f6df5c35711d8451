"""The errors of the EKS API, with the codes and statuses of its model."""

from __future__ import annotations

from springboard_local.pipeline import ApiError


def _fields(cluster: str | None, nodegroup: str | None, addon: str | None) -> dict[str, str]:
    named = {"clusterName": cluster, "nodegroupName": nodegroup, "addonName": addon}
    return {key: value for key, value in named.items() if value}


def invalid_parameter(
    message: str, cluster: str | None = None, nodegroup: str | None = None, addon: str | None = None
) -> ApiError:
    """A parameter's value is not acceptable."""
    return ApiError("InvalidParameterException", message, 400, **_fields(cluster, nodegroup, addon))


def invalid_request(
    message: str, cluster: str | None = None, nodegroup: str | None = None, addon: str | None = None
) -> ApiError:
    """The request is well-formed, but not possible in the present state."""
    return ApiError("InvalidRequestException", message, 400, **_fields(cluster, nodegroup, addon))


def in_use(
    message: str, cluster: str | None = None, nodegroup: str | None = None, addon: str | None = None
) -> ApiError:
    """The name is taken, or the resource is busy or needed."""
    return ApiError("ResourceInUseException", message, 409, **_fields(cluster, nodegroup, addon))


def not_found(
    message: str, cluster: str | None = None, nodegroup: str | None = None, addon: str | None = None
) -> ApiError:
    """There is no such resource."""
    return ApiError("ResourceNotFoundException", message, 404, **_fields(cluster, nodegroup, addon))


def limit_exceeded(message: str, cluster: str | None = None) -> ApiError:
    """A quota of EKS is used up."""
    return ApiError("ResourceLimitExceededException", message, 400, **_fields(cluster, None, None))


def invalid_state(message: str, cluster: str) -> ApiError:
    """Upgrade insights stand against an update."""
    return ApiError("InvalidStateException", message, 400, clusterName=cluster)


def unsupported_zone(message: str, zones: list[str], cluster: str) -> ApiError:
    """Subnets lie where EKS has no control planes; `zones` are those that would do."""
    return ApiError("UnsupportedAvailabilityZoneException", message, 400, validZones=zones, clusterName=cluster)
