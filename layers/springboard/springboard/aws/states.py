"""AWS Step Functions."""

from __future__ import annotations

from springboard.aws.client import Adapter


class States(Adapter):
    """AWS Step Functions."""

    missing = frozenset({"ExecutionDoesNotExist"})
