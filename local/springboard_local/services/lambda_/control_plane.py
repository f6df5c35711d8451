"""The API operations that moto has not, or has wrong, and the properties that its model drops."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from moto.awslambda import models
from moto.awslambda.exceptions import InvalidParameterValueException, UnknownFunctionException

from springboard_local.pipeline import ApiError, Call, operation
from springboard_local.services import iam, service_quotas
from springboard_local.services.lambda_.errors import Throttled
from springboard_local.services.lambda_.runtime import PRINCIPAL, Runtime, model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard_local.services.mending import Mending

_SYNCHRONOUS_BYTES = 6_291_456
_ASYNCHRONOUS_BYTES = 1_048_576

# AWS's quotas (bytes), https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, and how they are told:
# https://github.com/aws-samples/s3-to-lambda-patterns/issues/36, where an account of 50 may reserve nothing.
_LIMITS = {"TotalCodeSize": 80_530_636_800, "CodeSizeUnzipped": 262_144_000, "CodeSizeZipped": 52_428_800}
_LEAST_UNRESERVED = 100

_KEPT = {"LoggingConfig": "logging_config", "DeadLetterConfig": "dead_letter_config"}

runtime: Runtime | None = None


def _running() -> Runtime:
    if runtime is None:
        raise RuntimeError("the local cloud has no Lambda service")
    return runtime


def _function(call: Call) -> Any:
    """Moto's model of the function that the call names, with AWS's error where there is none."""
    parameters = call.parameters
    return _model(parameters["FunctionName"], parameters.get("Qualifier"), call.region)


def _model(name: str, qualifier: str | None, region: str) -> Any:
    try:
        return model(name, qualifier)
    except UnknownFunctionException:
        from springboard_local.cloud import ACCOUNT  # noqa: PLC0415

        arn = name if name.startswith("arn:") else f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"
        arn += f":{qualifier}" if qualifier else ""
        raise ApiError("ResourceNotFoundException", f"Function not found: {arn}", 404, Type="User") from None


@operation("lambda", "Invoke")
def invoke(call: Call) -> Mapping[str, Any]:
    """Run a function."""
    parameters = call.parameters
    name, qualifier = parameters["FunctionName"], parameters.get("Qualifier")
    _model(name, qualifier, call.region)
    payload = bytes(call.body)
    kind = parameters.get("InvocationType") or "RequestResponse"
    _check_payload(payload, _ASYNCHRONOUS_BYTES if kind == "Event" else _SYNCHRONOUS_BYTES)
    if kind == "DryRun":
        return {"StatusCode": 204, "Payload": b""}
    if kind == "Event":
        _running().accept(name, payload, qualifier)
        return {"StatusCode": 202, "Payload": b""}
    try:
        done = _running().invoke(name, payload, qualifier)
    except Throttled as error:
        raise ApiError("TooManyRequestsException", str(error), 429, Reason=error.reason, Type="User") from None
    answer: dict[str, Any] = {"StatusCode": 200, "ExecutedVersion": done.version, "Payload": done.payload}
    if len(done.payload) > _SYNCHRONOUS_BYTES:
        message = f"Response payload size exceeded maximum allowed payload size ({_SYNCHRONOUS_BYTES} bytes)."
        too_large = {"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge"}
        answer |= {"Payload": json.dumps(too_large).encode(), "FunctionError": "Unhandled"}
    if done.error:
        answer["FunctionError"] = done.error
    if parameters.get("LogType") == "Tail":
        answer["LogResult"] = base64.b64encode(done.log_tail.encode()).decode()
    return answer


def _check_payload(payload: bytes, most: int) -> None:
    if len(payload) > most:
        message = f"{len(payload)} byte payload is too large for the limit of {most} bytes."
        raise ApiError("RequestTooLargeException", message, 413, Type="User")
    try:
        json.loads(payload or b"{}")
    except ValueError as error:
        message = f"Could not parse request body into json: {error}"
        raise ApiError("InvalidRequestContentException", message, 400, Type="User") from None


@operation("lambda", "PutFunctionEventInvokeConfig")
def put_function_event_invoke_config(call: Call) -> Mapping[str, Any]:
    """Replace the function's asynchronous configuration."""
    function = _function(call)
    kept = {name: call.parameters[name] for name in _EVENT_FIELDS if name in call.parameters}
    return _set_event_config(function, kept)


@operation("lambda", "UpdateFunctionEventInvokeConfig")
def update_function_event_invoke_config(call: Call) -> Mapping[str, Any]:
    """Change those fields of the asynchronous configuration that are given."""
    function = _function(call)
    present = function.event_invoke_config[-1].config if function.event_invoke_config else {}
    given = {name: call.parameters[name] for name in _EVENT_FIELDS if name in call.parameters}
    return _set_event_config(function, {**present, **given})


_EVENT_FIELDS = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")


def _set_event_config(function: Any, config: dict[str, Any]) -> Mapping[str, Any]:
    made = models.EventInvokeConfig(function.function_arn, function.last_modified, config)
    function.event_invoke_config[:] = [made]
    answer = dict(made.response())
    answer.pop("LastModified")
    return answer


@operation("lambda", "PutFunctionConcurrency")
def put_function_concurrency(call: Call) -> Mapping[str, Any]:
    """Reserve concurrency; 0 stops the function. What no function reserves must stay enough for all others."""
    function = _function(call)
    wanted = int(call.parameters["ReservedConcurrentExecutions"])
    limit = _concurrency()
    least = min(_LEAST_UNRESERVED, limit)
    if wanted and limit - _reserved(besides=function.function_name) - wanted < least:
        message = (
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{least}]."
        )
        raise ApiError("InvalidParameterValueException", message, 400, Type="User")
    function.reserved_concurrency = wanted
    return {"ReservedConcurrentExecutions": function.reserved_concurrency}


