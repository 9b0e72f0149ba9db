"""What is remembered: one interface; SQL stands behind it in `shared.ledger.sql`.

Every write is conditional on one row (put if absent, update if version), so that a store without
transactions across rows can stand behind it too.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from shared.contract import Model, Request, Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.authorization import Authorization


class RequestRecord(Model):
    """A request as it first came; it never changes. What became of it stands in its results."""

    request: Request
    fingerprint: str
    received_at: datetime
    sent_at: datetime


class ResultRecord(Model):
    """A result as it is announced, and whether it has been published."""

    result: Result
    request_id: str
    published_at: datetime | None = None


class LedgerUnavailable(Exception):
    """The ledger cannot be reached or does not answer: nothing may be done without it."""


class Ledger(Protocol):
    """The memory of the system. Any method may raise LedgerUnavailable."""

    def add_request(self, record: RequestRecord) -> RequestRecord | None:
        """Put if absent: None where it was added, else the record that was there before."""

    def request(self, request_id: str) -> RequestRecord | None:
        """The request with this id."""

    def authorization(self, key: str) -> tuple[Authorization, int] | None:
        """The authorization's record and its version."""

    def put_authorization(self, record: Authorization, version: int) -> bool:
        """Update if `version` is still the record's (0: put if absent); False where it is not."""

    def authorizations(self) -> Iterator[Authorization]:
        """Every authorization, ordered by key."""

    def add_result(self, record: ResultRecord) -> ResultRecord:
        """Put if absent: the record that is there now, be it this one or an earlier one."""

    def mark_published(self, result_id: str, now: datetime) -> None:
        """Note that the result is on the topic; noting it twice keeps the first time."""

    def results(self, request_id: str) -> list[ResultRecord]:
        """The results of a request, in the order in which they were added."""

    def unpublished(self, limit: int) -> list[ResultRecord]:
        """Results that were added and not yet marked published, the oldest first."""
