"""Requests from the queue: authorise the ECR in account B, or take that back."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from functions.wiring import House, utc_now
from shared.authorize import AccountB, Authorize
from shared.cloud.network import Network
from shared.cloud.sessions import Sessions
from shared.log import logged
from shared.registry import check_key
from shared.testimony import Testimony

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from functions.wiring import Function
    from shared.contract import AuthorizationId


def build(
    environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = utc_now
) -> Function:
    """The function, put together from its environment and the clock."""
    house = House(environ, now)
    check_key(house.settings.external_id_key)
    account_b = AccountB(
        sessions=Sessions(house.credentials, house.endpoint("STS"), house.settings.region, now),
        router=house.router,
        network=Network(house.endpoint("VPC")),
        registry=house.registry,
        external_id_key=house.settings.external_id_key,
        now=now,
    )

    def attached_by_hand(of: AuthorizationId) -> bool:
        return house.router.association(house.credentials(), of).state != "absent"

    return house.function(
        Authorize(
            ledger=house.ledger,
            registry=house.registry,
            settler=house.settler("authorize", account_b.actions),
            announcer=house.announcer,
            attached_by_hand=attached_by_hand,
            testimony=Testimony(house.ledger, house.registry, account_b.authorized_at, now),
            now=now,
        )
    )


function = cache(build)


def initializer(context: object) -> None:  # noqa: ARG001 -- Function Compute's form
    """The parts are put together before the first event comes."""
    function()


@logged
def handler(event: bytes, context: object) -> dict[str, int]:
    """Every message of the event has its answer."""
    return function().answer(event, context)
