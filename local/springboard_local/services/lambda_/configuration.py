"""One version of a function as the runtime needs to know it, read from moto's model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_SYSTEM_LEVELS = ("DEBUG", "INFO", "WARN")


@dataclass(frozen=True)
class Package:
    """A zip file and its digest."""

    sha256: str
    zip: bytes


@dataclass(frozen=True)
class Configuration:
    """What decides how a worker of a function looks; two equal fingerprints can share workers."""

    account: str
    region: str
    name: str
    version: str
    arn: str  # without version for $LATEST
    handler: str
    runtime: str
    role: str
    timeout: int
    memory: int
    environment: Mapping[str, str]
    architectures: tuple[str, ...]
    code: Package
    layers: tuple[Package, ...]
    reserved_concurrency: int | None
    log_group: str
    log_format: str
    application_log_level: str
    system_log_level: str
    dead_letter_arn: str | None
    fingerprint: str

    @property
    def session(self) -> str:
        """The name of the role's session; a session's name has 2 to 64 characters."""
        return self.name[:64].ljust(2, "-")

    @property
    def json_logs(self) -> bool:
        """Whether platform and application lines are JSON."""
        return self.log_format == "JSON"

    @property
    def platform_lines(self) -> bool:
        """Whether START, END and REPORT are written at this system log level."""
        return _SYSTEM_LEVELS.index(self.system_log_level) <= _SYSTEM_LEVELS.index("INFO")


def configuration(function: Any) -> Configuration:
    """The configuration of moto's LambdaFunction."""
    logging: Mapping[str, Any] = getattr(function, "logging_config", None) or {}
    version = str(function.version)
    layers = tuple(Package(layer.code_digest, layer.code_bytes) for layer in _layers(function))
    code = Package(function.code_digest, function.code_bytes)
    environment = {name: str(value) for name, value in (function.environment_vars or {}).items()}
    reserved = function.reserved_concurrency
    form = str(logging.get("LogFormat") or "Text")
    seen = [
        code.sha256,
        [layer.sha256 for layer in layers],
        environment,
        function.handler,
        function.role,
        function.memory_size,
        function.timeout,
        function.run_time,
        dict(logging),
    ]
    return Configuration(
        account=function.account_id,
        region=function.region,
        name=function.function_name,
        version=version,
        arn=function.function_arn,
        handler=function.handler or "",
        runtime=function.run_time or "",
        role=function.role,
        timeout=int(function.timeout),
        memory=int(function.memory_size),
        environment=environment,
        architectures=tuple(function.architectures),
        code=code,
        layers=layers,
        reserved_concurrency=None if reserved is None else int(reserved),
        log_group=str(logging.get("LogGroup") or function.logs_group_name),
        log_format=form,
        application_log_level=str(logging.get("ApplicationLogLevel") or "INFO"),
        system_log_level=str(logging.get("SystemLogLevel") or "INFO"),
        dead_letter_arn=(getattr(function, "dead_letter_config", None) or {}).get("TargetArn"),
        fingerprint=hashlib.sha256(json.dumps(seen, sort_keys=True, default=str).encode()).hexdigest(),
    )


def _layers(function: Any) -> list[Any]:
    from moto.awslambda.utils import get_backend  # noqa: PLC0415 - keeps this module free of moto for tests

    backend = get_backend(function.account_id, function.region)
    return [backend.layers_versions_by_arn(layer["Arn"]) for layer in function.layers]
