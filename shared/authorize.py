"""The authorize function's work: requests in; grant and revoke in account B; results out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from shared import leases, policy
from shared.announce import Announcer, final_of, refused, unreadable
from shared.authorization import Authorization
from shared.bundles import Bundles, refused_bundle
from shared.cloud.errors import Refused
from shared.cloud.sessions import Role, session_name, session_policy
from shared.contract import (
    BadMessage,
    Problem,
    Request,
    read_bundle,
    read_request,
    read_result,
    read_settle,
    read_wake,
)
from shared.converge import Step
from shared.ids import is_foreign
from shared.ledger import Ledger, RequestRecord
from shared.log import correlate
from shared.problems import GAVE_UP, problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.cloud.credentials import Credentials
    from shared.cloud.network import Network
    from shared.cloud.router import Router
    from shared.cloud.sessions import Purpose, Sessions
    from shared.contract import AuthorizationId, Bundle, Outcome, Result, Wake
    from shared.external_ids import ExternalIdKeys
    from shared.registry import Registry
    from shared.run import Action, Again, Change
    from shared.settle import Settler
    from shared.testimony import Testimony

log = structlog.get_logger()


@dataclass(frozen=True)
class Authorize:
    """Takes messages of the request queue: requests, and `detached` results that wake it.

    Args:
        ledger: Where requests are remembered.
        registry: Who may ask for what.
        settler: Does the work in account B.
        bundles: Takes tickets for many instances apart, and answers for them.
        announcer: Answers what is refused.
        attached_by_hand: Whether account A's view shows the instance attached.
        testimony: Answers the questions of a full audit.
        now: The clock, UTC.
        examine: Goes on with a round of the doctor, where this function may.
    """

    ledger: Ledger
    registry: Registry
    settler: Settler
    bundles: Bundles
    announcer: Announcer
    attached_by_hand: Callable[[AuthorizationId], bool]
    testimony: Testimony
    now: Callable[[], datetime]
    examine: Callable[[dict[str, Any]], None] | None = None

    def take(self, document: dict[str, Any], sent_at: datetime) -> Again | None:
        """Do what the message asks. Raises BadMessage, CloudFailure, LedgerUnavailable."""
        if "wake" in document:
            return self.settler.wake(read_wake(document))
        if "specversion" in document:
            return self._take_result(read_result(document))
        if "settle" in document:
            self.bundles.settle(read_settle(document).settle)
        elif "audit" in document:
            self.testimony.take(document)
        elif "doctor" in document:
            self._examine(document)
        elif "instances" in document:
            self._take_bundle(read_bundle(document), sent_at)
        else:
            return self._take_request(read_request(document), sent_at)
        return None

    def _examine(self, document: dict[str, Any]) -> None:
        """A round of the doctor goes on. Raises BadMessage where nobody examines."""
        if self.examine is None:
            raise BadMessage("nobody is examined here")
        self.examine(document)

    def give_up(self, document: dict[str, Any], problem: Problem) -> Wake | None:
        """The message's request has failed, unless it has its answer.

        A bundle is not given up while its parts go their ways: the sweep comes back to it.
        """
        if document.keys() & {"wake", "settle", "instances", "doctor"}:
            return None
        if "audit" in document:
            self.testimony.give_up(document, problem.code)
            return None
        if "specversion" in document:
            return self.settler.give_up(read_result(document).data, problem)
        request = read_request(document)
        of = refused(request, problem, "failed")
        if not self.settler.is_open(of):
            # Before it is told: an instance that stands still with a copy must not take it later.
            self.settler.close(request.authorization, request.request_id)
        if not self.settler.is_open(of):
            self._answer(request, problem, "failed")
            return None
        return self.settler.give_up(of, problem)

    def refuse(self, bad: BadMessage, digest: str) -> None:
        """A message that bears a request id is answered, though it is no request."""
        log.warning("message_refused", reason=str(bad), request_id=bad.request_id)
        if bad.request_id is not None:
            self.announcer.announce(unreadable(bad.request_id, str(bad)), suffix=digest)

    def _take_result(self, result: Result) -> Again | None:
        correlate(ticket=result.data.ticket, request_id=result.data.request_id)
        if result.data.authorization is None:
            return None
        return self.settler.settle(result.data.authorization, known_only=True)

    def _take_request(self, request: Request, sent_at: datetime) -> Again | None:
        correlate(ticket=request.ticket, request_id=request.request_id)
        log.info("request_received", action=request.action, subject=request.authorization.key)
        record, is_new = self._recorded(request, sent_at)
        if is_foreign(record, request):
            self._reject(request, policy.REUSED, suffix=request.fingerprint[:12])
            return None
        # A part may have been refused with its bundle before its message came.
        if (not is_new or request.part_of) and self._has_its_answer(record):
            # Its first message may have put others' access in doubt, and come again for that.
            return self.settler.go_on(request.authorization, request.request_id)
        known = self.ledger.authorization(request.authorization.key)
        if known is not None and request.request_id in known[0].closed:
            # It was given up before it was taken, and the answer did not get to the ledger.
            self._answer(request, GAVE_UP, "failed")
            return None
        problem = self._refusal(request, record.received_at, known)
        if problem is not None:
            self._reject(request, problem)
            return None
        wanted = policy.with_end(request, self.registry, record.received_at)
        return self.settler.settle(
            request.authorization,
            lambda known: leases.take(known, wanted, record.sent_at, self.now()),
        )

    def _take_bundle(self, bundle: Bundle, sent_at: datetime) -> None:
        correlate(ticket=bundle.ticket, request_id=bundle.request_id)
        log.info("bundle_received", action=bundle.action, parts=len(bundle.instances))
        record, is_new = self._recorded(bundle, sent_at)
        if is_foreign(record, bundle):
            suffix = bundle.fingerprint[:12]
            self.announcer.announce(refused_bundle(bundle, policy.REUSED), suffix=suffix)
        elif is_new or not self._has_its_answer(record):
            self.bundles.take(bundle, record)

    def _recorded(self, asked: Request | Bundle, sent_at: datetime) -> tuple[RequestRecord, bool]:
        """What the ledger has under the request id now, and whether that is new."""
        record = RequestRecord(
            request=asked,
            fingerprint=asked.fingerprint,
            received_at=self.now(),
            sent_at=sent_at,
        )
        earlier = self.ledger.add_request(record)
        return (record, True) if earlier is None else (earlier, False)

    def _has_its_answer(self, earlier: RequestRecord) -> bool:
        """A repeated request that has its answer is given that again, and is not done again.

        An answer that was made before an instance died stands, too: what it says must stay true.
        """
        last = final_of(self.ledger.results(earlier.request.request_id))
        if last is None:
            return earlier.outcome is not None
        log.info("request_repeated", outcome=last.result.data.outcome)
        if earlier.outcome is None:
            self.announcer.publish_late(last)
        else:
            self.announcer.repeat(last)
        return True

    def _refusal(
        self, request: Request, received_at: datetime, known: tuple[Authorization, int] | None
    ) -> Problem | None:
        """Why the request may not be; one that has been taken already may."""
        if known is not None and known[0].has_taken(request.request_id):
            return None
        problem = policy.refusal(
            policy.with_end(request, self.registry, received_at),
            self.registry,
            received_at,
            is_known=known is not None,
            is_held=known is not None and bool(known[0].live_leases),
        )
        if problem is None and request.action == "revoke":
            found = known[0] if known else Authorization(id=request.authorization)
            problem = self._refusal_by_hand(found, request)
        return problem

    def _refusal_by_hand(self, known: Authorization, request: Request) -> Problem | None:
        """Where the registry says so, nothing is revoked that account A's people have attached."""
        if self.registry.ecrs[request.ecr_id].by_hand != "refuse":
            return None
        try:
            if known.association.by_us or not self.attached_by_hand(known.id):
                return None
        except Refused as refusal:
            return problem_of(refusal, Step.LOOK_AT_ASSOCIATION)
        return Problem(
            code="still_attached",
            message=f"{request.instance_id} is attached to {request.ecr_id} by hand.",
            remedy="Detach it in account A, then ask with a new request id.",
        )

    def _reject(self, request: Request, problem: Problem, suffix: str = "") -> None:
        self._answer(request, problem, "rejected", suffix)

    def _answer(
        self, request: Request, problem: Problem, outcome: Outcome, suffix: str = ""
    ) -> None:
        log.info("request_refused", outcome=outcome, code=problem.code)
        self.announcer.announce(refused(request, problem, outcome), suffix=suffix)


