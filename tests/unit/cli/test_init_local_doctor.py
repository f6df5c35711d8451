"""init, local, doctor."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from springboard import validation
from springboard_cli import dns, yaml_document
from springboard_cli.errors import CommandError
from tests.unit.cli.stand_ins import IMAGE, Account, Machine, answer


def test_init_writes_a_file_that_is_valid(machine: Machine) -> None:
    file = machine.home / "shop.yaml"

    result = machine.run("init", "--name", "shop", "--image", IMAGE, "-f", str(file))

    assert (result.exit_code, result.stdout) == (0, f"{file}\n")
    document = validation.parse(yaml_document.read(file.read_bytes(), "shop.yaml").value)
    assert document.metadata.name == "shop"
    assert document.spec.apps[0].image == IMAGE
    assert document.spec.protected


def test_init_asks_for_what_is_missing(machine: Machine) -> None:
    machine.replies = ["market", IMAGE]

    printed = machine.run("init", "-f", "-", "--no-protect", "--replicas", "3").stdout

    document = validation.parse(yaml_document.read(printed, "stdout").value)
    assert (document.metadata.name, document.spec.apps[0].replicas, document.spec.protected) == ("market", 3, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", "shop"),
        ("--image", IMAGE),
        ("--name", "Shop", "--image", IMAGE),
        ("--name", "shop", "--image", "https://example.com/shop:1"),
        ("--name", "shop", "--image", "example.com/shop"),
        ("--name", "shop", "--image", "x:1\n  evil: true"),
    ],
)
def test_init_refuses_what_apply_would(machine: Machine, arguments: tuple[str, ...]) -> None:
    assert machine.run("init", "-f", str(machine.home / "x.yaml"), *arguments).exit_code == 2
    assert not (machine.home / "x.yaml").exists()


def test_init_overwrites_only_when_told(machine: Machine) -> None:
    file = machine.home / "shop.yaml"
    file.write_text("mine")
    arguments = ("init", "--name", "shop", "--image", IMAGE, "-f", str(file))

    assert machine.run(*arguments).exit_code == 2
    assert file.read_text() == "mine"
    assert machine.run(*arguments, "--force").exit_code == 0


class NotStartedError(RuntimeError):
    pass


@dataclass
class Process:
    """springboard_local.process, as far as the command line uses it."""

    running: bool = True
    asked: dict[str, Any] = field(default_factory=dict)
    NotStartedError: type[RuntimeError] = NotStartedError

    def up(self, **options: object) -> SimpleNamespace:
        self.asked = options
        return self.status()

    def status(self) -> SimpleNamespace:
        return SimpleNamespace(
            running=self.running, endpoint="http://127.0.0.1:5102", speed=60.0, kubernetes="embedded", pid=42,
            state="/s", log="/s/local-cloud.log",
        )  # fmt: skip

    def down(self) -> bool:
        return self.running

    def reset(self) -> SimpleNamespace:
        return self.status()

    def env(self) -> dict[str, str | None]:
        if not self.running:
            raise NotStartedError("No local cloud runs here.")
        return {"AWS_ENDPOINT_URL": "http://127.0.0.1:5102", "AWS_PROFILE": None, "X": "a b"}


def test_the_local_cloud_is_driven(machine: Machine) -> None:
    process = Process()
    machine.local_cloud = lambda: process

    assert machine.run("local", "up", "--port", "0", "--speed", "600").stdout == "http://127.0.0.1:5102\n"
    assert process.asked == {"port": 0, "speed": 600.0, "kubernetes": None}
    assert "local-cloud.log" in machine.run("local", "status").stdout
    assert "is empty" in machine.run("local", "reset").stderr
    assert "has ended" in machine.run("local", "down").stderr
    assert machine.run("local", "env").stdout.splitlines() == [
        "export AWS_ENDPOINT_URL=http://127.0.0.1:5102",
        "unset AWS_PROFILE",
        "export X='a b'",
    ]


def test_a_local_cloud_that_does_not_run(machine: Machine) -> None:
    machine.local_cloud = lambda: Process(running=False)

    assert machine.run("local", "status").exit_code == 1
    assert machine.run("local", "env").exit_code == 1
    assert machine.run("local", "env").stdout == ""
    assert machine.run("local", "down").exit_code == 0


def test_the_local_cloud_is_not_part_of_the_wheel(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "springboard_local.process", None)

    result = machine.run("local", "up")

    assert result.exit_code == 1
    assert "make demo" in result.stderr


def quota(value: float) -> dict[str, Any]:
    return {"Quota": {"Value": value}}


@pytest.fixture
def sound(machine: Machine) -> Machine:
    machine.account = Account(
        {
            "get_caller_identity": {"Arn": "arn:aws:sts::111122223333:assumed-role/developer/me"},
            "list_hosted_zones": {
                "HostedZones": [
                    {"Id": "/hostedzone/Z1", "Name": "example.com.", "Config": {"PrivateZone": False}},
                    {"Id": "/hostedzone/Z2", "Name": "dev.example.com.", "Config": {"PrivateZone": False}},
                    {"Id": "/hostedzone/Z3", "Name": "dev.example.com.", "Config": {"PrivateZone": True}},
                ]
            },
            "get_hosted_zone": {"DelegationSet": {"NameServers": ["ns-1.awsdns-1.org", "ns-2.awsdns-2.com"]}},
            "get_service_quota": quota(64),
            "describe_alarms": {"MetricAlarms": []},
        }
    )
    machine.name_servers = lambda _: frozenset({"ns-1.awsdns-1.org"})
    machine.api.says("GET", "/versions", answer({"items": [{"version": "1.35", "default": True}]}))
    return machine


def test_doctor_finds_nothing_wrong(sound: Machine) -> None:
    result = sound.run("doctor")

    assert result.exit_code == 0, result.stdout
    assert {line.split()[0] for line in result.stdout.splitlines()} == {"ok"}
    assert "assumed-role/developer/me in eu-west-1" in result.stdout
    assert "new clusters get Kubernetes 1.35" in result.stdout
    assert "dev.example.com. is delegated" in result.stdout


def test_doctor_sees_a_zone_that_nobody_delegates_to(sound: Machine) -> None:
    sound.name_servers = lambda _: frozenset({"ns.registrar.example"})

    result = sound.run("doctor")

    assert result.exit_code == 1
    assert "fail" in result.stdout
    assert "set these NS records" in result.stdout


def test_doctor_goes_on_after_a_failure(sound: Machine) -> None:
    sound.account.answers |= {
        "get_caller_identity": CommandError("the token has expired", "log in"),
        "get_service_quota": CommandError("not allowed"),
        "list_hosted_zones": {"HostedZones": []},
    }
    sound.programs.clear()

    result = sound.run("doctor")

    states = [line.split()[0] for line in result.stdout.splitlines() if line[0] != " "]
    assert result.exit_code == 1
    assert states == ["fail", "ok", "ok", "ok", "ok", "fail", "warn", "warn", "warn", "warn", "warn", "warn"]
    assert "log in" in result.stdout


def test_doctor_names_what_rings_and_its_runbook_for_programs_too(sound: Machine) -> None:
    runbook = "Something asynchronous failed for good, runbook docs/guide/runbooks.md#springboard-dead-letters"
    ringing = {"AlarmName": "springboard-dead-letters", "AlarmDescription": runbook}
    sound.account.answers["describe_alarms"] = {"MetricAlarms": [ringing]}

    result = sound.run("doctor", "-o", "json")

    assert result.exit_code == 1
    wrong = [each for each in json.loads(result.stdout)["findings"] if each["state"] != "ok"]
    what = "springboard-dead-letters is in ALARM"
    assert wrong == [{"check": "alarms", "state": "fail", "what": what, "remedy": runbook}]


def test_doctor_warns_of_a_stack_that_was_rolled_back(sound: Machine) -> None:
    sound.account.stack_status = "UPDATE_ROLLBACK_COMPLETE"

    result = sound.run("doctor")

    assert result.exit_code == 0
    assert "warn   stack         springboard is UPDATE_ROLLBACK_COMPLETE" in result.stdout


def test_doctor_sees_a_quota_that_is_too_small(sound: Machine) -> None:
    sound.account.answers["get_service_quota"] = quota(0.0)

    result = sound.run("doctor")

    assert result.exit_code == 1
    assert "an environment needs 8" in result.stdout


def reply(identity: int, *servers: str, flags: int = 0x8180) -> bytes:
    """The answer of a resolver, which points back to the question's name."""
    question = dns.question("dev.example.com.", identity)
    answers = b""
    for server in servers:
        name = b"".join(bytes([len(part)]) + part.encode() for part in server.split(".")) + b"\0"
        answers += b"\xc0\x0c" + struct.pack(">2HIH", 2, 1, 300, len(name)) + name
    return struct.pack(">6H", identity, flags, 1, len(servers), 0, 0) + question[12:] + answers


def test_a_resolvers_answer_is_read() -> None:
    assert dns.answer(reply(7, "NS-1.awsdns.org", "ns-2.awsdns.com"), 7) == {"ns-1.awsdns.org", "ns-2.awsdns.com"}
    assert dns.answer(reply(7), 7) == frozenset()


@pytest.mark.parametrize(
    "datagram",
    [
        reply(8, "a.b"),
        reply(7, "a.b", flags=0x8182),
        dns.question("a.b", 7),
        struct.pack(">6H", 7, 0x8180, 1, 0, 0, 0) + b"\xc0\x0c",
    ],
    ids=["another", "failed", "question", "circle"],
)
def test_what_is_no_answer_is_not_taken_for_one(datagram: bytes) -> None:
    with pytest.raises((ValueError, IndexError, struct.error)):
        dns.answer(datagram, 7)
