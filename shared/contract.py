"""What travels: a request in, results out, and the authorization that both speak of.

Everything is strict: an unknown field, a wrong type or an id of another form is refused. The JSON
Schemas of `Request` and `Result` are published in contracts/.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import from_json, to_json

# [0-9] and not \d: the latter takes digits of every script.
AccountUid = Annotated[str, Field(pattern=r"^[0-9]{16}$", description="Main account id")]
EcrId = Annotated[str, Field(pattern=r"^ecr-[a-z0-9]{4,40}$")]
InstanceId = Annotated[str, Field(pattern=r"^(vpc|vbr)-[a-z0-9]{4,40}$")]
RegionId = Annotated[str, Field(pattern=r"^[a-z]{2}-[a-z]{2,20}(-[a-z0-9]{1,12}){0,3}$")]
RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Ticket = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{1,47}$",
        description="The ticket's number; it becomes part of the STS session name",
    ),
]
Text = Annotated[
    str,
    Field(
        # Not {1,200}: counting in a class as large as this one takes 90 ms to compile.
        pattern=r"^[^\p{C}]*$",
        min_length=1,
        max_length=200,
        description="One line, printable",
    ),
]
InstanceType = Literal["VPC", "VBR"]

Outcome = Literal[
    "granted", "attached", "expiring", "revoking", "detached", "revoked", "rejected", "failed"
]
FINAL: Final[frozenset[str]] = frozenset({"attached", "revoked", "rejected", "failed"})
"""Outcomes after which a request has its answer; `granted` is final where A attaches by hand."""

ALL_LEASES: Final = "all"
MAX_MESSAGE_BYTES: Final = 65536
_FAULTS_SHOWN: Final = 8
_TYPE_PREFIX: Final = "ecr.authorization."


class Model(BaseModel):
    """Strict and immutable: nothing is coerced, nothing unknown is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class BadMessage(ValueError):
    """A message that is none of ours: what is wrong with it, in words, without its content.

    Args:
        reason: One sentence for people.
        request_id: The request id that the message bears, if that much can be read.
    """

    def __init__(self, reason: str, request_id: str | None = None) -> None:
        super().__init__(reason)
        self.request_id = request_id


class AuthorizationId(Model):
    """What makes an authorization one: this ECR may attach this instance."""

    ecr_id: EcrId
    ecr_owner_uid: AccountUid
    instance_id: InstanceId
    instance_type: InstanceType
    instance_region_id: RegionId
    instance_owner_uid: AccountUid

    @model_validator(mode="after")
    def _type_fits_id(self) -> AuthorizationId:
        if not self.instance_id.startswith(self.instance_type.lower()):
            raise ValueError("instance_type does not fit instance_id")
        return self

    @property
    def key(self) -> str:
        """The id as one word, the ledger's key."""
        place = f"{self.instance_id}:{self.instance_region_id}"
        return (
            f"{self.ecr_id}:{place}:{self.ecr_owner_uid}:{self.instance_type}:"
            f"{self.instance_owner_uid}"
        )

    @classmethod
    def of_key(cls, key: str) -> AuthorizationId:
        """The id whose `key` this is. Raises ValueError where it is none."""
        names = (
            "ecr_id",
            "instance_id",
            "instance_region_id",
            "ecr_owner_uid",
            "instance_type",
            "instance_owner_uid",
        )
        return cls.model_validate(dict(zip(names, key.split(":"), strict=True)))


class Request(AuthorizationId):
    """What a ticket asks for. The same request_id with the same content is the same request."""

    request_id: RequestId
    action: Literal["grant", "revoke"]
    ticket: Ticket
    requester: Text | None = None
    reason: Text | None = None
    attach: bool = Field(
        default=True, description="Grant: attach in account A too; false leaves that to a person"
    )
    expires_at: AwareDatetime | None = Field(
        default=None, description="Grant: when the lease ends, with its offset from UTC"
    )
    requested_at: AwareDatetime | None = Field(
        default=None, description="When the ticket asked; else the time the message was sent"
    )
    lease: RequestId | None = Field(
        default=None,
        description='Revoke: the request_id of the grant whose lease ends, or "all"',
    )

    @model_validator(mode="after")
    def _fields_fit_action(self) -> Request:
        if self.action == "revoke" and self.lease is None:
            raise ValueError(f'a revoke names the lease that it ends, or "{ALL_LEASES}"')
        if self.action == "revoke" and (self.expires_at is not None or not self.attach):
            raise ValueError("attach and expires_at belong to a grant")
        if self.action == "grant" and self.lease is not None:
            raise ValueError("lease belongs to a revoke")
        if self.request_id == ALL_LEASES:
            raise ValueError(f'"{ALL_LEASES}" is no request id')
        return self

    @property
    def authorization(self) -> AuthorizationId:
        """The authorization that the request is about."""
        return AuthorizationId(**{name: getattr(self, name) for name in _ID_FIELDS})

    @property
    def fingerprint(self) -> str:
        """Equal for equal content, however it was written down."""
        return sha256(to_json(self.model_dump(mode="json"))).hexdigest()


