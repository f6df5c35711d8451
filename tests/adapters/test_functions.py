"""Asking several functions at once: every answer counts, and none that is missing breaks the question."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

from botocore.exceptions import ClientError

from springboard.aws.functions import Functions


class Client:
    """boto3's client of Lambda: answers by function name."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.events: list[Any] = []
        self.release = threading.Event()

    def invoke(self, **parameters: Any) -> dict[str, Any]:
        self.events.append(json.loads(parameters["Payload"]))
        answer = self.answers[parameters["FunctionName"]]
        if answer == "late":
            self.release.wait(10)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            return {"Payload": io.BytesIO(answer.encode())}
        body = io.BytesIO(json.dumps(answer).encode())
        return {"Payload": body, **({"FunctionError": "Unhandled"} if "errorType" in answer else {})}


def test_every_answer_and_every_failure() -> None:
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Invoke")
    client = Client(
        {
            "F1": {"component": "one", "changes": []},
            "F2": {"errorType": "ThrottledError", "errorMessage": "slow down"},
            "F3": denied,
            "F4": "[]",
            "F5": "no json",
        }
    )
    names = {"one": "F1", "two": "F2", "three": "F3", "four": "F4", "five": "F5"}
    answers = Functions(client).ask(names, {"observe": True}, 5)
    assert answers["one"] == {"component": "one", "changes": []}
    assert answers["two"] == {"unknown": "ThrottledError: slow down"}
    assert "denied" in answers["three"]["unknown"]
    assert set(answers["four"]) == set(answers["five"]) == {"unknown"}
    assert client.events == [{"observe": True}] * 5


def test_who_is_late_is_not_waited_for() -> None:
    client = Client({"F1": {"ok": True}, "F2": "late"})
    answers = Functions(client).ask({"one": "F1", "two": "F2"}, {}, 0.05)
    client.release.set()
    assert answers["one"] == {"ok": True}
    assert answers["two"] == {"unknown": "no answer within 0.05 s"}


def test_nobody_to_ask() -> None:
    assert Functions(Client({})).ask({}, {}, 1) == {}
