"""What a killed handler had made and nobody wrote down, when its host leaves the spec before any retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.steps.flow import invariants, kills
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from tests.steps.flow.springboard import Springboard


@pytest.mark.sweep
def test_f4_a_host_that_leaves_before_a_retry_takes_its_record_and_certificate_along(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    wanted = document("moved")
    wanted["spec"]["apps"][0]["host"] = "former.dev.example.com"
    assert springboard.send(wanted).status == 202
    # Certificate and record are made, and every handler dies before it can say so, until the machine gives up.
    made = kills.kill(springboard, "kill-after", "route53:ChangeResourceRecordSets", "dns")
    springboard.until(lambda: made.struck > 0)
    springboard.client("stepfunctions").stop_execution(
        executionArn=springboard.execution(springboard.get("moved").operation)
    )
    failed = invariants.at_rest(springboard, "moved")
    assert failed.phase == "Failed"
    former = [each for each in inventory(springboard.client) - before if "former.dev.example.com" in each]
    assert len(former) >= 2, former

    wanted["spec"]["apps"][0]["host"] = "present.dev.example.com"
    status = springboard.apply(wanted)
    assert status.phase == "Ready", status.document["status"]
    left = [each for each in inventory(springboard.client) - before if "former.dev.example.com" in each]
    assert left == []
    invariants.deleted(springboard, "moved", before)


@pytest.mark.slow
def test_f4_killed_as_the_former_certificate_goes_the_change_looks_once_more_and_is_ready(
    springboard: Springboard,
) -> None:
    before = inventory(springboard.client)
    wanted = document("dropped")
    wanted["spec"]["apps"][0]["host"] = "dropped.dev.example.com"
    assert springboard.apply(wanted).phase == "Ready"
    deletion = kills.kill(springboard, "kill-after", "acm:DeleteCertificate", "certificate")
    wanted["spec"]["apps"][0]["host"] = "kept.dev.example.com"
    status = springboard.apply(wanted)
    assert deletion.struck == 1
    assert status.phase == "Ready", status.document["status"]
    left = [each for each in inventory(springboard.client) - before if "dropped.dev.example.com" in each]
    assert left == []
    invariants.unchanged(springboard, wanted)
    invariants.deleted(springboard, "dropped", before)
