"""The certificate: requested, proven, replaced without a gap, and gone with its records, but never others' records."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springboard import naming
from springboard.components import certificate
from springboard.components.certificate import Found, Observed
from springboard.components.contract import ABSENT, Failed, Ready, Waiting
from springboard.errors import AccessDeniedError, NotOursError, ThrottledError
from springboard.record import OperationKind
from tests.unit.components.clients import Aws, Killed, locked, survives_every_kill, validation
from tests.unit.components.records import SITE, UID, environment, under

if TYPE_CHECKING:
    from springboard.components.contract import Outcome
    from springboard.record import Environment

OURS = {naming.OWNER_TAG: UID}
GIVEN = "arn:aws:acm:eu-west-1:111122223333:certificate/given"


def serving(*apps: str, kind: OperationKind = OperationKind.CREATE, operation: str = "op1") -> Environment:
    """An environment whose applications have the hosts {app}.example.com, under an operation."""
    record = under(environment(apps=[{"name": app, "image": "ghcr.io/acme/shop:1"} for app in apps]), kind)
    assert record.operation is not None
    return locked(replace(record, operation=replace(record.operation, id=operation)), operation)


SHOP, BOTH = serving("shop"), serving("shop", "cart")
LEAVING = serving("shop", kind=OperationKind.DELETE, operation="op9")


def issue(aws: Aws) -> None:
    """ACM looks at the records."""
    for each in aws.acm.state.values():
        wanted = [validation(host) for host in each["SubjectAlternativeNames"]]
        proven = [f"{record['Name'].rstrip('.')} CNAME" in aws.route53.state for record in wanted]
        if each["Status"] == "PENDING_VALIDATION" and all(proven):
            each["Status"] = "ISSUED"


def issued(record: Environment = SHOP) -> tuple[Aws, Environment]:
    """An environment that has its certificate."""
    aws = Aws()
    for _ in range(2):
        record, _ = aws.run(certificate, record)
    issue(aws)
    record = aws.until_ready(certificate, record)
    aws.forget()
    return aws, record


def carried(record: Environment, into: Environment) -> Environment:
    """The next operation's record: another spec, the facts as they were."""
    return replace(into, facts=record.facts, conditions=record.conditions, generation=record.generation + 1)


def hosts(aws: Aws) -> list[tuple[str, ...]]:
    return sorted(tuple(each["SubjectAlternativeNames"]) for each in aws.acm.state.values())


def records(aws: Aws) -> set[str]:
    return {name.removeprefix("_proof.").removesuffix(" CNAME") for name in aws.route53.state}


def waiting(outcome: Outcome) -> str:
    assert isinstance(outcome.verdict, Waiting), outcome.verdict
    return outcome.verdict.reason


# From nothing


def test_it_is_requested_for_all_hosts_and_each_is_proven_and_it_is_ready_once_issued() -> None:
    aws, record = issued(BOTH)
    assert [set(each) for each in hosts(aws)] == [{"shop.example.com", "cart.example.com"}]
    assert records(aws) == {"shop.example.com", "cart.example.com"}
    (arn,) = aws.acm.state
    assert record.facts["certificate"]["arn"] == arn
    assert {"Key": naming.OWNER_TAG, "Value": UID} in aws.acm.state[arn]["Tags"]
    aws.until_ready(certificate, record)
    assert aws.changes() == []


def test_while_it_is_pending_one_call_a_look_is_enough() -> None:
    aws = Aws()
    record = SHOP
    for _ in range(3):
        record, _ = aws.run(certificate, record)
    aws.forget()
    _, outcome = aws.run(certificate, record)
    assert (aws.acm.calls, aws.route53.calls) == (["describe_certificate"], [])
    assert waiting(outcome)


def test_one_that_serves_is_known_by_the_listing_and_its_records() -> None:
    aws, record = issued(BOTH)
    later = carried(record, serving("shop", "cart", kind=OperationKind.UPDATE, operation="op2"))
    later, outcome = aws.run(certificate, later)
    assert isinstance(outcome.verdict, Ready)
    assert (aws.acm.calls, aws.route53.calls) == (["list_certificates"], ["list_resource_record_sets"] * 2)
    assert later.facts["certificate"] == {
        key: value
        for key, value in record.facts["certificate"].items()
        if key not in {"operation", "requested", "proven"}
    }
    aws.route53.state.pop("_proof.shop.example.com CNAME")
    again, _ = aws.run(certificate, later)
    assert records(aws) == {"shop.example.com", "cart.example.com"}, "what lacks is seen, and mended"
    assert again.facts["certificate"] == later.facts["certificate"]


