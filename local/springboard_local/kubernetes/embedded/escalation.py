"""Nobody grants by RBAC what they don't hold: roles and bindings are checked before they are written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.errors import forbidden
from springboard_local.kubernetes.embedded.rbac import MASTERS
from springboard_local.kubernetes.lane import Attributes

if TYPE_CHECKING:
    from springboard_local.kubernetes.embedded.access import Access
    from springboard_local.kubernetes.embedded.catalog import Resource
    from springboard_local.kubernetes.embedded.objects import Obj
    from springboard_local.kubernetes.lane import User

_GROUP = "rbac.authorization.k8s.io"


async def check(access: Access, resource: Resource, user: User, namespace: str, obj: Obj) -> None:
    """ApiError 403 where the object gives more than the user has, and no verb `escalate` or `bind` makes up for it."""
    if resource.group != _GROUP or MASTERS in user.groups:
        return
    asked = Attributes(user, "escalate", _GROUP, resource.plural, namespace, obj["metadata"].get("name", ""))
    if resource.kind in ("Role", "ClusterRole"):
        rules = obj.get("rules") or []
    else:
        reference = obj.get("roleRef") or {}
        if not reference.get("name") or reference.get("kind") not in ("Role", "ClusterRole"):
            return  # validation says so
        rules = access.rbac.rules_of(reference, namespace)
        plural = f"{reference['kind'].lower()}s"
        asked = replace(asked, verb="bind", resource=plural, name=reference["name"])
    lacking = access.rbac.missing(user, namespace, rules)
    if not lacking or (await access.authorize(asked))[0]:
        return
    groups = " ".join(f'"{group}"' for group in user.groups)
    listing = "\n".join(_shown(rule) for rule in lacking)
    why = (
        f'user "{user.username}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n'
        f"{listing}"
    )
    raise forbidden(resource, obj["metadata"].get("name", ""), why)


def _shown(rule: Obj) -> str:
    names = ("apiGroups", "resources", "resourceNames", "nonResourceURLs", "verbs")
    parts = []
    for name in names:
        if rule.get(name):
            values = " ".join(f'"{value}"' for value in rule[name])
            parts.append(f"{name[0].upper()}{name[1:]}:[{values}]".replace("ApiGroups", "APIGroups"))
    return "{" + ", ".join(parts) + "}"
