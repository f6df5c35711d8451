"""What the pages say of numbers, names and routes is what the code has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore import xform_name
from typer.core import TyperGroup
from typer.main import get_command

from api import routes
from springboard import naming
from springboard.components import alarms as component
from springboard.components.table import ROWS
from springboard.spec import EnvironmentSpec, Model
from springboard_cli.main import app
from tests.unit.components.records import SITE, environment

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's tags as what they hold."""


def _held(loader: yaml.SafeLoader, _tag: str, node: yaml.Node) -> Any:
    match node:
        case yaml.ScalarNode():
            return loader.construct_scalar(node)
        case yaml.SequenceNode():
            return loader.construct_sequence(node)
        case yaml.MappingNode():
            return loader.construct_mapping(node)


_Loader.add_multi_constructor("!", _held)


def template() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), _Loader)  # noqa: S506 - a safe loader
    return loaded


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def anchors(file: Path) -> set[str]:
    """The headings of a page, as the parts of a link that name them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", file.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(file: Path) -> None:
    prose = re.sub(r"```.*?```", "", file.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (file.parent / path).resolve() if path else file
        assert linked.exists(), target
        if anchor and linked.suffix == ".md":
            assert anchor in anchors(linked), target


def test_every_component_has_its_line_with_its_numbers() -> None:
    text = page("reference/components.md")
    for row in ROWS:
        needs, waits = (", ".join(names) or "-" for names in (row.needs, row.removal_waits_for))
        numbers = f"{row.pace.first} | {row.pace.poll} | {row.patience} | {waits} | {row.removal_patience}"
        assert f"| `{row.name}` | {needs} | {numbers} |" in text
        assert f"`{row.condition}`" in page("reference/api.md")


def alarms() -> dict[str, str]:
    """The runbook's section of each alarm of the stack and of an environment, and the alarm's description."""
    resources = template()["Resources"].values()
    found = [each["Properties"] for each in resources if each["Type"] == "AWS::CloudWatch::Alarm"]
    own = {each["AlarmName"].replace("${Prefix}", "springboard"): each["AlarmDescription"] for each in found}
    record = environment().with_facts(
        "load_balancer", {"arn": "arn:aws:elasticloadbalancing:::loadbalancer/app/shop/1"}
    )
    [shop] = record.resolved.apps
    group = naming.target_group(SITE.prefix, record.name, record.uid, shop.name, shop.node_port)
    record = record.with_facts(
        "target_groups", {"groups": {group: "arn:aws:elasticloadbalancing:::targetgroup/shop/1"}}
    )
    beginning = naming.alarm(SITE.prefix, record.name, record.uid, "")
    theirs = component.desired(record, SITE).alarms
    for name, alarm in theirs.items():
        what = name.removeprefix(beginning).removesuffix(f"-{shop.name}")
        own[f"environment-{what}"] = alarm["AlarmDescription"]
    assert len(own) >= 24
    return own


@pytest.mark.parametrize(("name", "description"), alarms().items())
def test_every_alarm_has_a_runbook_and_names_it(name: str, description: str) -> None:
    """It says what the alarm means, how to look and what to do, with commands that can be run."""
    assert description.endswith(f"runbook docs/guide/runbooks.md#{name}")
    section = re.search(rf"^## {name}\n\n(.+?)(?=^#|\Z)", page("guide/runbooks.md"), re.MULTILINE | re.DOTALL)
    assert section
    assert re.match(r"\*[A-Z].+?\*", section[1], re.DOTALL), "what it means comes first"
    assert re.search(r"`(aws|springboard|kubectl) [^`]+`|^aws ", section[1], re.MULTILINE), (
        "a command to look or to act"
    )


def test_no_runbook_is_of_an_alarm_that_is_not_there() -> None:
    assert set(re.findall(r"^## (\S+)$", page("guide/runbooks.md"), re.MULTILINE)) == set(alarms())


def test_runbooks_use_commands_that_there_are() -> None:
    text = page("guide/runbooks.md")
    mine = set(re.findall(r"springboard ([a-z]+)(?=[ `])", text))
    assert {"why", "retry", "doctor"} <= mine
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    assert mine <= set(group.commands)
    session = botocore.session.Session()
    of_aws = set(re.findall(r"\baws ([a-z0-9-]+) ([a-z-]+)", text))
    assert len(of_aws) > 15
    for service, operation in of_aws:
        known = {xform_name(each, "-") for each in session.get_service_model(service).operation_names}
        assert operation in known, f"aws {service} {operation}"


def commands(program: str) -> list[list[str]]:
    """What the runbooks tell to type that begins with a program's name, in words."""
    text = page("guide/runbooks.md").replace("\\\n", " ")
    fenced = re.findall(r"^```(?:sh|console)\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in fenced for line in re.sub(r"\n +--", " --", block).splitlines()]
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.+?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    found = [part for each in [*lines, *spans] for part in re.split(r"\$\(|; ", each)]
    return [each.split() for each in found if each.startswith(f"{program} ")]


def options(words: list[str]) -> set[str]:
    return {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}


def test_runbooks_give_options_that_there_are() -> None:
    """Of AWS's commands those that the operation takes, of ours those that the command knows."""
    session = botocore.session.Session()
    of_aws = commands("aws")
    assert len(of_aws) > 30
    for words in of_aws:
        model = session.get_service_model(words[1])
        [operation] = [each for each in model.operation_names if xform_name(each, "-") == words[2]]
        takes = {f"--{xform_name(each, '-')}" for each in model.operation_model(operation).input_shape.members}
        assert options(words) <= takes | {"--query", "--output", "--max-items"}, words
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    mine = [words for words in commands("springboard") if len(words) > 1 and words[1] in group.commands]
    assert len(mine) > 15
    for words in mine:
        known = {option for each in group.commands[words[1]].params for option in (*each.opts, *each.secondary_opts)}
        assert options(words) <= known, words


def test_every_parameter_and_output_is_explained() -> None:
    text = page("guide/aws.md")
    for name in (*template()["Parameters"], *template()["Outputs"]):
        assert f"`{name}`" in text


def test_every_state_is_drawn() -> None:
    text = page("reference/architecture.md")
    for machine in ("provision", "teardown"):
        definition = yaml.safe_load((ROOT / "statemachines" / f"{machine}.asl.yaml").read_text())
        for name in _task_states(definition):
            assert name in text


def _task_states(machine: dict[str, Any]) -> list[str]:
    found = []
    for name, state in machine["States"].items():
        if state["Type"] == "Task":
            found.append(name)
        for branch in state.get("Branches", ()):
            found += _task_states(branch)
    return found


def test_every_route_is_listed() -> None:
    text = page("reference/api.md")
    for path in routes.PATHS:
        shown = path.template if path.template.count("/") < 3 else path.template.removeprefix("/environments/{name}")
        for method in path.methods:
            assert re.search(rf"`{method} (…)?{re.escape(shown)}|`…{re.escape(shown)}", text), (method, path.template)


def test_every_field_is_explained() -> None:
    text = page("guide/environments.md") + page("guide/spring.md")
    for field in _fields(EnvironmentSpec):
        assert re.search(rf"\b{field}\b", text), field


def _fields(model: type[Model]) -> set[str]:
    """Names as users write them, of the model and of all that it is made of; upgrades do nothing yet."""
    schema = model.model_json_schema(by_alias=True)
    parts = {
        name: part
        for name, part in schema["$defs"].items()
        if name not in {"Upgrades", "Window", "Exclusion", "Waiver"}
    }
    return {name for part in (schema, *parts.values()) for name in part["properties"]} - {"upgrades"}


def test_the_changelog_speaks_of_every_command() -> None:
    from springboard_cli.main import app  # noqa: PLC0415 - the CLI takes a moment to import

    text = (ROOT / "CHANGELOG.md").read_text()
    for command in app.registered_commands:
        assert re.search(rf"\b{command.name}\b", text), command.name
