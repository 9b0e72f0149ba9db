"""A Serverless Devs 3 deployment (component fc3), read as strictly as it should have been written.

The tool's own schema lets misspelled properties pass; here every key is known or refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_VARIABLE: Final = re.compile(r"\$\{([^${}]+)\}")
_ENV: Final = re.compile(r"env\(\s*'?([A-Za-z_][A-Za-z0-9_]*)'?\s*(?:,\s*'?([^']*?)'?\s*)?\)")
_LONGEST_BEHIND_EVENTBRIDGE: Final = 300
_ENVIRONMENT_LIMIT: Final = 4096
_ROUNDS: Final = 10


class DeploymentError(ValueError):
    """An s.yaml that must not be deployed: where and why, a line for each mistake."""


class Model(BaseModel):
    """Unknown keys are mistakes; a number is no string."""

    model_config = ConfigDict(extra="forbid", strict=True)


Arn = Annotated[str, Field(pattern=r"^acs:[a-z]+:[a-z0-9-]*:[0-9]{0,16}:.+$")]


class Hook(Model):
    """A function of the instance's life cycle."""

    handler: str
    timeout: Annotated[int, Field(ge=1, le=300)]


class LifeCycle(Model):
    """What runs once in an instance: before the first request, and at its end."""

    initializer: Hook | None = None
    preStop: Hook | None = None  # noqa: N815 -- fc3's name


class Destination(Model):
    """Where the outcome of an asynchronous invocation goes."""

    destination: Arn


class Destinations(Model):
    """For success and for failure."""

    onSuccess: Destination | None = None  # noqa: N815 -- fc3's name
    onFailure: Destination | None = None  # noqa: N815 -- fc3's name


class AsyncInvoke(Model):
    """How asynchronous invocations are retried."""

    asyncTask: bool = False  # noqa: N815 -- fc3's name
    maxAsyncRetryAttempts: Annotated[int, Field(ge=0, le=8)] = 3  # noqa: N815
    maxAsyncEventAgeInSeconds: Annotated[int, Field(ge=1, le=604800)] = 18000  # noqa: N815
    destinationConfig: Destinations | None = None  # noqa: N815


class LogConfig(Model):
    """Where logs go, where it is not `auto`."""

    project: str
    logstore: str
    enableInstanceMetrics: bool = False  # noqa: N815
    enableRequestMetrics: bool = False  # noqa: N815
    logBeginRule: Literal["None", "DefaultRegex"] = "None"  # noqa: N815


class Delivery(Model):
    """One array of events at a time, or one event."""

    mode: Literal["event-streaming", "event-driven"]
    eventSchema: Literal["CloudEvents", "RawData"] = "CloudEvents"  # noqa: N815


class Sink(Model):
    """How EventBridge hands events over."""

    deliveryOption: Delivery  # noqa: N815


class MnsSource(Model):
    """The queue that EventBridge reads."""

    RegionId: str
    QueueName: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,119}$")]
    IsBase64Decode: bool = True


class SourceParameters(Model):
    """The parameters of the one source kind that is read here."""

    sourceMNSParameters: MnsSource  # noqa: N815


class Source(Model):
    """What EventBridge reads."""

    eventSourceType: Literal["MNS"]  # noqa: N815
    eventSourceParameters: SourceParameters  # noqa: N815


class Retry(Model):
    """How a failed batch is pushed again."""

    PushRetryStrategy: Literal["BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"]
    MaximumEventAgeInSeconds: Annotated[int, Field(ge=0, le=86400)] = 0
    MaximumRetryAttempts: Annotated[int, Field(ge=0, le=176)] = 0


class DeadLetterQueue(Model):
    """Where a batch goes that fails for good."""

    Arn: Arn


class Window(Model):
    """How large a batch grows, and how long it is waited for."""

    CountBasedWindow: Annotated[int, Field(ge=1, le=10000)] = 1
    TimeBasedWindow: Annotated[int, Field(ge=0, le=15)] = 0


