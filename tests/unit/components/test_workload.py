"""The workload: what is applied, pruned and refused, and what pods say about themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from springboard.components import workload
from springboard.components.contract import ABSENT, Action, Effect, Failed, Ready, Waiting
from springboard.components.manifests import UID_LABEL
from springboard.components.workload import Observed, Role, Trouble, Workload, troubles
from springboard.errors import NotOursError
from tests.unit.components.records import ACCOUNT, SITE, UID, environment

if TYPE_CHECKING:
    from springboard.components.manifests import Manifest

IMAGE = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/shop:1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/springboard-apps/shop"


def wanted(*apps: dict[str, Any]) -> Workload:
    return workload.desired(environment(apps=[{"image": IMAGE, **app} for app in apps or ({},)]), SITE)


def rolled_out(manifest: Manifest, **status: Any) -> Manifest:
    """A Deployment whose rollout is complete, but for what is given."""
    replicas = manifest["spec"].get("replicas", 2)
    complete = {
        "observedGeneration": 1,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "availableReplicas": replicas,
        **status,
    }
    spec = {**manifest["spec"], "replicas": replicas}
    return {**manifest, "metadata": {**manifest["metadata"], "generation": 1}, "spec": spec, "status": complete}


def seen(desired: Workload, **status: Any) -> Observed:
    objects = {
        (each["kind"], each["metadata"]["name"]): rolled_out(each, **status) if each["kind"] == "Deployment" else each
        for each in desired.objects
    }
    return Observed(uid=UID, objects=objects)


def test_everything_is_applied_where_nothing_is() -> None:
    desired = wanted()
    changes = workload.changes(desired, Observed(uid=UID))
    assert [change.action for change in changes] == [Action.CREATE] * len(desired.objects)
    assert changes[0].resource == "Namespace shop"


def test_a_complete_rollout_as_desired_is_ready() -> None:
    desired = wanted()
    assert workload.changes(desired, seen(desired)) == ()
    assert isinstance(workload.condition(desired, seen(desired)), Ready)


def test_another_number_of_replicas_touches_the_deployment_alone_and_moves_no_pod() -> None:
    (change,) = workload.changes(wanted({"replicas": 4}), seen(wanted({"replicas": 2})))
    assert (change.resource, change.effect) == ("Deployment shop", Effect.NONE)
    (change,) = workload.changes(wanted({"env": {"A": "1"}}), seen(wanted()))
    assert (change.resource, change.effect) == ("Deployment shop", Effect.DISRUPTS)


def test_what_somebody_changed_by_hand_is_put_right() -> None:
    desired = wanted()
    observed = seen(desired)
    observed.objects["Service", "shop"]["spec"]["externalTrafficPolicy"] = "Local"
    (change,) = workload.changes(wanted(), observed)
    assert change.resource == "Service shop"


def test_a_removed_application_goes_with_all_its_objects() -> None:
    both, one = wanted({"name": "a"}, {"name": "b"}), wanted({"name": "a"})
    changes = workload.changes(one, seen(both))
    assert {change.action for change in changes} == {Action.DELETE}
    assert {change.resource.split()[1] for change in changes} == {"b"}
    assert len(changes) == 5


def test_objects_without_our_label_stay_and_are_refused_under_our_names() -> None:
    desired = wanted()
    observed = seen(desired)
    theirs = {"metadata": {"name": "theirs", "labels": {}}, "spec": {}}
    kept = replace(observed, objects={**observed.objects, ("Deployment", "theirs"): theirs})
    assert workload.changes(desired, kept) == ()
    del observed.objects["Namespace", "shop"]["metadata"]["labels"][UID_LABEL]
    with pytest.raises(NotOursError, match="Namespace shop"):
        workload.changes(wanted(), observed)


def test_removal_deletes_the_namespace_and_what_is_outside_it() -> None:
    desired = wanted()
    observed = seen(desired)
    changes = workload.changes(ABSENT, observed)
    assert [change.resource for change in changes] == [
        "Namespace shop",
        "ClusterRoleBinding springboard:viewers",
        "ClusterRole springboard:viewers",
    ]
    assert isinstance(workload.condition(ABSENT, observed), Waiting)
    assert isinstance(workload.condition(ABSENT, Observed(uid=UID)), Ready)


def test_a_dead_cluster_does_not_hold_removal_up() -> None:
    observed = Observed(uid=UID, skipped="the Kubernetes API was not reached: no connection within 3 seconds")
    assert workload.changes(ABSENT, observed) == ()
    assert isinstance(workload.condition(ABSENT, observed), Ready)


@pytest.mark.parametrize(
    "status",
    [{"updatedReplicas": 1}, {"availableReplicas": 1}, {"replicas": 3}, {"observedGeneration": 0}],
)
def test_an_incomplete_rollout_waits(status: dict[str, int]) -> None:
    desired = wanted()
    assert isinstance(workload.condition(desired, seen(desired, **status)), Waiting)


def test_a_rollout_past_its_deadline_fails_with_what_the_pods_say() -> None:
    desired = wanted()
    conditions = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    observed = replace(
        seen(desired, availableReplicas=0, conditions=conditions),
        troubles=(Trouble("shop", "shop-1", "shop", "ImagePullBackOff", "no such tag"),),
    )
    verdict = workload.condition(desired, observed)
    assert isinstance(verdict, Failed)
    assert verdict.code == "ProgressDeadlineExceeded"
    assert "shop-1 ImagePullBackOff: no such tag" in verdict.cause


def test_a_retry_begins_another_rollout_where_one_was_given_up_and_only_once() -> None:
    desired = wanted()
    given_up = seen(
        desired, conditions=[{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    )
    assert workload.changes(desired, given_up) == ()
    retried = replace(given_up, retry="01J")
    (restart,) = workload.changes(desired, retried)
    assert isinstance(restart, workload.RestartRollout)
    found = retried.objects["Deployment", "shop"]
    template = found["spec"]["template"]
    marked = {**template["metadata"], "annotations": {"springboard.io/restarted-by": "01J"}}
    restarted = {**found, "spec": {**found["spec"], "template": {**template, "metadata": marked}}}
    assert (
        workload.changes(desired, replace(retried, objects={**retried.objects, ("Deployment", "shop"): restarted}))
        == ()
    )


def test_pod_roles_are_set_changed_and_removed() -> None:
    desired = wanted({"roleArn": ROLE})
    observed = seen(desired)
    (create,) = workload.changes(desired, observed)
    assert (type(create), create.action) == (workload.SetRole, Action.CREATE)
    other = replace(observed, roles=(Role("shop", ROLE + "2", "a-1"), Role("former", ROLE, "a-2")))
    update, removal = workload.changes(desired, other)
    assert isinstance(update, workload.SetRole)
    assert update.role == Role("shop", ROLE, "a-1")
    assert isinstance(removal, workload.RemoveRole)
    assert removal.association == "a-2"
    assert workload.changes(desired, replace(observed, roles=(Role("shop", ROLE, "a-1"),))) == ()


def test_a_role_outside_the_operators_path_is_never_passed() -> None:
    desired = wanted({"roleArn": f"arn:aws:iam::{ACCOUNT}:role/admin"})
    assert not any(isinstance(change, workload.SetRole) for change in workload.changes(desired, seen(desired)))
    verdict = workload.condition(desired, seen(desired))
    assert isinstance(verdict, Failed)
    assert verdict.code == "RoleNotAllowed"


def pod(state: dict[str, Any], last: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    container = {"name": "shop", "ready": False, "restartCount": 2, "state": state, "lastState": last or {}}
    return {
        "metadata": {"name": "shop-1", "labels": {"app.kubernetes.io/name": "shop"}},
        "status": {"containerStatuses": [container], **status},
    }


def test_a_crash_is_told_with_its_cause() -> None:
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    (trouble,) = troubles(pod(waiting, killed))
    assert trouble.reason == "CrashLoopBackOff"
    assert "OOMKilled, exit code 137" in trouble.message


def test_a_pod_that_starts_or_goes_is_no_trouble() -> None:
    assert list(troubles(pod({"waiting": {"reason": "ContainerCreating"}}))) == []
    assert list(troubles(pod({"running": {}}))) == []
    assert [trouble.reason for trouble in troubles(pod({"running": {}}), waiting=True)] == ["NotReady"]
    going = pod({"waiting": {"reason": "CrashLoopBackOff"}})
    going["metadata"]["deletionTimestamp"] = "2026-11-23T09:00:00Z"
    assert list(troubles(going)) == []


def test_a_pod_that_fits_nowhere_says_so() -> None:
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    nowhere = {"metadata": {"name": "p", "labels": {}}, "status": {"conditions": [said]}}
    (trouble,) = troubles(nowhere)
    assert (trouble.reason, trouble.message) == ("Unschedulable", "0/3 nodes")


def test_without_access_the_plan_shows_what_is_not_possible_yet() -> None:
    waiting = Waiting("access", "not yet")
    observed = Observed(uid=UID, waiting=waiting)
    assert not any(change.possible for change in workload.changes(wanted(), observed))
    assert workload.condition(wanted(), observed) == waiting


def test_facts_hold_no_variables() -> None:
    desired = wanted({"env": {"TOKEN": "hush"}})
    facts = workload.learned(seen(desired))
    assert facts["apps"][0]["availableReplicas"] == 2
    assert "hush" not in repr(facts)


def test_replicas_are_held_while_an_autoscaler_takes_or_leaves_them() -> None:
    fixed, scaled = wanted({"replicas": 4}), wanted({"autoscaling": {"minReplicas": 3, "maxReplicas": 6}})
    taken = next(each for each in workload.changes(scaled, seen(fixed)) if isinstance(each, workload.ApplyObject))
    given = next(each for each in workload.changes(fixed, seen(scaled)) if isinstance(each, workload.ApplyObject))
    plain = next(
        each
        for each in workload.changes(fixed, seen(wanted({"replicas": 2})))
        if isinstance(each, workload.ApplyObject)
    )
    assert (taken.handover, given.handover, plain.handover) == (4, 4, None)
