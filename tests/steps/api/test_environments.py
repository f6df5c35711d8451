"""What a client of the API sees of environments."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from springboard.record import OperationStatus
from tests.steps.api.fakes import ALICE_ROLE, BOB, DIGEST, IMAGE, NOW, Client, FakeWorld, document

if TYPE_CHECKING:
    from tests.steps.api.fakes import Reply


def created(call: Client, name: str = "shop", **spec: Any) -> Reply:
    """An environment whose first operation has ended."""
    reply = call("POST", "/environments", document(name, **spec))
    assert reply.status == 202, reply
    call.world.finish(name)
    return call("GET", f"/environments/{name}")


class TestCreate:
    def test_a_post_creates_and_starts(self, call: Client, world: FakeWorld) -> None:
        reply = call("POST", "/environments", document())
        assert reply.status == 202, reply
        assert reply.headers["Location"] == "/environments/shop"
        assert reply.headers["Retry-After"]
        assert reply.headers["ETag"] == '"1"'
        assert reply.document["metadata"]["owner"] == ALICE_ROLE
        assert reply.document["metadata"]["creationTimestamp"] == "2026-11-23T09:00:00Z"
        assert reply.document["status"]["apps"][0]["digest"] == DIGEST
        assert reply.document["status"]["url"] == "https://shop.dev.example.com"
        assert len(world.states.started) == 1
        assert world.states.started[0].endswith(reply.document["status"]["operation"]["id"])
        seen = call("GET", "/environments/shop")
        assert seen.status == 200
        assert seen.document == reply.document

    def test_the_name_is_taken(self, call: Client) -> None:
        created(call)
        mine = call("POST", "/environments", document())
        assert mine.status == 409
        assert "phase" in mine.document["detail"]
        theirs = call("POST", "/environments", document(), user=BOB)
        assert theirs.status == 409
        assert theirs.document["detail"] == "the name shop is taken"
        assert "Alice" not in str(theirs.document)

    def test_a_put_creates_what_is_absent(self, call: Client, world: FakeWorld) -> None:
        assert call("PUT", "/environments/shop", document(), headers={"if-none-match": "*"}).status == 202
        world.finish("shop")
        assert call("PUT", "/environments/shop", document(), headers={"if-none-match": "*"}).status == 412
        assert call("PUT", "/environments/other", document("other"), headers={"if-match": '"1"'}).status == 412

    def test_a_put_of_anothers_name_is_a_conflict(self, call: Client) -> None:
        created(call)
        assert call("PUT", "/environments/shop", document(), user=BOB).status == 409

    def test_the_path_names_the_environment(self, call: Client) -> None:
        reply = call("PUT", "/environments/shop", document("shed"))
        assert reply.status == 422
        assert reply.document["errors"][0]["field"] == "metadata.name"

    def test_a_start_that_fails_loses_nothing(
        self, call: Client, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The record holds the operation, and the sweep starts it."""
        from springboard.errors import ThrottledError  # noqa: PLC0415

        def start(*_: object) -> str:
            raise ThrottledError("StartExecution answered ThrottlingException")

        monkeypatch.setattr(world.states, "start", start)
        reply = call("POST", "/environments", document())
        assert reply.status == 202
        assert reply.document["status"]["operation"]["status"] == "Pending"


KEY = {"idempotency-key": "0b7f"}


