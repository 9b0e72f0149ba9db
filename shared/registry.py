"""Who is who: ECRs, the accounts B with their roles, what each may ask for; from registry.yaml."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import yaml
from pydantic import (
    AwareDatetime,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from shared.contract import AccountUid, EcrId, InstanceId, Model, RegionId, RequestId, Text

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from shared.contract import AuthorizationId

MAX_BYTES: Final = 4 * 1024 * 1024
Days = Annotated[int, Field(ge=1, le=3650)]
ByHand = Literal["wait", "dissociate", "refuse"]


class BadRegistry(ValueError):
    """registry.yaml cannot be used: what is wrong, and where."""


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
    reason: Text


class Exemption(Model):
    """What the clean-up leaves alone until a time; what is not given stands for all."""

    reason: Text
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
    name: Text | None = None
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

    proof: Text


class Account(Model):
    """An account B: the role that we assume there, and what it may ask for."""

    name: Text
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


class Registry(Model):
    """registry.yaml, checked."""

    ecrs: dict[EcrId, Ecr]
    accounts: dict[AccountUid, Account]
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
    def _names_what_is_there(self) -> Registry:
        for uid, account in self.accounts.items():
            if account.role_arn.split(":")[3] != uid:
                raise ValueError(f"accounts.{uid}.role_arn is a role of another account")
            ids = [allowed.ecr_id for allowed in account.may]
            for ecr_id in ids:
                if ecr_id not in self.ecrs:
                    raise ValueError(f"accounts.{uid}.may names {ecr_id}, which is not in ecrs")
                if ids.count(ecr_id) > 1:
                    raise ValueError(f"accounts.{uid}.may names {ecr_id} twice")
        return self


def load(path: Path) -> Registry:
    """The registry in the file at `path`.

    Raises:
        BadRegistry: The file is missing, too large, not YAML, or breaks a rule; says which.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadRegistry(f"{path.name} is larger than {MAX_BYTES} bytes")
        document = yaml.load(path.read_text("utf-8"), Loader=_StrictLoader)  # noqa: S506 -- it is a SafeLoader
    except OSError as error:
        raise BadRegistry(f"{path.name} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BadRegistry(f"{path.name} is not the YAML it should be: {error}") from None
    try:
        return Registry.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'registry'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        )
        raise BadRegistry(f"{path.name}: {faults}") from None


def external_id(key: SecretStr, account_uid: str) -> SecretStr:
    """The ExternalId of one account B: unguessable, the same each time, not kept anywhere.

    It is derived from one key held outside the code, so that no list of ExternalIds exists.
    """
    check_key(key)
    secret = key.get_secret_value().encode()
    digest = hmac.digest(secret, f"ecr-external-id/{account_uid}".encode(), "sha256")
    return SecretStr("ecr-" + base64.b32encode(digest).decode().rstrip("=").lower())


def check_key(key: SecretStr) -> None:
    """Raises ValueError where the key could be guessed."""
    if len(key.get_secret_value()) < 32:  # noqa: PLR2004 -- as long as the hash
        raise ValueError("the ExternalId key must have at least 32 characters")


class _StrictLoader(yaml.SafeLoader):
    """YAML without aliases (no bombs) and without a key given twice (no silent winner)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None,
                None,
                "aliases are not allowed",
                self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)
