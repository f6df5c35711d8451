"""Rules for the templates that no general linter knows.

Each takes a template as it is written, comments included, and yields findings, one sentence each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import yaml

from springboard_local.services.iam.resources import authorization
from tests.template import source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

type Findings = Iterator[str]

FUNCTION = "AWS::Serverless::Function"
# Sources that call a function and do not wait for its answer.
ASYNCHRONOUS = {"events.amazonaws.com", "s3.amazonaws.com", "sns.amazonaws.com", "scheduler.amazonaws.com"}


@dataclass(frozen=True)
class Statement:
    """A statement of a policy, with the comment above it."""

    resource: str  # the logical id of what has the policy
    type: str
    body: dict[str, Any]
    comment: str

    @property
    def actions(self) -> list[str]:
        return _several(self.body.get("Action"))

    @property
    def services(self) -> list[str]:
        """The service principals that it is for."""
        principal = self.body.get("Principal")
        return [str(each) for each in _several(principal.get("Service"))] if isinstance(principal, dict) else []

    @property
    def condition_keys(self) -> set[str]:
        return {key for each in self.body.get("Condition", {}).values() for key in each}

    def __str__(self) -> str:
        return f"{self.resource} ({', '.join(self.actions)})"


class Template:
    """A template's text and what it says."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.body = source.parse(text)

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        resources: dict[str, dict[str, Any]] = self.body["Resources"]
        return resources

    def of(self, *kinds: str) -> dict[str, dict[str, Any]]:
        """The properties of all resources of these types."""
        return {name: each.get("Properties", {}) for name, each in self.resources.items() if each["Type"] in kinds}

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """Every policy statement, trust and key policies included, in the order of the text."""
        lines = self.text.splitlines()
        tree = yaml.compose(self.text, yaml.CSafeLoader)
        return tuple(
            Statement(name, self.resources[name]["Type"], body, _comment(lines[:line]))
            for name, node in _mapping(_mapping(tree)["Resources"]).items()
            for body, line in _statements(self.resources[name], node)
        )


def _comment(lines: list[str]) -> str:
    """The comment in which the lines end, as one."""
    words: list[str] = []
    for line in reversed(lines):
        if not line.lstrip().startswith("#"):
            break
        words.insert(0, line.strip().removeprefix("#").strip())
    return " ".join(words)


