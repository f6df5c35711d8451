"""docs/reference/cli.md names every command and every option there is, and none that there isn't."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from springboard_cli.errors import Exit
from tests.unit.cli.stand_ins import COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE = (Path(__file__).parents[3] / "docs/reference/cli.md").read_text()
SECTIONS: dict[str, str] = dict(
    re.findall(r"^### `springboard ([a-z ]+)`\n(.*?)(?=^##|\Z)", REFERENCE, re.DOTALL | re.MULTILINE)
)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def options(command: Any) -> set[str]:
    return {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--") and name != "--help"
    }


def test_the_reference_has_a_section_for_each_command() -> None:
    assert set(SECTIONS) == {name for name, _ in commands(COMMAND)}


def test_a_section_names_the_options_of_its_command_and_no_others() -> None:
    for name, command in commands(COMMAND):
        written = set(_OPTION.findall(SECTIONS[name])) - {"--for=delete"}
        assert (name, written) == (name, options(command))


def test_the_reference_lists_the_exit_codes() -> None:
    listed = re.findall(r"^\| (\d+) \|", REFERENCE, re.MULTILINE)

    assert {int(code) for code in listed} == {int(code) for code in Exit}
