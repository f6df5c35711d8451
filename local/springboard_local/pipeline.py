"""What every API request passes: identify → authorize → fault → act → record.

The pipeline is the WSGI application of the local cloud. moto's own application is the last station, for
all operations that no service module has registered a handler for with `operation`. Because it works on
HTTP requests, nothing reaches a service past it: not S3, not a service that moto dispatches apart.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
import logging
import re
import threading
import time
from collections import OrderedDict, deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from urllib.parse import parse_qs
from xml.sax.saxutils import escape, unescape

from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import NotFound, get_service_router
from moto.core.serialize import XFormedAttributePicker, get_serializer_class
from moto.core.utils import get_service_model
from moto.utilities.aws_headers import gen_amzn_requestid_long
from werkzeug.datastructures import Headers

from springboard_local.clock import iso
from springboard_local.faults import Fault
from springboard_local.redaction import Redaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from springboard_local.clock import Clock

log = logging.getLogger(__name__)

# botocore's service names by signing name, where the two differ or one signs for several.
_APIS = {
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
    "servicequotas": "service-quotas",
}
# IAM's prefixes, where they are not the signing name.
_IAM_PREFIXES = {"monitoring": "cloudwatch", "tagging": "tag"}
# Further APIs of botocore's that one of IAM's prefixes covers.
_MORE_APIS = {"dynamodb": ("dynamodbstreams",), "apigateway": ("apigatewayv2",)}
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_READS = re.compile(r"^(Get|List|Describe|Head|BatchGet|Lookup|Search|Simulate|Test|Query$|Scan$|TransactGet|Filter)")
_READ_OPERATIONS = {
    "AssumeRole",
    "AssumeRoleWithWebIdentity",
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "ReceiveMessage",
}


class ApiError(Exception):
    """An error that a handler answers with; `fields` are further members of the modelled error."""

    def __init__(self, code: str, message: str, status: int = 400, **fields: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


@dataclass(frozen=True)
class Denial:
    """Why a call is not allowed; `code` in the words of the service's protocol."""

    code: str
    message: str
    status: int = 403


@dataclass(frozen=True)
class Response:
    """A whole HTTP answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(eq=False)
class Call:
    """One API request."""

    number: int
    time: datetime
    service: str  # IAM's prefix: eks, elasticloadbalancing, cloudwatch, states, …
    api: str  # botocore's name: eks, elbv2, cloudwatch, stepfunctions, …
    operation: str  # botocore's name: CreateCluster; "" when the request names none that botocore knows
    region: str
    access_key: str  # "" on an unsigned request
    session_token: str
    method: str
    path: str  # as sent, percent-encoded
    query: str
    headers: Mapping[str, str]  # case-insensitive
    body: bytes = field(repr=False)
    internal: bool = False  # the local cloud's own administrator client: never a target of faults
    principal: str = ""  # ARN; filled by authorize
    status: int = 0
    error: str | None = None
    message: str | None = None  # of an error
    fault: int | None = None  # the number of the injected fault that struck

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        """The operation's input under botocore's names; {} when it cannot be parsed."""
        try:
            return _parsed(self)
        except Exception:  # a malformed request is the service's to refuse
            log.debug("cannot parse %s:%s", self.service, self.operation, exc_info=True)
            return {}

    @property
    def mutating(self) -> bool:
        """Whether the call may change something; judged by the operation's name."""
        return not _READS.match(self.operation) and self.operation not in _READ_OPERATIONS

    @property
    def json_protocol(self) -> bool:
        """Whether the service answers in one of the JSON protocols, so that error codes end in Exception."""
        return _protocol(self.api) not in {"query", "ec2", "rest-xml"}


@dataclass(frozen=True)
class Record:
    """What is kept of a call: what it asked without its secrets, and how that ended; no headers, no bodies."""

    number: int
    time: str
    service: str
    operation: str
    region: str
    principal: str
    mutating: bool
    internal: bool
    status: int  # 0: the connection ended without an answer
    error: str | None
    message: str | None  # of an error
    milliseconds: float  # real ones
    fault: int | None  # the number of the injected fault that struck
    parameters: Mapping[str, Any] | None  # redacted; None once so many later calls have been kept


