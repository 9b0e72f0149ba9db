"""What travels: a request in, results out, and the authorization that both speak of.

Everything is strict: an unknown field, a wrong type or an id of another form is refused. The JSON
Schemas of `Request` and `Result` are published in contracts/.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import from_json, to_json

if TYPE_CHECKING:
    from typing_extensions import Self

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
        pattern=r"^[^\p{C}\p{Zl}\p{Zp}]*$",
        min_length=1,
        max_length=200,
        description="One line, printable",
    ),
]
InstanceType = Literal["VPC", "VBR"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
"""What the registry calls a sender, a reader, a mapping."""
Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
"""Those in which tickets are told, and the console speaks."""
Url = Annotated[
    str,
    # No user, no fragment, nothing that another parser could read as another host.
    Field(
        pattern=r"^https://[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?(/[!$-;=?-Z_a-z~]*)?$"
    ),
    Field(max_length=1000),
]

Outcome = Literal[
    "granted",
    "attached",
    "expiring",
    "revoking",
    "detached",
    "revoked",
    "rejected",
    "failed",
    "completed",
    "partial",
]
FINAL: Final[frozenset[str]] = frozenset(
    {"attached", "revoked", "rejected", "failed", "completed", "partial"}
)
"""Outcomes after which a request has its answer; `granted` is final where A attaches by hand.

`completed` and `partial` are of a bundle: all of its parts came as asked for, or some.
"""

ALL_LEASES: Final = "all"
MAX_MESSAGE_BYTES: Final = 65536
BUNDLE_ID_LIMIT: Final = 48
"""Leaves room for what the ids of its parts add to it."""
_FAULTS_SHOWN: Final = 8
_TYPE_PREFIX: Final = "ecr.authorization."


Read = TypeVar("Read", bound="Model")


class Model(BaseModel):
    """Strict and immutable: nothing is coerced, nothing unknown is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def listed(value: object) -> object:
    """A list, as JSON and YAML have it, as the tuple that a strict model asks for."""
    return tuple(value) if isinstance(value, list) else value


class BadMessage(ValueError):
    """A message that is none of ours: what is wrong with it, in words, without its content.

    Args:
        reason: One sentence for people.
        request_id: The request id that the message bears, if that much can be read.
    """

    def __init__(self, reason: str, request_id: str | None = None) -> None:
        super().__init__(reason)
        self.request_id = request_id


class NotAnObject(BadMessage):
    """A message that is no JSON object at all."""


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


class Approval(Model):
    """What the ticket says of its approval, as the sender's mapping has read it."""

    state: Literal["approved", "pending", "rejected"]
    by: tuple[Text, ...] = Field(default=(), max_length=20, description="Who approved")
    window_since: AwareDatetime | None = Field(default=None, description="The change window")
    window_until: AwareDatetime | None = None

    _listed = field_validator("by", mode="before")(listed)


class Callback(Model):
    """Where the ticket's answers are written back to."""

    url: Url
    system: Name = Field(description="The mapping whose answers are sent: `servicenow`")
    language: Language = "en"


class Asked(Model):
    """What a request and a bundle have in common: who asks, for what, and by which ticket."""

    request_id: RequestId
    action: Literal["grant", "revoke"]
    ticket: Ticket
    requester: Text | None = None
    reason: Text | None = None
    sender: Name | None = Field(
        default=None,
        description="Whose webhook it was; intake fills it in. Left out by who may put messages on "
        "the request queue itself",
    )
    approval: Approval | None = None
    callback: Callback | None = None
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
    def _fields_fit_action(self) -> Self:
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
    def fingerprint(self) -> str:
        """Equal for equal content, however it was written down, and whatever fields are new."""
        return sha256(to_json(self.model_dump(mode="json", exclude_defaults=True))).hexdigest()


class Request(Asked, AuthorizationId):
    """What a ticket asks for. The same request_id with the same content is the same request."""

    part_of: RequestId | None = Field(default=None, description="The bundle that it is a part of")

    @property
    def authorization(self) -> AuthorizationId:
        """The authorization that the request is about."""
        return AuthorizationId(**{name: getattr(self, name) for name in _ID_FIELDS})


_ID_FIELDS: Final = tuple(AuthorizationId.model_fields)


class Instance(Model):
    """One instance of a bundle."""

    instance_id: InstanceId
    instance_type: InstanceType
    instance_region_id: RegionId
    instance_owner_uid: AccountUid


