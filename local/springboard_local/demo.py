"""`make demo`: from nothing to an environment that is Ready, told as it happens.

Starts the local cloud, deploys the unchanged template with sam, applies examples/shop.yaml with the CLI, and
shows what a user would look at next. Everything goes through the same commands and APIs that users have.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

from springboard_local import process
from springboard_local.latency import DURATIONS

BASE_DOMAIN = "dev.example.com"
NAME = "shop"
SPEED = 60.0

# What AWS itself takes for each component's part, from the latency model (medians, seconds).
_ON_AWS = {
    "EnsureCertificate": ("acm:Validation",),
    "EnsureCluster": ("eks:CreateCluster",),
    "EnsureLoadBalancer": ("elbv2:CreateLoadBalancer",),
    "EnsureDns": ("route53:Change",),
    "EnsureAddons": ("eks:CreateAddon:vpc-cni", "eks:CreateAddon:coredns"),
    "EnsureNodeGroups": ("eks:CreateNodegroup",),
    "EnsureWorkload": ("kubernetes:PodStart", "kubernetes:SpringBoot"),
    "EnsureTargets": ("elbv2:TargetRegistration",),
}


def main() -> int:
    """Run the demo; the exit code says whether the environment is Ready."""
    project = Path.cwd()
    started = time.monotonic()
    say("Springboard demo: a complete Spring environment on the local cloud, with no AWS account and no Docker.")
    say("Set-up took about 250 MB from PyPI once; what follows downloads about 20 MB once (the layer) and takes 1-2")
    say(f"minutes on 2 cores. AWS's own waiting runs {SPEED:g} times faster here.")

    heading("Starting the local cloud")
    try:
        status = process.up(speed=SPEED, kubernetes=os.environ.get("KUBERNETES") or None)
    except process.NotStartedError as error:
        say(str(error))
        return 1
    environment = surroundings(project)
    say(f"It answers at {status.endpoint}; its log is {_short(Path(status.log), project)}.")
    if status.kubernetes == "real":
        say("Each cluster gets a kube-apiserver, a controller manager and a scheduler of its own.")

    heading("sam build, sam deploy")
    aws(environment, "route53", *_zone(environment))
    sam(project, environment, "build")
    sam(project, environment, "deploy")
    deployed = time.monotonic()

    heading(f"springboard apply -f examples/{NAME}.yaml")
    applied = run(project, environment, "springboard", "apply", "-f", f"examples/{NAME}.yaml", check=False)
    if applied != 0:
        say("The environment is not Ready. `springboard why shop` says more; the local cloud stays up.")
        return applied
    ready = time.monotonic()

    heading("What there is now")
    document = json.loads(read(project, environment, "springboard", "get", NAME, "-o", "json"))
    config = _folder() / "kubeconfig"
    config.write_text(read(project, environment, "springboard", "kubeconfig", NAME, "--stdout"))
    config.chmod(0o600)
    run(project, environment, "kubectl", "--kubeconfig", str(config), "get", "nodes,deploy,pods,svc", "-n", NAME)
    if status.kubernetes == "real":
        versions(project, environment, str(config), document["status"]["cluster"]["name"])
    say("")
    timings(document, ready - deployed)
    page(project, environment, status, document)

    heading("Next")
    tools = Path(sys.executable).parent
    say(f'  eval "$({_short(tools / "springboard", project)} local env)"   # points aws, sam and springboard here')
    say(f"  export PATH={tools}:$PATH KUBECONFIG={config}")
    say(f"  springboard describe {NAME}        springboard apply -f examples/{NAME}.yaml   # nothing differs")
    say(f"  springboard deploy {NAME} --image {document['spec']['apps'][0]['image'].rpartition(':')[0]}:1.4.3")
    say(f"  kubectl get pods -A          springboard delete {NAME} --yes --wait")
    say("  make down                    # stops the local cloud and removes its state")
    say("")
    say(f"{NAME} is {document['status']['phase']} at {document['status']['url']}")
    say(f"{ready - deployed:.0f} s from deploy to Ready; {time.monotonic() - started:.0f} s in all.")
    return 0


def say(line: str) -> None:
    """One line for people."""
    print(line, flush=True)  # noqa: T201 - this program talks


def heading(text: str) -> None:
    """The title of a part."""
    say(f"\n== {text}")


def surroundings(project: Path) -> dict[str, str]:
    """The environment variables that point every tool at the local cloud, and at this project's own tools."""
    environment = dict(os.environ)
    for name, value in process.env().items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = str(value)
    tools = [str(Path(sys.executable).parent), str(project / ".tools" / "sam" / "bin")]
    environment["PATH"] = os.pathsep.join([*tools, environment.get("PATH", "")])
    environment["SAM_CLI_TELEMETRY"] = "0"
    return environment


def run(project: Path, environment: dict[str, str], *command: str, check: bool = True) -> int:
    """Run a command in sight; SystemExit when it fails and `check`."""
    ended = subprocess.run(command, cwd=project, env=environment, check=False)  # noqa: S603 - our own tools
    if check and ended.returncode != 0:
        say(f"failed: {' '.join(command)}")
        raise SystemExit(ended.returncode)
    return ended.returncode