type Handler = Callable[[Call], Mapping[str, Any] | None]
type Kind = Literal["throttle", "error", "reset", "kill-after", "kill-before", "stale"]
KINDS = ("throttle", "error", "reset", "kill-after", "kill-before", "stale")

# Ends the Lambda worker that made the call; set by services/lambda_.py. The connection is reset in any case.
kill: Callable[[Call], None] | None = None

# How the names of operations begin that make something of its own.
_CREATING = ("Allocate", "Create", "Import", "Request", "Run")

_handlers: dict[tuple[str, str], Handler] = {}


def operation(api: str, name: str) -> Callable[[Handler], Handler]:
    """Register the handler of one operation, by botocore's names ("eks", "CreateCluster"), in moto's place.

    It returns the output under botocore's names, or raises `ApiError` or moto's ServiceException.
    """

    def register(handler: Handler) -> Handler:
        _handlers[api, name] = handler
        return handler

    return register


class Reset(ConnectionError):  # noqa: N818 - what the client sees, not a fault of ours
    """The connection is to end without an answer; the request handler sees to it."""


@dataclass
class Rule(Fault):
    """A fault of the calls that match."""

    service: str  # IAM's prefix, or a glob
    kind: Kind
    operation: str = "*"
    principal: str = "*"
    mutating: bool | None = None  # True: mutating calls alone; False: reads alone
    status: int = 0  # of an error; `code` and `message` too, "" for the protocol's own
    lag: float = 0  # of a stale read, seconds: what happened longer ago is known; 0: nothing bounds it

    def __post_init__(self) -> None:
        """Raise ValueError for what no call could ever match, or no service could answer."""
        super().__post_init__()
        if self.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}, not {self.kind}")
        if self.status and not 400 <= self.status <= 599:
            raise ValueError(f"status is between 400 and 599, not {self.status}")
        if (self.code or self.message or self.status) and self.kind != "error":
            raise ValueError(f"code, message and status are an error's; {self.kind} has the service's own")
        if self.lag < 0 or (self.lag and self.kind != "stale"):
            raise ValueError(f"lag is the seconds, 0 or more, by which a stale read lags behind; not {self.lag}")
        _check_names(self.service, self.operation)

    def strikes(self, call: Call) -> bool:
        """Whether this call is hit; counts it. The caller holds the pipeline's lock."""
        return not call.internal and self._matches(call) and self.draw()

    def _matches(self, call: Call) -> bool:
        if self.kind == "stale" and call.mutating:
            return False
        return (
            fnmatch.fnmatchcase(call.service, self.service)
            and fnmatch.fnmatchcase(call.operation, self.operation)
            and fnmatch.fnmatchcase(call.principal, self.principal)
            and (self.mutating is None or self.mutating == call.mutating)
        )


def _check_names(service: str, operation: str) -> None:
    """Refuse a service or an operation that would never be called, as ValueError."""
    if _is_glob(service) or service == "execute-api":
        return
    apis = [api for signing, api in _APIS.items() if _IAM_PREFIXES.get(signing, signing) == service]
    if service in _APIS.values() and not apis:
        signing = next(signing for signing, api in _APIS.items() if api == service)
        raise ValueError(f"service is IAM's prefix: {_IAM_PREFIXES.get(signing, signing)}, not {service}")
    known = [api for api in (*apis, service, *_MORE_APIS.get(service, ())) if api in _known_apis()]
    if not known:
        raise ValueError(f"there is no service {service}")
    if not _is_glob(operation) and all(operation not in get_service_model(api).operation_names for api in known):
        raise ValueError(f"{service} has no operation {operation}")


def _is_glob(text: str) -> bool:
    return any(each in text for each in "*?[")


