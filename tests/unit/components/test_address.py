"""Certificate, load balancer and DNS together, as the machine's loop runs them: HTTPS never goes while hosts change."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from springboard.components import certificate, dns, load_balancer, target_groups
from springboard.components.table import BY_NAME
from springboard.flow import step
from springboard.flow.step import Task
from springboard.record import Environment, Lock, Operation, OperationKind, OperationStatus
from tests.unit.components.clients import Aws, validation
from tests.unit.components.records import CREATOR, NOW, SITE, UID, environment
from tests.unit.flow.records import Record

if TYPE_CHECKING:
    from springboard.components.contract import Component

LOOP: tuple[Component, ...] = (certificate, load_balancer, dns)


class Machine:
    """The part of the machine that gives an environment its address, over one account and one record."""

    def __init__(self) -> None:
        self.aws = Aws()
        self.record = Record(None)
        adapters = {key: value for key, value in vars(self.aws.world).items() if key != "site"}
        self.world = cast("Any", SimpleNamespace(site=SITE, store=self.record, **adapters))

    def operation(self, name: str, kind: OperationKind, *apps: str) -> None:
        """The next operation, with the next generation of the spec, up to the loop."""
        declared = environment(apps=[{"name": app, "image": "ghcr.io/acme/shop:1"} for app in apps])
        before = self.record.environment or declared.with_facts("firewall", {"alb": "sg-alb"})
        self.record.environment = replace(
            before,
            spec=declared.spec,
            resolved=declared.resolved,
            generation=before.generation + 1,
            lock=Lock(name, NOW),
            operation=Operation(
                name, kind, OperationStatus.RUNNING, before.generation + 1, NOW, CREATOR, started_at=NOW
            ),
        )
        self.ensure(target_groups)

    def ensure(self, component: Component, **options: bool) -> bool:
        present: Environment = self.record.present
        task = Task(UID, present.lock.operation if present.lock else "", present.generation, NOW, **options)
        row = BY_NAME[getattr(component, "__name__").rpartition(".")[2]]  # noqa: B009 - a module, seen as a Protocol
        return bool(step.run(self.world, component, row, task)["ready"])

    def loop(self) -> bool:
        """Once through the loop; load balancers are active and their certificates in use at once."""
        ready = [self.ensure(component) for component in LOOP]
        for thing in self.aws.elb.state.values():
            if "LoadBalancerName" in thing:
                thing["State"] = {"Code": "active"}
        for arn, each in self.aws.acm.state.items():
            each["InUseBy"] = ["arn:balancer"] if arn == self.serving() else []
        return all(ready)

    def until_ready(self) -> None:
        assert any(self.loop() for _ in range(12)), self.record.present.conditions

    def issue(self) -> None:
        for each in self.aws.acm.state.values():
            assert all(f"_proof.{host} CNAME" in self.aws.route53.state for host in each["SubjectAlternativeNames"])
            each["Status"] = "ISSUED"

    def serving(self) -> str:
        """The certificate of 443."""
        found = [
            each["Certificates"]
            for each in self.aws.elb.state.values()
            if each.get("Port") == 443 and "SslPolicy" in each
        ]
        return str(found[0][0]["CertificateArn"]) if found else ""

    def hosts(self) -> set[str]:
        """What the serving certificate proves."""
        return set(self.aws.acm.state[self.serving()]["SubjectAlternativeNames"])


def made() -> Machine:
    machine = Machine()
    machine.operation("op1", OperationKind.CREATE, "shop")
    for _ in range(3):
        assert not machine.loop()
        assert machine.serving() == ""
    machine.issue()
    machine.until_ready()
    return machine


def test_from_nothing_to_an_address() -> None:
    machine = made()
    assert machine.hosts() == {"shop.example.com"}
    assert "shop.example.com A" in machine.aws.route53.state
    machine.aws.forget()
    machine.operation("op2", OperationKind.REPAIR, "shop")
    machine.until_ready()
    assert machine.aws.changes() == []


def test_one_more_host_is_served_once_it_is_proven_and_the_former_certificate_serves_until_then() -> None:
    machine = made()
    former = machine.serving()
    machine.operation("op2", OperationKind.UPDATE, "shop", "cart")
    for _ in range(4):
        assert not machine.loop()
        assert machine.serving() == former
        assert machine.aws.acm.state[former]["Status"] == "ISSUED"
    machine.issue()
    machine.until_ready()
    assert machine.hosts() == {"shop.example.com", "cart.example.com"}
    assert machine.ensure(certificate, again=True)
    assert set(machine.aws.acm.state) == {machine.serving()}


def test_all_hosts_exchanged_and_nothing_of_the_former_stays() -> None:
    machine = made()
    machine.operation("op2", OperationKind.UPDATE, "cart")
    for _ in range(3):
        machine.loop()
    machine.issue()
    machine.until_ready()
    for component in (target_groups, certificate):
        assert machine.ensure(component, again=True)
    assert machine.hosts() == {"cart.example.com"}
    assert set(machine.aws.acm.state) == {machine.serving()}
    assert set(machine.aws.route53.state) == {
        "cart.example.com A",
        f"{validation('cart.example.com')['Name'].rstrip('.')} CNAME",
    }
    groups = [each for arn, each in machine.aws.elb.state.items() if ":targetgroup/" in arn]
    assert len(groups) == 1


def test_taken_away_in_the_machines_order_nothing_is_left() -> None:
    machine = made()
    machine.operation("op2", OperationKind.UPDATE, "shop", "cart")
    machine.loop()  # cancelled while the new certificate is pending
    machine.record.environment = replace(
        machine.record.present,
        lock=Lock("op3", NOW),
        operation=Operation("op3", OperationKind.DELETE, OperationStatus.RUNNING, 3, NOW, CREATOR, started_at=NOW),
    )
    for component in (dns, load_balancer, target_groups, certificate):
        for each in machine.aws.acm.state.values():
            each["InUseBy"] = [] if component is certificate else each["InUseBy"]
        assert any(machine.ensure(component, removal=True) for _ in range(4))
    assert machine.aws.state() == Aws().state()
