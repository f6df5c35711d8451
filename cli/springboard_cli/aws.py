"""What the CLI needs of AWS itself: credentials, signatures, the stack's outputs, and reads for `doctor`.

All about environments goes through Springboard's API. botocore alone is used; it finds profiles, regions and
endpoints the way every AWS tool does.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.exceptions
import botocore.session

from springboard_cli.errors import CommandError, Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_CONFIG = botocore.config.Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 4})
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_BAD_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "AuthFailure",
}
# What services say of something that is not there.
_MISSING = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "NotFound",
    "NotFoundException",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
    "StateMachineDoesNotExist",
}
_LOG_IN = "log in (`aws sso login`, `aws configure`), or choose another profile with --profile"


@dataclass(frozen=True)
class Stack:
    """A deployed Springboard."""

    name: str
    status: str
    outputs: Mapping[str, str]

    @property
    def api_url(self) -> str:
        """Where its API answers."""
        return self.outputs["ApiUrl"].rstrip("/")

    @property
    def prefix(self) -> str:
        """What the names of its resources begin with."""
        return self.outputs.get("TopicArn", self.name).rpartition(":")[2]

    @property
    def base_domain(self) -> str:
        """Under which applications answer."""
        return self.outputs.get("BaseDomain", "")


def is_address(url: str) -> bool:
    """Whether something can be asked there by HTTP."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of brackets that are no IPv6 address, and of ports
        return False


def is_loopback(url: str) -> bool:
    """Whether it is on this machine: the local cloud."""
    host = (urlsplit(url).hostname or "") if is_address(url) else ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class Account:
    """An AWS account in a region, as some credentials see it."""

    def __init__(self, profile: str | None, region: str | None) -> None:
        self.profile = profile
        self._session = botocore.session.Session(profile=profile)
        self._clients: dict[str, Any] = {}
        if region:
            self._session.set_config_variable("region", region)

    @cached_property
    def region(self) -> str:
        """The region of --region, the environment or the profile."""
        found = self._guarded(lambda: self._session.get_config_variable("region"))
        if not found:
            raise CommandError(
                "no region is chosen",
                "pass --region, set AWS_REGION, or configure one in the profile",
                code=Exit.INVALID,
            )
        return str(found)

    def sign(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers with SigV4's added."""
        credentials = self._guarded(self._session.get_credentials)
        if credentials is None:
            raise CommandError("no AWS credentials are found", _LOG_IN, code=Exit.NOT_AUTHORISED)
        frozen = self._guarded(credentials.get_frozen_credentials)
        request = botocore.awsrequest.AWSRequest(method, url, dict(headers), body)
        botocore.auth.SigV4Auth(frozen, "execute-api", self.region).add_auth(request)
        return dict(request.headers.items())

    def stack(self, name: str) -> Stack:
        """The stack's status and outputs."""
        answer = self.call("cloudformation", "describe_stacks", StackName=name)
        found = answer["Stacks"][0]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())}
        return Stack(name, found["StackStatus"], outputs)

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - AWS's parameters
        """One call of an AWS service; a refusal becomes a CommandError that says what to do."""

        def act() -> dict[str, Any]:
            answer: dict[str, Any] = getattr(self._client(service), operation)(**parameters)
            return answer

        return self._guarded(act)

    def items(self, service: str, operation: str, key: str, **parameters: Any) -> Iterator[Any]:  # noqa: ANN401 - AWS's
        """What a listing has under `key`, from all its pages."""
        pages = self._guarded(lambda: iter(self._client(service).get_paginator(operation).paginate(**parameters)))
        while (page := self._guarded(lambda: next(pages, None))) is not None:
            yield from page.get(key, ())

    def close(self) -> None:
        """Let go of all connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _client(self, service: str) -> Any:  # noqa: ANN401 - botocore carries no types
        if service not in self._clients:
            region = None if service == "iam" else self.region
            try:
                self._clients[service] = self._session.create_client(service, region_name=region, config=_CONFIG)
            except botocore.exceptions.InvalidRegionError:  # which is a ValueError, too
                raise
            except ValueError as err:  # botocore's word for an endpoint that is no address
                raise CommandError(
                    str(err), "AWS_ENDPOINT_URL, or endpoint_url of the profile, is to be an address", code=Exit.INVALID
                ) from err
        return self._clients[service]

    def _guarded[Answer](self, act: Callable[[], Answer]) -> Answer:
        try:
            return act()
        except botocore.exceptions.ProfileNotFound as err:
            raise CommandError(
                str(err), "`aws configure list-profiles` names those there are", code=Exit.INVALID
            ) from err
        except botocore.exceptions.InvalidRegionError as err:
            raise CommandError(str(err), "write the region as eu-west-1", code=Exit.INVALID) from err
        except botocore.exceptions.ClientError as err:
            raise refusal(err) from err
        except (botocore.exceptions.EndpointConnectionError, botocore.exceptions.HTTPClientError) as err:
            raise CommandError(
                f"AWS does not answer: {err}",
                "check the network; for the local cloud, `springboard local status` says whether it runs",
            ) from err
        except botocore.exceptions.BotoCoreError as err:
            raise CommandError(str(err), _LOG_IN, code=Exit.NOT_AUTHORISED) from err


class AwsRefusedError(CommandError):
    """AWS said no; `aws_code` is its own word for why."""

    aws_code = ""

    @property
    def denied(self) -> bool:
        """Whether a permission lacks, and nothing else is wrong."""
        return self.aws_code in _DENIED

    @property
    def missing(self) -> bool:
        """Whether there is no such thing."""
        return self.aws_code in _MISSING


def refusal(err: Any) -> AwsRefusedError:  # noqa: ANN401 - botocore carries no types
    """What a refusal of AWS means here."""
    code = str(err.response.get("Error", {}).get("Code", ""))
    remedy, exit_code = "", Exit.FAILED
    if code in _DENIED:
        remedy, exit_code = "ask for that permission, or choose another profile with --profile", Exit.NOT_AUTHORISED
    elif code in _BAD_CREDENTIALS:
        remedy, exit_code = _LOG_IN, Exit.NOT_AUTHORISED
    refused = AwsRefusedError(str(err), remedy, code=exit_code)
    refused.aws_code = code
    return refused
