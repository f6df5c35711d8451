"""moto's server application, with what its own front end gets wrong for us set right."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def application() -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """A WSGI application that serves every service moto has."""
    dispatcher = DomainDispatcherApplication(_application_of)
    # It lists a folder of 200 services for each request.
    dispatcher.get_backend_for_host = cache(dispatcher.get_backend_for_host)
    served: Callable[[dict[str, Any], Any], Iterable[bytes]] = dispatcher
    return served


def _application_of(service: str) -> Any:
    app = create_backend_app(service)
    # Exceptions have to reach the pipeline, which answers them in the service's own protocol.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app
