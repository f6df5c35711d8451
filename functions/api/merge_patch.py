"""JSON Merge Patch (RFC 7396)."""

from __future__ import annotations

from typing import Any


def apply(target: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON value
    """`target` with `patch` merged into it: null removes, arrays are replaced; neither argument changes."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = apply(merged.get(key), value)
    return merged
