"""Insights: readiness for an upgrade and for a rollback, and their refresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.services.eks import calendar
from springboard_local.services.eks.errors import invalid_request, not_found
from springboard_local.services.eks.state import Cluster, Eks, Fields, paged, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUMMARY = (
    "id",
    "name",
    "category",
    "kubernetesVersion",
    "lastRefreshTime",
    "lastTransitionTime",
    "description",
    "insightStatus",
)
_RANK = ("PASSING", "UNKNOWN", "WARNING", "ERROR")


def _finding(
    name: str, category: str, version: str, description: str, status: str, reason: str, **more: object
) -> Fields:
    return {
        "name": name,
        "category": category,
        "kubernetesVersion": version,
        "description": description,
        "insightStatus": {"status": status, "reason": reason},
        "recommendation": more.pop("recommendation", ""),
        "additionalInfo": {},
        "resources": more.pop("resources", []),
        "categorySpecificSummary": more,
    }


def _upgrade_findings(cluster: Cluster) -> Iterator[Fields]:
    target = calendar.neighbour(cluster.version, 1)
    if target not in calendar.versions():
        return
    category = "UPGRADE_READINESS"
    yield _finding(
        f"Deprecated APIs removed in Kubernetes v{target}",
        category,
        target,
        f"Checks for usage of deprecated APIs that are scheduled for removal in Kubernetes v{target}.",
        "PASSING",
        "No deprecated API usage detected within the last 30 days.",
        deprecationDetails=[],
    )
    yield _skew(cluster, category, target)
    yield _addons(cluster, category, target)
    yield _finding(
        "Cluster health issues",
        category,
        target,
        "Checks for any cluster health issues that prevent successful upgrade to the next Kubernetes version.",
        "PASSING",
        "No cluster health issues detected.",
    )


def _rollback_findings(cluster: Cluster) -> Iterator[Fields]:
    if not cluster.upgraded:
        return
    target = cluster.upgraded[0]
    yield _skew(cluster, "ROLLBACK_READINESS", target)
    yield _addons(cluster, "ROLLBACK_READINESS", target)


def _skew(cluster: Cluster, category: str, target: str) -> Fields:
    """Nodes may not be newer than the control plane, nor managed groups older when it moves on."""
    upgrade = category == "UPGRADE_READINESS"
    wrong = [
        group.fields["nodegroupArn"]
        for group in cluster.nodegroups.values()
        if (group.fields["version"] != cluster.version if upgrade else group.fields["version"] != target)
    ]
    status, reason = (
        ("ERROR", "Node groups do not match the control plane's version.")
        if wrong
        else (
            "PASSING",
            "Node versions match the cluster control plane version.",
        )
    )
    return _finding(
        "Kubelet version skew",
        category,
        target,
        "Checks for kubelet minor version of worker nodes in the cluster.",
        status,
        reason,
        recommendation="Update the node groups first." if wrong and upgrade else "",
        resources=[{"arn": arn, "insightStatus": {"status": "ERROR", "reason": reason}} for arn in wrong],
    )


def _addons(cluster: Cluster, category: str, target: str) -> Fields:
    details = []
    for addon in cluster.addons.values():
        kind = calendar.addon_kinds()[addon.name]
        version = kind.version(addon.fields["addonVersion"])
        if version and target not in version.compatible:
            fitting = [each.version for each in reversed(kind.versions) if target in each.compatible]
            details.append({"name": addon.name, "compatibleVersions": fitting})
    reason = f"Add-on versions are not compatible with Kubernetes v{target}." if details else "All are compatible."
    return _finding(
        "EKS add-on version compatibility",
        category,
        target,
        "Checks version of installed EKS add-ons to ensure they are compatible with the target Kubernetes version.",
        "ERROR" if details else "PASSING",
        reason,
        addonCompatibilityDetails=details,
    )


def refresh_now(eks: Eks, cluster: Cluster) -> None:
    """Look at the cluster and keep what is found; identifiers stay, transitions are dated."""
    before = {(each["name"], each["category"]): each for each in cluster.insights.values()}
    now = eks.now
    cluster.insights = {}
    for finding in [*_upgrade_findings(cluster), *_rollback_findings(cluster)]:
        old = before.get((finding["name"], finding["category"]), {})
        same = old.get("insightStatus", {}).get("status") == finding["insightStatus"]["status"]
        identifier = old.get("id") or eks.uuid()
        transition = old["lastTransitionTime"] if same else now
        cluster.insights[identifier] = {
            "id": identifier,
            "lastRefreshTime": now,
            "lastTransitionTime": transition,
            **finding,
        }


def blocking(cluster: Cluster, category: str, target: str) -> list[str]:
    """Names of the insights that stand against going to `target`."""
    return [
        each["name"]
        for each in cluster.insights.values()
        if each["category"] == category
        and each["kubernetesVersion"] == target
        and each["insightStatus"]["status"] == "ERROR"
    ]


def _matches(insight: Fields, wanted: Fields) -> bool:
    return (
        (not wanted.get("categories") or insight["category"] in wanted["categories"])
        and (not wanted.get("kubernetesVersions") or insight["kubernetesVersion"] in wanted["kubernetesVersions"])
        and (not wanted.get("statuses") or insight["insightStatus"]["status"] in wanted["statuses"])
    )


def list_insights(eks: Eks, parameters: Fields) -> Fields:
    """ListInsights."""
    cluster = eks.cluster(parameters["clusterName"])
    wanted = parameters.get("filter") or {}
    found = [each for each in cluster.insights.values() if _matches(each, wanted)]
    return paged(parameters, "insights", [{key: shown(each)[key] for key in _SUMMARY} for each in found])


def describe(eks: Eks, parameters: Fields) -> Fields:
    """DescribeInsight."""
    cluster = eks.cluster(parameters["clusterName"])
    if parameters["id"] not in cluster.insights:
        raise not_found(f"No insight found for id: {parameters['id']}.", cluster.name)
    return {"insight": shown(cluster.insights[parameters["id"]])}


def start_refresh(eks: Eks, parameters: Fields) -> Fields:
    """StartInsightsRefresh: one at a time; it has no id."""
    cluster = eks.cluster(parameters["clusterName"])
    if cluster.status not in {"ACTIVE", "UPDATING"}:
        raise invalid_request(f"Cluster {cluster.name} is not ACTIVE", cluster.name)
    if not cluster.refresh or cluster.refresh["status"] != "IN_PROGRESS":
        cluster.refresh = {"message": "Insights refresh is in progress", "status": "IN_PROGRESS", "startedAt": eks.now}
        eks.after(eks.draw("eks:InsightsRefresh"), lambda: _end_refresh(eks, cluster))
    return {"message": cluster.refresh["message"], "status": cluster.refresh["status"]}


def _end_refresh(eks: Eks, cluster: Cluster) -> None:
    if cluster.deleted or cluster.refresh is None:
        return
    refresh_now(eks, cluster)
    cluster.refresh.update(message="Insights refresh completed successfully", status="COMPLETED", endedAt=eks.now)


def describe_refresh(eks: Eks, parameters: Fields) -> Fields:
    """DescribeInsightsRefresh: the latest one."""
    cluster = eks.cluster(parameters["clusterName"])
    if cluster.refresh is None:
        raise not_found(f"No insights refresh found for cluster: {cluster.name}.", cluster.name)
    return shown(cluster.refresh)
