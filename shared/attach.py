"""The attach function's work: results in; associate and dissociate in account A; results out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from shared import policy
from shared.cloud.errors import Refused
from shared.contract import BadMessage, Problem, Wake, read_result, read_wake
from shared.converge import Step
from shared.log import correlate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.authorization import Authorization
    from shared.cloud.credentials import Credentials
    from shared.cloud.router import Router
    from shared.registry import Registry
    from shared.run import Action, Again, Change
    from shared.settle import Settler

log = structlog.get_logger()


@dataclass(frozen=True)
class Attach:
    """Takes messages of the attachment queue: results that say what account A is to do.

    A result only wakes: what is done follows from the ledger. So a forged one does nothing.

    Args:
        settler: Does the work in account A.
    """

    settler: Settler

    def take(self, document: dict[str, Any], sent_at: datetime) -> Again | None:  # noqa: ARG002 -- the workers' one form
        """Do what is wanted in account A. Raises BadMessage, CloudFailure, LedgerUnavailable."""
        if "wake" in document:
            return self.settler.wake(read_wake(document))
        result = read_result(document)
        correlate(ticket=result.data.ticket, request_id=result.data.request_id)
        if result.data.authorization is None:
            return None
        return self.settler.settle(result.data.authorization, known_only=True)

    def give_up(self, document: dict[str, Any], problem: Problem) -> Wake | None:
        """The message's request has failed, if it is open still."""
        if "wake" in document:
            return None
        return self.settler.give_up(read_result(document).data, problem)

    def refuse(self, bad: BadMessage, digest: str) -> None:  # noqa: ARG002 -- the workers' one form
        """Nobody can be told: only our own functions publish results."""
        log.warning("message_refused", reason=str(bad))


@dataclass(frozen=True)
class AccountA:
    """The steps that are taken in the ECR's account, with the function's own role.

    Args:
        router: The ECR API.
        credentials: The function's own.
        registry: Which ECRs are ours.
        now: The clock, UTC.
    """

    router: Router
    credentials: Callable[[], Credentials]
    registry: Registry
    now: Callable[[], datetime]

    @property
    def actions(self) -> Mapping[Step, Action]:
        """How each step of account A is taken."""
        return {
            Step.ASSOCIATE: self._associate,
            Step.DISSOCIATE: self._dissociate,
            Step.LOOK_AT_ASSOCIATION: self._look,
        }

    def _associate(self, record: Authorization) -> Change:
        if policy.access_refusal(record.id, self.registry) is not None:
            raise Refused("NotInRegistry", "the registry does not allow it")
        token = record.token("associate")
        association_id = self.router.associate(self.credentials(), record.id, token)
        return lambda latest: latest.said_associated(association_id, self.now())

    def _dissociate(self, record: Authorization) -> Change:
        self._check(record)
        association_id = record.association.association_id or ""
        token = record.token("dissociate")
        self.router.dissociate(self.credentials(), record.id, association_id, token)
        return lambda latest: latest.said_dissociated(self.now())

    def _look(self, record: Authorization) -> Change:
        self._check(record)
        at = self.now()  # not after the call: what it shows is no younger than this
        seen = self.router.association(self.credentials(), record.id)
        return lambda latest: latest.saw_association(seen.state, seen.association_id, at)

    def _check(self, record: Authorization) -> None:
        ecr = self.registry.ecrs.get(record.id.ecr_id)
        if ecr is None or ecr.owner_uid != record.id.ecr_owner_uid:
            raise Refused("NotInRegistry", "the registry does not name the ECR")
