"""The Kubernetes API of one cluster, in plain JSON, with errors that are ours."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from springboard.errors import AccessDeniedError, RefusedError, SpringboardError, ThrottledError, UnavailableError
from springboard.kube.official import ApiClient, ApiException, Configuration
from springboard.kube.token import token

if TYPE_CHECKING:
    from springboard.aws.session import Session

FIELD_MANAGER = "springboard"
_TIMEOUT = (3, 20)  # seconds to connect, to read
_APPLY = "application/apply-patch+yaml"  # JSON is YAML


class Kubernetes:
    """Reads, server-side apply, deletes; the token is made when first needed, and again when it has become old."""

    def __init__(
        self,
        session: Session,
        cluster: str,
        endpoint: str,
        certificate_authority: str,
        endpoint_url: str | None = None,
    ) -> None:
        configuration = Configuration()
        configuration.host = endpoint
        configuration.retries = 1
        configuration.proxy = None  # the endpoint is private, whatever the environment says
        self._client = ApiClient(configuration)
        # From memory, not from a file: the client's own option takes a path alone.
        pool = self._client.rest_client.pool_manager.connection_pool_kw
        pool["ca_certs"] = None
        pool["ca_cert_data"] = base64.b64decode(certificate_authority).decode()
        self._session, self._cluster, self._endpoint_url = session, cluster, endpoint_url
        self._bearer = ""

    def close(self) -> None:
        """End the connections."""
        self._client.rest_client.pool_manager.clear()

    def get(self, path: str) -> dict[str, Any] | None:
        """One object; None if there is none."""
        try:
            return self._object("GET", path)
        except RefusedError as err:
            if err.code == "NotFound":
                return None
            raise

    def objects(self, path: str, selector: str = "") -> list[dict[str, Any]]:
        """All objects of a collection that the label selector takes."""
        query = [("labelSelector", selector)] if selector else []
        items: list[dict[str, Any]] = self._object("GET", path, query=query).get("items") or []
        return items

    def apply(
        self, path: str, manifest: dict[str, Any], *, manager: str = FIELD_MANAGER, force: bool = False
    ) -> dict[str, Any]:
        """Server-side apply; without `force`, what another manager owns with another value is refused."""
        query = [("fieldManager", manager), ("force", str(force).lower())]
        return self._object("PATCH", path, query=query, body=manifest, content_type=_APPLY)

    def delete(self, path: str) -> None:
        """Delete, dependents in the background; what is gone is no error."""
        try:
            self._object("DELETE", path, query=[("propagationPolicy", "Background")])
        except RefusedError as err:
            if err.code != "NotFound":
                raise

    def log(self, pod: str, container: str, *, previous: bool, lines: int = 400) -> str:
        """The end of a container's log, by the pod's path; "" where there is none."""
        path = f"{pod}/log"
        query = [("container", container), ("previous", str(previous).lower()), ("tailLines", str(lines))]
        try:
            return str(self._call("GET", path, query=query, answer="str"))
        except RefusedError:
            return ""

    def _object(self, method: str, path: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - passed on
        answer = self._call(method, path, answer="object", **parameters)
        if not isinstance(answer, dict):
            raise UnavailableError(f"Kubernetes answered {method} {path} with something that is not an object")
        return answer

    def _call(
        self,
        method: str,
        path: str,
        *,
        answer: str,
        query: list[tuple[str, str]] | None = None,
        body: dict[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Any:  # noqa: ANN401 - JSON
        request = {
            "query_params": query or [],
            "body": body,
            "response_type": answer,
            "_return_http_data_only": True,
            "_request_timeout": _TIMEOUT,
        }
        accept = "application/json" if answer == "object" else "*/*"
        while True:
            kept, self._bearer = self._bearer, self._bearer or token(self._session, self._cluster, self._endpoint_url)
            headers = {"Accept": accept, "Content-Type": content_type, "Authorization": f"Bearer {self._bearer}"}
            try:
                return self._client.call_api(path, method, header_params=headers, **request)
            except ApiException as err:
                if err.status != 401 or not kept:
                    # `from None`: the client's own error tells headers.
                    raise translated(err.status, err.body, err.reason, f"{method} {path}") from None
                self._bearer = ""  # older than the 15 minutes that EKS gives it, perhaps: once more with a new one
            except HTTPError as err:
                raise unreached(err) from err


_CONNECT, _READ = _TIMEOUT
_PATH = (
    "look at `aws eks describe-cluster`: the cluster has to be ACTIVE, with private access on, and among its security"
    " groups the one that lets the workload function in on port 443"
)
# The narrower class first: a name that does not resolve is a connection that was not made, and urllib3 counts that
# among those that came too late.
_UNREACHED: tuple[tuple[type[HTTPError], str, str], ...] = (
    (NameResolutionError, "the endpoint's name does not resolve", "turn on the VPC's DNS support and DNS host names"),
    (NewConnectionError, "no connection could be made", _PATH),
    (ConnectTimeoutError, f"no connection within {_CONNECT} seconds", _PATH),
    (ReadTimeoutError, f"no answer within {_READ} seconds", "retry; if it stays so, look at the control plane's logs"),
    (
        SSLError,
        "its certificate is not of the cluster's authority",
        "look for a proxy between the VPC and the endpoint",
    ),
)


def unreached(err: HTTPError) -> UnavailableError:
    """Why a request got no answer, in words for the reader of the status."""
    cause = err.reason if isinstance(err, MaxRetryError) and isinstance(err.reason, HTTPError) else err
    for kind, words, remedy in _UNREACHED:
        if isinstance(cause, kind):
            return UnavailableError(f"the Kubernetes API was not reached: {words}", remedy)
    return UnavailableError("the Kubernetes API was not reached: the connection broke off", "retry")


# How Kubernetes tells that rights lack: 'User "x" cannot patch resource "deployments" in API group "apps"', or a path.
# Admission, which is asked about changes alone, says no in words of its own.
_RIGHTS = re.compile(r"\bcannot \S+ (resource|path) ")


def translated(status: int | None, body: str | bytes | None, reason: str | None, asked: str) -> SpringboardError:
    """What an answer of the API server means to the caller."""
    said = _status(body)
    message = f"Kubernetes answered {asked}: {said.get('message') or reason or status}"
    code = said.get("reason") or str(status)
    if status == 401 or (status == 403 and (asked.startswith("GET ") or _RIGHTS.search(message))):
        return AccessDeniedError(
            message, "the access entries take some seconds after they were made; then look at them"
        )
    if status == 403:
        return RefusedError(
            message, "a quota, a policy or a webhook of the cluster says no: change it, or what is asked for", code=code
        )
    if status == 429:
        return ThrottledError(message)
    causes = said.get("details", {}).get("causes") or []
    owners = [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]
    if status == 409 and owners:
        fields = "; ".join(f"{cause.get('field')}: {cause.get('message')}" for cause in owners)
        return RefusedError(
            f"{message} ({fields})",
            "somebody else set these fields: put the values into the spec, or give the fields back with"
            " `kubectl apply --server-side --field-manager=springboard --force-conflicts`",
            code="FieldManagerConflict",
        )
    if status == 409 or not status or status >= 500:
        return UnavailableError(message)
    return RefusedError(message, code=code)


def _status(body: str | bytes | None) -> dict[str, Any]:
    """The Status object in an answer, if it is one."""
    try:
        said = json.loads(body or b"")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
