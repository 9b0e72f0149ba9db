"""The campaign: every single fault, pairs of faults, and seeded random schedules; and planted bugs.

The work is dealt out to processes by number, so that the same options give the same schedules.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from typing import Any

import structlog

from simulation.bugs import BUGS, planted
from simulation.scenarios import SCENARIOS, Scenario
from simulation.schedule import (
    ENOUGH_ATTEMPTS,
    GAVE_UP,
    PAUSE,
    REFUSED,
    SWITCH,
    Outcome,
    Schedule,
    Simulation,
    kinds_of,
)
from simulation.tended import Tended, TendedSchedule, tended
from simulation.tended_bugs import TENDED_BUGS
from simulation.tended_bugs import planted as planted_in_cleanup

FORGOTTEN = ("late", "lost", "crash after")
"""Faults that are also tried with a cloud that forgets ClientTokens."""

SHARE = 200
"""How many schedules are run between two signs of progress."""


@dataclass
class Tally:
    """What part of a campaign came to."""

    schedules: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[Schedule, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """What another part came to, too."""
        self.schedules += other.schedules
        self.reached += other.reached
        self.broken += other.broken


def quiet() -> None:
    """Logs cost half the time and nobody reads a million of them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def simulated(schedule: Schedule, *, traced: bool = False) -> Outcome:
    """What comes of a schedule, of whichever kind."""
    if isinstance(schedule, TendedSchedule):
        return Tended(schedule, traced=traced).run()
    return Simulation(schedule, traced=traced).run()


def singles(scenario: Scenario) -> Iterator[Schedule]:
    """No fault, and each fault at each effect."""
    yield Schedule(scenario)
    for number, name in enumerate(Simulation(Schedule(scenario)).run().names):
        for kind in (*kinds_of(name), SWITCH, PAUSE):
            yield Schedule(scenario, ((number, kind),))
            if kind in FORGOTTEN:
                yield Schedule(scenario, ((number, kind),), tokens_kept=False)


def pairs(first: Schedule) -> Iterator[Schedule]:
    """Each fault at each effect that comes after the fault of `first`."""
    if not first.faults:
        return
    names = Simulation(first).run().names
    start = first.faults[-1][0] + 1
    for number in range(start, len(names)):
        for kind in (*kinds_of(names[number]), SWITCH, PAUSE):
            yield replace(first, faults=(*first.faults, (number, kind)))


def sampled(seed: int) -> Schedule:
    """A random schedule: up to five faults anywhere, messages in any order.

    Some have sweeps run meanwhile, some give messages up early, some a cloud that forgets tokens.
    """
    chance = random.Random(seed)  # noqa: S311 -- a simulation
    scenario = chance.choice(SCENARIOS)
    names = _names(scenario)
    faults = []
    for _ in range(chance.randint(1, 5)):
        number = chance.randrange(len(names) + 20)  # faults make the way longer
        kinds = kinds_of(names[min(number, len(names) - 1)])
        faults.append((number, chance.choice((*kinds, SWITCH, PAUSE))))
    return Schedule(
        scenario,
        tuple(sorted(dict(faults).items())),
        tokens_kept=chance.random() >= 0.3,
        attempts=chance.choice((2, *[ENOUGH_ATTEMPTS] * 3)),
        sweeps=chance.choice((0, 0, 1, 2)),
        seed=seed,
    )


@cache
def _names(scenario: Scenario) -> tuple[str, ...]:
    """The effects of a scenario in which nothing goes wrong."""
    return tuple(Simulation(Schedule(scenario)).run().names)


def part(
    schedules: Iterator[tuple[str, Schedule]], until: float, told: Callable[[int], None]
) -> Tally:
    """Run schedules until they, or the time (monotonic seconds), are over."""
    quiet()
    tally = Tally()
    for count, (kind, schedule) in enumerate(schedules, 1):
        outcome = simulated(schedule)
        tally.schedules[kind] += 1
        tally.reached += outcome.reached
        if outcome.broken is not None:
            tally.broken.append((schedule, str(outcome.broken)))
        if count % SHARE == 0:
            told(SHARE)
            if time.monotonic() > until or len(tally.broken) > 100:
                break
    return tally


def exhaustive(number: int, of: int) -> Iterator[tuple[str, Schedule]]:
    """This process's share of all single faults, then of all pairs, in a shuffled order."""
    every = [one for scenario in SCENARIOS for one in singles(scenario)]
    random.Random(1).shuffle(every)  # noqa: S311 -- an order
    mine = every[number::of]
    for one in mine:
        yield "single", one
    waiting = [pairs(one) for one in mine]
    while waiting:  # one of each in turn: time that runs out leaves no scenario without its share
        still = []
        for schedules in waiting:
            found = next(schedules, None)
            if found is not None:
                yield "pair", found
                still.append(schedules)
        waiting = still


