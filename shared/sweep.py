"""The sweep: picks up what nobody works on any more, and wakes it; the workers do the rest.

results made and not published      are published
requests received and not taken     are put on the request queue once more
authorizations that are due         are woken: locked by a dead instance, their message lost,
                                    or a write made that may have landed late
days that are over                  are sealed on the audit trail
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from shared.announce import final_of
from shared.audit import UNADDRESSED
from shared.cloud.errors import CloudFailure
from shared.contract import Request, Wake
from shared.leases import STUCK_AFTER
from shared.ledger import LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from typing import TypeVar

    from shared.announce import Announcer
    from shared.audit import Trail
    from shared.contract import AuthorizationId, ResultBody
    from shared.inbox import Send
    from shared.ledger import Ledger, RequestRecord, ResultRecord

    Lying = TypeVar("Lying")

log = structlog.get_logger()

UNPUBLISHED_AFTER: Final = timedelta(minutes=5)
_AUTHORIZE_LATER_SECONDS: Final = 30
"""Account A is looked at first: what is attached there is to be detached before it is revoked."""
_PAGES: Final = 20
"""How many pages of requests one sweep looks through: most of them only wait for somebody."""


@dataclass
class Swept:
    """What a sweep has picked up, and whether its limit left more for the next one."""

    published: int = 0
    resent: int = 0
    woken: int = 0
    sealed: bool = False
    is_whole: bool = True


@dataclass(frozen=True)
class Found:
    """What lies and a sweep would pick up: ids of results and of requests, keys.

    Args:
        unpublished: Results made and not published, by their event ids.
        lost: Requests received and not taken, by their ids.
        due: Authorizations that nobody has looked after, by their keys.
        seal_until: The end of the days that are over and not sealed, if there are any.
        is_whole: Nothing more lies than is named here.
    """

    unpublished: tuple[str, ...]
    lost: tuple[str, ...]
    due: tuple[str, ...]
    seal_until: datetime | None
    is_whole: bool


@dataclass(frozen=True)
class Sweep:
    """One pass over the ledger. Two at once do no harm: what they send is done once.

    Args:
        ledger: What is looked through.
        announcer: Publishes what was not.
        trail: Is sealed, and told of what was picked up.
        send: Puts a message on a queue.
        requests: The request queue's name.
        attachments: The attachment queue's name.
        now: The clock, UTC.
        limit: How many of each kind one pass picks up.
    """

    ledger: Ledger
    announcer: Announcer
    trail: Trail
    send: Send
    requests: str
    attachments: str
    now: Callable[[], datetime]
    limit: int = 500

    def run(self) -> Swept:
        """Pick up what lies; what one part cannot do keeps no other from its own.

        Raises:
            LedgerUnavailable: Nothing more could be done.
            CloudFailure: The first one there was; all that could be done is done.
        """
        swept, failures = Swept(), []
        for part in (self._publish, self._resend, self._wake, self._seal):
            try:
                part(swept)
            except CloudFailure as failure:
                failures.append(failure)
        log.info("swept", failures=len(failures), **vars(swept))
        if failures:
            raise failures[0]
        return swept

    def look(self) -> Found:
        """What `run` would pick up now; nothing is sent, published or written.

        Raises:
            LedgerUnavailable: Nothing can be said.
        """
        late, due = self._late(), self.ledger.due(self.now(), self.limit)
        pages = list(self._unfinished())
        lost: list[str] = []

        def note(record: RequestRecord) -> None:
            if not self._is_under_way(record) and self._answer(record) is None:
                lost.append(record.request.request_id)

        for page in pages:
            _each(page, note)
        return Found(
            unpublished=tuple(one.result.id for one in late),
            lost=tuple(lost[: self.limit]),
            due=tuple(of.key for of in due),
            seal_until=self.trail.unsealed_until(),
            is_whole=max(len(late), len(lost), len(due), len(pages[-1])) < self.limit,
        )

    def _late(self) -> list[ResultRecord]:
        return self.ledger.unpublished(self.now() - UNPUBLISHED_AFTER, self.limit)

    def _unfinished(self) -> Iterator[list[RequestRecord]]:
        """Requests without a final result, page by page, the oldest first; not without end."""
        before, last = self.now() - STUCK_AFTER, None
        for _ in range(_PAGES):
            page = self.ledger.unfinished(before, self.limit, last)
            yield page
            if len(page) < self.limit:
                return
            last = page[-1]

    def _publish(self, swept: Swept) -> None:
        late = self._late()
        swept.published = _each(late, self.announcer.publish_late)
        swept.is_whole &= len(late) < self.limit

    def _resend(self, swept: Swept) -> None:
        for page in self._unfinished():
            swept.resent += _each(page, self._resent)
            if len(page) < self.limit:
                return
            if swept.resent >= self.limit:
                break
        swept.is_whole = False

    def _resent(self, record: RequestRecord) -> bool:
        """Whether the request was put on the queue again: nothing else remembers it."""
        request = record.request
        if self._is_under_way(record):
            return False
        answer = self._answer(record)
        if answer is not None:
            self.announcer.finish(answer)
            return False
        chain = request.authorization.key if isinstance(request, Request) else UNADDRESSED
        self.trail.note(chain, "resent", request=request.request_id)
        self.send(self.requests, request.model_dump_json(exclude_none=True))
        return True

    def _is_under_way(self, record: RequestRecord) -> bool:
        """Its authorization remembers it, and has a due time."""
        request = record.request
        if not isinstance(request, Request):
            return False
        known = self.ledger.authorization(request.authorization.key)
        return known is not None and known[0].request(request.request_id) is not None

    def _answer(self, record: RequestRecord) -> ResultBody | None:
        final = final_of(self.ledger.results(record.request.request_id))
        return final.result.data if final else None

    def _wake(self, swept: Swept) -> None:
        due = self.ledger.due(self.now(), self.limit)
        swept.woken = _each(due, self._woken)
        swept.is_whole &= len(due) < self.limit

    def _woken(self, of: AuthorizationId) -> None:
        """Both workers are told; not again before they have had the time to come to it."""
        body = Wake(wake=of).body()
        self.trail.note(of.key, "woken")
        self.send(self.attachments, body)
        self.send(self.requests, body, _AUTHORIZE_LATER_SECONDS)
        known = self.ledger.authorization(of.key)
        if known is not None:
            record, version = known
            later = record.model_copy(update={"due_at": self.now() + STUCK_AFTER})
            self.ledger.put_authorization(later, version)  # lost where a worker was quicker

    def _seal(self, swept: Swept) -> None:
        swept.sealed = self.trail.seal()


def _each(lying: Iterable[Lying], pick_up: Callable[[Lying], bool | None]) -> int:
    """How many were picked up; one that cannot be read is logged, and the others go on."""
    done = 0
    for one in lying:
        try:
            done += pick_up(one) is not False
        except (LedgerUnavailable, CloudFailure):
            raise
        except Exception:
            log.exception("sweep_item_failed")
    return done
