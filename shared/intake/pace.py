"""How fast a sender may post: a bucket of tokens, kept as one moment in the ledger's turn book.

The moment is when the bucket is full again (GCRA): one conditional write for each message,
whichever instance takes it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.turns import Turn

if TYPE_CHECKING:
    from datetime import datetime

    from shared.turns import TurnBook

_TRIES: Final = 20
_MINUTE: Final = timedelta(minutes=1)


def wait(book: TurnBook, key: str, per_minute: int, now: datetime) -> timedelta | None:
    """How long until the next one may; None where this one may, and has been counted.

    Args:
        book: Where it is kept.
        key: Whose bucket.
        per_minute: How many it holds, and how many are put back in a minute.
        now: The time.
    """
    every = _MINUTE / per_minute
    for _ in range(_TRIES):
        turn, version = book.turn(key) or (Turn(next_at=now), 0)
        full_at = max(turn.next_at, now) + every
        over = full_at - now - _MINUTE
        if over > timedelta():
            return over
        if book.put_turn(key, Turn(next_at=full_at), version):
            return None
    return every  # others post in its name at this very moment
