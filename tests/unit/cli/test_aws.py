"""Credentials, signatures and AWS's refusals, with botocore itself and no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import botocore.exceptions
import pytest

from springboard_cli import aws
from springboard_cli.errors import CommandError, Exit

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def test_a_request_is_signed_for_execute_api() -> None:
    account = aws.Account(None, "eu-west-1")

    signed = account.sign("POST", "https://api.example.com/environments", {"Content-Type": "application/json"}, b"{}")

    assert "/eu-west-1/execute-api/aws4_request" in signed["Authorization"]
    assert "content-type;host;x-amz-date" in signed["Authorization"]
    assert "secret" not in str(signed)


def test_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(CommandError, match="no AWS credentials") as caught:
        aws.Account(None, "eu-west-1").sign("GET", "https://api.example.com/", {}, b"")
    assert caught.value.code is Exit.NOT_AUTHORISED


def test_without_a_region() -> None:
    with pytest.raises(CommandError, match="no region") as caught:
        _ = aws.Account(None, None).region
    assert caught.value.code is Exit.INVALID


def test_a_profile_that_does_not_exist() -> None:
    with pytest.raises(CommandError, match="nobody") as caught:
        _ = aws.Account("nobody", None).region
    assert caught.value.code is Exit.INVALID


def test_aws_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    account = aws.Account(None, "eu-west-1")

    with pytest.raises(CommandError, match="AWS does not answer"):
        account.call("sts", "get_caller_identity")


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("AccessDenied", Exit.NOT_AUTHORISED),
        ("ExpiredToken", Exit.NOT_AUTHORISED),
        ("InvalidClientTokenId", Exit.NOT_AUTHORISED),
        ("Throttling", Exit.FAILED),
    ],
)
def test_a_refusal_says_what_to_do(code: str, ends: Exit) -> None:
    err = botocore.exceptions.ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeStacks")

    refused = aws.refusal(err)

    assert (refused.code, refused.aws_code) == (ends, code)
    assert bool(refused.remedy) is (ends is Exit.NOT_AUTHORISED)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:5102/_apigw/x", True),
        ("http://localhost:1", True),
        ("http://[::1]:1", True),
        ("https://abc.execute-api.eu-west-1.amazonaws.com", False),
        ("https://127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_the_local_cloud_is_known_by_its_address(url: str, local: bool) -> None:  # noqa: FBT001 - a parameter
    assert aws.is_loopback(url) is local


@pytest.mark.parametrize(
    ("region", "endpoint", "words", "remedy"),
    [
        ("eu west 1", None, "eu west 1", "as eu-west-1"),
        ("eu-west-1", "nonsense", "nonsense", "AWS_ENDPOINT_URL"),
        ("eu-west-1", "http://[::1", "Invalid", "AWS_ENDPOINT_URL"),
    ],
)
def test_what_is_no_region_or_no_address_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, region: str, endpoint: str | None, words: str, remedy: str
) -> None:
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    with pytest.raises(CommandError, match=words) as caught:
        aws.Account(None, region).stack("springboard")
    assert caught.value.code is Exit.INVALID
    assert remedy in caught.value.remedy
    assert not aws.is_loopback(endpoint or "")
