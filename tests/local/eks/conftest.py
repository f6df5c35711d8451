"""An account with EC2, Auto Scaling, load balancers and EKS on a manual clock, over a scripted control plane."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from springboard_local import cloud as local_cloud
from springboard_local.clock import ManualClock
from springboard_local.cloud import ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY, REGION, Settings
from springboard_local.kubernetes.lane import Attributes, Backend, Eviction, NodeSpec, User
from springboard_local.latency import LatencyModel
from tests.local.eks import conformance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

CREATOR = f"arn:aws:iam::{local_cloud.ACCOUNT}:role/creator"


@dataclass
class ScriptedPlane:
    """Keeps what it is told; pods block an eviction as long as `blocked` names their node."""

    name: str
    version: str
    review: Callable[[str], User | None]
    allow: Callable[[Attributes], bool]
    endpoint: str = "https://127.0.0.1:6443"
    certificate_authority: bytes = b"-----BEGIN CERTIFICATE-----\n"
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    specs: dict[str, NodeSpec] = field(default_factory=dict)
    objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    cordoned: set[str] = field(default_factory=set)
    blocked: bool = False
    stopped: bool = False

    def set_version(self, version: str) -> None:
        self.version = version

    def add_node(self, node: NodeSpec, *, ready: bool, reason: str = "") -> None:
        self.specs[node.name] = node
        self.members[node.name] = {"metadata": {"name": node.name}, "spec": {}, "reason": reason}
        self.set_node_ready(node.name, ready=ready)

    def set_node_ready(self, name: str, *, ready: bool, reason: str = "") -> None:
        condition = {"type": "Ready", "status": "True" if ready else "False", "reason": reason}
        self.members[name]["status"] = {"conditions": [condition]}

    def cordon(self, name: str, *, unschedulable: bool = True) -> None:
        self.cordoned.add(name) if unschedulable else self.cordoned.discard(name)

    def evict(self, name: str) -> list[Eviction]:
        outcome = "blocked" if self.blocked else "evicted"
        return [Eviction("shop", f"shop-on-{name}", outcome, "shop" if self.blocked else "")]

    def remove_node(self, name: str) -> None:
        self.members.pop(name, None)

    def nodes(self) -> list[dict[str, Any]]:
        return list(self.members.values())

    def apply(self, manifest: Mapping[str, Any]) -> None:
        key = (manifest["kind"], manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"])
        self.objects[key] = copy.deepcopy(dict(manifest))

    def delete(self, manifest: Mapping[str, Any]) -> None:
        self.objects.pop(
            (manifest["kind"], manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]), None
        )

    def get(self, _api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        found = self.objects.get((kind, namespace, name))
        if found and kind == "Deployment":
            return {**found, "status": {"availableReplicas": found["spec"]["replicas"] if self.members else 0}}
        return found

    def backends(self, _node_port: int) -> list[Backend]:
        return []

    def inject(self, condition: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self.stopped = True


class ScriptedLane:
    """Starts scripted control planes and remembers them."""

    def __init__(self) -> None:
        self.planes: dict[str, ScriptedPlane] = {}
        self.broken: set[str] = set()  # clusters whose control plane does not start

    def start(self, name: str, version: str, **callbacks: Any) -> ScriptedPlane:
        if name in self.broken:
            raise OSError("no free port")
        plane = ScriptedPlane(name, version, callbacks["review"], callbacks["allow"])
        self.planes[name] = plane
        return plane

    def close(self) -> None:
        self.planes.clear()
        self.broken.clear()


class Account:
    """The part of the local cloud that EKS needs, and shorthands for tests."""

    def __init__(self, state: Path) -> None:
        local_cloud._prepare_moto()
        from springboard_local.moto_application import application  # noqa: PLC0415 - only once the account is set
        from springboard_local.pipeline import Pipeline  # noqa: PLC0415
        from springboard_local.server import Server  # noqa: PLC0415
        from springboard_local.services import autoscaling, ec2, eks, elbv2  # noqa: PLC0415

        self.settings = Settings(state, spread=False, extra={"nodes": eks})
        self.clock = ManualClock()
        self.latency = LatencyModel(spread=False)
        self.lane = ScriptedLane()
        self.pipeline = Pipeline(application(), self.clock)
        self.pipeline.authorize = self._identify
        self._server = Server(self.pipeline, 0)
        self._server.start()
        self.eks_module = eks
        self._modules = (ec2, autoscaling, eks, elbv2)
        for module in self._modules:
            module.install(self)
        self._clients: dict[str, Any] = {}
        self.answered: set[str] = set()  # operations of EKS that have answered well
        self.nonconforming: list[str] = []

    @staticmethod
    def _identify(call: Any) -> None:
        call.principal = f"arn:aws:sts::{local_cloud.ACCOUNT}:assumed-role/creator/somebody"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def client(self, service: str, *_: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                region_name=REGION,
                endpoint_url=self.endpoint,
                aws_access_key_id=ADMIN_ACCESS_KEY,
                aws_secret_access_key=ADMIN_SECRET_KEY,
                config=Config(retries={"total_max_attempts": 1}),
            )
            self._clients[service].meta.events.register("before-parse.eks", self._compare)
        return self._clients[service]

    def _compare(self, operation_model: Any, response_dict: Any, **_: Any) -> None:
        """Hold an answer of EKS against its model."""
        status = response_dict["status_code"]
        self.nonconforming += conformance.complaints(operation_model.name, status, response_dict["body"])
        if status < 300:
            self.answered.add(operation_model.name)

    @property
    def unchecked(self) -> Any:
        """A client of EKS that sends what it is given, without checks of its own."""
        if "unchecked" not in self._clients:
            self._clients["unchecked"] = boto3.client(
                "eks",
                region_name=REGION,
                endpoint_url=self.endpoint,
                aws_access_key_id=ADMIN_ACCESS_KEY,
                aws_secret_access_key=ADMIN_SECRET_KEY,
                config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
            )
        return self._clients["unchecked"]

    def make_network(self) -> None:
        """A VPC with a subnet in each of three zones."""
        ec2 = self.client("ec2")
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")[
                "Subnet"
            ]["SubnetId"]
            for number, zone in enumerate("abc")
        ]

    def make_roles(self) -> None:
        """Roles for clusters, nodes and pods, and two that people have."""
        iam = self.client("iam")
        people = (("creator", "lambda"), ("viewer", "lambda"))
        for name, service in (("cluster", "eks"), ("node", "ec2"), ("pod", "pods.eks"), ("other", "pods.eks"), *people):
            principal = {"Service": f"{service}.amazonaws.com"}
            statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
            document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)

    @staticmethod
    def role(name: str) -> str:
        return f"arn:aws:iam::{local_cloud.ACCOUNT}:role/{name}"

    @property
    def eks(self) -> Any:
        return self.client("eks")

    def plane(self, name: str = "shop") -> ScriptedPlane:
        return self.lane.planes[name]

    def request_cluster(self, name: str = "shop", **more: Any) -> Any:
        parameters = {
            "roleArn": self.role("cluster"),
            "resourcesVpcConfig": {"subnetIds": self.subnets},
            "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
            "bootstrapSelfManagedAddons": False,
            **more,
        }
        return self.eks.create_cluster(name=name, **parameters)["cluster"]

    def cluster(self, name: str = "shop", **more: Any) -> Any:
        """An ACTIVE cluster."""
        self.request_cluster(name, **more)
        self.clock.advance(565)
        return self.eks.describe_cluster(name=name)["cluster"]

    def addon(self, name: str, **more: Any) -> Any:
        """An add-on that has had the time to become ACTIVE."""
        self.eks.create_addon(clusterName="shop", addonName=name, **more)
        self.clock.advance(60)
        return self.eks.describe_addon(clusterName="shop", addonName=name)["addon"]

    def request_nodegroup(self, name: str = "workers", **more: Any) -> Any:
        parameters = {
            "subnets": self.subnets,
            "nodeRole": self.role("node"),
            "instanceTypes": ["m7i.large"],
            "scalingConfig": {"minSize": 1, "maxSize": 6, "desiredSize": 3},
            **more,
        }
        return self.eks.create_nodegroup(clusterName="shop", nodegroupName=name, **parameters)["nodegroup"]

    def nodegroup(self, name: str = "workers", **more: Any) -> Any:
        """A node group that has had the time to become ACTIVE."""
        self.request_nodegroup(name, **more)
        self.clock.advance(130)
        return self.describe_nodegroup(name)

    def describe_nodegroup(self, name: str = "workers") -> Any:
        return self.eks.describe_nodegroup(clusterName="shop", nodegroupName=name)["nodegroup"]

    def running(self) -> list[Any]:
        """The instances that run, as EC2 shows them."""
        filters = [{"Name": "instance-state-name", "Values": ["running"]}]
        reservations = self.client("ec2").describe_instances(Filters=filters)["Reservations"]
        return [instance for reservation in reservations for instance in reservation["Instances"]]

    def reset(self) -> None:
        """Back to an account that has its roles alone, at the clock's first moment."""
        from moto.autoscaling.models import autoscaling_backends  # noqa: PLC0415
        from moto.ec2.models import ec2_backends  # noqa: PLC0415
        from moto.elbv2.models import elbv2_backends  # noqa: PLC0415
        from moto.logs.models import logs_backends  # noqa: PLC0415

        for module in reversed(self._modules):
            module.reset(self)
        for backends in (autoscaling_backends, elbv2_backends, ec2_backends, logs_backends):
            backends.clear()
        self.lane.close()
        self.clock.close()
        self.clock = ManualClock()

    def close(self) -> None:
        """End everything."""
        for module in reversed(self._modules):
            module.close(self)
        for client in self._clients.values():
            client.close()
        self._server.stop()
        local_cloud.LocalCloud._clear_backends()


@pytest.fixture(scope="module")
def shared_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as patch:
        made = Account(tmp_path_factory.mktemp("account"))
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # nodes use EKS's own images, and these take long
        made.make_roles()
        yield made
        made.close()


@pytest.fixture
def account(shared_account: Account) -> Iterator[Account]:
    shared_account.make_network()
    yield shared_account
    shared_account.reset()
    found, shared_account.nonconforming = shared_account.nonconforming, []
    assert found == [], "EKS's model does not allow these answers"
