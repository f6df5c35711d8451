"""What a Task's Resource calls: AWS services through their APIs, with the rights of the machine's role."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.session import Session

from springboard_local.services.stepfunctions.failures import DATA_LIMIT, RUNTIME, TASK_FAILED, StateFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from springboard_local.cloud import Cloud
    from springboard_local.services.stepfunctions.engine import Promise

_FUNCTION = re.compile(r"arn:[^:]+:lambda:[^:]*:\d*:function:.+")
_SERVICE = re.compile(
    r"arn:[^:]+:states:[^:]*:\d*:(aws-sdk:)?([a-z0-9-]+):([A-Za-z0-9]+)(?:\.(sync:2|sync|waitForTaskToken))?"
)
# The names of the AWS SDK for Java, which Step Functions uses, where they are not botocore's.
_CLIENTS = {
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "elasticloadbalancing": "elb",
    "elasticloadbalancingv2": "elbv2",
    "eventbridge": "events",
    "servicequotas": "service-quotas",
    "sfn": "stepfunctions",
    "states": "stepfunctions",
}
_OPTIMIZED = {
    ("dynamodb", "putItem"),
    ("dynamodb", "getItem"),
    ("dynamodb", "updateItem"),
    ("dynamodb", "deleteItem"),
    ("events", "putEvents"),
    ("lambda", "invoke"),
    ("sns", "publish"),
    ("sqs", "sendMessage"),
    ("states", "startExecution"),
}
_ERROR_PREFIXES = {"dynamodb": "DynamoDB", "events": "EventBridge", "lambda": "Lambda", "sns": "SNS", "sqs": "SQS"}
# Parameters of optimized integrations that may be given as JSON instead of text.
_TEXTS = {("sns", "publish"): "Message", ("sqs", "sendMessage"): "MessageBody", ("states", "startExecution"): "Input"}
_LAMBDA_ERRORS = {
    "TooManyRequestsException": "Lambda.TooManyRequestsException",
    "ServiceException": "Lambda.ServiceException",
    "ResourceNotFoundException": "Lambda.ResourceNotFoundException",
    "AccessDeniedException": "Lambda.AWSLambdaException",
}


class Outside(TypedDict):
    """What a call needs to know of its execution."""

    role: str
    session: str
    promise: Promise


class TaskEvents:
    """The history events of a service integration."""

    prefix = "Task"

    def name(self, outcome: str) -> tuple[str, str | None]:
        """Type of an event, and the name of its details."""
        return f"{self.prefix}{outcome}", f"{self.prefix[0].lower()}{self.prefix[1:]}{outcome}"

    def common(self, integration: Integration) -> dict[str, Any]:
        """What every event says."""
        return {"resourceType": integration.resource_type, "resource": integration.resource}

    def scheduled(
        self, integration: Integration, arguments: Any, timeout: float | None, heartbeat: float | None
    ) -> dict[str, Any]:
        """Details of the first event."""
        details = {
            **self.common(integration),
            "region": integration.region,
            "parameters": json.dumps(arguments, ensure_ascii=False),
        }
        if timeout is not None:
            details["timeoutInSeconds"] = int(timeout)
        if heartbeat is not None:
            details["heartbeatInSeconds"] = int(heartbeat)
        return details


class FunctionEvents(TaskEvents):
    """The history events of a Task whose Resource is a function's ARN."""

    prefix = "LambdaFunction"

    def name(self, outcome: str) -> tuple[str, str | None]:
        """LambdaFunctionStarted has no details."""
        kind, details = super().name(outcome)
        return kind, None if outcome == "Started" else details

    def common(self, integration: Integration) -> dict[str, Any]:
        """Nothing: only the first event names the function."""
        del integration
        return {}

    def scheduled(
        self, integration: Integration, arguments: Any, timeout: float | None, heartbeat: float | None
    ) -> dict[str, Any]:
        """Details of the first event."""
        del heartbeat
        details: dict[str, Any] = {"resource": integration.resource, "input": json.dumps(arguments, ensure_ascii=False)}
        if timeout is not None:
            details["timeoutInSeconds"] = int(timeout)
        return details


@dataclass(frozen=True)
class Integration:
    """One kind of call."""

    resource_type: str
    resource: str
    region: str
    call: Callable[[Any, Outside], Any]
    events: TaskEvents
    token: bool = False  # waits for SendTaskSuccess
    waits: bool = False  # the call's answer is not yet the result


