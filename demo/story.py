"""What the demo asks for, and what must become of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from demo import systems

REQUESTS = Path(__file__).parents[1] / "events" / "requests"


@dataclass
class Ticket:
    """One ticket, its request, and the way that it must take.

    Args:
        title: What it is about, in a few words.
        sample: The sample: a system's ticket of events/tickets, which is posted to intake, or a
            request of events/requests, which is put on the request queue.
        way: The results that must come, in order; `refused`: at intake's door.
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
    told: list[dict[str, Any]] = field(default_factory=list)
    told_at: float | None = None

    @property
    def system(self) -> systems.System | None:
        """The system whose ticket it is; None: who asks puts requests on the queue."""
        return systems.of(self.sample)

    @cached_property
    def request(self) -> dict[str, Any]:
        """The request as it is on the queue."""
        if self.system is not None:
            return systems.mapped(self.sample, self.system)
        document: dict[str, Any] = json.loads((REQUESTS / f"{self.sample}.json").read_text())
        return document

    @property
    def instance(self) -> str:
        """The instance that it is about, or how many."""
        parts = self.request.get("instances", [])
        return f"{len(parts)} instances" if parts else str(self.request["instance_id"])

    @property
    def request_id(self) -> str:
        """The request's id."""
        return str(self.request["request_id"])

    @property
    def is_over(self) -> bool:
        """As many results as were expected have come, and the system was told as many answers."""
        return len(self.seen) >= len(self.way) and len(self.told) >= len(self.answers)

    @property
    def answers(self) -> tuple[str, ...]:
        """The results that must be written back to its system."""
        at_the_door = self.way == ("refused",)
        return () if self.system is None or at_the_door else self.way

    @property
    def is_as_expected(self) -> bool:
        """Just the results that were expected have come, for the expected reason."""
        return (
            tuple(outcome for outcome, _ in self.seen) == self.way
            and self.seen_code == self.code
            and {one["outcome"] for one in self.told} == set(self.answers)
        )


def tickets() -> list[Ticket]:
    """The demo's tickets, in the order in which they are sent."""
    access = ("granted", "attached")
    refused = ("rejected",)
    return [
        Ticket("VPC", "servicenow_grant", access),
        Ticket("VPC of another region", "jira_grant", access),
        Ticket("VBR, account enabled", "dingtalk_grant", access),
        Ticket("two VPCs or none", "servicenow_bundle", ("completed",)),
        Ticket("not approved", "servicenow_not_approved", ("refused",), "not_approved"),
        Ticket("VBR, a second lease", "grant_vbr", access, after="202611021340000174321"),
        Ticket("VBR, account not enabled", "grant_vbr_not_enabled", refused, "vbr_not_enabled"),
        Ticket("account unknown", "grant_account_unknown", refused, "account_unknown"),
        Ticket("ECR not allowed", "grant_ecr_not_allowed", refused, "ecr_not_allowed"),
        Ticket("malformed", "malformed", refused, "malformed"),
        Ticket(
            "the same request twice",
            "grant_vbr",
            ("attached",),
            after="CHG-1003",
            repeats=True,
        ),
        Ticket(
            "revoke of the attached VPC",
            "jira_revoke",
            ("revoking", "detached", "revoked"),
            after="CHG0031001",
        ),
        Ticket(
            "revoke, one lease of two",
            "dingtalk_revoke",
            ("revoked",),
            after="CHG-1003",
        ),
    ]
