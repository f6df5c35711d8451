"""Discovery and OpenAPI documents: what clients learn about the API before they use it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from springboard_local.kubernetes.embedded.errors import no_such_path

if TYPE_CHECKING:
    from springboard_local.kubernetes.embedded.catalog import Catalog, Resource
    from springboard_local.kubernetes.embedded.objects import Obj

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")


def version_info(catalog: Catalog) -> Obj:
    """What /version answers."""
    minor = str(catalog.minor)
    return {
        "major": "1",
        "minor": minor,
        "emulationMajor": "1",
        "emulationMinor": minor,
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": str(catalog.minor - 1),
        "gitVersion": catalog.git_version,
        "gitCommit": hashlib.sha256(catalog.git_version.encode()).hexdigest()[:40],
        "gitTreeState": "clean",
        "buildDate": "2026-10-14T09:12:31Z",
        "goVersion": "go1.25.3",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


def _name(group: Obj) -> str:
    return str(group["metadata"].get("name", ""))


def aggregated(catalog: Catalog, *, core: bool) -> bytes:
    """All resources of the core group or of the named ones, in one document."""
    items = [group for group in catalog.groups if (not _name(group)) == core]
    document = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}
    return json.dumps(document, separators=(",", ":")).encode()


def _versions(group: Obj) -> Obj:
    name = _name(group)
    versions = [{"groupVersion": f"{name}/{v['version']}", "version": v["version"]} for v in group["versions"]]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def api_versions(host: str) -> Obj:
    """What /api answers."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def group_list(catalog: Catalog) -> Obj:
    """What /apis answers."""
    groups = [_versions(group) for group in catalog.groups if _name(group)]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(catalog: Catalog, name: str) -> Obj:
    """What /apis/{group} answers."""
    for found in catalog.groups:
        if name and _name(found) == name:
            return {"kind": "APIGroup", "apiVersion": "v1", **_versions(found)}
    raise no_such_path()


def resource_list(catalog: Catalog, group_name: str, version: str) -> Obj:
    """What /apis/{group}/{version} and /api/v1 answer."""
    for found in catalog.groups:
        for served in found["versions"]:
            if _name(found) == group_name and served["version"] == version:
                group_version = f"{group_name}/{version}".lstrip("/")
                resources = [entry for r in served["resources"] for entry in _legacy(r)]
                return {
                    "kind": "APIResourceList",
                    "apiVersion": "v1",
                    "groupVersion": group_version,
                    "resources": resources,
                }
    raise no_such_path()


def _legacy(entry: Obj) -> list[Obj]:
    namespaced = entry["scope"] == "Namespaced"
    main: Obj = {
        "name": entry["resource"],
        "singularName": entry["singularResource"],
        "namespaced": namespaced,
        "kind": entry["responseKind"]["kind"],
        "verbs": entry["verbs"],
    }
    main |= {name: entry[name] for name in ("shortNames", "categories") if entry.get(name)}
    entries = [main]
    for subresource in entry.get("subresources", ()):
        kind = subresource["responseKind"]
        place = {"group": kind["group"], "version": kind["version"]} if kind.get("group") else {}
        entries.append(
            {
                "name": f"{entry['resource']}/{subresource['subresource']}",
                "singularName": "",
                "namespaced": namespaced,
                **place,
                "kind": kind["kind"],
                "verbs": subresource["verbs"],
            }
        )
    return entries


# OpenAPI v3


def openapi_index(catalog: Catalog) -> Obj:
    """What /openapi/v3 answers."""
    paths = {}
    for found in catalog.groups:
        for served in found["versions"]:
            path = f"apis/{_name(found)}/{served['version']}" if _name(found) else "api/v1"
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={catalog.git_version}"}
    return {"paths": paths}


def openapi_document(catalog: Catalog, group_name: str, version: str) -> Obj:
    """The paths and schemas of one group and version."""
    needed: set[str] = set()
    paths: Obj = {}
    for (found, served, _), resource in catalog.by_path.items():
        name = catalog.schemas.definition_name((found, served, resource.kind))
        if (found, served) == (group_name, version) and name:
            _collect(catalog, {"$ref": f"#/components/schemas/{name}"}, needed)
            paths |= _paths(resource, name)
    if not paths:
        raise no_such_path()
    schemas = {name: catalog.schemas.definitions[name] for name in sorted(needed)}
    info = {"title": "Kubernetes", "version": catalog.git_version}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _collect(catalog: Catalog, schema: Any, needed: set[str]) -> None:
    if isinstance(schema, list):
        for inner in schema:
            _collect(catalog, inner, needed)
    if not isinstance(schema, dict):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rsplit("/", 1)[1]
        if name not in needed:
            needed.add(name)
            _collect(catalog, catalog.schemas.definitions[name], needed)
    for inner in schema.values():
        _collect(catalog, inner, needed)


def _paths(resource: Resource, name: str) -> Obj:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    common = {
        "x-kubernetes-group-version-kind": kind,
        "responses": {"200": {"description": "OK", "content": content}},
    }
    text = {"type": "string", "uniqueItems": True}
    parameters = [{"name": p, "in": "query", "schema": text} for p in _WRITE_PARAMETERS]
    force = {"name": "force", "in": "query", "schema": {"type": "boolean", "uniqueItems": True}}
    prefix = f"/apis/{resource.group}/{resource.version}/" if resource.group else "/api/v1/"
    base = prefix + ("namespaces/{namespace}/" if resource.namespaced else "") + resource.plural
    return {
        base: {"post": {"x-kubernetes-action": "post", "parameters": parameters, **common}},
        base + "/{name}": {
            "get": {"x-kubernetes-action": "get", **common},
            "put": {"x-kubernetes-action": "put", "parameters": parameters, **common},
            "patch": {"x-kubernetes-action": "patch", "parameters": [*parameters, force], **common},
        },
    }
