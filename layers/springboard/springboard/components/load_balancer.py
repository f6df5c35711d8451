"""The application load balancer: ours, not an in-cluster controller's.

It is made while the control plane boots, goes even if the cluster is dead, and leaves no orphan. Port 80
redirects to 443; 443 forwards by host and keeps the actuator away from the outside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from springboard import naming
from springboard.components.contract import (
    Absent,
    Action,
    Change,
    Effect,
    Failed,
    Observation,
    Ready,
    Verdict,
    Waiting,
)
from springboard.errors import NotOursError, UnavailableError
from springboard.record import OperationKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

_TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
_NOT_FOUND = {
    "Type": "fixed-response",
    "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "Not Found"},
}
_TO_HTTPS = {
    "Type": "redirect",
    "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
}

# The certificate is looked at in the same loop, right before the load balancer, and sets its pace.
_CERTIFICATE_POLL = 600  # seconds
_WITHOUT_CERTIFICATE = Waiting("certificate", "443 is opened once the certificate is issued", _CERTIFICATE_POLL)
_FORMER_CERTIFICATE = Waiting(
    "certificate", "443 serves with the former certificate until the new one is issued", _CERTIFICATE_POLL
)


@dataclass(frozen=True)
class HostRule:
    """What 443 does with one host: priority `first` hides the actuator, the next one forwards."""

    host: str
    actuator_path: str
    target_group_arn: str
    first: int


@dataclass(frozen=True)
class Desired:
    """The load balancer that should be. Target groups and certificate are known once their components ran."""

    name: str
    scheme: str
    subnet_ids: tuple[str, ...]
    security_group_id: str
    attributes: Mapping[str, str]
    certificate_arn: str
    rules: tuple[HostRule, ...]
    tags: Mapping[str, str]
    settled: bool  # the certificate is the one of this generation's hosts, not a former one


@dataclass(frozen=True)
class Rule:
    """A listener rule that is: priority, hosts, paths, and what it does."""

    arn: str
    priority: int
    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    target: str  # a target group's ARN, or "404"


@dataclass(frozen=True)
class Listener:
    """A listener that is."""

    arn: str
    port: int
    certificate_arns: tuple[str, ...]
    policy: str
    action: str  # type of the default action: all that no rule is for
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Found:
    """The load balancer that is."""

    arn: str
    dns_name: str
    zone_id: str
    state: str
    reason: str
    scheme: str
    security_group_ids: tuple[str, ...]
    attributes: Mapping[str, str]
    listeners: Mapping[int, Listener]


@dataclass(frozen=True)
class Observed(Observation):
    """What there is under the environment's name; `kept`: facts of one that waits for its certificate alone."""

    found: Found | None = None
    foreign: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict)
    operation: str = ""  # that looks
    failed: str = ""  # the operation that saw it fail
    retrying: bool = False


@dataclass(frozen=True, kw_only=True)
class CreateLoadBalancer(Change):
    """CreateLoadBalancer."""

    desired: Desired


@dataclass(frozen=True, kw_only=True)
class SetAttributes(Change):
    """ModifyLoadBalancerAttributes."""

    arn: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class SetSecurityGroup(Change):
    """SetSecurityGroups."""

    arn: str
    group_id: str


@dataclass(frozen=True, kw_only=True)
class PutListener(Change):
    """CreateListener, then its rules, or, with `listener_arn`, ModifyListener."""

    load_balancer_arn: str
    port: int
    certificate_arn: str = ""
    listener_arn: str = ""
    rules: tuple[Rule, ...] = ()  # that go with a new one
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class PutRule(Change):
    """CreateRule or, with `rule_arn`, ModifyRule."""

    listener_arn: str
    rule: Rule
    rule_arn: str = ""
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class DeleteRule(Change):
    """DeleteRule."""

    arn: str


@dataclass(frozen=True, kw_only=True)
class DeleteLoadBalancer(Change):
    """DeleteLoadBalancer, its listeners and rules with it."""

    arn: str


