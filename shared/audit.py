"""The audit trail: what was done, to what, for whom; each entry bears the hash of the one before.

One chain for each authorization, so that writers do not queue up behind one another; what belongs
to none is on the chain `unaddressed`. Once a day the heads of all chains that grew since are sealed
by an entry on the chain `seals`: it shows a chain that was cut short or taken away whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from hashlib import sha256
from itertools import groupby
from typing import TYPE_CHECKING, Final, Protocol

from pydantic_core import to_json

from shared.contract import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SEALS: Final = "seals"
UNADDRESSED: Final = "unaddressed"
SEALED_AFTER: Final = timedelta(hours=1)
"""How long after midnight (UTC) a day is over for every instance, whatever its clock says."""

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_BOUNDS: Final = ("since", "until")
_TRIES: Final = 50
_HEADS_KEPT: Final = 10_000

Fact = str | int | None


class Entry(Model):
    """One line of a chain. `sequence` counts from 1; `previous` is the hash of the line before."""

    chain: str
    sequence: int
    at: datetime
    what: str
    facts: dict[str, Fact]
    previous: str
    hash: str = ""

    @property
    def true_hash(self) -> str:
        """The hash that the content has, whatever hash is written down."""
        content = self.model_dump(mode="json", exclude={"hash"})
        canonical = to_json({name: content[name] for name in sorted(content)})
        return sha256(canonical).hexdigest()

    def sealed(self) -> Entry:
        """The entry with its hash."""
        return self.model_copy(update={"hash": self.true_hash})


class Book(Protocol):
    """Where entries are kept. Nothing is ever changed or taken away."""

    def add_entry(self, entry: Entry) -> bool:
        """Put if absent by (chain, sequence); False where there is one."""

    def last_entry(self, chain: str) -> Entry | None:
        """The chain's newest entry."""

    def entries(self, chain: str | None = None) -> Iterator[Entry]:
        """Every entry, by chain and sequence."""

    def heads(self, since: datetime, before: datetime) -> Iterator[tuple[str, int, str]]:
        """Chains that grew in a time, by name, with sequence and hash of their last entry in it."""


class Trail:
    """Writes to the book, from any number of instances at once.

    Args:
        book: Where entries are kept.
        now: The clock, UTC.
    """

    def __init__(self, book: Book, now: Callable[[], datetime]) -> None:
        self._book = book
        self._now = now
        self._heads: dict[str, tuple[int, str]] = {}

    def note(self, chain: str, what: str, **facts: Fact) -> None:
        """One more entry is on the chain. Raises LedgerUnavailable."""
        known: dict[str, Fact] = {
            name: fact for name, fact in sorted(facts.items()) if fact is not None
        }
        head = self._heads.get(chain) or self._head(chain)
        for _ in range(_TRIES):
            sequence, previous = head
            entry = Entry(
                chain=chain,
                sequence=sequence + 1,
                at=self._now(),
                what=what,
                facts=known,
                previous=previous,
            ).sealed()
            if self._book.add_entry(entry):
                self._keep(chain, (entry.sequence, entry.hash))
                return
            head = self._head(chain)
        raise RuntimeError(f"the audit chain {chain} is written to too busily")

    def seal(self) -> bool:
        """The heads of all chains that grew since the last seal, up to midnight (UTC), are sealed.

        Returns:
            False where they are sealed already, or the day is over for too short a time.
        """
        since, until = self._unsealed()
        if since >= until.isoformat():
            return False
        digest, count = _digest(self._book.heads(datetime.fromisoformat(since), until))
        self.note(
            SEALS, "sealed", since=since, until=until.isoformat(), chains=count, digest=digest
        )
        return True

    def unsealed_until(self) -> datetime | None:
        """The end of the days that `seal` would seal now; None where they are sealed."""
        since, until = self._unsealed()
        return until if since < until.isoformat() else None

    def _unsealed(self) -> tuple[str, datetime]:
        until = datetime.combine((self._now() - SEALED_AFTER).date(), time(), tzinfo=timezone.utc)
        last = self._book.last_entry(SEALS)
        return str(last.facts["until"]) if last else _BEGINNING.isoformat(), until

    def _head(self, chain: str) -> tuple[int, str]:
        last = self._book.last_entry(chain)
        return (last.sequence, last.hash) if last else (0, "")

    def _keep(self, chain: str, head: tuple[int, str]) -> None:
        if len(self._heads) >= _HEADS_KEPT:
            self._heads.clear()
        self._heads[chain] = head


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with the trail: where, and what."""

    chain: str
    sequence: int
    what: str


def verify(book: Book) -> list[Fault]:
    """Every altered, missing or reordered entry; an empty list where the trail is whole."""
    faults: list[Fault] = []
    for _, entries in groupby(book.entries(), key=lambda entry: entry.chain):
        faults += _faults_of(entries)
    for entry in list(book.entries(SEALS)):
        try:
            since, until = (datetime.fromisoformat(str(entry.facts[of])) for of in _BOUNDS)
            digest, count = str(entry.facts["digest"]), int(entry.facts["chains"] or 0)
        except (KeyError, ValueError):
            faults.append(Fault(SEALS, entry.sequence, "the seal cannot be read"))
            continue
        if _digest(book.heads(since, until)) != (digest, count):
            faults.append(Fault(SEALS, entry.sequence, "the chains are not what was sealed"))
    return faults


def _faults_of(entries: Iterable[Entry]) -> Iterator[Fault]:
    expected, previous = 1, ""
    for entry in entries:
        if entry.sequence != expected:
            yield Fault(entry.chain, expected, f"missing up to {entry.sequence - 1}")
        elif entry.previous != previous:
            yield Fault(entry.chain, entry.sequence, "does not follow the entry before")
        if entry.hash != entry.true_hash:
            yield Fault(entry.chain, entry.sequence, "altered")
        expected, previous = entry.sequence + 1, entry.hash


def _digest(heads: Iterable[tuple[str, int, str]]) -> tuple[str, int]:
    """One hash over all heads but that of the seals, and how many they are."""
    digest, count = sha256(), 0
    for chain, sequence, head in heads:
        if chain != SEALS:
            digest.update(f"{chain} {sequence} {head}\n".encode())
            count += 1
    return digest.hexdigest(), count
