"""The served document against the served API: gateway, signatures, the function with its role, the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, override

import pytest
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import assume
from requests.auth import AuthBase
from schemathesis import GenerationMode

from springboard_local.cloud import DEVELOPER_ACCESS_KEY, DEVELOPER_SECRET_KEY, REGION
from tests.steps.api import test_openapi as document_tests
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from tests.steps.flow.springboard import Springboard


class Signed(AuthBase):
    """Signs as a developer does."""

    @override
    def __call__(self, r: Any) -> Any:
        request = AWSRequest(r.method, r.url, data=r.body, headers={"Content-Type": r.headers.get("Content-Type", "")})
        SigV4Auth(Credentials(DEVELOPER_ACCESS_KEY, DEVELOPER_SECRET_KEY), "execute-api", REGION).add_auth(request)
        r.headers.update(dict(request.headers.items()))
        return r


@pytest.mark.sweep
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fits", "does-not-fit"])
@pytest.mark.parametrize("label", document_tests.ASKED_WRONGLY)
def test_schemathesis_finds_nothing_behind_the_gateway(
    springboard: Springboard, label: str, mode: GenerationMode
) -> None:
    if springboard.call("GET", "/environments/shop").status == 404:
        assert springboard.apply(document("shop")).phase == "Ready"
    before = inventory(springboard.client)
    described = springboard.call("GET", "/openapi.json").document
    schema = document_tests.checked(schemathesis.openapi.from_dict(described), [*document_tests.UNREADABLE, "403"])

    def call(case: Any) -> None:
        assume(document_tests.sent_whole(case))
        case.call_and_validate(base_url=springboard.outputs["ApiUrl"], auth=Signed())

    assert document_tests.searched(schema, label, mode, 25, call) > 0
    assert inventory(springboard.client) == before
