"""What lies on the ledger itself: requests without an answer, results that are not on the topic.

The sweep picks both up, again and again. What lies for long, whatever it does, is named here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from shared.cleanup.findings import Finding
from shared.contract import Request
from shared.ledger import LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shared.ledger import Ledger, RequestRecord
    from shared.registry import Registry

log = structlog.get_logger()

_LEAST: Final = timedelta(hours=1)
_PAGE: Final = 500
_PAGES: Final = 40
_MOST_RESULTS: Final = 2000


def lying(ledger: Ledger, registry: Registry, now: datetime) -> Iterator[Finding]:
    """Stuck requests and unpublished results; of very many, the oldest."""
    try:
        yield from _stuck(ledger, registry, now)
        yield from _unpublished(ledger, registry, now)
    except LedgerUnavailable:
        raise
    except Exception:
        log.exception("requests_not_read")
        yield Finding("unreadable", "requests", ticket="a request or a result; see the log")


def _stuck(ledger: Ledger, registry: Registry, now: datetime) -> Iterator[Finding]:
    last: RequestRecord | None = None
    for _ in range(_PAGES):
        page = ledger.unfinished(now - _LEAST, _PAGE, last)
        for record in page:
            asked, since = record.request, record.received_at
            of = asked.authorization if isinstance(asked, Request) else None
            rules = registry.rules(of) if of else registry.cleanup.rules
            if _is_old(rules.stuck_hours, now - since):
                again = asked.model_dump(mode="json", exclude_none=True)
                key = of.key if of else asked.request_id
                yield Finding("stuck", key, since, asked.request_id, again)
        if len(page) < _PAGE:
            return
        last = page[-1]


def _unpublished(ledger: Ledger, registry: Registry, now: datetime) -> Iterator[Finding]:
    for record in ledger.unpublished(now - _LEAST, _MOST_RESULTS):
        result = record.result
        of = result.data.authorization
        rules = registry.rules(of) if of else registry.cleanup.rules
        if not _is_old(rules.unpublished_hours, now - result.time):
            continue
        known = ledger.request(record.request_id)
        again = known.request.model_dump(mode="json", exclude_none=True) if known else None
        key = of.key if of else record.request_id
        yield Finding("unpublished", key, result.time, result.id, again)


def _is_old(hours: int | None, age: timedelta) -> bool:
    return hours is not None and age >= timedelta(hours=hours)
