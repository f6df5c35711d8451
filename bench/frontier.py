"""`python -m bench.frontier`: what other paces would come to, by the model; over 200 seeds, in seconds.

For each poll of the control plane and of the node groups the medians of app-ready over the critical path, of AWS calls
and of transitions, and the 95th percentile of the first. Handlers take no time here.
"""

from __future__ import annotations

import statistics
from dataclasses import replace

from bench import critical_path, model
from bench.budgets import p95
from bench.draws import drawn

_SEEDS = 200


def rows(seeds: int = _SEEDS) -> list[tuple[int, int, float, float, float, float]]:
    """Poll of the control plane, of node groups, ratio, its p95, calls, transitions."""
    draws = [drawn(seed) for seed in range(1, seeds + 1)]
    paths = [critical_path.seconds(each) for each in draws]
    chosen = model.Paces()
    found = []
    for cluster in (8, 12, 15, 20, 30, 45):
        for nodes in (8, 12, 20, 30):
            paces = replace(
                chosen,
                cluster=replace(chosen.cluster, poll=cluster),
                node_groups=replace(chosen.node_groups, poll=nodes),
            )
            runs = [model.create(each, paces=paces) for each in draws]
            ratios = [run.ready / path for run, path in zip(runs, paths, strict=True)]
            found.append(
                (
                    cluster,
                    nodes,
                    statistics.median(ratios),
                    p95(ratios),
                    statistics.median(run.calls for run in runs),
                    statistics.median(run.transitions for run in runs),
                )
            )
    return found


def main() -> None:
    """Print the table, the product's own paces marked."""
    chosen = model.Paces()
    print("control plane  node groups  ratio    p95   calls  transitions")
    for cluster, nodes, ratio, slow, calls, transitions in rows():
        mark = "  <- chosen" if (cluster, nodes) == (chosen.cluster.poll, chosen.node_groups.poll) else ""
        print(f"{cluster:11} s {nodes:10} s {ratio:7.3f} {slow:6.3f} {calls:7.0f} {transitions:12.0f}{mark}")


if __name__ == "__main__":
    main()
