"""kubeconfig and logs: reaching the cluster without writing a secret."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from springboard_cli.surroundings import find_program
from tests.unit.cli.stand_ins import Machine, environment

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHERS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {"colors": True},
    "clusters": [{"name": "prod", "cluster": {"server": "https://prod.example.com"}}],
    "users": [{"name": "prod", "user": {"token": "somebody-elses"}}],
    "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": "prod"}}],
    "current-context": "prod",
}


@pytest.fixture
def shop(machine: Machine) -> Machine:
    machine.api.add(environment())
    return machine


def written(machine: Machine) -> Any:
    return yaml.safe_load((machine.home / ".kube/config").read_text())


def test_a_context_named_after_the_environment_becomes_the_current_one(shop: Machine) -> None:
    result = shop.run("kubeconfig", "shop")

    config = written(shop)
    assert result.exit_code == 0, result.stderr
    assert config["current-context"] == "shop"
    assert config["contexts"][0]["context"]["namespace"] == "shop"
    assert config["clusters"][0]["cluster"] == {
        "server": "https://0123456789.gr7.eu-west-1.eks.amazonaws.com",
        "certificate-authority-data": "LS0tLS1CRUdJTg==",
    }
    login = config["users"][0]["user"]["exec"]
    assert [login["command"], *login["args"]] == [
        "/opt/aws", "--region", "eu-west-1", "eks", "get-token", "--cluster-name", "springboard-shop",
        "--output", "json",
    ]  # fmt: skip
    assert login["env"] is None


def test_only_its_owner_reads_the_file(shop: Machine) -> None:
    shop.run("kubeconfig", "shop")

    assert stat.S_IMODE((shop.home / ".kube/config").stat().st_mode) == 0o600


def test_other_contexts_stay_as_they_are(shop: Machine) -> None:
    file = shop.home / "config"
    file.write_text(yaml.safe_dump(OTHERS))
    shop.environ["KUBECONFIG"] = f"{file}:{shop.home / 'second'}"

    shop.run("kubeconfig", "shop")
    shop.run("kubeconfig", "shop")

    config = yaml.safe_load(file.read_text())
    assert config["preferences"] == {"colors": True}
    for key in ("clusters", "users", "contexts"):
        assert config[key][0] == OTHERS[key][0]
        assert len(config[key]) == 2
    assert [each.name for each in shop.home.iterdir()] == ["config"]


def test_a_file_that_is_a_link_stays_one(shop: Machine) -> None:
    target = shop.home / "real"
    target.write_text("")
    (shop.home / ".kube").mkdir()
    (shop.home / ".kube/config").symlink_to(target)

    shop.run("kubeconfig", "shop")

    assert (shop.home / ".kube/config").is_symlink()
    assert yaml.safe_load(target.read_text())["current-context"] == "shop"


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", "clusters: 3"])
def test_a_broken_file_is_left_alone(shop: Machine, content: str) -> None:
    file = shop.home / "config"
    file.write_text(content)
    shop.environ["KUBECONFIG"] = str(file)

    assert shop.run("kubeconfig", "shop").exit_code == 1
    assert file.read_text() == content


def test_stdout_writes_no_file(shop: Machine) -> None:
    result = shop.run("kubeconfig", "shop", "--stdout")

    assert yaml.safe_load(result.stdout)["current-context"] == "shop"
    assert not (shop.home / ".kube").exists()


def test_credentials_of_aws_are_never_written(shop: Machine) -> None:
    shop.environ |= {
        "AWS_ENDPOINT_URL": "https://aws-proxy.example.com",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SECRET_ACCESS_KEY": "real-secret",
        "AWS_SESSION_TOKEN": "real-token",
    }

    printed = shop.run("--profile", "work", "kubeconfig", "shop", "--stdout").stdout

    assert "AKIAREAL" not in printed
    assert "real-" not in printed
    login = yaml.safe_load(printed)["users"][0]["user"]["exec"]
    assert login["env"] == [
        {"name": "AWS_PROFILE", "value": "work"},
        {"name": "AWS_ENDPOINT_URL", "value": "https://aws-proxy.example.com"},
    ]


def test_the_local_clouds_constants_are(shop: Machine) -> None:
    shop.environ |= {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:5102",
        "AWS_ACCESS_KEY_ID": "AKIALOCAL",
        "AWS_SECRET_ACCESS_KEY": "constant",
    }

    login = yaml.safe_load(shop.run("kubeconfig", "shop", "--stdout").stdout)["users"][0]["user"]["exec"]

    assert {each["name"]: each["value"] for each in login["env"]} == shop.environ


def test_a_private_endpoint_comes_with_the_ways_to_it(shop: Machine) -> None:
    assert "publicCidrs" in shop.run("kubeconfig", "shop").stderr

    document = environment()
    document["spec"]["cluster"]["apiAccess"]["publicCidrs"] = ["203.0.113.0/24"]
    shop.api.add(document)
    assert "publicCidrs" not in shop.run("kubeconfig", "shop").stderr


def test_a_cluster_that_is_not_there_yet(machine: Machine) -> None:
    machine.api.add(environment(phase="Provisioning", cluster={"name": "springboard-shop"}))

    result = machine.run("kubeconfig", "shop")

    assert result.exit_code == 1
    assert "condition=ClusterReady" in result.stderr


def test_without_the_aws_cli(shop: Machine) -> None:
    shop.programs.clear()

    result = shop.run("kubeconfig", "shop")

    assert result.exit_code == 1
    assert "install awscli" in result.stderr


def test_kubectl_understands_the_file(shop: Machine) -> None:
    kubectl = find_program("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    shop.run("kubeconfig", "shop")

    shown = subprocess.run(  # noqa: S603 - an absolute path
        [kubectl, "config", "view", "--minify", "--output=json"],
        env={"KUBECONFIG": str(shop.home / ".kube/config"), "HOME": str(shop.home)},
        capture_output=True,
        check=True,
    )

    assert json.loads(shown.stdout)["users"][0]["user"]["exec"]["command"] == "/opt/aws"


def test_logs_are_kubectls(shop: Machine) -> None:
    seen: list[str] = []

    def look(environ: Mapping[str, str]) -> int:
        seen.append(yaml.safe_load(Path(environ["KUBECONFIG"]).read_text())["current-context"])
        return 0

    shop.on_run = look
    result = shop.run("logs", "shop", "--follow", "--previous", "--tail", "5")

    assert result.exit_code == 0
    assert seen == ["shop"]
    ((command, environ),) = shop.ran
    assert command == [
        "/opt/kubectl", "logs", "--namespace=shop", "--selector=app.kubernetes.io/name in (shop)", "--prefix",
        "--tail=5", "--max-log-requests=50", "--follow", "--previous",
    ]  # fmt: skip
    assert not Path(environ["KUBECONFIG"]).exists()


def test_logs_of_an_application_that_does_not_exist(shop: Machine) -> None:
    result = shop.run("logs", "shop", "--app", "orders")

    assert result.exit_code == 2
    assert shop.ran == []


def test_logs_that_kubectl_could_not_read(shop: Machine) -> None:
    shop.on_run = lambda _: 1

    result = shop.run("logs", "shop")

    assert result.exit_code == 1
    assert "private" in result.stderr


def test_logs_without_kubectl(shop: Machine) -> None:
    del shop.programs["kubectl"]

    result = shop.run("logs", "shop")

    assert result.exit_code == 1
    assert "springboard why shop" in result.stderr


def test_logs_of_fewer_lines_than_none_are_wrong_usage(shop: Machine) -> None:
    result = shop.run("logs", "shop", "--tail", "-2")

    assert (result.exit_code, shop.ran) == (2, [])