class TestIdempotency:
    def test_the_same_post_is_answered_again(self, call: Client, world: FakeWorld) -> None:
        first = call("POST", "/environments", document(), headers=KEY)
        second = call("POST", "/environments", document(), headers=KEY)
        assert (second.status, second.document) == (202, first.document)
        assert second.headers == first.headers
        assert world.store.writes == ["create"]

    def test_another_body_is_refused(self, call: Client) -> None:
        call("POST", "/environments", document(), headers=KEY)
        reply = call("POST", "/environments", document("other"), headers=KEY)
        assert reply.status == 422
        assert reply.document["code"] == "IdempotencyKeyReused"

    def test_keys_are_the_callers_own(self, call: Client) -> None:
        call("POST", "/environments", document(), headers=KEY)
        assert call("POST", "/environments", document("other"), headers=KEY, user=BOB).status == 202

    def test_keys_are_of_one_path_alone(self, call: Client, world: FakeWorld) -> None:
        """A client that counts its wishes by environment: its second one, about another, is done as well."""
        for name in ("shop", "shed"):
            call("POST", "/environments", document(name))
            world.finish(name, OperationStatus.FAILED)
        replies = [call("POST", f"/environments/{name}/retry", headers=KEY) for name in ("shop", "shed")]
        assert [each.document["metadata"]["name"] for each in replies] == ["shop", "shed"]
        assert world.store.writes.count("request_operation") == 2

    def test_a_dry_run_uses_up_no_key(self, call: Client, world: FakeWorld) -> None:
        assert call("POST", "/environments", document(), headers=KEY, query="dryRun=true").status == 200
        assert call("POST", "/environments", document(), headers=KEY).status == 202
        assert call("POST", "/environments", document(), headers=KEY, query="dryRun=true").document["kind"] == "Plan"
        assert world.store.writes == ["create"]

    def test_a_lost_answer_is_found_again(self, call: Client, world: FakeWorld) -> None:
        """The function died after the record was written and before the answer was saved."""
        first = call("POST", "/environments", document(), headers=KEY)
        world.store.answers.clear()
        again = call("POST", "/environments", document(), headers=KEY)
        assert again.status == 202
        assert again.document["metadata"]["uid"] == first.document["metadata"]["uid"]
        assert again.document["status"]["operation"]["id"] == first.document["status"]["operation"]["id"]

    def test_a_key_outlives_what_it_made(self, call: Client, world: FakeWorld) -> None:
        """A day later the answer is forgotten, the environment deleted: the same POST is a new wish."""
        first = call("POST", "/environments", document(), headers=KEY)
        uid = first.document["metadata"]["uid"]
        world.store.answers.clear()
        del world.store.pointers["shop"]
        world.store.environments[uid] = replace(world.store.environments[uid], deleted_at=NOW)
        again = call("POST", "/environments", document(), headers=KEY)
        assert again.status == 202
        assert again.document["metadata"]["uid"] != uid

    def test_a_refusal_is_not_kept(self, call: Client, world: FakeWorld) -> None:
        images, world.images = world.images, {}
        assert call("POST", "/environments", document(), headers=KEY).status == 422
        world.images = images
        assert call("POST", "/environments", document(), headers=KEY).status == 202

    @pytest.mark.parametrize("key", ["", " ", "a b", "a" * 129, "a\nb", "ä"])
    def test_a_malformed_key(self, call: Client, key: str) -> None:
        assert call("POST", "/environments", document(), headers={"idempotency-key": key}).status == 400


