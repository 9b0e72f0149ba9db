"""What registry.yaml says about the clean-up: rules, brake, freezes, exemptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field, field_validator, model_validator

from shared.contract import AccountUid, EcrId, InstanceId, Model, RequestId, Text, listed

if TYPE_CHECKING:
    from datetime import datetime

    from shared.contract import AuthorizationId


def _trimmed(text: str) -> str:
    if text != text.strip() or any(one.isspace() and one != " " for one in text):
        raise ValueError("blanks around it, or blanks that are no space")
    return text


Days = Annotated[int, Field(ge=1, le=3650)]
Line = Annotated[Text, AfterValidator(_trimmed)]


class CleanupRules(Model):
    """What the clean-up does, and from which age on; null switches a rule off.

    Args:
        unmanaged: A grant that no lease holds: report it, adopt it as a lease, or revoke it.
        missing: Access that a live lease asks for and account A does not show: report it, or have
            both accounts looked at, which gives it back.
        not_attached_days: A grant is stale that has not been attached for so long.
        stuck_hours: A request is stale that has waited for its answer for so long.
        unpublished_hours: A result is stale that was made so long ago and is not on the topic.
        ecr_gone: An ECR that account A does not show any more is reported.
        instance_gone: An instance that account B does not show any more is reported.
        cannot_verify: An account B that cannot be looked at is reported.
        warn_days: So many days before a lease ends its ticket is told, once each.
    """

    unmanaged: Literal["report", "adopt", "revoke"] = "report"
    missing: Literal["report", "repair"] = "report"
    not_attached_days: Annotated[int, Field(ge=1, le=3650)] | None = 30
    stuck_hours: Annotated[int, Field(ge=1, le=8760)] | None = 24
    unpublished_hours: Annotated[int, Field(ge=1, le=8760)] | None = 1
    ecr_gone: bool = True
    instance_gone: bool = True
    cannot_verify: bool = True
    warn_days: tuple[Annotated[int, Field(ge=1, le=365)], ...] = (14, 3)

    _listed = field_validator("warn_days", mode="before")(listed)

    def changed_by(self, other: CleanupRules | None) -> CleanupRules:
        """These rules, but for those that `other` gives."""
        given = other.model_fields_set if other else ()
        return self.model_copy(update={name: getattr(other, name) for name in given})


class Brake(Model):
    """When a run of the clean-up asks for nothing, and waits for an operator.

    Args:
        most: More revokes than this are too many.
        percent: More of what it has seen than this is too much.
        always: As many as this are never too many, whatever part they are.
    """

    most: Annotated[int, Field(ge=0)] = 50
    percent: Annotated[float, Field(ge=0, le=100)] = 20
    always: Annotated[int, Field(ge=0)] = 5

    def stops(self, wanted: int, seen: int) -> bool:
        """So many revokes, of so many authorizations seen, are too many at once."""
        if wanted <= min(self.always, self.most):
            return False
        return wanted > self.most or wanted > seen * self.percent / 100


class Freeze(Model):
    """A time without new grants (renewals go on) and without revokes of the clean-up."""

    since: AwareDatetime
    until: AwareDatetime
    reason: Line


class Exemption(Model):
    """What the clean-up leaves alone until a time; what is not given stands for all."""

    reason: Line
    until: AwareDatetime
    ecr_id: EcrId | None = None
    account: AccountUid | None = None
    instance_id: InstanceId | None = None
    lease: RequestId | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Exemption:
        if not (self.ecr_id or self.account or self.instance_id or self.lease):
            raise ValueError("an exemption names an ecr_id, an account, an instance_id or a lease")
        return self

    def covers(self, of: AuthorizationId, lease: str | None, now: datetime) -> bool:
        """It holds now for this authorization, and for this lease of it."""
        return (
            now < self.until
            and self.ecr_id in (None, of.ecr_id)
            and self.account in (None, of.instance_owner_uid)
            and self.instance_id in (None, of.instance_id)
            and self.lease in (None, lease)
        )


class Cleanup(Model):
    """How the clean-up goes about it.

    `observe`: it looks and reports, and asks for nothing. `audit_days`: each account B is asked
    for its word on everything every so many days; null: only when an operator asks for it.
    """

    observe: bool = False
    audit_days: Days | None = None
    brake: Brake = Brake()
    rules: CleanupRules = CleanupRules()
    freezes: tuple[Freeze, ...] = ()
    exemptions: tuple[Exemption, ...] = ()

    _listed = field_validator("freezes", "exemptions", mode="before")(listed)
