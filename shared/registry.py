"""Who is who: ECRs, the accounts B with their roles, what each may ask for; from registry.yaml."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import yaml
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from shared.contract import AccountUid, EcrId, InstanceId, Model, RegionId, Text

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 4 * 1024 * 1024
ByHand = Literal["wait", "dissociate", "refuse"]


class BadRegistry(ValueError):
    """registry.yaml cannot be used: what is wrong, and where."""


class Ecr(Model):
    """An Express Connect Router of account A.

    `by_hand` says what a revoke does while account A's people have the instance attached (grants
    with `attach: false`): wait for them, dissociate all the same, or refuse.
    """

    owner_uid: AccountUid
    name: Text | None = None
    by_hand: ByHand = "wait"


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
    longest_lease_days: Annotated[int, Field(ge=1, le=3650)] | None = None

    @field_validator("may", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


class Registry(Model):
    """registry.yaml, checked."""

    ecrs: dict[EcrId, Ecr]
    accounts: dict[AccountUid, Account]

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
