"""The demo's ticketing systems: they post tickets signed, and verify what they are told."""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests
from standardwebhooks.webhooks import Webhook

from demo.receiver import Receiver

if TYPE_CHECKING:
    from typing_extensions import Self

    from demo.receiver import Told

TICKETS = Path(__file__).parents[1] / "events" / "tickets"
_SECONDS: Final = 30


def _secret(text: str) -> str:
    return "whsec_" + b64encode(f"demo-{text}-webhook-secret".encode()).decode()


@dataclass(frozen=True)
class System:
    """One ticketing system.

    Args:
        title: What people call it.
        sender: Its name in registry.yaml, and the first word of its samples in events/tickets.
        host: Where its answers are written back to.
    """

    title: str
    sender: str
    host: str

    @property
    def posting_secret(self) -> str:
        """What it signs its tickets with. Made up, as every secret of the demo."""
        return _secret(f"{self.sender}-tickets")

    @property
    def answer_secret(self) -> str:
        """What its answers are signed with."""
        return _secret(f"{self.sender}-answers")


SYSTEMS = {
    one.sender: one
    for one in (
        System("ServiceNow", "servicenow", "service-now.tickets.example"),
        System("Jira", "jira", "relay.tickets.example"),
        System("DingTalk", "dingtalk", "connector.tickets.example"),
    )
}


def of(sample: str) -> System:
    """The system whose ticket a sample of events/tickets is. Raises KeyError: it is of none."""
    return SYSTEMS[sample.partition("_")[0]]


class TicketingSystems:
    """All three, at one address of this machine; a context manager while they listen.

    Args:
        folder: Where the certificate of their endpoint is put.
    """

    def __init__(self, folder: Path) -> None:
        self._receiver = Receiver(
            folder, {one.host: [one.answer_secret] for one in SYSTEMS.values()}
        )

    def __enter__(self) -> Self:
        self._receiver.__enter__()
        return self

    def __exit__(self, *given: object) -> None:
        self._receiver.__exit__(*given)

    @property
    def environment(self) -> dict[str, str]:
        """What intake and notify have to know of them."""
        posting = {name: [one.posting_secret] for name, one in SYSTEMS.items()}
        answers = {name: [one.answer_secret] for name, one in SYSTEMS.items()}
        return {
            "WEBHOOK_SECRETS": json.dumps(posting),
            "ANSWER_SECRETS": json.dumps(answers),
            **self._receiver.environment,
        }

    @property
    def told(self) -> list[Told]:
        """The answers that were written back, signed rightly, in their order."""
        return self._receiver.told

    @property
    def refused(self) -> list[str]:
        """Why answers were not taken."""
        return self._receiver.refused


def post(url: str, sample: str) -> requests.Response:
    """Intake's answer to a ticket, posted as its system would.

    Args:
        url: Intake's own URL.
        sample: The ticket's file in events/tickets, without `.json`.
    """
    body = (TICKETS / f"{sample}.json").read_text()
    message_id, at = f"msg_{uuid.uuid4().hex}", datetime.now(timezone.utc)
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(of(sample).posting_secret).sign(message_id, at, body),
    }
    return requests.post(f"{url}/requests", data=body.encode(), headers=headers, timeout=_SECONDS)


def mapped(sample: str) -> dict[str, Any]:
    """The request that the mapping makes of a ticket."""
    from shared import mapping  # noqa: PLC0415 -- JMESPath is for this alone

    payload = json.loads((TICKETS / f"{sample}.json").read_text())
    return mapping.load(TICKETS.parents[1] / "mappings")[of(sample).sender].request(payload)
