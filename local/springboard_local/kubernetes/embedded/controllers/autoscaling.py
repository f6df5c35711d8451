"""HorizontalPodAutoscalers: without metrics they keep a target inside its bounds, and say what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.objects import (
    AUTOSCALERS,
    Key,
    Obj,
    is_terminating,
    name_of,
    namespace_of,
    now,
    replicas_of,
    set_condition,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.embedded.controllers.manager import Item
    from springboard_local.kubernetes.embedded.store import Change

_COMPONENT = "horizontal-pod-autoscaler"
_SCALABLE = ("Deployment", "ReplicaSet", "StatefulSet")
_NO_METRICS = (
    "the HPA was unable to compute the replica count: failed to get {metric} utilization: unable to get metrics for "
    "resource {metric}: unable to fetch metrics from resource metrics API: the server could not find the requested "
    "resource (get pods.metrics.k8s.io)"
)


class Autoscaling:
    """Keeps minReplicas and maxReplicas."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def items(self, change: Change) -> Iterable[Item]:
        """Autoscalers, and those whose target changed."""
        if change.key == AUTOSCALERS and change.type != "DELETED":
            yield namespace_of(change.obj), name_of(change.obj)
        elif change.key[0] == "apps" and change.obj["kind"] in _SCALABLE:
            for autoscaler in self._context.store.list(AUTOSCALERS, namespace_of(change.obj)):
                target = autoscaler["spec"]["scaleTargetRef"]
                if (target["kind"], target["name"]) == (change.obj["kind"], name_of(change.obj)):
                    yield namespace_of(autoscaler), name_of(autoscaler)

    def reconcile(self, namespace: str, name: str) -> None:
        """Bring the target inside its bounds."""
        autoscaler = self._context.store.get(AUTOSCALERS, namespace, name)
        if autoscaler is None or is_terminating(autoscaler):
            return
        reference = autoscaler["spec"]["scaleTargetRef"]
        key = self._context.registry.catalog.key_of({"apiVersion": "apps/v1", **reference})
        target = self._context.store.get(key, namespace, reference["name"]) if key else None
        if target is None or key is None:
            self._write_missing(autoscaler, reference)
            return
        size = replicas_of(target)
        wanted = min(max(size, autoscaler["spec"]["minReplicas"]), autoscaler["spec"]["maxReplicas"]) if size else 0
        if wanted != size:
            self._rescale(autoscaler, key, target, wanted)
        self._write_status(autoscaler, size, wanted)

    def _rescale(self, autoscaler: Obj, key: Key, target: Obj, wanted: int) -> None:
        low = wanted == autoscaler["spec"]["minReplicas"]
        bound = "below Spec.MinReplicas" if low else "above Spec.MaxReplicas"
        self._context.registry.edit(
            key, target, lambda t: t["spec"].__setitem__("replicas", wanted), subresource="scale"
        )
        text = f"New size: {wanted}; reason: Current number of replicas {bound}"
        self._context.record(autoscaler, "Normal", "SuccessfulRescale", text, _COMPONENT)

    def _write_missing(self, autoscaler: Obj, reference: Obj) -> None:
        kind = f"{reference['kind'].lower()}s.apps"
        text = (
            f'the HPA controller was unable to get the target\'s current scale: {kind} "{reference["name"]}" not found'
        )
        self._context.registry.edit_status(
            AUTOSCALERS, autoscaler, lambda s: set_condition(s, "AbleToScale", "False", "FailedGetScale", text)
        )

    def _write_status(self, autoscaler: Obj, size: int, wanted: int) -> None:
        metrics = [m for m in autoscaler["spec"].get("metrics") or () if m["type"] == "Resource"]
        metric = metrics[0]["resource"]["name"] if metrics else "cpu"

        def change(status: Obj) -> None:
            status.update(currentReplicas=size, desiredReplicas=wanted)
            if wanted != size:
                status["lastScaleTime"] = now()
                text = f"the HPA controller was able to update the target scale to {wanted}"
                set_condition(status, "AbleToScale", "True", "SucceededRescale", text)
                return
            text = "the HPA controller was able to get the target's current scale"
            set_condition(status, "AbleToScale", "True", "SucceededGetScale", text)
            if size:
                text = _NO_METRICS.format(metric=metric)
                set_condition(status, "ScalingActive", "False", "FailedGetResourceMetric", text)
            else:
                text = "scaling is disabled since the replica count of the target is zero"
                set_condition(status, "ScalingActive", "False", "ScalingDisabled", text)

        self._context.registry.edit_status(AUTOSCALERS, autoscaler, change)
