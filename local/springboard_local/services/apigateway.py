"""API Gateway's data plane for HTTP APIs: routes, IAM authorization, Lambda integrations.

An API answers under http://127.0.0.1:PORT/_apigw/API-ID/, and for its AWS host name where a client sends
that as Host. moto keeps the APIs; what reaches a function is the payload of format 2.0.
"""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import json
import logging
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, unquote

from moto.apigatewayv2.models import apigatewayv2_backends
from moto.logs.models import logs_backends

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.pipeline import ApiError, Reset, operation
from springboard_local.services import iam, metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from springboard_local.cloud import Cloud, LocalCloud
    from springboard_local.pipeline import Call, Rule

log = logging.getLogger(__name__)

PREFIX = "/_apigw/"
_MAX_REQUEST = 10 * 1024 * 1024
_MAX_PAYLOAD = 6 * 1024 * 1024  # of Lambda
_TIMEOUT = 30.0  # real seconds: a client waits for them too
_DEFAULT = "$default"


class Invocation(Protocol):
    """How an invocation ended."""

    @property
    def payload(self) -> bytes:
        """What the function answered."""

    @property
    def error(self) -> str | None:
        """The kind of its failure."""


class ThrottledError(Exception):
    """The function has no capacity left."""


@dataclass(frozen=True)
class Answer:
    """What goes back to the client."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)


def _message(status: int, text: str) -> Answer:
    """One of the gateway's own answers."""
    return Answer(status, json.dumps({"message": text}).encode(), [("Content-Type", "application/json")])


_NOT_FOUND = _message(404, "Not Found")
_FORBIDDEN = _message(403, "Forbidden")
_FAILED = _message(500, "Internal Server Error")
_UNAVAILABLE = _message(503, "Service Unavailable")
_TOO_LARGE = _message(413, "Request Entity Too Large")
_TOO_MANY = _message(429, "Too Many Requests")


@dataclass(frozen=True)
class _Match:
    """A route that fits a request."""

    route: Any
    parameters: dict[str, str]


@dataclass
class _Request:
    """A request on its way through the gateway."""

    call: Call
    api_id: str
    path: str  # decoded, with the stage where it is named
    request_id: str
    source: str
    host: str
    protocol: str
    stage: Any = None
    match: _Match | None = None
    principal: iam.Principal | None = None

    @property
    def route_path(self) -> str:
        """The path without a named stage."""
        if self.stage is None or self.stage.name == _DEFAULT:
            return self.path
        return self.path.removeprefix(f"/{self.stage.name}") or "/"


