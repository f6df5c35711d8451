"""S3 where moto would lie: it reads bucket policies without their conditions.

A policy that denies requests without TLS, as SAM's own bucket has it, would deny everything. The pipeline
has asked the bucket's policy already, conditions included, so moto is not to ask it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from springboard_local.cloud import Cloud

_mending = Mending()


def _get_permission(_self: Any, _action: str, _resource: str) -> Any:
    return PermissionResult.PERMITTED


def install(_cloud: Cloud) -> None:
    """Mend moto's S3."""
    _mending.undo()
    _mending.replace(FakeBucket, get_permission=_get_permission)


def close(_cloud: Cloud) -> None:
    """Take the mending back. Idempotent."""
    _mending.undo()
