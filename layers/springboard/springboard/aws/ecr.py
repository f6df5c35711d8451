"""Amazon ECR: what an image is, before a node pulls it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import urllib3

from springboard.aws.client import Adapter
from springboard.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_LARGEST_CONFIG = 4 * 1024 * 1024


@dataclass(frozen=True)
class Found:
    """An image in the registry; `architectures` is empty where the image says nothing of Linux."""

    digest: str
    architectures: frozenset[str]


class Ecr(Adapter):
    """Amazon ECR."""

    # A name that ECR calls invalid names nothing that is there.
    missing = frozenset(
        {
            "ImageNotFoundException",
            "InvalidParameterException",
            "LayersNotFoundException",
            "RepositoryNotFoundException",
        }
    )

    def image(
        self, repository: str, *, tag: str = "", digest: str = "", known: Mapping[str, str] | None = None
    ) -> Found | None:
        """The image of this account and region by digest, else by tag; None if there is none.

        An image index tells its platforms itself; a single image tells its architecture in its config blob, which is
        not read where the digest is `known` (digest → architecture).
        """
        image_id = {"imageDigest": digest} if digest else {"imageTag": tag}
        answer = self.find(
            "batch_get_image",
            repositoryName=repository,
            imageIds=[image_id],
            acceptedMediaTypes=[_MANIFEST, _OCI_MANIFEST, _LIST, _OCI_INDEX],
        )
        if not answer or not answer["images"]:
            return None
        found = answer["images"][0]
        manifest: dict[str, Any] = json.loads(found["imageManifest"])
        if "manifests" in manifest:
            architectures = _platforms(manifest)
        elif architecture := (known or {}).get(found["imageId"]["imageDigest"]):
            architectures = frozenset({architecture})
        else:
            architectures = self._configured(repository, str(manifest.get("config", {}).get("digest", "")))
        return Found(found["imageId"]["imageDigest"], architectures)

    def _configured(self, repository: str, blob: str) -> frozenset[str]:
        """The architecture in an image's config blob."""
        if not blob:
            return frozenset()
        answer = self.find("get_download_url_for_layer", repositoryName=repository, layerDigest=blob)
        if answer is None:
            return frozenset()
        config = json.loads(_download(answer["downloadUrl"]))
        architecture = config.get("architecture") if isinstance(config, dict) else None
        return frozenset({architecture}) if isinstance(architecture, str) else frozenset()


def _platforms(index: dict[str, Any]) -> frozenset[str]:
    """The Linux architectures of an index; entries of attestations have platform unknown."""
    platforms = [entry.get("platform", {}) for entry in index["manifests"]]
    return frozenset(str(each["architecture"]) for each in platforms if each.get("os") == "linux")


def _download(url: str) -> bytes:
    """A blob by the presigned address that ECR gave; it needs no credentials of ours.

    Whoever has the address can read the blob: the client's own retries would log it, and its errors tell it.
    """
    for last in (False, False, True):
        try:
            answer = urllib3.request(
                "GET", url, timeout=urllib3.Timeout(connect=3, read=10), retries=False, preload_content=False
            )
            data: bytes = answer.read(_LARGEST_CONFIG)
            break
        except urllib3.exceptions.HTTPError as err:
            if last:
                raise UnavailableError(f"the image's configuration could not be read: {type(err).__name__}") from None
    if answer.status != 200:
        raise UnavailableError(f"the image's configuration could not be read: HTTP {answer.status}")
    return data
