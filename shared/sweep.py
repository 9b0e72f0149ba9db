"""The sweep: picks up what nobody works on any more, and wakes it; it changes nothing itself.

results made and not published      are published
requests received and not taken     are put on the request queue once more
authorizations that are due         are woken: locked by a dead instance, their message lost,
                                    or a write made that may have landed late
yesterday's audit trail             is sealed
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from shared.announce import final_of
from shared.contract import Wake
from shared.leases import STUCK_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.announce import Announcer
    from shared.audit import Trail
    from shared.inbox import Send
    from shared.ledger import Ledger, RequestRecord

log = structlog.get_logger()

UNPUBLISHED_AFTER: Final = timedelta(minutes=5)
_AUTHORIZE_LATER_SECONDS: Final = 30
"""Account A is looked at first: what is attached there is to be detached before it is revoked."""


@dataclass(frozen=True)
class Swept:
    """What a sweep has picked up, and whether its limit left more for the next one."""

    published: int = 0
    resent: int = 0
    woken: int = 0
    sealed: bool = False
    is_whole: bool = True


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
        """Pick up what lies. Raises LedgerUnavailable, CloudFailure: the next sweep goes on."""
        now = self.now()
        late = self.ledger.unpublished(now - UNPUBLISHED_AFTER, self.limit)
        for result in late:
            self.announcer.publish_late(result)
        old = self.ledger.unfinished(now - STUCK_AFTER, self.limit)
        resent = sum(self._resent(record) for record in old)
        due = self.ledger.due(now, self.limit)
        for authorization in due:
            body = Wake(wake=authorization.id).body()
            self.trail.note(authorization.id.key, "woken")
            self.send(self.attachments, body)
            self.send(self.requests, body, _AUTHORIZE_LATER_SECONDS)
        sealed = self.trail.seal((now - timedelta(days=1)).date())
        whole = max(len(late), len(old), len(due)) < self.limit
        swept = Swept(len(late), resent, len(due), sealed, whole)
        log.info("swept", **vars(swept))
        return swept

    def _resent(self, record: RequestRecord) -> bool:
        """Whether the request was put on the queue again: nothing else remembers it."""
        request = record.request
        known = self.ledger.authorization(request.authorization.key)
        if known is not None and known[0].request(request.request_id) is not None:
            return False  # it is under way, and its authorization has a due time
        results = self.ledger.results(request.request_id)
        final = final_of(results)
        if final is not None:
            outcome = final.result.data.outcome
            self.ledger.finish_request(request.request_id, outcome, self.now())
            return False
        self.trail.note(request.authorization.key, "resent", request=request.request_id)
        self.send(self.requests, request.model_dump_json(exclude_none=True))
        return True
