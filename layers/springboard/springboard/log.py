"""The functions' logs: one JSON object per line, in ASCII: nothing that was sent can begin a line of its own."""

from __future__ import annotations

import json
from functools import partial

from aws_lambda_powertools import Logger


def logger(service: str) -> Logger:
    """The logger of a service, with times in UTC; of one service there is one, however often it is asked for."""
    return Logger(service=service, utc=True, json_serializer=partial(json.dumps, ensure_ascii=True, default=str))
