"""Carrying a payload to a target for a service: with a role's permissions, or by the target's own policy.

EventBridge rules, EventBridge Scheduler and the streams poller share this: threads, holds on the clock,
retries with backoff on the cloud's clock, dead-letter queues.
"""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError, UnknownServiceError

from springboard_local.services import iam, metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from springboard_local.clock import Hold, Timer
    from springboard_local.cloud import Cloud

log = logging.getLogger(__name__)

_FINAL = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "ValidationException", "InvalidArn"}


class UndeliverableError(Exception):
    """A delivery that failed; `final` says that trying again is no use."""

    def __init__(self, code: str, message: str, *, final: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.final = final


@dataclass(frozen=True)
class Parcel:
    """What is to be delivered where, and on whose behalf."""

    service: str  # events.amazonaws.com, scheduler.amazonaws.com
    source_arn: str  # of the rule or schedule
    target: Mapping[str, Any]  # as in PutTargets or CreateSchedule
    payload: str
    due: datetime
    attributes: Mapping[str, str] = field(default_factory=dict)  # what a dead letter says beside the reason

    @property
    def arn(self) -> str:
        """The target's ARN."""
        return str(self.target["Arn"])


class Carrier:
    """Delivers in threads of its own; the clock waits for what has been handed in."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self._cloud = cloud
        self._pool = ThreadPoolExecutor(8, thread_name_prefix=name)
        self._open: dict[int, Timer] = {}
        self._lock = threading.Lock()
        self._closed = False

    def send(self, parcel: Parcel, *, attempts: int = 185, age: float = 86_400) -> None:
        """Deliver, with at most `attempts` retries within `age` seconds; then to the dead-letter queue."""
        self.submit(lambda: self._attempt(parcel, 0, attempts, age))

    def submit(self, work: Callable[[], None]) -> None:
        """Run work in a thread while the clock stands still."""
        hold = self._cloud.clock.hold()
        try:
            self._pool.submit(self._run, work, hold)
        except RuntimeError:  # closed meanwhile
            hold.release()

    def close(self) -> None:
        """Take no more, and wait for what runs."""
        with self._lock:
            self._closed = True
            timers = list(self._open.values())
        for timer in timers:
            timer.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, work: Callable[[], None], hold: Hold) -> None:
        try:
            with self._cloud.clock.working():
                work()
        except Exception:
            if not self._closed:
                log.exception("a delivery failed")
        finally:
            hold.release()

    def _attempt(self, parcel: Parcel, tried: int, attempts: int, age: float) -> None:
        _count(parcel, "", "InvocationAttemptCount")
        try:
            deliver(self._cloud, parcel)
            _count(parcel, "Invocations", "")
        except UndeliverableError as error:
            _count(parcel, "", "TargetErrorCount")
            delay = min(2.0**tried, 300.0)
            late = self._cloud.clock.now() + timedelta(seconds=delay) - parcel.due > timedelta(seconds=age)
            if not error.final and tried < attempts and not late:
                self._later(delay, lambda: self._attempt(parcel, tried + 1, attempts, age))
                return
            _count(parcel, "FailedInvocations", "InvocationDroppedCount")
            condition = "" if error.final else "MaximumEventAgeInSeconds" if late else "MaximumRetryAttempts"
            self._give_up(parcel, error, tried, condition)

    def _later(self, delay: float, work: Callable[[], None]) -> None:
        number = id(work)

        def due() -> None:
            with self._lock:
                self._open.pop(number, None)
            self.submit(work)

        with self._lock:
            if not self._closed:
                self._open[number] = self._cloud.clock.call_later(delay, due)

    def _give_up(self, parcel: Parcel, error: UndeliverableError, tried: int, condition: str) -> None:
        log.warning("%s could not deliver to %s: %s", parcel.source_arn, parcel.arn, error)
        queue = (parcel.target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            return
        attributes = {
            **parcel.attributes,
            "ERROR_CODE": error.code,
            "ERROR_MESSAGE": error.message,
            "RETRY_ATTEMPTS": str(tried),
            "TARGET_ARN": parcel.arn,
            **({"EXHAUSTED_RETRY_CONDITION": condition} if condition else {}),
        }
        role = parcel.target.get("RoleArn") if parcel.service == "scheduler.amazonaws.com" else None
        letter = Parcel(parcel.service, parcel.source_arn, {"Arn": queue, "RoleArn": role}, parcel.payload, parcel.due)
        try:
            deliver(self._cloud, letter, attributes)
            _count(parcel, "InvocationsSentToDlq", "InvocationsSentToDeadLetterCount")
        except UndeliverableError as failure:
            _count(parcel, "InvocationsFailedToBeSentToDlq", "InvocationsFailedToBeSentToDeadLetterCount")
            log.warning("the dead letter of %s is lost: %s", parcel.source_arn, failure)


def _count(parcel: Parcel, of_rule: str, of_schedule: str) -> None:
    """Count for the rule, or for the schedule's group, each under its service's own name for it; "" counts nothing.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html and
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html, read 2026-11-26.
    """
    if parcel.service == "events.amazonaws.com" and of_rule:
        metrics.count("AWS/Events", of_rule, RuleName=parcel.source_arn.rsplit("/", 1)[-1])
    if parcel.service == "scheduler.amazonaws.com" and of_schedule:
        metrics.count("AWS/Scheduler", of_schedule, ScheduleGroup=parcel.source_arn.split("/")[-2])


def deliver(cloud: Cloud, parcel: Parcel, attributes: Mapping[str, str] | None = None) -> None:
    """Deliver once, now; UndeliverableError if the target, or its permissions, say no."""
    role = parcel.target.get("RoleArn")
    service = parcel.arn.split(":")[2]
    if parcel.arn.startswith("arn:aws:scheduler:::aws-sdk:"):
        service = "aws-sdk"
    if service in {"states", "aws-sdk"} and not role:
        raise UndeliverableError("NO_PERMISSIONS", f"{parcel.arn} needs a role", final=True)
    if role and (problem := iam.trust_problem(role, parcel.service, parcel.source_arn)):
        raise UndeliverableError("NO_PERMISSIONS", problem, final=True)
    by_role = role and (service in {"states", "aws-sdk"} or parcel.service == "scheduler.amazonaws.com")
    if not by_role:
        _check_policy(cloud, parcel, service)
    try:
        _SENDERS[service](cloud, parcel, str(role) if by_role else None, attributes or {})
    except ClientError as error:
        code = error.response["Error"]["Code"]
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        final = code in _FINAL or "NotFound" in code or "NonExistentQueue" in code or "DoesNotExist" in code
        raise UndeliverableError(
            code, error.response["Error"].get("Message", ""), final=final or (status == 400 and "Throttl" not in code)
        ) from error
    except KeyError as error:
        raise UndeliverableError("INVALID_TARGET", f"{service} is no target: {error}", final=True) from error
    except (ParamValidationError, UnknownServiceError, AttributeError, TypeError, ValueError) as error:
        raise UndeliverableError("INVALID_PARAMETER", str(error), final=True) from error
    except OSError as error:
        raise UndeliverableError("SDK_CLIENT_ERROR", str(error), final=False) from error


_POLICIES = {"lambda": "lambda:InvokeFunction", "sqs": "sqs:SendMessage", "sns": "sns:Publish"}


def _check_policy(cloud: Cloud, parcel: Parcel, service: str) -> None:
    """A target without a role has to let the service in by its own policy, its key's policy too."""
    if service not in _POLICIES:
        return
    problem = iam.authorize_service(parcel.service, _POLICIES[service], parcel.arn, parcel.source_arn)
    if problem is None and (key := _key_of(cloud, parcel.arn, service)):
        for action in ("kms:GenerateDataKey", "kms:Decrypt"):
            problem = problem or iam.authorize_service(parcel.service, action, key, parcel.source_arn)
    if problem:
        raise UndeliverableError("NO_PERMISSIONS", problem, final=True)


def _key_of(cloud: Cloud, arn: str, service: str) -> str | None:
    region = arn.split(":")[3]
    try:
        if service == "sqs":
            found = cloud.client("sqs").get_queue_attributes(QueueUrl=_queue_url(cloud, arn), AttributeNames=["All"])
            key = found["Attributes"].get("KmsMasterKeyId")
        elif service == "sns":
            key = cloud.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"].get("KmsMasterKeyId")
        else:
            return None
    except ClientError:
        return None  # sending says better what is wrong
    return iam.key_arn(key, region) if key and not str(key).startswith("alias/aws/") else None


def _queue_url(cloud: Cloud, arn: str) -> str:
    return str(cloud.client("sqs").get_queue_url(QueueName=arn.rsplit(":", 1)[-1])["QueueUrl"])


def _to_function(cloud: Cloud, parcel: Parcel, role: str | None, _: Mapping[str, str]) -> None:
    client = cloud.client("lambda", role) if role else cloud.client("lambda")
    client.invoke(FunctionName=parcel.arn, InvocationType="Event", Payload=parcel.payload.encode())


def _to_machine(cloud: Cloud, parcel: Parcel, role: str | None, _: Mapping[str, str]) -> None:
    cloud.client("stepfunctions", role).start_execution(stateMachineArn=parcel.arn, input=parcel.payload)


def _to_queue(cloud: Cloud, parcel: Parcel, role: str | None, attributes: Mapping[str, str]) -> None:
    parameters: dict[str, Any] = {
        "QueueUrl": _queue_url(cloud, parcel.arn),
        "MessageBody": parcel.payload,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
        },
    }
    if group := (parcel.target.get("SqsParameters") or {}).get("MessageGroupId"):
        parameters["MessageGroupId"] = group
    cloud.client("sqs", role).send_message(**parameters)


