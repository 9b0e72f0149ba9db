"""Who is who: ECRs, the accounts B with their roles, what each may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from shared.contract import (
    AccountUid,
    EcrId,
    InstanceId,
    Language,
    Model,
    Name,
    Outcome,
    RegionId,
    listed,
)
from shared.registry.cleaning import Cleanup, CleanupRules, Days, Line
from shared.registry.contradictions import Contradiction, contradictions

if TYPE_CHECKING:
    from datetime import datetime

    from shared.contract import AuthorizationId
    from shared.registry.cleaning import Exemption, Freeze


ByHand = Literal["wait", "dissociate", "refuse"]
Host = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Ecr(Model):
    """An Express Connect Router of account A.

    `by_hand` says what a revoke does while account A's people have the instance attached (grants
    with `attach: false`): wait for them, dissociate all the same, or refuse.

    `vpc_quota` is how many VPCs the ECR takes, as Quota Center shows it: no call says the number.
    """

    owner_uid: AccountUid
    name: Line | None = None
    by_hand: ByHand = "wait"
    vpc_quota: Annotated[int, Field(ge=1, le=100_000)] | None = None
    default_lease_days: Days | None = None
    longest_lease_days: Days | None = None
    cleanup: CleanupRules | None = None


class Allowed(Model):
    """What an account may ask for on one ECR. `instances` left out: any instance it owns."""

    ecr_id: EcrId
    regions: Annotated[tuple[RegionId, ...], Field(min_length=1)]
    instances: tuple[InstanceId, ...] | None = None

    _listed = field_validator("regions", "instances", mode="before")(listed)


class CrossAccountVbr(Model):
    """Alibaba Cloud has enabled this account's VBRs for other accounts' ECRs.

    `proof` says where that is on record: the support case, the customer manager's confirmation.
    """

    proof: Line


class Account(Model):
    """An account B: the role that we assume there, and what it may ask for."""

    name: Line
    role_arn: Annotated[str, Field(pattern=r"^acs:ram::[0-9]{16}:role/[A-Za-z0-9._-]{1,64}$")]
    may: tuple[Allowed, ...] = ()
    cross_account_vbr: CrossAccountVbr | None = None
    default_lease_days: Days | None = None
    longest_lease_days: Days | None = None
    cleanup: CleanupRules | None = None

    _listed = field_validator("may", mode="before")(listed)


class Scope(Model):
    """The accounts B and the ECRs that somebody may ask for, or may read of."""

    accounts: Literal["all"] | tuple[AccountUid, ...]
    ecrs: Literal["all"] | tuple[EcrId, ...]

    _listed = field_validator("accounts", "ecrs", mode="before")(listed)

    def covers(self, account_uid: str, ecr_id: str) -> bool:
        """Both the account B and the ECR are in it."""
        return (self.accounts == "all" or account_uid in self.accounts) and (
            self.ecrs == "all" or ecr_id in self.ecrs
        )


class Requires(Model):
    """What a sender's tickets must show, at intake and again when the work is begun.

    Args:
        approval: The ticket is approved.
        another_approver: Somebody else than the requester is among those who approved.
        open_window: The ticket has a change window, and it is open.
    """

    approval: bool = False
    another_approver: bool = False
    open_window: bool = False


class Sender(Scope):
    """A ticketing system that posts requests to intake, known by its webhook secret.

    Args:
        mapping: How its payloads are read (`mappings/NAME.yaml`); without one they are requests
            as contracts/ has them.
        requires: What its tickets must show.
        callback_hosts: Where its answers may be written back to; no other host is ever called.
        per_minute: How many requests it may post.
        language: Of its answers, where the request does not say.
    """

    mapping: Name | None = None
    requires: Requires = Requires()
    callback_hosts: tuple[Host, ...] = ()
    per_minute: Annotated[int, Field(ge=1, le=6000)] = 60
    language: Language = "en"

    _hosts_listed = field_validator("callback_hosts", mode="before")(listed)


class Reader(Scope):
    """Who may read what became of requests, known by a bearer token of which the hash is here.

    Args:
        token_sha256: `ecrauth token new` makes a token and says its hash; two while one is rotated.
    """

    token_sha256: Annotated[tuple[Sha256, ...], Field(min_length=1)]

    _tokens_listed = field_validator("token_sha256", mode="before")(listed)


class ConsoleRole(Scope):
    """What people may do in the console who have a value of the sign-in's roles claim.

    Args:
        may: `view` what is in the scope; `act`: also ask for renewals and revokes there.
    """

    may: Literal["view", "act"]


class Chat(Model):
    """A chat that is told of results; its URL is a secret and comes from the environment.

    Args:
        system: The mapping whose answers are sent (`slack`, `dingtalk_chat`).
        host: The only host that the URL may have.
        outcomes: Which results it is told.
    """

    system: Name
    host: Host
    language: Language = "en"
    outcomes: tuple[Outcome, ...] = ("failed", "rejected")

    _listed = field_validator("outcomes", mode="before")(listed)


class Doctor(Model):
    """How often the accounts B are examined by the timer; null: only when `ecrauth doctor` asks."""

    every_hours: Annotated[int, Field(ge=1, le=8760)] | None = None


class Registry(Model):
    """registry.yaml, checked."""

    ecrs: dict[EcrId, Ecr]
    accounts: dict[AccountUid, Account]
    senders: dict[Name, Sender] = Field(default_factory=dict)
    readers: dict[Name, Reader] = Field(default_factory=dict)
    chats: dict[Name, Chat] = Field(default_factory=dict)
    console: dict[Line, ConsoleRole] = Field(default_factory=dict)
    cleanup: Cleanup = Cleanup()
    doctor: Doctor = Doctor()

    def rules(self, of: AuthorizationId) -> CleanupRules:
        """The clean-up's rules for one authorization: the account's before the ECR's before all."""
        ecr, account = self.ecrs.get(of.ecr_id), self.accounts.get(of.instance_owner_uid)
        rules = self.cleanup.rules.changed_by(ecr.cleanup if ecr else None)
        return rules.changed_by(account.cleanup if account else None)

    def frozen(self, now: datetime) -> Freeze | None:
        """The freeze that it is now, if it is one."""
        return next((one for one in self.cleanup.freezes if one.since <= now < one.until), None)

    def exemption(self, of: AuthorizationId, lease: str | None, now: datetime) -> Exemption | None:
        """What keeps the clean-up off this lease, or off what no lease holds."""
        found = self.cleanup.exemptions
        return next((one for one in found if one.covers(of, lease, now)), None)

    @model_validator(mode="after")
    def _fits_together(self) -> Registry:
        found = list(contradictions(self))
        if found:
            raise Contradiction(found)
        return self
