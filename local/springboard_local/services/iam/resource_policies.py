"""The policies that resources carry themselves: functions, keys, topics, queues, buses, buckets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from springboard_local.cloud import ACCOUNT
from springboard_local.services.iam.principals import document_text

if TYPE_CHECKING:
    from collections.abc import Callable


def _function(arn: str) -> str | None:
    from moto.awslambda.models import lambda_backends  # noqa: PLC0415 - seconds to import

    parts = arn.split(":")
    function = lambda_backends[ACCOUNT][parts[3]].get_function(parts[6])
    return json.dumps({"Statement": function.policy.statements})


def _topic(arn: str) -> str | None:
    from moto.sns.models import sns_backends  # noqa: PLC0415

    topic = sns_backends[ACCOUNT][arn.split(":")[3]].topics.get(arn)
    return topic.policy if topic else None


def _queue(arn: str) -> str | None:
    from moto.sqs.models import sqs_backends  # noqa: PLC0415

    queue = sqs_backends[ACCOUNT][arn.split(":")[3]].queues.get(arn.rsplit(":", 1)[-1])
    return document_text(queue.policy) if queue and queue.policy else None


def _key(arn: str) -> str | None:
    from moto.kms.models import kms_backends  # noqa: PLC0415

    key = kms_backends[ACCOUNT][arn.split(":")[3]].keys.get(arn.rsplit("/", 1)[-1])
    return document_text(key.policy) if key else None


def _bus(arn: str) -> str | None:
    from moto.events.models import events_backends  # noqa: PLC0415

    bus = events_backends[ACCOUNT][arn.split(":")[3]].event_buses.get(arn.rsplit("/", 1)[-1])
    return bus.policy if bus else None


def _bucket(arn: str) -> str | None:
    from moto.s3.models import s3_backends  # noqa: PLC0415

    bucket = s3_backends[ACCOUNT]["aws"].buckets.get(arn.rsplit(":", 1)[-1].partition("/")[0])
    policy: Any = bucket.policy if bucket else None
    if isinstance(policy, bytes):
        return policy.decode()
    return document_text(policy) if policy else None


_READERS: dict[str, Callable[[str], str | None]] = {
    "lambda": _function,
    "sns": _topic,
    "sqs": _queue,
    "kms": _key,
    "events": _bus,
    "s3": _bucket,
}


def resource_policies(arn: str) -> tuple[str, ...]:
    """The policy that a resource carries; none where it has none, or isn't there."""
    service = arn.split(":", 3)[2] if arn.count(":") >= 5 else ""
    reader = _READERS.get(service)
    if reader is None or arn.endswith("*"):
        return ()
    try:
        document = reader(arn)
    except Exception:  # noqa: BLE001 - moto's backends raise in their own ways for what isn't there
        return ()
    return (document,) if document else ()
