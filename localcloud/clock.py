"""The time that the stand-in lives by: the machine's, or a virtual one that a test moves."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


def iso(at: float) -> str:
    """A time as the cloud's APIs write it: `YYYY-MM-DDThh:mm:ssZ`."""
    return datetime.fromtimestamp(at, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Clock(Protocol):
    """What every part of the stand-in asks for the time and for being called later."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""

    def call_at(self, when: float, action: Callable[[], None]) -> None:
        """Run `action` once the clock has reached `when` (epoch seconds)."""

    def close(self) -> None:
        """Forget what is still to be called."""


class MachineClock:
    """The machine's own time; one thread runs what has become due."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def call_at(self, when: float, action: Callable[[], None]) -> None:
        """Run `action` on the clock's thread at `when`; actions must be short."""
        with self._changed:
            heapq.heappush(self._due, (when, next(self._order), action))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Stop the thread; what was still to be called is forgotten."""
        with self._changed:
            self._closed = True
            self._due.clear()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (not self._due or self._due[0][0] > time.time()):
                    wait = self._due[0][0] - time.time() if self._due else None
                    self._changed.wait(wait)
                if self._closed:
                    return
                _, _, action = heapq.heappop(self._due)
            action()


class VirtualClock:
    """A time that stands still until `advance` moves it; what falls due runs in order."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._lock = threading.RLock()

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return self._now

    def call_at(self, when: float, action: Callable[[], None]) -> None:
        """Run `action` when `advance` passes `when`."""
        with self._lock:
            heapq.heappush(self._due, (when, next(self._order), action))

    def advance(self, seconds: float) -> None:
        """Move the time on by `seconds`, running in order all that falls due on the way."""
        target = self._now + seconds
        while True:
            with self._lock:
                if not self._due or self._due[0][0] > target:
                    break
                when, _, action = heapq.heappop(self._due)
                self._now = max(self._now, when)
            action()
        self._now = target

    def next_due(self) -> float | None:
        """When the next action falls due, or None where nothing waits."""
        with self._lock:
            return self._due[0][0] if self._due else None

    def close(self) -> None:
        """Forget what is still to be called."""
        with self._lock:
            self._due.clear()
