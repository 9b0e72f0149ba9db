"""The timer: pick up what lies, end what is due, find what is stale or drifts; ask, do nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import structlog

from functions.clock import utc_now
from functions.triggers import timer_options
from functions.wiring import House
from shared.cleanup.run import Cleanup
from shared.cloud.errors import CloudFailure
from shared.cloud.listings import Listings
from shared.log import logged
from shared.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

log = structlog.get_logger()

SHARE_OF_TIME: Final = 0.6
"""Of the function's time-out: an ECR that is begun before is looked at whole."""


@dataclass(frozen=True)
class Cleaner:
    """The clean-up, ready for the timer."""

    house: House

    def answer(self, event: bytes, context: object) -> dict[str, Any]:
        """Sweep, and go on with the clean-up's run, or begin one. Raises BadEvent, CloudFailure."""
        options = timer_options(event)
        self.house.context = context
        budget = timedelta(seconds=self.house.settings.timeout_seconds * SHARE_OF_TIME)
        until = self.house.now() + budget
        failure = self._sweep()
        cleaning = cleanup(self.house, is_late=lambda: self.house.now() > until)
        run = cleaning.run(dry=options.dry_run)
        if failure is not None:
            raise failure
        return run.model_dump(mode="json", include={"id", "outcome", "pending", "seen", "asked"})

    def _sweep(self) -> CloudFailure | None:
        """What keeps the sweep from its work keeps nothing else."""
        try:
            sweep(self.house).run()
        except CloudFailure as failure:
            log.exception("sweep_failed")
            return failure
        return None


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
