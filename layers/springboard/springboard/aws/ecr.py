"""Amazon ECR."""

from __future__ import annotations

from springboard.aws.client import Adapter


class Ecr(Adapter):
    """Amazon ECR."""

    missing = frozenset({"RepositoryNotFoundException", "ImageNotFoundException"})
