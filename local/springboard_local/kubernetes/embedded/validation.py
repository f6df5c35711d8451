"""The semantic rules that manifests meet: what a genuine server refuses with a 422, and in which words."""

from __future__ import annotations

import ipaddress
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
_KEY_RULE = (
    "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' "
    "(e.g. 'example.com/MyName')"
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
_VARIABLE_RULE = "a valid environment variable name must consist only of printable ASCII characters other than '='"
_PORT_NAME_RULE = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
_NO_NEGATIVE = "must be greater than or equal to 0"
_PORT_RULE = "must be between 1 and 65535, inclusive"
_NATURAL_RULE = "must be between 1 and 2147483647, inclusive"
_PERCENT_RULE = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)
_POD_UPDATE_RULE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_POD_MUTABLE = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates")
_FINALIZERS = frozenset({"foregroundDeletion", "orphan", "kubernetes"})
_RESOURCES = frozenset({"cpu", "memory", "ephemeral-storage"})
_VOLUME_ORDER = ("emptyDir", "hostPath", "configMap", "secret", "projected", "downwardAPI", "persistentVolumeClaim")
# What an environment variable may be taken from.
_FIELD_PATH = re.compile(
    r"^(metadata\.(name|namespace|uid|(annotations|labels)\['.+'\])|spec\.(nodeName|serviceAccountName)"
    r"|status\.(hostIP|hostIPs|podIP|podIPs))$"
)
# Names that may hold what a URL path segment may.
_PATH_NAMED = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})


def _invalid(field: str, value: Any, rule: str) -> Cause:
    shown = json.dumps(value, separators=(",", ":")) if not isinstance(value, float) else str(value)
    return Cause(field, "FieldValueInvalid", f"Invalid value: {shown}: {rule}")


def _required(field: str, rule: str = "") -> Cause:
    return Cause(field, "FieldValueRequired", f"Required value: {rule}" if rule else "Required value")


def _unsupported(field: str, value: Any, supported: Iterable[str]) -> Cause:
    choices = ", ".join(json.dumps(s) for s in supported)
    shown = json.dumps(value, separators=(",", ":"))
    text = f"Unsupported value: {shown}: supported values: {choices}"
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
    if key.count("/") > 1:
        yield _invalid(field, key, _KEY_RULE)
        return
    prefix, slash, name = key.rpartition("/")
    if slash and not _SUBDOMAIN.match(prefix):
        yield _invalid(field, key, f"prefix part {_SUBDOMAIN_RULE}")
    if not _QUALIFIED.match(name) or len(name) > 63:
        yield _invalid(field, key, _QUALIFIED_RULE)


def _check_finalizers(meta: Obj, old: Obj | None) -> Causes:
    finalizers = meta.get("finalizers") or []
    for i, name in enumerate(finalizers):
        if "/" not in name and name not in _FINALIZERS:
            rule = "name is neither a standard finalizer name nor is it fully qualified"
            yield _invalid(f"metadata.finalizers[{i}]", name, rule)
    if old and old["metadata"].get("deletionTimestamp"):
        added = [name for name in finalizers if name not in (old["metadata"].get("finalizers") or [])]
        if added:
            listing = ", ".join(json.dumps(name) for name in added)
            rule = "no new finalizers can be added if the object is being deleted, found new finalizers"
            yield _forbidden("metadata.finalizers", f"{rule} []string{{{listing}}}")


def _check_meta(kind: str, obj: Obj, old: Obj | None) -> Causes:
    meta = obj["metadata"]
    yield from _check_finalizers(meta, old)
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
                yield _invalid(f"{field}.{part}[{name}]", text, str(error))
                continue
            yield from _check_resource_name(name, f"{field}.{part}[{name}]")
            if amounts[part, name] < 0:
                yield _invalid(f"{field}.{part}[{name}]", str(text), _NO_NEGATIVE)
    for (part, name), amount in amounts.items():
        limit = amounts.get(("limits", name))
        if part == "requests" and limit is not None and amount > limit:
            text, most = resources["requests"][name], resources["limits"][name]
            yield _invalid(f"{field}.requests", str(text), f"must be less than or equal to {name} limit of {most}")


def _check_resource_name(name: str, field: str) -> Causes:
    if "/" not in name and name not in _RESOURCES and not name.startswith("hugepages-"):
        yield _invalid(field, name, "must be a standard resource type or fully qualified")
        yield _invalid(field, name, "must be a standard resource for containers")


