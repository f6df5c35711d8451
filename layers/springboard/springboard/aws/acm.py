"""AWS Certificate Manager."""

from __future__ import annotations

from springboard.aws.client import Adapter


class Acm(Adapter):
    """AWS Certificate Manager."""

    missing = frozenset({"ResourceNotFoundException"})
