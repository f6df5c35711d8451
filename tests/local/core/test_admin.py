"""The admin API, as tests and benchmarks use it, and what reaches the server at all."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from springboard_local.admin import Admin

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
    ask(cloud, "DELETE", "/_local/calls")
    assert ask(cloud, "GET", "/_local/calls")[1] == []


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
        [],
    )
    for body in faults:
        assert ask(cloud, "POST", "/_local/faults", body)[0] == 400
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
