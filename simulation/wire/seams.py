"""Where a function's instance touches the world: every SDK call and every ledger statement.

Both are numbered, so that a schedule can say at which of them the instance dies, the ledger does
not answer, or the function's own credentials are over. The product's code is as shipped: the
ledger is a subclass of the real one, and the SDKs are stopped where they hand a request to HTTP.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import requests
from darabonba.core import DaraCore
from mns.mns_http import MNSHttp

from functions import triggers, wiring
from shared import registry
from shared.ledger import LedgerUnavailable
from shared.ledger.sql import SqlLedger
from simulation.schedule import Crash
from simulation.wire import transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from localcloud.server import Application

CALL = "call"
STATEMENT = "statement"
EXPIRED = "credentials over"
KINDS = {
    CALL: ("crash before", "crash after", EXPIRED),
    STATEMENT: ("crash before", "crash after", "unsent", "lost"),
}
_CALL_OF = DaraCore.do_action
_SEND_OF = MNSHttp.send_request


class Seams:
    """Counts what an instance does, and does to it what the schedule says.

    Args:
        stops: (`call` or `statement`, its number) -> what happens there.
        expire: The credentials of the instance at work are over.
        trace: Takes a line for each effect, where one is wanted.
    """

    def __init__(
        self,
        stops: dict[tuple[str, int], str],
        expire: Callable[[], None],
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self._stops = stops
        self._expire = expire
        self._trace = trace
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.reached: Counter[str] = Counter()
        self.at_work = False
        self.dead = False

    @contextmanager
    def invocation(self) -> Iterator[None]:
        """An instance is at work inside; outside nothing is counted, and nothing stops."""
        self.at_work, self.dead = True, False
        try:
            yield
        finally:
            self.at_work = False

    def stop(self) -> None:
        """Nothing happens any more."""
        self._stops = {}

    @contextmanager
    def around(self, of: str, name: str) -> Iterator[None]:
        """One effect."""
        if not self.at_work:
            yield
            return
        kind = self._before(of, name)
        yield
        if kind == "crash after":
            self._die()
        if kind == "lost":
            raise LedgerUnavailable("the ledger did not answer (simulated)")

    def _before(self, of: str, name: str) -> str | None:
        with self._lock:
            if self.dead:  # another thread of an instance that is gone
                raise Crash
            number = self.counts[of]
            self.counts[of] += 1
            kind = self._stops.get((of, number))
        if self._trace is not None:
            self._trace(f"{of:9} {number:3d}  {name}{f'  <- {kind}' if kind else ''}")
        if kind is None:
            return None
        self.reached[f"{of}: {kind}"] += 1
        if kind == "crash before":
            self._die()
        if kind == "unsent":
            raise LedgerUnavailable("the ledger did not answer (simulated)")
        if kind == EXPIRED:
            self._expire()
        return kind

    def _die(self) -> None:
        self.dead = True
        raise Crash


class WatchedLedger(SqlLedger):
    """The shipped ledger; each of its statements is an effect."""

    def __init__(self, seams: Seams, url: str) -> None:
        self._seams = seams
        super().__init__(url)

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        with self._seams.around(STATEMENT, _caller()), super()._connection() as connection:
            yield connection


def _caller() -> str:
    """The ledger's method that runs a statement."""
    frame = sys._getframe(3)
    while frame.f_code.co_name.startswith("_") and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_name


class InTurn:
    """A pool of one that runs what it is given at once: the same schedule, the same trace."""

    def __init__(self, max_workers: int) -> None:
        self.max_workers = max_workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def submit(self, action: Callable[..., Any], *given: Any) -> Future[Any]:
        """Run it; what it raises is kept for who asks, but a crash is everybody's."""
        future: Future[Any] = Future()
        try:
            future.set_result(action(*given))
        except Exception as error:  # noqa: BLE001 -- as a pool does
            future.set_exception(error)
        return future


_registry = cache(registry.load)


@contextmanager
def installed(seams: Seams, application: Application, *, threads: bool) -> Iterator[None]:
    """The seams are in place inside, and gone after; the registry's file is read once.

    With `threads` a batch is worked on at once, and each call goes over a socket of its own; else
    all is done in turn, and calls go to the `application` without sockets.
    """
    connections = requests.Session() if threads else transport.session(application)

    def call(request: Any, *given: Any, **named: Any) -> Any:
        with seams.around(CALL, request.headers.get("x-acs-action", "?")):
            return _CALL_OF(request, *given, **named)

    def send(self: Any, request: Any) -> Any:
        with seams.around(CALL, f"{request.method} {request.uri}"):
            if threads:
                return _SEND_OF(self, request)
            return transport.mns_answer(application, self.host, request)

    with ExitStack() as stack:
        for owner, name, value in (
            (DaraCore, "do_action", staticmethod(call)),
            (MNSHttp, "send_request", send),
            (wiring, "SqlLedger", partial(WatchedLedger, seams)),
            (registry, "load", _registry),
        ):
            stack.enter_context(patch.object(owner, name, value))
        get = staticmethod(lambda **_: connections)  # the SDK's own reads all certificates anew
        stack.enter_context(patch.object(DaraCore, "_get_session", get))
        if not threads:
            stack.enter_context(patch.object(triggers, "ThreadPoolExecutor", InTurn))
        stack.enter_context(patch.dict("os.environ", LOG_LEVEL="CRITICAL"))
        yield
