"""The local cloud as one object: settings, clock, latency model, and the services that hang on them."""

from __future__ import annotations

import importlib
import logging
import math
import os
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, Self

from springboard_local.latency import LatencyModel

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from springboard_local.clock import Clock
    from springboard_local.kubernetes.lane import Lane
    from springboard_local.pipeline import Pipeline
    from springboard_local.server import Server

log = logging.getLogger(__name__)

# The account of AWS's own documentation, so that the examples' image names are images of this account.
ACCOUNT = "111122223333"
REGION = "eu-west-1"

# The administrator's keys. They open nothing but a cloud that listens on loopback alone, so they are no
# secret, and being fixed they can stand in samconfig.toml and in a shell's profile.
ADMIN_ACCESS_KEY = "AKIALOCALSPRINGBOARD"
ADMIN_SECRET_KEY = "local-springboard-administrator-not-secret"  # noqa: S105 - see above
ADMIN_ARN = f"arn:aws:iam::{ACCOUNT}:root"
# An IAM user with every right, whose keys `springboard local env` gives: EKS knows no root user.
DEVELOPER = "developer"
DEVELOPER_ACCESS_KEY = "AKIALOCALDEVELOPER00"
DEVELOPER_SECRET_KEY = "local-springboard-developer-not-secret"  # noqa: S105 - see above

# In the order in which they are installed; closed in the opposite order.
SERVICES = (
    "metrics",
    "iam",
    "iam_documents",
    "s3",
    "dynamodb",
    "streams",
    "lambda_",
    "events",
    "scheduler",
    "sns",
    "stepfunctions",
    "ec2",
    "autoscaling",
    "eks",
    "elbv2",
    "acm",
    "route53",
    "ecr",
    "cloudwatch",
    "service_quotas",
    "logs",
    "cloudformation",
    "apigateway",
)

_USER_AGENT = "springboard-local-cloud"
_SESSION_SECONDS = 3_000  # of the hour that a role's session lasts


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
    """What a service module gets in `install(cloud)`.

    `install` is called whenever a cloud starts, so in one test process many times, one cloud at a time: it
    mends moto only once, and its patches find the present cloud in a module variable. Optional are
    `reset(cloud)`, which drops the module's own state, and `close(cloud)`, which ends what it started.
    """

    settings: Settings
    clock: Clock
    latency: LatencyModel
    lane: Lane
    pipeline: Pipeline

    @property
    def endpoint(self) -> str:
        """http://127.0.0.1:PORT"""

    @property
    def models(self) -> Any:
        """The loader of botocore: service models are large, and read once for all clients of this process."""

    def client(self, service: str, role_arn: str | None = None, session: str = "local-cloud") -> Any:
        """A cached boto3 client against this cloud: the account's administrator, or a role's session."""

    def mount(self, prefix: str, application: Any) -> None:
        """Serve another WSGI application under a path of the same port, past the pipeline."""


def _prepare_moto() -> None:
    """Give moto our account and its options."""
    os.environ["MOTO_ACCOUNT_ID"] = ACCOUNT
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # a second each time, and nothing here starts one of them
    from moto.core.common_models import BaseModel  # noqa: PLC0415
    from moto.core.config import default_user_config  # noqa: PLC0415

    BaseModel.__new__ = _untracked
    # Modules copy this name when they are imported: those to come find the right one, the others are mended.
    for name, module in list(sys.modules.items()):
        if name.startswith("moto.") and hasattr(module, "DEFAULT_ACCOUNT_ID"):
            vars(module)["DEFAULT_ACCOUNT_ID"] = ACCOUNT
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    default_user_config["iam"] = {"load_aws_managed_policies": True}


def _untracked(kind: Any, *_: object, **__: object) -> Any:
    """A model of moto's, which for its dashboard keeps all that it has ever made: each version of each item of a table.

    S3's are needed: a reset closes their files.
    """
    made = object.__new__(kind)
    if kind.__module__.startswith("moto.s3."):
        kind.instances_tracked.append(made)
    return made


