"""The brake: a run that asks for too much is stopped, until an operator decides on its list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.cleanup.notes import CHAIN, CleanupRun, Model, UnreadableNote, noted

if TYPE_CHECKING:
    from shared.audit import Trail
    from shared.ledger import Ledger

BRAKE: Final = "cleanup/brake"
"""Where it is noted."""


class BrakeOn(Model):
    """A run that was stopped, until an operator releases its list or drops it.

    Args:
        run: The run.
        digest: Of its list.
        released_by: The operator who released it.
        dropped_by: The operator who dropped it.
        cursor: How many parts of the released list are asked for.
        asked: How many requests that were.
        is_over: All of it is asked for, or nothing of it ever will be.
    """

    run: CleanupRun
    digest: str
    released_by: str | None = None
    dropped_by: str | None = None
    cursor: int = 0
    asked: int = 0
    is_over: bool = False

    @property
    def holds(self) -> bool:
        """It waits for an operator."""
        return not (self.is_over or self.released_by or self.dropped_by)

    @property
    def is_open(self) -> bool:
        """It waits for an operator, or for its released list to be asked for."""
        return not (self.is_over or self.dropped_by)


class NoSuchBrake(ValueError):
    """There is no brake for this list that waits for an operator."""


def brake_on(ledger: Ledger) -> BrakeOn | None:
    """The brake that waits for an operator, if one does. Raises UnreadableNote."""
    known = noted(ledger, BRAKE, BrakeOn)
    if known.is_unreadable:
        raise UnreadableNote(BRAKE)
    return known.document if known.document and known.document.holds else None


def decide(ledger: Ledger, trail: Trail, digest: str, operator: str, *, release: bool) -> None:
    """An operator releases the braked list with this digest, or drops it.

    Raises:
        NoSuchBrake: No list with this digest waits.
    """
    known = noted(ledger, BRAKE, BrakeOn)
    brake = known.document
    if brake is None or not brake.holds or brake.digest != digest:
        raise NoSuchBrake(f"no brake with the digest {digest} waits for an operator")
    name = "released_by" if release else "dropped_by"
    changed = brake.model_copy(update={name: operator})
    trail.note(CHAIN, name.replace("_by", ""), digest=digest, operator=operator)
    if not ledger.put_note(BRAKE, changed.model_dump_json(exclude_none=True), known.version):
        raise NoSuchBrake("the brake has changed meanwhile: look at it again")
