"""Who is who: ECRs, the accounts B with their roles, what each may ask for."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    field_validator,
    model_validator,
)

from shared.contract import (
    AccountUid,
    EcrId,
    InstanceId,
    Model,
    Name,
    Outcome,
    RegionId,
    RequestId,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from shared.contract import AuthorizationId

Place = tuple[str | int, ...]


def _trimmed(text: str) -> str:
    if text != text.strip() or any(one.isspace() and one != " " for one in text):
        raise ValueError("blanks around it, or blanks that are no space")
    return text


Line = Annotated[Text, AfterValidator(_trimmed)]
Days = Annotated[int, Field(ge=1, le=3650)]
ByHand = Literal["wait", "dissociate", "refuse"]
Host = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Contradiction(ValueError):
    """What no single entry shows: each place in the registry, and the reason."""

    def __init__(self, found: list[tuple[Place, str]]) -> None:
        place, reason = found[0]
        super().__init__(f"{'.'.join(map(str, place))}: {reason}")
        self.all = found


class CleanupRules(Model):
    """What the clean-up does, and from which age on; null switches a rule off.

    Args:
        unmanaged: A grant that no lease holds: report it, adopt it as a lease, or revoke it.
        missing: Access that a live lease asks for and account A does not show: report it, or have
            both accounts looked at, which gives it back.
        not_attached_days: A grant is stale that has not been attached for so long.
        stuck_hours: A request is stale that has waited for its answer for so long.
        ecr_gone: An ECR that account A does not show any more is reported.
        instance_gone: An instance that account B does not show any more is reported.
        cannot_verify: An account B that cannot be looked at is reported.
        warn_days: So many days before a lease ends its ticket is told, once each.
    """

    unmanaged: Literal["report", "adopt", "revoke"] = "report"
    missing: Literal["report", "repair"] = "report"
    not_attached_days: Annotated[int, Field(ge=1, le=3650)] | None = 30
    stuck_hours: Annotated[int, Field(ge=1, le=8760)] | None = 24
    ecr_gone: bool = True
    instance_gone: bool = True
    cannot_verify: bool = True
    warn_days: tuple[Annotated[int, Field(ge=1, le=365)], ...] = (14, 3)

    @field_validator("warn_days", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

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
    """How the clean-up goes about it. `observe`: it looks and reports, and asks for nothing."""

    observe: bool = False
    brake: Brake = Brake()
    rules: CleanupRules = CleanupRules()
    freezes: tuple[Freeze, ...] = ()
    exemptions: tuple[Exemption, ...] = ()

    @field_validator("freezes", "exemptions", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


class Ecr(Model):
    """An Express Connect Router of account A.

    `by_hand` says what a revoke does while account A's people have the instance attached (grants
    with `attach: false`): wait for them, dissociate all the same, or refuse.
    """

    owner_uid: AccountUid
    name: Line | None = None
    by_hand: ByHand = "wait"
    default_lease_days: Days | None = None
    longest_lease_days: Days | None = None
    cleanup: CleanupRules | None = None


class Allowed(Model):
    """What an account may ask for on one ECR. `instances` left out: any instance it owns."""

    ecr_id: EcrId
    regions: Annotated[tuple[RegionId, ...], Field(min_length=1)]
    instances: tuple[InstanceId, ...] | None = None

    @field_validator("regions", "instances", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


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

    @field_validator("may", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


class Scope(Model):
    """The accounts B and the ECRs that somebody may ask for, or may read of."""

    accounts: Literal["all"] | tuple[AccountUid, ...]
    ecrs: Literal["all"] | tuple[EcrId, ...]

    @field_validator("accounts", "ecrs", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

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
    language: Literal["en", "zh"] = "en"

    @field_validator("callback_hosts", mode="before")
    @classmethod
    def _hosts_listed(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


class Reader(Scope):
    """Who may read what became of requests, known by a bearer token of which the hash is here.

    Args:
        token_sha256: `ecrauth token new` makes a token and says its hash; two while one is rotated.
    """

    token_sha256: Annotated[tuple[Sha256, ...], Field(min_length=1)]

    @field_validator("token_sha256", mode="before")
    @classmethod
    def _tokens_listed(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


class Chat(Model):
    """A chat that is told of results; its URL is a secret and comes from the environment.

    Args:
        system: The mapping whose answers are sent (`slack`, `dingtalk_chat`).
        host: The only host that the URL may have.
        outcomes: Which results it is told.
    """

    system: Name
    host: Host
    language: Literal["en", "zh"] = "en"
    outcomes: tuple[Outcome, ...] = ("failed", "rejected")

    @field_validator("outcomes", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


class Registry(Model):
    """registry.yaml, checked."""

    ecrs: dict[EcrId, Ecr]
    accounts: dict[AccountUid, Account]
    senders: dict[Name, Sender] = Field(default_factory=dict)
    readers: dict[Name, Reader] = Field(default_factory=dict)
    chats: dict[Name, Chat] = Field(default_factory=dict)
    cleanup: Cleanup = Cleanup()

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


def contradictions(registry: Registry) -> Iterator[tuple[Place, str]]:
    """Where entries do not fit each other."""
    names: dict[str, str] = {}
    for uid, account in registry.accounts.items():
        place: Place = ("accounts", uid)
        if account.role_arn.split(":")[3] != uid:
            yield (*place, "role_arn"), "is a role of another account"
        alike = unicodedata.normalize("NFKC", account.name).casefold()
        if alike in names:
            yield (*place, "name"), f"is {names[alike]}'s name, too"
        names[alike] = uid
        yield from _allowed(registry, account, place)
    yield from _scopes(registry)
    for number, freeze in enumerate(registry.cleanup.freezes):
        if freeze.until <= freeze.since:
            yield ("cleanup", "freezes", number, "until"), "is not after since"


def _scopes(registry: Registry) -> Iterator[tuple[Place, str]]:
    for kind, scopes in (("senders", registry.senders), ("readers", registry.readers)):
        for name, scope in scopes.items():
            yield from _unknown((kind, name, "accounts"), scope.accounts, registry.accounts)
            yield from _unknown((kind, name, "ecrs"), scope.ecrs, registry.ecrs)
    seen: dict[str, str] = {}
    for name, reader in registry.readers.items():
        for number, token in enumerate(reader.token_sha256):
            if token in seen:
                yield ("readers", name, "token_sha256", number), f"is {seen[token]}'s token, too"
            seen[token] = name


def _allowed(registry: Registry, account: Account, place: Place) -> Iterator[tuple[Place, str]]:
    for number, ecr_id in _twice([allowed.ecr_id for allowed in account.may]):
        yield (*place, "may", number, "ecr_id"), f"names {ecr_id} twice"
    for number, allowed in enumerate(account.may):
        here: Place = (*place, "may", number)
        if allowed.ecr_id not in registry.ecrs:
            yield (*here, "ecr_id"), f"names {allowed.ecr_id}, which is not in ecrs"
        for key, listed in (("regions", allowed.regions), ("instances", allowed.instances or ())):
            for index, one in _twice(listed):
                yield (*here, key, index), f"names {one} twice"


def _twice(listed: Iterable[str]) -> Iterator[tuple[int, str]]:
    """What was there before, each time it comes again."""
    seen: set[str] = set()
    for number, one in enumerate(listed):
        if one in seen:
            yield number, one
        seen.add(one)


def _unknown(
    place: Place, names: Literal["all"] | tuple[str, ...], known: Collection[str]
) -> Iterator[tuple[Place, str]]:
    if names != "all":
        for number, name in _twice(names):
            yield (*place, number), f"names {name} twice"
        for number, name in enumerate(names):
            if name not in known:
                yield (*place, number), f"names {name}, which the registry does not have"
