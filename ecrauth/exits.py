"""How a command ends: its exit code, and one line that says what went wrong and what to do."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """The exit codes; scripts may rely on them."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    REJECTED = 3
    FAILED = 4
    PARTIAL = 5
    TIMEOUT = 6
    UNKNOWN = 7
    FAULTY = 8


MEANINGS: Final[dict[Exit, str]] = {
    Exit.DONE: "done; of a request: granted (where a person attaches), attached, revoked, "
    "completed",
    Exit.ERROR: "it could not be done: the line on the standard error says why",
    Exit.USAGE: "the command was typed wrongly",
    Exit.REJECTED: "the request was rejected: nothing was done, and its code says why",
    Exit.FAILED: "the request failed: what had been begun is taken back",
    Exit.PARTIAL: "a ticket for many instances came to pass for some of them",
    Exit.TIMEOUT: "no answer yet: the time was over",
    Exit.UNKNOWN: "there is no such request, letter, chain",
    Exit.FAULTY: "the audit trail has faults",
}
BY_OUTCOME: Final[dict[str, Exit]] = {
    "granted": Exit.DONE,
    "attached": Exit.DONE,
    "revoked": Exit.DONE,
    "completed": Exit.DONE,
    "rejected": Exit.REJECTED,
    "failed": Exit.FAILED,
    "partial": Exit.PARTIAL,
}


class Failed(Exception):
    """A command cannot do what it was asked to.

    Args:
        what: What is wrong, without a full stop.
        remedy: What to do about it; empty where that is said already.
        code: The exit code.
    """

    def __init__(self, what: object, remedy: str = "", code: Exit = Exit.ERROR) -> None:
        told = " ".join(f"{what}".split())
        super().__init__(f"{told}: {remedy}" if remedy else told)
        self.code = code


class Unreached(Failed):
    """Nothing answers, or it answers that it cannot now: another try may do."""


def explained(error: Exception) -> Failed | None:
    """What an error of the work says to people; None for a fault of our own."""
    # Where nothing has gone wrong, none of these is imported.
    from shared.cleanup.brake import NoSuchBrake
    from shared.cleanup.notes import UnreadableNote
    from shared.cloud.credentials import NoCredentials
    from shared.cloud.endpoints import BadEndpoint
    from shared.cloud.errors import CloudFailure
    from shared.contract import BadMessage
    from shared.ledger import LedgerUnavailable, NewerLedger, OlderLedger
    from shared.registry import BadRegistry

    if isinstance(error, CloudFailure):
        return Failed(error, error.explanation.remedy)
    if isinstance(error, LedgerUnavailable):
        return Failed(error, "is LEDGER_URL right, and can the database be reached from here?")
    if isinstance(error, NoCredentials):
        names = "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET"
        return Failed("there is no access key", f"set {names} (see `ecrauth settings`)")
    if isinstance(error, UnreadableNote):
        return Failed(error, "the next run looks, and the one after it decides anew")
    known = (BadEndpoint, BadMessage, BadRegistry, NewerLedger, NoSuchBrake, OlderLedger)
    return Failed(error) if isinstance(error, known) else None
