# ruff: noqa: INP001 - run by path inside workers, not part of a package
"""Runs a function where awslambdaric cannot be installed (macOS): the same protocol and the same answers.

Runs inside workers, so it imports nothing of the local cloud. `python bootstrap.py app.handler`.
"""

from __future__ import annotations

import http.client
import importlib
import json
import logging
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, Never

import runtime_client  # type: ignore[import-not-found] # beside this file, which is how workers find it

if TYPE_CHECKING:
    from collections.abc import Callable

_request_id = ""


class Context:
    """A handler's second argument, as awslambdaric makes it."""

    def __init__(self, headers: dict[str, Any]) -> None:
        self.aws_request_id: str = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn: str = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Until the function's time-out."""
        return max(0, self._deadline - int(time.time() * 1000))


class JsonLines(logging.Formatter):
    """A log record as one JSON object, with the fields of Lambda's JSON format."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": _request_id,
        }
        if record.exc_info and record.exc_info[0]:
            line["errorType"] = record.exc_info[0].__name__
            line["errorMessage"] = str(record.exc_info[1])
            line["stackTrace"] = traceback.format_tb(record.exc_info[2])
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """Lambda's text format."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"[{record.levelname}]\t{moment}.{int(record.msecs):03d}Z\t{_request_id}\t{super().format(record)}"


def _set_up_logging() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines() if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON" else TextLines())
    logging.getLogger().addHandler(handler)
    if level := os.environ.get("AWS_LAMBDA_LOG_LEVEL"):
        logging.getLogger().setLevel({"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(level, level))


def _load(handler: str) -> Callable[[Any, Context], Any]:
    module_name, _, attribute = handler.rpartition(".")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        _fail("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}")
    except SyntaxError as error:
        _fail("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}")
    except Exception as error:  # noqa: BLE001 - whatever the module raises ends the initialisation
        _fail(type(error).__name__, str(error), traceback.format_tb(error.__traceback__))
    function: Callable[[Any, Context], Any] | None = getattr(module, attribute, None)
    if function is None:
        _fail("Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{module_name}'")
    return function


def _fail(kind: str, message: str, trace: list[str] | None = None) -> Never:
    """Tell the Runtime API that the function cannot be started, and end."""
    error = {"errorMessage": message, "errorType": kind, "requestId": "", "stackTrace": trace or []}
    print(f"[ERROR] {kind}: {message}")  # noqa: T201 - standard output is the function's log
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request("POST", "/2018-06-01/runtime/init/error", json.dumps(error))
    connection.getresponse().read()
    sys.exit(1)


def _answer(function: Callable[[Any, Context], Any], body: bytes, context: Context) -> tuple[str | None, str | None]:
    """Result and error, one of them None."""
    try:
        result = function(json.loads(body), context)
    except Exception as error:  # noqa: BLE001 - every failure of a handler is an answer
        frames = traceback.format_list(traceback.extract_tb(error.__traceback__)[1:])
        return None, _error(type(error).__name__, str(error), context, frames)
    try:
        return json.dumps(result, ensure_ascii=False), None
    except (TypeError, ValueError) as error:
        return None, _error("Runtime.MarshalError", f"Unable to marshal response: {error}", context, [])


def _error(kind: str, message: str, context: Context, frames: list[str]) -> str:
    print(f"[ERROR] {kind}: {message}\nTraceback (most recent call last):\n{''.join(frames)}")  # noqa: T201 - the log
    return json.dumps(
        {"errorMessage": message, "errorType": kind, "requestId": context.aws_request_id, "stackTrace": frames},
        ensure_ascii=False,
    )


def main(handler: str) -> Never:
    """Serve invocations until the process is ended."""
    global _request_id  # noqa: PLW0603 - what the log lines of this invocation carry
    _set_up_logging()
    sys.path.pop(0)  # this file's folder; PYTHONPATH has it last
    function = _load(handler)
    while True:
        body, headers = runtime_client.next()
        context = Context(headers)
        _request_id = context.aws_request_id
        result, error = _answer(function, body, context)
        if error is None:
            runtime_client.post_invocation_result(_request_id, (result or "null").encode())
        else:
            runtime_client.post_error(_request_id, error)


if __name__ == "__main__":
    main(sys.argv[1])
