"""Every mistake in a document is found at once, named as the user wrote it, with a way out."""

from __future__ import annotations

import contextlib
import json
from copy import deepcopy
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from springboard import image, spec, validation
from springboard.errors import InvalidError

if TYPE_CHECKING:
    from springboard.errors import FieldError

IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop:1.4.2"


def document(**changes: Any) -> dict[str, Any]:
    """A sound document; a key is a path whose dots are double underscores."""
    made: dict[str, Any] = {
        "apiVersion": "springboard/v1beta1",
        "kind": "Environment",
        "metadata": {"name": "shop", "labels": {"team": "checkout"}},
        "spec": {"nodeGroups": [{"name": "workers"}], "apps": [{"image": IMAGE}]},
    }
    return {**made, **changes}


def with_value(path: str, value: Any) -> dict[str, Any]:
    """The sound document with one value put at spec.apps[0].image or the like."""
    made = document()
    here: Any = made
    parts = path.replace("[", ".").replace("]", "").split(".")
    for part, following in pairwise(parts):
        empty: Any = [{}] if following.isdigit() else {}
        here = here[int(part)] if isinstance(here, list) else here.setdefault(part, empty)
    last = parts[-1]
    here[int(last) if last.isdigit() else last] = value
    return made


def mistakes(raw: object) -> dict[str, FieldError]:
    return {error.field: error for error in validation.check(raw).errors}


def test_the_smallest_document_is_enough() -> None:
    parsed = validation.parse(document())
    assert parsed.spec.apps[0].port == 8080
    assert parsed.spec.protected
    assert parsed.spec.node_groups[0].size == 3


def test_a_document_survives_its_own_json() -> None:
    parsed = validation.parse(document())
    assert validation.parse(json.loads(parsed.model_dump_json(by_alias=True))) == parsed


def test_five_mistakes_get_five_answers() -> None:
    raw = document(metadata={"name": "Shop\n"})
    raw["spec"] = {
        "ttlHours": 4,
        "deletionProtection": True,
        "cluster": {"minVersion": 1.3},
        "nodeGroups": [{"name": "workers", "size": 0}],
        "apps": [{"image": "https://example.com/shop:1", "replicas": 10**9}],
    }
    found = mistakes(raw)
    assert set(found) == {
        "metadata.name",
        "spec.deletionProtection",
        "spec.cluster.minVersion",
        "spec.nodeGroups[0].size",
        "spec.apps[0].image",
        "spec.apps[0].replicas",
    }
    assert found["spec.nodeGroups[0].size"].value == "0"
    assert "1.30" in found["spec.cluster.minVersion"].remedy
    with pytest.raises(InvalidError) as refused:
        validation.parse(raw)
    assert len(refused.value.errors) == 6


