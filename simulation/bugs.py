"""Planted bugs: each changes the shipped code in one way that the campaign must notice."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from shared import authorize, inbox, leases, problems, run, settle
from shared.announce import Announcer
from shared.authorization import Authorization
from shared.cloud.errors import CloudFailure, OutcomeUnknown
from shared.cloud.sessions import session_policy
from shared.contract import Result
from shared.converge import Seen, Step, Wanted
from shared.leases import _end, _with_lease, _without_lease
from shared.run import Run, both, unchanged
from shared.sweep import Sweep, Swept
from simulation import system
from simulation.memory import MemoryLedger

Plant = Callable[[], list[tuple[Any, str, Any]]]
BUGS: dict[str, Plant] = {}


def bug(name: str) -> Callable[[Plant], Plant]:
    """Register a planted bug: a function that says which attributes are replaced by what."""

    def register(plant: Plant) -> Plant:
        BUGS[name] = plant
        return plant

    return register


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The bug is in the code inside the block, and gone after it."""
    with replaced(BUGS[name]()):
        yield


@contextmanager
def replaced(changes: list[tuple[Any, str, Any]]) -> Iterator[None]:
    """Each (owner, attribute, replacement) is in force inside the block."""
    kept = [(owner, attribute, owner.__dict__[attribute]) for owner, attribute, _ in changes]
    for owner, attribute, replacement in changes:
        setattr(owner, attribute, replacement)
    try:
        yield
    finally:
        for owner, attribute, original in kept:
            setattr(owner, attribute, original)


@bug("the effect comes before the intent")
def _() -> list[tuple[Any, str, Any]]:
    def prepared(self: Run, record: Authorization, step: Any, *, holds: bool) -> Authorization:
        return record.model_copy(update={"lock": None})

    return [(Run, "_prepared", prepared), (Run, "_is_ours", lambda self, record: True)]


@bug("what was asked is not recorded as unknown")
def _() -> list[tuple[Any, str, Any]]:
    return [(run, "_asked", lambda record, step, now: record)]


@bug("a blind write to the ledger")
def _() -> list[tuple[Any, str, Any]]:
    def put(self: MemoryLedger, record: Authorization, version: int) -> bool:
        def effect() -> bool:
            known = self.records.get(record.id.key)
            self.records[record.id.key] = (record, (known[1] if known else 0) + 1)
            return True

        return bool(self.perform("ledger put_authorization", effect))

    return [(MemoryLedger, "put_authorization", put)]


@bug("no lock")
def _() -> list[tuple[Any, str, Any]]:
    return [(system, "LOCK_SECONDS", 0.0)]


@bug("a lock shorter than the function's time-out")
def _() -> list[tuple[Any, str, Any]]:
    return [(system, "LOCK_SECONDS", 10.0)]


@bug("a random token")
def _() -> list[tuple[Any, str, Any]]:
    draws = random.Random(7)  # noqa: S311 -- a simulation
    return [(Authorization, "token", lambda self, action: f"{action}-{draws.random()}")]


@bug("a token for each request")
def _() -> list[tuple[Any, str, Any]]:
    def token(self: Authorization, action: str) -> str:
        return f"{self.id.key}-{action}-{self.open[-1].request_id if self.open else ''}"

    return [(Authorization, "token", token)]


@bug("a spent token is used again")
def _() -> list[tuple[Any, str, Any]]:
    return [(Authorization, "next_generation", lambda self: self)]


@bug("no tombstone")
def _() -> list[tuple[Any, str, Any]]:
    def without_lease(record: Any, request: Any, asked_at: Any, now: Any) -> Authorization:
        known = record.lease(request.lease) is not None
        changed = _without_lease(record, request, asked_at, now)
        if known or request.lease == "all":
            return changed
        kept = tuple(lease for lease in changed.leases if lease.id != request.lease)
        return changed.model_copy(update={"leases": kept})

    return [(leases, "_without_lease", without_lease)]


