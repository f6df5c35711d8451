"""Functions as processes of awslambdaric: what they see, and how they end."""

from __future__ import annotations

import base64
import importlib
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from springboard_local.cloud import ACCOUNT

from .conftest import package

if TYPE_CHECKING:
    from .conftest import Account

PID = "import os\ndef handler(event, context):\n    return os.getpid()\n"


def test_a_warm_worker_is_used_again(workers: Account) -> None:
    workers.function("warm", PID)
    first, _ = workers.invoke("warm")
    assert first != os.getpid()
    assert workers.invoke("warm") == (first, None)


def test_new_code_and_new_settings_get_new_workers(workers: Account) -> None:
    workers.function("changing", PID)
    first, _ = workers.invoke("changing")
    workers.client.update_function_configuration(FunctionName="changing", Environment={"Variables": {"COLOUR": "blue"}})
    second, _ = workers.invoke("changing")
    source = "import os\ndef handler(event, context):\n    return os.environ['COLOUR']\n"
    workers.client.update_function_code(FunctionName="changing", ZipFile=package(app=source))
    assert second != first
    assert workers.invoke("changing") == ("blue", None)
    with pytest.raises(ProcessLookupError):
        _wait_for_end(first)


def _wait_for_end(pid: int) -> None:
    waiting = threading.Event()
    for _ in range(100):
        os.kill(pid, 0)
        waiting.wait(0.05)


