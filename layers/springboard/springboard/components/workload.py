"""The applications in the cluster: their objects, and the IAM roles of their pods.

The one component that talks to Kubernetes. Objects are applied with our own field manager and never by force,
and are read before: what exists under our names without our label belongs to somebody else. The pods' roles
(EKS Pod Identity associations) are here, because an association stands for an application's service account.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from springboard import naming
from springboard.components import cluster
from springboard.components.contract import (
    Absent,
    Action,
    Change,
    Effect,
    Failed,
    Observation,
    Pace,
    Ready,
    Verdict,
    Waiting,
)
from springboard.components.idempotency import token
from springboard.components.manifests import (
    CLUSTER_WIDE,
    HASH_ANNOTATION,
    KINDS,
    NAMESPACE,
    NAMESPACED,
    POD,
    UID_LABEL,
    VIEWERS_ROLE,
    covers,
    failure_analysis,
    manifests,
    namespace,
)
from springboard.errors import AccessDeniedError, NotOursError, RefusedError, ThrottledError, UnavailableError
from springboard.record import OperationKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard.components.manifests import Manifest
    from springboard.kube.client import Kubernetes
    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

_HOLDER = "springboard-replicas"
_RESTARTER = "springboard-restart"
_RESTARTED = "springboard.io/restarted-by"
NODES_POLL, PODS_POLL = 60, 10  # seconds: while pods have nowhere to go, and while they start
FIRST_NODES = Pace(100, 20)  # from the objects to pods on nodes that are still being made


@dataclass(frozen=True)
class Role:
    """An IAM role for an application's pods."""

    service_account: str
    arn: str
    association: str = ""  # its id, where it is there


@dataclass(frozen=True)
class Workload:
    """What should be in the cluster."""

    cluster: str
    namespace: str
    uid: str
    objects: tuple[Manifest, ...]
    roles: tuple[Role, ...]
    role_path: str  # under which an operator keeps the applications' roles
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Trouble:
    """Why a container or a pod does not come up."""

    app: str
    pod: str
    container: str
    reason: str  # CrashLoopBackOff, ImagePullBackOff, OOMKilled, Unschedulable …
    message: str = ""
    restarts: int = 0