class Integrations:
    """All calls that the machines of one cloud can make."""

    def __init__(self, cloud: Cloud, watch: Callable[[str, Callable[[], None]], None], region: str) -> None:
        """`watch(execution, ended)` calls back when an execution has ended."""
        self._cloud = cloud
        self._watch = watch
        self._region = region
        self._found: dict[str, Integration] = {}
        self.tokens: dict[str, Promise] = {}

    def find(self, resource: str) -> Integration:
        """The integration for a Resource; States.Runtime for one that is not there."""
        if resource not in self._found:
            self._found[resource] = self._make(resource)
        return self._found[resource]

    def _make(self, resource: str) -> Integration:
        if _FUNCTION.fullmatch(resource):
            function = functools.partial(self._bare_function, resource)
            return Integration("lambda", resource, self._region, function, FunctionEvents())
        match = _SERVICE.fullmatch(resource)
        if not match:
            raise StateFailure(RUNTIME, f"The resource provided {resource} is not recognized.")
        sdk, service, action, pattern = match.groups()
        if not sdk and (service, action) not in _OPTIMIZED:
            raise StateFailure(RUNTIME, f"The resource provided {resource} is not part of the local cloud.")
        if (pattern or "").startswith("sync") and (service, action) != ("states", "startExecution"):
            raise StateFailure(RUNTIME, f"The resource provided {resource} is not recognized.")
        name = f"{action}.{pattern}" if pattern else action
        kind = f"aws-sdk:{service}" if sdk else service
        waits = bool(pattern)
        call = self._chosen(service, action, pattern, sdk=bool(sdk))
        return Integration(
            kind, name, self._region, call, TaskEvents(), token=pattern == "waitForTaskToken", waits=waits
        )

    def _chosen(self, service: str, action: str, pattern: str | None, *, sdk: bool) -> Callable[[Any, Outside], Any]:
        if not sdk and service == "lambda":
            return self._lambda_invoke
        if pattern and pattern.startswith("sync"):
            return functools.partial(self._start_and_watch, pattern)
        return functools.partial(self._api, service, action, sdk)

    # any service

    def _api(self, service: str, action: str, sdk: bool, arguments: Any, outside: Outside) -> Any:  # noqa: FBT001 - bound by partial
        api = _CLIENTS.get(service, service)
        operation = _operation(api, action)
        if operation is None:
            raise StateFailure(RUNTIME, f"The action {action} of {service} is not known.")
        prefix = _sdk_prefix(api) if sdk else _ERROR_PREFIXES.get(service, "StepFunctions")
        text = _TEXTS.get((service, action))
        arguments = arguments if isinstance(arguments, dict) else {}
        if not sdk and text and not isinstance(arguments.get(text, ""), str):
            arguments = {**arguments, text: json.dumps(arguments[text])}
        if not sdk and service == "events":
            arguments = _with_event_texts(arguments)
        request = _to_request(arguments, operation.input_shape)
        client = self._cloud.client(api, outside["role"], outside["session"])
        method = getattr(client, _method(api, operation.name))
        try:
            answer = method(**request)
        except ClientError as error:
            raise _client_failure(prefix, error, api) from error
        except ParamValidationError as error:
            raise StateFailure(
                RUNTIME, f"The Parameters '{json.dumps(arguments)}' could not be used: {error}"
            ) from error
        except BotoCoreError as error:
            raise StateFailure(f"{prefix}.SdkClientException", str(error)) from error
        answer.pop("ResponseMetadata", None)
        result = _from_response(answer, operation.output_shape)
        if not sdk and service == "events" and result.get("FailedEntryCount"):
            raise StateFailure("EventBridge.FailedEntry", json.dumps(result))
        return result

    # functions

    def _bare_function(self, arn: str, arguments: Any, outside: Outside) -> Any:
        return self._invoke({"FunctionName": arn, "Payload": arguments}, outside)["Payload"]

    def _lambda_invoke(self, arguments: Any, outside: Outside) -> Any:
        if not isinstance(arguments, dict) or "FunctionName" not in arguments:
            raise StateFailure(RUNTIME, "The field 'FunctionName' is required but was missing")
        return self._invoke(arguments, outside)

    def _invoke(self, arguments: Mapping[str, Any], outside: Outside) -> dict[str, Any]:
        client = self._cloud.client("lambda", outside["role"], outside["session"])
        request = {key: value for key, value in arguments.items() if key in _INVOKE_FIELDS}
        request["Payload"] = json.dumps(arguments.get("Payload", {})).encode()
        try:
            answer = client.invoke(**request)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            name = _LAMBDA_ERRORS.get(code, "Lambda.ServiceException" if _status(error) >= 500 else f"Lambda.{code}")
            raise StateFailure(name, _client_cause("Lambda", error)) from error
        except ParamValidationError as error:
            raise StateFailure(RUNTIME, str(error)) from error
        except BotoCoreError as error:
            raise StateFailure("Lambda.SdkClientException", str(error)) from error
        body = answer["Payload"].read()
        if answer.get("FunctionError"):
            raise _function_failure(body)
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return {
            "ExecutedVersion": answer.get("ExecutedVersion", "$LATEST"),
            "Payload": _payload(body),
            "SdkHttpMetadata": {
                "AllHttpHeaders": {name: [value] for name, value in headers.items()},
                "HttpHeaders": dict(headers),
                "HttpStatusCode": answer["ResponseMetadata"]["HTTPStatusCode"],
            },
            "SdkResponseMetadata": {"RequestId": answer["ResponseMetadata"].get("RequestId", "")},
            "StatusCode": answer["StatusCode"],
        }

    # executions

    def _start_and_watch(self, pattern: str, arguments: Any, outside: Outside) -> Any:
        started = self._api("states", "startExecution", False, arguments, outside)  # noqa: FBT003 - bound by partial
        arn, promise = started["ExecutionArn"], outside["promise"]

        def ended() -> None:
            # Reads with the role, as AWS does, so that a role that may not describe executions is seen.
            try:
                result = self._api("states", "describeExecution", False, {"ExecutionArn": arn}, outside)  # noqa: FBT003
            except StateFailure as failure:
                promise.answer(failure=failure)
                return
            if result["Status"] != "SUCCEEDED":
                promise.answer(failure=StateFailure(TASK_FAILED, json.dumps(result)))
                return
            for name in ("Input", "Output"):
                if pattern == "sync:2" and name in result:
                    result[name] = json.loads(result[name])
            promise.answer(result)

        self._watch(arn, ended)
        return started


