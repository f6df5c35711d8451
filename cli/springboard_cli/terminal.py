"""Writing: data to stdout, everything else to stderr; nothing that comes over the wire steers the terminal."""

from __future__ import annotations

import enum
import json
import re
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Control characters (escape sequences begin with one) and those that turn the direction of text.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_STYLES = {
    "Ready": "green",
    "Degraded": "yellow",
    "Failed": "red",
    "Deleting": "yellow",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
}


class Format(enum.StrEnum):
    """Of `-o`."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def clean(text: object) -> str:
    """The text without anything that a terminal would obey."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", str(text))


def counted(count: int, one: str, many: str = "") -> str:
    """The number with its noun, or with more words that depend on it: "1 change", "0 changes"."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


class Terminal:
    """Where a command writes. Made per invocation, because tests exchange sys.stdout and sys.stderr."""

    def __init__(self) -> None:
        self.out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def data(self, text: object = "") -> None:
        """A line of what was asked for."""
        self.out.print(Text(clean(text)))

    def say(self, text: object = "", style: str = "") -> None:
        """A line about it."""
        self.err.print(Text(clean(text), style=style))

    def table(self, header: Sequence[str], rows: Iterable[Sequence[object]], *, indent: int = 0) -> None:
        """Columns as kubectl prints them: three spaces apart, no frames, never cut off."""
        for line in columns(header, rows):
            self.out.print(Text(" " * indent) + line)

    def note_table(self, rows: Iterable[Sequence[object]]) -> None:
        """Columns beside the data: on stderr, indented, without a header."""
        for line in columns((), rows):
            self.err.print(Text("  ") + line)

    def document(self, document: object, form: Format) -> None:
        """A document as JSON or YAML."""
        self.out.print(Text(dump(document, form)), end="")


def dump(document: object, form: Format) -> str:
    """JSON as it is (text from outside is escaped by the format itself), or YAML in the order of the API."""
    if form is Format.JSON:
        return json.dumps(document, indent=2) + "\n"
    dumped: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=False, width=120)
    return dumped


def columns(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[Text]:
    """The rows under their header as lines; known words are coloured."""
    lines = [[clean(cell).replace("\n", " ") for cell in row] for row in ([header, *rows] if header else rows)]
    if not lines:
        return []
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [_line(line, widths) for line in lines]


def _line(cells: Sequence[str], widths: Sequence[int]) -> Text:
    text = Text()
    last = len(cells) - 1
    for column, cell in enumerate(cells):
        text.append(cell if column == last else cell.ljust(widths[column] + 3), style=_STYLES.get(cell, ""))
    text.rstrip()
    return text


def names(documents: Iterable[dict[str, Any]]) -> list[str]:
    """As `-o name` prints them."""
    return [f"environment/{document['metadata']['name']}" for document in documents]
