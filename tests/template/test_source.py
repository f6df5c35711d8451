"""What deployed code must not do, and the forms that it must keep: seen in its text, before it runs."""

from __future__ import annotations

import ast
import configparser
import importlib
import inspect
from typing import TYPE_CHECKING

import pytest

from springboard.components.contract import Component
from springboard.components.table import ROWS
from tests.template import source

if TYPE_CHECKING:
    from pathlib import Path

    from springboard.components.contract import Row

PACKAGE = source.ROOT / "layers" / "springboard" / "springboard"
FUNCTIONS = source.ROOT / "functions"
DEPLOYED = sorted({*PACKAGE.rglob("*.py"), *FUNCTIONS.rglob("*.py")})

# `now` comes with the event, so that a retry and a test see the same time; handlers never wait; what is random can't
# be made again. Seen through every name that a module is imported by.
FORBIDDEN = {
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.sleep",
    "time.localtime",
    "time.gmtime",
    "random",
    "secrets",
    "uuid.uuid1",
    "uuid.uuid4",
    "os.urandom",
}
# (file, name): why it may.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("functions/api/idempotency.py", "os.urandom"): "ids of a request without a key are made anew each time",
    ("functions/api/environments.py", "os.urandom"): "a key whose environment is gone stands for a new wish",
}


def uses(text: str) -> set[str]:
    """Every dotted name that the code reads, its imported names resolved."""
    tree = ast.parse(text)
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for each in names:
                    imported[each.asname or each.name.partition(".")[0]] = (
                        each.name if each.asname else each.name.partition(".")[0]
                    )
            case ast.ImportFrom(module=str() as module, names=names, level=0):
                imported |= {each.asname or each.name: f"{module}.{each.name}" for each in names}
    dotted = (_dotted(node) for node in ast.walk(tree))
    return {
        ".".join(filter(None, (imported[first], rest)))
        for first, _, rest in (each.partition(".") for each in dotted if each)
        if first in imported
    }


def _dotted(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            before = _dotted(value)
            return f"{before}.{attr}" if before else ""
        case _:
            return ""


def forbidden(text: str) -> set[str]:
    """What of the forbidden the code uses."""
    return {name for used in uses(text) for name in FORBIDDEN if used == name or used.startswith(f"{name}.")}


@pytest.mark.parametrize("path", DEPLOYED, ids=lambda path: str(path.relative_to(source.ROOT)))
def test_deployed_code_takes_its_time_from_the_event(path: Path) -> None:
    file = str(path.relative_to(source.ROOT))
    allowed = {name for exempt, name in EXCEPTIONS if exempt == file}
    assert forbidden(path.read_text(encoding="utf-8")) - allowed == set()


def test_every_exception_is_needed() -> None:
    for file, name in EXCEPTIONS:
        assert name in forbidden(source.text(file))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("from datetime import datetime\nx = datetime.now()", "datetime.datetime.now"),
        ("import datetime as dt\nx = dt.datetime.now(dt.UTC)", "datetime.datetime.now"),
        ("import datetime\nf = datetime.date.today", "datetime.date.today"),
        ("import time\ntime.sleep(1)", "time.sleep"),
        ("from time import time as clock\nclock()", "time.time"),
        ("def f():\n    import random\n    return random.choice([1])", "random"),
        ("import uuid\nuuid.uuid4().hex", "uuid.uuid4"),
    ],
)
def test_the_check_sees_through_names(text: str, name: str) -> None:
    assert forbidden(text) == {name}


def test_the_check_lets_pass_what_is_given() -> None:
    assert forbidden("from datetime import datetime\nx = datetime.fromisoformat(y)\nnow = z.now()") == set()


CONTRACT = {name: each for name, each in inspect.getmembers(Component, inspect.isfunction) if not name.startswith("_")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_component_has_the_functions_of_the_contract(row: Row) -> None:
    module = importlib.import_module(f"springboard.components.{row.name}")
    for name, wanted in CONTRACT.items():
        found = getattr(module, name)
        assert list(inspect.signature(found).parameters) == list(inspect.signature(wanted).parameters)[1:], name


def test_the_contract_is_what_the_design_says() -> None:
    assert set(CONTRACT) == {"desired", "changes", "condition", "observe", "apply", "learned"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_pure_half_of_a_component_never_sees_the_world(row: Row) -> None:
    module = importlib.import_module(f"springboard.components.{row.name}")
    for name in ("desired", "changes", "condition", "learned"):
        code = ast.parse(inspect.getsource(getattr(module, name)))
        assert not [node for node in ast.walk(code) if isinstance(node, ast.Name) and node.id == "world"], name


def test_there_is_one_function_per_component() -> None:
    functions = {path.stem for path in (FUNCTIONS / "components").glob("*.py")} - {"__init__"}
    assert functions == {row.name for row in ROWS}
    for name in functions:
        tree = ast.parse(source.text(f"functions/components/{name}.py"))
        taken = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert ("springboard.components", name) in {(node.module, each.name) for node in taken for each in node.names}


def test_every_module_is_kept_from_the_sdks_but_adapters_and_runtime() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(source.ROOT / ".importlinter")
    kept = set(contracts["importlinter:contract:sdks"]["source_modules"].split())
    modules = {f"springboard.{path.stem}" for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    adapters = {f"springboard.{name}" for name in ("aws", "kube", "store", "runtime")}
    assert kept == modules - adapters - {"springboard.__init__", "springboard.__pycache__", "springboard.data"}


def test_needs_name_components() -> None:
    names = {row.name for row in ROWS}
    for row in ROWS:
        assert {*row.needs, *row.removal_waits_for} <= names - {row.name}
        assert row.pace.first > 0
        assert row.pace.poll > 0
        assert row.remedy