def test_a_function_sees_what_it_would_see_on_aws_and_nothing_of_ours(
    workers: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "secret")
    monkeypatch.setenv("AWS_PROFILE", "production")
    source = (
        "import os, sys, importlib.util\n"
        "def handler(event, context):\n"
        "    return {'env': dict(os.environ), 'arn': context.invoked_function_arn,\n"
        "            'left': context.get_remaining_time_in_millis(),\n"
        "            'moto': importlib.util.find_spec('moto') is not None,\n"
        "            'boto3': importlib.util.find_spec('boto3') is not None}\n"
    )
    arn = workers.function("seeing", source, Timeout=30, MemorySize=256, Environment={"Variables": {"MINE": "yes"}})
    seen, _ = workers.invoke("seeing")
    environment = seen["env"]
    assert environment["MINE"] == "yes"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "seeing"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["AWS_ENDPOINT_URL"] == workers.cloud.endpoint
    assert environment["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert "OURS" not in environment
    assert "AWS_PROFILE" not in environment
    assert not os.path.exists(environment["HOME"])  # noqa: PTH110 - a path of the worker
    assert (seen["moto"], seen["boto3"]) == (False, False), "only the function's own packages are there"
    assert seen["arn"] == arn
    assert 25_000 < seen["left"] <= 30_000


def test_a_package_missing_from_the_layer_is_an_init_error(workers: Account) -> None:
    workers.function("incomplete", "import boto3\ndef handler(event, context): ...\n")
    answer, error = workers.invoke("incomplete")
    assert error == "Unhandled"
    assert answer["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'boto3'" in answer["errorMessage"]


def test_a_layer_from_s3_is_on_the_path(workers: Account) -> None:
    s3 = workers.cloud.client("s3")
    s3.create_bucket(Bucket="layers", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="layers", Key="layer.zip", Body=package(python__greeting="WORD = 'hello'"))
    layer = workers.client.publish_layer_version(
        LayerName="greetings", Content={"S3Bucket": "layers", "S3Key": "layer.zip"}, CompatibleRuntimes=["python3.13"]
    )
    source = "import greeting\ndef handler(event, context): return greeting.WORD\n"
    workers.function("layered", source, Layers=[layer["LayerVersionArn"]])
    assert workers.invoke("layered") == ("hello", None)


def test_a_function_that_takes_too_long_is_ended(workers: Account) -> None:
    source = "import os, time\ndef handler(event, context):\n    time.sleep(event)\n    return os.getpid()\n"
    workers.function("slow", source, Timeout=1)
    first, _ = workers.invoke("slow", 0)
    answer, error = workers.invoke("slow", 30)
    assert error == "Unhandled"
    assert answer["errorType"] == "Sandbox.Timedout"
    assert answer["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    second, _ = workers.invoke("slow", 0)
    assert second != first
    assert any("Task timed out after 1.00 seconds" in line for line in workers.log("/aws/lambda/slow"))


def test_a_crash_names_the_exit_status(workers: Account) -> None:
    workers.function("crashing", "import os\ndef handler(event, context):\n    os._exit(3)\n")
    answer, error = workers.invoke("crashing")
    assert (answer["errorType"], error) == ("Runtime.ExitError", "Unhandled")
    assert answer["errorMessage"].endswith("Runtime exited with error: exit status 3")


def test_a_worker_is_found_by_its_credentials_and_killed(workers: Account) -> None:
    source = (
        "import os, time\n"
        "def handler(event, context):\n"
        "    print(os.environ['AWS_ACCESS_KEY_ID'])\n"
        "    time.sleep(20)\n"
    )
    workers.function("victim", source, Timeout=25)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(workers.invoke("victim")))
    thread.start()
    service = importlib.import_module("springboard_local.services.lambda_")
    waiting = threading.Event()
    keys: list[str] = []
    while not keys and thread.is_alive():  # however long a busy machine takes to start the worker
        waiting.wait(0.05)
        groups = workers.cloud.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/victim")["logGroups"]
        keys = [line for line in workers.log("/aws/lambda/victim") if line.startswith("ASIA")] if groups else []
    service.worker_of(keys[0]).kill()
    thread.join(20)
    answer, error = answers[0]
    assert (answer["errorType"], error) == ("Runtime.ExitError", "Unhandled")
    assert "signal: killed" in answer["errorMessage"]
    assert service.worker_of(keys[0]) is None


def test_an_exception_becomes_the_payload_of_the_error(workers: Account) -> None:
    workers.function("failing", "def handler(event, context):\n    raise KeyError('colour')\n")
    answer, error = workers.invoke("failing")
    assert error == "Unhandled"
    assert (answer["errorType"], answer["errorMessage"]) == ("KeyError", "'colour'")
    assert "app.py" in answer["stackTrace"][-1]


def test_json_logs_go_to_the_group_of_the_logging_config(workers: Account) -> None:
    workers.cloud.client("logs").create_log_group(logGroupName="/springboard/operations")
    source = (
        "import logging\ndef handler(event, context):\n    print('plain')\n    logging.getLogger().warning('heard')\n"
    )
    config = {"LogFormat": "JSON", "LogGroup": "/springboard/operations"}
    workers.function("logging", source, LoggingConfig=config)
    tail = workers.client.invoke(FunctionName="logging", Payload=b"{}", LogType="Tail")["LogResult"]
    lines = workers.log("/springboard/operations")
    assert lines[1] == "plain"
    platform = [json.loads(line) for line in (lines[0], lines[-1])]
    assert [line["type"] for line in platform] == ["platform.start", "platform.report"]
    metrics = platform[1]["record"]["metrics"]
    assert metrics["initDurationMs"] > 0
    assert metrics["memorySizeMB"] == 128
    assert metrics["maxMemoryUsedMB"] > 0
    assert json.loads(lines[2])["message"] == "heard"
    assert base64.b64decode(tail).decode().splitlines() == lines
    assert workers.client.get_function_configuration(FunctionName="logging")["LoggingConfig"] == config


def test_text_logs_have_start_end_and_report(workers: Account) -> None:
    workers.function("talking", "def handler(event, context):\n    print('hi')\n")
    workers.invoke("talking")
    kinds = [line.split()[0] for line in workers.log("/aws/lambda/talking")]
    assert kinds == ["START", "hi", "END", "REPORT"]


def test_reserved_concurrency_throttles(workers: Account) -> None:
    workers.function("stopped", PID)
    workers.client.put_function_concurrency(FunctionName="stopped", ReservedConcurrentExecutions=0)
    with pytest.raises(workers.client.exceptions.TooManyRequestsException) as throttled:
        workers.invoke("stopped")
    assert throttled.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    workers.client.delete_function_concurrency(FunctionName="stopped")
    assert workers.invoke("stopped")[1] is None


def test_idle_workers_make_room_for_other_functions(workers: Account) -> None:
    names = [f"many-{number}" for number in range(5)]
    for name in names:
        workers.function(name, PID)
    assert len({workers.invoke(name)[0] for name in names}) == 5, "five functions share three places"


def test_calls_of_a_function_carry_its_role(workers: Account) -> None:
    source = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    workers.function("calling", source)
    keys, _ = workers.invoke("calling")
    client = boto3.client(
        "sts",
        region_name="eu-west-1",
        endpoint_url=workers.cloud.endpoint,
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=keys["AWS_SESSION_TOKEN"],
    )
    assert client.get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/function/calling"
    client.close()


@pytest.mark.parametrize("payload", [b"{", b"\xff"])
def test_a_payload_that_is_not_json_is_refused(workers: Account, payload: bytes) -> None:
    workers.function("strict", PID)
    with pytest.raises(ClientError) as refused:
        workers.client.invoke(FunctionName="strict", Payload=payload)
    assert refused.value.response["Error"]["Code"] == "InvalidRequestContentException"


@pytest.fixture(params=["client", "bootstrap"])
def stand_in(request: pytest.FixtureRequest, workers: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """Workers as on a machine where awslambdaric has no C++ client, or is not there at all."""
    module = importlib.import_module("springboard_local.services.lambda_.workers")
    shim = Path(module.__file__ or "").parent / "shim"
    # A client of that name earlier on the path than the C++ one is what the shim is where there is no C++ one.
    runtime = ("-m", "awslambdaric") if request.param == "client" else (str(shim / "bootstrap.py"),)
    monkeypatch.setattr(module, "program", lambda _python: (runtime, True))
    return workers


def test_the_stand_ins_answer_as_awslambdaric_does(stand_in: Account) -> None:
    source = (
        "import logging, sys\n"
        "def handler(event, context):\n"
        "    logging.getLogger().warning('heard %s', event['n'])\n"
        "    if event['n'] > 1: raise KeyError('n')\n"
        "    return {'é': sys.modules['runtime_client'].__file__, 'left': context.get_remaining_time_in_millis() > 0}\n"
    )
    stand_in.function("standing", source, LoggingConfig={"LogFormat": "JSON"})
    answer, error = stand_in.invoke("standing", {"n": 1})
    assert (error, answer["left"]) == (None, True)
    assert answer["é"].endswith("shim/runtime_client.py")
    answer, error = stand_in.invoke("standing", {"n": 2})
    assert (answer["errorType"], answer["errorMessage"], error) == ("KeyError", "'n'", "Unhandled")
    assert answer["stackTrace"][-1].startswith('  File "')
    heard = [json.loads(line) for line in stand_in.log("/aws/lambda/standing") if "heard" in line]
    assert [(line["level"], line["message"]) for line in heard[-2:]] == [("WARNING", "heard 1"), ("WARNING", "heard 2")]
    stand_in.function("unloadable", "import nothing_of_that_name\n")
    answer, _ = stand_in.invoke("unloadable")
    assert answer["errorType"] == "Runtime.ImportModuleError"


def test_a_function_that_is_not_there(workers: Account) -> None:
    with pytest.raises(workers.client.exceptions.ResourceNotFoundException, match="Function not found: arn:aws:lambda"):
        workers.invoke("nobody")
