"""The kubelets: what happens to a pod once it is bound to a node, on the virtual clock.

No container runs. Each is a small machine that moves at deadlines: it is created, runs, becomes ready,
or fails in the way that a fault says, with the status, Events and log that a genuine kubelet would leave.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from springboard_local.kubernetes.embedded.controllers.manager import TICK
from springboard_local.kubernetes.embedded.faults import CRASH_REASONS, PULL_REASONS, UNREADY_REASONS, Fault
from springboard_local.kubernetes.embedded.objects import (
    NODES,
    PODS,
    Obj,
    controller_of,
    internal_ip,
    is_finished,
    is_ready,
    is_terminating,
    moment,
    name_of,
    namespace_of,
    node_of,
    now,
    set_condition,
    uid_of,
)
from springboard_local.kubernetes.embedded.spring_log import SpringLog, fake_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from springboard_local.clock import Timer
    from springboard_local.kubernetes.embedded.controllers.manager import Item, Manager
    from springboard_local.kubernetes.embedded.faults import Faults
    from springboard_local.kubernetes.embedded.store import Change, Store

# The share of a pod's start that passes before its containers run; the rest is the application's own.
_CREATION_SHARE = 0.4
_PULL_RETRY = 10.0
_BACKOFF, _BACKOFF_MOST = 10.0, 300.0
_STOP_SECONDS = 1.0
_JOB_SECONDS = 5.0


@dataclass
class Container:
    """One container's machine. `due` is the virtual moment of its next step."""

    name: str
    image: str
    probed: bool
    due: float | None = None
    state: str = "creating"  # creating, pull_error, pull_backoff, running, crash_backoff, completed
    ready_due: float = 0.0
    ready: bool = False
    started_at: str = ""
    restarts: int = 0
    pull_failures: int = 0
    pull_reason: str = ""
    last: Obj | None = None
    failure_log: str = ""
    previous_log: str = ""


@dataclass
class Runtime:
    """What a kubelet knows of a pod."""

    boot: float  # virtual seconds from binding to readiness
    containers: list[Container] = field(default_factory=list)
    held: bool = False  # waits for its node to become ready
    stop_due: float | None = None
    ready_since: float | None = None
    timer: Timer | None = None
    timer_due: float | None = None
    address: str = ""


class Surroundings(Protocol):
    """What kubelets work with, on whichever lane they run."""

    store: Store
    manager: Manager
    faults: Faults

    def edit_pod_status(self, pod: Obj, change: Callable[[Obj], object]) -> None:
        """Write the status of a pod: `change` gets the latest."""

    def end_pod(self, pod: Obj) -> None:
        """Say that the containers of a pod that was asked to go have ended."""

    def record(
        self, about: Obj, kind: str, reason: str, message: str, component: str, *, field: str = "", host: str = ""
    ) -> None:
        """Write an Event, or count one that is there already."""


