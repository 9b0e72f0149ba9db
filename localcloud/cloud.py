"""One cloud: its world, its time, its manners, and the products that share them."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcloud import ecr, sts, vpc
from localcloud.behaviour import Behaviour
from localcloud.clock import MachineClock
from localcloud.identity import Identity
from localcloud.mns import Mns
from localcloud.quotas import Quotas
from localcloud.ros_api import Ros

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.clock import Clock
    from localcloud.fc import Fc
    from localcloud.world import World

_JOURNAL = 20_000


@dataclass(frozen=True)
class Entry:
    """One call in the journal; never its parameters, which may hold secrets."""

    at: float
    product: str
    action: str
    account: str | None
    arn: str | None
    status: int
    code: str | None


class Cloud:
    """Everything that the wire serves.

    Args:
        world: The accounts and what they own; operations change it.
        clock: What time it is.
        behaviour: Switches and faults.
        signing_time: What request dates are compared with. SDKs stamp the machine's time, also
            where `clock` is a virtual one.
    """

    def __init__(
        self,
        world: World,
        clock: Clock | None = None,
        behaviour: Behaviour | None = None,
        signing_time: Callable[[], float] = time.time,
    ) -> None:
        self.world = world
        self.clock: Clock = clock or MachineClock()
        self.behaviour = behaviour or Behaviour()
        self.signing_time = signing_time
        self.lock = threading.RLock()
        self.identity = Identity(self)
        self.quotas = Quotas(self.behaviour)
        self.journal: deque[Entry] = deque(maxlen=_JOURNAL)
        self.ecr = ecr.Ecr(self)
        self.products = {
            product.version: (name, product)
            for name, product in (
                ("sts", sts.product(self)),
                ("vpc", vpc.product(self)),
                ("ecr", ecr.product(self)),
                ("ros", Ros(self).product()),
            )
        }
        self.mns = Mns(self)
        self.fc: Fc | None = None

    def note(  # noqa: PLR0913 -- the fields of an entry
        self,
        product: str,
        action: str,
        account: str | None,
        arn: str | None,
        status: int,
        code: str | None = None,
    ) -> None:
        """Write a call into the journal."""
        self.journal.append(Entry(self.clock.now(), product, action, account, arn, status, code))

    def close(self) -> None:
        """Stop what runs by itself."""
        if self.fc is not None:
            self.fc.close()
        self.mns.close()
        self.clock.close()
