"""Elastic Load Balancing v2, mended over moto.

Load balancers take their time to become active, own network interfaces that outlive them by minutes,
refuse certificates that are not issued, and report target health as their probes would find it
(`target_health.py`). Each active one gets a loopback listener (`ingress.py`).
"""

from __future__ import annotations

import copy
import re
import threading
from typing import TYPE_CHECKING, Any, ClassVar

from moto.core import errors as moto_errors
from moto.ec2.exceptions import InvalidSubnetIdError
from moto.elbv2 import models as moto_elbv2
from moto.elbv2.exceptions import (
    DuplicateListenerError,
    DuplicateLoadBalancerName,
    DuplicateTargetGroupName,
    ELBClientError,
    ListenerNotFoundError,
    LoadBalancerNotFoundError,
    RuleNotFoundError,
    TargetGroupNotFoundError,
)
from moto.elbv2.ssl_policies import SSL_POLICIES
from moto.moto_api._internal import mock_random

from springboard_local.clock import iso
from springboard_local.services import ingress, metrics
from springboard_local.services.mending import Mending
from springboard_local.services.target_health import Registration, TargetHealth, suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from springboard_local.cloud import Cloud

_LOCK = threading.RLock()
_mending = Mending()

# Where Route 53 aliases point: one zone per region, for application and network load balancers.
CANONICAL_ZONES = {
    "us-east-1": ("Z35SXDOTRQ7X7K", "Z26RNL4JYFTOTI"),
    "us-east-2": ("Z3AADJGX6KTTL2", "ZLMOA37VPKANP"),
    "us-west-2": ("Z1H1FL5HABSF5", "Z18D5FSROUN65G"),
    "eu-west-1": ("Z32O12XQLNTSW2", "Z2IFOLAFXWLO4F"),
    "eu-central-1": ("Z215JYRZR1TBD5", "Z3F0SRJ5LGBH90"),
    "ap-northeast-2": ("ZWKZPGTI48KDX", "ZIBE1TIR4HY56"),
}

_APPLICATION_ATTRIBUTES = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.enabled": "false",
    "connection_logs.s3.bucket": "",
    "connection_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "idle_timeout.timeout_seconds": "60",
    "ipv6.deny_all_igw_traffic": "false",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}
_NETWORK_ATTRIBUTES = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "dns_record.client_routing_policy": "any_availability_zone",
    "ipv6.deny_all_igw_traffic": "false",
    "load_balancing.cross_zone.enabled": "false",
    "secondary_ips.auto_assigned.per_subnet": "0",
    "zonal_shift.config.enabled": "false",
}
_NUMBERS = {"idle_timeout.timeout_seconds": (1, 4000), "client_keep_alive.seconds": (60, 604_800)}
_CHOICES = {
    "routing.http.desync_mitigation_mode": {"monitor", "defensive", "strictest"},
    "routing.http.xff_header_processing.mode": {"append", "preserve", "remove"},
}
_TARGET_GROUP_ATTRIBUTES = {
    "deregistration_delay.connection_termination.enabled",
    "load_balancing.algorithm.anomaly_mitigation",
    "preserve_client_ip.enabled",
    "proxy_protocol_v2.enabled",
    "stickiness.app_cookie.cookie_name",
    "stickiness.app_cookie.duration_seconds",
    "stickiness.lb_cookie.duration_seconds",
    "stickiness.type",
    "target_group_health.dns_failover.minimum_healthy_targets.count",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
    "target_health_state.unhealthy.connection_termination.enabled",
    "target_health_state.unhealthy.draining_interval_seconds",
}
_REDIRECT_DEFAULTS = {
    "Protocol": "#{protocol}",
    "Port": "#{port}",
    "Host": "#{host}",
    "Path": "/#{path}",
    "Query": "#{query}",
}
_CONFIG_OF_FIELD = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
}
_MAX_TAGS = 50
_MAX_RULES = 100


def _invalid(message: str) -> ELBClientError:
    return ELBClientError("ValidationError", message)


def _check_name(name: str) -> None:
    if len(name) > 32:
        raise _invalid(f"Load balancer name '{name}' cannot be longer than '32' characters")
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        raise _invalid(
            f"Load balancer name '{name}' can only contain characters that are alphanumeric characters or hyphens(-)"
        )
    if name.startswith("-") or name.endswith("-"):
        raise _invalid(f"Load balancer name '{name}' cannot begin or end with '-'")
    if name.startswith("internal-"):
        raise _invalid(f"Load balancer name '{name}' cannot begin with 'internal-'")


