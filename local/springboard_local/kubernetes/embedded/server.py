"""The REST layer of one cluster: TLS, routes, lists, watches, subresources."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import secrets
import weakref
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from springboard_local.kubernetes.embedded import discovery, escalation, evictions, protobuf, tables
from springboard_local.kubernetes.embedded.catalog import UNSERVED_SUBRESOURCES, Resource
from springboard_local.kubernetes.embedded.container_log import ContainerLogs
from springboard_local.kubernetes.embedded.errors import (
    ApiError,
    bad_request,
    expired,
    internal_error,
    method_not_allowed,
    no_such_path,
    unauthorized,
    unparsed_number,
    unsupported_media_type,
)
from springboard_local.kubernetes.embedded.faults import KILL_AFTER, KILLS, UNREACHABLE
from springboard_local.kubernetes.embedded.objects import (
    ENDPOINTS,
    PODS,
    Obj,
    clone,
    labels_of,
    name_of,
    namespace_of,
    set_condition,
    uid_of,
)
from springboard_local.kubernetes.embedded.options import check_options
from springboard_local.kubernetes.embedded.patches import PatchError, json_patch, merge_patch
from springboard_local.kubernetes.embedded.registry import Write, read_body
from springboard_local.kubernetes.embedded.selectors import parse_field_selector, parse_label_selector
from springboard_local.kubernetes.lane import Attributes, User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ssl import SSLContext

    from springboard_local.kubernetes.embedded.access import Access
    from springboard_local.kubernetes.embedded.controllers.kubelet import Kubelets
    from springboard_local.kubernetes.embedded.faults import Fault, Faults
    from springboard_local.kubernetes.embedded.registry import Registry
    from springboard_local.kubernetes.embedded.store import Change

log = logging.getLogger(__name__)

_HEALTH_PATHS = frozenset({"/healthz", "/livez", "/readyz"})
_REVIEW_GROUPS = frozenset({"authentication.k8s.io", "authorization.k8s.io"})
# Kinds whose DELETE answers with the object rather than a Status.
_RETURNS_DELETED = frozenset({"Pod", "Service", "ServiceAccount", "PodTemplate", "ResourceQuota"})
_SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
_BOOKMARK_SECONDS = 60.0
_SHORTEST_TOKEN = 600
_META_V1 = "meta.k8s.io/v1"


def _json(body: Any, status: int = 200, warnings: Iterable[str] = ()) -> web.Response:
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    response = web.Response(status=status, text=text, content_type="application/json")
    for warning in warnings:
        escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{escaped}"')
    return response


def _plain_json(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": content_type, "Vary": "Accept"})


@dataclass
class Call:
    """One request for a resource."""

    request: web.BaseRequest
    user: User
    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str
    body: bytes = b""
    warnings: list[str] = field(default_factory=list)

    @property
    def dry_run(self) -> bool:
        """Whether nothing shall be stored."""
        return self.request.query.get("dryRun") == "All"

    @property
    def write(self) -> Write:
        """How the client writes, by its query."""
        query = self.request.query
        agent = self.request.headers.get("User-Agent", "unknown").split("/")[0]
        patched = self.request.headers.get("Content-Type", "").startswith("application/apply-patch")
        return Write(
            manager=query.get("fieldManager") or ("" if patched else agent),
            dry_run=self.dry_run,
            validation=query.get("fieldValidation") or "Warn",
            subresource=self.subresource if self.subresource == "status" else "",
            force=query.get("force") in ("true", "1"),
        )

    @property
    def wants_table(self) -> bool:
        """Whether the first choice of the client is a Table."""
        return "as=Table" in self.request.headers.get("Accept", "").split(",")[0]

    @property
    def wants_metadata(self) -> bool:
        """Whether the first choice of the client is the metadata alone."""
        return "as=PartialObjectMetadata" in self.request.headers.get("Accept", "").split(",")[0]

    def load(self) -> Any:
        """The body as JSON."""
        if self.body.startswith(protobuf.MAGIC):
            try:
                return protobuf.decode(self.body)
            except (ValueError, KeyError, IndexError) as error:
                raise bad_request(f"the body can't be decoded: {error}") from error
        return read_body(self.body) if self.body else {}


class ApiServer:
    """Serves a registry over HTTPS."""

    def __init__(
        self,
        registry: Registry,
        access: Access,
        kubelets: Kubelets,
        faults: Faults,
        kill: Callable[[str], None] | None = None,
    ) -> None:
        """`kill` ends the process that has an access key, for faults that say so."""
        self._registry = registry
        self._store = registry.store
        self._access = access
        self._faults = faults
        self._kill = kill
        self._logs = ContainerLogs(kubelets)
        self._documents: dict[tuple[str, str], bytes] = {}
        self._closing = asyncio.Event()
        self._runner: web.ServerRunner | None = None
        self._transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    # Life

    async def start(self, context: SSLContext) -> int:
        """Listen on a free port of the loopback interface."""
        server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """End watches, close the port and every connection."""
        self._closing.set()
        runner, self._runner = self._runner, None
        if runner:
            await runner.cleanup()
        for transport in list(self._transports):
            # A polite end of TLS would wait for clients that no longer listen.
            transport.abort()
        for _ in range(3):  # transports close their sockets in the loop's next rounds
            await asyncio.sleep(0)

    def version_changed(self) -> None:
        """Forget documents of the version before."""
        self._documents.clear()

    # Routing

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            self._transports.add(request.transport)
        try:
            fault = self._faults.of_request(request.method, request.path)
            if fault is not None:
                await self._fail_by_choice(request, fault)
            return await self._route(request)
        except ApiError as error:
            response = _json(error.status, error.code)
            response.headers.update(error.headers)
            return response
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:  # a fault of ours is answered as a genuine server answers its own
            log.exception("%s %s failed", request.method, request.path)
            return _json(internal_error(repr(error)).status, 500)

    async def _fail_by_choice(self, request: web.BaseRequest, fault: Fault) -> None:
        if fault.reason in KILLS:
            if fault.reason == KILL_AFTER:
                await self._route(request)
            await self._end_caller(request)
        elif fault.reason != UNREACHABLE:
            raise fault.answer
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError  # nobody is left to be answered

    async def _end_caller(self, request: web.BaseRequest) -> None:
        user = await self._user(request)
        if self._kill is not None:
            for access_key in user.extra.get("accessKeyId", ()):
                self._kill(access_key)

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if path in _HEALTH_PATHS or path.startswith(tuple(f"{p}/" for p in _HEALTH_PATHS)):
            return web.Response(text="ok")
        if path == "/version":
            pretty = json.dumps(discovery.version_info(self._registry.catalog), indent=2)
            return web.Response(text=pretty, content_type="application/json")
        user = await self._user(request)
        parts = path.strip("/").split("/")
        if parts[0] in ("api", "apis") and len(parts) > (2 if parts[0] == "api" else 3):
            return await self._resource_request(request, user, parts)
        await self._authorize(Attributes(user, request.method.lower(), path=request.path))
        if request.method != "GET":
            raise method_not_allowed()
        return self._document(request, parts)

    async def _user(self, request: web.BaseRequest) -> User:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        user = await self._access.authenticate(token.strip()) if kind.lower() == "bearer" and token else None
        if user is None:
            raise unauthorized()
        name = request.headers.get("Impersonate-User")
        if name is None:
            return user
        groups = tuple(request.headers.getall("Impersonate-Group", []))
        await self._authorize(Attributes(user, "impersonate", resource="users", name=name))
        for group in groups:
            await self._authorize(Attributes(user, "impersonate", resource="groups", name=group))
        return User(name, (*groups, "system:authenticated"))

    async def _authorize(self, attributes: Attributes) -> None:
        allowed, _ = await self._access.authorize(attributes)
        if allowed:
            return
        who = f'User "{attributes.user.username}" cannot {attributes.verb}'
        if attributes.path:
            raise ApiError(403, "Forbidden", f'forbidden: {who} path "{attributes.path}"')
        plural = attributes.resource.partition("/")[0]
        qualified = f"{plural}.{attributes.group}" if attributes.group else plural
        name = f' "{attributes.name}"' if attributes.name else ""
        where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
        message = (
            f"{qualified}{name} is forbidden: {who} "
            f'resource "{attributes.resource}" in API group "{attributes.group}" {where}'
        )
        details = {"name": attributes.name, "group": attributes.group, "kind": plural}
        raise ApiError(403, "Forbidden", message, {k: v for k, v in details.items() if v})

    def _document(self, request: web.BaseRequest, parts: list[str]) -> web.Response:
        catalog = self._registry.catalog
        wants_aggregated = "g=apidiscovery.k8s.io;v=v2" in request.headers.get("Accept", "").replace(" ", "")
        if wants_aggregated and parts in (["api"], ["apis"]):
            return _plain_json(discovery.aggregated(catalog, core=parts == ["api"]), discovery.AGGREGATED)
        if parts[:2] == ["openapi", "v3"] and len(parts) > 2:
            return self._openapi(parts[2:])
        match parts:
            case ["api"]:
                answer = discovery.api_versions(request.host)
            case ["apis"]:
                answer = discovery.group_list(catalog)
            case ["apis", group]:
                answer = discovery.group(catalog, group)
            case ["api", version]:
                answer = discovery.resource_list(catalog, "", version)
            case ["apis", group, version]:
                answer = discovery.resource_list(catalog, group, version)
            case ["openapi", "v3"]:
                answer = discovery.openapi_index(catalog)
            case _:
                raise no_such_path()
        return _json(answer)

    def _openapi(self, parts: list[str]) -> web.Response:
        match parts:
            case ["api", version]:
                group = ""
            case ["apis", group, version]:
                pass
            case _:
                raise no_such_path()
        if (group, version) not in self._documents:
            document = discovery.openapi_document(self._registry.catalog, group, version)
            self._documents[group, version] = json.dumps(document, separators=(",", ":")).encode()
        return _plain_json(self._documents[group, version], "application/json")

    async def _resource_request(self, request: web.BaseRequest, user: User, parts: list[str]) -> web.StreamResponse:
        try:
            call = self._call(request, user, parts)
        except ApiError:
            # Who has no right to a resource isn't told that it doesn't exist.
            await self._authorize(_raw_attributes(request, user, parts))
            raise
        space = call.namespace or (call.name if call.resource.plural == "namespaces" else "")
        shown = call.resource.plural + (f"/{call.subresource}" if call.subresource else "")
        await self._authorize(Attributes(user, call.verb, call.resource.group, shown, space, call.name))
        _check_served(call)
        check_options(call.verb, request.query)
        if request.can_read_body:
            call.body = await request.read()
        if "cbor" in request.headers.get("Content-Type", ""):
            raise unsupported_media_type(("application/json", "application/yaml"))
        if call.resource.key == ENDPOINTS and call.resource.group == "":
            call.warnings.append("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
        if call.subresource:
            return await self._subresource(call)
        if call.verb == "watch":
            return await self._watch(call)
        if call.verb == "create":
            return await self._create(call)
        if call.verb == "update":
            obj, _ = self._registry.decode(call.resource, call.load(), "Ignore")
            await escalation.check(self._access, call.resource, call.user, call.namespace, obj)
        answers = {
            "get": self._get,
            "list": self._list,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        return answers[call.verb](call)

    def _get(self, call: Call) -> web.Response:
        return self._shown(call, self._registry.find(call.resource, call.namespace, call.name))

    def _call(self, request: web.BaseRequest, user: User, parts: list[str]) -> Call:
        group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and (group or rest[2] not in ("status", "finalize")):
            namespace, rest = rest[1], rest[2:]
        resource = self._registry.catalog.by_path.get((group, version, rest[0]))
        if resource is None or (namespace and not resource.namespaced):
            raise no_such_path()
        name, subresource = (rest[1] if len(rest) > 1 else ""), "/".join(rest[2:])
        if name and resource.namespaced and not namespace:
            raise no_such_path()
        verb = _verb(request, named=bool(name))
        return Call(request, user, verb, resource, namespace, name, subresource)

    # Answers

    def _shown(self, call: Call, obj: Obj, status: int = 200) -> web.Response:
        if call.wants_table:
            meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            include = call.request.query.get("includeObject", "Metadata")
            return _json(tables.render(call.resource.kind, [obj], meta, include), status, call.warnings)
        if call.wants_metadata:
            return _json(_only_metadata(obj), status, call.warnings)
        return _json(obj, status, call.warnings)

    def _filter(self, call: Call) -> Callable[[Obj], bool]:
        query = call.request.query
        by_label = parse_label_selector(query.get("labelSelector", ""))
        by_field = parse_field_selector(query.get("fieldSelector", ""), call.resource.kind)
        return lambda obj: by_label(labels_of(obj)) and by_field(obj)

    def _list(self, call: Call) -> web.Response:
        query, revision = call.request.query, self._store.revision
        _check_list_version(query.get("resourceVersion", ""), revision)
        items = self._store.list(call.resource.key, call.namespace, self._filter(call))
        meta: Obj = {"resourceVersion": str(revision)}
        if query.get("continue"):
            start, snapshot = _read_continue(query["continue"])
            if not self._store.knows(snapshot):
                raise expired(
                    "The provided continue parameter is too old to display a consistent list result. "
                    "You can start a new list without the continue parameter."
                )
            items = [obj for obj in items if (namespace_of(obj), name_of(obj)) > start]
            meta["resourceVersion"] = str(snapshot)
        limit = _number(query.get("limit"), "limit")
        if limit and len(items) > limit:
            last = items[limit - 1]
            meta["continue"] = _continue(int(meta["resourceVersion"]), last)
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                meta["remainingItemCount"] = len(items) - limit
            items = items[:limit]
        if call.wants_table:
            include = query.get("includeObject", "Metadata")
            return _json(tables.render(call.resource.kind, items, meta, include), warnings=call.warnings)
        if call.wants_metadata:
            kind = {"kind": "PartialObjectMetadataList", "apiVersion": _META_V1}
            return _json({**kind, "metadata": meta, "items": [_only_metadata(each) for each in items]})
        return _json(_list_of(call.resource, items, meta), warnings=call.warnings)

    # Watch

    async def _watch(self, call: Call) -> web.StreamResponse:
        query = call.request.query
        wanted = self._filter(call)

        def selects(obj: Obj | None) -> bool:
            return obj is not None and (not call.namespace or namespace_of(obj) == call.namespace) and wanted(obj)

        queue: asyncio.Queue[Change] = asyncio.Queue()
        stop_listening = self._store.listen(lambda c: queue.put_nowait(c) if c.key == call.resource.key else None)
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        frames = _Frames(call)
        try:
            start, backlog = self._backlog(call, selects)
            await response.prepare(call.request)
            for kind, obj in backlog:
                await response.write(frames.frame(kind, obj))
            if query.get("sendInitialEvents") == "true":
                await response.write(frames.bookmark(start, initial=True))
            if not backlog or backlog[-1][0] != "ERROR":
                await self._stream(call, response, frames, queue, start=start, selects=selects)
        except ConnectionError:
            pass
        finally:
            stop_listening()
        return response

    def _backlog(self, call: Call, selects: Callable[[Obj | None], bool]) -> tuple[int, list[tuple[str, Obj]]]:
        query = call.request.query
        version, start = query.get("resourceVersion", ""), self._store.revision
        if query.get("sendInitialEvents") == "true" or version in ("", "0"):
            return start, [("ADDED", o) for o in self._store.list(call.resource.key, call.namespace, selects)]
        if not version.isdigit():
            why = unparsed_number(version, "ParseUint")
            raise ApiError(500, "", f'resourceVersion: Invalid value: "{version}": {why}')
        since = int(version)
        if not self._store.knows(since):
            error = expired(f"too old resource version: {since} ({start})")
            return start, [("ERROR", error.status)]
        seen = (_seen(change, selects) for change in self._store.since(call.resource.key, since))
        return max(start, since), [event for event in seen if event]

    async def _stream(
        self,
        call: Call,
        response: web.StreamResponse,
        frames: _Frames,
        queue: asyncio.Queue[Change],
        *,
        start: int,
        selects: Callable[[Obj | None], bool],
    ) -> None:
        loop = asyncio.get_running_loop()
        seconds = _number(call.request.query.get("timeoutSeconds"), "timeoutSeconds") or 1800 + secrets.randbelow(1800)
        end = loop.time() + seconds
        bookmarks = call.request.query.get("allowWatchBookmarks") in ("true", "1")
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            while (left := end - loop.time()) > 0 and not closing.done():
                getter = asyncio.ensure_future(queue.get())
                wait = min(left, _BOOKMARK_SECONDS)
                done, _ = await asyncio.wait({getter, closing}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                if getter not in done:
                    getter.cancel()
                    if bookmarks and closing not in done:
                        await response.write(frames.bookmark(self._store.revision))
                    continue
                change = getter.result()
                event = _seen(change, selects) if change.revision > start else None
                if event:
                    await response.write(frames.frame(*event))
        finally:
            closing.cancel()

    # Writes

    async def _create(self, call: Call) -> web.Response:
        body = call.load()
        if call.resource.group in _REVIEW_GROUPS:
            obj, _ = self._registry.decode(call.resource, body, "Ignore")
            _check_review(call.resource, obj)
            answer = await self._access.review(call.resource.kind, call.user, obj, call.namespace)
            return _json(answer, 201)
        obj, warnings = self._registry.decode(call.resource, body, call.write.validation)
        call.warnings += warnings
        space = call.namespace
        if call.resource.namespaced and not space:
            raise bad_request("an empty namespace may not be set during creation")
        await escalation.check(self._access, call.resource, call.user, space, obj)
        return self._shown(call, self._registry.create(call.resource, space, obj, call.write), 201)

    def _update(self, call: Call) -> web.Response:
        obj, warnings = self._registry.decode(call.resource, call.load(), call.write.validation)
        call.warnings += warnings
        old = self._registry.find(call.resource, call.namespace, call.name)
        return self._shown(call, self._registry.update(call.resource, old, obj, call.write))

    def _patch(self, call: Call) -> web.Response:
        media_type = call.request.headers.get("Content-Type", "")
        written = self._registry.patch(
            call.resource, call.namespace, call.name, call.body, media_type=media_type, write=call.write
        )
        call.warnings += written.warnings
        return self._shown(call, written.obj, 201 if written.created else 200)

    def _options(self, call: Call) -> tuple[Obj, bool]:
        """DeleteOptions of body and query, and whether it is a dry run."""
        options = call.load() or {}
        if not isinstance(options, dict):
            raise bad_request("the body of a DELETE is a DeleteOptions object")
        query = call.request.query
        if "propagationPolicy" in query:
            options.setdefault("propagationPolicy", query["propagationPolicy"])
        if "gracePeriodSeconds" in query:
            options.setdefault("gracePeriodSeconds", _number(query["gracePeriodSeconds"], "gracePeriodSeconds"))
        return options, call.dry_run or "All" in (options.get("dryRun") or ())

    def _delete(self, call: Call) -> web.Response:
        options, dry_run = self._options(call)
        obj = self._registry.find(call.resource, call.namespace, call.name)
        deleted = self._registry.delete(call.resource, obj, options, dry_run=dry_run)
        if deleted.gone and call.resource.kind not in _RETURNS_DELETED:
            details = call.resource.details(call.name, uid=uid_of(obj))
            return _json({**_SUCCESS, "details": details})
        return _json(deleted.obj)

    def _delete_collection(self, call: Call) -> web.Response:
        options, dry_run = self._options(call)
        items = self._store.list(call.resource.key, call.namespace, self._filter(call))
        for obj in items:
            self._registry.delete(call.resource, obj, options, dry_run=dry_run)
        return _json(_list_of(call.resource, items, {"resourceVersion": str(self._store.revision)}))

    # Subresources

    async def _subresource(self, call: Call) -> web.StreamResponse:
        if call.subresource == "status" and call.verb == "patch":
            return self._patch(call)
        obj = self._registry.find(call.resource, call.namespace, call.name)
        if call.subresource == "log":
            return await self._logs.answer(call.request, obj, call.request.query.get("container", ""), self._is_gone)
        answers = {
            "status": self._status,
            "finalize": self._status,
            "scale": self._scale,
            "eviction": self._evict,
            "binding": self._bind,
            "token": self._token,
        }
        if call.subresource not in answers:
            raise method_not_allowed()
        return answers[call.subresource](call, obj)

    def _status(self, call: Call, obj: Obj) -> web.Response:
        return self._shown(call, obj) if call.verb == "get" else self._update(call)

    def _token(self, call: Call, account: Obj) -> web.Response:
        request = call.load() or {}
        seconds = (request.get("spec") or {}).get("expirationSeconds")
        if seconds is not None and seconds < _SHORTEST_TOKEN:
            text = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
            raise _invalid_review("TokenRequest", "authentication.k8s.io", [("spec.expirationSeconds", text)])
        return _json(self._access.issue_token(account, request), 201)

    def _evict(self, call: Call, pod: Obj) -> web.Response:
        eviction = call.load() or {}
        options = eviction.get("deleteOptions")
        if (eviction.get("metadata") or {}).get("name", name_of(pod)) != name_of(pod):
            raise bad_request("name in URL does not match name in Eviction object")
        evictions.evict(self._registry, pod, options, dry_run=call.dry_run)
        return _json({**_SUCCESS, "code": 201}, 201)

    def _is_gone(self, pod: Obj) -> bool:
        found = self._store.get(PODS, namespace_of(pod), name_of(pod))
        return self._closing.is_set() or found is None or uid_of(found) != uid_of(pod)

    def _bind(self, call: Call, pod: Obj) -> web.Response:
        target = (call.load() or {}).get("target") or {}
        if pod["spec"].get("nodeName"):
            why = f'pod {name_of(pod)} is already assigned to node "{pod["spec"]["nodeName"]}"'
            raise ApiError(409, "Conflict", f'Operation cannot be fulfilled on pods/binding "{name_of(pod)}": {why}')

        def change(bound: Obj) -> None:
            bound["spec"]["nodeName"] = target.get("name", "")
            set_condition(bound["status"], "PodScheduled", "True")

        self._registry.edit(PODS, pod, change, manager=call.write.manager)
        return _json({**_SUCCESS, "code": 201}, 201)

    def _scale(self, call: Call, obj: Obj) -> web.Response:
        if call.verb == "get":
            return _json(_scale_of(obj))
        scale = self._wanted_scale(call, obj)
        replicas = (scale.get("spec") or {}).get("replicas", 0)
        if not isinstance(replicas, int) or isinstance(replicas, bool):
            raise bad_request("spec.replicas is a number")
        if replicas < 0:
            text = f"Invalid value: {replicas}: must be greater than or equal to 0"
            raise _invalid_review("Scale", "autoscaling", [("spec.replicas", text)], call.name)
        fresh = clone(obj)
        fresh["spec"]["replicas"] = replicas
        version = (scale.get("metadata") or {}).get("resourceVersion")
        fresh["metadata"]["resourceVersion"] = version or obj["metadata"]["resourceVersion"]
        write = replace(call.write, subresource="scale")
        return _json(_scale_of(self._registry.update(call.resource, obj, fresh, write)))

    @staticmethod
    def _wanted_scale(call: Call, obj: Obj) -> Obj:
        body, current = call.load(), _scale_of(obj)
        if call.verb == "update":
            wanted: Obj = body
        elif isinstance(body, list):
            try:
                wanted = json_patch(current, body)
            except PatchError as error:
                raise ApiError(422, "Invalid", str(error)) from error
        else:
            wanted = merge_patch(current, body)
        return wanted


class _Frames:
    """Watch events as the client wants them: objects or Tables."""

    def __init__(self, call: Call) -> None:
        self._kind, self._api_version = call.resource.kind, call.resource.api_version
        self._table = call.wants_table
        self._include = call.request.query.get("includeObject", "Metadata")
        self._first = True

    def frame(self, kind: str, obj: Obj) -> bytes:
        """One event."""
        if self._table and kind != "ERROR":
            meta = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            obj = tables.render(self._kind, [obj], meta, self._include)
            if not self._first:
                obj["columnDefinitions"] = None
            self._first = False
        return self._line(kind, obj)

    def bookmark(self, revision: int, *, initial: bool = False) -> bytes:
        """An event that says only how far the watch has come."""
        meta: Obj = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        return self._line("BOOKMARK", {"kind": self._kind, "apiVersion": self._api_version, "metadata": meta})

    @staticmethod
    def _line(kind: str, obj: Obj) -> bytes:
        return json.dumps({"type": kind, "object": obj}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _seen(change: Change, selects: Callable[[Obj | None], bool]) -> tuple[str, Obj] | None:
    """A change as a watch with selectors sees it."""
    before, after = selects(change.previous), change.type != "DELETED" and selects(change.obj)
    if after:
        return ("MODIFIED" if before else "ADDED"), change.obj
    return ("DELETED", change.obj) if before else None


def _invalid_review(kind: str, group: str, mistakes: list[tuple[str, str]], name: str = "") -> ApiError:
    """422 for what is no stored object: scales, reviews and token requests."""
    texts = [f"{field}: {text}" for field, text in mistakes]
    listing = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    causes = [{"reason": "FieldValueInvalid", "message": text, "field": field} for field, text in mistakes]
    details = {"name": name, "group": group, "kind": kind, "causes": causes}
    message = f'{kind}.{group} "{name}" is invalid: {listing}'
    return ApiError(422, "Invalid", message, {k: v for k, v in details.items() if v})


def _check_review(resource: Resource, obj: Obj) -> None:
    if resource.kind not in ("SubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectAccessReview"):
        return
    spec, mistakes = obj.get("spec") or {}, []
    if bool(spec.get("resourceAttributes")) == bool(spec.get("nonResourceAttributes")):
        rule = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        mistakes.append(("spec", f"Invalid value: null: {rule}"))
    if resource.kind != "SelfSubjectAccessReview" and not spec.get("user") and not spec.get("groups"):
        mistakes.append(("spec.user", 'Invalid value: "": at least one of user or group must be specified'))
    if mistakes:
        raise _invalid_review("", resource.group, mistakes)


def _raw_attributes(request: web.BaseRequest, user: User, parts: list[str]) -> Attributes:
    """The request as an authorizer sees it before anyone knows whether the resource exists."""
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    named = len(rest) > 1
    verbs = {
        "GET": "get" if named else "list",
        "POST": "create",
        "PUT": "update",
        "PATCH": "patch",
        "DELETE": "delete" if named else "deletecollection",
    }
    resource = "/".join((rest[0], *rest[2:]))
    verb = verbs.get(request.method, request.method.lower())
    return Attributes(user, verb, group, resource, namespace, rest[1] if named else "")


def _verb(request: web.BaseRequest, *, named: bool) -> str:
    watches = request.query.get("watch", "").lower() in ("1", "true")
    verbs = {
        "GET": "get" if named else "watch" if watches else "list",
        "POST": "create",
        "PUT": "update",
        "PATCH": "patch",
        "DELETE": "delete" if named else "deletecollection",
    }
    verb = verbs.get(request.method)
    if verb is None or (verb in ("update", "patch") and not named):
        raise method_not_allowed()
    return verb


def _check_served(call: Call) -> None:
    """405 for verbs and 404 for subresources that are not there; plain words for those that can't be here."""
    if call.subresource.partition("/")[0] in UNSERVED_SUBRESOURCES:
        what = call.subresource.partition("/")[0]
        message = f"{what} is not possible here: the containers of an embedded control plane are simulated"
        raise ApiError(501, "NotImplemented", message)
    if call.subresource:
        if call.subresource not in call.resource.subresources:
            raise no_such_path()
    elif call.verb not in call.resource.verbs or (call.verb == "create" and call.name):
        raise method_not_allowed()


