"""Whatever is sent: a 4xx problem document that says why, and nothing created (faults B1 to B16)."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import log
from api.app import respond
from tests.steps.api.fakes import ALICE, IMAGE, Client, FakeWorld, document, event

if TYPE_CHECKING:
    from tests.steps.api.fakes import Reply

SMALLEST = json.dumps(document())
ROLE = "arn:aws:iam::111122223333:role"


def refused(reply: Reply, world: FakeWorld, status: int) -> None:
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.document["status"] == status
    assert reply.document["title"]
    assert reply.document["code"]
    assert reply.document["detail"]
    assert world.store.writes == []
    assert world.states.started == []


B1_BODIES = {
    "cut off": SMALLEST[:-3],
    "trailing": SMALLEST + "}",
    "single quotes": SMALLEST.replace('"', "'"),
    "comment": "// shop\n" + SMALLEST,
    "deep arrays": "[" * 30_000 + "]" * 30_000,
    "deep objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "unclosed": "[" * 60_000,
    "5000 digits": '{"a": ' + "9" * 5_000 + "}",
    "negative digits": '{"a": -' + "9" * 5_000 + "}",
    "NaN": '{"a": NaN}',
    "Infinity": '{"a": -Infinity}',
    "overflow": '{"a": 1e999}',
    "duplicate keys": '{"kind": "Environment", "kind": "Environment"}',
    "duplicate keys inside": SMALLEST.replace('"name"', '"name": "x", "name"', 1),
    "duplicate keys in disguise": '{"kind": 1, "k\\u0069nd": 2}',
    "NUL": '{"a": "\\u0000"}',
    "NUL in a list": '{"a": [["\\u0000"]]}',
    "NUL in a key": '{"\\u0000": 1}',
    "half a surrogate pair": '{"a": "\\ud800"}',
    "byte order mark": "\ufeff" + SMALLEST,
    "control character": '{"a": "\x01"}',
    "empty": "",
    "blank": " \n\t ",
}


@pytest.mark.parametrize("body", B1_BODIES.values(), ids=B1_BODIES.keys())
@pytest.mark.parametrize(("method", "path"), [("POST", "/environments"), ("PUT", "/environments/shop")])
def test_b1_malformed_json(call: Client, world: FakeWorld, body: str, method: str, path: str) -> None:
    refused(call(method, path, raw=body), world, 400)


def test_b1_a_patch_is_parsed_as_strictly(call: Client, world: FakeWorld) -> None:
    for body in B1_BODIES.values():
        refused(call("PATCH", "/environments/shop", raw=body), world, 400)


@pytest.mark.parametrize(
    "media_type",
    ["", "text/plain", "application/yaml", "application/x-www-form-urlencoded", "application/jsonp", "a\r\nb"],
)
def test_b1_wrong_content_type(call: Client, world: FakeWorld, media_type: str) -> None:
    refused(call("POST", "/environments", document(), headers={"content-type": media_type}), world, 415)


def test_b1_a_charset_is_no_other_type(call: Client) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert call("POST", "/environments", document(), headers=headers).status == 202


@pytest.mark.parametrize("value", [None, 1, "shop", [], [[]], True, {}])
def test_b1_json_that_is_no_environment(call: Client, world: FakeWorld, value: object) -> None:
    refused(call("POST", "/environments", raw=json.dumps(value)), world, 422)


def test_b1_base64_as_the_gateway_sends_it(world: FakeWorld) -> None:
    sent = event("POST", "/environments", document())
    sent |= {"isBase64Encoded": True, "body": base64.b64encode(sent["body"].encode()).decode()}
    assert respond(world, sent)["statusCode"] == 202  # type: ignore[arg-type]
    for body in ("!!!", base64.b64encode(b"\xff\xfe").decode(), base64.b64encode(SMALLEST.encode("utf-16")).decode()):
        assert respond(world, {**sent, "body": body})["statusCode"] == 400  # type: ignore[arg-type]


def test_b2_unknown_fields_name_the_nearest(call: Client, world: FakeWorld) -> None:
    reply = call("POST", "/environments", document(nodeGroup=[]))
    refused(reply, world, 422)
    assert reply.document["errors"] == [
        {"field": "spec.nodeGroup", "message": "unknown field", "remedy": "did you mean nodeGroups?"}
    ]


def test_b3_a_body_over_the_limit(call: Client, world: FakeWorld) -> None:
    large = json.dumps({**document(), "padding": "x" * 65_536})
    refused(call("POST", "/environments", raw=large), world, 413)
    wide = json.dumps({**document(), "padding": "é" * 40_000}, ensure_ascii=False)
    refused(call("POST", "/environments", raw=wide), world, 413)
    refused(call("GET", "/environments", raw="x" * 300_000), world, 413)


def test_b4_the_mistakes_of_yaml(call: Client, world: FakeWorld) -> None:
    made = document(cluster={"minVersion": 1.3})
    made["metadata"]["labels"] = {"country": False}
    reply = call("POST", "/environments", made)
    refused(reply, world, 422)
    assert all("quote it" in error["remedy"] for error in reply.document["errors"])


ODD_NAMES = [
    "Shop",
    "shop%0A",
    "shop%00",
    "%EF%BD%93hop",
    "sh%D0%BEp",
    "%E2%80%AEshop",
    "..",
    "%2e%2e",
    "%252e%252e",
    "..%2f..%2fetc",
    "kube-system",
    "a" * 25,
    "a" * 5_000,
    "%ff",
    "*",
    "shop;drop",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_b5_b6_b7_names_in_paths(call: Client, world: FakeWorld, name: str) -> None:
    for method in ("GET", "DELETE"):
        refused(call(method, f"/environments/{name}"), world, 404)
    refused(call("PATCH", f"/environments/{name}", {}), world, 404)
    refused(call("PUT", f"/environments/{name}", document()), world, 422)


def test_b8_registries_that_are_not_allowed(call: Client, world: FakeWorld) -> None:
    for name in (
        "docker.io/library/nginx:1",
        "999999999999.dkr.ecr.eu-west-1.amazonaws.com/shop:1",
        "111122223333.dkr.ecr.us-east-1.amazonaws.com/shop:1.4.2",
        "111122223333.dkr.ecr.eu-west-1.amazonaws.com.evil.example.com/shop:1.4.2",
    ):
        reply = call("POST", "/environments", document(apps=[{"image": name}]))
        refused(reply, world, 422)
        assert reply.document["errors"][0]["field"] == "spec.apps[0].image"
        assert "allowed here" in reply.document["errors"][0]["remedy"]


def test_b10_hosts_outside_the_zone(call: Client, world: FakeWorld) -> None:
    for host in ("shop.example.org", "evildev.example.com", "dev.example.com.example.org"):
        reply = call(
            "POST", "/environments", document(apps=[{"image": document()["spec"]["apps"][0]["image"], "host": host}])
        )
        refused(reply, world, 422)
        assert reply.document["errors"][0]["field"] == "spec.apps[0].host"


def test_b11_what_does_not_fit_or_does_not_exist(call: Client, world: FakeWorld) -> None:
    reply = call("POST", "/environments", document(nodeGroups=[{"name": "w", "instanceTypes": ["m99.large"]}]))
    refused(reply, world, 422)
    assert reply.document["errors"][0]["field"] == "spec.nodeGroups[0].instanceTypes[0]"
    made = document()
    made["spec"]["apps"][0]["replicas"] = 40
    reply = call("POST", "/environments", made)
    refused(reply, world, 422)
    assert reply.document["errors"][0]["field"] == "spec.apps"


@pytest.mark.parametrize("version", ["1.20", "1.99", "1.33"])
def test_b12_versions(call: Client, world: FakeWorld, version: str) -> None:
    reply = call("POST", "/environments", document(cluster={"minVersion": version}))
    refused(reply, world, 422)
    assert reply.document["errors"][0]["remedy"] == "EKS offers 1.34, 1.35 (default), 1.36"


def test_b13_no_credentials(call: Client, world: FakeWorld) -> None:
    for method, path in (("GET", "/environments/shop"), ("POST", "/environments"), ("GET", "/nowhere")):
        refused(call(method, path, user=""), world, 401)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the function writes to its log."""
    stream = io.StringIO()
    monkeypatch.setattr(log.logger.registered_handler, "stream", stream)
    return stream


