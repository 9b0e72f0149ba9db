"""The parts put together from the environment, once per instance; nothing is read at import."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SecretStr, model_validator

from functions.edge import MnsName, read
from functions.triggers import answer_each, queue_messages
from shared import registry
from shared.announce import Announcer
from shared.audit import Trail
from shared.cloud.credentials import Credentials, from_environment
from shared.cloud.endpoints import endpoint
from shared.cloud.messages import Messages
from shared.cloud.router import Router
from shared.cloud.sdk import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
from shared.contract import AccountUid, Model, RegionId, Settle
from shared.inbox import Inbox, Pace
from shared.ledger.sql import SqlLedger
from shared.log import mask_value
from shared.settle import Settler
from shared.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.cloud.endpoints import Service
    from shared.converge import Step
    from shared.converge import Worker as WorkerName
    from shared.inbox import Worker
    from shared.run import Action


class Settings(Model):
    """What s.yaml says in the function's environment, and what Function Compute adds to it."""

    account_uid: AccountUid
    region: RegionId
    queue: MnsName
    dead_letter_queue: MnsName
    request_queue: MnsName = "ecr-requests"
    attachment_queue: MnsName = "ecr-attachments"
    result_topic: MnsName
    ledger_url: SecretStr
    registry_file: str = "registry.yaml"
    external_id_key: SecretStr = SecretStr("")
    external_id_key_next: SecretStr = SecretStr("")
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 120
    clock_skew_seconds: Annotated[float, Field(ge=0, le=300)] = 30
    request_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 15
    writes_per_minute: Annotated[float, Field(gt=0, le=120)] = 118
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 20
    error_seconds: Annotated[float, Field(gt=0)] = 1
    cloud_seconds: Annotated[float, Field(gt=0)] = 5

    @property
    def lock_seconds(self) -> float:
        """A lock outlasts the function, its last request, and two clocks that differ."""
        return self.timeout_seconds + self.request_timeout_seconds + self.clock_skew_seconds

    @model_validator(mode="after")
    def _limits_fit_each_other(self) -> Settings:
        """A lock that a call can outlast would let two runs be at one authorization."""
        call = CONNECT_TIMEOUT_SECONDS + READ_TIMEOUT_SECONDS
        if self.request_timeout_seconds < call:
            raise ValueError(f"request_timeout_seconds is less than a call may take: {call:.0f}")
        return self


class House:
    """What both workers share.

    Args:
        environ: The process's environment.
        now: The clock, UTC.

    `context` is Function Compute's of the invocation at hand; older runtimes carry credentials
    there.
    """

    def __init__(self, environ: Mapping[str, str], now: Callable[[], datetime]) -> None:
        self.environ = environ
        self.now = now
        for name in ("EXTERNAL_ID_KEY", "EXTERNAL_ID_KEY_NEXT"):
            mask_value(environ.get(name, ""), always=True)
        self.settings = read(Settings, environ)
        self.registry = registry.load(Path(self.settings.registry_file))
        self.ledger = SqlLedger(self.settings.ledger_url.get_secret_value())
        self.context: object = None
        self.messages = Messages(self.endpoint("MNS"), self.credentials)
        self.router = Router(self.endpoint("EXPRESSCONNECTROUTER"), self.settings.region)
        self.trail = Trail(self.ledger, now)
        place = f"{self.settings.region}:{self.settings.account_uid}"
        self.source = f"acs:fc:{place}:ecr-authorization"
        self.announcer = Announcer(
            self.ledger, self.publish, self.source, now, self.trail, self.tell_bundle
        )

    def publish(self, body: str, tag: str) -> None:
        """A result is on the topic. May raise CloudFailure."""
        self.messages.publish(self.settings.result_topic, body, tag)

    def tell_bundle(self, request_id: str) -> None:
        """Somebody will look after the bundle. May raise CloudFailure."""
        self.messages.send(self.settings.request_queue, Settle(settle=request_id).model_dump_json())

    def endpoint(self, service: Service) -> str:
        """Where `service` is reached."""
        return endpoint(
            service,
            self.environ,
            region=self.settings.region,
            account=self.settings.account_uid,
        )

    def credentials(self) -> Credentials:
        """The function's own credentials, as they are now."""
        return from_environment(self.environ, self.context)

    def close(self) -> None:
        """Let go of every connection."""
        self.messages.close()
        self.ledger.close()

    def inbox(self) -> Inbox:
        """The answers to this function's queue."""
        return Inbox(
            queue=self.settings.queue,
            dead_letter_queue=self.settings.dead_letter_queue,
            send=self.messages.send,
            pace=Pace(
                max_attempts=self.settings.max_attempts,
                error_seconds=self.settings.error_seconds,
                cloud_seconds=self.settings.cloud_seconds,
            ),
            chance=random.SystemRandom().random,
            trail=self.trail,
        )

    def function(self, worker: Worker) -> Function:
        """The function of the queue kind whose messages `worker` takes."""
        return Function(self, self.inbox(), worker)

    def settler(self, worker: WorkerName, actions: Mapping[Step, Action]) -> Settler:
        """Settles authorizations in `worker`'s name."""
        return Settler(
            worker=worker,
            actions=actions,
            ledger=self.ledger,
            announcer=self.announcer,
            trail=self.trail,
            turns=Turns(self.ledger, self.settings.writes_per_minute),
            registry=self.registry,
            now=self.now,
            new_holder=lambda: uuid.uuid4().hex,
            lock_seconds=self.settings.lock_seconds,
        )


@dataclass(frozen=True)
class Function:
    """A function of the queue kind, ready for events."""

    house: House
    inbox: Inbox
    worker: Worker

    def answer(self, event: bytes, context: object) -> dict[str, Any]:
        """Every message of the event has its answer. Raises BadEvent."""
        self.house.context = context
        return {"messages": answer_each(queue_messages(event), self.inbox, self.worker)}
