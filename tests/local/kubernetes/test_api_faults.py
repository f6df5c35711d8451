"""A Kubernetes API that fails on request: the embedded lane alone has it; the real API is a genuine server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from tests.local.kubernetes.cluster import Cluster


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
