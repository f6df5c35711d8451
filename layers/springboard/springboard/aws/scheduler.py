"""Amazon EventBridge Scheduler."""

from __future__ import annotations

from springboard.aws.client import Adapter


class Scheduler(Adapter):
    """Amazon EventBridge Scheduler."""

    missing = frozenset({"ResourceNotFoundException"})
