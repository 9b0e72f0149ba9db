"""What the tests of the simulation share."""

from __future__ import annotations

import pytest
import structlog

from simulation import campaign


@pytest.fixture
def no_logs():
    """Nobody reads the lines of thousands of schedules, and writing them takes long."""
    kept = structlog.get_config()
    campaign.quiet()
    yield
    structlog.configure(**kept)
