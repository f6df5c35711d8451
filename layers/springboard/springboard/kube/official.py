"""The official client's ApiClient, without the eight hundred modules of typed models and APIs around it.

`import kubernetes` runs all of them, 1.5 s of a cold start, and we speak plain JSON. So the package's folders are
entered without running their `__init__`; afterwards the half-made packages are forgotten, so that whoever
imports `kubernetes` later gets the whole of it. The version is pinned, and a test looks at what is loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any

_PACKAGES = ("kubernetes", "kubernetes.client", "kubernetes.client.models")


def _bare(name: str, path: list[str]) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__path__ = path
    return module


def _load() -> tuple[Any, Any, Any]:
    """ApiClient, Configuration, ApiException."""
    if "kubernetes.client" in sys.modules:  # somebody has paid for the whole package already
        client = importlib.import_module("kubernetes.client")
        return client.ApiClient, client.Configuration, client.ApiException
    spec = importlib.util.find_spec("kubernetes")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("the package kubernetes is not installed")
    root = spec.submodule_search_locations[0]
    package, client, models = (
        _bare(name, path) for name, path in zip(_PACKAGES, ([root], [f"{root}/client"], []), strict=True)
    )
    vars(package)["client"], vars(client)["models"] = client, models
    sys.modules.update(zip(_PACKAGES, (package, client, models), strict=True))
    try:
        api_client = importlib.import_module("kubernetes.client.api_client")
        configuration = importlib.import_module("kubernetes.client.configuration")
        exceptions = importlib.import_module("kubernetes.client.exceptions")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "kubernetes"]:
            del sys.modules[name]
    return api_client.ApiClient, configuration.Configuration, exceptions.ApiException


ApiClient, Configuration, ApiException = _load()