def desired(environment: Environment, site: Site) -> Desired:
    """Public subnets for an internet-facing one, private ones for an internal one."""
    ingress = environment.spec.ingress
    groups = environment.facts.get("target_groups", {}).get("groups", {})
    attributes = {
        "idle_timeout.timeout_seconds": str(ingress.idle_timeout_seconds),
        "routing.http.drop_invalid_header_fields.enabled": "true",
        "access_logs.s3.enabled": "true" if ingress.access_logs and site.access_logs_bucket else "false",
    }
    if ingress.access_logs and site.access_logs_bucket:
        attributes["access_logs.s3.bucket"] = site.access_logs_bucket
        attributes["access_logs.s3.prefix"] = environment.name
    paths = {app.name or environment.name: app.spring.actuator_path for app in environment.spec.apps}
    rules = tuple(
        HostRule(
            app.host,
            paths[app.name],
            groups.get(
                naming.target_group(site.prefix, environment.name, environment.uid, app.name, app.node_port), ""
            ),
            # The NodePort is stable across updates, and so is the priority.
            (app.node_port - 30000) * 2 + 1,
        )
        for app in environment.resolved.apps
    )
    return Desired(
        name=naming.load_balancer(site.prefix, environment.name, environment.uid),
        scheme=ingress.scheme,
        subnet_ids=site.public_subnet_ids if ingress.scheme == "internet-facing" else site.private_subnet_ids,
        security_group_id=environment.facts.get("firewall", {}).get("alb", ""),
        attributes=attributes,
        certificate_arn=_certificate(environment),
        rules=rules,
        tags={**environment.labels, **naming.owner_tags(site.stack_name, environment.name, environment.uid)},
        settled=_settled(environment),
    )


def changes(desired: Desired | Absent, observed: Observed) -> Sequence[Change]:
    """The load balancer, then its listeners, then the rules of 443."""
    if isinstance(desired, Absent):
        return tuple(_removal(observed))
    if observed.foreign:
        raise NotOursError(
            f"the load balancer {desired.name} exists ({observed.foreign}) and was not made for this environment",
            "delete it if nobody needs it",
        )
    if observed.kept:
        return ()
    if observed.found is None:
        ready = bool(desired.security_group_id)
        return (
            CreateLoadBalancer(
                Action.CREATE, f"load balancer {desired.name}", "it does not exist", possible=ready, desired=desired
            ),
        )
    if observed.found.state == "failed":
        return tuple(_replacement(desired, observed, observed.found))
    return (*_settings(desired, observed.found), *_listeners(desired, observed.found))


def _replacement(desired: Desired, observed: Observed, found: Found) -> Iterator[Change]:
    """One that ELB could not set up stays as it is: a retry makes another, once."""
    if observed.retrying and observed.failed not in {"", observed.operation}:
        yield DeleteLoadBalancer(
            Action.DELETE,
            f"load balancer {desired.name}",
            "it failed; another one is made",
            Effect.REPLACES,
            arn=found.arn,
        )


def _settings(desired: Desired, found: Found) -> Iterator[Change]:
    resource = f"load balancer {desired.name}"
    differing = {key: value for key, value in desired.attributes.items() if found.attributes.get(key) != value}
    if differing:
        told = ", ".join(f"{key} should be {value}" for key, value in sorted(differing.items()))
        yield SetAttributes(Action.UPDATE, resource, told, arn=found.arn, attributes=differing)
    if desired.security_group_id and found.security_group_ids != (desired.security_group_id,):
        yield SetSecurityGroup(
            Action.UPDATE,
            resource,
            f"its security group should be {desired.security_group_id}",
            arn=found.arn,
            group_id=desired.security_group_id,
        )


def _listeners(desired: Desired, found: Found) -> Iterator[Change]:
    plain, secure = found.listeners.get(80), found.listeners.get(443)
    if plain is None or plain.action != "redirect":
        yield _listener(desired, found, 80, plain, "HTTP should be redirected to HTTPS")
    if desired.certificate_arn and not (secure and _serves(secure, desired.certificate_arn)):
        yield _listener(desired, found, 443, secure, "HTTPS should be served with the environment's certificate")
    if secure is not None:
        yield from _rules(desired, secure)


def _serves(secure: Listener, certificate_arn: str) -> bool:
    known = (secure.certificate_arns, secure.policy, secure.action)
    return known == ((certificate_arn,), _TLS_POLICY, _NOT_FOUND["Type"])


