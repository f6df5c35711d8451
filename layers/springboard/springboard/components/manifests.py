"""The Kubernetes objects of an environment's applications, from spec, admission and site alone.

A Spring Boot application under Kubernetes needs a few things to line up: probes on Actuator's health groups,
a graceful end that outlasts the load balancer's deregistration, keep-alive longer than the load balancer's idle
time-out, memory in proportion to the container. `timing` works the times out, once, for manifests and plan.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from springboard.record import Environment, ResolvedApp
    from springboard.site import Site
    from springboard.spec import App

UID_LABEL = "springboard.io/environment"
HASH_ANNOTATION = "springboard.io/manifest"
VIEWERS_GROUP = "springboard:viewers"
VIEWERS_ROLE = "springboard:viewers"
ISOLATION = "springboard.isolation"  # a dot, which no application's name has
DEREGISTRATION_SECONDS = 30  # of the target groups
_MARGIN = 5  # seconds, for what takes its time between two steps of a chain
_PROBE_PERIOD = 5
_PROGRESS_DEADLINE = 1800  # pods wait for nodes, and for each other

type Manifest = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """Where objects of one kind live."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str, name: str = "") -> str:
        """The collection, or the object of that name."""
        root = "/apis" if "/" in self.api_version else "/api"
        scope = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"{root}/{self.api_version}{scope}/{self.plural}{f'/{name}' if name else ''}"


_RBAC = "rbac.authorization.k8s.io/v1"
NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
POD = Kind("v1", "Pod", "pods")
CLUSTER_WIDE = (
    Kind(_RBAC, "ClusterRole", "clusterroles", namespaced=False),
    Kind(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
)
NAMESPACED = (
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("v1", "Service", "services"),
    Kind("apps/v1", "Deployment", "deployments"),
    Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
)
KINDS = {kind.kind: kind for kind in (NAMESPACE, *CLUSTER_WIDE, *NAMESPACED)}


@dataclass(frozen=True)
class Timing:
    """The chain of times, in seconds, from the load balancer to the JVM."""

    idle_timeout: int  # of the load balancer
    keep_alive: int  # of Tomcat: longer, or the load balancer writes into closed connections
    pre_stop: int  # longer than the deregistration: no request is sent to a pod that is going
    shutdown: int  # Spring's graceful shutdown
    grace: int  # until the kubelet kills
    startup: int

    @property
    def broken(self) -> list[str]:
        """The links that don't hold; empty, or `timing` is wrong."""
        links = {
            "keep-alive must exceed the load balancer's idle time-out": self.keep_alive > self.idle_timeout,
            "preStop must outlast deregistration": self.pre_stop >= DEREGISTRATION_SECONDS,
            "the grace period must cover preStop and shutdown": self.grace >= self.pre_stop + self.shutdown,
        }
        return [link for link, holds in links.items() if not holds]


def timing(app: App, idle_timeout: int) -> Timing:
    """The times of one application behind a load balancer with that idle time-out."""
    pre_stop = DEREGISTRATION_SECONDS + _MARGIN
    return Timing(
        idle_timeout=idle_timeout,
        keep_alive=max(75, idle_timeout + 15),
        pre_stop=pre_stop,
        shutdown=app.spring.shutdown_seconds,
        grace=pre_stop + app.spring.shutdown_seconds + _MARGIN,
        startup=app.spring.startup_seconds,
    )


def namespace(environment: Environment) -> str:
    """The applications' namespace: the environment's name."""
    return environment.name


def manifests(environment: Environment, site: Site) -> tuple[Manifest, ...]:
    """All objects, each after those that it needs, each with the hash of what we say about it."""
    objects = [_namespace(environment), _isolation(environment), *_viewers(environment)]
    names = [app.name or environment.name for app in environment.spec.apps]
    for name, app in zip(names, environment.spec.apps, strict=True):
        objects += _app(environment, site, app, environment.resolved.app(name))
    return tuple(_hashed(manifest) for manifest in objects)


def covers(wanted: object, found: object) -> bool:
    """Whether all that we say is so, whatever else the server and others have said beside it."""
    if not wanted and not isinstance(wanted, int):  # "", [], {}: the server leaves out what is empty
        return found in ("", None) or isinstance(found, type(wanted))
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(covers(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and _covers_list(wanted, found)
    return wanted == found


def cpu(quantity: str) -> str:
    """A CPU quantity as the API server writes it back: 0.5 → 500m, 2000m → 2."""
    millis = int(quantity[:-1]) if quantity.endswith("m") else _thousandths(quantity)
    return str(millis // 1000) if millis % 1000 == 0 else f"{millis}m"


def memory(quantity: str) -> str:
    """A memory quantity as the API server writes it back: 2048Mi → 2Gi."""
    number, unit = int(quantity[:-2]), quantity[-2:]
    while number and number % 1024 == 0 and unit in _LARGER:
        number, unit = number // 1024, _LARGER[unit]
    return f"{number}{unit}"


_LARGER = {"Mi": "Gi", "Gi": "Ti"}
_MERGE_KEYS = ("name", "mountPath", "topologyKey")


def _thousandths(decimal: str) -> int:
    whole, _, fraction = decimal.partition(".")
    return int(whole) * 1000 + int(fraction.ljust(3, "0"))


def _covers_list(wanted: list[Any], found: list[Any]) -> bool:
    """By their key where Kubernetes merges lists by one, else item by item."""
    for key in _MERGE_KEYS:
        if all(isinstance(item, dict) and key in item for item in wanted):
            by_key = {item.get(key): item for item in found if isinstance(item, dict)}
            return all(covers(item, by_key.get(item[key])) for item in wanted)
    return len(wanted) == len(found) and all(covers(*pair) for pair in zip(wanted, found, strict=True))


def _hashed(manifest: Manifest) -> Manifest:
    """With the hash by which we see that a field was taken out, which no comparison of the rest shows."""
    said = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    metadata = manifest["metadata"]
    annotations = {
        **metadata.get("annotations", {}),
        HASH_ANNOTATION: hashlib.sha256(said.encode()).hexdigest()[:16],
    }
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _labels(environment: Environment, app: str = "") -> dict[str, str]:
    labels = {"app.kubernetes.io/managed-by": "springboard", UID_LABEL: environment.uid}
    if not app:
        return labels
    return {**_selector(environment, app), "app.kubernetes.io/part-of": environment.name, **labels}


def _selector(environment: Environment, app: str) -> dict[str, str]:
    """What selects an application's pods; a Deployment's selector can never change."""
    return {"app.kubernetes.io/name": app, "app.kubernetes.io/instance": environment.name}


def _namespace(environment: Environment) -> Manifest:
    security: dict[str, str] = {}
    for mode in ("enforce", "audit", "warn"):
        security[f"pod-security.kubernetes.io/{mode}"] = "restricted"
        security[f"pod-security.kubernetes.io/{mode}-version"] = "latest"
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace(environment), "labels": {**_labels(environment), **security}},
    }


def _isolation(environment: Environment) -> Manifest:
    """Whatever runs in the namespace, ours or not, takes nothing from outside it but what another policy admits.

    Within the namespace all may talk, so that a database beside the application needs no policy of its own.
    """
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": ISOLATION,
            "namespace": namespace(environment),
            "labels": _labels(environment),
        },
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]},
    }


