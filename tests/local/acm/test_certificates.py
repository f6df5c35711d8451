"""ACM issues a certificate once its CNAMEs are in public DNS, and no sooner."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.local.elb.scenario import Account

NAME = "shop.dev.example.com"


def refused(call: Any, *arguments: Any, **settings: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **settings)
    return str(caught.value.response["Error"]["Code"])


def record(account: Account, arn: str, name: str = NAME) -> dict[str, str]:
    options = account.certificate(arn)["DomainValidationOptions"]
    found: dict[str, str] = next(each for each in options if each["DomainName"] == name)["ResourceRecord"]
    return found


def test_the_record_comes_some_seconds_after_the_request(account: Account) -> None:
    arn = account.request_certificate()
    [option] = account.certificate(arn)["DomainValidationOptions"]
    assert "ResourceRecord" not in option
    account.clock.advance(6)
    found = record(account, arn)
    assert found["Type"] == "CNAME"
    assert found["Name"].endswith(f".{NAME}.")
    assert found["Value"].endswith(".acm-validations.aws.")


def test_a_name_has_one_record_for_all_its_certificates(account: Account) -> None:
    first, second = account.request_certificate(), account.request_certificate()
    wildcard = account.request_certificate(f"*.{NAME}")
    account.clock.advance(6)
    assert first != second
    assert record(account, first) == record(account, second) == record(account, wildcard, f"*.{NAME}")


def test_a_certificate_is_issued_once_its_records_are_there(account: Account) -> None:
    zone, arn = account.zone(), account.request_certificate(NAME, "www.dev.example.com")
    account.clock.advance(3600)
    assert account.certificate(arn)["Status"] == "PENDING_VALIDATION"
    assert refused(account.acm.get_certificate, CertificateArn=arn) == "RequestInProgressException"
    first, second = (each["ResourceRecord"] for each in account.certificate(arn)["DomainValidationOptions"])
    account.change(zone, "CREATE", first["Name"], "CNAME", first["Value"])
    account.clock.advance(3600)
    assert account.certificate(arn)["Status"] == "PENDING_VALIDATION"
    account.change(zone, "CREATE", second["Name"], "CNAME", second["Value"])
    account.clock.advance(220)
    found = account.certificate(arn)
    assert found["Status"] == "ISSUED"
    assert found["SubjectAlternativeNames"] == [NAME, "www.dev.example.com"]
    assert [each["ValidationStatus"] for each in found["DomainValidationOptions"]] == ["SUCCESS", "SUCCESS"]
    assert account.acm.get_certificate(CertificateArn=arn)["Certificate"].startswith("-----BEGIN CERTIFICATE")


def test_a_record_serves_once_its_own_change_has_reached_the_name_servers(account: Account) -> None:
    zone, arn = account.zone(), account.request_certificate()
    account.clock.advance(20)  # 10 s before the change that made the zone is INSYNC
    wanted = record(account, arn)
    account.change(zone, "CREATE", wanted["Name"], "CNAME", wanted["Value"])
    account.clock.advance(208)  # of 30 s for this change and 180 s for the validation that begins then
    assert account.certificate(arn)["Status"] == "PENDING_VALIDATION"
    account.clock.advance(4)
    assert account.certificate(arn)["Status"] == "ISSUED"


def test_a_wrong_value_or_a_private_zone_does_not_validate(account: Account) -> None:
    arn = account.request_certificate()
    account.clock.advance(6)
    wanted = record(account, arn)
    account.change(account.zone(), "CREATE", wanted["Name"], "CNAME", "_wrong.acm-validations.aws.")
    vpc = {"VPCId": account.vpc, "VPCRegion": "eu-west-1"}
    private = account.zone(HostedZoneConfig={"PrivateZone": True}, VPC=vpc)
    account.change(private, "CREATE", wanted["Name"], "CNAME", wanted["Value"])
    account.clock.advance(3600)
    assert account.certificate(arn)["Status"] == "PENDING_VALIDATION"


def test_validation_times_out_after_three_days(account: Account) -> None:
    arn = account.request_certificate()
    account.clock.advance(72 * 3600 - 60)
    assert account.certificate(arn)["Status"] == "PENDING_VALIDATION"
    account.clock.advance(120)
    assert account.certificate(arn)["Status"] == "VALIDATION_TIMED_OUT"


def test_an_injected_failure_shows_its_reason(account: Account) -> None:
    acm = importlib.import_module("springboard_local.services.acm")  # imports moto: only once the cloud runs
    acm.inject(NAME, "CAA_ERROR")
    try:
        found = account.certificate(account.issued_certificate())
        assert (found["Status"], found["FailureReason"]) == ("FAILED", "CAA_ERROR")
    finally:
        acm.inject(NAME, "")


def test_a_token_is_replayed_for_an_hour(account: Account) -> None:
    first = account.request_certificate(IdempotencyToken="abc")
    account.clock.advance(3500)
    assert account.request_certificate(IdempotencyToken="abc") == first
    account.clock.advance(200)
    assert account.request_certificate(IdempotencyToken="abc") != first


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["a" * 60 + ".example.com"], "ValidationException"),
        (["-shop.example.com"], "ValidationException"),
        (["shop.*.example.com"], "ValidationException"),
        (["shop.example.com", "sh_op.example.com"], "ValidationException"),
        ([f"n{number}.example.com" for number in range(11)], "LimitExceededException"),
    ],
)
def test_names_are_checked(account: Account, names: list[str], code: str) -> None:
    assert refused(account.request_certificate, *names) == code


def test_certificates_are_listed_by_status_and_keep_their_tags(account: Account) -> None:
    issued = account.issued_certificate()
    pending = account.request_certificate("other.example.com", Tags=[{"Key": "team", "Value": "checkout"}])
    answer = account.acm.list_certificates(CertificateStatuses=["PENDING_VALIDATION"])["CertificateSummaryList"]
    assert [each["CertificateArn"] for each in answer] == [pending]
    pages = account.acm.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 1})
    found = [each["CertificateArn"] for page in pages for each in page["CertificateSummaryList"]]
    assert found == [issued, pending]
    tags = account.acm.list_tags_for_certificate(CertificateArn=pending)["Tags"]
    assert tags == [{"Key": "team", "Value": "checkout"}]
    account.acm.delete_certificate(CertificateArn=pending)
    assert refused(account.certificate, pending) == "ResourceNotFoundException"
