"""Amazon EC2 Auto Scaling."""

from __future__ import annotations

from springboard.aws.client import Adapter


class AutoScaling(Adapter):
    """Amazon EC2 Auto Scaling."""

    missing = frozenset()
