"""The Kubernetes adapter: what answers mean, what is sent, and what is loaded for it."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from springboard.errors import AccessDeniedError, RefusedError, ThrottledError, UnavailableError
from springboard.kube.client import Kubernetes, translated, unreached
from springboard.kube.official import ApiException
from springboard.kube.token import token

CERTIFICATE = base64.b64encode(b"not looked at").decode()


@pytest.fixture
def session() -> boto3.session.Session:
    return boto3.session.Session("AKIDEXAMPLE", "secret", "session-token", region_name="eu-west-1")


def test_the_token_is_a_presigned_question_who_we_are_for_this_cluster(session: boto3.session.Session) -> None:
    made = token(session, "sb-shop")
    scheme, _, encoded = made.partition(".")
    assert (scheme, "=" in encoded) == ("k8s-aws-v1", False)
    url = urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    assert url.hostname == "sts.eu-west-1.amazonaws.com"
    query = parse_qs(url.query)
    assert query["Action"] == ["GetCallerIdentity"]
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]


def status(reason: str, message: str = "said so", **details: Any) -> str:
    return json.dumps({"kind": "Status", "reason": reason, "message": message, "details": details})


@pytest.mark.parametrize(
    ("code", "body", "error"),
    [
        (401, status("Unauthorized"), AccessDeniedError),
        (403, status("Forbidden"), AccessDeniedError),
        (404, status("NotFound"), RefusedError),
        (409, status("Conflict"), UnavailableError),
        (422, status("Invalid"), RefusedError),
        (429, status("TooManyRequests"), ThrottledError),
        (500, "oops", UnavailableError),
        (503, None, UnavailableError),
        (0, None, UnavailableError),
    ],
)
def test_what_an_answer_means(code: int, body: str | None, error: type[Exception]) -> None:
    assert type(translated(code, body, "reason", "GET /x")) is error


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ('pods is forbidden: User "x" cannot create resource "pods" in API group ""', AccessDeniedError),
        ('forbidden: User "x" cannot post path "/x"', AccessDeniedError),
        ('pods "a" is forbidden: exceeded quota: small, requested: pods=1', RefusedError),
        ('admission webhook "images.example.com" denied the request: not signed', RefusedError),
    ],
)
def test_rights_that_lack_are_told_from_rules_that_say_no(said: str, error: type[Exception]) -> None:
    found = translated(403, status("Forbidden", said), "Forbidden", "POST /x")
    assert type(found) is error
    assert said in found.message


def test_a_field_of_another_manager_is_named_and_not_retried() -> None:
    cause = {"reason": "FieldManagerConflict", "field": ".spec.replicas", "message": 'conflict with "kubectl"'}
    error = translated(409, status("Conflict", causes=[cause]), "Conflict", "PATCH /x")
    assert isinstance(error, RefusedError)
    assert error.code == "FieldManagerConflict"
    assert ".spec.replicas" in error.message
    assert error.remedy != ""


class Answers:
    """Stands for the official client: gives the scripted answers, remembers what was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]

    def call_api(self, path: str, method: str, **parameters: Any) -> Any:
        self.asked.append((method, path, parameters))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def kubernetes(session: boto3.session.Session, *answers: Any) -> tuple[Kubernetes, Answers]:
    client = Kubernetes(session, "sb-shop", "https://127.0.0.1:1", CERTIFICATE)
    client._client = Answers(*answers)
    return client, client._client


def refusal(code: int, reason: str) -> ApiException:
    error = ApiException(status=code, reason=reason)
    error.body = status(reason)
    error.headers = {"authorization": "hush"}
    return error


def test_apply_is_server_side_with_our_own_manager_and_never_by_force(session: boto3.session.Session) -> None:
    client, answers = kubernetes(session, {"kind": "Namespace"})
    client.apply("/api/v1/namespaces/shop", {"metadata": {"name": "shop"}})
    ((method, _, parameters),) = answers.asked
    assert method == "PATCH"
    assert parameters["header_params"]["Content-Type"] == "application/apply-patch+yaml"
    assert ("fieldManager", "springboard") in parameters["query_params"]
    assert ("force", "false") in parameters["query_params"]


def test_what_is_not_there_is_none_and_deleted_already(session: boto3.session.Session) -> None:
    client, _ = kubernetes(session, refusal(404, "NotFound"), refusal(404, "NotFound"))
    assert client.get("/api/v1/namespaces/shop") is None
    client.delete("/api/v1/namespaces/shop")


def test_an_old_token_is_made_anew_once(session: boto3.session.Session) -> None:
    client, answers = kubernetes(session, {"items": []}, refusal(401, "Unauthorized"), {"items": [{"kind": "Pod"}]})
    client.objects("/api/v1/pods")
    assert client.objects("/api/v1/pods") == [{"kind": "Pod"}]
    assert len(answers.asked) == 3
    fresh, _ = kubernetes(session, refusal(401, "Unauthorized"))
    with pytest.raises(AccessDeniedError):
        fresh.objects("/api/v1/pods")


def test_an_error_tells_no_token(session: boto3.session.Session) -> None:
    client, _ = kubernetes(session, refusal(403, "Forbidden"))
    with pytest.raises(AccessDeniedError) as caught:
        client.objects("/api/v1/pods")
    assert "hush" not in repr(caught.value) + str(caught.value.__cause__)
    assert "k8s-aws-v1" not in str(caught.value)


def test_an_unreachable_api_is_unavailable(session: boto3.session.Session) -> None:
    authority = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n").decode()
    with pytest.raises(UnavailableError, match="no connection could be made") as caught:
        Kubernetes(session, "sb-shop", "http://127.0.0.1:1", authority).objects("/api/v1/pods")
    assert "security group" in caught.value.remedy


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (NameResolutionError("x.eks.amazonaws.com", HTTPConnection("x"), socket.gaierror()), "name does not resolve"),
        (ConnectTimeoutError("late"), "no connection within 3 seconds"),
        (ReadTimeoutError(HTTPConnectionPool("x"), "/api", "late"), "no answer within 20 seconds"),
        (SSLError("certificate verify failed"), "not of the cluster's authority"),
        (ProtocolError("Connection aborted."), "broke off"),
    ],
)
def test_a_request_without_an_answer_says_why(cause: HTTPError, told: str) -> None:
    for error in (cause, MaxRetryError(HTTPConnectionPool("x"), "/api", cause)):
        said = unreached(error)
        assert told in said.message
        assert said.remedy
        assert "Error" not in said.message


def test_none_of_the_official_models_is_loaded() -> None:
    script = (
        "import sys; from springboard.kube import client;"
        "left = [name for name in sys.modules if name.startswith('kubernetes')];"
        "assert client.ApiClient and not left, left"  # so whoever imports it later gets the whole of it
    )
    subprocess.run(  # noqa: S603 - our own interpreter and our own words
        [sys.executable, "-c", script], check=True, timeout=60
    )
