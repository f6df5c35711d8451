"""Bearer tokens for EKS: a presigned GetCallerIdentity that names the cluster.

Nothing is sent to STS here; the control plane sends it. The token is a credential: it is never logged.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from botocore.model import ServiceId
from botocore.signers import RequestSigner

from springboard.errors import AccessDeniedError

if TYPE_CHECKING:
    from springboard.aws.session import Session

_PREFIX = "k8s-aws-v1."
_EXPIRES = 60  # seconds; EKS accepts the token for 15 minutes all the same


def token(session: Session, cluster: str, endpoint_url: str | None = None) -> str:
    """A token for `cluster`, as the session's credentials; `endpoint_url` where STS is not AWS's own."""
    credentials = session.get_credentials()
    if credentials is None:
        raise AccessDeniedError("there are no AWS credentials to sign a Kubernetes token with")
    region = session.region_name
    # For its endpoint alone: the regional one, in every partition, or the one that AWS_ENDPOINT_URL names.
    sts = session.client("sts", region_name=region, endpoint_url=endpoint_url)
    signer = RequestSigner(ServiceId("sts"), region, "sts", "v4", credentials, session.events)
    request = {
        "method": "GET",
        "url": f"{sts.meta.endpoint_url.rstrip('/')}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": cluster},
        "context": {},
    }
    url = signer.generate_presigned_url(request, region_name=region, expires_in=_EXPIRES, operation_name="")
    return _PREFIX + base64.urlsafe_b64encode(url.encode()).rstrip(b"=").decode()
