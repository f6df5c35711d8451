"""A Kubernetes API that fails on request: the embedded lane alone has it; the real API is a genuine server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from springboard_local.kubernetes.lane import User
from tests.local.kubernetes.cluster import Cluster, deny

if TYPE_CHECKING:
    from springboard_local.clock import ManualClock
    from springboard_local.kubernetes.lane import Lane


@pytest.mark.parametrize(("reason", "status"), [("Unauthorized", 401), ("Conflict", 409), ("TooManyRequests", 429)])
def test_the_api_fails_by_choice_so_many_times(bare: Cluster, reason: str, status: int) -> None:
    bare.plane.inject({"kind": "Api", "match": "GET /api/v1/namespaces*", "reason": reason, "times": 2})
    assert bare.get("/version")
    failed = [bare.request("GET", "/api/v1/namespaces/default") for _ in range(2)]
    assert [(each.status, each.body["reason"]) for each in failed] == [(status, reason)] * 2
    assert bare.get("/api/v1/namespaces/default")


def test_an_api_out_of_reach_answers_again_once_that_is_ended(bare: Cluster) -> None:
    fault = {"kind": "Api", "match": "*", "reason": "Unreachable"}
    bare.plane.inject(fault)
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            bare.get("/api/v1/namespaces/default")
    bare.plane.inject({**fault, "reason": ""})
    assert bare.get("/api/v1/namespaces/default")


@pytest.mark.parametrize("times", [0, "3", True])
def test_a_fault_of_the_api_strikes_a_number_of_times(bare: Cluster, times: object) -> None:
    with pytest.raises(ValueError, match="times"):
        bare.plane.inject({"kind": "Api", "reason": "Timeout", "times": times})


@pytest.mark.parametrize(("reason", "made"), [("KillBefore", {"first"}), ("KillAfter", {"first", "second"})])
def test_the_process_that_asks_is_ended_around_a_request(
    lane: Lane, clock: ManualClock, reason: str, made: set[str]
) -> None:
    """Found by the access key of its token; it gets no answer, and the request is served or not."""
    ended: list[str] = []
    user = User("function", ("system:masters",), extra={"accessKeyId": ("ASIA1",)})
    plane = lane.start("test", "1.35", review=lambda _: user, allow=deny, pod_start=lambda: 1.0, kill=ended.append)
    clock.settle()
    cluster = Cluster(plane, clock.settle)
    try:
        plane.inject({"kind": "Api", "match": "POST /api/v1/namespaces", "reason": reason, "skip": 1})
        make(cluster, "first")
        assert ended == []
        with pytest.raises(httpx.RemoteProtocolError):
            make(cluster, "second")
        assert ended == ["ASIA1"]
        names = {each["metadata"]["name"] for each in cluster.get("/api/v1/namespaces")["items"]}
        assert names & {"first", "second", "third"} == made
        make(cluster, "third")
        assert ended == ["ASIA1"], "once is enough"
    finally:
        cluster.close()
        plane.stop()


def make(cluster: Cluster, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    assert cluster.request("POST", "/api/v1/namespaces", body).status == 201


@pytest.mark.parametrize("fault", [{"kind": "Api", "skip": -1}, {"kind": "Pod", "reason": "Error", "skip": 1}])
def test_only_requests_are_let_pass(bare: Cluster, fault: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="skip"):
        bare.plane.inject({"reason": "Timeout", **fault})
