"""One DNS question: which name servers the world is led to for a zone."""

from __future__ import annotations

import secrets
import socket
import struct
from pathlib import Path

_NS, _IN = 2, 1
_SECONDS = 3.0


def name_servers(zone: str) -> frozenset[str] | None:
    """The NS records of a zone as this machine's resolver answers, in lower case without the last dot.

    None where no resolver answers; empty where it says that there are none.
    """
    for resolver in _resolvers():
        try:
            return _ask(resolver, zone)
        except (OSError, ValueError, IndexError, struct.error):
            continue
    return None


def _resolvers() -> list[str]:
    try:
        lines = Path("/etc/resolv.conf").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    return [parts[1] for line in lines if (parts := line.split())[:1] == ["nameserver"] and len(parts) > 1]


def _ask(resolver: str, zone: str) -> frozenset[str]:
    identity = secrets.randbits(16)
    family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.settimeout(_SECONDS)
        link.connect((resolver, 53))
        link.send(question(zone, identity))
        return answer(link.recv(4096), identity)


def question(zone: str, identity: int) -> bytes:
    """The datagram that asks for a zone's name servers, recursion desired."""
    labels = [label.encode("idna") for label in zone.rstrip(".").split(".")]
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack(">6H", identity, 0x0100, 1, 0, 0, 0) + name + struct.pack(">2H", _NS, _IN)


def answer(datagram: bytes, identity: int) -> frozenset[str]:
    """The name servers in an answer; ValueError if it is no answer to that question."""
    got, flags, questions, answers, *_ = struct.unpack_from(">6H", datagram)
    if got != identity or not flags & 0x8000 or flags & 0x000F not in {0, 3}:
        raise ValueError("no answer to this question")
    offset = 12
    for _ in range(questions):
        _, offset = _name(datagram, offset)
        offset += 4
    found = set()
    for _ in range(answers):
        _, offset = _name(datagram, offset)
        kind, _, _, length = struct.unpack_from(">2HIH", datagram, offset)
        offset += 10
        if kind == _NS:
            found.add(_name(datagram, offset)[0])
        offset += length
    return frozenset(found)


def _name(datagram: bytes, offset: int) -> tuple[str, int]:
    """A possibly compressed name, and where what follows it begins."""
    labels: list[str] = []
    end = 0
    for _ in range(128):  # pointers could run in a circle
        length = datagram[offset]
        if length >= 0xC0:
            end = end or offset + 2
            offset = ((length & 0x3F) << 8) | datagram[offset + 1]
        elif length:
            labels.append(datagram[offset + 1 : offset + 1 + length].decode("ascii", "replace").lower())
            offset += 1 + length
        else:
            return ".".join(labels), end or offset + 1
    raise ValueError("a name without an end")