def _to_topic(cloud: Cloud, parcel: Parcel, role: str | None, attributes: Mapping[str, str]) -> None:
    subject = {"Subject": attributes["Subject"][:100]} if attributes.get("Subject") else {}
    cloud.client("sns", role).publish(TopicArn=parcel.arn, Message=parcel.payload, **subject)


def _to_bus(cloud: Cloud, parcel: Parcel, role: str | None, _: Mapping[str, str]) -> None:
    if given := parcel.target.get("EventBridgeParameters"):
        entry = {"Source": given["Source"], "DetailType": given["DetailType"], "Detail": parcel.payload}
    else:
        event = json.loads(parcel.payload)
        entry = {
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
            "Resources": event.get("resources", []),
        }
    answer = cloud.client("events", role).put_events(Entries=[{**entry, "EventBusName": parcel.arn}])
    if answer["FailedEntryCount"]:
        failed = answer["Entries"][0]
        raise UndeliverableError(failed["ErrorCode"], failed["ErrorMessage"], final=True)


def _to_log_group(cloud: Cloud, parcel: Parcel, _: str | None, __: Mapping[str, str]) -> None:
    group = parcel.arn.split(":log-group:")[1].removesuffix(":*")
    logs = cloud.client("logs")
    stream = f"{parcel.due:%Y/%m/%d}/{parcel.source_arn.rsplit('/', 1)[-1]}"
    try:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    except logs.exceptions.ResourceAlreadyExistsException:
        log.debug("%s has its stream", group)
    milliseconds = int(parcel.due.timestamp() * 1_000)
    entry = {"timestamp": milliseconds, "message": parcel.payload}
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[entry])


