"""Invocations: who runs them, and what becomes of asynchronous ones."""

from __future__ import annotations

import json
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from springboard_local.services import iam, metrics
from springboard_local.services.lambda_.configuration import Configuration, configuration
from springboard_local.services.lambda_.errors import Throttled, WorkerKilled
from springboard_local.services.lambda_.in_process import InProcessFactory, InProcessWorker
from springboard_local.services.lambda_.pool import Pool
from springboard_local.services.lambda_.workers import Factory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from springboard_local.cloud import Cloud
    from springboard_local.services.lambda_.pool import Runner

log = logging.getLogger(__name__)

PRINCIPAL = "lambda.amazonaws.com"

_WORKERS = 24
_NAMESPACE = "AWS/Lambda"
_RETRY_DELAYS = (60.0, 120.0)  # virtual seconds before the second and the third attempt
_THROTTLE_DELAY, _THROTTLE_DELAY_MOST = 1.0, 300.0
_AGE = 21_600


@dataclass(frozen=True)
class Invocation:
    """How an invocation ended; `error` is the kind of function error, None after success."""

    payload: bytes
    error: str | None
    log_tail: str
    request_id: str
    version: str


@dataclass
class _Event:
    """An asynchronous invocation in the function's queue."""

    function: str
    qualifier: str | None
    payload: bytes
    request_id: str
    accepted: datetime
    attempts: int = 0
    throttled: int = 0


