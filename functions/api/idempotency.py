"""Idempotency-Key: a POST that is sent again is answered again, and done once."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING

from springboard.errors import SpringboardError
from springboard.problems import Problem
from springboard.store.table import Answer as SavedAnswer

from .answers import Answer
from .log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from springboard.runtime import World

    from .requests import Request


KEY = r"[\x21-\x7e]{1,128}"
_KEY = re.compile(KEY)


def once(world: World, request: Request, act: Callable[[], Answer]) -> Answer:
    """The saved answer to an equal POST with the same key, or what `act` answers now.

    Refusals are not saved: they did nothing, and what they found may be mended.
    """
    key = _key(request)
    if key is None:
        return act()
    saved = world.store.answer(key)
    if saved is not None:
        if saved.body_hash != request.body_hash:
            raise Problem(
                422,
                "IdempotencyKeyReused",
                "this Idempotency-Key came with another body before",
                "use a new key for a new request",
            )
        return Answer(saved.status, json.loads(saved.body), saved.headers)
    answer = act()
    if answer.status < 300:
        try:
            body = json.dumps(answer.document)
            world.store.save_answer(
                key, SavedAnswer(request.body_hash, answer.status, answer.headers, body), request.now
            )
        except SpringboardError:  # what was asked for has been done; only the repetition is at stake
            logger.exception("the answer could not be kept", request_id=request.id)
    return answer


def entropy(request: Request) -> bytes:
    """What the ids of this request are made of: its key and body where it has a key, otherwise chance.

    So a request whose answer was lost finds what it made when it is sent again.
    """
    key = _key(request)
    if key is None:
        return os.urandom(32)
    return hashlib.sha256(f"{key}/{request.body_hash}".encode()).digest()


def _key(request: Request) -> str | None:
    """The key hashed with the caller and the path, so that nobody meets another's; None where there is none."""
    given = request.headers.get("idempotency-key")
    if given is None or request.method != "POST" or request.dry_run:
        return None
    if not _KEY.fullmatch(given):
        raise Problem(
            400, "InvalidHeader", "Idempotency-Key is malformed", "send 1 to 128 printable ASCII characters, no spaces"
        )
    return hashlib.sha256(f"{request.caller}\x00{request.path}\x00{given}".encode()).hexdigest()
