"""OpenAPI 3.1, made from the routes and the models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from springboard import problems, spec
from springboard.record import Phase

from . import environments, idempotency, operations, selectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DRY = {"schema": {"enum": ["true", "All", "false"]}, "description": "Answer with a Plan and do nothing."}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "dryRun": _DRY,
    "labelSelector": {
        "schema": {"type": "string", "pattern": selectors.PATTERN},
        "description": "As kubectl writes it: team=checkout,ring!=canary.",
    },
    "phase": {"schema": {"enum": [phase.value for phase in Phase]}, "description": "Only those in this phase."},
}
# How long a page may be, and what its cursor looks like, by route.
_PAGES = {
    "/environments": (environments.MAX_PAGE, environments.CURSOR, "Go on after this name."),
    "/environments/{name}/operations": (operations.MAX_OPERATIONS, "", ""),
    "/environments/{name}/events": (operations.MAX_EVENTS, operations.EVENT_ID, "Go on after this event's id."),
}
_HEADERS: dict[str, dict[str, Any]] = {
    "If-Match": {"schema": {"type": "string"}, "description": "The ETag of the generation that the change is about."},
    "If-None-Match": {"schema": {"const": "*"}, "description": "Create only."},
    "Idempotency-Key": {
        "schema": {"type": "string", "pattern": f"^{idempotency.KEY}$"},
        "description": "The same POST with the same key is done once and answered alike.",
    },
}
BODIES = {"POST /environments", "PUT /environments/{name}", "PATCH /environments/{name}"}
_ACCEPTED = {
    "DELETE /environments/{name}",
    "POST /environments/{name}/retry",
    "POST /environments/{name}/cancel",
    *BODIES,
}


def document(paths: Iterable[tuple[str, Mapping[str, tuple[str, Iterable[str]]]]]) -> dict[str, Any]:
    """The description of (template, {method: (summary, query parameters)})."""
    schemas = _schemas()
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": _DIALECT,
        "info": {
            "title": "Springboard",
            "version": spec.API_VERSION.rpartition("/")[2],
            "description": "Complete Spring environments on Amazon EKS from one request.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"sigv4": []}],
        "paths": {template: _path(template, methods) for template, methods in paths},
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "description": "AWS Signature Version 4 for the service execute-api.",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
        },
    }


def _schemas() -> dict[str, Any]:
    environment = spec.schema()
    environment.pop("$schema", None)
    environment.pop("$id", None)
    definitions = environment.pop("$defs", {})
    schemas = {name: _moved(schema) for name, schema in definitions.items()}
    return {
        **schemas,
        "EnvironmentDocument": _moved(environment),
        "Environment": {
            "type": "object",
            "required": ["apiVersion", "kind", "metadata", "spec", "status"],
            "properties": {
                "apiVersion": {"const": spec.API_VERSION},
                "kind": {"const": spec.KIND},
                "metadata": {"type": "object"},
                "spec": {"$ref": "#/components/schemas/EnvironmentSpec"},
                "status": {"type": "object"},
            },
        },
        "GatewayAnswer": {
            "type": "object",
            "description": "What the gateway says by itself, before Springboard is asked.",
            "required": ["message"],
            "properties": {"message": {"type": ["string", "null"]}},
        },
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "code", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "code": {"type": "string"},
                "detail": {"type": "string"},
                "remedy": {"type": "string"},
                "instance": {"type": "string"},
                "moreErrors": {"type": "integer"},
                "errors": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["field", "message"],
                        "properties": {
                            "field": {"type": "string"},
                            "message": {"type": "string"},
                            "value": {"type": "string"},
                            "remedy": {"type": "string"},
                        },
                    },
                },
            },
        },
    }


def _moved(schema: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same schema with its references where OpenAPI keeps them."""
    if isinstance(schema, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/")
            if key == "$ref" and isinstance(value, str)
            else _moved(value)
            for key, value in schema.items()
        }
    return [_moved(item) for item in schema] if isinstance(schema, list) else schema


def _path(template: str, methods: Mapping[str, tuple[str, Iterable[str]]]) -> dict[str, Any]:
    variables = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", template)
    ]
    operations = {
        method.lower(): _operation(method, template, summary, query) for method, (summary, query) in methods.items()
    }
    return {**({"parameters": variables} if variables else {}), **operations}


def _operation(method: str, template: str, summary: str, query: Iterable[str]) -> dict[str, Any]:
    name = f"{method} {template}"
    parameters = [{"name": each, "in": "query", **_parameter(template, each)} for each in sorted(query)]
    parameters += [{"name": header, "in": "header", **_HEADERS[header]} for header in _headers(method, template)]
    operation: dict[str, Any] = {
        "operationId": _identifier(method, template),
        "summary": summary,
        "responses": _responses(name),
    }
    if parameters:
        operation["parameters"] = parameters
    if name in BODIES:
        operation["requestBody"] = {"required": True, "content": _body(method)}
    return operation


def _parameter(template: str, name: str) -> dict[str, Any]:
    if name in _PARAMETERS:
        return _PARAMETERS[name]
    longest, cursor, description = _PAGES[template]
    if name == "limit":
        schema = {"type": "integer", "minimum": 1, "maximum": longest}
        return {"schema": schema, "description": "At most so many."}
    return {"schema": {"type": "string", "pattern": f"^({cursor})?$"}, "description": description}


def _headers(method: str, template: str) -> list[str]:
    if "{name}" not in template or method == "GET":
        return ["Idempotency-Key"] if method == "POST" else []
    return [
        "If-Match",
        *(["If-None-Match"] if method == "PUT" else []),
        *(["Idempotency-Key"] if method == "POST" else []),
    ]


def _body(method: str) -> dict[str, Any]:
    whole = {"schema": {"$ref": "#/components/schemas/EnvironmentDocument"}}
    if method != "PATCH":
        return {"application/json": whole}
    part = {"schema": {"type": "object", "description": "A JSON merge patch of the environment document."}}
    return {"application/merge-patch+json": part, "application/json": part}


def _responses(name: str) -> dict[str, Any]:
    environment = {"application/json": {"schema": {"$ref": "#/components/schemas/Environment"}}}
    anything = {"application/json": {"schema": {"type": "object"}}}
    problem = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    content = {
        "GET /environments/{name}": environment,
        "GET /schema": {"application/schema+json": {"schema": {"type": "object"}}},
    }.get(name, anything)
    gateway = {"application/json": {"schema": {"$ref": "#/components/schemas/GatewayAnswer"}}}
    responses: dict[str, Any] = {
        "200": {"description": "Answered.", "content": content},
        "403": {"description": "The gateway refuses the signature, or IAM the call.", "content": gateway},
    }
    if name in _ACCEPTED:
        responses["202"] = {
            "description": "Work has been asked for; Location says where to look, Retry-After when.",
            "content": environment,
            "headers": {
                "Location": {"schema": {"type": "string"}},
                "Retry-After": {"schema": {"type": "string"}},
                "ETag": {"schema": {"type": "string"}},
            },
        }
    responses["default"] = {"description": "Refused; the body says why.", "content": problem}
    return responses


def _identifier(method: str, template: str) -> str:
    words = re.findall(r"\w+", template)
    return method.lower() + "".join(word[:1].upper() + word[1:] for word in words)