class Gateway:
    """A WSGI application: all HTTP APIs of the account."""

    def __init__(self, cloud: Cloud, invoke: Callable[[str, bytes], Invocation] | None = None) -> None:
        """`invoke` runs a function by ARN; by default the local Lambda does."""
        self._cloud = cloud
        self._invoke = invoke or _lambda
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve one request."""
        request = self._request(environ)
        answer = self._serve(request)
        headers = [*answer.headers, ("apigw-requestid", request.request_id), ("Content-Length", str(len(answer.body)))]
        start_response(f"{answer.status} -", headers)
        return [answer.body]

    def _request(self, environ: dict[str, Any]) -> _Request:
        call = self._cloud.pipeline.identify(environ)
        call.internal = False
        call.service, call.api, call.operation = "execute-api", "execute-api", "Invoke"
        call.region = REGION
        host = environ.get("HTTP_HOST", "")
        path = unquote(environ.get("RAW_URI", environ["PATH_INFO"]).split("?", 1)[0])
        if path.startswith(PREFIX):
            api_id, _, rest = path.removeprefix(PREFIX).partition("/")
        else:
            api_id, rest = host.split(".", 1)[0], path.removeprefix("/")
        return _Request(
            call,
            api_id,
            f"/{rest}",
            str(uuid.uuid4()),
            environ.get("REMOTE_ADDR", "127.0.0.1"),
            host,
            environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
        )

    def _serve(self, request: _Request) -> Answer:
        call = request.call
        call.__dict__["parameters"] = {"ApiId": request.api_id}
        with self._cloud.pipeline.recorded(call):
            answer = self._answer(request)
            call.status = answer.status
            call.error = None if answer.status < 400 else str(answer.status)
        metrics.count("AWS/ApiGateway", "Count", ApiId=request.api_id)
        metrics.count("AWS/ApiGateway", "4xx", 1 if 400 <= answer.status < 500 else 0, ApiId=request.api_id)
        metrics.count("AWS/ApiGateway", "5xx", 1 if answer.status >= 500 else 0, ApiId=request.api_id)
        self._log(request, answer)
        return answer

    def _answer(self, request: _Request) -> Answer:  # noqa: PLR0911 - each way out is one of the gateway's answers
        backend = apigatewayv2_backends[ACCOUNT][REGION]
        api = backend.apis.get(request.api_id)
        if api is None or api.disable_execute_api_endpoint:
            return _NOT_FOUND
        if len(request.call.body) > _MAX_REQUEST:
            return _TOO_LARGE
        request.stage = _stage(api, request.path)
        if request.stage is None:
            return _NOT_FOUND
        request.match = _route(api, request.call.method, request.route_path)
        if request.match is None:
            return _NOT_FOUND
        if refused := self._authorize(request):
            return refused
        if rule := self._cloud.pipeline.strike(request.call):
            return _faulty(rule)
        return self._integrate(request, api)

    # authorization

    def _authorize(self, request: _Request) -> Answer | None:
        assert request.match is not None  # noqa: S101 - the caller has found a route
        kind = (request.match.route.authorization_type or "NONE").upper()
        if kind == "NONE":
            return None
        if kind != "AWS_IAM":
            log.error("authorization type %s is not part of the local cloud: denied", kind)
            return _FORBIDDEN
        call = request.call
        digest = hashlib.sha256(call.body).hexdigest()
        who = iam.verify_sigv4(
            call.method, call.path, call.query, call.headers, digest, service="execute-api", region=REGION
        )
        if isinstance(who, iam.SignatureFailure):
            call.error = who.code
            log.info("%s %s: %s", call.method, request.path, who.message)
            if who.code == "MissingAuthenticationToken":
                return _message(403, "Missing Authentication Token")
            return _FORBIDDEN
        call.principal = who.arn
        request.principal = who
        path = request.route_path.lstrip("/")
        resource = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{request.api_id}/{request.stage.name}/{call.method}/{path}"
        reason = iam.is_allowed(who, "execute-api:Invoke", resource)
        if reason:
            log.info("%s %s: %s", call.method, request.path, reason)
            return _FORBIDDEN
        return None

    # integration

    def _integrate(self, request: _Request, api: Any) -> Answer:  # noqa: PLR0911 - as above
        assert request.match is not None  # noqa: S101 - the caller has found a route
        integration = api.integrations.get((request.match.route.target or "").removeprefix("integrations/"))
        function = _function(integration) if integration is not None else None
        if function is None:
            log.error("route %s leads to no Lambda function", request.match.route.route_key)
            return _FAILED
        where = _source_arn(request)
        if reason := iam.authorize_service("apigateway.amazonaws.com", "lambda:InvokeFunction", function, where):
            log.error("%s", reason)
            return _FAILED
        payload = json.dumps(self._event(request)).encode()
        if len(payload) > _MAX_PAYLOAD:
            return _TOO_LARGE
        seconds = (integration.timeout_in_millis or 30_000) / 1_000
        try:
            ended = self._run(function, payload, min(seconds, _TIMEOUT))
        except ThrottledError:
            return _UNAVAILABLE
        except TimeoutError:
            return _UNAVAILABLE
        except Exception:
            log.exception("%s could not be invoked", function)
            return _FAILED
        if ended.error:
            log.error("%s failed: %s", function, ended.error)
            return _FAILED
        return _answer_of(ended.payload)

    def _run(self, function: str, payload: bytes, seconds: float) -> Invocation:
        """Invoke, in a thread that may outlive the answer, as the function does on AWS."""
        future: concurrent.futures.Future[Invocation] = concurrent.futures.Future()
        hold = self._cloud.clock.hold()

        def run() -> None:
            try:
                with self._cloud.clock.working():
                    hold.release()
                    future.set_result(self._invoke(function, payload))
            except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
                future.set_exception(error)

        threading.Thread(target=run, name=f"apigateway {function.rsplit(':', 1)[-1]}", daemon=True).start()
        return future.result(timeout=seconds)

    def _event(self, request: _Request) -> dict[str, Any]:
        """The payload of format 2.0."""
        assert request.match is not None  # noqa: S101 - the caller has found a route
        call = request.call
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": request.match.route.route_key,
            "rawPath": request.path,
            "rawQueryString": call.query,
            "headers": _headers(call.headers),
            "requestContext": self._context(request),
            "isBase64Encoded": False,
        }
        if cookies := call.headers.get("Cookie"):
            event["cookies"] = [each.strip() for each in cookies.split(";")]
        if parameters := _query(call.query):
            event["queryStringParameters"] = parameters
        if request.match.parameters:
            event["pathParameters"] = request.match.parameters
        if request.stage.stage_variables:
            event["stageVariables"] = request.stage.stage_variables
        if call.body:
            try:
                event["body"] = call.body.decode()
            except UnicodeDecodeError:
                event["body"], event["isBase64Encoded"] = base64.b64encode(call.body).decode(), True
        return event

    def _context(self, request: _Request) -> dict[str, Any]:
        assert request.match is not None  # noqa: S101 - the caller has found a route
        moment = self._cloud.clock.now()
        context: dict[str, Any] = {
            "accountId": ACCOUNT,
            "apiId": request.api_id,
            "domainName": f"{request.api_id}.execute-api.{REGION}.amazonaws.com",
            "domainPrefix": request.api_id,
            "http": {
                "method": request.call.method,
                "path": request.path,
                "protocol": request.protocol,
                "sourceIp": request.source,
                "userAgent": request.call.headers.get("User-Agent", ""),
            },
            "requestId": request.request_id,
            "routeKey": request.match.route.route_key,
            "stage": request.stage.name,
            "time": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(moment.timestamp() * 1_000),
        }
        if who := request.principal:
            context["authorizer"] = {
                "iam": {
                    "accessKey": who.access_key or request.call.access_key,
                    "accountId": who.account,
                    "callerId": who.user_id,
                    "cognitoIdentity": None,
                    "principalOrgId": None,
                    "userArn": who.arn,
                    "userId": who.user_id,
                }
            }
        return context

    # access log

    def _log(self, request: _Request, answer: Answer) -> None:
        settings = (request.stage.access_log_settings if request.stage is not None else None) or {}
        group = re.search(r":log-group:([^:]+)", settings.get("destinationArn", ""))
        if not group or not settings.get("format"):
            return
        moment = self._cloud.clock.now()
        http = {"method": request.call.method, "path": request.path}
        values = {
            "requestId": request.request_id,
            "apiId": request.api_id,
            "stage": request.stage.name,
            "httpMethod": http["method"],
            "path": http["path"],
            "routeKey": request.match.route.route_key if request.match else "",
            "protocol": request.protocol,
            "status": str(answer.status),
            "responseLength": str(len(answer.body)),
            "identity.sourceIp": request.source,
            "identity.userAgent": request.call.headers.get("User-Agent", ""),
            "identity.userArn": request.call.principal,
            "requestTime": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": str(int(moment.timestamp() * 1_000)),
            "error.message": "" if answer.status < 400 else answer.body[:200].decode("utf-8", "replace"),
        }

        def value(found: re.Match[str]) -> str:
            # Whatever a client sends must not end a line or a JSON string.
            return json.dumps(values.get(found[1], "-") or "-")[1:-1]

        line = re.sub(r"\$context\.([A-Za-z.]+)", value, settings["format"])
        # The logs service keeps real time, as the functions do that write there too.
        self._write(group[1], line, int(time.time() * 1_000))

    def _write(self, group: str, line: str, moment: int) -> None:
        logs = logs_backends[ACCOUNT][REGION]
        with self._lock:
            try:
                stream = "apigateway"
                if stream not in logs.groups[group].streams:
                    logs.create_log_stream(group, stream)
                logs.put_log_events(group, stream, [{"timestamp": moment, "message": line}])
            except Exception:
                log.exception("the access log %s cannot be written", group)


def _faulty(rule: Rule) -> Answer:
    match rule.kind:
        case "throttle":
            return _TOO_MANY
        case "error":
            return _message(rule.status or 500, rule.message or "Internal Server Error")
        case "reset" | "kill-before" | "kill-after":
            raise Reset
    return _UNAVAILABLE


def _stage(api: Any, path: str) -> Any:
    """The stage that the path names, or the default one."""
    first = path.lstrip("/").split("/", 1)[0]
    return api.stages.get(first) if first and first in api.stages else api.stages.get(_DEFAULT)


def _route(api: Any, method: str, path: str) -> _Match | None:
    """The route that fits best: a full match before a greedy one, a method before ANY, $default last."""
    best: tuple[tuple[int, ...], _Match] | None = None
    for route in list(api.routes.values()):
        rank, parameters = _fit(route.route_key, method, path)
        if rank is not None and (best is None or rank < best[0]):
            best = rank, _Match(route, parameters)
    return best[1] if best else None


def _fit(key: str, method: str, path: str) -> tuple[tuple[int, ...] | None, dict[str, str]]:
    if key == _DEFAULT:
        return (9,), {}
    wanted, _, template = key.partition(" ")
    if wanted not in {"ANY", method}:
        return None, {}
    pattern = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", re.escape(template))
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern)
    found = re.fullmatch(pattern + "/?", path, re.DOTALL)
    if not found:
        return None, {}
    return (int("+}" in template), template.count("{"), int(wanted == "ANY")), found.groupdict()


def _function(integration: Any) -> str | None:
    """The ARN of the function that an integration invokes, in either form of its URI."""
    uri = str(integration.integration_uri or "")
    if integration.integration_type != "AWS_PROXY" or integration.integration_subtype:
        return None
    if (integration.payload_format_version or "1.0") != "2.0":
        return None
    found = re.search(r"functions/(arn:[^/]+)/invocations", uri)
    return found[1] if found else (uri if uri.startswith("arn:aws:lambda:") else None)


def _source_arn(request: _Request) -> str:
    """What a function's policy sees as aws:SourceArn: the route, not the path of the request."""
    assert request.match is not None  # noqa: S101 - the caller has found a route
    key = request.match.route.route_key
    where = _DEFAULT if key == _DEFAULT else f"{request.call.method}{key.partition(' ')[2]}"
    return f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{request.api_id}/{request.stage.name}/{where}"


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Lower-case names; several values of one name joined by commas; cookies are apart."""
    joined: dict[str, str] = {}
    for name, value in headers.items():
        if name.lower() != "cookie":
            joined[name.lower()] = f"{joined[name.lower()]},{value}" if name.lower() in joined else value
    return joined


def _query(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _answer_of(payload: bytes) -> Answer:
    """The function's result as an answer; one without statusCode is a JSON body."""
    try:
        result = json.loads(payload or b"null")
    except ValueError:
        return _FAILED
    if not isinstance(result, dict) or "statusCode" not in result:
        body = result if isinstance(result, str) else json.dumps(result)
        return Answer(200, body.encode(), [("Content-Type", "application/json")])
    try:
        status, body = int(result["statusCode"]), result.get("body") or ""
        data = base64.b64decode(body) if result.get("isBase64Encoded") else str(body).encode()
    except (TypeError, ValueError):
        return _FAILED
    headers = [(str(name), str(value)) for name, value in (result.get("headers") or {}).items()]
    headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "text/plain; charset=utf-8"))
    return Answer(status, data, headers + [("Set-Cookie", str(each)) for each in result.get("cookies") or []])


