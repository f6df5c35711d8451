"""IAM as AWS enforces it: who calls, what their policies say of it, and what the call demands beside itself.

`authorize` is the pipeline's station. Other modules use `authorize_service` (may a service reach a resource?),
`assume_for_service` (a role for a service, if its trust policy agrees), `is_allowed` (execute-api:Invoke and
the like), `verify_sigv4`, `tags_of`, and `vpc_role_problem`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from springboard_local.cloud import (
    ACCOUNT,
    ADMIN_ACCESS_KEY,
    ADMIN_SECRET_KEY,
    DEVELOPER,
    DEVELOPER_ACCESS_KEY,
    DEVELOPER_SECRET_KEY,
    REGION,
)
from springboard_local.pipeline import ApiError, Denial, operation
from springboard_local.services.iam.context import Keys, existing_tags, keys_of, principal_keys, resource_keys, tags_of
from springboard_local.services.iam.decisions import Decision, Decisions
from springboard_local.services.iam.dependents import ServiceLinkedRole, dependents, encrypted_with, table
from springboard_local.services.iam.policy import Request, verdict
from springboard_local.services.iam.principals import (
    Policies,
    Principal,
    document_text,
    expired,
    forget,
    given_to,
    policies_of,
    principal_of,
    register_administrator,
    role_named,
    role_policies,
    secret_of,
    session_token_of,
)
from springboard_local.services.iam.resource_policies import resource_policies
from springboard_local.services.iam.resources import Question, key_arn, questions
from springboard_local.services.iam.signature import SignatureFailure, verify_sigv4

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard_local.cloud import Cloud
    from springboard_local.pipeline import Call

__all__ = (
    "Credentials",
    "Decision",
    "NotAuthorizedError",
    "Principal",
    "Question",
    "SignatureFailure",
    "assume_for_service",
    "authorize",
    "authorize_service",
    "decisions",
    "existing_tags",
    "install",
    "is_allowed",
    "key_arn",
    "principal_of",
    "refusals",
    "register_administrator",
    "reset",
    "role_allows",
    "role_named",
    "secret_of",
    "tags_of",
    "trust_problem",
    "verify_sigv4",
    "vpc_role_problem",
)

_ROOT = ("AWS", f"arn:aws:iam::{ACCOUNT}:root")
_enforced = True

decisions = Decisions()
# What no policy of the role itself allows; explicit denials, boundaries and session policies apart.
refusals = Decisions(by_context=True)


class NotAuthorizedError(Exception):
    """A service may not do what it was asked to."""


@dataclass(frozen=True)
class Credentials:
    """Keys of a role's session."""

    access_key: str
    secret_key: str
    session_token: str


def install(cloud: Cloud) -> None:
    """Make the local cloud's fixed keys the account's administrator's, and the developer's."""
    global _enforced  # noqa: PLW0603 - one cloud per process, as moto's backends are
    _enforced = cloud.settings.enforce_iam
    register_administrator(ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY)
    forget()
    decisions.clear()
    refusals.clear()
    _make_developer()


def reset(_: Cloud) -> None:
    """Forget the sessions; their keys are void with the account's roles."""
    forget()
    decisions.clear()
    refusals.clear()


def refill(_: Cloud) -> None:
    """Put back what an account has from the start."""
    _make_developer()


def _make_developer() -> None:
    """The user whose keys people work with, as they would on AWS; with every right, and fixed keys."""
    iam = iam_backends[ACCOUNT]["aws"]
    if DEVELOPER in iam.users:
        return
    user = iam.create_user(REGION, DEVELOPER)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    user.put_policy("everything", json.dumps(everything))
    key = user.create_access_key(prefix="AKIA")
    key.access_key_id, key.secret_access_key = DEVELOPER_ACCESS_KEY, DEVELOPER_SECRET_KEY
    iam.access_keys[DEVELOPER_ACCESS_KEY] = key


# one call


