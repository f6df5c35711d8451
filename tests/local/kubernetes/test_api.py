"""The rules of the API: apply, patches, validation, lists, watches, allocation."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.kubernetes.embedded import store
from tests.local.kubernetes.cluster import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    PODS,
    SERVICES,
    Cluster,
    deny,
    deployment,
    review,
    service,
)

if TYPE_CHECKING:
    from pathlib import Path

    from springboard_local.clock import ManualClock
    from springboard_local.kubernetes.embedded import EmbeddedLane

SHOP = f"{DEPLOYMENTS}/shop"


def managers(obj: dict[str, Any]) -> set[tuple[str, str]]:
    return {(m["manager"], m["operation"]) for m in obj["metadata"]["managedFields"]}


# Server-side apply


def test_apply_creates_then_refuses_what_another_manager_owns(bare: Cluster) -> None:
    assert bare.apply(SHOP, deployment(), "springboard").status == 201
    answer = bare.apply(SHOP, deployment(replicas=5), "someone")
    assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    assert answer.message == 'Apply failed with 1 conflict: conflict with "springboard": .spec.replicas'
    assert answer.body["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "springboard"', "field": ".spec.replicas"}
    ]
    forced = bare.apply(SHOP, deployment(replicas=5), "someone", force=True)
    assert forced.body["spec"]["replicas"] == 5
    assert managers(forced.body) >= {("springboard", "Apply"), ("someone", "Apply")}


def test_an_equal_apply_changes_nothing(bare: Cluster) -> None:
    first = bare.apply(CONFIG_MAPS + "/c", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}})
    second = bare.apply(CONFIG_MAPS + "/c", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}})
    assert (first.status, second.status) == (201, 200)
    assert first.body == second.body


def test_what_a_manager_no_longer_speaks_of_goes_unless_shared(bare: Cluster) -> None:
    def config(**data: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "data": data}

    path = CONFIG_MAPS + "/c"
    bare.apply(path, config(mine="1", shared="2"), "one")
    bare.apply(path, config(shared="2", other="3"), "two")
    assert bare.apply(path, config(), "one").body["data"] == {"shared": "2", "other": "3"}
    assert bare.apply(path, config(other="3"), "two").body["data"] == {"other": "3"}


def test_list_items_are_merged_and_pruned_by_their_keys(bare: Cluster) -> None:
    bare.apply(SHOP, deployment(), "one")
    sidecar = {"name": "sidecar", "image": "proxy:1", "env": [{"name": "A", "value": "1"}]}
    env = {"name": "shop", "env": [{"name": "EXTRA", "value": "x"}], "ports": [{"containerPort": 9000}]}

    def extra(*containers: dict[str, Any]) -> dict[str, Any]:
        spec = {"template": {"spec": {"containers": list(containers)}}}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}

    merged = bare.apply(SHOP, extra(env, sidecar), "two").body["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in merged] == ["shop", "sidecar"]
    assert [p["containerPort"] for p in merged[0]["ports"]] == [8080, 9000]
    bare_again = {"name": "shop", "env": [{"name": "EXTRA", "value": "y"}]}
    left = bare.apply(SHOP, extra(bare_again), "two").body["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in left] == ["shop"]
    assert [p["containerPort"] for p in left[0]["ports"]] == [8080]
    assert left[0]["env"] == [{"name": "EXTRA", "value": "y"}]


def test_a_null_in_an_apply_takes_the_field_back_to_its_default(bare: Cluster) -> None:
    bare.apply(SHOP, deployment(replicas=4), "one")
    nulled = deployment()
    nulled["spec"]["replicas"] = None
    assert bare.apply(SHOP, nulled, "one").body["spec"]["replicas"] == 1


def test_apply_needs_a_manager_and_known_fields(bare: Cluster) -> None:
    media = "application/apply-patch+yaml"
    answer = bare.request("PATCH", SHOP, deployment(), media_type=media)
    assert (answer.status, answer.body["details"]["causes"][0]["field"]) == (422, "fieldManager")
    answer = bare.apply(SHOP, deployment(paussed=True))
    assert answer.status == 500
    assert answer.message.endswith(".spec.paussed: field not declared in schema")


def test_updates_are_tracked_field_by_field(bare: Cluster) -> None:
    bare.create(CONFIG_MAPS, {"metadata": {"name": "c", "labels": {"a": "b"}}, "data": {"k": "v"}}, fieldManager="one")
    bare.request(
        "PATCH", CONFIG_MAPS + "/c", {"data": {"k": "w"}}, media_type="application/merge-patch+json", fieldManager="two"
    )
    entries = {m["manager"]: m["fieldsV1"] for m in bare.get(CONFIG_MAPS + "/c")["metadata"]["managedFields"]}
    assert entries["one"] == {"f:data": {}, "f:metadata": {"f:labels": {".": {}, "f:a": {}}}}
    assert entries["two"] == {"f:data": {"f:k": {}}}


# Patches


def test_a_strategic_merge_patch_deletes_and_replaces_list_items(bare: Cluster) -> None:
    bare.create(DEPLOYMENTS, deployment())
    media = "application/strategic-merge-patch+json"

    def patch(container: dict[str, Any]) -> list[dict[str, Any]]:
        spec = {"template": {"spec": {"containers": [container]}}}
        answer = bare.request("PATCH", SHOP, {"spec": spec}, media_type=media)
        assert answer.status == 200, answer.body
        found: list[dict[str, Any]] = answer.body["spec"]["template"]["spec"]["containers"]
        return found

    added = patch({"name": "extra", "image": "extra:1"})
    assert {c["name"] for c in added} == {"shop", "extra"}
    gone = patch({"name": "extra", "$patch": "delete"})
    assert {c["name"] for c in gone} == {"shop"}


def test_a_json_patch_applies_as_a_whole_or_not_at_all(bare: Cluster) -> None:
    bare.create(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"k": "v"}})
    media = "application/json-patch+json"
    test = {"op": "test", "path": "/data/k", "value": "other"}
    write = {"op": "replace", "path": "/data/k", "value": "new"}
    refused = bare.request("PATCH", CONFIG_MAPS + "/c", [write, test], media_type=media)
    assert refused.status == 422
    assert bare.get(CONFIG_MAPS + "/c")["data"] == {"k": "v"}
    accepted = bare.request("PATCH", CONFIG_MAPS + "/c", [write], media_type=media)
    assert accepted.body["data"] == {"k": "new"}
    assert bare.request("PATCH", CONFIG_MAPS + "/c", "x", media_type="text/plain").status == 415


# Writes


def test_a_stale_write_is_refused(bare: Cluster) -> None:
    created = bare.create(CONFIG_MAPS, {"metadata": {"name": "c"}})
    bare.merge(CONFIG_MAPS + "/c", {"data": {"a": "1"}})
    answer = bare.request("PUT", CONFIG_MAPS + "/c", created)
    assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    assert answer.message.startswith('Operation cannot be fulfilled on configmaps "c": the object has been modified')


def test_a_dry_run_shows_the_result_and_stores_nothing(bare: Cluster) -> None:
    answer = bare.request("POST", DEPLOYMENTS, deployment(), dryRun="All")
    assert (answer.status, answer.body["spec"]["revisionHistoryLimit"]) == (201, 10)
    assert bare.request("GET", SHOP).status == 404


@pytest.mark.parametrize(
    ("validation", "status", "warns"), [("Strict", 400, False), ("Warn", 201, True), ("Ignore", 201, False)]
)
def test_unknown_fields_are_refused_warned_of_or_dropped(
    bare: Cluster, validation: str, status: int, *, warns: bool
) -> None:
    body = {"metadata": {"name": "c"}, "dataa": {}}
    answer = bare.request("POST", CONFIG_MAPS, body, fieldValidation=validation)
    assert answer.status == status
    assert ("Warning" in answer.headers) == warns


BAD_OBJECTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "selector": (
        DEPLOYMENTS,
        {**deployment(), "spec": {**deployment()["spec"], "selector": {"matchLabels": {"app": "other"}}}},
        "spec.template.metadata.labels",
    ),
    "negative": (DEPLOYMENTS, deployment(replicas=-1), "spec.replicas"),
    "name": (CONFIG_MAPS, {"metadata": {"name": "Upper_Case"}}, "metadata.name"),
    "no name": (CONFIG_MAPS, {"metadata": {}}, "metadata.name"),
    "label": (CONFIG_MAPS, {"metadata": {"name": "c", "labels": {"a": "not valid!"}}}, "metadata.labels"),
    "key": (CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"a b": ""}}, "data[a b]"),
    "port": (SERVICES, service(node_port=80), "spec.ports[0].nodePort"),
    "no ports": (SERVICES, {"metadata": {"name": "s"}, "spec": {}}, "spec.ports"),
    "budget": (
        "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
        {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "maxUnavailable": 1}},
        "spec",
    ),
    "autoscaler": (
        "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
        {
            "metadata": {"name": "h"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "x"}, "minReplicas": 3, "maxReplicas": 2},
        },
        "spec.maxReplicas",
    ),
    "binding": (
        "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
        {"metadata": {"name": "b"}, "roleRef": {"kind": "Moon", "name": "x"}},
        "roleRef.kind",
    ),
}


@pytest.mark.parametrize("name", BAD_OBJECTS)
def test_a_mistake_is_a_422_that_names_the_field(bare: Cluster, name: str) -> None:
    path, body, field = BAD_OBJECTS[name]
    answer = bare.request("POST", path, body)
    assert (answer.status, answer.body["reason"]) == (422, "Invalid"), answer.body
    assert field in {cause["field"] for cause in answer.body["details"]["causes"]}


def test_a_value_of_the_wrong_type_is_a_400(bare: Cluster) -> None:
    body = deployment()
    body["spec"]["replicas"] = "two"
    answer = bare.request("POST", DEPLOYMENTS, body)
    assert answer.status == 400
    assert (
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
        in answer.message
    )


def test_immutable_fields_stay(bare: Cluster) -> None:
    bare.create(DEPLOYMENTS, deployment())
    patch = {
        "spec": {
            "selector": {"matchLabels": {"app": "shop", "tier": "x"}},
            "template": {"metadata": {"labels": {"tier": "x"}}},
        }
    }
    answer = bare.request("PATCH", SHOP, patch, media_type="application/merge-patch+json")
    assert answer.status == 422
    assert "field is immutable" in answer.message


def test_finalizers_hold_an_object_back(bare: Cluster) -> None:
    bare.create(CONFIG_MAPS, {"metadata": {"name": "c", "finalizers": ["example.com/wait"]}})
    assert bare.request("DELETE", CONFIG_MAPS + "/c").body["metadata"]["deletionTimestamp"]
    assert bare.get(CONFIG_MAPS + "/c")
    bare.merge(CONFIG_MAPS + "/c", {"metadata": {"finalizers": None}})
    assert bare.request("GET", CONFIG_MAPS + "/c").status == 404


# Services


def test_node_ports_are_unique_and_survive_a_change_of_the_port(bare: Cluster) -> None:
    bare.create(SERVICES, service(node_port=30001))
    taken = bare.request("POST", SERVICES, service("other", node_port=30001))
    assert taken.status == 422
    assert "Invalid value: 30001: provided port is already allocated" in taken.message
    ports = [{"name": "http", "port": 8443, "targetPort": "http"}]
    changed = bare.merge(SERVICES + "/shop", {"spec": {"ports": ports}})
    assert changed["spec"]["ports"][0]["nodePort"] == 30001
    bare.request("DELETE", SERVICES + "/shop")
    assert bare.create(SERVICES, service("other", node_port=30001))


def test_cluster_addresses_come_from_the_service_range(bare: Cluster) -> None:
    created = bare.create(SERVICES, service())
    assert created["spec"]["clusterIP"].startswith("172.20.")
    assert bare.get(SERVICES + "/kubernetes")["spec"]["clusterIP"] == "172.20.0.1"
    answer = bare.request(
        "PATCH", SERVICES + "/shop", {"spec": {"clusterIP": "172.20.9.9"}}, media_type="application/merge-patch+json"
    )
    assert answer.status == 422


# Lists and watches


def test_lists_come_in_pages(bare: Cluster) -> None:
    for number in range(5):
        bare.create(CONFIG_MAPS, {"metadata": {"name": f"c{number}"}})
    first = bare.get(CONFIG_MAPS, limit="4")
    assert first["metadata"]["remainingItemCount"] == 2
    second = bare.get(CONFIG_MAPS, limit="4", **{"continue": first["metadata"]["continue"]})
    names = [i["metadata"]["name"] for i in first["items"] + second["items"]]
    assert names == ["c0", "c1", "c2", "c3", "c4", "kube-root-ca.crt"]
    assert "continue" not in second["metadata"]
    token = base64.b64encode(b"nonsense").decode()
    assert bare.request("GET", CONFIG_MAPS, **{"continue": token}).status == 400


def test_selectors_filter_by_label_and_field(bare: Cluster) -> None:
    for name, tier in (("a", "front"), ("b", "back")):
        bare.create(CONFIG_MAPS, {"metadata": {"name": name, "labels": {"tier": tier}}})

    def names(**query: str) -> list[str]:
        return [i["metadata"]["name"] for i in bare.get(CONFIG_MAPS, **query)["items"]]

    assert names(labelSelector="tier=front") == ["a"]
    assert names(labelSelector="tier in (front, back),tier!=front") == ["b"]
    assert names(labelSelector="!tier") == ["kube-root-ca.crt"]
    assert names(fieldSelector="metadata.name=b") == ["b"]
    assert bare.request("GET", CONFIG_MAPS, fieldSelector="data.x=1").status == 400


def test_a_watch_goes_on_from_a_version_and_sees_only_its_own(bare: Cluster) -> None:
    version = bare.get(CONFIG_MAPS)["metadata"]["resourceVersion"]
    bare.create(CONFIG_MAPS, {"metadata": {"name": "a", "labels": {"seen": "yes"}}})
    bare.create(CONFIG_MAPS, {"metadata": {"name": "b"}})
    query = {"resourceVersion": version, "labelSelector": "seen=yes"}
    with bare.watch(CONFIG_MAPS, **query) as events:
        assert next(events)["type"] == "ADDED"
        bare.plane.delete({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
        last = next(events)
    assert (last["type"], last["object"]["metadata"]["name"]) == ("DELETED", "a")


def test_a_watch_list_ends_its_first_part_with_a_bookmark(bare: Cluster) -> None:
    query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
    with bare.watch("/api/v1/namespaces", **query) as events:
        kinds = [next(events) for _ in range(5)]
    assert [e["type"] for e in kinds] == ["ADDED"] * 4 + ["BOOKMARK"]
    assert kinds[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_history_that_is_no_longer_kept_is_a_410(
    lane: EmbeddedLane, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOG_LENGTH", 20)
    cluster = Cluster(lane.start("short", "1.35", review=review, allow=deny, pod_start=lambda: 1.0), clock.settle)
    page = cluster.get(CONFIG_MAPS.replace("/namespaces/default", ""), limit="1")
    for number in range(25):
        cluster.create(CONFIG_MAPS, {"metadata": {"name": f"c{number}"}})
    with cluster.watch(CONFIG_MAPS, resourceVersion="1") as events:
        (only,) = list(events)
    assert (only["type"], only["object"]["code"], only["object"]["reason"]) == ("ERROR", 410, "Expired")
    answer = cluster.request("GET", CONFIG_MAPS, **{"continue": page["metadata"]["continue"]})
    assert (answer.status, answer.body["reason"]) == (410, "Expired")
    cluster.close()


# What isn't there


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/apis/example.com/v1", 404),
        ("GET", "/api/v1/moons", 404),
        ("GET", SHOP, 404),
        ("POST", "/apis/batch/v1/namespaces/default/cronjobs", 405),
        ("PUT", DEPLOYMENTS, 405),
        ("POST", f"{PODS}/x/exec", 501),
        ("GET", f"{DEPLOYMENTS}/shop/nonsense", 404),
    ],
)
def test_what_is_absent_says_so(bare: Cluster, method: str, path: str, status: int) -> None:
    answer = bare.request(method, path, {} if method != "GET" else None)
    assert (answer.status, answer.body["kind"]) == (status, "Status")


def test_the_official_client_gets_along(cluster: Cluster, clock: ManualClock, tmp_path: Path) -> None:
    from kubernetes import client, watch  # noqa: PLC0415 - slow to import, and used here alone
    from kubernetes.dynamic import DynamicClient  # noqa: PLC0415

    with cluster.official_client(tmp_path) as api:
        core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
        apps.create_namespaced_deployment("default", deployment())
        clock.advance(21)
        assert apps.read_namespaced_deployment_status("shop", "default").status.ready_replicas == 3
        apps.patch_namespaced_deployment_scale("shop", "default", {"spec": {"replicas": 2}})
        clock.advance(10)
        pods = core.list_namespaced_pod("default", label_selector="app=shop").items
        assert len(pods) == 2
        assert "Started ShopApplication" in core.read_namespaced_pod_log(pods[0].metadata.name, "default")
        first = next(iter(watch.Watch().stream(core.list_namespaced_pod, "default", timeout_seconds=2)))
        assert first["type"] == "ADDED"
        dynamic = DynamicClient(api, cache_file=str(tmp_path / "discovery.json"))
        resource = dynamic.resources.get(api_version="v1", kind="ConfigMap")
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}, "data": {"k": "v"}}
        applied = resource.server_side_apply(body=body, namespace="default", field_manager="dynamic")
        assert applied.data.k == "v"
        core.create_namespaced_pod_eviction(
            pods[0].metadata.name,
            "default",
            client.V1Eviction(metadata=client.V1ObjectMeta(name=pods[0].metadata.name)),
        )
