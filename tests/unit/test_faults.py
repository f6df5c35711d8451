"""The list of faults in the docs is what the tests hold: read from their sources, without running them."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FLOW = ROOT / "tests" / "steps" / "flow"
ACTS = ("Create", "Change", "Delete")
FAULTS = [f"F{n}" for n in (*range(1, 11), *range(12, 20), *range(28, 39), 41, 42, 43)]
INPUTS = [f"B{n}" for n in (*range(1, 15), 16)]
# Of the machines themselves, not of an environment: there is nothing in an account to look at.
OF_SOURCES = {"F42"}
# What counts as a deletion in a story.
DELETIONS = {"delete", "deleted", "DELETE", "ttl-reached"}


@cache
def modules() -> dict[Path, ast.Module]:
    """Every file of tests."""
    return {file: ast.parse(file.read_text()) for file in sorted((ROOT / "tests").rglob("*.py"))}


def functions(module: ast.Module) -> Iterator[ast.FunctionDef]:
    """The module's functions, and the tests of its classes."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            yield node
        if isinstance(node, ast.ClassDef):
            yield from (each for each in node.body if isinstance(each, ast.FunctionDef))


def numbers(name: str) -> set[str]:
    """The faults whose numbers a test's name carries: test_f13_f41_… holds F13 and F41."""
    found = re.match(r"test((?:_[fb][0-9]+)+)_", name)
    return {each.upper() for each in found[1].strip("_").split("_")} if found else set()


@cache
def numbered() -> dict[str, tuple[Path, ast.FunctionDef]]:
    """Every test whose name carries a number; one that the page could not tell from another is none."""
    found: dict[str, list[tuple[Path, ast.FunctionDef]]] = defaultdict(list)
    for file, module in modules().items():
        for function in functions(module):
            if numbers(function.name):
                found[function.name].append((file, function))
    return {name: places[0] for name, places in found.items() if len(places) == 1}


@cache
def rows() -> dict[str, list[str]]:
    """Number → the cells behind it, of all tables of the page."""
    text = (ROOT / "docs" / "reference" / "faults.md").read_text()
    lines = [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in text.splitlines() if "|" in line]
    cells = [[cell.strip(" |") for cell in line] for line in lines]
    return {line[0]: line[1:] for line in cells if re.fullmatch(r"[FB][0-9]+", line[0])}


def named(cell: str) -> list[str]:
    return re.findall(r"`(test_\w+)`", cell)


def words(file: Path, function: ast.FunctionDef) -> set[str]:
    """All names, attributes and texts that a test comes to, by whatever functions of the flow's files it calls."""
    local: dict[Path, dict[str, ast.FunctionDef]] = defaultdict(dict)
    for path, module in modules().items():
        if path.parent == FLOW:
            local[path] = {each.name: each for each in functions(module)}
    imported = {name: (path, made) for path, made_here in local.items() for name, made in made_here.items()}
    seen: set[str] = set()
    open_, done = [(file, function)], set()
    while open_:
        path, here = open_.pop()
        if (path, here.name) in done:
            continue
        done.add((path, here.name))
        for node in ast.walk(here):
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                    seen.add(name)
                    if name in local[path]:
                        open_.append((path, local[path][name]))
                    elif isinstance(node, ast.Name) and name in imported:
                        open_.append(imported[name])
                case ast.Constant(value=str(text)):
                    seen.add(text)
    return seen


def test_every_fault_has_its_line_and_no_other_one_has() -> None:
    assert set(rows()) == {*FAULTS, *INPUTS}


@pytest.mark.parametrize("number", [*FAULTS, *INPUTS])
def test_every_fault_has_tests_that_carry_its_number(number: str) -> None:
    cells = rows()[number]
    assert len(cells) == (5 if number in FAULTS else 2), cells
    for cell in cells[2:] if number in FAULTS else cells[1:]:
        assert named(cell) or re.match(r"- \S+ \S+|- F[0-9]+", cell), f"{number}: neither a test nor a reason: {cell!r}"
        for name in named(cell):
            assert name in numbered(), f"{number}: there is no {name}"
            assert number in numbers(name), f"{name} does not carry {number}"
    assert any(named(cell) for cell in cells), number


@pytest.mark.parametrize("number", [each for each in FAULTS if each not in OF_SOURCES])
def test_faults_are_told_as_stories_of_the_whole_flow(number: str) -> None:
    for act, cell in zip(ACTS, rows()[number][2:], strict=True):
        for name in named(cell):
            file, function = numbered()[name]
            in_a_stack = file.parent in {FLOW, ROOT / "tests" / "flows"}
            assert in_a_stack, f"{number}, {act}: {name} is no story of the flow"
            if act == "Delete" and file.parent == FLOW:
                assert words(file, function) & DELETIONS, f"{number}: {name} deletes nothing"


@pytest.mark.parametrize("name", [each for each, (file, _) in numbered().items() if file.parent == FLOW])
def test_every_story_of_a_fault_ends_with_the_invariants(name: str) -> None:
    file, function = numbered()[name]
    seen = words(file, function)
    if not {"springboard", "deployed"} & seen:
        return  # of sources alone
    assert "invariants" in seen, f"{file.name}: {name} does not look whether the invariants hold"
