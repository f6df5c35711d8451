"""Who a request comes from: the account's administrator, IAM users, and sessions of assumed roles."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from springboard_local.cloud import ACCOUNT


@dataclass(frozen=True)
class Principal:
    """An authenticated caller, as GetCallerIdentity names it."""

    arn: str
    user_id: str
    account: str
    name: str  # user name, or session name
    kind: str = "Account"  # aws:PrincipalType: Account, User or AssumedRole
    role_arn: str = ""  # of a session
    access_key: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    function: str = ""  # lambda:SourceFunctionArn: the ARN of the function whose code has the keys

    @property
    def administrator(self) -> bool:
        """Whether this is the account itself, which may do everything."""
        return self.kind == "Account"

    @property
    def principal_arn(self) -> str:
        """aws:PrincipalArn: of a session it is the role's."""
        return self.role_arn or self.arn


@dataclass(frozen=True)
class Policies:
    """What is attached to a principal. `boundary` and `session` only narrow; None is none."""

    identity: tuple[str, ...] = ()
    boundary: str | None = None
    session: str | None = None


@dataclass
class _State:
    administrators: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, Any] = field(default_factory=dict)  # moto's AssumedRole by access key
    functions: dict[str, str] = field(default_factory=dict)  # ARN by access key
    seen: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


_state = _State()


def forget() -> None:
    """Drop what was learned of sessions; administrators stay."""
    with _state.lock:
        _state.sessions.clear()
        _state.functions.clear()
        _state.seen = 0


def given_to(function: str, access_key: str) -> None:
    """These keys are a function's own, in its execution environment; what Lambda asks in its role's name has others."""
    _state.functions[access_key] = function


def register_administrator(access_key: str, secret: str) -> None:
    """Make a key the account's administrator's."""
    _state.administrators[access_key] = secret


def _session(access_key: str) -> Any:
    # moto keeps sessions in a list that only grows; each is indexed once.
    assumed = sts_backends[ACCOUNT]["aws"].assumed_roles
    with _state.lock:
        if _state.seen > len(assumed):
            _state.sessions.clear()
            _state.seen = 0
        for role in assumed[_state.seen :]:
            _state.sessions[role.access_key_id] = role
        _state.seen = len(assumed)
        return _state.sessions.get(access_key)


def _user(access_key: str) -> tuple[Any, Any] | None:
    for user in list(iam_backends[ACCOUNT]["aws"].users.values()):
        for key in user.access_keys:
            if key.access_key_id == access_key:
                return user, key
    return None


def principal_of(access_key: str) -> Principal | None:
    """Whose key it is; None for one that nobody has, or that is inactive."""
    if access_key in _state.administrators:
        return Principal(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, ACCOUNT, "root", access_key=access_key)
    if session := _session(access_key):
        return Principal(
            session.arn,
            session.user_id,
            session.account_id,
            session.session_name,
            "AssumedRole",
            session.role_arn,
            access_key,
            _tags(_role(session.role_arn)),
            _state.functions.get(access_key, ""),
        )
    found = _user(access_key)
    if found is None or found[1].status != "Active":
        return None
    user = found[0]
    return Principal(user.arn, user.id, ACCOUNT, user.name, "User", "", access_key, _tags(user))


def secret_of(access_key: str) -> str | None:
    """The key's secret, to check a signature with."""
    if secret := _state.administrators.get(access_key):
        return secret
    if session := _session(access_key):
        return str(session.secret_access_key)
    found = _user(access_key)
    return str(found[1].secret_access_key) if found else None


def session_token_of(access_key: str) -> str | None:
    """The token that must come with a session's key; None for a key that needs none."""
    session = _session(access_key)
    return str(session.session_token) if session else None


def expired(access_key: str) -> bool:
    """Whether the key is a session's that has ended. Credentials live in real time."""
    session = _session(access_key)
    if not session:
        return False
    expiration: datetime = session.expiration
    now = datetime.now(UTC)
    return (expiration if expiration.tzinfo else expiration.replace(tzinfo=UTC)) <= now


def _role(arn: str) -> Any:
    name = arn.rsplit("/", 1)[-1]
    return next((role for role in list(iam_backends[ACCOUNT]["aws"].roles.values()) if role.name == name), None)


def role_named(name_or_arn: str) -> Any:
    """Moto's role of that name, or of the ARN if the path is right too; None if there is none."""
    role = _role(name_or_arn)
    return None if role is None or (name_or_arn.startswith("arn:") and role.arn != name_or_arn) else role


def _tags(owner: Any) -> tuple[tuple[str, str], ...]:
    tags = getattr(owner, "tags", None) or []
    if isinstance(tags, dict):
        return tuple((str(k), str(v["Value"] if isinstance(v, dict) else v)) for k, v in tags.items())
    return tuple((str(tag["Key"]), str(tag["Value"])) for tag in tags)


def document_text(document: Any) -> str:
    """A policy as text; moto keeps those of CloudFormation as objects."""
    return document if isinstance(document, str) else json.dumps(document)


def _managed(policy: Any) -> str:
    return document_text(next(version.document for version in policy.versions if version.is_default))


def _boundary(arn: Any) -> str | None:
    if not arn:
        return None
    policy = iam_backends[ACCOUNT]["aws"].managed_policies.get(arn)
    return _managed(policy) if policy else '{"Statement": []}'


def role_policies(role: Any) -> Policies:
    """What a role may do."""
    attached = [*role.policies.values()]
    identity = [document_text(each) for each in attached]
    identity += [_managed(each) for each in list(role.managed_policies.values())]
    return Policies(tuple(identity), _boundary(role.permissions_boundary_arn))


def _user_policies(user: Any) -> Policies:
    backend = iam_backends[ACCOUNT]["aws"]
    owners = [user, *backend.get_groups_for_user(user.name)]
    identity: list[str] = []
    for owner in owners:
        inline = owner.policies
        identity += [document_text(each) for each in (inline.values() if isinstance(inline, dict) else inline)]
        identity += [_managed(each) for each in list(owner.managed_policies.values())]
    boundary = getattr(user, "permissions_boundary_arn", None) or getattr(user, "permissions_boundary", None)
    return Policies(tuple(identity), _boundary(boundary if isinstance(boundary, str) else None))


def policies_of(principal: Principal) -> Policies:
    """What is attached to the principal now; a session of a role that is gone has nothing."""
    if principal.kind == "User":
        found = _user(principal.access_key)
        return _user_policies(found[0]) if found else Policies()
    role = _role(principal.role_arn)
    if role is None:
        return Policies()
    policies = role_policies(role)
    session = _session(principal.access_key)
    if session is not None and session.policy:
        return Policies(policies.identity, policies.boundary, document_text(session.policy))
    return policies
