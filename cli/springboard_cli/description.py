"""What `describe` and `why` print, as lines. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard_cli import progress, times
from springboard_cli.terminal import columns, counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    type Json = dict[str, Any]

_LABEL = 14  # width of the labels of the first section


def of(document: Json, now: datetime) -> Iterator[str]:
    """An environment in sections, as kubectl describes things."""
    yield from _head(document, now)
    yield from _cluster(document)
    yield from _apps(document)
    yield from _table(
        "Node groups",
        ("NAME", "INSTANCE TYPES", "CAPACITY", "SIZE", "DISK"),
        (
            (
                group["name"],
                ",".join(group.get("instanceTypes", ())),
                group.get("capacityType", ""),
                group.get("size", ""),
                f"{group.get('diskGiB', '')} GiB",
            )
            for group in document["spec"].get("nodeGroups", ())
        ),
    )
    yield from _table(
        "Conditions",
        ("TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"),
        (
            (
                each["type"],
                each["status"],
                times.age(each["lastTransitionTime"], now),
                each.get("reason", ""),
                each.get("message", ""),
            )
            for each in document["status"].get("conditions", ())
        ),
    )
    yield from _operation(document, now)
    yield from _drift(document)


def explanation(document: Json, diagnosis: Json) -> Iterator[str]:
    """Why the environment is not ready: what failed, which conditions don't hold, what its pods say."""
    name, status = document["metadata"]["name"], document["status"]
    conditions = status.get("conditions", ())
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    reports = _reports(diagnosis)
    yield f"{name} is {status['phase']}" + ("" if ready else ", not ready")
    failure = status.get("operation", {}).get("failure")
    if failure:
        yield ""
        yield f"Failed at  {failure.get('step', '')}"
        yield f"Cause      {failure.get('cause', '')}"
        yield f"Remedy     {failure.get('remedy', '')}"
    waiting = [each for each in conditions if each["status"] != "True" and each["type"] not in progress.SUMMARY]
    if waiting and not ready:
        rows = ((each["type"], each.get("reason", ""), progress.shorten(each.get("message", ""))) for each in waiting)
        yield from _table("What is not ready", ("CONDITION", "REASON", "MESSAGE"), rows)
    for alike in _alike(reports):
        yield from _report(alike[0], [str(each.get("pod", "")) for each in alike[1:]])
    if diagnosis.get("unknown"):
        yield ""
        yield f"The pods could not be asked: {diagnosis['unknown']}"
    yield from _drift(document)
    if ready and not reports and not diagnosis.get("unknown"):
        yield "Nothing is wrong that Springboard can see."


def _reports(diagnosis: Json) -> list[Json]:
    found = diagnosis.get("reports", ())
    return [each for each in found if isinstance(each, dict)]


def _alike(reports: list[Json]) -> list[list[Json]]:
    """Reports of the same trouble together: three replicas that crash for one reason are one story."""
    found: dict[tuple[str, ...], list[Json]] = {}
    for report in reports:
        # Without an analysis only the log tells one crash from another.
        cause = report.get("description") or "\n".join(map(str, report.get("log", ())))
        key = (str(report.get("app")), str(report.get("container")), str(report.get("reason")), str(cause))
        found.setdefault(key, []).append(report)
    return list(found.values())


def _report(report: Json, others: Sequence[str]) -> Iterator[str]:
    """One pod; Spring Boot's own analysis first, where its log has one. `others` have the same trouble."""
    restarts = report.get("restarts")
    where = "/".join(str(report[key]) for key in ("pod", "container") if report.get(key))
    yield ""
    yield f"{where or report.get('app', '')}: {report.get('reason', '')}" + (
        f", restarted {counted(int(restarts), 'time')}" if restarts else ""
    )
    if others:
        yield f"  The same: {', '.join(others)}"
    if report.get("message"):
        yield f"  {report['message']}"
    if report.get("description"):
        yield from _paragraph("Cause ", str(report["description"]))
        yield from _paragraph("Remedy", str(report.get("action", "")))
        return
    log = [str(line) for line in report.get("log", ())]
    if log:
        yield "  Its log ends with:"
        yield from (f"    {line}" for line in log)


def _paragraph(label: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.strip().splitlines()):
        yield f"  {label if number == 0 else ' ' * len(label)}  {line}"


