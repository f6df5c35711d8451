"""The reference page of who may do what, written from the template.

To write it anew: `.venv/bin/python -m tests.template.permissions`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.template import source
from tests.template.template_lint import FUNCTION, Template, arn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.template.template_lint import Statement

PAGE = source.ROOT / "docs" / "reference" / "permissions.md"
TITLE = """# Permissions

What each role of the stack may do: one role per function and per state machine, with inline statements alone. This
page is written from `template.yaml`, and a test keeps it so. `{…}` are the stack's parameters and resources; account
and region are the stack's own.
"""


def rendered() -> str:
    """The page."""
    template = Template(source.text("template.yaml"))
    return "\n".join((TITLE, *_roles(template)))


def _roles(template: Template) -> Iterator[str]:
    for role in template.of("AWS::IAM::Role"):
        user = template.resources.get(role.removesuffix("Role"), {})
        trusted = [each for each in template.statements if each.resource == role and each.services]
        granted = [each for each in template.statements if each.resource == role and not each.services]
        yield f"## {role}\n"
        if user.get("Type") == FUNCTION:
            yield f"{user['Properties']['Description']} (`{user['Properties']['Handler']}`).\n"
        else:
            for each in trusted:
                yield f"For {', '.join(f'`{service}`' for service in each.services)}{_conditions(each)}.\n"
        for managed in template.of("AWS::IAM::Role")[role].get("ManagedPolicyArns", ()):
            yield f"- AWS's managed policy `{_short(managed).rpartition('/')[2]}`"
        yield from (_line(each) for each in granted)
        yield ""


def _line(statement: Statement) -> str:
    places = [_short(each) for each in _several(statement.body["Resource"])]
    on = "any resource" if places == ["*"] else ", ".join(f"`{place}`" for place in places)
    line = f"- {', '.join(f'`{action}`' for action in statement.actions)} on {on}{_conditions(statement)}"
    return f"{line}. {statement.comment}" if statement.comment else line


def _conditions(statement: Statement) -> str:
    found = [
        f"there is {'no ' if str(values) == 'true' else ''}`{key}`"
        if operator == "Null"
        else f"`{key}` is {' or '.join(f'`{_short(value)}`' for value in _several(values))}"
        for operator, tests in statement.body.get("Condition", {}).items()
        for key, values in tests.items()
    ]
    return f", if {' and '.join(found)}" if found else ""


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _short(value: Any) -> str:
    """An ARN without what is the same everywhere; a reference as {Name}."""
    match value:
        case {"Fn::Sub": _}:
            text = arn(value)
            own = r"(?:\$\{AWS::\w+\})?"
            text = re.sub(rf"^arn:{own}:([a-z0-9-]+):{own}:{own}:", r"\1:", text)
            return re.sub(r"\$\{([\w:.]+)\}", r"{\1}", text)
        case {"Fn::GetAtt": [name, "Arn"]} | {"Ref": name}:
            return f"{{{name}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{{{name}.{attribute}}}"
        case str():
            return value
        case _:
            return json.dumps(value)


if __name__ == "__main__":
    PAGE.write_text(rendered(), encoding="utf-8")