def _viewers(environment: Environment) -> Iterator[Manifest]:
    """What the namespaced access policies leave out: people may look at nodes and namespaces."""
    metadata = {"name": VIEWERS_ROLE, "labels": _labels(environment)}
    yield {
        "apiVersion": _RBAC,
        "kind": "ClusterRole",
        "metadata": metadata,
        "rules": [{"apiGroups": [""], "resources": ["nodes", "namespaces"], "verbs": ["get", "list", "watch"]}],
    }
    yield {
        "apiVersion": _RBAC,
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": VIEWERS_ROLE},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": VIEWERS_GROUP}],
    }


def _app(environment: Environment, site: Site, app: App, resolved: ResolvedApp) -> Iterator[Manifest]:
    metadata = {
        "name": resolved.name,
        "namespace": namespace(environment),
        "labels": _labels(environment, resolved.name),
    }
    selector = _selector(environment, resolved.name)
    yield {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": _network_policy(selector, site, app.port),
    }
    yield {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,
    }
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "NodePort",
            "externalTrafficPolicy": "Cluster",
            "selector": selector,
            "ports": [
                {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http", "nodePort": resolved.node_port}
            ],
        },
    }
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": _deployment(environment, app, resolved, selector),
    }
    if app.autoscaling:
        yield {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": metadata,
            "spec": _autoscaler(app, resolved.name),
        }
    yield {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",  # a pod that crashes must not keep a node from draining
            "selector": {"matchLabels": selector},
        },
    }


def _network_policy(selector: Mapping[str, str], site: Site, port: int) -> Manifest:
    """From the VPC, because traffic through a NodePort comes from a node's address; and from its own namespace."""
    return {
        "podSelector": {"matchLabels": dict(selector)},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [*({"ipBlock": {"cidr": cidr}} for cidr in site.vpc_cidrs), {"podSelector": {}}],
                "ports": [{"protocol": "TCP", "port": port}],
            }
        ],
    }


def _autoscaler(app: App, name: str) -> Manifest:
    scaling = app.autoscaling
    if scaling is None:
        return {}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": scaling.target_cpu_percent},
                },
            }
        ],
    }


