"""What the pages show, as the ledger has it, within the scope of who is looking."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from shared.cleanup import notes
from shared.cleanup.brake import BRAKE, BrakeOn
from shared.cleanup.tally import AGES
from shared.contract import AuthorizationId
from shared.doctor.canary import ROUND, Round
from shared.intake.models import Listing
from shared.intake.notes import asked_of
from shared.intake.problems import not_found
from shared.intake.reading import wanted_by

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.audit import Entry
    from shared.authorization import Authorization
    from shared.contract import Bundle, Request
    from shared.intake.models import RequestStatus
    from shared.intake.reading import Reading
    from shared.ledger import Ledger
    from shared.registry import Scope

PER_PAGE: Final = 50
FILTERS: Final = {
    "ecr": "ecr_id",
    "account": "account_uid",
    "instance": "instance_id",
    "state": "state",
    "before": "expiring_before",
    "sort": "order",
    "cursor": "cursor",
}
"""What the list's address may say, and what that is called in a listing."""
_MOST_ENTRIES: Final = 300
_MOST_ASKS: Final = 500
_MOST_TOLD: Final = 500


@dataclass(frozen=True)
class List:
    """A page of authorizations.

    Args:
        records: Those on it.
        count: How many there are on all pages.
        next: The cursor of the page after it.
    """

    records: tuple[Authorization, ...]
    count: int
    next: str | None


@dataclass(frozen=True)
class History:
    """An authorization, and what was done about it, the newest first.

    Args:
        record: The authorization.
        entries: Of its audit chain.
        is_whole: None is left out.
    """

    record: Authorization
    entries: tuple[Entry, ...]
    is_whole: bool


@dataclass(frozen=True)
class Braked:
    """The list that waits for an operator.

    Args:
        brake: The brake; None where it is off.
        asks: What the list asks for, as far as it is shown.
        is_unreadable: Something is noted, and nobody knows what.
        last: The run before, where it was released or dropped: by whom.
    """

    brake: BrakeOn | None = None
    asks: tuple[dict[str, Any], ...] = ()
    is_unreadable: bool = False
    last: BrakeOn | None = None


@dataclass(frozen=True)
class Drift:
    """What the last run of the clean-up has found."""

    run: notes.CleanupRun | None
    told: tuple[notes.Told, ...] = ()
    is_unreadable: bool = False
    is_whole: bool = True


@dataclass(frozen=True)
class Bar:
    """A column of a chart: up to so many days, and how many."""

    days: str
    count: int


@dataclass(frozen=True)
class Looking:
    """Reads the ledger for the pages.

    Args:
        reading: What readers are told.
    """

    reading: Reading

    @property
    def ledger(self) -> Ledger:
        """Where it is known."""
        return self.reading.ledger

    def listed(self, scope: Scope, asked: Listing) -> List:
        """A page of what is in the scope. Raises Refusal where the cursor is none."""
        wanted = wanted_by(scope, asked)
        records, after = self.reading.records(wanted, asked)
        return List(records, self.ledger.count(wanted), after)

    def record(self, scope: Scope, key: str) -> Authorization:
        """The authorization with this key. Raises Refusal where it is not there for the scope."""
        try:
            of = AuthorizationId.of_key(key)
        except (ValueError, ValidationError):
            raise not_found("There is no such authorization.") from None
        found = self.ledger.authorization(of.key)
        if found is None or not scope.covers(of.instance_owner_uid, of.ecr_id):
            raise not_found("There is no such authorization.")
        return found[0]

    def history(self, scope: Scope, key: str) -> History:
        """The authorization with all that was done about it. Raises Refusal."""
        record = self.record(scope, key)
        entries: deque[Entry] = deque(maxlen=_MOST_ENTRIES)
        count = 0
        for entry in self.ledger.entries(record.id.key):
            entries.append(entry)
            count += 1
        return History(record, tuple(reversed(entries)), count <= _MOST_ENTRIES)

    def request(self, scope: Scope, request_id: str) -> RequestStatus:
        """What became of a request. Raises Refusal where it is not there for the scope."""
        return self.reading.request(scope, request_id)

    def asked(self, request_id: str) -> Request | Bundle | None:
        """What a request asks for, once it is shown that it may be told."""
        return asked_of(self.ledger, request_id)

    def braked(self) -> Braked:
        """The list that waits for an operator, if one does."""
        note = notes.noted(self.ledger, BRAKE, BrakeOn)
        brake = note.document
        if note.is_unreadable:
            return Braked(is_unreadable=True)
        if brake is None or not brake.holds:
            return Braked(last=brake)
        asks: list[dict[str, Any]] = []
        try:
            for one in notes.asks_of(self.ledger, brake.run):
                asks.append(one)
                if len(asks) >= _MOST_ASKS:
                    break
        except notes.UnreadableNote:
            return Braked(brake, tuple(asks), is_unreadable=True)
        return Braked(brake, tuple(asks))

    def drift(self, scope: Scope) -> Drift:
        """The findings of the clean-up's last run that are in the scope."""
        try:
            run = notes.report(self.ledger)
        except notes.UnreadableNote:
            return Drift(None, is_unreadable=True)
        if run is None:
            return Drift(None)
        told = (one for one in notes.each_told(self.ledger, run) if _is_in(scope, one.key))
        shown = tuple(islice(told, _MOST_TOLD))
        return Drift(run, shown, is_whole=next(told, None) is None)

    def examined(self) -> Round | None:
        """The doctor's last round."""
        return notes.noted(self.ledger, ROUND, Round).document

    def ends(self, scope: Scope, now: datetime) -> tuple[Bar, ...]:
        """How many authorizations end within so many days; `over`: they should have ended."""
        found: list[Bar] = []
        before = 0
        for days, name in ((0, "over"), *((days, str(days)) for days in AGES)):
            until = now + timedelta(days=days)
            count = self.ledger.count(wanted_by(scope, Listing(expiring_before=until)))
            found.append(Bar(name, count - before))
            before = count
        return tuple(found)

    def ages(self) -> tuple[notes.CleanupRun | None, tuple[Bar, ...]]:
        """How old grants were at the clean-up's last run, and which run that was."""
        run = self._last_run()
        names = (*map(str, AGES), "more")
        return run, tuple(Bar(name, run.ages.get(name, 0) if run else 0) for name in names)

    def _last_run(self) -> notes.CleanupRun | None:
        """The clean-up's last run, where it can be read."""
        try:
            return notes.report(self.ledger)
        except notes.UnreadableNote:
            return None


def asked(given: Mapping[str, str]) -> tuple[Listing, tuple[str, ...]]:
    """What the list's address asks for, and the fields in it that are not what they should be.

    Args:
        given: The query.
    """
    told = {name: given.get(key, "").strip() for key, name in FILTERS.items()}
    found = {name: value for name, value in told.items() if value}
    if len(found.get("expiring_before", "")) == len("2026-12-31"):
        found["expiring_before"] += "T00:00:00Z"
    bad: list[str] = []
    try:
        return Listing.model_validate_strings({**found, "limit": str(PER_PAGE)}), ()
    except ValidationError as error:
        wrong = {str(one["loc"][0]) for one in error.errors(include_input=False)}
        bad = [key for key, name in FILTERS.items() if name in wrong]
    return Listing(limit=PER_PAGE), tuple(bad)


def _is_in(scope: Scope, key: str) -> bool:
    """What a finding is about is in the scope; an ECR as a whole is for who sees every account."""
    parts = key.split(":")
    if len(parts) == 1:
        return scope.accounts == "all" and (scope.ecrs == "all" or key in scope.ecrs)
    return scope.covers(parts[-1], parts[0])