REFUSED = [
    # B2 unknown fields
    ("spec.apps[0].replica", 3, "did you mean replicas?"),
    ("spec.nodegroups", [], "did you mean nodeGroups?"),
    ("spec.apps[0].spring.profile", [], "did you mean profiles?"),
    ("spec.cluster.xyzzy", 1, "known here: minVersion"),
    ("spec.nodeGroups[0].diskGib", 20, "did you mean diskGiB?"),
    # B4 what YAML makes of unquoted text
    ("spec.cluster.minVersion", 1.3, 'quote it: "1.3", or "1.30"'),
    ("spec.cluster.minVersion", 2, 'quote it: "2"'),
    ("metadata.labels.country", False, "quote it"),
    ("spec.apps[0].env.FLAG", True, "quote it"),
    ("spec.apps[0].replicas", "3", "remove the quotes"),
    ("spec.apps[0].replicas", 2.5, "without a fraction"),
    ("spec.deletionProtection", "false", "without quotes"),
    # B5 names
    ("metadata.name", "shop\n", "lower-case letters"),
    ("metadata.name", "\uff53hop", "lower-case letters"),
    ("metadata.name", "sh\u043ep", "lower-case letters"),
    ("metadata.name", "\u202eshop", "lower-case letters"),
    ("metadata.name", "shop\x00", "lower-case letters"),
    ("metadata.name", "-shop", "lower-case letters"),
    ("metadata.name", "1shop", "lower-case letters"),
    ("metadata.name", "", "lower-case letters"),
    ("metadata.name", "shop.dev", "lower-case letters"),
    # B6 too long for what is derived
    ("metadata.name", "a" * 25, "at most 24"),
    ("spec.nodeGroups[0].name", "a" * 21, ""),
    ("spec.apps[0].name", "a" * 41, ""),
    # B7 names that lead elsewhere
    ("metadata.name", "../shop", "lower-case letters"),
    ("metadata.name", "%2e%2e", "lower-case letters"),
    ("metadata.name", "kube-system", "choose a name"),
    ("metadata.name", "default", "choose a name"),
    ("metadata.name", "api", "choose a name"),
    ("metadata.name", "amazon-vpc", "choose a name"),
    (
        "spec.cluster.access",
        [{"principalArn": "arn:aws:iam::111122223333:role/a", "namespaces": ["kube-system"]}],
        "name a namespace",
    ),
    # B8 images
    ("spec.apps[0].image", "https://111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop:1", "leave https://"),
    ("spec.apps[0].image", "user:pass@registry.example.com/shop:1", "pull secrets"),
    ("spec.apps[0].image", "user@registry.example.com/shop:1", "pull secrets"),
    ("spec.apps[0].image", "169.254.169.254/latest:1", "name a registry"),
    ("spec.apps[0].image", "169.254.170.2:80/latest:1", "name a registry"),
    ("spec.apps[0].image", "localhost:5000/shop:1", "name a registry"),
    ("spec.apps[0].image", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop", "name the version"),
    ("spec.apps[0].image", "shop:1.4.2", "write registry/repository:tag"),
    ("spec.apps[0].image", "library/shop:1.4.2", "write registry/repository:tag"),
    ("spec.apps[0].image", "registry.example.com/Shop:1", "lower-case"),
    ("spec.apps[0].image", "registry.example.com/shop:1@sha256:abc", "64 hexadecimal"),
    ("spec.apps[0].image", "registry.example.com/shop:1 --privileged", "write registry/repository:tag"),
    ("spec.apps[0].image", "registry.example.com/../shop:1", "lower-case"),
    ("spec.apps[0].image", "registry.example.com/shop:1\n", "write registry/repository:tag"),
    # B9 injection
    ("metadata.labels.team", "a\nb", "letters, digits"),
    ("metadata.labels.team", "${jndi:ldap://x}", "letters, digits"),
    ("metadata.labels.te\nam", "a", "letters, digits"),
    ("metadata.labels.aws:owner", "a", "letters, digits"),
    ("metadata.labels.springboard:name", "a", "letters, digits"),
    ("spec.nodeGroups[0].labels", {"node.kubernetes.io/role": "a"}, "letters, digits"),
    ("spec.apps[0].env.NAME", "a\nb", "envFromSecrets"),
    ("spec.apps[0].env.NAME", "a\x00b", "envFromSecrets"),
    ("spec.apps[0].env.NAME", "$(OTHER)", "write the value itself"),
    ("spec.apps[0].env.NAME", "x" * 5000, "envFromSecrets"),
    ("spec.apps[0].env.NA-ME", "a", "letters, digits and _"),
    ("spec.apps[0].env.1NAME", "a", "letters, digits and _"),
    ("spec.apps[0].env.SERVER_PORT", "80", "use port"),
    ("spec.apps[0].env.SPRING_PROFILES_ACTIVE", "dev", "use spring.profiles"),
    ("spec.apps[0].env.MANAGEMENT_SERVER_PORT", "81", "actuatorPath"),
    # B10 domains
    ("spec.apps[0].host", "*.dev.example.com", "name the one host"),
    ("spec.apps[0].host", "co.uk", "under your own domain"),
    ("spec.apps[0].host", "com", "under your own domain"),
    ("spec.apps[0].host", "shop.dev.example.com.", "leave the last dot out"),
    ("spec.apps[0].host", "10.0.0.1", "write a DNS name"),
    ("spec.apps[0].host", "::1", "write a DNS name"),
    ("spec.apps[0].host", "Shop.dev.example.com", "write shop.dev.example.com"),
    ("spec.apps[0].host", "sh_op.example.com", "labels of"),
    ("spec.apps[0].host", "shöp.example.com", "xn--"),
    ("spec.apps[0].host", "a" * 60 + ".example.com", "choose a shorter name"),
    ("spec.apps[0].host", "shop..example.com", "labels of"),
    # B11 sizes
    ("spec.apps[0].replicas", 10**9, "at most 1000"),
    ("spec.apps[0].replicas", -1, "at least 1"),
    ("spec.apps[0].replicas", 0, ""),
    ("spec.nodeGroups", [], "at least 1"),
    ("spec.nodeGroups[0].instanceTypes", [], ""),
    ("spec.nodeGroups[0].instanceTypes", ["m7i large"], "write it as EC2 does"),
    ("spec.nodeGroups[0].diskGiB", 10, ""),
    ("spec.apps[0].resources.cpu", "0", "at least 10m"),
    ("spec.apps[0].resources.memory", "8Mi", "at least 64Mi"),
    ("spec.apps[0].resources.memory", "1G", "as Kubernetes writes it"),
    ("spec.apps[0].port", 80, "at least 1024"),
    ("spec.apps", [], ""),
    # B12 versions
    ("spec.cluster.minVersion", "1.3x", "a minor version in quotes"),
    ("spec.cluster.minVersion", "v1.35", "a minor version in quotes"),
    ("spec.cluster.minVersion", "1.35.2", "a minor version in quotes"),
    # networks, times
    ("spec.ingress.allowCidrs", ["10.0.0.1/8"], "write 10.0.0.0/8"),
    ("spec.ingress.allowCidrs", ["::/0"], ""),
    ("spec.cluster.apiAccess.publicCidrs", ["10.0.0.0/8"], ""),
    ("spec.upgrades.window.timeZone", "Asia/Soul", "write it as"),
    ("spec.upgrades.window.timeZone", "europe/berlin", "did you mean Europe/Berlin?"),
    ("spec.upgrades.window.timeZone", "../../etc/passwd", "write it as"),
    ("spec.upgrades.window.start", "24:00", "HH:MM"),
    ("spec.upgrades.minor", "auto", "did you mean Auto?"),
    ("spec.cluster.supportType", "STANDRD", "did you mean STANDARD?"),
    ("spec.ingress.hostedZoneId", "/hostedzone/Z1", "the id that Route 53 shows"),
]


@pytest.mark.parametrize(("path", "value", "remedy"), REFUSED)
def test_a_wrong_value_is_named_with_a_way_out(path: str, value: Any, remedy: str) -> None:
    found = validation.check(with_value(path, value)).errors
    assert found, "was accepted"
    assert len(found) == 1, found
    shown = path.replace("te\nam", "'te\\nam'")
    assert found[0].field.startswith(shown), found[0]
    assert found[0].remedy, found[0]
    assert remedy in found[0].remedy, found[0]
    assert "\n" not in found[0].field + found[0].message + found[0].remedy + found[0].value
    assert found[0].value.isascii()


ACCEPTED = [
    ("metadata.labels.example.com/team", ""),
    ("spec.apps[0].image", "registry.example.com:5000/a/b-c/shop@sha256:" + "0" * 64),
    ("spec.apps[0].image", "registry.example.com/shop:1@sha256:" + "0" * 64),
    ("spec.apps[0].host", "xn--shp-fla.example.com"),
    ("spec.apps[0].env.JAVA_TOOL_OPTIONS", "-XX:+UseZGC"),
    ("spec.apps[0].env.GREETING", "grüezi ${user.name} $HOME"),
    ("spec.apps[0].env.EMPTY", ""),
    ("spec.cluster.minVersion", "1.35"),
    ("spec.cluster.apiAccess.publicCidrs", ["0.0.0.0/0"]),
    ("spec.upgrades.window.timeZone", "Asia/Seoul"),
    ("spec.deletionProtection", False),
    ("spec.addons", [{"name": "aws-ebs-csi-driver", "configuration": {"controller": {"replicas": 2}}}]),
]


@pytest.mark.parametrize(("path", "value"), ACCEPTED)
def test_a_sound_value_is_taken(path: str, value: Any) -> None:
    made = document()
    if "example.com/team" in path:
        made["metadata"]["labels"] = {"example.com/team": value}
    else:
        made = with_value(path, value)
    assert validation.check(made).errors == ()


def test_values_of_env_are_never_shown() -> None:
    for value in ("secret\nsecret", "$(secret)", "secret" * 1000, 12345):
        found = validation.check(with_value("spec.apps[0].env.PASSWORD", value)).errors
        assert len(found) == 1
        text = f"{found[0].message} {found[0].remedy} {found[0].value}"
        assert "secret secret" not in text
        assert "secretsecret" not in text
        assert found[0].value == ""


BETWEEN_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"ttlHours": 4, "deletionProtection": True}, "spec.deletionProtection"),
    ({"apps": [{"image": IMAGE}, {"image": IMAGE, "name": "b"}]}, "spec.apps[0].name"),
    ({"apps": [{"image": IMAGE, "name": "a"}, {"image": IMAGE, "name": "a"}]}, "spec.apps[1].name"),
    (
        {"apps": [{"image": IMAGE, "name": n, "host": "one.dev.example.com"} for n in "ab"]},
        "spec.apps[1].host",
    ),
    ({"apps": [{"image": IMAGE, "replicas": 2, "autoscaling": {"maxReplicas": 3}}]}, "spec.apps[0].replicas"),
    (
        {"apps": [{"image": IMAGE, "autoscaling": {"minReplicas": 4, "maxReplicas": 3}}]},
        "spec.apps[0].autoscaling.minReplicas",
    ),
    ({"nodeGroups": [{"name": "a"}, {"name": "a"}]}, "spec.nodeGroups[1].name"),
    ({"nodeGroups": [{"name": "a", "size": 2, "maxUnavailable": 3}]}, "spec.nodeGroups[0].maxUnavailable"),
    ({"nodeGroups": [{"name": "a", "taints": [{"key": "gpu", "effect": "NO_SCHEDULE"}]}]}, "spec.nodeGroups"),
    ({"addons": [{"name": "x"}, {"name": "x"}]}, "spec.addons[1].name"),
    (
        {"upgrades": {"exclusions": [{"first": "2026-12-24", "last": "2026-12-23"}]}},
        "spec.upgrades.exclusions[0].last",
    ),
    (
        {"upgrades": {"exclusions": [{"first": "2026-02-30", "last": "2026-03-01"}]}},
        "spec.upgrades.exclusions[0].first",
    ),
    ({"upgrades": {"window": {"days": ["Mon", "Mon"]}}}, "spec.upgrades.window.days[1]"),
]


