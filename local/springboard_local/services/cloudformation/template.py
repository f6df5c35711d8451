"""Templates: reading them, and resolving what is written in them to plain values."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from springboard_local.cloud import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

AVAILABILITY_ZONES = [f"{REGION}{letter}" for letter in "abc"]
NO_VALUE = object()  # what AWS::NoValue resolves to: the property is left out


class TemplateError(ValueError):
    """The template is wrong; CloudFormation's ValidationError."""


class _Loader(yaml.SafeLoader):
    """YAML as CloudFormation reads it: its short tags, dates as strings, no key twice."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix in {"Ref", "Condition"}:
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = sorted({str(key) for key in keys if keys.count(key) > 1 and key != "<<"})
    if twice:
        raise TemplateError(f"Template format error: duplicate keys {', '.join(twice)}{node.start_mark}")
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_multi_constructor("!", _short_tag)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse(text: str) -> dict[str, Any]:
    """A template's text as JSON values."""
    try:
        template = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise TemplateError(f"Template format error: YAML not well-formed. {error}") from error
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict) or not template["Resources"]:
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    parsed: dict[str, Any] = json.loads(json.dumps(template))
    return parsed


# parameters


def parameter_values(
    template: Mapping[str, Any],
    given: Mapping[str, str],
    read_ssm: Callable[[str], str],
) -> dict[str, Any]:
    """The value of each parameter that the template declares, checked and typed."""
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise TemplateError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    missing = sorted(name for name, each in declared.items() if name not in given and "Default" not in each)
    if missing:
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
    return {
        name: _parameter(name, each, str(given.get(name, _text(each.get("Default")))), read_ssm)
        for name, each in declared.items()
    }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _parameter(name: str, declared: Mapping[str, Any], value: str, read_ssm: Callable[[str], str]) -> Any:
    kind = str(declared.get("Type", "String"))
    if kind.startswith("AWS::SSM::Parameter::Value<"):
        value = read_ssm(value)
        kind = kind.removeprefix("AWS::SSM::Parameter::Value<").removesuffix(">")
    many = kind == "CommaDelimitedList" or kind.startswith("List<")
    values = [part.strip() for part in value.split(",")] if many and value else ([] if many else [value])
    for each in values:
        _check(name, declared, kind, each)
    return values if many else value


def _check(name: str, declared: Mapping[str, Any], kind: str, value: str) -> None:
    allowed = [_text(each) for each in declared.get("AllowedValues", [])]
    if allowed and value not in allowed:
        raise TemplateError(f"Parameter '{name}' must be one of AllowedValues: [{', '.join(allowed)}]")
    reason = declared.get("ConstraintDescription")
    pattern = declared.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, value):
        raise TemplateError(
            f"Parameter '{name}' failed to satisfy constraint: {reason or f'must match pattern {pattern}'}"
        )
    if kind in {"Number", "List<Number>"}:
        try:
            size = float(value)
        except ValueError as error:
            raise TemplateError(f"Parameter '{name}' must be a number.") from error
        low, high = float(declared.get("MinValue", "-inf")), float(declared.get("MaxValue", "inf"))
    else:
        size = len(value)
        low, high = float(declared.get("MinLength", 0)), float(declared.get("MaxLength", "inf"))
    if not low <= size <= high:
        raise TemplateError(f"Parameter '{name}' must be between {low:g} and {high:g}{f': {reason}' if reason else ''}")


# references


def references(value: Any) -> Iterator[str]:
    """The names that a part of a template refers to, whether resources, parameters or pseudo parameters."""
    if isinstance(value, list):
        for each in value:
            yield from references(each)
    elif isinstance(value, dict):
        if len(value) == 1:
            ((function, argument),) = value.items()
            yield from _referred(function, argument)
        for each in value.values():
            yield from references(each)


def _referred(function: str, argument: Any) -> Iterator[str]:
    if function == "Ref" and isinstance(argument, str):
        yield argument
    elif function == "Fn::GetAtt":
        yield str(argument.split(".", 1)[0] if isinstance(argument, str) else argument[0])
    elif function == "Fn::Sub":
        text, given = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])
        for name in _SUB.findall(text):
            if not name.startswith("!") and name not in given:
                yield name.strip().split(".", 1)[0]