def authorize(call: Call) -> Denial | None:  # noqa: PLR0911 - one refusal after the other, as AWS looks
    """Whether the caller may make this call; fills `call.principal`."""
    if not call.access_key:
        return _anonymous(call)
    principal = principal_of(call.access_key)
    if principal is None:
        return _unknown_key(call)
    call.principal = principal.arn
    if call.internal:
        return _unfit_role(call)  # the function's role is Lambda's business, whoever makes the function
    token = session_token_of(call.access_key)
    if token is not None and call.session_token != token:
        return _unknown_key(call)
    if expired(call.access_key):
        code = "ExpiredTokenException" if call.json_protocol else "ExpiredToken"
        return Denial(code, "The security token included in the request is expired", 403)
    if f"{call.service}:{call.operation}" == "sts:AssumeRole":
        return _assume(call, principal)
    if principal.administrator:
        return _unfit_role(call)
    return _ask(call, principal)


def _ask(call: Call, principal: Principal) -> Denial | None:
    policies = policies_of(principal)
    keys = keys_of(call, principal)
    for question in (*questions(call), *encrypted_with(call)):
        if (reason := _refused(principal, policies, question, keys)) is not None:
            return _denial(call, principal, question, reason)
    return _ask_dependents(call, principal, policies, keys) or _unfit_role(call)


def _ask_dependents(call: Call, principal: Principal, policies: Policies, keys: Keys) -> Denial | None:
    made: list[ServiceLinkedRole] = []
    for demand in dependents(call):
        if isinstance(demand, ServiceLinkedRole):
            if role_named(demand.role) is not None:
                continue
            made.append(demand)
            question = demand.question
        else:
            question = demand
        if (reason := _refused(principal, policies, question, keys, f"{call.service}:{call.operation}")) is not None:
            return _denial(call, principal, question, reason)
    for each in made:
        _create(each)
    return None


def _create(linked: ServiceLinkedRole) -> None:
    """The role as AWS makes it on the way, under AWS's own name for it."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": linked.service}, "Action": "sts:AssumeRole"}],
    }
    iam_backends[ACCOUNT]["aws"].create_role(
        linked.role, json.dumps(trust), f"/aws-service-role/{linked.service}/", None, "", [], "3600"
    )


def _refused(  # noqa: C901, PLR0911 - AWS's policy evaluation, in AWS's order
    principal: Principal, policies: Policies, question: Question, keys: Keys, demanded_by: str = ""
) -> str | None:
    """None if it is allowed, or else AWS's words for why it is not."""
    service = question.action.partition(":")[0]
    context = {**keys, **resource_keys(service, question.resource), **question.context}
    of_resource = resource_policies(question.resource)
    direct = frozenset({("AWS", principal.arn), ("AWS", principal.principal_arn), ("AWS", principal.user_id)})
    request = Request(question.action, question.resource, context, direct)
    identity = verdict(policies.identity, request)
    resource = verdict(of_resource, request, of_resource=True) if of_resource else "none"
    narrowing = (("permissions boundary", policies.boundary), ("session policy", policies.session))
    for kind, document in narrowing:
        if document is not None and verdict((document,), request) == "deny":
            return f"with an explicit deny in a {kind}"
    if identity == "deny":
        return "with an explicit deny in an identity-based policy"
    if resource == "deny":
        return "with an explicit deny in a resource-based policy"
    if service == "kms" and of_resource and resource != "allow":
        # A key's policy has to say itself that the account's identity policies count.
        delegated = Request(question.action, question.resource, context, frozenset({_ROOT}))
        if verdict(of_resource, delegated, of_resource=True) != "allow":
            return f"because no resource-based policy allows the {question.action} action"
    if resource == "allow":
        return None
    role = principal.role_arn.rpartition("/")[2]
    if identity != "allow":
        if role:
            refusals.note(role, question.action, question.resource, context, demanded_by)
        return f"because no identity-based policy allows the {question.action} action"
    for kind, document in narrowing:
        if document is not None and verdict((document,), request) != "allow":
            return f"because no {kind} allows the {question.action} action"
    if role:
        decisions.note(role, question.action, question.resource, context, demanded_by)
    return None


def _unfit_role(call: Call) -> Denial | None:
    """Lambda looks at a VPC function's role when the function is made or changed."""
    if call.service != "lambda" or call.operation not in {"CreateFunction", "UpdateFunctionConfiguration"}:
        return None
    role = call.parameters.get("Role")
    if not role or not (call.parameters.get("VpcConfig") or {}).get("SubnetIds"):
        return None
    problem = vpc_role_problem(str(role))
    return Denial("InvalidParameterValueException", problem, 400) if problem else None