class Kubelets:
    """The kubelets of all nodes."""

    def __init__(self, context: Surroundings, pod_start: Callable[[], float]) -> None:
        self._context = context
        self._manager = context.manager
        self._pod_start = pod_start
        self._runtimes: dict[str, Runtime] = {}

    def items(self, change: Change) -> Iterable[Item]:
        """Bound pods, and those of a node whose readiness changed."""
        if change.key == PODS:
            if change.type == "DELETED":
                self._forget(uid_of(change.obj))
            elif node_of(change.obj):
                yield namespace_of(change.obj), name_of(change.obj)
        elif change.key == NODES and change.previous and is_ready(change.previous) != is_ready(change.obj):
            name = name_of(change.obj)
            for pod in self._context.store.list(PODS, "", lambda p: node_of(p) == name):
                yield namespace_of(pod), name_of(pod)

    def ready_for(self, uid: str) -> float:
        """For how many virtual seconds a pod has been ready."""
        runtime = self._runtimes.get(uid)
        if runtime is None or runtime.ready_since is None:
            return 0.0
        return self._manager.now() - runtime.ready_since + TICK

    def container(self, pod: Obj, name: str) -> Container | None:
        """A container's machine, for its log."""
        runtime = self._runtimes.get(uid_of(pod))
        return next((c for c in runtime.containers if c.name == name), None) if runtime else None

    def refresh(self) -> None:
        """Faults have changed: look at all pods, and end the waits of those that are well again."""
        moment_now = self._manager.now()
        for pod in self._context.store.list(PODS, "", lambda p: bool(node_of(p))):
            runtime = self._runtimes.get(uid_of(pod))
            for container in runtime.containers if runtime else ():
                fault = self._context.faults.of_container(pod, container.image)
                crashes = fault is not None and fault.reason in CRASH_REASONS
                waits = container.state in ("pull_error", "pull_backoff", "crash_backoff")
                if (container.state == "running" and crashes) or (waits and fault is None):
                    container.due = moment_now
            self._manager.enqueue(self, namespace_of(pod), name_of(pod))

    def reconcile(self, namespace: str, name: str) -> None:
        """Move a pod's containers on, and say how they are."""
        pod = self._context.store.get(PODS, namespace, name)
        if pod is None or not node_of(pod) or is_finished(pod):
            return
        node = self._context.store.get(NODES, "", node_of(pod))
        if node is None:
            return
        runtime = self._runtimes.get(uid_of(pod)) or self._adopt(pod)
        if is_terminating(pod):
            self._stop(pod, runtime)
            return
        self._match_images(pod, runtime)
        works = is_ready(node) or bool(pod["spec"].get("hostNetwork"))
        self._hold(runtime, works=works)
        if works:
            self._advance(pod, runtime)
        self._write_status(pod, node, runtime, works=works)
        self._schedule(pod, runtime)

    # Life of a pod

    def _adopt(self, pod: Obj) -> Runtime:
        """A pod that was just bound."""
        runtime = Runtime(boot=max(0.0, self._pod_start()))
        now_virtual = self._manager.now()
        for spec in pod["spec"].get("containers") or ():
            probed = bool(spec.get("readinessProbe") or spec.get("startupProbe"))
            container = Container(spec["name"], spec["image"], probed)
            self._begin(container, now_virtual, runtime.boot)
            runtime.containers.append(container)
            self._record(pod, container, "Normal", "Pulling", f'Pulling image "{container.image}"')
        self._runtimes[uid_of(pod)] = runtime
        return runtime

    @staticmethod
    def _begin(container: Container, start: float, boot: float) -> None:
        container.state, container.ready = "creating", False
        container.ready_due = start + boot
        container.due = start + boot * (_CREATION_SHARE if container.probed else 1.0)

    def _match_images(self, pod: Obj, runtime: Runtime) -> None:
        """An image that was changed in a running pod restarts its container."""
        images = {c["name"]: c["image"] for c in pod["spec"]["containers"]}
        for container in runtime.containers:
            if images[container.name] != container.image:
                container.image = images[container.name]
                container.restarts += container.state == "running"
                self._begin(container, self._manager.now(), runtime.boot)

    def _hold(self, runtime: Runtime, *, works: bool) -> None:
        creating = [c for c in runtime.containers if c.state == "creating"]
        if not works and creating:
            runtime.held = True
        elif works and runtime.held:
            runtime.held = False
            for container in creating:
                self._begin(container, self._manager.now(), runtime.boot)

    def _advance(self, pod: Obj, runtime: Runtime) -> None:
        now_virtual = self._manager.now() + TICK
        for container in runtime.containers:
            for _ in range(8):  # several deadlines may have passed on a clock that jumps
                if container.due is None or container.due > now_virtual:
                    break
                self._step(pod, runtime, container)

    def _step(self, pod: Obj, runtime: Runtime, container: Container) -> None:
        fault = self._context.faults.of_container(pod, container.image)
        if container.state in ("creating", "pull_error", "pull_backoff"):
            if fault is not None and fault.reason in PULL_REASONS:
                self._fail_pull(pod, container, fault)
            else:
                self._pulled(pod, container)
                self._run(pod, runtime, container, fault)
        elif container.state == "crash_backoff":
            container.restarts += 1
            self._run(pod, runtime, container, fault)
        elif container.state == "running":
            self._step_running(pod, runtime, container, fault)
        else:
            container.due = None

    def _run(self, pod: Obj, runtime: Runtime, container: Container, fault: Fault | None) -> None:
        container.state, container.started_at = "running", now()
        container.ready, container.failure_log = False, ""
        self._record(pod, container, "Normal", "Created", f"Created container: {container.name}")
        self._record(pod, container, "Normal", "Started", f"Started container {container.name}")
        own_start = runtime.boot * (1 - _CREATION_SHARE)
        crashes = fault is not None and fault.reason in CRASH_REASONS
        wait = own_start if container.probed or crashes else 0.0
        container.due = container.ready_due = self._manager.now() + wait

    def _step_running(self, pod: Obj, runtime: Runtime, container: Container, fault: Fault | None) -> None:
        if fault is not None and fault.reason in CRASH_REASONS:
            self._crash(pod, runtime, container, fault)
        elif not container.ready:
            container.ready = True
            owner = controller_of(pod)
            ends = owner is not None and owner["kind"] == "Job"
            container.due = self._manager.now() + _JOB_SECONDS if ends else None
        elif pod["spec"].get("restartPolicy") != "Always":
            container.state, container.due, container.ready = "completed", None, False
            container.last = _terminated(container, 0, "Completed")
        else:
            container.due = None

    def _crash(self, pod: Obj, runtime: Runtime, container: Container, fault: Fault) -> None:
        killed = fault.reason == "OOMKilled"
        container.last = _terminated(container, 137 if killed else 1, "OOMKilled" if killed else "Error")
        container.failure_log = fault.log or ("" if killed else fault.message or _NO_REASON)
        container.previous_log = container.failure_log
        container.ready = False
        if container.restarts == 0:
            container.restarts = 1
            self._run(pod, runtime, container, fault)
            return
        wait = min(_BACKOFF_MOST, _BACKOFF * 2 ** (container.restarts - 1))
        container.state, container.due = "crash_backoff", self._manager.now() + wait
        place = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
        text = f"Back-off restarting failed container {container.name} in pod {place}"
        self._record(pod, container, "Warning", "BackOff", text)

    def _fail_pull(self, pod: Obj, container: Container, fault: Fault) -> None:
        container.pull_failures += 1
        cause = fault.message or (
            f'rpc error: code = NotFound desc = failed to pull and unpack image "{container.image}": failed to resolve '
            f'reference "{container.image}": {container.image}: not found'
        )
        container.pull_reason = cause
        wait = min(_BACKOFF_MOST, _BACKOFF * 2 ** ((container.pull_failures - 1) // 2))
        if container.state != "pull_error":
            container.state, container.due = "pull_error", self._manager.now() + _PULL_RETRY
            self._record(pod, container, "Warning", "Failed", f'Failed to pull image "{container.image}": {cause}')
            self._record(pod, container, "Warning", "Failed", "Error: ErrImagePull")
        else:
            container.state, container.due = "pull_backoff", self._manager.now() + wait
            self._record(pod, container, "Normal", "BackOff", f'Back-off pulling image "{container.image}"')
            self._record(pod, container, "Warning", "Failed", "Error: ImagePullBackOff")

    def _pulled(self, pod: Obj, container: Container) -> None:
        container.pull_failures = 0
        text = (
            f'Successfully pulled image "{container.image}" in 1.412s (1.412s including waiting). '
            "Image size: 187654321 bytes."
        )
        self._record(pod, container, "Normal", "Pulled", text)

    def _stop(self, pod: Obj, runtime: Runtime) -> None:
        """End the containers, after their preStop hooks, within the grace period."""
        now_virtual = self._manager.now()
        runs = any(c.state == "running" for c in runtime.containers)
        if runtime.stop_due is None:
            grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
            runtime.stop_due = now_virtual + (min(grace, _hook_seconds(pod) + _STOP_SECONDS) if runs else 0.0)
            for container in runtime.containers if runs else ():
                self._record(pod, container, "Normal", "Killing", f"Stopping container {container.name}")
        if now_virtual + TICK >= runtime.stop_due:
            self._manager.cancel(runtime.timer)
            self._context.end_pod(pod)
        else:
            self._wake(pod, runtime, runtime.stop_due)

    def _schedule(self, pod: Obj, runtime: Runtime) -> None:
        deadlines = [c.due for c in runtime.containers if c.due is not None]
        if deadlines and not runtime.held:
            self._wake(pod, runtime, min(deadlines))

    def _wake(self, pod: Obj, runtime: Runtime, due: float) -> None:
        if runtime.timer is not None and runtime.timer_due == due:
            return
        self._manager.cancel(runtime.timer)
        wait = max(0.0, due - self._manager.now())
        runtime.timer_due = due
        runtime.timer = self._manager.later(self, namespace_of(pod), name_of(pod), wait)

    def _forget(self, uid: str) -> None:
        runtime = self._runtimes.pop(uid, None)
        if runtime:
            self._manager.cancel(runtime.timer)

    def _record(self, pod: Obj, container: Container, kind: str, reason: str, message: str) -> None:
        place = f"spec.containers{{{container.name}}}"
        self._context.record(pod, kind, reason, message, "kubelet", field=place, host=node_of(pod))

    # Status

    def _write_status(self, pod: Obj, node: Obj, runtime: Runtime, *, works: bool) -> None:
        statuses = [self._container_status(pod, c) for c in runtime.containers]
        unready = [s["name"] for s in statuses if not s["ready"]]
        finished = all(c.state == "completed" for c in runtime.containers)
        serves = not unready and works
        if serves and runtime.ready_since is None:
            runtime.ready_since = self._manager.now()
        elif not serves:
            runtime.ready_since = None
        host = internal_ip(node)

        def change(status: Obj) -> None:
            self._set_addresses(pod, status, host, runtime)
            status["phase"] = "Succeeded" if finished else _phase(runtime.containers)
            status["containerStatuses"] = statuses
            _set_pod_conditions(status, unready, finished=finished, works=works)

        self._context.edit_pod_status(pod, change)

    def _set_addresses(self, pod: Obj, status: Obj, host: str, runtime: Runtime) -> None:
        if "startTime" not in status:
            status.update(startTime=now(), hostIP=host, hostIPs=[{"ip": host}])
        if "podIP" not in status:
            runtime.address = runtime.address or (host if pod["spec"].get("hostNetwork") else self._free_address(host))
            status["podIP"] = runtime.address
            status["podIPs"] = [{"ip": status["podIP"]}]

    def _free_address(self, host: str) -> str:
        """An address of the node's subnet, as the VPC's CNI gives pods."""
        taken = {p.get("status", {}).get("podIP") for p in self._context.store.objects[PODS].values()}
        taken |= {internal_ip(n) for n in self._context.store.objects[NODES].values()}
        taken |= {each.address for each in self._runtimes.values()}  # given, and perhaps not written yet
        first, second, third, _ = (host or "10.0.0.1").split(".")
        while True:
            for last in range(64, 255):
                address = f"{first}.{second}.{third}.{last}"
                if address not in taken:
                    return address
            third = str((int(third) + 1) % 256)

    def _container_status(self, pod: Obj, container: Container) -> Obj:
        fault = self._context.faults.of_container(pod, container.image)
        unready = fault is not None and fault.reason in UNREADY_REASONS
        if unready and container.ready and fault is not None:
            text = fault.message or "Readiness probe failed: HTTP probe failed with statuscode: 503"
            self._record(pod, container, "Warning", "Unhealthy", text)
        status: Obj = {
            "name": container.name,
            "image": container.image,
            "imageID": "",
            "lastState": {},
            "ready": container.ready and not unready,
            "restartCount": container.restarts,
            "started": container.state == "running" and container.ready,
            "state": _state(pod, container),
        }
        if container.state == "running" and not container.probed:
            status["started"] = True
        if container.started_at:
            digest = hashlib.sha256(f"{uid_of(pod)}{container.name}{container.restarts}".encode()).hexdigest()
            status["containerID"] = f"containerd://{digest}"
            status["imageID"] = f"{container.image.split('@')[0]}@{fake_digest(container.image)}"
        if container.last and container.state != "completed":
            status["lastState"] = {"terminated": container.last}
        return status

    # Logs

    def log_lines(self, pod: Obj, container: Container, *, previous: bool) -> list[tuple[datetime, str]]:
        """What a container, or the one before it, has written."""
        failure = container.previous_log if previous else container.failure_log
        last = container.last if previous or container.state == "crash_backoff" else None
        started = moment(last["startedAt"]) if last else moment(container.started_at)
        if namespace_of(pod) == "kube-system":
            return [(started.astimezone(UTC), f"I {container.name} started")]
        labels = pod["metadata"].get("labels") or {}
        application = labels.get("app.kubernetes.io/name") or labels.get("app") or container.name
        ready = container.ready and not previous
        return SpringLog(application, started.astimezone(UTC)).lines(ready=ready, failure=failure)


_NO_REASON = "The application ended during its start."


def _terminated(container: Container, code: int, reason: str) -> Obj:
    return {
        "exitCode": code,
        "reason": reason,
        "startedAt": container.started_at,
        "finishedAt": now(),
        "containerID": f"containerd://{hashlib.sha256((container.name + container.started_at).encode()).hexdigest()}",
    }


def _state(pod: Obj, container: Container) -> Obj:
    if container.state == "running":
        return {"running": {"startedAt": container.started_at}}
    if container.state == "completed":
        return {"terminated": container.last}
    if container.state == "crash_backoff":
        wait = int(min(_BACKOFF_MOST, _BACKOFF * 2 ** (container.restarts - 1)))
        span = f"{wait}s" if wait < 60 else f"{wait // 60}m{wait % 60}s"
        place = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
        text = f"back-off {span} restarting failed container={container.name} pod={place}"
        return {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
    if container.state == "pull_error":
        return {"waiting": {"reason": "ErrImagePull", "message": container.pull_reason}}
    if container.state == "pull_backoff":
        text = f'Back-off pulling image "{container.image}": ErrImagePull: {container.pull_reason}'
        return {"waiting": {"reason": "ImagePullBackOff", "message": text}}
    return {"waiting": {"reason": "ContainerCreating"}}


def _phase(containers: list[Container]) -> str:
    started = [c for c in containers if c.started_at]
    return "Running" if len(started) == len(containers) else "Pending"


def _set_pod_conditions(status: Obj, unready: list[str], *, finished: bool, works: bool) -> None:
    set_condition(status, "PodReadyToStartContainers", "False" if finished else "True")
    set_condition(status, "Initialized", "True")
    if finished:
        for kind in ("Ready", "ContainersReady"):
            set_condition(status, kind, "False", "PodCompleted")
        return
    text = f"containers with unready status: [{' '.join(unready)}]"
    why = ("ContainersNotReady", text) if unready else ("", "")
    set_condition(status, "Ready", "False" if unready or not works else "True", *why)
    set_condition(status, "ContainersReady", "False" if unready else "True", *why)


def _hook_seconds(pod: Obj) -> float:
    """How long the longest preStop hook sleeps."""
    longest = 0.0
    for container in pod["spec"]["containers"]:
        hook = (container.get("lifecycle") or {}).get("preStop") or {}
        longest = max(longest, float((hook.get("sleep") or {}).get("seconds") or 0))
        command = " ".join((hook.get("exec") or {}).get("command") or ())
        found = re.search(r"\bsleep\s+(\d+(?:\.\d+)?)", command)
        longest = max(longest, float(found[1])) if found else longest
    return longest
