"""Replacing parts of moto in place, and putting the originals back."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Mending:
    """Changes made to moto's classes by one service module; `undo` takes them all back."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def replace(self, owner: Any, **attributes: Any) -> None:
        """Set attributes on a class (or module) of moto, remembering what was there."""
        for name, value in attributes.items():
            if name in vars(owner):
                self._undo.append(functools.partial(setattr, owner, name, vars(owner)[name]))
            else:
                self._undo.append(functools.partial(delattr, owner, name))
            setattr(owner, name, value)

    def backend(self, backends: Any, mended: type) -> None:
        """Let `backends` make `mended` backends from now on; those that exist are dropped."""
        original = backends.backend
        # moto finds a backend's paths by the name of the module that its class is in.
        urls = importlib.import_module(original.__module__.removesuffix("models") + "urls")
        mended._url_module = property(lambda _: urls)  # type: ignore[attr-defined]  # moto's private name

        def put_back() -> None:
            backends.backend = original
            backends.clear()

        self._undo.append(put_back)
        backends.backend = mended
        backends.clear()

    def undo(self) -> None:
        """Take the changes back, last one first. Idempotent."""
        while self._undo:
            self._undo.pop()()
