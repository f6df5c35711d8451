"""Amazon EKS."""

from __future__ import annotations

from springboard.aws.client import Adapter


class Eks(Adapter):
    """Amazon EKS."""

    missing = frozenset({"ResourceNotFoundException"})
