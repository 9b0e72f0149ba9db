"""What the demo asks for, and what must become of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REQUESTS = Path(__file__).parents[1] / "events" / "requests"


@dataclass
class Ticket:
    """One ticket, its request, and the way that it must take.

    Args:
        title: What it is about, in a few words.
        sample: The sample request in events/requests.
        way: The results that must come, in order.
        code: The code that a refusal must bear.
        after: The request id whose final result it waits for.
        repeats: It is the same request once more: the same answer must come again.
    """

    title: str
    sample: str
    way: tuple[str, ...]
    code: str | None = None
    after: str | None = None
    repeats: bool = False
    sent_at: float | None = None
    received_at: float | None = None
    seen: list[tuple[str, float]] = field(default_factory=list)
    seen_code: str | None = None
    seen_ids: set[str] = field(default_factory=set)

    @property
    def request(self) -> dict[str, Any]:
        """The request as it is put on the queue."""
        document: dict[str, Any] = json.loads((REQUESTS / f"{self.sample}.json").read_text())
        return document

    @property
    def request_id(self) -> str:
        """The request's id."""
        return str(self.request["request_id"])

    @property
    def is_over(self) -> bool:
        """As many results as were expected have come."""
        return len(self.seen) >= len(self.way)

    @property
    def is_as_expected(self) -> bool:
        """Just the results that were expected have come, for the expected reason."""
        return tuple(outcome for outcome, _ in self.seen) == self.way and (
            self.seen_code == self.code
        )


def tickets() -> list[Ticket]:
    """The demo's tickets, in the order in which they are sent."""
    access = ("granted", "attached")
    refused = ("rejected",)
    return [
        Ticket("VPC", "grant_vpc", access),
        Ticket("VPC, another region and ECR", "grant_vpc_other_region", access),
        Ticket("VBR, account enabled", "grant_vbr", access),
        Ticket("VPC, attached by hand later", "grant_attached_by_hand", ("granted",)),
        Ticket("VBR, account not enabled", "grant_vbr_not_enabled", refused, "vbr_not_enabled"),
        Ticket("account unknown", "grant_account_unknown", refused, "account_unknown"),
        Ticket("ECR not allowed", "grant_ecr_not_allowed", refused, "ecr_not_allowed"),
        Ticket("malformed", "malformed", refused, "malformed"),
        Ticket(
            "the same ticket twice",
            "grant_vpc_other_region",
            ("attached",),
            after="CHG-1002",
            repeats=True,
        ),
        Ticket(
            "revoke of the attached VPC",
            "revoke_vpc",
            ("revoking", "detached", "revoked"),
            after="CHG-1001",
        ),
    ]
