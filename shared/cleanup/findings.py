"""What differs between the three books of one ECR, or has grown stale; what would mend it. Pure.

The books: the ledger, account A's listings, and account B's word as the ledger last heard it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from shared import policy
from shared.authorization import VISIBLE_AFTER
from shared.cleanup import mending
from shared.contract import read_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from shared.authorization import Authorization, Lease
    from shared.contract import AuthorizationId
    from shared.registry import CleanupRules, Registry

SENTENCES: Final = {
    "expired": "The lease of {ticket} ended on {since}.",
    "unmanaged": "Account A shows a grant that no lease holds and this system has never given.",
    "left_behind": "Account A shows a grant whose last lease has ended.",
    "attached_without_lease": "Account A shows the instance attached, and no lease holds it.",
    "attached_without_grant": "Account A shows the instance attached, and no grant for it.",
    "attached_twice": "Account A shows the instance attached twice.",
    "missing": "A live lease ({ticket}) asks for a grant that account A does not show.",
    "not_attached": "A live lease ({ticket}) asks for an association that account A does not show.",
    "owner_mismatch": "Account A shows the instance's grant with another owner than its lease has.",
    "stale_not_attached": "Granted since {since}, and not attached.",
    "stuck": "Request {ticket} has had no answer since {since}.",
    "ecr_gone": "Account A does not show the ECR any more; a lease ({ticket}) is for it.",
    "instance_gone": "Account B does not show the instance any more; a lease ({ticket}) is for it.",
    "cannot_verify": "Account B cannot be looked at ({ticket}).",
    "listing_failed": "Account A's listing of the ECR could not be read: nothing is taken as gone.",
    "listing_empty": "Account A's listing is empty and was not before: nothing is taken as gone.",
    "unreadable": "A row cannot be read: {ticket}.",
    "unpublished": "Result {ticket} was made on {since} and is not on the topic.",
    "note_unreadable": "The clean-up's own note cannot be read: this run looks, and begins anew.",
    "only_in_a": "Account A lists a grant, given on {since}, that account B does not show.",
    "only_in_b": "Account B shows a grant, given on {since}, that account A does not list.",
    "missing_in_b": "A live lease ({ticket}) asks for a grant that account B does not show.",
    "other_time": "Account B shows the grant as given on {since}, and {ticket}.",
}
GONE_CODES: Final = ("instance_not_found",)


@dataclass
class Shown:
    """What account A shows of one ECR, by the keys of authorizations; kept small.

    Args:
        at: When the listing was begun: no row is younger.
        is_whole: Every page came; else nothing that is not in it is taken as gone.
        exists: The ECR itself is shown.
        grants: When each grant was given, as far as its row says.
        associations: The ids of each instance's associations; two where it is attached twice.
        places: Instance and region of each grant, whatever owners its row names.
        unreadable: Rows that are none of the ids that we know.
    """

    at: datetime
    is_whole: bool = True
    exists: bool = True
    grants: dict[str, datetime | None] = field(default_factory=dict)
    associations: dict[str, tuple[str, ...]] = field(default_factory=dict)
    places: set[tuple[str, str]] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)

    def add_grant(self, of: AuthorizationId, at: datetime | None) -> None:
        """A row of the grants."""
        self.grants[of.key] = at
        self.places.add((of.instance_id, of.instance_region_id))

    def add_association(self, of: AuthorizationId, association_id: str) -> None:
        """A row of the associations, or of the child instances; two pages may show one row."""
        known = self.associations.get(of.key, ())
        if association_id not in known:
            self.associations[of.key] = (*known, association_id)

    @property
    def rows(self) -> int:
        """How many authorizations it shows."""
        return len(self.grants.keys() | self.associations.keys())


@dataclass(frozen=True)
class Finding:
    """One difference, or one thing grown stale.

    Args:
        name: One of SENTENCES.
        key: The authorization's, or the ECR's id.
        since: Since when, as far as is known.
        ticket: What the sentence names: a ticket, a code, or a row.
        request: The request that would mend it, if one would.
        asks: The clean-up asks for it itself.
        looks: The clean-up has both accounts looked at.
    """

    name: str
    key: str
    since: datetime | None = None
    ticket: str = ""
    request: dict[str, Any] | None = None
    asks: bool = False
    looks: bool = False

    @property
    def sentence(self) -> str:
        """What it is, for people."""
        since = self.since.isoformat(" ", "minutes") if self.since else "an unknown time"
        return SENTENCES[self.name].format(ticket=self.ticket or "none named", since=since)


@dataclass(frozen=True)
class Comparison:
    """Compares what the ledger knows of one ECR with what account A shows of it.

    Args:
        shown: Account A's view.
        registry: The rules, freezes and exemptions.
        now: The time.
        has_moved: Something was done about the authorization with this key since the listing began,
            whatever its record still says of that. Asked only where there is a difference.
    """

    shown: Shown
    registry: Registry
    now: datetime
    has_moved: Callable[[str], bool] = lambda _: False

    def known(self, record: Authorization) -> Iterator[Finding]:
        """What is found about an authorization that the ledger knows."""
        yield from self._expired(record)
        if record.live_leases:
            yield from self._unverified(record)
        if record.live_leases and not self.shown.exists:
            if self.registry.rules(record.id).ecr_gone:
                yield self._moot("ecr_gone", record)
        elif not is_in_motion(record, self.shown.at):
            differences = list(self._drift(record))
            if differences and not self.has_moved(record.id.key):
                yield from differences

    def stranger(self, of: AuthorizationId) -> Iterator[Finding]:
        """What is found about one that account A shows and the ledger does not know."""
        is_granted = of.key in self.shown.grants
        yield self._unheld("unmanaged" if is_granted else "attached_without_lease", of)
        if is_granted and of.key not in self.shown.associations:
            yield from self._stale(of, self.shown.grants[of.key])

    def _drift(self, record: Authorization) -> Iterator[Finding]:
        of, shown = record.id, self.shown
        is_granted, associations = of.key in shown.grants, shown.associations.get(of.key, ())
        if not record.live_leases:
            if is_granted or associations:
                yield self._unheld("left_behind" if is_granted else "attached_without_lease", of)
            return
        if len(associations) > 1:
            yield Finding("attached_twice", of.key, looks=record.association.by_us)
        if is_granted and not associations:
            yield from self._stale(of, shown.grants[of.key] or record.grant.authorized_at)
        if shown.is_whole:
            yield from self._absent(record)

    def _absent(self, record: Authorization) -> Iterator[Finding]:
        """What a live lease asks for, and account A does not show."""
        of, live = record.id, record.live_leases
        is_attached = of.key in self.shown.associations
        if of.key in self.shown.grants:
            if is_attached or not any(lease.attach for lease in live):
                return
            name = "not_attached"
        elif (of.instance_id, of.instance_region_id) in self.shown.places:
            name = "owner_mismatch"
        else:
            name = "attached_without_grant" if is_attached else "missing"
        repairs = self.registry.rules(of).missing == "repair" and name != "owner_mismatch"
        attach = any(lease.attach for lease in live)
        request = mending.grant(of, self.now, attach=attach, ticket=live[-1].ticket)
        yield Finding(name, of.key, ticket=tickets(record), request=request, looks=repairs)

    def _expired(self, record: Authorization) -> Iterator[Finding]:
        for lease in record.live_leases:
            if lease.expires_at is None or lease.expires_at > self.now:
                continue
            request = mending.end_of(record.id, lease, self.now)
            asks = self._may_ask(request, lease.id, is_known=True)
            yield Finding("expired", record.id.key, lease.expires_at, lease.ticket, request, asks)

    def _unverified(self, record: Authorization) -> Iterator[Finding]:
        rules, code = self.registry.rules(record.id), record.unverified
        if code in GONE_CODES and rules.instance_gone:
            yield self._moot("instance_gone", record)
        elif code is not None and code not in GONE_CODES and rules.cannot_verify:
            yield Finding("cannot_verify", record.id.key, ticket=code)

    def _moot(self, name: str, record: Authorization) -> Finding:
        request = mending.revoke_of_all(record.id, self.now)
        return Finding(name, record.id.key, ticket=tickets(record), request=request)

    def _stale(self, of: AuthorizationId, since: datetime | None) -> Iterator[Finding]:
        days = self.registry.rules(of).not_attached_days
        if days and since and self.now - since >= timedelta(days=days):
            request = mending.revoke_of_all(of, self.now)
            yield Finding("stale_not_attached", of.key, since, request=request)

    def _unheld(self, name: str, of: AuthorizationId) -> Finding:
        """Access that no lease holds: reported, adopted or revoked, as the registry says."""
        rules = self.registry.rules(of)
        request = mending.revoke_of_stray(of, self.now)
        if rules.unmanaged == "adopt":
            request = mending.grant(of, self.now, attach=of.key in self.shown.associations)
        known = name == "left_behind"
        asks = rules.unmanaged != "report" and self._may_ask(request, None, is_known=known)
        return Finding(name, of.key, self.shown.grants.get(of.key), request=request, asks=asks)

    def _may_ask(self, asked: dict[str, Any], lease: str | None, *, is_known: bool) -> bool:
        """Neither a freeze nor an exemption keeps the clean-up off, and policy would take it."""
        request = read_request(asked)
        if self.registry.frozen(self.now) is not None:
            return False
        if self.registry.exemption(request.authorization, lease, self.now) is not None:
            return False
        wanted = policy.with_end(request, self.registry, self.now)
        return policy.refusal(wanted, self.registry, self.now, is_known=is_known) is None


def warnings(
    record: Authorization, rules: CleanupRules, now: datetime
) -> Iterator[tuple[Lease, int]]:
    """Live leases that end soon, with the days of the warning that is due.

    Where another lease outlasts it, it is renewed, and nobody needs to be told.
    """
    live = record.live_leases
    for lease in live:
        end = lease.expires_at
        if end is None or end <= now:
            continue
        others = [other for other in live if other.attach or not lease.attach]
        if any(other.expires_at is None or other.expires_at > end for other in others):
            continue
        due = [days for days in rules.warn_days if end - now <= timedelta(days=days)]
        if due:
            yield lease, min(due)


def is_in_motion(record: Authorization, listed_at: datetime) -> bool:
    """Somebody is at work on it, or was when account A was being listed."""
    if record.open or record.lock is not None:
        return True
    return any(at > listed_at - VISIBLE_AFTER for at in _touched(record))


def _touched(record: Authorization) -> Iterable[datetime]:
    ends = [at for lease in record.leases for at in (lease.since, lease.ended_at)]
    found = [*ends, record.grant.said_at, record.association.said_at, record.cleared_at]
    return [at for at in found if at is not None]


def tickets(record: Authorization) -> str:
    """Whose leases hold it."""
    return ", ".join(lease.ticket for lease in record.live_leases)
