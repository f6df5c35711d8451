"""How soon an environment could be ready if nothing but AWS took time: the longest way through what must wait.

Edges are operations of the latency model; where one is drawn several times in a run the slowest counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Edge:
    """An operation, the component that asks for it, and the operations that must have ended before it.

    `during`: it needs no more than that share of another operation's time, as (operation, share).
    """

    operation: str
    component: str
    after: tuple[str, ...] = ()
    during: tuple[str, float] | None = None


# A managed node group's Auto Scaling group stands after a tenth of its creation, and its nodes join after seven: what
# runs on them begins before EKS calls the group ACTIVE (`local/springboard_local/services/eks/nodegroups.py`).
LAUNCHED, JOINED = 0.1, 0.7

EDGES: tuple[Edge, ...] = (
    Edge("eks:CreateCluster", "cluster"),
    Edge("eks:AccessEntryVisible", "access", ("eks:CreateCluster",)),
    Edge("eks:CreateAddon:vpc-cni", "addons", ("eks:CreateCluster",)),
    Edge("eks:CreateNodegroup", "node_groups", ("eks:CreateAddon:vpc-cni",)),
    Edge("eks:CreateAddon:coredns", "addons", ("eks:CreateNodegroup",)),
    Edge("eks:CreateAddon:metrics-server", "addons", ("eks:CreateNodegroup",)),
    Edge("kubernetes:PodStart", "workload", ("eks:AccessEntryVisible",), ("eks:CreateNodegroup", JOINED)),
    Edge("kubernetes:SpringBoot", "workload", ("kubernetes:PodStart",)),
    Edge("elbv2:CreateLoadBalancer", "load_balancer"),
    Edge("route53:Change", "dns"),
    # The record that proves the domain takes as long to be everywhere as the alias, and ACM looks for it then.
    Edge("acm:Validation", "certificate", ("route53:Change",)),
    Edge("elbv2:TargetRegistration", "targets", (), ("eks:CreateNodegroup", LAUNCHED)),
)
# What requests are answered by, without the add-ons that Ready waits for as well.
SERVES: tuple[str, ...] = (
    "kubernetes:SpringBoot",
    "elbv2:TargetRegistration",
    "acm:Validation",
    "elbv2:CreateLoadBalancer",
    "route53:Change",
)


def ends(durations: Mapping[str, float]) -> dict[str, float]:
    """When each operation ends at the soonest, in seconds; KeyError when an edge has no duration."""
    ended: dict[str, float] = {}
    for edge in EDGES:
        begins = [ended[each] for each in edge.after]
        if edge.during:
            whole, share = edge.during
            begins.append(ended[whole] - (1 - share) * durations[whole])
        ended[edge.operation] = durations[edge.operation] + max(begins, default=0.0)
    return ended


def seconds(durations: Mapping[str, float], to: Iterable[str] = ()) -> float:
    """The longest way to all of `to`, by default to everything; KeyError when an edge has no duration."""
    ended = ends(durations)
    return max(ended[each] for each in to or ended)
