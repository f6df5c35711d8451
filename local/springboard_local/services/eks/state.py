"""What the local EKS keeps, and how its work gets done: one lock, one worker, the cloud's clock."""

from __future__ import annotations

import base64
import copy
import json
import logging
import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.services.eks.errors import invalid_parameter, not_found
from springboard_local.services.eks.faults import LifecycleFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from springboard_local.cloud import Cloud
    from springboard_local.kubernetes.lane import ControlPlane

log = logging.getLogger(__name__)

Fields = dict[str, Any]  # a resource as its Describe operation shows it


@dataclass(eq=False)
class Update:
    """One asynchronous change, as DescribeUpdate shows it."""

    fields: Fields
    nodegroup: str | None = None
    addon: str | None = None

    @property
    def id(self) -> str:
        """The update's id."""
        return str(self.fields["id"])

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return bool(self.fields["status"] == "InProgress")


@dataclass(eq=False)
class Nodegroup:
    """A managed node group; `instances` maps instance ids to node names, "" until they have joined."""

    fields: Fields
    template_id: str = ""  # EKS's own launch template
    custom_template: dict[str, Any] | None = None  # data of the user's launch template version
    instances: dict[str, str] = field(default_factory=dict)
    join_seconds: float = 60.0  # from an instance's launch to its node
    launch_error: str = ""  # why Auto Scaling could not launch, while it can't

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.fields["nodegroupName"])

    @property
    def status(self) -> str:
        """Its status."""
        return str(self.fields["status"])

    @property
    def group_name(self) -> str | None:
        """The Auto Scaling group's name, once there is one."""
        groups = self.fields.get("resources", {}).get("autoScalingGroups", [])
        return groups[0]["name"] if groups else None


@dataclass(eq=False)
class Addon:
    """An installed add-on; `manifests` are the objects that it applied."""

    fields: Fields
    manifests: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.fields["addonName"])

    @property
    def status(self) -> str:
        """Its status."""
        return str(self.fields["status"])


@dataclass(eq=False)
class AccessEntry:
    """An access entry, its policies by ARN, and the moments from which the two count."""

    fields: Fields
    policies: dict[str, Fields] = field(default_factory=dict)
    effective: datetime | None = None
    policies_effective: dict[str, datetime] = field(default_factory=dict)


@dataclass(eq=False)
class Cluster:
    """A cluster and all that belongs to it."""

    fields: Fields
    creator: str = ""
    plane: ControlPlane | None = None
    nodegroups: dict[str, Nodegroup] = field(default_factory=dict)
    addons: dict[str, Addon] = field(default_factory=dict)
    access: dict[str, AccessEntry] = field(default_factory=dict)
    associations: dict[str, Fields] = field(default_factory=dict)
    updates: list[Update] = field(default_factory=list)
    insights: dict[str, Fields] = field(default_factory=dict)
    refresh: Fields | None = None
    upgraded: tuple[str, datetime] | None = None  # the version before the last upgrade in place, and when
    network_interfaces: list[str] = field(default_factory=list)
    applied: dict[tuple[str, str], Mapping[str, Any]] = field(
        default_factory=dict
    )  # by kind and name: add-ons' objects
    self_managed: bool = True  # whether EKS installs vpc-cni, kube-proxy and coredns unasked
    deleted: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.fields["name"])

    @property
    def status(self) -> str:
        """Its status."""
        return str(self.fields["status"])

    @property
    def version(self) -> str:
        """The control plane's minor version."""
        return str(self.fields["version"])

    def nodegroup(self, name: str) -> Nodegroup:
        """The node group of that name, or a ResourceNotFoundException."""
        if name not in self.nodegroups:
            raise not_found(f"No node group found for name: {name}.", self.name, name)
        return self.nodegroups[name]

    def addon(self, name: str) -> Addon:
        """The add-on of that name, or a ResourceNotFoundException."""
        if name not in self.addons:
            raise not_found(f"No addon: {name} found in cluster: {self.name}", self.name, addon=name)
        return self.addons[name]


