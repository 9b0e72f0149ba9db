"""What readers are told, each of its own accounts and ECRs: requests, and what stands."""

from __future__ import annotations

import base64
import binascii
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from pydantic import ValidationError

from shared.contract import AuthorizationId, Request
from shared.intake.models import Page
from shared.intake.notes import owners_of, posted
from shared.intake.problems import Refusal, not_found
from shared.intake.status import Known, standing, status
from shared.ledger import Place, Wanted

if TYPE_CHECKING:
    from shared.authorization import Authorization
    from shared.contract import Bundle
    from shared.intake.models import Listing, RequestStatus
    from shared.ledger import Ledger
    from shared.registry import Registry, Scope


@dataclass(frozen=True)
class Reading:
    """Tells readers what the ledger knows.

    Args:
        ledger: Where it is known.
        registry: What account A's people want of what they attach by hand.
    """

    ledger: Ledger
    registry: Registry

    def request(self, reader: Scope, request_id: str) -> RequestStatus:
        """What became of a request; Refusal where it is not there, or not in the reader's scope."""
        known = self._known(request_id)
        if known is None or not _may_see(reader, known):
            raise not_found("There is no such request.")
        return status(known)

    def authorizations(self, reader: Scope, asked: Listing) -> Page:
        """A page of what stands in the reader's scope. Refusal where the cursor is none."""
        found, after = self.records(wanted_by(reader, asked), asked)
        return Page(authorizations=tuple(standing(one) for one in found), next=after)

    def records(
        self, wanted: Wanted, asked: Listing
    ) -> tuple[tuple[Authorization, ...], str | None]:
        """A page of records, and the cursor of the next. Refusal where the cursor is none."""
        query = sha256(f"{asked.order} {wanted.model_dump_json()}".encode()).hexdigest()[:16]
        after = _place(asked.cursor, query) if asked.cursor is not None else None
        found = self.ledger.search(wanted, asked.limit + 1, after, asked.order)
        page = found[: asked.limit]
        after_it = _cursor(page[-1][0], query) if len(found) > asked.limit else None
        return tuple(one for _, one in page if one is not None), after_it

    def _known(self, request_id: str) -> Known | None:
        note = posted(self.ledger, request_id)
        known = self._of(request_id, note.request if note else None)
        if note is None or known is None:
            return known
        # What was received under the id is what is told of, should it be something else.
        is_it = known.asked is None or known.asked.fingerprint == note.fingerprint
        return replace(known, posted_at=note.posted_at) if is_it else known

    def _of(self, request_id: str, noted: Request | Bundle | None) -> Known | None:
        record = self.ledger.request(request_id)
        results = self.ledger.results(request_id)
        asked = record.request if record else noted
        if asked is None and not results:
            return None
        held = None
        if isinstance(asked, Request):
            held = self.ledger.authorization(asked.authorization.key)
        parts = {}
        if asked is not None and not isinstance(asked, Request):
            for part in asked.parts:
                of_part = self._of(part.request_id, part)
                if of_part is not None:
                    parts[part.request_id] = of_part
        ecr = self.registry.ecrs.get(asked.ecr_id) if asked else None
        return Known(
            request_id=request_id,
            asked=asked,
            record=record,
            results=results,
            authorization=held[0] if held else None,
            by_hand=ecr.by_hand if ecr else "wait",
            parts=parts,
        )


def wanted_by(reader: Scope, asked: Listing) -> Wanted:
    """What is asked for, within the reader's scope. Pure."""
    return Wanted(
        ecr_ids=_narrowed(reader.ecrs, asked.ecr_id),
        accounts=_narrowed(reader.accounts, asked.account_uid),
        instance_id=asked.instance_id,
        state=asked.state,
        ends_before=asked.expiring_before,
    )


def _may_see(reader: Scope, known: Known) -> bool:
    """All that the request is about; what was no request is for those who see everything."""
    if known.asked is None:
        return reader.accounts == "all" and reader.ecrs == "all"
    ecr_id = known.asked.ecr_id
    return all(reader.covers(owner, ecr_id) for owner in owners_of(known.asked))


def _narrowed(scope: str | tuple[str, ...], asked: str | None) -> tuple[str, ...] | None:
    """What is asked for, within the scope; None where neither is narrower than all."""
    if asked is None:
        return None if isinstance(scope, str) else scope
    return (asked,) if isinstance(scope, str) or asked in scope else ()


def _cursor(place: Place, query: str) -> str:
    raw = json.dumps([query, place.model_dump(mode="json")], separators=(",", ":"))
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def _place(cursor: str, query: str) -> Place:
    """Where the page before ended; Refusal where the cursor is not of this query."""
    with suppress(ValueError, TypeError, binascii.Error, ValidationError, RecursionError):
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        made_for, place = json.loads(raw)
        found = Place.model_validate_json(json.dumps(place))
        AuthorizationId.of_key(found.key)
        if made_for == query:
            return found
    raise Refusal(
        "bad_query",
        "cursor: it is not one of this list.",
        "Give `next` of the page before, with the same filters, or no cursor.",
    )
