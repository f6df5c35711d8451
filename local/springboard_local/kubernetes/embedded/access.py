"""Who is asking, and may they: tokens, RBAC, access policies, and the reviews that clients ask for."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.objects import Obj, name_of, namespace_of, uid_of
from springboard_local.kubernetes.embedded.rbac import (
    AUTHENTICATED,
    MASTERS,
    SERVICE_ACCOUNT_PREFIX,
    RoleBasedAccess,
)
from springboard_local.kubernetes.lane import Attributes, User

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from springboard_local.kubernetes.lane import AccessPolicies, TokenReviewer

_DEFAULT_TOKEN_SECONDS = 3600


def _encoded(document: Obj) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


class Access:
    """Authentication and authorization of one cluster.

    The reviewer and the policies belong to EKS and may block, so they run beside the event loop.
    """

    def __init__(self, review: TokenReviewer, allow: AccessPolicies, rbac: RoleBasedAccess, executor: Executor) -> None:
        self._review, self._allow = review, allow
        self.rbac = rbac
        self._executor = executor
        self._issued: dict[str, tuple[User, datetime]] = {}

    async def authenticate(self, token: str) -> User | None:
        """The user of a bearer token, service accounts' tokens included."""
        issued = self._issued.get(token)
        if issued:
            return issued[0] if issued[1] > datetime.now(UTC) else None
        user = await self._beside(lambda: self._review(token))
        if user is None:
            return None
        groups = user.groups if AUTHENTICATED in user.groups else (*user.groups, AUTHENTICATED)
        return replace(user, groups=groups)

    async def authorize(self, attributes: Attributes) -> tuple[bool, str]:
        """Whether RBAC or a policy allows a request, and why."""
        allowed, reason = self.rbac.decide(attributes)
        if allowed:
            return True, reason
        return await self._beside(lambda: self._allow(attributes)), ""

    async def _beside[T](self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def issue_token(self, account: Obj, request: Obj) -> Obj:
        """Answer a TokenRequest: a bearer token for a service account."""
        spec = {**(request.get("spec") or {})}
        seconds = spec.get("expirationSeconds") or _DEFAULT_TOKEN_SECONDS
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        space, name = namespace_of(account), name_of(account)
        username = f"{SERVICE_ACCOUNT_PREFIX}{space}:{name}"
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{space}", AUTHENTICATED)
        audiences = spec.get("audiences") or ["https://kubernetes.default.svc"]
        claims = {"aud": audiences, "exp": int(end.timestamp()), "sub": username, "jti": secrets.token_hex(16)}
        token = f"{_encoded({'alg': 'RS256'})}.{_encoded(claims)}.{secrets.token_urlsafe(64)}"
        self._issued[token] = User(username, groups, uid_of(account)), end
        status = {"token": token, "expirationTimestamp": end.strftime("%Y-%m-%dT%H:%M:%SZ")}
        full_spec = {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": None, **spec}
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": space, "creationTimestamp": None},
            "spec": full_spec,
            "status": status,
        }

    # Reviews

    async def review(self, kind: str, user: User, obj: Obj, namespace: str) -> Obj:
        """Answer one of the review resources."""
        spec = obj.get("spec") or {}
        if kind == "SelfSubjectReview":
            return {**obj, "status": {"userInfo": user_info(user)}}
        if kind == "TokenReview":
            return {**obj, "status": await self._review_token(spec.get("token", ""))}
        if kind == "SelfSubjectRulesReview":
            return {**obj, "status": self._rules(user, spec.get("namespace", ""))}
        if kind in ("SubjectAccessReview", "LocalSubjectAccessReview"):
            user = subject_of(spec)
        allowed, reason = await self.authorize(attributes_of(user, spec, namespace))
        status: Obj = {"allowed": allowed}
        return {**obj, "status": {**status, "reason": reason} if reason else status}

    async def _review_token(self, token: str) -> Obj:
        user = await self.authenticate(token)
        if user is None:
            return {"user": {}, "error": "[invalid bearer token, token lookup failed]"}
        return {"authenticated": True, "user": user_info(user), "audiences": ["https://kubernetes.default.svc"]}

    def _rules(self, user: User, namespace: str) -> Obj:
        if MASTERS in user.groups:
            everything: list[Obj] = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
            return {
                "resourceRules": everything,
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                "incomplete": False,
            }
        rules = [grant.rule for grant in self.rbac.grants(user, namespace)]
        return {
            "resourceRules": [rule for rule in rules if not rule.get("nonResourceURLs")],
            "nonResourceRules": [rule for rule in rules if rule.get("nonResourceURLs")],
            # Access policies can't be listed as rules.
            "incomplete": True,
            "evaluationError": "webhook authorizer does not support user rule resolution",
        }


def subject_of(spec: Obj) -> User:
    """Whom a SubjectAccessReview asks about."""
    extra = {name: tuple(values) for name, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra)


def user_info(user: User) -> Obj:
    """A user as a review's status shows it."""
    info: Obj = {"username": user.username, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {name: list(values) for name, values in user.extra.items()}
    return info


def attributes_of(user: User, spec: Obj, namespace: str) -> Attributes:
    """What an access review asks about."""
    about = spec.get("resourceAttributes")
    if about is None:
        other = spec.get("nonResourceAttributes") or {}
        return Attributes(user, other.get("verb", ""), path=other.get("path", ""))
    subresource = f"/{about['subresource']}" if about.get("subresource") else ""
    return Attributes(
        user,
        about.get("verb", ""),
        about.get("group", ""),
        about.get("resource", "") + subresource,
        about.get("namespace", "") or namespace,
        about.get("name", ""),
    )