def _mapping(node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _statements(value: Any, node: yaml.Node) -> Iterator[tuple[dict[str, Any], int]]:
    """Statements in a part of the document, each with the line on which it begins."""
    match value, node:
        case dict(), yaml.MappingNode():
            if "Effect" in value:
                yield value, node.start_mark.line
            for key, each in _mapping(node).items():
                if key in value:
                    yield from _statements(value[key], each)
        case list(), yaml.SequenceNode():
            for each, inner in zip(value, node.value, strict=True):
                yield from _statements(each, inner)


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def no_action_is_a_wildcard(template: Template) -> Findings:
    """Neither * nor service:*, but for the account's own say over a key, which it could lose otherwise."""
    for statement in template.statements:
        account = str(statement.body.get("Principal", "")).find("${AWS::AccountId}:root") >= 0
        if statement.type == "AWS::KMS::Key" and account:
            continue
        yield from (f"{statement} allows {each}" for each in statement.actions if each == "*" or each.endswith(":*"))
        if "NotAction" in statement.body or "NotResource" in statement.body:
            yield f"{statement} says what it does not allow"


# Conditions under which a wide resource is nobody's but the stack's: its owner tag, or its network.
_OURS = {"aws:ResourceTag/springboard:stack", "aws:RequestTag/springboard:stack", "ec2:Vpc"}
# How what is the stack's own, or its operators', begins.
_OWN = ("${Prefix}-", "/${ScheduleGroup}/", "${AppRolePath}", ".Arn}", ".StreamArn}")


def every_wide_resource_is_explained(template: Template) -> Findings:
    """What reaches beyond the stack's names and tags has a comment above it that says why.

    In a key's policy * means that key.
    """
    for statement in template.statements:
        if statement.type == "AWS::KMS::Key" or statement.condition_keys & _OURS or " " in statement.comment:
            continue
        for place in _several(statement.body.get("Resource")):
            if place == "*":
                yield f"{statement} is for every resource, and no comment says why"
            elif _is_wide(arn(place)):
                yield f"{statement} reaches {arn(place)}, and no comment says why"


def _is_wide(text: str) -> bool:
    """Whether an ARN has a star with nothing of ours before it."""
    before, star, _ = text.partition("*")
    return bool(star) and not any(own in before for own in _OWN)


def arn(place: Any) -> str:
    """A resource of a statement as text, its variables as ${…}; of a choice all that may be chosen."""
    match place:
        case {"Fn::Sub": [str(text), dict(given)]}:
            for name, value in given.items():
                text = text.replace(f"${{{name}}}", arn(value))
            return text
        case {"Fn::Sub": str(text)} | str(text):
            return text
        case {"Fn::If": [_, yes, no]}:
            return f"{arn(yes)} or {arn(no)}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
        case {"Ref": name}:
            return f"${{{name}}}"
        case _:
            return str(place)


def permissions_take_effect(template: Template) -> Findings:
    """Every action exists, and is granted on a type of resource that it knows: else the statement grants nothing."""
    for role in template.of("AWS::IAM::Role"):
        statements = [each for each in template.statements if each.resource == role and "Resource" in each.body]
        for action in sorted({action for each in statements for action in each.actions if "*" not in action}):
            known = types(action)
            granted = [each for each in statements if action in each.actions]
            places = [place for each in granted for place in _several(each.body["Resource"])]
            if known is None:
                yield f"{role}: there is no action {action}"
            elif "*" in places:
                said = " ".join(each.comment for each in granted)
                if known and said.startswith("No resource-level permissions"):
                    yield f"{role}: {action} could be for {', '.join(sorted(known))} alone"
            elif not any(_kind(place) is None or _kind(place) in known for place in places):
                yield f"{role}: {action} knows no resource like {places}"


# Newer than the reference in `data/authorization.json`, or in EKS's user guide and not in the reference.
_LATER = {"eks:DescribeClusterVersions": set[str](), "eks:CreateCluster": {"eks:cluster"}}


def types(action: str) -> set[str] | None:
    """What an action can be granted on, as `eks:cluster`; nothing if only on *; None if there is no such action."""
    if action in _LATER:
        return _LATER[action]
    prefix, _, name = action.partition(":")
    service = authorization().get(prefix, {})
    if name not in service.get("actions", {}):
        return None
    kinds = (service["resources"].get(each.rstrip("+").rstrip("*"), "") for each in service["actions"][name].split())
    return {kind for kind in map(_kind, kinds) if kind}


def _kind(place: Any) -> str | None:
    """Service and first word of an ARN's resource part; None where it is not written out, as in !GetAtt Table.Arn."""
    text = re.sub(r"\$\{(AWS::)?(Partition|Region|Account|AccountId)\}", "", arn(place).replace("${AppRolePath}", "/"))
    found = re.match(r"arn:(?:aws)?:([\w-]+):[^:]*:[^:]*:([\w-]+)", text)
    return f"{found.group(1)}:{found.group(2)}" if found else None


def services_act_for_this_account(template: Template) -> Findings:
    """A policy that lets a service act names the account for which; Pod Identity names it in the cluster's ARN.

    Trust of Lambda and of EC2 need not: AWS documents no source for them, and takes no role of another account.
    """
    ours = {"lambda.amazonaws.com", "ec2.amazonaws.com"}
    sources = {"aws:SourceAccount", "kms:EncryptionContext:aws:logs:arn", "aws:RequestTag/eks-cluster-arn"}
    for statement in template.statements:
        for service in statement.services:
            if statement.type == "AWS::IAM::Role" and service in ours:
                continue
            if not statement.condition_keys & sources:
                yield f"{statement} lets {service} act for any account"


def keys_name_their_services(template: Template) -> Findings:
    """A key's policy allows the account and named services, nobody else; the key outlives the stack."""
    for statement in template.statements:
        if statement.type == "AWS::KMS::Key":
            principal = statement.body.get("Principal")
            if principal == "*" or (isinstance(principal, dict) and "*" in _several(principal.get("AWS"))):
                yield f"{statement} is for everybody"
    for name in template.of("AWS::KMS::Key"):
        if template.resources[name].get("DeletionPolicy") != "Retain":
            yield f"{name} goes with the stack, and with it what it encrypts"
        if not template.resources[name]["Properties"].get("EnableKeyRotation"):
            yield f"{name} is never rotated"


def roles_are_passed_to_named_services(template: Template) -> Findings:
    """iam:PassRole is for named roles, and for one service or with a comment that says why not."""
    for statement in template.statements:
        if "iam:PassRole" in statement.actions:
            if "*" in _several(statement.body.get("Resource")):
                yield f"{statement} passes any role"
            if "iam:PassedToService" not in statement.condition_keys and not statement.comment:
                yield f"{statement} passes a role to any service"


def functions_have_roles_of_their_own(template: Template) -> Findings:
    """One role per function, named after it, with inline policies alone."""
    roles = template.of("AWS::IAM::Role")
    for name, properties in template.of(FUNCTION).items():
        if properties.get("Role") != {"Fn::GetAtt": [f"{name}Role", "Arn"]} or f"{name}Role" not in roles:
            yield f"{name} has not its own role"
        elif roles[f"{name}Role"].get("ManagedPolicyArns"):
            yield f"{name}Role has managed policies"
        if "Policies" in properties:
            yield f"{name} has policies beside its role"


def functions_write_to_a_kept_log(template: Template) -> Findings:
    """A log group of the stack, which the role may write to."""
    default = template.body.get("Globals", {}).get("Function", {}).get("LoggingConfig", {})
    for name, properties in template.of(FUNCTION).items():
        group = properties.get("LoggingConfig", default).get("LogGroup", {}).get("Ref")
        if group not in template.of("AWS::Logs::LogGroup"):
            yield f"{name} writes to no log group of the stack"
        elif not any(
            statement.body.get("Resource") == {"Fn::GetAtt": [group, "Arn"]}
            and "logs:PutLogEvents" in statement.actions
            for statement in template.statements
            if statement.resource == f"{name}Role"
        ):
            yield f"{name} may not write to {group}"


def logs_end_and_are_encrypted(template: Template) -> Findings:
    """Every log group has a retention and a key."""
    for name, properties in template.of("AWS::Logs::LogGroup").items():
        if not properties.get("RetentionInDays"):
            yield f"{name} keeps logs for ever"
        if not properties.get("KmsKeyId"):
            yield f"{name} is not encrypted with our key"


def what_fails_alone_is_kept(template: Template) -> Findings:
    """Every asynchronous edge ends in a dead-letter queue: rules, functions that nobody waits for, streams."""
    functions = template.of(FUNCTION)
    for name, properties in template.of("AWS::Events::Rule").items():
        yield from (
            f"{name} forgets what it can't deliver"
            for target in properties.get("Targets", ())
            if not target.get("DeadLetterConfig", {}).get("Arn")
        )
    for name in sorted(_nobody_waits_for(template)):
        kept = functions[name].get("EventInvokeConfig", {}).get("DestinationConfig", {}).get("OnFailure", {})
        if not kept.get("Destination"):
            yield f"{name} is called asynchronously, and its failures are forgotten"
        elif not _may_send(template, f"{name}Role", kept["Destination"]):
            yield f"{name}Role may not send to the queue for its failures"
    for name, properties in template.of("AWS::Lambda::EventSourceMapping").items():
        kept = properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if not kept:
            yield f"{name} forgets what its function can't take"
        elif not _may_send(template, f"{properties['FunctionName']['Ref']}Role", kept):
            yield f"the function of {name} may not send to the queue for its failures"


def _nobody_waits_for(template: Template) -> set[str]:
    """Functions with a permission for an asynchronous source, and those that schedules call by name."""
    called = {
        properties["FunctionName"]["Ref"]
        for properties in template.of("AWS::Lambda::Permission").values()
        if properties["Principal"] in ASYNCHRONOUS
    }
    scheduled = " ".join(
        str(statement.body["Resource"])
        for role in template.of("AWS::IAM::Role")
        if any("scheduler.amazonaws.com" in each.services for each in template.statements if each.resource == role)
        for statement in template.statements
        if statement.resource == role and "lambda:InvokeFunction" in statement.actions
    )
    return called | {
        name
        for name, properties in template.of(FUNCTION).items()
        if f":function:{properties['FunctionName']['Fn::Sub']}'" in scheduled
    }


def _may_send(template: Template, role: str, queue: Any) -> bool:
    allowed = {action for each in template.statements if each.resource == role for action in each.actions}
    return {"sqs:SendMessage", "kms:GenerateDataKey"} <= allowed and any(
        each.body.get("Resource") == queue for each in template.statements if each.resource == role
    )


def callers_are_named(template: Template) -> Findings:
    """A permission to call a function says from where."""
    for name, properties in template.of("AWS::Lambda::Permission").items():
        if "SourceArn" not in properties:
            yield f"{name} lets anybody's {properties['Principal']} call"


def machines_may_call_their_steps(template: Template) -> Findings:
    """A machine's role may invoke the functions of its definition, and no others."""
    for name, properties in template.of("AWS::Serverless::StateMachine").items():
        steps = {str(each) for each in properties["DefinitionSubstitutions"].values()}
        allowed = {
            str(resource)
            for statement in template.statements
            if statement.resource == f"{name}Role" and "lambda:InvokeFunction" in statement.actions
            for resource in _several(statement.body["Resource"])
        }
        if steps - allowed:
            yield f"{name} may not call {', '.join(sorted(steps - allowed))}"
        if allowed - steps:
            yield f"{name} may call {', '.join(sorted(allowed - steps))}, and does not"


def globals_close_no_cycle(template: Template) -> Findings:
    """Machines refer to functions: a function's variables can't refer to machines, nor to functions."""
    later = (*template.of("AWS::Serverless::StateMachine"), *template.of(FUNCTION))
    said = str(template.body.get("Globals", {}))
    for name in later:
        if re.search(rf"'Ref': '{name}'|\['{name}'|\$\{{{name}[.}}]", said):
            yield f"Globals refer to {name}, which closes a cycle"


def names_have_the_prefix(template: Template) -> Findings:
    """What has a name in the account begins with the stack's prefix: two stacks can share an account."""
    for name, resource in template.resources.items():
        for key, value in resource.get("Properties", {}).items():
            named = key in {"Name", "QueueName", "TopicName", "TableName", "AlarmName", "GroupName", "LayerName"}
            if named or (key == "FunctionName" and resource["Type"] == FUNCTION):
                said = value.get("Fn::Sub", "") if isinstance(value, dict) else str(value)
                if value != {"Ref": "Prefix"} and not said.startswith("${Prefix}-"):
                    yield f"{name} has a {key} without the prefix"


def parameters_are_described(template: Template) -> Findings:
    """Each says what it is for, and a text that must have a form says which."""
    yield from (
        f"parameter {name} has no description"
        for name, each in template.body["Parameters"].items()
        if not each.get("Description")
    )


RULES: tuple[Callable[[Template], Findings], ...] = (
    no_action_is_a_wildcard,
    every_wide_resource_is_explained,
    permissions_take_effect,
    services_act_for_this_account,
    keys_name_their_services,
    roles_are_passed_to_named_services,
    functions_have_roles_of_their_own,
    functions_write_to_a_kept_log,
    logs_end_and_are_encrypted,
    what_fails_alone_is_kept,
    callers_are_named,
    machines_may_call_their_steps,
    globals_close_no_cycle,
    names_have_the_prefix,
    parameters_are_described,
)


def lint(text: str) -> list[str]:
    """All findings of all rules, each after its rule's name."""
    template = Template(text)
    return [f"{rule.__name__}: {finding}" for rule in RULES for finding in rule(template)]