class TestUpdate:
    def test_another_image_and_replica_count(self, call: Client, world: FakeWorld) -> None:
        seen = created(call)
        world.images["shop", "1.5.0"] = replace(world.images["shop", "1.4.2"], digest="sha256:" + "b" * 64)
        wanted = document(apps=[{"image": IMAGE.replace("1.4.2", "1.5.0"), "replicas": 3}])
        reply = call("PUT", "/environments/shop", wanted, headers={"if-match": seen.headers["ETag"]})
        assert reply.status == 202, reply
        assert reply.headers["ETag"] == '"2"'
        assert reply.document["status"]["operation"]["kind"] == "Update"
        assert reply.document["metadata"]["uid"] == seen.document["metadata"]["uid"]
        assert len(world.states.started) == 2

    def test_if_match_is_needed_and_compared(self, call: Client) -> None:
        created(call)
        wanted = document(drift="Repair")
        assert call("PUT", "/environments/shop", wanted).status == 428
        assert call("PUT", "/environments/shop", wanted, headers={"if-match": '"7"'}).status == 412
        assert call("PUT", "/environments/shop", wanted, headers={"if-match": 'W/"1"'}).status == 412
        assert call("PUT", "/environments/shop", wanted, headers={"if-match": "1"}).status == 400
        assert call("PUT", "/environments/shop", wanted, headers={"if-match": '"7", "1"'}).status == 202

    def test_if_match_star(self, call: Client) -> None:
        created(call)
        assert call("PUT", "/environments/shop", document(drift="Repair"), headers={"if-match": "*"}).status == 202

    def test_nothing_differs(self, call: Client, world: FakeWorld) -> None:
        created(call)
        reply = call("PUT", "/environments/shop", document(), headers={"if-match": '"1"'})
        assert reply.status == 200
        assert reply.headers["ETag"] == '"1"'
        assert reply.document["message"] == "nothing differs"
        assert world.store.writes == ["create"]
        assert world.asked[-1]["observe"] is True

    def test_an_equal_spec_repairs_what_drifted(self, call: Client, world: FakeWorld) -> None:
        created(call)
        change = {"action": "Update", "resource": "Deployment shop", "reason": "it was scaled", "effect": "None"}
        world.observed["workload"] = {"component": "workload", "changes": [change]}
        reply = call("PUT", "/environments/shop", document(), headers={"if-match": '"1"'})
        assert reply.status == 202
        assert reply.document["status"]["operation"]["kind"] == "Repair"
        assert reply.headers["ETag"] == '"1"'

    def test_somebody_elses_thing_in_our_place_is_not_nothing(self, call: Client, world: FakeWorld) -> None:
        """There is nothing to change, and it is not as declared: the operation says why, and what to do."""
        created(call)
        verdict = {"state": "Failed", "cause": "Service shop is not ours", "remedy": "", "code": "NotOurs"}
        world.observed["workload"] = {"component": "workload", "changes": [], "verdict": verdict}
        reply = call("PUT", "/environments/shop", document(), headers={"if-match": '"1"'})
        assert reply.status == 202
        assert reply.document["status"]["operation"]["kind"] == "Repair"

    def test_what_cannot_be_seen_is_looked_at(self, call: Client, world: FakeWorld) -> None:
        created(call)
        world.observed.clear()
        assert call("PUT", "/environments/shop", document(), headers={"if-match": '"1"'}).status == 202

    def test_a_moved_tag_is_a_change(self, call: Client, world: FakeWorld) -> None:
        created(call)
        world.images["shop", "1.4.2"] = replace(world.images["shop", "1.4.2"], digest="sha256:" + "c" * 64)
        reply = call("PUT", "/environments/shop", document(), headers={"if-match": '"1"'})
        assert reply.status == 202
        assert reply.headers["ETag"] == '"2"'

    def test_one_operation_at_a_time(self, call: Client) -> None:
        call("POST", "/environments", document())
        headers = {"if-match": '"1"'}
        assert call("PUT", "/environments/shop", document(drift="Repair"), headers=headers).status == 409
        # The same again is not another wish.
        assert call("PUT", "/environments/shop", document(), headers=headers).status == 202

    def test_nothing_differs_only_where_the_last_operation_succeeded(self, call: Client, world: FakeWorld) -> None:
        call("POST", "/environments", document())
        world.finish("shop", OperationStatus.FAILED)
        reply = call("PUT", "/environments/shop", document(), headers={"if-match": '"1"'})
        assert reply.status == 202
        assert reply.document["status"]["operation"]["kind"] == "Repair"

    def test_what_is_being_deleted_is_not_changed(self, call: Client) -> None:
        created(call, deletionProtection=False)
        call("DELETE", "/environments/shop")
        same = document(deletionProtection=False)
        assert call("PUT", "/environments/shop", same, headers={"if-match": '"1"'}).status == 409

    def test_a_life_that_would_be_over(self, call: Client) -> None:
        created(call)
        wanted = document(ttlHours=2)
        late = NOW + timedelta(hours=3)
        reply = call("PUT", "/environments/shop", wanted, headers={"if-match": '"1"'}, at=late)
        assert reply.status == 422
        assert reply.document["errors"][0]["field"] == "spec.ttlHours"

    def test_a_merge_patch(self, call: Client) -> None:
        created(call, drift="Repair")
        patch = {"metadata": {"labels": {"team": "checkout"}}, "spec": {"drift": None, "ttlHours": 4}}
        how = {"headers": {"content-type": "application/merge-patch+json"}}
        reply = call("PATCH", "/environments/shop", patch, **how)
        assert reply.status == 202, reply
        assert reply.document["spec"]["drift"] == "Report"
        assert reply.document["metadata"]["labels"] == {"team": "checkout"}
        assert reply.document["status"]["expiresAt"] == "2026-11-23T13:00:00Z"
        assert call("PATCH", "/environments/nowhere", patch, **how).status == 404
        assert call("PATCH", "/environments/shop", [], **how).status == 422
        assert call("PATCH", "/environments/shop", {"metadata": {"name": "x"}}, **how).status == 422

    @pytest.mark.parametrize(
        ("before", "after", "field"),
        [
            ({}, {"ingress": {"scheme": "internal"}}, "spec.ingress.scheme"),
            ({}, {"cluster": {"minVersion": "1.36"}}, "spec.cluster.minVersion"),
            (
                {},
                {"nodeGroups": [{"name": "workers", "instanceTypes": ["m6i.large"]}]},
                "spec.nodeGroups[0].instanceTypes",
            ),
            ({}, {"nodeGroups": [{"name": "workers", "capacityType": "SPOT"}]}, "spec.nodeGroups[0].capacityType"),
        ],
    )
    def test_what_cannot_change(self, call: Client, before: dict[str, Any], after: dict[str, Any], field: str) -> None:
        created(call, **before)
        reply = call("PUT", "/environments/shop", document(**after), headers={"if-match": '"1"'})
        assert reply.status == 422
        assert [error["field"] for error in reply.document["errors"]] == [field]

    def test_a_floor_below_what_runs_changes_no_version(self, call: Client) -> None:
        created(call)
        reply = call("PUT", "/environments/shop", document(cluster={"minVersion": "1.34"}), headers={"if-match": '"1"'})
        assert reply.status == 202
        assert reply.document["status"]["resolved"]["version"] == "1.35"

    def test_node_ports_stay(self, call: Client, world: FakeWorld) -> None:
        both = [{"image": IMAGE, "name": "a"}, {"image": IMAGE, "name": "b"}]
        created(call, apps=both)
        wanted = document(apps=[{"image": IMAGE, "name": "c"}, both[1]])
        call("PUT", "/environments/shop", wanted, headers={"if-match": '"1"'})
        present = world.store.by_name("shop")
        assert present
        ports = {app.name: app.node_port for app in present.resolved.apps}
        assert ports == {"b": 30001, "c": 30002}  # 30000 is not given away while a's target group goes


