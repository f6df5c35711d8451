"""Health of the targets of a load balancer, as its health checks would find it.

A target is judged by what a probe from the load balancer would meet on its way: the security groups of
the instance, the Kubernetes node behind it, the pods behind the node port and the NetworkPolicies in
front of them. Thresholds and intervals run on the cloud's clock. A target whose state is in motion is
probed at its interval; a settled one rarely, and whenever somebody asks, so that an idle cloud is idle.
"""

from __future__ import annotations

import importlib
import ipaddress
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, cast

from springboard_local.services import metrics

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from springboard_local.clock import Hold, Timer
    from springboard_local.cloud import Cloud
    from springboard_local.kubernetes.lane import Backend, ControlPlane

log = logging.getLogger(__name__)

_SETTLED_INTERVALS = 30  # a settled target is probed every so many intervals


class Nodes(Protocol):
    """Which Kubernetes node an instance is; `services.eks` answers."""

    def node_of_instance(self, instance_id: str) -> tuple[str, str] | None:
        """Cluster and node name of an instance; None for one that is no node."""

    def control_plane(self, cluster_name: str) -> ControlPlane | None:
        """The cluster's control plane."""


class Kind(Enum):
    """What one probe found."""

    REGISTERING = "registering"
    UNUSED = "unused"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True)
class Verdict:
    """The outcome of one probe, with AWS's reason code and description."""

    kind: Kind
    reason: str | None = None
    description: str | None = None


GOOD = Verdict(Kind.GOOD)
REGISTERING = Verdict(Kind.REGISTERING, "Elb.RegistrationInProgress", "Target registration is in progress")
CHECKING = Verdict(Kind.BAD, "Elb.InitialHealthChecking", "Initial health checks in progress")
DRAINING = ("Target.DeregistrationInProgress", "Target deregistration is in progress")
UNUSED_GROUP = Verdict(
    Kind.UNUSED, "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
)
UNUSED_ZONE = Verdict(
    Kind.UNUSED, "Target.NotInUse", "Target is in an Availability Zone that is not enabled for the load balancer"
)
TIMEOUT = Verdict(Kind.BAD, "Target.Timeout", "Request timed out")
FAILED = Verdict(Kind.BAD, "Target.FailedHealthChecks", "Health checks failed")


NAMESPACE = "AWS/ApplicationELB"


def suffix(arn: str) -> str:
    """The part of an ELB ARN that is a dimension of its metrics: app/shop/50dc…, targetgroup/shop/73e2…."""
    return arn.rpartition(":")[2].removeprefix("loadbalancer/")


@dataclass
class Registration:
    """One target of a target group."""

    target_id: str
    port: int
    state: str = "initial"
    reason: str | None = REGISTERING.reason
    description: str | None = REGISTERING.description
    registered: bool = False  # whether the registration itself is through
    streak: int = 0  # consecutive probes that contradict `state`
    timer: Timer | None = field(default=None, repr=False)
    gone: bool = False

    @property
    def moving(self) -> bool:
        """Whether the next probes may change the state."""
        return self.state == "initial" or self.streak > 0


def _security_groups(instance: Any) -> Iterable[Any]:
    groups = {group.id: group for group in instance.security_groups if hasattr(group, "id")}
    for interface in instance.nics.values():
        groups.update({group.id: group for group in interface.group_set})
    return groups.values()


def _rule_admits(rule: Any, port: int, groups: set[str], addresses: list[str]) -> bool:
    if rule.ip_protocol not in {"-1", "tcp"}:
        return False
    if rule.ip_protocol == "tcp" and not rule.from_port <= port <= rule.to_port:
        return False
    if rule.source_group.get("GroupId") in groups:
        return True
    network = rule.ip_range.get("CidrIp")
    return bool(network) and any(
        ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False) for address in addresses
    )


def admits(instance: Any, port: int, groups: set[str], addresses: list[str]) -> bool:
    """Whether the instance's security groups let TCP to `port` in, from one of `groups` or `addresses`."""
    return any(
        _rule_admits(rule, port, groups, addresses)
        for group in _security_groups(instance)
        for rule in group.ingress_rules
    )