@operation("lambda", "GetAccountSettings")
def get_account_settings(_: Call) -> Mapping[str, Any]:
    """The account's limits, and what is in use of them."""
    functions, limit = _functions(), _concurrency()
    concurrency = {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": limit - _reserved()}
    return {
        "AccountLimit": {**_LIMITS, **concurrency},
        "AccountUsage": {
            "FunctionCount": len(functions),
            "TotalCodeSize": sum(int(each.code_size) for each in functions),
        },
    }


def _functions() -> list[Any]:
    from springboard_local.cloud import ACCOUNT, REGION  # noqa: PLC0415

    return list(models.lambda_backends[ACCOUNT][REGION].list_functions())


def _concurrency() -> int:
    return int(service_quotas.value("L-B99A9384"))


def _reserved(besides: str = "") -> int:
    """How much concurrency functions have reserved, but for the one of that name."""
    return sum(int(each.reserved_concurrency or 0) for each in _functions() if each.function_name != besides)


@operation("lambda", "GetFunctionConcurrency")
def get_function_concurrency(call: Call) -> Mapping[str, Any]:
    """What is reserved."""
    reserved = _function(call).reserved_concurrency
    return {} if reserved is None else {"ReservedConcurrentExecutions": int(reserved)}


@operation("lambda", "AddPermission")
def add_permission(call: Call) -> Mapping[str, Any]:
    """Add a statement to the function's resource policy."""
    parameters = call.parameters
    function = _model(parameters["FunctionName"], None, call.region)
    sid = parameters["StatementId"]
    if any(statement.get("Sid") == sid for statement in function.policy.statements):
        message = (
            f"The statement id ({sid}) provided already exists. "
            "Please provide a new statement id, or remove the existing statement."
        )
        raise ApiError("ResourceConflictException", message, 409, Type="User")
    raw = {key: value for key, value in parameters.items() if key not in {"FunctionName", "Qualifier"}}
    statement, _ = function.policy.add_statement(json.dumps(raw), parameters.get("Qualifier"))
    statement["Resource"] = statement["Resource"].removesuffix(":")
    return {"Statement": json.dumps(statement)}


def mend(mending: Mending) -> None:
    """Let moto's functions keep LoggingConfig and DeadLetterConfig and know their VPC."""
    function_class = models.LambdaFunction
    init, update = function_class.__init__, function_class.update_configuration
    describe, vpc = function_class.get_configuration, function_class.vpc_config
    update_code = function_class.update_function_code

    def mended_init(self: Any, account_id: str, spec: dict[str, Any], region: str, version: Any = 1) -> None:
        _check_trust(spec["Role"])
        init(self, account_id, spec, region, version)
        _keep(self, spec)

    def mended_update(self: Any, config_updates: dict[str, Any]) -> Any:
        if config_updates.get("Role"):
            _check_trust(config_updates["Role"])
        update(self, config_updates)
        _keep(self, config_updates)
        for name in _UPDATABLE.keys() & config_updates.keys():
            setattr(self, _UPDATABLE[name], config_updates[name])
        return self.get_configuration()

    def mended_update_code(self: Any, updated_spec: dict[str, Any]) -> Any:
        if updated_spec.get("Architectures"):
            self.architectures = updated_spec["Architectures"]
        return update_code(self, updated_spec)

    def mended_describe(self: Any, on_create: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - moto's signature
        return {**describe(self, on_create), **_kept(self)}

    def mended_vpc(self: Any) -> dict[str, Any] | None:
        config: dict[str, Any] | None = vpc.fget(self)
        if config and (network := _vpc_of(self, config.get("SubnetIds") or [])):
            config["VpcId"] = network
        return config

    mending.replace(
        function_class,
        __init__=mended_init,
        update_configuration=mended_update,
        update_function_code=mended_update_code,
        get_configuration=mended_describe,
        get_code=_with_concurrency(function_class.get_code),
        vpc_config=property(mended_vpc),
    )


def _with_concurrency(original: Any) -> Any:
    """GetFunction shows a reserved concurrency of 0 too, which stops a function."""

    def get_code(function: Any) -> dict[str, Any]:
        answer: dict[str, Any] = original(function)
        if function.reserved_concurrency is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": int(function.reserved_concurrency)}
        return answer

    return get_code


def _check_trust(role: str) -> None:
    if iam.trust_problem(role, PRINCIPAL):
        raise InvalidParameterValueException("The role defined for the function cannot be assumed by Lambda.")


def _kept(function: Any) -> dict[str, Any]:
    """What moto's description of a function leaves out."""
    logging = {"LogFormat": "Text", "LogGroup": function.logs_group_name}
    kept: dict[str, Any] = {"LoggingConfig": logging | (getattr(function, "logging_config", None) or {})}
    if dead_letter := getattr(function, "dead_letter_config", None):
        kept["DeadLetterConfig"] = dead_letter
    return kept


_UPDATABLE = {
    "KMSKeyArn": "kms_key_arn",
    "TracingConfig": "tracing_config",
}


def _keep(function: Any, spec: Mapping[str, Any]) -> None:
    for name, attribute in _KEPT.items():
        if name in spec:
            setattr(function, attribute, spec[name])
    if size := (spec.get("EphemeralStorage") or {}).get("Size"):
        function.ephemeral_storage = size


def _vpc_of(function: Any, subnets: list[str]) -> str | None:
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 - half a second that a cloud without VPCs need not spend

    backend = ec2_backends[function.account_id][function.region]
    for zone in backend.subnets.values():
        for subnet in subnets:
            if subnet in zone:
                network: str = zone[subnet].vpc_id
                return network
    return None
