"""Event invocations: retries on the virtual clock, dead-letter queues and destinations."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local import pipeline

if TYPE_CHECKING:
    from .conftest import Account


def broken(_event: Any, _context: Any) -> Any:
    raise ValueError("broken")


def send(account: Account, name: str, event: Any = None) -> None:
    """Queue an event and let it run as far as it can without time passing."""
    answer = account.client.invoke(FunctionName=name, Payload=json.dumps(event), InvocationType="Event")
    assert answer["StatusCode"] == 202
    account.clock.settle()


def test_a_failed_event_is_tried_again_after_one_and_two_minutes(account: Account) -> None:
    moments: list[Any] = []

    def handler(_event: Any, context: Any) -> None:
        moments.append((account.clock.now(), context.aws_request_id))
        raise ValueError("broken")

    account.function("stubborn", handler)
    send(account, "stubborn")
    begun = moments[0][0]
    account.clock.advance(3_600)
    assert [moment - begun for moment, _ in moments] == [timedelta(0), timedelta(seconds=60), timedelta(seconds=180)]
    assert len({request for _, request in moments}) == 1, "a retry is the same request"


def test_what_fails_for_good_goes_to_the_dead_letter_queue(account: Account) -> None:
    url, arn = account.queue("dead")
    account.function("failing", broken, DeadLetterConfig={"TargetArn": arn})
    send(account, "failing", {"order": 7})
    assert account.messages(url) == []
    account.clock.advance(180)
    (message,) = account.messages(url)
    assert json.loads(message["Body"]) == {"order": 7}
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "broken"


def test_the_failure_destination_gets_the_whole_story(account: Account) -> None:
    url, arn = account.queue("failures")
    account.function("failing", broken)
    account.client.put_function_event_invoke_config(
        FunctionName="failing", MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn}}
    )
    send(account, "failing", {"order": 7})
    record = json.loads(account.messages(url)[0]["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["requestContext"]["functionArn"].endswith(":function:failing:$LATEST")
    assert record["requestPayload"] == {"order": 7}
    assert record["responsePayload"]["errorType"] == "ValueError"


def test_a_success_destination(account: Account) -> None:
    url, arn = account.queue("successes")
    account.function("fine", lambda event, _context: {"got": event})
    account.client.put_function_event_invoke_config(
        FunctionName="fine", DestinationConfig={"OnSuccess": {"Destination": arn}}
    )
    send(account, "fine", 1)
    assert json.loads(account.messages(url)[0]["Body"])["responsePayload"] == {"got": 1}


def test_throttled_events_wait_and_grow_too_old(account: Account) -> None:
    url, arn = account.queue("old")
    calls: list[Any] = []
    account.function("stopped", lambda event, _context: calls.append(event), DeadLetterConfig={"TargetArn": arn})
    account.client.put_function_concurrency(FunctionName="stopped", ReservedConcurrentExecutions=0)
    account.client.put_function_event_invoke_config(FunctionName="stopped", MaximumEventAgeInSeconds=600)
    send(account, "stopped", "first")
    account.clock.advance(300)
    account.client.delete_function_concurrency(FunctionName="stopped")
    account.clock.advance(300)
    assert calls == ["first"]
    account.client.put_function_concurrency(FunctionName="stopped", ReservedConcurrentExecutions=0)
    send(account, "stopped", "second")
    account.clock.advance(3_600)
    assert calls == ["first"]
    assert [message["Body"] for message in account.messages(url)] == ['"second"']


def test_an_update_of_the_configuration_keeps_the_rest(account: Account) -> None:
    account.function("fine", broken)
    account.client.put_function_event_invoke_config(FunctionName="fine", MaximumRetryAttempts=1)
    account.client.update_function_event_invoke_config(FunctionName="fine", MaximumEventAgeInSeconds=60)
    config = account.client.get_function_event_invoke_config(FunctionName="fine")
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (1, 60)


def test_a_kill_ends_the_handler_at_its_call(account: Account) -> None:
    """After a kill nothing of the handler runs on, not even what catches its broken connection."""
    after: list[str] = []

    def handler(_event: Any, context: Any) -> str:
        try:
            context.client("sqs").create_queue(QueueName="made-by-the-victim")
        except Exception:  # noqa: BLE001 - as a careless handler does
            after.append("caught")
        after.append("went on")
        return "done"

    account.function("victim", handler)
    account.cloud.pipeline.inject(pipeline.Rule("sqs", "kill-after", "CreateQueue"))
    answer, error = account.invoke("victim")
    account.cloud.pipeline.clear_faults()
    assert (answer["errorType"], error) == ("Runtime.ExitError", "Unhandled")
    assert after == []
    queues = account.cloud.client("sqs").list_queues(QueueNamePrefix="made-by-the-victim")["QueueUrls"]
    assert len(queues) == 1, "the call itself was done"
    assert account.invoke("victim") == ("done", None)


def test_a_handler_is_imported_by_its_name(account: Account) -> None:
    account.function("imported", Handler="json.loads")
    answer, error = account.invoke("imported")
    assert (answer["errorType"], error) == ("TypeError", "Unhandled")
    account.function("missing", Handler="nowhere.at_all")
    assert account.invoke("missing")[0]["errorType"] == "Runtime.ImportModuleError"


def test_a_result_that_is_not_json(account: Account) -> None:
    account.function("odd", lambda _event, _context: {1, 2})
    answer, _ = account.invoke("odd")
    assert answer["errorType"] == "Runtime.MarshalError"


def test_permissions_are_kept_with_their_source_and_not_twice(account: Account) -> None:
    account.function("open", broken)
    permission = {
        "FunctionName": "open",
        "StatementId": "rule",
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
        "SourceArn": "arn:aws:events:eu-west-1:111122223333:rule/window",
    }
    account.client.add_permission(**permission)
    (statement,) = json.loads(account.client.get_policy(FunctionName="open")["Policy"])["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": permission["SourceArn"]}}
    assert statement["Resource"].endswith(":function:open")
    with pytest.raises(account.client.exceptions.ResourceConflictException):
        account.client.add_permission(**permission)