_SDK_SERVICES = {
    "sfn": "stepfunctions",
    "eventbridge": "events",
    "cloudwatchlogs": "logs",
    "elasticloadbalancingv2": "elbv2",
}


def _universal(cloud: Cloud, parcel: Parcel, role: str | None, _: Mapping[str, str]) -> None:
    """arn:aws:scheduler:::aws-sdk:service:action, with the action's parameters as payload."""
    service, action = parcel.arn.split(":")[-2:]
    client = cloud.client(_SDK_SERVICES.get(service, service), role)
    methods: Mapping[str, str] = client.meta.method_to_api_mapping
    name = next((name for name in methods if name == xform_name(action[:1].upper() + action[1:])), None)
    if name is None:
        raise UndeliverableError("INVALID_PARAMETER", f"{service} has no action {action}", final=True)
    shape = client.meta.service_model.operation_model(methods[name]).input_shape
    getattr(client, name)(**_cased(shape, json.loads(parcel.payload or "{}")))


def _cased(shape: Any, value: Any) -> Any:
    """Members in the case that the service's model has; universal targets write them in PascalCase."""
    if shape is not None and shape.type_name == "structure" and isinstance(value, dict):
        names = {name.lower(): name for name in shape.members}
        return {
            names.get(key.lower(), key): _cased(shape.members.get(names.get(key.lower(), key)), each)
            for key, each in value.items()
        }
    if shape is not None and shape.type_name == "list" and isinstance(value, list):
        return [_cased(shape.member, each) for each in value]
    if shape is not None and shape.type_name == "blob" and isinstance(value, dict | list):
        return json.dumps(value)
    return value


_SENDERS: dict[str, Callable[[Cloud, Parcel, str | None, Mapping[str, str]], None]] = {
    "lambda": _to_function,
    "states": _to_machine,
    "sqs": _to_queue,
    "sns": _to_topic,
    "events": _to_bus,
    "logs": _to_log_group,
    "aws-sdk": _universal,
}
