"""What an image is, as Amazon ECR tells it: manifests, indexes, config blobs behind a presigned address."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from springboard.aws.ecr import Ecr, Found
from springboard.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGEST = "sha256:" + "a" * 64
BLOB = "sha256:" + "b" * 64
CANARY = "canary-7d1e02"
SINGLE = {"schemaVersion": 2, "config": {"digest": BLOB}, "layers": []}


class Blobs(BaseHTTPRequestHandler):
    """Serves config blobs by path."""

    def do_GET(self) -> None:
        if self.path.startswith("/broken"):
            self.close_connection = True
            return
        body = {"/amd64": b'{"architecture": "amd64", "os": "linux"}', "/odd": b"[]"}.get(self.path)
        self.send_response(200 if body is not None else 403)
        self.end_headers()
        self.wfile.write(body or b"<Error/>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def blobs() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Blobs)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


class Client:
    """boto3's client of ECR, with one image."""

    def __init__(self, manifest: dict[str, Any] | None, url: str = "", error: str = "") -> None:
        self.manifest, self.url, self.error = manifest, url, error
        self.asked: list[dict[str, Any]] = []

    def batch_get_image(self, **parameters: Any) -> dict[str, Any]:
        self.asked.append(parameters)
        if self.error:
            raise ClientError({"Error": {"Code": self.error, "Message": "no"}}, "BatchGetImage")
        if self.manifest is None:
            return {"images": [], "failures": [{"failureCode": "ImageNotFound"}]}
        return {"images": [{"imageId": {"imageDigest": DIGEST}, "imageManifest": json.dumps(self.manifest)}]}

    def get_download_url_for_layer(self, **parameters: Any) -> dict[str, Any]:
        assert parameters["layerDigest"] == BLOB
        return {"downloadUrl": self.url}


def test_a_single_image_tells_its_architecture_in_its_config(blobs: str) -> None:
    client = Client(SINGLE, f"{blobs}/amd64")
    assert Ecr(client).image("shop", tag="1.4.2") == Found(DIGEST, frozenset({"amd64"}))
    assert client.asked[0]["imageIds"] == [{"imageTag": "1.4.2"}]


def test_a_digest_goes_before_a_tag(blobs: str) -> None:
    client = Client(SINGLE, f"{blobs}/amd64")
    Ecr(client).image("shop", tag="1.4.2", digest=DIGEST)
    assert client.asked[0]["imageIds"] == [{"imageDigest": DIGEST}]


def test_an_index_lists_its_platforms() -> None:
    manifest = {
        "manifests": [
            {"platform": {"os": "linux", "architecture": "amd64"}},
            {"platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
            {"platform": {"os": "windows", "architecture": "riscv"}},
            {"platform": {"os": "unknown", "architecture": "unknown"}},
        ]
    }
    assert Ecr(Client(manifest)).image("shop", tag="1") == Found(DIGEST, frozenset({"amd64", "arm64"}))


@pytest.mark.parametrize(
    "error", ["", "RepositoryNotFoundException", "ImageNotFoundException", "InvalidParameterException"]
)
def test_what_is_not_there(error: str) -> None:
    assert Ecr(Client(None, error=error)).image("shop", tag="1") is None


def test_a_config_that_says_nothing(blobs: str) -> None:
    assert Ecr(Client(SINGLE, f"{blobs}/odd")).image("shop", tag="1") == Found(DIGEST, frozenset())
    assert Ecr(Client({"config": {}})).image("shop", tag="1") == Found(DIGEST, frozenset())


def test_an_address_that_opens_a_blob_is_told_nobody(blobs: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not by the client's own log between two tries, and not by what an error came from, which the API logs too."""
    caplog.set_level(logging.INFO)
    with pytest.raises(UnavailableError) as caught:
        Ecr(Client(SINGLE, f"{blobs}/broken?X-Amz-Signature={CANARY}")).image("shop", tag="1")
    told = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "could not be read" in told
    assert CANARY not in told


def test_a_blob_that_cannot_be_read(blobs: str) -> None:
    with pytest.raises(UnavailableError, match="HTTP 403"):
        Ecr(Client(SINGLE, f"{blobs}/expired")).image("shop", tag="1")
