"""moto's server application, with what its own front end gets wrong for us set right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def application() -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """A WSGI application that serves every service moto has."""
    dispatcher: Callable[[dict[str, Any], Any], Iterable[bytes]] = DomainDispatcherApplication(_application_of)
    return dispatcher


def _application_of(service: str) -> Any:
    app = create_backend_app(service)
    # Exceptions have to reach the pipeline, which answers them in the service's own protocol.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app
