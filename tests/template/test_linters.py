"""cfn-lint and checkov over what CloudFormation gets. Seconds each, so `make check` alone runs them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint.api import ManualArgs, lint

from tests.template import source, transformed

if TYPE_CHECKING:
    from pathlib import Path

CHECKOV = source.ROOT / ".tools" / "checkov" / "bin" / "checkov"
# Findings of cfn-lint that are no faults, with the reason: {(rule, place): reason}. Waivers of whole rules stand in
# the templates' Metadata.
WAIVED: dict[tuple[str, str], str] = {}

pytestmark = pytest.mark.slow


def findings(text: str) -> set[tuple[str, str]]:
    """Rule and place of all that cfn-lint has to say."""
    options = ManualArgs(regions=["eu-west-1", "us-east-1"])
    return {(str(match.rule.id), "/".join(map(str, match.path or ()))) for match in lint(text, config=options)}


WRITTEN = [transformed.template, lambda: source.text("network.yaml"), lambda: source.text("deployer.yaml")]


@pytest.mark.parametrize("text", WRITTEN, ids=["stack", "network", "deployer"])
def test_cfn_lint_has_nothing_to_say(text: Any) -> None:
    assert findings(text()) - WAIVED.keys() == set()


def test_cfn_lint_would_say_something() -> None:
    broken = json.loads(transformed.template())
    broken["Resources"]["Table"]["Properties"]["BillingMode"] = "FREE"
    broken["Resources"] = {name: broken["Resources"][name] for name in ("Table", "Key", "SecretsKey")}
    broken["Outputs"], broken["Conditions"] = {}, {}
    assert ("E3030", "Resources/Table/Properties/BillingMode") in findings(json.dumps(broken))


def checkov(path: Path, config: Path = source.ROOT / ".checkov.yaml") -> dict[str, Any]:
    """Its report on a template."""
    run = subprocess.run(  # noqa: S603 - the repository's own tool
        [CHECKOV, "--file", path, "--config-file", config, "--output", "json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=170,
        cwd=path.parent,  # where it stands it would find the repository's configuration by itself
    )
    assert run.stdout.strip().startswith("{"), run.stdout + run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def failed(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each["check_id"], each["resource"]) for each in report["results"]["failed_checks"]}


def whole() -> dict[str, Any]:
    """Stack and network as one: checkov takes longer to start than to look."""
    document: dict[str, Any] = json.loads(transformed.template())
    network = source.network()
    document["Resources"] |= {f"Network{name}": each for name, each in network["Resources"].items()}
    return document


def test_checkov_has_nothing_to_say(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    path.write_text(json.dumps(whole()), encoding="utf-8")
    report = checkov(path)
    assert failed(report) == set()
    skipped = report["results"].get("skipped_checks", [])
    assert all(each["check_result"]["suppress_comment"] for each in skipped)
    assert report["summary"]["passed"] > 200


def test_no_waiver_is_unused(tmp_path: Path) -> None:
    """Without the waivers checkov objects to what they are for, one by one, and to nothing else."""
    waived: set[tuple[str, str]] = set()
    document = whole()
    for name, resource in document["Resources"].items():
        skips = resource.get("Metadata", {}).pop("checkov", {}).get("skip", ())
        waived |= {(each["id"], f"{resource['Type']}.{name}") for each in skips}
        assert all(len(each["comment"].split()) > 5 for each in skips), name
    path = tmp_path / "stack.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    config = source.parse(source.text(".checkov.yaml"))
    checks = set(config.pop("skip-check"))
    bare = tmp_path / "checkov.yaml"
    bare.write_text(json.dumps(config), encoding="utf-8")
    objections = failed(checkov(path, bare))
    assert {check for check, _ in objections if check in checks} == checks
    assert {(check, place) for check, place in objections if check not in checks} == waived


def test_checkov_would_say_something(tmp_path: Path) -> None:
    path = tmp_path / "queue.json"
    path.write_text(json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {}}}}))
    assert ("CKV_AWS_27", "AWS::SQS::Queue.Queue") in failed(checkov(path))


def test_every_skipped_check_has_a_reason() -> None:
    lines = source.text(".checkov.yaml").splitlines()
    skipped = [number for number, line in enumerate(lines) if "- CKV" in line]
    assert skipped
    assert all(lines[number - 1].lstrip().startswith("#") for number in skipped)