class Eks:
    """The EKS of one local cloud.

    Operations and lifecycles run under `lock`. Lifecycles run on one worker thread, in the order in which
    the clock calls them, because they talk to Kubernetes and the clock's own thread must not wait for that;
    a manual clock stands still meanwhile. What a control plane asks back (token reviews, access policies)
    and what load balancers ask only reads, and takes no lock.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.lock = threading.RLock()
        self.clusters: dict[str, Cluster] = {}
        self._tokens: dict[tuple[str, str], tuple[str, Any]] = {}
        self._random = random.Random(cloud.settings.seed)  # noqa: S311 - names of a simulation, not secrets
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="eks")
        self._starters = ThreadPoolExecutor(4, thread_name_prefix="eks-start")
        self._closed = False

    # time

    @property
    def now(self) -> datetime:
        """The virtual moment, in the milliseconds that EKS has."""
        moment = self.cloud.clock.now()
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def draw(self, operation: str) -> float:
        """Virtual seconds that one `operation` of the latency model takes."""
        return self.cloud.latency.seconds(operation)

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        """Do `work` under the lock once virtual `seconds` have gone by."""

        def fire() -> None:
            self._submit(self._worker, lambda: self._locked(work))

        self.cloud.clock.call_later(seconds, fire)

    def soon(self, work: Callable[[], None]) -> None:
        """Do `work` under the lock, after what is being done now."""
        self._submit(self._worker, lambda: self._locked(work))

    def aside(self, work: Callable[[], None]) -> None:
        """Do slow `work` without the lock; a manual clock waits for it."""
        self._submit(self._starters, work)

    def _locked(self, work: Callable[[], None]) -> None:
        with self.lock:
            work()

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[[], None]) -> None:
        if self._closed:
            return
        hold = self.cloud.clock.hold()

        def run() -> None:
            try:
                if not self._closed:
                    work()
            except Exception:  # one broken lifecycle must not end the others
                log.exception("work of EKS failed")
            finally:
                hold.release()

        try:
            pool.submit(run)
        except RuntimeError:  # closed meanwhile
            hold.release()

    def close(self) -> None:
        """Stop all work and every control plane."""
        self._closed = True
        for cluster in self.clusters.values():
            cluster.deleted = True  # a control plane that is still starting stops by itself
        self._worker.shutdown(wait=True)
        self._starters.shutdown(wait=True)
        for cluster in self.clusters.values():
            if cluster.plane:
                cluster.plane.stop()
        self.clusters.clear()

    # names

    def uuid(self) -> str:
        """A new identifier; one seed gives one sequence."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def hexadecimal(self, digits: int) -> str:
        """That many random hexadecimal digits."""
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    @staticmethod
    def arn(resource: str) -> str:
        """ARN of an EKS resource of this account."""
        return f"arn:aws:eks:{REGION}:{ACCOUNT}:{resource}"

    # lookups

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name, or a ResourceNotFoundException."""
        if name not in self.clusters:
            raise not_found(f"No cluster found for name: {name}.", name)
        return self.clusters[name]

    # failures to come

    def take_fault(self, kind: str, resource: str, cluster: str, name: str) -> LifecycleFault | None:
        """The injected failure that strikes this step, counted as such."""
        struck = self.cloud.pipeline.first(
            lambda fault: isinstance(fault, LifecycleFault) and fault.strikes(kind, resource, cluster, name)
        )
        return struck if isinstance(struck, LifecycleFault) else None

    # idempotency

    def remembered(self, operation: str, parameters: Mapping[str, Any]) -> Any | None:
        """What an earlier call with this client token made; the token is kept when its resource is gone."""
        token = parameters.get("clientRequestToken")
        if not token or (operation, token) not in self._tokens:
            return None
        digest, made = self._tokens[operation, token]
        if digest != _digest(parameters):
            message = f"The client request token {token} has been used before with other parameters."
            raise invalid_parameter(message)
        return made

    def remember(self, operation: str, parameters: Mapping[str, Any], made: Any) -> None:
        """Keep what a client token has made."""
        if token := parameters.get("clientRequestToken"):
            self._tokens[operation, token] = (_digest(parameters), made)


def _digest(parameters: Mapping[str, Any]) -> str:
    return json.dumps(parameters, sort_keys=True, default=str)


def shown(fields: Mapping[str, Any]) -> Fields:
    """A copy for an answer, so that later changes don't reach it."""
    return copy.deepcopy(dict(fields))


def paged(parameters: Mapping[str, Any], key: str, items: Iterable[Any]) -> Fields:
    """One page of `items` under `key`, by maxResults and nextToken."""
    everything: Sequence[Any] = list(items)
    start = _offset(parameters.get("nextToken"), len(everything))
    size = parameters.get("maxResults") or 100
    if not 1 <= int(size) <= 100:
        raise invalid_parameter("maxResults must be between 1 and 100")
    end = start + int(size)
    answer: Fields = {key: list(everything[start:end])}
    if end < len(everything):
        answer["nextToken"] = base64.urlsafe_b64encode(f"offset:{end}".encode()).decode()
    return answer


def _offset(token: str | None, length: int) -> int:
    if not token:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        offset = int(number)
    except (ValueError, UnicodeDecodeError) as err:
        raise invalid_parameter("The nextToken is not valid.") from err
    if word != "offset" or not 0 <= offset <= length:
        raise invalid_parameter("The nextToken is not valid.")
    return offset
