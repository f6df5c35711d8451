"""Conditional writes and transactions, from many threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.local.iam.conftest import Account


@pytest.fixture
def table(account: Account) -> Any:
    client = account.client("dynamodb")
    client.create_table(
        TableName="records",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


def item(pk: str, **more: Any) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": "S"}, **more}


def put(pk: str, **more: Any) -> dict[str, Any]:
    return {"Put": {"TableName": "records", "Item": item(pk), **more}}


NEW = {"ConditionExpression": "attribute_not_exists(pk)"}


def wins(call: Any, **parameters: Any) -> bool:
    try:
        call(**parameters)
    except ClientError as error:
        assert error.response["Error"]["Code"] in {"ConditionalCheckFailedException", "TransactionCanceledException"}  # noqa: PT017
        return False
    return True


def test_one_of_many_conditional_writes_wins(table: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(5):
            tries = [
                pool.submit(wins, table.put_item, TableName="records", Item=item(str(number)), **NEW) for _ in range(8)
            ]
            assert sum(each.result() for each in tries) == 1


def test_one_of_many_transactions_wins_while_others_write(table: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(table.put_item, TableName="records", Item=item(f"other-{n}")) for n in range(20)]
        tries = [
            pool.submit(wins, table.transact_write_items, TransactItems=[put("a", **NEW), put(f"b{n}")])
            for n in range(8)
        ]
        assert sum(each.result() for each in tries) == 1
        for each in writes:
            each.result()
    assert table.scan(TableName="records")["Count"] == 22


def test_a_cancelled_transaction_says_why_and_leaves_nothing(table: Any) -> None:
    table.put_item(TableName="records", Item=item("a", owner={"S": "me"}))
    seen = {**NEW, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    with pytest.raises(ClientError) as raised:
        table.transact_write_items(TransactItems=[put("b"), put("a", **seen)])
    reasons = raised.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed"]
    assert reasons[1]["Item"]["owner"] == {"S": "me"}
    assert "Item" not in table.get_item(TableName="records", Key=item("b"))


def test_a_transaction_that_fails_in_the_middle_is_undone(table: Any) -> None:
    table.put_item(TableName="records", Item=item("a", name={"S": "x"}))
    key = {"TableName": "records", "Key": item("a")}
    update = {"Update": {**key, "UpdateExpression": "ADD #n :one", "ExpressionAttributeNames": {"#n": "name"}}}
    update["Update"]["ExpressionAttributeValues"] = {":one": {"N": "1"}}
    with pytest.raises(ClientError):
        table.transact_write_items(TransactItems=[put("b"), update])
    assert "Item" not in table.get_item(TableName="records", Key=item("b"))
    assert table.get_item(TableName="records", Key=item("a"))["Item"]["name"] == {"S": "x"}


def test_one_item_is_not_written_twice(table: Any) -> None:
    with pytest.raises(ClientError, match="multiple operations on one item"):
        table.transact_write_items(TransactItems=[put("a"), put("a")])
