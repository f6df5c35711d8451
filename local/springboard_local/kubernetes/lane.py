"""What the local EKS asks of a Kubernetes control plane, whichever lane serves it.

Two lanes implement it: *embedded* (pure Python, the default) and *real* (kube-apiserver and friends).
All methods may be called from any thread and return only when the change is visible to API clients.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class User:
    """Who a bearer token stands for, as the token webhook of EKS answers."""

    username: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Attributes:
    """One request, as an authorizer sees it. `resource` carries a subresource as `pods/log`."""

    user: User
    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""  # non-resource requests only


class TokenReviewer(Protocol):
    """Authentication: the user of a bearer token, or None for a 401."""

    def __call__(self, token: str) -> User | None:
        """Who `token` stands for."""


class AccessPolicies(Protocol):
    """Authorization beside RBAC: whether an EKS access policy of the user allows the request."""

    def __call__(self, attributes: Attributes) -> bool:
        """Whether a policy says yes; False leaves the word to RBAC."""


@dataclass(frozen=True)
class NodeSpec:
    """One EC2 instance that joins as a node."""

    name: str  # private DNS name, ip-10-0-1-23.eu-west-1.compute.internal
    internal_ip: str
    provider_id: str  # aws:///eu-west-1a/i-0123456789abcdef0
    instance_type: str
    zone: str
    region: str
    kubelet_version: str  # v1.35.2-eks-1234567
    cpu: str  # "2"
    memory: str  # "7934Mi"
    pods: int
    architecture: str = "amd64"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class Backend:
    """One pod that a NodePort leads to. `reason` says why it isn't ready, "" if it is."""

    namespace: str
    pod: str
    node: str
    ip: str
    ready: bool
    reason: str
    admits_vpc: bool  # whether NetworkPolicies let traffic from node addresses reach the port
    image: str = ""


@dataclass(frozen=True)
class Eviction:
    """How one eviction ended: "evicted", "gone", or "blocked" by the named PodDisruptionBudget."""

    namespace: str
    pod: str
    outcome: str
    budget: str = ""


class ControlPlane(Protocol):
    """One cluster's API server and controllers."""

    @property
    def endpoint(self) -> str:
        """The address clients use, https://127.0.0.1:PORT."""

    @property
    def certificate_authority(self) -> bytes:
        """The cluster's CA certificate, PEM."""

    @property
    def version(self) -> str:
        """The minor version it serves, "1.35"."""

    def set_version(self, version: str) -> None:
        """Serve another minor on the same endpoint, all objects kept."""

    def add_node(self, node: NodeSpec, *, ready: bool, reason: str = "") -> None:
        """Create the Node (NotReady with `reason` unless `ready`); idempotent by name."""

    def set_node_ready(self, name: str, *, ready: bool, reason: str = "") -> None:
        """Change the Ready condition; pods are scheduled to ready nodes alone."""

    def cordon(self, name: str, *, unschedulable: bool = True) -> None:
        """Mark a node unschedulable, or schedulable again."""

    def evict(self, name: str) -> list[Eviction]:
        """Try once to evict each pod of a node (DaemonSet pods stay) through the eviction API."""

    def remove_node(self, name: str) -> None:
        """Delete the Node and the pods bound to it; one that is gone already is fine."""

    def nodes(self) -> list[dict[str, Any]]:
        """All Node objects as JSON."""

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Server-side apply as field manager `eks`, conflicts forced (add-ons, EKS's own objects)."""

    def delete(self, manifest: Mapping[str, Any]) -> None:
        """Delete the object that the manifest names; one that is gone already is fine."""

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """One object as JSON, or None."""

    def backends(self, node_port: int) -> list[Backend]:
        """The pods behind a Service's NodePort; empty when no Service has that port."""

    def inject(self, condition: Mapping[str, Any]) -> None:
        """Make something go wrong, for tests, or end it.

        {"kind": "Image"|"Pod"|"Node", "match": glob, "reason": …, "message": …, "log": …} with a reason such as
        ImagePullBackOff, CrashLoopBackOff, OOMKilled, NotReady; reason "" ends it. An Image is matched by its
        reference, a Pod by namespace/name. {"kind": "Api", "match": "PATCH /apis/apps/v1/*", "reason":
        "ServiceUnavailable", "times": 3} fails requests by method and path: Unreachable, Unauthorized, Forbidden,
        Conflict, TooManyRequests, InternalError, ServiceUnavailable or Timeout, until ended where there is no
        `times`, after `skip` of them; KillBefore and KillAfter end the function's process that asks, once, before or
        after the request is served. The embedded lane alone has it. ValueError for a kind or reason not known.
        """

    def stop(self) -> None:
        """End the server and everything it started; its port is free afterwards. Idempotent."""


class Lane(Protocol):
    """Starts control planes."""

    def start(
        self,
        name: str,
        version: str,
        *,
        review: TokenReviewer,
        allow: AccessPolicies,
        pod_start: Callable[[], float],
        service_cidr: str = "172.20.0.0/16",
        kill: Callable[[str], None] | None = None,
    ) -> ControlPlane:
        """A new control plane for cluster `name`, serving `version` ("1.35") when this returns.

        `pod_start` draws the virtual seconds from a pod's binding to its readiness; `kill` ends the process that has
        an access key, for faults of the API that say so.
        """

    def close(self) -> None:
        """Stop all that this lane started."""
