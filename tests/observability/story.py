"""A run in which everything happens that the queries look at; its log lines."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path

from functions.triggers import BadEvent
from localcloud.behaviour import Fault
from localcloud.ecr.state import Subject
from shared.log import captured
from simulation.wire.system import WireSystem

ROOT = Path(__file__).parents[2]
RULES = """
doctor: {every_hours: 24}
cleanup:
  brake: {most: 1, percent: 1, always: 0}
  rules: {unmanaged: revoke}
"""


@cache
def lines():
    """The lines that the functions write, in order."""
    registry = (ROOT / "registry.yaml").read_text() + RULES
    with (
        tempfile.TemporaryDirectory() as folder,
        captured() as found,
        WireSystem(Path(folder), registry=registry) as system,
    ):
        _tickets(system)
        _nights(system)
    return found


def _tickets(system):
    system.clean()  # the first run only looks
    for action, kind in (("Grant", "throttle"), ("Describe", "error")):
        name = f"{action}InstanceToExpressConnectRouter"
        system.cloud.behaviour.order(Fault(action=name, kind=kind, when="before", times=1))
    for name in ("grant_vpc", "grant_vbr", "grant_bundle", "malformed", "grant_vbr_not_enabled"):
        system.post(name)
    with suppress(BadEvent):
        system.invoke("ecr-authorize", b"nonsense")
    system.settle()
    system.post("grant_vpc")  # once more
    for account in system.cloud.world.accounts:  # an account that lets nobody in any more
        if account.uid == "4000500060007000":
            account.roles.clear()
    end = (system.now() + timedelta(days=30)).isoformat()
    elsewhere = {"instance_owner_uid": "4000500060007000", "instance_id": "vpc-bp1labor0main"}
    system.post("grant_vpc_other_region", request_id="CHG-50", expires_at=end, **elsewhere)
    system.post("revoke_vpc")
    system.settle()


def _nights(system):
    system.cloud.ecr.grant(
        Subject(
            ecr_id="ecr-sg3edge8wv5n2",
            ecr_owner_uid="1000200030004000",
            instance_id="vpc-t4npayments0asia",
            instance_type="VPC",
            instance_region_id="ap-southeast-1",
        ),
        "2000300040005000",
    )  # by hand
    system.clock.advance(40 * 86400)
    soon = (system.now() + timedelta(days=3)).isoformat()
    system.post("grant_vpc", request_id="CHG-60", expires_at=soon)
    system.settle()
    system.clock.advance(120)
    system.clean('{"audit": true}')
    for _ in range(3):
        system.settle(300)
        system.clock.advance(660)
        system.clean()
