"""The eviction subresource: a delete that asks the budgets first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.errors import ApiError
from springboard_local.kubernetes.embedded.objects import (
    BUDGETS,
    PODS,
    Obj,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    now,
    status_number,
)
from springboard_local.kubernetes.embedded.selectors import matches

if TYPE_CHECKING:
    from springboard_local.kubernetes.embedded.registry import Registry
    from springboard_local.kubernetes.embedded.store import Store

_REFUSAL = "Cannot evict pod as it would violate the pod's disruption budget."
_UNCOUNTED_PHASES = ("Succeeded", "Failed", "Pending")


def _blocked(message: str, retry_after: int = 0) -> ApiError:
    details: Obj = {"causes": [{"reason": "DisruptionBudget", "message": message}]}
    headers = {}
    if retry_after:
        details["retryAfterSeconds"], headers = retry_after, {"Retry-After": str(retry_after)}
    return ApiError(429, "TooManyRequests", _REFUSAL, details, headers)


def budgets_of(store: Store, pod: Obj) -> list[Obj]:
    """The budgets that cover a pod."""
    return store.list(BUDGETS, namespace_of(pod), lambda b: matches(b["spec"].get("selector"), labels_of(pod)))


def _budget_of(registry: Registry, pod: Obj) -> Obj | None:
    found = budgets_of(registry.store, pod)
    if len(found) > 1:
        message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise ApiError(500, "InternalError", message)
    return found[0] if found else None


def evict(registry: Registry, pod: Obj, options: Obj | None = None, *, dry_run: bool = False) -> None:
    """Delete a pod if its budget allows; ApiError 429 if not."""
    uncounted = pod.get("status", {}).get("phase") in _UNCOUNTED_PHASES or is_terminating(pod)
    budget = None if uncounted else _budget_of(registry, pod)
    if budget is not None and not _may_go_unhealthy(budget, pod):
        _take(registry, budget, pod, dry_run=dry_run)
    registry.delete(registry.resource(PODS), pod, options, dry_run=dry_run)


def _may_go_unhealthy(budget: Obj, pod: Obj) -> bool:
    if is_ready(pod):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    return status_number(budget, "currentHealthy") >= status_number(budget, "desiredHealthy") > 0


def _take(registry: Registry, budget: Obj, pod: Obj, *, dry_run: bool) -> None:
    if status_number(budget, "observedGeneration") < budget["metadata"]["generation"]:
        raise _blocked(f"The disruption budget {name_of(budget)} is still being processed by the server.", 10)
    if status_number(budget, "disruptionsAllowed") <= 0:
        wanted, healthy = status_number(budget, "desiredHealthy"), status_number(budget, "currentHealthy")
        raise _blocked(
            f"The disruption budget {name_of(budget)} needs {wanted} healthy pods and has {healthy} currently"
        )
    if dry_run:
        return

    def change(status: Obj) -> None:
        status["disruptionsAllowed"] -= 1
        status.setdefault("disruptedPods", {})[name_of(pod)] = now()

    registry.edit_status(BUDGETS, budget, change, "kube-apiserver")
