"""A machine, an account and an API in memory, as the command line meets them."""

from __future__ import annotations

import copy
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import typer.main
from typer.testing import CliRunner

from springboard_cli import aws
from springboard_cli.main import app
from springboard_cli.surroundings import Surroundings, installed_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

type Json = dict[str, Any]

COMMAND = typer.main.get_command(app)  # once: that is most of what an invocation costs
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
API_URL = "https://abc123.execute-api.eu-west-1.amazonaws.com"
COMPONENTS = ("FirewallReady", "LoadBalancerReady", "ClusterReady", "NodeGroupsReady", "WorkloadReady")
IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop:1.4.2"


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(name: str, status: str = "Unknown", reason: str = "NotObserved", message: str = "") -> Json:
    return {
        "type": name,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": at(0),
        "observedGeneration": 0 if status == "Unknown" else 1,
    }


def operation(kind: str = "Create", status: str = "Running", **more: Any) -> Json:
    return {
        "id": "01JOPERATION",
        "kind": kind,
        "status": status,
        "generation": 1,
        "attempt": 1,
        "requestedAt": at(0),
        "requestedBy": "arn:aws:iam::111122223333:role/developer",
        "steps": [],
        **more,
    }


def environment(name: str = "shop", *, phase: str = "Ready", **status: Any) -> Json:
    """An environment as GET answers it; everything is well with it unless `status` says otherwise."""
    well = phase == "Ready"
    stands = ("True", "AsDesired") if well else ("Unknown", "NotObserved")
    return {
        "apiVersion": "springboard/v1beta1",
        "kind": "Environment",
        "metadata": {
            "name": name,
            "uid": f"uid-of-{name}",
            "owner": "arn:aws:iam::111122223333:role/developer",
            "generation": 1,
            "creationTimestamp": at(0),
            "labels": {"team": "checkout"},
        },
        "spec": {
            "deletionProtection": False,
            "cluster": {"supportType": "EXTENDED", "apiAccess": {"publicCidrs": []}},
            "nodeGroups": [
                {
                    "name": "workers",
                    "instanceTypes": ["m7i.large"],
                    "capacityType": "ON_DEMAND",
                    "size": 3,
                    "diskGiB": 50,
                }
            ],
            "apps": [{"name": name, "image": IMAGE, "replicas": 3}],
        },
        "status": {
            "phase": phase,
            "observedGeneration": 1,
            "conditions": [
                condition("Ready", "True" if well else "False", "AsDeclared" if well else "Create"),
                *(condition(each, *stands) for each in COMPONENTS),
            ],
            "operation": operation(status="Succeeded" if well else "Running"),
            "url": f"https://{name}.dev.example.com",
            "cluster": {
                "name": f"springboard-{name}",
                "arn": f"arn:aws:eks:eu-west-1:111122223333:cluster/springboard-{name}",
                "endpoint": "https://0123456789.gr7.eu-west-1.eks.amazonaws.com",
                "certificateAuthority": "LS0tLS1CRUdJTg==",
                "version": "1.35",
                "vpcId": "vpc-0123456789abcdef0",
            },
            "apps": [{"name": name, "url": f"https://{name}.dev.example.com", "image": IMAGE}],
            "resolved": {"version": "1.35"},
            "region": "eu-west-1",
            **status,
        },
    }


def step(name: str, start: float, end: float | None = None, error: str = "") -> Json:
    found = {"name": name, "startedAt": at(start), "endedAt": at(end) if end is not None else "", "error": error}
    return {key: value for key, value in found.items() if value}


def problem(status: int, detail: str, remedy: str = "", errors: Sequence[Json] = (), **more: Any) -> httpx.Response:
    document = {"type": "about:blank", "status": status, "code": "X", "detail": detail, "remedy": remedy, **more}
    if errors:
        document["errors"] = list(errors)
    return httpx.Response(
        status, content=json.dumps(document), headers={"content-type": "application/problem+json; charset=utf-8"}
    )


