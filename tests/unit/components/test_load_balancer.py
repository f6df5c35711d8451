"""The load balancer: made at once, listening on 443 once the certificate is issued, never without one again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springboard import naming
from springboard.components import load_balancer
from springboard.components.contract import Failed, Ready, Waiting
from springboard.components.load_balancer import Found, Listener, Observed, Rule
from springboard.errors import AccessDeniedError, ThrottledError, UnavailableError
from springboard.record import Condition, OperationKind, Resolved
from tests.unit.components.clients import Aws, locked, survives_every_kill
from tests.unit.components.records import NOW, SITE, UID, environment, under

if TYPE_CHECKING:
    from springboard.components.contract import Outcome
    from springboard.record import Environment

NAME = naming.load_balancer("sb", "shop", UID)
ARN = f"arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/{NAME}/0123456789abcdef"
ISSUED, FORMER = "arn:certificate/issued", "arn:certificate/former"


def addressed(
    *apps: str, certificate: str = ISSUED, settled: bool = True, kind: OperationKind = OperationKind.CREATE, **spec: Any
) -> Environment:
    """The record once security group, target groups and certificate are there; `settled`: it is the hosts' own."""
    listed = [{"name": app, "image": "ghcr.io/acme/shop:1"} for app in apps]
    record = locked(under(environment(apps=listed, **spec), kind))
    names = [naming.target_group("sb", "shop", UID, app.name, app.node_port) for app in record.resolved.apps]
    record = record.with_facts("target_groups", {"groups": {name: f"arn:targetgroup/{name}/1" for name in names}})
    record = record.with_facts("firewall", {"alb": "sg-alb"}).with_facts("certificate", {"arn": certificate})
    condition = Condition("CertificateReady", "True" if settled else "False", "Issued", "", NOW, record.generation)
    return replace(record, conditions={"CertificateReady": condition})


SHOP, BOTH = addressed("shop"), addressed("shop", "cart")
UNPROVEN = addressed("shop", certificate="", settled=False)
LEAVING = addressed("shop", kind=OperationKind.DELETE)


def active(aws: Aws, state: str = "active") -> None:
    aws.elb.state[ARN]["State"] = {"Code": state, "Reason": "no free addresses"}


def made(record: Environment = BOTH) -> Aws:
    aws = Aws()
    present, _ = aws.run(load_balancer, record)
    active(aws)
    aws.until_ready(load_balancer, present)
    aws.forget()
    return aws


def listener(aws: Aws, port: int) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in aws.elb.state.values() if each.get("Port") == port)
    return found


def rules(aws: Aws) -> dict[int, tuple[str, list[str], str]]:
    """Priority → host, paths, and the name of the target group or the status."""
    found = {}
    for arn, rule in aws.elb.state.items():
        if ":listener-rule/" in arn:
            host, *paths = rule["Conditions"]
            action = rule["Actions"][0]
            to = action.get("TargetGroupArn", "").split("/")[1:2] or [action["FixedResponseConfig"]["StatusCode"]]
            values = [value for path in paths for value in path["PathPatternConfig"]["Values"]]
            found[rule["Priority"]] = (host["HostHeaderConfig"]["Values"][0], values, to[0])
    return found


def waiting(outcome: Outcome) -> str:
    assert isinstance(outcome.verdict, Waiting), outcome.verdict
    return f"{outcome.verdict.on}: {outcome.verdict.reason}"


# From nothing


