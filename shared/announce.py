"""Results: written to the ledger, published on the topic, marked published; in that order.

add_result ── publish ── mark_published
    │            └ a crash here publishes again: the same id, the same bytes
    └ a crash here leaves an unpublished result, which the next delivery publishes
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from shared import leases
from shared.audit import UNADDRESSED
from shared.contract import Problem, Request, Result, ResultBody, result
from shared.ledger import Ledger, ResultRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from shared.audit import Trail
    from shared.authorization import Authorization, Lease, OpenRequest
    from shared.contract import Outcome
    from shared.ledger import RequestRecord

log = structlog.get_logger()


class Publish(Protocol):
    """Puts a message with its tag on the result topic; may raise CloudFailure."""

    def __call__(self, body: str, tag: str) -> object:
        """Publish."""


@dataclass(frozen=True)
class RunResult:
    """What became of a run that no ticket asked for: of the clean-up, of the doctor.

    Args:
        source: The CloudEvents source: who we are.
        subject: What ran.
        run_id: Its name.
        outcome: What is told of it, and the message's tag.
        time: When it came to that.
        told: What it has come to.
    """

    source: str
    subject: str
    run_id: str
    outcome: str
    time: datetime
    told: Mapping[str, Any]

    def put_out(self, publish: Publish) -> None:
        """It is on the result topic; told again it is the same to the byte. Raises CloudFailure."""
        event = {
            "specversion": "1.0",
            "id": f"{self.run_id}/{self.outcome}",
            "source": self.source,
            "type": f"ecr.authorization.{self.outcome}",
            "subject": self.subject,
            "time": self.time.isoformat(),
            "datacontenttype": "application/json",
            "data": {
                "outcome": self.outcome,
                "request_id": self.run_id,
                "final": True,
                **self.told,
            },
        }
        publish(json.dumps(event, separators=(",", ":")), self.outcome)


@dataclass(frozen=True)
class Announcer:
    """Announces results once and for all: what was announced first is what is said ever after.

    Args:
        ledger: Where results are kept.
        publish: The result topic.
        source: The CloudEvents source: who we are.
        now: The clock, UTC.
        trail: Where each result is noted before it is published.
        tell_bundle: Is told the bundle's id whenever a part of it has its answer on the ledger.
    """

    ledger: Ledger
    publish: Publish
    source: str
    now: Callable[[], datetime]
    trail: Trail
    tell_bundle: Callable[[str], object]

    def announce(self, body: ResultBody, suffix: str = "", lease: Lease | None = None) -> None:
        """The result is on the topic. One that is there already is not published again.

        A request has one answer: where an earlier run had made another one before it died, that
        one is put out.

        Args:
            body: The result.
            suffix: Tells apart results that share request and outcome.
            lease: The lease that it tells of, if that is new: the log says how long it took.
        """
        event = result(body, source=self.source, time=self.now(), suffix=suffix)
        answers = body.final and event.is_answer
        known = final_of(self.ledger.results(body.request_id)) if answers else None
        if known is None:
            record = ResultRecord(result=event, request_id=body.request_id)
            known = self.ledger.add_result(record)
        self._put_out(known, "announced", lease)
        if answers:
            self.finish(known.result.data)

    def repeat(self, record: ResultRecord) -> None:
        """The result is on the topic once more: the answer to a repeated request."""
        self._put_out(record.model_copy(update={"published_at": None}), "repeated")

    def publish_late(self, record: ResultRecord) -> None:
        """A result that was made and not published is on the topic; its request may be over."""
        self._put_out(record, "announced late")
        data = record.result.data
        if data.final and record.result.is_answer:
            self.finish(data)

    def finish(self, data: ResultBody) -> None:
        """The request is over on the ledger; the one line that sums it up is logged once."""
        now = self.now()
        record = self.ledger.finish_request(data.request_id, data.outcome, now)
        if record is None:
            return
        log.info(
            "request_finished",
            request_id=data.request_id,
            ticket=record.request.ticket,
            action=record.request.action,
            outcome=data.outcome,
            code=data.problem.code if data.problem else None,
            **waits(record, now),
        )

    def _put_out(self, record: ResultRecord, what: str, lease: Lease | None = None) -> None:
        answered = record.result.data
        if answered.final and answered.part_of and record.result.is_answer:
            self.tell_bundle(answered.part_of)
        if record.published_at is not None:
            return
        event: Result = record.result
        data = event.data
        code = data.problem.code if data.problem else None
        self.trail.note(
            data.authorization.key if data.authorization else UNADDRESSED,
            f"{data.outcome} {what}",
            result=event.id,
            request=data.request_id,
            ticket=data.ticket,
            requester=data.requester,
            code=code,
        )
        self.publish(event.body(), data.outcome)
        self.ledger.mark_published(event.id, self.now())
        log.info(
            "result_published",
            request_id=data.request_id,
            ticket=data.ticket,
            outcome=data.outcome,
            result_id=event.id,
            subject=event.subject,
            code=code,
            since_asked_seconds=_between(lease.asked_at if lease else None, event.time),
            since_received_seconds=_between(lease.since if lease else None, event.time),
        )


def final_of(results: Iterable[ResultRecord]) -> ResultRecord | None:
    """The last word on a request among the results that bear its id. Pure."""
    return next((one for one in results if one.result.is_answer and one.result.data.final), None)


def waits(record: RequestRecord, now: datetime) -> dict[str, float | None]:
    """How long a request took, in seconds: since it was asked and received, and in the queue. Pure.

    It was asked when its ticket says so, else when its message was sent.
    """
    return {
        "since_asked_seconds": _between(record.request.requested_at or record.sent_at, now),
        "since_received_seconds": _between(record.received_at, now),
        "queued_seconds": _between(record.sent_at, record.received_at),
    }


def _between(start: datetime | None, end: datetime) -> float | None:
    """Seconds; none are below zero, whatever the clocks say."""
    return None if start is None else round(max(0.0, (end - start).total_seconds()), 3)


def owed(record: Authorization, entry: OpenRequest, outcome: Outcome) -> ResultBody:
    """What `outcome` tells the ticket of an open request. Pure."""
    lease = record.lease(entry.lease)
    problem = entry.problem
    if outcome == "rejected" and problem is None:
        problem = leases.REVOKED_MEANWHILE
    return ResultBody(
        outcome=outcome,
        final=leases.is_final(record, entry, outcome),
        request_id=entry.request_id,
        ticket=entry.ticket,
        action=entry.action,
        requester=entry.requester,
        authorization=record.id,
        peer_account_uid=record.id.ecr_owner_uid,
        peer_ecr_id=record.id.ecr_id,
        authorized_at=record.grant.authorized_at if outcome in ("granted", "attached") else None,
        association_id=record.association.association_id if outcome == "attached" else None,
        expires_at=lease.expires_at if lease and outcome in ("granted", "attached") else None,
        held_by=tuple(held.ticket for held in record.live_leases) if outcome == "revoked" else (),
        part_of=entry.part_of,
        problem=problem if outcome in ("rejected", "failed") else None,
    )


def expiring(record: Authorization, lease: Lease) -> ResultBody:
    """What the ticket of a lease is told that ends soon. Pure."""
    return ResultBody(
        outcome="expiring",
        final=False,
        request_id=lease.id,
        ticket=lease.ticket,
        action="grant",
        authorization=record.id,
        peer_account_uid=record.id.ecr_owner_uid,
        peer_ecr_id=record.id.ecr_id,
        expires_at=lease.expires_at,
    )


def refused(request: Request, problem: Problem, outcome: Outcome) -> ResultBody:
    """What a ticket is told whose request may not be, or could not be begun. Pure."""
    return ResultBody(
        outcome=outcome,
        final=True,
        request_id=request.request_id,
        ticket=request.ticket,
        action=request.action,
        requester=request.requester,
        authorization=request.authorization,
        peer_account_uid=request.ecr_owner_uid,
        peer_ecr_id=request.ecr_id,
        part_of=request.part_of,
        problem=problem,
    )


def unreadable(request_id: str, reason: str) -> ResultBody:
    """What is told of a message that is no request but bears a request id. Pure."""
    return ResultBody(
        outcome="rejected",
        final=True,
        request_id=request_id,
        problem=Problem(
            code="malformed",
            message=f"The message is not a request: {reason}.",
            remedy="Mend the fields named, as contracts/request.schema.json has them, and ask "
            "with a new request id.",
        ),
    )
