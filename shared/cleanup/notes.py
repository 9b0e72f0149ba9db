"""What the clean-up notes on the ledger: its run, what that has found, the reports.

A note that cannot be read (corrupt, or of a release that writes another form) is never taken as
licence to ask: who reads it is told so, looks only, and writes it anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from shared.contract import Model as Strict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.cleanup.findings import Finding
    from shared.ledger import Ledger

CHAIN: Final = "clean-up"
RUN: Final = "cleanup/run"
LAST_REPORT: Final = "cleanup/report"
_REPORT: Final = "cleanup/report/"
_LONGEST_SENTENCE: Final = 300
MOST_TOLD: Final = 200
"""Findings of one ECR that are kept in full; the others are counted."""
BOOKS: Final = "requests"
"""Stands among what a run looks at for the requests and results of the ledger."""

Noted = TypeVar("Noted", bound=Strict)


class Model(Strict):
    """A note. A field of a newer release is left out, so that an older one can go on."""

    model_config = ConfigDict(extra="ignore")


class Told(Model):
    """A finding, as it is kept and shown."""

    name: str
    key: str
    sentence: str
    request: dict[str, Any] | None = None

    @classmethod
    def of(cls, finding: Finding) -> Told:
        """The finding; a sentence that is very long is cut."""
        return cls(
            name=finding.name,
            key=finding.key,
            sentence=finding.sentence[:_LONGEST_SENTENCE],
            request=finding.request,
        )


class Found(Model):
    """What a run has found on one ECR.

    Args:
        parts: The digests of the parts of its list, each noted by itself: what is to be done is
            as long as it is, and never held as a whole.
        told: The first findings.
    """

    parts: tuple[str, ...] = ()
    told: tuple[Told, ...] = ()


class Part(Model):
    """One part of what a run would ask for, and of what it would have looked at again."""

    requests: tuple[dict[str, Any], ...] = ()
    looks: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Of what is asked for; the same on another day."""
        return sha256("\n".join(_line(one) for one in self.requests).encode()).hexdigest()[:16]


class CleanupRun(Model):
    """A run: how far it has come, and what it has come to.

    Args:
        id: Its name: when it was begun, and which one it is.
        observes: Why it asks for nothing, if it only looks.
        slot: Where its rows are: those of a run that is braked stay as they are.
        ecrs: All that it looks at: the ECRs, and `requests`.
        pending: Those that are still to be looked at.
        tries: How often the first of them could not be listed for now.
        seen: Authorizations with access, or a lease that wants it.
        wanted: Revokes and adoptions that are due.
        cursor: How many parts of its list are asked for; None before it is decided.
        looked_to: The last authorization that was looked at again: the next run goes on there.
        counts: How often each finding was made.
        ages: Grants by age in days, at most so many.
        ends: Leases by days to their end, at most so many; `none` for those without.
        outcome: `observed`, `braked`, `asked`, `stopped`; None while it runs.
        digest: Of all that it would ask for: what an operator releases.
        told: The first findings, as everybody is told of them.
        is_told: Everybody has been told of it.
    """

    id: str
    started_at: datetime
    observes: str | None = None
    slot: int = 0
    ecrs: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    tries: int = 0
    seen: int = 0
    wanted: int = 0
    asked: int = 0
    looked: int = 0
    warned: int = 0
    cursor: int | None = None
    looked_to: str = ""
    counts: dict[str, int] = Field(default_factory=dict)
    ages: dict[str, int] = Field(default_factory=dict)
    ends: dict[str, int] = Field(default_factory=dict)
    outcome: str | None = None
    digest: str | None = None
    finished_at: datetime | None = None
    told: tuple[Told, ...] = ()
    is_told: bool = False

    def is_recent(self, now: datetime, age: timedelta) -> bool:
        """It is younger than so much; one begun in the future has met a clock that jumped."""
        return timedelta() <= now - self.started_at < age


class Rows(Model):
    """How many authorizations account A showed of an ECR, when it was last listed whole."""

    rows: int
    at: datetime