def _listener(desired: Desired, found: Found, port: int, present: Listener | None, reason: str) -> PutListener:
    return PutListener(
        Action.UPDATE if present else Action.CREATE,
        f"listener {port} of {desired.name}",
        reason,
        load_balancer_arn=found.arn,
        port=port,
        certificate_arn=desired.certificate_arn if port == 443 else "",
        listener_arn=present.arn if present else "",
        rules=tuple(rule for rule in _wanted(desired) if rule.target) if port == 443 and not present else (),
        tags=desired.tags,
    )


def _wanted(desired: Desired) -> Iterator[Rule]:
    for host in desired.rules:
        yield from _rules_of(host)


def _rules(desired: Desired, listener: Listener) -> Iterator[Change]:
    wanted = {rule.priority: rule for rule in _wanted(desired)}
    present = {rule.priority: rule for rule in listener.rules}
    for priority in sorted(set(present) - set(wanted)):
        yield DeleteRule(
            Action.DELETE,
            f"rule {priority} for {', '.join(present[priority].hosts)}",
            "no application asks for it",
            arn=present[priority].arn,
        )
    for priority, rule in sorted(wanted.items()):
        there = present.get(priority)
        if there is None or (there.hosts, there.paths, there.target) != (rule.hosts, rule.paths, rule.target):
            yield PutRule(
                Action.UPDATE if there else Action.CREATE,
                f"rule {priority} for {', '.join(rule.hosts)}{' '.join(('', *rule.paths))}",
                f"{rule.hosts[0]} should answer 404"
                if rule.target == "404"
                else f"{rule.hosts[0]} should be forwarded",
                possible=bool(rule.target),
                listener_arn=listener.arn,
                rule=rule,
                rule_arn=there.arn if there else "",
                tags=desired.tags,
            )


def _rules_of(host: HostRule) -> tuple[Rule, Rule]:
    hidden = (host.actuator_path, f"{host.actuator_path}/*")
    return (
        Rule("", host.first, (host.host,), hidden, "404"),
        Rule("", host.first + 1, (host.host,), (), host.target_group_arn),
    )


def _removal(observed: Observed) -> Iterator[Change]:
    if observed.found is not None:
        yield DeleteLoadBalancer(
            Action.DELETE,
            f"load balancer {observed.found.arn.split('/')[-2]}",
            "the environment goes away",
            Effect.DISRUPTS,
            arn=observed.found.arn,
        )


def condition(desired: Desired | Absent, observed: Observed) -> Verdict:
    """Ready when active with both listeners and every rule."""
    if isinstance(desired, Absent):
        return Waiting("load balancer", "it is being deleted", after=10) if observed.found else Ready()
    if observed.kept:
        return _WITHOUT_CERTIFICATE
    if observed.found is None:
        on = "load balancer" if desired.security_group_id else "firewall"
        return Waiting(on, f"{on} is not there yet", after=10)
    return _standing(desired, observed, observed.found)


def _standing(desired: Desired, observed: Observed, found: Found) -> Verdict:
    if found.state == "failed":
        return Failed(
            f"ELB says that the load balancer failed: {found.reason}",
            "check that its subnets have an internet gateway and at least 8 free addresses each, then"
            " `springboard retry`",
        )
    if not desired.certificate_arn:
        return _WITHOUT_CERTIFICATE
    left = changes(desired, observed)
    if left:
        return Waiting("listeners", f"{left[0].resource}: {left[0].reason}", after=5)
    if not desired.settled:
        return _FORMER_CERTIFICATE
    if found.state not in {"active", "active_impaired"}:
        return Waiting("load balancer", f"ELB says that it is {found.state}", aimed=found.state == "provisioning")
    return Ready("Active", found.dns_name)


