"""Functions that read streams and queues: in order, in batches, with retries, never inside of the write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from springboard_local.cloud import ACCOUNT, REGION
from tests.local.iam.conftest import allow

if TYPE_CHECKING:
    from tests.local.iam.conftest import Account

LETTERS = f"arn:aws:sqs:{REGION}:{ACCOUNT}:letters"


def stream(account: Account, *statements: dict[str, Any], **mapping: Any) -> Any:
    client = account.client("dynamodb")
    made = client.create_table(
        TableName="records",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    account.function(*(statements or (allow(["dynamodb:*", "sqs:*"]),)))
    account.client("lambda").create_event_source_mapping(
        EventSourceArn=made["LatestStreamArn"], FunctionName="seen", StartingPosition="TRIM_HORIZON", **mapping
    )
    return client


def write(client: Any, *names: str, **more: Any) -> None:
    items = [{"Put": {"TableName": "records", "Item": {"pk": {"S": name}, **more}}} for name in names]
    client.transact_write_items(TransactItems=items)


def keys(events: list[Any]) -> list[list[str]]:
    return [[record["dynamodb"]["Keys"]["pk"]["S"] for record in event["Records"]] for event in events]


def test_records_come_in_order_with_both_images(account: Account) -> None:
    client = stream(account)
    write(client, "a")
    write(client, "a", phase={"S": "Ready"})
    client.delete_item(TableName="records", Key={"pk": {"S": "a"}})
    records = [record for event in account.seen() for record in event["Records"]]
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    assert records[1]["dynamodb"]["NewImage"]["phase"] == {"S": "Ready"}
    assert "phase" not in records[1]["dynamodb"]["OldImage"]
    assert records[0]["eventSourceARN"].startswith(f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/records/stream/")


def test_filters_choose(account: Account) -> None:
    pattern = {"dynamodb": {"Keys": {"pk": {"S": [{"prefix": "EVENT#"}]}}}}
    client = stream(account, FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]})
    write(client, "ENV#1", "EVENT#1", "EVENT#2")
    assert keys(account.seen()) == [["EVENT#1", "EVENT#2"]]


def test_a_failed_batch_is_tried_again_and_then_given_up(account: Account) -> None:
    account.queue("letters")
    failing = {"DestinationConfig": {"OnFailure": {"Destination": LETTERS}}, "MaximumRetryAttempts": 2}
    client = stream(account, **failing)
    account.failures = 3
    write(client, "a")
    account.clock.advance(10)
    write(client, "b")
    assert keys(account.seen()) == [["a"], ["a"], ["a"], ["b"]]
    (letter,) = account.messages(f"{account.cloud.endpoint}/{ACCOUNT}/letters")
    body = json.loads(letter["Body"])
    assert body["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert body["DDBStreamBatchInfo"]["batchSize"] == 1


def test_a_failed_batch_is_halved(account: Account) -> None:
    client = stream(account, BisectBatchOnFunctionError=True, MaximumRetryAttempts=1)
    account.failures = 1
    write(client, "a", "b", "c", "d")
    assert keys(account.seen()) == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"]]


def test_single_failures_are_tried_again_from_there(account: Account) -> None:
    client = stream(account, FunctionResponseTypes=["ReportBatchItemFailures"], MaximumRetryAttempts=1)
    first = 1100000000017454423009
    account.answer = {"batchItemFailures": [{"itemIdentifier": str(first + 1)}]}
    write(client, "a", "b", "c")
    account.clock.settle()
    account.answer = None
    account.clock.advance(2)
    assert keys(account.seen()) == [["a", "b", "c"], ["b", "c"]]


def test_a_role_that_cannot_read_is_refused(account: Account) -> None:
    with pytest.raises(ClientError, match="GetRecords"):
        stream(account, allow("logs:*"))


def test_a_message_that_fails_comes_again_after_its_visibility(account: Account) -> None:
    account.function(allow("sqs:*"))
    url = account.queue("work", VisibilityTimeout="60")
    source = f"arn:aws:sqs:{REGION}:{ACCOUNT}:work"
    account.client("lambda").create_event_source_mapping(EventSourceArn=source, FunctionName="seen", BatchSize=5)
    account.failures = 1
    account.client("sqs").send_message(QueueUrl=url, MessageBody="hello")
    assert [event["Records"][0]["body"] for event in account.seen()] == ["hello"]
    account.clock.advance(59)
    assert account.seen() == []
    account.clock.advance(2)
    (event,) = account.seen()
    assert event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "2"
    account.clock.advance(120)
    assert account.seen() == []


def test_a_message_that_fails_too_often_is_a_dead_letter(account: Account) -> None:
    account.function(allow("sqs:*"))
    account.queue("letters")
    redrive = json.dumps({"deadLetterTargetArn": LETTERS, "maxReceiveCount": 2})
    url = account.queue("work", VisibilityTimeout="10", RedrivePolicy=redrive)
    source = f"arn:aws:sqs:{REGION}:{ACCOUNT}:work"
    account.client("lambda").create_event_source_mapping(EventSourceArn=source, FunctionName="seen")
    account.failures = 5
    account.client("sqs").send_message(QueueUrl=url, MessageBody="hello")
    account.clock.advance(60)
    assert len(account.seen()) == 2
    assert [each["Body"] for each in account.messages(f"{account.cloud.endpoint}/{ACCOUNT}/letters")] == ["hello"]


def test_a_stream_keeps_its_records_for_24_hours_and_who_reads_it_goes_on(account: Account) -> None:
    client = stream(account)
    write(client, "a")
    account.clock.advance(20 * 3600)
    write(client, "b")
    account.clock.advance(5 * 3600)
    write(client, "c")
    streams = account.client("dynamodbstreams")
    arn = client.describe_table(TableName="records")["Table"]["LatestStreamArn"]
    [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    oldest = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    held = streams.get_records(ShardIterator=oldest["ShardIterator"])["Records"]
    assert keys([{"Records": held}]) == [["b", "c"]]
    assert held[0]["dynamodb"]["SequenceNumber"] < held[1]["dynamodb"]["SequenceNumber"]
    assert keys(account.seen()) == [["a"], ["b"], ["c"]]
    write(client, "d")
    assert keys(account.seen())[-1] == ["d"]
