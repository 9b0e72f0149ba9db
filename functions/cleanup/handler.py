"""The timer: pick up what lies, end what is due, find what is stale or drifts; ask, do nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from functions.edge import utc_now
from functions.triggers import timer_options
from functions.wiring import House
from shared.cleanup.audit import Audit
from shared.cleanup.brake import brake_on
from shared.cleanup.gauges import gauges
from shared.cleanup.notes import UnreadableNote
from shared.cleanup.run import Cleanup
from shared.cloud.errors import CloudFailure
from shared.cloud.listings import Listings
from shared.doctor.canary import Canary
from shared.log import logged
from shared.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.cleanup.notes import CleanupRun

Done = TypeVar("Done")
_ANSWERED: Final = {"id", "outcome", "pending", "seen", "asked"}
log = structlog.get_logger()

SHARE_OF_TIME: Final = 0.6
"""Of the function's time-out: an ECR that is begun before is looked at whole."""
SHARE_OF_AUDIT: Final = 0.25
"""The audit goes first, and has so much of it: it needs few listings, and the clean-up may use up
what the API's quota has of them."""


@dataclass(frozen=True)
class Cleaner:
    """The clean-up, ready for the timer."""

    house: House

    def answer(self, event: bytes, context: object) -> dict[str, Any]:
        """Sweep, and go on with the clean-up's run, or begin one. Raises BadEvent, CloudFailure."""
        options = timer_options(event)
        self.house.context = context
        begun, whole = self.house.now(), self.house.settings.timeout_seconds
        auditing = audit(self.house, self._is_late(begun, whole * SHARE_OF_AUDIT))
        cleaning = cleanup(self.house, self._is_late(begun, whole * SHARE_OF_TIME))
        failures: list[CloudFailure] = []
        self._try(sweep(self.house).run, failures)
        self._try(self._begin_round, failures)
        audited = self._try(lambda: auditing.go_on(begin=options.audit), failures)
        run = self._try(lambda: cleaning.run(dry=options.dry_run), failures)
        if run is not None and run.outcome is not None:
            self._log_gauges(run)
        if failures:
            raise failures[0]
        return {
            **(run.model_dump(mode="json", include=_ANSWERED) if run else {}),
            "audit": audited.model_dump(mode="json", include=_ANSWERED) if audited else None,
        }

    def _log_gauges(self, run: CleanupRun) -> None:
        now, ledger = self.house.now(), self.house.ledger
        oldest = next(iter(ledger.unfinished(now, 1)), None)
        try:
            brake = brake_on(ledger)
        except UnreadableNote:  # a run names that, too; the other numbers are told all the same
            log.warning("gauges_without_brake", run=run.id)
            brake = None
        log.info("gauges", **gauges(run, brake, oldest, now))

    def _is_late(self, begun: datetime, seconds: float) -> Callable[[], bool]:
        until = begun + timedelta(seconds=seconds)
        return lambda: self.house.now() > until

    def _try(self, part: Callable[[], Done], failures: list[CloudFailure]) -> Done | None:
        """What keeps one part from its work keeps no other."""
        try:
            return part()
        except CloudFailure as failure:
            log.exception("part_failed")
            failures.append(failure)
            return None

    def _begin_round(self) -> bool:
        """A round of the doctor is begun, where it is time."""
        every = self.house.registry.doctor.every_hours
        canary = Canary(
            ledger=self.house.ledger,
            send=self.house.messages.send,
            queue=self.house.settings.queue,
            now=self.house.now,
            every=timedelta(hours=every) if every else None,
        )
        return canary.begin()


def sweep(house: House) -> Sweep:
    """The sweep over the house's ledger; its `queue` is the request queue."""
    return Sweep(
        ledger=house.ledger,
        announcer=house.announcer,
        trail=house.trail,
        send=house.messages.send,
        requests=house.settings.queue,
        attachments=house.settings.attachment_queue,
        now=house.now,
    )


def cleanup(house: House, is_late: Callable[[], bool] = lambda: False) -> Cleanup:
    """The clean-up over the house's ledger and account A's view."""
    return Cleanup(
        ledger=house.ledger,
        listings=Listings(house.endpoint("EXPRESSCONNECTROUTER"), house.settings.region),
        credentials=house.credentials,
        registry=house.registry,
        announcer=house.announcer,
        publish=house.publish,
        source=house.source,
        trail=house.trail,
        send=house.messages.send,
        requests=house.settings.queue,
        attachments=house.settings.attachment_queue,
        now=house.now,
        is_late=is_late,
    )


def audit(house: House, is_late: Callable[[], bool] = lambda: False) -> Audit:
    """The full audit over the house's ledger and both accounts' views."""
    return Audit(
        ledger=house.ledger,
        listings=Listings(house.endpoint("EXPRESSCONNECTROUTER"), house.settings.region),
        credentials=house.credentials,
        registry=house.registry,
        publish=house.publish,
        source=house.source,
        trail=house.trail,
        send=house.messages.send,
        requests=house.settings.queue,
        now=house.now,
        is_late=is_late,
    )


def build(
    environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = utc_now
) -> Cleaner:
    """The function, put together from its environment and the clock."""
    return Cleaner(House(environ, now))


function = cache(build)


def initializer(context: object) -> None:  # noqa: ARG001 -- Function Compute's form
    """The parts are put together before the first event comes."""
    function()


@logged
def handler(event: bytes, context: object) -> dict[str, Any]:
    """One step of the clean-up."""
    return function().answer(event, context)
