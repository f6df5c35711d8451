"""A stack that lacks one grant of one role: the test that `permissions.yaml` names for it fails, and says why.

Five, drawn by `SPRINGBOARD_SEED`. That each other grant is needed too is seen without a stack of its own: whenever its
test runs, what was asked for is asked again of the role's policies without the grant (`needed.py`).
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys

import pytest

from springboard.components.table import ROWS
from tests.template import grants, source

SEED = int(os.environ.get("SPRINGBOARD_SEED", "1"))
# What every function uses, and what is looked at when the stack is deployed, ends in other words.
OWN = ("logs:", "dynamodb:", "kms:", "sts:")
COMPONENTS = {f"{row.name.title().replace('_', '')}FunctionRole" for row in ROWS}
DRAWN = sorted(
    grant
    for grant, test in grants.needs().tests.items()
    if grant.role in COMPONENTS and not grant.action.startswith(OWN) and not test.endswith("test_a_new_stack_answers")
)
SAMPLE = random.Random(SEED).sample(DRAWN, 5)  # noqa: S311 - a sample, not a secret
# Options of the run around it are none of the run inside.
WITHOUT_OPTIONS = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}


@pytest.mark.sweep
@pytest.mark.timeout(600)
@pytest.mark.parametrize("grant", SAMPLE, ids=str)
def test_without_a_grant_the_test_that_needs_it_fails_and_says_why(grant: grants.Grant) -> None:
    test = grants.needs().tests[grant]
    run = subprocess.run(  # noqa: S603 - this interpreter, a test of ours
        [sys.executable, "-m", "pytest", "-q", "-vv", "-p", "no:randomly", "-p", "no:cacheprovider", test],
        cwd=source.ROOT,
        env=WITHOUT_OPTIONS | {"SPRINGBOARD_WITHOUT": str(grant)},
        capture_output=True,
        text=True,
        timeout=590,
        check=False,
    )
    assert run.returncode == 1, f"seed {SEED}: without {grant}, {test} should fail\n{run.stdout[-3_000:]}"
    failed = "\n".join(line for line in run.stdout.splitlines() if line.startswith("E "))
    told = re.search(rf"(\w+): \w+ was denied: [^'\"]* is not authorized to perform: {grant.action} ", failed)
    assert told, f"seed {SEED}: step and cause are not told without {grant}\n{failed}"
    sys.stdout.write(f"{grant}: {test} fails; {told[1]} says that it is not allowed\n")
