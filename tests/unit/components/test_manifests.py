"""Manifests: what a Spring Boot application needs, and how what is there is compared with it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springboard.components.manifests import (
    HASH_ANNOTATION,
    Manifest,
    covers,
    cpu,
    failure_analysis,
    manifests,
    memory,
    timing,
)
from springboard.spec import App
from tests.unit.components.records import DIGEST, SITE, environment

IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop:1"


def made(kind: str, *apps: dict[str, Any], **spec: Any) -> list[Manifest]:
    said = [{"image": IMAGE, **app} for app in apps] or [{"image": IMAGE}]
    return [each for each in manifests(environment(apps=said, **spec), SITE) if each["kind"] == kind]


def container(**app: Any) -> Manifest:
    found: Manifest = made("Deployment", app)[0]["spec"]["template"]["spec"]["containers"][0]
    return found


def variables(**app: Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(**app)["env"]}


def test_objects_come_in_the_order_in_which_they_need_each_other() -> None:
    kinds = [each["kind"] for each in manifests(environment(), SITE)]
    assert kinds == [
        "Namespace",
        "NetworkPolicy",
        "ClusterRole",
        "ClusterRoleBinding",
        "NetworkPolicy",
        "ServiceAccount",
        "Service",
        "Deployment",
        "PodDisruptionBudget",
    ]


def test_the_image_runs_by_digest() -> None:
    assert container()["image"].endswith(f"@{DIGEST}")


def test_the_namespace_enforces_the_restricted_level_and_the_pod_keeps_it() -> None:
    labels = made("Namespace")[0]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = made("Deployment")[0]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    context = pod["containers"][0]["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert not context["allowPrivilegeEscalation"]
    assert context["readOnlyRootFilesystem"]


def test_the_network_policy_admits_the_vpc_because_node_ports_come_from_nodes() -> None:
    _, policy = made("NetworkPolicy", {"port": 9000})
    (rule,) = policy["spec"]["ingress"]
    assert [peer["ipBlock"]["cidr"] for peer in rule["from"] if "ipBlock" in peer] == list(SITE.vpc_cidrs)
    assert {"podSelector": {}} in rule["from"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 9000}]
    assert policy["spec"]["policyTypes"] == ["Ingress"]


def test_the_namespace_takes_nothing_from_outside_it() -> None:
    """Whatever else somebody runs in it: a database beside the application is the application's alone."""
    isolation, _ = made("NetworkPolicy")
    assert isolation["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {}}]}],
    }
    assert "." in isolation["metadata"]["name"]  # no application can have it


def test_the_service_is_on_the_node_port_that_admission_gave() -> None:
    first, second = made("Service", {"name": "a"}, {"name": "b"})
    assert [each["spec"]["ports"][0]["nodePort"] for each in (first, second)] == [30000, 30001]
    assert first["spec"]["selector"] != second["spec"]["selector"]


def test_an_autoscaler_owns_the_replicas() -> None:
    scaled = {"autoscaling": {"minReplicas": 2, "maxReplicas": 6}}
    assert "replicas" not in made("Deployment", scaled)[0]["spec"]
    assert made("HorizontalPodAutoscaler", scaled)[0]["spec"]["maxReplicas"] == 6
    assert made("Deployment")[0]["spec"]["replicas"] == 2
    assert made("Deployment", {"replicas": 5})[0]["spec"]["replicas"] == 5


def test_the_spec_wins_over_our_variables() -> None:
    assert "MaxRAMPercentage" in variables()["JAVA_TOOL_OPTIONS"]
    assert variables(env={"JAVA_TOOL_OPTIONS": "-Xmx1g"})["JAVA_TOOL_OPTIONS"] == "-Xmx1g"
    assert variables(spring={"profiles": ["prod", "eu"]})["SPRING_PROFILES_ACTIVE"] == "prod,eu"
    assert "SPRING_PROFILES_ACTIVE" not in variables()