_INVOKE_FIELDS = {"FunctionName", "InvocationType", "ClientContext", "Qualifier", "LogType"}


def _payload(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError as error:
        raise StateFailure(RUNTIME, f"The function's result is not JSON: {error}") from error


def _function_failure(body: bytes) -> StateFailure:
    text = body.decode("utf-8", "replace")
    try:
        answer = json.loads(text)
        name = answer.get("errorType") if isinstance(answer, dict) else None
    except ValueError:
        name = None
    if name == "Function.ResponseSizeTooLarge":
        return StateFailure(DATA_LIMIT, text)
    if name:
        return StateFailure(str(name), text)
    cause = "The cause could not be determined because Lambda did not return an error type. Returned payload: "
    return StateFailure("Lambda.Unknown", cause + text)


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _client_cause(service: str, error: ClientError) -> str:
    message = error.response["Error"].get("Message", "")
    request = error.response.get("ResponseMetadata", {}).get("RequestId", "")
    return f"{message} (Service: {service}, Status Code: {_status(error)}, Request ID: {request})"


def _client_failure(prefix: str, error: ClientError, api: str) -> StateFailure:
    code = error.response["Error"]["Code"].rsplit(".", maxsplit=1)[-1]
    # The wire's code is not always the exception's name (IAM: NoSuchEntity); what is not modelled is the
    # service's own base exception in the SDK for Java.
    shapes = {str(shape.error_code): str(shape.name) for shape in _model(api).error_shapes}
    name = shapes.get(code) or (code if code.endswith("Exception") else prefix)
    name = name if name.endswith("Exception") else f"{name.removesuffix('Fault')}Exception"
    return StateFailure(f"{prefix}.{name}", _client_cause(prefix, error))


def _with_event_texts(arguments: Mapping[str, Any]) -> dict[str, Any]:
    entries = [
        {
            **entry,
            "Detail": entry["Detail"] if isinstance(entry.get("Detail"), str) else json.dumps(entry.get("Detail")),
        }
        for entry in arguments.get("Entries", [])
    ]
    return {**arguments, "Entries": entries}


@functools.cache
def _model(api: str) -> Any:
    return Session().get_service_model(api)


@functools.cache
def _operation(api: str, action: str) -> Any:
    try:
        model = _model(api)
    except Exception as error:
        raise StateFailure(RUNTIME, f"The service {api} is not known.") from error
    name = action[0].upper() + action[1:]
    found = next((known for known in model.operation_names if known.lower() == name.lower()), None)
    return model.operation_model(found) if found else None


@functools.cache
def _method(api: str, operation: str) -> str:
    from botocore import xform_name  # noqa: PLC0415 - only needed here

    del api
    name: str = xform_name(operation)
    return name


@functools.cache
def _sdk_prefix(api: str) -> str:
    """The name of a service in the SDK for Java: Eks, DynamoDb, ElasticLoadBalancingV2, Sfn."""
    words = re.split(r"[\s-]+", str(_model(api).service_id))
    parts = [part for word in words for part in re.findall(r"[A-Z]+(?![a-z])\d*|[A-Z][a-z]+\d*|[a-z]+\d*|\d+", word)]
    return "".join(part[0].upper() + part[1:].lower() for part in parts)


def _to_request(value: Any, shape: Any) -> Any:
    """Parameters under botocore's names: Step Functions writes every name in PascalCase."""
    if shape is None:
        return {}
    if shape.type_name == "structure" and isinstance(value, dict):
        members = {name[0].upper() + name[1:]: name for name in shape.members}
        unknown = sorted(value.keys() - members.keys())
        if unknown:
            raise StateFailure(RUNTIME, f"The field '{unknown[0]}' is not supported by Step Functions")
        return {members[key]: _to_request(item, shape.members[members[key]]) for key, item in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_to_request(item, shape.member) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _to_request(item, shape.value) for key, item in value.items()}
    if shape.type_name == "blob" and not isinstance(value, bytes):
        return (value if isinstance(value, str) else json.dumps(value)).encode()
    return value


def _from_response(value: Any, shape: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        if shape is not None and shape.type_name == "structure":
            return {
                key[0].upper() + key[1:]: _from_response(item, shape.members.get(key)) for key, item in value.items()
            }
        inner = shape.value if shape is not None and shape.type_name == "map" else None
        return {key: _from_response(item, inner) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        inner = shape.member if shape is not None and shape.type_name == "list" else None
        return [_from_response(item, inner) for item in value]
    return value
