"""How things stand after a run of the clean-up, in numbers that an alarm can be set on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.cleanup.findings import SENTENCES

if TYPE_CHECKING:
    from datetime import datetime

    from shared.cleanup.brake import BrakeOn
    from shared.cleanup.notes import CleanupRun
    from shared.ledger import RequestRecord

STALE: Final = ("stale_not_attached", "stuck", "ecr_gone", "instance_gone", "unpublished")
"""What nobody seems to need, or to be at work on."""
UNSEEN: Final = (
    "cannot_verify",
    "listing_failed",
    "listing_empty",
    "unreadable",
    "note_unreadable",
)
"""Where the clean-up could not look."""
DRIFT: Final = tuple(name for name in SENTENCES if name not in ("expired", *STALE, *UNSEEN))
"""What the cloud shows, and the ledger does not want; or the other way round."""

_WITHIN_A_WEEK: Final = ("1", "7")


def gauges(
    run: CleanupRun, brake: BrakeOn | None, oldest: RequestRecord | None, now: datetime
) -> dict[str, str | int | float]:
    """The numbers of a run that has looked at everything.

    Args:
        run: The run.
        brake: The list that waits for an operator, if the brake is on.
        oldest: The oldest request without an answer, if there is one.
        now: The time.
    """
    waits = (now - oldest.received_at).total_seconds() if oldest else 0.0
    return {
        "run": run.id,
        "seen": run.seen,
        "drift": _sum(run.counts, DRIFT),
        "stale": _sum(run.counts, STALE),
        "unseen": _sum(run.counts, UNSEEN),
        "expiring_in_7_days": _sum(run.ends, _WITHIN_A_WEEK),
        "brake_on": int(brake is not None),
        "oldest_waiting_seconds": round(max(0.0, waits), 3),
    }


def _sum(counts: dict[str, int], names: tuple[str, ...]) -> int:
    return sum(counts.get(name, 0) for name in names)