class LocalCloud:
    """The AWS account on loopback. One at a time in a process, because moto's backends are the process's."""

    _running: LocalCloud | None = None

    def __init__(
        self, settings: Settings, clock: Clock, latency: LatencyModel | None = None, instance: str = ""
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.latency = latency or LatencyModel(settings.seed, spread=settings.spread)
        self.lane: Lane
        self.pipeline: Pipeline
        self._server: Server | None = None
        self._modules: list[ModuleType] = []
        self._clients: dict[tuple[str, str | None, str], tuple[Any, float]] = {}
        self._sessions: dict[tuple[str, str], tuple[tuple[str, str, str], float]] = {}
        self._lock = threading.RLock()
        self._session: Any = None
        self.instance = instance or uuid.uuid4().hex

    def start(self) -> LocalCloud:
        """Listen, then install the services. Returns itself, with everything answering."""
        if LocalCloud._running is not None:
            raise RuntimeError("a local cloud runs in this process already")
        LocalCloud._running = self
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        _prepare_moto()
        # The pipeline and the server import moto, which has to find its account set.
        from springboard_local.admin import Admin  # noqa: PLC0415
        from springboard_local.moto_application import application  # noqa: PLC0415
        from springboard_local.pipeline import Pipeline  # noqa: PLC0415
        from springboard_local.server import Front, Server  # noqa: PLC0415

        self.settings.state.mkdir(parents=True, exist_ok=True)
        self.pipeline = Pipeline(application(), self.clock, self._is_internal)
        self._front = Front(self.pipeline, Admin(self))
        self._server = Server(self._front, self.settings.port)
        os.environ["MOTO_PORT"] = str(self._server.port)
        self._server.start()
        self.lane = _lane(self.settings, self.clock)
        for name in SERVICES:
            module = importlib.import_module(f"springboard_local.services.{name}")
            self._modules.append(module)
            module.install(self)
            if name == "iam" and self.settings.enforce_iam:
                self.pipeline.authorize = module.authorize

    def mount(self, prefix: str, application: Any) -> None:
        """Serve another WSGI application under a path of the same port, past the pipeline."""
        self._front.mount(prefix, application)

    def mount_host(self, label: str, application: Any) -> None:
        """Serve hosts of the form NAME.`label`.REGION.amazonaws.com by another WSGI application."""
        self._front.mount_host(label, application)

    def stop(self) -> None:
        """End everything that was started, the last first. Idempotent."""
        for module in reversed(self._modules):
            close = getattr(module, "close", None)
            if close:
                _quietly(close, self)
        if hasattr(self, "lane"):
            _quietly(self.lane.close)
        if self._server:
            self._server.stop()
        self._forget_clients()
        if LocalCloud._running is self:
            self._clear_backends()
            LocalCloud._running = None
        self._modules.clear()
        self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def reset(self) -> None:
        """Back to an account with nothing in it."""
        for module in reversed(self._modules):
            reset = getattr(module, "reset", None)
            if reset:
                reset(self)
        self._clear_backends()
        for module in self._modules:
            refill = getattr(module, "refill", None)
            if refill:
                refill(self)
        self.pipeline.reset()
        self._forget_clients(roles_only=True)

    @staticmethod
    def _clear_backends() -> None:
        from moto.core.base_backend import BackendDict  # noqa: PLC0415
        from moto.core.model_instances import reset_model_data  # noqa: PLC0415

        BackendDict.reset()
        reset_model_data()

    @property
    def endpoint(self) -> str:
        """http://127.0.0.1:PORT"""
        if self._server is None:
            raise RuntimeError("the local cloud has not been started")
        return f"http://127.0.0.1:{self._server.port}"

    @cached_property
    def models(self) -> Any:
        """The loader of botocore: service models are large, and read once for all clients of this process."""
        from botocore.session import get_session  # noqa: PLC0415 - as below

        return get_session().get_component("data_loader")

    def client(self, service: str, role_arn: str | None = None, session: str = "local-cloud") -> Any:
        """A cached boto3 client: the account's administrator, or a session of the role."""
        key = (service, role_arn, session)
        with self._lock:
            cached, expires = self._clients.get(key, (None, 0.0))
            if cached is not None and time.monotonic() < expires:
                return cached
            keys = self._role_keys(role_arn, session) if role_arn else (ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY, None)
            made = self._new_client(service, keys, internal=role_arn is None)
            lasts = self._sessions[role_arn, session][1] if role_arn else math.inf
            self._clients[key] = made, lasts
            return made

    def _role_keys(self, role_arn: str, session: str) -> tuple[str, str, str]:
        cached, expires = self._sessions.get((role_arn, session), (None, 0.0))
        if cached is not None and time.monotonic() < expires:
            return cached
        answer = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName=session)["Credentials"]
        keys = answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"]
        self._sessions[role_arn, session] = keys, time.monotonic() + _SESSION_SECONDS
        return keys

    def _new_client(self, service: str, keys: tuple[str, str, str | None], *, internal: bool) -> Any:
        import boto3  # noqa: PLC0415 - half a second that a caller of the constants need not spend
        from botocore.config import Config  # noqa: PLC0415
        from botocore.session import Session as BotocoreSession  # noqa: PLC0415

        if self._session is None:
            # The user's own profile and configuration file must not reach the local cloud's clients.
            variables: dict[str, Any] = {
                "profile": (None, [], None, None),
                "config_file": (None, [], os.devnull, None),
                "credentials_file": (None, [], os.devnull, None),
            }
            inner = BotocoreSession(variables)
            inner.register_component("data_loader", self.models)
            self._session = boto3.Session(botocore_session=inner, region_name=REGION)
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=930,
            max_pool_connections=100,
            user_agent_extra=_USER_AGENT if internal else None,
            s3={"addressing_style": "path"},
        )
        return self._session.client(
            service,
            endpoint_url=self.endpoint,
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
            aws_session_token=keys[2],
            config=config,
        )

    @staticmethod
    def _is_internal(access_key: str, user_agent: str) -> bool:
        return access_key == ADMIN_ACCESS_KEY and _USER_AGENT in user_agent

    def _forget_clients(self, *, roles_only: bool = False) -> None:
        with self._lock:
            self._sessions.clear()
            gone = [key for key in self._clients if key[1] or not roles_only]
            for key in gone:
                client, _ = self._clients.pop(key)
                client.close()

    def warm_up(self) -> None:
        """Make each service's first call cheap, in a thread; moto imports a service when it is first asked."""
        threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()

    def _warm_up(self) -> None:
        for service, call in _WARM_UP:
            try:
                getattr(self.client(service), call)()
            except Exception:
                log.debug("%s is not warm", service, exc_info=True)


