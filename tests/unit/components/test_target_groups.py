"""Target groups: one per application, never deleted while something refers to them, never somebody else's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springboard import naming
from springboard.components import target_groups
from springboard.components.contract import ABSENT, Failed, Ready, Waiting
from springboard.components.target_groups import Found, Observed
from springboard.errors import AccessDeniedError, ThrottledError, UnavailableError
from springboard.record import OperationKind
from tests.unit.components.clients import Aws, survives_every_kill
from tests.unit.components.records import SITE, UID, environment, under

if TYPE_CHECKING:
    from springboard.record import Environment

IMAGE = "ghcr.io/acme/shop:1"


def with_apps(*names: str, kind: OperationKind = OperationKind.UPDATE) -> Environment:
    return under(environment(apps=[{"name": name, "image": IMAGE} for name in names]), kind)


BOTH, FIRST = with_apps("shop", "cart"), with_apps("shop")
LEAVING = with_apps("shop", "cart", kind=OperationKind.DELETE)
SHOP = naming.target_group("sb", "shop", UID, "shop", 30000)
CART = naming.target_group("sb", "shop", UID, "cart", 30001)


def made(record: Environment = BOTH) -> Aws:
    aws = Aws()
    aws.until_ready(target_groups, record)
    aws.forget()
    return aws


def names(aws: Aws) -> set[str]:
    return {each["TargetGroupName"] for each in aws.elb.state.values()}


def arn(aws: Aws, name: str) -> str:
    return next(key for key, each in aws.elb.state.items() if each["TargetGroupName"] == name)


def attached(record: Environment, *arns: str, state: str = "Added") -> Environment:
    return record.with_facts("targets", {"attached": {"eks-workers": dict.fromkeys(arns, state)}})


def test_each_application_has_one_on_its_node_port_checked_for_readiness() -> None:
    aws = made()
    assert names(aws) == {SHOP, CART}
    cart = aws.elb.state[arn(aws, CART)]
    assert (cart["Port"], cart["Protocol"], cart["TargetType"], cart["VpcId"]) == (30001, "HTTP", "instance", "vpc-1")
    assert cart["HealthCheckPath"] == "/readyz"
    assert cart["Attributes"]["deregistration_delay.timeout_seconds"] == "30"
    assert {"Key": naming.OWNER_TAG, "Value": UID} in cart["Tags"]
    assert aws.run(target_groups, BOTH)[0].facts["target_groups"]["groups"][CART] == arn(aws, CART)


@pytest.mark.parametrize("drift", [{"HealthCheckPath": "/"}, {"Matcher": {"HttpCode": "200-499"}}, {"Attributes": {}}])
def test_what_was_changed_by_hand_is_mended(drift: dict[str, Any]) -> None:
    aws = made()
    before = aws.state()
    aws.elb.state[arn(aws, SHOP)] |= drift
    aws.until_ready(target_groups, BOTH)
    assert aws.state() == before


def test_that_of_an_application_that_left_goes_when_nothing_refers_to_it() -> None:
    aws = made()
    aws.until_ready(target_groups, FIRST)
    assert names(aws) == {SHOP}


def test_one_that_a_listener_rule_refers_to_stays_without_keeping_anybody_waiting() -> None:
    aws = made()
    rule = {"Actions": [{"TargetGroupArn": arn(aws, CART)}], "LoadBalancerArn": "arn:x:loadbalancer/app/sb-shop/1"}
    aws.elb.state["arn:x:listener-rule/app/1"] = {"TargetGroupName": "", **rule}
    record, outcome = aws.run(target_groups, FIRST)
    assert isinstance(outcome.verdict, Ready)
    assert CART in names(aws)
    del aws.elb.state["arn:x:listener-rule/app/1"]
    aws.until_ready(target_groups, record)
    assert names(aws) == {SHOP}


@pytest.mark.parametrize("state", ["Adding", "Added", "InService", "Removing"])
def test_one_that_is_attached_to_an_auto_scaling_group_stays_until_it_is_detached(state: str) -> None:
    aws = made()
    held = attached(FIRST, arn(aws, SHOP), arn(aws, CART), state=state)
    assert isinstance(aws.run(target_groups, held)[1].verdict, Ready)
    assert CART in names(aws)
    aws.until_ready(target_groups, attached(FIRST, arn(aws, SHOP)))
    assert names(aws) == {SHOP}


def test_f35_removal_names_what_still_refers_to_it() -> None:
    aws = made()
    record = attached(LEAVING, arn(aws, CART))
    _, outcome = aws.run(target_groups, record, removal=True)
    assert isinstance(outcome.verdict, Waiting)
    assert outcome.verdict.reason == f"target group {CART} is used by Auto Scaling group eks-workers"
    assert names(aws) == {CART}
    aws.until_ready(target_groups, attached(record), removal=True)
    assert names(aws) == set()


def test_one_that_came_into_use_meanwhile_is_waited_for() -> None:
    aws = made()
    aws.elb.refuse["delete_target_group"] = "ResourceInUse"
    assert isinstance(aws.run(target_groups, LEAVING, removal=True)[1].verdict, Waiting)


def test_f36_one_that_is_gone_already_is_fine() -> None:
    aws = made()
    doomed = target_groups.changes(ABSENT, target_groups.observe(aws.world, LEAVING))
    aws.elb.state.clear()
    for change in doomed:
        target_groups.apply(aws.world, LEAVING, change)
    assert isinstance(aws.run(target_groups, LEAVING, removal=True)[1].verdict, Ready)


def test_one_of_our_name_that_is_not_ours_is_never_touched() -> None:
    aws = made()
    aws.elb.state[arn(aws, SHOP)] |= {"Tags": [], "HealthCheckPath": "/theirs"}
    before = aws.state()
    _, outcome = aws.run(target_groups, BOTH)
    assert isinstance(outcome.verdict, Failed)
    assert SHOP in outcome.verdict.cause
    assert aws.state() == before
    aws.until_ready(target_groups, LEAVING, removal=True)
    assert names(aws) == {SHOP}


@pytest.mark.parametrize("gone", [False, True])
def test_its_own_are_found_among_many_of_environments_with_a_like_name(gone: bool) -> None:  # noqa: FBT001
    aws = Aws()
    for number in range(45):
        aws.elb.create_target_group(Name=f"sb-shop-{number:08d}", Tags=[], Port=30000)
    aws.until_ready(target_groups, BOTH)
    if gone:  # between the listing and the look at the tags
        listed = aws.elb.describe_target_groups()
        del aws.elb.state[arn(aws, "sb-shop-00000007")]
        aws.world.elb.client.describe_target_groups = lambda **_: listed
    _, outcome = aws.run(target_groups, BOTH)
    assert isinstance(outcome.verdict, Ready)
    assert set(outcome.learned["groups"]) == {SHOP, CART}


@pytest.mark.parametrize("removal", [False, True])
def test_killed_anywhere_it_ends_the_same(removal: bool) -> None:  # noqa: FBT001
    record = LEAVING if removal else BOTH
    assert survives_every_kill(made if removal else Aws, target_groups, record, removal=removal) == (
        2 if removal else 4
    )


@pytest.mark.parametrize(("code", "error"), [("AccessDenied", AccessDeniedError), ("Throttling", ThrottledError)])
def test_what_only_waiting_or_a_permission_helps_is_passed_on(code: str, error: type[Exception]) -> None:
    aws = Aws()
    aws.elb.refuse["create_target_group"] = code
    with pytest.raises(error):
        aws.run(target_groups, BOTH)


def test_nothing_is_left_to_remove_where_creation_never_came_so_far() -> None:
    assert isinstance(Aws().run(target_groups, LEAVING, removal=True)[1].verdict, Ready)


RIGHT = {"deregistration_delay.timeout_seconds": "30", "load_balancing.algorithm.type": "least_outstanding_requests"}


@given(
    st.dictionaries(
        st.sampled_from([SHOP, CART, "sb-shop-former"]),
        st.tuples(st.booleans(), st.sampled_from([RIGHT, {}])),
    )
)
def test_applied_to_a_model_the_changes_leave_nothing_to_change(found: dict[str, Any]) -> None:
    desired = target_groups.desired(BOTH, SITE)
    model = {name: Found(name, name, 1, (), checked, attributes) for name, (checked, attributes) in found.items()}
    for change in target_groups.changes(desired, Observed(dict(model))):
        match change:
            case target_groups.CreateTargetGroup():
                model[change.group.name] = Found(change.group.name, "arn", change.group.port, (), True, RIGHT)  # noqa: FBT003
            case target_groups.ModifyTargetGroup():
                model[change.arn] = replace(model[change.arn], checked=True, attributes=RIGHT)
            case target_groups.DeleteTargetGroup():
                del model[change.arn]
    assert target_groups.changes(desired, Observed(model)) == ()
    assert isinstance(target_groups.condition(desired, Observed(model)), Ready)


@pytest.mark.parametrize("removal", [False, True])
def test_f6_one_whose_tags_do_not_show_yet_is_nobody_else_s(*, removal: bool) -> None:
    """The step that made it was killed, and what the record does not know is asked for its tags."""
    aws = made()
    aws.elb.refuse["describe_tags"] = "TargetGroupNotFound"
    with pytest.raises(UnavailableError, match="does not show the tags"):
        aws.run(target_groups, LEAVING if removal else BOTH, removal=removal)


def test_f6_one_that_is_refused_for_its_name_and_does_not_show_is_waited_for() -> None:
    aws = Aws()
    aws.elb.refuse["create_target_group"] = "DuplicateTargetGroupName"
    with pytest.raises(UnavailableError, match="does not show the target group"):
        aws.run(target_groups, FIRST)
