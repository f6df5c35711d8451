"""Whose environment it is, and which generation the caller means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from springboard.errors import NotFoundError, PreconditionError
from springboard.problems import Problem

if TYPE_CHECKING:
    from springboard.record import Environment
    from springboard.runtime import World

    from .requests import Request

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,22}[a-z0-9])?")
_ETAG = re.compile(r'\s*(?P<weak>W/)?"(?P<value>[^"]*)"\s*')


def visible(world: World, request: Request, environment: Environment) -> bool:
    """Whether the caller may know that this environment exists."""
    return world.site.ownership == "shared" or environment.owner == request.caller


def find(world: World, request: Request, name: str) -> Environment | None:
    """The environment of that name, if there is one for this caller."""
    environment = world.store.by_name(name) if _NAME.fullmatch(name) else None
    return environment if environment is not None and visible(world, request, environment) else None


def need(world: World, request: Request, name: str) -> Environment:
    """The environment of that name; the same 404 where there is none and where it is somebody else's."""
    environment = find(world, request, name)
    if environment is None:
        raise NotFoundError(f"no environment {name[:40]!a}", "`springboard get` lists those that you can see")
    return environment


def etag(environment: Environment) -> str:
    """The strong validator of what the user declared."""
    return f'"{environment.generation}"'


def check_match(request: Request, environment: Environment) -> None:
    """412 if If-Match names another generation than the present one, or If-None-Match this one."""
    _check_none_match(request, environment)
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return
    tags = _tags("If-Match", given)
    if not any(not tag["weak"] and tag["value"] == str(environment.generation) for tag in tags):
        raise PreconditionError(
            f"{environment.name} is at generation {environment.generation}, not the one in If-Match",
            "read it again and make your change to what it is now",
        )


def _check_none_match(request: Request, environment: Environment) -> None:
    """412 if If-None-Match names what is there: any environment (`*`), or its generation (weakly compared)."""
    given = request.headers.get("if-none-match")
    if given is None:
        return
    remedy = "leave If-None-Match out to change it"
    if given.strip() == "*":
        raise PreconditionError(f"{environment.name} exists", remedy)
    if any(tag["value"] == str(environment.generation) for tag in _tags("If-None-Match", given)):
        raise PreconditionError(f"{environment.name} is at generation {environment.generation}", remedy)


def _tags(header: str, given: str) -> list[re.Match[str]]:
    """The entity tags of a header; 400 where one is none."""
    tags = [tag for part in given.split(",") if (tag := _ETAG.fullmatch(part))]
    if len(tags) < given.count(",") + 1:
        raise Problem(400, "InvalidHeader", f"{header} is malformed", f'write {header}: "3", as GET gave it in ETag')
    return tags
