"""The notify function put together from its environment; nothing is read at import.

It has a house of its own: no SDK but that of MNS is imported when it starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_core import from_json

from functions.edge import MnsName, read
from functions.triggers import topic_message
from shared import mapping, registry
from shared.cloud.credentials import Credentials, from_environment
from shared.cloud.endpoints import endpoint
from shared.cloud.messages import Messages
from shared.contract import AccountUid, Model, Name, RegionId
from shared.ledger.sql import SqlLedger
from shared.log import mask_value
from shared.notify import wording
from shared.notify.address import Resolver, loopback_places
from shared.notify.answering import Notifier
from shared.notify.delivery import Deliveries
from shared.notify.letters import AnswerLetters
from shared.notify.sending import Sender, trust
from shared.notify.signing import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime


class BadJson(ValueError):
    """A setting that is to be JSON and is not; its text is not repeated."""


def _json(text: object) -> object:
    """What a setting holds; it may be left empty."""
    if not isinstance(text, str):
        return text
    try:
        return from_json(text) if text.strip() else {}
    except ValueError:
        raise BadJson("it is not JSON") from None


class Settings(Model):
    """What s.yaml says in the function's environment.

    Args:
        dead_letter_queue: Where a result goes that can never be delivered.
        result_topic: Where such a result is published again, when it is redriven.
        mappings_folder: The mappings of the systems that are told.
        answer_secrets: By sender, the secrets that its answers are signed with.
        chat_urls: By chat, its URL.
        callback_ca_file: Certificates of authorities to be believed beside the system's own.
        callback_loopback_hosts: For tests and the demo alone: hosts that are on this machine.
    """

    account_uid: AccountUid
    region: RegionId
    dead_letter_queue: MnsName = "ecr-answers-dead"
    result_topic: MnsName
    ledger_url: SecretStr
    registry_file: str = "registry.yaml"
    mappings_folder: str = "mappings"
    answer_secrets: Annotated[dict[Name, list[SecretStr]], BeforeValidator(_json)] = Field(
        default_factory=dict
    )
    chat_urls: Annotated[dict[Name, SecretStr], BeforeValidator(_json)] = Field(
        default_factory=dict
    )
    callback_ca_file: str = ""
    callback_loopback_hosts: Annotated[dict[str, str], BeforeValidator(_json)] = Field(
        default_factory=dict
    )


class Function:
    """The notify function, ready for events.

    Args:
        environ: The process's environment.
        now: The clock, UTC.
    """

    def __init__(self, environ: Mapping[str, str], now: Callable[[], datetime]) -> None:
        self._environ = environ
        self._context: object = None
        mask_value(environ.get("LEDGER_URL", ""), always=True)
        given = read(Settings, environ)
        for secret in given.chat_urls.values():
            mask_value(secret, always=True)
        self._ledger = SqlLedger(given.ledger_url.get_secret_value())
        url = endpoint("MNS", environ, region=given.region, account=given.account_uid)
        self._messages = Messages(url, self._credentials)
        self.notifier = self._notifier(given, now)

    def answer(self, event: bytes, context: object) -> dict[str, Any]:
        """The result in the event is told. Raises BadEvent, NotYet, CloudFailure."""
        self._context = context
        return {"told": self.notifier.tell(topic_message(event))}

    def close(self) -> None:
        """Let go of every connection."""
        self._messages.close()
        self._ledger.close()

    def _credentials(self) -> Credentials:
        return from_environment(self._environ, self._context)

    def _notifier(self, given: Settings, now: Callable[[], datetime]) -> Notifier:
        ca_file = Path(given.callback_ca_file) if given.callback_ca_file else None
        resolver = Resolver(loopback_places(given.callback_loopback_hosts))
        letters = AnswerLetters(given.dead_letter_queue, given.result_topic, self._messages.send)
        return Notifier(
            ledger=self._ledger,
            registry=registry.load(Path(given.registry_file)),
            mappings=mapping.load(Path(given.mappings_folder)),
            texts=wording.load(),
            signers={name: Signer(secrets) for name, secrets in given.answer_secrets.items()},
            chat_urls=given.chat_urls,
            sender=Sender(resolver, trust(ca_file)),
            deliveries=Deliveries(self._ledger, now),
            bury=letters.bury,
            now=now,
        )
