"""How the API's and the gateway's refusals end a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from springboard_cli.aws import AwsRefusedError
from springboard_cli.errors import CommandError, Exit
from tests.unit.cli.stand_ins import API_URL, Account, Machine, answer, environment, problem

if TYPE_CHECKING:
    from pathlib import Path


def gateway(status: int, message: str) -> httpx.Response:
    return httpx.Response(status, json={"message": message})


@pytest.mark.parametrize(
    ("response", "code", "words"),
    [
        (gateway(401, "Unauthorized"), 4, "signed request"),
        (gateway(403, "Forbidden"), 4, "execute-api:Invoke"),
        (gateway(404, "Not Found"), 1, "leads nowhere"),
        (gateway(413, "Request Entity Too Large"), 2, "64 KiB"),
        (gateway(429, "Too Many Requests"), 1, "throttled"),
        (gateway(500, "Internal Server Error"), 1, "status 500"),
        (gateway(503, "Service Unavailable"), 1, "status 503"),
        (httpx.Response(502, text="<html>proxy</html>"), 1, "status 502"),
        (problem(400, "after is 'x'", "send the last name"), 2, "send the last name"),
        (problem(401, "no IAM identity", "sign it"), 4, "sign it"),
        (problem(404, "no environment 'shop'"), 5, "no environment"),
        (problem(409, "busy"), 6, "busy"),
        (problem(412, "is at generation 3", "read it again"), 6, "read it again"),
        (problem(415, "content type"), 2, "content type"),
        (problem(428, "needs If-Match"), 6, "If-Match"),
        (problem(500, "Springboard failed", "look for it", instance="req-1"), 1, "req-1"),
        (problem(503, "AWS asks for patience"), 1, "patience"),
        (httpx.Response(200, text="<html>hello</html>"), 1, "without a JSON document"),
    ],
)
def test_a_refusal_becomes_words_and_an_exit_code(
    machine: Machine, response: httpx.Response, code: int, words: str
) -> None:
    machine.api.says("GET", "/environments/shop", response)

    result = machine.run("get", "shop")

    assert result.exit_code == code
    assert words in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.output


def test_patience_is_shown_when_the_api_asks_for_it(machine: Machine) -> None:
    busy = problem(503, "throttled")
    busy.headers["retry-after"] = "7"
    machine.api.says("GET", "/environments/shop", busy, gateway(429, "Too Many"), answer(environment()))

    assert machine.run("get", "shop").exit_code == 0
    assert machine.clock.slept == [7.0, 2.0]


def test_a_broken_connection_is_tried_again_and_then_told(machine: Machine) -> None:
    machine.api.says("GET", "/environments/shop", httpx.ConnectError("refused"))

    result = machine.run("get", "shop")

    assert result.exit_code == 1
    assert API_URL in result.stderr
    assert len(machine.clock.slept) == 4


def test_what_springboard_itself_failed_at_is_not_repeated(machine: Machine) -> None:
    machine.api.says("GET", "/environments/shop", problem(500, "StackLacksPermission"))

    machine.run("get", "shop")

    assert machine.clock.slept == []


def test_more_mistakes_than_are_shown(machine: Machine) -> None:
    errors = [{"field": f"spec.apps[{n}]", "message": "bad"} for n in range(3)]
    machine.api.says("POST", "/environments", problem(422, "60 mistakes in the request", errors=errors, moreErrors=57))

    result = machine.run("apply", text="metadata: {name: shop}")

    assert "60 mistakes in the request, the first 3 are" in result.stderr


def test_every_request_is_signed_for_where_it_goes(machine: Machine) -> None:
    machine.api.add(environment())

    machine.run("get", "shop")

    assert machine.account.signed == [("GET", f"{API_URL}/environments/shop")]
    assert machine.api.sent[0].headers["authorization"].startswith("AWS4-HMAC-SHA256")


def refused(code: str) -> AwsRefusedError:
    err = AwsRefusedError("no", code=Exit.FAILED)
    err.aws_code = code
    return err


def test_a_stack_that_is_not_there_is_no_missing_environment(machine: Machine) -> None:
    machine.account = Account({"describe_stacks": refused("ValidationError")})

    result = machine.run("get", "--stack", "elsewhere")

    assert result.exit_code == 1
    assert "there is no stack elsewhere in eu-west-1" in result.stderr


def test_a_stack_of_somebody_else(machine: Machine) -> None:
    machine.account = Account({"describe_stacks": {"Stacks": [{"StackStatus": "CREATE_COMPLETE"}]}})

    result = machine.run("get")

    assert result.exit_code == 1
    assert "no output ApiUrl" in result.stderr


def test_no_credentials_is_not_authorised(machine: Machine) -> None:
    machine.account = Account({"describe_stacks": CommandError("no AWS credentials", code=Exit.NOT_AUTHORISED)})

    assert machine.run("get").exit_code == 4


def test_the_address_of_the_api_can_be_given(machine: Machine) -> None:
    machine.account = Account({"describe_stacks": AssertionError("the stack was read")})
    machine.environ["SPRINGBOARD_API_URL"] = "https://api.example.com/"
    machine.api.add(environment())

    assert machine.run("get", "shop").exit_code == 0
    assert machine.account.signed == [("GET", "https://api.example.com/environments/shop")]


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (("get",), (None, "eu-central-1")),
        (("get", "--region", "eu-west-1"), (None, "eu-west-1")),
        (("get", "--profile", "work"), ("work", "eu-central-1")),
    ],
)
def test_region_and_profile_are_chosen_as_by_every_aws_tool(
    machine: Machine, arguments: tuple[str, ...], chosen: tuple[str | None, str]
) -> None:
    machine.environ["AWS_REGION"] = "eu-central-1"

    machine.run(*arguments)

    assert machine.connected == [chosen]


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "--stack", "other", "shop"),
        ("get", "shop", "--stack=other"),
        ("--stack", "other", "get", "shop"),
        ("get", "--region", "eu-west-1", "shop", "--stack", "other", "--profile", "p"),
    ],
)
def test_global_options_may_stand_anywhere(machine: Machine, arguments: tuple[str, ...]) -> None:
    machine.account = Account({"describe_stacks": refused("ValidationError")})

    assert "there is no stack other" in machine.run(*arguments).stderr


@pytest.mark.parametrize(
    "arguments", [("apply",), ("get", "--nonsense"), ("dance",), ("get", "-o", "xml"), ("apply", "-f", "missing.yaml")]
)
def test_wrong_usage_is_two(machine: Machine, arguments: tuple[str, ...]) -> None:
    assert machine.run(*arguments).exit_code == 2


def test_version_and_help(machine: Machine) -> None:
    assert machine.run("--version").stdout.startswith("springboard 0.")
    shown = machine.run("--help").stdout
    assert "Exit codes" in shown
    for command in ("apply", "plan", "why", "doctor", "kubeconfig", "local"):
        assert command in shown


@pytest.mark.parametrize("url", ["nonsense", "ftp://x/y", "http://[::1", "https://", "http://host:port"])
def test_an_address_that_is_none_is_wrong_usage(machine: Machine, url: str) -> None:
    machine.environ["SPRINGBOARD_API_URL"] = url

    result = machine.run("get")

    assert (result.exit_code, machine.clock.slept) == (2, [])
    assert "SPRINGBOARD_API_URL" in result.stderr


def test_a_stack_without_a_name_is_wrong_usage(machine: Machine) -> None:
    result = machine.run("--stack", "", "get")

    assert result.exit_code == 2
    assert "--stack" in result.stderr


def test_what_cannot_be_written_ends_in_words(machine: Machine, tmp_path: Path) -> None:
    """As with a disk that is full, or here a folder that is none."""
    (tmp_path / "file").write_text("")
    machine.environ["KUBECONFIG"] = str(tmp_path / "file" / "config")
    machine.api.add(environment())

    result = machine.run("kubeconfig", "shop")

    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
