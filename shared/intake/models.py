"""What intake is asked and what it answers, field by field; the OpenAPI document shows these."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from shared.authorization import State
from shared.contract import (
    AccountUid,
    Approval,
    Callback,
    EcrId,
    InstanceId,
    Model,
    Outcome,
    PartResult,
    Problem,
    RequestId,
    Text,
    Ticket,
)

Sentence = Annotated[str, Field(description="For people; its words may change")]


# Asked --------------------------------------------------------------------------------------------


class OfRequest(Model):
    """Which request."""

    request_id: RequestId


class Listing(Model):
    """Which authorizations, and which page of them."""

    ecr_id: EcrId | None = None
    account_uid: Annotated[AccountUid | None, Field(description="The account B")] = None
    instance_id: InstanceId | None = None
    state: State | None = None
    expiring_before: Annotated[
        AwareDatetime | None, Field(description="Those whose last lease ends before this time")
    ] = None
    order: Annotated[
        Literal["key", "end"], Field(description="`end`: the soonest first, without an end last")
    ] = "key"
    limit: Annotated[int, Field(ge=1, le=200)] = 100
    cursor: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_-]{1,600}$",
            description="`next` of the page before, with the same filters",
        ),
    ] = None


class Again(Model):
    """What a renewal and a cancellation have in common: a request of its own, by its own ticket."""

    request_id: Annotated[RequestId, Field(description="Of this request: a new one")]
    ticket: Ticket
    requester: Text | None = None
    reason: Text | None = None
    approval: Approval | None = None
    callback: Callback | None = None
    requested_at: AwareDatetime | None = None


class Renewal(Again):
    """A new lease on what the request has granted, until another time."""

    expires_at: AwareDatetime


class Cancellation(Again):
    """The end of the lease that the request has granted."""


# Answered -----------------------------------------------------------------------------------------


class Accepted(Model):
    """The request is noted and on its way; the same again has the same answer."""

    request_id: RequestId
    status_url: Annotated[str, Field(description="Where a reader is told what becomes of it")]
    parts: Annotated[
        tuple[RequestId, ...], Field(description="Of a ticket for many instances: one for each")
    ] = ()


class Told(Model):
    """One result, as it was announced."""

    outcome: Outcome
    at: datetime
    final: bool
    problem: Problem | None = None
    parts: tuple[PartResult, ...] = ()
    association_id: str | None = None
    held_by: tuple[str, ...] = ()


class Event(Model):
    """Something that has happened to the request."""

    at: datetime
    what: Annotated[str, Field(description="`posted`, `received`, or an outcome")]


class Next(Model):
    """What happens next, and when."""

    step: Annotated[str, Field(description="One word")]
    message: Sentence
    at: Annotated[datetime | None, Field(description="When it is due, where that is known")] = None
    by: Annotated[
        datetime | None, Field(description="When it is looked after, should nobody have been")
    ] = None


class Part(Model):
    """How one part of a ticket for many instances stands."""

    request_id: RequestId
    instance_id: InstanceId
    state: str
    final: bool
    next: Next | None = None
    code: str | None = None


class RequestStatus(Model):
    """What is known of a request."""

    request_id: RequestId
    state: Annotated[
        str, Field(description="`posted`, `received`, or the outcome of the last result")
    ]
    final: Annotated[bool, Field(description="The ticket has its answer")]
    action: Literal["grant", "revoke"] | None = None
    ticket: Ticket | None = None
    requester: Text | None = None
    sender: str | None = None
    ecr_id: EcrId | None = None
    instance_id: InstanceId | None = None
    lease: RequestId | None = None
    part_of: RequestId | None = None
    expires_at: datetime | None = None
    posted_at: datetime | None = None
    received_at: datetime | None = None
    next: Next | None = None
    problem: Annotated[
        Problem | None, Field(description="Why it was refused or failed, and what can be done")
    ] = None
    results: tuple[Told, ...] = ()
    history: tuple[Event, ...] = ()
    parts: tuple[Part, ...] = ()


class Lease(Model):
    """What holds an authorization."""

    request_id: RequestId
    ticket: str
    expires_at: datetime | None = None


class Standing(Model):
    """An authorization as it stands."""

    ecr_id: EcrId
    ecr_owner_uid: AccountUid
    instance_id: InstanceId
    instance_type: Literal["VPC", "VBR"]
    instance_region_id: str
    instance_owner_uid: AccountUid
    state: State
    expires_at: Annotated[
        datetime | None, Field(description="When its last lease ends; null: none has an end")
    ] = None
    leases: tuple[Lease, ...] = ()


class Page(Model):
    """A page of authorizations."""

    authorizations: tuple[Standing, ...]
    next: Annotated[str | None, Field(description="The cursor of the next page")] = None


class Health(Model):
    """The function works and reaches its ledger."""

    status: Literal["ok"] = "ok"
