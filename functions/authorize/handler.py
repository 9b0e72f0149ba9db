"""Requests from the queue: authorise the ECR in account B, or take that back.

Invoked by hand with `{"check": "external_ids"}` it says which key the first accounts B trust, and
with `"after": UID` the next ones: its role is the only one that can find out.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from functions.clock import utc_now
from functions.wiring import Function, House
from shared.authorize import AccountB, Authorize
from shared.bundles import Bundles
from shared.cloud.network import Network
from shared.cloud.sessions import Sessions
from shared.external_ids import ExternalIdKeys
from shared.log import logged
from shared.onboarding import SLICE, trusts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.contract import AuthorizationId


_LONGEST_CHECK: Final = 100


@dataclass(frozen=True)
class AuthorizeFunction(Function):
    """The function, which also tells how a change of keys stands."""

    keys: ExternalIdKeys
    new_sessions: Callable[[], Sessions]

    def answer(self, event: bytes, context: object) -> dict[str, Any]:
        """Every message of the event has its answer; or how the change of keys stands."""
        after = _asks_for_trusts(event)
        if after is None:
            return super().answer(event, context)
        self.house.context = context
        found = trusts(self.house.registry, self.keys, self.new_sessions(), after)
        return {
            "changing": self.keys.following is not None,
            "accounts": [asdict(one) for one in found],
            "more": len(found) == SLICE,
        }


def _asks_for_trusts(event: bytes) -> str | None:
    """The account after which it is asked, "" for the first ones; None where it is not asked."""
    if len(event) > _LONGEST_CHECK:
        return None  # a batch: it is parsed once
    try:
        asked = json.loads(event)
    except ValueError:
        return None
    if not isinstance(asked, dict) or asked.get("check") != "external_ids":
        return None
    return str(asked.get("after", ""))


def build(
    environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = utc_now
) -> AuthorizeFunction:
    """The function, put together from its environment and the clock."""
    house = House(environ, now)
    keys = _keys(house)

    def new_sessions() -> Sessions:
        return Sessions(house.credentials, house.endpoint("STS"), house.settings.region, now)

    account_b = AccountB(
        sessions=new_sessions(),
        router=house.router,
        network=Network(house.endpoint("VPC")),
        registry=house.registry,
        external_id_keys=keys,
        now=now,
    )

    def attached_by_hand(of: AuthorizationId) -> bool:
        return house.router.association(house.credentials(), of).state != "absent"

    worker = Authorize(
        ledger=house.ledger,
        registry=house.registry,
        settler=house.settler("authorize", account_b.actions),
        bundles=Bundles(
            ledger=house.ledger,
            registry=house.registry,
            announcer=house.announcer,
            send=house.messages.send,
            queue=house.settings.queue,
            now=now,
        ),
        announcer=house.announcer,
        attached_by_hand=attached_by_hand,
        now=now,
    )
    return AuthorizeFunction(house, house.inbox(), worker, keys, new_sessions)


def _keys(house: House) -> ExternalIdKeys:
    following = house.settings.external_id_key_next
    return ExternalIdKeys(
        house.settings.external_id_key, following if following.get_secret_value() else None
    )


function = cache(build)


def initializer(context: object) -> None:  # noqa: ARG001 -- Function Compute's form
    """The parts are put together before the first event comes."""
    function()


@logged
def handler(event: bytes, context: object) -> dict[str, Any]:
    """Every message of the event has its answer."""
    return function().answer(event, context)
