"""The cloud at the ports: what the workers call, without sockets, for fast tests of the logic.

It keeps the cloud's rules that matter here: a grant comes before an association, a ClientToken
is answered once and replayed after, associations take time, a topic feeds two queues.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from shared import registry
from shared.announce import Announcer
from shared.attach import AccountA, Attach
from shared.audit import Trail
from shared.authorize import AccountB, Authorize
from shared.cloud.errors import CloudFailure, failure
from shared.cloud.router import NOT_ASSOCIATED, Association
from shared.inbox import Inbox, Message, Pace
from shared.ledger.sql import SqlLedger
from shared.settle import Settler
from shared.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.contract import AuthorizationId

ROOT = Path(__file__).parents[2]
START = datetime(2026, 11, 23, 8, 0, tzinfo=timezone.utc)
OPERATION = timedelta(seconds=4)
FEEDS = {"granted": "attachments", "revoking": "attachments", "detached": "requests"}


@dataclass
class Ports:
    """The cloud, the queues and the topic; time stands still until a test moves it."""

    now: datetime = START
    grants: dict[str, datetime] = field(default_factory=dict)
    associations: dict[str, dict[str, datetime]] = field(default_factory=dict)
    leaving: dict[str, datetime] = field(default_factory=dict)
    answered: dict[tuple[str, str], Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    published: list[dict[str, Any]] = field(default_factory=list)
    queues: dict[str, list[tuple[datetime, str]]] = field(default_factory=dict)
    trouble: Callable[[str, str], Exception | None] = lambda name, when: None
    ids: Any = field(default_factory=lambda: itertools.count(1))

    # What every call goes through ----------------------------------------------------------------

    def _call(self, name: str, effect: Callable[[], Any]) -> Any:
        self.calls.append(name)
        before = self.trouble(name, "before")
        if before is not None:
            raise before
        answer = effect()
        after = self.trouble(name, "after")
        if after is not None:
            raise after
        return answer

    def _once(self, name: str, token: str, effect: Callable[[], Any]) -> Any:
        def replayed() -> Any:
            if (name, token) not in self.answered:
                self.answered[name, token] = effect()
            return self.answered[name, token]

        return self._call(name, replayed)

    # STS, ECR, VPC -------------------------------------------------------------------------------

    def assume(self, role: Any, policy: str, name: str) -> Any:
        return self._call("assume", lambda: ("session", role.account_uid, policy))

    def grant(self, credentials: Any, of: AuthorizationId, token: str) -> None:
        self._once("grant", token, lambda: self.grants.setdefault(of.key, self.now))

    def revoke(self, credentials: Any, of: AuthorizationId, token: str) -> None:
        self._once("revoke", token, lambda: self.grants.pop(of.key, None))

    def authorized_at(self, credentials: Any, of: AuthorizationId) -> datetime | None:
        return self._call("look_at_grant", lambda: self.grants.get(of.key))

    def associate(self, credentials: Any, of: AuthorizationId, token: str) -> str:
        def effect() -> str:
            if of.key not in self.grants:
                raise failure("OperationDenied.NotGrantedByNodeOwner", status=400)
            if self._standing(of):
                raise failure("OperationFailed.RejectedByVpcYaochi", status=400)
            association_id = f"ecr-assoc-{next(self.ids)}"
            self.associations.setdefault(of.key, {})[association_id] = self.now + OPERATION
            return association_id

        return self._once("associate", token, effect)

    def dissociate(
        self, credentials: Any, of: AuthorizationId, association_id: str, token: str
    ) -> None:
        self._once(
            "dissociate",
            token,
            lambda: self.leaving.setdefault(association_id, self.now + OPERATION),
        )

    def association(self, credentials: Any, of: AuthorizationId) -> Association:
        return self._call("look_at_association", lambda: self._seen(of))

    def _standing(self, of: AuthorizationId) -> list[str]:
        known = self.associations.get(of.key, {})
        return [one for one in known if self.leaving.get(one, self.now) >= self.now]

    def _seen(self, of: AuthorizationId) -> Association:
        for association_id in self._standing(of):
            if association_id in self.leaving:
                return Association("deleting", association_id)
            ready = self.associations[of.key][association_id] <= self.now
            return Association("active" if ready else "creating", association_id)
        return NOT_ASSOCIATED

    # MNS -----------------------------------------------------------------------------------------

    def send(self, queue: str, body: str, delay_seconds: int = 0) -> None:
        def effect() -> None:
            due = self.now + timedelta(seconds=delay_seconds)
            self.queues.setdefault(queue, []).append((due, body))

        self._call(f"send {queue}", effect)

    def publish(self, body: str, tag: str) -> None:
        def effect() -> None:
            self.published.append(json.loads(body))
            if tag in FEEDS:
                self.queues.setdefault(FEEDS[tag], []).append((self.now, body))

        self._call("publish", effect)

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(one["data"]["request_id"], one["data"]["outcome"]) for one in self.published]


class System:
    """Both workers over one ledger, against the ports; messages are delivered when they are due."""

    def __init__(self, ports: Ports | None = None, **registry_changes: Any) -> None:
        self.ports = ports or Ports()
        self.registry = registry.load(ROOT / "registry.yaml")
        if registry_changes:
            ecrs = {
                ecr_id: ecr.model_copy(update=registry_changes)
                for ecr_id, ecr in self.registry.ecrs.items()
            }
            self.registry = self.registry.model_copy(update={"ecrs": ecrs})
        self.ledger = SqlLedger("sqlite://")
        self.trail = Trail(self.ledger, self._now)
        self._holders = itertools.count(1)
        self.workers: dict[str, Any] = {
            "requests": self._authorize(),
            "attachments": self._attach(),
        }

    def _now(self) -> datetime:
        return self.ports.now

    def _settler(self, worker: Any, actions: Any, announcer: Announcer) -> Settler:
        return Settler(
            worker=worker,
            actions=actions,
            ledger=self.ledger,
            announcer=announcer,
            trail=self.trail,
            turns=Turns(self.ledger),
            registry=self.registry,
            now=self._now,
            new_holder=lambda: f"run-{next(self._holders)}",
            lock_seconds=165,
        )

    def _authorize(self) -> Authorize:
        ports: Any = self.ports
        announcer = Announcer(self.ledger, ports.publish, "test", self._now, self.trail)
        account_b = AccountB(ports, ports, ports, self.registry, SecretStr("k" * 32), self._now)
        return Authorize(
            ledger=self.ledger,
            registry=self.registry,
            settler=self._settler("authorize", account_b.actions, announcer),
            announcer=announcer,
            attached_by_hand=lambda of: ports.association(None, of).state != "absent",
            now=self._now,
        )

    def _attach(self) -> Attach:
        ports: Any = self.ports
        announcer = Announcer(self.ledger, ports.publish, "test", self._now, self.trail)
        account_a = AccountA(ports, lambda: None, self.registry, self._now)  # type: ignore[arg-type, return-value]
        return Attach(self._settler("attach", account_a.actions, announcer))

    def post(self, request: dict[str, Any]) -> None:
        self.ports.queues.setdefault("requests", []).append((self.ports.now, json.dumps(request)))

    def deliver(self, queue: str, body: str) -> None:
        inbox = Inbox(queue, f"{queue}-dead", self.ports.send, Pace(max_attempts=8), lambda: 0.5)
        inbox.answer(Message(body, "m-1", self.ports.now), self.workers[queue])

    def run(self, deliveries: int = 200, *, must_drain: bool = True) -> int:
        """Deliver what is due, moving time to it, until the queues are empty."""
        for count in range(deliveries):
            waiting = [
                (due, queue, body)
                for queue in self.workers
                for due, body in self.ports.queues.get(queue, [])
            ]
            if not waiting:
                return count
            due, queue, body = min(waiting, key=lambda one: one[0])
            self.ports.queues[queue].remove((due, body))
            self.ports.now = max(self.ports.now, due)
            try:
                self.deliver(queue, body)
            except CloudFailure:  # as EventBridge does: the batch is delivered again
                again = self.ports.now + timedelta(seconds=15)
                self.ports.queues[queue].append((again, body))
        if must_drain:
            raise AssertionError("the queues do not drain")
        return deliveries


def request(name: str, **changes: Any) -> dict[str, Any]:
    """One of the sample requests, with some fields changed."""
    document = json.loads((ROOT / "events" / "requests" / f"{name}.json").read_text())
    return {**document, **changes}
