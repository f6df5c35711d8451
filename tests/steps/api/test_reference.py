"""What the API says of itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from api import routes
from springboard import spec
from tests.steps.api.fakes import document

if TYPE_CHECKING:
    from tests.steps.api.fakes import Client, FakeWorld

NOWHERE = re.compile(r"\b(datetime\.now|datetime\.utcnow|date\.today|time\.time|time\.monotonic)\(")


def test_versions_come_from_eks(call: Client) -> None:
    reply = call("GET", "/versions")
    assert reply.status == 200
    assert [(each["version"], each["default"]) for each in reply.document["items"]] == [
        ("1.34", False),
        ("1.35", True),
        ("1.36", False),
    ]


def test_the_schema(call: Client) -> None:
    reply = call("GET", "/schema")
    assert reply.document == json.loads(json.dumps(spec.schema()))
    assert reply.headers["content-type"] == "application/schema+json"


def test_openapi_is_valid_and_complete(call: Client) -> None:
    described = call("GET", "/openapi.json").document
    OpenAPIV31SpecValidator(described).validate()
    assert set(described["paths"]) == {path.template for path in routes.PATHS}
    for path in routes.PATHS:
        operations = {key.upper(): value for key, value in described["paths"][path.template].items()}
        assert set(operations) - {"PARAMETERS"} == set(path.methods)
        for method in path.methods:
            assert operations[method]["summary"]
            named = {each["name"] for each in operations[method].get("parameters", []) if each["in"] == "query"}
            assert named == path.queries[method]
    identifiers = [
        operation["operationId"]
        for path in described["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    ]
    assert len(identifiers) == len(set(identifiers))


def test_every_route_answers(call: Client, world: FakeWorld) -> None:
    """No route is a stub: each answers about an environment that is there."""
    call("POST", "/environments", document(deletionProtection=False))
    world.finish("shop")
    operation = call("GET", "/environments/shop").document["status"]["operation"]["id"]
    for path in routes.PATHS:
        for method in path.methods:
            where = path.template.replace("{name}", "shop").replace("{id}", operation)
            how: dict[str, Any] = {"headers": {"if-match": '"1"'}}
            body = document("shop", deletionProtection=False) if method in {"PUT", "PATCH"} else None
            reply = call(method, where, body, **how)
            assert reply.status in {200, 202, 409, 415}, (method, where, reply)


def test_the_api_reads_no_clock() -> None:
    """`now` is the moment that the gateway gives."""
    for folder in (Path(routes.__file__).parent, Path(spec.__file__).parent):
        for file in folder.glob("*.py"):
            assert not NOWHERE.search(file.read_text(encoding="utf-8")), file
