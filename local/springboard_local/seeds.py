"""What the local cloud's registry holds from the start: the images of the examples, and a next release of each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from springboard_local.cloud import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TAG = re.compile(r"^(?P<repository>.+):(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)$")


def images(examples: Path) -> list[str]:
    """Image references of the account's own registry in `examples/*.yaml`, and each one's next patch release."""
    found: set[str] = set()
    for file in sorted(examples.glob("*.yaml")):
        for image in _images_of(yaml.safe_load(file.read_text())):
            if image.startswith(f"{ACCOUNT}.dkr.ecr."):
                found |= {image, *_next_release(image)}
    return sorted(found)


def _images_of(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        image = value.get("image")
        if isinstance(image, str):
            yield image
        for inner in value.values():
            yield from _images_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _images_of(inner)


def _next_release(image: str) -> Iterator[str]:
    if tag := _TAG.match(image):
        yield f"{tag['repository']}:{tag['major']}.{tag['minor']}.{int(tag['patch']) + 1}"
