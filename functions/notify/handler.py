"""The result topic: each result is written back to its ticket, and told to the chats."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from functions.edge import utc_now
from functions.notify.wiring import Function
from shared.log import logged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime


def build(
    environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = utc_now
) -> Function:
    """The function, put together from its environment and the clock."""
    return Function(environ, now)


function = cache(build)


def initializer(context: object) -> None:  # noqa: ARG001 -- Function Compute's form
    """The parts are put together before the first event comes."""
    function()


@logged
def handler(event: bytes, context: object) -> dict[str, Any]:
    """The result in the event has been told, or is raised for Function Compute to try again."""
    return function().answer(event, context)
