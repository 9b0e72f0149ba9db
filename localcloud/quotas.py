"""How often each API may be called: sliding windows per account and API."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from localcloud.call import CloudError

if TYPE_CHECKING:
    from localcloud.behaviour import Behaviour
    from localcloud.call import Operation

_STS_PER_SECOND = 100


class Quotas:
    """Counts calls; refuses the one too many as the cloud does."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._calls: dict[tuple[str, str], deque[float]] = {}

    def count(self, account_uid: str, action: str, operation: Operation, now: float) -> None:
        """Note a call.

        Raises:
            CloudError: Throttling.User, where the window is full.
        """
        switches = self._behaviour.switches
        if not switches.quotas:
            return
        if action == "AssumeRole":
            limit, seconds = _STS_PER_SECOND, 1.0
        elif operation.quota is not None:
            per_minute = {"write": switches.writes_per_minute, "read": switches.reads_per_minute}
            limit, seconds = per_minute[operation.quota], 60.0
        else:
            return
        calls = self._calls.setdefault((account_uid, action), deque())
        while calls and calls[0] <= now - seconds:
            calls.popleft()
        if len(calls) >= limit:
            raise throttled(switches.retry_after_header, calls[0] + seconds - now)
        calls.append(now)


def throttled(with_header: bool, seconds: float = 1.0) -> CloudError:
    """The error of a call too many."""
    headers = {"x-acs-retry-after": str(max(1, round(seconds)))} if with_header else {}
    return CloudError(
        400, "Throttling.User", "Request was denied due to user flow control.", headers=headers
    )
