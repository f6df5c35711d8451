"""Which function answers which path and method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from springboard.problems import Problem

from . import environments, operations, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from springboard.runtime import World

    from .answers import Answer
    from .requests import Request

    type Route = Callable[[World, Request, Mapping[str, str]], Answer]


@dataclass(frozen=True)
class Path:
    """A path with `{variables}`, the methods it knows, and the query parameters of each."""

    template: str
    methods: Mapping[str, Route]
    queries: Mapping[str, frozenset[str]]

    def match(self, segments: tuple[str, ...]) -> dict[str, str] | None:
        """The path's variables, or None where the segments are no such path."""
        wanted = self.template.split("/")[1:]
        if len(wanted) != len(segments):
            return None
        found: dict[str, str] = {}
        for part, segment in zip(wanted, segments, strict=True):
            if part.startswith("{"):
                if not segment:
                    return None
                found[part[1:-1]] = segment
            elif part != segment:
                return None
        return found


def _path(template: str, methods: Mapping[str, tuple[Route, str]]) -> Path:
    return Path(
        template,
        {method: route for method, (route, _) in methods.items()},
        {method: frozenset(query.split()) for method, (_, query) in methods.items()},
    )


PATHS: tuple[Path, ...] = (
    _path(
        "/environments",
        {
            "GET": (environments.list_all, "after limit labelSelector phase"),
            "POST": (environments.create, "dryRun"),
        },
    ),
    _path(
        "/environments/{name}",
        {
            "GET": (environments.get, ""),
            "PUT": (environments.put, "dryRun"),
            "PATCH": (environments.patch, "dryRun"),
            "DELETE": (environments.delete, "dryRun"),
        },
    ),
    _path("/environments/{name}/operations", {"GET": (operations.list_all, "limit")}),
    _path("/environments/{name}/operations/{id}", {"GET": (operations.get, "")}),
    _path("/environments/{name}/events", {"GET": (operations.events, "after limit")}),
    _path("/environments/{name}/diagnosis", {"GET": (operations.diagnosis, "")}),
    _path("/environments/{name}/retry", {"POST": (operations.retry, "")}),
    _path("/environments/{name}/cancel", {"POST": (operations.cancel, "")}),
    _path("/versions", {"GET": (reference.versions, "")}),
    _path("/schema", {"GET": (reference.schema, "")}),
    _path("/openapi.json", {"GET": (reference.openapi, "")}),
)


def find(request: Request) -> tuple[Route, dict[str, str]]:
    """Who answers the request, and the path's variables; 404, 405 or 400 where nobody does."""
    for path in PATHS:
        variables = path.match(request.segments)
        if variables is None:
            continue
        route = path.methods.get(request.method)
        if route is None:
            allowed = ", ".join(path.methods)
            raise Problem(
                405,
                "MethodNotAllowed",
                f"{request.method[:20]!a} is not offered here",
                f"use {allowed}",
                headers={"Allow": allowed},
            )
        request.only(path.queries[request.method])
        return route, variables
    raise Problem(404, "NotFound", "there is no such route", "GET /openapi.json lists the routes")