class Bundle(Asked):
    """One ticket for many instances: each is a request of its own, a part, and has its results.

    A revoke's `lease` names the bundle of the grants, or all leases of each instance.
    """

    ecr_id: EcrId
    ecr_owner_uid: AccountUid
    instances: Annotated[tuple[Instance, ...], Field(min_length=1, max_length=50)]
    mode: Literal["best_effort", "all_or_nothing"] = Field(
        default="best_effort",
        description="all_or_nothing: one part that is rejected or fails takes the others back",
    )

    @field_validator("request_id")
    @classmethod
    def _leaves_room(cls, value: str) -> str:
        if len(value) > BUNDLE_ID_LIMIT:
            raise ValueError(f"a bundle's request_id has {BUNDLE_ID_LIMIT} characters at most")
        return value

    @model_validator(mode="after")
    def _parts_are_requests(self) -> Self:
        if self.mode == "all_or_nothing" and self.action == "revoke":
            raise ValueError("all_or_nothing belongs to a grant")
        if len({part.request_id for part in self.parts}) < len(self.instances):
            raise ValueError("an instance is named twice")
        return self

    @property
    def parts(self) -> tuple[Request, ...]:
        """A request for each instance; its id follows from the bundle's and the instance."""
        given = self.model_dump(exclude={"instances", "mode", "request_id", "lease"})
        return tuple(
            Request(
                **given,
                **one.model_dump(),
                request_id=_part_id(self.request_id, one),
                part_of=self.request_id,
                lease=self.lease
                if self.lease in (None, ALL_LEASES)
                else _part_id(str(self.lease), one),
            )
            for one in self.instances
        )


def _part_id(bundle_id: str, one: Instance) -> str:
    place = f"{one.instance_id}:{one.instance_region_id}:{one.instance_owner_uid}"
    return f"{bundle_id}.{sha256(place.encode()).hexdigest()[:8]}"


class Wake(Model):
    """A message of the sweep or the clean-up: somebody is to look after this authorization.

    `look`: what is remembered of both accounts is in doubt, and is looked at anew.
    """

    wake: AuthorizationId
    look: bool = False

    def body(self) -> str:
        """The message's body."""
        return self.model_dump_json(exclude_defaults=True)


class Settle(Model):
    """A message of the workers: a part of this bundle has its answer."""

    settle: RequestId


class Problem(Model):
    """Why something was refused or failed, and what a person can do about it."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="Stable")]
    message: str
    remedy: str
    cloud_code: str | None = Field(default=None, description="The cloud's own code, if it was its")
    cloud_request_id: str | None = Field(default=None, description="For a support case")


class PartResult(Model):
    """What became of one part of a bundle."""

    request_id: RequestId
    instance_id: InstanceId
    outcome: Outcome
    code: str | None = None


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
    part_of: RequestId | None = Field(default=None, description="The bundle that it is a part of")
    parts: tuple[PartResult, ...] = Field(
        default=(), description="Of a bundle: what became of each of its parts"
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
    """The request that `document` is. Raises BadMessage."""
    return read_as(Request, document)


def read_bundle(document: dict[str, Any]) -> Bundle:
    """The bundle that `document` is. Raises BadMessage."""
    return read_as(Bundle, document)


def read_result(document: dict[str, Any]) -> Result:
    """The result that `document` is. Raises BadMessage."""
    return read_as(Result, document)


def read_wake(document: dict[str, Any]) -> Wake:
    """The authorization that a message wakes: `{"wake": {…}}`. Raises BadMessage."""
    return read_as(Wake, document)


def read_settle(document: dict[str, Any]) -> Settle:
    """The bundle to be looked after: `{"settle": "CHG-1"}`. Raises BadMessage."""
    return read_as(Settle, document)


def read_as(model: type[Read], document: dict[str, Any]) -> Read:
    """What `document` is, by the model that it has to fit.

    Raises:
        BadMessage: It does not fit, with the fields that are wrong named.
    """
    try:
        return model.model_validate_json(to_json(document))
    except ValidationError as error:
        raise BadMessage(_in_words(error), request_id_of(document)) from None


def read_object(body: str | bytes) -> dict[str, Any]:
    """The JSON object that a message body holds.

    Raises:
        NotAnObject: Too large, not UTF-8, not JSON, nested too deeply, or not an object.
    """
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_MESSAGE_BYTES:
        raise NotAnObject(f"the message is larger than {MAX_MESSAGE_BYTES} bytes")
    try:
        document = from_json(raw, allow_inf_nan=False)
    except ValueError:
        raise NotAnObject("the message is not JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise NotAnObject("the message is not a JSON object")
    return document


def request_id_of(document: dict[str, Any]) -> str | None:
    """The request id that a document bears, whatever else is wrong with it."""
    try:
        return _Bearer.model_validate({"request_id": document.get("request_id")}).request_id
    except ValidationError:
        return None


class _Bearer(Model):
    request_id: RequestId


def _in_words(error: ValidationError) -> str:
    """The fields at fault and why, without their values: they are not ours to repeat."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return the_first(
        [
            f"{'.'.join(_safe(part) for part in fault['loc']) or 'request'}: {fault['msg']}"
            for fault in faults
        ]
    )


def the_first(faults: list[str]) -> str:
    """The first of what is wrong, and how many more there are."""
    hidden = len(faults) - _FAULTS_SHOWN
    more = f"; and {hidden} more" if hidden > 0 else ""
    return "; ".join(faults[:_FAULTS_SHOWN]) + more


def _safe(part: str | int) -> str:
    """A field name as it may be shown: names of unknown fields come from outside."""
    text = str(part)[:40]
    return text if text.isascii() and text.replace("_", "").isalnum() else "(unprintable)"
