"""Signatures made by botocore, checked as AWS checks them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from springboard_local.cloud import ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY, REGION

if TYPE_CHECKING:
    from tests.local.iam.conftest import Account

URL = "https://api.example.com/environments/a%20b?labelSelector=team%3Dx&phase=Ready"


def signed(url: str = URL, secret: str = ADMIN_SECRET_KEY, body: bytes = b"{}") -> AWSRequest:
    request = AWSRequest("POST", url, {"Content-Type": "application/json"}, body)
    SigV4Auth(Credentials(ADMIN_ACCESS_KEY, secret), "execute-api", REGION).add_auth(request)
    return request


def verify(request: AWSRequest, **changes: Any) -> Any:
    from springboard_local.services import iam  # noqa: PLC0415 - after moto has its account

    url = urlsplit(request.url)
    headers = {**dict(request.headers.items()), "Host": url.netloc}
    given: dict[str, Any] = {
        "method": request.method,
        "path": url.path,
        "query": url.query,
        "headers": headers,
        "body_hash": hashlib.sha256(request.data or b"").hexdigest(),
    }
    return iam.verify_sigv4(**{**given, **changes})


@pytest.mark.usefixtures("account")
def test_a_good_signature_names_the_principal() -> None:
    assert verify(signed(), service="execute-api", region=REGION).administrator


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    "changes",
    [
        {"path": "/environments/other"},
        {"query": "phase=Failed"},
        {"method": "DELETE"},
        {"body_hash": hashlib.sha256(b"other").hexdigest()},
        {"service": "sts"},
        {"region": "us-east-1"},
        {"now": datetime.now(UTC) + timedelta(hours=1)},
        {"now": datetime.now(UTC) - timedelta(hours=1)},
        {"required_headers": ("x-k8s-aws-id",)},
    ],
)
def test_what_was_signed_is_what_counts(changes: dict[str, Any]) -> None:
    assert verify(signed(), **changes).code == "InvalidSignatureException"


@pytest.mark.usefixtures("account")
def test_another_secret_is_another_signature() -> None:
    assert verify(signed(secret="guess")).code == "InvalidSignatureException"
    assert verify(AWSRequest("GET", URL)).code == "MissingAuthenticationToken"


def presigned(account: Account, header: str = "shop") -> AWSRequest:
    role = account.role("caller")
    keys = account.client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    url = f"https://sts.{REGION}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("GET", url, {"x-k8s-aws-id": header})
    credentials = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    SigV4QueryAuth(credentials, "sts", REGION, expires=60).add_auth(request)
    return request


def test_a_token_of_eks_is_bound_to_its_cluster(account: Account) -> None:
    request = presigned(account)
    needed = {"service": "sts", "required_headers": ("x-k8s-aws-id",)}
    principal = verify(request, **needed)
    assert principal.role_arn.endswith(":role/caller")
    headers = {"Host": f"sts.{REGION}.amazonaws.com", "x-k8s-aws-id": "other"}
    assert verify(request, headers=headers, **needed).code == "InvalidSignatureException"
    late = datetime.now(UTC) + timedelta(seconds=70)
    assert verify(request, now=late, **needed).code == "InvalidSignatureException"
