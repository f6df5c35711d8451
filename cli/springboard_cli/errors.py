"""What ends a command early, with the exit code that scripts can count on."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Exit(enum.IntEnum):
    """Exit codes; part of the contract, `springboard --help` lists them."""

    OK = 0
    FAILED = 1
    INVALID = 2
    TIMED_OUT = 3
    NOT_AUTHORISED = 4
    NOT_FOUND = 5
    CONFLICT = 6
    INTERRUPTED = 130


@dataclass(frozen=True)
class Mistake:
    """One mistake in a document; `place` is its line and column in the file, where there is a file."""

    field: str
    message: str
    remedy: str = ""
    value: str = ""
    place: str = ""


class CommandError(Exception):
    """A command that can't go on: what is wrong, and what the reader can do."""

    def __init__(
        self, message: str, remedy: str = "", *, code: Exit = Exit.FAILED, mistakes: tuple[Mistake, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code
        self.mistakes = mistakes


class NotFoundError(CommandError):
    """The API knows no such environment for this caller."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy, code=Exit.NOT_FOUND)
