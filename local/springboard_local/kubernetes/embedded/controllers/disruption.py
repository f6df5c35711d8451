"""PodDisruptionBudgets: how many pods may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.objects import (
    BUDGETS,
    PODS,
    Obj,
    controller_of,
    is_active,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    replicas_of,
    set_condition,
)
from springboard_local.kubernetes.embedded.quantities import scaled
from springboard_local.kubernetes.embedded.selectors import matches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.embedded.controllers.manager import Item
    from springboard_local.kubernetes.embedded.store import Change


class Disruption:
    """Computes the status of budgets."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    def items(self, change: Change) -> Iterable[Item]:
        """Budgets, and those of the namespace of a pod or workload that changed."""
        if change.key == BUDGETS and change.type != "DELETED":
            yield namespace_of(change.obj), name_of(change.obj)
        elif change.key == PODS or change.key[0] == "apps":
            for budget in self._store.list(BUDGETS, namespace_of(change.obj)):
                yield namespace_of(budget), name_of(budget)

    def reconcile(self, namespace: str, name: str) -> None:
        """Count a budget's pods."""
        budget = self._store.get(BUDGETS, namespace, name)
        if budget is None:
            return
        selector = budget["spec"].get("selector")
        pods = self._store.list(PODS, namespace, lambda p: is_active(p) and matches(selector, labels_of(p)))
        expected, wanted = self._bounds(budget, pods)
        before = budget.get("status", {}).get("disruptedPods") or {}
        disrupted = {pod: time for pod, time in before.items() if self._still_there(namespace, pod)}
        healthy = sum(is_ready(pod) and name_of(pod) not in disrupted for pod in pods)
        allowed = max(0, healthy - wanted) if expected else 0
        generation = budget["metadata"]["generation"]

        def change(status: Obj) -> None:
            status.update(
                currentHealthy=healthy,
                desiredHealthy=wanted,
                disruptionsAllowed=allowed,
                expectedPods=expected,
                observedGeneration=generation,
            )
            status.pop("disruptedPods", None)
            if disrupted:
                status["disruptedPods"] = disrupted
            value, reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
            set_condition(status, "DisruptionAllowed", value, reason, observedGeneration=generation)
            status["conditions"][-1].setdefault("message", "")

        self._context.registry.edit_status(BUDGETS, budget, change)

    def _bounds(self, budget: Obj, pods: list[Obj]) -> tuple[int, int]:
        """How many pods there should be, and how many must stay healthy."""
        spec = budget["spec"]
        if spec.get("maxUnavailable") is not None:
            expected = self._expected(pods)
            return expected, max(0, expected - scaled(spec["maxUnavailable"], expected, round_up=True))
        least = spec.get("minAvailable", 0)
        expected = len(pods) if isinstance(least, int) else self._expected(pods)
        return expected, scaled(least, expected, round_up=True)

    def _expected(self, pods: list[Obj]) -> int:
        """The sizes of all controllers of the pods."""
        sizes: dict[str, int] = {}
        for pod in pods:
            owner = self._scalable_owner(pod)
            if owner:
                sizes[owner["metadata"]["uid"]] = replicas_of(owner)
        return sum(sizes.values())

    def _scalable_owner(self, pod: Obj) -> Obj | None:
        owner, reference = None, controller_of(pod)
        while reference:
            key = self._context.registry.catalog.key_of(reference)
            found = self._store.get(key, namespace_of(pod), reference["name"]) if key else None
            if found is None:
                break
            owner, reference = found, controller_of(found)
        return owner

    def _still_there(self, namespace: str, name: str) -> bool:
        pod = self._store.get(PODS, namespace, name)
        return pod is not None and not is_terminating(pod)