def test_http_is_redirected_and_https_forwards_by_host_and_hides_the_actuator() -> None:
    aws = made()
    balancer = aws.elb.state[ARN]
    assert (balancer["Scheme"], balancer["Subnets"]) == ("internet-facing", list(SITE.public_subnet_ids))
    assert balancer["Attributes"]["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert listener(aws, 80)["DefaultActions"][0]["RedirectConfig"]["Protocol"] == "HTTPS"
    assert listener(aws, 443)["Certificates"] == [{"CertificateArn": ISSUED}]
    assert listener(aws, 443)["DefaultActions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
    hidden = ["/actuator", "/actuator/*"]
    assert rules(aws) == {
        1: ("shop.example.com", hidden, "404"),
        2: ("shop.example.com", [], naming.target_group("sb", "shop", UID, "shop", 30000)),
        3: ("cart.example.com", hidden, "404"),
        4: ("cart.example.com", [], naming.target_group("sb", "shop", UID, "cart", 30001)),
    }


def test_what_was_just_made_is_not_looked_up_and_the_next_look_sees_the_same() -> None:
    aws = Aws()
    record, _ = aws.run(load_balancer, UNPROVEN)
    assert aws.elb.calls == [
        "describe_load_balancers",
        "create_load_balancer",
        "modify_load_balancer_attributes",
        "create_listener",
    ]
    told = record.facts["load_balancer"]
    desired = load_balancer.desired(UNPROVEN, SITE)
    seen = load_balancer.observe(aws.world, UNPROVEN)
    assert (told, load_balancer.changes(desired, seen)) == (load_balancer.learned(seen), ())


def test_one_that_was_there_after_all_is_not_told_as_made() -> None:
    """A description was stale: what has the name is looked at, and whose it is, before anything of it is changed."""
    aws = Aws()
    [create] = load_balancer.changes(load_balancer.desired(UNPROVEN, SITE), Observed())
    assert load_balancer.apply(aws.world, UNPROVEN, create) is not None
    aws.forget()
    assert load_balancer.apply(aws.world, UNPROVEN, create) is None
    assert aws.elb.calls == ["create_load_balancer"]


def test_an_internal_one_stands_in_private_subnets() -> None:
    aws = made(addressed("shop", ingress={"scheme": "internal"}))
    assert aws.elb.state[ARN]["Scheme"] == "internal"
    assert aws.elb.state[ARN]["Subnets"] == list(SITE.private_subnet_ids)


def test_dns_and_alarms_are_told_where_it_is() -> None:
    record, _ = made().run(load_balancer, BOTH)
    facts = record.facts["load_balancer"]
    assert (facts["arn"], facts["zoneId"]) == (ARN, "Z32O12XQLNTSW2")
    assert facts["dnsName"].startswith(NAME)


def test_it_waits_for_its_security_group_without_making_anything() -> None:
    aws = Aws()
    _, outcome = aws.run(load_balancer, SHOP.with_facts("firewall", {}))
    assert waiting(outcome).startswith("firewall")
    assert aws.changes() == []


def test_a_rule_waits_for_its_target_group() -> None:
    aws = Aws()
    record, _ = aws.run(load_balancer, SHOP.with_facts("target_groups", {}))
    for _ in range(3):
        record, outcome = aws.run(load_balancer, record)
    assert waiting(outcome).startswith("listeners: rule 2 for shop.example.com")
    assert set(rules(aws)) == {1}


# Its certificate


def test_it_is_made_before_the_certificate_and_then_waits_without_a_further_call() -> None:
    aws = Aws()
    record, _ = aws.run(load_balancer, UNPROVEN)
    active(aws)
    record, outcome = aws.run(load_balancer, record)
    assert waiting(outcome) == "certificate: 443 is opened once the certificate is issued"
    assert record.facts["load_balancer"]["dnsName"]
    aws.forget()
    for _ in range(3):
        record, outcome = aws.run(load_balancer, record)
        assert waiting(outcome).startswith("certificate")
    assert aws.elb.calls == []
    record = replace(record, conditions=SHOP.conditions).with_facts("certificate", {"arn": ISSUED})
    aws.until_ready(load_balancer, record)
    assert listener(aws, 443)["Certificates"] == [{"CertificateArn": ISSUED}]


def test_another_operation_looks_again() -> None:
    aws = Aws()
    record, _ = aws.run(load_balancer, UNPROVEN)
    record, _ = aws.run(load_balancer, record)
    aws.forget()
    aws.run(load_balancer, locked(record, "op2"))
    assert "describe_load_balancers" in aws.elb.calls


def test_while_changed_hosts_are_not_proven_443_serves_as_before_and_it_is_not_done() -> None:
    aws = made(SHOP)
    listener(aws, 443)["Certificates"] = [{"CertificateArn": FORMER}]
    pending = addressed("shop", "cart", certificate=FORMER, settled=False, kind=OperationKind.UPDATE)
    for _ in range(2):
        pending, outcome = aws.run(load_balancer, pending)
    assert waiting(outcome).startswith("certificate: 443 serves with the former certificate")
    assert listener(aws, 443)["Certificates"] == [{"CertificateArn": FORMER}]
    assert set(rules(aws)) == {1, 2, 3, 4}
    aws.until_ready(load_balancer, addressed("shop", "cart", kind=OperationKind.UPDATE))
    assert listener(aws, 443)["Certificates"] == [{"CertificateArn": ISSUED}]


def test_443_stays_as_it_is_while_no_certificate_is_known() -> None:
    aws = made(SHOP)
    before = aws.state()
    _, outcome = aws.run(load_balancer, addressed("shop", certificate="", settled=False))
    assert waiting(outcome).startswith("certificate")
    assert aws.state() == before


# Changes and drift


def test_an_application_that_comes_or_goes_brings_or_takes_its_rules() -> None:
    aws = made(BOTH)
    aws.until_ready(load_balancer, SHOP)
    assert set(rules(aws)) == {1, 2}
    aws.until_ready(load_balancer, BOTH)
    assert set(rules(aws)) == {1, 2, 3, 4}


def test_another_host_changes_the_rules_in_place() -> None:
    aws = made(SHOP)
    renamed = replace(SHOP.resolved.apps[0], host="store.example.com")
    moved = replace(SHOP, resolved=replace(SHOP.resolved, apps=(renamed,)))
    aws.forget()
    aws.until_ready(load_balancer, moved)
    assert {host for host, _, _ in rules(aws).values()} == {"store.example.com"}
    assert aws.changes() == ["modify_rule", "modify_rule"]


@pytest.mark.parametrize(
    ("port", "drift"),
    [
        (80, {"DefaultActions": [{"Type": "forward", "TargetGroupArn": "arn:theirs"}]}),
        (443, {"DefaultActions": [{"Type": "forward", "TargetGroupArn": "arn:theirs"}]}),
        (443, {"SslPolicy": "ELBSecurityPolicy-2016-08"}),
        (443, {"Certificates": [{"CertificateArn": "arn:theirs"}]}),
    ],
)
def test_a_listener_that_was_changed_by_hand_is_mended(port: int, drift: dict[str, Any]) -> None:
    aws = made()
    before = aws.state()
    listener(aws, port).update(drift)
    aws.until_ready(load_balancer, BOTH)
    assert aws.state() == before


@pytest.mark.parametrize("port", [80, 443])
def test_a_listener_that_was_deleted_by_hand_is_made_again(port: int) -> None:
    aws = made()
    before = aws.state()
    gone = listener(aws, port)["ListenerArn"]
    for arn in [arn for arn, each in aws.elb.state.items() if each.get("ListenerArn") == gone]:
        del aws.elb.state[arn]
    aws.until_ready(load_balancer, BOTH)
    assert aws.state() == before


def test_attributes_and_security_group_are_mended() -> None:
    aws = made()
    before = aws.state()
    aws.elb.state[ARN]["Attributes"]["idle_timeout.timeout_seconds"] = "4000"
    aws.elb.state[ARN]["SecurityGroups"] = ["sg-theirs", "sg-alb"]
    aws.until_ready(load_balancer, BOTH)
    assert aws.state() == before


def test_the_order_of_paths_is_no_difference() -> None:
    aws = made()
    for rule in aws.elb.state.values():
        for condition in rule.get("Conditions", ()):
            condition.get("PathPatternConfig", {"Values": []})["Values"].reverse()
    aws.until_ready(load_balancer, BOTH)
    assert aws.changes() == []


def test_one_of_our_name_that_is_not_ours_is_never_touched() -> None:
    aws = made()
    aws.elb.state[ARN] |= {"Tags": [], "SecurityGroups": ["sg-theirs"]}
    before = aws.state()
    _, outcome = aws.run(load_balancer, BOTH)
    assert isinstance(outcome.verdict, Failed)
    assert (outcome.verdict.code, ARN in outcome.verdict.cause) == ("NotOurs", True)
    aws.until_ready(load_balancer, LEAVING, removal=True)
    assert aws.state() == before


def test_f28_one_that_failed_is_told_and_made_again_by_a_retry_once() -> None:
    aws = Aws()
    record, _ = aws.run(load_balancer, SHOP)
    active(aws, "failed")
    record, outcome = aws.run(load_balancer, record)
    assert isinstance(outcome.verdict, Failed)
    assert "no free addresses" in outcome.verdict.cause
    assert "springboard retry" in outcome.verdict.remedy
    again = replace(addressed("shop", kind=OperationKind.RETRY), facts=record.facts)
    again, outcome = aws.run(load_balancer, locked(again, "op2"))
    assert waiting(outcome)
    again, _ = aws.run(load_balancer, again)
    active(aws, "failed")
    again, outcome = aws.run(load_balancer, again)
    assert isinstance(outcome.verdict, Failed)
    assert ARN in aws.elb.state
    aws.until_ready(load_balancer, replace(LEAVING, facts=again.facts), removal=True)
    assert aws.elb.state == {}


# Removal


def test_listeners_and_rules_go_with_it() -> None:
    aws = made()
    aws.until_ready(load_balancer, LEAVING, removal=True)
    assert aws.elb.state == {}


def test_one_that_only_waited_for_its_certificate_is_looked_for_at_removal() -> None:
    aws = Aws()
    record, _ = aws.run(load_balancer, UNPROVEN)
    record, _ = aws.run(load_balancer, record)
    aws.until_ready(load_balancer, replace(LEAVING, facts=record.facts), removal=True)
    assert aws.elb.state == {}


def test_nothing_is_left_to_remove_where_creation_never_came_so_far() -> None:
    aws = Aws()
    _, outcome = aws.run(load_balancer, under(environment(), OperationKind.DELETE), removal=True)
    assert isinstance(outcome.verdict, Ready)
    assert aws.changes() == []


# Faults


@pytest.mark.parametrize("removal", [False, True])
def test_killed_anywhere_it_ends_the_same(removal: bool) -> None:  # noqa: FBT001
    class Prompt(Aws):
        """Load balancers are active at once."""

        def run(self, *args: Any, **options: Any) -> Any:
            answer = super().run(*args, **options)
            if ARN in self.elb.state:
                active(self)
            return answer

    record = LEAVING if removal else BOTH
    assert survives_every_kill(made if removal else Prompt, load_balancer, record, removal=removal) == (
        1 if removal else 8
    )


@pytest.mark.parametrize(("code", "error"), [("AccessDenied", AccessDeniedError), ("Throttling", ThrottledError)])
def test_what_only_waiting_or_a_permission_helps_is_passed_on(code: str, error: type[Exception]) -> None:
    aws = Aws()
    aws.elb.refuse["create_load_balancer"] = code
    with pytest.raises(error):
        aws.run(load_balancer, SHOP)


@given(st.sets(st.integers(30000, 30085), min_size=1, max_size=60))
def test_rules_of_any_node_ports_have_priorities_of_their_own_that_elb_takes(ports: set[int]) -> None:
    first = SHOP.resolved.apps[0]
    apps = tuple(replace(first, node_port=port) for port in ports)
    resolved = replace(SHOP.resolved, apps=apps)
    assert isinstance(resolved, Resolved)
    desired = load_balancer.desired(replace(SHOP, resolved=resolved), SITE)
    priorities = [priority for rule in desired.rules for priority in (rule.first, rule.first + 1)]
    assert len(set(priorities)) == 2 * len(ports)
    assert all(1 <= priority <= 50000 for priority in priorities)


RULES = st.builds(
    Rule,
    st.just("arn:rule"),
    st.integers(1, 6),
    st.sampled_from([("shop.example.com",), ("former.example.com",)]),
    st.sampled_from([(), ("/actuator", "/actuator/*")]),
    st.sampled_from(["404", "arn:targetgroup/other/1"]),
)


@given(st.lists(RULES, unique_by=lambda rule: rule.priority))
def test_applied_to_a_model_the_changes_leave_nothing_to_change(present: list[Rule]) -> None:
    desired = load_balancer.desired(BOTH, SITE)

    def seen(model: dict[int, Rule]) -> Observed:
        plain = Listener("arn:80", 80, (), "", "redirect", ())
        policy = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
        secure = Listener("arn:443", 443, (ISSUED,), policy, "fixed-response", tuple(model.values()))
        found = Found(
            ARN, "dns", "Z", "active", "", "internet-facing", ("sg-alb",), desired.attributes, {80: plain, 443: secure}
        )
        return Observed(found)

    model = {rule.priority: replace(rule, arn=f"arn:rule/{rule.priority}") for rule in present}
    for change in load_balancer.changes(desired, seen(dict(model))):
        if isinstance(change, load_balancer.PutRule):
            model[change.rule.priority] = change.rule
        elif isinstance(change, load_balancer.DeleteRule):
            del model[int(change.arn.rpartition("/")[2])]
    assert load_balancer.changes(desired, seen(model)) == ()
    assert isinstance(load_balancer.condition(desired, seen(model)), Ready)


def test_f6_a_certificate_that_elb_has_not_heard_of_yet_is_waited_for() -> None:
    aws = Aws()
    record, _ = aws.run(load_balancer, SHOP)
    active(aws)
    aws.elb.refuse["create_listener"] = "CertificateNotFound"
    with pytest.raises(UnavailableError):
        aws.run(load_balancer, record)
    aws.elb.refuse.clear()
    aws.until_ready(load_balancer, record)
    aws.elb.refuse["modify_listener"] = "CertificateNotFound"
    with pytest.raises(UnavailableError):
        aws.run(load_balancer, record.with_facts("certificate", {"arn": FORMER}))


@pytest.mark.parametrize("removal", [False, True])
def test_f6_one_whose_tags_do_not_show_yet_is_nobody_else_s(*, removal: bool) -> None:
    """The step that made it was killed, and what the record does not know is asked for its tags."""
    aws = made(SHOP)
    aws.elb.refuse["describe_tags"] = "LoadBalancerNotFound"
    with pytest.raises(UnavailableError, match="does not show the tags"):
        aws.run(load_balancer, LEAVING if removal else SHOP, removal=removal)