class _Reads:
    """The last two answers of each read, so that a stale one can be given again."""

    def __init__(self, limit: int = 2_000) -> None:
        self._limit = limit
        self._changes: dict[str, list[datetime]] = {}  # of each service; an answer's generation is how many there were
        self._answers: OrderedDict[str, list[tuple[int, Response]]] = OrderedDict()

    def key(self, call: Call) -> str:
        parameters = json.dumps(call.parameters, sort_keys=True, default=str)
        return f"{call.service} {call.operation} {call.region} {parameters}"

    def saw(self, call: Call, response: Response, now: datetime) -> None:
        """Keep an answer; a mutating call makes all earlier answers of its service stale ones."""
        if call.mutating:
            self._changes.setdefault(call.service, []).append(now)
            return
        generation = len(self._changes.get(call.service, ()))
        kept = self._answers.setdefault(self.key(call), [])
        if kept and kept[-1][0] == generation:
            kept[-1] = (generation, response)
        else:
            kept.append((generation, response))
        del kept[:-2]
        self._answers.move_to_end(self.key(call))
        while len(self._answers) > self._limit:
            self._answers.popitem(last=False)

    def before_last_change(self, call: Call, since: datetime | None) -> Response | None:
        """The answer that the last change has made untrue, or None; with `since` only if it was true then."""
        changes = self._changes.get(call.service, [])
        for made, answer in reversed(self._answers.get(self.key(call), [])):
            if made < len(changes):
                return answer if since is None or changes[made] >= since else None
        return None

    def clear(self) -> None:
        self._answers.clear()
        self._changes.clear()


