"""Bundles: one ticket for many instances. Its parts go their own ways, and it has one answer.

take    the bundle is on the ledger ── each part is a request of its own on the request queue
settle  whenever a part has its answer, what is owed follows from the answers of all parts:
            all_or_nothing, and one was rejected or failed ── the others are asked to be revoked
            every part is over                             ── the bundle's own answer

A message that is lost in between is made up for by the sweep: it sends the bundle again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from shared import policy
from shared.announce import final_of, refused
from shared.contract import PartResult, Problem, Request, ResultBody
from shared.ids import is_foreign, own, renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.announce import Announcer
    from shared.contract import Bundle, Outcome
    from shared.inbox import Send
    from shared.ledger import Ledger, RequestRecord
    from shared.registry import Registry

log = structlog.get_logger()

_BAD: Final = ("rejected", "failed")

REFUSED_WITH_OTHERS: Final = Problem(
    code="bundle_refused",
    message="Another instance of the ticket was refused, and the ticket asks for all or nothing.",
    remedy="Mend what the ticket's answer names, then ask with a new request id.",
)
NOT_TAKEN_BACK: Final = Problem(
    code="not_taken_back",
    message="A part failed, and not all of the others could be taken back.",
    remedy="Look at the parts whose outcome is not revoked, and ask for their revoke.",
)


@dataclass(frozen=True)
class Next:
    """What a bundle is owed now: requests to be sent, and its answer once that is known."""

    asks: tuple[Request, ...] = ()
    answer: ResultBody | None = None


@dataclass(frozen=True)
class Bundles:
    """Takes bundles apart and answers for them.

    Args:
        ledger: Where a bundle and its parts are remembered.
        registry: Who may ask for what.
        announcer: Answers.
        send: Puts a message on a queue.
        queue: The request queue's name.
        now: The clock, UTC.
    """

    ledger: Ledger
    registry: Registry
    announcer: Announcer
    send: Send
    queue: str
    now: Callable[[], datetime]

    def take(self, bundle: Bundle, record: RequestRecord) -> None:
        """Every part is on the request queue, unless it is known; may raise CloudFailure.

        Args:
            bundle: What was asked.
            record: The bundle as it is on the ledger.
        """
        if not self._refused_ahead(bundle, record.received_at):
            for part in bundle.parts:
                if not self._found(part)[0]:
                    self._send(part)
        self.settle(bundle.request_id)

    def settle(self, request_id: str) -> None:
        """What the bundle is owed now is done; may raise CloudFailure."""
        record = self.ledger.request(request_id)
        if record is None or isinstance(record.request, Request) or record.outcome is not None:
            return
        bundle = record.request
        asked = [one for part in bundle.parts for one in (part, undo(part))]
        looked_up = {one.request_id: self._found(one) for one in asked}
        found = {key: answer for key, (is_known, answer) in looked_up.items() if is_known}
        owed = settled(bundle, found)
        for ask in owed.asks:
            self._send(ask)
        if owed.answer is not None:
            self.announcer.announce(owed.answer)

    def _refused_ahead(self, bundle: Bundle, at: datetime) -> bool:
        """Where it is all or nothing, nothing is begun that one refusal would take back.

        What depends on the ledger (a freeze spares renewals) is left to the part itself: here the
        same bundle is always decided in the same way.
        """
        if bundle.mode == "best_effort":
            return False
        found = {
            part.request_id: policy.refusal(
                policy.with_end(part, self.registry, at), self.registry, at, is_held=True
            )
            for part in bundle.parts
        }
        if not any(found.values()):
            return False
        for part in bundle.parts:
            if not self._found(part)[0]:
                problem = found[part.request_id] or REFUSED_WITH_OTHERS
                self.announcer.announce(refused(part, problem, "rejected"))
        return True

    def _found(self, request: Request) -> tuple[bool, ResultBody | None]:
        """Whether the request is known (taken from the queue, or answered), and its answer.

        What became of somebody else's request under its id is none. One that grants then has no
        place: its id is its lease's name. One that takes back is asked for under another id.
        """
        record = self.ledger.request(request.request_id)
        if record is not None and is_foreign(record, request):
            if request.action == "grant":
                return True, refused(request, policy.REUSED, "rejected")
            request = renamed(request, record)
            record = self.ledger.request(request.request_id)
        last = final_of(self.ledger.results(request.request_id))
        return record is not None or last is not None, last.result.data if last else None

    def _send(self, request: Request) -> None:
        if request.action == "revoke":
            request = own(self.ledger, request)
        self.send(self.queue, request.model_dump_json(exclude_none=True))
        log.info("part_sent", request_id=request.request_id, part_of=request.part_of)


def undo(part: Request) -> Request:
    """The revoke that takes back a part's grant. Pure."""
    given = part.model_dump(exclude={"attach", "expires_at", "requested_at", "approval"})
    changed = {"request_id": f"{part.request_id}.undo", "action": "revoke"}
    return Request(**{**given, **changed, "lease": part.request_id})


def settled(bundle: Bundle, found: Mapping[str, ResultBody | None]) -> Next:
    """What the bundle is owed. Pure.

    Args:
        bundle: What was asked.
        found: The answer to each part, and to each revoke that takes one back, None while it is
            open; those that are not known yet are left out.
    """
    answers = {part.request_id: found.get(part.request_id) for part in bundle.parts}
    undone = {
        part.request_id: found[undo(part).request_id]
        for part in bundle.parts
        if undo(part).request_id in found
    }
    # One that is taken back while it is under way is rejected for that: it is not to blame.
    bad = [one for key, one in answers.items() if one and one.outcome in _BAD and key not in undone]
    asks = [
        undo(part)
        for part in bundle.parts
        if bad
        and bundle.mode == "all_or_nothing"
        and answers[part.request_id] not in bad
        and part.request_id not in undone
    ]
    if asks or not all(answers.values()) or not all(undone.values()):
        return Next(tuple(asks))
    last = [undone.get(key) or answers[key] for key in answers]
    return Next((), _answered(bundle, [one for one in last if one], bad, taken_back=bool(undone)))


def _answered(
    bundle: Bundle, last: list[ResultBody], bad: list[ResultBody], *, taken_back: bool
) -> ResultBody:
    problem = bad[0].problem if bad else None
    outcome: Outcome = "completed"
    if taken_back:
        outcome = "failed"
        if any(one.outcome in _BAD and one.action == "revoke" for one in last):
            problem = NOT_TAKEN_BACK
    elif len(bad) == len(last):
        outcome = "rejected" if all(one.outcome == "rejected" for one in bad) else "failed"
    elif bad:
        outcome = "partial"
    parts = tuple(
        PartResult(
            request_id=part.request_id,
            instance_id=part.instance_id,
            outcome=one.outcome,
            code=one.problem.code if one.problem else None,
        )
        for part, one in zip(bundle.parts, last, strict=True)
    )
    return _told(bundle, outcome, problem, parts)


def refused_bundle(bundle: Bundle, problem: Problem) -> ResultBody:
    """What a ticket is told whose bundle may not be as it stands. Pure."""
    return _told(bundle, "rejected", problem)


def _told(
    bundle: Bundle, outcome: Outcome, problem: Problem | None, parts: tuple[PartResult, ...] = ()
) -> ResultBody:
    return ResultBody(
        outcome=outcome,
        final=True,
        request_id=bundle.request_id,
        ticket=bundle.ticket,
        action=bundle.action,
        requester=bundle.requester,
        peer_account_uid=bundle.ecr_owner_uid,
        peer_ecr_id=bundle.ecr_id,
        parts=parts,
        problem=problem,
    )
