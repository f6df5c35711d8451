"""A genuine control plane: kube-apiserver, controller manager, scheduler on etcd, as `make kubernetes` builds them."""

from springboard_local.kubernetes.real.lane import RealControlPlane, RealLane

__all__ = ["RealControlPlane", "RealLane"]
