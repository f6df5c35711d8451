"""The local cloud as a process: started, found, emptied, ended; never mistaken for another."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from springboard_local import process
from springboard_local.process import NotStartedError

if TYPE_CHECKING:
    from pathlib import Path


def test_up_status_reset_down(tmp_path: Path) -> None:
    """One start for the whole life, because a start costs seconds."""
    state = tmp_path / "state"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(NotStartedError, match="in use"):
            process.up(port=taken.getsockname()[1], state=state)
    assert not process.status(state).running

    made = process.up(port=0, speed=120, state=state)
    try:
        assert made.running
        assert process.status(state) == made
        assert process.up(state=state) == made
        with pytest.raises(NotStartedError, match="runs here with the embedded Kubernetes lane"):
            process.up(kubernetes="real", state=state)

        env = process.env(state)
        assert env["AWS_PROFILE"] is None
        queues = boto3.client(
            "sqs",
            endpoint_url=env["AWS_ENDPOINT_URL"],
            region_name=env["AWS_REGION"],
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )
        queues.create_queue(QueueName="q")
        process.reset(state)
        assert "QueueUrls" not in queues.list_queues()
        queues.close()
    finally:
        assert process.down(state)
    assert not state.exists()
    assert not process.down(state)
    with pytest.raises(ProcessLookupError):
        os.kill(made.pid, 0)


def test_a_real_lane_that_is_not_built_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(NotStartedError, match="make kubernetes"):
        process.up(port=0, kubernetes="real", state=tmp_path / "state")
    assert not (tmp_path / "state" / "local-cloud.log").exists()


def test_another_process_of_the_same_number_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = process.Status(running=True, pid=os.getpid(), endpoint="http://127.0.0.1:9", instance="x", started=1.0)
    (tmp_path / "local-cloud.json").write_text(json.dumps(written.__dict__))
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: sent.append(number))
    assert not process.status(tmp_path).running
    assert not process.down(tmp_path)
    assert signal.SIGTERM not in sent


def test_what_is_not_running_has_no_environment(tmp_path: Path) -> None:
    for action in (process.env, process.reset):
        with pytest.raises(NotStartedError, match="springboard local up"):
            action(tmp_path)


def test_down_removes_nothing_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    process.down(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_the_state_is_beside_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPRINGBOARD_STATE", raising=False)
    (tmp_path / "template.yaml").touch()
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert process.default_state() == tmp_path / ".springboard"
    monkeypatch.setenv("SPRINGBOARD_STATE", str(tmp_path / "elsewhere"))
    assert process.default_state() == tmp_path / "elsewhere"