def test_one_that_ended_or_went_is_seen_in_the_listing() -> None:
    aws, record = issued()
    later = carried(record, serving("shop", kind=OperationKind.UPDATE, operation="op2"))
    (arn,) = aws.acm.state
    aws.acm.state[arn] |= {"Status": "REVOKED", "FailureReason": "OTHER"}
    _, outcome = aws.run(certificate, later)
    assert isinstance(outcome.verdict, Failed)
    assert outcome.verdict.cause == "the certificate ended as REVOKED OTHER"
    aws.acm.state.clear()
    missed, outcome = aws.run(certificate, later)
    assert waiting(outcome).endswith("one more look tells")
    aws.run(certificate, missed)
    assert hosts(aws) == [("shop.example.com",)], "another one is requested"


def test_f6_one_that_an_old_listing_does_not_tell_is_asked_for_by_its_arn() -> None:
    aws, record = issued()
    aws.acm.unlisted = set(aws.acm.state)
    later, outcome = aws.run(certificate, carried(record, serving("shop", kind=OperationKind.UPDATE, operation="op2")))
    assert isinstance(outcome.verdict, Ready)
    assert (hosts(aws), aws.changes()) == ([("shop.example.com",)], [])
    assert later.facts["certificate"]["ours"] == record.facts["certificate"]["ours"]


def test_f6_one_that_a_look_misses_is_neither_requested_again_nor_forgotten() -> None:
    aws, record = issued()
    later = carried(record, serving("shop", kind=OperationKind.UPDATE, operation="op2"))
    there, aws.acm.state = aws.acm.state, {}
    missed, outcome = aws.run(certificate, later)
    assert waiting(outcome).endswith("one more look tells")
    aws.acm.state = there
    found, outcome = aws.run(certificate, missed)
    assert isinstance(outcome.verdict, Ready)
    assert (hosts(aws), aws.changes()) == ([("shop.example.com",)], [])
    leaving, aws.acm.state = carried(found, LEAVING), {}
    missed, outcome = aws.run(certificate, leaving, removal=True)
    assert waiting(outcome)
    aws.acm.state = there
    aws.run(certificate, missed, removal=True)
    assert (aws.acm.state, records(aws)) == ({}, set())


def test_a_given_certificate_never_becomes_ours() -> None:
    """It was in the record as the one that serves; once the spec no longer names it, it is let alone."""
    aws, record = Aws(), environment(apps=[{"name": "shop", "image": "ghcr.io/acme/shop:1"}])
    theirs = aws.acm.certificate("shop.example.com", status="ISSUED")
    given_one = under(
        replace(
            record,
            spec=record.spec.model_copy(
                update={"ingress": record.spec.ingress.model_copy(update={"certificate_arn": theirs})}
            ),
        ),
        OperationKind.CREATE,
    )
    before, outcome = aws.run(certificate, locked(given_one, "op1"))
    assert isinstance(outcome.verdict, Ready)
    assert before.facts["certificate"]["arn"] == theirs
    aws.until_ready(certificate, carried(before, LEAVING), removal=True)
    assert set(aws.acm.state) == {theirs}


def test_f29_the_wanted_record_is_named_while_it_is_pending() -> None:
    aws = Aws()
    record, _ = aws.run(certificate, SHOP)
    _, outcome = aws.run(certificate, record)
    wanted = validation("shop.example.com")
    assert waiting(outcome) == f"PENDING_VALIDATION; ACM looks for {wanted['Name']} CNAME {wanted['Value']}"


def test_acm_may_name_its_records_late() -> None:
    aws = Aws()
    record, _ = aws.run(certificate, SHOP)
    (found,) = aws.acm.state.values()
    named = found.pop("DomainValidationOptions")
    aws.route53.state.clear()
    record, outcome = aws.run(certificate, replace(record, facts={}))
    assert "has not named yet" in waiting(outcome)
    found["DomainValidationOptions"] = named
    record, _ = aws.run(certificate, record)
    assert records(aws) == {"shop.example.com"}


def test_an_equal_record_is_adopted_and_another_is_never_overwritten() -> None:
    aws = Aws()
    equal = validation("shop.example.com")
    theirs = {"Name": equal["Name"], "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": equal["Value"]}]}
    key = "_proof.shop.example.com CNAME"
    aws.route53.state[key] = theirs
    record = SHOP
    for _ in range(2):
        record, _ = aws.run(certificate, record)
    assert aws.route53.changes == []
    aws.route53.state[key] = {**theirs, "ResourceRecords": [{"Value": "elsewhere.example.org"}]}
    before = aws.state()
    _, outcome = aws.run(certificate, record)
    assert isinstance(outcome.verdict, Failed)
    assert "elsewhere.example.org" in outcome.verdict.cause
    assert aws.state() == before


