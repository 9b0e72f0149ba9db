"""Takes an authorization to what is wanted, as far as this worker's role reaches.

    lock + record intent ── call ── record answer + next intent ── call ── … ── unlock
          │                   │              │
          └ a crash here      └ here         └ here: the record says that the outcome is not known,
            leaves an expiring lock            and the next run looks before it acts

Every save is conditional. Where the intent moved meanwhile (another ticket, a revoke), the answer
is applied to what is wanted now, and the next step follows from that.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

import structlog

from shared import leases
from shared.announce import owed
from shared.authorization import Authorization, Lock
from shared.cloud.errors import CloudFailure, NotNow, OutcomeUnknown, Refused
from shared.contract import Problem
from shared.converge import WAITS, Step, converge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.announce import Announcer
    from shared.authorization import AssociationState, GrantState
    from shared.contract import AuthorizationId, Outcome
    from shared.converge import Wanted, Worker
    from shared.ledger import Ledger
    from shared.registry import Registry

    Change = Callable[[Authorization], Authorization]
    Action = Callable[[Authorization], Change]

log = structlog.get_logger()

MAX_STEPS: Final = 12
MAX_TRIES_A_RUN: Final = 2
MAX_CONFLICTS: Final = 20


@dataclass(frozen=True)
class Again:
    """The message must come again later.

    Args:
        reason: A stable word for why.
        wait: `error` backs off with jitter, `cloud` waits for an operation of the cloud to end,
            `person` for somebody in account A.
        hint_seconds: The cloud's own hint at how long.
        failure: What is said of the open requests, should this have been the last attempt.
    """

    reason: str
    wait: Literal["error", "cloud", "person"] = "error"
    hint_seconds: float | None = None
    failure: Problem | None = None


class LockLost(Exception):
    """Another worker has taken over after our lock had run out: stop, touch nothing."""


def unchanged(record: Authorization) -> Authorization:
    """The intent of one who only wakes."""
    return record


@dataclass(frozen=True)
class Settler:
    """Settles authorizations in one worker's name.

    Args:
        worker: Whose steps are taken; the other worker's are left to it.
        actions: How each of them is taken: called with the record, gives the change that its
            answer makes to the record, or raises CloudFailure.
        ledger: Where intent and answers are kept.
        announcer: Where results go.
        registry: What account A's people want of instances that they attach by hand.
        now: The clock, UTC.
        new_holder: A name for each run that no other run has.
        lock_seconds: Longer than a run can last: function and request time-outs, and clock skew.
    """

    worker: Worker
    actions: Mapping[Step, Action]
    ledger: Ledger
    announcer: Announcer
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
        run = _Run(self, of, self.new_holder(), known or (Authorization(id=of), 0))
        try:
            return run.go(intent)
        except LockLost:
            log.warning("lock_lost", subject=of.key)
            return Again("lock_lost")
        except Exception:
            run.release()
            raise

    def give_up(self, of: AuthorizationId, problem: Problem) -> None:
        """The last attempt is over: the requests still open are failed with `problem`."""
        self.settle(of, lambda record: self.failed(record, None, problem), known_only=True)

    def wanted(self, record: Authorization) -> Wanted:
        """What the record's live leases ask for."""
        ecr = self.registry.ecrs.get(record.id.ecr_id)
        return leases.wanted(record, ecr.by_hand if ecr else "wait")

    def failed(self, record: Authorization, step: Step | None, problem: Problem) -> Authorization:
        """The record once the open requests that `step` was for have failed."""
        granting = self.wanted(record).granted
        for entry in record.open:
            lease = record.lease(entry.lease)
            attaching = step is not None and step.worker == "attach"
            concerned = not attaching or lease is None or lease.attach
            if (entry.action == "grant") == granting and concerned:
                record = leases.fail(record, entry.request_id, problem, self.now())
        return record


