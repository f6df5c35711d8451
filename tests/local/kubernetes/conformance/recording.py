"""What the genuine programs answered to the script, and where the embedded lane is known to differ.

`recorded/VERSION/CHAPTER.txt` are transcripts of the real lane. A step is known by its chapter and number: `apply/07`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.local.kubernetes.conformance.session import FOLDER, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VERSION = "1.35"
_DIFFERENCES = FOLDER / "differences.yaml"


@dataclass(frozen=True)
class Difference:
    """A step that ends otherwise on the embedded lane: in its text alone, or in its code too."""

    step: str
    in_code: bool


def _path(chapter: str) -> Any:
    return FOLDER / "recorded" / VERSION / f"{chapter}.txt"


def _name(chapter: str, number: int) -> str:
    return f"{chapter}/{number:02}"


def save(told: Mapping[str, Sequence[Outcome]]) -> None:
    """Write transcripts."""
    for chapter, outcomes in told.items():
        path = _path(chapter)
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = (f"[{number:02}] {outcome.text()}" for number, outcome in enumerate(outcomes, 1))
        path.write_text("\n".join(blocks))


def recorded(chapter: str) -> list[str]:
    """The recorded blocks of a chapter, one per step."""
    blocks: list[list[str]] = []
    for line in _path(chapter).read_text().splitlines():
        if line.startswith("["):
            blocks.append([line.partition("] ")[2]])
        elif line:
            blocks[-1].append(line)
    return ["\n".join(block) for block in blocks]


def differences(told: Mapping[str, Sequence[Outcome]]) -> dict[Difference, str]:
    """The steps that ended otherwise than recorded, and how."""
    found = {}
    for chapter, outcomes in told.items():
        blocks = recorded(chapter)
        assert len(blocks) == len(outcomes), (
            f"{chapter}: {len(blocks)} steps are recorded, the script has {len(outcomes)}"
        )
        for number, (block, outcome) in enumerate(zip(blocks, outcomes, strict=True), 1):
            mine = "\n".join(line for line in outcome.text().splitlines() if line)
            if mine != block:
                same_code = block.endswith(f"\n= {outcome.code}")
                found[Difference(_name(chapter, number), not same_code)] = f"recorded:\n{block}\nnow:\n{mine}"
    return found


def known(chapters: Iterable[str]) -> set[Difference]:
    """The differences that stay, of these chapters; each has its reason in differences.yaml."""
    wanted = set(chapters)
    listed = [
        Difference(step, in_code)
        for entry in yaml.safe_load(_DIFFERENCES.read_text())
        for key, in_code in (("text", False), ("code", True))
        for step in entry.get(key, ())
    ]
    assert len(listed) == len({d.step for d in listed}), "a step is listed twice"
    return {each for each in listed if each.step.partition("/")[0] in wanted}
