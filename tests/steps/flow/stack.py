"""Springboard's own stack in this process: the template that is deployed, its machines and its handlers.

The local CloudFormation makes the stack from template.yaml and network.yaml. Only what `sam build` would package is
replaced: functions run in this process, each in a world of its own role, so their code and layer are empty.
"""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any, override

from botocore.retries import standard
from botocore.retries.quota import RetryQuota

from springboard.runtime import BOTO_CONFIG, Handler, Settings, World
from springboard_local import seeds
from tests.template import grants, source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from springboard.kube.client import Kubernetes
    from springboard_local.clock import ManualClock
    from springboard_local.cloud import LocalCloud
    from tests.template.grants import Grant

BASE_DOMAIN = "dev.example.com"
BUCKET = "aws-sam-cli-managed-default-packages"
TEMPLATE = f"https://s3.amazonaws.com/{BUCKET}/template.yaml"
STACK = "springboard"
PACKAGED = {
    "CodeUri: functions/": f"CodeUri: s3://{BUCKET}/empty.zip",
    "ContentUri: layers/springboard/": f"ContentUri: s3://{BUCKET}/empty.zip",
    "DefinitionUri: statemachines/provision.asl.yaml": f"DefinitionUri: s3://{BUCKET}/provision.json",
    "DefinitionUri: statemachines/teardown.asl.yaml": f"DefinitionUri: s3://{BUCKET}/teardown.json",
    "TemplateURL: network.yaml": f"TemplateURL: https://s3.amazonaws.com/{BUCKET}/network.yaml",
}


def deploy(cloud: LocalCloud, clock: ManualClock, without: Grant | None = None) -> dict[str, str]:
    """Make the hosted zone and the stack, but for a grant of one of its roles; the stack's outputs."""
    from springboard_local.services import iam  # noqa: PLC0415 - of moto, which the cloud has to prepare first

    prepare(cloud, without)
    stacks = cloud.client("cloudformation")
    stacks.create_stack(
        StackName=STACK,
        TemplateURL=TEMPLATE,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": "BaseDomain", "ParameterValue": BASE_DOMAIN}],
    )
    described: dict[str, Any] = {}

    def done() -> bool:
        described.update(stacks.describe_stacks(StackName=STACK)["Stacks"][0])
        return not str(described["StackStatus"]).endswith("_IN_PROGRESS")

    clock.run_until(done)
    assert described["StackStatus"] == "CREATE_COMPLETE", described
    cloud.settings.extra["decisions on deployment"] = iam.decisions.all()
    return {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}


def prepare(cloud: LocalCloud, without: Grant | None = None) -> None:
    """What there has to be before the stack: images, the hosted zone, the packages, and the code of the functions."""
    from springboard_local.services import ecr  # noqa: PLC0415 - of moto, which the cloud has to prepare first

    ecr.seed(cloud, seeds.images(source.ROOT / "examples"))
    cloud.client("route53").create_hosted_zone(Name=BASE_DOMAIN, CallerReference="flow")
    _upload(cloud, without)
    faults = cloud.settings.extra["kubernetes faults"] = KubernetesFaults()
    cloud.settings.extra["handlers"].update(_handlers(faults))


def _upload(cloud: LocalCloud, without: Grant | None) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    template = source.text("template.yaml")
    for local, packaged in PACKAGED.items():
        assert local in template, f"template.yaml has no {local}"
        template = template.replace(local, packaged)
    if without:
        template = json.dumps(grants.without(source.parse(template), without))
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("nothing", "")
    machines = {f"{name}.json": json.dumps(source.machine(name)).encode() for name in source.MACHINES}
    files = {"template.yaml": template.encode(), "network.yaml": source.text("network.yaml").encode(), **machines}
    for name, body in {**files, "empty.zip": empty.getvalue()}.items():
        s3.put_object(Bucket=BUCKET, Key=name, Body=body)


