"""Bearer tokens of EKS: a presigned GetCallerIdentity, checked as STS would check it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

PREFIX = "k8s-aws-v1."
_LIFETIME = timedelta(minutes=15)  # STS accepts it so long after X-Amz-Date, whatever X-Amz-Expires says
_SKEW = timedelta(minutes=5)
_EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Caller:
    """Who has signed a token."""

    arn: str
    user_id: str
    access_key: str


def caller(token: str, cluster_name: str) -> Caller | None:
    """Who signed `token` for this cluster; None for a token that is malformed, forged, old or another cluster's."""
    if not token.startswith(PREFIX):
        return None
    encoded = token.removeprefix(PREFIX)
    try:
        url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        expires = int(query["X-Amz-Expires"])
        access_key, day, region, service, terminal = query["X-Amz-Credential"].split("/")
        signature = query["X-Amz-Signature"]
    except (KeyError, ValueError, binascii.Error):
        return None
    now = datetime.now(UTC)  # tokens are real, whatever the virtual clock says
    if not signed - _SKEW <= now <= signed + _LIFETIME or not 0 <= expires <= _LIFETIME.total_seconds():
        return None
    if (query.get("Action"), service, terminal) != ("GetCallerIdentity", "sts", "aws4_request"):
        return None
    if set(query.get("X-Amz-SignedHeaders", "").split(";")) != {"host", "x-k8s-aws-id"}:
        return None
    found = _credentials(access_key, query.get("X-Amz-Security-Token"))
    if found is None:
        return None
    secret, arn, user_id = found
    expected = _signature(secret, (day, region), query, parts.netloc, parts.path or "/", cluster_name)
    return Caller(arn, user_id, access_key) if hmac.compare_digest(expected, signature) else None


def _signature(
    secret: str, scope: tuple[str, str], query: dict[str, str], host: str, path: str, cluster_name: str
) -> str:
    day, region = scope
    pairs = sorted((quote(k, "-_.~"), quote(v, "-_.~")) for k, v in query.items() if k != "X-Amz-Signature")
    canonical = "\n".join(
        [
            "GET",
            path,
            "&".join(f"{key}={value}" for key, value in pairs),
            f"host:{host}",
            f"x-k8s-aws-id:{cluster_name}",
            "",
            "host;x-k8s-aws-id",
            _EMPTY,
        ]
    )
    credential_scope = f"{day}/{region}/sts/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join(["AWS4-HMAC-SHA256", query["X-Amz-Date"], credential_scope, digest])
    key = f"AWS4{secret}".encode()
    for each in (day, region, "sts", "aws4_request"):
        key = hmac.new(key, each.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def _credentials(access_key: str, session_token: str | None) -> tuple[str, str, str] | None:
    """Secret, caller ARN and user id of an access key that is known and, if a session's, not over."""
    return _session(access_key, session_token) or _user(access_key)


def _session(access_key: str, session_token: str | None) -> tuple[str, str, str] | None:
    from moto.sts.models import sts_backends  # noqa: PLC0415

    for account in list(sts_backends.values()):
        for backend in list(account.values()):
            for role in list(backend.assumed_roles):
                if role.access_key_id == access_key and role.session_token == session_token and _lives(role):
                    return role.secret_access_key, role.arn, role.user_id
    return None


def _lives(role: Any) -> bool:
    expiration = role.expiration
    return bool(expiration.replace(tzinfo=expiration.tzinfo or UTC) > datetime.now(UTC))


def _user(access_key: str) -> tuple[str, str, str] | None:
    from moto.iam.models import iam_backends  # noqa: PLC0415

    for account in list(iam_backends.values()):
        for backend in list(account.values()):
            for user in list(backend.users.values()):
                for key in user.access_keys:
                    if key.access_key_id == access_key and key.status == "Active":
                        return key.secret_access_key, user.arn, user.id
    return None
