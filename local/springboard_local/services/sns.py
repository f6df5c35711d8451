"""SNS: a topic reaches a queue or a function only where that lets it in.

moto delivers without asking. A message that may not be delivered goes to the subscription's dead-letter
queue, if that lets the topic in.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from moto.sns import models
from moto.sqs.models import sqs_backends

from springboard_local.cloud import ACCOUNT
from springboard_local.services import iam, metrics
from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from springboard_local.cloud import Cloud

log = logging.getLogger(__name__)

_ACTIONS = {"sqs": "sqs:SendMessage", "lambda": "lambda:InvokeFunction"}
_mending = Mending()


def install(_: Cloud) -> None:
    """Ask before each delivery."""
    _mending.undo()
    _mending.replace(models.Subscription, publish=_asking(models.Subscription.publish))


def close(_: Cloud) -> None:
    """Give moto its own method back."""
    _mending.undo()


def _asking(original: Any) -> Any:
    def publish(self: Any, message: str, *arguments: Any, **named: Any) -> None:
        problem = _problem(self.protocol, self.endpoint, self.topic_arn)
        outcome = "NumberOfNotificationsFailed" if problem else "NumberOfNotificationsDelivered"
        metrics.count("AWS/SNS", outcome, TopicName=self.topic_arn.rsplit(":", 1)[-1])
        if problem is None:
            original(self, message, *arguments, **named)
            return
        log.warning("%s: %s", self.topic_arn, problem)
        _dead_letter(self, message)

    return publish


def _problem(protocol: str, endpoint: str, topic: str) -> str | None:
    action = _ACTIONS.get(protocol)
    if action is None:
        return None
    problem = iam.authorize_service("sns.amazonaws.com", action, endpoint, topic)
    if problem is None and protocol == "sqs" and (key := _key_of(endpoint)):
        for each in ("kms:GenerateDataKey", "kms:Decrypt"):
            problem = problem or iam.authorize_service("sns.amazonaws.com", each, key, topic)
    return problem


def _key_of(queue_arn: str) -> str | None:
    region, _, name = queue_arn.split(":")[3:]
    queue = sqs_backends[ACCOUNT][region].queues.get(name)
    key = str(getattr(queue, "kms_master_key_id", None) or "")
    return iam.key_arn(key, region) if key and not key.startswith("alias/aws/") else None


def _dead_letter(subscription: Any, message: str) -> None:
    policy = json.loads(subscription.attributes.get("RedrivePolicy") or "{}")
    queue = policy.get("deadLetterTargetArn")
    if not queue or _problem("sqs", queue, subscription.topic_arn):
        return
    region, _, name = queue.split(":")[3:]
    sqs_backends[ACCOUNT][region].send_message(name, message)
