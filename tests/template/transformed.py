"""What CloudFormation gets: the template after the SAM transform, its artifacts somewhere in S3."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from springboard_local.services import sam
from tests.template import source

BUCKET = "artifacts"


@cache
def template() -> str:
    """template.yaml, packaged and transformed, as JSON."""
    return json.dumps(sam.transform(_packaged(), {"BaseDomain": "dev.example.com"}), indent=1)


def _packaged() -> dict[str, Any]:
    """What `sam package` does: local paths become addresses."""
    document = source.parse(source.text("template.yaml"))
    document["Globals"]["Function"]["CodeUri"] = f"s3://{BUCKET}/functions"
    places = {
        "AWS::Serverless::LayerVersion": ("ContentUri", f"s3://{BUCKET}/layer"),
        "AWS::Serverless::StateMachine": ("DefinitionUri", f"s3://{BUCKET}/machine"),
        "AWS::CloudFormation::Stack": ("TemplateURL", f"https://{BUCKET}.s3.amazonaws.com/network"),
    }
    for resource in document["Resources"].values():
        if resource["Type"] in places:
            name, address = places[resource["Type"]]
            resource["Properties"][name] = address
    return document
