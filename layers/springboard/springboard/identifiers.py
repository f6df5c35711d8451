"""Identifiers: ULIDs, which sort by the moment they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CROWD = 16  # characters of a ULID that tell apart what was made in the same millisecond


def ulid(at: datetime, entropy: bytes) -> str:
    """26 characters: 48 bits of milliseconds, then the first 80 bits of `entropy`.

    The same moment and entropy make the same ULID; whoever wants chance passes `os.urandom(10)`.
    """
    if len(entropy) < 10:
        raise ValueError("a ULID takes 10 bytes of entropy")
    milliseconds = int(at.timestamp() * 1000)
    number = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(entropy[:10], "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def same_entropy(first: str, second: str) -> bool:
    """Whether two ULIDs were made of the same entropy, at whatever moments."""
    return first[-_CROWD:] == second[-_CROWD:]