def seeded(first: int, count: int, number: int, of: int) -> Iterator[tuple[str, Schedule]]:
    """This process's share of the random schedules."""
    for seed in range(first + number, first + count, of):
        yield "random", sampled(seed)


def tending(first: int, count: int, number: int, of: int) -> Iterator[tuple[str, Schedule]]:
    """This process's share of the random schedules that the timer tends."""
    for seed in range(first + number, first + count, of):
        yield "tended", tended(seed)


def caught(name: str, most: int, seed: int = 1) -> tuple[int, str] | None:
    """How many schedules it took to notice a planted bug, and how; None: not in `most`."""
    if name in TENDED_BUGS:
        return _caught_in_cleanup(name, most, seed)
    with planted(name):
        for count, schedule in enumerate(islice(_telling(seed), most), 1):
            outcome = Simulation(schedule).run()
            if outcome.broken is not None:
                return count, str(outcome.broken)
    return None


def _telling(seed: int) -> Iterator[Schedule]:
    """Single faults; then, in turn, a second one after a write that lands late, and random ones."""
    every = [one for scenario in SCENARIOS for one in singles(scenario)]
    random.Random(seed).shuffle(every)  # noqa: S311 -- an order
    yield from every
    late = [pairs(one) for one in every if any(kind == "late" for _, kind in one.faults)]
    for count in itertools.count(1):
        if late:
            found = next(late[count % len(late)], None)
            if found is None:
                late.pop(count % len(late))
            else:
                yield found
        yield sampled(seed * 10**6 + count)


def _caught_in_cleanup(name: str, most: int, seed: int) -> tuple[int, str] | None:
    with planted_in_cleanup(name):
        for count in range(1, most + 1):
            outcome = simulated(tended(seed + count))
            if outcome.broken is not None:
                return count, str(outcome.broken)
    return None


def minimised(schedule: Schedule) -> Schedule:
    """The schedule with every fault taken out that is not needed for it to break."""
    for fault in schedule.faults:
        fewer = replace(schedule, faults=tuple(one for one in schedule.faults if one != fault))
        if simulated(fewer).broken is not None:
            return minimised(fewer)
    return schedule


def told_whole(schedule: Schedule, commit: str) -> str:
    """A broken schedule for people: what it was, what broke, every effect in order."""
    outcome = simulated(schedule, traced=True)
    faults = ", ".join(f"{kind} at effect {number}" for number, kind in schedule.faults) or "none"
    head = [
        f"commit    {commit}",
        f"scenario  {schedule.scenario.name}",
        f"seed      {schedule.seed}",
        f"tokens    {'kept' if schedule.tokens_kept else 'forgotten'} by the cloud",
        f"attempts  {schedule.attempts}, sweeps meanwhile {schedule.sweeps}",
        f"faults    {faults}",
        f"broken    {outcome.broken}",
        "",
    ]
    return "\n".join([*head, *outcome.trace])


ALL_BUGS: tuple[str, ...] = (*BUGS, *TENDED_BUGS)
MUST_BE_REACHED = (
    "a conditional write was lost",
    "a token was deduplicated",
    "a tombstone stopped a grant",
    "a lost reply had happened",
    "a lost reply had not happened",
    "a lock was contended",
    "the intent moved meanwhile",
    "a spent token was replaced",
    "a duplicate was healed",
    "a request was repeated",
    "crashed",
    "landed late",
    "woken by the sweep",
    REFUSED,
    GAVE_UP,
    "a turn was waited for",
    "ended by the clean-up",
    "a run asked",
    "a run braked",
    "a run observed",
    "an operator released",
    "an operator dropped",
    "an invocation's time was over",
    "a listing was suddenly empty",
    "frozen or exempt or braked at rest",
    *(f"found {name}" for name in ("expired", "unmanaged", "left_behind")),
    *(f"found {name}" for name in ("missing", "not_attached", "listing_failed")),
    "an audit ended",
    *(f"audited {name}" for name in ("missing_in_b", "only_in_b", "other_time")),
)


def unreached(reached: Counter[str]) -> list[str]:
    """What a campaign has to reach and did not: then it proves less than it seems to."""
    return [name for name in MUST_BE_REACHED if not reached[name]]


def shown(value: Any) -> str:
    """A count for people."""
    return f"{value:,}"
