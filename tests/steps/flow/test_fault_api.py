"""Requests that come twice, late or against something newer: F8, F9, F12."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.steps.flow import invariants
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from tests.steps.flow.springboard import Springboard

pytestmark = pytest.mark.sweep


def test_f8_f9_f12_requests_that_come_twice_late_or_against_something_newer(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    wanted, key = document("echo"), {"Idempotency-Key": "echo-1"}
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: springboard.call("POST", "/environments", wanted, **key), range(4)))
    first = [each for each in replies if each.status == 202]
    assert first, replies
    assert len({each.document["status"]["operation"]["id"] for each in first}) == 1
    assert {each.status for each in replies} <= {202, 409}, replies  # 409: the other one is still being answered
    again = springboard.call("POST", "/environments", wanted, **key)
    assert (again.status, again.document["status"]["operation"]["id"]) == (
        202,
        first[0].document["status"]["operation"]["id"],
    )
    other = springboard.call("POST", "/environments", document("echo", ttlHours=5), **key)
    assert (other.status, other.document["code"]) == (422, "IdempotencyKeyReused"), other
    springboard.finish(first[0])
    created = springboard.call("POST", "/environments", wanted, **key)
    assert (created.status, created.document["metadata"]["uid"]) == (202, first[0].document["metadata"]["uid"])
    elsewhere = springboard.call("POST", "/environments/echo/retry", **key)
    assert elsewhere.status in {409, 422}, elsewhere  # the key is of another request; and nothing is to be retried
    [operation] = springboard.call("GET", "/environments/echo/operations").document["items"]
    assert operation["kind"] == "Create"

    stale = springboard.call("GET", "/environments/echo").headers["ETag"]
    changed = document("echo", drift="Repair")
    assert springboard.call("PUT", "/environments/echo", changed).status == 428
    assert springboard.apply(changed).phase == "Ready"
    springboard.forget_calls()
    for method in ("PUT", "DELETE"):
        late = springboard.call(
            method, "/environments/echo", wanted if method == "PUT" else None, **{"If-Match": stale}
        )
        assert late.status == 412, late
    assert springboard.mutating() == []
    invariants.converges(springboard, changed)
    invariants.deleted(springboard, "echo", before)
