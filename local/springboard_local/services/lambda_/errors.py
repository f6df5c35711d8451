"""What can go wrong around an invocation, apart from what the function itself answers."""

from __future__ import annotations


class Throttled(Exception):  # noqa: N818 - AWS's word for it
    """No worker may be started or none came free: TooManyRequestsException at the API."""

    def __init__(self, reason: str) -> None:
        super().__init__("Rate Exceeded.")
        self.reason = reason


class WorkerKilled(BaseException):
    """The worker that runs in this thread was ended by a fault; the function sees it as its own death."""
