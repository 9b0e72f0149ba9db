"""Account A's view of one ECR and what may be concluded from it; the ledger's records of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.authorization import VISIBLE_AFTER
from shared.cleanup.findings import Finding, Shown
from shared.cleanup.notes import Rows, noted, overwrite, rows_key
from shared.cloud.errors import NO_ECR, CloudFailure, NotNow, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from shared.authorization import Authorization
    from shared.cloud.credentials import Credentials
    from shared.cloud.listings import Listings
    from shared.ledger import Ledger
    from shared.registry import Registry

PAGE: Final = 500
_OF_THE_TIMER: Final = ("asked", "woken", "resent", "looked at again")
_REMEMBERED: Final = timedelta(days=1)
"""For so long an ECR that was not empty is not believed to be."""


@dataclass(frozen=True)
class View:
    """Looks at account A.

    Args:
        ledger: Where it is noted how many rows there were; and the records.
        listings: Account A's listings.
        credentials: The function's own.
        registry: Whose ECRs they are.
        now: The clock, UTC.
    """

    ledger: Ledger
    listings: Listings
    credentials: Callable[[], Credentials]
    registry: Registry
    now: Callable[[], datetime]

    def shown(self, ecr_id: str) -> tuple[Shown, list[Finding]]:
        """Account A's view; one that failed or is suddenly empty says nothing of what is gone.

        Raises:
            NotNow: The cloud asks for patience.
        """
        at = self.now()
        ecr = self.registry.ecrs.get(ecr_id)
        if ecr is None:
            return Shown(at, is_whole=False), []
        try:
            shown = self._listed(ecr_id, ecr.owner_uid, at)
        except NotNow:
            raise
        except CloudFailure as failure:
            return unknown(ecr_id, at, failure)
        if shown.rows == 0 and shown.exists and self._is_suspicious(ecr_id, at):
            return Shown(at, is_whole=False), [Finding("listing_empty", ecr_id)]
        if shown.is_whole and shown.exists:
            self._note_rows(ecr_id, Rows(rows=shown.rows, at=at))
        return shown, []

    def records(self, ecr_id: str, after: str = "") -> Iterator[tuple[str, Authorization | None]]:
        """All authorizations of the ECR, page by page, by their keys."""
        while page := self.ledger.authorizations(f"{ecr_id}:", after, PAGE):
            yield from page
            after = page[-1][0]

    def has_moved(self, key: str, since: datetime) -> bool:
        """Something was done about the authorization since then, as its trail says.

        A call that has its answer leaves no time on the record. What the timer's function notes
        there itself has moved nothing.
        """
        last = self.ledger.last_entry(key)
        if last is None or last.what in _OF_THE_TIMER or last.what.startswith("expiring "):
            return False
        return last.at > since - VISIBLE_AFTER

    def _listed(self, ecr_id: str, owner_uid: str, at: datetime) -> Shown:
        """The listings; that the ECR itself is gone is believed only when it is asked for."""
        try:
            shown = self.listings.show(self.credentials(), ecr_id, owner_uid, at)
        except Refused as refused:
            if refused.cloud_code != NO_ECR:
                raise
            shown = Shown(at, is_whole=False)
        if shown.rows == 0 and not self.listings.exists(self.credentials(), ecr_id):
            return Shown(at, is_whole=False, exists=False)
        return shown

    def _is_suspicious(self, ecr_id: str, at: datetime) -> bool:
        """An empty listing: there were rows not long ago, and leases live that should be in it."""
        before = noted(self.ledger, rows_key(ecr_id), Rows)
        if before.is_unreadable:  # there may have been any number: from now on it is known again
            self._note_rows(ecr_id, Rows(rows=1, at=at))
            return True
        known = before.document
        if known is None or known.rows == 0 or at - known.at > _REMEMBERED:
            return False
        return any(record and record.live_leases for _, record in self.records(ecr_id))

    def _note_rows(self, ecr_id: str, rows: Rows) -> None:
        """Where somebody was quicker, theirs are as good."""
        overwrite(self.ledger, rows_key(ecr_id), rows)


def unknown(ecr_id: str, at: datetime, failure: CloudFailure) -> tuple[Shown, list[Finding]]:
    """What is known of an ECR that could not be listed: nothing."""
    return Shown(at, is_whole=False), [Finding("listing_failed", ecr_id, ticket=failure.cloud_code)]


def each_ecr(ledger: Ledger, registry: Registry) -> list[str]:
    """All ECRs that the registry names, and those that only the ledger still knows.

    They come in the order of the keys of their authorizations.
    """
    known, last = set(registry.ecrs), ""
    while page := ledger.authorizations("", last, 1):
        ecr_id = page[0][0].split(":")[0]
        known.add(ecr_id)
        last = f"{ecr_id}:\x7e"
    return sorted(known, key="{}:".format)