@dataclass(frozen=True)
class Observed(Observation):
    """What is in the cluster under our names or with our label."""

    uid: str = ""
    objects: Mapping[tuple[str, str], Manifest] = field(default_factory=dict)  # (kind, name)
    roles: tuple[Role, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    skipped: str = ""  # why the cluster was not asked, on removal
    retry: str = ""  # the operation that tries again what has failed before it
    nodes: bool = True  # False: the record says that node groups are still being made


@dataclass(frozen=True, kw_only=True)
class ApplyObject(Change):
    """Server-side apply; `handover` keeps a Deployment's replicas while they change hands."""

    path: str
    manifest: Manifest
    handover: int | None = None


@dataclass(frozen=True, kw_only=True)
class RestartRollout(Change):
    """A new rollout of the same pods, as `kubectl rollout restart` makes one."""

    path: str
    name: str
    operation: str


@dataclass(frozen=True, kw_only=True)
class DeleteObject(Change):
    """Delete, dependents in the background."""

    path: str


@dataclass(frozen=True, kw_only=True)
class SetRole(Change):
    """CreatePodIdentityAssociation, or UpdatePodIdentityAssociation where there is one."""

    role: Role
    namespace: str
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RemoveRole(Change):
    """DeletePodIdentityAssociation."""

    association: str


def desired(environment: Environment, site: Site) -> Workload:
    """The objects and roles of all applications."""
    owner = naming.owner_tags(site.stack_name, environment.name, environment.uid)
    return Workload(
        cluster=naming.cluster(site.prefix, environment.name),
        namespace=namespace(environment),
        uid=environment.uid,
        objects=manifests(environment, site),
        roles=tuple(Role(app.name or environment.name, app.role_arn) for app in environment.spec.apps if app.role_arn),
        role_path=site.app_role_path,
        tags={**environment.labels, **owner},
    )


def changes(desired: Workload | Absent, observed: Observed) -> Sequence[Change]:
    """Objects to apply in the order in which they need each other, then those to delete."""
    if observed.skipped:
        return ()
    if isinstance(desired, Absent):
        return tuple(_removal(observed))
    planned = (
        *_roles(desired, observed),
        *_applied(desired, observed),
        *_restarted(desired, observed),
        *_pruned(desired, observed),
    )
    if observed.waiting:
        return tuple(replace(change, possible=False) for change in planned)
    return planned


def condition(desired: Workload | Absent, observed: Observed) -> Verdict:
    """Ready when every rollout is complete; until then it tells what the pods say."""
    if isinstance(desired, Absent):
        return _removed(observed)
    for role in desired.roles:
        if f":role{desired.role_path}" not in role.arn:
            return Failed(
                f"{role.arn} is not under {desired.role_path}",
                f"have the role made under the IAM path {desired.role_path}, or take spec.apps[].roleArn out",
                "RoleNotAllowed",
            )
    if observed.waiting:
        return observed.waiting
    verdicts = [_rollout(manifest, observed) for manifest in desired.objects if manifest["kind"] == "Deployment"]
    failures = [verdict for verdict in verdicts if isinstance(verdict, Failed)]
    if failures:
        return Failed("; ".join(f.cause for f in failures), failures[0].remedy, failures[0].code)
    open_changes = changes(desired, observed)
    if open_changes:
        return Waiting("workload", f"{open_changes[0].resource}: {open_changes[0].reason}")
    return next((verdict for verdict in verdicts if not isinstance(verdict, Ready)), Ready("RolledOut"))


def observe(world: World, environment: Environment) -> Observed:
    """The namespace, our kinds in it, its pods; and the pods' roles, where there are or were any."""
    removing = environment.under(OperationKind.DELETE)
    known = cluster.known(environment)
    if isinstance(known, Waiting):
        return Observed(uid=environment.uid, waiting=known, skipped=known.reason if removing else "")
    kubernetes = world.kubernetes(known.name, known.endpoint, known.certificate_authority)
    try:
        objects = _objects(kubernetes, environment)
        pods = kubernetes.objects(POD.path(namespace(environment)), f"{UID_LABEL}={environment.uid}")
    except AccessDeniedError as err:
        waiting = Waiting("access", f"the cluster does not know us yet: {err.message}", after=15)
        return Observed(uid=environment.uid, waiting=waiting, skipped=waiting.reason if removing else "")
    except (ThrottledError, UnavailableError, RefusedError) as err:
        # On removal the objects go with the cluster: one that does not answer, or not sensibly, keeps nothing from it.
        if not removing:
            raise
        return Observed(uid=environment.uid, skipped=err.message)
    return Observed(
        uid=environment.uid,
        objects=objects,
        roles=() if removing else _associations(world, environment, known.name),
        troubles=tuple(trouble for pod in pods for trouble in troubles(pod)),
        retry=_retry(environment),
        nodes=environment.holds("NodeGroupsReady"),
    )


def _retry(environment: Environment) -> str:
    operation = environment.operation
    retried = operation is not None and operation.kind in {OperationKind.RETRY, OperationKind.REPAIR}
    return operation.id if operation is not None and retried and environment.lock else ""


def apply(world: World, environment: Environment, change: Change) -> None:
    """One change; all are safe to make twice. UnavailableError while the cluster does not know us yet."""
    known = cluster.known(environment)
    if isinstance(known, Waiting):
        raise UnavailableError(known.reason)
    match change:
        case ApplyObject() | RestartRollout() | DeleteObject():
            kubernetes = world.kubernetes(known.name, known.endpoint, known.certificate_authority)
            try:
                _change_object(kubernetes, environment, change)
            except AccessDeniedError as err:
                # A control plane has several API servers, and each hears of a new access entry in its own time: the one
                # that showed us its objects may be ahead of the one that is to change them.
                raise UnavailableError(err.message, err.remedy) from err
        case SetRole(role=role):
            what = token(environment, f"pod-identity/{role.service_account}/{role.arn}")
            if role.association:
                world.eks.update_pod_identity(known.name, role.association, role.arn, what)
            else:
                world.eks.create_pod_identity(
                    known.name,
                    namespace=change.namespace,
                    service_account=role.service_account,
                    role_arn=role.arn,
                    tags=dict(change.tags),
                    token=what,
                )
        case RemoveRole():
            world.eks.delete_pod_identity(known.name, change.association)
        case _:
            raise TypeError(f"not a change of the workload: {change!r}")


def _change_object(
    kubernetes: Kubernetes, environment: Environment, change: ApplyObject | RestartRollout | DeleteObject
) -> None:
    match change:
        case ApplyObject():
            _apply_object(kubernetes, change)
        case RestartRollout():
            kubernetes.apply(change.path, _restart(namespace(environment), change), manager=_RESTARTER, force=True)
        case DeleteObject():
            kubernetes.delete(change.path)


def _apply_object(kubernetes: Kubernetes, change: ApplyObject) -> None:
    """Apply; replicas that pass between us and an autoscaler are held meanwhile by a manager for that alone.

    A field that its only owner stops applying falls back to its default, and one replica is an outage; and what
    an autoscaler has set is refused to us. So the holder takes replicas first, and lets them go when they are ours.
    """
    bare = {key: change.manifest[key] for key in ("apiVersion", "kind")}
    bare["metadata"] = {key: change.manifest["metadata"].get(key) for key in ("name", "namespace")}
    if change.handover is not None:
        held = {**bare, "spec": {"replicas": change.handover}}
        kubernetes.apply(change.path, held, manager=_HOLDER, force=True)
    kubernetes.apply(change.path, change.manifest)
    if change.handover is not None and "replicas" in change.manifest["spec"]:
        kubernetes.apply(change.path, bare, manager=_HOLDER)


def _restart(in_namespace: str, change: RestartRollout) -> dict[str, Any]:
    annotations = {_RESTARTED: change.operation}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": change.name, "namespace": in_namespace},
        "spec": {"template": {"metadata": {"annotations": annotations}}},
    }