def _ready(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _codes_match(code: int, matcher: str) -> bool:
    for part in matcher.split(","):
        low, _, high = part.strip().partition("-")
        if int(low) <= code <= int(high or low):
            return True
    return False


def answer_of_application(path: str) -> int:
    """The status code that the simulated application gives for `path`: of Actuator it knows health alone."""
    parts = path.partition("?")[0].strip("/").split("/")
    return 404 if parts[0] == "actuator" and parts[1:2] not in ([], ["health"]) else 200


class TargetHealth:
    """Runs the health checks of one cloud."""

    def __init__(self, cloud: Cloud, lock: threading.RLock) -> None:
        """`lock` is the one that guards the load balancers' own state."""
        self._cloud = cloud
        self._lock = lock
        self._prober = ThreadPoolExecutor(1, thread_name_prefix="target-health")

    def close(self) -> None:
        """End the probing; timers that fire later do nothing."""
        self._prober.shutdown(wait=True, cancel_futures=True)

    @property
    def _nodes(self) -> Nodes:
        """`services.eks`, unless the settings bring a stand-in."""
        given = self._cloud.settings.extra.get("nodes")
        return cast("Nodes", given or importlib.import_module("springboard_local.services.eks"))

    # Registrations

    def register(self, elb: Any, group: Any, registration: Registration) -> None:
        """Begin with a target: registration takes some seconds, then the first probe."""

        def registered() -> None:
            with self._lock:
                registration.registered = True
                if registration.state == "initial":
                    registration.reason, registration.description = CHECKING.reason, CHECKING.description
            self._probe_at(elb, group, registration, int(group.health_check_interval_seconds))

        seconds = self._cloud.latency.seconds("elbv2:TargetRegistration")
        registration.timer = self._cloud.clock.call_later(seconds, registered)

    def deregister(self, elb: Any, group: Any, registration: Registration) -> None:
        """Drain a target for the group's delay, then forget it; at once where no traffic can be under way."""
        if registration.timer:
            registration.timer.cancel()

        def forget() -> None:
            with self._lock:
                registration.gone = True
                key = (registration.target_id, registration.port)
                if group.registrations.get(key) is registration:
                    del group.registrations[key]
                self._report(elb, group)

        delay = int(group.attributes["deregistration_delay.timeout_seconds"])
        if not delay or not elb.load_balancers_of(group.arn):
            forget()
            return
        registration.state = "draining"
        self._report(elb, group)
        registration.reason, registration.description = DRAINING
        registration.streak = 0
        registration.timer = self._cloud.clock.call_later(delay, forget)

    def probe_soon(self, elb: Any, groups: Iterable[Any]) -> None:
        """Probe all targets of `groups` now, because something about their load balancer has changed."""
        for group in groups:
            for registration in list(group.registrations.values()):
                if registration.registered and registration.state != "draining":
                    self._probe_at(elb, group, registration, 0)

    def look(self, elb: Any, group: Any, registration: Registration) -> None:
        """Bring a settled target up to date because somebody asks for it.

        A first contradicting probe starts the counting; it doesn't count the time nobody looked.
        """
        if registration.state == "draining" or not registration.registered:
            return
        verdict = self.judge(elb, group, registration)
        with self._lock:
            was_moving = registration.moving
            if was_moving and verdict.kind in {Kind.GOOD, Kind.BAD}:
                return  # the probes under way count, not the number of questions
            self._apply(group, registration, verdict)
            self._report(elb, group)
            begins = registration.moving and not was_moving
        if begins:
            self._probe_at(elb, group, registration, group.health_check_interval_seconds)

    # Probing

    def _probe_at(self, elb: Any, group: Any, registration: Registration, seconds: float) -> None:
        if registration.timer:
            registration.timer.cancel()

        def due() -> None:
            # The probe asks Kubernetes, which may take its time: not on the clock's own thread.
            hold = self._cloud.clock.hold()
            try:
                self._prober.submit(self._probe, elb, group, registration, hold)
            except RuntimeError:  # closed meanwhile
                hold.release()

        registration.timer = self._cloud.clock.call_later(seconds, due)

    def _probe(self, elb: Any, group: Any, registration: Registration, hold: Hold) -> None:
        try:
            if registration.gone or registration.state == "draining":
                return
            verdict = self.judge(elb, group, registration)
            with self._lock:
                if registration.gone or registration.state == "draining":
                    return
                self._apply(group, registration, verdict)
                self._report(elb, group)
                interval = int(group.health_check_interval_seconds)
                pace = 1 if registration.moving and verdict.kind is not Kind.REGISTERING else _SETTLED_INTERVALS
            self._probe_at(elb, group, registration, interval * pace)
        except Exception:  # a probe that breaks must not end the probing
            log.exception("probing target %s failed", registration.target_id)
        finally:
            hold.release()

    def _apply(self, group: Any, registration: Registration, verdict: Verdict) -> None:
        """Count the verdict and change the state once the threshold is reached."""
        match registration.state, verdict.kind:
            case _, Kind.UNUSED:
                self._settle(registration, "unused", verdict)
            case _, Kind.REGISTERING:
                self._settle(registration, "initial", verdict)
            case "unused", _:
                self._settle(registration, "initial", CHECKING)
            # AWS lets a new target in after one good probe; the healthy threshold is for one that was unhealthy.
            case ("initial", Kind.GOOD) | ("healthy", Kind.GOOD):
                self._settle(registration, "healthy", verdict)
            case "unhealthy", Kind.GOOD:
                self._count(registration, "healthy", verdict, int(group.healthy_threshold_count))
            case "unhealthy", Kind.BAD:
                self._settle(registration, "unhealthy", verdict)
            case _, Kind.BAD:
                if registration.state == "initial":
                    registration.reason, registration.description = CHECKING.reason, CHECKING.description
                self._count(registration, "unhealthy", verdict, int(group.unhealthy_threshold_count))

    @staticmethod
    def _settle(registration: Registration, state: str, verdict: Verdict) -> None:
        registration.state = state
        registration.reason, registration.description = verdict.reason, verdict.description
        registration.streak = 0

    def _count(self, registration: Registration, state: str, verdict: Verdict, threshold: int) -> None:
        registration.streak += 1
        if registration.streak >= threshold:
            self._settle(registration, state, verdict)

    @staticmethod
    def _report(elb: Any, group: Any) -> None:
        """Tell CloudWatch how many targets are healthy, and how many are not; nothing where none is registered."""
        states = [each.state for each in list(group.registrations.values())]
        for balancer in elb.load_balancers_of(group.arn):
            names = {"LoadBalancer": suffix(balancer.arn), "TargetGroup": suffix(group.arn)}
            for name, state in (("HealthyHostCount", "healthy"), ("UnHealthyHostCount", "unhealthy")):
                metrics.level(NAMESPACE, name, states.count(state) if states else None, **names)

    # Judging

    def judge(self, elb: Any, group: Any, registration: Registration) -> Verdict:
        """What a probe would find at this moment."""
        with self._lock:
            port = self._probe_port(group, registration)
            verdict = self._judge_way(elb, group, registration, port)
        # Kubernetes is asked without the lock: it may take its time.
        return verdict or self._judge_pods(group, registration.target_id, port)

    def _judge_way(self, elb: Any, group: Any, registration: Registration, port: int) -> Verdict | None:
        """What keeps a probe from reaching the node; None if nothing does."""
        balancer = next(iter(elb.load_balancers_of(group.arn)), None)
        if balancer is None:
            return UNUSED_GROUP
        if balancer.state != "active":
            return REGISTERING
        if group.target_type != "instance":
            # Nothing of the local cloud listens on plain addresses, so nothing answers there.
            return TIMEOUT
        instance = elb.ec2_backend.get_instance_by_id(registration.target_id)
        if instance is None or instance.state != "running":
            state = instance.state if instance else "terminated"
            return Verdict(Kind.UNUSED, "Target.InvalidState", f"Target is in the {state} state")
        if instance.availability_zone not in {zone.zone_name for zone in balancer.availability_zones}:
            return UNUSED_ZONE
        reachable = admits(instance, port, set(balancer.security_groups), elb.addresses_of(balancer))
        return None if reachable else TIMEOUT

    @staticmethod
    def _probe_port(group: Any, registration: Registration) -> int:
        return registration.port if group.health_check_port == "traffic-port" else int(group.health_check_port)

    def _judge_pods(self, group: Any, instance_id: str, port: int) -> Verdict:
        plane = self._ready_plane(instance_id)
        if plane is None:
            return FAILED
        ready = [each for each in plane.backends(port) if each.ready]
        if not ready:
            return FAILED  # kube-proxy refuses connections to a node port without endpoints
        if not any(each.admits_vpc for each in ready):
            return TIMEOUT
        if group.health_check_protocol not in {"HTTP", "HTTPS"}:
            return GOOD
        code = answer_of_application(group.health_check_path or "/")
        if _codes_match(code, group.matcher["HttpCode"]):
            return GOOD
        return Verdict(Kind.BAD, "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{code}]")

    def _ready_plane(self, instance_id: str) -> ControlPlane | None:
        """The control plane whose ready node this instance is."""
        found = self._nodes.node_of_instance(instance_id)
        if found is None:
            return None
        cluster, name = found
        try:
            plane = self._nodes.control_plane(cluster)
        except KeyError:  # deleted meanwhile
            return None
        if plane is None:
            return None
        if any(node["metadata"]["name"] == name and _ready(node) for node in plane.nodes()):
            return plane
        return None

    def backends(self, group: Any) -> list[Backend]:
        """The pods that the healthy targets of a group lead to, each once, in a stable order."""
        found: dict[tuple[str, str], Backend] = {}
        with self._lock:
            healthy = [each for each in group.registrations.values() if each.state == "healthy"]
        for registration in healthy:
            plane = self._ready_plane(registration.target_id)
            for backend in plane.backends(registration.port) if plane else []:
                if backend.ready and backend.admits_vpc:
                    found[backend.namespace, backend.pod] = backend
        return [found[key] for key in sorted(found)]