# Given


def test_a_given_one_is_used_and_never_touched() -> None:
    aws = Aws()
    aws.acm.certificate("*.example.com", status="ISSUED")
    (found,) = aws.acm.state.values()
    aws.acm.state = {GIVEN: {**found, "CertificateArn": GIVEN}}
    given_ = locked(under(environment(ingress={"certificateArn": GIVEN}), OperationKind.CREATE))
    record = aws.until_ready(certificate, given_)
    assert record.facts["certificate"]["arn"] == GIVEN
    aws.until_ready(certificate, replace(LEAVING, spec=given_.spec, facts=record.facts), removal=True)
    assert set(aws.acm.state) == {GIVEN}
    assert aws.changes() == []


def test_a_given_one_that_is_not_there_is_told() -> None:
    _, outcome = Aws().run(certificate, locked(environment(ingress={"certificateArn": GIVEN})))
    assert isinstance(outcome.verdict, Failed)
    assert GIVEN in outcome.verdict.cause
    assert "certificateArn" in outcome.verdict.remedy


def test_one_that_is_given_later_replaces_our_own_once_it_serves() -> None:
    aws, record = issued()
    (own,) = aws.acm.state
    aws.acm.state[own]["InUseBy"] = ["arn:balancer"]
    found = {**aws.acm.state[own], "CertificateArn": GIVEN, "Tags": [], "SubjectAlternativeNames": ["*.example.com"]}
    aws.acm.state[GIVEN] = {**found, "DomainName": "*.example.com", "DomainValidationOptions": []}
    given_ = locked(under(environment(ingress={"certificateArn": GIVEN}), OperationKind.UPDATE), "op2")
    record = aws.until_ready(certificate, carried(record, given_))
    assert record.facts["certificate"]["arn"] == GIVEN
    assert own in aws.acm.state
    aws.acm.state[own]["InUseBy"] = []
    aws.until_ready(certificate, record)
    assert set(aws.acm.state) == {GIVEN}


# Dead ends


@pytest.mark.parametrize("status", ["FAILED", "VALIDATION_TIMED_OUT", "REVOKED", "EXPIRED"])
def test_f29_a_dead_one_is_told_and_a_retry_requests_another(status: str) -> None:
    aws = Aws()
    record, _ = aws.run(certificate, SHOP)
    (dead,) = aws.acm.state
    aws.acm.state[dead] |= {"Status": status, "FailureReason": "CAA_ERROR" if status == "FAILED" else ""}
    record, outcome = aws.run(certificate, record)
    assert isinstance(outcome.verdict, Failed)
    assert status in outcome.verdict.cause
    assert "springboard retry" in outcome.verdict.remedy
    assert ("CAA" in outcome.verdict.remedy) is (status == "FAILED")
    again = carried(record, serving("shop", kind=OperationKind.RETRY, operation="op2"))
    again, outcome = aws.run(certificate, again)
    assert isinstance(outcome.verdict, Waiting)
    again, _ = aws.run(certificate, again)
    issue(aws)
    again = aws.until_ready(certificate, again)
    assert again.facts["certificate"]["arn"] != dead
    aws.until_ready(certificate, again)
    assert set(aws.acm.state) == {again.facts["certificate"]["arn"]}
    assert records(aws) == {"shop.example.com"}


# Hosts that change


def replaced(aws: Aws, record: Environment) -> tuple[str, Environment]:
    """The new certificate is asked for, the old one serves."""
    (old,) = aws.acm.state
    aws.acm.state[old]["InUseBy"] = ["arn:balancer"]
    record = carried(record, serving("shop", "cart", kind=OperationKind.UPDATE, operation="op2"))
    for _ in range(2):
        record, outcome = aws.run(certificate, record)
        assert isinstance(outcome.verdict, Waiting)
        assert record.facts["certificate"]["arn"] == old
    return old, record


@pytest.mark.parametrize("first", [False, True], ids=["newer-sorts-last", "newer-sorts-first"])
def test_listeners_keep_the_old_one_until_the_new_one_is_issued_and_then_take_that(first: bool) -> None:  # noqa: FBT001
    aws, record = issued()
    old, record = replaced(aws, record)
    if first:
        (new,) = set(aws.acm.state) - {old}
        earlier = new.replace("certificate/", "certificate/!")
        aws.acm.state[earlier] = {**aws.acm.state.pop(new), "CertificateArn": earlier}
    issue(aws)
    record = aws.until_ready(certificate, record)
    assert record.facts["certificate"]["arn"] in set(aws.acm.state) - {old}
    assert old in aws.acm.state  # the listener has it still
    aws.acm.state[old]["InUseBy"] = []
    aws.until_ready(certificate, record)
    assert set(aws.acm.state) == {record.facts["certificate"]["arn"]}


