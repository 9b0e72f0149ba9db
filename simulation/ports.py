"""The cloud at the ports: what the workers call, without sockets, for fast tests of the logic.

It keeps the cloud's rules that matter here: a grant comes before an association, a ClientToken
is answered once and replayed after, associations take time, a topic feeds two queues. Everything
that happens goes through `perform`, and `watch` is told of each change.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
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
from shared.cleanup.findings import Shown
from shared.cleanup.notes import CHAIN
from shared.cleanup.run import Cleanup
from shared.cloud.errors import CloudFailure, failure
from shared.cloud.router import NOT_ASSOCIATED, Association
from shared.contract import AuthorizationId, Settle
from shared.external_ids import ExternalIdKeys
from shared.inbox import Inbox, Message, Pace
from shared.ledger.sql import SqlLedger
from shared.settle import Settler
from shared.sweep import Sweep
from shared.testimony import Testimony
from shared.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.registry import Registry

ROOT = Path(__file__).parents[1]
START = datetime(2026, 11, 23, 8, 0, tzinfo=timezone.utc)
OPERATION = timedelta(seconds=4)
FUNCTION_TIMEOUT = timedelta(seconds=120)
LOCK_SECONDS = 165.0
AGAIN_AFTER = timedelta(seconds=15)
"""When EventBridge hands over a batch again that failed."""
TIMER = "timer"
"""Its messages are the timer's: each runs the sweep and the clean-up."""
FEEDS = {"granted": "attachments", "revoking": "attachments", "detached": "requests"}


