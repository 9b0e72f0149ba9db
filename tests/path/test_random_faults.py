"""Sampled schedules through the wire: the real SDKs, random faults, switches and deliveries.

WIRE_SCHEDULES=1000 runs more of them than CI does; WIRE_SEED is the first one.
"""

from __future__ import annotations

import os
import random
from typing import Literal, get_args, get_origin

import pytest

from localcloud.behaviour import DeliveryFault, Fault, Switches
from simulation.wire import WireSystem

FIRST = int(os.environ.get("WIRE_SEED", "1"))
COUNT = int(os.environ.get("WIRE_SCHEDULES", "24"))
ACTIONS = {
    "sts": ["AssumeRole"],
    "ecr": [
        "GrantInstanceToExpressConnectRouter",
        "RevokeInstanceFromExpressConnectRouter",
        "CreateExpressConnectRouterAssociation",
        "DescribeExpressConnectRouterAssociation",
        "DeleteExpressConnectRouterAssociation",
        "AttachExpressConnectRouterChildInstance",
        "DescribeExpressConnectRouterChildInstance",
        "DetachExpressConnectRouterChildInstance",
    ],
    "vpc": ["DescribeVpcGrantRulesToEcr", "DescribeGrantRulesToEcr"],
    "mns": ["SendMessage", "PublishMessage"],
}


def some_switches(chance):
    """One or two switches set to any value but their default."""
    given = {}
    for name in chance.sample(sorted(Switches.model_fields), 2):
        kind = Switches.model_fields[name].annotation
        if kind is bool:
            given[name] = chance.choice([True, False])
        elif get_origin(kind) is Literal:
            given[name] = chance.choice(get_args(kind))
    return given


def some_faults(chance):
    for _ in range(chance.randint(1, 4)):
        product = chance.choice(sorted(ACTIONS))
        yield Fault(
            product=product,
            action=chance.choice(ACTIONS[product]),
            kind=chance.choice(["cut", "error", "throttle", "html"]),
            when=chance.choice(["before", "after"]),
            times=chance.randint(1, 3),
        )


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_whatever_goes_wrong_access_is_what_the_leases_want_in_the_end(tmp_path, seed):
    chance = random.Random(seed)
    with WireSystem(tmp_path, **some_switches(chance)) as system:
        behaviour = system.cloud.behaviour
        behaviour.delivery = DeliveryFault(
            duplicate=chance.choice([0, 0.3]),
            delay=chance.choice([0, 0.3]),
            reorder=chance.choice([0, 0.3]),
            seed=seed,
        )
        for fault in some_faults(chance):
            behaviour.order(fault)
        names = {"grant_vpc": "CHG-1001", "grant_vbr": "CHG-1003"}
        for name in names:
            system.post(name)
        system.post("grant_vpc", request_id="CHG-2", ticket="CHG-2")
        system.settle(chance.choice([1, 20, 3600]))
        system.post("revoke_vpc")
        if chance.random() < 0.5:
            system.post("grant_vbr", request_id="R-3", action="revoke", lease="CHG-1003")
            names.pop("grant_vbr")
        system.settle(chance.choice([5, 7200]))
        behaviour.clear()
        system.settle(7200)
        held = {"vpc-bp1payments0main"}
        if "grant_vbr" in names:
            held.add("vbr-bp1factory0line1")
        assert {grant.subject.instance_id for grant in system.cloud.ecr.grants()} == held
        standing = [one.subject.instance_id for one in system.cloud.ecr.associations()]
        assert sorted(standing) == sorted(held)
        for request_id in {one["request_id"] for one in system.results}:
            told = [one for one in system.results if one["request_id"] == request_id]
            assert len({one["outcome"] for one in told if one["final"]}) == 1
        assert system.dead_letters() == []
        assert system.dead_letters("ecr-attachments-dead") == []
