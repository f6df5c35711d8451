"""Policy documents where moto is stricter than IAM: one without Version is of the oldest version, and valid.

SAM's policy templates are written so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.iam.policy_validation import BaseIAMPolicyValidator

from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Callable

    from springboard_local.cloud import Cloud

_mending = Mending()


def _validate_version(validate: Callable[[Any], None]) -> Callable[[Any], None]:
    def validated(self: Any) -> None:
        if "Version" in self._policy_json:
            validate(self)

    return validated


def install(_cloud: Cloud) -> None:
    """Mend moto's IAM."""
    _mending.undo()
    original = BaseIAMPolicyValidator._validate_version
    _mending.replace(BaseIAMPolicyValidator, _validate_version=_validate_version(original))


def close(_cloud: Cloud) -> None:
    """Take the mending back. Idempotent."""
    _mending.undo()
