"""Accounts and their networks, read from a YAML file; what the stand-in believes to exist."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Callable

AccountUid = Annotated[str, Field(pattern=r"^\d{16}$")]
RegionId = Annotated[str, Field(pattern=r"^[a-z]{2}-[a-z]+(-[a-z0-9]+)*$")]
Policy = dict[str, Any]


class Model(BaseModel):
    """A strict part of the world: unknown keys are mistakes; operations may change its fields."""

    model_config = ConfigDict(extra="forbid", validate_assignment=False)


class AccessKey(Model):
    """A long-lived key of a RAM user."""

    id: str
    secret: str


class User(Model):
    """A RAM user with its keys and identity policies."""

    name: str
    access_keys: list[AccessKey] = []
    policies: list[Policy] = []


class Role(Model):
    """A RAM role: who may assume it, and what it may do then."""

    name: str
    trust: Policy
    policies: list[Policy] = []
    max_session_seconds: Annotated[int, Field(ge=3600, le=43200)] = 3600


class Vpc(Model):
    """A virtual private cloud."""

    id: Annotated[str, Field(pattern=r"^vpc-[a-z0-9]+$")]
    region: RegionId
    name: str = ""
    cidr: IPv4Network = IPv4Network("172.16.0.0/12")
    status: Literal["Available", "Pending"] = "Available"
    static_route_to_ecr: bool = False
    """True: dissociating is refused with OperationFailed.UsedInRouteEntryNextHop."""


class Vbr(Model):
    """A virtual border router on a leased line."""

    id: Annotated[str, Field(pattern=r"^vbr-[a-z0-9]+$")]
    region: RegionId
    name: str = ""
    status: Literal["unconfirmed", "active", "terminated"] = "active"
    mpbgp: bool = True
    asn: int | None = None
    """The BGP group's ASN; one that differs from the ECR's is Conflict.ASNOfVBR."""


class Ecr(Model):
    """An Express Connect Router."""

    id: Annotated[str, Field(pattern=r"^ecr-[a-z0-9]+$")]
    name: str = ""
    asn: int = 45104
    status: str = "ACTIVE"
    vpc_quota: int = 1000


class DeadLetter(Model):
    """Where a queue's messages go that were received too often."""

    queue: str
    max_receive_count: int = 16


class Queue(Model):
    """An MNS queue and its attributes, in seconds and bytes."""

    name: str
    region: RegionId
    delay_seconds: int = 0
    visibility_seconds: int = 30
    retention_seconds: int = 345600
    polling_wait_seconds: int = 0
    maximum_message_size: int = 65536
    dead_letter: DeadLetter | None = None


class Subscription(Model):
    """Who is pushed a topic's messages.

    `endpoint`: `acs:mns:<region>:<uid>:queues/<name>` (or the mns:// form), an http(s) URL;
    functions are subscribed by their s.yaml trigger, not here.
    """

    name: str
    endpoint: str
    filter_tag: Annotated[str, Field(max_length=16)] | None = None
    notify_strategy: Literal["BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"] = "BACKOFF_RETRY"
    notify_content_format: Literal["XML", "JSON", "SIMPLIFIED"] = "SIMPLIFIED"
    dead_letter_queue: str | None = None


class Topic(Model):
    """An MNS topic with its subscriptions."""

    name: str
    region: RegionId
    subscriptions: list[Subscription] = []


class Account(Model):
    """An Alibaba Cloud account and all that it owns."""

    uid: AccountUid
    name: str = ""
    enterprise: str = ""
    """The enterprise account (BID); instances of another enterprise are cross-BID."""
    cross_account_vbr: bool = False
    """True once the customer manager has enabled VBRs of this account for other accounts' ECRs."""
    users: list[User] = []
    roles: list[Role] = []
    vpcs: list[Vpc] = []
    vbrs: list[Vbr] = []
    ecrs: list[Ecr] = []
    queues: list[Queue] = []
    topics: list[Topic] = []


Owned = TypeVar("Owned", Vpc, Vbr, Ecr)


class World(Model):
    """Everything that exists, as its file says it and as operations have changed it."""

    regions: list[RegionId]
    accounts: list[Account]

    def account(self, uid: str) -> Account | None:
        """The account with this id, or None."""
        return next((account for account in self.accounts if account.uid == uid), None)

    def vpc(self, vpc_id: str) -> tuple[Account, Vpc] | None:
        """The VPC with this id and its owner, or None."""
        return self._owned(vpc_id, lambda account: account.vpcs)

    def vbr(self, vbr_id: str) -> tuple[Account, Vbr] | None:
        """The VBR with this id and its owner, or None."""
        return self._owned(vbr_id, lambda account: account.vbrs)

    def ecr(self, ecr_id: str) -> tuple[Account, Ecr] | None:
        """The ECR with this id and its owner, or None."""
        return self._owned(ecr_id, lambda account: account.ecrs)

    def _owned(
        self, wanted: str, of: Callable[[Account], list[Owned]]
    ) -> tuple[Account, Owned] | None:
        for account in self.accounts:
            for one in of(account):
                if one.id == wanted:
                    return account, one
        return None


class WorldError(ValueError):
    """A world file that cannot be used: the file, the line, and what is wrong there."""
