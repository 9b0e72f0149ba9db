"""What the Express Connect Routers know, and the rules by which it changes."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from localcloud.call import CloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from localcloud.cloud import Cloud
    from localcloud.world import Account, Vbr, Vpc


class Subject(NamedTuple):
    """What a grant is about: its identity, for it has no key in requests."""

    ecr_id: str
    ecr_owner_uid: str
    instance_id: str
    instance_type: str
    instance_region_id: str


@dataclass
class Grant:
    """An instance's account lets an ECR attach it. `revoked_at` is set while it is still shown."""

    subject: Subject
    instance_owner_uid: str
    grant_id: str
    created_at: float
    revoked_at: float | None = None


@dataclass
class Association:
    """An instance on an ECR. Its status follows from the time."""

    association_id: str
    subject: Subject
    instance_owner_uid: str
    created_at: float
    ready_at: float
    description: str = ""
    allowed_prefixes: list[str] = field(default_factory=list)
    allowed_prefixes_mode: str = ""
    gone_at: float | None = None

    def status(self, now: float) -> str:
        """CREATING, ACTIVE or DELETING; once it is gone it is not listed."""
        if self.gone_at is not None:
            return "DELETING"
        return "ACTIVE" if now >= self.ready_at else "CREATING"


@dataclass(frozen=True)
class _Answered:
    """What a ClientToken was answered: given again to the same request."""

    at: float
    params: dict[str, str]
    body: dict[str, Any]


