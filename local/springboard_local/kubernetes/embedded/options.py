"""The options in a request's query: which are refused, and in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.errors import Cause, invalid_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KINDS = {
    "create": "CreateOptions",
    "update": "UpdateOptions",
    "patch": "PatchOptions",
    "delete": "DeleteOptions",
    "deletecollection": "DeleteOptions",
    "list": "ListOptions",
    "watch": "ListOptions",
}
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_MATCHES = ("", "Exact", "NotOlderThan")


def check_options(verb: str, query: Mapping[str, str]) -> None:
    """ApiError 422 for a query that no server takes."""
    kind = _KINDS.get(verb)
    if kind is None:
        return
    mistakes = list(_list_mistakes(query, watch=verb == "watch") if kind == "ListOptions" else _write_mistakes(query))
    if mistakes:
        raise invalid_options(kind, mistakes)


def _write_mistakes(query: Mapping[str, str]) -> Iterator[Cause]:
    dry_run, validation = query.get("dryRun", ""), query.get("fieldValidation", "")
    if dry_run not in ("", "All"):
        text = f'Unsupported value: ["{dry_run}"]: supported values: "All"'
        yield Cause("dryRun", "FieldValueNotSupported", text)
    if validation not in _VALIDATIONS:
        choices = ", ".join(f'"{each}"' for each in _VALIDATIONS)
        text = f'Unsupported value: "{validation}": supported values: {choices}'
        yield Cause("fieldValidation", "FieldValueNotSupported", text)


def _list_mistakes(query: Mapping[str, str], *, watch: bool) -> Iterator[Cause]:
    match, version = query.get("resourceVersionMatch", ""), query.get("resourceVersion", "")
    field, initial = "resourceVersionMatch", query.get("sendInitialEvents") == "true"

    def no(rule: str, where: str = field) -> Cause:
        return Cause(where, "FieldValueForbidden", f"Forbidden: {rule}")

    if watch and initial:
        if match != "NotOlderThan":
            yield no("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        return
    if match and watch:
        yield no("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
        if match != "NotOlderThan":
            text = f'Unsupported value: "{match}": supported values: "NotOlderThan"'
            yield Cause(field, "FieldValueNotSupported", text)
    elif match and not version:
        yield no("resourceVersionMatch is forbidden unless resourceVersion is provided")
    elif match and query.get("continue"):
        yield no("resourceVersionMatch is forbidden when continue is provided")
    elif match not in _MATCHES:
        text = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
        yield Cause(field, "FieldValueNotSupported", text)
    elif match == "Exact" and version == "0":
        yield no('resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
