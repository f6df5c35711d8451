"""A create as a calculation: the loops of the provision machine over one draw of AWS's durations. Pure.

Each loop of the state machine is played with the very waits that the components ask for (their paces, and
`aimed_look`, are imported), against when AWS has what it looks for. Milliseconds for a create, so that hundreds of
seeds can be asked, and paces compared; whole runs in the local cloud are the sample that it is held to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.critical_path import JOINED, LAUNCHED
from springboard.components import addons, targets, workload
from springboard.components.certificate import WHILE_CLUSTER_COMES
from springboard.components.reconcile import aimed_look, next_look
from springboard.components.table import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from springboard.components.contract import Pace

_RECORD = 10  # seconds until ACM is asked for the name of its record again
_PROBE = 10  # the target groups' HealthCheckIntervalSeconds
_LOOP = 3  # states entered by each look: the task, the choice, the wait
_ADDRESS = 5  # three tasks, the choice, the wait
# States that every create enters once, the loops' last waits (which are not entered) taken off: Begin, Schedules,
# Firewall, TargetGroups, Build, Access, FillCluster, Alarms, three Succeed, IsAnythingReplaced, RecordReady, Settle,
# OperationSucceeded; the end of seven loops.
_ONCE = 15 - 7
# AWS calls that every create makes; the rest is counted by look (`python -m bench.calls` lists them).
_CALLS = 90


@dataclass(frozen=True)
class Paces:
    """What the components ask for; the product's by default."""

    certificate: Pace = BY_NAME["certificate"].pace
    certificate_early: Pace = WHILE_CLUSTER_COMES
    dns: Pace = BY_NAME["dns"].pace
    load_balancer: Pace = BY_NAME["load_balancer"].pace
    cluster: Pace = BY_NAME["cluster"].pace
    network: Pace = addons.NETWORK
    node_groups: Pace = BY_NAME["node_groups"].pace
    addons: Pace = BY_NAME["addons"].pace
    nodes_for_workload: Pace = workload.FIRST_NODES
    pods: int = workload.PODS_POLL
    group_named: int = targets.NAME_POLL
    registered: Pace = targets.FIRST
    nodes_for_targets: int = targets.NODES_POLL
    pods_for_targets: int = targets.PODS_POLL
    listener: int = targets.LISTENER_POLL
    healthy: int = BY_NAME["targets"].pace.poll


@dataclass
class Run:
    """What came of it: seconds since the start, and how often each component was looked at."""

    served: float = 0.0  # the application answers, and it was seen
    ready: float = 0.0  # all of it
    looks: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    transitions: int = 0


def create(
    durations: Mapping[str, float], handlers: Mapping[str, float] | None = None, paces: Paces | None = None
) -> Run:
    """One create of the example environment.

    `durations`: operation → seconds (`bench.draws`); `handlers`: component → seconds of one invocation (default: 0).
    """
    return _Create(durations, handlers or {}, paces or Paces()).run()


