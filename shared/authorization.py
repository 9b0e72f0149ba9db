"""What is remembered of one authorization: leases, what was seen in the cloud, who is at work.

Everything here is pure: each method gives a new record and leaves the old one as it was.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

from shared.contract import AuthorizationId, Model, Outcome, Problem

GrantState = Literal["absent", "unknown", "settling", "present"]
AssociationState = Literal["absent", "unknown", "creating", "active", "doubled", "deleting"]
State = Literal["waiting", "granted", "attached", "ending", "revoked"]
"""How an authorization stands, in one word; see `Authorization.state`."""

VISIBLE_AFTER = timedelta(seconds=60)
"""How long the cloud may still show what was before a call that said yes."""


class Lease(Model):
    """One ticket's hold on the authorization. An ended lease never becomes live again.

    A lease that ended before it was ever seen (`since` is None) is a tombstone: the grant that
    its revoke overtook finds it and does nothing.
    """

    id: str
    ticket: str
    attach: bool = True
    asked_at: datetime | None = None
    since: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None

    @property
    def is_live(self) -> bool:
        """The lease holds the authorization. It ends by a request, never by time alone."""
        return self.ended_at is None


class OpenRequest(Model):
    """A request that still waits for its final result."""

    request_id: str
    action: Literal["grant", "revoke"]
    ticket: str
    requester: str | None = None
    lease: str
    part_of: str | None = None
    announced: tuple[Outcome, ...] = ()
    problem: Problem | None = None


class GrantSeen(Model):
    """Account B's side: what was last seen, and the last call that said yes.

    `gone_authorized_at` is when the grant was given that was last seen to be gone, `gone_at` when
    that was seen: for a while a look may still show it.
    """

    state: GrantState = "absent"
    authorized_at: datetime | None = None
    said: Literal["grant", "revoke"] | None = None
    said_at: datetime | None = None
    gone_authorized_at: datetime | None = None
    gone_at: datetime | None = None

    def is_past(self, authorized_at: datetime | None, at: datetime) -> bool:
        """A look that began at `at` shows the grant that has been seen to be gone."""
        known = authorized_at is not None and authorized_at == self.gone_authorized_at
        return known and _is_recent(self.gone_at, at)


class AssociationSeen(Model):
    """Account A's side: what was last seen, and the last call that said yes.

    `by_us` is set once we have asked for the association; else account A's people made it.
    `doubled`: there were two, and `association_id` is the one too many. `gone_id` is the one that
    was last seen to be gone, and `gone_at` when: for a while a look may still show it.
    """

    state: AssociationState = "absent"
    by_us: bool = False
    doubled: bool = False
    association_id: str | None = None
    said: Literal["associate", "dissociate"] | None = None
    said_at: datetime | None = None
    gone_id: str | None = None
    gone_at: datetime | None = None

    def is_past(self, association_id: str | None, at: datetime) -> bool:
        """A look that began at `at` shows the association that has been seen to be gone."""
        known = association_id is not None and association_id == self.gone_id
        return known and _is_recent(self.gone_at, at)


class Lock(Model):
    """Who converges the authorization, and until when nobody else may."""

    holder: str
    until: datetime


class Reserved(Model):
    """The moment that was given to a step; another step has to ask for one of its own."""

    step: str
    at: datetime


class Authorization(Model):
    """The record of one authorization.

    `generation` rises when access goes from absent to wanted, and when a call said yes while the
    world says no: a token of an earlier generation is spent.

    `closed` names revokes that have their answer, and requests that were given up before they were
    taken: a late copy must do nothing.
    `turn` is the moment that the next write has reserved. `unanswered_at` is when a write was last
    made that had no answer, and `unanswered_step` which: it may yet land. `due_at` is when the
    sweep is to look after the authorization, should nobody have done so by then. `unverified` is
    the code with which account B could not be looked at.
    """

    id: AuthorizationId
    generation: int = 0
    leases: tuple[Lease, ...] = ()
    open: tuple[OpenRequest, ...] = ()
    closed: tuple[str, ...] = ()
    grant: GrantSeen = GrantSeen()
    association: AssociationSeen = AssociationSeen()
    cleared_at: datetime | None = None
    lock: Lock | None = None
    turn: Reserved | None = None
    unanswered_at: datetime | None = None
    unanswered_step: str | None = None
    due_at: datetime | None = None
    unverified: str | None = None

    @property
    def live_leases(self) -> tuple[Lease, ...]:
        """The leases that hold the authorization."""
        return tuple(lease for lease in self.leases if lease.is_live)

    @property
    def state(self) -> State:
        """`attached`, `granted` (not attached), `waiting` for it, `ending`, or `revoked`.

        By what is remembered: while both accounts are looked at anew it is `waiting` or `ending`.
        """
        grant, association = self.grant.state, self.association.state
        if not self.live_leases:
            return "revoked" if (grant, association) == ("absent", "absent") else "ending"
        if association == "active":
            return "attached"
        return "granted" if grant == "present" else "waiting"

    @property
    def ends_at(self) -> datetime | None:
        """When its last lease ends; None where one has no end, or none is live."""
        ends = [lease.expires_at for lease in self.live_leases]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None

    def lease(self, lease_id: str) -> Lease | None:
        """The lease with this id, live or ended."""
        return next((lease for lease in self.leases if lease.id == lease_id), None)

    def request(self, request_id: str) -> OpenRequest | None:
        """The open request with this id."""
        return next((entry for entry in self.open if entry.request_id == request_id), None)

    def has_taken(self, request_id: str) -> bool:
        """The request waits for its answer here, or the lease that it asked for is known."""
        return self.request(request_id) is not None or self.lease(request_id) is not None

    def token(self, action: str) -> str:
        """The ClientToken of an action (`grant`, `dissociate`, …): the same for each try.

        It follows from the authorization, its generation and the action; and, for `dissociate`,
        from the association, since one generation may take away several.
        """
        subject = (self.association.association_id or "") if action == "dissociate" else ""
        words = "\n".join((self.id.key, str(self.generation), action, subject))
        return sha256(words.encode()).hexdigest()

    # What was seen and said ---------------------------------------------------------------------

    def with_grant(self, state: GrantState, **seen: object) -> Authorization:
        """Account B's side is `state` now."""
        return self.model_copy(
            update={"grant": self.grant.model_copy(update={"state": state, **seen})}
        )

    def with_association(self, state: AssociationState, **seen: object) -> Authorization:
        """Account A's side is `state` now."""
        return self.model_copy(
            update={"association": self.association.model_copy(update={"state": state, **seen})}
        )

    def said_granted(self, now: datetime) -> Authorization:
        """Grant said yes."""
        return self.with_grant("present", said="grant", said_at=now, authorized_at=now)

    def said_revoked(self, now: datetime) -> Authorization:
        """Revoke said yes: that it is gone is for a look to tell."""
        return self.with_grant("unknown", said="revoke", said_at=now)

    def said_associated(self, association_id: str | None, now: datetime) -> Authorization:
        """Create or Attach said yes: it becomes active by and by."""
        return self.with_association(
            "creating", said="associate", said_at=now, association_id=association_id
        )

    def said_dissociated(self, now: datetime) -> Authorization:
        """Delete or Detach said yes: it goes by and by."""
        if self.association.doubled:  # the other one stays: only a look tells the two apart
            return self.with_association("unknown", doubled=False, said=None, said_at=None)
        return self.with_association("deleting", said="dissociate", said_at=now)

    def saw_grant(self, authorized_at: datetime | None, at: datetime) -> Authorization:
        """Account B was looked at, from `at` on; `authorized_at` is None where it shows no grant.

        A look that contradicts a recent yes may be stale: `settling`, look again later. One that
        contradicts an old yes means that the token is spent.
        """
        present = authorized_at is not None
        contradicts = self.grant.said == ("revoke" if present else "grant")
        verified = self.model_copy(update={"unverified": None}) if self.unverified else self
        if (
            (contradicts and _is_recent(self.grant.said_at, at))
            or (not present and self._may_yet_show("grant", at))
            or self.grant.is_past(authorized_at, at)
        ):
            return verified.with_grant("settling")
        if not present and self.grant.authorized_at is not None:
            gone = {"gone_authorized_at": self.grant.authorized_at, "gone_at": at}
            verified = verified.with_grant(self.grant.state, **gone)
        seen = verified.next_generation() if contradicts else verified
        if contradicts or not present:
            seen = seen.with_grant(seen.grant.state, said=None, said_at=None)
        return seen.with_grant("present" if present else "absent", authorized_at=authorized_at)

    def saw_association(
        self, state: AssociationState, association_id: str | None, at: datetime
    ) -> Authorization:
        """Account A was looked at, from `at` on. The same rule as for the grant."""
        contradicts = (state == "absent" and self.association.said == "associate") or (
            state == "active" and self.association.said == "dissociate"
        )
        if contradicts and _is_recent(self.association.said_at, at):
            return self.with_association("creating" if state == "absent" else "deleting")
        if state == "absent" and self._may_yet_show("associate", at):
            return self.with_association("creating")
        if self.association.is_past(association_id, at):
            return self.with_association("deleting")
        known = self
        if state == "absent" and self.association.association_id is not None:
            gone = {"gone_id": self.association.association_id, "gone_at": at}
            known = self.with_association(self.association.state, **gone)
        seen = known.next_generation() if contradicts else known
        if contradicts or state == "absent":
            seen = seen.with_association(seen.association.state, said=None, said_at=None)
        doubled = state == "doubled"
        return seen.with_association(state, association_id=association_id, doubled=doubled)

    def _may_yet_show(self, step: str, at: datetime) -> bool:
        """A call without an answer may have given what nobody wants; it is too young to be seen."""
        is_ours = self.unanswered_step == step and not self.live_leases
        return is_ours and _is_recent(self.unanswered_at, at)

    def doubted(self) -> Authorization:
        """What was seen is memory now: it must be looked at again before it is relied on."""
        seen = self
        if seen.grant.state != "absent":
            seen = seen.with_grant("unknown")
        if seen.association.state != "absent":
            seen = seen.with_association("unknown")
        return seen

    def next_generation(self) -> Authorization:
        """From here on calls carry new tokens."""
        return self.model_copy(update={"generation": self.generation + 1})


def _is_recent(said_at: datetime | None, at: datetime) -> bool:
    return said_at is not None and at - said_at < VISIBLE_AFTER
