"""The bench's model of a create says what the whole thing does, to the millisecond."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import budgets, environment
from bench.draws import Drawn
from tests.steps.flow.springboard import in_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.steps.flow.springboard import Springboard

_ROUNDING = 0.01  # seconds; AWS tells times in milliseconds


@pytest.fixture(scope="module")
def springboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Springboard]:
    """The stack, on draws that a test chooses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        with in_process(tmp_path_factory.mktemp("cloud"), Drawn()) as deployed:
            yield deployed


@pytest.mark.parametrize(
    "seed",
    [
        None,
        # Slow control plane; slow certificate, so that the address comes last; slow nodes.
        pytest.param(1, marks=pytest.mark.slow),
        pytest.param(3, marks=pytest.mark.slow),
        pytest.param(6, marks=pytest.mark.slow),
    ],
)
def test_the_model_says_what_a_whole_create_takes(springboard: Springboard, seed: int | None) -> None:
    latency = springboard.cloud.latency
    assert isinstance(latency, Drawn)
    came = environment.whole(springboard, latency, seed)
    latency.begin(None)
    springboard.delete("shop")
    assert came.seconds == pytest.approx(came.modelled.ready, abs=_ROUNDING)
    assert came.transitions == came.modelled.transitions
    # Whether functions that run at the same moment see each other's records decides over some calls.
    assert came.calls == pytest.approx(came.modelled.calls, abs=5)
    if seed is None:
        assert budgets.BUDGETS["AWS calls of a create"].holds(came.calls)
        assert budgets.BUDGETS["transitions of a create"].holds(came.transitions)
