"""Clusters from CREATING to gone."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.local.eks.conftest import Account


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    """Code and message of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_cluster_becomes_active_after_its_time(account: Account) -> None:
    made = account.request_cluster()
    assert made["status"] == "CREATING"
    assert "endpoint" not in made
    account.clock.advance(563)
    assert account.eks.describe_cluster(name="shop")["cluster"]["status"] == "CREATING"
    account.clock.advance(2)
    cluster = account.eks.describe_cluster(name="shop")["cluster"]
    assert cluster["status"] == "ACTIVE"
    assert cluster["endpoint"] == "https://127.0.0.1:6443"
    assert base64.b64decode(cluster["certificateAuthority"]["data"]).startswith(b"-----BEGIN")
    assert cluster["version"] == "1.35"
    assert cluster["resourcesVpcConfig"]["publicAccessCidrs"] == ["0.0.0.0/0"]
    assert cluster["upgradePolicy"] == {"supportType": "EXTENDED"}
    assert account.eks_module.control_plane("shop") is account.plane()
