"""The one place where things are wired: settings, the world, and the decorator that makes a handler.

A container builds its world once. Adapters are made when first asked for, so that a function pays for the
clients it uses and no others.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from springboard import log
from springboard.aws.session import BotocoreSession
from springboard.components.table import BY_NAME
from springboard.errors import SpringboardError
from springboard.flow import step
from springboard.record import moment
from springboard.site import Site
from springboard.store import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from springboard.aws.acm import Acm
    from springboard.aws.autoscaling import AutoScaling
    from springboard.aws.bus import Bus
    from springboard.aws.cloudwatch import CloudWatch
    from springboard.aws.ec2 import Ec2
    from springboard.aws.ecr import Ecr
    from springboard.aws.eks import Eks
    from springboard.aws.elb import Elb
    from springboard.aws.functions import Functions
    from springboard.aws.logs import Logs
    from springboard.aws.route53 import Route53
    from springboard.aws.scheduler import Scheduler
    from springboard.aws.session import Session
    from springboard.aws.states import States
    from springboard.components.contract import Component
    from springboard.flow.step import Task
    from springboard.kube.client import Kubernetes
    from springboard.store.table import Store

# Step Functions retries too: a short patience here keeps a handler inside its time.
BOTO_CONFIG = Config(
    connect_timeout=3,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 3},
    user_agent_extra="springboard",
    max_pool_connections=20,
)


class SettingsError(Exception):
    """A function was deployed without a setting that it needs; the message names it."""


@dataclass(frozen=True)
class Settings:
    """What the functions' environment variables say, read once at start."""

    site: Site
    table: str
    bus: str
    topic_arn: str
    provision_arn: str
    teardown_arn: str
    functions: Mapping[str, str]  # component → function name, for {observe: true}

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """From SPRINGBOARD_… variables; SettingsError names every missing one."""
        missing: list[str] = []

        def need(name: str) -> str:
            value = environ.get(f"SPRINGBOARD_{name}")
            if value is None:
                missing.append(f"SPRINGBOARD_{name}")
            return value or ""

        def several(name: str) -> tuple[str, ...]:
            return tuple(part for part in environ.get(f"SPRINGBOARD_{name}", "").split(",") if part)

        site = Site(
            account=need("ACCOUNT"),
            region=environ.get("AWS_REGION", ""),
            partition=environ.get("SPRINGBOARD_PARTITION", "aws"),
            prefix=need("PREFIX"),
            base_domain=need("BASE_DOMAIN"),
            hosted_zone_id=environ.get("SPRINGBOARD_HOSTED_ZONE_ID", ""),
            vpc_id=need("VPC_ID"),
            vpc_cidrs=several("VPC_CIDRS"),
            private_subnet_ids=several("PRIVATE_SUBNETS"),
            public_subnet_ids=several("PUBLIC_SUBNETS"),
            api_access_security_group_id=need("API_ACCESS_GROUP"),
            cluster_role_arn=need("CLUSTER_ROLE"),
            node_role_arn=need("NODE_ROLE"),
            workload_role_arn=need("WORKLOAD_ROLE"),
            addon_role_arns=tuple(
                (name, arn) for name, _, arn in (pair.partition("=") for pair in several("ADDON_ROLES"))
            ),
            secrets_key_arn=need("SECRETS_KEY"),
            app_role_path=environ.get("SPRINGBOARD_APP_ROLE_PATH", "/springboard-apps/"),
            log_retention_days=int(environ.get("SPRINGBOARD_LOG_RETENTION_DAYS", "90")),
            schedule_group=need("SCHEDULE_GROUP"),
            schedule_role_arn=need("SCHEDULE_ROLE"),
            ttl_function_arn=need("TTL_FUNCTION"),
            drift_function_arn=need("DRIFT_FUNCTION"),
            schedule_dlq_arn=need("SCHEDULE_DLQ"),
            alarm_topic_arn=need("ALARM_TOPIC"),
            access_logs_bucket=environ.get("SPRINGBOARD_ACCESS_LOGS_BUCKET", ""),
            allowed_registries=several("ALLOWED_REGISTRIES"),
            ownership=environ.get("SPRINGBOARD_OWNERSHIP", "role"),
            stack_name=need("STACK"),
            any_zone=environ.get("SPRINGBOARD_DNS_ZONES", "given") == "any",
        )
        settings = cls(
            site=site,
            table=need("TABLE"),
            bus=need("BUS"),
            topic_arn=need("TOPIC"),
            provision_arn=environ.get("SPRINGBOARD_PROVISION_ARN", ""),
            teardown_arn=environ.get("SPRINGBOARD_TEARDOWN_ARN", ""),
            functions={name: function for name, _, function in (pair.partition("=") for pair in several("FUNCTIONS"))},
        )
        if missing:
            raise SettingsError(f"not set: {', '.join(missing)}")
        return settings


