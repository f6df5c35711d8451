"""The layer as AWS gets it, and what a function takes to start with it."""

from __future__ import annotations

import io
import os
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from bench.budgets import Figure

_ROOT = Path(__file__).parents[1]
# In a new interpreter: seconds of the import, and the memory after it.
# getrusage would tell the largest of this process's ancestors.
_PROBE = """
import pathlib, resource, sys, time
begun = time.perf_counter()
for name in sys.argv[1:]:
    __import__(name)
taken = time.perf_counter() - begun
pages = pathlib.Path("/proc/self/statm")
print(taken, int(pages.read_text().split()[1]) * resource.getpagesize() / 1e6 if pages.exists() else 0)
"""


def layer() -> list[Figure]:
    """Sizes of the layer, built for Lambda's platform as `sam build` builds it."""
    with tempfile.TemporaryDirectory() as folder:
        # The makefile looks for a python3.13 on PATH.
        programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        environment = {**os.environ, "PATH": programs, "ARTIFACTS_DIR": folder, "ARCHITECTURE": "aarch64"}
        subprocess.run(  # noqa: S603 - our own makefile
            ["make", "-s", "-C", str(_ROOT / "layers" / "springboard"), "build-SpringboardLayer"],  # noqa: S607
            env=environment,
            check=True,
        )
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder))
        whole = sum(path.stat().st_size for path in files)
    how = "built for aarch64, files compiled; 1 MB is 1,000,000 bytes"
    return [
        Figure("layer zipped", "MB", round(len(packed.getvalue()) / 1e6, 1), how),
        Figure("layer unzipped", "MB", round(whole / 1e6, 1), how),
    ]


def starts(rounds: int) -> list[Figure]:
    """Import of each function's module, interleaved with a baseline: the workload's with urllib3 for a client."""
    names = sorted(
        f"{path.parent.name}.{path.stem}"
        for path in (_ROOT / "functions").glob("*/*.py")
        if path.parent.name in {"components", "flow", "triggers"} and path.stem != "__init__"
    )
    probes = {name: [name] for name in [*names, "api.app"]}
    probes["components.workload"] = ["components.workload", "springboard.kube.client"]
    probes["baseline"] = ["components.workload", "urllib3", "botocore.session"]
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in probes}
    for _ in range(rounds):
        for name, modules in probes.items():
            taken[name].append(_probe(modules))
    seconds = {name: statistics.median(each[0] for each in runs) for name, runs in taken.items()}
    memory = {name: statistics.median(each[1] for each in runs) for name, runs in taken.items()}
    how = f"median of {rounds} new interpreters each, interleaved in one run; the baseline is that handler with urllib3"
    ratio = seconds["components.workload"] / seconds["baseline"]
    over = {name: round(value / seconds["baseline"], 2) for name, value in sorted(seconds.items())}
    resident = {name: round(value) for name, value in sorted(memory.items())}
    return [
        Figure("workload function init over raw REST", "ratio", round(ratio, 2), how),
        Figure("init of each function over raw REST", "ratio", max(over.values()), f"the largest; {how}", dict(over)),
        Figure("memory of each function", "MB", max(resident.values()), "the largest, after its init", dict(resident)),
    ]


def _probe(modules: list[str]) -> tuple[float, float]:
    path = os.pathsep.join(map(str, (_ROOT / "functions", _ROOT / "layers" / "springboard")))
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _PROBE, *modules],
        env={**os.environ, "PYTHONPATH": path, "AWS_DEFAULT_REGION": "eu-west-1"},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, memory = done.stdout.split()[-2:]
    return float(seconds), float(memory)
