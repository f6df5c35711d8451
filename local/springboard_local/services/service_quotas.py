"""Service Quotas: the quotas that `springboard doctor` asks for, with a value that a test can change.

Nothing in the local cloud is refused because of them, but for concurrency that functions reserve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.pipeline import ApiError, operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard_local.cloud import Cloud
    from springboard_local.pipeline import Call


@dataclass(frozen=True)
class Quota:
    """One quota of a service in a region."""

    service: str
    name: str
    value: float


# AWS's defaults (https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html, read 2026-11-26), but for
# the vCPUs: a new account has 5, with which nobody runs a cluster.
_DEFAULTS: Mapping[str, Quota] = {
    "L-1216C47A": Quota("ec2", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 64),
    "L-0263D0A3": Quota("ec2", "EC2-VPC Elastic IPs", 5),
    "L-1194D53C": Quota("eks", "Clusters", 100),
    "L-6D54EA21": Quota("eks", "Managed node groups per cluster", 30),
    "L-B99A9384": Quota("lambda", "Concurrent executions", 1_000),
    "L-53DA6B97": Quota("elasticloadbalancing", "Application Load Balancers per Region", 50),
}
_changed: dict[str, float] = {}


def change(code: str, value: float) -> None:
    """Give a quota another value, until the cloud is reset; KeyError for one that is not known here."""
    if code not in _DEFAULTS:
        raise KeyError(code)
    _changed[code] = value


def value(code: str) -> float:
    """What a quota is now; KeyError for one that is not known here."""
    return _changed.get(code, _DEFAULTS[code].value)


@operation("service-quotas", "GetServiceQuota")
def get_service_quota(call: Call) -> Mapping[str, Any]:
    """The value that applies."""
    service, code = call.parameters["ServiceCode"], call.parameters["QuotaCode"]
    quota = _DEFAULTS.get(code)
    if quota is None or quota.service != service:
        raise ApiError("NoSuchResourceException", "The request failed because the specified quota does not exist.")
    return {
        "Quota": {
            "ServiceCode": service,
            "QuotaArn": f"arn:aws:servicequotas:{REGION}:{ACCOUNT}:{service}/{code}",
            "QuotaCode": code,
            "QuotaName": quota.name,
            "Value": value(code),
            "Adjustable": True,
            "GlobalQuota": False,
        }
    }


def install(cloud: Cloud) -> None:
    """Begin with AWS's defaults."""
    reset(cloud)


def reset(_: Cloud) -> None:
    """Back to the defaults."""
    _changed.clear()