@bug("a revoke of all forgets when it was asked for")
def _() -> list[tuple[Any, str, Any]]:
    def without_lease(record: Any, request: Any, asked_at: Any, now: Any) -> Authorization:
        changed = _without_lease(record, request, asked_at, now)
        return changed.model_copy(update={"cleared_at": None})

    return [(leases, "_without_lease", without_lease)]


@bug("an ended lease becomes live again")
def _() -> list[tuple[Any, str, Any]]:
    def with_lease(record: Any, request: Any, asked_at: Any, now: Any) -> Authorization:
        rest = tuple(lease for lease in record.leases if lease.id != request.request_id)
        bare = record.model_copy(update={"leases": rest, "cleared_at": None})
        return _with_lease(bare, request, asked_at, now)

    return [(leases, "_with_lease", with_lease)]


@bug("errors are swallowed")
def _() -> list[tuple[Any, str, Any]]:
    def again(self: Any, document: Any, worker: Any, attempt: int, again: Any) -> None:
        return

    return [(inbox.Inbox, "_again", again)]


@bug("the message is acknowledged first")
def _() -> list[tuple[Any, str, Any]]:
    from simulation import schedule  # noqa: PLC0415 -- it imports what is patched here

    def again(self: Any, delivery: Any) -> None:
        return

    return [(schedule.Simulation, "_again", again)]


@bug("announced is marked before it is announced")
def _() -> list[tuple[Any, str, Any]]:
    put_out = Announcer.__dict__["_put_out"]

    def marked_first(self: Any, record: Any, what: str, lease: Any = None) -> None:
        if record.published_at is None:
            self.ledger.mark_published(record.result.id, self.now())
        put_out(self, record, what, lease)

    return [(Announcer, "_put_out", marked_first)]


@bug("a result differs when it is repeated")
def _() -> list[tuple[Any, str, Any]]:
    count = itertools.count()

    def body(self: Result) -> str:
        changed = self.model_copy(update={"source": f"test-{next(count)}"})
        return changed.model_dump_json(exclude_none=True)

    return [(Result, "body", body)]


@bug("revoke before detach")
def _() -> list[tuple[Any, str, Any]]:
    def towards(wanted: Wanted, seen: Seen) -> Step:
        steps = {
            "unknown": Step.LOOK_AT_GRANT,
            "settling": Step.AWAIT_GRANT,
            "present": Step.REVOKE,
        }
        if seen.grant != "absent":
            return steps[seen.grant]
        return Step.DONE if seen.association == "absent" else Step.DISSOCIATE

    from shared import converge  # noqa: PLC0415 -- the module, to be patched

    return [(converge, "_towards_no_access", towards)]


@bug("a revoke ignores the other leases")
def _() -> list[tuple[Any, str, Any]]:
    def end(record: Any, which: Any, by: str, now: Any) -> Authorization:
        return _end(record, lambda _: True, by, now)

    return [(leases, "_end", end)]


@bug("attached is announced without a look")
def _() -> list[tuple[Any, str, Any]]:
    def said(self: Authorization, association_id: Any, now: Any) -> Authorization:
        return self.with_association(
            "active", said="associate", said_at=now, association_id=association_id
        )

    return [(Authorization, "said_associated", said)]


@bug("detached is announced without a look")
def _() -> list[tuple[Any, str, Any]]:
    def said(self: Authorization, now: Any) -> Authorization:
        return self.with_association("absent", said="dissociate", said_at=now)

    return [(Authorization, "said_dissociated", said)]


@bug("no answer is taken as done")
def _() -> list[tuple[Any, str, Any]]:
    def answer(self: Run, failure: CloudFailure, record: Any, step: Step) -> Any:
        if isinstance(failure, OutcomeUnknown) and step.has_effect:
            now = self.settler.now()
            done = {
                Step.GRANT: lambda latest: latest.said_granted(now),
                Step.REVOKE: lambda latest: latest.with_grant("absent"),
                Step.ASSOCIATE: lambda latest: latest.said_associated(None, now),
                Step.DISSOCIATE: lambda latest: latest.with_association("absent"),
            }[step]
            return both(done, self._answered(step)), None
        return answer_to(self, failure, record, step)

    answer_to = Run.__dict__["_answer_to"]
    return [(Run, "_answer_to", answer)]


