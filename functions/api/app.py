"""The edge of the API: one event in, one answer out, one log line about both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard import problems
from springboard.errors import SpringboardError
from springboard.runtime import Handler

from . import answers, idempotency, requests, routes
from .log import logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard.runtime import World


def respond(world: World, event: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one event; whatever goes wrong becomes a problem document."""
    request_id = str(event["requestContext"].get("requestId", ""))
    caller = ""
    variables: Mapping[str, str] = {}
    try:
        request = requests.read(event)
        caller = request.caller
        route, variables = routes.find(request)
        answer = idempotency.once(world, request, lambda: route(world, request, variables))
    except problems.Problem as refusal:
        answer = answers.of_problem(refusal, request_id)
    except SpringboardError as err:
        problem = problems.problem(err)
        if problem.status >= 500:
            logger.exception("the request failed", request_id=request_id)
        answer = answers.of_problem(problem, request_id)
    except Exception:  # noqa: BLE001 - the edge: whatever breaks is logged and answered
        logger.exception("the request broke", request_id=request_id)
        answer = answers.of_problem(
            problems.Problem(
                500, "InternalError", "Springboard failed to answer", f"look for {request_id} in the API's log"
            ),
            request_id,
        )
    http = event["requestContext"]["http"]
    # JSON escapes what a path or an ARN could smuggle into a line of its own.
    logger.info(
        "answered",
        request_id=request_id,
        method=str(http["method"])[:20],
        path=str(event.get("rawPath", ""))[:300],
        caller=caller,
        status=answer.status,
        extra=_about(variables, answer),
    )
    return answer.payload()


def _about(variables: Mapping[str, str], answer: answers.Answer) -> dict[str, str]:
    """The environment's name, and the operation that was asked for or has begun, where a request is about one."""
    document = answer.document if isinstance(answer.document, dict) else {}
    about = document if document.get("kind") == "Environment" and answer.status < 300 else {}
    begun = about.get("status", {}).get("operation", {}) if answer.status == 202 else {}
    name = variables.get("name") or about.get("metadata", {}).get("name", "")
    operation = variables.get("id") or begun.get("id", "")
    return {
        **({"environment": str(name)[:100]} if name else {}),
        **({"operation": str(operation)[:100]} if operation else {}),
    }


handler = Handler(respond)