@pytest.mark.parametrize(("changes", "field"), BETWEEN_FIELDS)
def test_fields_that_do_not_go_together(changes: dict[str, Any], field: str) -> None:
    raw = document()
    raw["spec"] |= changes
    assert list(mistakes(raw)) == [field]


def test_a_mistake_hides_no_other_and_makes_none_up() -> None:
    """The rest is judged as if the wrong parts were not there, but nothing is said about them twice."""
    raw = document()
    raw["spec"]["apps"] = [
        {"image": IMAGE, "name": "a", "autoscaling": {"maxReplicas": "3"}},
        {"name": "b"},
        {"image": IMAGE, "name": "c", "replicas": 2, "autoscaling": {"maxReplicas": 3}},
    ]
    assert set(mistakes(raw)) == {
        "spec.apps[0].autoscaling.maxReplicas",
        "spec.apps[1].image",
        "spec.apps[2].replicas",
    }


@pytest.mark.parametrize("raw", [None, 3, "shop", [], [{}], True])
def test_a_document_is_an_object(raw: object) -> None:
    assert validation.check(raw).errors


@pytest.mark.parametrize("raw", [{}, {"spec": None}, {"metadata": [], "spec": 3}, {"kind": "Pod"}, {"apiVersion": 1}])
def test_what_is_missing_is_named(raw: dict[str, Any]) -> None:
    found = mistakes(raw)
    assert "metadata" in found or "metadata.name" in found
    assert "spec" in found


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
places = st.sampled_from(
    [
        "metadata.name",
        "metadata.labels",
        "spec.cluster",
        "spec.cluster.access",
        "spec.nodeGroups",
        "spec.nodeGroups[0].taints",
        "spec.apps",
        "spec.apps[0].env",
        "spec.apps[0].image",
        "spec.apps[0].autoscaling",
        "spec.ingress",
        "spec.upgrades",
        "spec.upgrades.waivers",
    ]
)


