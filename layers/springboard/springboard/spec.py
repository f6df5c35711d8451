"""The environment that a person declares: `springboard/v1beta1`, strict, with defaults fit for production.

Values of AWS and Kubernetes stand verbatim, our own enumerations are PascalCase, and units are in the names
(`…Seconds`, `…GiB`). What admission resolves (version, digest, node ports, zone, hosts) is stored beside the
spec, never in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from springboard.fields import (
    Cidr,
    Configuration,
    Cpu,
    Day,
    EnvironmentName,
    Host,
    ImageName,
    InstanceTypeName,
    Label,
    Labels,
    LabelValue,
    Memory,
    MinorVersion,
    Namespace,
    NodeLabelKey,
    NodeLabels,
    PlainText,
    PrincipalArn,
    PublicCidr,
    RoleArn,
    SecretName,
    TimeZone,
    Variables,
)

if TYPE_CHECKING:
    from pydantic.fields import ComputedFieldInfo, FieldInfo

Weekday = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
Profile = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
Words = Annotated[PlainText, StringConstraints(min_length=1, max_length=500)]

API_VERSION: Final = "springboard/v1beta1"
KIND: Final = "Environment"


def _title(name: str, field: FieldInfo | ComputedFieldInfo) -> str:
    """A field's title in the schema is its name as users write it."""
    return field.alias or to_camel(name)


class Model(BaseModel):
    """Base of all parts of the spec: unknown fields are refused, nothing is coerced, nothing can change."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        field_title_generator=_title,
        hide_input_in_errors=True,  # what does not fit may be a password, and an error may be logged
    )


class Metadata(Model):
    """What names an environment."""

    name: EnvironmentName
    """DNS label of at most 24 characters; part of every derived name."""
    labels: Labels = {}
    """Become AWS tags on everything that carries tags, and labels to select by."""


class ApiAccess(Model):
    """Who reaches the Kubernetes API from outside the VPC."""

    public_cidrs: Annotated[list[PublicCidr], Field(max_length=40)] = []
    """Empty: the endpoint is private."""


class Access(Model):
    """An EKS access entry: a principal, a policy, and where it holds."""

    principal_arn: PrincipalArn
    policy: Literal[
        "AmazonEKSClusterAdminPolicy",
        "AmazonEKSAdminPolicy",
        "AmazonEKSAdminViewPolicy",
        "AmazonEKSEditPolicy",
        "AmazonEKSViewPolicy",
    ] = "AmazonEKSEditPolicy"
    namespaces: Annotated[list[Namespace], Field(max_length=20)] = []
    """Empty: the whole cluster."""


class Cluster(Model):
    """The EKS control plane."""

    min_version: MinorVersion | None = None
    """A floor, not a pin. Unset: EKS's own default at admission. The server never edits it."""
    support_type: Literal["STANDARD", "EXTENDED"] = "EXTENDED"
    """With STANDARD, AWS upgrades by itself at the end of standard support."""
    api_access: ApiAccess = ApiAccess()
    access: Annotated[list[Access], Field(max_length=50)] | None = None
    """Unset: the creator's role with AmazonEKSEditPolicy in the applications' namespace."""


class Taint(Model):
    """A taint of a managed node group, as EKS spells it."""

    key: NodeLabelKey
    value: LabelValue = ""
    effect: Literal["NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"]


class NodeGroup(Model):
    """An EKS managed node group."""

    name: Annotated[Label, Field(max_length=20)]
    instance_types: Annotated[list[InstanceTypeName], Field(min_length=1, max_length=20)] = ["m7i.large"]
    capacity_type: Literal["ON_DEMAND", "SPOT"] = "ON_DEMAND"
    size: Annotated[int, Field(ge=1, le=450)] = 3
    """Nodes; spread over the stack's Availability Zones."""
    disk_gi_b: Annotated[int, Field(ge=20, le=16384, alias="diskGiB")] = 50
    labels: NodeLabels = {}
    taints: Annotated[list[Taint], Field(max_length=20)] = []
    max_unavailable: Annotated[int, Field(ge=1, le=100)] = 1


# What every environment has, whether its spec names it or not.
BASE_ADDONS = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent", "coredns", "metrics-server")
DEFAULT_VERSION = "default"


class Addon(Model):
    """An EKS add-on beside the base set (vpc-cni, kube-proxy, eks-pod-identity-agent, coredns, metrics-server)."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    version: Annotated[
        str, StringConstraints(pattern=r"^(default|v[0-9]{1,4}(\.[0-9]{1,4}){2}-eksbuild\.[0-9]{1,4})$")
    ] = DEFAULT_VERSION
    """`default`: the default version for the cluster's Kubernetes version."""
    configuration: Configuration = {}
    """Configuration values, as DescribeAddonConfiguration's schema says."""


class Resources(Model):
    """Requests of each pod; the memory is its limit too."""

    cpu: Cpu = "500m"
    memory: Memory = "1Gi"


class Autoscaling(Model):
    """A HorizontalPodAutoscaler on CPU."""

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 2
    max_replicas: Annotated[int, Field(ge=1, le=1000)]
    target_cpu_percent: Annotated[int, Field(ge=10, le=95, alias="targetCPUPercent")] = 70


