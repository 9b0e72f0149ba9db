"""A request that is posted: checked, noted on the ledger, and then put on the request queue.

note `posted/ID` ── note `webhook/SENDER/ID` ── send ── `posted/ID` is sent
        └ a crash in between: the sender has no answer and posts again, which goes on from here

What the registry refuses for good is refused here already, and leaves no note.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from shared import policy
from shared.contract import (
    MAX_MESSAGE_BYTES,
    BadMessage,
    Bundle,
    NotAnObject,
    Request,
    read_as,
    read_bundle,
    read_object,
    read_request,
)
from shared.intake import pace
from shared.intake.models import Accepted, Again, Cancellation, Renewal
from shared.intake.notes import (
    Heard,
    Posted,
    asked_of,
    owners_of,
    posted,
    posted_key,
    webhook_key,
)
from shared.intake.problems import Refusal, not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from shared.contract import Problem
    from shared.inbox import Send
    from shared.intake.webhooks import Signed
    from shared.ledger import Ledger
    from shared.registry import Registry, Sender

log = structlog.get_logger()

_TRIES: Final = 5
_OURS: Final = ("sender", "part_of")
"""Fields that nobody posts: they say what we know."""


class MapsRequest(Protocol):
    """How a sender's payload becomes the document of a request or bundle; may raise BadMessage."""

    def request(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The document."""


@dataclass(frozen=True)
class Posting:
    """Takes requests in.

    Args:
        ledger: Where they are noted.
        registry: Who may ask for what.
        mappings: How payloads are read, by name.
        systems: The mappings that have an answer: what a callback's `system` may be.
        send: Puts a message on a queue.
        queue: The request queue's name.
        now: The clock, UTC.
    """

    ledger: Ledger
    registry: Registry
    mappings: Mapping[str, MapsRequest]
    systems: Collection[str]
    send: Send
    queue: str
    now: Callable[[], datetime]

    def ask(self, signed: Signed, body: bytes) -> Accepted:
        """A request or bundle, in our words or its sender's. Raises Refusal, CloudFailure."""

        def read(sender: Sender) -> dict[str, Any]:
            payload = read_object(body)
            if sender.mapping is not None:
                return self.mappings[sender.mapping].request(payload)
            return payload

        return self._take(signed, body, "", read)

    def renew(self, signed: Signed, body: bytes, request_id: str) -> Accepted:
        """A new lease on what the request has granted. Raises Refusal, CloudFailure."""

        def read(sender: Sender) -> dict[str, Any]:
            asked = _own(Renewal, body)
            granted = self._granted(sender, request_id)
            dropped = {"sender", "part_of", "approval", "callback", "requester", "reason"}
            kept = granted.model_dump(mode="json", exclude=dropped, exclude_none=True)
            kept.pop("requested_at", None)
            return {**kept, **asked}

        return self._take(signed, body, f"renew/{request_id}", read)

    def cancel(self, signed: Signed, body: bytes, request_id: str) -> Accepted:
        """The end of the lease that the request has granted. Raises Refusal, CloudFailure."""

        def read(sender: Sender) -> dict[str, Any]:
            asked = _own(Cancellation, body)
            granted = self._granted(sender, request_id)
            names = ("ecr_id", "ecr_owner_uid", "instances", "instance_id", "instance_type")
            kept = granted.model_dump(
                mode="json", include={*names, "instance_region_id", "instance_owner_uid"}
            )
            return {**kept, **asked, "action": "revoke", "lease": request_id}

        return self._take(signed, body, f"cancel/{request_id}", read)

    def send_on(self, known: Posted) -> Accepted:
        """A request that is noted is on the queue, if it was not before. Raises CloudFailure."""
        asked = known.request
        if not known.is_sent:
            self.send(self.queue, asked.model_dump_json(exclude_none=True))
            key = posted_key(asked.request_id)
            done = known.model_copy(update={"is_sent": True})
            # Version 1 is the note that was put first: somebody else may have sent it meanwhile.
            self.ledger.put_note(key, done.model_dump_json(exclude_defaults=True), 1)
            log.info("request_sent", request_id=asked.request_id, sender=asked.sender)
        return Accepted(
            request_id=asked.request_id,
            status_url=f"/requests/{asked.request_id}",
            parts=tuple(p.request_id for p in asked.parts) if isinstance(asked, Bundle) else (),
        )

    def _take(
        self,
        signed: Signed,
        body: bytes,
        what: str,
        read: Callable[[Sender], dict[str, Any]],
    ) -> Accepted:
        sender = self.registry.senders[signed.sender]
        self._keep_pace(signed.sender, sender)
        digest = sha256(what.encode() + b"\n" + body).hexdigest()
        key = webhook_key(signed.sender, signed.webhook_id)
        heard = self._heard(key, digest)
        if heard is not None:
            return self._again(heard)
        asked = self._asked(signed.sender, sender, read)
        known = self._noted(asked)
        note = Heard(digest=digest, request_id=asked.request_id)
        if not self.ledger.put_note(key, note.model_dump_json(), 0):
            self._heard(key, digest)  # another instance was quicker: with the same message?
        return self.send_on(known)

    def _keep_pace(self, name: str, sender: Sender) -> None:
        over = pace.wait(self.ledger, f"intake/{name}", sender.per_minute, self.now())
        if over is not None:
            seconds = math.ceil(over.total_seconds())
            log.warning("sender_too_fast", sender=name)
            raise Refusal(
                "rate_limited",
                f"Sender {name} may post {sender.per_minute} requests a minute.",
                f"Post the same message again in {seconds} s.",
                {"Retry-After": str(seconds)},
            )

    def _heard(self, key: str, digest: str) -> Heard | None:
        found = self.ledger.note(key)
        if found is None:
            return None
        heard = Heard.model_validate_json(found[0])
        if heard.digest != digest:
            raise Refusal(
                "webhook_id_reused",
                "This webhook id was used before, for another message.",
                "Send each message with a webhook id of its own.",
            )
        return heard

    def _again(self, heard: Heard) -> Accepted:
        known = posted(self.ledger, heard.request_id)
        assert known is not None  # noqa: S101 -- it was noted before the webhook was
        log.info("webhook_repeated", request_id=heard.request_id)
        return self.send_on(known)

    def _asked(
        self, name: str, sender: Sender, read: Callable[[Sender], dict[str, Any]]
    ) -> Request | Bundle:
        """What is asked, in this sender's name; or Refusal with the fields that are wrong."""
        try:
            document = read(sender)
            given = [field for field in _OURS if field in document]
            if given:
                raise BadMessage(f"{', '.join(given)}: not to be given, it is filled in here")
            callback = document.get("callback")
            if isinstance(callback, dict):
                document = {**document, "callback": {"language": sender.language, **callback}}
            document = {**document, "sender": name}
            return read_bundle(document) if "instances" in document else read_request(document)
        except BadMessage as bad:
            raise _malformed(bad) from None

    def _noted(self, asked: Request | Bundle) -> Posted:
        """The note of this request id, new or as it was; Refusal where it is of another request."""
        key, now = posted_key(asked.request_id), self.now()
        note = Posted(request=asked, fingerprint=asked.fingerprint, posted_at=now)
        for _ in range(_TRIES):
            known = posted(self.ledger, asked.request_id)
            if known is not None:
                _check_same(known.fingerprint, asked)
                return known
            record = self.ledger.request(asked.request_id)
            if record is not None:  # it came by the queue
                note = note.model_copy(update={"is_sent": True})
                _check_same(record.fingerprint, asked)
            else:
                self._check(asked, now)
            if self.ledger.put_note(key, note.model_dump_json(exclude_defaults=True), 0):
                log.info("request_posted", request_id=asked.request_id, sender=asked.sender)
                return note
        raise RuntimeError("a note was neither there nor could it be put")

    def _check(self, asked: Request | Bundle, now: datetime) -> None:
        """Refusal where authorize would refuse all of it, or where one spoils the others."""
        if isinstance(asked, Request):
            found = [self._refusal(asked, now)]
        else:
            found = [self._refusal(part, now) for part in asked.parts]
        spoils_all = isinstance(asked, Bundle) and asked.mode == "all_or_nothing"
        bad = [problem for problem in found if problem is not None]
        if bad and (spoils_all or len(bad) == len(found)):
            log.info("request_refused", request_id=asked.request_id, code=bad[0].code)
            raise Refusal.of(bad[0])
        self._check_system(asked)

    def _check_system(self, asked: Request | Bundle) -> None:
        """Refusal where no mapping has an answer for the system that is to be told."""
        if asked.callback is None or asked.callback.system in self.systems:
            return
        log.info("request_refused", request_id=asked.request_id, code="callback_system_unknown")
        known = ", ".join(sorted(self.systems))
        raise Refusal(
            "callback_system_unknown",
            "callback.system names no mapping that has an answer.",
            f"Give one of: {known}. Or have the network team add a mapping of that name.",
        )

    def _refusal(self, request: Request, now: datetime) -> Problem | None:
        known = self.ledger.authorization(request.authorization.key)
        return policy.refusal(
            policy.with_end(request, self.registry, now),
            self.registry,
            now,
            is_known=known is not None,
            is_held=known is not None and bool(known[0].live_leases),
        )

    def _granted(self, sender: Sender, request_id: str) -> Request | Bundle:
        """The grant with this id, where it is in the sender's scope; else Refusal."""
        asked = asked_of(self.ledger, request_id)
        if asked is None or not all(
            sender.covers(owner, asked.ecr_id) for owner in owners_of(asked)
        ):
            raise not_found("There is no such request.")
        if asked.action != "grant":
            raise Refusal(
                "not_a_grant",
                f"{request_id} is no grant.",
                "Give the request id of the grant whose lease is meant.",
            )
        return asked


def _check_same(fingerprint: str, asked: Request | Bundle) -> None:
    """Refusal where the request id is that of another request."""
    if asked.fingerprint != fingerprint:
        raise Refusal.of(policy.REUSED)


def _own(model: type[Again], body: bytes) -> dict[str, Any]:
    """The fields of a renewal or cancellation, as they came. Raises BadMessage."""
    document = read_object(body)
    read_as(model, document)
    return document


def _malformed(bad: BadMessage) -> Refusal:
    if isinstance(bad, NotAnObject):
        remedy = f"Post a JSON object of {MAX_MESSAGE_BYTES} bytes at most, in UTF-8."
        return Refusal("not_json", f"What was posted is no request: {bad}.", remedy)
    return Refusal(
        "malformed",
        f"The body is not a request: {bad}.",
        "Mend the fields named, as /openapi.json has them, and post it again.",
    )
