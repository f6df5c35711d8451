"""Security groups: what is opened to whom, whose groups are left alone, and what keeps one from going."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springboard import naming
from springboard.components import firewall
from springboard.components.contract import ABSENT, Failed, Ready, Waiting
from springboard.components.firewall import Group, Observed, Rule
from springboard.errors import AccessDeniedError, NotOursError, ThrottledError, UnavailableError
from springboard.record import OperationKind
from tests.unit.components.clients import Aws, survives_every_kill
from tests.unit.components.records import SITE, UID, environment, under

if TYPE_CHECKING:
    from springboard.record import Environment

ALB = naming.alb_security_group("sb", "shop", UID)
NODES = naming.node_ingress_security_group("sb", "shop", UID)
RECORD = under(environment(ingress={"allowCidrs": ["203.0.113.0/24"]}), OperationKind.CREATE)
LEAVING = under(environment(), OperationKind.DELETE)
DESIRED = firewall.desired(RECORD, SITE)


def made() -> Aws:
    aws = Aws()
    aws.until_ready(firewall, RECORD)
    aws.forget()
    return aws


def rules(aws: Aws, name: str, direction: str = "IpPermissions") -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = aws.ec2.state[f"sg-{name}"][direction]
    return listed


def test_the_web_reaches_the_load_balancer_and_that_alone_reaches_the_nodes() -> None:
    aws = made()
    assert {(each["FromPort"], each["IpRanges"][0]["CidrIp"]) for each in rules(aws, ALB)} == {
        (80, "203.0.113.0/24"),
        (443, "203.0.113.0/24"),
    }
    (nodes,) = rules(aws, NODES)
    assert (nodes["FromPort"], nodes["ToPort"]) == (30000, 30085)
    assert nodes["UserIdGroupPairs"] == [{"GroupId": f"sg-{ALB}"}]
    assert rules(aws, NODES, "IpPermissionsEgress") == []
    assert all(each["IpProtocol"] == "tcp" for each in rules(aws, ALB, "IpPermissionsEgress"))


def test_its_ids_are_told_to_those_who_need_them() -> None:
    record, _ = made().run(firewall, RECORD)
    assert record.facts["firewall"] == {"alb": f"sg-{ALB}", "nodeIngress": f"sg-{NODES}"}


@pytest.mark.parametrize(
    "opened",
    [
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "PrefixListIds": [{"PrefixListId": "pl-0123abcd"}]},
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": "sg-other"}]},
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
    ],
)
@pytest.mark.parametrize("direction", ["IpPermissions", "IpPermissionsEgress"])
def test_what_was_opened_by_hand_is_closed(opened: dict[str, Any], direction: str) -> None:
    aws = made()
    before = aws.state()
    rules(aws, ALB, direction).append(opened)
    aws.until_ready(firewall, RECORD)
    assert aws.state() == before


def test_what_was_closed_by_hand_is_opened() -> None:
    aws = made()
    before = aws.state()
    rules(aws, NODES).clear()
    aws.until_ready(firewall, RECORD)
    assert aws.state() == before


def test_other_cidrs_are_opened_before_the_former_are_closed() -> None:
    aws = made()
    aws.until_ready(firewall, replace(RECORD, spec=environment(ingress={"allowCidrs": ["198.51.100.0/24"]}).spec))
    assert {each["IpRanges"][0]["CidrIp"] for each in rules(aws, ALB)} == {"198.51.100.0/24"}
    names = [call.split("_", 1)[0] for call in aws.changes()]
    assert names == ["authorize", "authorize", "revoke", "revoke"]


def test_more_rules_than_fit_at_once_are_closed_before_others_are_opened() -> None:
    def allowing(block: int) -> Environment:
        cidrs = [f"10.{block}.{number}.0/24" for number in range(30)]
        return under(environment(ingress={"allowCidrs": cidrs}), OperationKind.UPDATE)

    aws = Aws()
    aws.until_ready(firewall, allowing(1))
    assert len(rules(aws, ALB)) == 60
    aws.forget()
    aws.until_ready(firewall, allowing(2))
    assert [call.split("_", 1)[0] for call in aws.changes()] == ["revoke"] * 60 + ["authorize"] * 60
    assert {each["IpRanges"][0]["CidrIp"].split(".")[1] for each in rules(aws, ALB)} == {"2"}


def test_a_group_of_our_name_that_is_not_ours_is_never_touched() -> None:
    aws = made()
    aws.ec2.state[f"sg-{ALB}"]["Tags"] = [{"Key": naming.OWNER_TAG, "Value": "another"}]
    rules(aws, ALB).clear()
    before = aws.state()
    _, outcome = aws.run(firewall, RECORD)
    assert isinstance(outcome.verdict, Failed)
    assert outcome.verdict.code == "NotOurs"
    assert ALB in outcome.verdict.cause
    assert aws.state() == before


def test_it_goes_after_the_one_that_refers_to_it_and_leaves_a_foreign_one() -> None:
    aws = made()
    aws.until_ready(firewall, LEAVING, removal=True)
    assert aws.ec2.state == {}
    assert isinstance(firewall.condition(ABSENT, Observed({}, {}, foreign=(ALB,))), Ready)
    assert firewall.changes(ABSENT, Observed({}, {}, foreign=(ALB,))) == ()


def test_f35_what_still_uses_a_group_is_named_and_waited_for() -> None:
    aws = made()
    aws.ec2.interfaces.append(f"sg-{ALB}")
    record, outcome = aws.run(firewall, LEAVING, removal=True)
    assert isinstance(outcome.verdict, Waiting)
    assert f"ELB app/x (eni-sg-{ALB})" in outcome.verdict.reason
    aws.ec2.interfaces.clear()
    aws.until_ready(firewall, record, removal=True)
    assert aws.ec2.state == {}


def test_f35_another_groups_rule_that_names_it_is_named_too() -> None:
    aws = made()
    aws.ec2.create_security_group(GroupName="database", VpcId="vpc-1", TagSpecifications=[{"Tags": []}])
    pair = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": f"sg-{NODES}"}]}
    aws.ec2.state["sg-database"]["IpPermissions"].append(pair)
    _, outcome = aws.run(firewall, LEAVING, removal=True)
    assert isinstance(outcome.verdict, Waiting)
    assert "a rule of the security group database (sg-database)" in outcome.verdict.reason
    assert set(aws.ec2.state) == {f"sg-{ALB}", f"sg-{NODES}", "sg-database"}


def test_a_group_that_came_into_use_meanwhile_is_waited_for() -> None:
    aws = made()
    aws.ec2.refuse["delete_security_group"] = "DependencyViolation"
    _, outcome = aws.run(firewall, LEAVING, removal=True)
    assert isinstance(outcome.verdict, Waiting)


def test_f36_a_group_that_is_gone_already_is_fine() -> None:
    aws = made()
    doomed = firewall.changes(ABSENT, firewall.observe(aws.world, LEAVING))
    aws.ec2.state.clear()
    for change in doomed:
        firewall.apply(aws.world, LEAVING, change)
    assert isinstance(aws.run(firewall, LEAVING, removal=True)[1].verdict, Ready)


def test_f6_a_group_that_ec2_does_not_show_yet_is_looked_for_again() -> None:
    aws = Aws()
    aws.ec2.refuse["authorize_security_group_ingress"] = "InvalidGroup.NotFound"
    with pytest.raises(UnavailableError):
        aws.run(firewall, RECORD)
    aws.ec2.refuse.clear()
    aws.until_ready(firewall, RECORD)
    assert aws.ec2.state == made().ec2.state


@pytest.mark.parametrize("removal", [False, True])
def test_killed_anywhere_it_ends_the_same(removal: bool) -> None:  # noqa: FBT001
    kills = survives_every_kill(made if removal else Aws, firewall, LEAVING if removal else RECORD, removal=removal)
    assert kills == (2 if removal else 9)


@pytest.mark.parametrize(
    ("code", "error"), [("UnauthorizedOperation", AccessDeniedError), ("RequestLimitExceeded", ThrottledError)]
)
def test_what_only_waiting_or_a_permission_helps_is_passed_on(code: str, error: type[Exception]) -> None:
    aws = Aws()
    aws.ec2.refuse["create_security_group"] = code
    with pytest.raises(error):
        aws.run(firewall, RECORD)


def test_descriptions_are_what_ec2_takes_whatever_the_labels_say() -> None:
    desired = firewall.desired(environment(labels={"équipe": "tést"}), SITE)
    assert all(group.description.isascii() and len(group.description) <= 255 for group in desired.groups)
    assert desired.tags["équipe"] == "tést"


RULES = st.frozensets(st.sampled_from([Rule(22, 22, "0.0.0.0/0"), *DESIRED.groups[0].ingress, Rule(1, 2, "::/0")]))


@given(st.dictionaries(st.sampled_from([ALB, NODES]), st.tuples(RULES, RULES)))
def test_applied_to_a_model_the_changes_leave_nothing_to_change(found: dict[str, Any]) -> None:
    groups = {name: Group(name, "", *rules) for name, rules in found.items()}
    for change in firewall.changes(DESIRED, Observed(dict(groups), {name: f"sg-{name}" for name in groups})):
        if isinstance(change, firewall.CreateGroup):
            groups[change.group.name] = change.group
        elif isinstance(change, firewall.ChangeRules):
            name = change.group_id.removeprefix("sg-")
            kept = getattr(groups[name], change.direction) - change.close | change.open
            groups[name] = replace(groups[name], **{change.direction: kept})
    after = Observed(groups, {name: f"sg-{name}" for name in groups})
    assert firewall.changes(DESIRED, after) == ()
    assert isinstance(firewall.condition(DESIRED, after), Ready)


def test_not_ours_says_what_to_do() -> None:
    with pytest.raises(NotOursError, match=ALB):
        firewall.changes(DESIRED, Observed({}, {}, foreign=(ALB,)))
