"""DNS: our aliases follow the load balancer and the spec; records of others are never overwritten."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springboard.components import dns
from springboard.components.contract import ABSENT, Failed, Ready, Waiting
from springboard.components.dns import Observed
from springboard.errors import AccessDeniedError, ThrottledError
from springboard.record import OperationKind
from tests.unit.components.clients import Aws, survives_every_kill
from tests.unit.components.records import SITE, environment, under

if TYPE_CHECKING:
    from springboard.record import Environment

TARGET, ELB_ZONE = "Sb-Shop-1.eu-west-1.elb.amazonaws.com", "Z32O12XQLNTSW2"


def balanced(*apps: str, target: str = TARGET, kind: OperationKind = OperationKind.CREATE) -> Environment:
    """Hosts {app}.example.com, and a load balancer of that name."""
    record = under(environment(apps=[{"name": app, "image": "ghcr.io/acme/shop:1"} for app in apps]), kind)
    return record.with_facts("load_balancer", {"dnsName": target, "zoneId": ELB_ZONE if target else ""})


SHOP, BOTH = balanced("shop"), balanced("shop", "cart")


def alias(host: str, target: str = TARGET) -> dict[str, Any]:
    to = {"HostedZoneId": ELB_ZONE, "DNSName": target.lower(), "EvaluateTargetHealth": False}
    return {"Name": f"{host}.", "Type": "A", "AliasTarget": to}


def made(record: Environment = BOTH) -> tuple[Aws, Environment]:
    aws = Aws()
    record = aws.until_ready(dns, record)
    aws.forget()
    return aws, record


def then(record: Environment, into: Environment) -> Environment:
    """The next operation's record, with what the record knows of DNS."""
    return into.with_facts("dns", record.facts["dns"])


def test_each_host_is_an_alias_of_the_load_balancer() -> None:
    aws, record = made()
    assert aws.route53.state == {
        "shop.example.com A": alias("shop.example.com"),
        "cart.example.com A": alias("cart.example.com"),
    }
    assert record.facts["dns"]["records"] == dict.fromkeys(("shop.example.com", "cart.example.com"), TARGET.lower())
    aws.until_ready(dns, record)
    assert aws.changes() == []


@pytest.mark.parametrize("written", [TARGET.lower() + ".", f"dualstack.{TARGET.lower()}."])
def test_how_route_53_writes_the_target_is_no_difference(written: str) -> None:
    aws, record = made(SHOP)
    aws.route53.state["shop.example.com A"]["AliasTarget"]["DNSName"] = written
    aws.until_ready(dns, record)
    assert aws.changes() == []


def test_it_waits_for_the_load_balancer_and_for_all_name_servers() -> None:
    aws = Aws()
    record, outcome = aws.run(dns, balanced("shop", target=""))
    assert isinstance(outcome.verdict, Waiting)
    assert outcome.verdict.on == "load balancer"
    assert aws.changes() == []
    aws.route53.pending = True
    record, outcome = aws.run(dns, then(record, SHOP))
    record, outcome = aws.run(dns, record)
    assert isinstance(outcome.verdict, Waiting)
    assert "name servers" in outcome.verdict.reason
    aws.route53.pending = False
    aws.until_ready(dns, record)


@pytest.mark.parametrize(
    "theirs",
    [
        {"Name": "cart.example.com.", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]},
        {"Name": "cart.example.com.", "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "other.example.org"}]},
        alias("cart.example.com", "their-balancer.elb.amazonaws.com"),
        {"Name": "cart.example.com.", "Type": "AAAA", "TTL": 60, "ResourceRecords": [{"Value": "2001:db8::7"}]},
        {**alias("cart.example.com"), "SetIdentifier": "blue", "Weight": 50},
    ],
)
def test_f31_a_name_that_somebody_else_owns_is_never_overwritten_nor_deleted(theirs: dict[str, Any]) -> None:
    aws = Aws()
    aws.route53.state[f"cart.example.com {theirs['Type']}"] = theirs
    before = aws.state()
    record, outcome = aws.run(dns, BOTH)
    assert isinstance(outcome.verdict, Failed)
    assert outcome.verdict.code == "NotOurs"
    assert outcome.verdict.cause.startswith("cart.example.com points to ")
    assert "choose another host" in outcome.verdict.remedy
    assert aws.state() == before
    aws.until_ready(dns, then(record, balanced("shop", "cart", kind=OperationKind.DELETE)), removal=True)
    assert aws.state() == before


def test_f31_somebody_who_is_faster_keeps_the_name() -> None:
    aws = Aws()
    aws.world.route53.records = lambda *_: []  # type: ignore[method-assign]
    theirs = alias("shop.example.com", "their-balancer.elb.amazonaws.com")
    aws.route53.state["shop.example.com A"] = theirs
    _, outcome = aws.run(dns, SHOP)
    assert isinstance(outcome.verdict, Failed)
    assert aws.route53.state["shop.example.com A"] == theirs