_ID_FIELDS: Final = tuple(AuthorizationId.model_fields)


class Wake(Model):
    """A message of the sweep or the clean-up: somebody is to look after this authorization.

    `look`: what is remembered of both accounts is in doubt, and is looked at anew.
    """

    wake: AuthorizationId
    look: bool = False

    def body(self) -> str:
        """The message's body."""
        return self.model_dump_json(exclude_defaults=True)


class Problem(Model):
    """Why something was refused or failed, and what a person can do about it."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="Stable")]
    message: str
    remedy: str
    cloud_code: str | None = Field(default=None, description="The cloud's own code, if it was its")
    cloud_request_id: str | None = Field(default=None, description="For a support case")


class ResultBody(Model):
    """What became of a request: all that its ticket needs to know."""

    outcome: Outcome
    final: bool = Field(
        description="The ticket has its answer. Only `revoking` and `detached` may follow a failed "
        "grant, while what it had begun is taken back"
    )
    request_id: RequestId
    ticket: Ticket | None = None
    action: Literal["grant", "revoke"] | None = None
    requester: Text | None = None
    authorization: AuthorizationId | None = None
    peer_account_uid: AccountUid | None = Field(
        default=None, description="As account B's console names account A"
    )
    peer_ecr_id: EcrId | None = Field(
        default=None, description="As account B's console names the ECR"
    )
    authorized_at: AwareDatetime | None = None
    association_id: str | None = None
    expires_at: AwareDatetime | None = None
    held_by: tuple[str, ...] = Field(
        default=(), description="Tickets whose leases keep the authorization after a revoke"
    )
    problem: Problem | None = None


class Result(Model):
    """A CloudEvent 1.0 on the result topic; its tag is the outcome, its id never changes."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: Annotated[str, Field(pattern=r"^ecr\.authorization\.[a-z]+$")]
    subject: str
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: ResultBody

    @property
    def is_answer(self) -> bool:
        """It answers the request itself, and not another message that bore the same id."""
        return self.id == f"{self.data.request_id}/{self.data.outcome}"

    def body(self) -> str:
        """The event as it is published: the same bytes each time."""
        return self.model_dump_json(exclude_none=True)


def result(body: ResultBody, *, source: str, time: AwareDatetime, suffix: str = "") -> Result:
    """The event that announces `body`; `suffix` tells apart answers that share id and outcome."""
    event_id = f"{body.request_id}/{body.outcome}" + (f"/{suffix}" if suffix else "")
    return Result(
        id=event_id,
        source=source,
        type=_TYPE_PREFIX + body.outcome,
        subject=body.authorization.key if body.authorization else body.request_id,
        time=time,
        data=body,
    )


def read_request(document: dict[str, Any]) -> Request:
    """The request that `document` is.

    Raises:
        BadMessage: It is none, with the fields that are wrong named.
    """
    try:
        return Request.model_validate_json(to_json(document))
    except ValidationError as error:
        raise BadMessage(_in_words(error), _request_id(document)) from None


def read_result(document: dict[str, Any]) -> Result:
    """The result that `document` is.

    Raises:
        BadMessage: It is none.
    """
    try:
        return Result.model_validate_json(to_json(document))
    except ValidationError as error:
        raise BadMessage(_in_words(error)) from None


def read_wake(document: dict[str, Any]) -> Wake:
    """The authorization that a message wakes: `{"wake": {…}}`.

    Raises:
        BadMessage: It is none.
    """
    try:
        return Wake.model_validate_json(to_json(document))
    except ValidationError as error:
        raise BadMessage(_in_words(error)) from None


def read_object(body: str | bytes) -> dict[str, Any]:
    """The JSON object that a message body holds.

    Raises:
        BadMessage: Too large, not UTF-8, not JSON, nested too deeply, or not an object.
    """
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_MESSAGE_BYTES:
        raise BadMessage(f"the message is larger than {MAX_MESSAGE_BYTES} bytes")
    try:
        document = from_json(raw, allow_inf_nan=False)
    except ValueError:
        raise BadMessage("the message is not JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise BadMessage("the message is not a JSON object")
    return document


def _request_id(document: dict[str, Any]) -> str | None:
    try:
        return _Bearer.model_validate({"request_id": document.get("request_id")}).request_id
    except ValidationError:
        return None


class _Bearer(Model):
    request_id: RequestId


def _in_words(error: ValidationError) -> str:
    """The fields at fault and why, without their values: they are not ours to repeat."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [
        f"{'.'.join(_safe(part) for part in fault['loc']) or 'request'}: {fault['msg']}"
        for fault in faults[:_FAULTS_SHOWN]
    ]
    hidden = len(faults) - _FAULTS_SHOWN
    more = f"; and {hidden} more" if hidden > 0 else ""
    return "; ".join(shown) + more


def _safe(part: str | int) -> str:
    """A field name as it may be shown: names of unknown fields come from outside."""
    text = str(part)[:40]
    return text if text.isascii() and text.replace("_", "").isalnum() else "(unprintable)"
