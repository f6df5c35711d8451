"""Role-based access control: the rules a user has, and the roles every cluster starts with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.objects import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    Obj,
    labels_of,
    name_of,
    namespace_of,
)
from springboard_local.kubernetes.embedded.selectors import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from springboard_local.kubernetes.embedded.store import Store
    from springboard_local.kubernetes.lane import Attributes, User

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True)
class Grant:
    """One rule that a binding gives to a user."""

    rule: Obj
    reason: str


def default_roles() -> list[Obj]:
    """ClusterRoles and their bindings as a new cluster has them."""
    roles: list[Obj] = json.loads(files(__package__).joinpath("data/roles.json").read_text())
    return roles


def _subject_of(binding: Obj, user: User) -> str:
    """Which subject of the binding is the user, as the reason names it; empty if none is."""
    for subject in binding.get("subjects") or ():
        kind, name = subject["kind"], subject["name"]
        if kind == "User" and name == user.username:
            return f'User "{name}"'
        if kind == "Group" and name in user.groups:
            return f'Group "{name}"'
        if kind == "ServiceAccount":
            space = subject.get("namespace") or namespace_of(binding)
            if user.username == f"{SERVICE_ACCOUNT_PREFIX}{space}:{name}":
                return f'ServiceAccount "{name}/{space}"'
    return ""


class RoleBasedAccess:
    """Evaluates Roles, ClusterRoles and their bindings as they are in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def grants(self, user: User, namespace: str) -> Iterator[Grant]:
        """All rules a user has in the cluster and, if one is given, in a namespace."""
        yield from self._bound(user, self._store.list(CLUSTER_ROLE_BINDINGS))
        if namespace:
            yield from self._bound(user, self._store.list(ROLE_BINDINGS, namespace))

    def _bound(self, user: User, bindings: list[Obj]) -> Iterator[Grant]:
        for binding in bindings:
            subject = _subject_of(binding, user)
            if not subject:
                continue
            reference, space = binding["roleRef"], namespace_of(binding)
            place = f'"{name_of(binding)}/{space}"' if space else f'"{name_of(binding)}"'
            reason = (
                f'RBAC: allowed by {binding["kind"]} {place} of {reference["kind"]} "{reference["name"]}" to {subject}'
            )
            for rule in self.rules_of(reference, space):
                yield Grant(rule, reason)

    def rules_of(self, reference: Obj, namespace: str) -> list[Obj]:
        """The rules of the role that a binding refers to; none if there is no such role."""
        if reference["kind"] == "ClusterRole":
            role = self._store.get(CLUSTER_ROLES, "", reference["name"])
            return self._cluster_rules(role) if role else []
        role = self._store.get(ROLES, namespace, reference["name"])
        return (role or {}).get("rules") or []

    def _cluster_rules(self, role: Obj) -> list[Obj]:
        """A role's own rules, and those of the roles that it gathers by their labels."""
        rules = list(role.get("rules") or ())
        selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
        for other in self._store.list(CLUSTER_ROLES) if selectors else ():
            if other is not role and any(matches(selector, labels_of(other)) for selector in selectors):
                rules += other.get("rules") or ()
        return rules

    def missing(self, user: User, namespace: str, rules: list[Obj]) -> list[Obj]:
        """What of the rules the user doesn't hold, one rule for each group, resource and URL."""
        held = [grant.rule for grant in self.grants(user, namespace)]
        return [part for rule in rules for part in _without(rule, held)]

    def decide(self, attributes: Attributes) -> tuple[bool, str]:
        """Whether RBAC allows a request, and why."""
        if MASTERS in attributes.user.groups:
            return True, ""
        for grant in self.grants(attributes.user, attributes.namespace):
            if allows(grant.rule, attributes):
                return True, grant.reason
        return False, ""


def _without(rule: Obj, held: list[Obj]) -> Iterator[Obj]:
    """The parts of a rule that none of the held ones covers."""
    verbs = rule.get("verbs") or []
    places = [
        {"apiGroups": [group], "resources": [resource]}
        for group in rule.get("apiGroups") or ()
        for resource in rule.get("resources") or ()
    ]
    names = rule.get("resourceNames")
    places = [{**place, "resourceNames": [name]} for place in places for name in names] if names else places
    places += [{"nonResourceURLs": [url]} for url in rule.get("nonResourceURLs") or ()]
    for place in places:
        lacking = [verb for verb in verbs if not any(_covers(each, verb, place) for each in held)]
        if lacking:
            yield {**place, "verbs": lacking}


def _covers(held: Obj, verb: str, place: Obj) -> bool:
    if not {"*", verb} & set(held.get("verbs") or ()):
        return False
    if "nonResourceURLs" in place:
        url = place["nonResourceURLs"][0]
        own = held.get("nonResourceURLs") or ()
        return any(each == url or (each.endswith("*") and url.startswith(each[:-1])) for each in own)
    named = held.get("resourceNames")
    return (
        bool({"*", place["apiGroups"][0]} & set(held.get("apiGroups") or ()))
        and bool({"*", place["resources"][0]} & set(held.get("resources") or ()))
        and (not named or place.get("resourceNames", [""])[0] in named)
    )


def allows(rule: Obj, attributes: Attributes) -> bool:
    """Whether one rule covers a request."""
    if not {"*", attributes.verb} & set(rule.get("verbs") or ()):
        return False
    if attributes.path:
        return any(
            attributes.path == url or (url.endswith("*") and attributes.path.startswith(url[:-1]))
            for url in rule.get("nonResourceURLs") or ()
        )
    if not {"*", attributes.group} & set(rule.get("apiGroups") or ()):
        return False
    _, _, subresource = attributes.resource.partition("/")
    wanted = {"*", attributes.resource, *([f"*/{subresource}"] if subresource else [])}
    if not wanted & set(rule.get("resources") or ()):
        return False
    names = rule.get("resourceNames")
    return not names or attributes.name in names
