"""Tools that nobody here wrote, on a local cloud of its own, with nothing set but what a person sets.

The plain AWS CLI with kubectl, as a script; and Terraform where there is one with its AWS provider.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from springboard_local import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE = Path(__file__).parent


class Shell:
    """A person's shell that points at a local cloud."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def run(self, *command: str, codes: tuple[int, ...] = (0,), seconds: float = 540) -> str:
        """What a command prints; it has to end with one of `codes`."""
        ended = subprocess.run(  # noqa: S603 - tools of the tests
            command,
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert ended.returncode in codes, f"{command}: {ended.stdout[-3_000:]}{ended.stderr[-3_000:]}"
        return ended.stdout


@pytest.fixture
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    """An empty cloud at the speed that the test's parameter says."""
    state = tmp_path / "state"
    started = process.up(port=0, speed=request.param, state=state)
    try:
        tools = [str(Path(sys.executable).parent), os.environ["PATH"]]
        environment = {
            # No more than this: no files of the user's, no switches of the tools.
            "PATH": os.pathsep.join(tools),
            "HOME": str(tmp_path),
            "KUBECONFIG": str(tmp_path / "kubeconfig"),
            **{key: str(value) for key, value in process.env(state).items() if value is not None},
        }
        yield Shell(tmp_path, environment)
    finally:
        process.down(Path(started.state))


LIFE = ["cluster ACTIVE", "vpc-cni ACTIVE", "kube-proxy ACTIVE", "nodegroup ACTIVE", "token ExecCredential"]
FIRST_NODES = "nodes 2 Ready v1.34"


def said(out: str) -> list[str]:
    return [line.removeprefix("== ") for line in out.splitlines() if line.startswith("== ")]


@pytest.mark.slow
@pytest.mark.parametrize("shell", [4_000.0], indirect=True)
def test_the_aws_cli_waits_makes_a_kubeconfig_and_kubectl_answers(shell: Shell) -> None:
    """At this speed a waiter finds at its first look what it waits for."""
    assert said(shell.run("bash", str(HERE / "eks.sh"))) == [*LIFE, FIRST_NODES, "clusters 0"]


@pytest.mark.sweep
@pytest.mark.timeout(900)
@pytest.mark.parametrize("shell", [200.0], indirect=True)
def test_the_waiters_of_the_aws_cli_wait_and_a_cluster_goes_a_minor_up(shell: Shell) -> None:
    """The CLI looks every 10 to 30 seconds, so this takes minutes, most of them idle."""
    assert said(shell.run("bash", str(HERE / "eks.sh"), "upgrade")) == [
        *LIFE,
        FIRST_NODES,
        "upgrade Successful",
        "upgrade Successful",
        "version 1.35 v1.35",
        "nodes 2 Ready v1.35",
        "tags checkout early",
        "clusters 0",
    ]


def terraform(shell: Shell, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    command, *options = arguments
    return shell.run("terraform", command, "-input=false", "-no-color", *options, codes=codes)


@pytest.mark.sweep
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    not (shutil.which("terraform") and os.environ.get("TERRAFORM_PLUGINS")),
    reason="needs terraform, and in TERRAFORM_PLUGINS the folder of a filesystem mirror with hashicorp/aws",
)
@pytest.mark.parametrize("shell", [240.0], indirect=True)
def test_terraform_makes_reads_upgrades_changes_and_destroys_a_cluster(shell: Shell) -> None:
    configuration = (HERE / "eks.tf").read_text()
    main = shell.folder / "main.tf"
    main.write_text(configuration)
    terraform(shell, "init", f"-plugin-dir={os.environ['TERRAFORM_PLUGINS']}")
    terraform(shell, "apply", "-auto-approve")
    unchanged = ("plan", "-detailed-exitcode")
    assert "No changes" in terraform(shell, *unchanged)
    upgraded = terraform(shell, "apply", "-auto-approve", "-var=release=1.35")
    assert "0 added" in upgraded
    assert "0 destroyed" in upgraded
    assert "No changes" in terraform(shell, *unchanged, "-var=release=1.35")
    for before, after in (
        ('["api", "audit"]', '["audit"]'),
        ("endpoint_public_access  = true", "endpoint_public_access  = false"),
        ("desired_size = 2", "desired_size = 3"),
        ('pool = "workers"', 'pool = "general"'),
        ("volume_size = 30", "volume_size = 40"),
        ('support_type = "EXTENDED"', 'support_type = "STANDARD"'),
        ('enableNetworkPolicy = "true"', 'enableNetworkPolicy = "false"'),
        ("PREFER_NO_SCHEDULE", "NO_EXECUTE"),
    ):
        assert before in configuration
        configuration = configuration.replace(before, after)
    main.write_text(configuration)
    changed = terraform(shell, "apply", "-auto-approve", "-var=release=1.35")
    assert "0 added" in changed
    assert "0 destroyed" in changed
    assert "No changes" in terraform(shell, *unchanged, "-var=release=1.35")
    assert "28 destroyed" in terraform(shell, "destroy", "-auto-approve", "-var=release=1.35")
    assert shell.run("aws", "eks", "list-clusters", "--query", "clusters[]", "--output", "text").strip() == ""