class UnreadableNote(ValueError):
    """A note is corrupt, or of another form than this release knows, or is not there at all."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the ledger's note {key} cannot be read")
        self.key = key


@dataclass(frozen=True)
class Note(Generic[Noted]):
    """What is noted under a key: None where nothing is, or nothing that can be read.

    Args:
        document: What is noted.
        version: What a change has to name; 0 where nothing is there.
    """

    document: Noted | None
    version: int

    @property
    def is_unreadable(self) -> bool:
        """Something is there, and nobody knows what."""
        return self.document is None and self.version > 0


def noted(ledger: Ledger, key: str, kind: type[Noted]) -> Note[Noted]:
    """What is noted under a key."""
    known = ledger.note(key)
    if known is None:
        return Note(None, 0)
    try:
        return Note(kind.model_validate_json(known[0]), known[1])
    except ValidationError:
        return Note(None, known[1])


def _certain(ledger: Ledger, key: str, kind: type[Noted]) -> Noted:
    document = noted(ledger, key, kind).document
    if document is None:
        raise UnreadableNote(key)
    return document


def found_key(slot: int, ecr_id: str) -> str:
    """Where what a run has found on an ECR is noted."""
    return f"cleanup/found/{slot}/{ecr_id}"


def part_key(slot: int, ecr_id: str, number: int) -> str:
    """Where a part of what it would ask for there is noted."""
    return f"{found_key(slot, ecr_id)}/{number:06d}"


def rows_key(ecr_id: str) -> str:
    """Where it is noted how many rows an ECR had."""
    return f"cleanup/rows/{ecr_id}"


def report_key(at: datetime) -> str:
    """Where the report of a day's last run is noted."""
    return f"{_REPORT}{at.date().isoformat()}"


def report(ledger: Ledger, day: str | None = None) -> CleanupRun | None:
    """The last finished run of a day (`2026-11-24`), or of all. Raises UnreadableNote."""
    key = _REPORT + day if day else LAST_REPORT
    known = noted(ledger, key, CleanupRun)
    if known.is_unreadable:
        raise UnreadableNote(key)
    return known.document


def each_told(ledger: Ledger, run: CleanupRun) -> Iterator[Told]:
    """The findings of the last finished run, as far as they are kept and can be read."""
    for ecr_id in run.ecrs:
        found = noted(ledger, found_key(run.slot, ecr_id), Found).document
        yield from found.told if found else ()


def overwrite(ledger: Ledger, key: str, document: Strict) -> bool:
    """It is noted, whatever was there; False where somebody was quicker."""
    known = ledger.note(key)
    text = document.model_dump_json(exclude_none=True)
    return ledger.put_note(key, text, known[1] if known else 0)


def list_digest(ledger: Ledger, run: CleanupRun) -> str:
    """Of all that a run would ask for, part by part. Raises UnreadableNote."""
    return _digest(_places(ledger, run))


def each_part(ledger: Ledger, run: CleanupRun, digest: str, start: int = 0) -> Iterator[Part]:
    """What a run would ask for, from a part on; each is the one that was found.

    Args:
        ledger: Where it is noted.
        run: Whose list it is.
        digest: Of the list that was counted, or released.
        start: How many parts are left out.

    Raises:
        UnreadableNote: One is not there, cannot be read, or is another one.
    """
    places = _places(ledger, run)
    if _digest(places) != digest:
        raise UnreadableNote(found_key(run.slot, "*"))
    for key, its in places[start:]:
        part = _certain(ledger, key, Part)
        if part.digest != its:
            raise UnreadableNote(key)
        yield part


def _places(ledger: Ledger, run: CleanupRun) -> list[tuple[str, str]]:
    """Where each part of a run's list is noted, and its digest."""
    return [
        (part_key(run.slot, ecr_id, number), digest)
        for ecr_id in run.ecrs
        for number, digest in enumerate(_certain(ledger, found_key(run.slot, ecr_id), Found).parts)
    ]


def _digest(places: list[tuple[str, str]]) -> str:
    return sha256("\n".join(digest for _, digest in places).encode()).hexdigest()[:16]


def asks_of(ledger: Ledger, run: CleanupRun) -> Iterable[dict[str, Any]]:
    """What a run that is decided would ask for. Raises UnreadableNote."""
    parts = each_part(ledger, run, run.digest or "")
    return (one for part in parts for one in part.requests)


def _line(request: dict[str, Any]) -> str:
    """What a request asks for; a stray's revoke names itself as its lease, day by day another."""
    lease = request.get("lease")
    names = ("action", "ecr_id", "instance_id", "instance_region_id", "instance_owner_uid")
    own = "" if lease == request.get("request_id") else lease
    return " ".join([*(str(request.get(name)) for name in names), str(own)])
