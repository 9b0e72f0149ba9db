"""The clock of the deployed functions."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> datetime:
    """The time, UTC."""
    return datetime.now(timezone.utc)
