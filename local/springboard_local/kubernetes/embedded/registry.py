"""The write path: create, update, patch, apply and delete as the API's rules have them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from springboard_local.kubernetes.embedded import fields
from springboard_local.kubernetes.embedded.admission import Admission, random_suffix
from springboard_local.kubernetes.embedded.errors import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    invalid_options,
    not_found,
    unparsed_number,
)
from springboard_local.kubernetes.embedded.objects import (
    NAMESPACES,
    PODS,
    Key,
    Obj,
    clone,
    is_finished,
    is_terminating,
    name_of,
    namespace_of,
    node_of,
    now,
    uid_of,
)
from springboard_local.kubernetes.embedded.patches import PatchError, json_patch, merge_patch
from springboard_local.kubernetes.embedded.schema import Findings, TypeMismatch
from springboard_local.kubernetes.embedded.store import Store, same_content

if TYPE_CHECKING:
    from collections.abc import Callable

    from springboard_local.kubernetes.embedded.catalog import Catalog, Resource

CONTROLLER_MANAGER = "kube-controller-manager"
_SERVER_SET = ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "selfLink", "generation")
_CARRIED = (
    "uid",
    "creationTimestamp",
    "name",
    "namespace",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)
_WITH_GENERATION = frozenset(
    {
        "DaemonSet",
        "Deployment",
        "Ingress",
        "Job",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "ReplicaSet",
        "StatefulSet",
    }
)
_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_EMPTY_STATUS = frozenset({"DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"})
_BASE64 = re.compile(r"[A-Za-z0-9+/=\r\n]")
_PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)


@dataclass(frozen=True)
class Write:
    """How a client writes."""

    manager: str
    dry_run: bool = False
    validation: str = "Warn"  # Ignore, Warn or Strict
    subresource: str = ""
    force: bool = False
    operation: str = "Update"


@dataclass(frozen=True)
class Written:
    """What came of it."""

    obj: Obj
    created: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deleted:
    """The object as it was last, and whether it is gone."""

    obj: Obj
    gone: bool


class TypeMismatchError(ApiError):
    """400: a value has the wrong type."""

    def __init__(self, prefix: str, mismatch: TypeMismatch) -> None:
        super().__init__(400, "BadRequest", prefix + mismatch.message)
        self.mismatch = mismatch


def _read_patch(body: bytes, media_type: str) -> Any:
    try:
        patch = json.loads(body)
    except ValueError:
        raise bad_request("invalid JSON patch") from None
    if media_type == "application/json-patch+json" and not isinstance(patch, list):
        found = "object" if isinstance(patch, dict) else "string"
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
        )
    return patch


def _unpatchable(error: TypeMismatchError, media_type: str, patch: Any, fresh: Any) -> ApiError:
    """422: the patch makes something of the object that it can't be."""
    shown, why = f'"{_go_text(patch)}"', error.mismatch.message
    if media_type != "application/strategic-merge-patch+json":
        shown = json.dumps(json.dumps(fresh, separators=(",", ":")))
    elif error.mismatch.wanted == "string":
        why = f"cannot convert {_GO_NUMBERS.get(error.mismatch.found, error.mismatch.found)} to string"
    elif error.mismatch.wanted.startswith("int"):
        why = f"unrecognized type: {error.mismatch.wanted}"
    cause = Cause("patch", "FieldValueInvalid", f"Invalid value: {shown}: {why}")
    details = {"causes": [{"reason": cause.reason, "message": cause.message, "field": cause.field}]}
    return ApiError(422, "Invalid", f' "" is invalid: {cause.field}: {cause.message}', details)


_GO_NUMBERS = {"number": "int64"}


def _go_text(value: Any) -> str:
    """As Go prints decoded JSON."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{_go_text(v)}" for k, v in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go_text, value)) + "]"
    return "<nil>" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def read_body(body: bytes) -> Any:
    """JSON, or YAML where it isn't; ApiError 400 where it is neither."""
    try:
        return json.loads(body)
    except ValueError:
        try:
            return yaml.safe_load(body)
        except yaml.YAMLError as error:
            raise bad_request(f"error converting YAML to JSON: {error}") from error


