"""One draw of each of AWS's durations for one create, the same for the real thing in the local cloud and for its model.

Drawn by operation, each from a generator of its own, so that no order of threads changes them. What happens several
times side by side (pods, targets) is drawn as often, and the slowest counts for all of them.
"""

from __future__ import annotations

from typing import override

from springboard_local.latency import DURATIONS, LatencyModel

# The example environment has three nodes and three pods.
_SIDE_BY_SIDE = {"kubernetes:PodStart": 3, "kubernetes:SpringBoot": 3, "elbv2:TargetRegistration": 3}


def drawn(seed: int | None) -> dict[str, float]:
    """Operation → seconds; the medians without a seed."""
    if seed is None:
        return {name: duration.median for name, duration in DURATIONS.items()}
    return {name: _slowest(f"{seed}:{name}", name) for name in DURATIONS}


def _slowest(seed: str, operation: str) -> float:
    model = LatencyModel(seed)
    return max(model.seconds(operation) for _ in range(_SIDE_BY_SIDE.get(operation, 1)))


class Drawn(LatencyModel):
    """A latency model that answers with the draws of one seed until another is begun."""

    def __init__(self) -> None:
        super().__init__(spread=False)
        self.durations = drawn(None)

    def begin(self, seed: int | None) -> None:
        """Answer with that seed's draws from now on; None: the medians."""
        self.durations = drawn(seed)

    @override
    def seconds(self, operation: str) -> float:
        return self.durations[operation]
