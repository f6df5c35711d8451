"""The real kubectl against the embedded control plane."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from springboard_local.clock import ScaledClock
from springboard_local.kubernetes.embedded import EmbeddedLane
from tests.local.kubernetes.cluster import deny, kubeconfig, node, review
from tests.local.kubernetes.conformance.runner import Outcome, differences, normalise, run

KUBECTL = str(Path(sys.executable).parent / "kubectl")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """The whole script, run once on a fast clock."""
    clock = ScaledClock(speed=200)
    lane = EmbeddedLane(clock)
    plane = lane.start("kubectl", "1.37", review=review, allow=deny, pod_start=lambda: 10.0)
    for number in (1, 2, 3):
        plane.add_node(node(number), ready=True)
    path = tmp_path_factory.mktemp("kubectl") / "config"
    path.write_text(kubeconfig(plane))
    try:
        return run(path, KUBECTL)
    finally:
        lane.close()
        clock.close()


def test_every_command_ends_as_it_should(outcomes: list[Outcome]) -> None:
    wrong = [f"{o.command}: {o.code}, not {o.expected}: {o.err or o.out}" for o in outcomes if o.code != o.expected]
    assert wrong == []


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("version", "Server Version: v1.37."),
        ("apply -f {manifests}/shop.yaml", "service/shop unchanged"),
        ("apply --server-side --field-manager other -f {manifests}/replicas.yaml", ".spec.replicas"),
        ("apply -f {manifests}/unknown-field.yaml", 'unknown field "spec.template.spec.foo"'),
        ("apply -f {manifests}/wrong-selector.yaml", "`selector` does not match template `labels`"),
        ("get deployment shop -o jsonpath={.spec.replicas}/{.status.readyReplicas}", "4/4"),
        ("logs deployment/shop --tail=1", "Started ShopApplication in"),
        ("rollout status deployment/shop --timeout=20s", "successfully rolled out"),
        ("drain {node} --ignore-daemonsets --timeout=20s", "drained"),
        ("get pods -l app=shop --field-selector spec.nodeName={node}", "No resources found"),
        ("describe node {node}", "KubeletReady"),
        ("describe deployment shop", "ScalingReplicaSet"),
        ("get service shop -o jsonpath={.spec.ports[0].port}:{.spec.ports[0].nodePort}", "8080:30123"),
        ("create service nodeport other --tcp=80:80 --node-port=30123", "provided port is already allocated"),
        ("create configmap settings --from-literal=a=1", 'configmaps "settings" already exists'),
        ("get deployment tmp", 'Error from server (NotFound): deployments.apps "tmp" not found'),
        ("auth whoami", "system:masters"),
        ("explain deployment.spec.strategy.rollingUpdate", "maxSurge"),
        ("api-resources --api-group=apps", "deployments"),
        ("get pods -l app=agent -o name", "pod/agent-"),
    ],
)
def test_the_text_is_the_genuine_servers(outcomes: list[Outcome], command: str, text: str) -> None:
    assert any(text in outcome.out + outcome.err for outcome in outcomes if outcome.command == command)


def test_outcomes_of_two_clusters_can_be_compared(outcomes: list[Outcome]) -> None:
    assert differences(outcomes, outcomes) == []
    other = [*outcomes[:-1], Outcome(outcomes[-1].command, 1, 0, "", "")]
    assert len(differences(outcomes, other)) == 2
    assert normalise("pod/shop-7d5f8b6c5d-x2x4z 3m5s 10.0.0.1") == "pod/shop-HASH-SUFFIX AGE ADDRESS"
