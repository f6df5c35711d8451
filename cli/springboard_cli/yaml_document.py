"""An environment's file as JSON values, read so that nothing changes its meaning on the way.

YAML 1.2's core schema with one addition: a plain scalar with a point stays the text that stands there, so that
`minVersion: 1.30` is not 1.3 (no field of an environment is a fraction; an add-on's own configuration may have
some). NO, yes and on are text, true and false are booleans. Duplicate keys, several documents, tags, merge
keys and documents that grow beyond all measure by aliases are refused. Each mistake has its line and column.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from springboard_cli.errors import CommandError, Exit, Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_BYTES = 256 * 1024
MAX_VALUES = 10_000  # far more than any environment, far less than a bomb
MAX_DEPTH = 40
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_MAX_DIGITS = 15  # as the API reads them; more are not the same number to every reader
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.:$/-]{1,130}")
_SHOWN = 60
_FREE = ("spec", "addons", None, "configuration")  # where fractions are fractions; None: any index
_PLAIN = "!plain"  # stands for what an unquoted scalar without a tag may mean
_TEXT = "tag:yaml.org,2002:str"
_TAGS = frozenset({_PLAIN, _TEXT, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})

type Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """A line and a column, counted from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass
class Document:
    """A file's content, and where in the file each field stands."""

    source: str
    value: Any = None
    places: dict[str, Place] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """metadata.name; empty where there is none that is a text."""
        metadata = self.value.get("metadata") if isinstance(self.value, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        return name if isinstance(name, str) else ""

    def place(self, path: str) -> str:
        """file:line:column of a field, or of the nearest thing around it that stands in the file."""
        while path and path not in self.places:
            cut = max(path.rfind("."), path.rfind("["))
            path = path[:cut] if cut > 0 else ""
        return f"{self.source}:{self.places.get(path, Place(1, 1))}"

    def locate(self, err: CommandError) -> CommandError:
        """The same error with each mistake's place in this file."""
        located = (
            Mistake(each.field, each.message, each.remedy, each.value, self.place(each.field)) for each in err.mistakes
        )
        ordered = tuple(sorted(located, key=_by_line))
        return CommandError(err.message, err.remedy, code=err.code, mistakes=ordered)


def _by_line(mistake: Mistake) -> tuple[int, int]:
    _, line, column = mistake.place.rsplit(":", 2)
    return int(line), int(column)


class _Loader(yaml.SafeLoader):
    """The parser alone: what a plain scalar means is decided here, not by YAML 1.1."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:  # noqa: ANN401 - PyYAML's own
        """The tag of a node that has none."""
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]  # PyYAML's stubs lack it


def read(text: str | bytes, source: str) -> Document:
    """The document of a file; CommandError with the place of every mistake."""
    size = len(text if isinstance(text, bytes) else text.encode())
    if size > MAX_BYTES:
        raise CommandError(f"{source} has {size} bytes", f"at most {MAX_BYTES} are read", code=Exit.INVALID)
    document = Document(source)
    node = _root(text, source)
    reader = _Reader(document)
    document.value = reader.value(node, ())
    if reader.mistakes:
        count = len(reader.mistakes)
        found = "one mistake" if count == 1 else f"{count} mistakes"
        raise CommandError(f"{found} in {source}", code=Exit.INVALID, mistakes=tuple(reader.mistakes))
    return document


def _root(text: str | bytes, source: str) -> yaml.Node:
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        nodes = list(_first_two(decoded))
    except UnicodeDecodeError as err:
        raise CommandError(f"{source} is not UTF-8", "save it as UTF-8", code=Exit.INVALID) from err
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        mistake = Mistake("", err.problem or "is no YAML", err.note or "", place=f"{source}:{place}")
        raise CommandError(f"{source} is no YAML", code=Exit.INVALID, mistakes=(mistake,)) from err
    except yaml.YAMLError as err:
        raise CommandError(
            f"{source} is no YAML: {err}", "remove characters that don't print", code=Exit.INVALID
        ) from err
    except RecursionError as err:
        raise CommandError(
            f"{source} is nested deeper than {MAX_DEPTH} levels", "an environment needs seven", code=Exit.INVALID
        ) from err
    if not nodes:
        raise CommandError(f"{source} is empty", "`springboard init` writes a file to begin with", code=Exit.INVALID)
    if len(nodes) > 1:
        raise CommandError(
            f"{source} has several documents, the second at line {nodes[1].start_mark.line + 1}",
            "write one environment per file, and apply each",
            code=Exit.INVALID,
        )
    return nodes[0]


def _first_two(text: str) -> Iterator[yaml.Node]:
    """At most two documents: the second is a mistake already."""
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # noqa: S101 - check_node said so
            yield node
    finally:
        loader.dispose()


class _Reader:
    """Turns nodes into values, noting mistakes and places."""

    def __init__(self, document: Document) -> None:
        self.mistakes: list[Mistake] = []
        self._document = document
        self._count = 0

    def value(self, node: yaml.Node, path: Path) -> Any:  # noqa: ANN401 - any JSON value
        """The value of a node."""
        self._count += 1
        if self._count > MAX_VALUES:
            raise CommandError(
                f"{self._document.source} holds more than {MAX_VALUES} values once its aliases are followed",
                "write the environment without aliases",
                code=Exit.INVALID,
            )
        if len(path) > MAX_DEPTH:
            raise CommandError(
                f"{self._document.source} is nested deeper than {MAX_DEPTH} levels",
                "an environment needs seven; an alias may hold itself",
                code=Exit.INVALID,
            )
        self._document.places.setdefault(text_of(path), _place(node))
        if node.tag not in _TAGS:
            self._mistake(node, path, f"has the tag {node.tag}", "remove the tag")
            return None
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode():
                return [self.value(item, (*path, number)) for number, item in enumerate(node.value)]
            case yaml.ScalarNode() if node.tag == _PLAIN:
                return self._plain(node, path)
            case _:
                return _whole(str(node.value))

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._mistake(key_node, path, "has a key that is no text", "write keys as plain text")
                continue
            key = _whole(str(key_node.value))
            inside = (*path, key)
            if key == "<<" and key_node.style is None:
                self._mistake(key_node, inside, "is a merge key, which is not read", "write the fields out")
                continue
            if key in lines:
                self._mistake(key_node, inside, f"stands there twice, first in line {lines[key]}", "remove one of them")
                continue
            lines[key] = key_node.start_mark.line + 1
            self._document.places.setdefault(text_of(inside), _place(key_node))
            found[key] = self.value(value_node, inside)
        return found

    def _plain(self, node: yaml.ScalarNode, path: Path) -> Any:  # noqa: ANN401 - any JSON value
        text = str(node.value)
        if _INT.fullmatch(text) and len(text.lstrip("+-")) > _MAX_DIGITS:
            remedy = "quote it if it is a text, or write a smaller number"
            self._mistake(node, path, f"is a number of more than {_MAX_DIGITS} digits", remedy)
            return None
        value = scalar(text, fractions=_is_free(path))
        if isinstance(value, float) and not math.isfinite(value):
            self._mistake(node, path, "is a number out of range", "write a smaller one")
            return None
        return value

    def _mistake(self, node: yaml.Node, path: Path, message: str, remedy: str) -> None:
        place = f"{self._document.source}:{_place(node)}"
        self.mistakes.append(Mistake(text_of(path), message, remedy, place=place))


def scalar(text: str, *, fractions: bool = False) -> str | int | float | bool | None:
    """What a plain scalar means."""
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text in {"true", "True", "TRUE"}:
        return True
    if text in {"false", "False", "FALSE"}:
        return False
    if _INT.fullmatch(text):
        return int(text)
    if fractions and _FLOAT.fullmatch(text):
        return float(text)
    return text


def _whole(text: str) -> str:
    """The text with pairs of surrogates, as JSON escapes rare characters, made into the characters they mean."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def text_of(path: Sequence[str | int]) -> str:
    """spec.apps[0].image, as the API names fields."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if _PLAIN_KEY.fullmatch(part) else ascii(part[:_SHOWN])
            text += f".{shown}" if text else shown
    return text


def _is_free(path: Path) -> bool:
    return len(path) > len(_FREE) and all(
        isinstance(part, int) if wanted is None else part == wanted for wanted, part in zip(_FREE, path, strict=False)
    )


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