class World:
    """Everything outside: AWS, Kubernetes, the record. Components and flow steps get it as `world`."""

    def __init__(self, settings: Settings, session: Session, endpoint_url: str | None = None) -> None:
        self.settings = settings
        self.site = settings.site
        self._session = session
        self._endpoint_url = endpoint_url  # None: botocore's own resolution, AWS_ENDPOINT_URL included
        self._cluster: tuple[str, str, str] | None = None
        self._kubernetes: Kubernetes | None = None

    def client(self, service: str) -> Any:  # noqa: ANN401 - botocore's clients are made at run time
        """A client with the one configuration."""
        return self._session.client(service, config=BOTO_CONFIG, endpoint_url=self._endpoint_url)

    @cached_property
    def eks(self) -> Eks:
        """Clusters, node groups, add-ons, access entries."""
        from springboard.aws.eks import Eks  # noqa: PLC0415 - a function pays for what it uses

        return Eks(self.client("eks"))

    @cached_property
    def ec2(self) -> Ec2:
        """Security groups, launch templates, instances."""
        from springboard.aws.ec2 import Ec2  # noqa: PLC0415 - a function pays for what it uses

        return Ec2(self.client("ec2"))

    @cached_property
    def elb(self) -> Elb:
        """Load balancers, listeners, target groups."""
        from springboard.aws.elb import Elb  # noqa: PLC0415 - a function pays for what it uses

        return Elb(self.client("elbv2"))

    @cached_property
    def acm(self) -> Acm:
        """Certificates."""
        from springboard.aws.acm import Acm  # noqa: PLC0415 - a function pays for what it uses

        return Acm(self.client("acm"))

    @cached_property
    def route53(self) -> Route53:
        """DNS records."""
        from springboard.aws.route53 import Route53  # noqa: PLC0415 - a function pays for what it uses

        return Route53(self.client("route53"))

    @cached_property
    def autoscaling(self) -> AutoScaling:
        """Node groups' Auto Scaling groups."""
        from springboard.aws.autoscaling import AutoScaling  # noqa: PLC0415 - a function pays for what it uses

        return AutoScaling(self.client("autoscaling"))

    @cached_property
    def scheduler(self) -> Scheduler:
        """Schedules."""
        from springboard.aws.scheduler import Scheduler  # noqa: PLC0415 - a function pays for what it uses

        return Scheduler(self.client("scheduler"))

    @cached_property
    def cloudwatch(self) -> CloudWatch:
        """Alarms and dashboards."""
        from springboard.aws.cloudwatch import CloudWatch  # noqa: PLC0415 - a function pays for what it uses

        return CloudWatch(self.client("cloudwatch"))

    @cached_property
    def logs(self) -> Logs:
        """Log groups."""
        from springboard.aws.logs import Logs  # noqa: PLC0415 - a function pays for what it uses

        return Logs(self.client("logs"))

    @cached_property
    def ecr(self) -> Ecr:
        """Images."""
        from springboard.aws.ecr import Ecr  # noqa: PLC0415 - a function pays for what it uses

        return Ecr(self.client("ecr"))

    @cached_property
    def states(self) -> States:
        """Executions."""
        from springboard.aws.states import States  # noqa: PLC0415 - a function pays for what it uses

        return States(self.client("stepfunctions"))

    @cached_property
    def functions(self) -> Functions:
        """Other functions of the stack."""
        from springboard.aws.functions import Functions  # noqa: PLC0415 - a function pays for what it uses

        return Functions(self.client("lambda"))

    @cached_property
    def bus(self) -> Bus:
        """What Springboard tells the world."""
        from springboard.aws.bus import Bus  # noqa: PLC0415 - a function pays for what it uses

        return Bus(self.client("events"), self.client("sns"), self.settings.bus, self.settings.topic_arn)

    @cached_property
    def store(self) -> Store:
        """The record."""
        from springboard.store.table import Store  # noqa: PLC0415 - a function pays for what it uses

        return Store(self.client("dynamodb"), self.settings.table)

    def kubernetes(self, cluster: str, endpoint: str, certificate_authority: str) -> Kubernetes:
        """The Kubernetes API of one cluster (`certificate_authority` in base64, as DescribeCluster gives it)."""
        from springboard.kube.client import Kubernetes  # noqa: PLC0415 - WorkloadFunction alone pays for it

        wanted = (cluster, endpoint, certificate_authority)
        if self._cluster != wanted or self._kubernetes is None:  # the latest is kept: its connections and its token
            if self._kubernetes is not None:
                self._kubernetes.close()
            self._cluster = wanted
            self._kubernetes = Kubernetes(self._session, cluster, endpoint, certificate_authority, self._endpoint_url)
        return self._kubernetes


