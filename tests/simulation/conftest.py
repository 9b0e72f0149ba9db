"""What the tests of the simulation share."""

from __future__ import annotations

import pytest
import structlog

from simulation import campaign


@pytest.fixture
def no_logs():
    """Tracebacks with all that is known take seconds to print."""
    kept = structlog.get_config()
    campaign.quiet()
    yield
    structlog.configure(**kept)
