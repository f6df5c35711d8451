"""Springboard as its users have it: documents go in through the API, and AWS shows what came of them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import Session as BotocoreSession

from springboard_local.clock import ManualClock
from springboard_local.cloud import DEVELOPER_ACCESS_KEY, DEVELOPER_SECRET_KEY, REGION, LocalCloud, Settings
from tests.steps.flow import stack
from tests.template import source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from springboard_local.latency import LatencyModel
    from springboard_local.pipeline import Record
    from springboard_local.services.iam import Decision
    from tests.template.grants import Grant

# What Springboard does to its own table, bus, executions and logs, and the asking for credentials, is no change of
# anybody's environment.
OWN = frozenset({"dynamodb", "events", "sns", "states", "logs", "lambda", "sts", "kms", "execute-api", "apigateway"})


@dataclass(frozen=True)
class Reply:
    """What the API answered."""

    status: int
    headers: dict[str, str]
    document: Any


@dataclass(frozen=True)
class Status:
    """An environment as GET shows it."""

    document: dict[str, Any]

    @property
    def phase(self) -> str:
        return str(self.document["status"]["phase"])

    @property
    def uid(self) -> str:
        return str(self.document["metadata"]["uid"])

    @property
    def operation(self) -> dict[str, Any]:
        operation: dict[str, Any] = self.document["status"]["operation"]
        return operation

    @property
    def failure(self) -> dict[str, str]:
        """Step, cause and remedy."""
        failure: dict[str, str] = self.operation["failure"]
        return failure

    def condition(self, name: str) -> dict[str, Any]:
        return next(each for each in self.document["status"]["conditions"] if each["type"] == name)


def example(name: str) -> dict[str, Any]:
    """A document of examples/."""
    document: dict[str, Any] = yaml.safe_load(source.text(f"examples/{name}.yaml"))
    return document


def document(name: str, **spec: Any) -> dict[str, Any]:
    """The smallest environment that can be deleted at once, under another name and with changes."""
    made = example("smallest")
    made["metadata"]["name"] = name
    group = {"name": "workers", "size": 2}
    made["spec"] = {**made["spec"], "deletionProtection": False, "nodeGroups": [group], **spec}
    return made


class Springboard:
    """The stack in this process, and the account around it."""

    def __init__(self, cloud: LocalCloud, clock: ManualClock, outputs: dict[str, str]) -> None:
        self.cloud = cloud
        self.clock = clock
        self.outputs = outputs
        self.functions = frozenset(cloud.settings.extra["handlers"])
        self.kubernetes: stack.KubernetesFaults = cloud.settings.extra["kubernetes faults"]
        self.deployment: list[Decision] = cloud.settings.extra["decisions on deployment"]
        self._mark = 0

    # The API

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """One signed call."""
        url = self.outputs["ApiUrl"] + path
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data else {}
        request = AWSRequest(method, url, data=data, headers={**sent, **headers})
        SigV4Auth(Credentials(DEVELOPER_ACCESS_KEY, DEVELOPER_SECRET_KEY), "execute-api", REGION).add_auth(request)
        wanted = urllib.request.Request(url, data, dict(request.headers.items()), method=method)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(wanted, timeout=60) as answer:  # noqa: S310 - loopback
                return Reply(answer.status, dict(answer.headers), json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, dict(error.headers), json.load(error))

    def get(self, name: str) -> Status:
        reply = self.call("GET", f"/environments/{name}")
        assert reply.status == 200, reply
        return Status(reply.document)

    def send(self, wanted: dict[str, Any]) -> Reply:
        """What `springboard apply` sends: POST what is new, PUT what is there."""
        path = f"/environments/{wanted['metadata']['name']}"
        present = self.call("GET", path)
        if present.status == 404:
            return self.call("POST", "/environments", wanted)
        return self.call("PUT", path, wanted, **{"If-Match": present.headers["ETag"]})

    def apply(self, wanted: dict[str, Any]) -> Status:
        """Apply a document and wait for the operation that makes it so."""
        reply = self.send(wanted)
        assert reply.status in {200, 202}, reply
        if reply.status == 202:
            self.finish(reply)
        return self.get(wanted["metadata"]["name"])

    def act(self, name: str, verb: str) -> Status:
        """POST retry or cancel, and wait."""
        reply = self.call("POST", f"/environments/{name}/{verb}")
        assert reply.status == 202, reply
        self.finish(reply)
        return self.get(name)

    def delete(self, name: str) -> None:
        """Delete, and wait until the name is free."""
        reply = self.call("DELETE", f"/environments/{name}")
        assert reply.status == 202, reply
        self.finish(reply)
        after = self.call("GET", f"/environments/{name}")
        assert after.status == 404, after.document["status"]

    def events(self, name: str) -> list[dict[str, Any]]:
        reply = self.call("GET", f"/environments/{name}/events")
        assert reply.status == 200, reply
        items: list[dict[str, Any]] = reply.document["items"]
        return items

    # Time

    def finish(self, accepted: Reply, limit: float = 14_400) -> None:
        """Let time pass until the accepted operation's execution has ended."""
        operation = accepted.document["status"]["operation"]
        arn = self.execution(operation)
        states = self.cloud.client("stepfunctions")
        self.until(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING", limit)

    def execution(self, operation: dict[str, Any]) -> str:
        """The ARN of an operation's execution."""
        machine = self.outputs["TeardownMachineArn" if operation["kind"] == "Delete" else "ProvisionMachineArn"]
        return f"{machine.replace(':stateMachine:', ':execution:')}:{operation['id']}"

    def until(self, done: Callable[[], bool], limit: float = 7200) -> None:
        """Let time pass until something is so."""
        self.clock.run_until(done, limit)

    # Calls

    def forget_calls(self) -> None:
        """Count calls from here."""
        self._mark = max((call.number for call in self.cloud.pipeline.calls()), default=0)

    def recorded(self) -> list[Record]:
        """What the functions have asked for since."""
        made = self.cloud.pipeline.calls()
        role = f"assumed-role/{stack.STACK}-"
        return [call for call in made if call.number > self._mark and not call.internal and role in call.principal]

    def calls(self) -> list[Record]:
        """What the functions have asked of AWS since, Springboard's own means left out."""
        return [call for call in self.recorded() if call.service not in OWN]

    def mutating(self) -> list[str]:
        """Those that may have changed something."""
        return [f"{call.service}:{call.operation}" for call in self.calls() if call.mutating]

    # The account, with plain clients

    @cached_property
    def aws(self) -> boto3.session.Session:
        inner = BotocoreSession()
        inner.register_component("data_loader", self.cloud.models)
        inner.set_credentials(DEVELOPER_ACCESS_KEY, DEVELOPER_SECRET_KEY)
        return boto3.session.Session(botocore_session=inner, region_name=REGION)

    def client(self, service: str) -> Any:
        """A client of a person with every right."""
        return self.aws.client(service, endpoint_url=self.cloud.endpoint)


@contextmanager
def in_process(state: Path, latency: LatencyModel, without: Grant | None = None) -> Iterator[Springboard]:
    """The stack in this process, but for a grant left out, in a cloud of its own on a clock that the caller moves."""
    clock = ManualClock()
    try:
        with LocalCloud(Settings(state, extra={"handlers": {}}), clock, latency) as cloud:
            yield Springboard(cloud, clock, stack.deploy(cloud, clock, without))
    finally:
        clock.close()
