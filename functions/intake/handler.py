"""The HTTP door: tickets in, and what became of them."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from functions.edge import utc_now
from functions.intake.event import struct
from functions.intake.wiring import Intake, IntakeHouse
from shared.intake.door import problem
from shared.ledger import LedgerUnavailable
from shared.log import logged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime


def build(environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = utc_now) -> Intake:
    """The function, put together from its environment and the clock."""
    return Intake(IntakeHouse(environ, now))


function = cache(build)


def initializer(context: object) -> None:  # noqa: ARG001 -- Function Compute's form
    """The parts are put together before the first event comes; a ledger that is away is no end."""
    try:
        function()
    except LedgerUnavailable:
        return


@logged
def handler(event: bytes, context: object) -> dict[str, Any]:
    """The answer to an HTTP event, always the full struct."""
    try:
        ready = function()
    except LedgerUnavailable as error:
        return struct(problem(error, getattr(context, "request_id", None)))
    return ready.answer(event, context)
