"""Elastic Load Balancing v2."""

from __future__ import annotations

from springboard.aws.client import Adapter


class Elb(Adapter):
    """Elastic Load Balancing v2."""

    missing = frozenset({"LoadBalancerNotFound", "TargetGroupNotFound", "ListenerNotFound", "RuleNotFound"})
