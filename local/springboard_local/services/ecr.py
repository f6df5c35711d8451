"""Elastic Container Registry, mended over moto: images have true digests, and their blobs can be fetched.

A client reads an image's architecture as on AWS: BatchGetImage for the manifest, GetDownloadUrlForLayer
for its config blob, a plain GET of that address. Images are seeded, because nobody pushes to a local cloud.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ecr import models as moto_ecr
from moto.ecr.responses import ECRResponse

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from springboard_local.cloud import Cloud

_mending = Mending()
_PREFIX = "/_ecr/"

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class LayersNotFoundError(ServiceException):  # type: ignore[misc]  # moto is untyped
    """No such blob in the repository."""

    code = "LayersNotFoundException"


@dataclass(frozen=True)
class Seed:
    """An image that is in the registry from the start."""

    repository: str
    tag: str
    architectures: tuple[str, ...]


def digest_of(content: bytes) -> str:
    """The content address of a blob or manifest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _layer(text: str) -> tuple[bytes, str]:
    """A layer with one small file, and the digest of its uncompressed form."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("workspace/README")
        entry.size = len(text.encode())
        archive.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(buffer.getvalue(), mtime=0), digest_of(buffer.getvalue())


class Registry(moto_ecr.ECRBackend):  # type: ignore[misc]  # moto is untyped
    """moto's backend of one account and region, mended."""

    cloud: ClassVar[Cloud]
    seeds: ClassVar[dict[tuple[str, str], Seed]] = {}

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.blobs: dict[str, dict[str, bytes]] = {}  # repository → digest → content
        if (account_id, region_name) == (ACCOUNT, REGION):
            for seed in self.seeds.values():
                self.add_seed(seed)

    def add_seed(self, seed: Seed) -> None:
        """Put an image there as if it had been pushed; one with that tag stays."""
        if seed.repository not in self.repositories:
            self.create_repository(seed.repository, None, {}, None, "MUTABLE", [])
        if any(seed.tag in image.image_tags for image in self.repositories[seed.repository].images):
            return
        manifests = [(architecture, self._add_manifest(seed, architecture)) for architecture in seed.architectures]
        if len(manifests) == 1:
            self.put_image(seed.repository, manifests[0][1].decode(), seed.tag)
            return
        entries = []
        for architecture, manifest in manifests:
            self.put_image(seed.repository, manifest.decode(), None)
            entries.append(
                {
                    "mediaType": MANIFEST,
                    "digest": digest_of(manifest),
                    "size": len(manifest),
                    "platform": {"architecture": architecture, "os": "linux"},
                }
            )
        index = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
        self.put_image(seed.repository, index.decode(), seed.tag)

    def _add_manifest(self, seed: Seed, architecture: str) -> bytes:
        layer, layer_id = _layer(f"{seed.repository}:{seed.tag} for {architecture}, an image of the local cloud\n")
        config = _json(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"User": "1000", "Entrypoint": ["/cnb/process/web"], "WorkingDir": "/workspace"},
                "rootfs": {"type": "layers", "diff_ids": [layer_id]},
            }
        )
        for blob in (layer, config):
            self._add_blob(seed.repository, blob)
        return _json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
                "layers": [{"mediaType": LAYER, "digest": digest_of(layer), "size": len(layer)}],
            }
        )

    def _add_blob(self, repository: str, content: bytes) -> str:
        digest = digest_of(content)
        self.blobs.setdefault(repository, {})[digest] = content
        self.repositories[repository].layers[digest] = len(content)
        return digest

    def put_image(
        self,
        repository_name: str,
        image_manifest: str,
        image_tag: str | None,
        image_manifest_mediatype: str | None = None,
        digest: str | None = None,
    ) -> Any:
        """Put an image under the digest of its manifest."""
        self._get_repository(repository_name)
        true_digest = digest_of(image_manifest.encode())
        if digest not in {None, true_digest}:
            raise ServiceException(
                "ImageDigestDoesNotMatchException",
                f"The image digest '{digest}' does not match the calculated digest '{true_digest}'",
            )
        image = super().put_image(repository_name, image_manifest, image_tag, image_manifest_mediatype, true_digest)
        image.image_pushed_at = self.cloud.clock.now()
        return image

    def complete_layer_upload(
        self, repository_name: str, upload_id: str, layer_digests: list[str], registry_id: str | None = None
    ) -> dict[str, Any]:
        """Keep an uploaded blob's content."""
        upload = self._get_repository(repository_name, registry_id).uploads.get(upload_id)
        content = bytes(upload.layer_parts) if upload else b""
        answer: dict[str, Any] = super().complete_layer_upload(repository_name, upload_id, layer_digests, registry_id)
        self._add_blob(repository_name, content)
        return answer

    def batch_get_image(
        self, repository_name: str, registry_id: str | None = None, image_ids: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """Manifests by tag or digest; each that is not there is a failure."""
        repository = self._get_repository(repository_name, registry_id)
        images, failures = [], []
        for wanted in image_ids or []:
            image = _find(repository, wanted)
            if image is None:
                failures.append(
                    {
                        "imageId": wanted,
                        "failureCode": "ImageNotFound",
                        "failureReason": "Requested image not found",
                    }
                )
                continue
            images.append(
                {
                    "registryId": repository.registry_id,
                    "repositoryName": repository.name,
                    "imageId": {**wanted, "imageDigest": image.get_image_digest()},
                    "imageManifest": image.image_manifest,
                    "imageManifestMediaType": image.image_manifest_media_type,
                }
            )
        return {"images": images, "failures": failures}

    def describe_images(
        self, repository_name: str, registry_id: str | None = None, image_ids: list[dict[str, str]] | None = None
    ) -> list[Any]:
        """Images in the order asked for, each once."""
        repository = self._get_repository(repository_name, registry_id)
        if not image_ids:
            return list(repository.images)
        found = [repository._get_image(each.get("imageTag"), each.get("imageDigest")) for each in image_ids]
        return list({image.get_image_digest(): image for image in found}.values())

    def download_url(self, repository_name: str, digest: str, registry_id: str | None) -> str:
        """The address that a blob's content can be fetched from."""
        repository = self._get_repository(repository_name, registry_id)
        if digest not in self.blobs.get(repository_name, {}):
            raise LayersNotFoundError(
                f"The layer with digest '{digest}' does not exist in the repository with name '{repository_name}' "
                f"in the registry with id '{repository.registry_id}'"
            )
        return f"{self.cloud.endpoint}{_PREFIX}blobs/{digest}"

    def delete_repository(self, repository_name: str, registry_id: str | None = None, force: bool = False) -> Any:  # noqa: FBT001, FBT002 - moto's signature
        """Delete a repository and its blobs."""
        repository = super().delete_repository(repository_name, registry_id, force)
        self.blobs.pop(repository_name, None)
        return repository


def _find(repository: Any, wanted: dict[str, str]) -> Any:
    """The image that has both the tag and the digest wanted, where given."""
    for image in repository.images:
        tag, digest = wanted.get("imageTag"), wanted.get("imageDigest")
        if (tag is None or tag in image.image_tags) and (digest is None or digest == image.get_image_digest()):
            return image
    return None


def _get_download_url_for_layer(response: Any) -> ActionResult:
    digest = response._get_param("layerDigest")
    url = response.ecr_backend.download_url(
        response._get_param("repositoryName"), digest, response._get_param("registryId")
    )
    return ActionResult({"downloadUrl": url, "layerDigest": digest})


def _serve_blob(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """WSGI: a blob by its digest, as behind the addresses that GetDownloadUrlForLayer hands out."""
    digest = environ.get("PATH_INFO", "").removeprefix(f"{_PREFIX}blobs/")
    for _, _, backend in list(moto_ecr.ecr_backends.iter_backends()):
        for blobs in list(backend.blobs.values()):
            if digest in blobs:
                content: bytes = blobs[digest]
                headers = [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(content)))]
                start_response("200 OK", headers)
                return [content]
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return [b""]