def _check_port(value: Any, field: str) -> Causes:
    if not value and value != 0:
        yield _required(field)
    elif isinstance(value, int):
        if not 1 <= value <= 65535:
            yield _invalid(field, value, _PORT_RULE)
    else:
        yield from _check_port_name(value, field)


def _check_port_name(name: str, field: str) -> Causes:
    if len(name) > 15:
        yield _invalid(field, name, "must be no more than 15 characters")
    if not re.fullmatch(r"[-a-z0-9]+", name):
        yield _invalid(field, name, _PORT_NAME_RULE)
    elif not re.search(r"[a-z]", name):
        yield _invalid(field, name, "must contain at least one letter (a-z)")


def _handlers(probe: Obj) -> list[str]:
    return [name for name in ("exec", "httpGet", "tcpSocket", "grpc", "sleep") if name in probe]


def _check_handler(probe: Obj, field: str) -> Causes:
    found = _handlers(probe)
    if not found:
        yield _required(field, "must specify a handler type")
    for name in found[1:]:
        yield _forbidden(f"{field}.{name}", "may not specify more than 1 handler type")
    for name in found[:1]:
        if name in ("httpGet", "tcpSocket", "grpc"):
            yield from _check_port(probe[name].get("port", 0), f"{field}.{name}.port")


def _check_probes(container: Obj, field: str) -> Causes:
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is None:
            continue
        yield from _check_handler(probe, f"{field}.{name}")
        for part in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
            if probe.get(part, 0) < 0:
                yield _invalid(f"{field}.{name}.{part}", probe[part], _NO_NEGATIVE)
        if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
            yield _invalid(f"{field}.{name}.successThreshold", probe["successThreshold"], "must be 1")
    for moment, handler in (container.get("lifecycle") or {}).items():
        yield from _check_handler(handler, f"{field}.lifecycle.{moment}")


def _check_variable(variable: Obj, field: str) -> Causes:
    if not variable.get("name"):
        yield _required(f"{field}.name")
    elif not re.fullmatch(r"[ -<>-~]+", variable["name"]):
        yield _invalid(f"{field}.name", variable["name"], _VARIABLE_RULE)
    source = variable.get("valueFrom")
    if source is None:
        return
    path = (source.get("fieldRef") or {}).get("fieldPath", "")
    if path and not _FIELD_PATH.match(path):
        rule = f"error converting fieldPath: field label not supported: {path}"
        yield _invalid(f"{field}.valueFrom.fieldRef.fieldPath", path, rule)
    if variable.get("value"):
        yield _invalid(f"{field}.valueFrom", "", "may not be specified when `value` is not empty")


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
    yield from _check_probes(container, field)
    yield from _check_resources(container.get("resources") or {}, f"{field}.resources")
    user = (container.get("securityContext") or {}).get("runAsUser", 0)
    if not 0 <= user <= 2147483647:
        yield _invalid(f"{field}.securityContext.runAsUser", user, "must be between 0 and 2147483647, inclusive")


def _check_container_lists(container: Obj, field: str, volumes: set[str]) -> Causes:
    for i, port in enumerate(container.get("ports") or ()):
        yield from _check_port(port.get("containerPort"), f"{field}.ports[{i}].containerPort")
        if port.get("name"):
            yield from _check_port_name(port["name"], f"{field}.ports[{i}].name")
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            yield _unsupported(f"{field}.ports[{i}].protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))
    for i, variable in enumerate(container.get("env") or ()):
        yield from _check_variable(variable, f"{field}.env[{i}]")
    for i, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            text = f"Not found: {json.dumps(mount.get('name'))}"
            yield Cause(f"{field}.volumeMounts[{i}].name", "FieldValueNotFound", text)


def _check_volumes(volumes: list[Obj], field: str) -> Causes:
    seen: set[str] = set()
    for i, volume in enumerate(volumes):
        sources = [name for name in volume if name != "name"]
        for name in sorted(sources, key=_VOLUME_ORDER.index if set(sources) <= set(_VOLUME_ORDER) else str)[1:]:
            yield _forbidden(f"{field}[{i}].{name}", "may not specify more than 1 volume type")
        if volume.get("name", "") in seen:
            yield _duplicate(f"{field}[{i}].name", volume["name"])
        seen.add(volume.get("name", ""))


def _check_tolerations(tolerations: list[Obj], field: str) -> Causes:
    for i, toleration in enumerate(tolerations):
        operator, inner = toleration.get("operator", "Equal"), f"{field}[{i}].operator"
        if not toleration.get("key") and operator != "Exists":
            rule = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            yield _invalid(inner, operator, rule)
        if operator not in ("Equal", "Exists"):
            yield _unsupported(inner, operator, ("Equal", "Exists"))


def _check_pod_spec(spec: Obj, field: str) -> Causes:
    if not spec.get("containers"):
        yield _required(f"{field}.containers")
    yield from _check_volumes(spec.get("volumes") or [], f"{field}.volumes")
    volumes = {v.get("name", "") for v in spec.get("volumes") or ()}
    seen: set[str] = set()
    for part in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(part) or ()):
            yield from _check_container(container, f"{field}.{part}[{i}]", volumes)
            if container.get("name") in seen:
                yield _duplicate(f"{field}.{part}[{i}].name", container["name"])
            seen.add(container.get("name", ""))
    yield from _check_pod_fields(spec, field)


