"""Runs one schedule through the wire; then all faults are over, and it must come right."""

from __future__ import annotations

import json
import logging
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from structlog.contextvars import bound_contextvars

from functions.cleanup.handler import sweep
from functions.wiring import House
from localcloud.behaviour import DeliveryFault, Fault
from shared.dead_letters import DeadLetters
from simulation.invariants import Broken
from simulation.schedule import Crash
from simulation.wire import checks
from simulation.wire.schedules import (
    ACCOUNT_GOES,
    INSTANCE_GOES,
    OVER,
    POST,
    ROLE_GOES,
    ROLE_RETURNS,
    VBR_REFUSED,
    WireSchedule,
    document,
    lighter,
)
from simulation.wire.seams import Seams, installed
from simulation.wire.system import ACCOUNT_A, WireSystem

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.wiring import Function
    from localcloud.world import Role

START = 1_800_000_000.0
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 -- ledgers need no disk
PUSHES = 4
"""How often EventBridge hands a batch over, by s.yaml: once, and three times again."""
MOST_DUPLICATES = 6
"""A message that waits comes again many times; if each were doubled, there would be no end."""
_DRAINED_SECONDS = 7 * 3600
"""Longer than the longest wait for a person: who waits for a role to return has come again."""
_QUEUES = ("ecr-requests-dead", "ecr-attachments-dead")


@dataclass
class WireOutcome:
    """What came of a schedule: what was broken, what was reached, and each effect in order."""

    broken: Broken | None
    reached: Counter[str]
    trace: list[str] = field(default_factory=list)


def run(schedule: WireSchedule, *, traced: bool = False) -> WireOutcome:
    """Run it in a folder of its own."""
    trace: list[str] = []
    broken = None
    with tempfile.TemporaryDirectory(prefix="wire-", dir=_MEMORY) as folder:
        system = FaultySystem(Path(folder), schedule, trace if traced else None)
        seams = installed(system.seams, system.local.application, threads=schedule.threads)
        with seams, system:
            try:
                system.play()
                system.come_right()
            except Broken as error:
                broken = error
            except Exception as error:  # noqa: BLE001 -- whatever escapes is a finding
                broken = Broken("L1", f"{type(error).__name__}: {error}")
    return WireOutcome(broken, system.reached + system.seams.reached, trace)


def minimised(schedule: WireSchedule) -> WireSchedule:
    """The schedule with everything taken out that is not needed for it to break."""
    for one in lighter(schedule):
        if run(one).broken is not None:
            return minimised(one)
    return schedule


def told_whole(schedule: WireSchedule, commit: str) -> str:
    """A broken schedule for people: what it was, what broke, every effect in order."""
    outcome = run(schedule, traced=True)
    duplicate, delay, reorder = schedule.delivery
    head = [
        f"commit    {commit}",
        f"seed      {schedule.seed}",
        *(f"event     {one.what} {one.of}, then {one.pause:g} s" for one in schedule.events),
        f"switches  {', '.join(f'{name}={value}' for name, value in schedule.switches) or 'none'}",
        f"delivery  duplicate {duplicate:g}, delay {delay:g}, reorder {reorder:g}",
        *(
            f"fault     {one.kind} {one.when} {one.product} {one.action}, {one.times} times"
            for one in schedule.faults
        ),
        *(f"stop      {one.kind} at {one.of} {one.number}" for one in schedule.stops),
        f"batches   {'by threads: the order may differ' if schedule.threads else 'in turn'}",
        f"broken    {outcome.broken}",
        "",
    ]
    return "\n".join([*head, *outcome.trace])


