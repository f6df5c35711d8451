"""Amazon EventBridge and SNS: what Springboard tells the world."""

from __future__ import annotations

import json
from typing import Any

from springboard.aws.client import Adapter
from springboard.errors import UnavailableError


class Bus:
    """The stack's event bus for programs, and its topic for people."""

    def __init__(self, events: Any, sns: Any, bus: str, topic_arn: str) -> None:
        self.events = Adapter(events)
        self.sns = Adapter(sns)
        self.bus = bus
        self.topic_arn = topic_arn

    def publish(self, event: dict[str, Any]) -> None:
        """One CloudEvents-shaped event to the bus; to the topic too, but for the steps in between.

        UnavailableError when the bus took the request and not the event.
        """
        detail = json.dumps(event)
        entry = {"EventBusName": self.bus, "Source": "springboard", "DetailType": event["type"], "Detail": detail}
        answer = self.events.call("put_events", Entries=[entry])
        if answer.get("FailedEntryCount"):
            failed = answer["Entries"][0]
            raise UnavailableError(f"PutEvents: {failed.get('ErrorCode')}: {failed.get('ErrorMessage')}")
        if event["type"] != "springboard.ConditionChanged":
            self._tell(event, detail)

    def _tell(self, event: dict[str, Any], detail: str) -> None:
        attributes = {
            "type": event["type"],
            "environment": event["subject"],
            "phase": event["data"].get("to"),
        }
        self.sns.call(
            "publish",
            TopicArn=self.topic_arn,
            Subject=f"Springboard: {event['subject']}: {event['type'].removeprefix('springboard.')}"[:100],
            Message=detail,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
            },
        )
