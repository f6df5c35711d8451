"""What the OpenAPI document says is what is served: schemathesis writes requests from it and finds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from api import routes
from api.app import respond
from api.openapi import BODIES
from tests.steps.api.fakes import FakeWorld, document, event
from tests.steps.api.gateway import SIGNED, application

if TYPE_CHECKING:
    from collections.abc import Callable

# All but the document itself, which schemathesis reads and does not call.
OPERATIONS = [
    f"{method} {path.template}" for path in routes.PATHS for method in path.methods if path.template != "/openapi.json"
]
# What a request that fits the schema may meet beside success: a document is judged by more than its shape (the image
# has to exist, the host to be in the zone, the pods to fit on the nodes), and a precondition may not hold.
SEMANTIC = ["2xx", "404", "409", "412", "422", "428"]
# JSON that no parser may be troubled with is refused before anything is read: NUL, half a surrogate pair.
UNREADABLE = ["400", *SEMANTIC]
SAMPLES = [pytest.param(15, marks=pytest.mark.slow), pytest.param(150, marks=pytest.mark.sweep)]
# Those that take more than a name can be asked wrongly.
ASKED_WRONGLY = [
    f"{method} {path.template}"
    for path in routes.PATHS
    for method in path.methods
    if method != "GET" or path.queries[method]
]
# Not checked: whether a made-up token is refused. SigV4 can't be made up from the document; other tests send
# signatures that are wrong.
LEFT_OUT = {"ignored_auth"}


def world() -> FakeWorld:
    """One environment that is Ready, and one that is being made."""
    made = FakeWorld()
    for name in ("shop", "market"):
        assert respond(made, event("POST", "/environments", document(name, deletionProtection=False)))  # type: ignore[arg-type]
    made.finish("shop")
    return made


def searched(schema: Any, label: str, mode: GenerationMode, examples: int, call: Callable[[Any], None]) -> int:
    """Call for many cases of an operation, the same ones each time; how many there were."""
    [operation] = [each.ok() for each in schema.get_all_operations() if each.ok().label == label]
    count = 0

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def search(case: Any) -> None:
        nonlocal count
        count += 1
        call(case)

    search()
    return count


def served(app: Any, accepted: list[str]) -> Any:
    """The schema as the application serves it."""
    return checked(schemathesis.openapi.from_wsgi("/openapi.json", app, headers=SIGNED), accepted)


def checked(schema: Any, accepted: list[str]) -> Any:
    """The schema with every check that schemathesis has; `accepted` is what requests that fit it may meet."""
    schema.config.checks.update(
        included_check_names=[each.__name__ for each in CHECKS.get_all() if each.__name__ not in LEFT_OUT]
    )
    schema.config.checks.positive_data_acceptance.expected_statuses = accepted
    schema.config.checks.negative_data_rejection.expected_statuses = ["4xx"]
    schema.config.generation.update(with_security_parameters=False)  # all calls are signed
    return schema


def sent_whole(case: Any) -> bool:
    """An empty list among the query parameters is not sent at all: nothing would be wrong with the request."""
    return not any(value in ([], {}) for value in (case.query or {}).values())


def signed(case: Any) -> None:
    """Call and check."""
    assume(sent_whole(case))
    case.call_and_validate(headers=SIGNED)


@pytest.mark.parametrize("examples", SAMPLES)
@pytest.mark.parametrize("label", OPERATIONS)
def test_schemathesis_finds_nothing_where_requests_fit_the_document(label: str, examples: int) -> None:
    schema = served(application(world()), UNREADABLE if label in BODIES else SEMANTIC)
    assert searched(schema, label, GenerationMode.POSITIVE, examples, signed) > 0


@pytest.mark.parametrize("examples", SAMPLES)
@pytest.mark.parametrize("label", ASKED_WRONGLY)
def test_schemathesis_finds_nothing_where_requests_do_not_fit_the_document(label: str, examples: int) -> None:
    schema = served(application(world()), SEMANTIC)
    assert searched(schema, label, GenerationMode.NEGATIVE, examples, signed) > 0


def test_b13_without_a_signature_nothing_is_told() -> None:
    """Not even whether there is such an environment."""
    schema = served(application(world()), SEMANTIC)
    operations = [each.ok() for each in schema.get_all_operations()]
    assert len(operations) > 10
    for operation in operations:
        for name in ("shop", "nowhere"):
            case = operation.Case(path_parameters={"name": name, "id": "x"})
            response = case.call()
            assert (response.status_code, response.json()) == (403, {"message": "Forbidden"})
