"""What a client of the API sees of environments."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.api.app import respond
from tests.steps.api.fakes import ALICE_ROLE, BOB, DIGEST, FakeWorld, Reply, document, event


class Client:
    """Sends events to the function."""

    def __init__(self, world: FakeWorld) -> None:
        self.world = world

    def __call__(self, method: str, path: str, body: object = None, **how: Any) -> Reply:
        answer = respond(self.world, event(method, path, body, **how))  # type: ignore[arg-type] # a fake world
        return Reply(answer["statusCode"], answer["headers"], json.loads(answer["body"]))


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def call(world: FakeWorld) -> Client:
    return Client(world)


def test_a_post_creates_and_starts(call: Client, world: FakeWorld) -> None:
    reply = call("POST", "/environments", document())
    assert reply.status == 202, reply
    assert reply.headers["Location"] == "/environments/shop"
    assert reply.headers["ETag"] == '"1"'
    assert reply.document["metadata"]["owner"] == ALICE_ROLE
    assert reply.document["status"]["apps"][0]["digest"] == DIGEST
    assert len(world.states.started) == 1
    assert world.states.started[0].endswith(reply.document["status"]["operation"]["id"])
    seen = call("GET", "/environments/shop")
    assert seen.status == 200
    assert seen.document == reply.document


def test_a_delete_while_provisioning_stops_that_and_tears_down(call: Client, world: FakeWorld) -> None:
    call("POST", "/environments", document(deletionProtection=False))
    reply = call("DELETE", "/environments/shop")
    assert reply.status == 202, reply
    assert reply.document["status"]["operation"]["kind"] == "Delete"
    assert world.states.running[world.states.started[0]] == "ABORTED"
    assert ":execution:Teardown:" in world.states.started[1]


def test_another_owners_environment_is_not_there(call: Client) -> None:
    call("POST", "/environments", document())
    assert call("GET", "/environments/shop", user=BOB).status == 404
    assert call("GET", "/environments", user=BOB).document["items"] == []