class Spring(Model):
    """What Springboard has to know of the Spring Boot application."""

    profiles: Annotated[list[Profile], Field(max_length=20)] = []
    startup_seconds: Annotated[int, Field(ge=10, le=1800)] = 300
    shutdown_seconds: Annotated[int, Field(ge=1, le=600)] = 20
    actuator_path: Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9_-]{1,40}){1,3}$")] = "/actuator"


class Security(Model):
    """The pods' security context; /tmp is an emptyDir."""

    run_as_user: Annotated[int, Field(ge=1, le=65534)] = 1000
    read_only_root_filesystem: bool = True


class App(Model):
    """One Spring application: a Deployment, a Service, a target group and an address."""

    name: Annotated[Label, Field(max_length=40)] | None = None
    """Unset: the environment's name (one application only)."""
    image: ImageName
    port: Annotated[int, Field(ge=1024, le=65535)] = 8080
    host: Host | None = None
    """Unset: {app}.{BaseDomain}, or {environment}.{BaseDomain} for a single application."""
    replicas: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Unset: 2, unless `autoscaling` is given."""
    autoscaling: Autoscaling | None = None
    resources: Resources = Resources()
    spring: Spring = Spring()
    env: Variables = {}
    """Plain values. Secrets are Kubernetes Secrets, named in envFromSecrets."""
    env_from_secrets: Annotated[list[SecretName], Field(max_length=20)] = []
    role_arn: RoleArn | None = None
    """An IAM role for the pods by EKS Pod Identity; under the stack's path for application roles."""
    security: Security = Security()


class Ingress(Model):
    """The load balancer in front of all applications of the environment."""

    hosted_zone_id: Annotated[str, StringConstraints(pattern=r"^Z[A-Z0-9]{1,31}$")] | None = None
    """Unset: the stack's zone."""
    certificate_arn: (
        Annotated[
            str, StringConstraints(pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9_-]+$")
        ]
        | None
    ) = None
    """Unset: Springboard requests one."""
    scheme: Literal["internet-facing", "internal"] = "internet-facing"
    allow_cidrs: Annotated[list[Cidr], Field(min_length=1, max_length=30)] = ["0.0.0.0/0"]
    """Two rules each, of the 60 that EC2 lets a security group have."""
    idle_timeout_seconds: Annotated[int, Field(ge=1, le=4000)] = 60
    access_logs: bool = False


class Window(Model):
    """When Springboard may upgrade by itself."""

    days: Annotated[list[Weekday], Field(min_length=1, max_length=7)] = ["Tue", "Wed"]
    start: Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "02:00"
    duration_hours: Annotated[int, Field(ge=2, le=24)] = 4
    time_zone: TimeZone = "UTC"
    """IANA name."""


class Exclusion(Model):
    """Days, both included, on which nothing is upgraded."""

    first: Day
    last: Day
    reason: Annotated[PlainText, StringConstraints(max_length=200)] = ""


class Waiver(Model):
    """Somebody takes a blocking upgrade insight upon themselves, until a day."""

    insight: Words
    reason: Words
    owner: Words
    until: Day


class Upgrades(Model):
    """How the environment is kept current."""

    minor: Literal["Manual", "Auto"] = "Manual"
    patch: Literal["Manual", "Auto"] = "Auto"
    target: Literal["BeforeStandardSupportEnds", "Latest", "Default"] = "BeforeStandardSupportEnds"
    approval: Literal["None", "Required"] = "None"
    bake_minutes: Annotated[int, Field(ge=0, le=1440)] = 30
    min_days_between: Annotated[int, Field(ge=0, le=365)] = 14
    waivers: Annotated[list[Waiver], Field(max_length=50)] = []
    window: Window = Window()
    exclusions: Annotated[list[Exclusion], Field(max_length=50)] = []


class EnvironmentSpec(Model):
    """What the environment should be."""

    deletion_protection: bool | None = None
    """Unset: true, and false where ttlHours is set. EKS's own flag too."""
    ttl_hours: Annotated[int, Field(ge=1, le=8760)] | None = None
    """Hours from creation until Springboard deletes the environment."""
    cluster: Cluster = Cluster()
    node_groups: Annotated[list[NodeGroup], Field(min_length=1, max_length=10)] = [NodeGroup(name="workers")]
    addons: Annotated[list[Addon], Field(max_length=30)] = []
    apps: Annotated[list[App], Field(min_length=1, max_length=10)]
    ingress: Ingress = Ingress()
    upgrades: Upgrades = Upgrades()
    drift: Literal["Report", "Repair"] = "Report"

    @property
    def protected(self) -> bool:
        """Whether deletion is refused."""
        return self.ttl_hours is None if self.deletion_protection is None else self.deletion_protection


class EnvironmentDocument(Model):
    """The whole file: what `springboard apply -f` sends."""

    api_version: Literal["springboard/v1beta1"] = API_VERSION
    kind: Literal["Environment"] = KIND
    metadata: Metadata
    spec: EnvironmentSpec


def schema() -> dict[str, Any]:
    """The JSON Schema of the document, for editors and GET /schema."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **EnvironmentDocument.model_json_schema(by_alias=True),
        "title": "Springboard environment",
    }