def test_b16_nothing_forges_a_log_line(world: FakeWorld, logged: io.StringIO) -> None:
    forged = '/environments/shop\r\n{"level":"ERROR","message":"forged"}\n\u2028'
    for user in (ALICE, f"{ALICE}\r\nb", ""):
        sent = event("GET\r\nx", "/", headers={"x-a": "b\r\nc", "idempotency-key": "a\r\n"}, user=user)
        respond(world, {**sent, "rawPath": forged})  # type: ignore[arg-type]
    lines = logged.getvalue().splitlines()
    assert len(lines) == 3
    assert [json.loads(line)["message"] for line in lines] == ["answered"] * 3


def test_bodies_and_headers_are_not_logged(call: Client, logged: io.StringIO) -> None:
    made = document()
    made["spec"]["apps"][0]["env"] = {"PASSWORD": "hunter2"}
    call("POST", "/environments", made, headers={"authorization": "AWS4-HMAC-SHA256 Signature=hunter3"})
    assert logged.getvalue()
    assert "hunter" not in logged.getvalue()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/environments", "GET, POST"),
        ("HEAD", "/environments/shop", "GET, PUT, PATCH, DELETE"),
        ("OPTIONS", "/environments/shop", "GET, PUT, PATCH, DELETE"),
        ("GET", "/environments/shop/retry", "POST"),
        ("DELETE", "/versions", "GET"),
        ("BREW\r\n", "/schema", "GET"),
    ],
)
def test_methods(call: Client, world: FakeWorld, method: str, path: str, allowed: str) -> None:
    reply = call(method, path)
    refused(reply, world, 405)
    assert reply.headers["Allow"] == allowed