class Runtime:
    """The Lambda service's data plane of one cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        settings = cloud.settings
        limit = int(settings.extra.get("max_workers", _WORKERS))
        make: Callable[[Configuration], Runner]
        if settings.worker_python:
            make = Factory(settings.worker_python, settings.state, cloud.endpoint, self._keys)
        else:
            make = InProcessFactory(
                settings.extra.setdefault("handlers", {}), self._keys, self._session, cloud.endpoint
            )
            limit = max(limit, 1_000)
        self._pool = Pool(make, limit)
        self._events = ThreadPoolExecutor(64, "lambda-event")
        self._closed = False

    def invoke(self, function: str, payload: bytes, qualifier: str | None = None) -> Invocation:
        """Run a function and wait for its answer; raises Throttled."""
        return self.run(find(function, qualifier), payload, str(uuid.uuid4()))

    def run(self, found: Configuration, payload: bytes, request_id: str) -> Invocation:
        """As `invoke`, for a function already looked up."""
        with self._cloud.clock.working():
            began = time.perf_counter()
            try:
                answer, error, worker = self._pool.run(found, payload, request_id)
            except Throttled:
                metrics.count(_NAMESPACE, "Throttles", FunctionName=found.name)
                raise
            milliseconds = (time.perf_counter() - began) * 1_000
            metrics.count(_NAMESPACE, "Invocations", FunctionName=found.name)
            metrics.count(_NAMESPACE, "Errors", 1 if error else 0, FunctionName=found.name)
            metrics.count(_NAMESPACE, "Duration", milliseconds, "Milliseconds", FunctionName=found.name)
            tail: str = worker.log.tail()  # type: ignore[attr-defined] # both kinds of workers have a log
        return Invocation(answer, error, tail, request_id, found.version)

    def accept(self, function: str, payload: bytes, qualifier: str | None = None) -> str:
        """Queue an asynchronous invocation; its request id."""
        find(function, qualifier)
        event = _Event(function, qualifier, payload, str(uuid.uuid4()), self._cloud.clock.now())
        self._submit(event)
        return event.request_id

    def worker_of(self, access_key: str) -> Runner | None:
        """The busy worker that has these credentials."""
        return self._pool.worker_of(access_key)

    def retire(self, arn: str) -> None:
        """End the workers of a deleted function."""
        self._pool.retire(arn)

    def close(self) -> None:
        """End all workers."""
        self._closed = True
        self._pool.close()
        # What is queued still runs, to let go of its hold on the clock.
        self._events.shutdown(wait=False)

    # asynchronous invocations

    def _submit(self, event: _Event) -> None:
        hold = self._cloud.clock.hold()

        def attempt() -> None:
            try:
                with self._cloud.clock.working():
                    hold.release()
                    if not self._closed:
                        self._attempt(event)
            except Exception:
                log.exception("asynchronous invocation of %s failed", event.function)
            finally:
                hold.release()

        try:
            self._events.submit(attempt)
        except RuntimeError:  # the cloud is going down
            hold.release()

    def _later(self, seconds: float, event: _Event) -> None:
        self._cloud.clock.call_later(seconds, lambda: self._submit(event))

    def _attempt(self, event: _Event) -> None:
        found = find(event.function, event.qualifier)
        config = _event_invoke_config(event.function, event.qualifier)
        age = (self._cloud.clock.now() - event.accepted).total_seconds()
        most = int(config.get("MaximumEventAgeInSeconds") or _AGE)
        if age > most:
            self._give_up(event, found, config, "EventAgeExceeded", None)
            return
        try:
            done = self.run(found, event.payload, event.request_id)
        except Throttled:
            # Throttles are not attempts; AWS tries until the event is too old.
            delay = min(_THROTTLE_DELAY * 2**event.throttled, _THROTTLE_DELAY_MOST)
            event.throttled += 1
            self._later(delay, event)
            return
        event.attempts += 1
        if not done.error:
            self._send(config, event, found, "Success", done)
            return
        retries = config.get("MaximumRetryAttempts")
        if event.attempts > (2 if retries is None else int(retries)):
            self._give_up(event, found, config, "RetriesExhausted", done)
        else:
            self._later(_RETRY_DELAYS[min(event.attempts, 2) - 1], event)

    def _give_up(
        self, event: _Event, found: Configuration, config: Mapping[str, Any], condition: str, done: Invocation | None
    ) -> None:
        metrics.count(_NAMESPACE, "AsyncEventsDropped", FunctionName=found.name)
        self._send(config, event, found, condition, done)
        if found.dead_letter_arn:
            failure = json.loads(done.payload) if done and done.payload else {}
            attributes = {
                "RequestID": {"DataType": "String", "StringValue": event.request_id},
                "ErrorCode": {"DataType": "Number", "StringValue": "200" if done else "429"},
                "ErrorMessage": {
                    "DataType": "String",
                    "StringValue": str(failure.get("errorMessage") or condition)[:1024],
                },
            }
            self._deliver(found, found.dead_letter_arn, event.payload.decode("utf-8", "replace"), attributes, condition)

    def _send(
        self,
        config: Mapping[str, Any],
        event: _Event,
        found: Configuration,
        condition: str,
        done: Invocation | None,
    ) -> None:
        outcome = "OnSuccess" if condition == "Success" else "OnFailure"
        target = ((config.get("DestinationConfig") or {}).get(outcome) or {}).get("Destination")
        if not target:
            return
        arn = found.arn if found.arn.count(":") > 6 else f"{found.arn}:{found.version}"
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": _iso(self._cloud.clock.now()),
            "requestContext": {
                "requestId": event.request_id,
                "functionArn": arn,
                "condition": condition,
                "approximateInvokeCount": event.attempts,
            },
            "requestPayload": _json(event.payload),
        }
        if done:
            record["responseContext"] = {"statusCode": 200, "executedVersion": done.version}
            if done.error:
                record["responseContext"]["functionError"] = done.error
            record["responsePayload"] = _json(done.payload)
        self._deliver(found, target, json.dumps(record), {}, condition)

    def _deliver(
        self, found: Configuration, target: str, body: str, attributes: Mapping[str, Any], condition: str
    ) -> None:
        """Send to a queue, topic, bus or function, with the rights of the function's role."""
        service = target.split(":")[2]
        client = self._cloud.client(service, found.role, found.session)
        try:
            if service == "sqs":
                client.send_message(QueueUrl=_queue_url(target), MessageBody=body, MessageAttributes=attributes)
            elif service == "sns":
                client.publish(TopicArn=target, Message=body, MessageAttributes=attributes)
            elif service == "lambda":
                client.invoke(FunctionName=target, InvocationType="Event", Payload=body.encode())
            elif service == "events":
                result = "Success" if condition == "Success" else "Failure"
                entry = {
                    "Source": "lambda",
                    "DetailType": f"Lambda Function Invocation Result - {result}",
                    "Resources": [found.arn],
                    "Detail": body,
                    "EventBusName": target,
                }
                client.put_events(Entries=[entry])
        except Exception:  # as on AWS: the record is lost, and a metric counts it
            log.exception("%s could not send a record to %s", found.name, target)
            lost = "DeadLetterErrors" if target == found.dead_letter_arn else "DestinationDeliveryFailures"
            metrics.count(_NAMESPACE, lost, FunctionName=found.name)

    # credentials

    @staticmethod
    def _keys(found: Configuration) -> Mapping[str, str]:
        """The credentials that Lambda gives a function's code; NotAuthorizedError if the role does not trust it."""
        function = ":".join(found.arn.split(":")[:7])  # whatever version it is
        taken = iam.assume_for_service(found.role, PRINCIPAL, found.session, function=function)
        return {
            "AWS_ACCESS_KEY_ID": taken.access_key,
            "AWS_SECRET_ACCESS_KEY": taken.secret_key,
            "AWS_SESSION_TOKEN": taken.session_token,
        }

    def _session(self, worker: InProcessWorker, keys: Mapping[str, str]) -> Any:
        """A boto3 session for a handler in this process; a killed worker's calls raise WorkerKilled."""
        import boto3  # noqa: PLC0415 - slow, and worker processes have their own
        from botocore.session import Session as BotocoreSession  # noqa: PLC0415

        inner = BotocoreSession({"profile": (None, [], None, None), "config_file": (None, [], "/dev/null", None)})
        inner.register_component("data_loader", self._cloud.models)
        inner.set_credentials(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], keys["AWS_SESSION_TOKEN"])
        inner.get_component("config_store").set_config_variable("region", worker.configuration.region)

        def die(**_: Any) -> None:
            if worker.dead.is_set():
                raise WorkerKilled

        # Before each attempt, and after one that has failed and might be tried again.
        inner.get_component("event_emitter").register_first("before-send", die)
        inner.get_component("event_emitter").register_first("needs-retry", die)

        class Session(boto3.Session):  # type: ignore[misc] # boto3 has no types
            """Its clients end with the worker."""

            def client(self, *arguments: Any, **options: Any) -> Any:
                made = super().client(*arguments, **options)
                worker.at_end(made.close)
                return made

        return Session(botocore_session=inner, region_name=worker.configuration.region)


def find(function: str, qualifier: str | None = None) -> Configuration:
    """The configuration of a function by name or ARN; moto's UnknownFunctionException without one."""
    return configuration(model(function, qualifier))


def model(function: str, qualifier: str | None = None) -> Any:
    """Moto's LambdaFunction."""
    from moto.awslambda.utils import get_backend  # noqa: PLC0415 - nothing of moto before its account is set

    from springboard_local.cloud import ACCOUNT, REGION  # noqa: PLC0415

    parts = function.split(":")
    account, region = (parts[4], parts[3]) if function.startswith("arn:") else (ACCOUNT, REGION)
    return get_backend(account, region).get_function(function, qualifier)


def _event_invoke_config(function: str, qualifier: str | None) -> Mapping[str, Any]:
    configs = model(function, qualifier).event_invoke_config
    return configs[-1].config if configs else {}


def _queue_url(arn: str) -> str:
    _, _, _, _, account, name = arn.split(":")
    return f"https://queue.amazonaws.com/{account}/{name}"


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload) if payload else None
    except ValueError:
        return payload.decode("utf-8", "replace")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