def learned(observed: Observed) -> Mapping[str, Any]:
    """Images and replicas of the applications."""
    deployments = [manifest for (kind, _), manifest in sorted(observed.objects.items()) if kind == "Deployment"]
    return {
        "apps": [
            {
                "name": deployment["metadata"]["name"],
                "image": deployment["spec"]["template"]["spec"]["containers"][0]["image"],
                "replicas": deployment["spec"].get("replicas", 0),
                "updatedReplicas": deployment.get("status", {}).get("updatedReplicas", 0),
                "availableReplicas": deployment.get("status", {}).get("availableReplicas", 0),
            }
            for deployment in deployments
            if _is_ours(deployment, observed.uid)
        ],
        "roles": [role.service_account for role in observed.roles],
    }


def diagnose(world: World, environment: Environment) -> list[dict[str, Any]]:
    """What is wrong with the pods right now, with what their logs say; for the reader, never for the record."""
    known = cluster.known(environment)
    if isinstance(known, Waiting):
        return []
    kubernetes = world.kubernetes(known.name, known.endpoint, known.certificate_authority)
    pods = kubernetes.objects(POD.path(namespace(environment)), f"{UID_LABEL}={environment.uid}")
    return [
        _report(kubernetes, namespace(environment), trouble) for pod in pods for trouble in troubles(pod, waiting=True)
    ]


def troubles(pod: Mapping[str, Any], *, waiting: bool = False) -> Iterator[Trouble]:
    """What a pod says about itself that explains why it isn't ready; `waiting`: not-ready without a cause too."""
    metadata, status = pod["metadata"], pod.get("status", {})
    app = metadata.get("labels", {}).get("app.kubernetes.io/name", "")
    if metadata.get("deletionTimestamp"):
        return
    for said in status.get("conditions", ()):
        if said["type"] == "PodScheduled" and said["status"] == "False":
            yield Trouble(app, metadata["name"], "", said.get("reason", "Unschedulable"), said.get("message", ""))
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        reason, message = _container_trouble(container)
        restarts = container.get("restartCount", 0)
        if not reason and waiting and not container.get("ready") and "running" in container.get("state", {}):
            reason, message = "NotReady", "it runs, and its readiness probe does not pass"
        if reason:
            yield Trouble(app, metadata["name"], container["name"], reason, message, restarts)


def _container_trouble(container: Mapping[str, Any]) -> tuple[str, str]:
    """Reason and message; of a crash the cause (OOMKilled, exit code) is told with it."""
    if container.get("ready"):
        return "", ""
    waits = container.get("state", {}).get("waiting", {})
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated") or {}
    crash = ""
    if ended and ended.get("exitCode", 0) != 0:
        crash = f"{ended.get('reason', 'Error')}, exit code {ended['exitCode']}"
    reason = waits.get("reason", "")
    if reason in {"", "ContainerCreating", "PodInitializing"}:
        return (ended.get("reason", "Error"), crash) if crash else ("", "")
    return reason, "; ".join(part for part in (waits.get("message", ""), crash) if part)


def _report(kubernetes: Kubernetes, where: str, trouble: Trouble) -> dict[str, Any]:
    log = ""
    if trouble.container:
        path = POD.path(where, trouble.pod)
        log = kubernetes.log(path, trouble.container, previous=True) if trouble.restarts else ""
        log = log or kubernetes.log(path, trouble.container, previous=False)
    analysis = failure_analysis(log)
    return {
        "app": trouble.app,
        "pod": trouble.pod,
        "container": trouble.container,
        "reason": trouble.reason,
        "message": trouble.message,
        "restarts": trouble.restarts,
        "description": analysis[0] if analysis else "",
        "action": analysis[1] if analysis else "",
        "log": log.splitlines()[-20:],
    }


