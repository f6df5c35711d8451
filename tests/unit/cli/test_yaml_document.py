"""Reading a file without changing what it means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springboard_cli import yaml_document
from springboard_cli.errors import CommandError, Exit

ROOT = Path(__file__).parents[3]


def read(text: str) -> object:
    return yaml_document.read(text, "f.yaml").value


def refusal(text: str | bytes) -> CommandError:
    with pytest.raises(CommandError) as caught:
        yaml_document.read(text, "f.yaml")
    assert caught.value.code is Exit.INVALID
    return caught.value


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1.30", "1.30"),
        ('"1.35"', "1.35"),
        ("0.5", "0.5"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("3", 3),
        ("-1", -1),
        ("007", "007"),
        ("0x1F", "0x1F"),
        ("02:00", "02:00"),
        ("2026-12-24", "2026-12-24"),
        ("~", None),
        ("", None),
        ("'true'", "true"),
        ("!!str 12", "12"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("[1, a, {b: 2}]", [1, "a", {"b": 2}]),
    ],
)
def test_b4_a_scalar_means_what_it_looks_like(written: str, meant: object) -> None:
    assert read(f"key: {written}\n") == {"key": meant}


def test_fractions_are_numbers_only_in_an_addons_own_configuration() -> None:
    document = read("spec: {addons: [{version: 1.10, configuration: {a: {cpu: 0.5}, b: [1.50, NO]}}]}")

    assert document == {
        "spec": {"addons": [{"version": "1.10", "configuration": {"a": {"cpu": 0.5}, "b": [1.5, "NO"]}}]}
    }


def test_no_field_of_an_environment_is_a_fraction() -> None:
    """On which the reading of plain numbers with a point rests."""
    schema = json.loads((ROOT / "docs/reference/environment.schema.json").read_text())

    assert '"type": "number"' not in json.dumps(schema)


def test_b4_duplicate_keys_are_refused_with_both_lines() -> None:
    (mistake,) = refusal("spec:\n  drift: Report\n  drift: Repair\n").mistakes

    assert (mistake.place, mistake.field) == ("f.yaml:3:3", "spec.drift")
    assert mistake.message == "stands there twice, first in line 2"


def test_all_mistakes_are_told_at_once() -> None:
    err = refusal("a: !secret x\nb: 1\nb: 2\nc: {<<: {d: 1}}\n? [1]\n: x\n")

    assert [each.place.removeprefix("f.yaml:") for each in err.mistakes] == ["1:4", "3:1", "4:5", "5:3"]


def test_an_alias_is_followed() -> None:
    assert read("a: &x [1]\nb: *x\n") == {"a": [1], "b": [1]}


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"k{n}: &k{n} [{','.join(['*' + p] * 10)}]\n" for n, p in enumerate(["a", "k0", "k1", "k2", "k3", "k4"])
        ),
        "&a [*a]",
        "[" * 500,
        "a: 1\n---\nb: 2\n",
        "",
        "# nothing\n",
        "a: [1",
        "\ta: 1",
        "a: \x00",
        "a: *nobody",
        b"a: \xff\xfe\xfa",
        b"a" * (yaml_document.MAX_BYTES + 1),
    ],
    ids=["bomb", "cycle", "deep", "several", "empty", "comment", "open", "tab", "nul", "alias", "latin", "large"],
)
def test_b4_what_is_no_document_is_refused(text: str | bytes) -> None:
    assert refusal(text).message


def test_b4_the_second_document_is_pointed_at() -> None:
    assert "the second at line 3" in refusal("a: 1\n---\nb: 2\n").message


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert yaml_document.read(b"\xef\xbb\xbfkind: Environment", "f").value == {"kind": "Environment"}


def test_json_is_yaml() -> None:
    value = {"a": [1, True, None, {"b": "1.30"}]}

    assert read(json.dumps(value, indent=2)) == value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=15,
)


@settings(max_examples=60)
@given(json_values)
def test_whatever_json_says_is_kept(value: object) -> None:
    assert read(json.dumps({"value": value}, ensure_ascii=True)) == {"value": value}


@settings(max_examples=150)
@given(st.text(alphabet="ab:-[]{}&*!#|>'\"%@`,? \n\t0.", max_size=60))
def test_b4_no_text_breaks_the_reader(text: str) -> None:
    try:
        read(text)
    except CommandError as err:
        assert err.code is Exit.INVALID  # noqa: PT017 - a refusal is one of two good ends


def test_places_are_found_for_whatever_the_api_names() -> None:
    document = yaml_document.read("spec:\n  apps:\n  - image: x\n    env:\n      A: b\n", "f.yaml")

    assert document.place("spec.apps[0].env.A") == "f.yaml:5:7"
    assert document.place("spec.apps[0].port") == "f.yaml:3:5"
    assert document.place("spec.apps[3].port") == "f.yaml:2:3"
    assert document.place("metadata.name") == "f.yaml:1:1"
    assert document.place("") == "f.yaml:1:1"


def test_numbers_that_no_two_readers_read_alike_are_refused_where_they_stand() -> None:
    err = refusal(
        "spec:\n"
        "  ttlHours: 1234567890123456\n"
        f"  apps: [{{replicas: -{'9' * 5000}}}]\n"
        "  addons: [{configuration: {a: 1e999, b: 0.5, c: 123456789012345}}]\n"
    )

    assert [(each.place, each.field) for each in err.mistakes] == [
        ("f.yaml:2:13", "spec.ttlHours"),
        ("f.yaml:3:21", "spec.apps[0].replicas"),
        ("f.yaml:4:32", "spec.addons[0].configuration.a"),
    ]
    assert all(each.remedy for each in err.mistakes)
