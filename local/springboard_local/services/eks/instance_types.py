"""What an EC2 instance type brings to a node, from EC2's own description of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

_MOST_PODS = 110  # EKS's limit for instances of up to 30 vCPUs, and with prefix delegation the usual one


@dataclass(frozen=True)
class InstanceType:
    """Capacity of one instance type."""

    name: str
    cpus: int
    memory_mib: int
    architecture: str  # x86_64 or arm64
    pods: int

    @property
    def kubernetes_architecture(self) -> str:
        """The architecture in Kubernetes' words."""
        return "amd64" if self.architecture == "x86_64" else "arm64"

    @property
    def memory(self) -> str:
        """What the kernel leaves of the memory, as a Node shows it."""
        return f"{int(self.memory_mib * 0.969)}Mi"


@cache
def instance_type(name: str) -> InstanceType | None:
    """The instance type of that name, or None."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES  # noqa: PLC0415 - a large file, read when first needed

    found = INSTANCE_TYPES.get(name)
    if found is None:
        return None
    network: dict[str, Any] = found["NetworkInfo"]
    addresses = network["MaximumNetworkInterfaces"] * (network["Ipv4AddressesPerInterface"] - 1) + 2
    return InstanceType(
        name,
        found["VCpuInfo"]["DefaultVCpus"],
        found["MemoryInfo"]["SizeInMiB"],
        found["ProcessorInfo"]["SupportedArchitectures"][-1],
        min(addresses, _MOST_PODS),
    )
