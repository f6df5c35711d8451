"""Two images of the record, and the events that lead from one to the other."""

from __future__ import annotations

from typing import Any

from springboard import events

SUBJECT = {"name": "shop", "uid": "u1", "generation": 1}


def status(phase: str, operation: str, **conditions: str) -> dict[str, Any]:
    return {
        **SUBJECT,
        "phase": phase,
        "operation": {"id": "op1", "kind": "Create", "status": operation},
        "conditions": {
            name: {"type": name, "status": value, "reason": "AsDesired" if value == "True" else "Waiting"}
            for name, value in conditions.items()
        },
    }


def told(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [each["type"] for each in events.between(old, new)]


def test_a_new_record_tells_phase_and_operation() -> None:
    found = list(events.between({}, status("Pending", "Pending")))
    assert [each["type"] for each in found] == ["PhaseChanged", "OperationPending"]
    assert found[0] == {**SUBJECT, "type": "PhaseChanged", "operation": "op1", "from": None, "to": "Pending"}


def test_nothing_is_told_of_what_stayed_as_it_was() -> None:
    same = status("Ready", "Succeeded", Ready="True")
    assert told(same, {**same, "facts": {"cluster": {}}, "lock": None}) == []


def test_conditions_are_told_when_status_or_reason_move_but_not_for_another_message() -> None:
    before, after = (status("Updating", "Running", DnsReady=value, Ready="False") for value in ("False", "True"))
    [event] = events.between(before, after)
    assert (event["type"], event["condition"], event["status"]) == ("ConditionChanged", "DnsReady", "True")
    later = status("Updating", "Running", DnsReady="True", Ready="False")
    later["conditions"]["Ready"]["message"] = "still waits"
    assert told(after, later) == []


def test_a_failure_tells_step_cause_and_remedy() -> None:
    failed = status("Failed", "Failed")
    failed["operation"]["failure"] = {"step": "EnsureCluster", "cause": "quota", "remedy": "ask for more"}
    found = list(events.between(status("Provisioning", "Running"), failed))
    assert [each["type"] for each in found] == ["PhaseChanged", "OperationFailed"]
    assert found[1]["failure"] == failed["operation"]["failure"]


def test_an_event_looks_like_a_cloud_event() -> None:
    [event] = events.between(status("Ready", "Succeeded"), status("Deleted", "Succeeded"))
    published = events.cloud_event("7-00", "2026-11-23T09:00:00Z", "springboard", event)
    assert published == {
        "specversion": "1.0",
        "id": "7-00",
        "source": "springboard/springboard",
        "type": "springboard.PhaseChanged",
        "subject": "shop",
        "time": "2026-11-23T09:00:00Z",
        "datacontenttype": "application/json",
        "data": event,
    }