@bug("no answer is taken as not done")
def _() -> list[tuple[Any, str, Any]]:
    def answer(self: Run, failure: CloudFailure, record: Any, step: Step) -> Any:
        if isinstance(failure, OutcomeUnknown) and step.has_effect:
            problem = problems.problem_of(failure, step)
            changed = lambda latest: self.settler.failed(latest, step, problem)  # noqa: E731
            return both(changed, run._as_before(step)), None
        return answer_to(self, failure, record, step)

    answer_to = Run.__dict__["_answer_to"]
    return [(Run, "_answer_to", answer)]


@bug("a passing refusal is taken as done")
def _() -> list[tuple[Any, str, Any]]:
    def answer(self: Run, failure: CloudFailure, record: Any, step: Step) -> Any:
        if isinstance(failure, run.NotNow) and step is Step.GRANT:
            return lambda latest: latest.said_granted(self.settler.now()), None
        return answer_to(self, failure, record, step)

    answer_to = Run.__dict__["_answer_to"]
    return [(Run, "_answer_to", answer)]


@bug("a stale listing is taken as gone")
def _() -> list[tuple[Any, str, Any]]:
    def saw(self: Authorization, state: Any, association_id: Any, now: Any) -> Authorization:
        spent = self.next_generation() if state == "absent" else self
        return spent.with_association(state, association_id=association_id, said=None)

    return [(Authorization, "saw_association", saw)]


@bug("a request id used for something else is taken")
def _() -> list[tuple[Any, str, Any]]:
    def add(self: MemoryLedger, record: Any) -> Any:
        return self.perform(
            "ledger add_request",
            lambda: self.requests.__setitem__(record.request.request_id, record),
        )

    return [(MemoryLedger, "add_request", add)]


@bug("the session policy is left out")
def _() -> list[tuple[Any, str, Any]]:
    return [(authorize, "session_policy", lambda of, purpose: "")]


@bug("the session policy names another instance")
def _() -> list[tuple[Any, str, Any]]:
    policy_of = session_policy

    def other(of: Any, purpose: Any) -> str:
        return policy_of(of.model_copy(update={"instance_id": "vpc-bp1payments0test"}), purpose)

    return [(authorize, "session_policy", other)]


@bug("a write that lands late is never looked for")
def _() -> list[tuple[Any, str, Any]]:
    return [(leases, "woken", lambda record, now, *, look=False: record)]


@bug("the sweep finds nothing")
def _() -> list[tuple[Any, str, Any]]:
    return [(Sweep, "run", lambda self: Swept())]


@bug("a request that is not finished is not taken again")
def _() -> list[tuple[Any, str, Any]]:
    def take(self: Any, of: Any, intent: Any = unchanged, *, known_only: bool = False) -> Any:
        known = self.ledger.authorization(of.key)
        if known is not None and known[0].open and not known_only:
            return None
        return settle_of(self, of, intent, known_only=known_only)

    settle_of = settle.Settler.__dict__["settle"]
    return [(settle.Settler, "settle", take)]


@bug("a failed request's lease is kept")
def _() -> list[tuple[Any, str, Any]]:
    def fail(record: Any, request_id: str, problem: Any, now: Any) -> Authorization:
        entry = record.request(request_id)
        if entry is None or entry.problem is not None:
            return record
        return leases._replaced(record, entry.model_copy(update={"problem": problem}))

    return [(leases, "fail", fail)]


@bug("an audit entry is left out of its chain")
def _() -> list[tuple[Any, str, Any]]:
    add = MemoryLedger.__dict__["add_entry"]

    def skip(self: MemoryLedger, entry: Any) -> bool:
        return True if entry.sequence == 3 else bool(add(self, entry))

    return [(MemoryLedger, "add_entry", skip)]