class Registry:
    """All writes of one cluster go through here, those of its controllers too."""

    def __init__(self, store: Store, catalog: Catalog, admission: Admission) -> None:
        self.store = store
        self.catalog = catalog
        self.admission = admission

    def resource(self, key: Key) -> Resource:
        """A resource in its preferred version."""
        return self.catalog.by_key[key]

    def find(self, resource: Resource, namespace: str, name: str) -> Obj:
        """One object; ApiError 404 if there is none."""
        found = self.store.get(resource.key, namespace if resource.namespaced else "", name)
        if found is None:
            raise not_found(resource, name)
        return found

    # Decoding

    def decode(self, resource: Resource, value: Any, validation: str) -> tuple[Obj, tuple[str, ...]]:
        """A typed object, and warnings about fields that were dropped."""
        if not isinstance(value, dict):
            raise bad_request("the object provided is unrecognized (must be of type Object)")
        self._check_kind(resource, value)
        findings, schema = Findings(), self.catalog.root(resource)
        self.catalog.schemas.check(schema, value, findings)
        prefix = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        if findings.mismatches:
            raise TypeMismatchError(prefix, findings.mismatches[0])
        notes = tuple(f'unknown field "{path}"' for path in findings.unknown)
        if notes and validation == "Strict":
            raise bad_request(f"{prefix}strict decoding error: {', '.join(notes)}")
        obj = self.catalog.schemas.prune(schema, value)
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        for text in (obj.get("data") or {}).values() if resource.kind == "Secret" else ():
            wrong = next((i for i, letter in enumerate(text) if not _BASE64.match(letter)), None)
            if wrong is not None:
                raise bad_request(f"{prefix}illegal base64 data at input byte {wrong}")
        obj["metadata"] = dict(obj.get("metadata") or {})
        return obj, notes if validation == "Warn" else ()

    @staticmethod
    def _check_kind(resource: Resource, value: Obj) -> None:
        kind, version = value.get("kind") or resource.kind, value.get("apiVersion") or resource.api_version
        if (kind, version) != (resource.kind, resource.api_version):
            if "/" not in version and not resource.group:
                short = f'{kind} in version "{version}" cannot be handled as a {resource.kind}'
                raise bad_request(
                    f"{short}: converting ({version}.{kind}) to (core.{resource.kind}): unknown conversion"
                )
            raise bad_request(
                f"the object provided is unrecognized (must be of type {resource.kind}): "
                f"{resource.kind} in {resource.api_version} expected, {kind} in {version} found"
            )

    # Create

    def create(self, resource: Resource, namespace: str, obj: Obj, write: Write) -> Obj:
        """Store a new object, which is completed in place."""
        meta = obj["metadata"]
        self._place(resource, namespace, obj)
        tracked = write.operation == "Apply"
        for name in (*_SERVER_SET, *(() if tracked else ("managedFields",))):
            meta.pop(name, None)
        self._generate_name(resource, meta)
        if self.store.get(resource.key, namespace_of(obj), meta.get("name", "")):
            raise already_exists(resource, name_of(obj))
        if "status" in resource.subresources and resource.kind != "Node":
            obj.pop("status", None)
        self.admission.admit(resource, obj, None)
        _begin(resource, obj)
        if not tracked:
            self._track(resource, None, obj, write)
        if not meta.get("managedFields"):
            meta.pop("managedFields", None)
        if write.dry_run:
            # The answer shows what would be stored.
            meta.update(uid="00000000-0000-0000-0000-000000000000", creationTimestamp=now())
            return obj
        return self.store.create(resource.key, obj)

    def _place(self, resource: Resource, namespace: str, obj: Obj) -> None:
        meta = obj["metadata"]
        if meta.get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if not resource.namespaced:
            meta.pop("namespace", None)
            return
        if meta.setdefault("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        found = self.store.get(NAMESPACES, "", namespace)
        if found is None:
            raise not_found(self.resource(NAMESPACES), namespace)
        if is_terminating(found):
            why = f"namespace {namespace} is being terminated"
            cause = {"reason": "NamespaceTerminating", "message": why, "field": "metadata.namespace"}
            message = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(resource, meta.get("name", ""), message, [cause])

    def _generate_name(self, resource: Resource, meta: Obj) -> None:
        if meta.get("name") or not meta.get("generateName"):
            return
        for _ in range(8):
            meta["name"] = meta["generateName"] + random_suffix()
            if not self.store.get(resource.key, meta.get("namespace", ""), meta["name"]):
                return

    # Update

    def update(self, resource: Resource, old: Obj, obj: Obj, write: Write) -> Obj:
        """Replace an object; the answer is what is stored now."""
        self._check_versions(resource, old, obj)
        given = obj["metadata"].get("managedFields")
        fresh: Obj = clone(obj)
        if write.subresource == "status":
            fresh = {**clone(old), "status": fresh.get("status", {})}
        else:
            self._carry_over(resource, old, fresh)
            self.admission.admit(resource, fresh, old)
            if resource.kind == "DaemonSet":
                _count_templates(old, fresh)
            if resource.kind in _WITH_GENERATION and fresh.get("spec") != old.get("spec"):
                fresh["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        if write.operation == "Apply":
            fresh["metadata"]["managedFields"] = given or []
        else:
            self._track(resource, _with_managers(old, given), fresh, write)
        return fresh if write.dry_run else self._save(resource.key, fresh)

    def edit(
        self,
        key: Key,
        obj: Obj,
        change: Callable[[Obj], object],
        *,
        manager: str = CONTROLLER_MANAGER,
        subresource: str = "",
    ) -> Obj | None:
        """A controller's write: `change` gets a copy of the latest version; None if the object is gone."""
        old = self.store.get(key, namespace_of(obj), name_of(obj))
        if old is None:
            return None
        fresh: Obj = clone(old)
        change(fresh)
        if same_content(old, fresh):
            return old
        resource = self.resource(key)
        bound = key == PODS and not node_of(old)
        if resource.kind in _WITH_GENERATION and fresh.get("spec") != old.get("spec") and not bound:
            fresh["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        self._track(resource, old, fresh, Write(manager, subresource=subresource))
        return self._save(key, fresh)

    def edit_status(
        self, key: Key, obj: Obj, change: Callable[[Obj], object], manager: str = CONTROLLER_MANAGER
    ) -> Obj | None:
        """As `edit`, of the status alone: `change` gets the status."""
        return self.edit(key, obj, lambda o: change(o.setdefault("status", {})), manager=manager, subresource="status")

    @staticmethod
    def _check_versions(resource: Resource, old: Obj, obj: Obj) -> None:
        before, after = old["metadata"], obj["metadata"]
        if after.get("resourceVersion") and not after["resourceVersion"].isdigit():
            raise ApiError(500, "", unparsed_number(after["resourceVersion"], "ParseUint"))
        if after.get("resourceVersion") and after["resourceVersion"] != before["resourceVersion"]:
            raise conflict(resource, before["name"])
        if after.get("uid") and after["uid"] != before["uid"]:
            why = f"Precondition failed: UID in precondition: {after['uid']}, UID in object meta: {before['uid']}"
            raise conflict(resource, before["name"], why)
        if after.get("name", before["name"]) != before["name"]:
            raise bad_request(
                f"the name of the object ({after['name']}) does not match the name on the URL ({before['name']})"
            )
        if resource.namespaced and after.get("namespace", before["namespace"]) != before["namespace"]:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")

    @staticmethod
    def _carry_over(resource: Resource, old: Obj, fresh: Obj) -> None:
        for name in _CARRIED:
            fresh["metadata"].pop(name, None)
            if name in old["metadata"]:
                fresh["metadata"][name] = old["metadata"][name]
        if "status" in resource.subresources:
            fresh.pop("status", None)
            if "status" in old:
                fresh["status"] = clone(old["status"])

    def _track(self, resource: Resource, old: Obj | None, fresh: Obj, write: Write) -> None:
        if "status" in resource.subresources and write.subresource != "status":
            # Whoever writes an object through its main door manages nothing of its status.
            old = {**(old or {}), "status": fresh.get("status")}
        manager = fields.Manager(write.manager, "Update", resource.api_version, write.subresource)
        fields.track_update(self.catalog.schemas, self.catalog.root(resource), old, fresh, manager, time=now())

    def _save(self, key: Key, fresh: Obj) -> Obj:
        """Store a new version; an object that was to go and has no finalizer left goes now."""
        meta = fresh["metadata"]
        if key == PODS:
            for condition in (fresh.get("status") or {}).get("conditions") or ():
                condition.setdefault("lastProbeTime", None)
        waits = meta.get("finalizers") or key == NAMESPACES or (key == PODS and meta.get("deletionGracePeriodSeconds"))
        if is_terminating(fresh) and not waits:
            return self.store.remove(key, fresh)
        return self.store.replace(key, fresh)

    # Patch

    def patch(
        self, resource: Resource, namespace: str, name: str, body: bytes, *, media_type: str, write: Write
    ) -> Written:
        """Any of the four kinds of patch."""
        media_type = media_type.split(";", maxsplit=1)[0].strip()
        if media_type not in _PATCH_TYPES:
            raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
        if media_type == "application/apply-patch+yaml":
            return self.apply(resource, namespace, name, read_body(body), write)
        old = self.find(resource, namespace, name)
        patch = _read_patch(body, media_type)
        fresh = self._patched(resource, old, media_type, patch)
        try:
            obj, warnings = self.decode(resource, fresh, write.validation)
        except TypeMismatchError as error:
            raise _unpatchable(error, media_type, patch, fresh) from error
        if obj["metadata"].get("uid", uid_of(old)) != uid_of(old):
            text = f'Invalid value: "{obj["metadata"]["uid"]}": field is immutable'
            raise invalid(resource, name, [Cause("metadata.uid", "FieldValueInvalid", text)])
        return Written(self.update(resource, old, obj, write), warnings=warnings)

    def _patched(self, resource: Resource, old: Obj, media_type: str, patch: Any) -> Any:
        base = clone(old)
        if media_type == "application/strategic-merge-patch+json":
            return self.catalog.schemas.strategic_merge(self.catalog.root(resource), base, patch)
        if media_type == "application/merge-patch+json":
            return merge_patch(base, patch)
        try:
            return json_patch(base, patch)
        except PatchError as error:
            raise ApiError(422, "Invalid", "the server rejected our request due to an error in our request") from error

    def apply(self, resource: Resource, namespace: str, name: str, config: Any, write: Write) -> Written:
        """Server-side apply."""
        if not write.manager:
            raise _manager_required()
        if not isinstance(config, dict):
            raise bad_request("the object provided is unrecognized (must be of type Object)")
        given = config.get("apiVersion", ""), config.get("kind", "")
        if given != (resource.api_version, resource.kind):
            group_version = given[0] if "/" in given[0] else f"/{given[0]}"
            raise bad_request(f"invalid object type: {group_version}, Kind={given[1]}")
        if (wanted := (config.get("metadata") or {}).get("name", name)) != name:
            raise bad_request(f"the name of the object ({wanted}) does not match the name on the URL ({name})")
        if (config.get("metadata") or {}).get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        config = self._typed_config(resource, namespace, name, config, write)
        old = self.store.get(resource.key, namespace if resource.namespaced else "", name)
        write = replace(write, operation="Apply")
        if old is None:
            if write.subresource:
                raise not_found(resource, name)
            meta = {k: v for k, v in config["metadata"].items() if k in ("name", "namespace")}
            base: Obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
            fresh = self._merged(resource, base, config, write)
            return Written(self.create(resource, namespace, fresh, write), created=True)
        fresh = self._merged(resource, old, config, write)
        return Written(self.update(resource, old, fresh, write))

    def _typed_config(self, resource: Resource, namespace: str, name: str, config: Obj, write: Write) -> Obj:
        """The configuration as far as it may be applied; nulls stay, for they mean that a field shall go."""
        findings, schema = Findings(), self.catalog.root(resource)
        self.catalog.schemas.check(schema, config, findings)
        faults = [f".{path}: field not declared in schema" for path in findings.unknown]
        faults += [
            f".{m.path}: expected {_typed_name(m.wanted)}, got {_typed_name(m.found)}" for m in findings.mismatches
        ]
        if faults:
            place = f"{(config.get('metadata') or {}).get('namespace', '')}/{name}"
            text = faults[0] if len(faults) == 1 else "errors:" + "".join(f"\n  {fault}" for fault in faults)
            subject = f"{place}; {resource.api_version}, Kind={resource.kind}"
            raise ApiError(500, "", f"failed to create typed patch object ({subject}): {text}")
        config = {"apiVersion": resource.api_version, "kind": resource.kind, **config}
        meta = dict(config.get("metadata") or {})
        meta.setdefault("name", name)
        if resource.namespaced:
            meta.setdefault("namespace", namespace)
        config["metadata"] = meta
        if write.subresource == "status":
            return {k: v for k, v in config.items() if k in ("apiVersion", "kind", "metadata", "status")}
        if "status" in resource.subresources:
            config.pop("status", None)
        return config

    def _merged(self, resource: Resource, live: Obj, config: Obj, write: Write) -> Obj:
        manager = fields.Manager(write.manager, "Apply", resource.api_version, write.subresource)
        schemas, schema = self.catalog.schemas, self.catalog.root(resource)
        try:
            merged = fields.apply_configuration(schemas, schema, live, config, manager, force=write.force, time=now())
        except fields.ApplyConflictError as error:
            raise _apply_conflict(error) from error
        managers = merged["metadata"]["managedFields"]
        merged = schemas.prune(schema, merged)
        merged["metadata"]["managedFields"] = managers
        return {"apiVersion": resource.api_version, "kind": resource.kind, **merged}

    # Delete

    def delete(self, resource: Resource, obj: Obj, options: Obj | None = None, *, dry_run: bool = False) -> Deleted:
        """Remove an object, or mark it where finalizers or a grace period are to be waited for."""
        options = options or {}
        self.admission.check_delete(resource, name_of(obj))
        fresh: Obj = clone(obj)
        meta = fresh["metadata"]
        finalizers = _finalizers(meta, options)
        _check_preconditions(resource, obj, options.get("preconditions") or {})
        if dry_run:
            return Deleted(obj, gone=True)
        if finalizers or "finalizers" in meta:
            meta["finalizers"] = finalizers
        grace = _grace(resource, fresh, options)
        if not finalizers and not grace and resource.key != NAMESPACES:
            return Deleted(self.store.remove(resource.key, fresh), gone=True)
        meta.setdefault("deletionTimestamp", now())
        meta["deletionGracePeriodSeconds"] = min(grace, meta.get("deletionGracePeriodSeconds", grace))
        if "generation" in meta and not is_terminating(obj):
            meta["generation"] += 1
        if resource.key == NAMESPACES:
            fresh["status"]["phase"] = "Terminating"
        return Deleted(self.store.replace(resource.key, fresh), gone=False)

    def remove(self, key: Key, obj: Obj, policy: str = "Background") -> None:
        """A controller's delete."""
        found = self.store.get(key, namespace_of(obj), name_of(obj))
        if found is not None and uid_of(found) == uid_of(obj):
            self.delete(self.resource(key), found, {"propagationPolicy": policy})


def _begin(resource: Resource, obj: Obj) -> None:
    """What a kind starts with."""
    if resource.kind == "DaemonSet":
        obj["metadata"].setdefault("annotations", {})[_TEMPLATE_GENERATION] = "1"
    if resource.kind in _WITH_GENERATION:
        obj["metadata"]["generation"] = 1
    if resource.kind in _EMPTY_STATUS:
        obj.setdefault("status", {})


def _count_templates(old: Obj, fresh: Obj) -> None:
    """A DaemonSet counts the versions of its template in an annotation."""
    count = int((old["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION) or 0)
    changed = fresh["spec"].get("template") != old["spec"].get("template")
    fresh["metadata"].setdefault("annotations", {})[_TEMPLATE_GENERATION] = str(count + changed)


def _with_managers(old: Obj, given: list[Obj] | None) -> Obj:
    """The old version with the managers that a client has put in their place; an empty list forgets all."""
    if given is None or given == old["metadata"].get("managedFields"):
        return old
    managers = [entry for entry in given if entry]
    return {**old, "metadata": {**old["metadata"], "managedFields": managers}}


def _typed_name(name: str) -> str:
    if name.startswith(("int", "float", "number")):
        return "numeric (int or float)" if name != "number" else "number"
    if name.startswith("[]"):
        return "list"
    return {"object": "map", "bool": "boolean", "array": "list"}.get(name, "map" if name.startswith("map") else name)


def _manager_required() -> ApiError:
    cause = Cause("fieldManager", "FieldValueRequired", "Required value: is required for apply patch")
    return invalid_options("PatchOptions", [cause])


def _describe_manager(entry: Obj, *, timed: bool) -> str:
    text = json.dumps(entry["manager"])
    if entry.get("subresource"):
        text += f' with subresource "{entry["subresource"]}"'
    if entry["operation"] == "Update":
        text += f" using {entry['apiVersion']}" + (f" at {entry['time']}" if timed and entry.get("time") else "")
    return text


def _apply_conflict(error: fields.ApplyConflictError) -> ApiError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {_describe_manager(entry, timed=True)}",
            "field": fields.show(path),
        }
        for entry, paths in error.conflicts
        for path in paths
    ]
    if len(causes) == 1:
        who = _describe_manager(error.conflicts[0][0], timed=False)
        message = f"Apply failed with 1 conflict: conflict with {who}: {causes[0]['field']}"
    else:
        listing = "\n".join(
            f"conflicts with {_describe_manager(entry, timed=False)}:\n"
            + "\n".join(f"- {fields.show(p)}" for p in paths)
            for entry, paths in error.conflicts
        )
        message = f"Apply failed with {len(causes)} conflicts: {listing}"
    return ApiError(409, "Conflict", message, {"causes": causes})


def _check_preconditions(resource: Resource, obj: Obj, wanted: Obj) -> None:
    meta = obj["metadata"]
    if wanted.get("uid", meta["uid"]) != meta["uid"]:
        raise _precondition(resource, meta["name"], "UID", wanted["uid"], meta["uid"], "deleted and then recreated")
    if wanted.get("resourceVersion", meta["resourceVersion"]) != meta["resourceVersion"]:
        versions = wanted["resourceVersion"], meta["resourceVersion"]
        raise _precondition(resource, meta["name"], "ResourceVersion", *versions, "modified")


def _precondition(resource: Resource, name: str, what: str, wanted: str, found: str, fate: str) -> ApiError:
    # The genuine server names the kind here, where it names the resource elsewhere.
    message = (
        f'Operation cannot be fulfilled on {resource.qualified_kind} "{name}": the {what} in the precondition '
        f"({wanted}) does not match the {what} in record ({found}). The object might have been {fate}"
    )
    return ApiError(409, "Conflict", message, {**resource.details(name), "kind": resource.kind})


def _finalizers(meta: Obj, options: Obj) -> list[str]:
    kept = [f for f in meta.get("finalizers") or () if f not in ("foregroundDeletion", "orphan")]
    policy = options.get("propagationPolicy") or ("Orphan" if options.get("orphanDependents") else "Background")
    if policy not in ("Background", "Foreground", "Orphan"):
        cause = Cause(
            "propagationPolicy",
            "FieldValueNotSupported",
            f'Unsupported value: "{policy}": supported values: "Foreground", "Background", "Orphan", "nil"',
        )
        raise invalid_options("DeleteOptions", [cause])
    if options.get("propagationPolicy") and options.get("orphanDependents") is not None:
        text = f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be both set'
        raise invalid_options("DeleteOptions", [Cause("propagationPolicy", "FieldValueInvalid", text)])
    return kept + {"Foreground": ["foregroundDeletion"], "Orphan": ["orphan"]}.get(policy, [])


def _grace(resource: Resource, obj: Obj, options: Obj) -> int:
    if resource.key != PODS or not node_of(obj) or is_finished(obj):
        return 0
    asked = options.get("gracePeriodSeconds")
    return int(obj["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked)
