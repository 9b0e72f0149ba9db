"""Once for each event and channel: who delivers has noted it before, and notes that it is done.

put "sending" ── send ── put "delivered"
     │             └ a crash here sends again once the note is over: the same webhook-id
     └ another one finds the note, and comes again later
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, Protocol

from pydantic import ValidationError

from shared.contract import Model
from shared.notify.sending import NotYet

if TYPE_CHECKING:
    from collections.abc import Callable

SENDING: Final = timedelta(seconds=90)
"""Longer than one attempt may take, at every address that a host has."""


class Notes(Protocol):
    """What is needed of the ledger."""

    def note(self, key: str) -> tuple[str, int] | None:
        """What is noted under a key, and its version."""

    def put_note(self, key: str, text: str, version: int) -> bool:
        """Update if `version` is still the note's (0: put if absent)."""


class Delivery(Model):
    """What is known of one event on one channel."""

    state: Literal["sending", "delivered", "undelivered"]
    at: datetime


@dataclass(frozen=True)
class Deliveries:
    """What was delivered, on the ledger; any method may raise LedgerUnavailable.

    Args:
        notes: The ledger.
        now: The clock, UTC.
    """

    notes: Notes
    now: Callable[[], datetime]

    def once(self, event_id: str, channel: str, send: Callable[[], None]) -> bool:
        """The event is delivered on the channel. False where it was before, and nothing was done.

        Raises:
            NotYet: Another one is at it.
            Undelivered: What `send` raises; the next one may try again at once.
        """
        key = f"delivered/{event_id}/{channel}"
        found = self.notes.note(key)
        known, version = (_read(found[0]), found[1]) if found else (None, 0)
        if known is not None and known.state == "delivered":
            return False
        is_busy = known is not None and known.state == "sending"
        if is_busy and known is not None and self.now() < known.at + SENDING:
            raise NotYet("another instance is delivering it")
        if not self._put(key, "sending", version):
            raise NotYet("another instance is delivering it")
        try:
            send()
        except Exception:
            self._put(key, "undelivered", version + 1)
            raise
        self._put(key, "delivered", version + 1)
        return True

    def _put(
        self, key: str, state: Literal["sending", "delivered", "undelivered"], of: int
    ) -> bool:
        note = Delivery(state=state, at=self.now())
        return self.notes.put_note(key, note.model_dump_json(), of)


def _read(text: str) -> Delivery | None:
    """The note; one that cannot be read is none, and costs a repeat at most."""
    try:
        return Delivery.model_validate_json(text)
    except ValidationError:
        return None