def role_allows(role_arn: str, action: str, resource: str, demanded_by: str = "") -> bool:
    """Whether a role's own policies allow an action; for what a service does, or tries, in the role's name.

    `demanded_by` is the call that makes the service look: "states:CreateStateMachine".
    """
    if not _enforced:
        return True
    role = role_named(role_arn)
    if role is None or verdict(role_policies(role).identity, Request(action, resource, {})) != "allow":
        return False
    decisions.note(role.name, action, resource, {}, demanded_by)
    return True


def vpc_role_problem(role_arn: str) -> str | None:
    """What a VPC function's role lacks, in Lambda's words; None if it will do."""
    role = role_named(role_arn)
    if role is None:
        return "The role defined for the function cannot be assumed by Lambda."
    policies = role_policies(role).identity
    for action in table()["lambda_vpc_role"]:
        if verdict(policies, Request(action, "*", {})) != "allow":
            name = action.partition(":")[2]
            return f"The provided execution role does not have permissions to call {name} on EC2"
        decisions.note(role.name, action, "*", {}, "lambda:CreateFunction")
    return None


# trust


def _assume(call: Call, principal: Principal) -> Denial | None:
    arn = str(call.parameters.get("RoleArn", ""))
    question = Question("sts:AssumeRole", arn)
    role = role_named(arn)
    keys = keys_of(call, principal)
    if role is None:
        return _denial(call, principal, question, "")
    trust = (document_text(role.assume_role_policy_document),)
    context = {**keys, **resource_keys("iam", arn)}
    direct = frozenset({("AWS", principal.arn), ("AWS", principal.principal_arn), ("AWS", principal.user_id)})
    by_name = verdict(trust, Request("sts:AssumeRole", arn, context, direct), of_resource=True)
    by_account = verdict(trust, Request("sts:AssumeRole", arn, context, frozenset({_ROOT})), of_resource=True)
    if by_name == "deny" or by_account == "deny":
        return _denial(call, principal, question, "with an explicit deny in a resource-based policy")
    if principal.administrator:
        return None if "allow" in {by_name, by_account} else _denial(call, principal, question, "")
    policies = policies_of(principal)
    reason = _refused(principal, policies, question, keys)
    if by_name == "allow" and (reason is None or reason.startswith("because no identity")):
        return None
    if by_account == "allow" and reason is None:
        return None
    return _denial(call, principal, question, reason or "")


def trust_problem(
    role_arn: str, service: str, source_arn: str | None = None, source_account: str = ACCOUNT, tags: Keys | None = None
) -> str | None:
    """None if the role may be assumed by `service` ("lambda.amazonaws.com"), or else why not.

    The source is whom the service acts for; `tags` are those of the session, by aws:RequestTag/ and their keys.
    """
    role = role_named(role_arn)
    if role is None:
        return f"{service} cannot assume {role_arn}: there is no such role"
    keys = {**_service_keys(service, source_arn, source_account), **(tags or {})}
    request = Request("sts:AssumeRole", role_arn, keys, frozenset({("Service", service)}))
    trust = document_text(role.assume_role_policy_document)
    if not _enforced:
        return None
    if verdict((trust,), request, of_resource=True) == "allow":
        decisions.note(role.name, "sts:AssumeRole", role_arn, keys)
        return None
    refusals.note(role.name, "sts:AssumeRole", role_arn, keys)
    return f"{service} cannot assume {role_arn}: its trust policy does not allow it"


def assume_for_service(
    role_arn: str,
    service: str,
    session: str,
    *,
    source_arn: str | None = None,
    seconds: int = 3_600,
    region: str = "eu-west-1",
    function: str = "",
) -> Credentials:
    """Keys of a role for a service ("lambda.amazonaws.com"); NotAuthorizedError if its trust policy says no.

    `function` is the ARN of the one whose code gets them, which every request with them tells IAM.
    """
    if problem := trust_problem(role_arn, service, source_arn):
        raise NotAuthorizedError(problem)
    assumed = sts_backends[ACCOUNT]["aws"].assume_role(region, session, role_arn, None, seconds, None)
    if function:
        given_to(function, assumed.access_key_id)
    return Credentials(assumed.access_key_id, assumed.secret_access_key, assumed.session_token)


