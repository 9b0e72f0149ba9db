"""The requests that mend what the clean-up finds, as a ticket would make them. Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from shared.contract import ALL_LEASES

if TYPE_CHECKING:
    from datetime import datetime

    from shared.authorization import Lease
    from shared.contract import AuthorizationId


def end_of(of: AuthorizationId, lease: Lease, now: datetime) -> dict[str, Any]:
    """The revoke of a lease that is past its end."""
    assert lease.expires_at is not None  # noqa: S101 -- else it has no end to be past
    return {
        **_of(of, "revoke"),
        "ticket": lease.ticket,
        "request_id": _request_id("expired", of, lease.id, now),
        "lease": lease.id,
        "reason": f"The lease ended on {lease.expires_at.isoformat(' ', 'minutes')}",
    }


def revoke_of_all(of: AuthorizationId, now: datetime) -> dict[str, Any]:
    """The revoke of every lease: for people to send, the clean-up never does."""
    return {**revoke_of_stray(of, now), "lease": ALL_LEASES}


def revoke_of_stray(of: AuthorizationId, now: datetime) -> dict[str, Any]:
    """A revoke that ends no lease, and takes away what none holds."""
    request_id = _request_id("stray", of, "", now)
    return {**_of(of, "revoke"), "request_id": request_id, "lease": request_id}


def grant(of: AuthorizationId, now: datetime, *, attach: bool, ticket: str = "") -> dict[str, Any]:
    """A lease that holds what is there, or asks for what is not."""
    request_id = _request_id("adopted", of, "", now)
    asked = {**_of(of, "grant"), "request_id": request_id, "attach": attach}
    return {**asked, "ticket": ticket} if ticket else asked


def _of(of: AuthorizationId, action: str) -> dict[str, Any]:
    who = {"ticket": "clean-up", "requester": "clean-up"}
    return {**of.model_dump(), "action": action, **who}


def _request_id(what: str, of: AuthorizationId, lease: str, now: datetime) -> str:
    """The same for a whole day: overlapping runs ask once, and what failed is asked again."""
    words = "\n".join((of.key, lease, now.date().isoformat()))
    return f"{what}-{sha256(words.encode()).hexdigest()[:24]}"
