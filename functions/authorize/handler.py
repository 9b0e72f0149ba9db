"""Requests from the queue: authorise the ECR in account B, or take that back."""

from __future__ import annotations

from functools import cache

from functions import wiring
from shared.log import logged


@cache
def _function() -> wiring.Function:
    return wiring.authorize()


def initializer(context: object) -> None:  # noqa: ARG001 -- Function Compute's form
    """The parts are put together before the first event comes."""
    _function()


@logged
def handler(event: bytes, context: object) -> dict[str, int]:
    """Every message of the event has its answer."""
    return _function().answer(event, context)
