from tests.local.core.conftest import aws, clock, cloud, started

__all__ = ["aws", "clock", "cloud", "started"]
