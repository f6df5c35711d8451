"""One etcd for all clusters of a cloud; each has a prefix of its own."""

from __future__ import annotations

import base64
import json
import shutil
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from springboard_local.kubernetes.real.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from springboard_local.kubernetes.real.processes import Processes
    from springboard_local.kubernetes.real.toolchain import Toolchain

_START_SECONDS = 30.0
_ATTEMPTS = 3


class Etcd:
    """An etcd that keeps nothing beyond its own life, so it may skip fsync. Loopback alone reaches it."""

    def __init__(self, tools: Toolchain, processes: Processes, folder: Path) -> None:
        self.url = ""
        for attempt in range(_ATTEMPTS):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            client, peer = free_ports(2)
            self.url, peers = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
            command: list[str | Path] = [
                tools.etcd,
                f"--data-dir={folder / 'data'}",
                f"--listen-client-urls={self.url}",
                f"--advertise-client-urls={self.url}",
                f"--listen-peer-urls={peers}",
                f"--initial-advertise-peer-urls={peers}",
                f"--initial-cluster=default={peers}",
                "--unsafe-no-fsync",
                "--log-level=warn",
                "--auto-compaction-mode=revision",
                "--auto-compaction-retention=5000",
            ]
            child = processes.start(command, folder / "etcd.log")
            deadline = time.monotonic() + _START_SECONDS
            while child.ended() is None and time.monotonic() < deadline:
                if self._healthy():
                    return
                time.sleep(0.02)
            processes.forget(child)
            if attempt == _ATTEMPTS - 1:
                raise RuntimeError(f"etcd did not start: {child.last_words()}")

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:  # noqa: S310 - loopback
                return bool(json.load(answer)["health"] == "true")
        except (OSError, ValueError, KeyError):
            return False

    def forget(self, prefix: str) -> None:
        """Remove all keys below `prefix`/. Nothing is said when etcd has ended already."""
        first, last = f"{prefix}/".encode(), f"{prefix}0".encode()  # "0" follows "/"
        body = {"key": base64.b64encode(first).decode(), "range_end": base64.b64encode(last).decode()}
        request = urllib.request.Request(f"{self.url}/v3/kv/deleterange", json.dumps(body).encode(), method="POST")  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - loopback
                pass
        except urllib.error.URLError:
            return