@pytest.mark.parametrize(
    "path", ["/", "", "/env", "/environments/a/b/c/d", "/environments//", "//environments", "/environments/shop/undo"]
)
def test_unknown_routes(call: Client, world: FakeWorld, path: str) -> None:
    refused(call("GET", path), world, 404)


def test_unknown_query_parameters(call: Client, world: FakeWorld) -> None:
    for method, path in (("GET", "/environments/shop"), ("POST", "/environments"), ("GET", "/versions")):
        refused(call(method, path, query="dryrun=true"), world, 400)


def test_five_mistakes_of_five_kinds_in_one_answer(call: Client, world: FakeWorld) -> None:
    made = document(
        cluster={"minVersion": "1.99"},
        nodeGroups=[{"name": "workers", "instanceTypes": ["m99.large"]}],
        apps=[
            {"image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop:none", "host": "a.example.org", "replica": 1}
        ],
    )
    reply = call("POST", "/environments", made)
    refused(reply, world, 422)
    assert {error["field"] for error in reply.document["errors"]} == {
        "spec.cluster.minVersion",
        "spec.nodeGroups[0].instanceTypes[0]",
        "spec.apps[0].image",
        "spec.apps[0].host",
        "spec.apps[0].replica",
    }


def test_a_stack_that_may_not_says_so(call: Client, world: FakeWorld) -> None:
    """What is no fault of the caller is a 5xx that names the remedy, and still a problem document."""
    from springboard.errors import AccessDeniedError, ThrottledError  # noqa: PLC0415

    def denied() -> list[dict[str, Any]]:
        raise AccessDeniedError("DescribeClusterVersions was denied", "allow eks:DescribeClusterVersions")

    world.eks.cluster_versions = denied
    refused(call("POST", "/environments", document()), world, 500)

    def throttled() -> list[dict[str, Any]]:
        raise ThrottledError("slow down")

    world.eks.cluster_versions = throttled
    reply = call("POST", "/environments", document())
    refused(reply, world, 503)
    assert reply.headers["Retry-After"]


