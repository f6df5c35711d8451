"""When an injected fault strikes: so many times, or by chance, from one seed."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(kw_only=True)
class Fault:
    """What all faults have in common. With neither `times` nor `probability` one strikes once."""

    times: int | None = None
    probability: float | None = None
    skip: int = 0  # let so many that match pass first
    seed: int = 0  # of the chance; one seed strikes the same ones again
    code: str = ""
    message: str = ""
    number: int = 0  # given when it is injected
    matched: int = 0
    struck: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for what makes no sense."""
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ValueError(f"probability is between 0 and 1, not {self.probability}")
        for name in ("times", "skip"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} is not below 0, as {value} is")
        if self.times is None and self.probability is None:
            self.times = 1
        self._random = random.Random(self.seed)  # noqa: S311 - a simulation, not a secret
        self.withdraw: Callable[[], None] | None = None  # undoes what the fault has done, when it is cleared

    def draw(self) -> bool:
        """Whether something that matches is hit; counts it. The caller sees to it that one asks at a time."""
        if self.times is not None and self.struck >= self.times:
            return False
        self.matched += 1
        if self.matched <= self.skip:
            return False
        if self.probability is not None and self._random.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def describe(self) -> dict[str, Any]:
        """The fault and its counts as JSON."""
        return asdict(self)
