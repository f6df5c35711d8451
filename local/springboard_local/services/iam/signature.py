"""Signature Version 4, checked as AWS checks it: in the header, or in the query of a presigned URL."""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from springboard_local.services.iam.principals import (
    Principal,
    expired,
    principal_of,
    secret_of,
    session_token_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALGORITHM = "AWS4-HMAC-SHA256"
_SKEW = timedelta(minutes=5)
_EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class SignatureFailure:
    """Why a request is not authenticated; `code` is AWS's."""

    code: str
    message: str


@dataclass(frozen=True)
class _Claim:
    """What a request says of its own signature."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    moment: str
    token: str | None
    lifetime: timedelta | None  # of a presigned URL

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def verify_sigv4(  # noqa: PLR0911 - one refusal after the other, as AWS looks
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body_hash: str | None = None,
    *,
    service: str | None = None,
    region: str | None = None,
    required_headers: tuple[str, ...] = (),
    now: datetime | None = None,
) -> Principal | SignatureFailure:
    """Who signed the request, or why nobody did.

    `path` and `query` are as sent, percent-encoded. `body_hash` is the SHA-256 of the body in hex; None takes
    that of an empty body. `required_headers` have to be among those signed. Signatures live in real time, so
    `now` is the machine's, unless a test says otherwise.
    """
    lower = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    parameters = parse_qsl(query, keep_blank_values=True)
    claim = _claim(lower, dict(parameters))
    if isinstance(claim, SignatureFailure):
        return claim
    failure = _refusal(claim, service, region, required_headers, now or datetime.now(UTC))
    if failure:
        return failure
    secret, principal = secret_of(claim.access_key), principal_of(claim.access_key)
    if secret is None or principal is None:
        return SignatureFailure("UnrecognizedClientException", "The security token included in the request is invalid.")
    if expired(claim.access_key):
        return SignatureFailure("ExpiredTokenException", "The security token included in the request is expired")
    token = session_token_of(claim.access_key)
    if token is not None and claim.token != token:
        return SignatureFailure("UnrecognizedClientException", "The security token included in the request is invalid.")
    presigned = claim.lifetime is not None
    digest = body_hash or _EMPTY
    if presigned:
        parameters = [(name, value) for name, value in parameters if name != "X-Amz-Signature"]
        digest = "UNSIGNED-PAYLOAD" if claim.service == "s3" else digest
    canonical = _canonical(method, path, parameters, lower, claim, digest)
    if not hmac.compare_digest(_signature(secret, claim, canonical), claim.signature):
        return SignatureFailure(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
        )
    return principal


def _claim(headers: Mapping[str, str], query: Mapping[str, str]) -> _Claim | SignatureFailure:
    missing = SignatureFailure("MissingAuthenticationToken", "Missing Authentication Token")
    if query.get("X-Amz-Algorithm") == _ALGORITHM:
        fields = {
            "Credential": query.get("X-Amz-Credential", ""),
            "SignedHeaders": query.get("X-Amz-SignedHeaders", ""),
            "Signature": query.get("X-Amz-Signature", ""),
        }
        moment, token = query.get("X-Amz-Date", ""), query.get("X-Amz-Security-Token")
        seconds = query.get("X-Amz-Expires", "900")
        if not seconds.isdigit() or not 0 < int(seconds) <= 604_800:
            return SignatureFailure("AuthorizationQueryParametersError", "X-Amz-Expires is not a valid duration")
        lifetime: timedelta | None = timedelta(seconds=int(seconds))
    else:
        header = headers.get("authorization", "")
        if not header.startswith(_ALGORITHM):
            return missing
        fields = dict(re.findall(r"(\w+)=([^,\s]+)", header))
        moment = headers.get("x-amz-date", "")
        token, lifetime = headers.get("x-amz-security-token"), None
    scope = fields.get("Credential", "").split("/")
    if len(scope) != 5 or scope[4] != "aws4_request" or not fields.get("Signature") or not moment:
        return SignatureFailure("IncompleteSignatureException", "The request signature is not complete.")
    signed = tuple(fields.get("SignedHeaders", "").split(";"))
    return _Claim(scope[0], scope[1], scope[2], scope[3], signed, fields["Signature"], moment, token, lifetime)


def _refusal(
    claim: _Claim,
    service: str | None,
    region: str | None,
    required: tuple[str, ...],
    now: datetime,
) -> SignatureFailure | None:
    try:
        made = datetime.strptime(claim.moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return SignatureFailure("IncompleteSignatureException", "The date of the signature is not in ISO 8601.")
    ends = made + (claim.lifetime or _SKEW)
    if made - _SKEW > now or ends < now or not claim.moment.startswith(claim.date):
        return SignatureFailure("InvalidSignatureException", f"Signature expired: {claim.moment} is not near {now}")
    if (service and claim.service != service) or (region and claim.region != region):
        wanted = f"{region or claim.region}/{service or claim.service}"
        return SignatureFailure(
            "InvalidSignatureException", f"Credential should be scoped to {wanted}, not {claim.region}/{claim.service}"
        )
    absent = [name for name in ("host", *required) if name.lower() not in claim.signed_headers]
    if absent:
        return SignatureFailure("InvalidSignatureException", f"{', '.join(absent)} must be signed")
    return None


def _canonical(
    method: str,
    path: str,
    parameters: list[tuple[str, str]],
    headers: Mapping[str, str],
    claim: _Claim,
    digest: str,
) -> str:
    query = "&".join(
        f"{name}={value}"
        for name, value in sorted((quote(n, safe="-_.~"), quote(v, safe="-_.~")) for n, v in parameters)
    )
    return "\n".join(
        (
            method.upper(),
            _canonical_path(path, claim.service),
            query,
            *(f"{name}:{headers.get(name, '')}" for name in claim.signed_headers),
            "",
            ";".join(claim.signed_headers),
            headers.get("x-amz-content-sha256", digest) if claim.service == "s3" else digest,
        )
    )


def _canonical_path(path: str, service: str) -> str:
    if service == "s3":
        return path or "/"
    normal = posixpath.normpath(path or "/")
    normal = re.sub(r"^/+", "/", normal) + ("/" if path.endswith("/") and normal != "/" else "")
    return quote(normal, safe="/-_.~")


def _signature(secret: str, claim: _Claim, canonical: str) -> str:
    def sign(key: bytes, text: str) -> bytes:
        return hmac.new(key, text.encode(), hashlib.sha256).digest()

    text = "\n".join((_ALGORITHM, claim.moment, claim.scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = sign(sign(sign(sign(f"AWS4{secret}".encode(), claim.date), claim.region), claim.service), "aws4_request")
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