def answer(document: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(
        status, json=document, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


@dataclass
class Clock:
    """Moves when somebody sleeps."""

    time: datetime = START
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str
    output: str


@dataclass
class Sent:
    """One request that reached the API."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


class Api:
    """Environments by name; `script` says what a path answers, one answer after the other, the last for ever."""

    def __init__(self) -> None:
        self.environments: dict[str, Json] = {}
        self.script: dict[tuple[str, str], list[httpx.Response | BaseException]] = {}
        self.sent: list[Sent] = []

    def add(self, *documents: Json) -> None:
        for document in documents:
            self.environments[document["metadata"]["name"]] = document

    def says(self, method: str, path: str, *answers: httpx.Response | BaseException) -> None:
        self.script[method, path] = list(answers)

    def becomes(self, *documents: Json) -> None:
        """GET shows these states of one environment, one after the other."""
        name = documents[0]["metadata"]["name"]
        self.says("GET", f"/environments/{name}", *(answer(each, etag='"1"') for each in documents))

    def writes(self) -> list[Sent]:
        return [each for each in self.sent if each.method != "GET"]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        sent = Sent(request.method, request.url.path, dict(request.url.params), request.headers, body)
        self.sent.append(sent)
        scripted = self.script.get((sent.method, sent.path))
        if scripted:
            found = scripted.pop(0) if len(scripted) > 1 else scripted[0]
            if isinstance(found, BaseException):
                raise found
            return httpx.Response(found.status_code, headers=found.headers, content=found.content)
        return self._plain(sent)

    def _plain(self, sent: Sent) -> httpx.Response:
        match sent.method, sent.path.split("/")[1:]:
            case "GET", ["environments"]:
                return answer({"items": list(self.environments.values()), "metadata": {}})
            case "GET", ["environments", name] if name in self.environments:
                return answer(self.environments[name], etag='"1"')
            case "GET", ["environments", _]:
                return problem(404, f"no environment {sent.path.rpartition('/')[2]!a}", "`springboard get` lists")
        raise AssertionError(f"nobody expected {sent.method} {sent.path}")


class Account(aws.Account):
    """AWS, as far as a test says; every other call is a mistake."""

    def __init__(self, answers: Mapping[str, Json | Exception] | None = None) -> None:
        # A session of botocore takes its time to make, and nothing here asks one.
        self.profile = None
        self.region = "eu-west-1"
        self.stack_status = "CREATE_COMPLETE"
        self.answers: dict[str, Json | Exception] = {
            "describe_stacks": {
                "Stacks": [
                    {
                        "Outputs": [
                            {"OutputKey": "ApiUrl", "OutputValue": API_URL},
                            {"OutputKey": "BaseDomain", "OutputValue": "dev.example.com"},
                            {"OutputKey": "Version", "OutputValue": installed_version()},
                            {"OutputKey": "TableName", "OutputValue": "springboard-record"},
                            {"OutputKey": "PrivateSubnetIds", "OutputValue": "subnet-a,subnet-b"},
                        ],
                    }
                ]
            },
            **(answers or {}),
        }
        self.signed: list[tuple[str, str]] = []

    def sign(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        del body
        self.signed.append((method, url))
        return {**headers, "Authorization": "AWS4-HMAC-SHA256 Credential=test"}

    def call(self, service: str, operation: str, **parameters: Any) -> Json:
        del service, parameters
        found = self.answers[operation]
        if isinstance(found, Exception):
            raise found
        copied = copy.deepcopy(found)
        for stack in copied.get("Stacks", ()):
            stack.setdefault("StackStatus", self.stack_status)
        return copied

    def close(self) -> None:
        """There is no connection."""

    def items(self, service: str, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        yield from self.call(service, operation, **parameters).get(key, ())


@dataclass
class Machine:
    """Runs commands as a person would type them."""

    home: Path
    api: Api = field(default_factory=Api)
    clock: Clock = field(default_factory=Clock)
    account: Account = field(default_factory=Account)
    environ: dict[str, str] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=lambda: {"aws": "/opt/aws", "kubectl": "/opt/kubectl"})
    ran: list[tuple[list[str], dict[str, str]]] = field(default_factory=list)
    connected: list[tuple[str | None, str | None]] = field(default_factory=list)  # profile and region
    replies: list[str] = field(default_factory=list)  # what the person answers; none: nobody is there
    name_servers: Callable[[str], frozenset[str] | None] = lambda _: None
    local_cloud: Any = None
    on_run: Callable[[Mapping[str, str]], int] = lambda _: 0

    def run(self, *arguments: str, text: str | None = None, stdin: str | None = None) -> Result:
        """`springboard ARGUMENTS`; `text` becomes env.yaml in the home folder."""
        given: Iterable[str] = arguments
        if text is not None:
            file = self.home / "env.yaml"
            file.write_text(text)
            given = [*arguments, "-f", str(file)]
        runner = CliRunner(env={"AWS_PROFILE": None, "SPRINGBOARD_STACK": None, "NO_COLOR": "1"})
        with runner.isolation(input=stdin) as (out, err, both):
            try:
                COMMAND.main(list(given), prog_name="springboard", obj=self._surroundings())
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            sys.stdout.flush()
            sys.stderr.flush()
            return Result(code, out.getvalue().decode(), err.getvalue().decode(), both.getvalue().decode())

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            environ=self.environ,
            home=self.home,
            clock=self.clock,
            connect=self._connect,
            transport=httpx.MockTransport(self.api),
            find=self.programs.get,
            run=self._run,
            ask=lambda _: self.replies.pop(0),
            interactive=lambda: bool(self.replies),
            name_servers=self.name_servers,
            local_cloud=self.local_cloud,
        )

    def _connect(self, profile: str | None, region: str | None) -> Account:
        self.connected.append((profile, region))
        return self.account

    def _run(self, command: Sequence[str], environ: Mapping[str, str]) -> int:
        self.ran.append((list(command), dict(environ)))
        return self.on_run(environ)
