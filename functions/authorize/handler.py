"""Requests from the queue: authorise the ECR in account B, or take that back.

Invoked by hand with `{"check": "external_ids"}` it says which key the first accounts B trust, and
with `"after": UID` the next ones; with `{"check": "doctor", "accounts": [UID, …]}` what is wrong
with these. Its role is the only one that can find out.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from functions.edge import utc_now
from functions.triggers import BadEvent
from functions.wiring import Function, House
from shared.authorize import AccountB, Authorize
from shared.bundles import Bundles
from shared.cloud.network import Network
from shared.cloud.sessions import Sessions
from shared.doctor.canary import Rounds
from shared.doctor.probing import MOST_ACCOUNTS, Examination, leased_vbr
from shared.external_ids import ExternalIdKeys
from shared.log import logged
from shared.onboarding import SLICE, trusts
from shared.testimony import Testimony

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.contract import AuthorizationId


_LONGEST_CHECK: Final = 200
_UID: Final = re.compile(r"[0-9]{16}", re.ASCII)


@dataclass(frozen=True)
class AuthorizeFunction(Function):
    """The function, which also tells how a change of keys stands."""

    keys: ExternalIdKeys
    new_sessions: Callable[[], Sessions]
    examination: Examination

    def answer(self, event: bytes, context: object) -> dict[str, Any]:
        """Every message of the event has its answer; or how the change of keys stands."""
        asked = _check(event)
        if asked is None:
            return super().answer(event, context)
        self.house.context = context
        if asked["check"] == "doctor":
            return self._examined(asked.get("accounts"))
        after = str(asked.get("after", ""))
        found = trusts(self.house.registry, self.keys, self.new_sessions(), after)
        return {
            "changing": self.keys.following is not None,
            "accounts": [asdict(one) for one in found],
            "more": len(found) == SLICE,
        }

    def _examined(self, uids: object) -> dict[str, Any]:
        """What is wrong with a slice of accounts B; without accounts, with the function's clock."""
        if not isinstance(uids, list) or len(uids) > MOST_ACCOUNTS:
            raise BadEvent(f"`accounts` is a list of at most {MOST_ACCOUNTS}")
        if not all(isinstance(one, str) and _UID.fullmatch(one) for one in uids):
            raise BadEvent("an account's id has 16 digits")
        if not uids:
            found = self.examination.clock()
            return {"findings": [one.model_dump() for one in found], "assumed": 0}
        examined = self.examination.of(uids)
        return {
            "findings": [one.model_dump() for one in examined.findings],
            "assumed": examined.assumed,
        }


def _check(event: bytes) -> dict[str, Any] | None:
    """What is asked by hand; None for the queue's events."""
    if len(event) > _LONGEST_CHECK:
        return None  # a batch: it is parsed once
    try:
        asked = json.loads(event)
    except ValueError:
        return None
    if not isinstance(asked, dict) or asked.get("check") not in ("external_ids", "doctor"):
        return None
    return asked


def build(
    environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = utc_now
) -> AuthorizeFunction:
    """The function, put together from its environment and the clock."""
    house = House(environ, now)
    keys = _keys(house)

    def new_sessions() -> Sessions:
        return Sessions(house.credentials, house.endpoint("STS"), house.settings.region, now)

    network = Network(house.endpoint("VPC"))
    account_b = AccountB(
        sessions=new_sessions(),
        router=house.router,
        network=network,
        registry=house.registry,
        external_id_keys=keys,
        now=now,
    )

    def attached_by_hand(of: AuthorizationId) -> bool:
        return house.router.association(house.credentials(), of).state != "absent"

    examination = Examination(
        new_sessions=new_sessions,
        router=house.router,
        network=network,
        registry=house.registry,
        keys=keys,
        known_vbr=lambda uid: leased_vbr(house.ledger, house.registry, uid),
        machine_time=utc_now,
    )
    rounds = Rounds(
        ledger=house.ledger,
        examination=examination,
        send=house.messages.send,
        queue=house.settings.queue,
        publish=house.publish,
        source=house.source,
        now=now,
    )

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
        testimony=Testimony(house.ledger, house.registry, account_b.authorized_at, now),
        now=now,
        examine=rounds.step,
    )
    return AuthorizeFunction(house, house.inbox(), worker, keys, new_sessions, examination)


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
