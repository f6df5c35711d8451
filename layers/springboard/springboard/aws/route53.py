"""Amazon Route 53."""

from __future__ import annotations

from springboard.aws.client import Adapter


class Route53(Adapter):
    """Amazon Route 53."""

    missing = frozenset({"NoSuchHostedZone", "NoSuchChange"})
