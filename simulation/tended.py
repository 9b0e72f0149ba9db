"""Schedules that the timer tends: leases end and are renewed, people meddle, operators decide.

A random registry (rules, brake, freeze, exemptions, observing), a random day: tickets, the timer
again and again, grants and associations made and taken away by hand, releases and audits; and
faults. Then no more faults, and some days in which the timer alone goes on.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.cleanup.brake import NoSuchBrake, brake_on, decide
from shared.contract import read_request
from shared.registry import Brake, CleanupRules, Exemption, Freeze
from simulation.invariants import Broken
from simulation.ports import OPERATION, START
from simulation.scenarios import Scenario
from simulation.schedule import (
    ENOUGH_ATTEMPTS,
    LIST_FAULTS,
    LOOK_FAULTS,
    PAUSE,
    SWITCH,
    WRITE_FAULTS,
    Outcome,
    Schedule,
    Simulation,
)
from simulation.system import TIMER, System, known_registry, request
from simulation.tending import OPERATOR, Tending

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.registry import Cleanup

DAY_LONG = 4 * 3600
_EFFECTS = 260
_LATE = 0.03
"""How often an invocation's time is over, where it looks at its watch."""
_RACES = 0.15
_KINDS = (*WRITE_FAULTS, *LIST_FAULTS, *LOOK_FAULTS, SWITCH, PAUSE)
_PLACES = (
    ("grant_vpc", "vpc-bp1payments0main"),
    ("grant_vpc", "vpc-bp1payments0test"),
    ("grant_vbr", "vbr-bp1factory0line1"),
)
KEYS = tuple(
    read_request(request(name, instance_id=instance)).authorization.key
    for name, instance in _PLACES
)
BY_HAND = ("grant", "revoke", "associate", "dissociate")
OPERATORS = ("release", "drop", "audit", "dry run")


@dataclass(frozen=True, eq=False)
class TendedSchedule(Schedule):
    """What is tried.

    Args:
        cleanup: The registry's rules for the clean-up.
        happenings: (seconds, what, key) of what people do by hand, and operators; and the timer.
        listings: (number of the listing, kind of its fault).
    """

    cleanup: Cleanup | None = None
    happenings: tuple[tuple[float, str, str], ...] = ()
    listings: tuple[tuple[int, str], ...] = ()


class TendedSystem(System):
    """The system, and the people beside it."""

    watch: Tending

    def deliver(self, queue: str, body: str) -> None:
        """Hand one message to its function; or let happen what people do."""
        if queue != TIMER or not body:
            super().deliver(queue, body)
            return
        what, key = json.loads(body)
        if what in BY_HAND:
            self._by_hand(what, key)
        elif what == "audit":
            self.audit.go_on(begin=True)
        elif what == "dry run":
            self.cleanup.run(dry=True)
        else:
            self.decide(release=what == "release")

    def decide(self, *, release: bool) -> None:
        """An operator releases or drops what is braked, if anything is."""
        brake = brake_on(self.ledger)
        if brake is None:
            return
        try:
            decide(self.ledger, self.trail, brake.digest, OPERATOR, release=release)
        except NoSuchBrake:
            return
        self.watch.decided(release=release)

    def _by_hand(self, what: str, key: str) -> None:
        ports, now = self.ports, self.ports.now
        standing = ports.standing(key)
        if what == "grant":
            ports.grants.setdefault(key, now)
        elif what == "revoke" and key in ports.grants:  # the cloud has them detach first
            for association_id in standing:
                ports.leaving.setdefault(association_id, now - OPERATION)
            ports.grants.pop(key)
        elif what == "associate" and key in ports.grants and not standing:
            made = f"ecr-assoc-{next(ports.ids)}"
            ports.associations.setdefault(key, {})[made] = now + OPERATION
            self.watch.attached_by_hand.add(key)
        elif what == "dissociate" and standing:
            ports.leaving.setdefault(standing[0], now)
        else:
            return
        self.watch.touched[key] = now


class Tended(Simulation):
    """Runs one."""

    schedule: TendedSchedule
    system: TendedSystem
    watch: Tending
    listed = 0

    def _system(self) -> TendedSystem:
        registry = known_registry()
        changed = registry.model_copy(update={"cleanup": self.schedule.cleanup})
        return TendedSystem(self.ports, self.ledger, changed)

    def _watch(self) -> Tending:
        watch = Tending(self.system, self.ledger)
        self.system.watch = watch
        chance = random.Random(self.schedule.seed)  # noqa: S311 -- a simulation

        def is_late() -> bool:
            late = not self.quiet and chance.random() < _LATE
            self.reached["an invocation's time was over"] += late
            return late

        for part in (self.system.cleanup, self.system.audit):
            object.__setattr__(part, "is_late", is_late)
        return watch

    def run(self) -> Outcome:
        """The day with its faults; then days without, until all is as it has to be."""
        broken = None
        try:
            for seconds, asked in self.schedule.scenario.asks:
                self.system.post(asked, timedelta(seconds=seconds))
            waiting = self.ports.queues.setdefault(TIMER, [])
            for seconds, what, key in self.schedule.happenings:
                body = json.dumps([what, key]) if what else ""
                waiting.append((self.ports.now + timedelta(seconds=seconds), body))
            self._drain()
            self.quiet = True
            self._land()
            self.system.deliver(TIMER, json.dumps(["audit", ""]))
            self._drain()
            for _ in range(4):  # on another day, what failed is asked for again
                self._tended_again()
            self.watch.at_rest_tended()
            if brake_on(self.ledger) is not None:
                self.system.decide(release=True)
                for _ in range(3):
                    self._tended_again()
                self.watch.at_rest_tended()
            self.watch.nothing_too_much()
        except Broken as error:
            broken = error
        except Exception as error:  # noqa: BLE001 -- whatever escapes a function is a finding
            broken = Broken("L1", f"{type(error).__name__}: {error}")
        self._count()
        return Outcome(self.names, broken, self.reached, self.trace or [])

    def perform(self, name: str, effect: Callable[[], Any]) -> Any:
        """As always; and listings have faults of their own, since there are few of them."""
        if name == "list_ecr" and not self.quiet:
            self.listed += 1
            kind = dict(self.schedule.listings).get(self.listed)
            if kind is not None:
                self.names.append(name)
                self.reached[kind] += 1
                return self._hit(kind, name, effect)
        return super().perform(name, effect)

    def _emptied(self, shown: Any) -> Any:
        """A listing without a row; where none was noted before, it is rightly believed."""
        self.watch.emptied(shown)
        return super()._emptied(shown)

    def _tended_again(self) -> None:
        self.ports.now += timedelta(hours=13)
        self.system.deliver(TIMER, "")
        self._drain()


