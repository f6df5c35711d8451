"""The API's log."""

from __future__ import annotations

from springboard import log

logger = log.logger("api")