class _Create:
    def __init__(self, durations: Mapping[str, float], handlers: Mapping[str, float], paces: Paces) -> None:
        self._durations, self._handlers, self._paces = durations, handlers, paces
        self._came = Run()
        self._opened = 0.0  # when the record says that 443 listens

    def run(self) -> Run:
        took, own, came = self._durations, self._own, self._came
        start = sum(own(name) for name in ("begin_operation", "schedules", "firewall", "target_groups"))
        cluster = self._cluster(start)
        listener, address = self._address(start, cluster)
        network = self._network(cluster + own("access"))
        group = network + own("node_groups")  # CreateNodegroup
        nodes = self._nodes(network)
        joined = group + JOINED * took["eks:CreateNodegroup"]
        available = joined + took["kubernetes:PodStart"] + took["kubernetes:SpringBoot"]
        seen_pods = self._workload(network, nodes, available)
        came.served = max(self._targets(network, group, nodes, (available, seen_pods), listener), address)
        late = max(took["eks:CreateAddon:coredns"], took["eks:CreateAddon:metrics-server"])
        complete = self._addons(nodes, late, since=cluster + own("access"))
        came.ready = max(came.served, complete, address) + own("record_ready")
        came.transitions = (
            _ONCE + _ADDRESS * came.looks["certificate"] + _LOOP * sum(came.looks[name] for name in _LOOPS)
        )
        came.calls += _CALLS + sum(came.looks[name] for name in ("cluster", "network", "node_groups", "addons"))
        return came

    def _own(self, component: str) -> float:
        return self._handlers.get(component, 0.0)

    def _loop(self, name: str, start: float, look: Callable[[float, int], int | None], own: float) -> float:
        """When the loop ends; `look` answers with the seconds to wait after so many looks, None when it is ready."""
        at, number = start, 0
        while True:
            wait = look(at, number)
            number += 1
            at += own
            if wait is None:
                self._came.looks[name] = number
                return at
            at += wait

    def _address(self, start: float, cluster: float) -> tuple[float, float]:
        """When 443 listens on an active load balancer, and when the branch has ended."""
        paces, took = self._paces, self._durations
        own = sum(self._own(name) for name in ("certificate", "load_balancer", "dns"))
        recorded = start + _RECORD + self._own("certificate")
        # ACM looks for the record once all name servers have it.
        issued = recorded + took["route53:Change"] + took["acm:Validation"]
        active = start + took["elbv2:CreateLoadBalancer"]
        synced = start + took["route53:Change"]
        listens = 0.0
        self._dns_asked = start

        def look(at: float, number: int) -> int | None:
            nonlocal listens
            waited = int(at - start)
            waits = []
            if number == 0:
                waits.append(next_look(_RECORD, waited))
            elif at < issued:
                pace = paces.certificate_early if at <= cluster else paces.certificate
                waits.append(aimed_look(pace, waited, started=number == 1))
                self._came.calls += 1
            elif not listens:
                listens = at
                self._came.calls += 1
            if at >= issued and at < active:
                waits.append(aimed_look(paces.load_balancer, waited, started=False))
            if number and synced > self._dns_asked:
                self._came.calls += 1
                self._dns_asked = at
            if at < synced:
                waits.append(aimed_look(paces.dns, waited, started=number == 0))
            return min(waits, default=None)

        ended = self._loop("certificate", start, look, own)
        self._opened = listens
        return max(listens, active), ended + self._own("alarms")

    def _cluster(self, start: float) -> float:
        return self._aimed("cluster", start, start + self._durations["eks:CreateCluster"], self._paces.cluster)

    def _network(self, start: float) -> float:
        """vpc-cni; the function of the add-ons looks."""
        there = start + self._durations["eks:CreateAddon:vpc-cni"]
        return self._aimed("network", start, there, self._paces.network, own=self._own("addons"))

    def _nodes(self, start: float) -> float:
        there = start + self._durations["eks:CreateNodegroup"]
        return self._aimed("node_groups", start, there, self._paces.node_groups)

    def _aimed(self, name: str, start: float, there: float, pace: Pace, own: float | None = None) -> float:
        def look(at: float, number: int) -> int | None:
            return None if at >= there else aimed_look(pace, int(at - start), started=number == 0)

        return self._loop(name, start, look, self._own(name) if own is None else own)

    def _addons(self, start: float, takes: float, since: float) -> float:
        """Those that need nodes, asked for in the first look; the component has waited since the network's first."""
        pace = self._paces.addons

        def look(at: float, number: int) -> int | None:
            if number and at >= start + takes:
                return None
            return next_look(pace.poll if number else pace.first, int(at - since))

        return self._loop("addons", start, look, self._own("addons"))

    def _workload(self, start: float, nodes: float, available: float) -> float:
        paces = self._paces

        def look(at: float, number: int) -> int | None:
            waited = int(at - start)
            if at >= available:
                return None
            if at <= nodes:
                return aimed_look(paces.nodes_for_workload, waited, started=number == 0)
            return next_look(paces.pods, waited)

        return self._loop("workload", start, look, self._own("workload"))

    def _targets(self, start: float, group: float, nodes: float, pods: tuple[float, float], listener: float) -> float:
        """Named, attached, registered, rolled out, healthy: what it waits for changes from look to look."""
        paces, took = self._paces, self._durations
        available, seen_pods = pods
        named = group + LAUNCHED * took["eks:CreateNodegroup"]
        attached = healthy = 0.0

        def look(at: float, number: int) -> int | None:
            nonlocal attached
            waited = int(at - start)
            if at <= named:
                self._came.calls += number > 0  # whether EKS has named the group
                return next_look(paces.group_named, waited)
            if not attached:
                self._came.calls += 1
                attached = at
                return aimed_look(paces.registered, waited, started=True)
            if at < attached + took["elbv2:TargetRegistration"]:
                return aimed_look(paces.registered, waited, started=False)
            return health(at, waited) if at > seen_pods else next_look(before_pods(at), waited)

        def before_pods(at: float) -> int:
            return paces.nodes_for_targets if at <= nodes else paces.pods_for_targets

        def health(at: float, waited: int) -> int | None:
            nonlocal healthy
            self._came.calls += at >= self._opened
            # A new listener has targets probed; settled ones are when somebody asks. Another probe lets them in.
            if not healthy and at >= listener:
                healthy = (listener if listener > max(available, attached) else at) + _PROBE
            if not healthy:
                return next_look(paces.listener, waited)
            if at < healthy:
                return next_look(paces.healthy, waited)
            return next_look(paces.nodes_for_targets, waited) if at <= nodes else None

        return self._loop("targets", start, look, self._own("targets"))


_LOOPS = ("cluster", "network", "node_groups", "addons", "workload", "targets")
