"""docs/guide/security.md says of every role what it could reach: none is left out or made up, nor what it may call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.template import source
from tests.template.template_lint import Template

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "docs/guide/security.md"
HEADER = "| Role of | Beyond record, log and queue | Could | Could not |"
# What nearly every function has, and the text below the table tells of.
COMMON = ("ApiLogGroup.Arn", "OperationsLogGroup.Arn", "Table.Arn", "Key.Arn", "DeadLetterQueue.Arn")
TEMPLATES = tuple(Template(source.text(name)) for name in ("template.yaml", "network.yaml"))


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    roles: tuple[str, ...]  # logical ids
    services: frozenset[str]  # prefixes of IAM actions
    could: str


def rows(page: str) -> Iterator[Row]:
    lines = page.partition(f"{HEADER}\n")[2].splitlines()[1:]
    for line in lines:
        if not line.startswith("|"):
            return
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert len(cells) == 4, line
        assert all(cells), line
        names = re.sub(r" \(.*\)", "", cells[0]).split(", ")
        roles = tuple(name if name.endswith("Role") else f"{name}Role" for name in names)
        yield Row(roles, frozenset(re.findall(r"`([a-z0-9]+)`", cells[1])), cells[2])


def granted(role: str) -> frozenset[str] | None:
    """Actions on what is not common to the functions; None if there is no such role."""
    for template in TEMPLATES:
        if role in template.of("AWS::IAM::Role"):
            return frozenset(
                action
                for statement in template.statements
                if statement.resource == role and "Resource" in statement.body
                if not all(map(is_common, several(statement.body["Resource"])))
                for action in statement.actions
            )
    return None


def is_common(resource: Any) -> bool:
    match resource:
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}" in COMMON or name == "FlowLogGroup"
        case {"Fn::Sub": str(text)}:
            return text.startswith("${Table.Arn}/index/")
    return False


def several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def findings(page: str) -> list[str]:
    """What table and templates do not say alike."""
    table = list(rows(page))
    named = [role for row in table for role in row.roles]
    written = {role for template in TEMPLATES for role in template.of("AWS::IAM::Role")}
    found = [f"{role} is in no row" for role in sorted(written - set(named))]
    found += [f"{role} is in several rows" for role in sorted({each for each in named if named.count(each) > 1})]
    for row in table:
        for role in row.roles:
            actions = granted(role)
            if actions is None:
                found.append(f"there is no {role}")
                continue
            services = {action.partition(":")[0] for action in actions}
            if services != row.services:
                found.append(f"{role} reaches {sorted(services)}, its row says {sorted(row.services)}")
            found += [
                f"{role} has no {action}"
                for action in re.findall(r"`([a-z0-9]+:[A-Z]\w+)`", row.could)
                if action not in actions
            ]
        managed = {
            str(each).rpartition("/")[2].rstrip("'}")
            for template in TEMPLATES
            for role in row.roles
            for each in template.of("AWS::IAM::Role").get(role, {}).get("ManagedPolicyArns", ())
        }
        found += [
            f"{row.roles[0]} has {each}, its row does not say so" for each in sorted(managed) if each not in row.could
        ]
    return found


def test_the_threat_model_is_of_these_roles() -> None:
    assert findings(source.text(PAGE)) == []


def test_it_would_be_seen() -> None:
    page = source.text(PAGE)
    assert findings(page.replace("| DnsFunction |", "| NameFunction |")) == [
        "DnsFunctionRole is in no row",
        "there is no NameFunctionRole",
    ]
    (wrong,) = findings(page.replace("| AlarmsFunction | `cloudwatch` |", "| AlarmsFunction | `cloudwatch`, `ec2` |"))
    assert wrong.startswith("AlarmsFunctionRole reaches ['cloudwatch']")
    assert findings(page.replace("`ec2:RunInstances`", "`ec2:RequestSpotInstances`")) == [
        "NodeGroupsFunctionRole has no ec2:RequestSpotInstances"
    ]
    (unsaid,) = findings(page.replace("`AmazonEKS_CNI_Policy`", "AWS's policy"))
    assert unsaid == "CniRole has AmazonEKS_CNI_Policy, its row does not say so"