def _service_keys(service: str, source_arn: str | None, source_account: str = ACCOUNT) -> Keys:
    keys: Keys = {
        "aws:sourceaccount": (source_account,),
        "aws:principalisawsservice": ("true",),
        "aws:principalservicename": (service,),
    }
    if source_arn:
        keys["aws:sourcearn"] = (source_arn,)
    return keys


def authorize_service(service: str, action: str, resource: str, source_arn: str | None = None) -> str | None:
    """None if the resource's own policy lets `service` ("events.amazonaws.com") do it, or else why not."""
    if not _enforced:
        return None
    request = Request(action, resource, _service_keys(service, source_arn), frozenset({("Service", service)}))
    if verdict(resource_policies(resource), request, of_resource=True) == "allow":
        return None
    return (
        f"{service} is not authorized to perform: {action} on resource: {resource} "
        f"because no resource-based policy allows the {action} action"
    )


def is_allowed(principal: Principal, action: str, resource: str, context: Keys | None = None) -> str | None:
    """None if the principal may, or else why not; for calls that do not pass the pipeline."""
    if principal.administrator or not _enforced:
        return None
    keys = {**principal_keys(principal), "aws:sourceip": ("127.0.0.1",), "aws:securetransport": ("true",)}
    return _refused(principal, policies_of(principal), Question(action, resource, context or {}), keys)


# who am I


@operation("sts", "GetCallerIdentity")
def get_caller_identity(call: Call) -> Mapping[str, Any]:
    """The caller, whom moto would take for its own user."""
    principal = principal_of(call.access_key)
    if principal is None:
        raise ApiError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
    return {"UserId": principal.user_id, "Account": principal.account, "Arn": principal.arn}


@operation("sts", "GetSessionToken")
@operation("sts", "GetFederationToken")
def no_such_session(call: Call) -> Mapping[str, Any]:
    """Refused: moto would answer with keys that open nothing."""
    raise NotImplementedError(f"use AssumeRole instead of {call.operation}")


# denials


def _anonymous(call: Call) -> Denial | None:
    if call.operation in {"AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"}:
        return None
    call.principal = "anonymous"
    asked = questions(call) if call.service == "s3" and call.operation else []
    keys: Keys = {"aws:securetransport": ("true",), "aws:sourceip": ("127.0.0.1",)}
    if asked and all(
        verdict(
            resource_policies(each.resource),
            Request(each.action, each.resource, keys, frozenset({("*", "*")})),
            of_resource=True,
        )
        == "allow"
        for each in asked
    ):
        return None
    if call.service == "s3":
        return Denial("AccessDenied", "Access Denied", 403)
    return Denial("MissingAuthenticationToken", "Request is missing Authentication Token", 403)


def _unknown_key(call: Call) -> Denial:
    if call.service == "s3":
        message = "The AWS Access Key Id you provided does not exist in our records."
        return Denial("InvalidAccessKeyId", message, 403)
    if call.service == "ec2":
        return Denial("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    code = "UnrecognizedClientException" if _json(call) else "InvalidClientTokenId"
    return Denial(code, "The security token included in the request is invalid.", 403)


def _json(call: Call) -> bool:
    if call.service in {"sqs", "cloudwatch"}:
        return False  # they kept the codes of their query protocol
    try:
        return call.json_protocol
    except Exception:  # noqa: BLE001 - a service that botocore does not know has no protocol
        return True


def _denial(call: Call, principal: Principal, question: Question, reason: str) -> Denial:
    text = f"User: {principal.arn} is not authorized to perform: {question.action} on resource: {question.resource}"
    message = f"{text} {reason}".rstrip()
    match call.service:
        case "ec2":
            return Denial("UnauthorizedOperation", f"You are not authorized to perform this operation. {message}", 403)
        case "sns":
            return Denial("AuthorizationError", message, 403)
    return Denial("AccessDeniedException" if _json(call) else "AccessDenied", message, 403)