class RunOptions(Model):
    """How EventBridge runs the stream."""

    mode: Literal["event-streaming", "event-driven"]
    maximumTasks: Annotated[int, Field(ge=1, le=20)] = 1  # noqa: N815
    errorsTolerance: Literal["ALL", "NONE"] = "NONE"  # noqa: N815
    retryStrategy: Retry  # noqa: N815
    deadLetterQueue: DeadLetterQueue | None = None  # noqa: N815
    batchWindow: Window = Window()  # noqa: N815


class EventBridgeConfig(Model):
    """An EventBridge trigger."""

    triggerEnable: bool  # noqa: N815
    asyncInvocationType: Literal[False] = False  # noqa: N815
    eventRuleFilterPattern: str  # noqa: N815
    eventSinkConfig: Sink  # noqa: N815
    eventSourceConfig: Source  # noqa: N815
    runOptions: RunOptions  # noqa: N815

    @model_validator(mode="after")
    def _one_mode(self) -> EventBridgeConfig:
        if self.runOptions.mode != self.eventSinkConfig.deliveryOption.mode:
            raise ValueError("runOptions.mode and deliveryOption.mode differ")
        return self


class MnsTopicConfig(Model):
    """A topic trigger."""

    notifyContentFormat: Literal["STREAM", "JSON"]  # noqa: N815
    notifyStrategy: Literal["BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"]  # noqa: N815
    filterTag: Annotated[str, Field(max_length=16)] | None = None  # noqa: N815


class TimerConfig(Model):
    """A timer trigger: `@every 5m`, or six cron fields in UTC or after `CRON_TZ=`."""

    cronExpression: str  # noqa: N815
    enable: bool
    payload: str = ""


class HttpConfig(Model):
    """An HTTP trigger."""

    authType: Literal["anonymous", "function", "jwt"]  # noqa: N815
    methods: Annotated[
        list[Literal["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"]],
        Field(min_length=1),
    ]
    disableURLInternet: bool = False  # noqa: N815
    authConfig: dict[str, Any] | None = None  # noqa: N815


class Trigger(Model):
    """What starts a function."""

    triggerName: str  # noqa: N815
    triggerType: Literal["eventbridge", "mns_topic", "timer", "http"]  # noqa: N815
    triggerConfig: EventBridgeConfig | MnsTopicConfig | TimerConfig | HttpConfig  # noqa: N815
    description: str = ""
    qualifier: str = "LATEST"
    sourceArn: Arn | None = None  # noqa: N815
    invocationRole: Arn | None = None  # noqa: N815

    @field_validator("triggerConfig", mode="before")
    @classmethod
    def _of_its_type(cls, value: Any, info: Any) -> Any:
        kinds: dict[str, type[Model]] = {
            "eventbridge": EventBridgeConfig,
            "mns_topic": MnsTopicConfig,
            "timer": TimerConfig,
            "http": HttpConfig,
        }
        kind = kinds.get(info.data.get("triggerType", ""))
        return kind.model_validate(value) if kind is not None else value


