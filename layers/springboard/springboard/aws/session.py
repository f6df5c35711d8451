"""Credentials and clients, as boto3's session gives them, from botocore alone.

Importing boto3 brings the S3 transfer manager along, a third of a function's cold start, and nothing here
transfers to S3. The names are boto3's, so that tests may pass one of its sessions instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import botocore.session

if TYPE_CHECKING:
    from botocore.config import Config


class Session(Protocol):
    """What we use of a session."""

    @property
    def region_name(self) -> str:
        """The region of clients that name none."""

    @property
    def events(self) -> Any:
        """Botocore's event system, which signers need."""

    def client(
        self, service: str, *, region_name: str | None = None, endpoint_url: str | None = None, config: Any = None
    ) -> Any:
        """A client of a service."""

    def get_credentials(self) -> Any:
        """Credentials, refreshed by themselves; None if there are none."""


class BotocoreSession:
    """A session with what the environment says: in Lambda, the function's role and region."""

    def __init__(self) -> None:
        self._session = botocore.session.get_session()

    @property
    def region_name(self) -> str:
        """The region of clients that name none."""
        return str(self._session.get_config_variable("region"))

    @property
    def events(self) -> Any:
        """Botocore's event system."""
        return self._session.get_component("event_emitter")

    def client(
        self,
        service: str,
        *,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        config: Config | None = None,
    ) -> Any:
        """A client of a service, by boto3's name of it."""
        return self._session.create_client(service, region_name, endpoint_url=endpoint_url, config=config)

    def get_credentials(self) -> Any:
        """Credentials; None if there are none."""
        return self._session.get_credentials()
