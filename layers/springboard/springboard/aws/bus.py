"""Amazon EventBridge and SNS: what Springboard tells the world."""

from __future__ import annotations

from typing import Any

from springboard.aws.client import Adapter


class Bus:
    """The stack's event bus for programs, and its topic for people."""

    def __init__(self, events: Any, sns: Any, bus: str, topic_arn: str) -> None:
        self.events = Adapter(events)
        self.sns = Adapter(sns)
        self.bus = bus
        self.topic_arn = topic_arn
