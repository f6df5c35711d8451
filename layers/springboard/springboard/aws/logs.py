"""Amazon CloudWatch Logs."""

from __future__ import annotations

from springboard.aws.client import Adapter


class Logs(Adapter):
    """Amazon CloudWatch Logs."""

    missing = frozenset({"ResourceNotFoundException"})