class TestDelete:
    def test_while_provisioning_it_stops_that_and_tears_down(self, call: Client, world: FakeWorld) -> None:
        call("POST", "/environments", document(deletionProtection=False))
        reply = call("DELETE", "/environments/shop")
        assert reply.status == 202, reply
        assert reply.document["status"]["operation"]["kind"] == "Delete"
        assert world.states.running[world.states.started[0]] == "ABORTED"
        assert ":execution:Teardown:" in world.states.started[1]
        again = call("DELETE", "/environments/shop")
        assert again.status == 202
        assert again.document["status"]["operation"]["id"] == reply.document["status"]["operation"]["id"]
        assert len(world.states.started) == 2

    def test_when_idle(self, call: Client, world: FakeWorld) -> None:
        created(call, deletionProtection=False)
        assert call("DELETE", "/environments/shop").status == 202
        assert ":execution:Teardown:" in world.states.started[1]

    def test_a_protected_one_stays(self, call: Client, world: FakeWorld) -> None:
        created(call)
        reply = call("DELETE", "/environments/shop")
        assert reply.status == 409
        assert "deletionProtection" in reply.document["remedy"]
        assert world.store.writes == ["create"]

    def test_one_with_a_life_is_not_protected(self, call: Client) -> None:
        created(call, ttlHours=4)
        assert call("DELETE", "/environments/shop").status == 202

    def test_stale(self, call: Client) -> None:
        created(call, deletionProtection=False)
        assert call("DELETE", "/environments/shop", headers={"if-match": '"9"'}).status == 412

    def test_what_is_gone_or_never_was(self, call: Client, world: FakeWorld) -> None:
        assert call("DELETE", "/environments/shop").status == 404
        created(call, deletionProtection=False)
        del world.store.pointers["shop"]  # what recording the deletion does
        assert call("DELETE", "/environments/shop").status == 404
        assert call("POST", "/environments", document()).status == 202


