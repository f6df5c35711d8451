"""Nothing that may be secret comes back in a refusal or is written to the log."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import log
from tests.steps.api.fakes import IMAGE, Client, FakeWorld, document

if TYPE_CHECKING:
    from tests.steps.api.fakes import Reply

CANARY = "canary-7d1e5a90"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the function writes to its log."""
    stream = io.StringIO()
    monkeypatch.setattr(log.logger.registered_handler, "stream", stream)
    return stream


def app(**fields: Any) -> dict[str, Any]:
    return document(apps=[{"image": IMAGE, **fields}])


PLANTED = {
    "a line break in a value": app(env={"PASSWORD": f"{CANARY}\n"}),
    "an expansion in a value": app(env={"PASSWORD": f"$({CANARY})"}),
    "a number where text should be, beside it": app(env={"PASSWORD": CANARY, "N": 1}),
    "as kubectl lists variables": app(env=[{"name": "PASSWORD", "value": CANARY}]),
    "as docker writes variables": app(env=f"PASSWORD={CANARY}"),
    "a value instead of a secret's name": app(envFromSecrets=[f"PASSWORD={CANARY}"]),
    "a field that does not exist": app(password=CANARY),
    "in an image's user information": document(apps=[{"image": f"me:{CANARY}@registry.example.com/shop:1"}]),
    "in an image's address": document(apps=[{"image": f"https://me:{CANARY}@registry.example.com/shop:1"}]),
    "as an add-on's configuration": document(addons=[{"name": "metrics-server", "configuration": CANARY}]),
    "beside a wrong add-on": document(addons=[{"name": "Metrics", "configuration": {"token": CANARY}}]),
    "beside another mistake": document(
        nodeGroups=[{"name": "w", "size": 0}], apps=[{"image": IMAGE, "env": {"PASSWORD": CANARY}}]
    ),
}


@pytest.mark.parametrize("sent", PLANTED.values(), ids=PLANTED.keys())
def test_a_refused_document_is_not_quoted(call: Client, logged: io.StringIO, sent: dict[str, Any]) -> None:
    assert CANARY in json.dumps(sent)
    for reply in (call("POST", "/environments", sent), call("PUT", "/environments/shop", sent)):
        assert reply.status == 422
        silent(reply, logged)


@pytest.mark.parametrize("wrong", ["\x00", "\ud800"], ids=["NUL", "half a pair"])
def test_json_that_cannot_be_read_is_not_quoted(call: Client, logged: io.StringIO, wrong: str) -> None:
    for body in (app(env={"PASSWORD": CANARY + wrong}), app(env={"LIST": [CANARY + wrong]})):
        reply = call("POST", "/environments", body)
        assert reply.status == 400
        silent(reply, logged)
    for raw in (f'{{"password": "{CANARY}" "a"}}', f'{{"password": "{CANARY}'):
        reply = call("POST", "/environments", raw=raw)
        assert reply.status == 400
        silent(reply, logged)


def test_headers_are_not_quoted(call: Client, logged: io.StringIO) -> None:
    for name in ("authorization", "x-amz-security-token", "idempotency-key", "if-match", "cookie"):
        headers = {name: f"{CANARY} \u00e9"}
        silent(call("POST", "/environments", document(), headers=headers), logged)
        silent(call("DELETE", "/environments/shop", headers=headers), logged)


def test_what_breaks_is_logged_without_the_document(call: Client, world: FakeWorld, logged: io.StringIO) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the table has burnt down")

    world.store.create = broken  # type: ignore[method-assign, assignment] # the defect that this is about
    reply = call("POST", "/environments", app(env={"PASSWORD": CANARY}))
    assert reply.status == 500
    assert "burnt down" in logged.getvalue()
    silent(reply, logged)


values = st.recursive(
    st.just(CANARY) | st.just(f"{CANARY}\n") | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["A", "name", "a-b", ""]), inner),
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.sampled_from(["env", "envFromSecrets"]), values)
def test_however_variables_are_written(logged: io.StringIO, field: str, value: Any) -> None:
    reply = Client(FakeWorld())("POST", "/environments", app(**{field: value}))
    if reply.status == 202:  # the document comes back to whom it belongs
        assert CANARY not in logged.getvalue()
    else:
        silent(reply, logged)


def silent(reply: Reply, logged: io.StringIO) -> None:
    """Neither the answer nor the log has it."""
    assert CANARY not in json.dumps(reply.document) + json.dumps(reply.headers)
    assert CANARY not in logged.getvalue()
