"""The committed JSON Schema, which editors read, is the one of the models.

To write it anew: `.venv/bin/python -m tests.unit.test_schema_file`.
"""

from __future__ import annotations

import json
from pathlib import Path

from springboard import spec

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "environment.schema.json"


def rendered() -> str:
    return json.dumps(spec.schema(), indent=2) + "\n"


def test_the_committed_schema_is_current() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == rendered()


if __name__ == "__main__":
    SCHEMA.write_text(rendered(), encoding="utf-8")