def _only_metadata(obj: Obj) -> Obj:
    return {"kind": "PartialObjectMetadata", "apiVersion": _META_V1, "metadata": obj["metadata"]}


def _list_of(resource: Resource, items: list[Obj], meta: Obj) -> Obj:
    # A list says kind and apiVersion once.
    bare = [{k: v for k, v in obj.items() if k not in ("kind", "apiVersion")} for obj in items]
    return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta, "items": bare}


def _scale_of(obj: Obj) -> Obj:
    meta = {k: obj["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
    selector = tables.format_selector(obj["spec"].get("selector"))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": meta,
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
        "status": {"replicas": obj.get("status", {}).get("replicas", 0), "selector": selector},
    }


def _number(text: str | None, name: str) -> int:
    if not text:
        return 0
    try:
        return int(text)
    except ValueError:
        raise bad_request(_no_number(text, name)) from None


def _no_number(text: str, name: str) -> str:
    if name == "resourceVersion":
        why = unparsed_number(text, "ParseUint")
        return f'invalid resource version: {name}: Invalid value: "{text}": {why}'
    return unparsed_number(text, "ParseInt")


def _check_list_version(text: str, revision: int) -> None:
    wanted = _number(text, "resourceVersion")
    if wanted > revision:
        message = f"Too large resource version: {wanted}, current: {revision}"
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        raise ApiError(504, "Timeout", f"Timeout: {message}", {"causes": [cause], "retryAfterSeconds": 1})


def _continue(revision: int, last: Obj) -> str:
    start = f"{namespace_of(last)}/{name_of(last)}\0"
    token = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()


def _read_continue(text: str) -> tuple[tuple[str, str], int]:
    try:
        token = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        namespace, _, name = token["start"].rstrip("\0").partition("/")
        return (namespace, name), int(token["rv"])
    except (ValueError, KeyError, TypeError):
        raise bad_request("continue key is not valid: encoded continue token is malformed") from None
