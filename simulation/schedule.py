"""One schedule: a scenario, the faults that hit it at which effect, and what came of it.

The same schedule always gives the same trace. A crash is a BaseException that nothing swallows; a
switch lets another delivery run in the middle of this one, as a second instance would.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

from shared.authorization import VISIBLE_AFTER
from shared.cloud.errors import CloudFailure, failure
from shared.ledger import LedgerUnavailable
from simulation.invariants import Broken, Invariants
from simulation.memory import MemoryLedger
from simulation.ports import Ports
from simulation.system import AGAIN_AFTER, FUNCTION_TIMEOUT, TIMER, System

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from simulation.scenarios import Scenario

MOST_DELIVERIES = 400
ENOUGH_ATTEMPTS = 8
"""More than all faults of a schedule can use up: no request may be given up for want of them."""
LEDGER_FAULTS = ("crash before", "crash after", "unsent", "lost")
CALL_FAULTS = ("crash before", "crash after", "unsent", "lost", "busy", "throttled", "unknown")
WRITE_FAULTS = (*CALL_FAULTS, "late", "refused")
LOOK_FAULTS = (*CALL_FAULTS, "stale")
LIST_FAULTS = (*CALL_FAULTS, "empty")
SEND_FAULTS = ("crash before", "crash after", "unsent", "lost", "twice", "delayed")
SWITCH = "switch"
PAUSE = "pause"
REFUSED = "refused"
GAVE_UP = "a message was given up"
_WAITED = {"lock": "a lock was contended", "turn": "a turn was waited for"}
PAUSED = timedelta(seconds=100)
"""How long an instance stands still at a PAUSE; at a SWITCH, until nothing else is due."""
_WRITES = ("grant", "revoke", "associate", "dissociate")
_CODES = {
    "busy": "Conflict.Lock",
    "throttled": "Throttling.User",
    "unknown": "Never.Heard.Of",
    "refused": "OperationDenied.CrossBidAssociating",
}


class Crash(BaseException):
    """The instance is gone, in the middle of what it did."""


def kinds_of(name: str) -> tuple[str, ...]:
    """The faults that an effect of this name can have."""
    if name.startswith("ledger"):
        return LEDGER_FAULTS
    if name in _WRITES:
        return WRITE_FAULTS
    if name.startswith("look"):
        return LOOK_FAULTS
    if name == "list_ecr":
        return LIST_FAULTS
    if name in ("assume", "list_routers"):
        return CALL_FAULTS
    return SEND_FAULTS


@dataclass(frozen=True)
class Schedule:
    """What is tried.

    Args:
        scenario: What is asked for.
        faults: (number of the effect, kind of the fault).
        tokens_kept: The cloud remembers ClientTokens.
        attempts: How often a message may come before it is given up.
        sweeps: How many run at once, later, while faults are still on.
        seed: Of the order in which messages that are due at once are delivered; None: as sent.
    """

    scenario: Scenario
    faults: tuple[tuple[int, str], ...] = ()
    tokens_kept: bool = True
    attempts: int = ENOUGH_ATTEMPTS
    sweeps: int = 0
    seed: int | None = None


@dataclass
class Outcome:
    """What came of a schedule: the effects by name, what was broken, what was reached."""

    names: list[str]
    broken: Broken | None
    reached: Counter[str]
    trace: list[str] = field(default_factory=list)


@dataclass
class _Delivery:
    queue: str
    body: str
    started: datetime
    worker: greenlet
    until: datetime | None = None


class Simulation:
    """Runs one schedule."""

    def __init__(self, schedule: Schedule, *, traced: bool = False) -> None:
        self.schedule = schedule
        self.faults = dict(schedule.faults)
        self.ledger = MemoryLedger()
        self.ports = Ports(tokens_kept=schedule.tokens_kept)
        self.system = self._system()
        self.system.max_attempts = schedule.attempts
        self.watch = self._watch()
        self.ports.watch = self.watch
        self.ports.perform = self.perform  # type: ignore[method-assign]
        self.ledger.perform = self.perform
        self.names: list[str] = []
        self.reached: Counter[str] = Counter()
        self.trace: list[str] | None = [] if traced else None
        self.paused: list[_Delivery] = []
        self.late: list[tuple[int, Callable[[], Any]]] = []
        self.current: _Delivery | None = None
        self.chance = random.Random(schedule.seed) if schedule.seed is not None else None  # noqa: S311 -- a simulation
        self.quiet = True
        self.system.cleanup.run()  # the first run after deployment only looks
        self.quiet = False
        for name, worker in self.system.workers.items():
            self.system.workers[name] = _Counting(worker, self.reached)

    def _system(self) -> System:
        return System(self.ports, self.ledger)

    def _watch(self) -> Invariants:
        return Invariants(self.system, self.ledger)

    def run(self) -> Outcome:
        """The scenario with its faults; then none: all must come right."""
        broken = None
        try:
            for seconds, request in self.schedule.scenario.asks:
                self.system.post(request, timedelta(seconds=seconds))
            self._drain()
            self._swept_meanwhile()
            scenario = self.schedule.scenario
            may_give_up = self.schedule.attempts < ENOUGH_ATTEMPTS
            ended_otherwise = self.reached[REFUSED] or (may_give_up and self.reached[GAVE_UP])
            standing = () if ended_otherwise else scenario.standing
            gone = () if ended_otherwise else scenario.gone  # a revoke may have been given up
            self.quiet = True
            if not self.late and not self.reached["landed late"] and not ended_otherwise:
                self.watch.at_rest("B", standing, gone)
            self._land()
            self._sweep()
            self.watch.at_rest("C", standing, gone)
        except Broken as error:
            broken = error
        except Exception as error:  # noqa: BLE001 -- whatever escapes a function is a finding
            broken = Broken("L1", f"{type(error).__name__}: {error}")
        self._count()
        return Outcome(self.names, broken, self.reached, self.trace or [])

    # Effects -------------------------------------------------------------------------------------

    def perform(self, name: str, effect: Callable[[], Any]) -> Any:
        """Every call and every ledger write: done, or hit by the fault that its number has."""
        if self.quiet:
            return effect()
        number = len(self.names)
        self.names.append(name)
        kind = self.faults.get(number)
        if self.trace is not None:
            self.trace.append(
                f"{number:4d} {self.ports.now:%H:%M:%S} {name}{f'  <- {kind}' if kind else ''}"
            )
        if kind is None:
            return effect()
        possible = kinds_of(name)
        if kind not in (SWITCH, PAUSE, *possible):  # drawn for another effect than this one
            kind = possible[number % len(possible)]
        self.reached[kind] += 1
        return self._hit(kind, name, effect)

    def _hit(self, kind: str, name: str, effect: Callable[[], Any]) -> Any:  # noqa: C901 -- one line a kind
        if kind in (SWITCH, PAUSE):
            self._pause(kind)
            return effect()
        if kind == "crash before":
            raise Crash
        if kind == "crash after":
            self._applied(effect)
            raise Crash
        if kind == "unsent":
            self.reached["a lost reply had not happened"] += 1
            raise _no_answer(name)
        if kind == "lost":
            self._applied(effect)
            raise _no_answer(name)
        if kind == "late":
            found = self.ledger.authorization(self.ports.subject)
            self.late.append((found[0].generation if found else -1, effect))
            raise _no_answer(name)
        if kind == "stale":
            return self._stale(name, effect)
        if kind == "empty":
            return self._emptied(effect())
        if kind == "twice":
            effect()
            return effect()
        if kind == "delayed":
            before = {queue: len(waiting) for queue, waiting in self.ports.queues.items()}
            answer = effect()
            for queue, waiting in self.ports.queues.items():
                for index in range(before.get(queue, 0), len(waiting)):
                    due, body = waiting[index]
                    waiting[index] = (due + timedelta(seconds=45), body)
            return answer
        raise failure(_CODES[kind])

    def _stale(self, name: str, effect: Callable[[], Any]) -> Any:
        """What was there before the last change, while that may still be seen."""
        known = self.ports.before.get(self.ports.subject)
        # A cloud that had forgotten a token while it still shows what was before is none we know.
        if known is None or not self.ports.tokens_kept:
            return effect()
        if self.ports.now - known[0] > VISIBLE_AFTER:
            return effect()
        return known[1] if name == "look_at_grant" else known[2]

    def _emptied(self, shown: Any) -> Any:
        """A listing without a row, though there are some."""
        shown.grants.clear()
        shown.associations.clear()
        shown.places.clear()
        return shown

    def _applied(self, effect: Callable[[], Any]) -> None:
        try:
            effect()
        except CloudFailure:
            self.reached["the lost reply was an error"] += 1
        else:
            self.reached["a lost reply had happened"] += 1

    # Deliveries ----------------------------------------------------------------------------------

    def _drain(self) -> None:
        for _ in range(MOST_DELIVERIES):
            found = self._next()
            if self.paused and (found is None or self._must_go_on(found[0])):
                self._go(self.paused.pop(0))
                continue
            if found is None:
                return
            due, queue, body = found
            self.ports.queues[queue].remove((due, body))
            self.ports.now = max(self.ports.now, due)
            worker = greenlet(self.system.deliver)
            self._go(_Delivery(queue, body, self.ports.now, worker))
        raise Broken("L1", f"not at rest after {MOST_DELIVERIES} deliveries")

    def _next(self) -> tuple[datetime, str, str] | None:
        found = self.system.next_due()
        if found is None or self.chance is None:
            return found
        moment = max(found[0], self.ports.now)
        due = [
            (at, queue, body)
            for queue in (*self.system.workers, TIMER)
            for at, body in self.ports.queues.get(queue, [])
            if at <= moment
        ]
        return self.chance.choice(due)

    def _must_go_on(self, due: datetime) -> bool:
        """Time would pass beyond what the first of those that stand still is given."""
        return due > (self.paused[0].until or self.ports.now) or len(self.paused) > 2

    def _go(self, delivery: _Delivery) -> None:
        if self.ports.now - delivery.started > FUNCTION_TIMEOUT:
            self._again(delivery)
            return
        self.current = delivery
        try:
            paused = (
                delivery.worker.switch()
                if delivery.worker
                else delivery.worker.switch(delivery.queue, delivery.body)
            )
        except Crash:
            self.reached["crashed"] += 1
            self._again(delivery)
            return
        except (CloudFailure, LedgerUnavailable):
            self._again(delivery)
            return
        finally:
            self.current = None
        if paused in (SWITCH, PAUSE):
            delivery.until = self.ports.now + PAUSED if paused == PAUSE else None
            self.paused.append(delivery)

    def _pause(self, kind: str) -> None:
        if self.current is not None and self.current.worker is getcurrent():
            self.current.worker.parent.switch(kind)

    def _again(self, delivery: _Delivery) -> None:
        """EventBridge was not told that the batch is done: it hands it over once more."""
        due = self.ports.now + AGAIN_AFTER
        self.ports.queues.setdefault(delivery.queue, []).append((due, delivery.body))

    def _swept_meanwhile(self) -> None:
        """Sweeps while faults are still on, and all at once where there are several.

        They come so late that what may land late has landed before them.
        """
        if self.schedule.sweeps:
            self._land()
        for _ in range(self.schedule.sweeps):
            due = self.ports.now + timedelta(minutes=45)
            self.ports.queues.setdefault(TIMER, []).append((due, ""))
        self._drain()

    # After the faults ----------------------------------------------------------------------------

    def _land(self) -> None:
        """What was sent and never answered lands now, after everything."""
        self.watch.landing = True
        for generation, effect in self.late:
            self.watch.generation = generation
            try:
                effect()
            except CloudFailure:
                continue
            self.reached["landed late"] += 1
        self.late.clear()
        self.watch.landing = False

    def _sweep(self) -> None:
        """One sweep, when all that lies has been lying long enough, and what follows from it."""
        self.ports.now += timedelta(minutes=45)
        swept = self.system.sweep.run()
        self.reached["woken by the sweep"] += swept.woken
        self.reached["ended by the clean-up"] += self.system.cleanup.run().asked
        self._drain()
        if self.reached["landed late"]:
            self.ports.now += timedelta(minutes=45)
            self.system.sweep.run()
            self._drain()

    def _count(self) -> None:
        self.reached["a conditional write was lost"] += self.ledger.lost_writes
        self.reached["the intent moved meanwhile"] += self.ledger.moved
        self.reached["a token was deduplicated"] += self.ports.replays
        self.reached += self.watch.reached
        for entries in self.ledger.chains.values():
            for entry in entries:
                if entry.facts.get("code") == "revoked_meanwhile":
                    self.reached["a tombstone stopped a grant"] += 1
                if entry.what.endswith("repeated"):
                    self.reached["a request was repeated"] += 1


class _Counting:
    """A worker, and why it let messages come again."""

    def __init__(self, worker: Any, reached: Counter[str]) -> None:
        self._worker = worker
        self._reached = reached
        self.refuse = worker.refuse

    def take(self, document: dict[str, Any], sent_at: datetime) -> Any:
        again = self._worker.take(document, sent_at)
        if again is not None and again.wait in _WAITED:
            self._reached[_WAITED[again.wait]] += 1
        return again

    def give_up(self, document: dict[str, Any], problem: Any) -> Any:
        self._reached[GAVE_UP] += 1
        return self._worker.give_up(document, problem)


def _no_answer(name: str) -> Exception:
    if name.startswith("ledger"):
        return LedgerUnavailable("the ledger did not answer (simulated)")
    return failure("Timeout")