class FaultySystem(WireSystem):
    """The whole system, with what a schedule does to it, and all that it was asked for."""

    def __init__(self, folder: Path, schedule: WireSchedule, trace: list[str] | None) -> None:
        super().__init__(folder, start=START, **dict(schedule.switches))
        self.schedule = schedule
        self.reached: Counter[str] = Counter()
        self.asked: dict[str, dict[str, Any]] = {}
        self.lost: dict[str, str] = {}  # account or instance -> what became of it
        stops = {(one.of, one.number): one.kind for one in schedule.stops}
        self.seams = Seams(stops, self._expire_at_work, self.tell if trace is not None else None)
        self._trace = trace
        self._jitter = random.Random(schedule.seed)  # noqa: S311 -- a simulation
        self._keys: dict[str, str] = {}
        self._roles: dict[str, list[Role]] = {}
        self._at_work = ""
        self._failed: Counter[bytes] = Counter()
        self._delivered: set[str] = set()
        self._order()

    def _order(self) -> None:
        behaviour = self.cloud.behaviour
        duplicate, delay, reorder = self.schedule.delivery
        behaviour.delivery = DeliveryFault(
            duplicate=duplicate, delay=delay, reorder=reorder, seed=self.schedule.seed
        )
        for product, action, kind, when, times in self.schedule.faults:
            behaviour.order(
                Fault(product=product, action=action, kind=kind, when=when, times=times)
            )
        take = behaviour.take

        def counted(product: str, action: str, account: str | None, when: str) -> Fault | None:
            fault = take(product, action, account, when)
            if fault is not None:
                self.reached[f"fault: {fault.kind} {when}"] += 1
                self.tell(f"          {fault.kind} {when} {action}")
            return fault

        behaviour.take = counted  # type: ignore[method-assign]

    def tell(self, line: str) -> None:
        """A line of the trace, where one is wanted."""
        if self._trace is not None:
            self._trace.append(f"{self.now():%d %H:%M:%S} {self._at_work:13} {line}")

    # Instances -----------------------------------------------------------------------------------

    def invoke(self, name: str, event: bytes) -> object:
        """Run the function's instance on an event; what it dies of fails the invocation."""
        self._at_work = name
        self._count_delivery(event)
        try:
            with self.seams.invocation():
                return super().invoke(name, event)
        except Crash:
            self.reached["crashed"] += 1
            self._failed[event] += 1
            self.let_go(name)
            raise RuntimeError("the instance is gone") from None
        except Exception as error:
            self.reached["invocation failed"] += 1
            self._failed[event] += 1
            self.tell(f"invocation failed: {type(error).__name__} {error}")
            raise
        finally:
            self._at_work = ""
            if name in self._keys and self._is_over(self._keys[name]):
                self._over_at[name] = self.clock.now()

    def environ(self, name: str) -> dict[str, str]:
        """As deployed: the demo looks at the cloud more often, and waits cost time here."""
        return super().environ(name) | {"CLOUD_SECONDS": "5"}

    def built(self, name: str) -> Function:
        """A new instance, whose jitter is the schedule's."""
        function = super().built(name)
        self._keys[name] = function.house.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"]
        self.reached["instance started"] += 1
        return replace(function, inbox=replace(function.inbox, chance=self._jitter.random))

    def _expire_at_work(self) -> None:
        self.cloud.identity.expire(self._keys[self._at_work])

    def _is_over(self, key: str) -> bool:
        now = self.clock.now()
        return any(
            one.access_key_id == key and one.expires_at <= now
            for one in self.cloud.identity.sessions()
        )

    def _count_delivery(self, event: bytes) -> None:
        elements = [one if isinstance(one, dict) else json.loads(one) for one in json.loads(event)]
        again = event in self._failed
        self.tell(f"takes {len(elements)} messages{' once more' if again else ''}")
        if again:
            self.reached["batch repeated"] += 1
            return
        for one in elements:
            message_id = f"{one['subject']}/{one['data']['messageId']}"
            if message_id in self._delivered:
                self.reached["message duplicated"] += 1
            self._delivered.add(message_id)
        if self.reached["message duplicated"] >= MOST_DUPLICATES:
            behaviour = self.cloud.behaviour
            behaviour.delivery = behaviour.delivery.model_copy(update={"duplicate": 0.0})

    # Events --------------------------------------------------------------------------------------

    def play(self) -> None:
        """All events, in order."""
        does: dict[str, Callable[[str], None]] = {
            POST: self._post,
            OVER: self._expire,
            ROLE_GOES: self._take_role,
            ROLE_RETURNS: self._give_role,
            ACCOUNT_GOES: self._take_account,
            INSTANCE_GOES: self._take_instance,
            VBR_REFUSED: self._refuse_vbr,
        }
        for event in self.schedule.events:
            self.tell(f"EVENT {event.what} {event.of}")
            self.reached[f"event: {event.what}"] += 1
            does[event.what](event.of)
            self.clock.advance(event.pause)

    def _post(self, name: str) -> None:
        if name not in self.asked:
            at = datetime.fromtimestamp(self.clock.now(), tz=timezone.utc).isoformat()
            self.asked[name] = {**document(name), "requested_at": at}
        self.post_raw(json.dumps(self.asked[name]).encode())

    def _expire(self, name: str) -> None:
        if name in self._keys:
            self.cloud.identity.expire(self._keys[name])

    def _take_role(self, uid: str) -> None:
        account = self.cloud.world.account(uid)
        if account is not None:
            self.lost[uid] = ROLE_GOES
            self._roles[uid], account.roles = account.roles, []

    def _give_role(self, uid: str) -> None:
        account = self.cloud.world.account(uid)
        if account is not None and uid in self._roles:
            self.lost[uid] = ROLE_RETURNS
            account.roles = self._roles[uid]

    def _take_account(self, uid: str) -> None:
        world = self.cloud.world
        world.accounts = [one for one in world.accounts if one.uid != uid]
        self.lost[uid] = ACCOUNT_GOES

    def _take_instance(self, subject: str) -> None:
        instance = document(f"{subject} grant 1")["instance_id"]
        self.cloud.ecr.delete_instance(instance)
        self.lost[instance] = INSTANCE_GOES

    def _refuse_vbr(self, uid: str) -> None:
        account = self.cloud.world.account(uid)
        if account is not None:
            account.cross_account_vbr = False
            self.lost[uid] = VBR_REFUSED

    def fate(self, name: str) -> str | None:
        """What became of the account or the instance of a request."""
        of = self.asked[name]
        return self.lost.get(of["instance_id"]) or self.lost.get(of["instance_owner_uid"])

    # After the faults ----------------------------------------------------------------------------

    def come_right(self) -> None:
        """No more faults: what must hold without a sweep, then with one."""
        self.cloud.behaviour.clear()
        self.seams.stop()
        self.settle(7200)
        house = self._operator()
        try:
            raw = self._redrive(house)
            if not raw and not self.lost:
                checks.access("B", self, house.ledger)
            self.settle(_DRAINED_SECONDS)
            self.clock.advance(45 * 60)
            swept = self._sweep(house)
            self.reached["woken by the sweep"] += swept
            self.settle(7200)
            self.reached += checks.at_rest(self, house.ledger)
        finally:
            house.close()

    def _operator(self) -> House:
        """What `ecrauth` works with."""
        key, secret = self.cloud.identity.root_key(ACCOUNT_A)
        given = {"ALIBABA_CLOUD_ACCESS_KEY_ID": key, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret}
        return House(self.environ("ecr-authorize") | given, self.now)

    def _redrive(self, house: House) -> int:
        """What EventBridge has given up, an operator gives another chance; gives how many."""
        redriven = 0
        for queue in _QUEUES:
            if self.raw_dead_letters(queue) == len(self.dead_letters(queue)):
                continue
            if max(self._failed.values(), default=0) < PUSHES:
                raise Broken("L2", f"{queue} holds a batch that was not pushed {PUSHES} times")
            letters = DeadLetters(house.messages, queue, house.trail)
            raw = {one.message_id for one in letters.all() if one.reason.startswith("the function")}
            self.clock.advance(2)
            redriven += len(letters.redrive(raw, "simulation"))
            self.clock.advance(60)
        self.reached["dead letter redriven"] += redriven
        return redriven

    def _sweep(self, house: House) -> int:
        with bound_contextvars(log_level=logging.CRITICAL):  # outside of a function's own level
            swept = sweep(house).run()
        return swept.woken + swept.resent + swept.published
