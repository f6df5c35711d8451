"""Access entries and policies, and the bearer tokens of `aws eks get-token`."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.signers import RequestSigner

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.kubernetes.lane import Attributes, User
from tests.local.eks.test_clusters import refused

if TYPE_CHECKING:
    from tests.local.eks.conftest import Account

EDIT, VIEW, ADMIN, CLUSTER_ADMIN, ADMIN_VIEW = (
    f"arn:aws:eks::aws:cluster-access-policy/AmazonEKS{name}Policy"
    for name in ("Edit", "View", "Admin", "ClusterAdmin", "AdminView")
)


def session_of(account: Account, role: str) -> boto3.Session:
    keys = account.client("sts").assume_role(RoleArn=account.role(role), RoleSessionName="somebody")["Credentials"]
    return boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name=REGION)


def token(
    session: boto3.Session, cluster: str = "shop", *, endpoint: str = "https://sts.eu-west-1.amazonaws.com"
) -> str:
    """A token as the AWS CLI makes it."""
    client = session.client("sts")
    signer = RequestSigner(
        client.meta.service_model.service_id, REGION, "sts", "v4", session.get_credentials(), session.events
    )
    request = {
        "method": "GET",
        "url": f"{endpoint}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": cluster},
        "context": {},
    }
    url = signer.generate_presigned_url(request, region_name=REGION, expires_in=60, operation_name="")
    client.close()
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def entry(
    account: Account, role: str = "viewer", policy: str = "", namespaces: tuple[str, ...] = (), **more: Any
) -> None:
    """An access entry that is effective, with a policy if one is named."""
    principal = account.role(role)
    account.eks.create_access_entry(clusterName="shop", principalArn=principal, **more)
    if policy:
        scope = {"type": "namespace", "namespaces": list(namespaces)} if namespaces else {"type": "cluster"}
        account.eks.associate_access_policy(
            clusterName="shop", principalArn=principal, policyArn=policy, accessScope=scope
        )
    account.clock.advance(11)


def test_a_token_stands_for_the_roles_entry(account: Account) -> None:
    account.cluster()
    entry(account, kubernetesGroups=["springboard:viewers"])
    user = account.plane().review(token(session_of(account, "viewer")))
    assert user is not None
    assert user.username == f"arn:aws:sts::{ACCOUNT}:assumed-role/viewer/somebody"
    assert user.groups == ("springboard:viewers", "system:authenticated")
    assert user.extra["canonicalArn"] == (account.role("viewer"),)


def test_an_entry_counts_after_some_seconds(account: Account) -> None:
    account.cluster()
    account.eks.create_access_entry(clusterName="shop", principalArn=account.role("viewer"))
    bearer = token(session_of(account, "viewer"))
    assert account.plane().review(bearer) is None
    account.clock.advance(5)
    assert account.plane().review(bearer) is not None
    account.eks.delete_access_entry(clusterName="shop", principalArn=account.role("viewer"))
    assert account.plane().review(bearer) is None


def test_tokens_that_are_worth_nothing(account: Account) -> None:
    account.cluster()
    entry(account)
    review = account.plane().review
    session = session_of(account, "viewer")
    good = token(session)
    assert review(good) is not None
    assert review(token(session, "other")) is None  # made for another cluster
    assert review(good[:-8] + "AAAAAAAA") is None
    assert review("k8s-aws-v1.nonsense!") is None
    assert review("nonsense") is None
    keys = session.get_credentials().get_frozen_credentials()
    forged = boto3.Session(keys.access_key, "x" * 40, keys.token, region_name=REGION)
    assert review(token(forged)) is None
    assert review(token(session_of(account, "creator"))) is None  # has no entry


def test_an_old_token_is_refused(account: Account) -> None:
    account.cluster()
    entry(account)
    url = base64.urlsafe_b64decode(token(session_of(account, "viewer")).removeprefix("k8s-aws-v1.") + "==").decode()
    day = url.partition("X-Amz-Date=")[2][:16]
    old = url.replace(day, "20260101T000000Z")
    assert account.plane().review("k8s-aws-v1." + base64.urlsafe_b64encode(old.encode()).decode()) is None


def test_the_creator_is_administrator_unless_told_otherwise(account: Account) -> None:
    account.cluster(accessConfig={"authenticationMode": "API"})
    assert account.eks.list_access_entries(clusterName="shop")["accessEntries"] == [account.role("creator")]
    found = account.eks.list_associated_access_policies(clusterName="shop", principalArn=account.role("creator"))
    assert [each["policyArn"] for each in found["associatedAccessPolicies"]] == [CLUSTER_ADMIN]


def allowed(
    account: Account, verb: str, resource: str, namespace: str = "", group: str = "", *, role: str = "viewer"
) -> bool:
    user = User("x", (), "", {"canonicalArn": (account.role(role),)})
    return account.plane().allow(Attributes(user, verb, group, resource, namespace))


def test_the_view_policy_reads_pods_and_no_secrets(account: Account) -> None:
    account.cluster()
    entry(account, policy=VIEW)
    assert allowed(account, "list", "pods", "shop")
    assert allowed(account, "get", "deployments", "shop", "apps")
    assert not allowed(account, "delete", "pods", "shop")
    assert not allowed(account, "get", "secrets", "shop")
    assert not allowed(account, "list", "nodes")


def test_the_edit_policy_in_its_namespaces(account: Account) -> None:
    account.cluster()
    entry(account, policy=EDIT, namespaces=("shop", "dev-*"))
    assert allowed(account, "patch", "deployments", "shop", "apps")
    assert allowed(account, "get", "secrets", "dev-1")
    assert allowed(account, "create", "pods/exec", "shop")
    assert not allowed(account, "patch", "deployments", "kube-system", "apps")
    assert not allowed(account, "create", "namespaces", "shop")
    assert not allowed(account, "create", "pods/eviction", "shop")
    assert not allowed(account, "create", "rolebindings", "shop", "rbac.authorization.k8s.io")


def test_the_admin_policies(account: Account) -> None:
    account.cluster()
    entry(account, policy=ADMIN)
    entry(account, role="creator", policy=CLUSTER_ADMIN)
    assert allowed(account, "create", "rolebindings", "shop", "rbac.authorization.k8s.io")
    assert not allowed(account, "create", "namespaces")
    assert not allowed(account, "list", "nodes")
    assert not allowed(account, "create", "pods/eviction", "shop")
    assert allowed(account, "create", "pods/eviction", "shop", role="creator")
    assert allowed(account, "delete", "nodes", role="creator")


def test_a_policy_can_change_its_scope_and_go(account: Account) -> None:
    account.cluster()
    entry(account, policy=VIEW)
    account.eks.associate_access_policy(
        clusterName="shop",
        principalArn=account.role("viewer"),
        policyArn=VIEW,
        accessScope={"type": "namespace", "namespaces": ["shop"]},
    )
    account.clock.advance(11)
    assert not allowed(account, "list", "pods", "other")
    account.eks.disassociate_access_policy(clusterName="shop", principalArn=account.role("viewer"), policyArn=VIEW)
    assert not allowed(account, "list", "pods", "shop")


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"principalArn": "nonsense"}, "InvalidParameterException", "invalid principal"),
        ({"principalArn": f"arn:aws:iam::{ACCOUNT}:role/none"}, "InvalidParameterException", "invalid principal"),
        ({"kubernetesGroups": ["system:masters"]}, "InvalidParameterException", "cannot start with system:"),
        ({"type": "NONSENSE"}, "InvalidParameterException", "type NONSENSE"),
        (
            {"type": "EC2_LINUX", "principalArn": f"arn:aws:iam::{ACCOUNT}:root"},
            "InvalidParameterException",
            "must be a role",
        ),
        ({"type": "EC2_LINUX", "username": "x"}, "InvalidParameterException", "EC2_LINUX"),
    ],
)
def test_bad_entries_name_what_is_wrong(account: Account, more: dict[str, Any], code: str, words: str) -> None:
    account.cluster()
    parameters = {"clusterName": "shop", "principalArn": account.role("viewer"), **more}
    found, message = refused(account.eks.create_access_entry, **parameters)
    assert found == code
    assert words in message


def test_a_second_entry_and_an_unknown_one(account: Account) -> None:
    account.cluster()
    entry(account)
    code, _ = refused(account.eks.create_access_entry, clusterName="shop", principalArn=account.role("viewer"))
    assert code == "ResourceInUseException"
    code, _ = refused(account.eks.describe_access_entry, clusterName="shop", principalArn=account.role("creator"))
    assert code == "ResourceNotFoundException"


def test_entries_need_a_mode_that_has_them(account: Account) -> None:
    account.cluster(accessConfig={"authenticationMode": "CONFIG_MAP"})
    code, message = refused(account.eks.create_access_entry, clusterName="shop", principalArn=account.role("viewer"))
    assert code == "InvalidRequestException"
    assert "authentication mode" in message


def test_eks_makes_the_entry_of_the_nodes_role(account: Account) -> None:
    account.cluster()
    account.addon("vpc-cni")
    account.nodegroup()
    found = account.eks.describe_access_entry(clusterName="shop", principalArn=account.role("node"))["accessEntry"]
    assert (found["type"], found["kubernetesGroups"]) == ("EC2_LINUX", ["system:nodes"])
    assert found["username"] == "system:node:{{EC2PrivateDNSName}}"


def test_pod_identity_associations(account: Account) -> None:
    account.cluster()
    parameters = {
        "clusterName": "shop",
        "namespace": "shop",
        "serviceAccount": "shop",
        "roleArn": account.role("pod"),
    }
    made = account.eks.create_pod_identity_association(**parameters)["association"]
    assert refused(account.eks.create_pod_identity_association, **parameters)[0] == "ResourceInUseException"
    where = {"clusterName": "shop", "associationId": made["associationId"]}
    account.eks.update_pod_identity_association(**where, roleArn=account.role("other"))
    found = account.eks.describe_pod_identity_association(**where)["association"]
    assert found["roleArn"] == account.role("other")
    account.eks.delete_pod_identity_association(**where)
    assert account.eks.list_pod_identity_associations(clusterName="shop")["associations"] == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"roleArn": f"arn:aws:iam::{ACCOUNT}:role/none"}, "Role provided in the request does not exist."),
        ({"roleArn": f"arn:aws:iam::{ACCOUNT}:role/viewer"}, "Trust policy of the role provided is invalid."),
        ({"policy": "{}"}, "A policy needs disableSessionTags to be true."),
        ({"targetRoleArn": "nonsense"}, "The target role ARN is invalid: nonsense"),
    ],
)
def test_bad_associations_name_what_is_wrong(account: Account, more: dict[str, Any], words: str) -> None:
    account.cluster()
    parameters = {"clusterName": "shop", "namespace": "shop", "serviceAccount": "shop", "roleArn": account.role("pod")}
    code, message = refused(account.eks.create_pod_identity_association, **{**parameters, **more})
    assert (code, message) == ("InvalidParameterException", words)
    assert account.eks.list_pod_identity_associations(clusterName="shop")["associations"] == []
    association = account.eks.create_pod_identity_association(**parameters)["association"]
    where = {"clusterName": "shop", "associationId": association["associationId"]}
    assert refused(account.eks.update_pod_identity_association, **where, **more)[1] == words


def test_an_association_with_a_target_role_has_an_external_id(account: Account) -> None:
    account.cluster()
    made = account.eks.create_pod_identity_association(
        clusterName="shop",
        namespace="front",
        serviceAccount="web",
        roleArn=account.role("pod"),
        targetRoleArn="arn:aws:iam::444455556666:role/target",
    )["association"]
    assert made["externalId"] == f"eu-west-1/{ACCOUNT}/shop/front/web"
