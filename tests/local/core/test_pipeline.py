"""What every call passes: the record, the faults, the answers in each service's own protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from springboard_local import pipeline
from springboard_local.pipeline import Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from springboard_local.clock import ManualClock
    from springboard_local.cloud import LocalCloud

READS = (
    ("dynamodb", "list_tables"),
    ("ec2", "describe_vpcs"),
    ("iam", "list_users"),
    ("lambda", "list_functions"),
    ("route53", "list_hosted_zones"),
    ("s3", "list_buckets"),
    ("sqs", "list_queues"),
    ("stepfunctions", "list_state_machines"),
)


def code_of(call: Callable[..., Any], **parameters: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return str(raised.value.response["Error"]["Code"])


def test_a_call_is_recorded_with_its_outcome_and_without_what_it_said(cloud: LocalCloud, aws: Any) -> None:
    aws("ssm").put_parameter(Name="password", Value="a-secret-value", Type="SecureString")
    code_of(aws("dynamodb").describe_table, TableName="none")
    put, described = cloud.pipeline.calls()[-2:]
    assert (put.service, put.operation, put.status, put.error, put.mutating) == ("ssm", "PutParameter", 200, None, True)
    assert (described.service, described.operation) == ("dynamodb", "DescribeTable")
    assert (described.status, described.error, described.mutating) == (400, "ResourceNotFoundException", False)
    assert put.principal == "arn:aws:iam::111122223333:root"
    assert "a-secret-value" not in repr(cloud.pipeline.calls())


@pytest.mark.parametrize(
    ("service", "method", "parameters"),
    [
        ("eks", "describe_cluster", {"name": "shop"}),
        ("ec2", "describe_vpcs", {"Filters": [{"Name": "x", "Values": ["1", "2"]}]}),
        ("dynamodb", "get_item", {"TableName": "t", "Key": {"pk": {"S": "a"}}}),
        ("route53", "get_hosted_zone", {"Id": "Z1"}),
        ("s3", "get_object", {"Bucket": "b", "Key": "a/b c"}),
        ("iam", "get_role", {"RoleName": "r"}),
        ("lambda", "get_function", {"FunctionName": "f", "Qualifier": "2"}),
    ],
)
def test_parameters_are_read_in_every_protocol(
    cloud: LocalCloud, aws: Any, service: str, method: str, parameters: dict[str, Any]
) -> None:
    calls: list[pipeline.Call] = []
    inner = cloud.pipeline.authorize

    def authorize(call: pipeline.Call) -> pipeline.Denial | None:
        calls.append(call)
        return inner(call)

    cloud.pipeline.authorize = authorize
    try:
        getattr(aws(service), method)(**parameters)
    except ClientError:
        pass  # what is asked for need not be there
    finally:
        cloud.pipeline.authorize = inner
    # S3's clients ask for checksums by themselves
    assert {**calls[-1].parameters, "ChecksumMode": None} == {**parameters, "ChecksumMode": None}


@pytest.mark.parametrize(("service", "method"), READS)
def test_throttling_is_in_the_words_that_sdks_know(cloud: LocalCloud, aws: Any, service: str, method: str) -> None:
    cloud.pipeline.inject(Rule("*", "throttle"))
    known = {"Throttling", "ThrottlingException", "RequestLimitExceeded", "SlowDown", "TooManyRequestsException"}
    assert code_of(getattr(aws(service), method)) in known
    getattr(aws(service), method)()  # the rule struck once


def test_an_error_has_the_code_that_the_rule_names(cloud: LocalCloud, aws: Any) -> None:
    cloud.pipeline.inject(Rule("ec2", "error", operation="Describe*", code="InsufficientFreeAddressesInSubnet"))
    assert code_of(aws("ec2").describe_vpcs) == "InsufficientFreeAddressesInSubnet"
    cloud.pipeline.inject(Rule("ec2", "error"))
    assert code_of(aws("ec2").describe_vpcs) == "InternalError"


def test_a_reset_gives_no_answer_and_does_nothing(cloud: LocalCloud, aws: Any) -> None:
    cloud.pipeline.inject(Rule("sqs", "reset", operation="CreateQueue"))
    with pytest.raises(ConnectionClosedError):
        aws("sqs").create_queue(QueueName="q")
    assert "QueueUrls" not in aws("sqs").list_queues()
    assert cloud.pipeline.calls()[-2].error == "ConnectionReset"


def test_killed_after_means_that_the_call_has_acted(
    cloud: LocalCloud, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[str] = []
    monkeypatch.setattr(pipeline, "kill", lambda call: killed.append(call.operation))
    cloud.pipeline.inject(Rule("sqs", "kill-after", mutating=True, skip=1))
    aws("sqs").create_queue(QueueName="first")
    with pytest.raises(ConnectionClosedError):
        aws("sqs").create_queue(QueueName="second")
    assert killed == ["CreateQueue"]
    assert len(aws("sqs").list_queues()["QueueUrls"]) == 2


def test_killed_before_means_that_it_has_not(cloud: LocalCloud, aws: Any) -> None:
    cloud.pipeline.inject(Rule("sqs", "kill-before", mutating=True))
    with pytest.raises(ConnectionClosedError):
        aws("sqs").create_queue(QueueName="q")
    assert "QueueUrls" not in aws("sqs").list_queues()


def test_a_stale_read_answers_what_it_did_before_the_last_change(cloud: LocalCloud, aws: Any) -> None:
    rule = cloud.pipeline.inject(Rule("sqs", "stale", operation="ListQueues", times=1, skip=1))
    aws("sqs").create_queue(QueueName="first")
    assert len(aws("sqs").list_queues()["QueueUrls"]) == 1
    aws("sqs").create_queue(QueueName="second")
    assert len(aws("sqs").list_queues()["QueueUrls"]) == 1
    assert len(aws("sqs").list_queues()["QueueUrls"]) == 2
    assert rule.struck == 1


def test_what_was_just_created_can_be_not_there_yet(cloud: LocalCloud, aws: Any) -> None:
    cloud.pipeline.inject(Rule("*", "stale", times=3))
    aws("iam").create_user(UserName="u")
    assert code_of(aws("iam").get_user, UserName="u") == "NoSuchEntity"
    vpc = aws("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    assert code_of(aws("ec2").describe_vpcs, VpcIds=[vpc]) == "InvalidVpcID.NotFound"
    aws("sqs").create_queue(QueueName="q")
    assert "QueueUrls" not in aws("sqs").list_queues()
    assert aws("iam").get_user(UserName="u")["User"]["UserName"] == "u"


def test_a_read_that_lags_behind_knows_what_is_older(cloud: LocalCloud, clock: ManualClock, aws: Any) -> None:
    aws("sqs").create_queue(QueueName="first")
    clock.advance(301)
    cloud.pipeline.inject(Rule("sqs", "stale", operation="ListQueues", probability=1, lag=300))

    def listed() -> int:
        return len(aws("sqs").list_queues().get("QueueUrls", []))

    assert listed() == 1
    aws("sqs").create_queue(QueueName="second")
    assert listed() == 1  # as before
    assert "QueueUrls" not in aws("sqs").list_queues(QueueNamePrefix="s")  # nothing is known of what was just made
    clock.advance(299)
    assert listed() == 1
    clock.advance(2)
    assert listed() == 2
    assert len(aws("sqs").list_queues(QueueNamePrefix="s")["QueueUrls"]) == 1
    with pytest.raises(ValueError, match="lag"):
        Rule("sqs", "throttle", lag=1)


def test_the_same_seed_strikes_the_same_calls(cloud: LocalCloud, aws: Any) -> None:
    def struck(seed: int) -> list[bool]:
        cloud.pipeline.clear_faults()
        cloud.pipeline.inject(Rule("sqs", "throttle", probability=0.5, seed=seed))
        outcomes = []
        for _ in range(12):
            try:
                aws("sqs").list_queues()
            except ClientError:
                outcomes.append(True)
            else:
                outcomes.append(False)
        return outcomes

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)


def test_a_fault_may_be_for_one_principal_alone(cloud: LocalCloud, aws: Any, role: Callable[..., str]) -> None:
    arn = role("worker", {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"})
    cloud.pipeline.inject(Rule("*", "throttle", principal="*:assumed-role/worker/*"))
    aws("sqs").list_queues()
    assert code_of(cloud.client("sqs", arn).list_queues) == "ThrottlingException"
    cloud.client("sqs").list_queues()


def test_an_operation_that_nobody_has_is_said_so_in_the_protocol(aws: Any) -> None:
    assert code_of(aws("route53").get_checker_ip_ranges) == "NotImplemented"
    assert code_of(aws("ec2").describe_capacity_block_offerings, CapacityDurationHours=24) == "NotImplemented"
    assert code_of(aws("cloudformation").list_stack_sets) == "NotImplemented"
