"""The admin API, as tests and benchmarks use it, and what reaches the server at all."""

from __future__ import annotations

import contextlib
import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlparse

import pytest
from botocore.exceptions import ClientError

from springboard_local.admin import Admin
from springboard_local.pipeline import Pipeline
from springboard_local.redaction import Redaction
from springboard_local.server import Server

if TYPE_CHECKING:
    from springboard_local.clock import ManualClock
    from springboard_local.cloud import LocalCloud


def ask(cloud: LocalCloud, method: str, path: str, body: Any = None, host: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", urlparse(cloud.endpoint).port, timeout=10)
    try:
        headers = {"Host": host} if host else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_health_names_the_instance(cloud: LocalCloud) -> None:
    status, health = ask(cloud, "GET", "/_local/health")
    assert (status, health["status"], health["instance"]) == (200, "ok", cloud.instance)


def test_calls_are_found_by_their_fields(cloud: LocalCloud, aws: Any) -> None:
    aws("sqs").create_queue(QueueName="q")
    aws("sqs").list_queues()
    aws("sns").list_topics()
    assert [each["operation"] for each in ask(cloud, "GET", "/_local/calls?service=sqs")[1]] == [
        "CreateQueue",
        "ListQueues",
    ]
    mutating = ask(cloud, "GET", "/_local/calls?mutating=true&operation=Create*")[1]
    assert [each["service"] for each in mutating] == ["sqs"]
    last = ask(cloud, "GET", "/_local/calls?limit=1")[1][0]["number"]
    assert ask(cloud, "GET", f"/_local/calls?after={last}")[1] == []
    assert ask(cloud, "GET", "/_local/calls?colour=red")[0] == 400
    assert ask(cloud, "GET", "/_local/calls?after=monday")[0] == 400
    ask(cloud, "DELETE", "/_local/calls")
    assert ask(cloud, "GET", "/_local/calls")[1] == []


def test_calls_say_what_was_asked_and_what_was_answered(cloud: LocalCloud, aws: Any) -> None:
    aws("sqs").create_queue(QueueName="shop", Attributes={"DelaySeconds": "7"})
    with pytest.raises(ClientError) as raised:
        aws("eks").describe_cluster(name="shop")
    fault = ask(cloud, "POST", "/_local/faults", {"service": "iam", "kind": "throttle"})[1]
    with pytest.raises(ClientError):
        aws("iam").get_role(RoleName="r")
    made, described, throttled = ask(cloud, "GET", "/_local/calls")[1][-3:]
    assert made["parameters"] == {"QueueName": "shop", "Attributes": {"DelaySeconds": "7"}}
    assert (made["status"], made["error"], made["message"], made["fault"]) == (200, None, None, None)
    assert made["milliseconds"] > 0
    assert (described["status"], described["error"]) == (404, "ResourceNotFoundException")
    assert described["message"] == raised.value.response["Error"]["Message"]
    assert (throttled["message"], throttled["fault"]) == ("Rate exceeded", fault["number"])
    named = ask(cloud, "GET", '/_local/calls?parameters=*"QueueName":+"shop"*')[1]
    assert [each["number"] for each in named] == [made["number"]]


SECRET = "k3ep-this-to-yourself"


@pytest.mark.parametrize(
    ("service", "method", "parameters"),
    [
        ("ssm", "put_parameter", {"Name": "n", "Value": SECRET, "Type": "SecureString"}),
        ("secretsmanager", "create_secret", {"Name": "n", "SecretString": SECRET}),
        ("iam", "create_login_profile", {"UserName": "u", "Password": SECRET}),
        (
            "sts",
            "assume_role_with_web_identity",
            {"RoleArn": "r" * 20, "RoleSessionName": "s1", "WebIdentityToken": SECRET},
        ),
        ("stepfunctions", "send_task_success", {"taskToken": SECRET, "output": f'"{SECRET}"'}),
        (
            "stepfunctions",
            "start_execution",
            {"stateMachineArn": "arn:aws:states:eu-west-1:1:stateMachine:m", "input": SECRET},
        ),
        ("lambda", "invoke", {"FunctionName": "f", "Payload": json.dumps({"password": SECRET})}),
        (
            "lambda",
            "create_function",
            {
                "FunctionName": "f",
                "Role": "arn:aws:iam::111122223333:role/r",
                "Code": {"ZipFile": SECRET.encode()},
                "Environment": {"Variables": {"PASSWORD": SECRET}},
            },
        ),
        ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": SECRET.encode()}),
        ("sqs", "send_message", {"QueueUrl": "http://127.0.0.1/q", "MessageBody": SECRET}),
        ("sns", "publish", {"TopicArn": "arn:aws:sns:eu-west-1:111122223333:t", "Message": SECRET}),
        (
            "events",
            "put_events",
            {"Entries": [{"Source": "s", "DetailType": "d", "Detail": json.dumps({"a": SECRET})}]},
        ),
        ("dynamodb", "put_item", {"TableName": "t", "Item": {"pk": {"S": "a"}, "env": {"M": {"A": {"S": SECRET}}}}}),
        (
            "dynamodb",
            "update_item",
            {
                "TableName": "t",
                "Key": {"pk": {"S": "a"}},
                "UpdateExpression": "SET a = :a",
                "ExpressionAttributeValues": {":a": {"S": SECRET}},
            },
        ),
        ("kms", "encrypt", {"KeyId": "alias/a", "Plaintext": SECRET.encode()}),
        ("cloudformation", "create_stack", {"StackName": "s", "TemplateBody": SECRET}),
        (
            "cloudformation",
            "create_stack",
            {"StackName": "s", "TemplateURL": "u", "Parameters": [{"ParameterKey": "P", "ParameterValue": SECRET}]},
        ),
        (
            "logs",
            "put_log_events",
            {"logGroupName": "g", "logStreamName": "s", "logEvents": [{"timestamp": 1, "message": SECRET}]},
        ),
    ],
)
def test_calls_keep_no_secret(
    cloud: LocalCloud, aws: Any, service: str, method: str, parameters: dict[str, Any]
) -> None:
    with contextlib.suppress(ClientError):  # what is asked for need not be there
        getattr(aws(service), method)(**parameters)
    call = ask(cloud, "GET", "/_local/calls?limit=1")[1][0]
    assert call["operation"].lower() == method.replace("_", "")
    assert call["parameters"]
    assert SECRET not in json.dumps(ask(cloud, "GET", "/_local/calls"))


def test_a_presigned_signature_and_a_session_token_are_not_kept(cloud: LocalCloud, role: Any) -> None:
    arn = role("signer", {"Effect": "Allow", "Action": "*", "Resource": "*"})
    client = cloud.client("sts", arn)
    url = urlparse(client.generate_presigned_url("get_caller_identity"))
    with contextlib.suppress(ValueError):  # STS answers in XML
        ask(cloud, "GET", f"{url.path}?{url.query}")
    signed = parse_qs(url.query)
    text = json.dumps(ask(cloud, "GET", "/_local/calls"))
    assert '"GetCallerIdentity"' in text
    for name in ("X-Amz-Signature", "X-Amz-Security-Token"):
        assert signed[name][0] not in text


def test_a_message_does_not_repeat_what_was_hidden() -> None:
    kept = Redaction.of("iam", "CreateLoginProfile", {"UserName": "u", "Password": SECRET})
    assert kept.parameters == {"UserName": "u", "Password": "***"}
    assert kept.message(f"The password {SECRET} is too weak.") == "The password *** is too weak."


def test_the_parameters_of_old_calls_go_before_the_calls(clock: ManualClock, cloud: LocalCloud) -> None:
    from springboard_local.moto_application import application  # noqa: PLC0415 - once the account is set

    small = Pipeline(application(), clock, limit=4, detailed=2)
    server = Server(small)
    server.start()
    client = cloud._session.client(
        "sqs", endpoint_url=f"http://127.0.0.1:{server.port}", aws_access_key_id="a", aws_secret_access_key="b"
    )
    for number in range(6):
        client.create_queue(QueueName=f"q{number}")
    client.close()
    server.stop()
    assert [each.parameters for each in small.calls()] == [None, None, {"QueueName": "q4"}, {"QueueName": "q5"}]


def test_faults_come_and_go(cloud: LocalCloud) -> None:
    status, made = ask(cloud, "POST", "/_local/faults", {"service": "eks", "kind": "throttle", "times": 3})
    assert (status, made["times"], made["struck"]) == (200, 3, 0)
    assert [each["number"] for each in ask(cloud, "GET", "/_local/faults")[1]] == [made["number"]]
    assert ask(cloud, "DELETE", f"/_local/faults/{made['number']}")[0] == 200
    assert ask(cloud, "GET", "/_local/faults")[1] == []


def test_a_fault_that_makes_no_sense_is_refused(cloud: LocalCloud) -> None:
    faults: tuple[object, ...] = (
        {"service": "eks"},
        {"service": "eks", "kind": "explode"},
        {"service": "eks", "kind": "error", "probability": 2},
        {"service": "eks", "kind": "error", "colour": "red"},
        {"service": "eks", "kind": "error", "times": -1},
        {"service": "eks", "kind": "error", "times": True},
        {"service": "eks", "kind": "error", "seed": "many"},
        {"service": "eks", "kind": "error", "status": 200},
        {"service": "eks", "kind": "throttle", "code": "Mine"},
        {"service": "eks", "kind": "reset", "operation": "MakeCluster"},
        {"service": "elbv2", "kind": "reset"},
        {"service": "nobody", "kind": "reset"},
        [],
    )
    for body in faults:
        status, answer = ask(cloud, "POST", "/_local/faults", body)
        assert (status, bool(answer["message"])) == (400, True)
    assert ask(cloud, "GET", "/_local/faults")[1] == []


def test_the_clock_can_be_advanced(cloud: LocalCloud, clock: ManualClock) -> None:
    before = clock.now()
    assert ask(cloud, "POST", "/_local/clock", {"advance": 90})[0] == 200
    assert (clock.now() - before).total_seconds() == 90
    assert ask(cloud, "POST", "/_local/clock", {"speed": 2})[0] == 409
    assert ask(cloud, "POST", "/_local/clock", {})[0] == 400


def test_reset_empties_the_account(cloud: LocalCloud, aws: Any) -> None:
    aws("sqs").create_queue(QueueName="q")
    assert ask(cloud, "POST", "/_local/reset")[0] == 200
    assert "QueueUrls" not in aws("sqs").list_queues()


def test_what_is_not_there_is_a_404(cloud: LocalCloud) -> None:
    assert ask(cloud, "GET", "/_local/nothing")[0] == 404
    assert ask(cloud, "POST", "/moto-api/reset")[0] == 404
    assert ask(cloud, "POST", "/_local/kubernetes/none", {"kind": "Pod"})[0] == 404


def test_other_host_names_are_refused(cloud: LocalCloud) -> None:
    for host in ("rebound.example.com", "127.0.0.1.example.com", "metadata.execute-api.example.com"):
        assert ask(cloud, "GET", "/_local/health", host=host)[0] == 403
    assert ask(cloud, "GET", "/_local/health", host="localhost:1")[0] == 200


def test_a_failure_of_the_cloud_is_an_answer() -> None:
    class Broken:
        instance = "x"

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    statuses: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/_local/clock", "wsgi.input": __import__("io").BytesIO()}
    Admin(Broken())(environ, lambda status, _: statuses.append(status))
    assert statuses == ["500 -"]