texts = st.text(max_size=30)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]),
    st.one_of(
        texts, st.sampled_from(["/environments", "/environments/shop", "/environments/shop/events", "/versions"])
    ),
    texts,
    st.one_of(st.none(), texts, st.just(SMALLEST), st.binary(max_size=30).map(lambda data: data.decode("latin-1"))),
    st.dictionaries(
        st.sampled_from(["content-type", "if-match", "if-none-match", "idempotency-key"]),
        st.one_of(texts, st.just("application/json")),
    ),
)
def test_nothing_gets_a_5xx(method: str, path: str, query: str, body: str | None, headers: dict[str, str]) -> None:
    sent = event(method, "/", raw=body, query=query, headers=headers, user=ALICE)
    sent["rawPath"] = path
    answer = respond(FakeWorld(), sent)  # type: ignore[arg-type]
    assert answer["statusCode"] < 500, answer
    json.loads(answer["body"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.sampled_from(["metadata", "spec", "apiVersion", "kind", "other"]), json_values)
def test_no_document_gets_a_5xx(part: str, value: Any) -> None:
    made = {**document(), part: value}
    answer = respond(FakeWorld(), event("POST", "/environments", raw=json.dumps(made)))  # type: ignore[arg-type]
    assert answer["statusCode"] < 500, answer


def test_b1_a_number_that_is_not_read_is_named_by_its_key(call: Client, world: FakeWorld) -> None:
    for number in ("1" * 16, "-" + "9" * 5_000, "1e999"):
        for body in (
            SMALLEST.replace('"spec": {', f'"spec": {{"ttlHours": {number}, '),
            f'{{"ttlHours": [[1, {number}]]}}',
        ):
            reply = call("POST", "/environments", raw=body)
            refused(reply, world, 400)
            assert "'ttlHours'" in reply.document["detail"]
            assert number not in reply.document["detail"]
    refused(call("POST", "/environments", raw="1" * 16), world, 400)


def test_b1_a_compressed_body_is_another_content_encoding(call: Client, world: FakeWorld) -> None:
    reply = call("POST", "/environments", document(), headers={"content-encoding": "gzip"})
    refused(reply, world, 415)
    assert "uncompressed" in reply.document["remedy"]
    assert call("POST", "/environments", document(), headers={"content-encoding": "Identity"}).status == 202


@pytest.mark.parametrize("query", ["dryRun", "&", "dryRun=true&", "dryRun=%ff", "dryRun=true&dryRun=true"])
def test_a_query_that_is_malformed_tells_how_to_write_it(call: Client, world: FakeWorld, query: str) -> None:
    reply = call("POST", "/environments", document(), query=query)
    refused(reply, world, 400)
    assert reply.document["remedy"]


def test_b2_fields_have_one_name_each(call: Client, world: FakeWorld) -> None:
    """The models' own names, as Python writes them, are no fields: the schema knows none of them."""
    made = document(ttl_hours=5, node_groups=[{"name": "w"}], nodeGroups=[{"name": "workers", "disk_gi_b": 20}])
    reply = call("POST", "/environments", made)
    refused(reply, world, 422)
    assert {(each["field"], each["remedy"]) for each in reply.document["errors"]} == {
        ("spec.ttl_hours", "did you mean ttlHours?"),
        ("spec.node_groups", "did you mean nodeGroups?"),
        ("spec.nodeGroups[0].disk_gi_b", "did you mean diskGiB?"),
    }


def test_b8_a_refused_image_is_not_shown_where_it_may_hold_a_token(call: Client, world: FakeWorld) -> None:
    for name in ("hunter2@reg.example.com/x:1", "reg.example.com/x:1?token=hunter2", "reg.example.com/x:1#hunter2"):
        reply = call("POST", "/environments", document(apps=[{"image": name}]))
        refused(reply, world, 422)
        assert "hunter2" not in json.dumps(reply.document)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"ingress": {"allowCidrs": ["10.0.0.0/8", "192.168.0.0/16", "10.0.0.0/8"]}}, "spec.ingress.allowCidrs[2]"),
        (
            {"cluster": {"apiAccess": {"publicCidrs": ["8.8.8.8/32", "8.8.8.8/32"]}}},
            "spec.cluster.apiAccess.publicCidrs[1]",
        ),
        (
            {"cluster": {"access": [{"principalArn": f"{ROLE}/a", "namespaces": ["shop", "shop"]}]}},
            "spec.cluster.access[0].namespaces[1]",
        ),
        ({"apps": [{"image": IMAGE, "envFromSecrets": ["a", "a"]}]}, "spec.apps[0].envFromSecrets[1]"),
        ({"apps": [{"image": IMAGE, "spring": {"profiles": ["a", "a"]}}]}, "spec.apps[0].spring.profiles[1]"),
    ],
)
def test_b11_what_is_a_set_names_each_once(call: Client, world: FakeWorld, spec: dict[str, Any], field: str) -> None:
    reply = call("POST", "/environments", document(**spec))
    refused(reply, world, 422)
    assert [each["field"] for each in reply.document["errors"]] == [field]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"apps": [{"image": IMAGE, "envFromSecrets": ["a..b"]}]}, "spec.apps[0].envFromSecrets[0]"),
        ({"apps": [{"image": IMAGE, "envFromSecrets": ["a-.b"]}]}, "spec.apps[0].envFromSecrets[0]"),
        ({"apps": [{"image": IMAGE, "roleArn": f"{ROLE}/springboard-apps/"}]}, "spec.apps[0].roleArn"),
        ({"apps": [{"image": IMAGE, "roleArn": f"{ROLE}/springboard-apps/{'a' * 65}"}]}, "spec.apps[0].roleArn"),
        ({"cluster": {"access": [{"principalArn": f"{ROLE}//a"}]}}, "spec.cluster.access[0].principalArn"),
        ({"cluster": {"access": [{"principalArn": f"{ROLE}/a/"}]}}, "spec.cluster.access[0].principalArn"),
        ({"cluster": {"apiAccess": {"publicCidrs": ["100.64.0.0/10"]}}}, "spec.cluster.apiAccess.publicCidrs[0]"),
    ],
)
def test_what_aws_or_kubernetes_would_refuse_half_an_hour_later_is_refused_at_once(
    call: Client, world: FakeWorld, spec: dict[str, Any], field: str
) -> None:
    reply = call("POST", "/environments", document(**spec))
    refused(reply, world, 422)
    assert [each["field"] for each in reply.document["errors"]] == [field]
    assert "pattern" not in reply.document["errors"][0]["remedy"]


def test_values_are_shown_as_json_writes_them(call: Client, world: FakeWorld) -> None:
    made = document(drift=None, deletionProtection="no", ttlHours=True, nodeGroups=[{"name": "w", "size": "0o3"}])
    reply = call("POST", "/environments", made)
    refused(reply, world, 422)
    shown = {each["field"]: each.get("value") for each in reply.document["errors"]}
    assert (shown["spec.drift"], shown["spec.ttlHours"]) == ("null", "true")
    remedies = {each["field"]: each["remedy"] for each in reply.document["errors"]}
    assert remedies["spec.nodeGroups[0].size"] == "write digits, without a fraction"
