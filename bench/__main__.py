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
    options.add_argument("--seeds", type=int, default=200, help="creates with drawn latencies (about 6 s each)")
    options.add_argument("--quick", action="store_true", help="3 seeds, no layer, no demo: about a minute")
    options.add_argument("--test-seconds", type=float, help="what `make test` took, to stand beside its budget")
    given = options.parse_args()
    figures = laptop.start()
    figures += environment.measure(3 if given.quick else given.seeds)
    figures += package.starts(3 if given.quick else 9)
    if not given.quick:
        figures += package.layer() + laptop.demo()
    if given.test_seconds is not None:
        figures.append(budgets.Figure("make test", "s", given.test_seconds, "as given"))
    told = budgets.document(figures)
    file = _ROOT / "build" / "bench.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print("\n".join(budgets.lines(told)))
    print(f"\nAll figures, and how each was measured: {file.relative_to(_ROOT)}")
    return 1 if any(row["met"] is False for row in told["figures"]) else 0


if __name__ == "__main__":
    raise SystemExit(main())
