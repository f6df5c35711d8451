"""What one deployment of the stack has in common for all its environments."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """The stack's own resources and parameters, read from the functions' environment once at start."""

    account: str
    region: str
    partition: str
    prefix: str  # of every name, so that two stacks can share an account
    base_domain: str
    hosted_zone_id: str  # "" where every spec brings its own
    vpc_id: str
    vpc_cidrs: tuple[str, ...]
    private_subnet_ids: tuple[str, ...]
    public_subnet_ids: tuple[str, ...]
    api_access_security_group_id: str  # on every control plane; admits 443 from the workload function
    cluster_role_arn: str
    node_role_arn: str
    workload_role_arn: str  # of WorkloadFunction, which alone talks to Kubernetes
    addon_role_arns: tuple[tuple[str, str], ...]  # (add-on, role) for Pod Identity; the CNI's above all
    secrets_key_arn: str  # KMS key for Kubernetes secrets
    app_role_path: str  # IAM path under which operators keep roles for applications: /springboard-apps/
    log_retention_days: int
    schedule_group: str
    schedule_role_arn: str
    ttl_function_arn: str
    drift_function_arn: str
    schedule_dlq_arn: str
    alarm_topic_arn: str
    access_logs_bucket: str  # "" where access logs are not offered
    allowed_registries: tuple[str, ...] = ()  # beside this account's ECR; globs over registry/repository
    ownership: str = "role"  # or "shared"
    stack_name: str = "springboard"
    any_zone: bool = False  # whether a spec may name another hosted zone than the stack's
