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
from typing import TYPE_CHECKING, Any

from shared.cleanup.findings import Shown
from shared.cleanup.notes import CHAIN
from shared.cloud.errors import failure
from shared.cloud.router import NOT_ASSOCIATED, Association
from shared.contract import AuthorizationId

if TYPE_CHECKING:
    from collections.abc import Callable


START = datetime(2026, 11, 23, 8, 0, tzinfo=timezone.utc)
OPERATION = timedelta(seconds=4)
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
