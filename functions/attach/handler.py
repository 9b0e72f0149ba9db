"""Results from the queue: attach the instance in account A, or detach it."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from functions.edge import utc_now
from functions.wiring import House
from shared.attach import AccountA, Attach
from shared.log import logged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from functions.wiring import Function


def build(
    environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = utc_now
) -> Function:
    """The function, put together from its environment and the clock."""
    house = House(environ, now)
    account_a = AccountA(house.router, house.credentials, house.registry, now)
    return house.function(Attach(house.settler("attach", account_a.actions)))


function = cache(build)


def initializer(context: object) -> None:  # noqa: ARG001 -- Function Compute's form
    """The parts are put together before the first event comes."""
    function()


@logged
def handler(event: bytes, context: object) -> dict[str, int]:
    """Every message of the event has its answer."""
    return function().answer(event, context)
