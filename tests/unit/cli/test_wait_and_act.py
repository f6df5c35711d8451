"""wait, delete, retry, cancel."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.stand_ins import Json, Machine, answer, condition, environment, operation, problem, step


def deleting(**status: Any) -> Json:
    balancer = condition("LoadBalancerReady", "False", "Waiting", "waits for dns: the record is on its way")
    steps = [step("RemoveLoadBalancer", 0)]
    return environment(phase="Deleting", conditions=[balancer], operation=operation("Delete", steps=steps), **status)


def failed(kind: str = "Create") -> Json:
    failure = {"step": "EnsureCluster", "cause": "no capacity", "remedy": "retry"}
    return environment(phase="Failed", operation=operation(kind, "Failed", failure=failure))


GONE = problem(404, "no environment 'shop'")


def test_wait_ends_when_the_condition_holds(machine: Machine) -> None:
    machine.api.becomes(environment(phase="Provisioning"), environment(phase="Provisioning"), environment())

    result = machine.run("wait", "shop", "--for=condition=Ready")

    assert (result.exit_code, result.stdout) == (0, "environment/shop condition met\n")
    assert machine.clock.slept == [5.0, 5.0]


def test_wait_for_a_status_other_than_true(machine: Machine) -> None:
    machine.api.becomes(environment(), environment(phase="Provisioning"))

    assert machine.run("wait", "shop", "--for=condition=ready=false").exit_code == 0


def test_wait_times_out_with_three(machine: Machine) -> None:
    machine.api.becomes(environment(phase="Provisioning"))

    result = machine.run("wait", "shop", "--timeout", "30s")

    assert result.exit_code == 3
    assert sum(machine.clock.slept) == 30


def test_wait_does_not_wait_for_what_has_failed(machine: Machine) -> None:
    machine.api.becomes(environment(phase="Provisioning"), failed())

    result = machine.run("wait", "shop")

    assert result.exit_code == 1
    assert "failed at EnsureCluster: no capacity" in result.stderr


@pytest.mark.parametrize("given", ["Ready", "condition", "condition=", "jsonpath=x", "condition=a=b=c"])
def test_wait_for_nonsense(machine: Machine, given: str) -> None:
    assert machine.run("wait", "shop", f"--for={given}").exit_code == 2


def test_wait_for_a_condition_that_does_not_exist(machine: Machine) -> None:
    machine.api.becomes(environment())

    result = machine.run("wait", "shop", "--for=condition=Sunny")

    assert result.exit_code == 2
    assert "ClusterReady" in result.stderr


def test_a_timeout_that_is_none(machine: Machine) -> None:
    assert machine.run("wait", "shop", "--timeout", "soon").exit_code == 2


def test_wait_for_deletion(machine: Machine) -> None:
    machine.api.says("GET", "/environments/shop", answer(deleting()), answer(deleting()), GONE)

    assert machine.run("wait", "shop", "--for=delete").exit_code == 0


def test_what_is_gone_already_was_deleted(machine: Machine) -> None:
    assert machine.run("wait", "shop", "--for=delete").exit_code == 0


def test_another_of_the_same_name_is_not_the_one_that_was_deleted(machine: Machine) -> None:
    successor = environment()
    successor["metadata"]["uid"] = "another"
    machine.api.becomes(deleting(), successor)

    assert machine.run("wait", "shop", "--for=delete").exit_code == 0


def test_waiting_for_a_deletion_that_failed_or_that_nobody_asked_for(machine: Machine) -> None:
    machine.api.becomes(failed("Delete"))
    assert "delete of shop failed" in machine.run("wait", "shop", "--for=delete").stderr

    machine.api.becomes(environment())
    result = machine.run("wait", "shop", "--for=delete")
    assert result.exit_code == 1
    assert "nobody is deleting shop" in result.stderr


def test_delete_asks_and_takes_no_for_an_answer(machine: Machine) -> None:
    machine.api.add(environment())
    machine.replies = ["n"]

    result = machine.run("delete", "shop")

    assert result.exit_code == 1
    assert machine.api.writes() == []


def test_delete_needs_yes_where_nobody_can_be_asked(machine: Machine) -> None:
    machine.api.add(environment())

    result = machine.run("delete", "shop")

    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert machine.api.writes() == []


def test_delete_removes_the_generation_that_was_shown(machine: Machine) -> None:
    machine.api.becomes(environment())
    machine.api.says("DELETE", "/environments/shop", answer(deleting(), 202))
    machine.replies = ["y"]

    result = machine.run("delete", "shop")

    assert (result.exit_code, result.stdout) == (0, "environment/shop deleting\n")
    (sent,) = machine.api.writes()
    assert sent.headers["if-match"] == '"1"'
    assert "--for=delete" in result.stderr


def test_delete_waits_until_nothing_is_left(machine: Machine) -> None:
    machine.api.says("GET", "/environments/shop", answer(environment(), etag='"1"'), answer(deleting()), GONE)
    machine.api.says("DELETE", "/environments/shop", answer(deleting(), 202))

    result = machine.run("delete", "shop", "--yes", "--wait")

    assert result.exit_code == 0
    assert "load balancer   Working           waits for dns" in result.stderr
    assert "shop is gone after 10s" in result.stderr


def test_delete_during_a_create_waits_for_its_turn(machine: Machine) -> None:
    waits = environment(phase="Provisioning", intent={"kind": "Delete", "operation": "01JDELETE", "at": "x"})
    cancelled = environment(phase="Provisioning", operation=operation(status="Cancelled"))
    cancelled["status"]["intent"] = waits["status"]["intent"]
    removed = deleting()
    removed["status"]["operation"]["id"] = "01JDELETE"
    machine.api.says(
        "GET", "/environments/shop", answer(waits, etag='"1"'), answer(waits), answer(cancelled), answer(removed), GONE
    )
    machine.api.says("DELETE", "/environments/shop", answer(waits, 202))

    result = machine.run("delete", "shop", "--yes", "--wait")

    assert result.exit_code == 0, result.stderr
    assert "shop is gone" in result.stderr


def test_delete_says_once_why_its_first_step_takes_minutes_to_come(machine: Machine) -> None:
    said = condition("Progressing", "True", "Settling", "its first step comes in 360 s: AWS may not show before")
    settling = environment(phase="Deleting", conditions=[said], operation=operation("Delete"))
    begun = deleting()
    begun["status"]["conditions"].append(said)
    machine.api.says(
        "GET",
        "/environments/shop",
        answer(environment(), etag='"1"'),
        answer(settling),
        answer(settling),
        answer(begun),
        GONE,
    )
    machine.api.says("DELETE", "/environments/shop", answer(settling, 202))

    result = machine.run("delete", "shop", "--yes", "--wait")

    assert result.exit_code == 0
    assert result.stderr.count("its first step comes in 360 s") == 1


def test_what_is_protected_is_not_deleted(machine: Machine) -> None:
    machine.api.add(environment())
    machine.api.says(
        "DELETE",
        "/environments/shop",
        problem(409, "shop is protected against deletion", "set spec.deletionProtection to false"),
    )

    result = machine.run("delete", "shop", "--yes")

    assert result.exit_code == 6
    assert "deletionProtection" in result.stderr


def test_a_dry_deletion_shows_what_would_go(machine: Machine) -> None:
    change = {"action": "Delete", "resource": "cluster springboard-shop", "reason": "the environment goes away"}
    plan = {"metadata": {"name": "shop"}, "action": "Delete", "changes": [change], "unknown": []}
    machine.api.says("DELETE", "/environments/shop", answer(plan))

    result = machine.run("delete", "shop", "--dry-run")

    assert "cluster springboard-shop" in result.stdout
    (sent,) = machine.api.writes()
    assert sent.query == {"dryRun": "true"}


def test_retry_goes_on_to_the_url(machine: Machine) -> None:
    machine.api.becomes(environment())
    machine.api.says(
        "POST",
        "/environments/shop/retry",
        answer(environment(phase="Provisioning", operation=operation("Retry", "Pending")), 202),
    )

    result = machine.run("retry", "shop")

    assert (result.exit_code, result.stdout) == (0, "https://shop.dev.example.com\n")
    (sent,) = machine.api.writes()
    assert sent.headers["idempotency-key"]
    assert sent.body is None


def test_retry_of_a_deletion_ends_when_it_is_gone(machine: Machine) -> None:
    machine.api.says("POST", "/environments/shop/retry", answer(deleting(), 202))

    result = machine.run("retry", "shop")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "shop is gone" in result.stderr


def test_retry_of_what_has_not_failed(machine: Machine) -> None:
    machine.api.says("POST", "/environments/shop/retry", problem(409, "the latest operation on shop has not failed"))

    assert machine.run("retry", "shop").exit_code == 6


def test_cancel_says_how_to_go_on(machine: Machine) -> None:
    machine.api.says("POST", "/environments/shop/cancel", answer(environment(phase="Provisioning"), 202))

    result = machine.run("cancel", "shop")

    assert (result.exit_code, result.stdout) == (0, "environment/shop cancelling\n")
    assert "springboard retry shop" in result.stderr


def test_following_an_operation_that_another_has_overtaken(machine: Machine) -> None:
    later = environment(operation=operation("Update", id="01JLATER"))
    machine.api.becomes(later)
    machine.api.says("POST", "/environments/shop/retry", answer(environment(phase="Provisioning"), 202))
    machine.api.says(
        "GET",
        "/environments/shop/operations/01JOPERATION",
        answer({"id": "01JOPERATION", "status": "Running"}),
        answer({"id": "01JOPERATION", "status": "Succeeded"}),
    )

    assert machine.run("retry", "shop").exit_code == 0


@pytest.mark.parametrize("awaited", ["condition=Ready", "delete"])
def test_ctrl_c_on_a_wait_says_how_to_come_back(machine: Machine, awaited: str) -> None:
    machine.api.says("GET", "/environments/shop", KeyboardInterrupt())

    result = machine.run("wait", "shop", f"--for={awaited}")

    assert result.exit_code == 130
    assert f"`springboard wait shop --for={awaited}` comes back to it" in result.stderr
