"""What is told of a request: its state, its history, each result, what happens next and when. Pure.

posted ── on the queue ── received ── authorize has it ── granted, attached, … ── final
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from shared import leases
from shared.announce import final_of
from shared.contract import Bundle, Request
from shared.converge import Step, converge
from shared.intake.models import Event, Lease, Next, Part, RequestStatus, Standing, Told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from shared.authorization import Authorization
    from shared.ledger import RequestRecord, ResultRecord

_STEPS: Final[dict[Step, str]] = {
    Step.GRANT: "The ECR is authorised in the instance's account.",
    Step.REVOKE: "The authorization is taken back in the instance's account.",
    Step.LOOK_AT_GRANT: "The instance's account is looked at.",
    Step.AWAIT_GRANT: "The instance's account does not show the change yet; it is looked at again.",
    Step.ASSOCIATE: "The instance is attached to the ECR.",
    Step.DISSOCIATE: "The instance is detached from the ECR.",
    Step.LOOK_AT_ASSOCIATION: "The ECR is looked at.",
    Step.AWAIT_ASSOCIATION: "The cloud attaches or detaches the instance; it is looked at again.",
    Step.AWAIT_DETACH_BY_HAND: "The ECR's people are waited for: the instance is theirs to detach.",
    Step.DONE: "The result is announced.",
}
_QUEUED: Final = Next(step="queued", message="The request is taken from the queue.")
_BEGUN: Final = Next(step="begin", message="The work is begun.")


@dataclass(frozen=True)
class Known:
    """All that the ledger has of a request.

    Args:
        request_id: Whose.
        asked: What was asked; None of a message that was no request.
        posted_at: When intake noted it; None of one that was put on the queue itself.
        record: As it was received; None before that.
        results: Its results, in order.
        authorization: The authorization that it is about, if there is a record of it.
        by_hand: The registry's word on what account A's people have attached.
        parts: Of a bundle: the same of each part, by its request id.
    """

    request_id: str
    asked: Request | Bundle | None
    posted_at: datetime | None = None
    record: RequestRecord | None = None
    results: Sequence[ResultRecord] = ()
    authorization: Authorization | None = None
    by_hand: str = "wait"
    parts: Mapping[str, Known] = field(default_factory=dict)


def status(known: Known) -> RequestStatus:
    """What is told of the request."""
    final = final_of(known.results)
    last = final or (known.results[-1] if known.results else None)
    waiting = "received" if known.record else "posted"
    return RequestStatus(
        request_id=known.request_id,
        state=last.result.data.outcome if last else waiting,
        final=final is not None,
        **_asked(known.asked),
        posted_at=known.posted_at,
        received_at=known.record.received_at if known.record else None,
        next=_next(known, is_final=final is not None),
        problem=last.result.data.problem if last else None,
        results=tuple(_told(one) for one in known.results),
        history=_history(known),
        parts=tuple(_part(one) for one in known.parts.values()),
    )


def _asked(asked: Request | Bundle | None) -> dict[str, Any]:
    if asked is None:
        return {}
    names = ("action", "ticket", "requester", "sender", "ecr_id", "lease", "expires_at")
    found = {name: getattr(asked, name) for name in names}
    if isinstance(asked, Request):
        found |= {"instance_id": asked.instance_id, "part_of": asked.part_of}
    return found


def _told(record: ResultRecord) -> Told:
    data = record.result.data
    return Told(
        outcome=data.outcome,
        at=record.result.time,
        final=data.final,
        problem=data.problem,
        parts=data.parts,
        association_id=data.association_id,
        held_by=data.held_by,
    )


def _history(known: Known) -> tuple[Event, ...]:
    found = [(known.posted_at, "posted")]
    found.append((known.record.received_at if known.record else None, "received"))
    found += [(one.result.time, one.result.data.outcome) for one in known.results]
    return tuple(Event(at=at, what=what) for at, what in found if at is not None)


def _next(known: Known, *, is_final: bool) -> Next | None:
    if is_final:
        return _end_of_lease(known)
    if known.record is None:
        return _QUEUED if known.posted_at is not None else None
    if isinstance(known.asked, Bundle):
        return _of_parts(known)
    record = known.authorization
    if record is None or record.request(known.request_id) is None:
        return _BEGUN
    step = converge(leases.wanted(record, known.by_hand), leases.seen(record))
    turn = record.turn if record.turn and record.turn.step == step.value else None
    return Next(
        step=step.value,
        message=_STEPS[step],
        at=turn.at if turn else None,
        by=record.due_at,
    )


def _end_of_lease(known: Known) -> Next | None:
    record = known.authorization
    lease = record.lease(known.request_id) if record else None
    if lease is None or not lease.is_live or lease.expires_at is None:
        return None
    message = "The lease ends, and with the last one the access, unless it is renewed before."
    return Next(step="end_of_lease", message=message, at=lease.expires_at)


def _of_parts(known: Known) -> Next:
    last = [final_of(one.results) is not None for one in known.parts.values()]
    message = f"{last.count(True)} of {len(last)} instances have their answer."
    return Next(step="parts", message=message)


def _part(known: Known) -> Part:
    told = status(known)
    assert isinstance(known.asked, Request)  # noqa: S101 -- a bundle has no bundles in it
    return Part(
        request_id=told.request_id,
        instance_id=known.asked.instance_id,
        state=told.state if known.record or known.results else "waiting",
        final=told.final,
        next=told.next,
        code=told.problem.code if told.problem else None,
    )


def standing(record: Authorization) -> Standing:
    """How an authorization stands."""
    return Standing(
        **record.id.model_dump(),
        state=record.state,
        expires_at=record.ends_at,
        leases=tuple(
            Lease(request_id=one.id, ticket=one.ticket, expires_at=one.expires_at)
            for one in record.live_leases
        ),
    )
