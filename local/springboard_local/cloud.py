"""The local cloud as one object: settings, clock, latency model, and the services that hang on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from springboard_local.clock import Clock
    from springboard_local.kubernetes.lane import Lane
    from springboard_local.latency import LatencyModel

# The account of AWS's own documentation, so that the examples' image names are images of this account.
ACCOUNT = "111122223333"
REGION = "eu-west-1"


@dataclass(frozen=True)
class Settings:
    """What a local cloud is started with."""

    state: Path  # folder for code of functions, logs, process file; removed by `local down`
    port: int = 0  # 0: any free one
    worker_python: Path | None = None  # interpreter of the function workers; None: functions run in this process
    enforce_iam: bool = True
    seed: int = 0
    spread: bool = True  # False: every latency is its median
    kubernetes: str = "embedded"
    extra: dict[str, Any] = field(default_factory=dict)


class Cloud(Protocol):
    """What a service module gets in `install(cloud)`."""

    settings: Settings
    clock: Clock
    latency: LatencyModel
    lane: Lane

    @property
    def endpoint(self) -> str:
        """http://127.0.0.1:PORT"""

    def client(self, service: str, role_arn: str | None = None, session: str = "local-cloud") -> Any:
        """A cached boto3 client against this cloud: the account's administrator, or a role's session."""