def test_an_old_one_stays_while_the_new_one_is_pending_even_if_nothing_uses_it() -> None:
    aws, record = issued()
    old, record = replaced(aws, record)
    aws.acm.state[old]["InUseBy"] = []
    aws.run(certificate, record)
    assert old in aws.acm.state


def test_the_record_of_a_host_that_left_goes_with_its_certificate_and_that_of_one_that_stays_does_not() -> None:
    aws, record = issued(BOTH)
    record = carried(record, serving("shop", kind=OperationKind.UPDATE, operation="op2"))
    for _ in range(2):
        record, _ = aws.run(certificate, record)
    assert records(aws) == {"shop.example.com", "cart.example.com"}
    issue(aws)
    record = aws.until_ready(certificate, record)
    aws.until_ready(certificate, record)
    assert hosts(aws) == [("shop.example.com",)]
    assert records(aws) == {"shop.example.com"}


def test_one_that_was_never_issued_is_not_forgotten_when_the_hosts_change() -> None:
    aws = Aws()
    record, _ = aws.run(certificate, SHOP)
    record, _ = aws.run(certificate, record)
    record = carried(record, serving("cart", kind=OperationKind.UPDATE, operation="op2"))
    for _ in range(3):
        record, _ = aws.run(certificate, record)
    leaving = carried(record, serving("cart", kind=OperationKind.DELETE, operation="op3"))
    aws.until_ready(certificate, leaving, removal=True)
    assert aws.acm.state == {}
    assert records(aws) == set()


# Removal


def test_all_goes_records_first() -> None:
    aws, record = issued()
    aws.until_ready(certificate, carried(record, LEAVING), removal=True)
    assert (aws.acm.state, aws.route53.state) == ({}, {})


@pytest.mark.parametrize("other", ["shop.example.com", "*.shop.example.com"])
def test_a_record_that_another_certificate_needs_stays(other: str) -> None:
    aws, record = issued()
    theirs = aws.acm.certificate(other)
    aws.until_ready(certificate, carried(record, LEAVING), removal=True)
    assert set(aws.acm.state) == {theirs}
    assert records(aws) == {"shop.example.com"}


def test_a_certificate_of_the_domain_above_does_not_need_our_record() -> None:
    aws, record = issued()
    aws.acm.certificate("example.com")
    aws.until_ready(certificate, carried(record, LEAVING), removal=True)
    assert records(aws) == set()


def test_f35_what_uses_it_is_named_and_it_is_still_proven() -> None:
    aws, record = issued()
    (arn,) = aws.acm.state
    aws.acm.state[arn]["InUseBy"] = ["arn:somebodys-balancer"]
    _, outcome = aws.run(certificate, carried(record, LEAVING), removal=True)
    assert "in use by arn:somebodys-balancer" in waiting(outcome)
    assert records(aws) == {"shop.example.com"}


def test_one_that_came_into_use_meanwhile_is_waited_for() -> None:
    aws, record = issued()
    aws.acm.refuse["delete_certificate"] = "ResourceInUseException"
    assert waiting(aws.run(certificate, carried(record, LEAVING), removal=True)[1])


def test_f36_what_is_gone_already_is_fine() -> None:
    aws, record = issued()
    leaving = carried(record, LEAVING)
    doomed = certificate.changes(ABSENT, certificate.observe(aws.world, leaving))
    aws.acm.state.clear()
    aws.route53.state.clear()
    for change in doomed:
        certificate.apply(aws.world, leaving, change)
    missed, outcome = aws.run(certificate, leaving, removal=True)
    assert waiting(outcome).endswith("one more look tells")  # the record knows of it: an old look would miss it too
    assert isinstance(aws.run(certificate, missed, removal=True)[1].verdict, Ready)


@pytest.mark.parametrize("needed", [False, True])
def test_f36_records_of_one_that_somebody_deleted_go_unless_another_needs_them(*, needed: bool) -> None:
    aws, record = issued()
    aws.acm.state.clear()
    if needed:
        aws.acm.certificate("*.shop.example.com")
    aws.until_ready(certificate, carried(record, LEAVING), removal=True)
    assert records(aws) == ({"shop.example.com"} if needed else set())


