"""A Kubernetes control plane in pure Python: API server, controllers, scheduler and simulated kubelets."""

from springboard_local.kubernetes.embedded.lane import EmbeddedControlPlane, EmbeddedLane

__all__ = ["EmbeddedControlPlane", "EmbeddedLane"]