def complete_action(action: dict[str, Any]) -> dict[str, Any]:
    """`action` with what AWS adds to it: a redirect's placeholders, a forward's weights."""
    action = copy.deepcopy(action)
    match action.get("Type"):
        case "redirect":
            given = action.get("RedirectConfig", {})
            action["RedirectConfig"] = {**_REDIRECT_DEFAULTS, **given}
            if all(action["RedirectConfig"][key] == value for key, value in _REDIRECT_DEFAULTS.items()):
                raise ELBClientError(
                    "InvalidLoadBalancerAction", "The redirect configuration is not valid because it creates a loop."
                )
        case "forward":
            arn = action.get("TargetGroupArn")
            config = action.setdefault("ForwardConfig", {"TargetGroups": [{"TargetGroupArn": arn}]} if arn else {})
            groups = config.get("TargetGroups", [])
            if not groups:
                raise _invalid("A target group ARN must be specified")
            for group in groups:
                group.setdefault("Weight", 1)
            config.setdefault("TargetGroupStickinessConfig", {"Enabled": False})
            if len(groups) == 1:
                action["TargetGroupArn"] = groups[0]["TargetGroupArn"]
    return action


def complete_condition(condition: dict[str, Any]) -> dict[str, Any]:
    """`condition` with its values in both the old and the new place, as AWS answers."""
    condition = copy.deepcopy(condition)
    config = _CONFIG_OF_FIELD.get(condition.get("Field", ""))
    if config:
        values = condition.get("Values") or condition.get(config, {}).get("Values") or []
        condition["Values"] = values
        condition[config] = {"Values": values}
    return condition


def _in_order(rules: Iterable[Any]) -> list[Any]:
    return sorted(rules, key=lambda rule: 50_001 if rule.is_default else int(rule.priority))


def target_groups_of(action: Any) -> list[str]:
    """The ARNs that one action forwards to."""
    groups = action.data.get("ForwardConfig", {}).get("TargetGroups", [])
    return [group["TargetGroupArn"] for group in groups]


class LoadBalancer(moto_elbv2.FakeLoadBalancer):  # type: ignore[misc]  # moto is untyped
    """A load balancer that becomes active by the clock and owns network interfaces."""

    def __init__(self, region: str, suffix: str, created: str, **settings: Any) -> None:
        super().__init__(state="provisioning", **settings)
        network = self.type == "network"
        self.created_time = created
        self.suffix = suffix
        zones = CANONICAL_ZONES.get(region)
        self.canonical_hosted_zone_id = zones[network] if zones else None
        self.attrs = dict(_NETWORK_ATTRIBUTES if network else _APPLICATION_ATTRIBUTES)
        self.interfaces: list[Any] = []

    def activate(self) -> None:
        """Nothing: moto calls this on every describe, but activity comes with time."""

    @property
    def path(self) -> str:
        """The ARN's last part, app/name/id."""
        return str(self.arn.partition(":loadbalancer/")[2])


