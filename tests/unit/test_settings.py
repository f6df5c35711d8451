"""Settings that a function starts with, and what it says without them."""

from __future__ import annotations

import pytest

from springboard.runtime import Settings, SettingsError

NEEDED = [
    "ACCOUNT",
    "PREFIX",
    "BASE_DOMAIN",
    "VPC_ID",
    "API_ACCESS_GROUP",
    "CLUSTER_ROLE",
    "NODE_ROLE",
    "WORKLOAD_ROLE",
    "SECRETS_KEY",
    "SCHEDULE_GROUP",
    "SCHEDULE_ROLE",
    "TTL_FUNCTION",
    "DRIFT_FUNCTION",
    "SCHEDULE_DLQ",
    "ALARM_TOPIC",
    "STACK",
    "TABLE",
    "BUS",
    "TOPIC",
]


def variables(**more: str) -> dict[str, str]:
    return {**{f"SPRINGBOARD_{name}": name.lower() for name in NEEDED}, "AWS_REGION": "eu-west-1", **more}


def test_every_missing_variable_is_named_at_once() -> None:
    given = variables()
    del given["SPRINGBOARD_TABLE"], given["SPRINGBOARD_VPC_ID"]
    with pytest.raises(SettingsError, match="SPRINGBOARD_VPC_ID, SPRINGBOARD_TABLE"):
        Settings.read(given)


def test_lists_and_pairs_are_read_and_empty_ones_are_empty() -> None:
    settings = Settings.read(
        variables(
            SPRINGBOARD_PRIVATE_SUBNETS="subnet-1,subnet-2",
            SPRINGBOARD_ADDON_ROLES="vpc-cni=arn:aws:iam::111122223333:role/cni",
            SPRINGBOARD_FUNCTIONS="dns=springboard-dns,cluster=springboard-cluster",
        )
    )
    assert settings.site.private_subnet_ids == ("subnet-1", "subnet-2")
    assert settings.site.addon_role_arns == (("vpc-cni", "arn:aws:iam::111122223333:role/cni"),)
    assert settings.functions == {"dns": "springboard-dns", "cluster": "springboard-cluster"}
    assert settings.site.public_subnet_ids == ()
    assert (settings.site.region, settings.site.log_retention_days) == ("eu-west-1", 90)