@dataclass(frozen=True)
class AccountB:
    """The steps that are taken in the instance's account, each as narrow a session as can be.

    Args:
        sessions: Assumes the registered role.
        router: The ECR API.
        network: The VPC API.
        registry: Whose roles they are.
        external_id_keys: What their ExternalIds are derived from.
        now: The clock, UTC.
    """

    sessions: Sessions
    router: Router
    network: Network
    registry: Registry
    external_id_keys: ExternalIdKeys
    now: Callable[[], datetime]

    @property
    def actions(self) -> Mapping[Step, Action]:
        """How each step of account B is taken."""
        return {
            Step.GRANT: self._grant,
            Step.REVOKE: self._revoke,
            Step.LOOK_AT_GRANT: self._look,
        }

    def authorized_at(self, of: AuthorizationId) -> datetime | None:
        """Since when the account shows the grant, for an audit; None where it shows none."""
        session = self._session(Authorization(id=of), "look", who="audit")
        return self.network.authorized_at(session, of)

    def _grant(self, record: Authorization) -> Change:
        if policy.access_refusal(record.id, self.registry) is not None:
            raise Refused("NotInRegistry", "the registry does not allow it")
        self.router.grant(self._session(record, "grant"), record.id, record.token("grant"))
        return lambda latest: latest.said_granted(self.now())

    def _revoke(self, record: Authorization) -> Change:
        self.router.revoke(self._session(record, "revoke"), record.id, record.token("revoke"))
        return lambda latest: latest.said_revoked(self.now())

    def _look(self, record: Authorization) -> Change:
        session = self._session(record, "look")
        at = self.now()  # not after the call: what it shows is no younger than this
        seen = self.network.authorized_at(session, record.id)
        return lambda latest: latest.saw_grant(seen, at)

    def _session(self, record: Authorization, purpose: Purpose, who: str = "sweep") -> Credentials:
        of = record.id
        account = self.registry.accounts.get(of.instance_owner_uid)
        ecr = self.registry.ecrs.get(of.ecr_id)
        if account is None or ecr is None or ecr.owner_uid != of.ecr_owner_uid:
            raise Refused("NotInRegistry", "the registry does not name the ECR or the account")
        role = Role(account.role_arn, *self.external_id_keys.of(of.instance_owner_uid))
        asking = [entry for entry in record.open if entry.action == purpose] or record.open
        ticket = asking[-1].ticket if asking else who
        return self.sessions.assume(
            role, session_policy(of, purpose), session_name("authorize", ticket)
        )
