"""The processes of the lane: started in one process group that does not outlive this process."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from springboard_local.kubernetes.real.toolchain import Toolchain

_GRACE_SECONDS = 5.0


class Child:
    """One process that runs until it is stopped."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.log = log

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def ended(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it at once: nothing here keeps anything that a kill could spoil. Idempotent."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(_GRACE_SECONDS)

    def last_words(self, lines: int = 6) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return "\n".join(text[-lines:])


class Processes:
    """Starts processes that die with this one, even when it is killed.

    They are in the process group of a guard, which ends the group once the pipe to its standard input is closed: the
    kernel does that whatever this process dies of, on Linux and macOS alike.
    """

    def __init__(self, tools: Toolchain) -> None:
        self._lock = threading.Lock()
        self._guard = subprocess.Popen(  # noqa: S603 - our own program
            [str(tools.program("front")), "guard"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0
        )
        self._children: list[Child] = []

    def start(self, command: Sequence[str | Path], log: Path, descriptors: Sequence[int] = ()) -> Child:
        """Start a process whose output goes to the file `log`. It inherits `descriptors` under their own numbers."""
        with self._lock, log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - programs that we have built
                [str(each) for each in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=descriptors,
                process_group=self._guard.pid,
                env={"PATH": os.defpath, "GOGC": "50", "GOMEMLIMIT": "150MiB"},
            )
            child = Child(process, log)
            self._children.append(child)
        return child

    def forget(self, child: Child) -> None:
        """Stop a process that is not needed any more."""
        child.stop()
        with self._lock:
            if child in self._children:
                self._children.remove(child)

    def close(self) -> None:
        """Stop all of them, the last first. Idempotent."""
        with self._lock:
            children, self._children = self._children, []
        for child in reversed(children):
            child.stop()
        if self._guard.stdin:
            self._guard.stdin.close()
        self._guard.wait(_GRACE_SECONDS)
