"""The doctor by itself: the clean-up's timer begins a round, the authorize function goes it.

timer ── is it time? ── a round is noted ── {"doctor": …} on the request queue
authorize ── a slice of accounts ── what was found is noted ── the next message, a second later
          ── no account is left ── one result, `examined`, on the topic ── the round is over

A message that is not of the round at hand, and not of where that stands, asks for nothing: whoever
may put messages on the queue cannot begin a round. Run twice, a step notes the same.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic import Field

from shared.announce import RunResult
from shared.cleanup.notes import Model, noted
from shared.contract import BadMessage
from shared.doctor.findings import Finding
from shared.doctor.probing import MOST_ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.announce import Publish
    from shared.doctor.probing import Examination
    from shared.inbox import Send
    from shared.ledger import Ledger

log = structlog.get_logger()

ROUND: Final = "doctor/round"
OUTCOME: Final = "examined"
_MOST_TOLD: Final = 40
_LOST_AFTER: Final = timedelta(minutes=15)
"""A round that stood still for so long has lost its message."""
_NEXT_SECONDS: Final = 1


class Round(Model):
    """How far a round has come.

    Args:
        id: Its name.
        started_at: When it was begun.
        stepped_at: When it last went on.
        after: The last account that was asked.
        accounts: How many were.
        counts: How often each finding was made.
        told: The first findings in full.
        is_over: Its result is on the topic.
    """

    id: str
    started_at: datetime
    stepped_at: datetime
    after: str = ""
    accounts: int = 0
    counts: dict[str, int] = Field(default_factory=dict)
    told: tuple[Finding, ...] = ()
    is_over: bool = False

    def message(self) -> str:
        """What asks for the next step."""
        return json.dumps({"doctor": {"round": self.id, "after": self.after}})


@dataclass(frozen=True)
class Canary:
    """Begins rounds; at most one in an interval.

    Args:
        ledger: Where they are noted.
        send: Puts a message on a queue.
        queue: The request queue's name.
        now: The clock, UTC.
        every: The interval; None: there are no rounds.
    """

    ledger: Ledger
    send: Send
    queue: str
    now: Callable[[], datetime]
    every: timedelta | None

    def begin(self) -> bool:
        """A round is begun, or picked up, where it is time. Raises CloudFailure."""
        if self.every is None:
            return False
        note, now = noted(self.ledger, ROUND, Round), self.now()
        known, version = note.document, note.version
        if known is not None and now - known.started_at < self.every:
            stands_still = now - known.stepped_at > _LOST_AFTER
            if not known.is_over and stands_still:
                self.send(self.queue, known.message())
            return False
        begun = Round(id=f"doctor-{now:%Y%m%dT%H%M%S}-{version}", started_at=now, stepped_at=now)
        if not _put(self.ledger, begun, version):
            return False  # another invocation was quicker
        self.send(self.queue, begun.message())
        log.info("examination_begun", round=begun.id)
        return True


@dataclass(frozen=True)
class Rounds:
    """Goes a round, step by step.

    Args:
        ledger: Where it is noted.
        examination: Asks accounts B.
        send: Puts a message on a queue.
        queue: The request queue's name.
        publish: The result topic.
        source: The CloudEvents source: who we are.
        now: The clock, UTC.
    """

    ledger: Ledger
    examination: Examination
    send: Send
    queue: str
    publish: Publish
    source: str
    now: Callable[[], datetime]

    def step(self, document: dict[str, Any]) -> None:
        """The next accounts are asked; after the last the result is told.

        Raises:
            BadMessage: It is no message of a round.
            CloudFailure, LedgerUnavailable: The message comes again.
        """
        asked = document.get("doctor")
        if document.keys() != {"doctor"} or not isinstance(asked, dict):
            raise BadMessage("the message asks for the doctor, but not as we do")
        note = noted(self.ledger, ROUND, Round)
        round_, version = note.document, note.version
        if round_ is None or round_.is_over:
            return
        if asked != {"round": round_.id, "after": round_.after}:
            return
        accounts = self.examination.registry.accounts
        uids = sorted(uid for uid in accounts if uid > round_.after)[:MOST_ACCOUNTS]
        if not uids:
            self._tell(round_)
            _put(self.ledger, round_.model_copy(update={"is_over": True}), version)
            return
        looked = self._looked(round_, uids)
        if _put(self.ledger, looked, version):
            self.send(self.queue, looked.message(), _NEXT_SECONDS)

    def _looked(self, round_: Round, uids: list[str]) -> Round:
        found = [] if round_.after else self.examination.clock()
        found += self.examination.of(uids).findings
        counts = Counter(round_.counts) + Counter(one.id for one in found)
        return round_.model_copy(
            update={
                "stepped_at": self.now(),
                "after": uids[-1],
                "accounts": round_.accounts + len(uids),
                "counts": dict(counts),
                "told": (*round_.told, *found)[:_MOST_TOLD],
            }
        )

    def _tell(self, round_: Round) -> None:
        """The round's one result; told again, it is the same to the byte."""
        RunResult(
            source=self.source,
            subject="doctor",
            run_id=round_.id,
            outcome=OUTCOME,
            time=round_.stepped_at,
            told={
                "accounts": round_.accounts,
                "counts": round_.counts,
                "findings": [one.model_dump() for one in round_.told],
            },
        ).put_out(self.publish)
        findings = sum(round_.counts.values())
        log.info(
            "examined",
            round=round_.id,
            accounts=round_.accounts,
            findings=findings,
            counts=round_.counts,
        )


def _put(ledger: Ledger, document: Round, version: int) -> bool:
    return ledger.put_note(ROUND, document.model_dump_json(), version)
