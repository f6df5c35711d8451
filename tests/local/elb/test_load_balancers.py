"""Load balancers, listeners and rules take their time and refuse what AWS refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.local.elb.scenario import Account

REDIRECT = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}


def refused(call: Any, *arguments: Any, **settings: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **settings)
    return str(caught.value.response["Error"]["Code"])


def describe(account: Account, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = account.elbv2.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]
    return found


def test_a_load_balancer_becomes_active_with_time(account: Account) -> None:
    arn = account.load_balancer(active=False)
    account.clock.advance(140)
    assert describe(account, arn)["State"] == {"Code": "provisioning"}
    account.clock.advance(10)
    found = describe(account, arn)
    assert found["State"] == {"Code": "active"}
    assert found["DNSName"].endswith(".eu-west-1.elb.amazonaws.com")
    assert found["CanonicalHostedZoneId"] == "Z32O12XQLNTSW2"
    assert ":loadbalancer/app/shop/" in arn


def test_the_same_request_twice_is_one_load_balancer(account: Account) -> None:
    first = account.load_balancer(active=False)
    assert account.load_balancer(active=False) == first
    assert refused(account.load_balancer, Scheme="internal") == "DuplicateLoadBalancerName"


@pytest.mark.parametrize("name", ["x" * 33, "-shop", "shop-", "internal-shop", "sh_op", "shöp"])
def test_names_are_checked(account: Account, name: str) -> None:
    assert refused(account.load_balancer, name, active=False) == "ValidationError"


def test_a_load_balancer_needs_its_network(account: Account) -> None:
    assert refused(account.load_balancer, Subnets=account.subnets[:1]) == "ValidationError"
    assert refused(account.load_balancer, Subnets=[account.subnets[0], "subnet-0123456789abcdef0"]) == "SubnetNotFound"
    assert refused(account.load_balancer, SecurityGroups=["sg-0123456789abcdef0"]) == "InvalidSecurityGroup"
    closed = account.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        account.ec2.create_subnet(VpcId=closed, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"eu-west-1{zone}")[
            "Subnet"
        ]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    assert refused(account.load_balancer, Subnets=subnets, SecurityGroups=[]) == "InvalidSubnet"
    assert account.load_balancer(Subnets=subnets, SecurityGroups=[], Scheme="internal")


def test_network_interfaces_outlive_the_load_balancer(account: Account) -> None:
    arn = account.load_balancer()

    def interfaces() -> list[Any]:
        filters = [{"Name": "group-id", "Values": [account.group]}]
        return list(account.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"])

    assert {each["SubnetId"] for each in interfaces()} == set(account.subnets[:2])
    assert all(each["Description"].startswith("ELB app/shop/") for each in interfaces())
    account.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    assert refused(describe, account, arn) == "LoadBalancerNotFound"
    assert refused(account.ec2.delete_security_group, GroupId=account.group) == "DependencyViolation"
    account.clock.advance(91)
    assert interfaces() == []
    account.ec2.delete_security_group(GroupId=account.group)


def test_deletion_protection_and_deleting_twice(account: Account) -> None:
    arn = account.load_balancer()

    def protect(value: str) -> None:
        attributes = [{"Key": "deletion_protection.enabled", "Value": value}]
        account.elbv2.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)

    protect("true")
    assert refused(account.elbv2.delete_load_balancer, LoadBalancerArn=arn) == "OperationNotPermitted"
    protect("false")
    account.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    account.elbv2.delete_load_balancer(LoadBalancerArn=arn)


def test_attributes_change_all_or_none(account: Account) -> None:
    arn = account.load_balancer()

    def modify(**attributes: str) -> None:
        pairs = [{"Key": key.replace("__", "."), "Value": value} for key, value in attributes.items()]
        account.elbv2.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=pairs)

    assert refused(modify, idle_timeout__timeout_seconds="90", nonsense="1") == "ValidationError"
    assert refused(modify, idle_timeout__timeout_seconds="4001") == "ValidationError"
    assert refused(modify, access_logs__s3__enabled="true", access_logs__s3__bucket="nobodys") == (
        "InvalidConfigurationRequest"
    )
    answer = account.elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    found = {each["Key"]: each["Value"] for each in answer}
    assert found["idle_timeout.timeout_seconds"] == "60"
    assert found["access_logs.s3.enabled"] == "false"
    assert found["routing.http.drop_invalid_header_fields.enabled"] == "false"


def test_network_load_balancers_are_named_as_such(account: Account) -> None:
    arn = account.load_balancer("tcp", Type="network", SecurityGroups=[])
    assert ":loadbalancer/net/tcp/" in arn
    assert describe(account, arn)["DNSName"].endswith(".elb.eu-west-1.amazonaws.com")
    group = account.target_group("tcp", Protocol="TCP", HealthCheckProtocol="TCP", HealthCheckPath="/")
    application = account.load_balancer()
    action = {"Type": "forward", "TargetGroupArn": group}
    assert refused(account.listener, application, action) == "InvalidConfigurationRequest"
    assert "/net/tcp/" in account.listener(arn, action, Protocol="TCP")


def test_a_secure_listener_needs_an_issued_certificate(account: Account) -> None:
    balancer = account.load_balancer()

    def listen(certificate: str, policy: str = "ELBSecurityPolicy-TLS13-1-2-2021-06") -> str:
        certificates = [{"CertificateArn": certificate}]
        return account.listener(balancer, Port=443, Protocol="HTTPS", SslPolicy=policy, Certificates=certificates)

    missing = "arn:aws:acm:eu-west-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
    assert refused(listen, missing) == "CertificateNotFound"
    assert refused(account.listener, balancer, Port=443, Protocol="HTTPS") == "ValidationError"
    pending = account.request_certificate("other.dev.example.com")
    assert refused(listen, pending) == "UnsupportedCertificate"
    issued = account.issued_certificate()
    assert refused(listen, issued, "ELBSecurityPolicy-2099") == "SSLPolicyNotFound"
    arn = listen(issued)
    assert listen(issued) == arn
    assert account.certificate(issued)["InUseBy"] == [balancer]
    assert refused(account.acm.delete_certificate, CertificateArn=issued) == "ResourceInUseException"
    account.elbv2.delete_listener(ListenerArn=arn)
    account.acm.delete_certificate(CertificateArn=issued)


def test_listeners_have_a_port_each_and_redirects_lead_somewhere(account: Account) -> None:
    balancer = account.load_balancer()
    arn = account.listener(balancer, REDIRECT)
    found = account.elbv2.describe_listeners(ListenerArns=[arn])["Listeners"][0]
    assert "SslPolicy" not in found
    assert found["DefaultActions"][0]["RedirectConfig"] == {
        "Protocol": "HTTPS",
        "Port": "443",
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
        "StatusCode": "HTTP_301",
    }
    assert account.listener(balancer, REDIRECT) == arn
    assert refused(account.listener, balancer) == "DuplicateListener"
    loop = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_302"}}
    assert refused(account.listener, balancer, loop, Port=81) == "InvalidLoadBalancerAction"
    assert refused(account.elbv2.describe_listeners, ListenerArns=[arn, arn[:-1] + "x"]) == "ListenerNotFound"


def test_rules_are_tried_by_priority(account: Account) -> None:
    balancer = account.load_balancer()
    listener = account.listener(balancer)
    group = account.target_group()
    forward = {"Type": "forward", "TargetGroupArn": group}
    later = account.rule(listener, 20, forward, Field="host-header", HostHeaderConfig={"Values": ["a.example.com"]})
    account.rule(listener, 3, forward, Field="path-pattern", Values=["/x/*"])
    rules = account.elbv2.describe_rules(ListenerArn=listener)["Rules"]
    assert [rule["Priority"] for rule in rules] == ["3", "20", "default"]
    assert rules[1]["Conditions"] == [
        {"Field": "host-header", "Values": ["a.example.com"], "HostHeaderConfig": {"Values": ["a.example.com"]}}
    ]
    assert refused(account.rule, listener, 3, forward, Field="path-pattern", Values=["/y"]) == "PriorityInUse"
    changed = [{"Field": "host-header", "HostHeaderConfig": {"Values": ["b.example.com"]}}]
    rule = account.elbv2.modify_rule(RuleArn=later, Conditions=changed)["Rules"][0]
    assert rule["Conditions"][0]["Values"] == ["b.example.com"]
    assert refused(account.elbv2.delete_rule, RuleArn=rules[2]["RuleArn"]) == "OperationNotPermitted"
    assert refused(account.elbv2.delete_target_group, TargetGroupArn=group) == "ResourceInUse"
    for each in rules[:2]:
        account.elbv2.delete_rule(RuleArn=each["RuleArn"])
    assert refused(account.elbv2.delete_rule, RuleArn=later) == "RuleNotFound"
    account.elbv2.delete_target_group(TargetGroupArn=group)


def test_a_target_group_serves_one_load_balancer(account: Account) -> None:
    group = account.target_group()
    forward = {"Type": "forward", "TargetGroupArn": group}
    first, second = account.load_balancer("first"), account.load_balancer("second")
    account.listener(first, forward)
    assert refused(account.listener, second, forward) == "TargetGroupAssociationLimit"
    found = account.elbv2.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]
    assert found["LoadBalancerArns"] == [first]
    account.elbv2.delete_load_balancer(LoadBalancerArn=first)
    found = account.elbv2.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]
    assert found.get("LoadBalancerArns", []) == []


def test_target_groups_are_checked(account: Account) -> None:
    group = account.target_group()
    assert account.target_group() == group
    assert refused(account.target_group, Port=30001) == "DuplicateTargetGroupName"
    assert refused(account.target_group, "other", HealthCheckIntervalSeconds=301) == "ValidationError"
    assert refused(account.target_group, "other", HealthCheckPath="readyz") == "ValidationError"

    def modify(key: str, value: str) -> None:
        attributes = [{"Key": key, "Value": value}]
        account.elbv2.modify_target_group_attributes(TargetGroupArn=group, Attributes=attributes)

    assert refused(modify, "deregistration_delay.timeout_seconds", "3601") == "ValidationError"
    assert refused(modify, "nonsense", "1") == "ValidationError"
    modify("deregistration_delay.timeout_seconds", "3600")
    answer = account.elbv2.describe_target_group_attributes(TargetGroupArn=group)["Attributes"]
    assert {"Key": "deregistration_delay.timeout_seconds", "Value": "3600"} in answer


def test_tags_go_with_their_resource(account: Account) -> None:
    arn = account.load_balancer(Tags=[{"Key": "team", "Value": "checkout"}])
    answer = account.elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    assert answer == [{"ResourceArn": arn, "Tags": [{"Key": "team", "Value": "checkout"}]}]
    account.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    assert refused(account.elbv2.describe_tags, ResourceArns=[arn]) == "LoadBalancerNotFound"


def test_groups_and_subnets_of_a_load_balancer_can_change(account: Account) -> None:
    arn = account.load_balancer()
    other = account.security_group("other")
    account.elbv2.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[other])
    account.elbv2.set_subnets(LoadBalancerArn=arn, Subnets=account.subnets[1:])
    filters = [{"Name": "group-id", "Values": [other]}]
    interfaces = account.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
    assert {each["SubnetId"] for each in interfaces} == set(account.subnets[1:])
    zones = describe(account, arn)["AvailabilityZones"]
    assert {each["SubnetId"] for each in zones} == set(account.subnets[1:])