def _objects(kubernetes: Kubernetes, environment: Environment) -> dict[tuple[str, str], Manifest]:
    """All objects of our kinds in our namespace, whosever they are, and the ones outside it by name."""
    where = namespace(environment)
    found: dict[tuple[str, str], Manifest] = {}
    for kind, name in ((NAMESPACE, where), *((kind, VIEWERS_ROLE) for kind in CLUSTER_WIDE)):
        existing = kubernetes.get(kind.path("", name))
        if existing:
            found[kind.kind, name] = existing
    if (NAMESPACE.kind, where) in found:
        for kind in NAMESPACED:
            for item in kubernetes.objects(kind.path(where)):
                found[kind.kind, item["metadata"]["name"]] = item
    return found


def _associations(world: World, environment: Environment, name: str) -> tuple[Role, ...]:
    wanted = any(app.role_arn for app in environment.spec.apps)
    if not wanted and not environment.facts.get("workload", {}).get("roles"):
        return ()
    found = world.eks.pod_identities(name, namespace(environment))
    return tuple(
        Role(described["serviceAccount"], described.get("roleArn", ""), described["associationId"])
        for described in found
        if described.get("tags", {}).get(naming.OWNER_TAG) == environment.uid
    )


def _is_ours(found: Manifest, uid: str) -> bool:
    return bool(found["metadata"].get("labels", {}).get(UID_LABEL) == uid)


def _applied(desired: Workload, observed: Observed) -> Iterator[Change]:
    for manifest in desired.objects:
        name, kind = manifest["metadata"]["name"], KINDS[manifest["kind"]]
        found = observed.objects.get((kind.kind, name))
        if found is not None and not _is_ours(found, desired.uid):
            raise NotOursError(
                f"the cluster has a {kind.kind} {name} that was not made for this environment",
                f"delete or rename that {kind.kind}, or choose another name in the spec",
            )
        reason = _difference(manifest, found)
        if reason:
            yield ApplyObject(
                Action.UPDATE if found else Action.CREATE,
                f"{kind.kind} {name}",
                reason,
                _effect(manifest, found),
                path=kind.path(desired.namespace, name),
                manifest=manifest,
                handover=_handover(manifest, found, scaled=("HorizontalPodAutoscaler", name) in observed.objects),
            )


def _restarted(desired: Workload, observed: Observed) -> Iterator[Change]:
    """A rollout that was given up stays so until its pods are made anew: a retry makes them, once."""
    for manifest in desired.objects if observed.retry else ():
        name = manifest["metadata"]["name"]
        found = observed.objects.get(("Deployment", name)) if manifest["kind"] == "Deployment" else None
        if found is None or not _given_up(found) or _difference(manifest, found):
            continue
        annotations = found["spec"]["template"]["metadata"].get("annotations", {})
        if annotations.get(_RESTARTED) != observed.retry:
            yield RestartRollout(
                Action.UPDATE,
                f"Deployment {name}",
                "its rollout was given up, and a retry begins another",
                path=KINDS["Deployment"].path(desired.namespace, name),
                name=name,
                operation=observed.retry,
            )


def _given_up(deployment: Manifest) -> bool:
    said = deployment.get("status", {}).get("conditions", ())
    return any(each["type"] == "Progressing" and each.get("reason") == "ProgressDeadlineExceeded" for each in said)


def _handover(manifest: Manifest, found: Manifest | None, *, scaled: bool) -> int | None:
    """The replicas to hold where a Deployment gets an autoscaler, or loses one; None otherwise."""
    if found is None or manifest["kind"] != "Deployment":
        return None
    wanted: int | None = manifest["spec"].get("replicas")
    if scaled:
        return wanted
    return found["spec"].get("replicas") if wanted is None else None


def _difference(manifest: Manifest, found: Manifest | None) -> str:
    if found is None:
        return "it does not exist"
    if (
        found["metadata"].get("annotations", {}).get(HASH_ANNOTATION)
        != manifest["metadata"]["annotations"][HASH_ANNOTATION]
    ):
        return "the spec says something else"
    said = {key: value for key, value in manifest.items() if key not in {"apiVersion", "kind"}}  # lists leave them out
    return "" if covers(said, found) else "somebody changed it in the cluster"