def _deployment(environment: Environment, app: App, resolved: ResolvedApp, selector: Mapping[str, str]) -> Manifest:
    times = timing(app, environment.spec.ingress.idle_timeout_seconds)
    pod = {
        "serviceAccountName": resolved.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": times.grace,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": app.security.run_as_user,
            "runAsGroup": app.security.run_as_user,
            "fsGroup": app.security.run_as_user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "topologyKey": key,
                "maxSkew": 1,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(selector)},
                "matchLabelKeys": ["pod-template-hash"],
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
        "containers": [_container(app, resolved, times)],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    spec: Manifest = {
        "progressDeadlineSeconds": max(_PROGRESS_DEADLINE, times.startup + 600),
        "revisionHistoryLimit": 5,
        "selector": {"matchLabels": dict(selector)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": _labels(environment, resolved.name)}, "spec": pod},
    }
    if app.autoscaling is None:  # otherwise the autoscaler's
        spec["replicas"] = app.replicas or 2
    return spec


def _container(app: App, resolved: ResolvedApp, times: Timing) -> Manifest:
    container: Manifest = {
        "name": resolved.name,
        "image": resolved.image,
        "imagePullPolicy": "IfNotPresent",  # the digest says which
        "ports": [{"name": "http", "containerPort": app.port, "protocol": "TCP"}],
        "env": [{"name": name, "value": value} for name, value in sorted(_env(app, times).items())],
        "resources": {
            "requests": {"cpu": cpu(app.resources.cpu), "memory": memory(app.resources.memory)},
            "limits": {"memory": memory(app.resources.memory)},  # no CPU limit: starting a JVM takes what is free
        },
        "startupProbe": _probe("/livez", failures=-(-times.startup // _PROBE_PERIOD)),
        "livenessProbe": _probe("/livez", failures=6),
        "readinessProbe": _probe("/readyz", failures=2),
        "lifecycle": {"preStop": {"sleep": {"seconds": times.pre_stop}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": app.security.read_only_root_filesystem,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the container's
    }
    if app.env_from_secrets:
        container["envFrom"] = [{"secretRef": {"name": name}} for name in app.env_from_secrets]
    return container


def _probe(path: str, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
        "periodSeconds": _PROBE_PERIOD,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
        "successThreshold": 1,
    }


def _env(app: App, times: Timing) -> dict[str, str]:
    """Spring Boot's properties as variables; what the spec says wins."""
    ours = {
        "JAVA_TOOL_OPTIONS": "-XX:MaxRAMPercentage=75.0 -XX:+ExitOnOutOfMemoryError",
        # Health groups on the main port, at /livez and /readyz, wherever Actuator itself listens.
        "MANAGEMENT_ENDPOINT_HEALTH_PROBES_ADDADDITIONALPATHS": "true",
        "MANAGEMENT_ENDPOINT_HEALTH_PROBES_ENABLED": "true",
        "MANAGEMENT_ENDPOINTS_WEB_BASEPATH": app.spring.actuator_path,
        "SERVER_PORT": str(app.port),
        "SERVER_SHUTDOWN": "graceful",
        "SERVER_TOMCAT_KEEPALIVETIMEOUT": f"{times.keep_alive}s",
        "SPRING_LIFECYCLE_TIMEOUTPERSHUTDOWNPHASE": f"{times.shutdown}s",
    }
    if app.spring.profiles:
        ours["SPRING_PROFILES_ACTIVE"] = ",".join(app.spring.profiles)
    return {**ours, **app.env}


_STARTED = re.compile(r"APPLICATION FAILED TO START")
_PART = re.compile(r"^(?P<name>Description|Action):\s*$")


def failure_analysis(log: str) -> tuple[str, str] | None:
    """What Spring Boot's own failure analysis says in a log: (description, action); None where it says nothing.

    The last one counts. Boot writes a banner of asterisks, then both parts under their names, in lines of
    their own.
    """
    starts = [match.end() for match in _STARTED.finditer(log)]
    if not starts:
        return None
    parts: dict[str, list[str]] = {}
    part = ""
    for line in log[starts[-1] :].splitlines():
        named = _PART.match(line.strip())
        if named:
            part = named["name"]
            parts[part] = []
        elif part and not line.strip().startswith("****"):
            parts[part].append(line.strip())
    description, action = (_paragraph(parts.get(name, [])) for name in ("Description", "Action"))
    return (description, action) if description else None


def _paragraph(lines: list[str]) -> str:
    """The text of one part: it ends where a line looks like the log going on."""
    kept: list[str] = []
    for line in lines:
        if re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", line):
            break
        kept.append(line)
    return "\n".join(kept).strip()
