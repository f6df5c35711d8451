"""An image's architecture is read as on AWS: manifest, address of the config blob, plain GET."""

from __future__ import annotations

import hashlib
import importlib
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.local.elb.scenario import Account

REGISTRY = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"


def seed(account: Account, image: str, *architectures: str) -> None:
    ecr = importlib.import_module("springboard_local.services.ecr")  # imports moto: only once the cloud runs
    ecr.seed(account.cloud, [f"{REGISTRY}/{image}"], architectures or ("amd64",))


def manifest(account: Account, repository: str, **image: str) -> dict[str, Any]:
    answer = account.ecr.batch_get_image(repositoryName=repository, imageIds=[image])
    assert answer["failures"] == []
    [found] = answer["images"]
    digest = hashlib.sha256(found["imageManifest"].encode()).hexdigest()
    assert found["imageId"]["imageDigest"] == f"sha256:{digest}"
    parsed: dict[str, Any] = json.loads(found["imageManifest"])
    assert parsed["mediaType"] == found["imageManifestMediaType"]
    return parsed


def config(account: Account, repository: str, parsed: dict[str, Any]) -> dict[str, Any]:
    assert parsed["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    digest = parsed["config"]["digest"]
    url = account.ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=digest)["downloadUrl"]
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the local cloud's own address
        content = answer.read()
    assert digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    found: dict[str, Any] = json.loads(content)
    return found


def test_the_config_blob_tells_the_architecture(account: Account) -> None:
    seed(account, "single:1.0", "arm64")
    found = config(account, "single", manifest(account, "single", imageTag="1.0"))
    assert (found["architecture"], found["os"]) == ("arm64", "linux")


def test_an_index_names_an_image_per_architecture(account: Account) -> None:
    seed(account, "multi:1.0", "amd64", "arm64")
    index = manifest(account, "multi", imageTag="1.0")
    for entry in index["manifests"]:
        found = config(account, "multi", manifest(account, "multi", imageDigest=entry["digest"]))
        assert found["architecture"] == entry["platform"]["architecture"]
    details = account.ecr.describe_images(repositoryName="multi", imageIds=[{"imageTag": "1.0"}])["imageDetails"]
    assert details[0]["imageTags"] == ["1.0"]


def test_what_is_not_there_fails_as_on_aws(account: Account) -> None:
    seed(account, "shop:1.0")
    nothing = "sha256:" + "0" * 64
    answer = account.ecr.batch_get_image(
        repositoryName="shop", imageIds=[{"imageTag": "2.0"}, {"imageDigest": nothing}]
    )
    assert [(each["failureCode"], each["imageId"]) for each in answer["failures"]] == [
        ("ImageNotFound", {"imageTag": "2.0"}),
        ("ImageNotFound", {"imageDigest": nothing}),
    ]
    with pytest.raises(ClientError, match="ImageNotFoundException"):
        account.ecr.describe_images(repositoryName="shop", imageIds=[{"imageTag": "2.0"}])
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        account.ecr.batch_get_image(repositoryName="nobodys", imageIds=[{"imageTag": "1"}])
    with pytest.raises(ClientError, match="LayersNotFoundException"):
        account.ecr.get_download_url_for_layer(repositoryName="shop", layerDigest=nothing)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{account.cloud.endpoint}/_ecr/blobs/{nothing}", timeout=5)  # noqa: S310 - as above


def test_seeded_images_survive_a_reset(account: Account) -> None:
    seed(account, "kept:1.0")
    before = manifest(account, "kept", imageTag="1.0")
    account.cloud.reset()
    assert manifest(account, "kept", imageTag="1.0") == before


@pytest.mark.parametrize("image", ["shop:1.0", f"{REGISTRY}/shop", "999999999999.dkr.ecr.eu-west-1.amazonaws.com/a:1"])
def test_only_images_of_the_local_registry_are_seeded(account: Account, image: str) -> None:
    ecr = importlib.import_module("springboard_local.services.ecr")
    with pytest.raises(ValueError, match="is not REPOSITORY:TAG"):
        ecr.seed(account.cloud, [image])
