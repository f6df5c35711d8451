"""Lock files pin and hash everything, and say nothing of where it was downloaded."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.template import source

if TYPE_CHECKING:
    from pathlib import Path

LOCKS = sorted((*source.ROOT.glob("requirements/*.txt"), source.ROOT / "layers" / "springboard" / "requirements.txt"))
PINNED = re.compile(r"^[A-Za-z0-9._-]+(?:\[[\w,-]+\])?==[\w.!+-]+(?: ; [^\\]+?)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def faults(text: str) -> list[str]:
    """Lines that are neither a pinned requirement nor a hash, and requirements without a hash."""
    lines = text.splitlines()
    found = [line for line in lines if not PINNED.match(line) and not HASH.match(line)]
    following = zip(lines, [*lines[1:], ""], strict=True)
    return found + [line for line, after in following if PINNED.match(line) and not HASH.match(after)]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: str(path.relative_to(source.ROOT)))
def test_the_lock_pins_and_hashes_everything(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert faults(text) == []
    assert "://" not in text
    assert text


@pytest.mark.parametrize(
    "text",
    [
        "boto3>=1.44 \\\n    --hash=sha256:" + "a" * 64,
        "boto3==1.44.5",
        "boto3==1.44.5 \\\nbotocore==1.44.5 \\\n    --hash=sha256:" + "a" * 64,
        "--index-url https://example.com/simple",
        "boto3 @ https://example.com/boto3.whl \\\n    --hash=sha256:" + "a" * 64,
    ],
)
def test_the_check_sees(text: str) -> None:
    assert faults(text)


def test_every_group_is_locked() -> None:
    groups = set(tomllib.loads(source.text("pyproject.toml"))["dependency-groups"])
    # cli has no environment of its own here: dev includes it, and its wheel is for people with no clone.
    assert groups - {"cli", "layer"} <= {path.stem for path in LOCKS}


def test_the_layer_pins_what_the_tests_have() -> None:
    layer, dev = (pins(path) for path in ("layers/springboard/requirements.txt", "requirements/dev.txt"))
    assert {"botocore", "kubernetes", "pydantic"} <= set(layer)
    assert {name: dev.get(name) for name in layer} == layer


def pins(path: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", source.text(path), re.MULTILINE))
