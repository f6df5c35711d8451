"""What a cluster's API and its pods do to an environment: F32, F33, F37."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.services import eks
from tests.steps.flow import invariants
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document
from tests.steps.flow.test_changes import REGISTRY, page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.steps.flow.springboard import Springboard

pytestmark = pytest.mark.sweep


def inject(name: str, **condition: Any) -> None:
    """Make something go wrong in an environment's cluster."""
    plane = eks.control_plane(f"springboard-{name}")
    assert plane is not None
    plane.inject(condition)


def release(name: str, image: str, replicas: int = 2) -> dict[str, Any]:
    wanted = document(name)
    wanted["spec"]["apps"][0] |= {"image": f"{REGISTRY}/shop:{image}", "replicas": replicas}
    return wanted


@pytest.fixture(scope="module")
def steady(deployed: Springboard) -> str:
    """A Ready environment; who makes something go wrong in it leaves it Ready."""
    ready = deployed.apply(release("steady", "1.4.2"))
    assert ready.phase == "Ready", ready.document["status"]
    return "steady"


@pytest.fixture(autouse=True)
def mended(steady: str) -> Iterator[None]:
    yield
    inject(steady, kind="Api", match="*", reason="")


# F32


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Unauthorized", "Unauthorized"),
        ("Conflict", "object has been modified"),
        ("TooManyRequests", "too many requests"),
        ("InternalError", "etcdserver"),
        ("ServiceUnavailable", "unable to handle the request"),
        ("Unreachable", "was not reached"),
    ],
)
def test_f32_a_sick_api_is_asked_again_and_then_the_environment_is_degraded(
    springboard: Springboard, steady: str, reason: str, told: str
) -> None:
    replicas = 5 - springboard.get(steady).document["spec"]["apps"][0]["replicas"]  # 2 and 3 in turn
    inject(steady, kind="Api", match="*", reason=reason, times=1)
    passed = springboard.apply(release(steady, "1.4.2", replicas))
    assert passed.phase == "Ready", passed.failure

    inject(steady, kind="Api", match="PATCH *", reason=reason)
    failed = springboard.apply(release(steady, "1.4.2", 5 - replicas))
    assert (failed.phase, failed.failure["step"]) == ("Degraded", "EnsureWorkload"), failed.document["status"]
    assert told in failed.failure["cause"], failed.failure
    assert failed.condition("Available")["status"] == "True"
    assert "Bearer" not in str(failed.document)
    invariants.check(springboard, steady)
    assert page(springboard, "steady.dev.example.com")[0] == 200
    inject(steady, kind="Api", match="PATCH *", reason="")
    invariants.converges(springboard, release(steady, "1.4.2", 5 - replicas))


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("Unauthorized", ""),
        (
            "Forbidden",
            'deployments.apps "x" is forbidden: User "y" cannot patch resource "deployments" in API group "apps"',
        ),
    ],
)
def test_f32_an_api_server_that_hears_late_of_our_access_is_asked_again(
    springboard: Springboard, steady: str, reason: str, message: str
) -> None:
    replicas = 5 - springboard.get(steady).document["spec"]["apps"][0]["replicas"]
    inject(steady, kind="Api", match="PATCH *", reason=reason, message=message, times=3)
    springboard.kubernetes.clear()
    passed = springboard.apply(release(steady, "1.4.2", replicas))
    assert passed.phase == "Ready", passed.failure
    assert len(springboard.kubernetes.calls) > 1  # the Deployment alone changes, by one call where nobody refuses it


def test_what_the_cluster_s_own_rules_refuse_is_told_at_once(springboard: Springboard, steady: str) -> None:
    replicas = 5 - springboard.get(steady).document["spec"]["apps"][0]["replicas"]
    said = 'admission webhook "images.example.com" denied the request: not signed'
    inject(steady, kind="Api", match="PATCH *", reason="Forbidden", message=said, times=1)
    failed = springboard.apply(release(steady, "1.4.2", replicas))
    assert (failed.phase, failed.failure["step"]) == ("Degraded", "EnsureWorkload"), failed.document["status"]
    assert said in failed.failure["cause"]
    assert "webhook" in failed.failure["remedy"]
    springboard.apply(release(steady, "1.4.2", replicas))


# F33


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "CrashLoopBackOff", "OOMKilled", "Unschedulable"])
def test_f33_a_release_that_does_not_come_up_says_why_while_the_one_before_serves(
    springboard: Springboard, steady: str, reason: str
) -> None:
    before = page(springboard, "steady.dev.example.com")[1]["image"]
    accepted = springboard.send(release(steady, "1.4.3"))
    digest = springboard.get(steady).document["status"]["apps"][0]["digest"]
    pods = reason == "Unschedulable"  # running pods stay where they are
    fault = {"kind": "Pod", "match": "*"} if pods else {"kind": "Image", "match": f"*{digest}"}
    inject(steady, **fault, reason=reason)
    springboard.finish(accepted)
    failed = springboard.get(steady)
    assert (failed.phase, failed.failure["step"]) == ("Degraded", "EnsureWorkload"), failed.document["status"]
    assert reason in failed.failure["cause"], failed.failure
    invariants.check(springboard, steady)
    status, answer = page(springboard, "steady.dev.example.com")
    assert (status, answer["image"]) == (200, before)
    inject(steady, **fault, reason="")
    invariants.converges(springboard, release(steady, "1.4.3"))
    assert springboard.apply(release(steady, "1.4.2")).phase == "Ready"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"kind": "Api", "match": "*", "reason": "Unreachable"}, "was not reached"),
        ({"kind": "Image", "match": "*shop*", "reason": "CrashLoopBackOff"}, "CrashLoopBackOff"),
    ],
    ids=["api", "pods"],
)
def test_f32_f33_what_is_sick_from_the_start_fails_the_create_and_does_not_keep_it_from_going(
    springboard: Springboard, fault: dict[str, str], told: str
) -> None:
    before = inventory(springboard.client)
    name = f"sickly-{fault['kind'].lower()}"
    accepted = springboard.send(document(name))
    springboard.until(lambda: eks.control_plane(f"springboard-{name}") is not None)
    inject(name, **fault)
    springboard.finish(accepted)
    failed = springboard.get(name)
    assert (failed.phase, failed.failure["step"]) == ("Failed", "EnsureWorkload"), failed.document["status"]
    assert told in failed.failure["cause"], failed.failure
    invariants.check(springboard, name)
    inject(name, **{**fault, "reason": ""})
    invariants.converges(springboard, document(name))
    inject(name, **fault)
    invariants.deleted(springboard, name, before)


# F37


@pytest.mark.parametrize("reason", ["Unreachable", "Unauthorized", "TooManyRequests", "InternalError"])
def test_f37_a_dead_api_does_not_keep_an_environment_from_going(springboard: Springboard, reason: str) -> None:
    before = inventory(springboard.client)
    name = f"dead-{reason.lower()[:8]}"
    assert springboard.apply(document(name)).phase == "Ready"
    inject(name, kind="Api", match="*", reason=reason)
    springboard.delete(name)  # at the first attempt
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, name, before)
