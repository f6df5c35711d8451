"""From `springboard apply` to `springboard delete`, with what a person can see in between."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from springboard.components.table import ROWS
from springboard_local.cloud import DEVELOPER_ACCESS_KEY, DEVELOPER_SECRET_KEY
from tests.flows.conftest import CANARY
from tests.steps.flow.inventory import inventory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.flows.conftest import Ended, Laptop

pytestmark = pytest.mark.flow

SECRETS = re.compile(
    r"k8s-aws-v1\.|PRIVATE KEY|X-Amz-Signature|X-Amz-Security-Token|client-key-data"
    r"|(?i:aws_secret_access_key|secretaccesskey|sessiontoken)|current-context"
)


def test_apply_ends_ready_and_tells_each_component(laptop: Laptop, shop: Ended) -> None:
    said = shop.out + shop.err
    assert "https://shop.dev.example.com" in said
    for row in ROWS:
        assert row.name.replace("_", " ") in said.lower(), row.name
    status, document = laptop.call("GET", "/environments/shop")
    assert status == 200
    assert document["status"]["phase"] == "Ready"
    conditions = [each["type"] for each in document["status"]["conditions"]]
    assert len(conditions) == len(set(conditions))
    assert {row.condition for row in ROWS} <= set(conditions)


def test_apply_again_says_that_nothing_differs_and_changes_nothing(laptop: Laptop, shop: Ended, spec: Path) -> None:
    del shop
    last = laptop.local("calls?limit=1")[0]["number"]
    again = laptop.run("springboard", "apply", "-f", str(spec))
    assert again.code == 0, again.err
    assert "nothing differs" in (again.out + again.err).lower()
    calls = laptop.local(f"calls?after={last}&mutating=true&internal=false")
    own = {"lambda", "dynamodb", "logs", "execute-api"}  # the asking itself
    own |= {"events", "sns"}  # what the stream still tells of the create
    assert [each for each in calls if each["service"] not in own] == []


def test_kubectl_shows_nodes_and_pods(laptop: Laptop, kubeconfig: str) -> None:
    shown = laptop.run("kubectl", "--kubeconfig", kubeconfig, "get", "nodes,deploy,pods,svc", "-n", "shop")
    assert shown.code == 0, shown.err
    assert len(re.findall(r"^node/\S+\s+Ready\s", shown.out, re.MULTILINE)) == 3
    assert re.search(r"^deployment\.apps/shop\s+3/3\s", shown.out, re.MULTILINE)
    assert len(re.findall(r"^pod/shop-\S+\s+1/1\s+Running\s", shown.out, re.MULTILINE)) == 3
    assert re.search(r"^service/shop\s+NodePort\s", shown.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (("create", "deployments", "-n", "shop"), "yes"),
        (("delete", "pods", "-n", "shop"), "yes"),
        (("create", "deployments", "-n", "default"), "no"),
        (("list", "nodes"), "yes"),
        (("delete", "nodes"), "no"),
    ],
)
def test_kubectl_answers_as_the_access_entries_say(
    laptop: Laptop, kubeconfig: str, asked: tuple[str, ...], answer: str
) -> None:
    said = laptop.run("kubectl", "--kubeconfig", kubeconfig, "auth", "can-i", *asked)
    assert said.out.strip().splitlines()[-1:] == [answer], said.err


def kubeconfig_of(laptop: Laptop, kubeconfig: str, user: str) -> str:
    """The file as a new IAM user has it, whom IAM allows everything."""
    iam = laptop.client("iam")
    iam.create_user(UserName=user)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName=user, PolicyName="everything", PolicyDocument=json.dumps(everything))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    # The local cloud's fixed keys stand in the file; a file for AWS holds none.
    mine = Path(kubeconfig).read_text()
    theirs = mine.replace(DEVELOPER_ACCESS_KEY, key["AccessKeyId"])
    theirs = theirs.replace(DEVELOPER_SECRET_KEY, key["SecretAccessKey"])
    assert theirs != mine
    file = laptop.folder / f"kubeconfig-of-{user}"
    file.write_text(theirs)
    return str(file)


def test_a_principal_without_an_entry_is_nobody(laptop: Laptop, kubeconfig: str) -> None:
    file = kubeconfig_of(laptop, kubeconfig, "stranger")
    said = laptop.run("kubectl", "--kubeconfig", file, "get", "pods", "-n", "shop")
    assert said.code != 0
    assert "Unauthorized" in said.err or "must be logged in" in said.err, said.err


def test_a_viewer_reads_pods_and_cannot_delete_them(laptop: Laptop, kubeconfig: str) -> None:
    file = kubeconfig_of(laptop, kubeconfig, "viewer")
    arn = laptop.client("iam").get_user(UserName="viewer")["User"]["Arn"]
    eks, place = laptop.client("eks"), {"clusterName": "springboard-shop", "principalArn": arn}
    eks.create_access_entry(**place)
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    eks.associate_access_policy(**place, policyArn=policy, accessScope={"type": "cluster"})
    deadline = time.monotonic() + 60  # an entry is visible after some seconds, here as on AWS
    while (shown := laptop.run("kubectl", "--kubeconfig", file, "get", "pods", "-n", "shop", "-o", "name")).code:
        assert time.monotonic() < deadline, shown.err
    pod = shown.out.split()[0]
    said = laptop.run("kubectl", "--kubeconfig", file, "delete", "-n", "shop", pod)
    assert said.code == 1
    assert f'"{pod.removeprefix("pod/")}" is forbidden: User "{arn}" cannot delete resource "pods"' in said.err
    eks.delete_access_entry(**place)


def test_the_api_server_reports_the_version_that_eks_describes(laptop: Laptop, kubeconfig: str) -> None:
    described = laptop.client("eks").describe_cluster(name="springboard-shop")["cluster"]
    told = laptop.run("kubectl", "--kubeconfig", kubeconfig, "get", "--raw", "/version")
    reported = json.loads(told.out)
    assert f"{reported['major']}.{reported['minor']}" == described["version"]
    assert reported["gitVersion"].startswith(f"v{described['version']}.")


def test_five_mistakes_are_one_answer_and_nothing_is_made(laptop: Laptop, shop: Ended) -> None:
    del shop  # so that nothing is being made meanwhile
    wrong = {
        "apiVersion": "springboard/v1beta1",
        "kind": "Environment",
        "metadata": {"name": "Wrong_Name"},
        "spec": {
            "cluster": {"minVersion": "1.99"},
            "nodeGroups": [{"name": "workers", "size": -1}],
            "apps": [{"image": "http://169.254.169.254/latest", "replicas": 10**9}],
        },
    }
    held = inventory(laptop.client)
    status, problem = laptop.call("POST", "/environments", wrong)
    assert status == 422
    fields = {each["field"] for each in problem["errors"]}
    assert fields >= {
        "metadata.name",
        "spec.cluster.minVersion",
        "spec.nodeGroups[0].size",
        "spec.apps[0].image",
        "spec.apps[0].replicas",
    }
    assert all(each["remedy"] for each in problem["errors"])
    assert inventory(laptop.client) == held
    assert [each["metadata"]["name"] for each in laptop.call("GET", "/environments")[1]["items"]] == ["shop"]


def traces(laptop: Laptop) -> Iterator[tuple[str, str]]:
    """(where, text) of all that a run leaves to be read: histories, logs, events."""
    states, logs = laptop.client("stepfunctions"), laptop.client("logs")
    for machine in states.list_state_machines()["stateMachines"]:
        for execution in states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]:
            arn = execution["executionArn"]
            history = states.get_paginator("get_execution_history").paginate(executionArn=arn)
            yield arn, json.dumps([page["events"] for page in history], default=str)
    for group in logs.describe_log_groups()["logGroups"]:
        name = group["logGroupName"]
        found = logs.get_paginator("filter_log_events").paginate(logGroupName=name)
        yield name, "\n".join(event["message"] for page in found for event in page["events"])
    yield "events", json.dumps(laptop.call("GET", "/environments/shop/events?limit=200")[1])
    yield "operations", json.dumps(laptop.call("GET", "/environments/shop/operations")[1])


def records(laptop: Laptop) -> list[Any]:
    scanned = laptop.client("dynamodb").get_paginator("scan").paginate(TableName="springboard-record")
    return [item for page in scanned for item in page["Items"]]


def test_no_secret_is_left_to_be_read(laptop: Laptop, kubeconfig: str) -> None:
    del kubeconfig  # a token has been made and used
    read = dict(traces(laptop))
    assert any(":execution:" in where and len(text) > 10_000 for where, text in read.items())
    assert len(read["/springboard/springboard/operations"]) > 1_000
    assert len(read["events"]) > 1_000
    record = json.dumps(records(laptop), default=str)
    assert CANARY in record  # the spec's plain values are kept there, and there alone
    for where, text in {**read, "record": record}.items():
        assert not (found := SECRETS.search(text)), f"{where}: {text[found.start() - 80 : found.end() + 40]}"
    assert not [where for where, text in read.items() if CANARY in text]


def test_what_was_sent_begins_no_line_of_a_served_log(laptop: Laptop, shop: Ended) -> None:
    """The log groups, as CloudWatch serves them, hold one JSON object per line that a function wrote."""
    del shop
    assert laptop.call("GET", "/environments/x%0D%0A%7B%22level%22:%22ERROR%22%7D%E2%80%A8y")[0] == 404
    read = dict(traces(laptop))
    for group, known in (("api", {"level", "status"}), ("operations", {"level", "step"})):
        written = [line for line in read[f"/springboard/springboard/{group}"].splitlines() if '"level"' in line]
        found = [json.loads(line) for line in written]
        assert sum(known <= each.keys() for each in found) > 3
        assert not [each for each in found if each.get("level") == "ERROR"]
    steps = [json.loads(line) for line in read["/springboard/springboard/operations"].splitlines() if '"step"' in line]
    mine = [each for each in steps if each["step"].startswith(("Ensure", "Begin", "Record"))]
    assert len(mine) > 20
    assert all(each["environment"] and each["operation"] for each in mine)


@pytest.mark.last
def test_delete_leaves_nothing(laptop: Laptop, shop: Ended, before: frozenset[str]) -> None:
    del shop
    deleted = laptop.run("springboard", "delete", "shop", "--yes", "--wait")
    assert deleted.code == 0, deleted.out + deleted.err
    assert laptop.call("GET", "/environments/shop")[0] == 404
    assert inventory(laptop.client) - before == set()
