"""Bad input where the space is large: whatever is wrong, wherever it stands, the field is named and nothing is made."""

from __future__ import annotations

import io
import json
import string
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from api import log, routes
from api.app import respond
from springboard import fields, runtime, spec
from springboard.errors import UnavailableError
from springboard.flow.step import Task
from tests.steps.api.fakes import ALICE, IMAGE, NOW, FakeWorld, event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import SearchStrategy

quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
REGISTRY = IMAGE.partition("/")[0]

WHOLE: dict[str, Any] = {
    "apiVersion": "springboard/v1beta1",
    "kind": "Environment",
    "metadata": {"name": "shop", "labels": {"team": "checkout"}},
    "spec": {
        "deletionProtection": False,
        "ttlHours": 48,
        "cluster": {
            "minVersion": "1.35",
            "supportType": "EXTENDED",
            "apiAccess": {"publicCidrs": ["8.8.8.0/24"]},
            "access": [
                {
                    "principalArn": "arn:aws:iam::111122223333:role/people",
                    "policy": "AmazonEKSViewPolicy",
                    "namespaces": ["shop"],
                }
            ],
        },
        "nodeGroups": [
            {
                "name": "workers",
                "instanceTypes": ["m7i.large"],
                "capacityType": "ON_DEMAND",
                "size": 4,
                "diskGiB": 50,
                "labels": {"tier": "web"},
                "taints": [],
                "maxUnavailable": 1,
            },
            {
                "name": "special",
                "size": 1,
                "taints": [{"key": "dedicated", "value": "batch", "effect": "NO_SCHEDULE"}],
            },
        ],
        "addons": [{"name": "aws-ebs-csi-driver", "version": "default", "configuration": {"a": 1}}],
        "apps": [
            {
                "name": "shop",
                "image": IMAGE,
                "port": 8080,
                "host": "shop.dev.example.com",
                "replicas": 2,
                "resources": {"cpu": "500m", "memory": "1Gi"},
                "spring": {
                    "profiles": ["prod"],
                    "startupSeconds": 300,
                    "shutdownSeconds": 20,
                    "actuatorPath": "/actuator",
                },
                "env": {"GREETING": "hello"},
                "envFromSecrets": ["shop-db"],
                "roleArn": "arn:aws:iam::111122223333:role/springboard-apps/shop",
                "security": {"runAsUser": 1000, "readOnlyRootFilesystem": True},
            },
            {
                "name": "orders",
                "image": IMAGE,
                "host": "orders.dev.example.com",
                "autoscaling": {"minReplicas": 1, "maxReplicas": 2, "targetCPUPercent": 70},
            },
        ],
        "ingress": {
            "hostedZoneId": "Z0DEV",
            "certificateArn": "arn:aws:acm:eu-west-1:111122223333:certificate/0-1",
            "scheme": "internal",
            "allowCidrs": ["10.0.0.0/8"],
            "idleTimeoutSeconds": 60,
            "accessLogs": False,
        },
        "upgrades": {
            "minor": "Manual",
            "patch": "Auto",
            "target": "Latest",
            "approval": "None",
            "bakeMinutes": 30,
            "minDaysBetween": 14,
            "waivers": [{"insight": "one", "reason": "because", "owner": "team", "until": "2026-12-24"}],
            "window": {"days": ["Tue"], "start": "02:00", "durationHours": 4, "timeZone": "UTC"},
            "exclusions": [{"first": "2026-12-24", "last": "2026-12-26", "reason": "holidays"}],
        },
        "drift": "Report",
    },
}
# Its values are EKS's to judge, by the add-on's own schema.
FREE = "spec.addons[0].configuration"
# Maps whose keys are the user's own.
MAPS = ("metadata.labels", "spec.nodeGroups[0].labels", "spec.apps[0].env", FREE)


def places(value: Any, path: str = "", *keys: str | int) -> Iterator[tuple[str, tuple[str | int, ...], Any]]:
    """(path as users see it, keys, value) of everything in the document, the free part left out."""
    yield path, keys, value
    if path == FREE:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, f"{path}.{key}".lstrip("."), *keys, key)
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, f"{path}[{index}]", *keys, index)


EVERYWHERE = list(places(WHOLE))
TEXTS = [(path, keys) for path, keys, value in EVERYWHERE if isinstance(value, str)]
NUMBERS = [(path, keys) for path, keys, value in EVERYWHERE if type(value) is int]
OBJECTS = [(path, keys) for path, keys, value in EVERYWHERE if isinstance(value, dict) and path not in MAPS]


