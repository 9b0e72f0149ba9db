"""What the clean-up notes on the ledger: its run, what that has found, the brake, the reports."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ConfigDict, Field

from shared.contract import Model as Strict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.audit import Trail
    from shared.ledger import Ledger

CHAIN: Final = "clean-up"
RUN: Final = "cleanup/run"
BRAKE: Final = "cleanup/brake"
LAST_REPORT: Final = "cleanup/report"
_REPORT: Final = "cleanup/report/"

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


class Found(Model):
    """What a run has found on one ECR, and what it would ask for."""

    requests: tuple[dict[str, Any], ...] = ()
    looks: tuple[str, ...] = ()
    told: tuple[Told, ...] = ()


class CleanupRun(Model):
    """A run: how far it has come, and what it has come to.

    Args:
        id: Its name: when it was begun, and which one it is.
        observes: Why it asks for nothing, if it only looks.
        slot: Where its rows are: those of a run that is braked stay as they are.
        ecrs: All that it looks at.
        pending: Those that are still to be looked at.
        tries: How often the first of them could not be listed for now.
        seen: Authorizations with access, or a lease that wants it.
        wanted: Revokes and adoptions that are due.
        counts: How often each finding was made.
        ages: Grants by age in days, at most so many.
        ends: Leases by days to their end, at most so many; `none` for those without.
        outcome: `observed`, `braked`, `asked`; None while it runs.
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
    counts: dict[str, int] = Field(default_factory=dict)
    ages: dict[str, int] = Field(default_factory=dict)
    ends: dict[str, int] = Field(default_factory=dict)
    outcome: str | None = None
    digest: str | None = None
    finished_at: datetime | None = None
    told: tuple[Told, ...] = ()
    is_told: bool = False


class BrakeOn(Model):
    """A run that was stopped, until an operator releases its list or drops it."""

    run: CleanupRun
    digest: str
    released_by: str | None = None
    dropped_by: str | None = None
    is_over: bool = False

    @property
    def holds(self) -> bool:
        """It waits for an operator."""
        return not (self.is_over or self.released_by or self.dropped_by)


class Rows(Model):
    """How many authorizations account A showed of an ECR, when it was last listed whole."""

    rows: int
    at: datetime


class NoSuchBrake(ValueError):
    """There is no brake for this list that waits for an operator."""


def noted(ledger: Ledger, key: str, kind: type[Noted]) -> tuple[Noted, int] | None:
    """What is noted under a key, and its version."""
    known = ledger.note(key)
    return (kind.model_validate_json(known[0]), known[1]) if known else None


def found_key(slot: int, ecr_id: str) -> str:
    """Where what a run has found on an ECR is noted."""
    return f"cleanup/found/{slot}/{ecr_id}"


def rows_key(ecr_id: str) -> str:
    """Where it is noted how many rows an ECR had."""
    return f"cleanup/rows/{ecr_id}"


def report_key(at: datetime) -> str:
    """Where the report of a day's last run is noted."""
    return f"{_REPORT}{at.date().isoformat()}"


def report(ledger: Ledger, day: str | None = None) -> CleanupRun | None:
    """The last finished run of a day (`2026-11-24`), or of all."""
    known = noted(ledger, _REPORT + day if day else LAST_REPORT, CleanupRun)
    return known[0] if known else None


def told(ledger: Ledger, run: CleanupRun) -> list[Told]:
    """The findings of the last finished run, as far as they are kept."""
    return [one for found in each_found(ledger, run) for one in found.told]


def asks_of(ledger: Ledger, run: CleanupRun) -> list[dict[str, Any]]:
    """What a run would ask for."""
    return [one for found in each_found(ledger, run) for one in found.requests]


def each_found(ledger: Ledger, run: CleanupRun) -> Iterator[Found]:
    """What a run has found, ECR by ECR."""
    for ecr_id in run.ecrs:
        known = noted(ledger, found_key(run.slot, ecr_id), Found)
        if known is not None:
            yield known[0]


def brake_on(ledger: Ledger) -> BrakeOn | None:
    """The brake that waits for an operator, if one does."""
    known = noted(ledger, BRAKE, BrakeOn)
    return known[0] if known and known[0].holds else None


def decide(ledger: Ledger, trail: Trail, digest: str, operator: str, *, release: bool) -> None:
    """An operator releases the braked list with this digest, or drops it.

    Raises:
        NoSuchBrake: No list with this digest waits.
    """
    known = noted(ledger, BRAKE, BrakeOn)
    if known is None or not known[0].holds or known[0].digest != digest:
        raise NoSuchBrake(f"no brake with the digest {digest} waits for an operator")
    name = "released_by" if release else "dropped_by"
    changed = known[0].model_copy(update={name: operator})
    trail.note(CHAIN, name.replace("_by", ""), digest=digest, operator=operator)
    if not ledger.put_note(BRAKE, changed.model_dump_json(exclude_none=True), known[1]):
        raise NoSuchBrake("the brake has changed meanwhile: look at it again")
