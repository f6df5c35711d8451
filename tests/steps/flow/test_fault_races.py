"""Requests that come at once, and deletions that come at any time: one wins, the others are told, nothing is left."""

from __future__ import annotations

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from springboard_local.pipeline import Rule
from tests.steps.flow import invariants
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.steps.flow.springboard import Reply, Springboard

SEED = int(os.environ.get("SPRINGBOARD_SEED", "3"))
# Virtual seconds after the POST: an environment is Ready after about 900.
MOMENTS = (0, 5, 20, 61, 120, 300, 500, 570, 585, 600, 615, 640, 680, 720, 760, 820, 880)


def at_once(*asks: Callable[[], Reply]) -> list[Reply]:
    """All asked in the same moment."""
    start = threading.Barrier(len(asks))

    def ask(one: Callable[[], Reply]) -> Reply:
        start.wait()
        return one()

    with ThreadPoolExecutor(len(asks)) as pool:
        return list(pool.map(ask, asks))


@pytest.mark.sweep
def test_f10_of_posts_at_once_exactly_one_wins(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    for number in range(6):
        name = f"posts{number}"
        replies = at_once(*[lambda name=name: springboard.call("POST", "/environments", document(name))] * 3)
        assert sorted(each.status for each in replies) == [202, 409, 409], replies
        invariants.check(springboard, name)
        assert springboard.call("DELETE", f"/environments/{name}").status == 202
        assert springboard.call("POST", "/environments", document(name)).status == 409  # while it is deleted
        invariants.gone(springboard, name)
    springboard.clock.advance(900)
    for number in range(6):
        invariants.nothing_left(springboard, f"posts{number}", before)


@pytest.mark.sweep
def test_f12_f34_of_puts_with_the_same_if_match_exactly_one_wins_and_a_deletion_beats_a_change(
    springboard: Springboard,
) -> None:
    before = inventory(springboard.client)
    assert springboard.apply(document("puts")).phase == "Ready"
    for number in range(5):
        etag = springboard.call("GET", "/environments/puts").headers["ETag"]

        def put(label: str, etag: str = etag) -> Reply:
            wanted = document("puts")
            wanted["metadata"]["labels"] = {"team": label}
            return springboard.call("PUT", "/environments/puts", wanted, **{"If-Match": etag})

        replies = at_once(partial(put, f"a{number}"), partial(put, f"b{number}"))
        statuses = sorted(each.status for each in replies)
        assert statuses[0] == 202, replies
        assert statuses[1] in {409, 412}, replies
        invariants.check(springboard, "puts")
        assert invariants.at_rest(springboard, "puts").phase == "Ready"
        team = springboard.get("puts").document["metadata"]["labels"]["team"]
        [won] = [
            label for label, reply in zip((f"a{number}", f"b{number}"), replies, strict=True) if reply.status == 202
        ]
        assert team == won
    etag = springboard.call("GET", "/environments/puts").headers["ETag"]
    without = springboard.call("PUT", "/environments/puts", document("puts"))
    assert without.status == 428
    change, deletion = at_once(lambda: put("c", etag), lambda: springboard.call("DELETE", "/environments/puts"))
    assert change.status in {202, 409, 412}, change
    assert deletion.status in {202, 409}, deletion
    if deletion.status == 409:  # the change came between its look and its wish
        assert springboard.call("DELETE", "/environments/puts").status == 202
    invariants.gone(springboard, "puts")
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, "puts", before)


def deleted_after(springboard: Springboard, name: str, seconds: float) -> None:
    """A DELETE in the middle of a create: it takes over and leaves nothing."""
    springboard.clock.advance(7200)  # what other stories have left half made at AWS comes to rest
    before = inventory(springboard.client)
    assert springboard.send(document(name)).status == 202
    springboard.clock.advance(seconds)
    assert springboard.call("DELETE", f"/environments/{name}").status == 202
    invariants.check(springboard, name)
    invariants.gone(springboard, name)
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, name, before)


@pytest.mark.sweep
@pytest.mark.parametrize("seconds", MOMENTS)
def test_f34_a_deletion_takes_over_at_any_time(springboard: Springboard, seconds: float) -> None:
    deleted_after(springboard, f"mid{seconds}", seconds)


@pytest.mark.sweep
@pytest.mark.parametrize("seconds", [5, 70, 200])
def test_f34_a_deletion_takes_over_from_a_change(springboard: Springboard, seconds: float) -> None:
    springboard.clock.advance(7200)
    before = inventory(springboard.client)
    name = f"turn{seconds}"
    assert springboard.apply(document(name)).phase == "Ready"
    more = document(name, nodeGroups=[{"name": "workers", "size": 2}, {"name": "more", "size": 1}])
    more["spec"]["apps"][0]["host"] = f"other-{name}.dev.example.com"
    assert springboard.send(more).status == 202
    springboard.clock.advance(seconds)
    assert springboard.call("DELETE", f"/environments/{name}").status == 202
    assert springboard.send(document(name)).status == 409
    invariants.check(springboard, name)
    invariants.gone(springboard, name)
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, name, before)


@pytest.mark.slow
def test_f34_a_deletion_takes_over_at_some_time(springboard: Springboard) -> None:
    """SPRINGBOARD_SEED chooses another one."""
    seconds = random.Random(SEED).randrange(900)  # noqa: S311 - a sample, not a secret
    print(f"seed {SEED}: deleted after {seconds} s")  # noqa: T201 - shown where it fails
    deleted_after(springboard, "sometime", seconds)


@pytest.mark.sweep
@pytest.mark.parametrize("then", ["sweep", "DELETE", "cancel"])
def test_f13_f41_an_operation_that_never_started_is_started_or_gives_way(springboard: Springboard, then: str) -> None:
    springboard.clock.advance(7200)
    before = inventory(springboard.client)
    name = f"never-{then.lower()}"
    fault = springboard.cloud.pipeline.inject(
        Rule("states", "error", "StartExecution", times=9, code="InternalFailure")
    )
    assert springboard.send(document(name)).status == 202
    assert fault.struck > 0
    springboard.cloud.pipeline.clear_faults()
    operation = springboard.get(name).operation
    if then == "sweep":
        assert invariants.at_rest(springboard, name).phase == "Ready"
        invariants.unchanged(springboard, document(name))
    if then == "cancel":
        told = springboard.call("POST", f"/environments/{name}/cancel").document["status"]
        assert (told["phase"], told["operation"]["status"]) == ("Failed", "Cancelled"), told
        assert springboard.act(name, "retry").phase == "Ready"
    assert springboard.call("DELETE", f"/environments/{name}").status == 202
    if then == "DELETE":
        assert springboard.get(name).operation["kind"] == "Delete"
    invariants.gone(springboard, name)
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, name, before)
    executed = springboard.client("stepfunctions").list_executions(
        stateMachineArn=springboard.outputs["ProvisionMachineArn"]
    )
    assert (operation["id"] in {each["name"] for each in executed["executions"]}) == (then == "sweep")
