"""The API's function behind WSGI, as the gateway puts it behind HTTP: for tools that test what is served."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from api.app import respond
from tests.steps.api.fakes import ACCOUNT, ALICE, NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.steps.api.fakes import FakeWorld


# Signatures are the gateway's business, and tested there: here one word stands for a good one.
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 good"}


def application(world: FakeWorld) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """A WSGI application; who signs is Alice."""

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        if request.headers.get("Authorization") != SIGNED["Authorization"]:  # the gateway asks no function then
            forbidden: Iterable[bytes] = Response('{"message":"Forbidden"}', 403, content_type="application/json")(
                environ, start_response
            )
            return forbidden
        body = request.get_data()
        event = {
            "rawPath": environ["RAW_PATH"] if "RAW_PATH" in environ else environ["REQUEST_URI"].partition("?")[0],
            "rawQueryString": environ.get("QUERY_STRING", ""),
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "requestContext": {
                "stage": "$default",
                "requestId": "request-1",
                "timeEpoch": int(NOW.timestamp() * 1000),
                "authorizer": {"iam": {"userArn": ALICE, "accountId": ACCOUNT}},
                "http": {"method": request.method, "path": request.path},
            },
            "isBase64Encoded": bool(body),
            **({"body": base64.b64encode(body).decode()} if body else {}),
        }
        answer = respond(world, event)  # type: ignore[arg-type] # a fake world
        answered: Iterable[bytes] = Response(answer["body"], answer["statusCode"], answer["headers"])(
            environ, start_response
        )
        return answered

    return serve
