"""Faults of EKS's own work, as the admin API injects them: by the codes of EKS's model, and no others."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.admin import Admin
from springboard_local.services.eks import faults

if TYPE_CHECKING:
    from tests.local.eks.conftest import Account


def ask(account: Account, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """What the admin API answers."""
    answered: list[int] = []
    raw = b"" if body is None else json.dumps(body).encode()
    environ = {"REQUEST_METHOD": method, "PATH_INFO": f"/_local/{path}", "wsgi.input": io.BytesIO(raw)}
    chunks = Admin(account)(environ, lambda status, _: answered.append(int(status.split()[0])))  # type: ignore[arg-type]  # an account has all that is asked
    return answered[0], json.loads(b"".join(chunks))


def inject(account: Account, **fault: Any) -> dict[str, Any]:
    status, made = ask(account, "POST", "faults", {"service": "eks", **fault})
    assert status == 200, made
    return dict(made)


def issues(resource: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = resource["health"]["issues"]
    return found


@pytest.fixture(autouse=True)
def _no_faults(account: Account) -> None:
    account.pipeline.reset()


@pytest.mark.parametrize("code", faults.codes("health", "cluster"))
def test_a_cluster_fails_with_any_code_of_a_cluster_issue(account: Account, code: str) -> None:
    inject(account, kind="health", resource="cluster", name="shop", code=code, message="why", resourceIds=["vpc-1"])
    cluster = account.cluster()
    assert cluster["status"] == "FAILED"
    assert issues(cluster) == [{"code": code, "message": "why", "resourceIds": ["vpc-1"]}]


def test_a_node_group_and_an_add_on_fail_while_they_are_made(account: Account) -> None:
    account.cluster()
    inject(account, kind="health", resource="addon", name="vpc-cni", code="AdmissionRequestDenied")
    inject(account, kind="health", resource="nodegroup", name="workers", code="Ec2InstanceTypeDoesNotExist")
    addon, group = account.addon("vpc-cni"), account.nodegroup()
    assert (addon["status"], issues(addon)[0]["code"]) == ("CREATE_FAILED", "AdmissionRequestDenied")
    assert (group["status"], issues(group)[0]["code"]) == ("CREATE_FAILED", "Ec2InstanceTypeDoesNotExist")
    assert len(issues(group)[0]["resourceIds"]) == 3  # the instances, where the fault names nothing


def test_what_is_there_falls_ill_and_recovers_when_the_fault_is_cleared(account: Account) -> None:
    account.cluster()
    account.addon("vpc-cni")
    account.nodegroup()
    kept = inject(account, kind="health", when="now", resource="cluster", name="shop", code="KmsKeyDisabled")
    group_fault = inject(
        account, kind="health", when="now", resource="nodegroup", name="work*", code="NodeTerminationFailure"
    )
    cluster, group = account.eks.describe_cluster(name="shop")["cluster"], account.describe_nodegroup()
    assert (cluster["status"], issues(cluster)[0]["code"]) == ("ACTIVE", "KmsKeyDisabled")
    assert (group["status"], issues(group)[0]["code"]) == ("DEGRADED", "NodeTerminationFailure")
    assert ask(account, "DELETE", f"faults/{group_fault['number']}")[0] == 200
    group = account.describe_nodegroup()
    assert (group["status"], issues(group)) == ("ACTIVE", [])
    assert issues(account.eks.describe_cluster(name="shop")["cluster"]) != []
    assert [each["number"] for each in ask(account, "GET", "faults")[1]] == [kept["number"]]
    ask(account, "DELETE", "faults")
    assert issues(account.eks.describe_cluster(name="shop")["cluster"]) == []


@pytest.mark.parametrize("code", faults.codes("update", "*"))
def test_an_update_fails_with_any_code_of_an_update_error(account: Account, code: str) -> None:
    account.cluster(version="1.34")
    inject(account, kind="update", resource="cluster", code=code, message="why", resourceIds=["subnet-1"])
    made = account.eks.update_cluster_version(name="shop", version="1.35")["update"]
    account.clock.advance(600)
    update = account.eks.describe_update(name="shop", updateId=made["id"])["update"]
    assert update["status"] == "Failed"
    assert update["errors"] == [{"errorCode": code, "errorMessage": "why", "resourceIds": ["subnet-1"]}]
    assert account.eks.describe_cluster(name="shop")["cluster"]["version"] == "1.34"


def test_a_fault_of_one_resource_leaves_the_others_alone(account: Account) -> None:
    account.cluster()
    other = inject(account, kind="update", resource="nodegroup", name="*", code="NodeCreationFailure")
    elsewhere = inject(account, kind="update", cluster="other", code="AccessDenied")
    made = account.eks.update_cluster_config(name="shop", deletionProtection=True)["update"]
    account.clock.advance(200)
    assert account.eks.describe_update(name="shop", updateId=made["id"])["update"]["status"] == "Successful"
    counts = {each["number"]: each["struck"] for each in ask(account, "GET", "faults")[1]}
    assert counts == {other["number"]: 0, elsewhere["number"]: 0}


def test_chance_comes_from_the_seed(account: Account) -> None:
    def failed(seed: int) -> list[str]:
        fault = inject(account, kind="health", resource="cluster", code="Other", probability=0.5, seed=seed, times=100)
        assert fault["seed"] == seed
        names = [f"c{number}" for number in range(8)]
        found = [name for name in names if account.cluster(name)["status"] == "FAILED"]
        for name in names:
            account.eks.delete_cluster(name=name)
        account.clock.advance(400)
        ask(account, "DELETE", "faults")
        return found

    first = failed(3)
    assert first == failed(3)
    assert 0 < len(first) < 8


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            {"kind": "health", "resource": "cluster", "code": "NodeCreationFailure"},
            "code of health of cluster is one of",
        ),
        ({"kind": "health", "resource": "nodegroup"}, "code of health of nodegroup is one of"),
        ({"kind": "health", "code": "AccessDenied"}, "Give resource"),
        ({"kind": "health", "resource": "pod", "code": "AccessDenied"}, "resource is one of cluster, nodegroup, addon"),
        ({"kind": "update", "code": "VpcNotFound"}, "code of update of * is one of SubnetNotFound"),
        ({"kind": "update", "code": "Unknown", "when": "now"}, "an update fails when there is one"),
        ({"kind": "update", "code": "Unknown", "operation": "UpdateAddon"}, "A fault has no operation"),
        ({"kind": "update", "code": "Unknown", "resourceIds": "i-1"}, "resourceIds is of type list[str]"),
        ({"kind": "update", "code": "Unknown", "times": "3"}, "times is of type int | None"),
        ({"kind": "update", "code": "Unknown", "service": "ec2"}, "a fault of eks, not of ec2"),
    ],
)
def test_what_eks_could_not_say_is_refused(account: Account, fault: dict[str, Any], words: str) -> None:
    status, answer = ask(account, "POST", "faults", fault)
    assert status == 400
    assert words in answer["message"]
    assert ask(account, "GET", "faults")[1] == []


def test_nobody_there_to_fall_ill_is_a_404(account: Account) -> None:
    body = {"kind": "health", "when": "now", "resource": "addon", "name": "coredns", "code": "AccessDenied"}
    status, answer = ask(account, "POST", "faults", body)
    assert (status, answer["message"]) == (404, "There is no ACTIVE addon of the name coredns.")
    assert ask(account, "DELETE", "faults/77")[0] == 404
