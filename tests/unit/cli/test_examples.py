"""The examples are what they say: valid, and read by the command line as the API reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from springboard import capacity, spec, validation
from springboard_cli import yaml_document

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))


def document(file: Path) -> spec.EnvironmentDocument:
    return validation.parse(yaml_document.read(file.read_bytes(), file.name).value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_valid_and_fits_on_its_nodes(file: Path) -> None:
    assert capacity.check(document(file).spec, capacity.known_types()) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_editors_find_the_schema_of_an_example(file: Path) -> None:
    first = file.read_text().splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")

    assert (EXAMPLES / schema).resolve().is_file()


def test_there_are_the_four_that_the_guide_names() -> None:
    assert {file.stem for file in FILES} >= {"smallest", "shop", "two-apps", "full"}


def test_the_demo_can_be_deleted_without_an_edit() -> None:
    assert document(EXAMPLES / "shop.yaml").spec.protected is False


def test_the_full_example_shows_every_field() -> None:
    """Written or, where two exclude each other, commented out with its key."""
    text = (EXAMPLES / "full.yaml").read_text() + (EXAMPLES / "two-apps.yaml").read_text()
    names = {
        field.alias or name
        for model in vars(spec).values()
        if isinstance(model, type) and issubclass(model, spec.Model)
        for name, field in model.model_fields.items()
    }
    waiver = {"insight", "owner", "until"}  # of an upgrade insight: they end on a day, so no file can keep one

    assert sorted(name for name in names - waiver if f"{name}:" not in text) == []