class LoadBalancing(moto_elbv2.ELBv2Backend):  # type: ignore[misc]  # moto is untyped
    """moto's backend of one account and region, mended."""

    cloud: ClassVar[Cloud]
    health: ClassVar[TargetHealth]

    # Load balancers

    def create_load_balancer(
        self,
        name: str,
        security_groups: list[str],
        subnet_ids: list[str],
        subnet_mappings: list[dict[str, str]] | None = None,
        scheme: str | None = None,
        loadbalancer_type: str | None = None,
        ip_address_type: str | None = None,
        tags: list[dict[str, str]] | None = None,
    ) -> LoadBalancer:
        """Begin a load balancer; one of that name with equal settings is answered as it is."""
        with _LOCK:
            _check_name(name)
            kind = loadbalancer_type or "application"
            subnets = self._subnets(kind, [*subnet_ids, *(each["SubnetId"] for each in subnet_mappings or [])])
            scheme = scheme or "internet-facing"
            if scheme == "internet-facing":
                self._check_internet_gateway(subnets[0].vpc_id)
            settings = {
                "name": name,
                "security_groups": self._groups(kind, security_groups or [], subnets[0].vpc_id),
                "subnets": subnets,
                "vpc_id": subnets[0].vpc_id,
                "scheme": scheme,
                "loadbalancer_type": kind,
                "ip_address_type": ip_address_type or "ipv4",
            }
            existing = next((each for each in self.load_balancers.values() if each.name == name), None)
            if existing:
                return self._same_load_balancer(existing, settings, tags)
            return self._add_load_balancer(settings, tags)

    def _same_load_balancer(
        self, existing: LoadBalancer, settings: dict[str, Any], tags: list[dict[str, str]] | None
    ) -> LoadBalancer:
        same = (
            existing.type == settings["loadbalancer_type"]
            and existing.scheme == settings["scheme"]
            and existing.ip_address_type == settings["ip_address_type"]
            and sorted(existing.security_groups) == sorted(settings["security_groups"])
            and {each.id for each in existing.subnets} == {each.id for each in settings["subnets"]}
            and self.tagging_service.get_tag_dict_for_resource(existing.arn)
            == self.tagging_service.flatten_tag_list(tags or [])
        )
        if not same:
            raise DuplicateLoadBalancerName(
                f"A load balancer with the same name '{existing.name}' exists, but with different settings"
            )
        return existing

    def _add_load_balancer(self, settings: dict[str, Any], tags: list[dict[str, str]] | None) -> LoadBalancer:
        kind = "net" if settings["loadbalancer_type"] == "network" else "app"
        suffix = mock_random.get_random_hex(length=16)
        name, region = settings["name"], self.region_name
        arn = (
            f"arn:{self.partition}:elasticloadbalancing:{region}:{self.account_id}:loadbalancer/{kind}/{name}/{suffix}"
        )
        if kind == "net":
            dns_name = f"{name}-{suffix}.elb.{region}.amazonaws.com"
        else:
            prefix = "internal-" if settings["scheme"] == "internal" else ""
            dns_name = f"{prefix}{name}-{int(suffix, 16) % 9_000_000_000 + 1_000_000_000}.{region}.elb.amazonaws.com"
        balancer = LoadBalancer(region, suffix, iso(self.cloud.clock.now()), arn=arn, dns_name=dns_name, **settings)
        for subnet in balancer.subnets:
            self._add_interface(balancer, subnet)
        self.load_balancers[arn] = balancer
        self.tagging_service.tag_resource(arn, tags)
        seconds = self.cloud.latency.seconds("elbv2:CreateLoadBalancer")
        self.cloud.clock.call_later(seconds, lambda: self._activate(balancer))
        return balancer

    def _activate(self, balancer: LoadBalancer) -> None:
        with _LOCK:
            if self.load_balancers.get(balancer.arn) is not balancer or balancer.state != "provisioning":
                return
            balancer.state = "active"
            groups = self._groups_behind(balancer)
        ingress.open_listeners(self.cloud, self, balancer)
        self.health.probe_soon(self, groups)

    def _subnets(self, kind: str, ids: list[str]) -> list[Any]:
        if not ids:
            raise _invalid("At least one subnet must be specified")
        subnets = []
        for each in ids:
            try:
                subnets.append(self.ec2_backend.get_subnet(each))
            except InvalidSubnetIdError:
                raise ELBClientError("SubnetNotFound", f"The subnet ID '{each}' does not exist") from None
        zones = [subnet.availability_zone for subnet in subnets]
        if len(set(zones)) < len(zones):
            raise ELBClientError(
                "InvalidConfigurationRequest",
                "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
            )
        if len({subnet.vpc_id for subnet in subnets}) > 1:
            raise ELBClientError("InvalidConfigurationRequest", "All subnets must belong to the same VPC")
        if kind == "application" and len(zones) < 2:
            raise _invalid("At least two subnets in two different Availability Zones must be specified")
        return subnets

    def _check_internet_gateway(self, vpc_id: str) -> None:
        gateways = self.ec2_backend.internet_gateways.values()
        if not any(gateway.vpc is not None and gateway.vpc.id == vpc_id for gateway in gateways):
            raise ELBClientError("InvalidSubnet", f"VPC {vpc_id} has no internet gateway")

    def _groups(self, kind: str, ids: list[str], vpc_id: str) -> list[str]:
        for each in ids:
            group = self.ec2_backend.get_security_group_from_id(each)
            if group is None:
                raise ELBClientError("InvalidSecurityGroup", f"Security group '{each}' does not exist")
            if group.vpc_id != vpc_id:
                raise ELBClientError(
                    "InvalidConfigurationRequest", f"One or more security groups are invalid: {each} is not in {vpc_id}"
                )
        if ids or kind == "network":
            return list(ids)
        return [self.ec2_backend.get_default_security_group(vpc_id).id]

    def describe_load_balancers(self, arns: list[str] | None, names: list[str] | None) -> list[LoadBalancer]:
        """Load balancers by ARN or name; one that is not there is an error."""
        with _LOCK:
            balancers = list(self.load_balancers.values())
            if not arns and not names:
                return balancers
            found = [self._load_balancer(arn) for arn in arns or []]
            for name in names or []:
                balancer = next((each for each in balancers if each.name == name), None)
                if balancer is None:
                    raise LoadBalancerNotFoundError(f"Load balancers '[{name}]' not found")
                found.append(balancer)
            return list(dict.fromkeys(found))

    def _load_balancer(self, arn: str) -> LoadBalancer:
        balancer: LoadBalancer | None = self.load_balancers.get(arn)
        if balancer is None:
            raise LoadBalancerNotFoundError(f"Load balancer '{arn}' not found")
        return balancer

    def delete_load_balancer(self, arn: str) -> None:
        """Delete a load balancer with its listeners; its network interfaces go some time later."""
        with _LOCK:
            balancer: LoadBalancer | None = self.load_balancers.get(arn)
            if balancer is None:
                return  # AWS: the call succeeds
            if balancer.attrs["deletion_protection.enabled"] == "true":
                raise ELBClientError(
                    "OperationNotPermitted",
                    f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
                )
            for listener in list(balancer.listeners.values()):
                self._drop_tags(listener)
            groups = self._groups_behind(balancer)
            metrics.ended("LoadBalancer", suffix(arn))
            del self.load_balancers[arn]
            self.tagging_service.delete_all_tags_for_resource(arn)
            interfaces = list(balancer.interfaces)
        ingress.close_listeners(arn)
        self.health.probe_soon(self, groups)

        def release() -> None:
            for interface in interfaces:
                self._drop_interface(interface)

        self.cloud.clock.call_later(self.cloud.latency.seconds("elbv2:DeleteLoadBalancer:enis"), release)

    def _drop_interface(self, interface: Any) -> None:
        if self.ec2_backend.enis.pop(interface.id, None) is not None:
            interface.subnet.del_subnet_ip(interface.private_ip_address)

    def set_security_groups(self, arn: str, sec_groups: list[str]) -> None:
        """Change the security groups of a load balancer and of its network interfaces."""
        with _LOCK:
            balancer = self._load_balancer(arn)
            balancer.security_groups = self._groups(balancer.type, sec_groups, balancer.vpc_id)
            groups = [self.ec2_backend.get_security_group_from_id(each) for each in balancer.security_groups]
            for interface in balancer.interfaces:
                interface._group_set = list(groups)

    def set_subnets(self, arn: str, subnets: list[str], subnet_mappings: list[dict[str, Any]]) -> list[Any]:
        """Change the zones of a load balancer."""
        with _LOCK:
            balancer = self._load_balancer(arn)
            wanted = self._subnets(balancer.type, [*subnets, *(each["SubnetId"] for each in subnet_mappings)])
            kept = {each.id for each in wanted}
            for interface in [each for each in balancer.interfaces if each.subnet.id not in kept]:
                balancer.interfaces.remove(interface)
                self._drop_interface(interface)
            present = {each.subnet.id for each in balancer.interfaces}
            balancer.subnets = wanted
            for subnet in wanted:
                if subnet.id not in present:
                    self._add_interface(balancer, subnet)
            groups = self._groups_behind(balancer)
        self.health.probe_soon(self, groups)
        return list(balancer.availability_zones)

    def _add_interface(self, balancer: LoadBalancer, subnet: Any) -> None:
        interface = self.ec2_backend.create_network_interface(
            subnet,
            subnet.get_available_subnet_ip(balancer),
            group_ids=balancer.security_groups,
            description=f"ELB {balancer.path}",
        )
        interface.requester_managed = True
        interface.requester_id = "amazon-elb"
        interface.status = "in-use"
        if balancer.type == "network":
            interface.interface_type = "network_load_balancer"
        balancer.interfaces.append(interface)

    def addresses_of(self, balancer: LoadBalancer) -> list[str]:
        """The private addresses that probes and traffic come from."""
        return [interface.private_ip_address for interface in balancer.interfaces]

    def modify_load_balancer_attributes(self, arn: str, attrs: dict[str, Any]) -> dict[str, Any]:
        """Change attributes, all or none."""
        with _LOCK:
            balancer = self._load_balancer(arn)
            for key, value in attrs.items():
                self._check_attribute(balancer, key, value)
            wanted = {**balancer.attrs, **attrs}
            self._check_log_bucket(wanted)
            balancer.attrs = wanted
            return wanted

    @staticmethod
    def _check_attribute(balancer: LoadBalancer, key: str, value: str) -> None:
        if key not in balancer.attrs:
            raise _invalid(f"Load balancer attribute key '{key}' is not recognized")
        if key.endswith(".enabled") and value not in {"true", "false"}:
            raise _invalid(f"Load balancer attribute value '{value}' is invalid for '{key}': must be true or false")
        if key in _NUMBERS:
            low, high = _NUMBERS[key]
            if not value.isdecimal() or not low <= int(value) <= high:
                raise _invalid(f"'{key}' value '{value}' must be between '{low}-{high}' inclusive")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise _invalid(f"'{key}' value '{value}' must be one of {sorted(_CHOICES[key])}")

    def _check_log_bucket(self, attributes: dict[str, str]) -> None:
        from moto.s3.models import s3_backends  # noqa: PLC0415 - a heavy module, needed for access logs alone

        for logs in ("access_logs", "connection_logs"):
            if attributes.get(f"{logs}.s3.enabled") != "true":
                continue
            bucket = attributes[f"{logs}.s3.bucket"]
            if not bucket:
                raise _invalid(f"The value of '{logs}.s3.bucket' cannot be empty")
            if bucket not in s3_backends[self.account_id][self.partition].buckets:
                raise ELBClientError(
                    "InvalidConfigurationRequest",
                    f"Access Denied for bucket: {bucket}. Please check S3bucket permission",
                )

    # Listeners and rules

    def create_listener(
        self,
        load_balancer_arn: str,
        protocol: str,
        port: str,
        ssl_policy: str,
        certificate: str | None,
        actions: list[dict[str, Any]],
        alpn_policy: list[str] | None = None,
        tags: list[dict[str, str]] | None = None,
    ) -> Any:
        """Add a listener; an equal one on the same port is answered as it is."""
        with _LOCK:
            balancer = self._load_balancer(load_balancer_arn)
            completed = [complete_action(action) for action in actions]
            secure = protocol in {"HTTPS", "TLS"}
            if secure:
                self._check_certificate(certificate)
                self._check_policy(ssl_policy)
            self._check_forwards(balancer, completed)
            for listener in balancer.listeners.values():
                if int(listener.port) == int(port):
                    same = (
                        listener.protocol == protocol
                        and listener.certificate == certificate
                        and listener.ssl_policy == (ssl_policy if secure else None)
                        and [action.data for action in listener.default_actions] == completed
                    )
                    if same:
                        return listener
                    raise DuplicateListenerError
            listener = super().create_listener(
                load_balancer_arn,
                protocol,
                port,
                ssl_policy if secure else None,
                certificate if secure else None,
                completed,
                alpn_policy,
                tags,
            )
            default = listener._default_rule[0]
            default.arn = f"{listener.arn.replace(':listener/', ':listener-rule/')}/{mock_random.get_random_hex(16)}"
            groups = self._groups_behind(balancer)
        self._refresh(balancer, groups)
        return listener

    def modify_listener(
        self,
        arn: str,
        port: str | None = None,
        protocol: str | None = None,
        ssl_policy: str | None = None,
        certificates: list[dict[str, Any]] | None = None,
        actions: list[dict[str, Any]] | None = None,
    ) -> Any:
        """Change a listener."""
        with _LOCK:
            listener = self._listener(arn)
            balancer = self._load_balancer(listener.load_balancer_arn)
            completed = [complete_action(action) for action in actions or []]
            self._check_forwards(balancer, completed)
            self._validate_actions([moto_elbv2.FakeAction(action) for action in completed])
            for certificate in certificates or []:
                self._check_certificate(certificate["CertificateArn"])
            if port is not None and any(
                int(each.port) == int(port) for each in balancer.listeners.values() if each is not listener
            ):
                raise DuplicateListenerError
            super().modify_listener(arn, port, protocol, ssl_policy, certificates or [], completed)
            if listener.protocol not in {"HTTPS", "TLS"}:
                listener.ssl_policy, listener.certificate, listener.certificates = None, None, []
            groups = self._groups_behind(balancer)
        self._refresh(balancer, groups)
        return listener

    def delete_listener(self, listener_arn: str) -> Any:
        """Delete a listener and its rules."""
        with _LOCK:
            listener = self._listener(listener_arn)
            balancer = self._load_balancer(listener.load_balancer_arn)
            groups = self._groups_behind(balancer)
            del balancer.listeners[listener_arn]
            self._drop_tags(listener)
        self._refresh(balancer, groups)
        return listener

    def describe_listeners(self, load_balancer_arn: str | None, listener_arns: list[str]) -> list[Any]:
        """The listeners of a load balancer, or by ARN; one that is not there is an error."""
        with _LOCK:
            if load_balancer_arn:
                return list(self._load_balancer(load_balancer_arn).listeners.values())
            return [self._listener(arn) for arn in listener_arns]

    def _listener(self, arn: str) -> Any:
        for balancer in self.load_balancers.values():
            if arn in balancer.listeners:
                return balancer.listeners[arn]
        raise ListenerNotFoundError

    def create_rule(
        self,
        listener_arn: str,
        conditions: list[dict[str, Any]],
        priority: int,
        actions: list[dict[str, Any]],
        tags: list[dict[str, str]] | None = None,
    ) -> Any:
        """Add a rule with a priority of its own."""
        with _LOCK:
            listener = self._listener(listener_arn)
            balancer = self._load_balancer(listener.load_balancer_arn)
            if not 1 <= int(priority) <= 50_000:
                raise _invalid(f"The priority '{priority}' must be between '1' and '50000' inclusive")
            if sum(len(each.rules) - 1 for each in balancer.listeners.values()) >= _MAX_RULES:
                raise ELBClientError("TooManyRules", "The maximum number of rules on the load balancer was reached")
            completed = [complete_action(action) for action in actions]
            self._check_forwards(balancer, completed)
            rule = super().create_rule(listener_arn, conditions, int(priority), completed, tags)
            rule.conditions = [complete_condition(each) for each in conditions]
            groups = self._groups_behind(balancer)
        self._refresh(balancer, groups)
        return rule

    def modify_rule(self, rule_arn: str, conditions: list[dict[str, Any]], actions: list[dict[str, Any]]) -> Any:
        """Change a rule's conditions or actions."""
        with _LOCK:
            listener, rule = self._rule(rule_arn)
            if rule.is_default:
                raise ELBClientError("OperationNotPermitted", f"Default rule '{rule_arn}' cannot be modified")
            balancer = self._load_balancer(listener.load_balancer_arn)
            completed = [complete_action(action) for action in actions]
            self._check_forwards(balancer, completed)
            super().modify_rule(rule_arn, conditions, completed)
            rule.conditions = [complete_condition(each) for each in rule.conditions]
            groups = self._groups_behind(balancer)
        self._refresh(balancer, groups)
        return rule

    def delete_rule(self, arn: str) -> None:
        """Delete a rule; not the default one."""
        with _LOCK:
            listener, rule = self._rule(arn)
            if rule.is_default:
                raise ELBClientError("OperationNotPermitted", f"Default rule '{arn}' cannot be deleted")
            balancer = self._load_balancer(listener.load_balancer_arn)
            groups = self._groups_behind(balancer)
            listener.remove_rule(arn)
            self.tagging_service.delete_all_tags_for_resource(arn)
        self._refresh(balancer, groups)

    def _rule(self, arn: str) -> tuple[Any, Any]:
        for balancer in self.load_balancers.values():
            for listener in balancer.listeners.values():
                for rule in listener.rules.values():
                    if rule.arn == arn:
                        return listener, rule
        raise RuleNotFoundError

    def describe_rules(self, listener_arn: str | None, rule_arns: list[str] | None) -> list[Any]:
        """Rules in the order in which they are tried."""
        with _LOCK:
            return _in_order(super().describe_rules(listener_arn, rule_arns))

    @staticmethod
    def rules_of(listener: Any) -> list[Any]:
        """The rules of one listener in the order in which they are tried."""
        with _LOCK:
            return _in_order(listener.rules.values())

    def _check_certificate(self, arn: str | None) -> None:
        if not arn:
            raise _invalid("A certificate must be specified for HTTPS listeners")
        if not self._certificate_exists(arn):
            raise ELBClientError("CertificateNotFound", f"Certificate '{arn}' not found")
        if ":acm:" in arn:
            from moto.acm.models import acm_backends  # noqa: PLC0415 - as moto does, against a cycle of imports

            if acm_backends[self.account_id][self.region_name].get_certificate(arn).status != "ISSUED":
                raise ELBClientError(
                    "UnsupportedCertificate",
                    f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, "
                    "and a supported key size.",
                )

    @staticmethod
    def _check_policy(name: str) -> None:
        if name not in SSL_POLICIES:
            raise ELBClientError("SSLPolicyNotFound", f"SSL policy '{name}' not found")

    def _check_forwards(self, balancer: LoadBalancer, actions: Iterable[dict[str, Any]]) -> None:
        for action in actions:
            for entry in action.get("ForwardConfig", {}).get("TargetGroups", []):
                arn = entry["TargetGroupArn"]
                group = self.target_groups.get(arn)
                if group is None:
                    raise TargetGroupNotFoundError
                if any(each is not balancer for each in self.load_balancers_of(arn)):
                    raise ELBClientError(
                        "TargetGroupAssociationLimit",
                        "The following target groups cannot be associated with more than one load balancer: " + arn,
                    )
                if group.vpc_id and group.vpc_id != balancer.vpc_id:
                    raise ELBClientError(
                        "InvalidConfigurationRequest",
                        f"The target group '{arn}' is not in the load balancer's VPC '{balancer.vpc_id}'",
                    )
                http = group.protocol in {"HTTP", "HTTPS", None}
                if http != (balancer.type == "application"):
                    raise ELBClientError(
                        "InvalidConfigurationRequest",
                        f"Target group '{arn}' with protocol {group.protocol} can't be used with a load balancer "
                        f"of type {balancer.type}",
                    )

    def certificates_in_use(self) -> Iterator[tuple[str, LoadBalancer]]:
        """Each certificate on a listener, with the listener's load balancer."""
        for balancer in list(self.load_balancers.values()):
            for listener in list(balancer.listeners.values()):
                for certificate in listener.certificates:
                    yield certificate, balancer

    def _refresh(self, balancer: LoadBalancer, groups: Iterable[Any]) -> None:
        """Let the probes and the loopback listeners follow a change."""
        if balancer.state == "active":
            ingress.open_listeners(self.cloud, self, balancer)
        self.health.probe_soon(self, groups)

    # Target groups

    def load_balancers_of(self, target_group_arn: str) -> list[LoadBalancer]:
        """The load balancers with an action that forwards to the target group."""
        return [
            balancer
            for balancer in list(self.load_balancers.values())
            if any(group.arn == target_group_arn for group in self._groups_behind(balancer))
        ]

    def _groups_behind(self, balancer: LoadBalancer) -> list[Any]:
        arns = {
            arn: None
            for listener in list(balancer.listeners.values())
            for rule in listener.rules.values()
            for action in rule.actions
            for arn in target_groups_of(action)
        }
        return [self.target_groups[arn] for arn in arns if arn in self.target_groups]

    def create_target_group(self, name: str, **settings: Any) -> Any:
        """Create a target group; one of that name with equal settings is answered as it is."""
        with _LOCK:
            existing = next((each for each in self.target_groups.values() if each.name == name), None)
            if existing:
                if existing.requested != settings:
                    raise DuplicateTargetGroupName(
                        f"A target group with the same name '{name}' exists, but with different settings"
                    )
                return existing
            self._check_health_settings(settings)
            group = super().create_target_group(name, **copy.deepcopy(settings))
            group.requested = settings
            group.registrations = {}
            group.attributes = {key: str(value) for key, value in group.attributes.items()}
            return group

    @staticmethod
    def _check_health_settings(settings: dict[str, Any]) -> None:
        limits = {
            "healthcheck_interval_seconds": (5, 300, "Health check interval"),
            "healthcheck_timeout_seconds": (2, 120, "Health check timeout"),
            "healthy_threshold_count": (2, 10, "Healthy threshold count"),
            "unhealthy_threshold_count": (2, 10, "Unhealthy threshold count"),
        }
        for key, (low, high, title) in limits.items():
            value = settings.get(key)
            if value is not None and not low <= int(value) <= high:
                raise _invalid(f"{title} '{value}' must be between '{low}' and '{high}' inclusive")
        path = settings.get("healthcheck_path")
        if path and (not path.startswith("/") or len(path) > 1024):
            raise _invalid(f"Health check path '{path}' must start with '/' and have at most 1024 characters")

    def modify_target_group(self, arn: str, *settings: Any, **more: Any) -> Any:
        """Change the health checks of a target group."""
        with _LOCK:
            self._target_group(arn)
            names = (
                "proto",
                "port",
                "healthcheck_path",
                "healthcheck_interval_seconds",
                "healthcheck_timeout_seconds",
                "healthy_threshold_count",
                "unhealthy_threshold_count",
            )
            self._check_health_settings(dict(zip(names, settings, strict=False)))
            group = super().modify_target_group(arn, *settings, **more)
        self.health.probe_soon(self, [group])
        return group

    def modify_target_group_attributes(self, target_group_arn: str, attributes: dict[str, Any]) -> None:
        """Change attributes, all or none."""
        with _LOCK:
            group = self._target_group(target_group_arn)
            for key, value in attributes.items():
                if key not in group.attributes and key not in _TARGET_GROUP_ATTRIBUTES:
                    raise _invalid(f"Target group attribute key '{key}' is not recognized")
                if key == "deregistration_delay.timeout_seconds" and not (value.isdecimal() and int(value) <= 3600):
                    raise _invalid(f"'{key}' value '{value}' must be between '0-3600' inclusive")
            delay = attributes.pop("deregistration_delay.timeout_seconds", None)
            super().modify_target_group_attributes(target_group_arn, attributes)
            if delay is not None:  # moto's own check refuses 3600
                attributes["deregistration_delay.timeout_seconds"] = delay
                group.attributes["deregistration_delay.timeout_seconds"] = delay

    def _target_group(self, arn: str) -> Any:
        group = self.target_groups.get(arn)
        if group is None:
            raise TargetGroupNotFoundError
        return group

    def describe_target_groups(
        self, load_balancer_arn: str | None, target_group_arns: list[str], names: list[str] | None
    ) -> list[Any]:
        """Target groups with the load balancers that use them at this moment."""
        with _LOCK:
            for group in self.target_groups.values():
                group.load_balancer_arns = [each.arn for each in self.load_balancers_of(group.arn)]
            if load_balancer_arn and not target_group_arns and not names:
                groups = self._groups_behind(self._load_balancer(load_balancer_arn))
                return sorted(groups, key=lambda group: str(group.name))
            return list(super().describe_target_groups(load_balancer_arn, target_group_arns, names))

    def delete_target_group(self, target_group_arn: str) -> Any:
        """Delete a target group that no action forwards to."""
        with _LOCK:
            group = super().delete_target_group(target_group_arn)
            self.tagging_service.delete_all_tags_for_resource(target_group_arn)
            for registration in group.registrations.values():
                registration.gone = True
                if registration.timer:
                    registration.timer.cancel()
            return group

    # Targets

    def register_targets(self, target_group_arn: str, instances: list[Any]) -> None:
        """Register targets, all or none; one that is there already stays as it is."""
        with _LOCK:
            group = self._target_group(target_group_arn)
            for target in instances:
                self._check_target(group, target)
            for target in instances:
                key = self._target_key(group, target)
                present = group.registrations.get(key)
                if present is None or present.state == "draining":
                    if present is not None and present.timer:
                        present.gone = True
                        present.timer.cancel()
                    registration = group.registrations[key] = Registration(*key)
                    self.health.register(self, group, registration)

    def _check_target(self, group: Any, target: dict[str, Any]) -> None:
        if group.target_type != "instance":
            return
        instance = self.ec2_backend.get_instance_by_id(target["Id"])
        if instance is None:
            raise ELBClientError("InvalidTarget", f"The following targets are not valid instance IDs: '{target['Id']}'")
        if instance.vpc_id != group.vpc_id:
            raise ELBClientError(
                "InvalidTarget",
                f"The following targets are not in the target group VPC '{group.vpc_id}': '{target['Id']}'",
            )
        if instance.state != "running":
            raise ELBClientError(
                "InvalidTarget",
                f"The following targets are not in a running state and cannot be registered: '{target['Id']}'",
            )

    @staticmethod
    def _target_key(group: Any, target: dict[str, Any]) -> tuple[str, int]:
        return target["Id"], int(target.get("Port") or group.port or 0)

    def deregister_targets(self, target_group_arn: str, instances: list[dict[str, Any]]) -> None:
        """Drain targets; one that is not registered is fine."""
        with _LOCK:
            group = self._target_group(target_group_arn)
            for target in instances:
                registration = group.registrations.get(self._target_key(group, target))
                if registration is not None and registration.state != "draining":
                    self.health.deregister(self, group, registration)

    def notify_terminate_instances(self, instance_ids: list[str]) -> None:
        """Drain the targets whose instances were terminated."""
        with _LOCK:
            for group in self.target_groups.values():
                for registration in list(group.registrations.values()):
                    if registration.target_id in instance_ids and registration.state != "draining":
                        self.health.deregister(self, group, registration)

    def describe_target_health(self, target_group_arn: str, targets: list[dict[str, Any]]) -> list[Any]:
        """The health of all targets, or of those asked for."""
        with _LOCK:
            group = self._target_group(target_group_arn)
            keys = [self._target_key(group, target) for target in targets or []] or list(group.registrations)
        answers = []
        for key in keys:
            registration = group.registrations.get(key)
            if registration is not None:
                self.health.look(self, group, registration)
            answers.append(self._health_status(group, key, registration))
        return answers

    @staticmethod
    def _health_status(group: Any, key: tuple[str, int], registration: Registration | None) -> Any:
        port = key[1] if group.health_check_port in {"traffic-port", None} else group.health_check_port
        if registration is None:
            return moto_elbv2.FakeHealthStatus(
                key[0],
                str(key[1]),
                str(port),
                "unused",
                "Target.NotRegistered",
                "Target is not registered to the target group",
            )
        return moto_elbv2.FakeHealthStatus(
            key[0], str(key[1]), str(port), registration.state, registration.reason, registration.description
        )

    # Tags

    def add_tags(self, resource_arns: list[str], tags: list[dict[str, str]]) -> None:
        """Tag resources, all or none."""
        added = self.tagging_service.flatten_tag_list(tags)
        for arn in resource_arns:
            self._get_resource_by_arn(arn)
            if len({**self.tagging_service.get_tag_dict_for_resource(arn), **added}) > _MAX_TAGS:
                raise ELBClientError("TooManyTags", f"The maximum number of tags on '{arn}' is {_MAX_TAGS}")
        for arn in resource_arns:
            self.tagging_service.tag_resource(arn, tags)

    def describe_tags(self, resource_arns: list[str]) -> dict[str, dict[str, str]]:
        """The tags of resources; one that is not there is an error."""
        for arn in resource_arns:
            self._get_resource_by_arn(arn)
        answer: dict[str, dict[str, str]] = super().describe_tags(resource_arns)
        return answer

    def _drop_tags(self, listener: Any) -> None:
        for arn in [listener.arn, *(rule.arn for rule in listener.rules.values())]:
            self.tagging_service.delete_all_tags_for_resource(arn)


def install(cloud: Cloud) -> None:
    """Mend moto's elbv2 for `cloud`."""
    close(cloud)
    LoadBalancing.cloud = cloud
    LoadBalancing.health = TargetHealth(cloud, _LOCK)
    _mending.backend(moto_elbv2.elbv2_backends, LoadBalancing)
    # Codes that AWS answers with although its service model doesn't list them: moto warns of such.
    _mending.replace(moto_errors, COMMON_ERROR_CODES=[*moto_errors.COMMON_ERROR_CODES, "UnsupportedCertificate"])


def reset(cloud: Cloud) -> None:
    """Forget all load balancers; moto's own reset drops the backends."""
    ingress.reset(cloud)
    LoadBalancing.health.close()
    LoadBalancing.health = TargetHealth(cloud, _LOCK)


def close(cloud: Cloud) -> None:
    """Stop the probes and listeners, and give moto its own backend back. Idempotent."""
    ingress.close(cloud)
    health = getattr(LoadBalancing, "health", None)
    if health is not None:
        health.close()
    _mending.undo()
