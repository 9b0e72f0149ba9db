"""What holds for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from shared import log

# As in the functions: without it structlog draws each traceback with all its values, for seconds.
log.configure()

# How fast a machine is says nothing about the product: no example fails for its time.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