_SUB = re.compile(r"\$\{([^}]+)\}")


def enabled(template: Mapping[str, Any], resolver: Resolver) -> dict[str, dict[str, Any]]:
    """The resources whose condition holds."""
    return {
        name: resource
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or resolver.condition(resource["Condition"])
    }


def dependencies(resources: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """What each of the resources has to wait for."""
    found = {}
    for name, resource in resources.items():
        explicit = resource.get("DependsOn") or []
        names = set([explicit] if isinstance(explicit, str) else explicit)
        names |= set(references(resource.get("Properties") or {}))
        found[name] = {each for each in names if each in resources and each != name}
    return found


def in_order(needs: Mapping[str, set[str]]) -> list[str]:
    """The resources, each after what it needs; TemplateError for a circle."""
    left = {name: set(each) for name, each in needs.items()}
    order: list[str] = []
    while left:
        ready = [name for name, each in left.items() if not each]
        if not ready:
            circle = ", ".join(_circle(left))
            raise TemplateError(f"Circular dependency between resources: [{circle}]")
        for name in ready:
            del left[name]
            order.append(name)
        for each in left.values():
            each.difference_update(ready)
    return order


def _circle(left: Mapping[str, set[str]]) -> list[str]:
    """One circle among resources that wait for each other."""
    path: list[str] = [next(iter(left))]
    while True:
        following = min(left[path[-1]])
        if following in path:
            return sorted(path[path.index(following) :])
        path.append(following)


def validate(template: Mapping[str, Any]) -> None:
    """Refuse what CloudFormation refuses before it touches anything."""
    resources, parameters = template["Resources"], template.get("Parameters") or {}
    conditions = template.get("Conditions") or {}
    for name, resource in resources.items():
        if not re.fullmatch(r"[A-Za-z0-9]{1,255}", name):
            raise TemplateError(f"Template format error: Resource name {name} is non alphanumeric.")
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise TemplateError(f"Template format error: [/Resources/{name}] Every Resources object must have a Type.")
        condition = resource.get("Condition")
        if condition is not None and condition not in conditions:
            raise TemplateError(f"Template format error: Unresolved condition dependency {condition} in {name}")
    known = {*resources, *parameters}
    for block in ("Resources", "Outputs"):
        for name, each in (template.get(block) or {}).items():
            explicit = each.get("DependsOn") or []
            names = set(references(each)) | set([explicit] if isinstance(explicit, str) else explicit)
            missing = sorted(ref for ref in names if ref not in known and not ref.startswith("AWS::"))
            if missing:
                raise TemplateError(
                    f"Template format error: Unresolved resource dependencies [{', '.join(missing)}] "
                    f"in the {block} block of the template ({name})"
                )
    in_order(dependencies(resources))


# resolving


@dataclass
class Resolver:
    """Turns a part of a template into plain values."""

    template: Mapping[str, Any]
    parameters: Mapping[str, Any]
    stack_id: str
    stack_name: str
    ref: Callable[[str], Any]  # of a resource
    attribute: Callable[[str, str], Any]
    imported: Callable[[str], str]
    read_dynamic: Callable[[str, str], str]  # service, reference
    notification_arns: list[str] = field(default_factory=list)
    _conditions: dict[str, bool] = field(default_factory=dict)

    def condition(self, name: str) -> bool:
        """Whether a condition of the template holds."""
        if name not in self._conditions:
            declared = (self.template.get("Conditions") or {}).get(name)
            if declared is None:
                raise TemplateError(f"Template error: unresolved condition dependency: {name}")
            self._conditions[name] = self._holds(declared)
        return self._conditions[name]

    def _holds(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        match value:
            case {"Condition": str(name)}:
                return self.condition(name)
            case {"Fn::Equals": [left, right]}:
                return _text(self.resolve(left)) == _text(self.resolve(right))
            case {"Fn::Not": [inner]}:
                return not self._holds(inner)
            case {"Fn::And": list(inner)}:
                return all(self._holds(each) for each in inner)
            case {"Fn::Or": list(inner)}:
                return any(self._holds(each) for each in inner)
        raise TemplateError(f"Template error: {json.dumps(value)} is not a condition")

    def resolve(self, value: Any) -> Any:
        """`value` with all functions applied; NO_VALUE where it is to be left out."""
        if isinstance(value, list):
            return [each for each in map(self.resolve, value) if each is not NO_VALUE]
        if isinstance(value, str):
            return self._dynamic(value) if "{{resolve:" in value else value
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref":
                return self._ref(str(argument))
            if name.startswith("Fn::"):
                return self._function(name, argument)
        resolved = {key: self.resolve(each) for key, each in value.items()}
        return {key: each for key, each in resolved.items() if each is not NO_VALUE}

    def _ref(self, name: str) -> Any:
        pseudo: dict[str, Any] = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackId": self.stack_id,
            "AWS::StackName": self.stack_name,
            "AWS::NotificationARNs": list(self.notification_arns),
            "AWS::NoValue": NO_VALUE,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        return self.ref(name)

    def _function(self, name: str, argument: Any) -> Any:
        functions: dict[str, Callable[[Any], Any]] = {
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::If": self._if,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAZs": lambda _: list(AVAILABILITY_ZONES),
            "Fn::Base64": lambda text: base64.b64encode(str(self.resolve(text)).encode()).decode(),
            "Fn::Cidr": self._cidr,
            "Fn::ImportValue": lambda export: self.imported(str(self.resolve(export))),
        }
        if name not in functions:
            raise TemplateError(f"Template error: the local cloud does not have {name}")
        try:
            return functions[name](argument)
        except (TypeError, ValueError, IndexError, KeyError) as error:
            if isinstance(error, TemplateError):
                raise
            raise TemplateError(f"Template error: every {name} object must be well-formed: {error!r}") from error

    def _get_att(self, argument: Any) -> Any:
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        return self.attribute(str(name), str(self.resolve(attribute)))

    def _sub(self, argument: Any) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else argument

        def value(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in given:
                return _text(self.resolve(given[name]))
            if "." in name:
                return _text(self._get_att(name))
            return _text(self._ref(name))

        return str(self.resolve(_SUB.sub(value, text)))

    def _if(self, argument: Any) -> Any:
        condition, then, otherwise = argument
        return self.resolve(then if self.condition(condition) else otherwise)

    def _join(self, argument: Any) -> str:
        separator, values = argument
        return str(separator).join(_text(each) for each in self.resolve(values))

    def _select(self, argument: Any) -> Any:
        index, values = argument
        chosen = self.resolve(values)
        return chosen[int(self.resolve(index))]

    def _split(self, argument: Any) -> list[str]:
        separator, text = argument
        return str(self.resolve(text)).split(separator)

    def _find_in_map(self, argument: Any) -> Any:
        name, first, second = (self.resolve(each) for each in argument[:3])
        try:
            return self.resolve(self.template["Mappings"][name][_text(first)][_text(second)])
        except KeyError as error:
            if len(argument) == 4 and "DefaultValue" in argument[3]:
                return self.resolve(argument[3]["DefaultValue"])
            raise TemplateError(f"Template error: Unable to get mapping for {name}::{first}::{second}") from error

    def _cidr(self, argument: Any) -> list[str]:
        block, count, *bits = (self.resolve(each) for each in argument)
        network = ipaddress.ip_network(str(block))
        prefix = network.max_prefixlen - (int(bits[0]) if bits else 8)
        subnets = network.subnets(new_prefix=prefix)
        return [str(next(subnets)) for _ in range(int(count))]

    def _dynamic(self, text: str) -> str:
        return re.sub(
            r"\{\{resolve:(ssm|ssm-secure|secretsmanager):([^}]+)\}\}",
            lambda match: self.read_dynamic(match[1], match[2]),
            text,
        )