class TestDryRun:
    @pytest.mark.parametrize("query", ["dryRun=true", "dryRun=All"])
    def test_a_plan_does_nothing(self, call: Client, world: FakeWorld, query: str) -> None:
        change = {"action": "Create", "resource": "EKS cluster", "reason": "there is none", "effect": "None"}
        world.observed["workload"] = {"component": "workload", "changes": [change], "verdict": {"ready": False}}
        reply = call("POST", "/environments", document(), query=query)
        assert reply.status == 200
        assert reply.document["kind"] == "Plan"
        assert reply.document["action"] == "Create"
        assert reply.document["changes"] == [{"component": "workload", **change}]
        assert reply.document["resolved"]["version"] == "1.35"
        (times,) = reply.document["timing"]
        assert times["broken"] == []
        assert times["keepAliveSeconds"] > times["idleTimeoutSeconds"]
        assert world.store.writes == []
        assert world.states.started == []

    def test_of_every_verb(self, call: Client, world: FakeWorld) -> None:
        created(call, deletionProtection=False)
        put = call(
            "PUT", "/environments/shop", document(drift="Repair"), query="dryRun=true", headers={"if-match": '"1"'}
        )
        assert put.document["action"] == "Update"
        patch = call("PATCH", "/environments/shop", {"spec": {"drift": "Repair"}}, query="dryRun=true")
        assert patch.document["action"] == "Update"
        delete = call("DELETE", "/environments/shop", query="dryRun=true")
        assert delete.document["action"] == "Delete"
        assert world.asked[-1]["removal"] is True
        assert world.store.writes == ["create"]

    def test_what_does_not_answer_is_unknown(self, call: Client, world: FakeWorld) -> None:
        world.observed.clear()
        reply = call("POST", "/environments", document(), query="dryRun=true")
        assert reply.document["unknown"] == [{"component": "workload", "reason": "no answer"}]

    def test_mistakes_are_told(self, call: Client) -> None:
        assert call("POST", "/environments", document("Shop"), query="dryRun=true").status == 422
        assert call("POST", "/environments", document(), query="dryRun=yes").status == 400


class TestList:
    def test_pages(self, call: Client) -> None:
        for number in range(5):
            created(call, f"shop-{number}")
        first = call("GET", "/environments", query="limit=2")
        assert [item["metadata"]["name"] for item in first.document["items"]] == ["shop-0", "shop-1"]
        second = call("GET", "/environments", query=f"limit=2&after={first.document['metadata']['continue']}")
        last = call("GET", "/environments", query=f"limit=2&after={second.document['metadata']['continue']}")
        assert [item["metadata"]["name"] for item in last.document["items"]] == ["shop-4"]
        assert "continue" not in last.document["metadata"]
        assert len(call("GET", "/environments").document["items"]) == 5

    def test_a_cursor_names_nobody_elses(self, call: Client) -> None:
        created(call, "aaa")
        for name in ("bbb", "ccc"):
            assert call("POST", "/environments", document(name), user=BOB).status == 202
        created(call, "ddd")
        first = call("GET", "/environments", query="limit=1").document
        assert first["metadata"] == {"continue": "aaa"}
        assert "continue" not in call("GET", "/environments", query="limit=1&after=aaa").document["metadata"]
        assert "continue" not in call("GET", "/environments", query="limit=2", user=BOB).document["metadata"]

    def test_many(self, call: Client, world: FakeWorld) -> None:
        for number in range(120):
            assert call("POST", "/environments", document(f"shop-{number:03}")).status == 202
        pages = [call("GET", "/environments", query="limit=70").document]
        pages.append(call("GET", "/environments", query=f"limit=70&after={pages[0]['metadata']['continue']}").document)
        names = [item["metadata"]["name"] for page in pages for item in page["items"]]
        assert names == sorted(world.store.pointers)

    @pytest.mark.parametrize(
        ("selector", "names"),
        [
            ("team=a", ["one", "two"]),
            ("team==a,ring!=canary", ["one"]),
            ("team in (a, b)", ["one", "three", "two"]),
            ("team notin (a)", ["four", "three"]),
            ("ring", ["two"]),
            ("!team", ["four"]),
        ],
    )
    def test_selectors(self, call: Client, selector: str, names: list[str]) -> None:
        labelled = {"one": {"team": "a"}, "two": {"team": "a", "ring": "canary"}, "three": {"team": "b"}, "four": {}}
        for name, labels in labelled.items():
            made = document(name)
            made["metadata"]["labels"] = labels
            assert call("POST", "/environments", made).status == 202
        from urllib.parse import quote  # noqa: PLC0415

        reply = call("GET", "/environments", query=f"labelSelector={quote(selector)}")
        assert sorted(item["metadata"]["name"] for item in reply.document["items"]) == names

    def test_phases(self, call: Client) -> None:
        created(call)
        assert len(call("GET", "/environments", query="phase=Ready").document["items"]) == 1
        assert call("GET", "/environments", query="phase=Failed").document["items"] == []

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "limit=1000",
            "limit=x",
            "limit=%D9%A3",
            "after=../x",
            "after=SHOP",
            "after=eyJ4IjoxfQ%3D%3D",
            "phase=ready",
            "labelSelector=a%20b%20c",
            "labelSelector=team%20in%20(a",
            "continue=x",
            "after=a&after=b",
            "limit",
            "after=%ff",
        ],
    )
    def test_malformed_parameters(self, call: Client, query: str) -> None:
        reply = call("GET", "/environments", query=query)
        assert reply.status == 400, reply
        assert reply.document["code"]