class Ecr:
    """The state behind the ECR API. All methods are called under the cloud's lock."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._grants: dict[Subject, Grant] = {}
        self._grants_of_ecr: dict[str, dict[Subject, Grant]] = {}
        self._grants_of_instance: dict[str, dict[Subject, Grant]] = {}
        self._associations: dict[str, dict[str, Association]] = {}
        self._associations_of_instance: dict[str, dict[str, Association]] = {}
        self._leaving: dict[str, list[Association]] = {}
        self._busy_until: dict[str, float] = {}
        self._answers: dict[tuple[str, str, str], _Answered] = {}
        self._ids = itertools.count(1)

    # What is there ----------------------------------------------------------------------------

    def grants(self) -> list[Grant]:
        """All grants, seen or not yet."""
        return [grant for grant in self._grants.values() if grant.revoked_at is None]

    def associations(self) -> list[Association]:
        """All associations that are not gone."""
        return [one for ecr_id in list(self._associations) for one in self.associated(ecr_id)]

    def shown_grants(
        self, *, ecr_id: str | None = None, instance_id: str | None = None
    ) -> Iterable[Grant]:
        """The grants that a listing shows, oldest first, as far as they have become visible."""
        if ecr_id is not None:
            known = self._grants_of_ecr.get(ecr_id, {})
        elif instance_id is not None:
            known = self._grants_of_instance.get(instance_id, {})
        else:
            known = self._grants
        now = self._cloud.clock.now()
        lag = self._cloud.behaviour.switches.grant_visible_after_seconds
        for grant in list(known.values()):
            if grant.revoked_at is not None and now >= grant.revoked_at + lag:
                self._forget(grant)
            elif now >= grant.created_at + lag:
                yield grant

    def is_granted(self, subject: Subject) -> bool:
        """An association may be made: the grant is there and visible."""
        return any(
            grant.subject == subject and grant.revoked_at is None
            for grant in self.shown_grants(instance_id=subject.instance_id)
        )

    def associated(self, ecr_id: str) -> list[Association]:
        """The associations of an ECR that are not gone."""
        self._let_go(ecr_id)
        return list(self._associations.get(ecr_id, {}).values())

    def association_of(self, instance_id: str) -> list[Association]:
        """The associations of an instance that are not gone, on whatever ECR."""
        known = self._associations_of_instance.get(instance_id, {})
        for ecr_id in {one.subject.ecr_id for one in known.values()}:
            self._let_go(ecr_id)
        return list(known.values())

    def _let_go(self, ecr_id: str) -> None:
        now = self._cloud.clock.now()
        leaving = self._leaving.get(ecr_id, [])
        for one in [one for one in leaving if one.gone_at is not None and one.gone_at <= now]:
            leaving.remove(one)
            self._associations.get(ecr_id, {}).pop(one.association_id, None)
            self._associations_of_instance[one.subject.instance_id].pop(one.association_id, None)

    # What changes it --------------------------------------------------------------------------

    def grant(self, subject: Subject, instance_owner_uid: str) -> Grant:
        """The grant is there (by hand or by the API); one that is there already stays."""
        known = self._grants.get(subject)
        if known is not None and known.revoked_at is None:
            return known
        grant = Grant(subject, instance_owner_uid, self._id("gr"), self._cloud.clock.now())
        self._grants[subject] = grant
        self._grants_of_ecr.setdefault(subject.ecr_id, {})[subject] = grant
        self._grants_of_instance.setdefault(subject.instance_id, {})[subject] = grant
        return grant

    def revoke(self, subject: Subject) -> None:
        """The grant is gone, and no longer shown once that has become visible."""
        grant = self._grants.get(subject)
        if grant is None or grant.revoked_at is not None:
            return
        grant.revoked_at = self._cloud.clock.now()
        if self._cloud.behaviour.switches.grant_visible_after_seconds == 0:
            self._forget(grant)

    def associate(self, subject: Subject, instance_owner_uid: str, **details: Any) -> Association:
        """The instance is on its way onto the ECR."""
        now = self._cloud.clock.now()
        ready_at = now + self._cloud.behaviour.switches.operation_seconds
        association = Association(
            self._id("ecr-assoc"), subject, instance_owner_uid, now, ready_at, **details
        )
        self._associations.setdefault(subject.ecr_id, {})[association.association_id] = association
        of_instance = self._associations_of_instance.setdefault(subject.instance_id, {})
        of_instance[association.association_id] = association
        self._busy_until[subject.ecr_id] = max(ready_at, self._busy_until.get(subject.ecr_id, 0))
        return association

    def dissociate(self, association: Association) -> None:
        """The instance is on its way off the ECR."""
        now = self._cloud.clock.now()
        association.gone_at = now + self._cloud.behaviour.switches.operation_seconds
        ecr_id = association.subject.ecr_id
        self._leaving.setdefault(ecr_id, []).append(association)
        self._busy_until[ecr_id] = max(association.gone_at, self._busy_until.get(ecr_id, 0))

    def is_locked(self, ecr_id: str) -> bool:
        """The ECR has an operation that is not finished."""
        return self._cloud.clock.now() < self._busy_until.get(ecr_id, 0)

    def delete_instance(self, instance_id: str) -> None:
        """The VPC or VBR is gone from its account; grants and associations stay behind."""
        for account in self._cloud.world.accounts:
            account.vpcs = [one for one in account.vpcs if one.id != instance_id]
            account.vbrs = [one for one in account.vbrs if one.id != instance_id]

    def delete_ecr(self, ecr_id: str) -> None:
        """The ECR is gone with its associations; grants to it stay behind."""
        for account in self._cloud.world.accounts:
            account.ecrs = [one for one in account.ecrs if one.id != ecr_id]
        for one in self._associations.pop(ecr_id, {}).values():
            self._associations_of_instance[one.subject.instance_id].pop(one.association_id, None)

    def instance(self, instance_id: str, instance_type: str) -> tuple[Account, Vpc | Vbr] | None:
        """The instance and its owner, or None."""
        if instance_type == "VPC":
            return self._cloud.world.vpc(instance_id)
        return self._cloud.world.vbr(instance_id)

    # ClientToken ------------------------------------------------------------------------------

    def once(
        self,
        account_uid: str,
        action: str,
        params: dict[str, str],
        effect: Callable[[], dict[str, Any]],
    ) -> dict[str, Any]:
        """The answer to a request with a ClientToken: the first one, for as long as it is kept.

        A passing refusal (a lock, throttling) is not kept: nothing was done.
        """
        token = params.get("ClientToken", "")
        if not token:
            return effect()
        now = self._cloud.clock.now()
        switches = self._cloud.behaviour.switches
        key = (account_uid, action, token)
        first = self._answers.get(key)
        if first is not None and now - first.at <= switches.token_retention_seconds:
            if first.params != params and switches.token_reuse == "mismatch_is_error":  # noqa: S105 -- a switch
                raise CloudError(
                    400, "IdempotentParameterMismatch", "The token was used with other parameters."
                )
            return dict(first.body)
        body = effect()
        self._answers[key] = _Answered(now, dict(params), body)
        return body

    def _forget(self, grant: Grant) -> None:
        if self._grants.get(grant.subject) is grant:
            del self._grants[grant.subject]
            self._grants_of_ecr[grant.subject.ecr_id].pop(grant.subject, None)
            self._grants_of_instance[grant.subject.instance_id].pop(grant.subject, None)

    def _id(self, prefix: str) -> str:
        return f"{prefix}-{next(self._ids):06d}{secrets.token_hex(5)}"
