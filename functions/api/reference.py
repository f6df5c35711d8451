"""What the API says of itself and of Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard import spec
from springboard import versions as calendar

from . import openapi as description
from .answers import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard.runtime import World

    from .requests import Request


def versions(world: World, request: Request, _variables: Mapping[str, str]) -> Answer:
    """GET /versions: the Kubernetes versions that EKS offers, with their ends of support."""
    offered = calendar.Calendar.of_eks(world.eks.cluster_versions())
    return Answer(
        200,
        {
            "apiVersion": spec.API_VERSION,
            "kind": "VersionList",
            "items": calendar.documents(offered, request.now.date()),
        },
    )


def schema(_world: World, _request: Request, _variables: Mapping[str, str]) -> Answer:
    """GET /schema: the JSON Schema of the environment document."""
    return Answer(200, spec.schema(), media_type="application/schema+json")


def openapi(_world: World, _request: Request, _variables: Mapping[str, str]) -> Answer:
    """GET /openapi.json"""
    from . import routes  # noqa: PLC0415 - the routes name this module

    return Answer(
        200,
        description.document(
            (
                path.template,
                {
                    method: ((route.__doc__ or "").strip(), path.queries[method])
                    for method, route in path.methods.items()
                },
            )
            for path in routes.PATHS
        ),
    )