class TestOwnership:
    def test_b14_another_owners_environment_is_not_there(self, call: Client, world: FakeWorld) -> None:
        """The answers are those for a name that nobody has, to the letter."""
        created(call)
        paths = [
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/operations"),
            ("GET", "/operations/x"),
            ("GET", "/events"),
            ("GET", "/diagnosis"),
            ("POST", "/retry"),
            ("POST", "/cancel"),
        ]
        for method, path in paths:
            theirs = call(method, f"/environments/shop{path}", user=BOB)
            nobodys = call(method, f"/environments/shed{path}", user=BOB)
            assert theirs.status == 404
            assert str(theirs.document).replace("shop", "shed") == str(nobodys.document)
        assert call("PATCH", "/environments/shop", {}, user=BOB).status == 404
        assert call("GET", "/environments", user=BOB).document["items"] == []
        assert world.store.writes == ["create"]

    def test_sessions_of_one_role_are_one_owner(self, call: Client) -> None:
        created(call)
        user = "arn:aws:sts::111122223333:assumed-role/Alice/another-session"
        assert call("GET", "/environments/shop", user=user).status == 200

    def test_shared_stacks_know_no_owner(self) -> None:
        call = Client(FakeWorld(ownership="shared"))
        created(call)
        assert call("GET", "/environments/shop", user=BOB).status == 200

    def test_b13_no_identity(self, call: Client) -> None:
        assert call("GET", "/environments/shop", user="").status == 401