@dataclass
class _Run:
    """One run over one authorization, from the lock to its release.

    `known` is the record and its version as this run last read or wrote them: a save that finds
    another version reads anew.
    """

    settler: Settler
    of: AuthorizationId
    holder: str
    known: tuple[Authorization, int]
    holds: bool = False
    locked_out: bool = False
    refused: dict[Step, Refused] = field(default_factory=dict)
    tries: Counter[Step] = field(default_factory=Counter)

    def go(self, intent: Change) -> Again | None:
        change = intent
        for turn in range(MAX_STEPS):
            record, step = self._save(change, first=turn == 0)
            announced = self._announce(record)
            if not self.holds:
                self._close(record, announced)
                return self._rest(record, step)
            answer = self._take(record, step)
            if isinstance(answer, Again):
                self.release(announced)
                return answer
            change = _both(announced, answer)
        self.release()
        return Again("too_many_steps")

    def release(self, change: Change = unchanged) -> None:
        """Give the lock back, if it is still ours."""
        if self.holds:
            self._put(lambda record: change(record).model_copy(update={"lock": None}))
            self.holds = False

    # One save ------------------------------------------------------------------------------------

    def _save(self, change: Change, *, first: bool) -> tuple[Authorization, Step]:
        """The record once `change`, and the intent to take the next step, are on it.

        Afterwards `holds` says whether that step is ours to take now.
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
            saved = changed if self.locked_out else self._prepared(changed, step, ours=ours)
            if (first and saved == record) or self._replaced(saved):
                self.holds = ours
                return saved, step
        raise LockLost

    def _prepared(self, record: Authorization, step: Step, *, ours: bool) -> Authorization:
        """Locked, and with an effect's outcome on record as unknown before the effect is asked."""
        if not ours:
            return record.model_copy(update={"lock": None})
        if step not in self.refused:
            record = _asked(record, step)
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

    def _is_ours(self, record: Authorization) -> bool:
        return record.lock is not None and record.lock.holder == self.holder

    # One step ------------------------------------------------------------------------------------

    def _take(self, record: Authorization, step: Step) -> Change | Again:
        """What the step's answer changes, or why it must wait."""
        if step in self.refused:
            return self._fail(record, step, self.refused[step])
        started = self.settler.now()
        self.tries[step] += 1
        try:
            change = self.settler.actions[step](record)
        except CloudFailure as failure:
            self._log(step, started, type(failure).__name__, failure)
            return self._answer_to(failure, record, step)
        self._log(step, started, "done")
        return change

    def _answer_to(
        self, failure: CloudFailure, record: Authorization, step: Step
    ) -> Change | Again:
        if isinstance(failure, Refused):
            if step.has_effect:
                self.refused[step] = failure  # done already, perhaps: the look will tell
                return unchanged
            if self.refused:
                return _as_before(next(reversed(self.refused)))
            return self._fail(record, step, failure)
        doubtful = isinstance(failure, OutcomeUnknown) and step.has_effect
        if doubtful and self.tries[step] < MAX_TRIES_A_RUN:
            return unchanged
        hint = failure.retry_after if isinstance(failure, NotNow) else None
        problem = problem_of(failure, step)
        return Again(problem.code, hint_seconds=hint, failure=problem)

    def _fail(self, record: Authorization, step: Step, failure: Refused) -> Change | Again:
        problem = problem_of(failure, step)
        failed = self.settler.failed(record, step, problem)
        if failed == record:  # nobody is left to tell: it is the sweep's and the operators' now
            return Again(problem.code, failure=problem)
        return lambda latest: self.settler.failed(latest, step, problem)

    def _rest(self, record: Authorization, step: Step) -> Again | None:
        """Where a run ends that may not take the next step."""
        if self.locked_out:
            return Again("locked", wait="cloud")
        if step.worker == self.settler.worker and step in WAITS:
            wait: Literal["cloud", "person"] = (
                "person" if step is Step.AWAIT_DETACH_BY_HAND else "cloud"
            )
            return Again(step.value, wait=wait, failure=_overdue(step))
        waits_for_grant = self.settler.worker == "attach" and step.worker == "authorize"
        if waits_for_grant and record.live_leases and record.open:
            return Again("grant_in_doubt", wait="cloud")
        return None

    # Results -------------------------------------------------------------------------------------

    def _announce(self, record: Authorization) -> Change:
        """All results that are due are on the topic; gives the change that notes it."""
        due: list[tuple[str, Outcome]] = []
        for entry, outcome in leases.due(record):
            self.settler.announcer.announce(owed(record, entry, outcome))
            due.append((entry.request_id, outcome))

        def noted(latest: Authorization) -> Authorization:
            for request_id, outcome in due:
                latest = leases.announced(latest, request_id, outcome)
            return latest

        return noted

    def _close(self, record: Authorization, announced: Change) -> None:
        """Requests that have their last result are closed; lesser notes can wait."""
        if len(announced(record).open) < len(record.open):
            self._put(announced)

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
            outcome=outcome,
            subject=self.of.key,
            duration_ms=round(elapsed.total_seconds() * 1000, 1),
            cloud_code=failure.cloud_code if failure else None,
            cloud_request_id=failure.request_id if failure else None,
        )


def problem_of(failure: CloudFailure, step: Step) -> Problem:
    """What a person is told of a cloud failure."""
    explanation = failure.explanation
    said = f": {failure.message}" if failure.message else ""
    return Problem(
        code=explanation.code,
        message=f"{step.value.replace('_', ' ')}: the cloud answered {failure.cloud_code}{said}",
        remedy=explanation.remedy,
        cloud_code=failure.cloud_code,
        cloud_request_id=failure.request_id,
    )


def _overdue(step: Step) -> Problem:
    if step is Step.AWAIT_DETACH_BY_HAND:
        return Problem(
            code="still_attached",
            message="The instance is still attached to the ECR, which was done by hand.",
            remedy="Detach it in account A, then ask for the revoke again with a new request id.",
        )
    return Problem(
        code="cloud_slow",
        message=f"{step.value.replace('_', ' ')}: the cloud has not finished in time.",
        remedy="Look at the ECR in account A; ask again with a new request id when it is settled.",
    )


def _awake(record: Authorization, worker: Worker) -> Authorization:
    """Time has passed since what was on its way was seen: it must be looked at again."""
    if worker == "authorize" and record.grant.state == "settling":
        return record.with_grant("unknown")
    passing = record.association.state in ("creating", "deleting")
    left_to_hand = record.association.state == "active" and not record.live_leases
    if worker == "attach" and (passing or left_to_hand):
        return record.with_association("unknown")
    return record


def _asked(record: Authorization, step: Step) -> Authorization:
    """What the step changes is not known from here on, until its answer is on record."""
    if step in (Step.GRANT, Step.REVOKE):
        return record.with_grant("unknown")
    if step is Step.ASSOCIATE:
        return record.with_association("unknown", by_us=True)
    if step is Step.DISSOCIATE:
        return record.with_association("unknown")
    return record


def _as_before(refused: Step) -> Change:
    """A refusal is definite: where no look can tell otherwise, all is as the step found it."""
    if refused in (Step.GRANT, Step.REVOKE):
        grant: GrantState = "absent" if refused is Step.GRANT else "present"
        return lambda latest: latest.with_grant(grant)
    association: AssociationState = "absent" if refused is Step.ASSOCIATE else "active"
    return lambda latest: latest.with_association(association)


def _both(first: Change, second: Change) -> Change:
    return lambda record: second(first(record))