# Cheap reads, in the order in which a deployment needs the services.
_WARM_UP = (
    ("sts", "get_caller_identity"),
    ("cloudformation", "list_stacks"),
    ("s3", "list_buckets"),
    ("iam", "list_roles"),
    ("ec2", "describe_vpcs"),
    ("lambda", "list_functions"),
    ("dynamodb", "list_tables"),
    ("kms", "list_keys"),
    ("sqs", "list_queues"),
    ("sns", "list_topics"),
    ("logs", "describe_log_groups"),
    ("stepfunctions", "list_state_machines"),
    ("events", "list_event_buses"),
    ("scheduler", "list_schedule_groups"),
    ("apigatewayv2", "get_apis"),
    ("cloudwatch", "describe_alarms"),
    ("eks", "list_clusters"),
    ("autoscaling", "describe_auto_scaling_groups"),
    ("elbv2", "describe_load_balancers"),
    ("acm", "list_certificates"),
    ("route53", "list_hosted_zones"),
    ("ecr", "describe_repositories"),
)


def _lane(settings: Settings, clock: Clock) -> Lane:
    """The lane that the settings name; ValueError for one that is not known, or not built."""
    match settings.kubernetes:
        case "embedded":
            from springboard_local.kubernetes.embedded import EmbeddedLane  # noqa: PLC0415 - only the one that is used

            return EmbeddedLane(clock)
        case "real":
            from springboard_local.kubernetes.real import RealLane  # noqa: PLC0415 - only the one that is used

            return RealLane(clock, settings.state / "kubernetes")
        case other:
            raise ValueError(f"the Kubernetes lane is embedded or real, not {other}")


def _quietly(action: Any, *arguments: Any) -> None:
    """Run one of several clean-ups; a failure must not keep the others from running."""
    try:
        action(*arguments)
    except Exception:
        log.exception("clean-up failed")