@pytest.mark.parametrize("needed", [False, True])
def test_the_record_of_a_host_that_left_goes_though_somebody_deleted_its_certificate(*, needed: bool) -> None:
    aws, record = issued()
    aws.acm.state.clear()
    if needed:
        aws.acm.certificate("*.shop.example.com")
    record = carried(record, serving("cart", kind=OperationKind.UPDATE, operation="op2"))
    for _ in range(3):
        record, _ = aws.run(certificate, record)
    assert records(aws) == ({"cart.example.com", "shop.example.com"} if needed else {"cart.example.com"})


def test_the_record_of_a_host_that_stays_is_kept_for_the_certificate_that_comes() -> None:
    aws, record = issued()
    aws.acm.state.clear()
    record = carried(record, serving("shop", kind=OperationKind.REPAIR, operation="op2"))
    aws.forget()
    for _ in range(3):
        record, _ = aws.run(certificate, record)
    assert aws.changes() == ["request_certificate"]
    assert records(aws) == {"shop.example.com"}


def test_a_record_that_somebody_gave_another_value_is_not_deleted() -> None:
    aws, record = issued()
    aws.route53.state["_proof.shop.example.com CNAME"]["ResourceRecords"] = [{"Value": "elsewhere.example.com"}]
    aws.until_ready(certificate, carried(record, LEAVING), removal=True)
    assert (aws.acm.state, records(aws)) == ({}, {"shop.example.com"})


def test_nothing_is_left_to_remove_where_creation_never_came_so_far() -> None:
    assert isinstance(Aws().run(certificate, LEAVING, removal=True)[1].verdict, Ready)


# Faults


def test_killed_anywhere_it_asks_for_one_certificate_alone() -> None:
    for after in (1, 2):
        for client in ("acm", "route53"):
            aws = Aws()
            getattr(aws, client).kill_after = after
            record = SHOP
            for _ in range(4):
                with suppress(Killed):
                    record, _ = aws.run(certificate, record)
            issue(aws)
            aws.until_ready(certificate, record)
            assert hosts(aws) == [("shop.example.com",)]
            assert records(aws) == {"shop.example.com"}


def test_killed_anywhere_in_removal_nothing_is_left() -> None:
    aws, record = issued(BOTH)
    leaving = carried(record, serving("shop", "cart", kind=OperationKind.DELETE, operation="op9"))

    def make() -> Aws:
        return issued(BOTH)[0]

    assert survives_every_kill(make, certificate, leaving, removal=True) == 3
    assert aws.acm.state


@pytest.mark.parametrize(("code", "error"), [("AccessDenied", AccessDeniedError), ("Throttling", ThrottledError)])
def test_what_only_waiting_or_a_permission_helps_is_passed_on(code: str, error: type[Exception]) -> None:
    aws = Aws()
    aws.acm.refuse["request_certificate"] = code
    with pytest.raises(error):
        aws.run(certificate, SHOP)


NAMES = st.sets(st.sampled_from(["shop.example.com", "cart.example.com"]), min_size=1)
STATUSES = st.sampled_from(["ISSUED", "PENDING_VALIDATION", "FAILED"])


@given(st.lists(st.tuples(NAMES, STATUSES, st.booleans()), max_size=4))
def test_a_certificate_in_use_is_never_deleted_and_none_before_another_serves(
    known: list[tuple[set[str], str, bool]],
) -> None:
    desired = certificate.desired(BOTH, SITE)
    found = tuple(
        Found(f"arn/{number}", tuple(sorted(names)), status, "", (), ("balancer",) if used else ())
        for number, (names, status, used) in enumerate(known)
    )
    observed = Observed(found, {}, frozenset(), "Z1")
    deleted = {
        change.arn
        for change in certificate.changes(desired, observed)
        if isinstance(change, certificate.DeleteCertificate) and change.possible
    }
    staying = [each for each in found if each.arn not in deleted]
    assert all(each in staying for each in found if each.users)
    if deleted:
        assert any(each.status == "ISSUED" and each.hosts == desired.hosts for each in staying)


def test_another_value_is_refused_before_anything_is_done() -> None:
    wanted = certificate.Record("_x.shop.example.com.", "_y.acm-validations.aws.")
    found = Found("arn/1", ("shop.example.com",), "PENDING_VALIDATION", "", (wanted,))
    present = {wanted.name: {"ResourceRecords": [{"Value": "theirs"}]}}
    with pytest.raises(NotOursError, match="theirs"):
        certificate.changes(certificate.desired(SHOP, SITE), Observed((found,), present, frozenset(), "Z1"))
