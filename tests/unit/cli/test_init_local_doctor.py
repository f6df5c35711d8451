"""init, local, doctor."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from springboard import validation
from springboard.components.table import ROWS
from springboard_cli import aws, dns, health, yaml_document
from springboard_cli.aws import AwsRefusedError
from springboard_cli.errors import CommandError
from tests.unit.cli.stand_ins import IMAGE, Account, Machine, answer, environment


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


PARTS = [
    {"ResourceType": kind, "PhysicalResourceId": identity, "LogicalResourceId": logical}
    for kind, identity, logical in (
        ("AWS::Lambda::Function", "springboard-dns", "DnsFunction"),
        ("AWS::StepFunctions::StateMachine", "arn:aws:states:::stateMachine:springboard-provision", "ProvisionMachine"),
        ("AWS::Events::Rule", "springboard-SweepRule-1", "SweepRule"),
        ("AWS::Lambda::EventSourceMapping", "u", "PublishEventsMapping"),
        ("AWS::Scheduler::ScheduleGroup", "springboard", "ScheduleGroup"),
        ("AWS::SQS::Queue", "https://sqs/springboard-dead-letters", "DeadLetterQueue"),
        ("AWS::KMS::Key", "k", "Key"),
        ("AWS::CloudWatch::Alarm", "springboard-sweep-silent", "SweepSilentAlarm"),
        ("AWS::SNS::Topic", "arn:aws:sns:eu-west-1:111122223333:springboard", "Topic"),
        ("AWS::Events::EventBus", "springboard", "Bus"),
        ("AWS::Logs::LogGroup", "/springboard/springboard/api", "ApiLogGroup"),
        ("AWS::DynamoDB::Table", "springboard-record", "Table"),
    )
]


def alarm(name: str, state: str = "OK", **more: Any) -> dict[str, Any]:
    told = {"ActionsEnabled": True, "AlarmActions": ["arn:aws:sns:::springboard"]}
    return {"AlarmName": name, "StateValue": state, **told, **more}


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
            "describe_alarms": {"MetricAlarms": [alarm("springboard-sweep-silent")]},
            "get_topic_attributes": {"Attributes": {}},
            "list_subscriptions_by_topic": {"Subscriptions": [{"SubscriptionArn": "arn:aws:sns:::springboard:1"}]},
            "get_subscription_attributes": {"Attributes": {}},
            "describe_event_bus": {"Name": "springboard"},
            "describe_log_groups": {"logGroups": [{"logGroupName": "/springboard/springboard/api"}]},
            "describe_table": {"Table": {"TableStatus": "ACTIVE"}},
            "list_stack_resources": {"StackResourceSummaries": PARTS},
            "get_function": {"Configuration": {"State": "Active", "LastUpdateStatus": "Successful"}},
            "describe_state_machine": {"status": "ACTIVE"},
            "describe_rule": {"State": "ENABLED"},
            "get_event_source_mapping": {"State": "Enabled", "FunctionArn": "arn:x:publish-events", "UUID": "u"},
            "list_schedules": {"Schedules": []},
            "get_queue_attributes": {"Attributes": {"ApproximateNumberOfMessages": "0"}},
            "query": {"Items": []},
            "describe_key": {"KeyMetadata": {"KeyId": "k", "KeyState": "Enabled"}},
            "list_clusters": {"clusters": ["springboard-shop", "others"]},
            "list_nodegroups": {"nodegroups": ["workers"]},
            "describe_instances": {"Reservations": []},
            "describe_addresses": {"Addresses": [{}]},
            "get_account_summary": {"SummaryMap": {"Roles": 40, "RolesQuota": 1000}},
            "get_account_settings": {
                "AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900}
            },
            "describe_subnets": {"Subnets": [{"SubnetId": each, "AvailableIpAddressCount": 16000} for each in "ab"]},
            "describe_load_balancers": {"LoadBalancers": [{"Type": "network"}, {"Type": "application"}]},
        }
    )
    machine.name_servers = lambda _: frozenset({"ns-1.awsdns-1.org"})
    machine.api.says("GET", "/environments", answer({"items": []}))
    machine.api.says("GET", "/versions", answer({"items": [{"version": "1.35", "default": True}]}))
    return machine


def test_doctor_finds_nothing_wrong(sound: Machine) -> None:
    result = sound.run("doctor")

    assert result.exit_code == 0, result.stdout
    assert {line.split()[0] for line in result.stdout.splitlines()} == {"ok"}
    assert "assumed-role/developer/me in eu-west-1" in result.stdout
    assert "new clusters get Kubernetes 1.35" in result.stdout
    assert "dev.example.com. is delegated" in result.stdout
    counted = [line.split(maxsplit=2)[2] for line in result.stdout.splitlines() if line.split()[2][0].isdigit()]
    assert counted == [
        "1 alarm tells the topic when it rings",
        "1 subscriber hears the alarms",
        "1 event bus is there",
        "1 function is active",
        "1 state machine is active",
        "1 rule is enabled",
        "1 stream is read",
        "0 schedules of environments are enabled",
        "0 environments that you see are looked after",
        "1 log group is there",
        "0 environments are being worked on, no lock is stale",
        "1 key is enabled",
        "2 subnets have free addresses",
    ]


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

    states = [line.split()[:2] for line in result.stdout.splitlines() if line[0] != " "]
    assert result.exit_code == 1
    wrong = [state for state in states if state[0] != "ok"]
    assert wrong == [["fail", "credentials"], ["fail", "DNS"], *[["warn", "quotas"]] * 5, *[["warn", "programs"]] * 2]
    assert "log in" in result.stdout


def test_doctor_names_what_rings_and_its_runbook_for_programs_too(sound: Machine) -> None:
    runbook = "Something asynchronous failed for good, runbook docs/guide/runbooks.md#springboard-dead-letters"
    ringing = alarm("springboard-dead-letters", "ALARM", AlarmDescription=runbook)
    sound.account.answers["describe_alarms"] = {"MetricAlarms": [ringing, alarm("springboard-sweep-silent")]}

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


def test_doctor_tells_a_stack_that_takes_no_update(sound: Machine) -> None:
    sound.account.stack_status = "UPDATE_ROLLBACK_FAILED"

    result = sound.run("doctor")

    assert result.exit_code == 1
    assert "continue-update-rollback --stack-name springboard" in result.stdout


MISSING = [
    ("get_function", "ResourceNotFoundException", "the function springboard-dns"),
    ("describe_state_machine", "StateMachineDoesNotExist", "the state machine springboard-provision"),
    ("describe_rule", "ResourceNotFoundException", "the rule springboard-SweepRule-1"),
    ("get_event_source_mapping", "ResourceNotFoundException", "the event source mapping that publishes events, u"),
    ("get_queue_attributes", "AWS.SimpleQueueService.NonExistentQueue", "the queue springboard-dead-letters"),
    ("describe_key", "NotFoundException", "the key k"),
    ("get_topic_attributes", "NotFound", "the topic springboard"),
    ("describe_event_bus", "ResourceNotFoundException", "the event bus springboard"),
]


@pytest.mark.parametrize(("operation", "code", "what"), MISSING)
def test_doctor_names_a_part_that_is_gone_and_looks_at_the_others(
    sound: Machine, operation: str, code: str, what: str
) -> None:
    """With a remedy that brings it back: `sam deploy` of the same template changes nothing."""
    before = sound.run("doctor").stdout.count("\nok ")
    missing = {"Error": {"Code": code, "Message": "no such thing"}}
    sound.account.answers[operation] = aws.refusal(ClientError(missing, operation))

    result = sound.run("doctor", "-o", "json")

    found = json.loads(result.stdout)["findings"]
    [wrong] = [each for each in found if each["state"] != "ok"]
    assert (wrong["state"], wrong["what"]) == ("fail", f"{what} is gone")
    assert wrong["remedy"].endswith("docs/guide/runbooks.md#putting-the-stack-right")
    assert len(found) - 1 == before, "all else is looked at"


def test_doctor_names_what_listings_lack(sound: Machine) -> None:
    sound.account.answers |= {"describe_alarms": {"MetricAlarms": []}, "describe_log_groups": {"logGroups": []}}
    told = sound.run("doctor").stdout
    assert "the alarm springboard-sweep-silent is gone" in told
    assert "the log group /springboard/springboard/api is gone" in told


@pytest.mark.parametrize(
    ("more", "remedy"),
    [
        ({"ActionsEnabled": False}, "aws cloudwatch enable-alarm-actions --alarm-names springboard-sweep-silent"),
        ({"AlarmActions": []}, "#putting-the-stack-right"),
    ],
)
def test_doctor_tells_an_alarm_that_would_tell_nobody(sound: Machine, more: dict[str, Any], remedy: str) -> None:
    sound.account.answers["describe_alarms"] = {"MetricAlarms": [alarm("springboard-sweep-silent", **more)]}

    result = sound.run("doctor")

    assert result.exit_code == 1
    assert "springboard-sweep-silent tells nobody when it rings" in result.stdout
    assert remedy in result.stdout


@pytest.mark.parametrize(
    ("arn", "attributes", "what", "remedy"),
    [
        (
            "",
            {},
            "the topic has no subscriber",
            "aws sns subscribe --topic-arn arn:aws:sns:",
        ),
        ("PendingConfirmation", {}, "no subscriber that has confirmed", "the link in the mail"),
        ("arn:x", {"FilterPolicy": '{"phase": ["Ready"]}'}, "without a filter policy", "aws sns subscribe"),
    ],
)
def test_doctor_warns_where_nobody_would_hear(
    sound: Machine, arn: str, attributes: dict[str, str], what: str, remedy: str
) -> None:
    sound.account.answers |= {
        "list_subscriptions_by_topic": {"Subscriptions": [{"SubscriptionArn": arn}] if arn else []},
        "get_subscription_attributes": {"Attributes": attributes},
    }

    result = sound.run("doctor")

    assert result.exit_code == 0
    assert "warn   topic         nobody hears the alarms: the topic has no subscriber" in result.stdout
    assert what in result.stdout
    assert remedy in result.stdout


@pytest.mark.parametrize(
    ("phase", "end", "schedules", "told"),
    [
        ("Ready", None, ["drift-abcd1234"], ""),
        ("Ready", None, [], "shop lacks the schedule that looks for drift in it"),
        ("Ready", None, ["x-drift-abcd1234", "ttl-abcd1234"], "shop lacks the schedule that looks for drift in it"),
        ("Ready", 600, ["drift-abcd1234", "ttl-abcd1234"], ""),
        ("Degraded", 600, ["drift-abcd1234"], "shop lacks the schedule that ends it"),
        ("Ready", -4400, ["drift-abcd1234", "ttl-abcd1234"], ""),
        ("Ready", -4600, ["drift-abcd1234"], "shop should have been deleted at 2026-11-26T10:43:20Z"),
        ("Deleting", -4600, [], ""),
        ("Provisioning", 600, [], ""),
    ],
)
def test_what_should_come_about_by_itself_has_something_that_brings_it_about(
    phase: str, end: int | None, schedules: list[str], told: str
) -> None:
    now = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
    due = None if end is None else (now + timedelta(seconds=end)).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = environment(phase=phase, expiresAt=due)
    found = list(health.environment(document, "springboard", [f"springboard-shop-{each}" for each in schedules], now))
    assert [each.what for each in found] == ([told] if told else [])
    assert all(each.remedy for each in found)


@pytest.mark.parametrize(
    ("status", "state"), [("ACTIVE", "ok"), ("UPDATING", "warn"), ("INACCESSIBLE_ENCRYPTION_CREDENTIALS", "fail")]
)
def test_a_record_that_cannot_be_read_is_a_failure(status: str, state: str) -> None:
    assert health.record("springboard-record", status).state == state


@pytest.mark.parametrize(
    "operation",
    [
        "get_function",
        "describe_table",
        "get_topic_attributes",
        "list_stack_resources",
        "describe_key",
        "query",
        "list_schedules",
        "get_account_summary",
        "get_account_settings",
        "describe_subnets",
    ],
)
def test_what_doctor_may_not_read_is_no_failure(sound: Machine, operation: str) -> None:
    denied = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized to do that"}}
    sound.account.answers[operation] = aws.refusal(ClientError(denied, operation))

    result = sound.run("doctor")

    assert result.exit_code == 0, result.stdout
    assert "warn" in result.stdout
    assert "not allowed to look" in result.stdout
    assert "ask for that permission" in result.stdout


BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "get_function",
        {"Configuration": {"State": "Failed", "StateReason": "no key"}},
        "is Failed: no key",
        "sam deploy",
    ),
    (
        "get_function",
        {"Configuration": {"State": "Active", "LastUpdateStatus": "Failed", "LastUpdateStatusReason": "too big"}},
        "last update of springboard-dns failed: too big",
        "sam deploy",
    ),
    (
        "get_function",
        {"Configuration": {"State": "Active"}, "Concurrency": {"ReservedConcurrentExecutions": 0}},
        "springboard-dns is stopped",
        "delete-function-concurrency --function-name springboard-dns",
    ),
    ("describe_state_machine", {"status": "DELETING"}, "springboard-provision is DELETING", "#putting-the-stack-right"),
    ("describe_rule", {"State": "DISABLED"}, "is disabled", "aws events enable-rule --name springboard-SweepRule-1"),
    (
        "get_event_source_mapping",
        {"State": "Disabled", "FunctionArn": "arn:x:publish-events", "UUID": "u"},
        "publish-events reads no stream",
        "update-event-source-mapping --uuid u --enabled",
    ),
    (
        "get_queue_attributes",
        {"Attributes": {"ApproximateNumberOfMessages": "2"}},
        "2 dead letters wait",
        "#springboard-dead-letters",
    ),
    ("describe_key", {"KeyMetadata": {"KeyId": "k", "KeyState": "Disabled"}}, "the key Key is disabled", "enable-key"),
    (
        "get_account_settings",
        {"AccountLimit": {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}},
        "Lambda may run 10 at once",
        "L-B99A9384",
    ),
    (
        "describe_key",
        {
            "KeyMetadata": {
                "KeyId": "k",
                "KeyState": "PendingDeletion",
                "DeletionDate": datetime(2026, 12, 1, tzinfo=UTC),
            }
        },
        "will be deleted on 2026-12-01",
        "cancel-key-deletion --key-id k",
    ),
]


@pytest.mark.parametrize(("operation", "found", "what", "remedy"), BROKEN)
def test_doctor_tells_each_part_that_is_broken(
    sound: Machine, operation: str, found: dict[str, Any], what: str, remedy: str
) -> None:
    sound.account.answers[operation] = found

    result = sound.run("doctor", "-o", "json")

    assert result.exit_code == 1
    [wrong] = [each for each in json.loads(result.stdout)["findings"] if each["state"] != "ok"]
    assert what in wrong["what"]
    assert remedy in wrong["remedy"]


def test_doctor_warns_of_a_schedule_that_was_disabled(sound: Machine) -> None:
    sound.account.answers["list_schedules"] = {"Schedules": [{"Name": "shop-ttl", "State": "DISABLED"}, {"Name": "b"}]}

    result = sound.run("doctor")

    assert (result.exit_code, "the schedule springboard/shop-ttl is disabled" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    ("execution", "minutes", "stale"),
    [("RUNNING", 500, False), ("ABORTED", 5, False), ("ABORTED", 16, True), ("", 16, True), ("SUCCEEDED", 16, True)],
)
def test_a_lock_under_which_nothing_works_is_stale(execution: str, minutes: int, *, stale: bool) -> None:
    now = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
    found = list(health.lock("uid", "01K", now - timedelta(minutes=minutes), now, execution))
    assert [each.state for each in found] == (["fail"] if stale else [])
    if stale:
        assert f"for {minutes} minutes" in found[0].what


@pytest.mark.parametrize(
    ("limit", "used", "needed", "state"),
    [
        (100, 3, 1, "ok"),
        (100, 99, 1, "warn"),
        (100, 100, 1, "fail"),
        (5, 5, 0, "warn"),
        (5, 6, 0, "warn"),
        (5, 3, 0, "ok"),
        (0, 0, 1, "fail"),
    ],
)
def test_a_quota_is_judged_by_what_is_in_use(limit: float, used: float, needed: float, state: str) -> None:
    assert health.quota("things", "eks L-1", limit, used, needed).state == state


@pytest.mark.parametrize(
    ("limit", "unreserved", "state", "what", "remedy"),
    [
        (1000, 1000, "ok", "Lambda may run 1000 at once", ""),
        (1000, 900, "ok", "900 at once of 1000, the rest is reserved", ""),
        (10, 10, "fail", "Lambda may run 10 at once; one plan or drift check takes 14", "lambda L-B99A9384"),
        (1000, 13, "fail", "13 at once of 1000, the rest is reserved", "delete-function-concurrency"),
        (20, 20, "warn", "two plans at once take 28", "lambda L-B99A9384"),
    ],
)
def test_concurrency_is_enough_for_a_plan(limit: int, unreserved: int, state: str, what: str, remedy: str) -> None:
    found = health.concurrency(limit, unreserved)
    assert found.state == state
    assert what in found.what
    assert remedy in found.remedy
    assert bool(found.remedy) == (state != "ok")


def test_a_plan_takes_a_function_per_component_and_the_apis() -> None:
    assert len(ROWS) + 1 == health.PLAN_CONCURRENCY


@pytest.mark.parametrize(
    ("private", "public", "told"),
    [
        (16_000, 4_000, []),
        (1, 4_000, [("fail", "private subnet s has 1 free address, EKS wants 6 for a cluster")]),
        (6, 4_000, [("warn", "private subnet s has 6 free addresses, an environment takes up to 103")]),
        (103, 7, [("fail", "public subnet s has 7 free addresses, ELB wants 8 for a load balancer")]),
        (103, 8, [("warn", "public subnet s has 8 free addresses, enough for one load balancer more")]),
    ],
)
def test_subnets_have_room_for_an_environment(private: int, public: int, told: list[tuple[str, str]]) -> None:
    def subnets(free: int) -> list[dict[str, Any]]:
        return [{"SubnetId": "s", "AvailableIpAddressCount": free}]

    found = [*health.subnets(subnets(private), health.PRIVATE), *health.subnets(subnets(public), health.PUBLIC)]
    assert [each.state for each in found] == [state for state, _ in told]
    assert all(what in each.what and each.remedy for each, (_, what) in zip(found, told, strict=True))


def test_doctor_warns_of_a_stack_that_does_not_tell_its_subnets(sound: Machine) -> None:
    sound.account.answers["describe_stacks"]["Stacks"][0]["Outputs"].pop()  # type: ignore[index]  # no exception here

    assert "warn   subnets       the stack does not tell its subnets" in sound.run("doctor").stdout


def test_vcpus_of_spot_and_other_families_do_not_count() -> None:
    cpu = {"CoreCount": 1, "ThreadsPerCore": 2}
    instances = [
        {"InstanceType": "m7i.large", "CpuOptions": cpu},
        {"InstanceType": "t3.large", "CpuOptions": cpu, "InstanceLifecycle": "spot"},
        {"InstanceType": "g5.large", "CpuOptions": cpu},
        {"InstanceType": "c7g.large", "CpuOptions": {"CoreCount": 2, "ThreadsPerCore": 1}},
    ]
    assert health.standard_vcpus(instances) == 4


@pytest.mark.parametrize(
    ("cli", "stack", "state", "said"),
    [
        ("0.1.0", "0.1.3", "ok", ""),
        ("0.1.0", "0.2.0", "warn", "update the command line"),
        ("0.3.0", "0.2.0", "warn", "sam deploy"),
        ("0.1.0", "", "warn", "sam deploy"),
        ("unknown", "0.1.0", "ok", ""),
    ],
)
def test_command_line_and_stack_should_be_of_one_release(cli: str, stack: str, state: str, said: str) -> None:
    found = health.versions(cli, stack)
    assert found.state == state
    assert said in found.remedy


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


def test_doctor_tells_a_remedy_once_for_all_that_it_mends(sound: Machine) -> None:
    gone = AwsRefusedError("Stack with id springboard does not exist")
    gone.aws_code = "ValidationError"
    sound.account.answers["describe_stacks"] = gone

    result = sound.run("doctor")

    assert result.exit_code == 1
    assert result.stdout.count("there is no stack springboard") > 5
    assert result.stdout.count("`sam deploy`") == 2  # of what fails, and of the quota that could not be read


@pytest.mark.parametrize("port", ["-1", "65536", "99999"])
def test_a_port_that_there_is_not_is_wrong_usage(machine: Machine, port: str) -> None:
    result = machine.run("local", "up", "--port", port)

    assert result.exit_code == 2
    assert "--port" in result.stderr