class Pipeline:
    """The WSGI application of the local cloud's AWS endpoint."""

    def __init__(
        self,
        act: Callable[[dict[str, Any], Any], Iterable[bytes]],
        clock: Clock,
        is_internal: Callable[[str, str], bool] = lambda _access_key, _user_agent: False,
        limit: int = 100_000,
        detailed: int = 10_000,
    ) -> None:
        """`act` serves what has no handler of its own; the last `limit` calls are kept, `detailed` with parameters."""
        self._act = act
        self._clock = clock
        self._is_internal = is_internal
        self.authorize: Callable[[Call], Denial | None] = lambda _: None
        self._numbers = itertools.count(1)
        self._records: deque[Record] = deque(maxlen=limit)
        self._detailed = detailed
        self._faults: list[Fault] = []
        self._fault_numbers = itertools.count(1)
        self._reads = _Reads()
        self._lock = threading.Lock()

    # calls and faults, for the admin API and tests

    def calls(self) -> list[Record]:
        """All recorded calls, oldest first; a call is recorded once it has ended."""
        with self._lock:
            return list(self._records)

    def forget_calls(self) -> None:
        """Drop the record."""
        with self._lock:
            self._records.clear()

    def inject[Injected: Fault](self, fault: Injected) -> Injected:
        """Add a fault; of several that match, the oldest strikes."""
        with self._lock:
            fault.number = next(self._fault_numbers)
            self._faults.append(fault)
        return fault

    def faults(self) -> list[Fault]:
        """All faults, also those that have struck all their times."""
        with self._lock:
            return list(self._faults)

    def clear_faults(self, number: int | None = None) -> None:
        """Remove one fault, or all, and what they have left behind."""
        with self._lock:
            gone = [fault for fault in self._faults if number is None or fault.number == number]
            self._faults = [fault for fault in self._faults if fault not in gone]
            if not self._faults:
                self._reads.clear()
        for fault in gone:
            if fault.withdraw:
                fault.withdraw()

    def first(self, strikes: Callable[[Fault], bool]) -> Fault | None:
        """The oldest fault of which `strikes` says so; it is asked for one at a time, under a lock."""
        with self._lock:
            return next((fault for fault in self._faults if strikes(fault)), None)

    def reset(self) -> None:
        """Forget calls and faults."""
        self.forget_calls()
        self.clear_faults()

    # the way of one request

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve one request."""
        response = self.handle(self.identify(environ), environ)
        start_response(f"{response.status} {_reason(response.status)}", response.headers)
        return [response.body]

    def identify(self, environ: dict[str, Any]) -> Call:
        """What the request asks for; its body is read once and put back."""
        return identify(environ, next(self._numbers), self._clock.now(), self._is_internal)

    def handle(self, call: Call, environ: dict[str, Any]) -> Response:
        """Take one identified call through all stations."""
        with self.recorded(call):
            response = self._pass(call, environ)
            call.status = response.status
            if response.status >= 400:
                call.error, call.message = _error_code(response), _error_message(response)
        return response

    @contextmanager
    def recorded(self, call: Call) -> Iterator[None]:
        """Record the call with the outcome it has when the block ends."""
        began = time.perf_counter()
        try:
            yield
        except Reset:
            call.error = call.error or "ConnectionReset"
            raise
        finally:
            self._keep(call, (time.perf_counter() - began) * 1_000)

    def _keep(self, call: Call, milliseconds: float) -> None:
        asked = Redaction.of(call.api, call.operation, call.parameters) if call.parameters else None
        made = Record(
            call.number,
            iso(call.time),
            call.service,
            call.operation,
            call.region,
            call.principal,
            call.mutating,
            call.internal,
            call.status,
            call.error,
            asked.message(call.message) if asked and call.message else call.message,
            round(milliseconds, 1),
            call.fault,
            asked.parameters if asked else {},
        )
        with self._lock:
            self._records.append(made)
            if len(self._records) > self._detailed:
                older = -self._detailed - 1
                self._records[older] = replace(self._records[older], parameters=None)

    def strike(self, call: Call) -> Rule | None:
        """The rule that hits this call, if any."""
        found = self.first(lambda fault: isinstance(fault, Rule) and fault.strikes(call))
        if not isinstance(found, Rule):
            return None
        call.fault = found.number
        return found

    def _pass(self, call: Call, environ: dict[str, Any]) -> Response:
        if denial := self.authorize(call):
            return error_response(call, denial.code, denial.message, denial.status)
        rule = self.strike(call)
        match rule.kind if rule else None:
            case "throttle":
                return throttled(call)
            case "error" if rule:
                return _failed(call, rule)
            case "reset":
                raise Reset
            case "kill-before":
                _end_worker(call)
            case "kill-after":
                response = self._acted(call, environ)
                call.status = response.status
                call.error = "WorkerKilled"
                _end_worker(call)
            case "stale" if rule:
                return self._stale(call, environ, rule.lag)
        return self._acted(call, environ)

    def _acted(self, call: Call, environ: dict[str, Any]) -> Response:
        response = self._answer(call, environ)
        with self._lock:
            watched = any(isinstance(fault, Rule) and fault.kind == "stale" for fault in self._faults)
        if watched:
            with self._lock:
                self._reads.saw(call, response, self._clock.now())
        return response

    def _stale(self, call: Call, environ: dict[str, Any], lag: float) -> Response:
        # The read is made all the same, so that its answer is there to be the stale one later.
        fresh = self._acted(call, environ)
        since = self._clock.now() - timedelta(seconds=lag) if lag else None
        with self._lock:
            older = self._reads.before_last_change(call, since)
            young = since is None or self._created(call, since)
        if older:
            return older
        return _not_there_yet(call) if young and fresh.status < 400 else fresh

    def _created(self, read: Call, since: datetime) -> bool:
        """Whether anything of the kind that is read has been made since. Under the lock."""
        kind = _kind(read.operation)
        recent = itertools.takewhile(lambda call: call.time >= iso(since), reversed(self._records))
        return any(
            call.service == read.service
            and call.status < 400
            and call.operation.startswith(_CREATING)
            and kind.startswith(_kind(call.operation))
            for call in recent
        )

    def _answer(self, call: Call, environ: dict[str, Any]) -> Response:
        handler = _handlers.get((call.api, call.operation))
        try:
            if handler:
                return result_response(call, handler(call))
            return _known(call, _collect(self._act, environ))
        except ApiError as error:
            return error_response(call, error.code, error.message, error.status, **error.fields)
        except ServiceException as error:
            return error_response(call, error.code, error.message, getattr(error, "status_code", 400))
        except NotImplementedError as error:
            name = f"{call.service}:{call.operation}" if call.operation else f"{call.method} {call.path}"
            log.warning("%s is not part of the local cloud: %s", name, error)
            return error_response(call, "NotImplemented", f"The local cloud does not have {name}.", 501)
        except ConnectionError:
            raise
        except Exception:
            log.exception("%s:%s failed", call.service, call.operation)
            message = f"The local cloud failed at {call.service}:{call.operation}; its log says why."
            return error_response(call, "InternalFailure", message, 500)


def _end_worker(call: Call) -> NoReturn:
    if kill is not None:
        kill(call)
    raise Reset


def identify(
    environ: dict[str, Any],
    number: int,
    time: datetime,
    is_internal: Callable[[str, str], bool],
) -> Call:
    """The call that a WSGI request makes."""
    request = Request(environ)
    body = request.get_data(cache=True, parse_form_data=False)
    _put_back(environ, body)
    # moto's request class reads its form lazily from the stream, so each gets one of its own.
    request = Request(dict(environ))
    credential = _CREDENTIAL.search(request.headers.get("Authorization", ""))
    form = _form(request, body)
    access_key, region, signing = credential.groups() if credential else _unsigned(request, form)
    target = request.headers.get("X-Amz-Target", "")
    api = _api(signing, target, request.path, form)
    _put_back(request.environ, body)
    return Call(
        number=number,
        time=time,
        service=_IAM_PREFIXES.get(signing, signing),
        api=api,
        operation=_operation_name(api, target, form, request),
        region=region,
        access_key=access_key,
        session_token=request.headers.get("X-Amz-Security-Token", request.args.get("X-Amz-Security-Token", "")),
        method=request.method,
        path=environ.get("RAW_URI", request.path).split("?", 1)[0],
        query=environ.get("QUERY_STRING", ""),
        headers=Headers(request.headers),
        body=body,
        internal=is_internal(access_key, request.headers.get("User-Agent", "")),
    )


def _put_back(environ: dict[str, Any], body: bytes) -> None:
    import io  # noqa: PLC0415

    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ.pop("wsgi.input_terminated", None)


def _unsigned(request: Request, form: Mapping[str, list[str]]) -> tuple[str, str, str]:
    """Access key, region and signing name of a presigned URL; S3 for an unsigned request, as moto has it."""
    scope = request.args.get("X-Amz-Credential", "").split("/")
    if len(scope) == 5:
        return scope[0], scope[2], scope[3]
    if set(form.get("Action", [])) & {"AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"}:
        return "", "us-east-1", "sts"
    return "", "us-east-1", "s3"


def _form(request: Request, body: bytes) -> dict[str, list[str]]:
    """Query parameters, and the body's where it is a form."""
    form = parse_qs(request.query_string.decode("latin-1"), keep_blank_values=True)
    if (request.mimetype or "") == "application/x-www-form-urlencoded":
        form.update(parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True))
    return form