def _effect(manifest: Manifest, found: Manifest | None) -> Effect:
    """A changed pod template moves pods."""
    if (
        found is None
        or manifest["kind"] != "Deployment"
        or covers(manifest["spec"]["template"], found["spec"]["template"])
    ):
        return Effect.NONE
    return Effect.DISRUPTS


def _pruned(desired: Workload, observed: Observed) -> Iterator[Change]:
    """Objects of ours that the spec does not say any more: a removed application's, a removed autoscaler."""
    wanted = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in desired.objects}
    for (kind, name), found in observed.objects.items():
        if (kind, name) not in wanted and _is_ours(found, desired.uid) and not _is_going(found):
            yield DeleteObject(
                Action.DELETE,
                f"{kind} {name}",
                "the spec does not name it any more",
                Effect.DISRUPTS if kind == "Deployment" else Effect.NONE,
                path=KINDS[kind].path(desired.namespace, name),
            )


def _roles(desired: Workload, observed: Observed) -> Iterator[Change]:
    have = {role.service_account: role for role in observed.roles}
    for role in desired.roles:
        found = have.get(role.service_account)
        if f":role{desired.role_path}" in role.arn and (found is None or found.arn != role.arn):
            yield SetRole(
                Action.UPDATE if found else Action.CREATE,
                f"pod identity association {role.service_account}",
                f"its pods shall have the role {role.arn}",
                role=replace(role, association=found.association if found else ""),
                namespace=desired.namespace,
                tags=desired.tags,
            )
    wanted = {role.service_account for role in desired.roles}
    for role in observed.roles:
        if role.service_account not in wanted:
            yield RemoveRole(
                Action.DELETE,
                f"pod identity association {role.service_account}",
                "the spec does not name it any more",
                association=role.association,
            )


def _removal(observed: Observed) -> Iterator[Change]:
    """The namespace takes with it what is in it; associations and access go with the cluster."""
    for kind in (NAMESPACE, *reversed(CLUSTER_WIDE)):
        for (found_kind, name), found in observed.objects.items():
            if found_kind == kind.kind and _is_ours(found, observed.uid) and not _is_going(found):
                yield DeleteObject(
                    Action.DELETE, f"{kind.kind} {name}", "the environment is deleted", path=kind.path("", name)
                )


def _is_going(found: Manifest) -> bool:
    return bool(found["metadata"].get("deletionTimestamp"))


def _removed(observed: Observed) -> Verdict:
    if observed.skipped:
        return Ready("Skipped", f"goes with the cluster: {observed.skipped}")
    kinds = {NAMESPACE.kind, *(kind.kind for kind in CLUSTER_WIDE)}
    left = [
        f"{kind} {name}"
        for (kind, name), found in observed.objects.items()
        if kind in kinds and _is_ours(found, observed.uid)
    ]
    return Waiting("workload", f"{', '.join(left)}: going away", after=15) if left else Ready("Gone")


def _rollout(manifest: Manifest, observed: Observed) -> Verdict:
    """How a Deployment stands, as `kubectl rollout status` judges it."""
    name = manifest["metadata"]["name"]
    found = observed.objects.get(("Deployment", name))
    if found is None:
        return Waiting("workload", f"Deployment {name} is not there yet")
    status = found.get("status", {})
    said = "; ".join(_told(trouble) for trouble in observed.troubles if trouble.app == name)
    if status.get("observedGeneration", 0) < found["metadata"].get("generation", 0):
        return Waiting("workload", f"{name}: the Deployment was not looked at yet", _pods_poll(name, observed))
    progressing: Mapping[str, Any] = next((c for c in status.get("conditions", ()) if c["type"] == "Progressing"), {})
    if _given_up(found):
        return Failed(
            f"{name} did not come up in time. {said or progressing.get('message', '')}".strip(),
            "`springboard why` shows what the pods and their logs say; correct the application or the spec",
            "ProgressDeadlineExceeded",
        )
    wanted = found["spec"].get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < wanted or status.get("replicas", 0) > updated or available < updated:
        reason = f"{name}: {available} of {wanted} pods are available. {said}".strip()
        return Waiting("pods", reason, _pods_poll(name, observed))
    return Ready()


def _pods_poll(name: str, observed: Observed) -> int | Pace:
    if not observed.nodes:
        return FIRST_NODES
    reasons = {trouble.reason for trouble in observed.troubles if trouble.app == name}
    return NODES_POLL if reasons == {"Unschedulable"} else PODS_POLL


def _told(trouble: Trouble) -> str:
    message = f": {trouble.message}" if trouble.message else ""
    return f"{trouble.pod} {trouble.reason}{message}"
