"""Container image names, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

_REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
DIGEST = r"sha256:[0-9a-f]{64}"
_TAG = re.compile(TAG)
_DIGEST = re.compile(DIGEST)
_REGISTRY = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?")
_ECR = re.compile(r"(?P<account>[0-9]{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")
# Where instances find credentials and metadata; an image pull must never go there.
_METADATA = re.compile(
    r"(169\.254\.\d{1,3}\.\d{1,3}|metadata\.google\.internal|localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0)(:\d+)?"
)
_EXAMPLE = "write registry/repository:tag, as 111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop:1.4.2"


class ImageError(ValueError):
    """Why a text names no image that may be run, and what to write instead."""

    def __init__(self, message: str, remedy: str = _EXAMPLE) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True)
class Image:
    """registry/repository, with a tag or a digest or both."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """registry/repository, as allow-lists match it."""
        return f"{self.registry}/{self.repository}"

    @property
    def ecr(self) -> tuple[str, str] | None:
        """(account, region) of a private ECR registry; None for any other."""
        found = _ECR.fullmatch(self.registry)
        return (found["account"], found["region"]) if found else None

    def pinned(self, digest: str) -> str:
        """The same image by digest, so that a tag that moves moves nothing."""
        return f"{self.name}@{digest}"


def parse(text: str) -> Image:
    """The image that a text names; ImageError says what is wrong with it."""
    if not text.isascii() or any(character <= " " or character == "\x7f" for character in text):
        raise ImageError("an image name has printable ASCII characters only, and no spaces")
    if "://" in text:
        raise ImageError("an image name has no scheme", "leave https:// out: registry/repository:tag")
    rest, at, digest = text.partition("@")
    registry, _, path = rest.partition("/")
    if at and not _DIGEST.fullmatch(digest):
        if "/" in digest or not path:
            raise ImageError("an image name has no user information", "pull secrets are not part of an image name")
        raise ImageError("the digest is malformed", "write @sha256: and 64 hexadecimal digits")
    _check_registry(registry, path)
    repository, colon, tag = path.rpartition(":") if ":" in path else (path, "", "")
    if not _REPOSITORY.fullmatch(repository):
        raise ImageError("the repository is malformed", "repositories are lower-case: registry/team/shop:1.4.2")
    if colon and not _TAG.fullmatch(tag):
        raise ImageError("the tag is malformed", "tags have letters, digits, _ . - and at most 128 characters")
    if not tag and not digest:
        raise ImageError("the image has neither tag nor digest", "name the version to run: …:1.4.2 or …@sha256:…")
    return Image(registry, repository, tag, digest)


def _check_registry(registry: str, path: str) -> None:
    """A registry is named outright: a name without one would come from Docker Hub, unasked."""
    if not path or not ("." in registry or ":" in registry or registry == "localhost"):
        raise ImageError("the image names no registry")
    if _METADATA.fullmatch(registry):
        raise ImageError("the registry is an address of the machine itself", "name a registry that all nodes reach")
    if not _REGISTRY.fullmatch(registry):
        raise ImageError("the registry is malformed")