def parse(image: str) -> tuple[str, str]:
    """Repository and tag of an image of the local registry; ValueError for any other."""
    host, _, rest = image.partition("/")
    repository, _, tag = rest.partition(":")
    if host != f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com" or not repository or not tag:
        raise ValueError(f"{image} is not REPOSITORY:TAG in {ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com")
    return repository, tag


def seed(cloud: Cloud, images: Iterable[str], architectures: Sequence[str] = ("amd64",)) -> None:
    """Put `images` into the local registry, for good: they are there again after a reset.

    With more than one architecture an image is a multi-architecture index.
    """
    del cloud
    registry = moto_ecr.ecr_backends[ACCOUNT][REGION]
    for image in images:
        repository, tag = parse(image)
        Registry.seeds[repository, tag] = Seed(repository, tag, tuple(architectures))
        registry.add_seed(Registry.seeds[repository, tag])


def install(cloud: Cloud) -> None:
    """Mend moto's ecr for `cloud`."""
    close(cloud)
    Registry.cloud = cloud
    _mending.backend(moto_ecr.ecr_backends, Registry)
    _mending.replace(ECRResponse, get_download_url_for_layer=_get_download_url_for_layer)
    cloud.mount(_PREFIX, _serve_blob)


def close(cloud: Cloud) -> None:
    """Forget the seeds and give moto its own backend back. Idempotent."""
    del cloud
    Registry.seeds.clear()
    _mending.undo()