def put(keys: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The whole document with one value at one place."""
    made = deepcopy(WHOLE)
    here: Any = made
    for key in keys[:-1]:
        here = here[key]
    here[keys[-1]] = value
    return made


def refused(body: object, path: str, *, status: int = 422) -> list[dict[str, str]]:
    """POST answers so, an error names the path, each has a remedy, and nothing was written; the errors."""
    world = FakeWorld()
    answer = respond(world, event("POST", "/environments", raw=json.dumps(body)))  # type: ignore[arg-type]
    problem = json.loads(answer["body"])
    assert answer["statusCode"] == status, problem
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert (world.store.writes, world.states.started) == ([], [])
    errors: list[dict[str, str]] = problem.get("errors", [])
    assert any(each["field"].startswith(path) for each in errors), (path, problem)
    assert all(each["remedy"] and each["message"].isprintable() for each in errors), errors
    return errors


def test_the_document_has_every_field_that_there_is() -> None:
    definitions = spec.schema()["$defs"].values()
    known = {name for each in definitions for name in each.get("properties", ())}
    assert known <= {str(key) for _, keys, _ in EVERYWHERE for key in keys}


def test_the_document_is_accepted_as_it_is() -> None:
    """So what is refused below is refused for the one thing that is wrong with it."""
    world = FakeWorld()
    answer = respond(world, event("POST", "/environments", raw=json.dumps(WHOLE)))  # type: ignore[arg-type]
    assert (answer["statusCode"], world.store.writes) == (202, ["create"]), answer["body"]


# B1

characters = st.sampled_from('{}[]",:\\ \n0e-9aénull\x00\x7f')


@quick
@given(st.integers(0, 10_000), st.integers(0, 40), st.text(characters, max_size=5))
def test_b1_json_that_is_spoilt_anywhere_is_refused_or_still_a_document(at: int, cut: int, put_in: str) -> None:
    sound = json.dumps({**WHOLE, "spec": {"apps": [{"image": IMAGE}]}})
    at %= len(sound)
    spoilt = sound[:at] + put_in + sound[at + cut :]
    world = FakeWorld()
    answer = respond(world, event("POST", "/environments", raw=spoilt))  # type: ignore[arg-type]
    assert answer["statusCode"] in {202, 400, 422}, answer
    assert bool(world.store.writes) == (answer["statusCode"] == 202)


@quick
@given(st.integers(65, 200_000), st.sampled_from(["[", '{"a":']))
def test_b1_no_depth_breaks_the_parser(depth: int, opening: str) -> None:
    world = FakeWorld()
    answer = respond(world, event("POST", "/environments", raw=(opening * depth)[:65_000]))  # type: ignore[arg-type]
    assert (answer["statusCode"], world.store.writes) == (400, [])


# B2


@quick
@given(st.sampled_from(OBJECTS), st.text(string.ascii_letters, min_size=1, max_size=12), st.sampled_from([1, None, {}]))
def test_b2_an_unknown_field_anywhere_is_named(place: tuple[str, tuple[str | int, ...]], name: str, value: Any) -> None:
    path, keys = place
    made = deepcopy(WHOLE)
    here: Any = made
    for key in keys:
        here = here[key]
    assume(name not in {known for each in spec.schema()["$defs"].values() for known in each.get("properties", ())})
    assume(name not in {"apiVersion", "kind", "metadata", "spec"})
    here[name] = value
    errors = refused(made, f"{path}.{name}".lstrip("."))
    assert "unknown field" in str(errors)


# B5, B6, B7

label = st.from_regex(r"\A[a-z]([a-z0-9-]{0,30}[a-z0-9])?\Z")
unlike = st.text(min_size=1, max_size=24).filter(
    lambda text: not fields._DNS_LABEL.fullmatch(text) and "\x00" not in text
)
NAMED = ["metadata.name", "spec.nodeGroups[0].name", "spec.apps[0].name", "spec.cluster.access[0].namespaces[0]"]


def keys_of(path: str) -> tuple[str | int, ...]:
    return next(keys for each, keys, _ in EVERYWHERE if each == path)


@quick
@given(st.sampled_from(NAMED), unlike.filter(lambda text: not any("\ud800" <= each <= "\udfff" for each in text)))
def test_b5_a_name_that_is_no_dns_label_is_refused(path: str, name: str) -> None:
    refused(put(keys_of(path), name), path)


@quick
@given(
    st.sampled_from(NAMED), label, st.sampled_from("\n\r\t\u00a0\u200b\u202e\u2028\uff41\u0430\u0301 "), st.booleans()
)
def test_b5_one_character_that_hides_in_a_name_is_found(path: str, name: str, hidden: str, before: bool) -> None:  # noqa: FBT001
    refused(put(keys_of(path), hidden + name if before else name + hidden), path)


@quick
@given(st.sampled_from(list(zip(NAMED[:3], (24, 20, 40), strict=True))), st.integers(1, 5_000))
def test_b6_a_name_that_is_too_long_for_what_is_derived_from_it_is_refused(limit: tuple[str, int], more: int) -> None:
    path, longest = limit
    refused(put(keys_of(path), "a" * (longest + more)), path)


@quick
@given(
    st.sampled_from(["kube-", "amazon-", "aws-", "eks-"]),
    label,
    st.sampled_from(["metadata.name", "spec.cluster.access[0].namespaces[0]"]),
)
def test_b7_names_of_the_system_are_refused(prefix: str, name: str, path: str) -> None:
    refused(put(keys_of(path), f"{prefix}{name}"[:24].rstrip("-")), path)


@quick
@given(st.lists(st.sampled_from(["..", "%2e%2e", "/", "%2f", "\\", "a"]), min_size=1, max_size=6))
def test_b7_no_path_leads_out_of_the_environments(parts: list[str]) -> None:
    assume(any(part != "a" for part in parts))
    world = FakeWorld()
    sent = event("GET", "/", user=ALICE)
    sent["rawPath"] = "/environments/" + "".join(parts)
    answer = respond(world, sent)  # type: ignore[arg-type]
    assert (answer["statusCode"], world.store.writes) == (404, []), answer


# B8

hosts = st.sampled_from(["169.254.169.254", "169.254.170.2:80", "localhost", "[::1]:5000", "127.0.0.1", "metadata"])


@quick
@given(
    st.one_of(
        st.builds(
            "{}://{}/shop:1".format, st.sampled_from(["http", "https", "file", "oci", "docker"]), st.just(REGISTRY)
        ),
        st.builds("{}@{}/shop:1".format, st.from_regex(r"\A[a-z]{1,8}(:[a-z0-9]{1,8})?\Z"), st.just(REGISTRY)),
        st.builds("{}/shop:1".format, hosts),
        st.builds("{}/{}".format, st.just(REGISTRY), st.from_regex(r"\A[a-z0-9]{1,10}(/[a-z0-9]{1,10})?\Z")),
        st.builds(
            "{}/shop:1.4.2{}".format, st.just(REGISTRY), st.sampled_from(["\n", " --x", "?a", "#a", "\u200b", ";b"])
        ),
        st.builds("{}.example.org/shop:1".format, st.from_regex(r"\A[a-z]{1,10}\Z")),
    )
)
def test_b8_images_from_elsewhere_or_in_disguise_are_refused(image: str) -> None:
    refused(put(keys_of("spec.apps[0].image"), image), "spec.apps[0].image")


# B9

forging = st.sampled_from(["\n", "\r\n", "\x1b[2J", "\u0085", "\u2028", "\u202e", "\x7f", "\t\r"])


@settings(quick, max_examples=150)
@given(st.sampled_from(TEXTS), forging, st.sampled_from(["before", "between", "after"]))
def test_b9_a_line_break_in_any_text_is_refused(
    place: tuple[str, tuple[str | int, ...]], forged: str, where: str
) -> None:
    path, keys = place
    assume((path, forged) != ("spec.apps[0].env.GREETING", "\u202e"))  # a text for people may turn its direction
    value = next(value for each, _, value in EVERYWHERE if each == path)
    spoilt = {"before": forged + value, "between": f"{value[:2]}{forged}{value[2:]}", "after": value + forged}[where]
    refused(put(keys, spoilt), path)


@quick
@given(
    st.sampled_from([path for path in MAPS if path != FREE]),
    st.sampled_from(
        ["te\nam", "a b", "${jndi:ldap://x}", "{{.Values}}", "aws:x", "", "$(A)", "a=b", "\u0430", "springboard:uid"]
    ),
)
def test_b9_keys_of_labels_and_variables_inject_nothing(path: str, key: str) -> None:
    refused(put(keys_of(path), {key: "a"}), path)


@quick
@given(
    st.sampled_from(["metadata.labels.team", "spec.nodeGroups[0].labels.tier"]),
    st.sampled_from(["${a}", "{{a}}", "$(a)", "<a>", "a;b", "é"]),
)
def test_b9_values_of_labels_are_no_templates(path: str, value: str) -> None:
    refused(put(keys_of(path), value), path)


# B10

inside = st.from_regex(r"\A[a-z]{1,8}\Z").map(lambda name: f"{name}.dev.example.com")


@quick
@given(
    st.one_of(
        inside.map(lambda host: f"*.{host}"),
        inside.map(lambda host: f"{host}."),
        inside.map(str.upper),
        inside.map(lambda host: f"{host}:443"),
        inside.map(lambda host: f"https://{host}"),
        inside.map(lambda host: host.replace(".dev.", "-dev.")),
        inside.map(lambda host: f"{host}.example.org"),
        st.sampled_from(sorted(fields.public_suffixes())),
        st.ip_addresses().map(str),
        st.just("dev.example.com.evil.com"),
        st.just("_shop.dev.example.com"),
    )
)
def test_b10_hosts_that_are_no_name_under_an_allowed_zone_are_refused(host: str) -> None:
    refused(put(keys_of("spec.apps[0].host"), host), "spec.apps[0].host")


# B11


@quick
@given(
    st.sampled_from(NUMBERS),
    st.one_of(
        st.sampled_from([10**9, -1, -(10**9), 2**31, 2**49]),
        st.floats(-1e6, 1e6),
        st.sampled_from(["3", True, None, [], {}]),
    ),
)
def test_b11_a_number_out_of_its_bounds_or_none_is_refused(
    place: tuple[str, tuple[str | int, ...]], value: Any
) -> None:
    path, keys = place
    assume(not (value is None and path in {"spec.ttlHours", "spec.apps[0].replicas"}))  # unset
    assume(not (isinstance(value, float) and value.is_integer()))  # 3.0 is read as 3 where it is in bounds
    refused(put(keys, value), path)


@quick
@given(st.from_regex(r"\A[a-z][a-z0-9]{0,8}\.[a-z0-9]{1,10}\Z"))
def test_b11_an_instance_type_that_ec2_does_not_offer_is_refused(name: str) -> None:
    assume(name not in {"m7i.large", "m7g.large", "t3.micro"} and not name.startswith(("m", "c", "r", "t")))
    refused(put(keys_of("spec.nodeGroups[0].instanceTypes"), [name]), "spec.nodeGroups[0].instanceTypes[0]")


# B12


@quick
@given(
    st.one_of(
        st.from_regex(r"\A1\.[0-9]{1,3}\Z"),
        st.from_regex(r"\A[v]?[0-9]{1,2}(\.[0-9x]{1,2}){0,3}\Z"),
        st.text(max_size=6),
    )
)
def test_b12_versions_that_are_not_offered_are_refused_and_those_that_are_are_told(version: str) -> None:
    assume(version not in {"1.34", "1.35", "1.36"})
    assume("\x00" not in version)
    assume(not any("\ud800" <= each <= "\udfff" for each in version))
    errors = refused(put(keys_of("spec.cluster.minVersion"), version), "spec.cluster.minVersion")
    assert "1.35" in str(errors)


# B13, B14


@pytest.mark.parametrize(
    ("method", "template"), [(method, path.template) for path in routes.PATHS for method in path.methods]
)
def test_b13_b14_no_route_tells_strangers_whether_there_is_an_environment(method: str, template: str) -> None:
    """Without credentials, and to another owner: the answer about one that there is and about one that there isn't."""
    made = FakeWorld()
    assert respond(made, event("POST", "/environments", raw=json.dumps(WHOLE)))  # type: ignore[arg-type]
    writes = list(made.store.writes)
    for user, status in (("", 401), ("arn:aws:sts::111122223333:assumed-role/Bob/desk", 404)):
        answers = []
        for name in ("shop", "shed"):
            path = template.replace("{name}", name).replace("{id}", "x")
            body = "{}" if method == "PATCH" else ""
            answer = respond(made, event(method, path, raw=body, user=user))  # type: ignore[arg-type]
            answers.append((answer["statusCode"], answer["body"].replace(name, "shop")))
        assert answers[0] == answers[1], answers
        if not user:
            assert answers[0][0] == status, answers
    assert made.store.writes == writes


# B16

lines: SearchStrategy[str] = st.text(st.sampled_from('a"}{:,\\\r\n\u0085\u2028\x0b\x1b'), max_size=20)


def written(monkeypatch: pytest.MonkeyPatch, logger: Any) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    return stream


@quick
@given(lines, lines, lines, lines)
def test_b16_nothing_that_is_sent_begins_a_line_of_the_api_s_log(path: str, user: str, header: str, body: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stream = written(patch, log.logger)
        sent = event("POST", "/", raw=body, headers={"x-a": header, "idempotency-key": header}, user=f"{ALICE}{user}")
        respond(FakeWorld(), {**sent, "rawPath": f"/environments/{path}"})  # type: ignore[arg-type]
        logged = stream.getvalue().splitlines()
    assert [json.loads(line)["message"] for line in logged] == ["answered"]


@quick
@given(lines)
def test_b16_nothing_that_aws_or_kubernetes_says_begins_a_line_of_an_operation_s_log(said: str) -> None:
    def act() -> dict[str, Any]:
        raise UnavailableError(said)

    with pytest.MonkeyPatch.context() as patch:
        stream = written(patch, runtime._logger)
        with pytest.raises(UnavailableError):
            runtime.logged("EnsureDns", Task("u1", "op1", 1, NOW), act)
        [line] = stream.getvalue().splitlines()
    found = json.loads(line)
    assert (found["cause"], found["step"], found["environment"]) == (said, "EnsureDns", "u1")
