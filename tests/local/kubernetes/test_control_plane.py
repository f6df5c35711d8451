"""The control plane as a whole, on both lanes: start, stop, version, nodes, and what goes wrong on purpose."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.local.kubernetes.cluster import (
    BOTH_LANES,
    DEPLOYMENTS,
    PODS,
    SERVICES,
    Cluster,
    deny,
    deployment,
    node,
    review,
    service,
)

if TYPE_CHECKING:
    from springboard_local.kubernetes.lane import Lane

pytestmark = BOTH_LANES


def test_reports_the_version_as_eks_does_and_changes_it_in_place(bare: Cluster) -> None:
    assert bare.get("/version")["gitVersion"].startswith("v1.35.")
    assert "-eks-" in bare.get("/version")["gitVersion"]
    endpoint = bare.plane.endpoint
    bare.create("/api/v1/namespaces", {"metadata": {"name": "kept"}})
    for minor in ("1.36", "1.37", "1.34"):
        bare.plane.set_version(minor)
        assert bare.get("/version")["minor"] == minor.removeprefix("1.")
        assert bare.plane.version == minor
    assert bare.plane.endpoint == endpoint
    assert bare.get("/api/v1/namespaces/kept")["status"]["phase"] == "Active"


def test_clusters_share_a_process_but_nothing_else(lane: Lane) -> None:
    planes = [lane.start(n, "1.37", review=review, allow=deny, pod_start=lambda: 1.0) for n in ("a", "b")]
    planes[0].apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "only-in-a"}})
    assert planes[0].get("v1", "Namespace", "", "only-in-a")
    assert planes[1].get("v1", "Namespace", "", "only-in-a") is None
    assert planes[0].certificate_authority != planes[1].certificate_authority


def test_a_stopped_control_plane_frees_its_port_even_with_a_watch_open(bare: Cluster) -> None:
    port = int(bare.plane.endpoint.rsplit(":", 1)[1])
    with bare.watch("/api/v1/namespaces") as events:
        assert next(events)["type"] == "ADDED"
        bare.plane.stop()
        bare.plane.stop()
        with suppress(httpx.RemoteProtocolError):  # a server that is gone does not end its sentence
            assert all(event["type"] == "ADDED" for event in events)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_closed_lane_refuses_what_comes_late(lane: Lane) -> None:
    plane = lane.start("late", "1.35", review=review, allow=deny, pod_start=lambda: 1.0)
    lane.close()
    lane.close()
    with pytest.raises(RuntimeError):
        plane.nodes()


def test_threads_may_call_at_the_same_time(bare: Cluster) -> None:
    def work(number: int) -> None:
        for turn in range(10):
            manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {}}
            bare.plane.apply({**manifest, "data": {f"thread-{number}": str(turn)}})
            bare.plane.apply({**manifest, "metadata": {"name": f"own-{number}-{turn}"}})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    bare.settle()
    names = [i["metadata"]["name"] for i in bare.get("/api/v1/namespaces/default/configmaps")["items"]]
    assert len([n for n in names if n.startswith("own-")]) == 80


def test_every_namespace_gets_its_service_account_and_root_certificate(bare: Cluster) -> None:
    bare.create("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    bare.until(lambda: bare.request("GET", "/api/v1/namespaces/shop/serviceaccounts/default").status == 200)
    path = "/api/v1/namespaces/shop/configmaps/kube-root-ca.crt"
    bare.until(lambda: bare.request("GET", path).status == 200)
    authority = bare.get(path)["data"]["ca.crt"]
    assert authority == bare.plane.certificate_authority.decode()


def test_nodes_are_idempotent_by_name_and_carry_what_ec2_knows(cluster: Cluster) -> None:
    cluster.plane.add_node(node(1), ready=True)
    nodes = cluster.plane.nodes()
    assert len(nodes) == 3
    assert nodes[0]["metadata"]["labels"]["topology.kubernetes.io/zone"] == "eu-west-1a"
    assert nodes[0]["status"]["nodeInfo"]["kubeletVersion"] == "v1.35.4-eks-1234567"
    assert nodes[0]["spec"]["providerID"].startswith("aws:///eu-west-1a/i-")


def test_pods_wait_for_a_ready_node(bare: Cluster) -> None:
    bare.plane.add_node(node(1), ready=False, reason="NetworkPluginNotReady")
    bare.create(DEPLOYMENTS, deployment(replicas=1))
    bare.until(lambda: any(each["status"].get("conditions") for each in bare.pods()))
    message = bare.pods()[0]["status"]["conditions"][0]["message"]
    assert message.startswith("0/1 nodes are available: 1 node(s) had untolerated taint(s).")
    bare.plane.set_node_ready(node(1).name, ready=True)
    bare.until(lambda: bare.ready() == 1)


def test_a_silent_node_serves_no_more_and_comes_back(cluster: Cluster) -> None:
    cluster.create(DEPLOYMENTS, deployment())
    cluster.create(SERVICES, service())
    cluster.until(lambda: [each.ready for each in cluster.plane.backends(30001)] == [True] * 3)
    busy = cluster.plane.backends(30001)[0].node
    cluster.plane.inject({"kind": "Node", "match": busy, "reason": "NotReady"})
    status = next(each["status"] for each in cluster.plane.nodes() if each["metadata"]["name"] == busy)
    assert {each["status"] for each in status["conditions"]} == {"Unknown"}
    cluster.until(lambda: all(each.ready == (each.node != busy) for each in cluster.plane.backends(30001)))
    cluster.plane.inject({"kind": "Node", "match": busy, "reason": ""})
    assert all(each["status"]["conditions"][-1]["status"] == "True" for each in cluster.plane.nodes())
    cluster.until(lambda: all(each.ready for each in cluster.plane.backends(30001)))


def test_a_removed_node_takes_its_pods_which_come_back_elsewhere(cluster: Cluster) -> None:
    cluster.create(DEPLOYMENTS, deployment())
    cluster.until(lambda: cluster.ready() == 3)
    gone = cluster.pods()[0]["spec"]["nodeName"]
    cluster.plane.remove_node(gone)
    cluster.plane.remove_node(gone)
    assert gone not in {each["metadata"]["name"] for each in cluster.plane.nodes()}
    assert all(each["spec"].get("nodeName") != gone for each in cluster.pods())
    cluster.until(lambda: len(cluster.pods()) == 3 and cluster.ready() == 3)


def test_eviction_honours_a_budget_and_names_it(cluster: Cluster) -> None:
    cluster.create(DEPLOYMENTS, deployment(replicas=2))
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    budget = {"metadata": {"name": "shop"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "shop"}}}}
    cluster.create(budgets, budget)
    cluster.until(lambda: cluster.get(f"{budgets}/shop").get("status", {}).get("currentHealthy") == 2)
    busy = cluster.pods()[0]["spec"]["nodeName"]
    on_it = [each["metadata"]["name"] for each in cluster.pods() if each["spec"]["nodeName"] == busy]
    cluster.plane.cordon(busy)
    assert {(each.outcome, each.budget) for each in cluster.plane.evict(busy)} == {("blocked", "shop")}
    answer = cluster.request("POST", f"{PODS}/{on_it[0]}/eviction", {"metadata": {"name": on_it[0]}})
    assert (answer.status, answer.body["reason"]) == (429, "TooManyRequests")
    causes = answer.body["details"]["causes"]
    assert causes[0]["message"] == "The disruption budget shop needs 2 healthy pods and has 2 currently"
    cluster.merge(f"{budgets}/shop", {"spec": {"minAvailable": 0}})
    cluster.until(lambda: cluster.get(f"{budgets}/shop")["status"]["disruptionsAllowed"] == 2)
    assert {each.outcome for each in cluster.plane.evict(busy)} == {"evicted"}
    cluster.until(lambda: cluster.plane.evict(busy) == [] and cluster.ready() == 2)
    assert busy not in {each["spec"]["nodeName"] for each in cluster.pods()}
    cluster.plane.cordon(busy, unschedulable=False)
    cluster.until(lambda: not any(each["spec"].get("taints") for each in cluster.plane.nodes()))


def test_daemonset_pods_are_on_every_node_and_stay_through_a_drain(cluster: Cluster) -> None:
    agent = deployment("agent", image="agent:1")
    agent["kind"] = "DaemonSet"
    del agent["spec"]["replicas"]
    agent["spec"]["template"]["spec"]["hostNetwork"] = True
    del agent["spec"]["template"]["spec"]["containers"][0]["ports"]
    agent["metadata"]["namespace"] = "kube-system"
    cluster.plane.apply(agent)

    def ready() -> int:
        status = cluster.get("/apis/apps/v1/namespaces/kube-system/daemonsets/agent")["status"]
        return int(status["numberReady"])

    cluster.until(lambda: ready() == 3)
    assert cluster.plane.evict(node(1).name) == []
    cluster.plane.add_node(node(4), ready=True)
    cluster.until(lambda: ready() == 4)
    cluster.plane.delete(agent)
    cluster.plane.delete(agent)
    assert cluster.plane.get("apps/v1", "DaemonSet", "kube-system", "agent") is None
    cluster.until(lambda: cluster.pods("kube-system") == [])


def waiting(cluster: Cluster) -> set[str]:
    """Why containers wait."""
    statuses = [status for pod in cluster.pods() for status in pod["status"].get("containerStatuses", ())]
    return {status["state"]["waiting"]["reason"] for status in statuses if "waiting" in status["state"]}


def test_an_image_that_cannot_be_pulled_says_so_until_it_can(cluster: Cluster) -> None:
    cluster.plane.inject({"kind": "Image", "match": "shop:*", "reason": "ImagePullBackOff"})
    cluster.create(DEPLOYMENTS, deployment(replicas=1))
    cluster.create(SERVICES, service())
    cluster.until(lambda: waiting(cluster) == {"ImagePullBackOff"})
    assert cluster.pods()[0]["status"]["phase"] == "Pending"
    assert [(each.ready, each.reason) for each in cluster.plane.backends(30001)] == [(False, "ImagePullBackOff")]
    assert {"Failed", "BackOff"} <= cluster.events()
    cluster.plane.inject({"kind": "Image", "match": "shop:*", "reason": ""})
    cluster.until(lambda: cluster.ready() == 1)


def test_a_crash_loop_tells_its_cause_in_the_log_of_either_run(cluster: Cluster) -> None:
    report = "Port 8080 was already in use.\nAction:\nStop the other process."
    cluster.plane.inject({"kind": "Image", "match": "shop:*", "reason": "CrashLoopBackOff", "log": report})
    cluster.create(DEPLOYMENTS, deployment(replicas=1))
    cluster.until(lambda: waiting(cluster) == {"CrashLoopBackOff"})
    (pod,) = cluster.pods()
    status = pod["status"]["containerStatuses"][0]
    assert status["restartCount"] >= 1
    assert status["lastState"]["terminated"]["exitCode"] == 1
    for query in ({}, {"previous": "true"}):
        text = cluster.get(f"{PODS}/{pod['metadata']['name']}/log", **query)["text"]
        assert "APPLICATION FAILED TO START" in text
        assert "Description:\n\nPort 8080 was already in use." in text
    last = cluster.get(f"{PODS}/{pod['metadata']['name']}/log", tailLines="1", timestamps="true")["text"]
    assert last.count("\n") == 1


def test_a_container_out_of_memory_is_killed_with_137(cluster: Cluster) -> None:
    cluster.create(DEPLOYMENTS, deployment(replicas=1))
    cluster.until(lambda: cluster.ready() == 1)
    name = cluster.pods()[0]["metadata"]["name"]
    cluster.plane.inject({"kind": "Pod", "match": f"default/{name}", "reason": "OOMKilled"})

    def ended() -> dict[str, Any]:
        status = cluster.pods()[0]["status"]["containerStatuses"][0]
        found: dict[str, Any] = status["lastState"].get("terminated", {})
        return found

    cluster.until(lambda: bool(ended()))
    assert (ended()["reason"], ended()["exitCode"]) == ("OOMKilled", 137)


def test_a_pod_can_be_made_unschedulable_and_schedulable_again(cluster: Cluster) -> None:
    cluster.plane.inject({"kind": "Pod", "match": "default/shop-*", "reason": "Unschedulable"})
    cluster.create(DEPLOYMENTS, deployment(replicas=1))

    def scheduled() -> tuple[str, str] | None:
        found = [each for pod in cluster.pods() for each in pod["status"].get("conditions") or ()]
        return next(
            ((each["status"], each.get("reason", "")) for each in found if each["type"] == "PodScheduled"), None
        )

    cluster.until(lambda: scheduled() is not None)
    assert scheduled() == ("False", "Unschedulable")
    assert cluster.pods()[0]["spec"].get("nodeName") is None
    cluster.plane.inject({"kind": "Pod", "match": "default/shop-*", "reason": ""})
    cluster.until(lambda: cluster.ready() == 1)


def test_the_log_of_a_container_that_has_not_started_says_why(cluster: Cluster) -> None:
    cluster.plane.inject({"kind": "Image", "match": "*", "reason": "ErrImagePull"})
    cluster.create(DEPLOYMENTS, deployment(replicas=1))
    cluster.until(lambda: waiting(cluster) == {"ImagePullBackOff"})
    answer = cluster.request("GET", f"{PODS}/{cluster.pods()[0]['metadata']['name']}/log")
    assert answer.status == 400
    assert "is waiting to start: trying and failing to pull image" in answer.message


@pytest.mark.parametrize("condition", [{"kind": "Moon", "reason": "Full"}, {"kind": "Image", "reason": "Odd"}])
def test_only_known_faults_can_be_injected(bare: Cluster, condition: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="unknown"):
        bare.plane.inject(condition)


def test_a_network_policy_decides_whether_node_addresses_reach_the_pods(cluster: Cluster) -> None:
    cluster.create(DEPLOYMENTS, deployment())
    cluster.create(SERVICES, service())
    cluster.until(lambda: [each.ready for each in cluster.plane.backends(30001)] == [True] * 3)
    path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"

    def admitted() -> set[bool]:
        return {backend.admits_vpc for backend in cluster.plane.backends(30001)}

    assert admitted() == {True}
    policy = {"metadata": {"name": "shop"}, "spec": {"podSelector": {"matchLabels": {"app": "shop"}}, "ingress": []}}
    cluster.create(path, policy)
    cluster.until(lambda: admitted() == {False})

    def put_rule(port: int, cidr: str) -> None:
        rule = {"from": [{"ipBlock": {"cidr": cidr}}], "ports": [{"port": port}]}
        cluster.merge(f"{path}/shop", {"spec": {"ingress": [rule]}})

    put_rule(8080, "10.0.0.0/16")
    cluster.until(lambda: admitted() == {True})
    put_rule(8081, "10.0.0.0/16")
    cluster.until(lambda: admitted() == {False})
    put_rule(8080, "10.0.0.0/8")
    cluster.until(lambda: admitted() == {True})
    put_rule(8080, "192.168.0.0/16")
    cluster.until(lambda: admitted() == {False})
    assert cluster.plane.backends(30002) == []
