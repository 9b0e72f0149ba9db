"""One run over one authorization: step by step to what is wanted, under a lock.

    lock + record intent ── call ── record answer + next intent ── call ── … ── unlock
          │                   │              │
          └ a crash here      └ here         └ here: the record says that the outcome is not known,
            leaves an expiring lock            and the next run looks before it acts

Every save is conditional. Where the intent moved meanwhile (another ticket, a revoke), the answer
is applied to what is wanted now, and the next step follows from that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

import structlog

from shared import leases
from shared.announce import owed
from shared.authorization import Authorization, Lock, Reserved
from shared.cloud.errors import CloudFailure, NotNow, Refused
from shared.converge import WAITS, Step, converge
from shared.problems import overdue, problem_of

if TYPE_CHECKING:
    from datetime import datetime

    from shared.authorization import AssociationState, GrantState
    from shared.contract import AuthorizationId, Outcome, Problem
    from shared.converge import Worker
    from shared.settle import Settler

Change = Callable[[Authorization], Authorization]
Action = Callable[[Authorization], Change]
Wait = Literal["error", "lock", "turn", "cloud", "person"]

log = structlog.get_logger()

EARLY: Final = timedelta(seconds=0.5)
"""A turn that comes so soon is taken now: no message is worth so short a wait."""

MAX_STEPS: Final = 12
MAX_TRIES_A_RUN: Final = 2
MAX_CONFLICTS: Final = 20


@dataclass(frozen=True)
class Again:
    """The message must come again later.

    Args:
        reason: A stable word for why.
        wait: `error` backs off with jitter, `lock` waits for another worker, `turn` for the moment
            that was reserved, `cloud` for an operation of the cloud, `person` for somebody in A.
        hint_seconds: How long at least: the cloud's own hint, or until the turn.
        failure: What is said of the open requests, should this have been the last attempt.
    """

    reason: str
    wait: Wait = "error"
    hint_seconds: float | None = None
    failure: Problem | None = None


class LockLost(Exception):
    """Another worker has taken over after our lock had run out: stop, touch nothing."""


def unchanged(record: Authorization) -> Authorization:
    """The intent of one who only wakes."""
    return record


@dataclass
class Run:
    """One run over one authorization, from the lock to its release.

    `known` is the record and its version as this run last read or wrote them: a save that finds
    another version reads anew.
    """

    settler: Settler
    of: AuthorizationId
    holder: str
    known: tuple[Authorization, int]
    holds: bool = False
    acts: bool = False
    locked_out: bool = False
    turn: Reserved | None = None
    unanswered: tuple[datetime | None, str | None] = (None, None)
    refused: dict[Step, Refused] = field(default_factory=dict)
    tries: Counter[Step] = field(default_factory=Counter)

    def go(self, intent: Change) -> Again | None:
        """Record `intent`, then take steps until the next one is not ours, or must wait."""
        change = intent
        for turn in range(MAX_STEPS):
            record, step = self._save(change, first=turn == 0)
            if self.locked_out:
                return Again("locked", wait="lock", hint_seconds=self._held_seconds(record))
            announced = self._announce(record)
            if not self.acts:
                self.release(announced, step)
                return self._rest(record, step)
            answer, again = self._take(record, step)
            if again is not None:
                self.release(both(announced, answer))
                return again
            change = both(announced, answer)
        self.release()
        return Again("too_many_steps")

    def _held_seconds(self, record: Authorization) -> float:
        """How long another has held the lock by now: so long again is a wait that grows."""
        left = (record.lock.until - self.settler.now()).total_seconds() if record.lock else 0.0
        return max(0.0, min(left, self.settler.lock_seconds - left))

    def release(self, change: Change = unchanged, step: Step | None = None) -> None:
        """Give the lock back, if it is still ours; `step` is the next one, where that is known."""

        def released(record: Authorization) -> Authorization:
            free = change(record).model_copy(update={"lock": None})
            return free if step is None else leases.with_due(free, step, self.settler.now())

        if self.holds:
            self._put(released)
            self.holds = False

    # One save ------------------------------------------------------------------------------------

    def _save(self, change: Change, *, first: bool) -> tuple[Authorization, Step]:
        """The record once `change`, and the intent to take the next step, are on it.

        Afterwards `acts` says whether that step is ours to take now, and `holds` whether the lock
        is ours: for the step, or until what is due has been announced.
        """
        settler = self.settler
        for _ in range(MAX_CONFLICTS):
            record, _ = self.known
            if not first and not self._is_ours(record):
                raise LockLost
            self.locked_out = (
                first and record.lock is not None and record.lock.until > settler.now()
            )
            changed = change(record)
            if first and not self.locked_out:
                changed = _awake(changed, settler.worker)
            step = converge(settler.wanted(changed), leases.seen(changed))
            ours = step in settler.actions and not self.locked_out
            if ours and step.has_effect and step not in self.refused:
                changed = self._with_turn(changed, step)
                ours = changed.turn is None or changed.turn.at <= settler.now() + EARLY
            holds = ours or (not self.locked_out and any(leases.due(changed)))
            saved = changed
            if not self.locked_out:
                saved = self._prepared(changed, step if ours else None, holds=holds)
            saved = leases.with_due(saved, step, settler.now())
            if (first and saved == record) or self._replaced(saved):
                self.holds, self.acts = holds, ours
                return saved, step
        raise LockLost

    def _with_turn(self, record: Authorization, step: Step) -> Authorization:
        """The moment of the write is on the record; one that the step has reserved stays."""
        if record.turn is not None and record.turn.step == step.value:
            return record
        if self.turn is None or self.turn.step != step.value:
            at = self.settler.turns.reserve(record, step, self.settler.now())
            self.turn = Reserved(step=step.value, at=at)
        return record.model_copy(update={"turn": self.turn})

    def _prepared(self, record: Authorization, step: Step | None, *, holds: bool) -> Authorization:
        """Locked, and with an effect's outcome on record as unknown before the effect is asked."""
        if not holds:
            return record.model_copy(update={"lock": None})
        if step is not None and step.has_effect and step not in self.refused:
            self.unanswered = (record.unanswered_at, record.unanswered_step)
            record = _asked(record, step, self.settler.now())
        until = self.settler.now() + timedelta(seconds=self.settler.lock_seconds)
        return record.model_copy(update={"lock": Lock(holder=self.holder, until=until)})

    def _put(self, change: Change) -> None:
        """`change` is on the record, unless our lock was lost meanwhile."""
        for _ in range(MAX_CONFLICTS):
            record, _ = self.known
            if self.holds and not self._is_ours(record):
                return
            changed = change(record)
            if changed == record or self._replaced(changed):
                return
        raise LockLost

    def _replaced(self, changed: Authorization) -> bool:
        """Whether `changed` is on the ledger; where it is not, what is there now is known."""
        version = self.known[1]
        if self.settler.ledger.put_authorization(changed, version):
            self.known = (changed, version + 1)
            return True
        self.known = self.settler.ledger.authorization(self.of.key) or (
            Authorization(id=self.of),
            0,
        )
        return False

    def _latest(self) -> Authorization:
        """The record as it is now. Raises LockLost where somebody else has taken over."""
        self.known = self.settler.ledger.authorization(self.of.key) or self.known
        if not self._is_ours(self.known[0]):
            raise LockLost
        return self.known[0]

    def _is_ours(self, record: Authorization) -> bool:
        return record.lock is not None and record.lock.holder == self.holder

    # One step ------------------------------------------------------------------------------------

    def _take(self, record: Authorization, step: Step) -> tuple[Change, Again | None]:
        """What the step's answer changes; and, where the rest must wait, why."""
        if step in self.refused:
            return self._fail(record, step, self.refused[step])
        started = self.settler.now()
        self.tries[step] += 1
        self._note(record, step, "asked")
        try:
            change = self.settler.actions[step](record)
        except CloudFailure as failure:
            self._log(step, started, type(failure).__name__, failure)
            self._note(record, step, type(failure).__name__, failure)
            return self._answer_to(failure, record, step)
        self._log(step, started, "done")
        self._note(record, step, "done")
        return both(change, self._answered(step)), None

    def _answer_to(
        self, failure: CloudFailure, record: Authorization, step: Step
    ) -> tuple[Change, Again | None]:
        if isinstance(failure, Refused):
            return self._refused(failure, record, step)
        problem = problem_of(failure, step)
        if isinstance(failure, NotNow):
            again = Again(problem.code, hint_seconds=failure.retry_after, failure=problem)
            if not step.has_effect:
                return unchanged, again
            return both(_as_before(step), self._answered(step)), again
        if step.has_effect and self.tries[step] < MAX_TRIES_A_RUN:
            return unchanged, None
        return unchanged, Again(problem.code, failure=problem)

    def _refused(
        self, failure: Refused, record: Authorization, step: Step
    ) -> tuple[Change, Again | None]:
        """A write that is refused may be done already: a look will tell, if one can be had."""
        if step.has_effect:
            self.refused[step] = failure
            return self._answered(step), None
        if self.refused:
            return _as_before(next(reversed(self.refused))), None
        return self._fail(record, step, failure)

    def _answered(self, step: Step) -> Change:
        """A write that has its answer cannot land later; one more try takes a turn of its own."""
        if not step.has_effect:
            return unchanged
        self.turn = None
        at, which = self.unanswered
        over = {"unanswered_at": at, "unanswered_step": which, "turn": None}
        return lambda record: record.model_copy(update=over)

    def _fail(
        self, record: Authorization, step: Step, failure: Refused
    ) -> tuple[Change, Again | None]:
        problem = problem_of(failure, step)
        failed = self.settler.failed(record, step, problem)
        if failed == record:  # nobody is left to tell: it is the clean-up's and the operators' now
            look = step is Step.LOOK_AT_GRANT
            noted = _unverified(problem, self.settler.now()) if look else unchanged
            return noted, Again(problem.code, wait="person", failure=problem)
        return lambda latest: self.settler.failed(latest, step, problem), None

    def _note(
        self, record: Authorization, step: Step, outcome: str, failure: CloudFailure | None = None
    ) -> None:
        """An effect, before and after it, is on the audit trail."""
        if not step.has_effect:
            return
        of = record.id
        self.settler.trail.note(
            of.key,
            f"{step.value} {outcome}",
            account=of.instance_owner_uid if step.worker == "authorize" else of.ecr_owner_uid,
            worker=step.worker,
            run=self.holder,
            token=record.token(step.value),
            leases=" ".join(lease.id for lease in record.live_leases) or None,
            requests=" ".join(entry.request_id for entry in record.open) or None,
            cloud_code=failure.cloud_code if failure else None,
            cloud_request_id=failure.request_id if failure else None,
        )

    def _rest(self, record: Authorization, step: Step) -> Again | None:
        """Where a run ends that may not take the next step."""
        if step in self.settler.actions and record.turn is not None:
            left = (record.turn.at - self.settler.now()).total_seconds()
            return Again("turn", wait="turn", hint_seconds=left, failure=overdue(step))
        if step.worker == self.settler.worker and step in WAITS:
            wait: Wait = "person" if step is Step.AWAIT_DETACH_BY_HAND else "cloud"
            return Again(step.value, wait=wait, failure=overdue(step))
        waits_for_grant = self.settler.worker == "attach" and step.worker == "authorize"
        if waits_for_grant and record.live_leases and record.open:
            return Again("grant_in_doubt", wait="cloud")
        return None

    # Results -------------------------------------------------------------------------------------

    def _announce(self, record: Authorization) -> Change:
        """All results that are due are on the topic; gives the change that notes it."""
        told: list[tuple[str, Outcome]] = []
        due = list(leases.due(record))
        while due:
            entry, outcome = due[0]
            lease = record.lease(entry.lease) if entry.action == "grant" else None
            self.settler.announcer.announce(owed(record, entry, outcome), lease=lease)
            told.append((entry.request_id, outcome))
            if len(due) > 1:  # what was asked for meanwhile counts for what is told next
                record = self._latest()
            due = [one for one in leases.due(record) if (one[0].request_id, one[1]) not in told]

        def noted(latest: Authorization) -> Authorization:
            for request_id, outcome in told:
                latest = leases.announced(latest, request_id, outcome)
            return latest

        return noted

    def _log(
        self,
        step: Step,
        started: datetime,
        outcome: str,
        failure: CloudFailure | None = None,
    ) -> None:
        elapsed = self.settler.now() - started
        log.info(
            "step_taken",
            step=step.value,
            answer=outcome,
            subject=self.of.key,
            duration_ms=round(elapsed.total_seconds() * 1000, 1),
            cloud_code=failure.cloud_code if failure else None,
            cloud_request_id=failure.request_id if failure else None,
        )


