"""Route 53 refuses what AWS refuses, batch by batch, and takes its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.local.elb.scenario import Account

HOST = "shop.dev.example.com"


def refused(call: Any, *arguments: Any, **settings: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **settings)
    error = caught.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def records(account: Account, zone: str, **settings: Any) -> list[tuple[str, str]]:
    answer = account.route53.list_resource_record_sets(HostedZoneId=zone, **settings)["ResourceRecordSets"]
    return [(each["Name"], each["Type"]) for each in answer]


def test_each_change_has_an_id_and_takes_its_time(account: Account) -> None:
    zone = account.zone()
    first = account.change(zone, "CREATE", HOST, "A", "10.0.0.1")
    second = account.change(zone, "UPSERT", HOST, "A", "10.0.0.2")
    assert first["Id"] != second["Id"]
    assert first["Status"] == "PENDING"
    account.clock.advance(31)
    assert account.route53.get_change(Id=first["Id"])["ChangeInfo"]["Status"] == "INSYNC"
    assert refused(account.route53.get_change, Id="CXXXX")[0] == "NoSuchChange"


def test_delete_needs_the_exact_record(account: Account) -> None:
    zone = account.zone()
    code, message = refused(account.change, zone, "DELETE", HOST, "A", "10.0.0.1")
    assert code == "InvalidChangeBatch"
    assert message == f"[Tried to delete resource record set [name='{HOST}.', type='A'] but it was not found]"
    account.change(zone, "CREATE", HOST, "A", "10.0.0.1")
    for values, ttl in ((["10.0.0.2"], 60), (["10.0.0.1"], 61), (["10.0.0.1", "10.0.0.2"], 60)):
        _, message = refused(account.change, zone, "DELETE", HOST, "A", *values, TTL=ttl)
        assert "the values provided do not match the current values" in message
    account.change(zone, "DELETE", HOST.upper() + ".", "A", "10.0.0.1")
    assert (f"{HOST}.", "A") not in records(account, zone)


@pytest.mark.parametrize(
    ("name", "kind", "values", "message"),
    [
        (HOST, "A", ["10.0.0.9"], "but it already exists"),
        (HOST, "CNAME", ["x.example.com"], "is not permitted because a conflicting RRSet"),
        ("alias.dev.example.com", "A", ["10.0.0.9"], "is not permitted because a conflicting RRSet"),
        ("dev.example.com", "CNAME", ["x.example.com"], "is not permitted at apex in zone"),
        ("shop.example.com", "A", ["10.0.0.9"], "is not permitted in zone dev.example.com."),
        ("notdev.example.com", "A", ["10.0.0.9"], "is not permitted in zone dev.example.com."),
        ("a..dev.example.com", "A", ["10.0.0.9"], "DomainLabelEmpty"),
        ("a" * 64 + ".dev.example.com", "A", ["10.0.0.9"], "DomainLabelTooLong"),
        ("x.dev.example.com", "A", ["10.0.0.256"], "Value is not a valid IPv4 address"),
        ("x.dev.example.com", "AAAA", ["10.0.0.1"], "Value is not a valid IPv6 address"),
        ("x.dev.example.com", "TXT", ["bare"], "should be enclosed in quotation marks"),
        ("x.dev.example.com", "A", ["10.0.0.1", "10.0.0.1"], "Duplicate Resource Record"),
    ],
)
def test_records_that_are_refused(account: Account, name: str, kind: str, values: list[str], message: str) -> None:
    zone = account.zone()
    account.change(zone, "CREATE", HOST, "A", "10.0.0.1")
    account.change(zone, "CREATE", "alias.dev.example.com", "CNAME", "x.example.com")
    code, found = refused(account.change, zone, "CREATE", name, kind, *values)
    assert code == "InvalidChangeBatch"
    assert message in found


def test_a_batch_is_applied_whole_or_not_at_all(account: Account) -> None:
    zone = account.zone()

    def batch(*changes: tuple[str, str, str]) -> None:
        listed = [
            {
                "Action": action,
                "ResourceRecordSet": {
                    "Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": value}]
                },
            }
            for action, name, value in changes
        ]  # fmt: skip
        account.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": listed})

    _, message = refused(
        batch, ("CREATE", HOST, "10.0.0.1"), ("CREATE", "x.org", "10.0.0.1"), ("DELETE", f"y.{HOST}", "10.0.0.1")
    )
    assert "x.org. is not permitted" in message
    assert "but it was not found" in message
    assert records(account, zone) == [("dev.example.com.", "NS"), ("dev.example.com.", "SOA")]
    batch(("CREATE", HOST, "10.0.0.1"))
    batch(("DELETE", HOST, "10.0.0.1"), ("CREATE", HOST, "10.0.0.2"))
    assert (f"{HOST}.", "A") in records(account, zone)


def test_a_record_has_values_or_an_alias(account: Account) -> None:
    code, message = refused(account.change, account.zone(), "CREATE", HOST, "A", TTL=60)
    assert code == "InvalidInput"
    assert "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords]" in message


def test_aliases_lie_in_the_zone_of_their_load_balancer(account: Account) -> None:
    zone = account.zone()
    balancer = account.load_balancer(active=False)
    found = account.elbv2.describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"][0]

    def alias(zone_id: str, name: str = found["DNSName"]) -> dict[str, Any]:
        return {"AliasTarget": {"HostedZoneId": zone_id, "DNSName": name, "EvaluateTargetHealth": False}}

    _, message = refused(account.change, zone, "CREATE", HOST, **alias("Z35SXDOTRQ7X7K"))
    assert "does not lie within the target zone" in message
    right = alias(found["CanonicalHostedZoneId"])
    _, message = refused(account.change, zone, "CREATE", HOST, "AAAA", **right)
    assert "that target was not found" in message
    _, message = refused(account.change, zone, "CREATE", HOST, **alias(zone.rpartition("/")[2], f"none.{HOST}"))
    assert "that target was not found" in message
    account.change(zone, "CREATE", HOST, **right)
    listed = account.route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"][-1]
    assert listed["AliasTarget"]["DNSName"] == f"{found['DNSName']}."
    account.elbv2.delete_load_balancer(LoadBalancerArn=balancer)
    account.change(zone, "DELETE", HOST, **right)


def test_records_are_listed_by_reversed_labels_in_pages(account: Account) -> None:
    zone = account.zone()
    for name in ("b", "*", "a.b", "b-x"):
        account.change(zone, "CREATE", f"{name}.dev.example.com", "TXT", '"one" "two"')
    expected = [
        ("dev.example.com.", "NS"),
        ("dev.example.com.", "SOA"),
        (r"\052.dev.example.com.", "TXT"),
        ("b.dev.example.com.", "TXT"),
        ("a.b.dev.example.com.", "TXT"),
        ("b-x.dev.example.com.", "TXT"),
    ]
    assert records(account, zone) == expected
    pages = account.route53.get_paginator("list_resource_record_sets").paginate(
        HostedZoneId=zone, PaginationConfig={"PageSize": 2}
    )
    assert [(each["Name"], each["Type"]) for page in pages for each in page["ResourceRecordSets"]] == expected
    assert records(account, zone, StartRecordName="b.dev.example.com")[0] == expected[3]
    account.change(zone, "DELETE", "*.dev.example.com", "TXT", '"one" "two"')


def test_a_zone_keeps_its_own_records_and_goes_empty(account: Account) -> None:
    zone = account.zone()
    listed = account.route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    own = {each["Type"]: each for each in listed}
    assert own["SOA"]["ResourceRecords"][0]["Value"].startswith("ns-")
    for kind in ("NS", "SOA"):
        changes = [{"Action": "DELETE", "ResourceRecordSet": own[kind]}]
        code, _ = refused(
            account.route53.change_resource_record_sets, HostedZoneId=zone, ChangeBatch={"Changes": changes}
        )
        assert code == "InvalidChangeBatch"
    account.change(zone, "CREATE", HOST, "NS", "ns1.example.org")
    assert refused(account.route53.delete_hosted_zone, Id=zone)[0] == "HostedZoneNotEmpty"
    account.change(zone, "DELETE", HOST, "NS", "ns1.example.org")
    account.route53.delete_hosted_zone(Id=zone)
    assert refused(account.route53.get_hosted_zone, Id=zone)[0] == "NoSuchHostedZone"


def test_zones_are_found_by_name_in_order(account: Account) -> None:
    for name in ("example.com", "dev.example.com", "example.org"):
        account.zone(name)
    answer = account.route53.list_hosted_zones_by_name(DNSName="dev.example.com", MaxItems="1")
    assert [each["Name"] for each in answer["HostedZones"]] == ["dev.example.com."]
    assert answer["IsTruncated"]
    assert answer["NextDNSName"] == "example.org."
    # As on AWS, the list begins at the name asked for, whether there is such a zone or not.
    answer = account.route53.list_hosted_zones_by_name(DNSName="nothing.example.com")
    assert [each["Name"] for each in answer["HostedZones"]] == ["example.org."]


def test_zones_are_checked(account: Account) -> None:
    first = account.route53.create_hosted_zone(Name="a.example.com", CallerReference="once")["HostedZone"]
    again = refused(account.route53.create_hosted_zone, Name="b.example.com", CallerReference="once")
    assert again[0] == "HostedZoneAlreadyExists"
    assert refused(account.zone, "a..example.com")[0] == "InvalidDomainName"
    account.route53.change_tags_for_resource(
        ResourceType="hostedzone", ResourceId=first["Id"].rpartition("/")[2], AddTags=[{"Key": "a", "Value": "b"}]
    )
    tags = account.route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=first["Id"].rpartition("/")[2])[
        "ResourceTagSet"
    ]["Tags"]
    assert tags == [{"Key": "a", "Value": "b"}]


def test_a_zone_with_a_vpc_is_private(account: Account) -> None:
    vpc = {"VPCRegion": "eu-west-1", "VPCId": "vpc-0123"}
    made = account.route53.create_hosted_zone(Name="inside.example.com", CallerReference="inside", VPC=vpc)
    assert made["HostedZone"]["Config"]["PrivateZone"]
    assert (made["VPC"], "DelegationSet" in made) == (vpc, False)
    assert account.route53.get_hosted_zone(Id=made["HostedZone"]["Id"])["VPCs"] == [vpc]
    public = account.route53.create_hosted_zone(Name="outside.example.com", CallerReference="outside")
    assert len(public["DelegationSet"]["NameServers"]) == 4
    assert not public["HostedZone"]["Config"]["PrivateZone"]
