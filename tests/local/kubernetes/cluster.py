"""A cluster on either lane, and the ways in which tests talk to it."""

from __future__ import annotations

import base64
import json
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import kubernetes
import pytest

from springboard_local.kubernetes.lane import Attributes, NodeSpec, User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from springboard_local.kubernetes.lane import ControlPlane

ADMIN, DEVELOPER = "admin-token", "developer-token"
USERS = {
    ADMIN: User("admin", ("system:masters",), "admin"),
    DEVELOPER: User("developer", ("developers",)),
}
POD_START = 20.0
# For modules whose tests are the contract of both lanes.
BOTH_LANES = pytest.mark.parametrize("kind", ["embedded", pytest.param("real", marks=pytest.mark.real)], indirect=True)


def review(token: str) -> User | None:
    """The user of a token."""
    return USERS.get(token)


def deny(attributes: Attributes) -> bool:  # noqa: ARG001 - the name is the contract's
    """No access policies."""
    return False


@dataclass(frozen=True)
class Answer:
    """What one request came to."""

    status: int
    body: dict[str, Any]
    headers: httpx.Headers

    @property
    def message(self) -> str:
        """The message of a Status."""
        return str(self.body["message"])


class Cluster:
    """One control plane and an HTTP client for it."""

    def __init__(
        self, plane: ControlPlane, settle: Callable[[], None], tick: Callable[[], object] = lambda: None
    ) -> None:
        """`settle` waits until the controllers are done, where that can be known; `tick` lets a second pass."""
        self.plane = plane
        self.settle = settle
        self._tick = tick
        context = ssl.create_default_context(cadata=plane.certificate_authority.decode())
        self._http = httpx.Client(base_url=plane.endpoint, verify=context, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def until(self, holds: Callable[[], bool], seconds: int = 1200) -> None:
        """Let virtual time pass until something holds; AssertionError if it never does."""
        for _ in range(seconds):
            if holds():
                return
            self._tick()
        raise AssertionError(f"it did not hold within {seconds} s")

    def ready(self, deployment: str = "shop") -> int:
        """How many replicas of a Deployment are ready, as its newest status says."""
        found = self.get(f"{DEPLOYMENTS}/{deployment}")
        observed = found["status"].get("observedGeneration") == found["metadata"]["generation"]
        return int(found["status"].get("readyReplicas", 0)) if observed else 0

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = ADMIN,
        media_type: str = "application/json",
        accept: str = "application/json",
        **query: str,
    ) -> Answer:
        """One request, and the controllers done with what follows from it."""
        headers = {"Content-Type": media_type, "Accept": accept} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        content = None if body is None else json.dumps(body)
        response = self._http.request(method, path, headers=headers, content=content, params=query)
        self.settle()
        parsed = response.json() if "json" in response.headers.get("Content-Type", "") else {"text": response.text}
        return Answer(response.status_code, parsed, response.headers)

    @contextmanager
    def watch(self, path: str, *, token: str = ADMIN, **query: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The events of a watch, as they come."""
        headers = {"Authorization": f"Bearer {token}"}
        with self._http.stream("GET", path, headers=headers, params={"watch": "true", **query}) as response:
            assert response.status_code == 200
            yield (json.loads(line) for line in response.iter_lines() if line)

    def get(self, path: str, **query: str) -> Any:
        answer = self.request("GET", path, **query)
        assert answer.status == 200, answer.body
        return answer.body

    def create(self, path: str, body: Any, **query: str) -> Any:
        answer = self.request("POST", path, body, **query)
        assert answer.status == 201, answer.body
        return answer.body

    def apply(self, path: str, body: Any, manager: str = "tester", *, force: bool = False) -> Answer:
        query = {"fieldManager": manager, "force": str(force).lower()}
        return self.request("PATCH", path, body, media_type="application/apply-patch+yaml", **query)

    def merge(self, path: str, body: Any) -> Any:
        answer = self.request("PATCH", path, body, media_type="application/merge-patch+json")
        assert answer.status == 200, answer.body
        return answer.body

    def pods(self, namespace: str = "default", **query: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get(f"/api/v1/namespaces/{namespace}/pods", **query)["items"]
        return items

    def events(self, namespace: str = "default") -> set[str]:
        return {e["reason"] for e in self.get(f"/api/v1/namespaces/{namespace}/events")["items"]}

    def official_client(self, folder: Path, token: str = ADMIN) -> kubernetes.client.ApiClient:
        path = folder / f"kubeconfig-{token}"
        path.write_text(kubeconfig(self.plane, token))
        return kubernetes.config.new_client_from_config(str(path))


def kubeconfig(plane: ControlPlane, token: str = ADMIN) -> str:
    """A kubeconfig, as JSON, which is YAML too."""
    authority = base64.b64encode(plane.certificate_authority).decode()
    cluster = {"server": plane.endpoint, "certificate-authority-data": authority}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "user"}}],
            "current-context": "local",
        }
    )


def node(number: int, *, cpu: str = "2", memory: str = "7934Mi", pods: int = 29) -> NodeSpec:
    zone = "eu-west-1" + "abc"[(number - 1) % 3]
    return NodeSpec(
        name=f"ip-10-0-{number}-10.eu-west-1.compute.internal",
        internal_ip=f"10.0.{number}.10",
        provider_id=f"aws:///{zone}/i-0123456789abcde{number:02d}",
        instance_type="m7i.large",
        zone=zone,
        region="eu-west-1",
        kubelet_version="v1.35.4-eks-1234567",
        cpu=cpu,
        memory=memory,
        pods=pods,
        labels={"eks.amazonaws.com/nodegroup": "workers"},
    )


def deployment(name: str = "shop", replicas: int = 3, image: str = "shop:1.0", **spec: Any) -> dict[str, Any]:
    """A Deployment of one Spring-like container."""
    labels = {"app": name}
    container = {
        "name": name,
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            **spec,
        },
    }


def service(name: str = "shop", node_port: int = 30001, port: int = 80) -> dict[str, Any]:
    ports = [{"name": "http", "port": port, "targetPort": "http", "nodePort": node_port}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": "NodePort", "selector": {"app": name}, "ports": ports},
    }


DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SERVICES = "/api/v1/namespaces/default/services"
PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
