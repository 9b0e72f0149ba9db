"""Turns: an ECR takes one change at a time, and an API a certain number of calls a minute.

A write that is about to be made reserves the next free moment of its API and of its ECR. Where
that moment is not yet come, the message comes again just then, and finds its turn noted on the
authorization: nobody waits in a function, and a backlog drains at the pace of the quota.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from shared.contract import Model
from shared.converge import Step

if TYPE_CHECKING:
    from shared.authorization import Authorization

_TRIES: Final = 100
APIS: Final = "api/"
"""What the turns of APIs begin with: `api/{account}/grant`, `…/associate/VPC`: one for each API."""
_ON_THE_ECR: Final = {
    # Which line a change stands in, and for how long it keeps the next one off the ECR. An
    # association goes on after its call; those of account B must not hold up those of account A.
    Step.GRANT: ("b", timedelta(seconds=0.1)),
    Step.REVOKE: ("b", timedelta(seconds=0.1)),
    Step.ASSOCIATE: ("a", timedelta(seconds=1)),
    Step.DISSOCIATE: ("a", timedelta(seconds=1)),
}


class Turn(Model):
    """When the next one may: of one API in one account, or of one ECR."""

    next_at: datetime


class TurnBook(Protocol):
    """Where turns are kept; the ledger is one."""

    def turn(self, key: str) -> tuple[Turn, int] | None:
        """The turn with this key, and its version."""

    def put_turn(self, key: str, turn: Turn, version: int) -> bool:
        """Update if `version` is still the turn's (0: put if absent); False where it is not."""

    def turns_ahead(self, prefix: str, at: datetime, limit: int) -> list[tuple[str, Turn]]:
        """Turns that are given out beyond `at`, the furthest first.

        Args:
            prefix: What their keys begin with.
            at: The time.
            limit: How many at most.
        """


@dataclass(frozen=True)
class Turns:
    """Gives out moments, from any number of instances at once.

    Args:
        book: Where they are kept.
        per_minute: How many writes of one API an account makes; below the cloud's quota of 120.
    """

    book: TurnBook
    per_minute: float = 118

    def reserve(self, record: Authorization, step: Step, now: datetime) -> datetime:
        """The moment at which `step` may be taken; none other is given the same."""
        of = record.id
        account = of.instance_owner_uid if step.worker == "authorize" else of.ecr_owner_uid
        every = timedelta(seconds=60 / self.per_minute)
        # VPCs and VBRs are granted and revoked by one API, and associated by one for each.
        api = step.value if step.worker == "authorize" else f"{step.value}/{of.instance_type}"
        at = self._reserve(f"{APIS}{account}/{api}", now, every)
        line, takes = _ON_THE_ECR[step]
        return self._reserve(f"ecr/{of.ecr_id}/{line}", at, takes)

    def _reserve(self, key: str, earliest: datetime, takes: timedelta) -> datetime:
        for _ in range(_TRIES):
            turn, version = self.book.turn(key) or (Turn(next_at=earliest), 0)
            at = max(earliest, turn.next_at)
            if self.book.put_turn(key, Turn(next_at=at + takes), version):
                return at
        raise RuntimeError(f"the turns of {key} are taken too busily")
