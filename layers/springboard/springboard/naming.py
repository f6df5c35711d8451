"""Every derived name, each inside the limit of the service that carries it.

Names are deterministic, so that a step that was killed finds what it made. Limits (characters): EKS cluster
100, load balancer and target group 32, security group 255, launch template 128, schedule 64, execution 80,
IAM role 64, DNS label 63, alarm 255 (AWS documentation, 2026-11).
"""

from __future__ import annotations

import base64
import hashlib

MAX_ENVIRONMENT = 24
MAX_PREFIX = 12


def short_hash(*parts: str) -> str:
    """8 characters [a-z2-7] that tell these parts from any others."""
    digest = hashlib.sha256("\x00".join(parts).encode()).digest()
    return base64.b32encode(digest)[:8].decode().lower()


def cluster(prefix: str, name: str) -> str:
    """The EKS cluster: {prefix}-{name}."""
    return f"{prefix}-{name}"


def thirty_two(prefix: str, name: str, uid: str, part: str) -> str:
    """A name of at most 32 characters: {prefix}-{name≤12}-{hash8(uid, part)}.

    The prefix stays whole, because IAM policies grant by it; the name gives way.
    """
    room = min(12, 32 - len(prefix) - 10)
    return f"{prefix}-{name[:room].rstrip('-')}-{short_hash(uid, part)}"


def load_balancer(prefix: str, name: str, uid: str) -> str:
    """The environment's application load balancer (≤ 32)."""
    return thirty_two(prefix, name, uid, "load-balancer")


def target_group(prefix: str, name: str, uid: str, app: str, port: int) -> str:
    """The target group of one application on one NodePort (≤ 32)."""
    return thirty_two(prefix, name, uid, f"target-group/{app}/{port}")


def alb_security_group(prefix: str, name: str, uid: str) -> str:
    """The load balancer's security group."""
    return f"{prefix}-{name}-alb-{short_hash(uid)}"


def node_ingress_security_group(prefix: str, name: str, uid: str) -> str:
    """The security group that lets the load balancer reach the NodePorts."""
    return f"{prefix}-{name}-node-ingress-{short_hash(uid)}"


def launch_template(prefix: str, name: str, uid: str, node_group: str) -> str:
    """The launch template of one managed node group (≤ 128)."""
    return f"{prefix}-{name}-{node_group}-{short_hash(uid)}"


def ttl_schedule(prefix: str, name: str, uid: str) -> str:
    """The schedule that deletes an environment at the end of its life (≤ 64)."""
    return f"{prefix}-{name}-ttl-{short_hash(uid)}"


def window_schedule(prefix: str, name: str, uid: str) -> str:
    """The schedule that opens the maintenance window (≤ 64)."""
    return f"{prefix}-{name}-window-{short_hash(uid)}"


def drift_schedule(prefix: str, name: str, uid: str) -> str:
    """The schedule that looks for drift (≤ 64)."""
    return f"{prefix}-{name}-drift-{short_hash(uid)}"


def alarm(prefix: str, name: str, uid: str, what: str) -> str:
    """A CloudWatch alarm of the environment."""
    return f"{prefix}-{name}-{short_hash(uid)}-{what}"


def dashboard(prefix: str, name: str, uid: str) -> str:
    """The CloudWatch dashboard of the environment."""
    return f"{prefix}-{name}-{short_hash(uid)}"


def log_group(prefix: str, name: str) -> str:
    """The control plane's log group, as EKS names it."""
    return f"/aws/eks/{cluster(prefix, name)}/cluster"


def token(uid: str, operation: str, attempt: int, what: str) -> str:
    """An idempotency token (64 hexadecimal characters; ACM's, of 32, takes the first half)."""
    return hashlib.sha256(f"{uid}/{operation}/{attempt}/{what}".encode()).hexdigest()


OWNER_TAG = "springboard:environment"  # value: the environment's uid
NAME_TAG = "springboard:name"
STACK_TAG = "springboard:stack"


def owner_tags(stack: str, name: str, uid: str) -> dict[str, str]:
    """The tags by which we know our own, on all that can carry tags."""
    return {OWNER_TAG: uid, NAME_TAG: name, STACK_TAG: stack}
