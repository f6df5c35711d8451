"""AWS Lambda: the component functions, asked what they observe."""

from __future__ import annotations

from springboard.aws.client import Adapter


class Functions(Adapter):
    """AWS Lambda: the component functions, asked what they observe."""

    missing = frozenset({"ResourceNotFoundException"})
