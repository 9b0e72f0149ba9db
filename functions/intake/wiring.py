"""Intake put together from its environment: no SDK but that of the queue is imported."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from functions.edge import MnsName, read
from functions.intake.event import NotHttp, request_of, struct
from shared import registry
from shared.cloud.credentials import Credentials, from_environment
from shared.cloud.endpoints import endpoint
from shared.cloud.messages import Messages
from shared.console import settings as console
from shared.contract import AccountUid, Model, RegionId
from shared.intake.door import IntakeDoor, problem
from shared.intake.posting import Posting
from shared.intake.problems import Refusal
from shared.intake.reading import Reading
from shared.intake.webhooks import BadSecrets, Webhooks, listed
from shared.ledger.sql import SqlLedger
from shared.log import mask_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.console.door import ConsoleDoor
    from shared.mapping import Mapping as Mapped
    from shared.registry import Registry


class IntakeSettings(Model):
    """What s.yaml says in the function's environment, and what Function Compute adds to it."""

    account_uid: AccountUid
    region: RegionId
    request_queue: MnsName = "ecr-requests"
    ledger_url: SecretStr
    webhook_secrets: SecretStr = SecretStr("{}")
    registry_file: str = "registry.yaml"
    mappings_folder: str = "mappings"
    console: str = ""
    console_secret: SecretStr = SecretStr("")


class IntakeHouse:
    """What intake is made of.

    Args:
        environ: The process's environment.
        now: The clock, UTC.

    `context` is Function Compute's of the invocation at hand.
    """

    def __init__(self, environ: Mapping[str, str], now: Callable[[], datetime]) -> None:
        self.environ = environ
        self.context: object = None
        _mask(environ)
        self.settings = read(IntakeSettings, environ)
        self.now = now
        self.registry = registry.load(Path(self.settings.registry_file))
        self.console_settings = console.read(self.settings.console, self.settings.console_secret)
        # No webhook speaks for the console: who asks there has signed in.
        senders = self.registry.senders.keys() - {console.SENDER}
        webhooks = Webhooks(self.settings.webhook_secrets, senders, now)
        mappings = _mappings(self.registry, Path(self.settings.mappings_folder))
        systems = frozenset(name for name, one in mappings.items() if one.tells is not None)
        self.ledger = SqlLedger(self.settings.ledger_url.get_secret_value())
        place = {"region": self.settings.region, "account": self.settings.account_uid}
        self.messages = Messages(endpoint("MNS", environ, **place), self.credentials)
        self.door = IntakeDoor(
            webhooks,
            Posting(
                ledger=self.ledger,
                registry=self.registry,
                mappings=mappings,
                systems=systems,
                send=self.messages.send,
                queue=self.settings.request_queue,
                now=now,
            ),
            Reading(self.ledger, self.registry),
            console=(lambda: self.console) if self.console_settings else None,
        )

    @cached_property
    def console(self) -> ConsoleDoor:
        """The console: nothing of it is imported before its first page is asked for."""
        from shared.audit import Trail  # noqa: PLC0415 -- as said above
        from shared.console.acting import Acting  # noqa: PLC0415
        from shared.console.door import opened  # noqa: PLC0415
        from shared.console.looking import Looking  # noqa: PLC0415

        assert self.console_settings is not None  # noqa: S101 -- else the door has no console
        return opened(
            self.console_settings,
            self.settings.console_secret,
            self.registry,
            Looking(self.door.reading),
            Acting(self.door.posting, Trail(self.ledger, self.now)),
            self.now,
        )

    def credentials(self) -> Credentials:
        """The function's own credentials, as they are now."""
        return from_environment(self.environ, self.context)

    def close(self) -> None:
        """Let go of every connection."""
        self.messages.close()
        self.ledger.close()


@dataclass(frozen=True)
class Intake:
    """The function, ready for events."""

    house: IntakeHouse

    def answer(self, event: bytes, context: object) -> dict[str, Any]:
        """Function Compute's answer to an HTTP event, always."""
        self.house.context = context
        try:
            request, request_id = request_of(event)
        except NotHttp as error:
            told = f"{error}."
            return struct(problem(Refusal("not_http", told, "Post by HTTP."), None))
        return struct(self.house.door.answer(request, request_id))


def _mask(environ: Mapping[str, str]) -> None:
    """Neither the ledger's URL nor any secret is ever logged, even where they are malformed."""
    for name in ("LEDGER_URL", "WEBHOOK_SECRETS", "CONSOLE_SECRET"):
        mask_value(environ.get(name, ""), always=True)
    try:
        for secrets in listed(environ.get("WEBHOOK_SECRETS", "")).values():
            for secret in secrets:
                mask_value(secret, always=True)
                mask_value(secret.removeprefix("whsec_"), always=True)
    except BadSecrets:
        pass  # told when they are used


def _mappings(known: Registry, folder: Path) -> Mapping[str, Mapped]:
    """The mappings; nothing is imported where no sender has one or may be answered.

    Raises:
        BadRegistry: A sender's mapping is not there.
    """
    named = {name: one.mapping for name, one in known.senders.items() if one.mapping}
    if not named and not any(one.callback_hosts for one in known.senders.values()):
        return {}
    from shared.mapping import load  # noqa: PLC0415 -- only where a sender needs it

    found = load(folder)
    for sender, mapping in named.items():
        if mapping not in found:
            raise registry.BadRegistry(f"senders.{sender}.mapping: there is no mapping {mapping}")
    return found
