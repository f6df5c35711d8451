"""Every operation of EKS's model is emulated, or refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import botocore.session

from tests.local.eks.test_clusters import refused

if TYPE_CHECKING:
    from tests.local.eks.conftest import Account


def test_each_operation_is_in_exactly_one_of_two_sets(account: Account) -> None:
    del account  # moto may be imported only once its account is set
    from springboard_local.services.eks.responses import EMULATED, REFUSED  # noqa: PLC0415

    model = botocore.session.get_session().get_service_model("eks")
    assert not set(EMULATED) & REFUSED
    assert set(EMULATED) | REFUSED == set(model.operation_names)


def test_what_is_not_emulated_says_so(account: Account) -> None:
    code, message = refused(
        account.eks.create_fargate_profile,
        clusterName="shop",
        fargateProfileName="x",
        podExecutionRoleArn=account.role("node"),
    )
    assert (code, message) == ("NotImplemented", "The local cloud does not emulate eks:CreateFargateProfile.")


def test_what_nobody_can_make_is_listed_empty(account: Account) -> None:
    account.request_cluster()
    assert account.eks.list_fargate_profiles(clusterName="shop")["fargateProfileNames"] == []
    assert account.eks.list_identity_provider_configs(clusterName="shop")["identityProviderConfigs"] == []
    assert account.eks.list_capabilities(clusterName="shop")["capabilities"] == []
