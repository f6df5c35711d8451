"""What AWS refuses because it does not know yet of what was just made, or because something else is under way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from springboard.aws.autoscaling import AutoScaling
from springboard.aws.eks import Eks
from springboard.errors import RefusedError, UnavailableError

PRINCIPAL = "arn:aws:iam::111122223333:role/alice"


def refusing(operation: str, code: str) -> Any:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "said EKS"}}, operation)

    return SimpleNamespace(**{operation: refuse})


def test_f6_an_access_entry_that_eks_does_not_know_yet_is_waited_for() -> None:
    scope = {"type": "cluster"}
    eks = Eks(refusing("associate_access_policy", "ResourceNotFoundException"))
    with pytest.raises(UnavailableError):
        eks.associate_access_policy("sb-shop", PRINCIPAL, "arn:policy", scope)
    eks = Eks(refusing("update_access_entry", "ResourceNotFoundException"))
    with pytest.raises(UnavailableError):
        eks.update_access_entry("sb-shop", PRINCIPAL, [], "token")
    eks = Eks(refusing("associate_access_policy", "InvalidParameterException"))
    with pytest.raises(RefusedError):
        eks.associate_access_policy("sb-shop", PRINCIPAL, "arn:policy", scope)


def test_a_node_group_under_an_update_is_deleted_by_a_later_look() -> None:
    Eks(refusing("delete_nodegroup", "ResourceInUseException")).delete_node_group("sb-shop", "workers")
    with pytest.raises(RefusedError):
        Eks(refusing("delete_nodegroup", "InvalidParameterException")).delete_node_group("sb-shop", "workers")


@pytest.mark.parametrize("gone", [True, False])
def test_an_auto_scaling_group_that_went_meanwhile_is_attached_to_nothing(*, gone: bool) -> None:
    client = refusing("attach_traffic_sources", "ValidationError")
    client.describe_traffic_sources = lambda **_: {"TrafficSources": []}
    if gone:
        client.describe_traffic_sources = refusing(
            "describe_traffic_sources", "ValidationError"
        ).describe_traffic_sources
        AutoScaling(client).attach("asg", ["arn"])
    else:  # another cause: said
        with pytest.raises(RefusedError):
            AutoScaling(client).attach("asg", ["arn"])
