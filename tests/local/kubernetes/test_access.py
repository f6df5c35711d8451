"""Who may do what: tokens, RBAC, access policies, reviews."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.local.kubernetes.cluster import ADMIN, BOTH_LANES, DEVELOPER, PODS, Cluster, review

if TYPE_CHECKING:
    from collections.abc import Iterator

    from springboard_local.kubernetes.lane import Attributes, Lane

RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1"


def bind(cluster: Cluster, role: str, *, namespace: str = "") -> None:
    """Give the developers a cluster role."""
    body: dict[str, Any] = {
        "metadata": {"name": f"developers-{role}"},
        "roleRef": {"kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "Group", "name": "developers"}],
    }
    path = f"{RBAC}/namespaces/{namespace}/rolebindings" if namespace else f"{RBAC}/clusterrolebindings"
    cluster.create(path, body)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez", "/version"])
def test_health_and_version_are_for_everybody(bare: Cluster, path: str) -> None:
    assert bare.request("GET", path, token="").status == 200


@BOTH_LANES
@pytest.mark.parametrize("token", ["", "nobody-knows-it"])
def test_without_a_known_token_all_else_is_a_401(bare: Cluster, token: str) -> None:
    answer = bare.request("GET", PODS, token=token)
    assert (answer.status, answer.body["reason"], answer.message) == (401, "Unauthorized", "Unauthorized")


@BOTH_LANES
def test_a_403_says_who_what_and_where(bare: Cluster) -> None:
    answer = bare.request("GET", PODS, token=DEVELOPER)
    assert answer.status == 403
    assert answer.message == (
        'pods is forbidden: User "developer" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    answer = bare.request("GET", "/api/v1/nodes", token=DEVELOPER)
    assert answer.message.endswith('cannot list resource "nodes" in API group "" at the cluster scope')
    answer = bare.request("GET", f"{PODS}/x/log", token=DEVELOPER)
    assert answer.message.startswith('pods "x" is forbidden: User "developer" cannot get resource "pods/log"')


def test_the_view_role_reads_and_does_not_write_or_see_secrets(bare: Cluster) -> None:
    bind(bare, "view", namespace="default")
    assert bare.request("GET", PODS, token=DEVELOPER).status == 200
    assert bare.request("DELETE", f"{PODS}/x", token=DEVELOPER).status == 403
    assert bare.request("GET", "/api/v1/namespaces/default/secrets", token=DEVELOPER).status == 403
    assert bare.request("GET", "/api/v1/namespaces/kube-system/pods", token=DEVELOPER).status == 403


def test_the_edit_role_writes_workloads_but_no_roles(bare: Cluster) -> None:
    bind(bare, "edit")
    body = {"metadata": {"name": "c"}}
    assert bare.request("POST", "/api/v1/namespaces/default/configmaps", body, token=DEVELOPER).status == 201
    role = {"metadata": {"name": "r"}, "rules": []}
    assert bare.request("POST", f"{RBAC}/namespaces/default/roles", role, token=DEVELOPER).status == 403
    assert bare.request("GET", "/api/v1/nodes", token=DEVELOPER).status == 403


def test_access_reviews_answer_for_oneself_and_for_others(bare: Cluster) -> None:
    bind(bare, "view", namespace="default")

    def ask(path: str, spec: dict[str, Any], token: str) -> dict[str, Any]:
        answer = bare.request("POST", f"{REVIEWS}/{path}", {"spec": spec}, token=token)
        assert answer.status == 201
        status: dict[str, Any] = answer.body["status"]
        return status

    attributes = {"namespace": "default", "verb": "list", "resource": "pods"}
    mine = ask("selfsubjectaccessreviews", {"resourceAttributes": attributes}, DEVELOPER)
    assert mine["allowed"]
    assert mine["reason"].startswith('RBAC: allowed by RoleBinding "developers-view/default" of ClusterRole "view"')
    elsewhere = {**attributes, "namespace": "kube-system"}
    assert not ask("selfsubjectaccessreviews", {"resourceAttributes": elsewhere}, DEVELOPER)["allowed"]
    other = {"user": "someone", "groups": ["developers"], "resourceAttributes": attributes}
    assert ask("subjectaccessreviews", other, ADMIN)["allowed"]
    assert bare.request("POST", f"{REVIEWS}/subjectaccessreviews", {"spec": other}, token=DEVELOPER).status == 403
    rules = ask("selfsubjectrulesreviews", {"namespace": "default"}, DEVELOPER)
    assert any("pods" in rule["resources"] for rule in rules["resourceRules"])
    who = bare.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, token=DEVELOPER)
    assert who.body["status"]["userInfo"]["groups"] == ["developers", "system:authenticated"]


def test_service_accounts_have_tokens_and_names_of_their_own(bare: Cluster) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    token = bare.create(path, {"spec": {"expirationSeconds": 600}})["status"]["token"]
    answer = bare.request("GET", PODS, token=token)
    assert 'User "system:serviceaccount:default:default"' in answer.message
    binding = {
        "metadata": {"name": "account"},
        "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    }
    bare.create(f"{RBAC}/clusterrolebindings", binding)
    assert bare.request("GET", PODS, token=token).status == 200


@pytest.fixture
def guarded(lane: Lane) -> Iterator[tuple[Cluster, list[Attributes]]]:
    """A cluster whose access policies allow the developer to read pods, and what they were asked."""
    asked: list[Attributes] = []

    def allow(attributes: Attributes) -> bool:
        asked.append(attributes)
        return attributes.user.username == "developer" and attributes.resource == "pods" and attributes.verb == "list"

    plane = lane.start("guarded", "1.37", review=review, allow=allow, pod_start=lambda: 1.0)
    cluster = Cluster(plane, lambda: None)
    yield cluster, asked
    cluster.close()


@BOTH_LANES
def test_access_policies_add_to_rbac(guarded: tuple[Cluster, list[Attributes]]) -> None:
    cluster, asked = guarded
    assert cluster.request("GET", PODS, token=DEVELOPER).status == 200
    assert cluster.request("DELETE", f"{PODS}/x", token=DEVELOPER).status == 403
    assert (asked[-1].verb, asked[-1].resource, asked[-1].namespace, asked[-1].name) == (
        "delete",
        "pods",
        "default",
        "x",
    )
    asked.clear()
    assert cluster.request("GET", PODS).status == 200
    assert asked == []


def test_a_labelled_role_adds_to_the_built_in_one(bare: Cluster) -> None:
    bind(bare, "view")
    path = "/apis/storage.k8s.io/v1/storageclasses"
    assert bare.request("GET", path, token=DEVELOPER).status == 403
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    rule = {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["list"]}
    bare.create(f"{RBAC}/clusterroles", {"metadata": {"name": "storage", "labels": labels}, "rules": [rule]})
    assert bare.request("GET", path, token=DEVELOPER).status == 200