def observe(world: World, environment: Environment) -> Observed:
    """Four calls for one that is known: itself, attributes, listeners, rules; none while a certificate lacks.

    None either for one that was made a moment ago: ELB and we have said all that there is. Tags are asked for until
    it was seen to be ours: an ARN is never given twice.
    """
    facts = environment.facts.get("load_balancer", {})
    if facts.get("waitsForCertificate") == _running(environment) != "" and not _certificate(environment):
        return Observed(kept=facts)
    if "made" in facts:
        return Observed(_made(facts["made"]), operation=_running(environment))
    name = naming.load_balancer(world.site.prefix, environment.name, environment.uid)
    described = world.elb.load_balancer(name)
    if described is None:
        return Observed()
    arn = described["LoadBalancerArn"]
    if facts.get("arn") != arn and not _is_ours(world, environment, arn):
        return Observed(foreign=arn)
    listeners = [_found_listener(world, each) for each in world.elb.listeners(arn)]
    return Observed(
        _found(described, world.elb.load_balancer_attributes(arn), listeners),
        operation=_running(environment),
        failed=facts.get("failed", ""),
        retrying=environment.under(OperationKind.RETRY),
    )


def apply(world: World, environment: Environment, change: Change) -> Mapping[str, Any] | None:  # noqa: ARG001 - the components' signature
    """One act on the load balancer, a listener or a rule; answers what was made, for the look right after."""
    match change:
        case CreateLoadBalancer():
            return _create(world, change.desired)
        case SetAttributes():
            _set_attributes(world, change.arn, change.attributes)
        case SetSecurityGroup():
            world.elb.call("set_security_groups", LoadBalancerArn=change.arn, SecurityGroups=[change.group_id])
        case PutListener():
            _put_listener(world, change)
        case PutRule():
            _put_rule(world, change.listener_arn, change.rule, change.tags, change.rule_arn)
        case DeleteRule():
            world.elb.find("delete_rule", RuleArn=change.arn)
        case DeleteLoadBalancer():
            world.elb.find("delete_load_balancer", LoadBalancerArn=change.arn)
        case _:
            raise TypeError(f"not a change of the load balancer: {change!r}")
    return None


def learned(observed: Observed) -> Mapping[str, Any]:
    """What DNS and alarms need; and, between two looks of an operation, that nothing but the certificate lacks."""
    found = observed.found
    if found is None:
        return observed.kept
    return {
        "arn": found.arn,
        "dnsName": found.dns_name,
        "zoneId": found.zone_id,
        "waitsForCertificate": observed.operation if set(found.listeners) == {80} else "",
        **({"failed": observed.operation} if found.state == "failed" else {}),
    }


def _is_ours(world: World, environment: Environment, arn: str) -> bool:
    """By its tags; UnavailableError where ELB has none of it yet, so that ours does not pass for somebody else's."""
    tags = world.elb.tags([arn])
    if arn not in tags:
        raise UnavailableError(f"ELB does not show the tags of {arn} yet")
    return tags[arn].get(naming.OWNER_TAG) == environment.uid


def _running(environment: Environment) -> str:
    """The operation that may count on what it saw itself; "" for none, and for a deletion."""
    deleting = environment.under(OperationKind.DELETE)
    return environment.lock.operation if environment.lock and not deleting else ""


def _settled(environment: Environment) -> bool:
    """Whether the known certificate is this generation's: one of former hosts may serve until then."""
    return environment.holds("CertificateReady", current=True)


def _certificate(environment: Environment) -> str:
    return str(environment.facts.get("certificate", {}).get("arn", ""))


def _create(world: World, desired: Desired) -> Mapping[str, Any] | None:
    """The load balancer with its settings and first listener; None where one of that name was there after all.

    That one is left alone until the next look has seen whose it is.
    """
    described = world.elb.create_load_balancer(
        desired.name,
        dict(desired.tags),
        Scheme=desired.scheme,
        Subnets=list(desired.subnet_ids),
        SecurityGroups=[desired.security_group_id],
        Type="application",
        IpAddressType="ipv4",
    )
    if described is None:
        return None
    arn = described["LoadBalancerArn"]
    _set_attributes(world, arn, desired.attributes)
    # At once, so that one look sees both; where this is cut short, the next look finds what lacks.
    plain = PutListener(Action.CREATE, "", "", load_balancer_arn=arn, port=80, tags=desired.tags)
    listener = _put_listener(world, plain)
    if not listener:
        return None
    return {"made": {"described": described, "attributes": desired.attributes, "listener": listener}}


