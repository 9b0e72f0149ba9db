"""Takes authorizations to what is wanted, as far as one worker's role reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from shared import leases
from shared.announce import final_of
from shared.authorization import Authorization
from shared.contract import Wake
from shared.run import Again, LockLost, Run, unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.announce import Announcer
    from shared.audit import Trail
    from shared.contract import AuthorizationId, Problem, ResultBody
    from shared.converge import Step, Wanted, Worker
    from shared.ledger import Ledger
    from shared.registry import Registry
    from shared.run import Action, Change
    from shared.turns import Turns

log = structlog.get_logger()


@dataclass(frozen=True)
class Settler:
    """Settles authorizations in one worker's name.

    Args:
        worker: Whose steps are taken; the other worker's are left to it.
        actions: How each of them is taken: called with the record, gives the change that its
            answer makes to the record, or raises CloudFailure.
        ledger: Where intent and answers are kept.
        announcer: Where results go.
        trail: Where each effect is noted, before and after.
        turns: When a write may be made.
        registry: What account A's people want of instances that they attach by hand.
        now: The clock, UTC.
        new_holder: A name for each run that no other run has.
        lock_seconds: Longer than a run can last: function and request time-outs, and clock skew.
    """

    worker: Worker
    actions: Mapping[Step, Action]
    ledger: Ledger
    announcer: Announcer
    trail: Trail
    turns: Turns
    registry: Registry
    now: Callable[[], datetime]
    new_holder: Callable[[], str]
    lock_seconds: float

    def settle(
        self, of: AuthorizationId, intent: Change = unchanged, *, known_only: bool = False
    ) -> Again | None:
        """Record `intent` and go on until the next step is not ours, or cannot be taken now.

        Args:
            of: The authorization.
            intent: What a request changes about it.
            known_only: Do nothing about an authorization that the ledger does not know.

        Returns:
            None where nothing is left for this worker to do now; else why and when to come again.
        """
        known = self.ledger.authorization(of.key)
        if known_only and known is None:
            log.warning("authorization_unknown", subject=of.key)
            return None
        run = Run(self, of, self.new_holder(), known or (Authorization(id=of), 0))
        try:
            return run.go(intent)
        except LockLost:
            log.warning("lock_lost", subject=of.key)
            return Again("lock_lost", wait="lock")
        except Exception:
            run.release()
            raise

    def go_on(self, of: AuthorizationId, request_id: str) -> Again | None:
        """Go on with what a request has begun that has its answer, which is noted."""
        return self.settle(of, lambda record: self.answered(record, request_id), known_only=True)

    def wake(self, message: Wake) -> Again | None:
        """Go on where work lies, as the sweep or the clean-up has found it.

        A wait for a person is left to the next sweep, so that messages do not multiply.
        """

        def woken(record: Authorization) -> Authorization:
            for entry in record.open:
                record = self.answered(record, entry.request_id)
            return leases.woken(record, self.now(), look=message.look)

        again = self.settle(message.wake, woken, known_only=True)
        return None if again is None or again.wait == "person" else again

    def is_open(self, of: ResultBody) -> bool:
        """The request still waits for its answer on the record of its authorization."""
        known = self.ledger.authorization(of.authorization.key) if of.authorization else None
        return known is not None and known[0].request(of.request_id) is not None

    def answered(self, record: Authorization, request_id: str) -> Authorization:
        """The record with an answer on it that is on the topic, whoever died before noting that.

        What is owed may be another by then, and for long: the request would stay open.
        """
        last = final_of(self.ledger.results(request_id))
        if last is None or last.published_at is None:
            return record
        return leases.announced(record, request_id, last.result.data.outcome)

    def close(self, of: AuthorizationId, request_id: str) -> None:
        """A request that was never taken is over, whoever still holds a copy of its message."""
        self.settle(of, lambda record: leases.close(record, request_id))

    def give_up(self, of: ResultBody, problem: Problem) -> Wake | None:
        """The last attempt of a request is over: it has failed with `problem`, if it is open.

        Others of the same authorization are left alone.

        Returns:
            What wakes this worker again, where it has still to take back what was begun.
        """
        if of.authorization is None or not self.is_open(of):
            return None

        def failed(record: Authorization) -> Authorization:
            if self._is_answered(of.request_id):
                return self.answered(record, of.request_id)
            return leases.fail(record, of.request_id, problem, self.now())

        again = self.settle(of.authorization, failed, known_only=True)
        return None if again is None or again.wait == "person" else Wake(wake=of.authorization)

    def wanted(self, record: Authorization) -> Wanted:
        """What the record's live leases ask for."""
        ecr = self.registry.ecrs.get(record.id.ecr_id)
        return leases.wanted(record, ecr.by_hand if ecr else "wait")

    def _is_answered(self, request_id: str) -> bool:
        """An earlier run had made the request's answer, and died before it could note that."""
        return final_of(self.ledger.results(request_id)) is not None

    def failed(self, record: Authorization, step: Step, problem: Problem) -> Authorization:
        """The record once the open requests that `step` was for have failed."""
        granting = self.wanted(record).granted
        for entry in record.open:
            lease = record.lease(entry.lease)
            concerned = step.worker == "authorize" or lease is None or lease.attach
            ours = (entry.action == "grant") == granting and concerned
            if ours and not self._is_answered(entry.request_id):
                record = leases.fail(record, entry.request_id, problem, self.now())
        return record