class KubernetesFaults:
    """Deaths of WorkloadFunction around its mutating calls to Kubernetes, which no pipeline of AWS sees."""

    def __init__(self) -> None:
        self.calls: list[str] = []  # PATCH /api/v1/namespaces/shop
        self.struck = 0
        self._deaths: list[list[Any]] = []  # [calls to let pass, "kill-before" or "kill-after"]

    def kill(self, moment: str, skip: int) -> None:
        """Let the function die around the next mutating call but `skip`."""
        self._deaths.append([skip, moment])

    def clear(self) -> None:
        """Forget the calls, and what was to come."""
        self.calls.clear()
        self._deaths.clear()
        self.struck = 0

    def around(self, call: str, act: Callable[[], Any]) -> Any:
        """Make a call, if the function lives to make it, and tell of it if it lives on."""
        from springboard_local.services.lambda_.errors import WorkerKilled  # noqa: PLC0415 - beside moto, as above

        self.calls.append(call)
        due = next((each for each in self._deaths if each[0] <= 0), None)
        for each in self._deaths:
            each[0] -= 1
        if due is None:
            return act()
        self._deaths.remove(due)
        self.struck += 1
        if due[1] == "kill-after":
            act()
        raise WorkerKilled


class _Kubernetes:
    """A cluster's API whose caller may die."""

    def __init__(self, real: Kubernetes, faults: KubernetesFaults) -> None:
        self._real = real
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def apply(self, path: str, manifest: dict[str, Any], **options: Any) -> dict[str, Any]:
        applied: dict[str, Any] = self._faults.around(
            f"PATCH {path}", lambda: self._real.apply(path, manifest, **options)
        )
        return applied

    def delete(self, path: str) -> None:
        self._faults.around(f"DELETE {path}", lambda: self._real.delete(path))


class _World(World):
    """A container's world, but for what stands between it and Kubernetes."""

    faults: KubernetesFaults
    at_end: Callable[[Callable[[], None]], None]

    @override
    def client(self, service: str) -> Any:
        """As deployed, but that it tries again at once: a clock that stands still knows no time between."""
        made = super().client(service)
        name = made.meta.service_model.service_id.hyphenize()
        made.meta.events.unregister(f"needs-retry.{name}", unique_id=f"retry-config-{name}")
        quota = standard.RetryQuotaChecker(RetryQuota())
        handler = standard.RetryHandler(
            standard.RetryPolicy(
                standard.StandardRetryConditions(BOTO_CONFIG.retries["total_max_attempts"]),
                standard.ExponentialBackoff(max_backoff=0),
            ),
            standard.RetryEventAdapter(),
            quota,
        )
        made.meta.events.register(f"needs-retry.{name}", handler.needs_retry)
        made.meta.events.register(f"after-call.{name}", quota.release_retry_quota)
        return made

    @override
    def kubernetes(self, cluster: str, endpoint: str, certificate_authority: str) -> Any:
        before = self._kubernetes
        real = super().kubernetes(cluster, endpoint, certificate_authority)
        if real is not before:
            self.at_end(real.close)
        return _Kubernetes(real, self.faults)


def _handlers(faults: KubernetesFaults) -> dict[str, Callable[[Any, Any], Any]]:
    """By function name, for Lambda in this process."""
    functions = source.resources("AWS::Serverless::Function")
    return {
        each["Properties"]["FunctionName"]["Fn::Sub"].replace("${Prefix}", STACK): _in_a_world_of_its_own(
            each["Properties"]["Handler"], faults
        )
        for each in functions.values()
    }


def _in_a_world_of_its_own(path: str, faults: KubernetesFaults) -> Callable[[Any, Any], Any]:
    """What a container has: the function's settings, and clients with the function's role."""
    module, _, name = path.rpartition(".")
    handler = getattr(importlib.import_module(module), name)
    assert isinstance(handler, Handler), path

    def run(event: dict[str, Any], context: Any) -> Mapping[str, Any]:
        if "world" not in context.kept:
            variables = {**context.environment, "AWS_REGION": "eu-west-1"}
            made = _World(Settings.read(variables), context.session, context.endpoint)
            made.faults, made.at_end = faults, context.at_end
            context.kept["world"] = made
        return handler.run(context.kept["world"], event)

    return run
