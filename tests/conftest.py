"""How property-based tests run everywhere."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Nothing is judged by how long it took: a busy machine is no defect.
settings.register_profile("springboard", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("springboard")
