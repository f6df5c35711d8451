"""An HTTP API as its clients see it: signatures, permissions, the payload, the gateway's own answers."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from springboard_local.cloud import ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY
from springboard_local.pipeline import Rule
from springboard_local.services import iam
from springboard_local.services.apigateway import PREFIX, Gateway, ThrottledError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from springboard_local.cloud import LocalCloud

FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:api"
ADMIN = Credentials(ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY)


@dataclass
class Invocation:
    payload: bytes
    error: str | None = None


@dataclass
class Function:
    """Stands in for Lambda: keeps the events, answers what the test says."""

    answer: Any = field(default_factory=lambda: {"statusCode": 200, "body": "{}"})
    error: str | None = None
    raises: Exception | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, function: str, payload: bytes) -> Invocation:
        assert function == FUNCTION
        self.events.append(json.loads(payload))
        if self.raises:
            raise self.raises
        return Invocation(json.dumps(self.answer).encode(), self.error)


@pytest.fixture
def function(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Function]:
    made = Function()
    cloud.mount(PREFIX, Gateway(cloud, made))
    # The function is a stub without a policy of its own; whether it lets the gateway in is IAM's test.
    monkeypatch.setattr(iam, "authorize_service", lambda *_: None)
    yield made
    cloud.mount(PREFIX, Gateway(cloud))


@pytest.fixture
def api(cloud: LocalCloud, aws: Any, function: Function) -> str:  # noqa: ARG001 - the function has to be there first
    gateway = aws("apigatewayv2")
    api_id = gateway.create_api(Name="shop", ProtocolType="HTTP")["ApiId"]
    integration = gateway.create_integration(
        ApiId=api_id, IntegrationType="AWS_PROXY", IntegrationUri=FUNCTION, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    for key, kind in (("ANY /{proxy+}", "AWS_IAM"), ("GET /health", "NONE"), ("GET /pets/{pet}", "AWS_IAM")):
        gateway.create_route(ApiId=api_id, RouteKey=key, AuthorizationType=kind, Target=f"integrations/{integration}")
    gateway.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True)
    return f"{cloud.endpoint}{PREFIX}{api_id}"


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def send(
    url: str,
    credentials: Credentials | None = ADMIN,
    method: str = "GET",
    body: bytes = b"",
    *,
    headers: dict[str, str] | None = None,
    tamper: Callable[[dict[str, str]], None] = lambda _: None,
) -> Answer:
    request = AWSRequest(method, url, data=body, headers=headers or {})
    if credentials:
        SigV4Auth(credentials, "execute-api", "eu-west-1").add_auth(request)
    sent = dict(request.headers.items())
    tamper(sent)
    parsed = urlparse(url)
    connection = http.client.HTTPConnection("127.0.0.1", parsed.port, timeout=20)
    try:
        target = parsed.path + (f"?{parsed.query}" if parsed.query else "")
        connection.request(method, target, body or None, sent)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
    finally:
        connection.close()


def test_a_signed_request_reaches_the_function_with_who_sent_it(
    api: str, function: Function, cloud: LocalCloud
) -> None:
    function.answer = {"statusCode": 202, "headers": {"location": "/x"}, "body": "ok", "cookies": ["a=1", "b=2"]}
    answer = send(
        f"{api}/environments/shop?b=2&a=1&b=3", method="POST", body=b'{"x": 1}', headers={"Cookie": "c=3; d=4"}
    )
    assert (answer.status, answer.body, answer.headers["location"]) == (202, b"ok", "/x")
    event = function.events[0]
    assert (event["version"], event["routeKey"]) == ("2.0", "ANY /{proxy+}")
    assert (event["rawPath"], event["rawQueryString"]) == ("/environments/shop", "b=2&a=1&b=3")
    assert event["queryStringParameters"] == {"a": "1", "b": "2,3"}
    assert event["pathParameters"] == {"proxy": "environments/shop"}
    assert (event["body"], event["isBase64Encoded"], event["cookies"]) == ('{"x": 1}', False, ["c=3", "d=4"])
    context = event["requestContext"]
    assert context["authorizer"]["iam"]["userArn"] == "arn:aws:iam::111122223333:root"
    assert context["authorizer"]["iam"]["accountId"] == "111122223333"
    assert context["timeEpoch"] == int(cloud.clock.now().timestamp() * 1_000)
    assert context["http"]["method"] == "POST"
    call = cloud.pipeline.calls()[-1]
    assert (call.service, call.operation, call.status) == ("execute-api", "Invoke", 202)


def test_no_signature_and_a_wrong_one_are_told_apart(api: str, function: Function) -> None:
    unsigned = send(f"{api}/environments", None)
    assert (unsigned.status, unsigned.json) == (403, {"message": "Missing Authentication Token"})
    for answer in (
        send(f"{api}/environments", Credentials(ADMIN_ACCESS_KEY, "wrong")),
        send(f"{api}/environments", Credentials("AKIAAAAAAAAAAAAAAAAA", "unknown")),
        send(f"{api}/environments", tamper=lambda headers: headers.update({"X-Amz-Date": "20200101T000000Z"})),
    ):
        assert (answer.status, answer.json) == (403, {"message": "Forbidden"})
    assert function.events == []


def test_the_signature_covers_the_body(api: str, function: Function) -> None:
    request = AWSRequest("POST", f"{api}/environments", data=b"{}")
    SigV4Auth(ADMIN, "execute-api", "eu-west-1").add_auth(request)
    answer = send(f"{api}/environments", None, "POST", b'{"evil": 1}', headers=dict(request.headers.items()))
    assert answer.status == 403
    assert function.events == []


def test_b13_a_role_needs_invoke_on_the_route(
    api: str, function: Function, cloud: LocalCloud, role: Callable[..., str]
) -> None:
    api_id = api.rsplit("/", 1)[1]
    resource = f"arn:aws:execute-api:eu-west-1:111122223333:{api_id}/$default/GET/environments/*"
    reader = role("reader", {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource})
    keys = cloud.client("sts").assume_role(RoleArn=reader, RoleSessionName="me")["Credentials"]
    session = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    assert send(f"{api}/environments/shop", session).status == 200
    assert send(f"{api}/environments/shop", session, "DELETE").status == 403
    assert send(f"{api}/versions", session).status == 403
    stolen = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"])
    assert send(f"{api}/environments/shop", stolen).status == 403
    user = function.events[0]["requestContext"]["authorizer"]["iam"]["userArn"]
    assert user == "arn:aws:sts::111122223333:assumed-role/reader/me"


def test_the_route_that_fits_best_is_taken(api: str, function: Function) -> None:
    assert send(f"{api}/health", None).status == 200
    assert "authorizer" not in function.events[0]["requestContext"]
    send(f"{api}/pets/rex")
    assert (function.events[1]["routeKey"], function.events[1]["pathParameters"]) == ("GET /pets/{pet}", {"pet": "rex"})
    send(f"{api}/pets/rex", method="DELETE")
    assert function.events[2]["routeKey"] == "ANY /{proxy+}"


def test_what_is_not_there_is_not_found(api: str, cloud: LocalCloud) -> None:
    for url in (f"{api}/", f"{cloud.endpoint}{PREFIX}nothing/environments"):
        answer = send(url)
        assert (answer.status, answer.json) == (404, {"message": "Not Found"})


def test_failures_are_the_gateways_own_answers(api: str, function: Function) -> None:
    function.error = "Unhandled"
    assert send(f"{api}/x").json == {"message": "Internal Server Error"}
    function.error, function.raises = None, ThrottledError()
    assert (send(f"{api}/x").status, send(f"{api}/x").json) == (503, {"message": "Service Unavailable"})
    function.raises = TimeoutError()
    assert send(f"{api}/x").status == 503
    function.raises, function.answer = None, {"statusCode": "many"}
    assert send(f"{api}/x").status == 500


def test_a_body_over_the_limit_is_refused(api: str, function: Function) -> None:
    answer = send(f"{api}/x", method="POST", body=b"x" * (10 * 1024 * 1024 + 1))
    assert (answer.status, answer.json) == (413, {"message": "Request Entity Too Large"})
    assert function.events == []


def test_an_answer_without_a_status_is_json(api: str, function: Function) -> None:
    function.answer = {"hello": "world"}
    answer = send(f"{api}/x")
    assert (answer.status, answer.json, answer.headers["content-type"]) == (200, {"hello": "world"}, "application/json")


def test_binary_bodies_travel_as_base64(api: str, function: Function) -> None:
    function.answer = {"statusCode": 200, "body": "/wA=", "isBase64Encoded": True}
    assert send(f"{api}/x", method="POST", body=b"\xff\x00").body == b"\xff\x00"
    assert (function.events[0]["body"], function.events[0]["isBase64Encoded"]) == ("/wA=", True)


def test_the_access_log_cannot_be_forged(api: str, aws: Any) -> None:
    aws("logs").create_log_group(logGroupName="access")
    group = "arn:aws:logs:eu-west-1:111122223333:log-group:access:*"
    aws("apigatewayv2").update_stage(
        ApiId=api.rsplit("/", 1)[1],
        StageName="$default",
        AccessLogSettings={"DestinationArn": group, "Format": '{"path":"$context.path","status":"$context.status"}'},
    )
    send(f"{api}/a%0Ab%22c")
    events = aws("logs").filter_log_events(logGroupName="access")["events"]
    assert [json.loads(each["message"]) for each in events] == [{"path": '/a\nb"c', "status": "200"}]
    assert "\n" not in events[0]["message"]


def test_faults_strike_the_gateway_too(api: str, cloud: LocalCloud) -> None:
    cloud.pipeline.inject(Rule("execute-api", "throttle"))
    assert send(f"{api}/x").status == 429
    cloud.pipeline.inject(Rule("execute-api", "reset"))
    with pytest.raises(ConnectionResetError):
        send(f"{api}/x")
    assert send(f"{api}/x").status == 200
