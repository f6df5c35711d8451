"""The API's log: one JSON object per line, in ASCII, so that nothing that was sent can begin a line of its own."""

from __future__ import annotations

import json
from functools import partial

from aws_lambda_powertools import Logger

logger = Logger(service="api", json_serializer=partial(json.dumps, ensure_ascii=True, default=str))
