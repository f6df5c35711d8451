"""Server-side printing: the meta.k8s.io/v1 Table that `kubectl get` shows."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from springboard_local.kubernetes.embedded.objects import (
    Obj,
    find_condition,
    has_condition,
    is_terminating,
    labels_of,
    moment,
    name_of,
    node_of,
    status_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_NONE = "<none>"


# Up to how many seconds a span is shown in which unit, and in which smaller one beside it.
_SPANS = (
    (120, 1, 0, "s", ""),
    (600, 60, 1, "m", "s"),
    (3 * 3600, 60, 0, "m", ""),
    (8 * 3600, 3600, 60, "h", "m"),
    (48 * 3600, 3600, 0, "h", ""),
    (8 * 86400, 86400, 3600, "d", "h"),
    (730 * 86400, 86400, 0, "d", ""),
    (math.inf, 365 * 86400, 86400, "y", "d"),
)


def duration(seconds: float) -> str:
    """A span as kubectl shows it: 45s, 3m5s, 2d3h."""
    whole = int(max(seconds, 0))
    _, unit, smaller, name, small_name = next(span for span in _SPANS if whole < span[0])
    rest = whole % unit // smaller if smaller else 0
    return f"{whole // unit}{name}" + (f"{rest}{small_name}" if rest else "")


def _since(time: str | None) -> str:
    return duration((datetime.now(UTC) - moment(time)).total_seconds()) if time else "<unknown>"


def _age(obj: Obj) -> str:
    return _since(obj["metadata"].get("creationTimestamp"))


def format_selector(selector: Obj | None) -> str:
    """A LabelSelector as text."""
    parts = [f"{k}={v}" for k, v in sorted(((selector or {}).get("matchLabels") or {}).items())]
    for expression in (selector or {}).get("matchExpressions") or ():
        key, values = expression["key"], ",".join(expression.get("values") or ())
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[expression["operator"]]
        )
    return ",".join(parts) or _NONE


def _labels(labels: Obj | None) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items())) or _NONE


def _template_containers(obj: Obj) -> tuple[str, str]:
    containers = obj["spec"]["template"]["spec"].get("containers") or []
    return ",".join(c["name"] for c in containers), ",".join(c.get("image", "") for c in containers)


def _pod_reason(pod: Obj) -> str:
    status = pod.get("status", {})
    reason = status.get("reason") or status.get("phase") or "Pending"
    running = False
    for container in reversed(status.get("containerStatuses") or []):
        state = container.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated:
            reason = terminated.get("reason") or f"ExitCode:{terminated.get('exitCode', 0)}"
        elif container.get("ready") and "running" in state:
            running = True
    if reason == "Completed" and running:
        reason = "Running" if find_condition(pod, "Ready") else "NotReady"
    if is_terminating(pod):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(reason)


def _restarts(statuses: list[Obj]) -> str:
    count = sum(s.get("restartCount", 0) for s in statuses)
    ended = [t["finishedAt"] for s in statuses if (t := (s.get("lastState") or {}).get("terminated"))]
    return f"{count} ({_since(max(ended))} ago)" if count and ended else str(count)


def _pod(pod: Obj) -> list[Any]:
    status, spec = pod.get("status", {}), pod["spec"]
    statuses = status.get("containerStatuses") or []
    ready = sum(bool(s.get("ready")) for s in statuses)
    return [
        name_of(pod),
        f"{ready}/{len(spec.get('containers') or ())}",
        _pod_reason(pod),
        _restarts(statuses),
        _age(pod),
        status.get("podIP") or _NONE,
        node_of(pod) or _NONE,
        status.get("nominatedNodeName") or _NONE,
        _NONE,
    ]


def _node_status(node: Obj) -> str:
    ready = find_condition(node, "Ready")
    status = {"True": "Ready", "False": "NotReady"}.get(ready["status"], "NotReady") if ready else "Unknown"
    return status + (",SchedulingDisabled" if node.get("spec", {}).get("unschedulable") else "")


def _node(node: Obj) -> list[Any]:
    prefix = "node-role.kubernetes.io/"
    roles = ",".join(sorted(k[len(prefix) :] for k in labels_of(node) if k.startswith(prefix))) or _NONE
    addresses = {a["type"]: a["address"] for a in node.get("status", {}).get("addresses") or ()}
    info = node.get("status", {}).get("nodeInfo") or {}
    return [
        name_of(node),
        _node_status(node),
        roles,
        _age(node),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", _NONE),
        addresses.get("ExternalIP", _NONE),
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _external(service: Obj) -> str:
    spec = service["spec"]
    if spec["type"] == "ExternalName":
        return str(spec.get("externalName"))
    if spec["type"] != "LoadBalancer":
        return ",".join(spec.get("externalIPs") or ()) or _NONE
    points = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    return ",".join(p.get("hostname") or p.get("ip", "") for p in points) or "<pending>"


def _service(service: Obj) -> list[Any]:
    spec = service["spec"]
    ports = ",".join(
        f"{p['port']}" + (f":{p['nodePort']}" if p.get("nodePort") else "") + f"/{p['protocol']}"
        for p in spec.get("ports") or ()
    )
    return [
        name_of(service),
        spec["type"],
        spec.get("clusterIP") or _NONE,
        _external(service),
        ports or _NONE,
        _age(service),
        _labels(spec.get("selector")),
    ]


def _deployment(obj: Obj) -> list[Any]:
    return [
        name_of(obj),
        f"{status_number(obj, 'readyReplicas')}/{obj['spec'].get('replicas', 1)}",
        status_number(obj, "updatedReplicas"),
        status_number(obj, "availableReplicas"),
        _age(obj),
        *_template_containers(obj),
        format_selector(obj["spec"]["selector"]),
    ]


def _replica_set(obj: Obj) -> list[Any]:
    return [
        name_of(obj),
        obj["spec"].get("replicas", 1),
        status_number(obj, "replicas"),
        status_number(obj, "readyReplicas"),
        _age(obj),
        *_template_containers(obj),
        format_selector(obj["spec"]["selector"]),
    ]


def _stateful_set(obj: Obj) -> list[Any]:
    ready = f"{status_number(obj, 'readyReplicas')}/{obj['spec'].get('replicas', 1)}"
    return [name_of(obj), ready, _age(obj), *_template_containers(obj)]


def _daemon_set(obj: Obj) -> list[Any]:
    counts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    return [
        name_of(obj),
        *(status_number(obj, count) for count in counts),
        _labels(obj["spec"]["template"]["spec"].get("nodeSelector")),
        _age(obj),
        *_template_containers(obj),
        format_selector(obj["spec"]["selector"]),
    ]


def _job(obj: Obj) -> list[Any]:
    status = obj.get("status", {})
    state = next((kind for kind in ("Complete", "Failed", "Suspended") if has_condition(obj, kind)), "Running")
    start, end = status.get("startTime"), status.get("completionTime")
    span = ""
    if start:
        stop = moment(end) if end else datetime.now(UTC)
        span = duration((stop - moment(start)).total_seconds())
    done = f"{status.get('succeeded', 0)}/{obj['spec'].get('completions', 1)}"
    selector = format_selector(obj["spec"].get("selector"))
    return [name_of(obj), state, done, span, _age(obj), *_template_containers(obj), selector]


def _namespace(obj: Obj) -> list[Any]:
    return [name_of(obj), obj.get("status", {}).get("phase"), _age(obj)]


def _config_map(obj: Obj) -> list[Any]:
    return [name_of(obj), len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), _age(obj)]


def _secret(obj: Obj) -> list[Any]:
    return [name_of(obj), obj.get("type"), len(obj.get("data") or {}), _age(obj)]


def _service_account(obj: Obj) -> list[Any]:
    return [name_of(obj), len(obj.get("secrets") or ()), _age(obj)]


def _event(obj: Obj) -> list[Any]:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    seen = obj.get("lastTimestamp") or obj.get("eventTime")
    source = obj.get("source") or {}
    return [
        _since(seen),
        obj.get("type"),
        obj.get("reason"),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        ", ".join(filter(None, (source.get("component"), source.get("host")))),
        (obj.get("message") or obj.get("note") or "").strip(),
        _since(obj.get("firstTimestamp") or seen),
        obj.get("count", 1),
        name_of(obj),
    ]


def _joined(addresses: list[str]) -> str:
    more = f" + {len(addresses) - 3} more..." if len(addresses) > 3 else ""
    return ",".join(addresses[:3]) + more


def _endpoint_slice(obj: Obj) -> list[Any]:
    addresses = [a for e in obj.get("endpoints") or () for a in e["addresses"]]
    ports = ",".join(str(p.get("port")) for p in obj.get("ports") or ()) or "<unset>"
    return [name_of(obj), obj["addressType"], ports, _joined(addresses) or "<unset>", _age(obj)]


def _endpoints(obj: Obj) -> list[Any]:
    points = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or ()
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    ]
    return [name_of(obj), _joined(points) or _NONE, _age(obj)]


def _budget(obj: Obj) -> list[Any]:
    spec = obj["spec"]
    bounds = [str(spec[k]) if spec.get(k) is not None else "N/A" for k in ("minAvailable", "maxUnavailable")]
    return [name_of(obj), *bounds, status_number(obj, "disruptionsAllowed"), _age(obj)]


def _autoscaler(obj: Obj) -> list[Any]:
    spec = obj["spec"]
    targets = ", ".join(
        f"{m['resource']['name']}: <unknown>/{m['resource']['target'].get('averageUtilization')}%"
        for m in spec.get("metrics") or ()
        if m["type"] == "Resource"
    )
    reference = f"{spec['scaleTargetRef']['kind']}/{spec['scaleTargetRef']['name']}"
    bounds = spec.get("minReplicas", "<unset>"), spec["maxReplicas"]
    return [name_of(obj), reference, targets or _NONE, *bounds, status_number(obj, "currentReplicas"), _age(obj)]


def _created(obj: Obj) -> list[Any]:
    return [name_of(obj), obj["metadata"].get("creationTimestamp")]


def _role_binding(obj: Obj) -> list[Any]:
    reference, subjects = obj["roleRef"], obj.get("subjects") or []

    def named(kind: str) -> str:
        found = (s for s in subjects if s["kind"] == kind)
        names = [f"{s['namespace']}/{s['name']}" if s.get("namespace") else s["name"] for s in found]
        return ", ".join(names)

    role = f"{reference['kind']}/{reference['name']}"
    return [name_of(obj), role, _age(obj), named("User"), named("Group"), named("ServiceAccount")]


def _network_policy(obj: Obj) -> list[Any]:
    return [name_of(obj), format_selector(obj["spec"].get("podSelector")), _age(obj)]


def _lease(obj: Obj) -> list[Any]:
    return [name_of(obj), (obj.get("spec") or {}).get("holderIdentity", ""), _age(obj)]


def _priority_class(obj: Obj) -> list[Any]:
    preemption = obj.get("preemptionPolicy", "")
    return [name_of(obj), obj["value"], obj.get("globalDefault", False), _age(obj), preemption]


def _storage_class(obj: Obj) -> list[Any]:
    return [
        name_of(obj),
        obj["provisioner"],
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        obj.get("allowVolumeExpansion", False),
        _age(obj),
    ]


def _controller_revision(obj: Obj) -> list[Any]:
    references = obj["metadata"].get("ownerReferences") or [{}]
    kind, group = references[0].get("kind", ""), references[0].get("apiVersion", "").rpartition("/")[0]
    owner = f"{kind.lower()}.{group}/{references[0].get('name')}" if kind else _NONE
    return [name_of(obj), owner, obj.get("revision", 0), _age(obj)]


# Column names as the server's printers have them; `*` marks those of -o wide, `_` stands for a space.
_PRINTERS: dict[str, tuple[Callable[[Obj], list[Any]], str]] = {
    "ClusterRole": (_created, "Name Created_At"),
    "ClusterRoleBinding": (_role_binding, "Name Role Age *Users *Groups *ServiceAccounts"),
    "ConfigMap": (_config_map, "Name Data Age"),
    "ControllerRevision": (_controller_revision, "Name Controller Revision Age"),
    "DaemonSet": (
        _daemon_set,
        "Name Desired Current Ready Up-to-date Available Node_Selector Age *Containers *Images *Selector",
    ),
    "Deployment": (_deployment, "Name Ready Up-to-date Available Age *Containers *Images *Selector"),
    "EndpointSlice": (_endpoint_slice, "Name AddressType Ports Endpoints Age"),
    "Endpoints": (_endpoints, "Name Endpoints Age"),
    "Event": (
        _event,
        "Last_Seen Type Reason Object *Subobject *Source Message *First_Seen *Count *Name",
    ),
    "HorizontalPodAutoscaler": (_autoscaler, "Name Reference Targets MinPods MaxPods Replicas Age"),
    "Job": (_job, "Name Status Completions Duration Age *Containers *Images *Selector"),
    "Lease": (_lease, "Name Holder Age"),
    "Namespace": (_namespace, "Name Status Age"),
    "NetworkPolicy": (_network_policy, "Name Pod-Selector Age"),
    "Node": (
        _node,
        "Name Status Roles Age Version *Internal-IP *External-IP *OS-Image *Kernel-Version *Container-Runtime",
    ),
    "Pod": (_pod, "Name Ready Status Restarts Age *IP *Node *Nominated_Node *Readiness_Gates"),
    "PodDisruptionBudget": (_budget, "Name Min_Available Max_Unavailable Allowed_Disruptions Age"),
    "PriorityClass": (_priority_class, "Name Value Global-Default Age PreemptionPolicy"),
    "ReplicaSet": (_replica_set, "Name Desired Current Ready Age *Containers *Images *Selector"),
    "RoleBinding": (_role_binding, "Name Role Age *Users *Groups *ServiceAccounts"),
    "Role": (_created, "Name Created_At"),
    "Secret": (_secret, "Name Type Data Age"),
    "Service": (_service, "Name Type Cluster-IP External-IP Port(s) Age *Selector"),
    "ServiceAccount": (_service_account, "Name Secrets Age"),
    "StatefulSet": (_stateful_set, "Name Ready Age *Containers *Images"),
    "StorageClass": (
        _storage_class,
        "Name Provisioner ReclaimPolicy VolumeBindingMode AllowVolumeExpansion Age",
    ),
}


def _column(text: str) -> Obj:
    name = text.lstrip("*").replace("_", " ")
    return {
        "name": name,
        "type": "string",
        "format": "name" if name == "Name" else "",
        "description": "",
        "priority": 1 if text.startswith("*") else 0,
    }


def render(kind: str, objects: list[Obj], meta: Obj, include: str) -> Obj:
    """A Table of `objects`; `include` says how much of each comes along: None, Metadata or Object."""
    cells, columns = _PRINTERS.get(kind, (_created, "Name Created_At"))
    rows: list[Obj] = []
    for obj in objects:
        row: Obj = {"cells": cells(obj)}
        if include == "Object":
            row["object"] = obj
        elif include != "None":
            partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
            row["object"] = partial
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": [_column(text) for text in columns.split()],
        "rows": rows,
    }
