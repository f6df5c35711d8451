"""The semantic rules that manifests meet: what a genuine server refuses with a 422, and in which words."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from springboard_local.kubernetes.embedded.defaults import containers_of
from springboard_local.kubernetes.embedded.errors import Cause
from springboard_local.kubernetes.embedded.objects import Obj, clone
from springboard_local.kubernetes.embedded.quantities import parse_quantity
from springboard_local.kubernetes.embedded.selectors import matches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

type Causes = Iterator[Cause]

_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL_1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_QUALIFIED = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_CONFIG_KEY = re.compile(r"^[-._a-zA-Z0-9]+$")

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_CONFIG_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_VARIABLE_RULE = "a valid environment variable name must not contain '='"
_POD_UPDATE_RULE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_POD_MUTABLE = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates")
# Names that may hold what a URL path segment may.
_PATH_NAMED = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})


def _invalid(field: str, value: Any, rule: str) -> Cause:
    shown = json.dumps(value, separators=(",", ":")) if not isinstance(value, float) else str(value)
    return Cause(field, "FieldValueInvalid", f"Invalid value: {shown}: {rule}")


def _required(field: str, rule: str = "") -> Cause:
    return Cause(field, "FieldValueRequired", f"Required value: {rule}" if rule else "Required value")


def _unsupported(field: str, value: Any, supported: Iterable[str]) -> Cause:
    choices = ", ".join(json.dumps(s) for s in sorted(supported))
    text = f"Unsupported value: {json.dumps(value)}: supported values: {choices}"
    return Cause(field, "FieldValueNotSupported", text)


def _duplicate(field: str, value: Any) -> Cause:
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {json.dumps(value)}")


def _forbidden(field: str, rule: str) -> Cause:
    return Cause(field, "FieldValueForbidden", f"Forbidden: {rule}")


def _immutable(field: str, value: Any) -> Cause:
    return _invalid(field, value, "field is immutable")


# Metadata


def _name_rule(kind: str) -> tuple[re.Pattern[str], str, int]:
    if kind == "Service":
        return _LABEL_1035, _LABEL_1035_RULE, 63
    if kind == "Namespace":
        return _LABEL, _LABEL_RULE, 63
    return _SUBDOMAIN, _SUBDOMAIN_RULE, 253


def _check_name(kind: str, name: str) -> Causes:
    if not name:
        yield _required("metadata.name", "name or generateName is required")
        return
    if kind in _PATH_NAMED:
        if "/" in name or "%" in name or name in (".", ".."):
            yield _invalid("metadata.name", name, "may not contain '/'" if "/" in name else "may not contain '%'")
        return
    pattern, rule, longest = _name_rule(kind)
    if len(name) > longest:
        unit = "characters" if longest == 63 else "bytes"
        yield _invalid("metadata.name", name, f"must be no more than {longest} {unit}")
    if not pattern.match(name):
        yield _invalid("metadata.name", name, rule)


def _check_labels(labels: Obj | None, field: str) -> Causes:
    for key, value in (labels or {}).items():
        yield from _check_key(key, field)
        if len(value) > 63:
            yield _invalid(field, value, "must be no more than 63 bytes")
        if not _LABEL_VALUE.match(value):
            yield _invalid(field, value, _LABEL_VALUE_RULE)


def _check_key(key: str, field: str) -> Causes:
    prefix, slash, name = key.rpartition("/")
    if slash and not _SUBDOMAIN.match(prefix):
        yield _invalid(field, key, f"prefix part {_SUBDOMAIN_RULE}")
    if not _QUALIFIED.match(name) or len(name) > 63:
        yield _invalid(field, key, _QUALIFIED_RULE)


def _check_meta(kind: str, obj: Obj, old: Obj | None) -> Causes:
    meta = obj["metadata"]
    if old is None:
        yield from _check_name(kind, meta.get("name", ""))
    yield from _check_labels(meta.get("labels"), "metadata.labels")
    for key in meta.get("annotations") or {}:
        yield from _check_key(key.lower(), "metadata.annotations")
    size = sum(len(k) + len(v) for k, v in (meta.get("annotations") or {}).items())
    if size > 256 * 1024:
        yield Cause("metadata.annotations", "FieldValueTooLong", "Too long: may not be more than 262144 bytes")
    for i, reference in enumerate(meta.get("ownerReferences") or ()):
        yield from (
            _required(f"metadata.ownerReferences[{i}].{name}") for name in ("uid", "name") if not reference.get(name)
        )


# Pods


def _check_resources(resources: Obj, field: str) -> Causes:
    amounts: dict[tuple[str, str], Any] = {}
    for part in ("limits", "requests"):
        for name, text in (resources.get(part) or {}).items():
            try:
                amounts[part, name] = parse_quantity(text)
            except ValueError as error:
                yield _invalid(f"{field}.{part}.{name}", text, str(error))
                continue
            if amounts[part, name] < 0:
                yield _invalid(f"{field}.{part}.{name}", str(text), "must be greater than or equal to 0")
    for (part, name), amount in amounts.items():
        limit = amounts.get(("limits", name))
        if part == "requests" and limit is not None and amount > limit:
            text, most = resources["requests"][name], resources["limits"][name]
            yield _invalid(f"{field}.requests", str(text), f"must be less than or equal to {name} limit of {most}")


def _check_port(value: Any, field: str) -> Causes:
    if not value:
        yield _required(field)
    elif isinstance(value, int) and not 1 <= value <= 65535:
        yield _invalid(field, value, "must be between 1 and 65535, inclusive")


def _check_container(container: Obj, field: str, volumes: set[str]) -> Causes:
    name = container.get("name", "")
    if not name:
        yield _required(f"{field}.name")
    elif not _LABEL.match(name) or len(name) > 63:
        yield _invalid(f"{field}.name", name, _LABEL_RULE)
    if not container.get("image"):
        yield _required(f"{field}.image")
    elif container["image"] != container["image"].strip():
        yield _invalid(f"{field}.image", container["image"], "must not have leading or trailing whitespace")
    yield from _check_container_lists(container, field, volumes)
    if container.get("imagePullPolicy") not in ("Always", "IfNotPresent", "Never"):
        supported = ("Always", "IfNotPresent", "Never")
        yield _unsupported(f"{field}.imagePullPolicy", container.get("imagePullPolicy"), supported)
    yield from _check_resources(container.get("resources") or {}, f"{field}.resources")


def _check_container_lists(container: Obj, field: str, volumes: set[str]) -> Causes:
    for i, port in enumerate(container.get("ports") or ()):
        yield from _check_port(port.get("containerPort"), f"{field}.ports[{i}].containerPort")
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            yield _unsupported(f"{field}.ports[{i}].protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))
    for i, variable in enumerate(container.get("env") or ()):
        if not variable.get("name"):
            yield _required(f"{field}.env[{i}].name")
        elif "=" in variable["name"]:
            yield _invalid(f"{field}.env[{i}].name", variable["name"], _VARIABLE_RULE)
    for i, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            text = f"Not found: {json.dumps(mount.get('name'))}"
            yield Cause(f"{field}.volumeMounts[{i}].name", "FieldValueNotFound", text)


def _check_pod_spec(spec: Obj, field: str) -> Causes:
    if not spec.get("containers"):
        yield _required(f"{field}.containers")
    volumes = {v.get("name", "") for v in spec.get("volumes") or ()}
    seen: set[str] = set()
    for part in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(part) or ()):
            yield from _check_container(container, f"{field}.{part}[{i}]", volumes)
            if container.get("name") in seen:
                yield _duplicate(f"{field}.{part}[{i}].name", container["name"])
            seen.add(container.get("name", ""))
    if spec.get("restartPolicy") not in ("Always", "OnFailure", "Never"):
        yield _unsupported(f"{field}.restartPolicy", spec.get("restartPolicy"), ("Always", "OnFailure", "Never"))
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        value = spec["terminationGracePeriodSeconds"]
        yield _invalid(f"{field}.terminationGracePeriodSeconds", value, "must be greater than or equal to 0")
    for i, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        if constraint.get("whenUnsatisfiable") not in ("DoNotSchedule", "ScheduleAnyway"):
            inner = f"{field}.topologySpreadConstraints[{i}].whenUnsatisfiable"
            yield _unsupported(inner, constraint.get("whenUnsatisfiable"), ("DoNotSchedule", "ScheduleAnyway"))
        if constraint.get("maxSkew", 0) <= 0:
            inner = f"{field}.topologySpreadConstraints[{i}].maxSkew"
            yield _invalid(inner, constraint.get("maxSkew", 0), "must be greater than zero")


def _fixed_pod(spec: Obj) -> Obj:
    fixed: Obj = clone(spec)
    for name in _POD_MUTABLE:
        fixed.pop(name, None)
    for container in containers_of(fixed):
        container.pop("image", None)
    return fixed


def _check_pod(obj: Obj, old: Obj | None) -> Causes:
    yield from _check_pod_spec(obj["spec"], "spec")
    if old and _fixed_pod(obj["spec"]) != _fixed_pod(old["spec"]):
        yield _forbidden("spec", _POD_UPDATE_RULE)


# Workloads


def _go_map(labels: Obj | None) -> str:
    pairs = ", ".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in sorted((labels or {}).items()))
    return "map[string]string{" + pairs + "}"


def _check_template(spec: Obj, restart: tuple[str, ...] = ("Always",)) -> Causes:
    template = spec["template"]
    labels = template["metadata"].get("labels")
    yield from _check_labels(labels, "spec.template.labels")
    yield from _check_pod_spec(template["spec"], "spec.template.spec")
    policy = template["spec"].get("restartPolicy")
    if policy in ("Always", "OnFailure", "Never") and policy not in restart:
        yield _unsupported("spec.template.spec.restartPolicy", policy, restart)


def _check_workload(obj: Obj, old: Obj | None) -> Causes:
    spec = obj["spec"]
    if spec.get("replicas", 0) < 0:
        yield _invalid("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    selector = spec.get("selector")
    labels = spec["template"]["metadata"].get("labels")
    if not selector:
        yield _required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield _invalid("spec.selector", selector, "empty selector is invalid for deployment")
    elif not matches(selector, labels):
        text = f"Invalid value: {_go_map(labels)}: `selector` does not match template `labels`"
        yield Cause("spec.template.metadata.labels", "FieldValueInvalid", text)
    if old and old["spec"].get("selector") != selector:
        yield _immutable("spec.selector", selector)
    yield from _check_template(spec)


def _check_deployment(obj: Obj, old: Obj | None) -> Causes:
    yield from _check_workload(obj, old)
    strategy = obj["spec"]["strategy"]
    kinds = ("Recreate", "RollingUpdate")
    if strategy["type"] not in kinds:
        yield _unsupported("spec.strategy.type", strategy["type"], kinds)
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "Recreate" and rolling:
        yield _forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    if rolling and all(str(rolling.get(n)) in ("0", "0%") for n in ("maxSurge", "maxUnavailable")):
        rule = "may not be 0 when `maxSurge` is 0"
        yield _invalid("spec.strategy.rollingUpdate.maxUnavailable", rolling["maxUnavailable"], rule)


def _check_job(obj: Obj, old: Obj | None) -> Causes:
    spec = obj["spec"]
    yield from _check_template(spec, ("Never", "OnFailure"))
    if old and old["spec"].get("template") != spec["template"]:
        yield _immutable("spec.template", spec["template"])


# Services and policies


def _check_service_ports(ports: list[Obj]) -> Causes:
    names: set[str] = set()
    for i, port in enumerate(ports):
        field = f"spec.ports[{i}]"
        if not port.get("name") and len(ports) > 1:
            yield _required(f"{field}.name")
        if port.get("name") and port["name"] in names:
            yield _duplicate(f"{field}.name", port["name"])
        names.add(port.get("name", ""))
        if not isinstance(port.get("port"), int) or not 1 <= port["port"] <= 65535:
            yield _invalid(f"{field}.port", port.get("port", 0), "must be between 1 and 65535, inclusive")
        yield from _check_port(port.get("targetPort"), f"{field}.targetPort")


def _check_service(obj: Obj, old: Obj | None) -> Causes:
    spec = obj["spec"]
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec["type"] not in kinds:
        yield _unsupported("spec.type", spec["type"], kinds)
    ports = spec.get("ports") or []
    if spec["type"] == "ExternalName":
        if not spec.get("externalName"):
            yield _required("spec.externalName")
    elif not ports and spec.get("clusterIP") != "None":
        yield _required("spec.ports")
    yield from _check_service_ports(ports)
    yield from _check_labels(spec.get("selector"), "spec.selector")
    if old and old["spec"].get("clusterIP") and spec["type"] != "ExternalName":
        before, after = old["spec"]["clusterIP"], spec.get("clusterIP", "")
        if after and after != before:
            yield _invalid("spec.clusterIPs[0]", [after], "may not change once set")


def _check_budget(obj: Obj, _old: Obj | None) -> Causes:
    spec = obj["spec"]
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        yield _invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for name in ("minAvailable", "maxUnavailable"):
        value = spec.get(name)
        if isinstance(value, int) and value < 0:
            yield _invalid(f"spec.{name}", value, "must be greater than or equal to 0")
        if isinstance(value, str) and not re.fullmatch(r"[0-9]+%", value):
            rule = (
                "a valid percent string must be a numeric string followed by an ending '%' "
                "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
            )
            yield _invalid(f"spec.{name}", value, rule)


def _check_autoscaler(obj: Obj, _old: Obj | None) -> Causes:
    spec = obj["spec"]
    if spec.get("maxReplicas", 0) < 1:
        yield _invalid("spec.maxReplicas", spec.get("maxReplicas", 0), "must be greater than 0")
    elif spec["maxReplicas"] < spec["minReplicas"]:
        yield _invalid("spec.maxReplicas", spec["maxReplicas"], "must be greater than or equal to `minReplicas`")
    if spec["minReplicas"] < 1:
        yield _invalid("spec.minReplicas", spec["minReplicas"], "must be greater than or equal to 1")
    target = spec.get("scaleTargetRef") or {}
    yield from (_required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not target.get(name))


def _check_data(obj: Obj, old: Obj | None) -> Causes:
    for part in ("data", "binaryData"):
        for key in obj.get(part) or {}:
            if not _CONFIG_KEY.match(key):
                yield _invalid(f"{part}[{key}]", key, _CONFIG_KEY_RULE)
    if old and old.get("immutable"):
        if not obj.get("immutable"):
            yield _forbidden("immutable", "field is immutable when `immutable` is set")
        if (old.get("data") or {}) != (obj.get("data") or {}):
            yield _forbidden("data", "field is immutable when `immutable` is set")
    if old and obj["kind"] == "Secret" and old.get("type") != obj.get("type"):
        yield _immutable("type", obj.get("type"))


def _check_binding(obj: Obj, old: Obj | None) -> Causes:
    reference = obj.get("roleRef") or {}
    kinds = ("ClusterRole",) if obj["kind"] == "ClusterRoleBinding" else ("ClusterRole", "Role")
    if reference.get("kind") not in kinds:
        yield _unsupported("roleRef.kind", reference.get("kind", ""), kinds)
    if not reference.get("name"):
        yield _required("roleRef.name")
    if old and old.get("roleRef") != reference:
        yield _invalid("roleRef", reference, "cannot change roleRef")
    for i, subject in enumerate(obj.get("subjects") or ()):
        if subject.get("kind") not in ("User", "Group", "ServiceAccount"):
            supported = ("Group", "ServiceAccount", "User")
            yield _unsupported(f"subjects[{i}].kind", subject.get("kind", ""), supported)
        if not subject.get("name"):
            yield _required(f"subjects[{i}].name")
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            yield _required(f"subjects[{i}].namespace")


def _check_role(obj: Obj, _old: Obj | None) -> Causes:
    for i, rule in enumerate(obj.get("rules") or ()):
        if not rule.get("verbs"):
            yield _required(f"rules[{i}].verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            if obj["kind"] == "Role":
                text = "namespaced rules cannot apply to non-resource URLs"
                yield _invalid(f"rules[{i}].nonResourceURLs", rule["nonResourceURLs"], text)
            continue
        if not rule.get("apiGroups"):
            yield _required(f"rules[{i}].apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield _required(f"rules[{i}].resources", "resource rules must supply at least one resource")


def _check_network_policy(obj: Obj, _old: Obj | None) -> Causes:
    spec = obj["spec"]
    for part, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(part) or ()):
            for j, peer in enumerate(rule.get(peers) or ()):
                if not set(peer) & {"podSelector", "namespaceSelector", "ipBlock"}:
                    yield _required(f"spec.{part}[{i}].{peers}[{j}]", "must specify a peer")
                elif "ipBlock" in peer and len(peer) > 1:
                    rule_text = "may not specify both ipBlock and another peer"
                    yield _forbidden(f"spec.{part}[{i}].{peers}[{j}]", rule_text)


_CHECKS: dict[str, Callable[[Obj, Obj | None], Causes]] = {
    "ClusterRole": _check_role,
    "ClusterRoleBinding": _check_binding,
    "ConfigMap": _check_data,
    "DaemonSet": _check_workload,
    "Deployment": _check_deployment,
    "HorizontalPodAutoscaler": _check_autoscaler,
    "Job": _check_job,
    "NetworkPolicy": _check_network_policy,
    "Pod": _check_pod,
    "PodDisruptionBudget": _check_budget,
    "ReplicaSet": _check_workload,
    "Role": _check_role,
    "RoleBinding": _check_binding,
    "Secret": _check_data,
    "Service": _check_service,
    "StatefulSet": _check_workload,
}


def validate(kind: str, obj: Obj, old: Obj | None) -> list[Cause]:
    """All mistakes of a defaulted object; `old` is what it replaces."""
    causes = list(_check_meta(kind, obj, old))
    check = _CHECKS.get(kind)
    if check:
        causes += check(obj, old)
    return causes
