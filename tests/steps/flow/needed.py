"""Whether a test needs the permissions that `permissions.yaml` says it needs: asked again without each of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from springboard_local.services import iam
from springboard_local.services.iam.policy import Request, verdict
from springboard_local.services.iam.principals import document_text, role_policies
from tests.steps.flow import stack
from tests.template import grants, source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from springboard_local.services.iam import Decision
    from tests.template.grants import Grant

TEMPLATES = (source.template(), source.network())


def number() -> int:
    """Of the last decision so far."""
    return max((each.number for each in iam.decisions.all()), default=0)


def made(deployment: Sequence[Decision], since: int) -> list[Decision]:
    """The decisions on the stack's deployment, and those after that number."""
    return [*deployment, *(each for each in iam.decisions.all() if each.number > since)]


def documents(decision: Decision) -> tuple[str, ...]:
    """The policies that it follows from, as they are deployed: of trust the role's own trust policy."""
    role = iam.role_named(decision.role)
    if is_trust(decision):
        return (document_text(role.assume_role_policy_document),)
    return role_policies(role).identity


def is_trust(decision: Decision) -> bool:
    """Whether it is about who may assume the role, and not about what the role may."""
    return decision.action.startswith("sts:")


def allowed(decision: Decision, documents: Iterable[str]) -> bool:
    """Whether documents allow what was asked."""
    callers = frozenset(("Service", each) for each in decision.context.get("aws:principalservicename", ()))
    request = Request(decision.action, decision.resource, decision.context, callers)
    return verdict(documents, request, of_resource=is_trust(decision)) == "allow"


def findings(
    wanted: Sequence[Grant], decisions: Sequence[Decision], documents: Callable[[Decision], Sequence[str]] = documents
) -> Iterator[str]:
    """Of `wanted`, what was not asked for, or would have been allowed without; and what no template grants."""
    asked = list(of_stack(decisions))
    known = {(grant.role, grant.action) for grant in grants.granted(*TEMPLATES)}
    for role, action in sorted({(role, each.action) for role, each in asked} - known):
        yield f"{role} was allowed {action}, which the template does not grant"
    for grant in wanted:
        about = [each for role, each in asked if (role, each.action) == (grant.role, grant.action)]
        if not about:
            yield f"{grant} was not asked for"
        elif not any(refused_without(grant, each, documents(each)) for each in about):
            yield f"{grant}: all that was asked for is allowed without it too"


def of_stack(decisions: Iterable[Decision]) -> Iterator[tuple[str, Decision]]:
    """The decisions on roles of the stack, each with its logical id.

    springboard-ApiFunctionRole-1A2B3C4D5E6F; of the nested stack, springboard-Network-1A2B3C4D5E6F-FlowLogRole-….
    """
    roles = {name for template in TEMPLATES for name in source.resources("AWS::IAM::Role", template)}
    for decision in decisions:
        prefix, *parts = decision.role.split("-")
        logical = next((part for part in parts if part in roles), "")
        if prefix == stack.STACK and logical:
            yield logical, decision


def refused_without(grant: Grant, decision: Decision, documents: Sequence[str]) -> bool:
    """Whether the policies, but for the grant, refuse what they have allowed."""
    return not allowed(decision, _narrowed(documents, grant))


def _narrowed(documents: Sequence[str], grant: Grant) -> Iterator[str]:
    """The documents without the grant, whose statement is counted over all of them."""
    number = grant.number
    for document in documents:
        body = json.loads(document)
        left = list(grants.narrowed(body["Statement"], grant.action, number, grant.place))
        number -= sum(grant.action in grants.actions(each) for each in body["Statement"])
        yield json.dumps({**body, "Statement": left})
