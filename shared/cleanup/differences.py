"""What differs between the ledger, account A's view and account B's own word. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from shared.authorization import VISIBLE_AFTER
from shared.cleanup import mending
from shared.cleanup.findings import GONE_CODES, Finding, is_in_motion, tickets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.authorization import Authorization
    from shared.cleanup.findings import Shown
    from shared.cleanup.words import Word
    from shared.contract import AuthorizationId
    from shared.registry import Registry

SAME_MOMENT: Final = timedelta(minutes=5)
"""Two clocks, and two accounts' lists, may tell one moment so differently."""
_NEVER: Final = datetime.min.replace(tzinfo=timezone.utc)


def is_of_interest(record: Authorization) -> bool:
    """The ledger knows, or does not rule out, that account B shows something of it."""
    return bool(record.live_leases) or record.grant.state != "absent"


@dataclass(frozen=True)
class Differences:
    """Compares the three books.

    Args:
        shown: Account A's view.
        registry: The rules.
        now: The time.
    """

    shown: Shown
    registry: Registry
    now: datetime

    def of(
        self, of: AuthorizationId, record: Authorization | None, word: Word
    ) -> Iterator[Finding]:
        """What differs about one authorization; nothing where somebody is at work on it.

        Args:
            of: The authorization.
            record: The ledger's; None for a stranger.
            word: Account B's.
        """
        if word.code is not None:
            yield from self._unverified(of, record, word.code)
        elif record is None or not is_in_motion(record, min(word.at, self.shown.at)):
            yield from self._compared(of, record, word)

    def unanswered(self, of: AuthorizationId) -> Iterator[Finding]:
        """Account B's word has not come in time."""
        if self.registry.rules(of).cannot_verify:
            yield Finding("cannot_verify", of.key, ticket="no answer")

    def _unverified(
        self, of: AuthorizationId, record: Authorization | None, code: str
    ) -> Iterator[Finding]:
        rules = self.registry.rules(of)
        if code in GONE_CODES:
            if rules.instance_gone:
                who = tickets(record) if record else ""
                request = mending.revoke_of_all(of, self.now)
                yield Finding("instance_gone", of.key, ticket=who, request=request)
        elif rules.cannot_verify:
            yield Finding("cannot_verify", of.key, ticket=code)

    def _compared(
        self, of: AuthorizationId, record: Authorization | None, word: Word
    ) -> Iterator[Finding]:
        key, at = of.key, word.authorized_at
        listed = key in self.shown.grants
        given = self.shown.grants.get(key)
        held = record is not None and bool(record.live_leases)
        if at is not None:
            if not listed and self.shown.is_whole:
                yield self._named("only_in_b", of, record, at)
            elif (other := self._other_time(record, given, at)) is not None:
                yield self._named("other_time", of, record, at, other)
        elif listed:
            if (given or _NEVER) < word.at - VISIBLE_AFTER:  # else B was asked before it was given
                yield self._named("only_in_a", of, record, given)
        elif held and self.shown.is_whole:
            yield self._named("missing_in_b", of, record)

    def _other_time(
        self, record: Authorization | None, given: datetime | None, at: datetime
    ) -> str | None:
        if given is not None and abs(given - at) > SAME_MOMENT:
            return f"account A lists it as given on {given.isoformat(' ', 'minutes')}"
        known = record.grant.authorized_at if record and record.live_leases else None
        if known is not None and abs(known - at) > SAME_MOMENT:
            return f"the ledger knows it as given on {known.isoformat(' ', 'minutes')}"
        return None

    def _named(
        self,
        name: str,
        of: AuthorizationId,
        record: Authorization | None,
        since: datetime | None = None,
        ticket: str = "",
    ) -> Finding:
        """A difference, with what mends it: a lease is renewed, what none holds is revoked."""
        live = record.live_leases if record else ()
        request = mending.revoke_of_stray(of, self.now)
        if record is not None and live:
            attach = any(lease.attach for lease in live)
            request = mending.grant(of, self.now, attach=attach, ticket=live[-1].ticket)
        return Finding(name, of.key, since, ticket or (tickets(record) if record else ""), request)