def tended(seed: int) -> TendedSchedule:
    """A random schedule that the timer tends."""
    chance = random.Random(seed)  # noqa: S311 -- a simulation
    asks = _asked(chance)
    happenings = _happenings(chance, asks)
    if chance.random() < _RACES:  # a ticket that was approved late meets the end of a stray
        at, key = chance.uniform(1800, DAY_LONG), chance.choice(KEYS)
        happenings += [(at - 600, "grant", key), (at, "", "")]
        sample, instance = _PLACES[KEYS.index(key)]
        late = {"request_id": "CHG-9", "ticket": "CHG-9", "requested_at": _at(at - 3600)}
        asks.append((at, request(sample, instance_id=instance, **late)))
    faults = {
        chance.randrange(_EFFECTS): chance.choice(_KINDS) for _ in range(chance.randint(0, 4))
    }
    return TendedSchedule(
        Scenario("tended", tuple(asks)),
        tuple(sorted(faults.items())),
        tokens_kept=chance.random() >= 0.3,
        attempts=ENOUGH_ATTEMPTS,
        seed=seed,
        cleanup=_rules(chance, [asked["request_id"] for _, asked in asks]),
        happenings=tuple(happenings),
        listings=tuple((chance.randint(1, 16), chance.choice(LIST_FAULTS)) for _ in range(2)),
    )


def _asked(chance: random.Random) -> list[tuple[float, dict[str, Any]]]:
    """Tickets: leases with and without an end, renewals, revokes."""
    asks: list[tuple[float, dict[str, Any]]] = []
    for number in range(chance.randint(2, 6)):
        sample, instance = chance.choice(_PLACES)
        name, at = f"CHG-{number}", chance.uniform(0, DAY_LONG / 2)
        asked = request(sample, instance_id=instance, request_id=name, ticket=name)
        asked.pop("expires_at", None)
        if chance.random() < 0.7:
            asked["expires_at"] = _at(at + chance.uniform(900, DAY_LONG))
        asked["attach"] = chance.random() < 0.8
        asks.append((at, asked))
        if chance.random() < 0.2:
            later, lease = at + chance.uniform(0, 3600), chance.choice((name, name, "all"))
            given = {"request_id": f"R-{number}", "ticket": name, "lease": lease}
            revoke = {**asked, "action": "revoke", "attach": True, **given}
            revoke.pop("expires_at", None)
            asks.append((later, revoke))
    return asks


def _rules(chance: random.Random, leases: list[str]) -> Cleanup:
    exemptions = []
    for _ in range(chance.choice((0, 0, 1, 2))):
        until = START + timedelta(seconds=chance.choice((DAY_LONG / 2, DAY_LONG, 30 * 86400)))
        subject = {"lease": chance.choice(leases)}
        if chance.random() < 0.4:
            subject = {"instance_id": chance.choice(_PLACES)[1]}
        exemptions.append(Exemption(reason="Not now", until=until, **subject))
    freezes = []
    if chance.random() < 0.35:
        since = START + timedelta(seconds=chance.uniform(600, DAY_LONG))
        until = since + timedelta(seconds=chance.choice((1800, 7200, 30 * 86400)))
        freezes.append(Freeze(since=since, until=until, reason="Year end"))
    brake = chance.choice(
        (Brake(most=0, always=0), Brake(most=1, percent=100, always=0), Brake(), Brake())
    )
    return known_registry().cleanup.model_copy(
        update={
            "observe": chance.random() < 0.08,
            "brake": brake,
            "freezes": tuple(freezes),
            "exemptions": tuple(exemptions),
            "rules": CleanupRules(
                unmanaged=chance.choice(("report", "adopt", "revoke", "revoke")),
                missing=chance.choice(("report", "repair", "repair")),
                warn_days=(1,),
            ),
        }
    )


def _happenings(
    chance: random.Random, asks: list[tuple[float, dict[str, Any]]]
) -> list[tuple[float, str, str]]:
    found = [(chance.uniform(600, DAY_LONG * 1.2), "", "") for _ in range(chance.randint(3, 7))]
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        at = chance.uniform(60, DAY_LONG)
        key = chance.choice(KEYS)
        if chance.random() < 0.7:
            at, asked = chance.choice(asks)
            key = read_request(asked).authorization.key
            at += chance.uniform(120, 7200)
        found.append((at, chance.choice(BY_HAND), key))
    found += [
        (chance.uniform(1800, DAY_LONG * 1.2), chance.choice(OPERATORS), "")
        for _ in range(chance.choice((0, 1, 2)))
    ]
    return found


def _at(seconds: float) -> str:
    moment: datetime = START + timedelta(seconds=seconds)
    return moment.isoformat()
