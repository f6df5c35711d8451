"""`python -m bench`: the budgets beside what is reached, printed and written to build/bench.json."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench import budgets, environment, laptop, package

_ROOT = Path(__file__).parents[1]


def main() -> int:
    """Measure, print, write; the exit code says whether every budget that was measured is kept."""
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("--seeds", type=int, default=200, help="creates with drawn latencies, by the model")
    options.add_argument(
        "--runs", type=int, default=5, help="whole creates that the model is held to (about 10 s each)"
    )
    options.add_argument("--quick", action="store_true", help="one whole create, no layer, no demo: a minute or two")
    options.add_argument("--test-seconds", type=float, help="what `make test` took, to stand beside its budget")
    given = options.parse_args()
    figures = laptop.start()
    figures += environment.measure(given.seeds, 1 if given.quick else given.runs)
    figures += package.starts(3 if given.quick else 9)
    if not given.quick:
        figures += package.layer() + laptop.demo()
    figures += _tests(given.test_seconds)
    told = budgets.document(figures)
    file = _ROOT / "build" / "bench.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print("\n".join(budgets.lines(told)))
    print(f"\nAll figures, and how each was measured: {file.relative_to(_ROOT)}")
    return 1 if any(row["met"] is False for row in told["figures"]) else 0


def _tests(given: float | None) -> list[budgets.Figure]:
    """What `make test` took: as given, or as the latest one noted."""
    noted = _ROOT / "build" / "test-seconds"
    if given is None and not noted.exists():
        return []
    seconds = float(noted.read_text(encoding="utf-8")) if given is None else given
    return [budgets.Figure("make test", "s", seconds, "as given" if given is not None else "the latest `make test`")]


if __name__ == "__main__":
    raise SystemExit(main())
