"""What a person asks for: a request on the queue like any ticket's, once for each thing asked.

The request's id follows from what the person was shown: two tabs, or two people, that ask for the
same make one request, and who is second is told what the first has asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal

from shared.announce import final_of
from shared.console.settings import SENDER
from shared.contract import ALL_LEASES
from shared.intake.notes import posted
from shared.intake.problems import Refusal
from shared.intake.webhooks import Signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.audit import Trail
    from shared.authorization import Authorization, Lease
    from shared.console.people import Person
    from shared.intake.notes import Posted
    from shared.intake.posting import Posting
    from shared.ledger import Ledger

Kind = Literal["revoke", "end", "renew"]
KINDS: Final[tuple[Kind, ...]] = ("revoke", "end", "renew")
_TRIES: Final = 20
_TAKEN: Final = ("request_id_reused", "webhook_id_reused")
"""Codes that say that somebody else was quicker."""
_USUAL: Final = timedelta(days=30)


@dataclass(frozen=True)
class Plan:
    """What would be asked for, and what it would do.

    Args:
        kind: `revoke`: every lease ends; `end`: one does; `renew`: there is one more.
        record: The authorization.
        lease: The one that ends.
        request_id: Of the request that would be made.
        asked: That request, if somebody has asked for it already.
    """

    kind: Kind
    record: Authorization
    lease: Lease | None
    request_id: str
    asked: Posted | None

    @property
    def what(self) -> str:
        """What the form is for, as its token has it."""
        return f"{self.kind} {self.record.id.key} {self.request_id}"

    @property
    def ending(self) -> tuple[Lease, ...]:
        """The leases that would end."""
        if self.kind == "renew":
            return ()
        return (self.lease,) if self.lease else self.record.live_leases

    @property
    def kept_by(self) -> tuple[Lease, ...]:
        """The leases that would keep the authorization."""
        return tuple(one for one in self.record.live_leases if one not in self.ending)

    @property
    def is_moot(self) -> bool:
        """There is nothing that it could be done to."""
        return not self.record.live_leases if self.kind != "end" else self.lease is None

    @property
    def ticket(self) -> str:
        """The ticket that is proposed."""
        live = self.record.live_leases
        known = self.lease or (live[-1] if live else None)
        return known.ticket if known else ""


def plan(ledger: Ledger, record: Authorization, kind: Kind, lease_id: str | None) -> Plan:
    """What would be asked for now. One that was refused or has failed may be asked for again.

    Args:
        ledger: What was asked for already.
        record: The authorization.
        kind: What is wanted.
        lease_id: For `end`: the lease.
    """
    lease = record.lease(lease_id) if kind == "end" and lease_id else None
    lease = lease if lease is not None and lease.is_live else None
    asked = None
    for number in range(_TRIES):
        request_id = _request_id(record, kind, lease_id, number)
        asked = posted(ledger, request_id)
        final = final_of(ledger.results(request_id)) if asked else None
        if final is None or final.result.data.outcome not in ("rejected", "failed"):
            break
    return Plan(kind, record, lease, request_id, asked)


def _request_id(record: Authorization, kind: Kind, lease_id: str | None, number: int) -> str:
    """Follows from what stands: another lease more or less makes it another one."""
    live = sorted(f"{one.id} {one.expires_at}" for one in record.live_leases)
    shown = [record.id.key, str(record.generation), kind, lease_id or "", str(number), *live]
    return f"{SENDER}-{kind}-{sha256(json.dumps(shown).encode()).hexdigest()[:24]}"


def usual_end(now: datetime) -> date:
    """The day until which a renewal is proposed."""
    return (now + _USUAL).date()


@dataclass(frozen=True)
class Acting:
    """Puts what people ask for on the queue.

    Args:
        posting: Takes requests in, as it does a ticket's.
        trail: Where it is written down who has asked.
    """

    posting: Posting
    trail: Trail

    def is_asked(self, request_id: str) -> bool:
        """It was asked for before, and is on the queue now, had that been away just then."""
        known = posted(self.posting.ledger, request_id)
        if known is None:
            return False
        self.posting.send_on(known)
        return True

    def ask(self, person: Person, of: Plan, fields: Mapping[str, str]) -> bool:
        """The request is on the queue; False where it was asked for before, by whomever.

        Raises:
            Refusal: The registry refuses it, or a field is not what it should be.
            CloudFailure, LedgerUnavailable: Nothing is lost; the same form may be sent again.
        """
        if SENDER not in self.posting.registry.senders:
            told = f"Sender {SENDER} is not in the registry: the console only shows."
            raise Refusal("sender_unknown", told, "Have the network team add it to registry.yaml.")
        body = json.dumps(_document(person, of, fields)).encode()
        try:
            self.posting.ask(Signed(SENDER, of.request_id), body)
        except Refusal as refusal:
            if refusal.code in _TAKEN:
                return False  # another tab, or another person, was quicker by a moment
            raise
        key = of.record.id.key
        self.trail.note(
            key,
            f"{of.kind} asked in the console",
            request=of.request_id,
            requester=person.name,
            subject=person.subject,
            lease=of.lease.id if of.lease else None,
        )
        return True


def _document(person: Person, of: Plan, fields: Mapping[str, str]) -> dict[str, Any]:
    document = of.record.id.model_dump() | {
        "request_id": of.request_id,
        "action": "grant" if of.kind == "renew" else "revoke",
        "ticket": fields.get("ticket", "").strip(),
        "requester": person.name,
    }
    reason = fields.get("reason", "").strip()
    if reason:
        document["reason"] = reason
    if of.kind == "renew":
        document["expires_at"] = _end_of(fields.get("until", ""))
        document["attach"] = any(one.attach for one in of.record.live_leases)
    else:
        document["lease"] = of.lease.id if of.lease else ALL_LEASES
    return document


def _end_of(day: str) -> str:
    """The last second of a day."""
    try:
        end = datetime.combine(date.fromisoformat(day), time(23, 59, 59), tzinfo=timezone.utc)
    except ValueError:
        raise Refusal(
            "malformed",
            "The day until which it is renewed is none.",
            "Give it as 2026-12-31.",
        ) from None
    return end.isoformat()
