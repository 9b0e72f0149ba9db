"""A backlog on a virtual clock, with the cloud's quotas on: how fast it drains, and how politely.

The shipped workers at the ports, beside a plain client: fifty threads that make the two calls of
each request in a row and back off exponentially, with full jitter, when they are refused.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
from collections import Counter, deque
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.table import Row
from shared.cloud.errors import CloudFailure, failure
from shared.registry import Registry
from simulation.campaign import quiet
from simulation.memory import MemoryLedger
from simulation.ports import FEEDS, START, Ports
from simulation.system import AGAIN_AFTER, System, request

if TYPE_CHECKING:
    from collections.abc import Callable

REQUESTS = 10_000
ACCOUNTS, ECRS = 50, 4
WRITES_A_MINUTE = 120
OPERATION_SECONDS = 0.6
CLIENTS = 50
_MINUTE = timedelta(minutes=1)


class Quotas:
    """What the cloud lets through: writes of one API a minute and account, one change an ECR."""

    def __init__(self) -> None:
        self.calls: dict[tuple[str, str], deque[datetime]] = {}
        self.busy: dict[str, datetime] = {}
        self.count: Counter[str] = Counter()

    def take(self, api: str, account: str, ecr: str, now: datetime) -> None:
        """Let the call through, or raise what the cloud would answer."""
        self.count["calls"] += 1
        made = self.calls.setdefault((api, account), deque())
        while made and made[0] <= now - _MINUTE:
            made.popleft()
        if len(made) >= WRITES_A_MINUTE:
            self.count["throttled"] += 1
            raise failure("Throttling.User")
        made.append(now)
        if self.busy.get(ecr, now) > now:
            self.count["locked"] += 1
            raise failure("Conflict.Lock")
        if api == "associate":
            self.busy[ecr] = now + timedelta(seconds=OPERATION_SECONDS)


class QuotaPorts(Ports):
    """Ports with the quotas, and queues that hold a backlog."""

    def start(self) -> None:
        """Nothing is waiting yet."""
        self.quotas = Quotas()
        self.heap: list[tuple[datetime, int, str, str]] = []
        self.order = itertools.count()

    def _write(
        self, name: str, of: Any, token: str, credentials: Any, effect: Callable[[], Any]
    ) -> Any:
        account = of.instance_owner_uid if name in ("grant", "revoke") else of.ecr_owner_uid
        self.quotas.take(name, account, of.ecr_id, self.now)
        return super()._write(name, of, token, credentials, effect)

    def put(self, queue: str, body: str, due: datetime) -> None:
        """A message is on a queue."""
        assert not queue.endswith("-dead"), body
        heapq.heappush(self.heap, (due, next(self.order), queue, body))

    def send(self, queue: str, body: str, delay_seconds: int = 0) -> None:
        """A message is on a queue after its delay."""
        self.put(queue, body, self.now + timedelta(seconds=delay_seconds))

    def publish(self, body: str, tag: str) -> None:
        """A result is on the topic."""
        self.published.append({"tag": tag})
        if tag in FEEDS:
            self.put(FEEDS[tag], body, self.now)


def measure() -> list[Row]:
    """How long both take, as a multiple of what the quota alone would take; and calls refused."""
    quiet()
    least = REQUESTS / WRITES_A_MINUTE * 60
    ours, our_count = _drained_by_us()
    plain, plain_count = _drained_by_plain_clients()
    share = our_count["throttled"] / our_count["calls"] * 100
    plain_share = plain_count["throttled"] / plain_count["calls"] * 100
    return [
        Row(
            what=f"{REQUESTS:,} grants over {ACCOUNTS} accounts and {ECRS} ECRs: time to drain",
            unit="s (virtual)",
            ours=ours,
            bare=plain,
            target=1.0,
            note=f"the quota alone takes {least:.0f} s: {least / ours:.3f} of its speed "
            f"(target 0.95); the plain client {least / plain:.3f}",
        ),
        Row(
            what="calls refused by throttling in that time",
            unit="%",
            ours=share,
            bare=plain_share,
            target=1.0,
            note=f"target below 1 %; Conflict.Lock: {our_count['locked'] / our_count['calls']:.2%} "
            f"of ours, {plain_count['locked'] / plain_count['calls']:.2%} of the plain client's",
        ),
    ]


def _registry() -> Registry:
    ecrs = {
        f"ecr-backlog{n:02}": {"owner_uid": "1000200030004000", "name": "x"} for n in range(ECRS)
    }
    accounts = {
        f"20003000400{n:05}": {
            "name": f"account {n}",
            "role_arn": f"acs:ram::20003000400{n:05}:role/ecr-authorization",
            "may": [{"ecr_id": ecr_id, "regions": ["cn-hangzhou"]} for ecr_id in ecrs],
        }
        for n in range(ACCOUNTS)
    }
    return Registry.model_validate_json(json.dumps({"ecrs": ecrs, "accounts": accounts}))


def _requests() -> list[dict[str, Any]]:
    return [
        request(
            "grant_vpc",
            request_id=f"CHG-{n}",
            ecr_id=f"ecr-backlog{n % ECRS:02}",
            instance_id=f"vpc-backlog{n:05}",
            instance_owner_uid=f"20003000400{n % ACCOUNTS:05}",
        )
        for n in range(REQUESTS)
    ]


def _drained_by_us() -> tuple[float, Counter[str]]:
    ports = QuotaPorts()
    ports.start()
    system = System(ports, MemoryLedger(), registry_of=_registry())
    system.max_attempts = 20  # as deployed
    for asked in _requests():
        ports.put("requests", json.dumps(asked), ports.now)
    while ports.heap:
        due, _, queue, body = heapq.heappop(ports.heap)
        ports.now = max(ports.now, due)
        try:
            system.deliver(queue, body)
        except CloudFailure:
            ports.put(queue, body, ports.now + AGAIN_AFTER)
    attached = sum(one["tag"] == "attached" for one in ports.published)
    assert attached == REQUESTS, f"{attached} attached"
    return (ports.now - START).total_seconds(), ports.quotas.count


def _drained_by_plain_clients() -> tuple[float, Counter[str]]:
    """Each client takes the next request when it is through with one."""
    quotas, chance = Quotas(), random.Random(1)
    waiting = deque((asked, api) for asked in _requests() for api in ("grant", "associate"))
    clients = [(START, number, 0) for number in range(CLIENTS)]
    at_work: dict[int, tuple[dict[str, Any], str]] = {}
    last = START
    while clients:
        now, number, tries = heapq.heappop(clients)
        if number not in at_work:
            if not waiting:
                continue
            at_work[number] = waiting.popleft()
        asked, api = at_work[number]
        account = asked["instance_owner_uid"] if api == "grant" else asked["ecr_owner_uid"]
        last = max(last, now)
        try:
            quotas.take(api, account, asked["ecr_id"], now)
        except CloudFailure:
            delay = min(60.0, 2.0**tries) * chance.random()
            heapq.heappush(clients, (now + timedelta(seconds=delay), number, tries + 1))
            continue
        del at_work[number]
        heapq.heappush(clients, (now + timedelta(seconds=0.1), number, 0))
    return (last - START).total_seconds(), quotas.count
