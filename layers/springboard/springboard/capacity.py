"""Whether the applications fit on the nodes, before a cent is spent.

What a node can give is estimated as EKS's Amazon Linux 2023 image reserves it (bootstrap of nodeadm): CPU by a
falling share per core, memory by the number of pods (110, as with prefix delegation; 250 from 31 vCPUs on),
100 MiB for eviction, and the 5 % of memory that firmware and kernel keep. Then what every node's own pods and
the cluster's add-ons ask for is taken off.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from springboard.errors import FieldError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard.spec import App, EnvironmentSpec, NodeGroup

# Requests, in millicores and MiB: aws-node with its policy agent, kube-proxy, pod identity agent on each node …
NODE_PODS = (175, 40)
# … and two each of coredns and metrics-server for the cluster.
CLUSTER_PODS = (400, 540)


@dataclass(frozen=True)
class InstanceType:
    """What EC2 says of an instance type."""

    vcpus: int
    memory_mib: int
    architecture: str  # amd64 or arm64

    @property
    def allocatable(self) -> tuple[int, int]:
        """(millicores, MiB) that pods can ask for on one node."""
        shares = [60, 10, 5, 5] + [2.5] * max(self.vcpus - 4, 0)
        pods = 110 if self.vcpus <= 30 else 250
        cpu = self.vcpus * 1000 - math.ceil(sum(shares[: self.vcpus]))
        memory = int(self.memory_mib * 0.95) - 255 - 11 * pods - 100
        return cpu - NODE_PODS[0], memory - NODE_PODS[1]


@cache
def known_types() -> Mapping[str, InstanceType]:
    """The common families; others are asked of EC2."""
    data: dict[str, Any] = json.loads((files("springboard") / "data" / "instance_types.json").read_text())
    return {name: InstanceType(*values) for name, values in data["types"].items()}


def millicores(text: str) -> int:
    """500 for "500m", 2000 for "2"."""
    return int(text[:-1]) if text.endswith("m") else round(float(text) * 1000)


def mebibytes(text: str) -> int:
    """1024 for "1Gi"."""
    return int(text[:-2]) * (1024 if text.endswith("Gi") else 1)


def takes_any_pod(group: NodeGroup) -> bool:
    """Whether pods without tolerations can run there: applications have none."""
    return all(taint.effect == "PREFER_NO_SCHEDULE" for taint in group.taints)


def most_pods(app: App) -> int:
    """Replicas at the most, and one more during a rollout."""
    return (app.autoscaling.max_replicas if app.autoscaling else app.replicas or 2) + 1


def check(spec: EnvironmentSpec, types: Mapping[str, InstanceType]) -> list[FieldError]:
    """Mistakes if all replicas, with one surge pod per application, ask for more than the nodes have.

    `types` knows all instance types of the spec; of a group's several, the smallest counts.
    """
    groups = [
        (group.size, *_least([types[name] for name in group.instance_types]))
        for group in spec.node_groups
        if takes_any_pod(group)
    ]
    largest_cpu = max((cpu for _, cpu, _ in groups), default=0)
    largest_memory = max((memory for _, _, memory in groups), default=0)
    errors = [
        FieldError(
            f"spec.apps[{number}].resources",
            f"one pod asks for {app.resources.cpu} CPU and {app.resources.memory},"
            f" the largest node has {largest_cpu}m and {largest_memory}Mi to give",
            "ask for less, or choose a larger instance type",
        )
        for number, app in enumerate(spec.apps)
        if millicores(app.resources.cpu) > largest_cpu or mebibytes(app.resources.memory) > largest_memory
    ]
    if errors:
        return errors
    wanted_cpu = CLUSTER_PODS[0] + sum(millicores(app.resources.cpu) * most_pods(app) for app in spec.apps)
    wanted_memory = CLUSTER_PODS[1] + sum(mebibytes(app.resources.memory) * most_pods(app) for app in spec.apps)
    cpu = sum(size * each for size, each, _ in groups)
    memory = sum(size * each for size, _, each in groups)
    if wanted_cpu > cpu or wanted_memory > memory:
        errors.append(
            FieldError(
                "spec.apps",
                f"all replicas, one more pod per app during a rollout, and the add-ons ask for {wanted_cpu}m CPU and"
                f" {wanted_memory}Mi; the nodes have {cpu}m and {memory}Mi to give",
                "raise a node group's size or instance type, or lower replicas or resources",
            )
        )
    return errors


def _least(types: list[InstanceType]) -> tuple[int, int]:
    allocatable = [each.allocatable for each in types]
    return min(cpu for cpu, _ in allocatable), min(memory for _, memory in allocatable)
