"""What intake notes on the ledger: each request that it has taken in, and which webhook it was."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from shared.contract import Bundle, Model, Request

if TYPE_CHECKING:
    from shared.ledger import Ledger


class Posted(Model):
    """The note of a request that was taken in.

    Args:
        request: What is put on the queue.
        fingerprint: Of its content: the same id with another one is another request.
        posted_at: When it came.
        is_sent: It is on the queue.
    """

    request: Request | Bundle
    fingerprint: str
    posted_at: datetime
    is_sent: bool = False


class Heard(Model):
    """The note of a webhook: what it said, and which request it was."""

    digest: str
    request_id: str


def posted_key(request_id: str) -> str:
    """Where a request is noted."""
    return f"posted/{request_id}"


def webhook_key(sender: str, webhook_id: str) -> str:
    """Where a webhook is noted."""
    return f"webhook/{sender}/{webhook_id}"


def posted(ledger: Ledger, request_id: str) -> Posted | None:
    """The request as intake has noted it; None of one that came by the queue, or has not come."""
    found = ledger.note(posted_key(request_id))
    return Posted.model_validate_json(found[0]) if found else None


def asked_of(ledger: Ledger, request_id: str) -> Request | Bundle | None:
    """What the request asks, once it is received or noted by intake."""
    record = ledger.request(request_id)
    if record is not None:
        return record.request
    known = posted(ledger, request_id)
    return known.request if known else None


def owners_of(asked: Request | Bundle) -> set[str]:
    """The accounts B that it is about."""
    if isinstance(asked, Request):
        return {asked.instance_owner_uid}
    return {one.instance_owner_uid for one in asked.instances}