def _check_pod_fields(spec: Obj, field: str) -> Causes:
    if spec.get("restartPolicy") not in ("Always", "OnFailure", "Never"):
        yield _unsupported(f"{field}.restartPolicy", spec.get("restartPolicy"), ("Always", "OnFailure", "Never"))
    if not 1 <= spec.get("activeDeadlineSeconds", 1) <= 2147483647:
        yield _invalid(f"{field}.activeDeadlineSeconds", spec["activeDeadlineSeconds"], _NATURAL_RULE)
    if spec.get("dnsPolicy") == "None" and not spec.get("dnsConfig"):
        yield _required(f"{field}.dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")
    if spec.get("nodeName") and not _SUBDOMAIN.match(spec["nodeName"]):
        yield _invalid(f"{field}.nodeName", spec["nodeName"], _SUBDOMAIN_RULE)
    yield from _check_tolerations(spec.get("tolerations") or [], f"{field}.tolerations")
    for i, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        if constraint.get("maxSkew", 0) <= 0:
            inner = f"{field}.topologySpreadConstraints[{i}].maxSkew"
            yield _invalid(inner, constraint.get("maxSkew", 0), "must be greater than zero")
        if not constraint.get("topologyKey"):
            yield _required(f"{field}.topologySpreadConstraints[{i}].topologyKey", "can not be empty")
        if constraint.get("whenUnsatisfiable") not in ("DoNotSchedule", "ScheduleAnyway"):
            inner = f"{field}.topologySpreadConstraints[{i}].whenUnsatisfiable"
            yield _unsupported(inner, constraint.get("whenUnsatisfiable"), ("DoNotSchedule", "ScheduleAnyway"))


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


def _shown_map(labels: Obj | None) -> str:
    return json.dumps(labels or None, separators=(",", ":"), sort_keys=True)


def _check_template(spec: Obj, restart: tuple[str, ...] = ("Always",)) -> Causes:
    template = spec["template"]
    labels = template["metadata"].get("labels")
    yield from _check_labels(labels, "spec.template.labels")
    yield from _check_pod_spec(template["spec"], "spec.template.spec")
    policy = template["spec"].get("restartPolicy")
    if restart != ("Always",) and policy == "Always":
        choices = ", ".join(json.dumps(each) for each in restart)
        yield _required("spec.template.spec.restartPolicy", f"valid values: {choices}")
    elif policy in ("Always", "OnFailure", "Never") and policy not in restart:
        yield _unsupported("spec.template.spec.restartPolicy", policy, restart)


