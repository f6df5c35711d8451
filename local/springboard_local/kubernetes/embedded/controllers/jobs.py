"""Jobs: pods that run to their end. Simulated containers always succeed, unless a fault crashes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.controllers.pods import create_pod
from springboard_local.kubernetes.embedded.objects import (
    JOBS,
    PODS,
    Obj,
    controller_of,
    has_condition,
    is_active,
    is_ready,
    is_terminating,
    name_of,
    namespace_of,
    now,
    set_condition,
    uid_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.embedded.controllers.manager import Item
    from springboard_local.kubernetes.embedded.store import Change


def job_labels(job: Obj) -> dict[str, str]:
    """What marks the pods of a Job."""
    return {
        "batch.kubernetes.io/controller-uid": uid_of(job),
        "batch.kubernetes.io/job-name": name_of(job),
        "controller-uid": uid_of(job),
        "job-name": name_of(job),
    }


class Jobs:
    """Keeps the wanted number of pods at work until enough have succeeded."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def items(self, change: Change) -> Iterable[Item]:
        """Jobs, and those whose pods changed."""
        if change.key == JOBS and change.type != "DELETED":
            yield namespace_of(change.obj), name_of(change.obj)
        elif change.key == PODS:
            owner = controller_of(change.obj)
            if owner and owner["kind"] == "Job":
                yield namespace_of(change.obj), owner["name"]

    def reconcile(self, namespace: str, name: str) -> None:
        """Start pods, count, and say when it is done."""
        job = self._context.store.get(JOBS, namespace, name)
        if job is None or is_terminating(job) or has_condition(job, "Complete") or job["spec"].get("suspend"):
            return
        pods = self._context.pods_of(job)
        succeeded = sum(pod["status"].get("phase") == "Succeeded" for pod in pods)
        active = [pod for pod in pods if is_active(pod)]
        wanted = min(job["spec"]["parallelism"], job["spec"]["completions"] - succeeded)
        for _ in range(wanted - len(active)):
            made = create_pod(self._context, job, labels=job_labels(job))
            active += [made] if made else []
        done = succeeded >= job["spec"]["completions"]
        if done and not has_condition(job, "Complete"):
            self._context.record(job, "Normal", "Completed", "Job completed", "job-controller")

        def change(status: Obj) -> None:
            status.setdefault("startTime", now())
            counts = {"active": len(active), "ready": sum(map(is_ready, active)), "succeeded": succeeded}
            for field, count in counts.items():
                status.pop(field, None)
                if count or field == "ready":
                    status[field] = count
            status["terminating"] = 0
            if done:
                status["completionTime"] = now()
                text = "Reached expected number of succeeded pods"
                for kind in ("SuccessCriteriaMet", "Complete"):
                    set_condition(status, kind, "True", "CompletionsReached", text, lastProbeTime=now())

        self._context.registry.edit_status(JOBS, job, change)
