"""Counts what is found on one ECR, and keeps what is to be done about it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from shared.cleanup.findings import Finding
from shared.cleanup.notes import MOST_TOLD, CleanupRun, Found, Part, Told
from shared.contract import AuthorizationId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.authorization import Authorization
    from shared.cleanup.findings import Comparison

_PART: Final = 100
"""How many of a list are noted, and asked for, at once."""
AGES: Final = (1, 7, 30, 90, 180, 365)
"""Days: the columns of the report's charts."""


class Tally:
    """Counts the findings of one ECR, and keeps what is to be done about them, part by part.

    Args:
        ecr_id: The ECR.
        comparison: What finds.
        troubles: What was found of the ECR itself.
        keep: Notes the part of the list with this number.
    """

    def __init__(
        self,
        ecr_id: str,
        comparison: Comparison,
        troubles: Iterable[Finding],
        keep: Callable[[int, Part], None],
    ) -> None:
        self.ecr_id = ecr_id
        self._comparison = comparison
        shown = comparison.shown
        self._strangers = shown.grants.keys() | shown.associations.keys()
        self._shown: set[str] = set()
        self._keep = keep
        self._parts: list[str] = []
        self._requests: list[dict[str, Any]] = []
        self._looks: list[str] = []
        self._told: list[Told] = []
        self._seen = self._wanted = 0
        self._counts: Counter[str] = Counter()
        self._ages: Counter[str] = Counter()
        self._ends: Counter[str] = Counter()
        for finding in troubles:
            self.add(finding)
        for row in shown.unreadable:
            self.add(Finding("unreadable", ecr_id, ticket=row))
        for at in shown.grants.values():
            if at is not None:
                self._ages[_column(comparison.now - at)] += 1

    def add(self, finding: Finding) -> None:
        """One more finding."""
        self._counts[finding.name] += 1
        if len(self._told) < MOST_TOLD:
            self._told.append(Told.of(finding))
        if finding.asks and finding.request is not None:
            self._wanted += 1
            self._requests.append(finding.request)
        if finding.looks:
            self._looks.append(finding.key)
        if len(self._requests) + len(self._looks) >= _PART:
            self._end_part()

    def met(self, key: str) -> None:
        """The ledger knows this one, whether or not its record can be read."""
        if key in self._strangers:
            self._strangers.discard(key)
            self._seen += 1
            self._shown.add(key)

    def add_record(self, record: Authorization) -> None:
        """All that is found about an authorization that the ledger knows."""
        key, live = record.id.key, record.live_leases
        self._seen += bool(live) and key not in self._shown
        for lease in live:
            end = lease.expires_at
            self._ends["none" if end is None else _column(end - self._comparison.now)] += 1
        for finding in self._comparison.known(record):
            self.add(finding)

    def add_strangers(self) -> None:
        """All that account A shows and the ledger did not know."""
        self._seen += len(self._strangers)
        for key in sorted(self._strangers):
            for finding in self._comparison.stranger(AuthorizationId.of_key(key)):
                self.add(finding)

    def found(self) -> Found:
        """What is kept of it, once all has been added."""
        if self._requests or self._looks:
            self._end_part()
        return Found(parts=tuple(self._parts), told=tuple(self._told))

    def _end_part(self) -> None:
        part = Part(requests=tuple(self._requests), looks=tuple(self._looks))
        self._keep(len(self._parts), part)
        self._parts.append(part.digest)
        self._requests, self._looks = [], []

    def counted(self, run: CleanupRun) -> CleanupRun:
        """The run with this ECR in its numbers."""
        return run.model_copy(
            update={
                "seen": run.seen + self._seen,
                "wanted": run.wanted + self._wanted,
                "counts": dict(Counter(run.counts) + self._counts),
                "ages": dict(Counter(run.ages) + self._ages),
                "ends": dict(Counter(run.ends) + self._ends),
            }
        )


def _column(age: timedelta) -> str:
    return next((str(days) for days in AGES if age <= timedelta(days=days)), "more")