class Props(Model):
    """One function."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}-[a-z]+(-[a-z0-9]+)*$")]
    functionName: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]  # noqa: N815
    description: str = ""
    runtime: Literal["python3.9", "python3.10", "python3.12"]
    handler: Annotated[str, Field(pattern=r"^[\w./-]+\.[A-Za-z_]\w*$")]
    code: str
    cpu: Annotated[float, Field(ge=0.05, le=16, strict=False)] = 0.35
    memorySize: Annotated[int, Field(ge=128, le=32768, multiple_of=64)] = 512  # noqa: N815
    diskSize: Literal[512, 10240] = 512  # noqa: N815
    timeout: Annotated[int, Field(ge=1, le=86400)] = 3
    role: Arn | None = None
    environmentVariables: dict[str, str] = {}  # noqa: N815
    instanceLifecycleConfig: LifeCycle = LifeCycle()  # noqa: N815
    asyncInvokeConfig: AsyncInvoke = AsyncInvoke()  # noqa: N815
    logConfig: LogConfig | Literal["auto"] | None = None  # noqa: N815
    internetAccess: bool = True  # noqa: N815
    vpcConfig: dict[str, Any] | Literal["auto"] | None = None  # noqa: N815
    tags: list[dict[str, str]] = []
    triggers: list[Trigger] = []

    @model_validator(mode="after")
    def _together(self) -> Props:
        gigabytes = self.memorySize / 1024
        if not 1 <= gigabytes / self.cpu <= 4:  # noqa: PLR2004 -- the platform's range
            raise ValueError("cpu to memory (GB) is from 1:1 to 1:4")
        size = sum(len(key) + len(value) for key, value in self.environmentVariables.items())
        if size > _ENVIRONMENT_LIMIT:
            raise ValueError("environmentVariables hold 4 KB at most")
        if any(name.startswith("FC_") for name in self.environmentVariables):
            raise ValueError("names that begin with FC_ are the platform's")
        kinds = [trigger.triggerType for trigger in self.triggers]
        if "eventbridge" in kinds[:-1]:
            raise ValueError("an eventbridge trigger comes last: fc3 skips what stands behind it")
        if "eventbridge" in kinds and self.timeout > _LONGEST_BEHIND_EVENTBRIDGE:
            raise ValueError("behind EventBridge an invocation lasts 300 s at most")
        if kinds.count("http") > 1:
            raise ValueError("a function has one http trigger")
        return self


class Action(Model):
    """What Serverless Devs does beside its command: a command line, a component's, a plugin's.

    One that fails ends the command, but where `allow_failure` is said.
    """

    run: str | None = None
    path: str | None = None
    component: str | None = None
    plugin: str | None = None
    args: dict[str, Any] | None = None
    allow_failure: bool = False

    @model_validator(mode="after")
    def _does_one_thing(self) -> Action:
        if sum(one is not None for one in (self.run, self.component, self.plugin)) != 1:
            raise ValueError("an action is `run`, `component` or `plugin`, and one of them")
        if self.path is not None and self.run is None:
            raise ValueError("`path` is where `run` runs")
        return self


When = Annotated[str, Field(pattern=r"^(pre|success|fail|complete|post)-[a-z]+$")]
Actions = dict[When, list[Action]]


class Resource(Model):
    """One resource of the deployment."""

    component: Literal["fc3"]
    props: Props
    actions: Actions = {}


class Deployment(Model):
    """A whole s.yaml, its variables put in."""

    edition: Literal["3.0.0"]
    name: str
    access: str
    vars: dict[str, Any] = {}
    resources: dict[str, Resource]
    actions: Actions = {}

    @property
    def functions(self) -> dict[str, Props]:
        """The functions by their names on the platform."""
        return {one.props.functionName: one.props for one in self.resources.values()}


def load(path: Path, environ: Mapping[str, str]) -> Deployment:
    """The deployment in the s.yaml at `path`, with `${env(…)}` from `environ`.

    Raises:
        DeploymentError: A variable that is not there, or a mistake, each with its place.
    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise DeploymentError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise DeploymentError(f"{path}: {error}") from None
    for _ in range(_ROUNDS):
        before, document = document, _resolved(document, document, environ)
        if document == before:
            break
    try:
        return Deployment.model_validate(document)
    except ValidationError as error:
        raise DeploymentError(
            "\n".join(
                f"{path.name}: {'.'.join(map(str, one['loc']))}: {one['msg']}"
                for one in error.errors(include_url=False, include_input=False)
            )
        ) from None


def _resolved(value: Any, document: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(one, document, environ) for key, one in value.items()}
    if isinstance(value, list):
        return [_resolved(one, document, environ) for one in value]
    if not isinstance(value, str):
        return value
    whole = _VARIABLE.fullmatch(value)
    if whole:
        return _value(whole[1], document, environ)
    return _VARIABLE.sub(lambda one: str(_value(one[1], document, environ)), value)


def _value(expression: str, document: Any, environ: Mapping[str, str]) -> Any:
    called = _ENV.fullmatch(expression.strip())
    if called:
        name, default = called.groups()
        if name in environ:
            return environ[name]
        if default is None:
            raise DeploymentError(f"the environment variable {name} is not set")
        return default
    found: Any = document
    for part in expression.strip().split("."):
        if not isinstance(found, dict) or part not in found:
            raise DeploymentError(f"${{{expression}}} names nothing")
        found = found[part]
    return found