def _unverified(problem: Problem, now: datetime) -> Change:
    """Account B cannot be looked at: the sweep comes back to it, but not soon."""
    note = {"unverified": problem.code, "due_at": now + leases.UNVERIFIED_AFTER}
    return lambda latest: latest.model_copy(update=note)


def _awake(record: Authorization, worker: Worker) -> Authorization:
    """Time has passed since what was on its way was seen: it must be looked at again."""
    if worker == "authorize" and record.grant.state == "settling":
        return record.with_grant("unknown")
    passing = record.association.state in ("creating", "deleting")
    left_to_hand = record.association.state == "active" and not record.live_leases
    if worker == "attach" and (passing or left_to_hand):
        return record.with_association("unknown")
    return record


def _asked(record: Authorization, step: Step, now: datetime) -> Authorization:
    """What the step changes is not known from here on, until its answer is on record."""
    record = record.model_copy(update={"unanswered_at": now, "unanswered_step": step.value})
    if step in (Step.GRANT, Step.REVOKE):
        return record.with_grant("unknown")
    if step is Step.ASSOCIATE:
        return record.with_association("unknown", by_us=True)
    return record.with_association("unknown")


def _as_before(refused: Step) -> Change:
    """A refusal is definite: where no look can tell otherwise, all is as the step found it."""
    if refused in (Step.GRANT, Step.REVOKE):
        grant: GrantState = "absent" if refused is Step.GRANT else "present"
        return lambda latest: latest.with_grant(grant)
    association: AssociationState = "absent" if refused is Step.ASSOCIATE else "active"
    return lambda latest: latest.with_association(association)


def both(first: Change, second: Change) -> Change:
    """The one change, then the other."""
    return lambda record: second(first(record))