def test_a_record_that_somebody_took_over_is_left_to_them() -> None:
    aws, record = made(SHOP)
    theirs = alias("shop.example.com", "their-balancer.elb.amazonaws.com")
    aws.route53.state["shop.example.com A"] = theirs
    aws.until_ready(dns, then(record, balanced("shop", kind=OperationKind.DELETE)), removal=True)
    assert aws.route53.state == {"shop.example.com A": theirs}


def test_the_record_of_a_host_that_left_goes() -> None:
    aws, record = made()
    aws.until_ready(dns, then(record, SHOP))
    assert set(aws.route53.state) == {"shop.example.com A"}


def test_a_host_that_left_while_its_record_is_on_its_way_goes_by_its_exact_value() -> None:
    aws, record = made()
    aws.route53.pending = True
    facts = {**record.facts["dns"], "change": "/change/C1"}
    record, outcome = aws.run(dns, SHOP.with_facts("dns", facts))
    assert [change.resource for change in outcome.changes] == ["record cart.example.com"]
    assert set(aws.route53.state) == {"shop.example.com A"}


def test_after_a_new_load_balancer_records_follow_and_that_of_a_host_that_left_is_still_ours() -> None:
    aws, record = made()
    record = then(record, balanced("shop", target="sb-shop-2.eu-west-1.elb.amazonaws.com"))
    (update, removal) = dns.changes(dns.desired(record, SITE), dns.observe(aws.world, record))
    assert (update.action.value, removal.action.value) == ("Update", "Delete")
    aws.until_ready(dns, record)
    assert aws.route53.state == {
        "shop.example.com A": alias("shop.example.com", "sb-shop-2.eu-west-1.elb.amazonaws.com")
    }


def test_all_goes_even_once_the_load_balancer_is_gone() -> None:
    aws, record = made()
    leaving = then(record, balanced("shop", "cart", target="", kind=OperationKind.DELETE))
    aws.until_ready(dns, leaving, removal=True)
    assert aws.route53.state == {}


def test_nothing_is_left_to_remove_where_creation_never_came_so_far() -> None:
    aws = Aws()
    _, outcome = aws.run(dns, under(environment(), OperationKind.DELETE), removal=True)
    assert isinstance(outcome.verdict, Ready)
    assert aws.changes() == []


@pytest.mark.parametrize("code", ["InvalidChangeBatch", "NoSuchHostedZone"])
def test_f36_a_record_or_a_zone_that_is_gone_already_is_fine(code: str) -> None:
    aws, record = made(SHOP)
    doomed = dns.changes(ABSENT, dns.observe(aws.world, record))
    aws.route53.refuse["change_resource_record_sets"] = code
    for change in doomed:
        dns.apply(aws.world, record, change)
    aws.route53.refuse["list_resource_record_sets"] = "NoSuchHostedZone"
    assert isinstance(aws.run(dns, record, removal=True)[1].verdict, Ready)


@pytest.mark.parametrize("removal", [False, True])
def test_killed_anywhere_it_ends_the_same(removal: bool) -> None:  # noqa: FBT001
    record = then(made()[1], balanced("shop", "cart", kind=OperationKind.DELETE)) if removal else BOTH
    assert survives_every_kill((lambda: made()[0]) if removal else Aws, dns, record, removal=removal) == 2


@pytest.mark.parametrize(
    ("code", "error"), [("AccessDenied", AccessDeniedError), ("PriorRequestNotComplete", ThrottledError)]
)
def test_what_only_waiting_or_a_permission_helps_is_passed_on(code: str, error: type[Exception]) -> None:
    aws = Aws()
    aws.route53.refuse["change_resource_record_sets"] = code
    with pytest.raises(error):
        aws.run(dns, SHOP)


HOSTS = ("shop.example.com", "cart.example.com", "former.example.com")


@given(st.dictionaries(st.sampled_from(HOSTS), st.sampled_from([TARGET, "former.elb.amazonaws.com"])))
def test_applied_to_a_model_the_changes_leave_nothing_to_change(present: dict[str, str]) -> None:
    desired = dns.desired(BOTH, SITE)
    model = {host: alias(host, target) for host, target in present.items()}
    for change in dns.changes(desired, Observed(dict(model), {}, "Z1", "")):
        if isinstance(change, dns.PutRecord):
            assert change.exists is (change.host in model)
            model[change.host] = alias(change.host, change.target)
        elif isinstance(change, dns.DeleteRecord):
            del model[change.record["Name"].rstrip(".")]
    after = Observed(model, {}, "Z1", "")
    assert dns.changes(desired, after) == ()
    assert isinstance(dns.condition(desired, after), Ready)
    assert isinstance(dns.condition(desired, replace(after, pending="C1")), Waiting)
