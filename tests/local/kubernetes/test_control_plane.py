"""The control plane as a whole: start, stop, version, nodes, and what goes wrong on purpose."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.local.kubernetes.cluster import (
    DEPLOYMENTS,
    POD_START,
    SERVICES,
    Cluster,
    deny,
    deployment,
    node,
    review,
    service,
)

if TYPE_CHECKING:
    from springboard_local.clock import ManualClock
    from springboard_local.kubernetes.embedded import EmbeddedLane


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


def test_clusters_share_a_process_but_nothing_else(lane: EmbeddedLane) -> None:
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
        assert all(event["type"] == "ADDED" for event in events)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_closed_lane_refuses_what_comes_late(lane: EmbeddedLane) -> None:
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
    assert bare.get("/api/v1/namespaces/shop/serviceaccounts/default")
    authority = bare.get("/api/v1/namespaces/shop/configmaps/kube-root-ca.crt")["data"]["ca.crt"]
    assert authority == bare.plane.certificate_authority.decode()


def test_nodes_are_idempotent_by_name_and_carry_what_ec2_knows(cluster: Cluster) -> None:
    cluster.plane.add_node(node(1), ready=True)
    nodes = cluster.plane.nodes()
    assert len(nodes) == 3
    assert nodes[0]["metadata"]["labels"]["topology.kubernetes.io/zone"] == "eu-west-1a"
    assert nodes[0]["status"]["nodeInfo"]["kubeletVersion"] == "v1.35.4-eks-1234567"
    assert nodes[0]["spec"]["providerID"].startswith("aws:///eu-west-1a/i-")


def test_pods_wait_for_a_ready_node(bare: Cluster, clock: ManualClock) -> None:
    bare.plane.add_node(node(1), ready=False, reason="NetworkPluginNotReady")
    bare.create(DEPLOYMENTS, deployment(replicas=1))
    clock.advance(100)
    message = bare.pods()[0]["status"]["conditions"][0]["message"]
    assert message.startswith("0/1 nodes are available: 1 node(s) had untolerated taint(s).")
    bare.plane.set_node_ready(node(1).name, ready=True)
    clock.advance(POD_START + 1)
    assert bare.get(f"{DEPLOYMENTS}/shop")["status"]["readyReplicas"] == 1


def test_a_silent_node_loses_its_pods_after_five_minutes(cluster: Cluster, clock: ManualClock) -> None:
    cluster.create(DEPLOYMENTS, deployment())
    cluster.create(SERVICES, service())
    clock.advance(POD_START + 1)
    assert [b.ready for b in cluster.plane.backends(30001)] == [True, True, True]
    silent = node(1).name
    cluster.plane.inject({"kind": "Node", "match": "ip-10-0-1-*", "reason": "NotReady"})
    clock.advance(1)
    assert sorted((b.node == silent, b.ready) for b in cluster.plane.backends(30001)) == [
        (False, True),
        (False, True),
        (True, False),
    ]
    clock.advance(300 + POD_START + 5)
    assert cluster.get(f"{DEPLOYMENTS}/shop")["status"]["readyReplicas"] == 3
    cluster.plane.inject({"kind": "Node", "match": "ip-10-0-1-*", "reason": ""})
    clock.advance(60)
    assert all(n["status"]["conditions"][-1]["status"] == "True" for n in cluster.plane.nodes())
    assert len(cluster.pods()) == 3


def test_a_removed_node_takes_its_pods_which_come_back_elsewhere(cluster: Cluster, clock: ManualClock) -> None:
    cluster.create(DEPLOYMENTS, deployment())
    clock.advance(POD_START + 1)
    cluster.plane.remove_node(node(2).name)
    cluster.plane.remove_node(node(2).name)
    assert all(p["spec"].get("nodeName") != node(2).name for p in cluster.pods())
    clock.advance(POD_START + 1)
    assert cluster.get(f"{DEPLOYMENTS}/shop")["status"]["readyReplicas"] == 3


def test_eviction_honours_a_budget_and_names_it(cluster: Cluster, clock: ManualClock) -> None:
    cluster.create(DEPLOYMENTS, deployment(replicas=2))
    budget = {"metadata": {"name": "shop"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "shop"}}}}
    cluster.create("/apis/policy/v1/namespaces/default/poddisruptionbudgets", budget)
    clock.advance(POD_START + 1)
    busy = cluster.pods()[0]["spec"]["nodeName"]
    cluster.plane.cordon(busy)
    (blocked,) = cluster.plane.evict(busy)
    assert (blocked.outcome, blocked.budget) == ("blocked", "shop")
    pod = cluster.pods()[0]["metadata"]["name"]
    answer = cluster.request("POST", f"/api/v1/namespaces/default/pods/{pod}/eviction", {"metadata": {"name": pod}})
    assert (answer.status, answer.body["reason"]) == (429, "TooManyRequests")
    causes = answer.body["details"]["causes"]
    assert causes[0]["message"] == "The disruption budget shop needs 2 healthy pods and has 2 currently"
    cluster.merge("/apis/policy/v1/namespaces/default/poddisruptionbudgets/shop", {"spec": {"minAvailable": 1}})
    assert [e.outcome for e in cluster.plane.evict(busy)] == ["evicted"]
    clock.advance(POD_START + 40)
    assert cluster.plane.evict(busy) == []
    assert {p["spec"]["nodeName"] for p in cluster.pods()} & {busy} == set()
    cluster.plane.cordon(busy, unschedulable=False)
    cluster.settle()
    assert not any(n["spec"].get("taints") for n in cluster.plane.nodes())


def test_daemonset_pods_are_on_every_node_and_stay_through_a_drain(cluster: Cluster, clock: ManualClock) -> None:
    agent = deployment("agent", image="agent:1")
    agent["kind"] = "DaemonSet"
    del agent["spec"]["replicas"]
    agent["spec"]["template"]["spec"]["hostNetwork"] = True
    agent["metadata"]["namespace"] = "kube-system"
    cluster.plane.apply(agent)
    clock.advance(POD_START + 1)
    status = cluster.get("/apis/apps/v1/namespaces/kube-system/daemonsets/agent")["status"]
    assert (status["desiredNumberScheduled"], status["numberReady"]) == (3, 3)
    assert cluster.plane.evict(node(1).name) == []
    cluster.plane.add_node(node(4), ready=True)
    clock.advance(POD_START + 1)
    assert len(cluster.pods("kube-system")) == 4


@pytest.mark.parametrize("condition", [{"kind": "Moon", "reason": "Full"}, {"kind": "Image", "reason": "Odd"}])
def test_only_known_faults_can_be_injected(bare: Cluster, condition: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="unknown"):
        bare.plane.inject(condition)


def test_a_network_policy_decides_whether_node_addresses_reach_the_pods(cluster: Cluster, clock: ManualClock) -> None:
    cluster.create(DEPLOYMENTS, deployment())
    cluster.create(SERVICES, service())
    clock.advance(POD_START + 1)
    path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"

    def admitted() -> set[bool]:
        return {backend.admits_vpc for backend in cluster.plane.backends(30001)}

    assert admitted() == {True}
    policy = {"metadata": {"name": "shop"}, "spec": {"podSelector": {"matchLabels": {"app": "shop"}}, "ingress": []}}
    cluster.create(path, policy)
    assert admitted() == {False}

    def with_rule(port: int, cidr: str) -> set[bool]:
        rule = {"from": [{"ipBlock": {"cidr": cidr}}], "ports": [{"port": port}]}
        cluster.merge(f"{path}/shop", {"spec": {"ingress": [rule]}})
        return admitted()

    assert with_rule(8080, "10.0.0.0/16") == {True}
    assert with_rule(8081, "10.0.0.0/16") == {False}
    assert with_rule(8080, "192.168.0.0/16") == {False}
    assert cluster.plane.backends(30002) == []