def _check_workload(obj: Obj, old: Obj | None) -> Causes:
    spec = obj["spec"]
    if spec.get("replicas", 0) < 0:
        yield _invalid("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    selector = spec.get("selector")
    labels = spec["template"]["metadata"].get("labels")
    if selector is None:
        yield _required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield _invalid("spec.selector", {}, f"empty selector is invalid for {obj['kind'].lower()}")
    if selector is None or (any(selector.values()) and not matches(selector, labels)):
        text = f"Invalid value: {_shown_map(labels)}: `selector` does not match template `labels`"
        yield Cause("spec.template.metadata.labels", "FieldValueInvalid", text)
    yield from _check_template(spec)
    if old and old["spec"].get("selector") != selector:
        yield _immutable("spec.selector", selector)


def _check_deployment(obj: Obj, old: Obj | None) -> Causes:
    yield from _check_workload(obj, old)
    spec, strategy = obj["spec"], obj["spec"]["strategy"]
    kinds = ("Recreate", "RollingUpdate")
    if strategy["type"] not in kinds:
        shown = {"Type": strategy["type"], "RollingUpdate": strategy.get("rollingUpdate")}
        yield _unsupported("spec.strategy", shown, kinds)
    for name in ("maxUnavailable", "maxSurge"):
        yield from _check_amount((strategy.get("rollingUpdate") or {}).get(name), f"spec.strategy.rollingUpdate.{name}")
    if spec.get("revisionHistoryLimit", 0) < 0:
        yield _invalid("spec.revisionHistoryLimit", spec["revisionHistoryLimit"], _NO_NEGATIVE)
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        yield _invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "Recreate" and rolling:
        yield _forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    if rolling and all(str(rolling.get(n)) in ("0", "0%") for n in ("maxSurge", "maxUnavailable")):
        rule = "may not be 0 when `maxSurge` is 0"
        yield _invalid("spec.strategy.rollingUpdate.maxUnavailable", rolling["maxUnavailable"], rule)


def _check_amount(value: Any, field: str) -> Causes:
    """A number, or a percentage."""
    if isinstance(value, int) and value < 0:
        yield _invalid(field, value, _NO_NEGATIVE)
    elif isinstance(value, str) and not re.fullmatch(r"[0-9]+%", value):
        yield _invalid(field, value, _PERCENT_RULE)


def _check_job(obj: Obj, old: Obj | None) -> Causes:
    spec = obj["spec"]
    for name in ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit"):
        if spec.get(name, 0) < 0:
            yield _invalid(f"spec.{name}", spec[name], _NO_NEGATIVE)
    yield from _check_template(spec, ("OnFailure", "Never"))
    if old and old["spec"].get("template") != spec["template"]:
        yield _immutable("spec.template", spec["template"])


# Services and policies


def _check_service_ports(spec: Obj, ports: list[Obj]) -> Causes:
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
        if spec["type"] == "ClusterIP" and port.get("nodePort"):
            yield _forbidden(f"{field}.nodePort", "may not be used when `type` is 'ClusterIP'")
    numbers: set[tuple[Any, Any]] = set()
    for i, port in enumerate(ports):
        key = port.get("protocol"), port.get("port")
        if key in numbers:
            shown = {
                "Name": "",
                "Protocol": port.get("protocol"),
                "AppProtocol": None,
                "Port": port.get("port"),
                "TargetPort": 0,
                "NodePort": 0,
            }
            text = f"Duplicate value: {json.dumps(shown, separators=(',', ':'))}"
            yield Cause(f"spec.ports[{i}]", "FieldValueDuplicate", text)
        numbers.add(key)


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
    yield from _check_service_ports(spec, ports)
    if spec.get("sessionAffinity") not in ("ClientIP", "None", None):
        yield _unsupported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    if spec["type"] == "ClusterIP" and spec.get("externalTrafficPolicy") and not spec.get("externalIPs"):
        rule = "may only be set for externally-accessible services"
        yield _invalid("spec.externalTrafficPolicy", spec["externalTrafficPolicy"], rule)
    yield from _check_labels(spec.get("selector"), "spec.selector")
    if old and old["spec"].get("clusterIP") and spec["type"] != "ExternalName":
        before, after = old["spec"]["clusterIP"], spec.get("clusterIP", "")
        if after and after != before:
            yield _invalid("spec.clusterIPs[0]", [after], "may not change once set")


def _check_budget(obj: Obj, _old: Obj | None) -> Causes:
    spec = obj["spec"]
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        names = ("minAvailable", "selector", "maxUnavailable", "unhealthyPodEvictionPolicy")
        shown = {name[0].upper() + name[1:]: spec.get(name) for name in names}
        yield _invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for name in ("minAvailable", "maxUnavailable"):
        value = spec.get(name)
        yield from _check_amount(value, f"spec.{name}")
        if isinstance(value, str) and re.fullmatch(r"[0-9]+%", value) and int(value[:-1]) > 100:
            yield _invalid(f"spec.{name}", value, "must not be greater than 100%")
    policy, policies = spec.get("unhealthyPodEvictionPolicy"), ("AlwaysAllow", "IfHealthyBudget")
    if policy and policy not in policies:
        yield _unsupported("spec.unhealthyPodEvictionPolicy", policy, policies)


def _check_autoscaler(obj: Obj, _old: Obj | None) -> Causes:
    spec = obj["spec"]
    if spec.get("maxReplicas", 0) < 1:
        yield _required("spec.maxReplicas", "must be set and greater than 0")
    if spec.get("maxReplicas", 0) < spec["minReplicas"]:
        yield _invalid("spec.maxReplicas", spec["maxReplicas"], "must be greater than or equal to `minReplicas`")
    if spec["minReplicas"] < 1:
        yield _invalid("spec.minReplicas", spec["minReplicas"], "must be greater than or equal to 1")
        if not any(metric.get("type") in ("Object", "External") for metric in spec.get("metrics") or ()):
            rule = "must specify at least one Object or External metric to support scaling to zero replicas"
            yield _forbidden("spec.metrics", rule)
    target = spec.get("scaleTargetRef") or {}
    yield from (_required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not target.get(name))
    if not target.get("apiVersion") and not target.get("kind"):
        yield _invalid("spec.scaleTargetRef.apiVersion", "", "apiVersion must specify API group")
    for i, metric in enumerate(spec.get("metrics") or ()):
        target = (metric.get("resource") or {}).get("target") or {}
        if metric.get("type") == "Resource" and not {"averageUtilization", "averageValue"} & set(target):
            field = f"spec.metrics[{i}].resource.target.averageUtilization"
            yield _required(field, "must set either a target raw value or a target utilization")


def _check_secret(obj: Obj, old: Obj | None) -> Causes:
    yield from _check_data(obj, old)
    if obj.get("type") == "kubernetes.io/tls":
        for key in ("tls.crt", "tls.key"):
            if key not in (obj.get("data") or {}):
                yield _required(f"data[{key}]")


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
    kinds = ("ClusterRole",) if obj["kind"] == "ClusterRoleBinding" else ("Role", "ClusterRole")
    if reference.get("kind") not in kinds:
        yield _unsupported("roleRef.kind", reference.get("kind", ""), kinds)
    if not reference.get("name"):
        yield _required("roleRef.name")
    if old and old.get("roleRef") != reference:
        yield _invalid("roleRef", reference, "cannot change roleRef")
    for i, subject in enumerate(obj.get("subjects") or ()):
        if subject.get("kind") not in ("User", "Group", "ServiceAccount"):
            supported = ("ServiceAccount", "User", "Group")
            yield _unsupported(f"subjects[{i}].kind", subject.get("kind", ""), supported)
        if not subject.get("name"):
            yield _required(f"subjects[{i}].name")
        group = subject.get("apiGroup", "rbac.authorization.k8s.io")
        if subject.get("kind") in ("User", "Group") and group != "rbac.authorization.k8s.io":
            yield _unsupported(f"subjects[{i}].apiGroup", group, ("rbac.authorization.k8s.io",))
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


def _check_ingress(obj: Obj, _old: Obj | None) -> Causes:
    spec = obj.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield _invalid("spec", None, "either `defaultBackend` or `rules` must be specified")
    for i, rule in enumerate(spec.get("rules") or ()):
        for j, path in enumerate((rule.get("http") or {}).get("paths") or ()):
            if not path.get("pathType"):
                yield _required(f"spec.rules[{i}].http.paths[{j}].pathType", "pathType must be specified")


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _check_network_policy(obj: Obj, _old: Obj | None) -> Causes:
    spec = obj["spec"]
    for i, kind in enumerate(spec.get("policyTypes") or ()):
        if kind not in ("Ingress", "Egress"):
            yield _unsupported(f"spec.policyTypes[{i}]", kind, ("Ingress", "Egress"))
    for part, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(part) or ()):
            for j, port in enumerate(rule.get("ports") or ()):
                if "port" in port:
                    yield from _check_port(port["port"], f"spec.{part}[{i}].ports[{j}].port")
            for j, peer in enumerate(rule.get(peers) or ()):
                yield from _check_peer(peer, f"spec.{part}[{i}].{peers}[{j}]")


def _check_peer(peer: Obj, field: str) -> Causes:
    if not set(peer) & {"podSelector", "namespaceSelector", "ipBlock"}:
        yield _required(field, "must specify a peer")
    elif "ipBlock" in peer and len(peer) > 1:
        yield _forbidden(field, "may not specify both ipBlock and another peer")
    elif "ipBlock" in peer and not _is_network(peer["ipBlock"].get("cidr", "")):
        rule = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        yield _invalid(f"{field}.ipBlock.cidr", peer["ipBlock"].get("cidr", ""), rule)


_CHECKS: dict[str, Callable[[Obj, Obj | None], Causes]] = {
    "ClusterRole": _check_role,
    "ClusterRoleBinding": _check_binding,
    "ConfigMap": _check_data,
    "DaemonSet": _check_workload,
    "Deployment": _check_deployment,
    "HorizontalPodAutoscaler": _check_autoscaler,
    "Ingress": _check_ingress,
    "Job": _check_job,
    "NetworkPolicy": _check_network_policy,
    "Pod": _check_pod,
    "PodDisruptionBudget": _check_budget,
    "ReplicaSet": _check_workload,
    "Role": _check_role,
    "RoleBinding": _check_binding,
    "Secret": _check_secret,
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
