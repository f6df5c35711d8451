from tests.local.elb.scenario import account, running

__all__ = ["account", "running"]
