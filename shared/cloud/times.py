"""Times, as the APIs write them: some in epoch milliseconds, some in ISO 8601."""

from __future__ import annotations

from datetime import datetime, timezone


def readable_time(value: object) -> datetime | None:
    """The moment, UTC; None where it cannot be read."""
    text = str(value)
    try:
        if text.isascii() and text.isdigit():
            return datetime.fromtimestamp(int(text) / 1000, tz=timezone.utc)
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").astimezone(timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None
