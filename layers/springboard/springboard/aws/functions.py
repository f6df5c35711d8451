"""AWS Lambda: the component functions, asked what they observe."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from springboard.aws.client import Adapter
from springboard.errors import SpringboardError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Functions(Adapter):
    """AWS Lambda: the component functions, asked what they observe."""

    missing = frozenset({"ResourceNotFoundException"})

    def ask(self, functions: Mapping[str, str], event: Mapping[str, Any], seconds: float) -> dict[str, dict[str, Any]]:
        """What each function (name → function name) answers to `event`; all at once, `seconds` in all.

        One that fails, or is late, answers {"unknown": why}: a question must not fail because one could not
        be answered.
        """
        if not functions:
            return {}
        pool = ThreadPoolExecutor(max_workers=len(functions), thread_name_prefix="ask")
        asked = {name: pool.submit(self._ask, function, event) for name, function in functions.items()}
        wait(asked.values(), timeout=seconds)
        pool.shutdown(wait=False, cancel_futures=True)
        late = {"unknown": f"no answer within {seconds:g} s"}
        return {
            name: future.result() if future.done() and not future.cancelled() else late
            for name, future in asked.items()
        }

    def _ask(self, function: str, event: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer = self.call("invoke", FunctionName=function, Payload=json.dumps(event).encode())
            value = json.loads(answer["Payload"].read() or b"null")
        except SpringboardError as err:
            return {"unknown": err.message}
        except ValueError:
            return {"unknown": "the answer was no JSON"}
        if "FunctionError" in answer:
            kind = value.get("errorType", "error") if isinstance(value, dict) else "error"
            said = value.get("errorMessage", "") if isinstance(value, dict) else ""
            return {"unknown": f"{kind}: {said}"[:500]}
        return value if isinstance(value, dict) else {"unknown": "the answer was no object"}
