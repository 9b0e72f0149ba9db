"""The ledger as a reader sees it, for who has its URL and not intake's."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ecrauth import reach
from ecrauth.exits import Exit, Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ecrauth.settings import Settings
    from shared.authorization import Authorization
    from shared.ledger import Ledger, ResultRecord

_PAGE: Final = 500


class Book:
    """What became of requests, and what stands, by the ledger alone; it is never written to.

    Args:
        settings: Where the ledger is. Each look opens it anew: it may not be there yet.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def request(self, request_id: str) -> dict[str, Any]:
        """What became of a request. Raises Failed with UNKNOWN where it has not been taken."""
        with reach.ledger(self._settings) as ledger:
            record, results = ledger.request(request_id), ledger.results(request_id)
        if record is None and not results:
            what = f"the ledger has no request {request_id}"
            raise Failed(what, "has it been taken from the queue yet?", Exit.UNKNOWN)
        asked = (
            record.request.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
            if record
            else {"request_id": request_id}
        )
        told = [_told(one) for one in results]
        last = next((one for one in told if one["final"]), told[-1] if told else None)
        return {
            **asked,
            "received_at": record.received_at.isoformat() if record else None,
            "state": last["outcome"] if last else "received",
            "final": bool(last and last["final"]),
            "results": told,
        }

    def authorizations(self, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Every authorization that fits, by its key."""
        with reach.ledger(self._settings) as ledger:
            for record in _each(ledger, query.get("ecr_id")):
                if _fits(found := stated(record), query):
                    yield found


def _each(ledger: Ledger, ecr: str | None) -> Iterator[Authorization]:
    prefix, last = f"{ecr}:" if ecr else "", ""
    while True:
        page = ledger.authorizations(prefix, last, _PAGE)
        yield from (record for _, record in page if record is not None)
        if len(page) < _PAGE:
            return
        last = page[-1][0]


def stated(record: Authorization) -> dict[str, Any]:
    """An authorization as it stands. Pure."""
    live = record.live_leases
    return {
        **record.id.model_dump(),
        "state": record.state,
        "expires_at": record.ends_at.isoformat() if record.ends_at else None,
        "leases": [
            {
                "request_id": lease.id,
                "ticket": lease.ticket,
                "expires_at": lease.expires_at.isoformat() if lease.expires_at else None,
            }
            for lease in live
        ],
    }


def _fits(found: dict[str, Any], query: Mapping[str, str]) -> bool:
    wanted = {
        "ecr_id": found["ecr_id"],
        "account_uid": found["instance_owner_uid"],
        "instance_id": found["instance_id"],
        "state": found["state"],
    }
    if any(query.get(name) not in (None, value) for name, value in wanted.items()):
        return False
    before = query.get("expiring_before")
    if before is None:
        return True
    ends = found["expires_at"]
    return ends is not None and datetime.fromisoformat(ends) < datetime.fromisoformat(before)


def _told(record: ResultRecord) -> dict[str, Any]:
    data = record.result.data.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    kept = ("outcome", "problem", "parts", "association_id", "held_by")
    return {
        **{name: data[name] for name in kept if name in data},
        "final": record.result.data.final,
        "at": record.result.time.isoformat(),
    }
