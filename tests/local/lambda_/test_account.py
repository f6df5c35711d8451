"""What an account may have of Lambda, and what it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from springboard_local.services import service_quotas

if TYPE_CHECKING:
    from .conftest import Account


def test_what_functions_reserve_is_no_longer_the_others(account: Account) -> None:
    before = account.client.get_account_settings()
    account.function("busy", lambda _event, _context: None)
    account.client.put_function_concurrency(FunctionName="busy", ReservedConcurrentExecutions=300)
    after = account.client.get_account_settings()
    assert (before["AccountLimit"]["ConcurrentExecutions"], after["AccountLimit"]["ConcurrentExecutions"]) == (
        1000,
    ) * 2
    left = before["AccountLimit"]["UnreservedConcurrentExecutions"]
    assert after["AccountLimit"]["UnreservedConcurrentExecutions"] == left - 300
    assert after["AccountUsage"]["FunctionCount"] == before["AccountUsage"]["FunctionCount"] + 1
    assert after["AccountUsage"]["TotalCodeSize"] > before["AccountUsage"]["TotalCodeSize"]
    account.client.put_function_concurrency(FunctionName="busy", ReservedConcurrentExecutions=200)
    again = account.client.get_account_settings()["AccountLimit"]
    assert again["UnreservedConcurrentExecutions"] == left - 200
    account.client.delete_function_concurrency(FunctionName="busy")
    assert account.client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == left


@pytest.mark.parametrize(("limit", "wanted", "least"), [(1_000, 901, 100), (50, 1, 50), (10, 1, 10)])
def test_what_is_not_reserved_stays_enough(account: Account, limit: int, wanted: int, least: int) -> None:
    """As users report it: https://github.com/aws-samples/siem-on-amazon-opensearch-service/issues/175."""
    account.function("busy", lambda _event, _context: None)
    service_quotas.change("L-B99A9384", limit)
    try:
        with pytest.raises(ClientError) as caught:
            account.client.put_function_concurrency(FunctionName="busy", ReservedConcurrentExecutions=wanted)
        account.client.put_function_concurrency(FunctionName="busy", ReservedConcurrentExecutions=0)
    finally:
        service_quotas.change("L-B99A9384", 1_000)
    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidParameterValueException"
    assert error["Message"].endswith(f"UnreservedConcurrentExecution below its minimum value of [{least}].")
