"""What became of a run, for everybody: an event on the result topic."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from shared.announce import RunResult
from shared.cleanup.notes import CHAIN, each_told

if TYPE_CHECKING:
    from shared.announce import Publish
    from shared.cleanup.notes import CleanupRun, Told
    from shared.ledger import Ledger

MOST_PUBLISHED: Final = 40
"""Findings that are told in full."""
_NOT_TOLD: Final = {
    *("id", "outcome", "ecrs", "pending", "slot", "tries", "told", "is_told", "cursor"),
    *("looked_to", "after", "asks_strangers", "waiting"),
}


def first_told(ledger: Ledger, run: CleanupRun) -> tuple[Told, ...]:
    """What is told of a run in full; kept with it, so that it is the same ever after."""
    told = (one.model_copy(update={"request": None}) for one in each_told(ledger, run))
    return tuple(islice(told if run.counts else (), MOST_PUBLISHED))


def tell(publish: Publish, source: str, outcome: str, run: CleanupRun) -> None:
    """What became of the run is on the topic, with the first findings in full.

    Told again it is the same to the byte. May raise CloudFailure.
    """
    findings = [one.model_dump(exclude_none=True) for one in run.told]
    counted = run.model_dump(mode="json", exclude_none=True, exclude=_NOT_TOLD)
    RunResult(
        source=source,
        subject=CHAIN,
        run_id=run.id,
        outcome=outcome,
        time=run.finished_at or run.started_at,
        told={**counted, "findings": findings},
    ).put_out(publish)