def _api(signing: str, target: str, path: str, form: Mapping[str, list[str]]) -> str:
    if target.startswith("DynamoDBStreams"):
        return "dynamodbstreams"
    if signing == "apigateway" and path.startswith("/v2/"):
        return "apigatewayv2"
    if signing == "elasticloadbalancing" and form.get("Version") == ["2012-06-01"]:
        return "elb"
    return _APIS.get(signing, signing)


def _operation_name(api: str, target: str, form: Mapping[str, list[str]], request: Request) -> str:
    if target:
        return target.rsplit(".", 1)[-1]
    if action := form.get("Action"):
        return action[0]
    try:
        return str(get_service_router(api).match(request)[0].name)
    except Exception:  # noqa: BLE001 - an unknown service or path has no operation; moto answers it
        return ""


def _parsed(call: Call) -> Mapping[str, Any]:
    model = get_service_model(call.api)
    request = _request(call)
    labels: dict[str, Any] = {}
    if model.protocol in {"rest-json", "rest-xml"}:
        try:
            labels = get_service_router(call.api).match(request)[1]
        except NotFound:
            return {}
    protocol = determine_request_protocol(model, request.content_type)
    parser = PROTOCOL_PARSERS[protocol](model.operation_model(call.operation), map_type=dict)
    parsed: Mapping[str, Any] = parser.parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": labels,
        }
    )
    return parsed


def _request(call: Call) -> Request:
    """The call as a request of its own, whose body can be read."""
    from werkzeug.test import EnvironBuilder  # noqa: PLC0415

    builder = EnvironBuilder(
        path=call.path,
        method=call.method,
        query_string=call.query,
        headers=Headers([(k, v) for k, v in call.headers.items() if k.lower() != "content-length"]),
        data=call.body,
    )
    environ = builder.get_environ()
    environ["RAW_URI"] = environ["REQUEST_URI"] = call.path + (f"?{call.query}" if call.query else "")
    return Request(environ)


