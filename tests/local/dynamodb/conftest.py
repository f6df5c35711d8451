from tests.local.iam.conftest import _running, account

__all__ = ["_running", "account"]