def read(project: Path, environment: dict[str, str], *command: str) -> str:
    """What a command prints; SystemExit with its error output when it fails."""
    ended = subprocess.run(command, cwd=project, env=environment, check=False, capture_output=True, text=True)  # noqa: S603 - our own tools
    if ended.returncode != 0:
        say(ended.stdout + ended.stderr)
        raise SystemExit(ended.returncode)
    return ended.stdout


def aws(environment: dict[str, str], *command: str) -> None:
    """Run the AWS CLI out of sight, if there is something to run."""
    if len(command) > 1:
        read(Path.cwd(), environment, "aws", *command)


def _zone(environment: dict[str, str]) -> tuple[str, ...]:
    """The command that makes the hosted zone of the base domain, unless it is there."""
    listed = json.loads(
        read(Path.cwd(), environment, "aws", "route53", "list-hosted-zones-by-name", "--dns-name", BASE_DOMAIN)
    )
    if any(zone["Name"] == f"{BASE_DOMAIN}." for zone in listed["HostedZones"]):
        return ()
    return ("create-hosted-zone", "--name", BASE_DOMAIN, "--caller-reference", str(time.time()))


def sam(project: Path, environment: dict[str, str], command: str) -> None:
    """`sam build` or `sam deploy`, its output in a file; shown when it fails."""
    architecture = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
    parameters = (f"Architecture={architecture}", f"BaseDomain={BASE_DOMAIN}")
    log = _folder() / f"sam-{command}.log"
    full = (shutil.which("sam", path=environment["PATH"]) or "sam", command, "--config-env", "local")
    began = time.monotonic()
    with log.open("w") as output:
        ended = subprocess.run(  # noqa: S603 - our own tools
            (*full, "--parameter-overrides", *parameters),
            cwd=project,
            env=environment,
            check=False,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if ended.returncode != 0:
        say("\n".join(log.read_text().splitlines()[-40:]))
        say(f"sam {command} failed; all of its output is in {_short(log, project)}")
        raise SystemExit(ended.returncode)
    say(f"sam {command}: {time.monotonic() - began:.0f} s ({_short(log, project)})")


def versions(project: Path, environment: dict[str, str], config: str, cluster: str) -> None:
    """What EKS and the cluster's own API server say of its version; SystemExit where they differ."""
    described = json.loads(read(project, environment, "aws", "eks", "describe-cluster", "--name", cluster))
    reported = json.loads(read(project, environment, "kubectl", "--kubeconfig", config, "get", "--raw", "/version"))
    version = described["cluster"]["version"]
    say(f"\naws eks describe-cluster: {version}; kubectl get --raw /version: {reported['gitVersion']}")
    if f"{reported['major']}.{reported['minor']}" != version:
        raise SystemExit("the two differ")


def timings(document: dict[str, Any], seconds: float) -> None:
    """How long each component took here, and what AWS itself would take."""
    say(f"{'component':<20}{'here':>9}{'AWS time':>11}{'AWS alone':>11}")
    for step in document["status"]["operation"]["steps"]:
        if "endedAt" not in step:
            continue
        virtual = (moment(step["endedAt"]) - moment(step["startedAt"])).total_seconds()
        alone = sum(DURATIONS[each].median for each in _ON_AWS.get(step["name"], ()))
        told = f"{alone:.0f} s" if alone else "at once"
        say(f"{step['name'].removeprefix('Ensure'):<20}{virtual / SPEED:>7.1f} s{virtual:>9.0f} s{told:>11}")
    say(f"From deploy to Ready: {seconds:.0f} s here. 'AWS time' is the local cloud's clock; the part beyond")
    say("'AWS alone' is waiting for other components, and this machine's own work, which the clock multiplies.")


def moment(text: str) -> datetime:
    """A time of the record."""
    return datetime.fromisoformat(text)


def page(project: Path, environment: dict[str, str], status: process.Status, document: dict[str, Any]) -> None:
    """Ask the environment's own address, through the local load balancer."""
    host = document["status"]["url"].removeprefix("https://")
    with urllib.request.urlopen(f"{status.endpoint}/_local/load-balancers", timeout=10) as answer:  # noqa: S310 - loopback
        balancers = json.load(answer)
    served = next((each for each in balancers if host in each["hosts"]), None)
    if served is None or not served["https"]:
        say(f"no load balancer of the local cloud serves {host}")
        raise SystemExit(1)
    command = (
        "curl",
        "--silent",
        "--show-error",
        "--cacert",
        _short(Path(served["ca"]), project),
        "--connect-to",
        f"{host}:443:127.0.0.1:{served['https']}",
        f"https://{host}/",
    )
    say("")
    say(f"$ {' '.join(command)}")
    if shutil.which("curl"):
        run(project, environment, *command)
    say("\nNo Spring process runs in the local cloud: the page names the simulated pod that would answer.")


def _folder() -> Path:
    """Where the demo keeps its files; `local down` removes it."""
    folder = process.default_state() / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _short(path: Path, project: Path) -> str:
    return str(path.relative_to(project)) if path.is_relative_to(project) else str(path)


if __name__ == "__main__":
    raise SystemExit(main())