def _known(call: Call, response: Response) -> Response:
    """Moto's answer, unless it is Flask's page that says that there is no such path."""
    if response.status in {404, 405} and call.operation and b"<!doctype html>" in response.body[:100].lower():
        raise NotImplementedError("moto has no such path")
    return response


def _collect(act: Callable[[dict[str, Any], Any], Iterable[bytes]], environ: dict[str, Any]) -> Response:
    answered: list[tuple[int, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        answered.append((int(status.split(" ", 1)[0]), list(headers)))

    chunks = act(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close:
            close()
    status, headers = answered[-1]
    return Response(status, headers, body)


@cache
def _model(api: str, name: str) -> OperationModel:
    model = get_service_model(api)
    return model.operation_model(name) if name in model.operation_names else OperationModel({}, model)


def _serialized(call: Call, result: object) -> Response:
    """The answer in the protocol of the call's service."""
    model = get_service_model(call.api)
    content_type = call.headers.get("Content-Type", "")
    try:
        protocol = determine_request_protocol(model, content_type)
    except NotImplementedError:
        protocol = str(model.protocol)
    serializer = get_serializer_class(model.service_name, protocol)(
        operation_model=_model(model.service_name, call.operation),
        value_picker=XFormedAttributePicker(),
    )
    serialized = serializer.serialize(result)
    headers: dict[str, str] = {k: str(v) for k, v in serialized["headers"].items()}
    gen_amzn_requestid_long(headers)
    body = serialized["body"]
    return Response(
        int(serialized["status_code"]),
        list(headers.items()),
        body if isinstance(body, bytes) else body.encode(),
    )


@cache
def _known_apis() -> frozenset[str]:
    import botocore.session  # noqa: PLC0415

    return frozenset(botocore.session.get_session().get_available_services())


@cache
def _protocol(api: str) -> str:
    return str(get_service_model(api).protocol) if api in _known_apis() else "json"


def result_response(call: Call, result: Mapping[str, Any] | None) -> Response:
    """A handler's output as the service would send it."""
    output = dict(result or {})
    response = _serialized(call, output)
    # moto's serializer leaves out members that are the HTTP status itself: Lambda's Invoke has one.
    shape = _model(get_service_model(call.api).service_name, call.operation).output_shape
    for name, member in shape.members.items() if shape else ():
        if member.serialization.get("location") == "statusCode" and name in output:
            return replace(response, status=int(output[name]))
    return response


def error_response(call: Call, code: str, message: str, status: int = 400, **fields: Any) -> Response:
    """An error in the protocol of the call's service; botocore makes a ClientError with `code` of it."""
    protocol = _protocol(call.api)
    if protocol in {"json", "smithy-rpc-v2-cbor"} and status in {401, 403, 404, 409, 429}:
        status = 400  # what the JSON protocol answers to any fault of the client
    headers: dict[str, str] = {}
    request_id = gen_amzn_requestid_long(headers)
    if protocol in {"query", "ec2", "rest-xml"}:
        headers["Content-Type"] = "text/xml"
        body = _xml_error(call, code, message, status, request_id, **fields)
    else:
        headers["Content-Type"] = "application/json"
        headers["x-amzn-ErrorType"] = code
        body = json.dumps({"__type": code, "message": message, **fields}, default=str)
    return Response(status, list(headers.items()), b"" if call.method == "HEAD" else body.encode())


def _xml_error(call: Call, code: str, message: str, status: int, request_id: str, **fields: Any) -> str:
    kind = "Sender" if status < 500 else "Receiver"
    details = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in fields.items())
    told = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>{details}"
    if call.api == "s3":
        return f"<Error>{told}<RequestId>{request_id}</RequestId></Error>"
    if call.api == "ec2":
        return f"<Response><Errors><Error>{told}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    return f"<ErrorResponse><Error><Type>{kind}</Type>{told}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"


def throttled(call: Call) -> Response:
    """The service's own word for too many requests."""
    code, status = {
        "ec2": ("RequestLimitExceeded", 503),
        "s3": ("SlowDown", 503),
        "lambda": ("TooManyRequestsException", 429),
    }.get(call.service, ("", 0))
    if not code:
        code, status = ("ThrottlingException", 400) if call.json_protocol else ("Throttling", 400)
        status = 429 if call.api in {"eks", "scheduler", "apigatewayv2"} else status
    return error_response(call, code, "Rate exceeded", status)


def _failed(call: Call, rule: Rule) -> Response:
    code = rule.code or ("InternalError" if call.service in {"ec2", "s3"} else "InternalFailure")
    status = rule.status or (400 if rule.code else 500)
    return error_response(call, code, rule.message or "An internal error occurred; try again.", status)


# EC2 models no errors, so its codes for one resource that isn't there are named here.
_EC2_MISSING = {
    "DescribeSecurityGroups": ("GroupIds", "InvalidGroup.NotFound"),
    "DescribeSubnets": ("SubnetIds", "InvalidSubnetID.NotFound"),
    "DescribeVpcs": ("VpcIds", "InvalidVpcID.NotFound"),
    "DescribeInstances": ("InstanceIds", "InvalidInstanceID.NotFound"),
    "DescribeLaunchTemplates": ("LaunchTemplateIds", "InvalidLaunchTemplateId.NotFound"),
    "DescribeLaunchTemplateVersions": ("LaunchTemplateId", "InvalidLaunchTemplateId.NotFound"),
    "DescribeNetworkInterfaces": ("NetworkInterfaceIds", "InvalidNetworkInterfaceID.NotFound"),
    "DescribeSecurityGroupRules": ("SecurityGroupRuleIds", "InvalidSecurityGroupRuleId.NotFound"),
}


def _not_there_yet(call: Call) -> Response:
    """What a read of something just created answers where nothing is known of it yet."""
    message = "The resource that you requested does not exist."
    if call.service == "ec2":
        parameter, code = _EC2_MISSING.get(call.operation, ("", ""))
        return error_response(call, code, message) if call.parameters.get(parameter) else _nothing(call)
    missing = [
        shape
        for shape in _model(call.api, call.operation).error_shapes
        if re.search(r"NotFound|NoSuch|DoesNotExist", shape.name)
    ]
    if not missing or call.operation.startswith("List"):
        return result_response(call, {})
    subject = _kind(call.operation).rstrip("s")
    shape = next((each for each in missing if subject in each.name), missing[0])
    error = shape.metadata.get("error", {})
    return error_response(call, error.get("code", shape.name), message, error.get("httpStatusCode", 404))


def _nothing(call: Call) -> Response:
    """An answer with all its lists empty."""
    members = getattr(_model(call.api, call.operation).output_shape, "members", {})
    return result_response(call, {name: [] for name, shape in members.items() if shape.type_name == "list"})


def _kind(operation: str) -> str:
    """What an operation is about: SecurityGroups of DescribeSecurityGroups."""
    return re.sub(r"^(Describe|Get|Head|BatchGet|List|" + "|".join(_CREATING) + ")", "", operation)


def _error_code(response: Response) -> str:
    """The error code that an SDK reads from the answer."""
    headers = {name.lower(): value for name, value in response.headers}
    if kind := headers.get("x-amzn-errortype"):
        return kind.rsplit("#", 1)[-1].split(":", 1)[0]
    text = response.body[:4_000].decode("utf-8", "replace")
    found = re.search(r"<Code>([^<]+)</Code>", text) or re.search(r'"(?:__type|code|Code)"\s*:\s*"([^"]+)"', text)
    return found[1].rsplit("#", 1)[-1] if found else str(response.status)


def _error_message(response: Response) -> str | None:
    """The message that an SDK reads from the answer."""
    text = response.body[:4_000].decode("utf-8", "replace")
    if found := re.search(r"<Message>([^<]*)</Message>", text):
        return unescape(found[1])
    try:
        answer = json.loads(response.body)
    except ValueError:
        return None
    return next((str(answer[key]) for key in ("message", "Message") if answer.get(key)), None)


def _reason(status: int) -> str:
    from http import HTTPStatus  # noqa: PLC0415

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
