"""What a topic may reach."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.services import metrics
from tests.local.iam.conftest import document

if TYPE_CHECKING:
    from tests.local.iam.conftest import Account

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:people"


def test_a_queue_gets_only_what_it_lets_in(account: Account) -> None:
    sns = account.client("sns")
    topic = sns.create_topic(Name="transitions")["TopicArn"]
    url = account.queue("people")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE)
    sns.publish(TopicArn=topic, Message="unheard")
    assert account.messages(url) == []
    assert {name for _, name, _ in metrics.present().metrics()} >= {"NumberOfNotificationsFailed"}
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": QUEUE,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    account.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(statement)})
    sns.publish(TopicArn=topic, Message="heard")
    assert [json.loads(each["Body"])["Message"] for each in account.messages(url)] == ["heard"]
