"""The functions over one ledger, put together against the ports of `simulation.ports`."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from shared import registry
from shared.announce import Announcer
from shared.attach import AccountA, Attach
from shared.audit import Trail
from shared.authorize import AccountB, Authorize
from shared.bundles import Bundles
from shared.cleanup.audit import Audit
from shared.cleanup.run import Cleanup
from shared.cloud.errors import CloudFailure
from shared.contract import Settle
from shared.external_ids import ExternalIdKeys
from shared.inbox import Inbox, Message, Pace
from shared.ledger.sql import SqlLedger
from shared.settle import Settler
from shared.sweep import Sweep
from shared.testimony import Testimony
from shared.turns import Turns
from simulation.ports import Ports

if TYPE_CHECKING:
    from shared.registry import Registry

ROOT = Path(__file__).parents[1]
FUNCTION_TIMEOUT = timedelta(seconds=120)
LOCK_SECONDS = 165.0
AGAIN_AFTER = timedelta(seconds=15)
"""When EventBridge hands over a batch again that failed."""
TIMER = "timer"
"""Its messages are the timer's: each runs the sweep and the clean-up."""


@cache
def known_registry() -> Registry:
    """The shipped registry."""
    return registry.load(ROOT / "registry.yaml")


class System:
    """Both workers over one ledger, against the ports; messages are delivered when they are due."""

    max_attempts = 8

    def __init__(
        self,
        ports: Ports | None = None,
        ledger: Any = None,
        registry_of: Registry | None = None,
        **registry_changes: Any,
    ) -> None:
        self.ports = ports or Ports()
        self.registry = registry_of or known_registry()
        if registry_changes:
            ecrs = {
                ecr_id: ecr.model_copy(update=registry_changes)
                for ecr_id, ecr in self.registry.ecrs.items()
            }
            self.registry = self.registry.model_copy(update={"ecrs": ecrs})
        self.ledger = SqlLedger("sqlite://") if ledger is None else ledger
        self.trail = Trail(self.ledger, self._now)
        self._holders = itertools.count(1)
        self.announcer = Announcer(
            self.ledger, self.ports.publish, "test", self._now, self.trail, self._tell_bundle
        )
        self.workers: dict[str, Any] = {
            "requests": self._authorize(),
            "attachments": self._attach(),
        }
        self.sweep = Sweep(
            ledger=self.ledger,
            announcer=self.announcer,
            trail=self.trail,
            send=self.ports.send,
            requests="requests",
            attachments="attachments",
            now=self._now,
        )
        ports: Any = self.ports
        self.cleanup = Cleanup(
            ledger=self.ledger,
            listings=ports,
            credentials=lambda: ports,
            registry=self.registry,
            announcer=self.announcer,
            publish=self.ports.publish,
            source="test",
            trail=self.trail,
            send=self.ports.send,
            requests="requests",
            attachments="attachments",
            now=self._now,
        )

        self.audit = Audit(
            ledger=self.ledger,
            listings=ports,
            credentials=lambda: ports,
            registry=self.registry,
            publish=self.ports.publish,
            source="test",
            trail=self.trail,
            send=self.ports.send,
            requests="requests",
            now=self._now,
        )

    def _now(self) -> datetime:
        return self.ports.now

    def _tell_bundle(self, request_id: str) -> None:
        self.ports.send("requests", Settle(settle=request_id).model_dump_json())

    def _settler(self, worker: Any, actions: Any) -> Settler:
        return Settler(
            worker=worker,
            actions=actions,
            ledger=self.ledger,
            announcer=self.announcer,
            trail=self.trail,
            turns=Turns(self.ledger),
            registry=self.registry,
            now=self._now,
            new_holder=lambda: f"run-{next(self._holders)}",
            lock_seconds=LOCK_SECONDS,
        )

    def _authorize(self) -> Authorize:
        ports: Any = self.ports
        keys = ExternalIdKeys(SecretStr("k" * 32))
        account_b = AccountB(ports, ports, ports, self.registry, keys, self._now)
        return Authorize(
            ledger=self.ledger,
            registry=self.registry,
            settler=self._settler("authorize", account_b.actions),
            bundles=Bundles(
                ledger=self.ledger,
                registry=self.registry,
                announcer=self.announcer,
                send=self.ports.send,
                queue="requests",
                now=self._now,
            ),
            announcer=self.announcer,
            attached_by_hand=lambda of: ports.association(None, of).state != "absent",
            testimony=Testimony(self.ledger, self.registry, account_b.authorized_at, self._now),
            now=self._now,
        )

    def _attach(self) -> Attach:
        ports: Any = self.ports
        own: Any = lambda: None  # noqa: E731
        account_a = AccountA(ports, own, self.registry, self._now)
        return Attach(self._settler("attach", account_a.actions))

    def post(self, request: dict[str, Any], after: timedelta = timedelta()) -> None:
        """Put a request on the queue."""
        due = self.ports.now + after
        self.ports.queues.setdefault("requests", []).append((due, json.dumps(request)))

    def deliver(self, queue: str, body: str) -> None:
        """Hand one message to its function."""
        if queue == TIMER:
            self.sweep.run()
            self.audit.go_on()
            self.cleanup.run()
            return
        pace = Pace(max_attempts=self.max_attempts)
        inbox = Inbox(queue, f"{queue}-dead", self.ports.send, pace, lambda: 0.5, self.trail)
        inbox.answer(Message(body, "m-1", self.ports.now), self.workers[queue])

    def next_due(self) -> tuple[datetime, str, str] | None:
        """The message that is due first: when, on which queue, what."""
        waiting = [
            (due, queue, body)
            for queue in (*self.workers, TIMER)
            for due, body in self.ports.queues.get(queue, [])
        ]
        return min(waiting, key=lambda one: one[0]) if waiting else None

    def run(self, deliveries: int = 200, *, must_drain: bool = True) -> int:
        """Deliver what is due, moving time to it, until the queues are empty."""
        for count in range(deliveries):
            found = self.next_due()
            if found is None:
                return count
            due, queue, body = found
            self.ports.queues[queue].remove((due, body))
            self.ports.now = max(self.ports.now, due)
            try:
                self.deliver(queue, body)
            except CloudFailure:
                self.ports.queues[queue].append((self.ports.now + AGAIN_AFTER, body))
        if must_drain:
            raise AssertionError("the queues do not drain")
        return deliveries


def request(name: str, **changes: Any) -> dict[str, Any]:
    """One of the sample requests, with some fields changed."""
    return {**_sample(name), **changes}


@cache
def _sample(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "events" / "requests" / f"{name}.json").read_text())
    return found