def _made(told: Mapping[str, Any]) -> Found:
    """What `_create` told, as a look would see it."""
    request = {"ListenerArn": told["listener"], "Port": 80, "DefaultActions": [_TO_HTTPS]}
    return _found(told["described"], told["attributes"], [_listener_of(request, ())])


def _found(described: Mapping[str, Any], attributes: Mapping[str, str], listeners: Sequence[Listener]) -> Found:
    return Found(
        arn=described["LoadBalancerArn"],
        dns_name=described["DNSName"],
        zone_id=described["CanonicalHostedZoneId"],
        state=described["State"]["Code"],
        reason=described["State"].get("Reason", ""),
        scheme=described["Scheme"],
        security_group_ids=tuple(described.get("SecurityGroups", ())),
        attributes=attributes,
        listeners={listener.port: listener for listener in listeners},
    )


def _put_listener(world: World, change: PutListener) -> str:
    """The listener's ARN; "" where one was made meanwhile."""
    arn = world.elb.put_listener(
        change.load_balancer_arn, change.listener_arn, _listener_request(change), dict(change.tags)
    )
    for rule in change.rules if arn else ():
        _put_rule(world, arn, rule, change.tags)
    return arn


def _put_rule(world: World, listener_arn: str, rule: Rule, tags: Mapping[str, str], rule_arn: str = "") -> None:
    world.elb.put_rule(listener_arn, rule_arn, rule.priority, _rule_request(rule), dict(tags))


def _set_attributes(world: World, arn: str, wanted: Mapping[str, str]) -> None:
    listed = [{"Key": key, "Value": value} for key, value in sorted(wanted.items())]
    world.elb.call("modify_load_balancer_attributes", LoadBalancerArn=arn, Attributes=listed)


def _listener_request(change: PutListener) -> dict[str, Any]:
    if change.port == 80:
        return {"Protocol": "HTTP", "Port": 80, "DefaultActions": [_TO_HTTPS]}
    return {
        "Protocol": "HTTPS",
        "Port": 443,
        "SslPolicy": _TLS_POLICY,
        "Certificates": [{"CertificateArn": change.certificate_arn}],
        "DefaultActions": [_NOT_FOUND],
    }


def _rule_request(rule: Rule) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = [{"Field": "host-header", "HostHeaderConfig": {"Values": list(rule.hosts)}}]
    if rule.paths:
        conditions.append({"Field": "path-pattern", "PathPatternConfig": {"Values": list(rule.paths)}})
    forward = {"Type": "forward", "TargetGroupArn": rule.target}
    return {"Conditions": conditions, "Actions": [_NOT_FOUND if rule.target == "404" else forward]}


def _found_listener(world: World, listener: Mapping[str, Any]) -> Listener:
    secure = int(listener["Port"]) == 443
    return _listener_of(listener, world.elb.rules(listener["ListenerArn"]) if secure else ())


def _listener_of(listener: Mapping[str, Any], rules: Iterable[Mapping[str, Any]]) -> Listener:
    return Listener(
        arn=listener["ListenerArn"],
        port=int(listener["Port"]),
        certificate_arns=tuple(each["CertificateArn"] for each in listener.get("Certificates", ())),
        policy=listener.get("SslPolicy", ""),
        action=listener["DefaultActions"][0]["Type"] if listener.get("DefaultActions") else "",
        rules=tuple(_found_rule(rule) for rule in rules),
    )


def _found_rule(rule: Mapping[str, Any]) -> Rule:
    values: dict[str, tuple[str, ...]] = {}
    for each in rule.get("Conditions", ()):
        config = each.get("HostHeaderConfig") or each.get("PathPatternConfig") or {}
        values[each["Field"]] = tuple(config.get("Values") or each.get("Values") or ())
    action = rule["Actions"][0]
    return Rule(
        arn=rule["RuleArn"],
        priority=int(rule["Priority"]),
        hosts=values.get("host-header", ()),
        paths=tuple(sorted(values.get("path-pattern", ()))),
        target="404" if action["Type"] == "fixed-response" else _target(action),
    )


def _target(action: Mapping[str, Any]) -> str:
    groups = action.get("ForwardConfig", {}).get("TargetGroups") or [{}]
    return str(action.get("TargetGroupArn") or groups[0].get("TargetGroupArn", ""))
