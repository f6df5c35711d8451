"""The local cloud as a process, the template as sam deploys it, functions in workers: the path that users take."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from springboard_local import demo, process
from tests.template import source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SPEED = 120.0
# What nobody may read anywhere but in the spec, where its owner put it.
CANARY = "canary-3f9c2b7d"


def pytest_configure(config: pytest.Config) -> None:
    """Know the mark of what takes away what the others look at."""
    config.addinivalue_line("markers", "last: runs after all tests of its file")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """However they are shuffled, one lane after the other, and in each the marked ones come last."""

    def place(item: pytest.Item) -> tuple[str, bool]:
        call = getattr(item, "callspec", None)
        lane = call.params.get("laptop", "") if call else ""
        return str(lane), item.get_closest_marker("last") is not None

    items.sort(key=place)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Laptop:
    """A person's shell in the project, pointed at the local cloud."""

    environment: Mapping[str, str]
    api: str
    folder: Path

    def run(self, *command: str, **environment: str) -> Ended:
        """Run a command to its end."""
        ended = subprocess.run(  # noqa: S603 - our own tools
            command,
            cwd=source.ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=170,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    @property
    def session(self) -> boto3.session.Session:
        """The same person in Python."""
        return boto3.session.Session(
            self.environment["AWS_ACCESS_KEY_ID"],
            self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=self.environment["AWS_REGION"],
        )

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.environment["AWS_ENDPOINT_URL"])

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One signed call of the API."""
        return self.exchange(method, path, body, {})[:2]

    def exchange(
        self, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        """One signed call of the API: status, document and headers of the answer."""
        data = None if body is None else json.dumps(body).encode()
        sent = {**({"Content-Type": "application/json"} if data else {}), **headers}
        request = AWSRequest(method, self.api + path, data=data, headers=sent)
        SigV4Auth(self.session.get_credentials(), "execute-api", self.environment["AWS_REGION"]).add_auth(request)
        wanted = urllib.request.Request(  # noqa: S310 - loopback
            self.api + path, data, dict(request.headers.items()), method=method
        )
        try:
            with urllib.request.urlopen(wanted, timeout=60) as answer:  # noqa: S310 - loopback
                return answer.status, json.load(answer), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error), dict(error.headers)

    def log(self, group: str) -> str:
        """A log group of the stack."""
        found = self.client("logs").filter_log_events(logGroupName=f"/springboard/springboard/{group}")
        return "\n".join(event["message"] for event in found["events"])

    def local(self, path: str) -> Any:
        """What the local cloud's admin API answers."""
        with urllib.request.urlopen(f"{self.environment['AWS_ENDPOINT_URL']}/_local/{path}", timeout=30) as answer:  # noqa: S310 - loopback
            return json.load(answer)


@pytest.fixture(scope="session", params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def laptop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A local cloud with Springboard's stack in it, for the whole run; on each Kubernetes lane."""
    state = tmp_path_factory.mktemp("flows") / "state"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPRINGBOARD_STATE", str(state))
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        worker = source.ROOT / ".tools" / "worker" / "bin" / "python"
        assert worker.exists(), "`make setup` makes the workers' environment"
        started = process.up(
            port=0,
            speed=SPEED,
            kubernetes=request.param,
            worker_python=worker,
            options=(f"--examples={source.ROOT / 'examples'}",),
        )
        try:
            environment = demo.surroundings(source.ROOT)
            person = Laptop(environment, "", state)
            person.client("route53").create_hosted_zone(Name=demo.BASE_DOMAIN, CallerReference="flows")
            demo.sam(source.ROOT, environment, "build")
            demo.sam(source.ROOT, environment, "deploy")
            [stack] = person.client("cloudformation").describe_stacks(StackName="springboard")["Stacks"]
            outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
            yield Laptop(environment, outputs["ApiUrl"], state)
        finally:
            process.down(Path(started.state))


@pytest.fixture(scope="session")
def spec(laptop: Laptop) -> Path:
    """The demo's environment, with a canary among its plain values."""
    document = yaml.safe_load(source.text("examples/shop.yaml"))
    document["spec"]["apps"][0]["env"] = {"CANARY": CANARY}
    file = laptop.folder / "shop.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


@pytest.fixture(scope="session")
def before(laptop: Laptop) -> frozenset[str]:
    """The account before there is an environment in it."""
    from tests.steps.flow.inventory import inventory  # noqa: PLC0415

    return inventory(laptop.client)


@pytest.fixture(scope="session")
def shop(laptop: Laptop, spec: Path, before: frozenset[str]) -> Ended:
    """`springboard apply`, as it ended; the environment is Ready."""
    del before
    applied = laptop.run("springboard", "apply", "-f", str(spec))
    assert applied.code == 0, applied.out + applied.err + laptop.log("api")[-4000:]
    return applied


@pytest.fixture(scope="session")
def kubeconfig(laptop: Laptop, shop: Ended) -> str:
    """The file that `springboard kubeconfig` writes."""
    del shop
    file = laptop.folder / "kubeconfig"
    written = laptop.run("springboard", "kubeconfig", "shop", KUBECONFIG=str(file))
    assert written.code == 0, written.err
    assert file.stat().st_mode & 0o077 == 0
    return str(file)
