"""What is remembered: one interface; SQL stands behind it in `shared.ledger.sql`.

Every write is conditional on one row (put if absent, update if version), and every scan is by a
key or a due time, so that a store without transactions across rows can stand behind it too.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from shared.audit import Book
from shared.authorization import State
from shared.contract import AuthorizationId, Bundle, Model, Outcome, Request, Result
from shared.turns import TurnBook

if TYPE_CHECKING:
    from shared.authorization import Authorization


class RequestRecord(Model):
    """A request as it first came, and what became of it in the end.

    Args:
        request: What was asked, for one instance or for many.
        fingerprint: Of its content: the same id with another one is another request.
        received_at: When it was first taken from the queue.
        sent_at: When it was put there.
        outcome: Its final result; None while it is under way.
        finished_at: When that was published.
    """

    request: Request | Bundle
    fingerprint: str
    received_at: datetime
    sent_at: datetime
    outcome: Outcome | None = None
    finished_at: datetime | None = None


class ResultRecord(Model):
    """A result as it is announced, and whether it has been published."""

    result: Result
    request_id: str
    published_at: datetime | None = None


class Wanted(Model):
    """Which authorizations are looked for; what is not given picks none out.

    Args:
        ecr_ids: On one of these ECRs.
        accounts: Of one of these accounts B.
        instance_id: Of this instance.
        state: That stand so.
        ends_before: Whose last lease ends before this time.
    """

    ecr_ids: tuple[str, ...] | None = None
    accounts: tuple[str, ...] | None = None
    instance_id: str | None = None
    state: State | None = None
    ends_before: datetime | None = None


class Place(Model):
    """Where an authorization stands among those found: its key, and its end if it has one."""

    key: str
    ends_at: datetime | None = None


Order = Literal["key", "end"]
"""By key; or by end, the soonest first, those without an end last."""


class LedgerUnavailable(Exception):
    """The ledger cannot be reached or does not answer: nothing may be done without it."""


class OlderLedger(Exception):
    """The ledger's schema is of an older release, and who opens it may not bring it up to date."""


class NewerLedger(Exception):
    """The ledger's schema is of a newer release than this one: nothing may be done to it."""


class Ledger(Book, TurnBook, Protocol):
    """The memory of the system. Any method may raise LedgerUnavailable."""

    def add_request(self, record: RequestRecord) -> RequestRecord | None:
        """Put if absent: None where it was added, else the record that was there before."""

    def request(self, request_id: str) -> RequestRecord | None:
        """The request with this id."""

    def finish_request(
        self, request_id: str, outcome: Outcome, now: datetime
    ) -> RequestRecord | None:
        """Note a request's final result: its record; None where it had one, which it keeps."""

    def unfinished(
        self, before: datetime, limit: int, after: RequestRecord | None = None
    ) -> list[RequestRecord]:
        """Requests received before a time that have no final result, the oldest first.

        Args:
            before: The time.
            limit: How many at most.
            after: The last one of the page before.
        """

    def authorization(self, key: str) -> tuple[Authorization, int] | None:
        """The authorization's record and its version: how often it was put."""

    def put_authorization(self, record: Authorization, version: int) -> bool:
        """Update if `version` is still the record's (0: put if absent); False where it is not."""

    def due(self, now: datetime, limit: int) -> list[AuthorizationId]:
        """Authorizations whose `due_at` has come, the longest due first."""

    def authorizations(
        self, prefix: str, after: str, limit: int
    ) -> list[tuple[str, Authorization | None]]:
        """Authorizations by their key; None for one that cannot be read.

        Args:
            prefix: What their keys begin with: `ecr-…:` for one ECR; empty for all.
            after: The last key of the page before, or an empty string.
            limit: How many at most.
        """

    def search(
        self, wanted: Wanted, limit: int, after: Place | None = None, order: Order = "key"
    ) -> list[tuple[Place, Authorization | None]]:
        """Those that are looked for, each with its place; None for one that cannot be read.

        Args:
            wanted: Which.
            limit: How many at most.
            after: The place of the last one of the page before, in the same order.
            order: In which order.
        """

    def count(self, wanted: Wanted) -> int:
        """How many authorizations are looked for."""

    def note(self, key: str) -> tuple[str, int] | None:
        """What is noted under a key, and its version: the state of the clean-up, its reports."""

    def put_note(self, key: str, text: str, version: int) -> bool:
        """Update if `version` is still the note's (0: put if absent); False where it is not."""

    def notes(self, prefix: str, after: str, limit: int) -> list[tuple[str, str]]:
        """Notes by their key: the key, and what is noted.

        Args:
            prefix: What their keys begin with.
            after: The last key of the page before, or an empty string.
            limit: How many at most.
        """

    def add_result(self, record: ResultRecord) -> ResultRecord:
        """Put if absent: the record that is there now, be it this one or an earlier one."""

    def mark_published(self, result_id: str, now: datetime) -> None:
        """Note that the result is on the topic; noting it twice keeps the first time."""

    def results(self, request_id: str) -> list[ResultRecord]:
        """The results of a request, in the order in which they were added."""

    def unpublished(self, before: datetime, limit: int) -> list[ResultRecord]:
        """Results made before a time and not marked published, the oldest first."""
