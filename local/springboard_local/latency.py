"""How long AWS takes: one model for every service of the local cloud.

Medians and 95th percentiles in virtual seconds. Draws are log-normal, cut at twice the 95th percentile,
from a seeded generator, so that one seed gives one run.
"""

from __future__ import annotations

import math
import random
import threading
from dataclasses import dataclass

_Z95 = 1.6449  # the standard normal's 95th percentile


@dataclass(frozen=True)
class Duration:
    """Median and 95th percentile in seconds, and where the figures come from."""

    median: float
    p95: float
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.median <= self.p95:
            message = f"median {self.median} and p95 {self.p95} are not in order"
            raise ValueError(message)


_LOGS = "public CI logs of EKS users, small samples, gathered 2026-11-22"
_ESTIMATE = "estimate, 2026-11-22"

DURATIONS: dict[str, Duration] = {
    "eks:CreateCluster": Duration(564, 720, _LOGS),
    "eks:DeleteCluster": Duration(150, 360, _LOGS),
    "eks:UpdateClusterVersion": Duration(540, 900, _ESTIMATE),
    "eks:UpdateClusterConfig": Duration(120, 300, _ESTIMATE),
    "eks:CreateNodegroup": Duration(120, 240, _LOGS),
    "eks:DeleteNodegroup": Duration(379, 510, _LOGS),
    "eks:UpdateNodegroupVersion:batch": Duration(270, 360, _ESTIMATE),
    "eks:UpdateNodegroupVersion:base": Duration(300, 420, _ESTIMATE),
    "eks:UpdateNodegroupConfig": Duration(60, 120, _ESTIMATE),
    "eks:CreateAddon:vpc-cni": Duration(30, 180, _LOGS),
    "eks:CreateAddon:coredns": Duration(45, 60, _LOGS),
    "eks:CreateAddon:metrics-server": Duration(45, 60, _LOGS),
    "eks:CreateAddon": Duration(30, 60, _LOGS),
    "eks:UpdateAddon": Duration(45, 90, _ESTIMATE),
    "eks:DeleteAddon": Duration(20, 40, _ESTIMATE),
    "eks:AccessEntryVisible": Duration(4, 10, "EKS user guide: several seconds until an access entry is effective"),
    "eks:InsightsRefresh": Duration(60, 180, _ESTIMATE),
    "elbv2:CreateLoadBalancer": Duration(145, 190, _LOGS),
    "elbv2:DeleteLoadBalancer:enis": Duration(90, 240, _ESTIMATE),
    "elbv2:TargetRegistration": Duration(15, 30, _ESTIMATE),
    "acm:Validation": Duration(180, 1800, _ESTIMATE),
    "route53:Change": Duration(30, 60, _ESTIMATE),
    "kubernetes:PodStart": Duration(8, 20, _ESTIMATE),
    "kubernetes:SpringBoot": Duration(12, 25, _ESTIMATE),
}


class LatencyModel:
    """Draws durations; thread-safe. With `spread=False` every draw is the median."""

    def __init__(self, seed: int | str = 0, *, spread: bool = True) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a simulation, not a secret
        self._spread = spread
        self._lock = threading.Lock()

    def seconds(self, operation: str) -> float:
        """Virtual seconds that one `operation` takes; KeyError for one with no figure."""
        duration = DURATIONS[operation]
        if not self._spread or duration.median == 0:
            return duration.median
        sigma = math.log(duration.p95 / duration.median) / _Z95
        with self._lock:
            z = self._random.gauss(0, 1)
        return min(duration.median * math.exp(sigma * z), 2 * duration.p95)
