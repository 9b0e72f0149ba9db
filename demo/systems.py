"""The demo's ticketing systems: they post tickets signed, and verify what they are told."""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests
from standardwebhooks.webhooks import Webhook

from demo.receiver import Receiver

if TYPE_CHECKING:
    from shared.mapping import Mapping

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


def of(sample: str) -> System | None:
    """The system whose ticket a sample is; None: it is a request of nobody's form."""
    return SYSTEMS.get(sample.partition("_")[0])


class TicketingSystems(Receiver):
    """All three, at one address of this machine; a context manager while they listen.

    Args:
        folder: Where the certificate of their endpoint is put.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {one.host: [one.answer_secret] for one in SYSTEMS.values()})

    @property
    def environment(self) -> dict[str, str]:
        """What intake and notify have to know of them."""
        posting = {name: [one.posting_secret] for name, one in SYSTEMS.items()}
        answers = {name: [one.answer_secret] for name, one in SYSTEMS.items()}
        return {
            "WEBHOOK_SECRETS": json.dumps(posting),
            "ANSWER_SECRETS": json.dumps(answers),
            **super().environment,
        }


def post(url: str, sample: str, system: System) -> requests.Response:
    """Intake's answer to a ticket, posted as its system would.

    Args:
        url: Intake's own URL.
        sample: The ticket's file in events/tickets, without `.json`.
        system: Whose ticket it is.
    """
    body = (TICKETS / f"{sample}.json").read_text()
    message_id, at = f"msg_{uuid.uuid4().hex}", datetime.now(timezone.utc)
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(system.posting_secret).sign(message_id, at, body),
    }
    return requests.post(f"{url}/requests", data=body.encode(), headers=headers, timeout=_SECONDS)


def mapped(sample: str, system: System) -> dict[str, Any]:
    """The request that the mapping makes of a ticket."""
    payload = json.loads((TICKETS / f"{sample}.json").read_text())
    return _mappings()[system.sender].request(payload)


@cache
def _mappings() -> dict[str, Mapping]:
    from shared import mapping  # noqa: PLC0415 -- JMESPath is for this alone

    return dict(mapping.load(TICKETS.parents[1] / "mappings"))
