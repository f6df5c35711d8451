"""apply, plan, deploy: from a file to a URL."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.cli.stand_ins import (
    COMPONENTS,
    IMAGE,
    Json,
    Machine,
    answer,
    at,
    condition,
    environment,
    operation,
    problem,
    step,
)

SHOP = f"""\
apiVersion: springboard/v1beta1
kind: Environment
metadata: {{name: shop}}
spec:
  deletionProtection: false
  apps:
  - image: {IMAGE}
"""


def under_way(*ended: str, at_work: str = "") -> Json:
    """A create in which some components have ended and one works."""
    steps = [step(f"Ensure{name.removesuffix('Ready')}", 0, 30) for name in ended]
    conditions = [condition("Ready", "False", "Create")]
    conditions += [
        condition(name, "True", "AsDesired")
        if name in ended
        else condition(name, "False", "Waiting", "waits for CREATING: it takes about nine minutes")
        if name == at_work
        else condition(name)
        for name in COMPONENTS
    ]
    if at_work:
        steps.append(step(f"Ensure{at_work.removesuffix('Ready')}", 0))
    return environment(phase="Provisioning", conditions=conditions, operation=operation(steps=steps))


def done() -> Json:
    steps = [step(f"Ensure{name.removesuffix('Ready')}", 0, 800) for name in COMPONENTS]
    return environment(operation=operation(status="Succeeded", steps=steps, endedAt=at(800)))


def failed() -> Json:
    document = under_way("FirewallReady", "ClusterReady")
    document["status"] |= {
        "phase": "Failed",
        "operation": operation(
            status="Failed",
            steps=[step("EnsureCluster", 0, 500), step("EnsureNodeGroups", 500, 900, "no capacity")],
            failure={
                "step": "EnsureNodeGroups",
                "cause": "NodeCreationFailure: i-0123 did not join",
                "remedy": "raise the quota, then `springboard retry shop`",
            },
        ),
    }
    return document


def creating(machine: Machine, *later: Json) -> None:
    """The name is free; POST accepts; then GET shows what becomes of it."""
    machine.api.says(
        "GET",
        "/environments/shop",
        problem(404, "no environment 'shop'"),
        *(answer(each, etag='"1"') for each in later),
    )
    machine.api.says(
        "POST", "/environments", answer(environment(phase="Pending", operation=operation(status="Pending")), 202)
    )


def test_a_first_apply_creates_shows_the_way_and_ends_with_the_url(machine: Machine) -> None:
    creating(machine, under_way("FirewallReady", at_work="ClusterReady"), done())

    result = machine.run("apply", text=SHOP)

    assert result.exit_code == 0, result.stderr
    assert result.stdout == "https://shop.dev.example.com\n"
    assert "EKS control plane" in result.stderr
    assert "3 x m7i.large" in result.stderr
    assert "     5s  cluster         Working" in result.stderr
    assert "it takes about nine minutes" in result.stderr
    assert "shop is Ready after 13m20s" in result.stderr
    (post,) = machine.api.writes()
    assert post.body["spec"]["apps"] == [{"image": IMAGE}]
    assert len(post.headers["idempotency-key"]) >= 16


def test_each_transition_is_told_once(machine: Machine) -> None:
    working = under_way("FirewallReady", at_work="ClusterReady")
    creating(machine, working, working, working, done())

    result = machine.run("apply", text=SHOP)

    assert result.stderr.count("  cluster ") == 2


def test_a_back_off_that_grows_is_no_news_and_a_long_message_is_cut(machine: Machine) -> None:
    def crashing(back_off: str) -> Json:
        document = under_way(at_work="WorkloadReady")
        document["status"]["conditions"][-1]["message"] = f"back-off {back_off} restarting, " + "very " * 200
        return document

    creating(machine, crashing("40s"), crashing("1m20s"), crashing("5m0s"), done())

    lines = [line for line in machine.run("apply", text=SHOP).stderr.splitlines() if "workload" in line]

    assert len(lines) == 2
    assert max(map(len, lines)) < 250


def test_a_change_is_sent_for_the_generation_that_was_read(machine: Machine) -> None:
    machine.api.add(done())
    accepted = under_way()
    accepted["status"]["operation"]["kind"] = "Update"
    machine.api.says("PUT", "/environments/shop", answer(accepted, 202, retry_after="5"))

    result = machine.run("apply", text=SHOP)

    assert result.exit_code == 0
    (put,) = machine.api.writes()
    assert put.headers["if-match"] == '"1"'
    assert "does not exist yet" not in result.stderr


def test_a_second_apply_says_that_nothing_differs(machine: Machine) -> None:
    machine.api.add(done())
    machine.api.says("PUT", "/environments/shop", answer(done() | {"message": "nothing differs"}, 200))

    result = machine.run("apply", text=SHOP)

    assert result.exit_code == 0
    assert "shop: nothing differs" in result.stderr
    assert result.stdout == "https://shop.dev.example.com\n"
    assert machine.clock.slept == []


def test_no_wait_returns_at_once(machine: Machine) -> None:
    creating(machine)

    result = machine.run("apply", "--no-wait", text=SHOP)

    assert result.exit_code == 0
    assert result.stdout == "environment/shop created\n"
    assert "springboard wait shop" in result.stderr


def test_every_mistake_is_shown_with_its_line(machine: Machine) -> None:
    machine.api.says(
        "POST",
        "/environments",
        problem(
            422,
            "2 mistakes in the request",
            errors=[
                {"field": "spec.apps[0].imag", "message": "unknown field", "remedy": "did you mean image?"},
                {"field": "metadata.name", "message": "is reserved", "value": "'api'", "remedy": "choose another"},
            ],
        ),
    )

    result = machine.run("apply", text="metadata:\n  name: api\nspec:\n  apps:\n  - imag: x\n")

    assert result.exit_code == 2
    place = machine.home / "env.yaml"
    assert f"{place}:2:3: metadata.name: is reserved (you wrote 'api')" in result.stderr
    assert f"{place}:5:5: spec.apps[0].imag: unknown field" in result.stderr
    assert "did you mean image?" in result.stderr
    assert result.stderr.index(":2:3:") < result.stderr.index(":5:5:")


def test_a_missing_field_is_shown_where_it_belongs(machine: Machine) -> None:
    machine.api.says(
        "POST",
        "/environments",
        problem(422, "one mistake", errors=[{"field": "spec.apps[0].image", "message": "is required"}]),
    )

    result = machine.run("apply", text="metadata: {name: shop}\nspec:\n  apps:\n  - replicas: 2\n")

    assert "env.yaml:4:5: spec.apps[0].image: is required" in result.stderr


def test_a_failure_names_step_cause_remedy_and_what_goes_on_to_cost(machine: Machine) -> None:
    creating(machine, under_way(at_work="ClusterReady"), failed())

    result = machine.run("apply", text=SHOP)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "create of shop failed at EnsureNodeGroups: NodeCreationFailure: i-0123 did not join" in result.stderr
    assert "raise the quota" in result.stderr
    assert "EKS control plane 1.35" in result.stderr
    assert "node group workers" in result.stderr
    assert "Application Load Balancer" not in result.stderr.partition("What exists stays")[2]


def test_the_time_is_up_while_the_work_goes_on(machine: Machine) -> None:
    creating(machine, under_way(at_work="ClusterReady"))

    result = machine.run("apply", "--timeout", "1m", text=SHOP)

    assert result.exit_code == 3
    assert "goes on" in result.stderr
    assert "springboard wait shop" in result.stderr


def test_ctrl_c_detaches_and_says_how_to_come_back(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    creating(machine, under_way(at_work="ClusterReady"))

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(machine.clock, "sleep", interrupted)
    result = machine.run("apply", text=SHOP)

    assert result.exit_code == 130
    assert "Detached; the work on shop goes on. `springboard wait shop` comes back to it." in result.stderr


def test_the_pace_is_the_one_that_the_api_asks_for(machine: Machine) -> None:
    creating(machine, done())
    machine.api.says("POST", "/environments", answer(under_way(), 202, retry_after="17"))

    machine.run("apply", text=SHOP)

    assert machine.clock.slept == [17.0]


def test_a_lost_answer_is_asked_for_again_with_the_same_key(machine: Machine) -> None:
    creating(machine, done())
    machine.api.says("POST", "/environments", httpx.ReadError("reset"), answer(under_way(), 202))

    result = machine.run("apply", text=SHOP)

    assert result.exit_code == 0
    first, second = machine.api.writes()
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_another_operation_at_work_is_a_conflict(machine: Machine) -> None:
    machine.api.add(done())
    machine.api.says(
        "PUT", "/environments/shop", problem(409, "operation 01J (Update) is at work on shop", "wait for it")
    )

    result = machine.run("apply", text=SHOP)

    assert result.exit_code == 6
    assert "is at work" in result.stderr
    assert "wait for it" in result.stderr


def test_stdin_is_a_file_too(machine: Machine) -> None:
    creating(machine, done())

    result = machine.run("apply", "-f", "-", stdin=SHOP)

    assert result.exit_code == 0
    assert result.stdout == "https://shop.dev.example.com\n"


def test_what_get_printed_is_no_file_to_apply(machine: Machine) -> None:
    result = machine.run("apply", text="metadata: {name: shop}\nstatus: {phase: Ready}\n")

    assert result.exit_code == 2
    assert "springboard export" in result.stderr
    assert machine.api.sent == []


PLAN: Json = {
    "kind": "Plan",
    "metadata": {"name": "shop", "generation": 1},
    "action": "Update",
    "changes": [
        {
            "component": "workload",
            "action": "Update",
            "resource": "Deployment shop",
            "reason": "the image differs",
            "effect": "Disrupts",
        }
    ],
    "unknown": [],
}


@pytest.mark.parametrize(
    ("changes", "unknown", "code"),
    [
        (PLAN["changes"], [], 2),
        ([], [], 0),
        ([], [{"component": "workload", "reason": "did not answer in 20 s"}], 2),
    ],
)
def test_plan_shows_changes_and_does_nothing(
    machine: Machine, changes: list[Json], unknown: list[Json], code: int
) -> None:
    machine.api.add(done())
    machine.api.says("PUT", "/environments/shop", answer(PLAN | {"changes": changes, "unknown": unknown}))

    plain, detailed = machine.run("plan", text=SHOP), machine.run("plan", "--detailed-exitcode", text=SHOP)

    assert plain.exit_code == 0
    assert detailed.exit_code == code
    assert {each.query.get("dryRun") for each in machine.api.writes()} == {"true"}
    if changes:
        assert "Update   Deployment shop   disrupts   the image differs" in plain.stdout
    if not changes and not unknown:
        assert "nothing differs" in plain.stderr


def test_plan_of_a_new_environment_says_what_it_costs(machine: Machine) -> None:
    machine.api.says("POST", "/environments", answer(PLAN | {"action": "Create"}))

    result = machine.run("plan", text=SHOP)

    assert "$0.100/h" in result.stdout
    assert "an hour" in result.stdout


def test_an_error_is_never_taken_for_a_change(machine: Machine) -> None:
    machine.api.says("POST", "/environments", problem(422, "one mistake", errors=[{"field": "spec", "message": "x"}]))

    assert machine.run("plan", text=SHOP).exit_code == 2
    assert machine.run("plan", "--detailed-exitcode", text=SHOP).exit_code == 1


def test_deploy_exchanges_one_image(machine: Machine) -> None:
    document = done()
    document["spec"]["apps"] = [{"name": "shop", "image": IMAGE}, {"name": "orders", "image": "r/orders:1"}]
    machine.api.becomes(document, done())
    machine.api.says("PATCH", "/environments/shop", answer(under_way(), 202))

    result = machine.run("deploy", "shop", "--image", "r/orders:2", "--app", "orders")

    assert result.exit_code == 0
    (patch,) = machine.api.writes()
    assert patch.headers["content-type"] == "application/merge-patch+json"
    assert patch.headers["if-match"] == '"1"'
    assert patch.body == {
        "spec": {"apps": [{"name": "shop", "image": IMAGE}, {"name": "orders", "image": "r/orders:2"}]}
    }


def test_deploy_asks_which_of_several_applications(machine: Machine) -> None:
    document = done()
    document["spec"]["apps"] = [{"name": "shop", "image": IMAGE}, {"name": "orders", "image": "r/orders:1"}]
    machine.api.add(document)

    result = machine.run("deploy", "shop", "--image", "r/orders:2")

    assert result.exit_code == 2
    assert "--app: shop, orders" in result.stderr
    assert machine.api.writes() == []


def test_two_terminals_that_create_at_once_follow_the_same_work(machine: Machine) -> None:
    """Both see nothing, one is first: the other finds the environment made as its own file says, and follows."""
    absent = problem(404, "no environment 'shop'")
    machine.api.says("GET", "/environments/shop", absent, answer(under_way(), etag='"1"'), answer(done(), etag='"1"'))
    machine.api.says("POST", "/environments", problem(409, "the name shop is taken", "PUT changes it"))
    machine.api.says("PUT", "/environments/shop", answer(under_way(), 202, etag='"1"'))

    result = machine.run("apply", text=SHOP)

    assert (result.exit_code, result.stdout) == (0, "https://shop.dev.example.com\n"), result.stderr
    assert [each.method for each in machine.api.writes()] == ["POST", "PUT"]
    assert machine.api.writes()[1].headers["if-match"] == '"1"'


def test_a_name_that_somebody_else_holds_stays_a_conflict(machine: Machine) -> None:
    machine.api.says("GET", "/environments/shop", problem(404, "no environment 'shop'"))
    machine.api.says("POST", "/environments", problem(409, "the name shop is taken", "choose another name"))

    result = machine.run("apply", text=SHOP)

    assert result.exit_code == 6
    assert "choose another name" in result.stderr
    assert [each.method for each in machine.api.writes()] == ["POST"]


@pytest.mark.parametrize(("count", "said"), [(1, "1 change; `springboard apply` makes it"), (2, "makes them")])
def test_a_plan_counts_its_changes(machine: Machine, count: int, said: str) -> None:
    change = {"component": "dns", "action": "Create", "resource": "record", "reason": "it does not exist"}
    found = {"kind": "Plan", "metadata": {"name": "shop"}, "action": "Update", "changes": [change] * count}
    machine.api.add(environment())
    machine.api.says("PUT", "/environments/shop", answer({**found, "unknown": []}))

    assert said in machine.run("plan", text=SHOP).stderr