@lru_cache(maxsize=1)
def world() -> World:
    """The container's world."""
    return World(Settings.read(os.environ), BotocoreSession())


@dataclass(frozen=True)
class Handler:
    """A Lambda handler: what to do with an event, in the container's world or, called as `run`, in another."""

    run: Callable[[World, dict[str, Any]], dict[str, Any]]

    def __call__(self, event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG002 - Lambda's signature
        """What Lambda calls."""
        return self.run(world(), event)


_logger = log.logger("springboard")
# It tells at INFO, in every container, where it found its credentials.
logging.getLogger("botocore").setLevel(logging.WARNING)


def task_of(event: Mapping[str, Any]) -> Task:
    """What a state machine's payload asks for."""
    return step.Task(
        environment=event["environment"],
        operation=event["operation"],
        generation=int(event["generation"]),
        now=moment(event["now"]),
        removal=bool(event.get("removal")),
        again=bool(event.get("again")),
        once=bool(event.get("once")),
    )


def component_handler(component: Component) -> Handler:
    """The Lambda handler of a component's module: a step of an operation, or {observe: true} for a plan."""
    row = BY_NAME[getattr(component, "__name__").rpartition(".")[2]]  # noqa: B009 - a module, seen as a Protocol

    def run(world: World, event: dict[str, Any]) -> dict[str, Any]:
        if event.get("observe"):
            environment = codec.environment_from_json(event["document"])
            return step.observe(world, component, row, environment, removal=bool(event.get("removal")))
        task = task_of(event)
        return logged(step.name(row, task), task, lambda: step.run(world, component, row, task))

    return Handler(run)


def flow_handler(name: str, act: Callable[[World, Task, Mapping[str, Any]], dict[str, Any]]) -> Handler:
    """The Lambda handler of a step around the components."""

    def run(world: World, event: dict[str, Any]) -> dict[str, Any]:
        task = task_of(event)
        return logged(name, task, lambda: act(world, task, event))

    return Handler(run)


def trigger_handler(
    name: str,
    act: Callable[[World, dict[str, Any]], dict[str, Any]],
    about: Callable[[dict[str, Any]], Mapping[str, str]] = lambda _: {},
) -> Handler:
    """The Lambda handler of what EventBridge or the stream calls; `about` finds environment and operation in it."""

    def run(world: World, event: dict[str, Any]) -> dict[str, Any]:
        try:
            known = about(event)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            known = {}  # no event of ours: what is done with it says so
        return _told({**known, "step": name}, lambda: act(world, event))

    return Handler(run)


def logged(name: str, task: Task, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a step with environment, operation and step on every log line; errors are logged and go on.

    What goes on begins with the step's name: in an execution's history, and to RecordFailure where the step's own note
    could not be written, nothing else says who failed.
    """
    try:
        return _told({"environment": task.environment, "operation": task.operation, "step": name}, run)
    except SpringboardError as err:
        if not err.message.startswith(f"{name}: "):
            err.args = (f"{name}: {err.message}", *err.args[1:])
        raise


def _told(keys: Mapping[str, str], run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run something with these keys on its own log lines: neither on the next event's nor on those of other threads."""
    _logger.thread_safe_append_keys(**keys)
    try:
        answer = run()
    except SpringboardError as err:
        _logger.warning("step ended in error", extra={"error": type(err).__name__, "cause": err.message})
        raise
    except Exception as err:
        # Lambda logs it too, but knows neither environment nor operation.
        _logger.exception("step broke", extra={"error": type(err).__name__})
        raise
    else:
        _logger.info("step done", extra={"answer": answer})
        return answer
    finally:
        _logger.thread_safe_clear_keys()