class Watch:
    """Is told of what happens in the cloud; the campaign's invariants are one."""

    def calls(self, name: str, of: AuthorizationId, credentials: Any) -> None:
        """An API call is about to be made."""

    def changed(self, name: str, of: AuthorizationId) -> None:
        """A call has changed the cloud."""

    def published(self, event: dict[str, Any]) -> None:
        """A result is on the topic."""


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
    watch: Watch = field(default_factory=Watch)
    before: dict[str, tuple[datetime, datetime | None, Association]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    tokens_kept: bool = True
    replays: int = 0
    subject: str = ""
    ids: Any = field(default_factory=lambda: itertools.count(1))

    # What every call goes through ----------------------------------------------------------------

    def perform(self, name: str, effect: Callable[[], Any]) -> Any:
        """Do it, with the trouble that a test has ordered before or after."""
        before = self.trouble(name, "before")
        if before is not None:
            raise before
        answer = effect()
        after = self.trouble(name, "after")
        if after is not None:
            raise after
        return answer

    def _call(
        self,
        name: str,
        effect: Callable[[], Any],
        of: AuthorizationId | None = None,
        credentials: Any = None,
    ) -> Any:
        self.calls.append(name)
        self.subject = of.key if of is not None else ""
        if of is not None:
            self.watch.calls(name, of, credentials)
        return self.perform(name, effect)

    def _write(
        self,
        name: str,
        of: AuthorizationId,
        token: str,
        credentials: Any,
        effect: Callable[[], Any],
    ) -> Any:
        def once() -> Any:
            if (name, token) in self.answered:
                self.replays += 1
                return self.answered[name, token]
            before = (self.now, self.grants.get(of.key), self.shown(of.key))
            answer = effect()
            self.before[of.key] = before
            if self.tokens_kept:
                self.answered[name, token] = answer
            self.watch.changed(name, of)
            return answer

        return self._call(name, once, of, credentials)

    # STS, ECR, VPC -------------------------------------------------------------------------------

    def assume(self, role: Any, policy: str, name: str) -> Any:
        """Credentials that say what they are for."""
        return self._call("assume", lambda: (role.account_uid, policy))

    def grant(self, credentials: Any, of: AuthorizationId, token: str) -> None:
        """Account B allows the ECR."""
        effect = lambda: self.grants.setdefault(of.key, self.now)  # noqa: E731
        self._write("grant", of, token, credentials, effect)

    def revoke(self, credentials: Any, of: AuthorizationId, token: str) -> None:
        """Account B takes it back; refused while the instance is attached."""

        def effect() -> None:
            if self.standing(of.key):
                raise failure("IncorrectStatus.EcrAssociation", status=400)
            self.grants.pop(of.key, None)

        self._write("revoke", of, token, credentials, effect)

    def authorized_at(self, credentials: Any, of: AuthorizationId) -> datetime | None:
        """What account B shows."""
        found: datetime | None = self._call(
            "look_at_grant", lambda: self.grants.get(of.key), of, credentials
        )
        return found

    def associate(self, credentials: Any, of: AuthorizationId, token: str) -> str:
        """Account A attaches. The cloud may take a second one: our tokens are to prevent it."""

        def effect() -> str:
            if of.key not in self.grants:
                raise failure("OperationDenied.NotGrantedByNodeOwner", status=400)
            association_id = f"ecr-assoc-{next(self.ids)}"
            self.associations.setdefault(of.key, {})[association_id] = self.now + OPERATION
            return association_id

        return str(self._write("associate", of, token, credentials, effect))

    def dissociate(
        self, credentials: Any, of: AuthorizationId, association_id: str, token: str
    ) -> None:
        """Account A detaches."""
        effect = lambda: self.leaving.setdefault(association_id, self.now + OPERATION)  # noqa: E731
        self._write("dissociate", of, token, credentials, effect)

    def association(self, credentials: Any, of: AuthorizationId) -> Association:
        """What account A shows."""
        found: Association = self._call(
            "look_at_association", lambda: self.shown(of.key), of, credentials
        )
        return found

    def standing(self, key: str) -> list[str]:
        """The associations of an authorization that are not gone."""
        known = self.associations.get(key, {})
        return [one for one in known if self.leaving.get(one, self.now) >= self.now]

    def shown(self, key: str) -> Association:
        """The one that is to be looked after first."""
        standing = self.standing(key)
        settled = [
            one
            for one in standing
            if one not in self.leaving and self.associations[key][one] <= self.now
        ]
        if len(settled) == len(standing) > 1:
            return Association("doubled", max(settled))
        for association_id in sorted(standing, key=lambda one: one in settled):
            if association_id in self.leaving:
                return Association("deleting", association_id)
            ready = self.associations[key][association_id] <= self.now
            return Association("active" if ready else "creating", association_id)
        return NOT_ASSOCIATED

    # MNS -----------------------------------------------------------------------------------------

    def send(self, queue: str, body: str, delay_seconds: int = 0) -> None:
        """A message is on a queue."""
        due = self.now + timedelta(seconds=delay_seconds)
        effect = lambda: self.queues.setdefault(queue, []).append((due, body))  # noqa: E731
        self._call(f"send {queue}", effect)

    def publish(self, body: str, tag: str) -> None:
        """A result is on the topic, and on the queues that its tag feeds."""

        def effect() -> None:
            event = json.loads(body)
            self.watch.published(event)
            self.published.append(event)
            if tag in FEEDS:
                self.queues.setdefault(FEEDS[tag], []).append((self.now, body))

        self._call("publish", effect)

    # Account A's listings ------------------------------------------------------------------------

    def exists(self, credentials: Any, ecr_id: str) -> bool:
        """Account A shows the ECR."""
        found: bool = self._call("list_routers", lambda: ecr_id not in self.gone)
        return found

    def show(self, credentials: Any, ecr_id: str, owner_uid: str, at: datetime) -> Shown:
        """All grants and associations of the ECR."""

        def effect() -> Shown:
            if ecr_id in self.gone:
                raise failure("ResourceNotFound.EcrId", status=404)
            shown = Shown(at)
            for key, granted_at in self.grants.items():
                if key.startswith(f"{ecr_id}:"):
                    shown.add_grant(AuthorizationId.of_key(key), granted_at)
            for key in self.associations:
                for association_id in self.standing(key):
                    if key.startswith(f"{ecr_id}:") and association_id not in self.leaving:
                        shown.add_association(AuthorizationId.of_key(key), association_id)
            return shown

        found: Shown = self._call("list_ecr", effect)
        return found

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Request id and outcome of each result, in order."""
        told = [one["data"] for one in self.published if one["subject"] != CHAIN]
        return [(one["request_id"], one["outcome"]) for one in told]


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
