"""What a ROS template may say here: its sections, its parameters, and the resource types.

Names and properties are ROS's own (its resource type reference); what is not listed is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    from collections.abc import Iterator

Policy = dict[str, Any]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]{0,254}$")]
RamName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
MnsName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,119}$")]


class Model(BaseModel):
    """A strict part: unknown keys are mistakes, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Parameter(Model):
    """A parameter and the rules for its value. Only strings are known here."""

    Type: Literal["String"]
    Description: str | None = None
    Label: str | None = None
    Default: str | None = None
    NoEcho: bool = False
    AllowedPattern: Annotated[str, Field(pattern=r"^\^.*\$$")] | None = None
    AllowedValues: list[str] | None = None
    ConstraintDescription: str | None = None
    MinLength: int = 0
    MaxLength: int = 1_000_000


class Declared(Model):
    """A resource as the template has it, functions and all."""

    Type: str
    Properties: dict[str, Any] = {}
    DependsOn: list[str] = []

    @field_validator("DependsOn", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class Output(Model):
    """A value that the stack tells."""

    Description: str | None = None
    Value: Any


class Shape(Model):
    """A template's sections."""

    ROSTemplateFormatVersion: Literal["2015-09-01"]
    Description: str | None = None
    Metadata: dict[str, Any] = {}
    Parameters: dict[Name, Parameter] = {}
    Resources: dict[Name, Declared]
    Outputs: dict[Name, Output] = {}

    @property
    def secret(self) -> set[str]:
        """The NoEcho parameters."""
        return {name for name, rules in self.Parameters.items() if rules.NoEcho}


class Properties(Model):
    """The properties of a resource, worked out."""

    def attributes(self, account_uid: str) -> dict[str, str]:
        """What Fn::GetAtt finds."""
        raise NotImplementedError

    def policies(self) -> Iterator[tuple[tuple[str | int, ...], Policy, bool]]:
        """Each policy in it: its place, the document, whether it is a trust policy."""
        yield from ()


AnyProperties = TypeVar("AnyProperties", bound=Properties)


class InlinePolicy(Model):
    """A policy of one role."""

    PolicyName: RamName
    Description: str | None = None
    PolicyDocument: Policy


class Role(Properties):
    """ALIYUN::RAM::Role."""

    RoleName: RamName
    Description: Annotated[str, Field(max_length=1024)] | None = None
    AssumeRolePolicyDocument: Policy
    MaxSessionDuration: Annotated[int, Field(ge=3600, le=43200)] = 3600
    Policies: list[InlinePolicy] = []
    DeletionForce: bool = False

    def attributes(self, account_uid: str) -> dict[str, str]:
        """Its name and its ARN; RAM has roles' names without case."""
        arn = f"acs:ram::{account_uid}:role/{self.RoleName.lower()}"
        return {"RoleName": self.RoleName, "Arn": arn}

    def policies(self) -> Iterator[tuple[tuple[str | int, ...], Policy, bool]]:
        """The trust policy and the inline ones."""
        yield ("AssumeRolePolicyDocument",), self.AssumeRolePolicyDocument, True
        for number, one in enumerate(self.Policies):
            yield ("Policies", number, "PolicyDocument"), one.PolicyDocument, False


class User(Properties):
    """ALIYUN::RAM::User. Its access keys are made elsewhere, so that no stack shows them."""

    UserName: RamName
    DisplayName: str | None = None
    Comments: str | None = None

    def attributes(self, account_uid: str) -> dict[str, str]:  # noqa: ARG002 -- as the others have it
        """Its name."""
        return {"UserName": self.UserName}


class ManagedPolicy(Properties):
    """ALIYUN::RAM::ManagedPolicy."""

    PolicyName: RamName
    Description: str | None = None
    PolicyDocument: Policy
    Roles: list[RamName] = []
    Users: list[RamName] = []

    def attributes(self, account_uid: str) -> dict[str, str]:  # noqa: ARG002 -- as the others have it
        """Its name."""
        return {"PolicyName": self.PolicyName}

    def policies(self) -> Iterator[tuple[tuple[str | int, ...], Policy, bool]]:
        """The one policy."""
        yield ("PolicyDocument",), self.PolicyDocument, False


class QueueDlqPolicy(Model):
    """Where messages go that were received too often."""

    Enabled: bool = True
    DeadLetterTargetQueue: MnsName
    MaxReceiveCount: Annotated[int, Field(ge=1, le=1000)] = 16


class Queue(Properties):
    """ALIYUN::MNS::Queue; times in seconds, sizes in bytes."""

    QueueName: MnsName
    DelaySeconds: Annotated[int, Field(ge=0, le=604800)] = 0
    VisibilityTimeout: Annotated[int, Field(ge=1, le=43200)] = 30
    MessageRetentionPeriod: Annotated[int, Field(ge=60, le=604800)] = 345600
    PollingWaitSeconds: Annotated[int, Field(ge=0, le=30)] = 0
    MaximumMessageSize: Annotated[int, Field(ge=1024, le=65536)] = 65536
    LoggingEnabled: bool = False
    DlqPolicy: QueueDlqPolicy | None = None

    def attributes(self, account_uid: str) -> dict[str, str]:  # noqa: ARG002 -- as the others have it
        """Its name."""
        return {"QueueName": self.QueueName}


class Topic(Properties):
    """ALIYUN::MNS::Topic."""

    TopicName: MnsName
    MaximumMessageSize: Annotated[int, Field(ge=1024, le=65536)] = 65536
    LoggingEnabled: bool = False

    def attributes(self, account_uid: str) -> dict[str, str]:  # noqa: ARG002 -- as the others have it
        """Its name."""
        return {"TopicName": self.TopicName}


class SubscriptionDlqPolicy(Model):
    """Where messages go that could not be pushed."""

    Enabled: bool = True
    DeadLetterTargetQueue: MnsName


class Subscription(Properties):
    """ALIYUN::MNS::Subscription. ROS's own default of NotifyContentFormat is XML."""

    TopicName: MnsName
    SubscriptionName: MnsName
    Endpoint: str
    FilterTag: Annotated[str, Field(min_length=1, max_length=16)] | None = None
    NotifyStrategy: Literal["BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"] = "BACKOFF_RETRY"
    NotifyContentFormat: Literal["XML", "JSON", "SIMPLIFIED"] = "XML"
    PushType: Literal["queue", "http"] | None = None
    DlqPolicy: SubscriptionDlqPolicy | None = None

    def attributes(self, account_uid: str) -> dict[str, str]:  # noqa: ARG002 -- as the others have it
        """Its name."""
        return {"SubscriptionName": self.SubscriptionName}


TYPES: Final[dict[str, type[Properties]]] = {
    "ALIYUN::RAM::Role": Role,
    "ALIYUN::RAM::User": User,
    "ALIYUN::RAM::ManagedPolicy": ManagedPolicy,
    "ALIYUN::MNS::Queue": Queue,
    "ALIYUN::MNS::Topic": Topic,
    "ALIYUN::MNS::Subscription": Subscription,
}