def test_probes_are_on_the_main_port_and_the_start_has_its_time() -> None:
    assert variables()["MANAGEMENT_ENDPOINT_HEALTH_PROBES_ADDADDITIONALPATHS"] == "true"
    made_of = container(spring={"startupSeconds": 121})
    startup = made_of["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 121
    assert made_of["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert made_of["livenessProbe"]["httpGet"]["path"] == "/livez"


@given(
    shutdown=st.integers(1, 600),
    startup=st.integers(10, 1800),
    idle=st.integers(1, 4000),
)
def test_the_chain_of_times_holds(shutdown: int, startup: int, idle: int) -> None:
    app = App.model_validate({"image": IMAGE, "spring": {"shutdownSeconds": shutdown, "startupSeconds": startup}})
    times = timing(app, idle)
    assert times.broken == []
    spring = {"shutdownSeconds": shutdown, "startupSeconds": startup}
    (deployment,) = made("Deployment", {"spring": spring}, ingress={"idleTimeoutSeconds": idle})
    spec = deployment["spec"]
    pod = spec["template"]["spec"]
    stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= stop + shutdown
    assert spec["progressDeadlineSeconds"] > startup


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        return [leaf for key, each in value.items() for leaf in leaves(each, (*path, key))]
    if isinstance(value, list) and value:
        return [leaf for number, each in enumerate(value) for leaf in leaves(each, (*path, number))]
    return [path]


DEPLOYMENT = made("Deployment")[0]


@given(st.sampled_from([path for path in leaves(DEPLOYMENT) if path[-1] not in {"name", "emptyDir"}]))
def test_every_field_that_somebody_changes_is_seen(path: tuple[Any, ...]) -> None:
    changed = copy.deepcopy(DEPLOYMENT)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = "something else"
    assert covers(DEPLOYMENT, DEPLOYMENT)
    assert not covers(DEPLOYMENT, changed)


def test_what_the_server_adds_is_no_difference() -> None:
    stored = json.loads(json.dumps(DEPLOYMENT))
    stored["status"] = {"replicas": 2}
    stored["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    stored["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "AWS_CONTAINER_CREDENTIALS"})
    assert covers(DEPLOYMENT, stored)
    assert covers({"env": [{"name": "EMPTY", "value": ""}]}, {"env": [{"name": "EMPTY"}]})


def test_a_field_that_we_take_out_changes_the_hash() -> None:
    one = made("Deployment", {"env": {"A": "1"}})[0]["metadata"]["annotations"][HASH_ANNOTATION]
    other = made("Deployment")[0]["metadata"]["annotations"][HASH_ANNOTATION]
    assert one != other
    assert other == DEPLOYMENT["metadata"]["annotations"][HASH_ANNOTATION]


@pytest.mark.parametrize(
    ("said", "stored"), [("0.5", "500m"), ("2000m", "2"), ("250m", "250m"), ("1", "1"), ("1.25", "1250m")]
)
def test_cpu_is_written_as_the_server_stores_it(said: str, stored: str) -> None:
    assert cpu(said) == stored


@pytest.mark.parametrize(("said", "stored"), [("1024Mi", "1Gi"), ("1536Mi", "1536Mi"), ("2Gi", "2Gi"), ("0Mi", "0Mi")])
def test_memory_is_written_as_the_server_stores_it(said: str, stored: str) -> None:
    assert memory(said) == stored


BANNER = "*" * 27
ACTION = "Identify and stop the process that's listening on port 8080, or configure another port."
CRASH = f"""
2026-11-23T09:00:00.000Z ERROR 1 --- [shop] [main] o.s.b.d.LoggingFailureAnalysisReporter :

{BANNER}
APPLICATION FAILED TO START
{BANNER}

Description:

Web server failed to start. Port 8080 was already in use.

Action:

{ACTION}

2026-11-23T09:00:01.000Z  INFO 1 --- [shop] [main] after the report
"""


def test_spring_boots_own_failure_analysis_is_found() -> None:
    assert failure_analysis(CRASH) == (
        "Web server failed to start. Port 8080 was already in use.",
        ACTION,
    )


def test_the_last_start_counts() -> None:
    other = CRASH.replace("Port 8080 was already in use.", "A bean could not be found.")
    found = failure_analysis(CRASH + other)
    assert found is not None
    assert found[0].endswith("A bean could not be found.")


@pytest.mark.parametrize("log", ["", "Started ShopApplication in 2.1 seconds", "APPLICATION FAILED TO START\n"])
def test_a_log_without_an_analysis_has_none(log: str) -> None:
    assert failure_analysis(log) is None


def test_several_lines_stay_several_lines() -> None:
    report = f"{BANNER}\nAPPLICATION FAILED TO START\nDescription:\n\nBinding failed:\n\n  Property: a\n  Value: b\n"
    report += "\nAction:\n\nUpdate it\n"
    assert failure_analysis(report) == ("Binding failed:\n\nProperty: a\nValue: b", "Update it")


@given(st.text())
def test_no_log_breaks_it(log: str) -> None:
    failure_analysis(log)
    failure_analysis(f"APPLICATION FAILED TO START\nDescription:\n{log}")
