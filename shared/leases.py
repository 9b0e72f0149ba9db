"""Who holds an authorization: leases begin, end, and say what is wanted and what is owed. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.authorization import Authorization, Lease, OpenRequest
from shared.contract import ALL_LEASES, FINAL, Outcome, Problem, Request
from shared.converge import Seen, Step, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOMBSTONES_KEPT: Final = timedelta(days=30)
"""Longer than any queue keeps a message, dead-letter queues included."""

CLOSED_KEPT: Final = 64
"""How many revokes that have their answer are remembered on an authorization."""

STUCK_AFTER: Final = timedelta(minutes=30)
"""How long work may lie before the sweep wakes it: longer than a lock lasts."""

UNVERIFIED_AFTER: Final = timedelta(days=1)
"""How long an account B that could not be looked at is left alone."""

LATE_AFTER: Final = timedelta(minutes=15)
"""How late a write may still land whose answer was lost."""

REVOKED_MEANWHILE: Final = Problem(
    code="revoked_meanwhile",
    message="A revoke that was asked for later has already ended this lease.",
    remedy="If access is still wanted, ask for it with a new request id.",
)


def take(
    record: Authorization, request: Request, sent_at: datetime, now: datetime
) -> Authorization:
    """The record once `request` is on it; taking it again changes nothing.

    Args:
        record: The authorization that the request names.
        request: A request that policy has allowed.
        sent_at: When its message was sent, for a request that does not say when it was asked.
        now: When it is taken.
    """
    if record.request(request.request_id) or request.request_id in record.closed:
        return record
    # Nobody can have asked later than now: a clock that is ahead must not bar later requests.
    asked_at = min(request.requested_at or sent_at, now)
    if request.action == "grant":
        return _with_lease(record, request, asked_at, now)
    return _without_lease(record, request, asked_at, now)


def _with_lease(
    record: Authorization, request: Request, asked_at: datetime, now: datetime
) -> Authorization:
    lease = record.lease(request.request_id)
    if lease is not None and lease.is_live:
        return record
    overtaken = lease is not None or (
        record.cleared_at is not None and asked_at <= record.cleared_at
    )
    entry = OpenRequest(
        request_id=request.request_id,
        action="grant",
        ticket=request.ticket,
        requester=request.requester,
        lease=request.request_id,
        part_of=request.part_of,
        problem=REVOKED_MEANWHILE if overtaken else None,
    )
    record = record.model_copy(update={"open": (*record.open, entry)})
    if overtaken:
        return record
    if not record.live_leases:
        record = record.next_generation()
        if record.association.state == "absent":
            record = record.with_association("absent", by_us=False)
    held = Lease(
        id=request.request_id,
        ticket=request.ticket,
        attach=request.attach,
        asked_at=asked_at,
        since=now,
        expires_at=request.expires_at,
    )
    kept = tuple(
        lease for lease in record.leases if lease.ended_at is None or _is_kept(lease.ended_at, now)
    )
    return record.model_copy(update={"leases": (*kept, held)}).doubted()


def _without_lease(
    record: Authorization, request: Request, asked_at: datetime, now: datetime
) -> Authorization:
    assert request.lease is not None  # noqa: S101 -- the contract refuses a revoke without
    entry = OpenRequest(
        request_id=request.request_id,
        action="revoke",
        ticket=request.ticket,
        requester=request.requester,
        lease=request.lease,
        part_of=request.part_of,
    )
    record = record.model_copy(update={"open": (*record.open, entry)})
    if request.lease == ALL_LEASES:
        cleared_at = max(asked_at, record.cleared_at or asked_at)
        record = record.model_copy(update={"cleared_at": cleared_at})
        # What was asked for later stays, in whatever order the two have come.
        return _end_and_doubt(
            record, lambda lease: (lease.asked_at or asked_at) <= asked_at, request.request_id, now
        )
    if record.lease(request.lease) is None:
        tombstone = Lease(id=request.lease, ticket=request.ticket)
        record = record.model_copy(update={"leases": (*record.leases, tombstone)})
    return _end_and_doubt(record, lambda lease: lease.id == request.lease, request.request_id, now)


def fail(record: Authorization, request_id: str, problem: Problem, now: datetime) -> Authorization:
    """The record once `request_id` has failed: its lease ends, so that nothing is left behind."""
    entry = record.request(request_id)
    if entry is None or entry.problem is not None:
        return record
    record = _replaced(record, entry.model_copy(update={"problem": problem}))
    if entry.action == "revoke":
        return record
    return _end(record, lambda lease: lease.id == entry.lease, request_id, now)


def close(record: Authorization, request_id: str) -> Authorization:
    """The record once a request that was never taken is over: a copy under way does nothing."""
    if record.has_taken(request_id) or request_id in record.closed:
        return record
    return record.model_copy(update={"closed": (*record.closed, request_id)[-CLOSED_KEPT:]})


def announced(record: Authorization, request_id: str, outcome: Outcome) -> Authorization:
    """The record once `outcome` of the request has been published; its last one closes it."""
    entry = record.request(request_id)
    if entry is None:
        return record
    entry = entry.model_copy(update={"announced": (*entry.announced, outcome)})
    if _is_closed(record, entry):
        rest = tuple(other for other in record.open if other.request_id != request_id)
        closed = (*record.closed, request_id)[-CLOSED_KEPT:] if entry.action == "revoke" else ()
        return record.model_copy(update={"open": rest, "closed": closed or record.closed})
    return _replaced(record, entry)


def wanted(record: Authorization, by_hand: str) -> Wanted:
    """What the live leases ask for.

    Args:
        record: The authorization.
        by_hand: The registry's word on an instance that account A's people attached: `wait`,
            `dissociate` or `refuse`.
    """
    live = record.live_leases
    by_us = record.association.by_us
    return Wanted(
        granted=bool(live),
        attached=any(lease.attach for lease in live),
        left_to_hand=not live and not by_us and by_hand != "dissociate",
    )


def with_due(record: Authorization, step: Step, now: datetime) -> Authorization:
    """The record with the time at which the sweep is to look after it.

    Args:
        record: The authorization.
        step: Its next step; DONE where there is none.
        now: The time.
    """
    if step is not Step.DONE or record.open or record.lock is not None:
        waits_until = max(now, record.turn.at) if record.turn else now
        if record.due_at is not None and record.due_at > waits_until:
            return record
        return record.model_copy(update={"due_at": waits_until + STUCK_AFTER})
    late = record.unanswered_at
    return record.model_copy(update={"due_at": late + LATE_AFTER if late else None})


def woken(record: Authorization, now: datetime, *, look: bool = False) -> Authorization:
    """The record once the sweep has come to it: a write that may have landed late is looked for.

    Args:
        record: The authorization.
        now: The time.
        look: Somebody has seen something else than what is remembered.
    """
    late = record.unanswered_at
    landed = late is not None and now >= late + LATE_AFTER
    if landed:
        record = record.model_copy(update={"unanswered_at": None, "unanswered_step": None})
    if landed or look:
        return record.with_grant("unknown").with_association("unknown")
    return record


def seen(record: Authorization) -> Seen:
    """What the ledger knows of both accounts, as converge takes it."""
    return Seen(record.grant.state, record.association.state)


def due(record: Authorization) -> Iterator[tuple[OpenRequest, Outcome]]:
    """The results that the open requests are owed now and have not been given, in order."""
    for entry in record.open:
        for outcome in _owed(record, entry):
            if outcome not in entry.announced:
                yield entry, outcome


def is_final(record: Authorization, entry: OpenRequest, outcome: Outcome) -> bool:
    """No other result of the request follows `outcome`."""
    if outcome == "granted":
        lease = record.lease(entry.lease)
        return lease is not None and lease.is_live and not lease.attach
    return outcome in FINAL


def _owed(record: Authorization, entry: OpenRequest) -> Iterator[Outcome]:
    if entry.problem is None:
        owed = _owed_for_grant if entry.action == "grant" else _owed_for_end
        yield from owed(record, entry)
    elif entry.problem.code == REVOKED_MEANWHILE.code:
        yield "rejected"
    else:
        yield "failed"
        if entry.action == "grant" and _is_left_behind(record):
            yield from _owed_for_end(record, entry)


def _owed_for_grant(record: Authorization, entry: OpenRequest) -> Iterator[Outcome]:
    lease = record.lease(entry.lease)
    if lease is None or not lease.is_live:
        yield "rejected"
    elif record.grant.state == "present":
        yield "granted"
        if lease.attach and record.association.state == "active":
            yield "attached"


def _owed_for_end(record: Authorization, entry: OpenRequest) -> Iterator[Outcome]:
    if not record.live_leases:
        yield "revoking"
        if record.association.state != "absent":
            return
        yield "detached"
        if record.grant.state != "absent":
            return
    if entry.action == "revoke":
        yield "revoked"


def _is_closed(record: Authorization, entry: OpenRequest) -> bool:
    if "failed" in entry.announced and entry.action == "grant":
        return "detached" in entry.announced or not _is_left_behind(record)
    return any(is_final(record, entry, outcome) for outcome in entry.announced)


def _is_left_behind(record: Authorization) -> bool:
    """Something is there, or may be, that no lease holds: the other worker is still needed."""
    there = record.grant.state != "absent" or record.association.state != "absent"
    return there and not record.live_leases


def _end_and_doubt(
    record: Authorization, which: Callable[[Lease], bool], by: str, now: datetime
) -> Authorization:
    """The leases that `which` picks are over; unless others hold, both accounts are unknown."""
    record = _end(record, which, by, now)
    if record.live_leases:
        return record
    return record.with_grant("unknown").with_association("unknown")


def _end(
    record: Authorization, which: Callable[[Lease], bool], by: str, now: datetime
) -> Authorization:
    leases = tuple(
        lease.model_copy(update={"ended_at": now, "ended_by": by})
        if lease.is_live and which(lease)
        else lease
        for lease in record.leases
    )
    return record.model_copy(update={"leases": leases})


def _replaced(record: Authorization, entry: OpenRequest) -> Authorization:
    entries = tuple(
        entry if other.request_id == entry.request_id else other for other in record.open
    )
    return record.model_copy(update={"open": entries})


def _is_kept(ended_at: datetime, now: datetime) -> bool:
    return now - ended_at < TOMBSTONES_KEPT
