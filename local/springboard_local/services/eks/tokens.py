"""Bearer tokens of EKS: a presigned GetCallerIdentity, checked as STS would check it."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, urlsplit

from springboard_local.services.iam.principals import Principal
from springboard_local.services.iam.signature import verify_sigv4

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
_LIFETIME = timedelta(minutes=15)  # STS accepts it so long after X-Amz-Date, whatever X-Amz-Expires says
_SKEW = timedelta(minutes=5)


def caller(token: str, cluster_name: str) -> Principal | None:
    """Who signed `token` for this cluster; None for one that is malformed, forged, old or another cluster's."""
    url = _url(token)
    query = dict(parse_qsl(url.query, keep_blank_values=True)) if url else {}
    signed = _signed_at(query)
    if url is None or signed is None or query.get("Action") != "GetCallerIdentity":
        return None
    found = verify_sigv4(
        "GET",
        url.path,
        url.query,
        {"host": url.netloc, CLUSTER_HEADER: cluster_name},
        service="sts",
        required_headers=(CLUSTER_HEADER,),
        now=signed,
    )
    return found if isinstance(found, Principal) else None


def _url(token: str) -> SplitResult | None:
    if not token.startswith(PREFIX):
        return None
    encoded = token.removeprefix(PREFIX)
    try:
        return urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    except (ValueError, binascii.Error):
        return None


def _signed_at(query: Mapping[str, str]) -> datetime | None:
    """When the URL was signed, if that is a time at which STS accepts it. Tokens live in real time."""
    try:
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        lifetime = timedelta(seconds=int(query["X-Amz-Expires"]))
    except (KeyError, ValueError):
        return None
    in_time = signed - _SKEW <= datetime.now(UTC) <= signed + _LIFETIME
    return signed if in_time and lifetime <= _LIFETIME else None
