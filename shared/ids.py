"""Request ids that are made here, and what is done where somebody else has used one first.

They follow from what they are for, so that the same request is sent once; so anybody can work them
out. A stranger's request under such an id must not keep ours from being done.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.contract import Bundle, Request
    from shared.ledger import Ledger, RequestRecord


def is_foreign(record: RequestRecord, asked: Request | Bundle) -> bool:
    """The id was used for something else than is asked now. Pure."""
    return record.fingerprint != asked.fingerprint


def renamed(request: Request, foreign: RequestRecord) -> Request:
    """The request under an id that nobody outside can have used first. Pure.

    It follows from the moment, to the microsecond, at which the ledger took the stranger's: so it
    is the same each time.
    """
    words = f"{request.request_id} {foreign.received_at.isoformat()}"
    request_id = f"own-{sha256(words.encode()).hexdigest()[:32]}"
    lease = request_id if request.lease == request.request_id else request.lease
    return request.model_copy(update={"request_id": request_id, "lease": lease})


def own(ledger: Ledger, request: Request) -> Request:
    """The request, renamed where the ledger has a stranger's under its id."""
    record = ledger.request(request.request_id)
    return renamed(request, record) if record and is_foreign(record, request) else request