def _head(document: Json, now: datetime) -> Iterator[str]:
    metadata, status = document["metadata"], document["status"]
    labels = ", ".join(f"{key}={value}" for key, value in sorted(metadata.get("labels", {}).items()))
    created = metadata["creationTimestamp"]
    yield from _pairs(
        ("Name", metadata["name"]),
        ("Phase", status["phase"]),
        ("URL", ", ".join(app["url"] for app in status.get("apps", ()) if app.get("url"))),
        ("Labels", labels),
        ("Owner", metadata.get("owner")),
        ("Created", f"{created} ({times.age(created, now)} ago)"),
        ("Generation", f"{metadata.get('generation')} (observed {status.get('observedGeneration')})"),
        (
            "Protected",
            "yes" if document["spec"].get("deletionProtection", not document["spec"].get("ttlHours")) else "no",
        ),
        ("Expires", status.get("expiresAt")),
        ("UID", metadata.get("uid")),
    )


def _pairs(*pairs: tuple[str, object]) -> Iterator[str]:
    for label, value in pairs:
        if value not in {None, ""}:
            yield f"{label + ':':<{_LABEL}}{value}"


def _cluster(document: Json) -> Iterator[str]:
    cluster = document["status"].get("cluster", {})
    if not cluster:
        return
    support = cluster.get("support", {})
    yield ""
    yield "Cluster:"
    yield from (
        f"  {line}"
        for line in _pairs(
            ("Name", cluster.get("name")),
            ("Version", cluster.get("version")),
            ("Platform", cluster.get("platformVersion")),
            ("Endpoint", cluster.get("endpoint")),
            ("VPC", cluster.get("vpcId")),
            (
                "Support",
                f"standard until {support['endOfStandardSupport']}, extended until {support['endOfExtendedSupport']}"
                if support
                else None,
            ),
        )
    )


def _apps(document: Json) -> Iterator[str]:
    rows = (
        (
            app.get("name", ""),
            _replicas(app),
            app.get("url", ""),
            app.get("image", ""),
        )
        for app in document["status"].get("apps", ())
    )
    yield from _table("Applications", ("NAME", "AVAILABLE", "URL", "IMAGE"), rows)


def _replicas(app: Json) -> str:
    return f"{app.get('availableReplicas', 0)}/{app['replicas']}" if "replicas" in app else "-"


def _operation(document: Json, now: datetime) -> Iterator[str]:
    operation = document["status"].get("operation")
    if not operation:
        return
    yield ""
    yield "Operation:"
    yield from (
        f"  {line}"
        for line in _pairs(
            ("Id", operation["id"]),
            ("Kind", operation["kind"]),
            ("Status", operation["status"]),
            ("Requested", f"{operation['requestedAt']} by {operation['requestedBy']}"),
            ("Ended", operation.get("endedAt")),
            ("Waits", f"{document['status']['intent']['kind']} follows" if document["status"].get("intent") else None),
        )
    )
    failure = operation.get("failure")
    if failure:
        yield from (
            f"  {line}"
            for line in _pairs(
                ("Failed at", failure.get("step")), ("Cause", failure.get("cause")), ("Remedy", failure.get("remedy"))
            )
        )
    yield from _table(
        "Steps",
        ("STEP", "STARTED", "TOOK", "ERROR"),
        (
            (step["name"], step["startedAt"], _took(step, now), step.get("error", ""))
            for step in operation.get("steps", ())
        ),
    )


def _took(step: Json, now: datetime) -> str:
    start = times.moment(step["startedAt"])
    if step.get("endedAt"):
        return times.span((times.moment(step["endedAt"]) - start).total_seconds())
    return f"{times.span((now - start).total_seconds())}, at work"


def _drift(document: Json) -> Iterator[str]:
    rows = [
        (each.get("component", ""), each.get("action", ""), each.get("resource", ""), each.get("reason", ""))
        for each in document["status"].get("drift", ())
        if isinstance(each, dict)
    ]
    yield from _table("Drift", ("COMPONENT", "ACTION", "RESOURCE", "BECAUSE"), rows)


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    listed = list(rows)
    if listed:
        yield ""
        yield f"{title}:"
        yield from (f"  {line.plain}" for line in columns(header, listed))
