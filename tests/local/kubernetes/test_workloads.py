"""Deployments and their pods, second by virtual second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.local.kubernetes.cluster import (
    DEPLOYMENTS,
    POD_START,
    PODS,
    SERVICES,
    Cluster,
    deployment,
    node,
    service,
)

if TYPE_CHECKING:
    from springboard_local.clock import ManualClock

SHOP = f"{DEPLOYMENTS}/shop"


def condition(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(c for c in obj["status"]["conditions"] if c["type"] == kind)


def waiting_reasons(cluster: Cluster) -> set[str]:
    states = (p["status"].get("containerStatuses", [{}])[0].get("state", {}) for p in cluster.pods())
    return {s["waiting"]["reason"] for s in states if "waiting" in s}


def set_image(cluster: Cluster, image: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "shop", "image": image}]}}}}
    answer = cluster.request("PATCH", SHOP, patch, media_type="application/strategic-merge-patch+json")
    assert answer.status == 200


def test_a_pod_is_created_runs_and_becomes_ready_in_that_order(cluster: Cluster, clock: ManualClock) -> None:
    cluster.create(DEPLOYMENTS, deployment(replicas=1))
    (pod,) = cluster.pods()
    assert pod["status"]["phase"] == "Pending"
    assert waiting_reasons(cluster) == {"ContainerCreating"}
    clock.advance(POD_START * 0.5)
    (pod,) = cluster.pods()
    assert pod["status"]["phase"] == "Running"
    assert condition(pod, "Ready")["status"] == "False"
    clock.advance(POD_START * 0.5)
    (pod,) = cluster.pods()
    assert condition(pod, "Ready")["status"] == "True"
    assert cluster.get(SHOP)["status"]["availableReplicas"] == 1
    assert {"Scheduled", "Pulling", "Pulled", "Created", "Started", "SuccessfulCreate"} <= cluster.events()


def test_pods_spread_over_the_zones(cluster: Cluster, clock: ManualClock) -> None:
    cluster.create(DEPLOYMENTS, deployment())
    clock.advance(POD_START)
    assert len({p["spec"]["nodeName"] for p in cluster.pods()}) == 3


def test_a_pod_that_fits_nowhere_says_why(cluster: Cluster, clock: ManualClock) -> None:
    huge = deployment(replicas=1)
    huge["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "8"
    cluster.create(DEPLOYMENTS, huge)
    clock.advance(1)
    message = condition(cluster.pods()[0], "PodScheduled")["message"]
    assert message.startswith("0/3 nodes are available: 3 Insufficient cpu.")
    cluster.plane.add_node(node(4, cpu="16"), ready=True)
    clock.advance(POD_START + 1)
    assert cluster.get(SHOP)["status"]["readyReplicas"] == 1


def test_a_topology_constraint_keeps_the_skew(cluster: Cluster, clock: ManualClock) -> None:
    spread = deployment(replicas=4)
    constraint = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "shop"}},
    }
    spread["spec"]["template"]["spec"]["topologySpreadConstraints"] = [constraint]
    cluster.plane.cordon(node(3).name)
    cluster.create(DEPLOYMENTS, spread)
    clock.advance(POD_START)
    placed = [p["spec"]["nodeName"] for p in cluster.pods() if p["spec"].get("nodeName")]
    assert sorted(placed.count(n) for n in set(placed)) == [1, 1]
    cluster.plane.cordon(node(3).name, unschedulable=False)
    clock.advance(POD_START)
    assert all(p["spec"].get("nodeName") for p in cluster.pods())


def test_a_rolling_update_never_falls_below_its_floor(cluster: Cluster, clock: ManualClock) -> None:
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    cluster.create(DEPLOYMENTS, deployment(strategy=strategy))
    clock.advance(POD_START + 1)
    set_image(cluster, "shop:2.0")
    floor, ceiling = 3, 0
    for _ in range(100):
        status = cluster.get(SHOP)["status"]
        floor = min(floor, status.get("availableReplicas", 0))
        ceiling = max(ceiling, status["replicas"])
        clock.advance(1)
    assert (floor, ceiling) == (3, 4)
    images = {p["spec"]["containers"][0]["image"] for p in cluster.pods()}
    assert images == {"shop:2.0"}
    assert condition(cluster.get(SHOP), "Progressing")["reason"] == "NewReplicaSetAvailable"
    sets = cluster.get("/apis/apps/v1/namespaces/default/replicasets")["items"]
    revisions = {s["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: s["spec"]["replicas"] for s in sets}
    assert revisions == {"1": 0, "2": 3}


def test_an_image_that_cannot_be_pulled_stops_the_rollout_and_the_old_revision_serves(
    cluster: Cluster, clock: ManualClock
) -> None:
    cluster.create(DEPLOYMENTS, deployment(progressDeadlineSeconds=60))
    cluster.create(SERVICES, service())
    clock.advance(POD_START + 1)
    cluster.plane.inject({"kind": "Image", "match": "shop:2.*", "reason": "ImagePullBackOff"})
    set_image(cluster, "shop:2.0")
    clock.advance(59)
    assert condition(cluster.get(SHOP), "Progressing")["status"] == "True"
    clock.advance(30)
    assert waiting_reasons(cluster) <= {"ImagePullBackOff", "ErrImagePull"}
    progressing = condition(cluster.get(SHOP), "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")
    ready = [b for b in cluster.plane.backends(30001) if b.ready]
    assert {b.image for b in ready} == {"shop:1.0"}
    assert len(ready) == 3
    cluster.plane.inject({"kind": "Image", "match": "shop:2.*", "reason": ""})
    clock.advance(200)
    assert {b.image for b in cluster.plane.backends(30001) if b.ready} == {"shop:2.0"}


def test_a_crash_loop_shows_springs_own_failure_report(cluster: Cluster, clock: ManualClock) -> None:
    report = "Web server failed to start. Port 8080 was already in use.\nAction:\nStop the other process."
    cluster.plane.inject({"kind": "Image", "match": "shop:*", "reason": "CrashLoopBackOff", "log": report})
    cluster.create(DEPLOYMENTS, deployment(replicas=1))
    clock.advance(POD_START * 2)
    assert waiting_reasons(cluster) == {"CrashLoopBackOff"}
    (pod,) = cluster.pods()
    status = pod["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 1
    path = f"{PODS}/{pod['metadata']['name']}/log"
    for query in ({}, {"previous": "true"}):
        text = cluster.get(path, **query)["text"]
        assert "APPLICATION FAILED TO START" in text
        assert "Description:\n\nWeb server failed to start. Port 8080 was already in use." in text
        assert "Action:\n\nStop the other process." in text
    clock.advance(10 + POD_START)
    assert cluster.pods()[0]["status"]["containerStatuses"][0]["restartCount"] == 2
    cluster.plane.inject({"kind": "Image", "match": "shop:*", "reason": ""})
    clock.advance(POD_START)
    assert cluster.get(SHOP)["status"]["readyReplicas"] == 1
    assert "Started ShopApplication" in cluster.get(path)["text"]


def test_a_killed_container_says_so(cluster: Cluster, clock: ManualClock) -> None:
    cluster.create(DEPLOYMENTS, deployment(replicas=1))
    clock.advance(POD_START)
    name = cluster.pods()[0]["metadata"]["name"]
    cluster.plane.inject({"kind": "Pod", "match": f"default/{name}", "reason": "OOMKilled"})
    clock.advance(1)
    last = cluster.pods()[0]["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"]) == ("OOMKilled", 137)


def test_a_pod_can_be_made_unready_without_a_restart(cluster: Cluster, clock: ManualClock) -> None:
    cluster.create(DEPLOYMENTS, deployment(replicas=1))
    cluster.create(SERVICES, service())
    clock.advance(POD_START)
    fault = {"kind": "Pod", "match": "default/shop-*"}
    cluster.plane.inject({**fault, "reason": "NotReady"})
    cluster.settle()
    (backend,) = cluster.plane.backends(30001)
    assert (backend.ready, backend.reason) == (False, "ContainersNotReady")
    cluster.plane.inject({**fault, "reason": ""})
    cluster.settle()
    assert cluster.plane.backends(30001)[0].ready


def test_prestop_hooks_hold_a_pod_for_as_long_as_they_sleep(cluster: Cluster, clock: ManualClock) -> None:
    slow = deployment(replicas=1)
    spec = slow["spec"]["template"]["spec"]
    spec["terminationGracePeriodSeconds"] = 60
    spec["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": 30}}}
    cluster.create(DEPLOYMENTS, slow)
    clock.advance(POD_START)
    cluster.merge(SHOP, {"spec": {"replicas": 0}})
    clock.advance(29)
    assert cluster.pods()[0]["metadata"]["deletionTimestamp"]
    clock.advance(5)
    assert cluster.pods() == []


def test_an_autoscaler_raises_a_deployment_to_its_minimum(cluster: Cluster, clock: ManualClock) -> None:
    cluster.create(DEPLOYMENTS, deployment(replicas=1))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    scaler = {"metadata": {"name": "shop"}, "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4}}
    cluster.create("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", scaler)
    clock.advance(POD_START)
    assert cluster.get(SHOP)["status"]["readyReplicas"] == 2


def test_a_job_runs_to_its_end(cluster: Cluster, clock: ManualClock) -> None:
    container = {"name": "migrate", "image": "migrate:1"}
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    cluster.create("/apis/batch/v1/namespaces/default/jobs", {"metadata": {"name": "migrate"}, "spec": spec})
    clock.advance(POD_START + 10)
    status = cluster.get("/apis/batch/v1/namespaces/default/jobs/migrate")["status"]
    assert status["succeeded"] == 1
    assert cluster.pods()[0]["status"]["phase"] == "Succeeded"
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    rows = cluster.request("GET", "/apis/batch/v1/namespaces/default/jobs", accept=table).body["rows"]
    assert rows[0]["cells"][:3] == ["migrate", "Complete", "1/1"]


def test_cascades_take_dependents_or_leave_them(cluster: Cluster, clock: ManualClock) -> None:
    sets = "/apis/apps/v1/namespaces/default/replicasets"
    for policy, left in (("Background", 0), ("Foreground", 0), ("Orphan", 1)):
        cluster.create(DEPLOYMENTS, deployment(replicas=1))
        clock.advance(POD_START)
        cluster.request("DELETE", SHOP, {"propagationPolicy": policy})
        clock.advance(60)
        assert cluster.request("GET", SHOP).status == 404
        assert (len(cluster.get(sets)["items"]), len(cluster.pods())) == (left, left)


def test_a_namespace_goes_with_all_that_is_in_it(cluster: Cluster, clock: ManualClock) -> None:
    cluster.create("/api/v1/namespaces", {"metadata": {"name": "brief"}})
    cluster.create("/apis/apps/v1/namespaces/brief/deployments", deployment())
    clock.advance(POD_START)
    answer = cluster.request("DELETE", "/api/v1/namespaces/brief")
    assert answer.body["status"]["phase"] == "Terminating"
    refused = cluster.request("POST", "/api/v1/namespaces/brief/configmaps", {"metadata": {"name": "late"}})
    assert refused.status == 403
    assert "because it is being terminated" in refused.message
    clock.advance(60)
    assert cluster.request("GET", "/api/v1/namespaces/brief").status == 404
    assert cluster.request("DELETE", "/api/v1/namespaces/kube-system").status == 403


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