def _lambda(function: str, payload: bytes) -> Invocation:
    from springboard_local.services import lambda_  # noqa: PLC0415 - tests put a function of their own in its place

    try:
        return lambda_.invoke(function, payload)
    except lambda_.Throttled as error:
        raise ThrottledError from error


@operation("apigatewayv2", "UpdateStage")
def update_stage(call: Call) -> Mapping[str, Any]:
    """Change a stage, which moto cannot."""
    given = _cased(dict(call.parameters), str.lower)
    api = apigatewayv2_backends[ACCOUNT][REGION].apis.get(given.pop("apiId"))
    stage = api.stages.get(given["stageName"]) if api else None
    if stage is None:
        raise ApiError("NotFoundException", "Unable to find Stage by name", 404)
    config = {**stage.config, **given}
    created = stage.created
    stage.__init__(api, config)
    stage.created = created
    return {**_cased(config, str.upper), "CreatedDate": created, "LastUpdatedDate": stage.updated}


def _cased(value: Any, first: Callable[[str], str]) -> Any:
    """Names with their first letter in the other case; moto keeps a stage as the request's JSON has it."""
    if not isinstance(value, dict):
        return value
    return {
        first(name[0]) + name[1:]: each if name.lower() in {"stagevariables", "tags"} else _cased(each, first)
        for name, each in value.items()
    }


def install(cloud: LocalCloud) -> None:
    """Serve the account's HTTP APIs."""
    gateway = Gateway(cloud)
    cloud.mount(PREFIX, gateway)
    cloud.mount_host("execute-api", gateway)
