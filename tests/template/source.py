"""The template, network and machines as they are written: one reader, strict about doubled keys."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
MACHINES = ("provision", "teardown")


class _Loader(yaml.CSafeLoader):
    """Reads CloudFormation's short tags as their long forms; of two equal keys YAML would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        keys = [self.construct_object(key) for key, _ in node.value]
        doubled = sorted({str(key) for key in keys if keys.count(key) > 1})
        if doubled:
            raise yaml.constructor.ConstructorError(None, None, f"doubled keys: {', '.join(doubled)}", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _tagged(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    match node:
        case yaml.ScalarNode():
            value: Any = loader.construct_scalar(node)
            return {name: value.split(".", 1) if suffix == "GetAtt" else value}
        case yaml.SequenceNode():
            return {name: loader.construct_sequence(node, deep=True)}
        case _:
            raise yaml.constructor.ConstructorError(None, None, f"!{suffix} on a mapping", node.start_mark)


_Loader.add_multi_constructor("!", _tagged)


def parse(text: str) -> dict[str, Any]:
    """A YAML mapping, short tags in their long forms."""
    document = yaml.load(text, _Loader)  # noqa: S506 - derived from SafeLoader
    if not isinstance(document, dict):
        raise TypeError("not a mapping")
    return document


@cache
def text(path: str) -> str:
    """A file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def template() -> dict[str, Any]:
    """template.yaml, before the transform."""
    return parse(text("template.yaml"))


@cache
def network() -> dict[str, Any]:
    """network.yaml."""
    return parse(text("network.yaml"))


@cache
def machine(name: str) -> dict[str, Any]:
    """The definition of a state machine, substitutions unresolved."""
    return parse(text(f"statemachines/{name}.asl.yaml"))


def substituted(text: str) -> set[str]:
    """The names in ${…}."""
    return set(re.findall(r"\$\{(\w+)\}", text))


def resources(kind: str, document: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """The resources of a type, by logical id, as written."""
    found = (document or template())["Resources"]
    return {name: each for name, each in found.items() if each["Type"] == kind}
