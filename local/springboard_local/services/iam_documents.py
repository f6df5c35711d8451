"""IAM where moto is in the way: documents without Version, AWS's own policies, policies in use.

A document without Version is of the oldest version, and valid; SAM's policy templates are written so.
AWS's 1,500 managed policies are read once in a process, not again for each emptied account.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from moto.iam.exceptions import DeleteConflictException
from moto.iam.models import IAMBackend
from moto.iam.policy_validation import BaseIAMPolicyValidator

from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Callable

    from springboard_local.cloud import Cloud

_mending = Mending()
_policies: list[Any] = []


def _validate_version(validate: Callable[[Any], None]) -> Callable[[Any], None]:
    def validated(self: Any) -> None:
        if "Version" in self._policy_json:
            validate(self)

    return validated


def _init_aws_policies(read: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    def policies(self: Any) -> list[Any]:
        if not _policies:
            _policies.extend(read(self))
        # Counters of attachments are each account's own; the documents never change.
        return [copy.copy(policy) for policy in _policies]

    return policies


def _delete_policy(self: Any, policy_arn: str) -> None:
    """Refuse while a user, group or role has the policy."""
    policy = self.get_policy(policy_arn)
    if policy.attachment_count:
        raise DeleteConflictException("Cannot delete a policy attached to entities.")
    del self.managed_policies[policy.arn]


def install(_cloud: Cloud) -> None:
    """Mend moto's IAM."""
    _mending.undo()
    _mending.replace(
        BaseIAMPolicyValidator, _validate_version=_validate_version(BaseIAMPolicyValidator._validate_version)
    )
    _mending.replace(IAMBackend, _init_aws_policies=_init_aws_policies(IAMBackend._init_aws_policies))
    _mending.replace(IAMBackend, delete_policy=_delete_policy)


def close(_cloud: Cloud) -> None:
    """Take the mending back. Idempotent."""
    _mending.undo()