@given(places, anything)
def test_nothing_breaks_validation(path: str, value: Any) -> None:
    raw = with_value(path, value)
    before = deepcopy(raw)
    checked = validation.check(raw)
    assert raw == before, "the caller's document was changed"
    assert checked.document is not None or checked.errors
    for error in checked.errors:
        assert error.message
        assert error.remedy, error
        assert not any(character < " " for character in error.field + error.message + error.remedy + error.value)


@given(st.text(max_size=60))
def test_nothing_breaks_image_names(text: str) -> None:
    found = None
    with contextlib.suppress(image.ImageError):
        found = image.parse(text)
    assert found is None or (found.registry and (found.tag or found.digest))


def test_the_schema_says_what_editors_need() -> None:
    schema = spec.schema()
    definitions = schema["$defs"]
    assert all(each.get("additionalProperties") is False for each in definitions.values() if each["type"] == "object")
    assert definitions["App"]["properties"]["port"]["default"] == 8080
    assert "description" in definitions["Cluster"]["properties"]["minVersion"]
    assert "title" in schema


def test_what_does_not_fit_is_told_without_its_values() -> None:
    """A record of before a stricter release ends in a traceback, which is logged; a value may be a password."""
    wrong = {"apps": [{"image": IMAGE, "env": {"PASSWORD": 47110815}, "unheard": "canary-3f9a"}]}
    with pytest.raises(ValidationError) as caught:
        spec.EnvironmentSpec.model_validate_json(json.dumps(wrong))
    assert "unheard" in str(caught.value)
    assert "canary-3f9a" not in str(caught.value)
    assert "47110815" not in str(caught.value)
