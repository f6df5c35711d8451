"""How soon an environment could be ready if nothing but AWS took time: the longest way through what must wait.

Edges are operations of the latency model; where one is drawn several times in a run the slowest counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Edge:
    """An operation, the component that asks for it, and the operations that must have ended before it."""

    operation: str
    component: str
    after: tuple[str, ...] = ()


EDGES: tuple[Edge, ...] = (
    Edge("eks:CreateCluster", "cluster"),
    Edge("eks:CreateAddon:vpc-cni", "addons", ("eks:CreateCluster",)),
    Edge("eks:CreateNodegroup", "node_groups", ("eks:CreateAddon:vpc-cni",)),
    Edge("kubernetes:PodStart", "workload", ("eks:CreateNodegroup",)),
    Edge("kubernetes:SpringBoot", "workload", ("kubernetes:PodStart",)),
    Edge("acm:Validation", "certificate"),
    Edge("elbv2:CreateLoadBalancer", "load_balancer", ()),
    Edge("route53:Change", "dns", ("elbv2:CreateLoadBalancer",)),
    Edge(
        "elbv2:TargetRegistration",
        "targets",
        ("eks:CreateNodegroup", "acm:Validation", "elbv2:CreateLoadBalancer", "kubernetes:SpringBoot"),
    ),
)


def seconds(durations: Mapping[str, float]) -> float:
    """The longest way, in seconds; KeyError when an edge has no duration."""
    ended: dict[str, float] = {}
    for edge in EDGES:
        ended[edge.operation] = durations[edge.operation] + max((ended[each] for each in edge.after), default=0.0)
    return max(ended.values())