class TestOperations:
    def test_of_an_environment(self, call: Client, world: FakeWorld) -> None:
        seen = created(call)
        call("PATCH", "/environments/shop", {"spec": {"drift": "Repair"}})
        listed = call("GET", "/environments/shop/operations").document["items"]
        assert {item["kind"] for item in listed} == {"Update", "Create"}
        wanted = seen.document["status"]["operation"]["id"]
        one = call("GET", f"/environments/shop/operations/{wanted}")
        assert one.document["kind"] == "Create"
        for bad in ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", "..", "%2e%2e", "a" * 500):
            assert call("GET", f"/environments/shop/operations/{bad}").status == 404
        assert world.store.operations("", 3) == []

    def test_events_after_one(self, call: Client, world: FakeWorld) -> None:
        uid = created(call).document["metadata"]["uid"]
        world.store.saved_events[uid] = [{"id": f"0{n}", "type": "PhaseChanged"} for n in range(3)]
        reply = call("GET", "/environments/shop/events", query="after=00")
        assert [event["id"] for event in reply.document["items"]] == ["01", "02"]
        assert reply.headers["Retry-After"] == "5"
        assert call("GET", "/environments/shop/events", query="limit=1").headers["Retry-After"] == "0"
        assert call("GET", "/environments/shop/events", query="after=%0a").status == 400

    def test_a_failed_one_is_retried(self, call: Client, world: FakeWorld) -> None:
        call("POST", "/environments", document())
        assert call("POST", "/environments/shop/retry").status == 409
        world.finish("shop", OperationStatus.FAILED)
        key = {"idempotency-key": "k"}
        reply = call("POST", "/environments/shop/retry", headers=key)
        assert reply.status == 202
        assert reply.document["status"]["operation"]["kind"] == "Retry"
        assert reply.document["status"]["operation"]["attempt"] == 2
        world.store.answers.clear()
        again = call("POST", "/environments/shop/retry", headers=key)
        assert again.status == 202
        assert again.document["status"]["operation"]["id"] == reply.document["status"]["operation"]["id"]
        assert call("POST", "/environments/shop/retry").status == 409

    def test_a_failed_deletion_is_retried_as_one(self, call: Client, world: FakeWorld) -> None:
        created(call, deletionProtection=False)
        call("DELETE", "/environments/shop")
        world.finish("shop", OperationStatus.FAILED)
        assert call("POST", "/environments/shop/retry").document["status"]["operation"]["kind"] == "Delete"
        assert ":execution:Teardown:" in world.states.started[-1]

    def test_what_has_not_failed_is_not_retried(self, call: Client) -> None:
        created(call)
        assert call("POST", "/environments/shop/retry").status == 409

    def test_a_running_one_is_cancelled(self, call: Client, world: FakeWorld) -> None:
        call("POST", "/environments", document())
        reply = call("POST", "/environments/shop/cancel", headers={"idempotency-key": "k"})
        assert reply.status == 202
        assert reply.document["status"]["operation"]["status"] == "Cancelled"
        assert world.states.running[world.states.started[0]] == "ABORTED"
        assert call("POST", "/environments/shop/cancel").status == 409
        assert call("POST", "/environments/shop/retry").status == 202

    def test_a_deletion_is_not_cancelled(self, call: Client) -> None:
        created(call, deletionProtection=False)
        call("DELETE", "/environments/shop")
        assert call("POST", "/environments/shop/cancel").status == 409

    def test_actions_take_no_body(self, call: Client) -> None:
        created(call)
        assert call("POST", "/environments/shop/retry", {"force": True}).status == 422

    def test_diagnosis_is_live(self, call: Client, world: FakeWorld) -> None:
        created(call)
        world.observed["workload"] = {"pods": [{"name": "shop-1", "reason": "CrashLoopBackOff"}]}
        reply = call("GET", "/environments/shop/diagnosis")
        assert reply.document["pods"][0]["reason"] == "CrashLoopBackOff"
        assert world.asked[-1]["diagnose"] is True
        world.observed.clear()
        assert call("GET", "/environments/shop/diagnosis").document["unknown"] == "no answer"


def test_one_condition_per_component(call: Client) -> None:
    from springboard.components.table import ROWS  # noqa: PLC0415

    types = [each["type"] for each in created(call).document["status"]["conditions"]]
    assert types[:4] == ["Ready", "Available", "Progressing", "Drifted"]
    assert types[4:] == [row.condition for row in ROWS]
    assert NOW.year == 2026


def test_if_none_match_changes_nothing_that_it_names(call: Client, world: FakeWorld) -> None:
    """RFC 9110, 13.1.2: whatever the method, what exists fails `*`, and its own tag, weak or not."""
    call("POST", "/environments", document())
    world.finish("shop")
    writes = list(world.store.writes)
    change = {"spec": {"drift": "Repair"}}
    for none_match, status in (
        ("*", 412),
        (" * ", 412),
        ('"1"', 412),
        ('"7", W/"1"', 412),
        ("x", 400),
        ('*, "1"', 400),
    ):
        headers = {"if-none-match": none_match}
        assert call("PUT", "/environments/shop", document(), headers=headers | {"if-match": '"1"'}).status == status
        assert call("PATCH", "/environments/shop", change, headers=headers).status == status
        assert call("DELETE", "/environments/shop", headers=headers).status == status
    assert world.store.writes == writes
    assert call("PATCH", "/environments/shop", change, headers={"if-none-match": '"7"'}).status == 202


def test_what_is_refused_during_a_deletion_is_told_to_wait_for_its_end(call: Client, world: FakeWorld) -> None:
    """Not to cancel it, which is refused."""
    call("POST", "/environments", document(deletionProtection=False))
    world.finish("shop")
    assert call("DELETE", "/environments/shop").status == 202

    for reply in (
        call("POST", "/environments/shop/retry"),
        call("PUT", "/environments/shop", document(drift="Repair"), headers={"if-match": '"1"'}),
    ):
        assert reply.status == 409
        assert "--for=delete" in reply.document["remedy"]
        assert "springboard cancel" not in reply.document["remedy"]
