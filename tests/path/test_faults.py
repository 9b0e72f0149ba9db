"""A fault at any call, before or after it took effect: the ticket still gets its one right end."""

from __future__ import annotations

import pytest

from localcloud.behaviour import DeliveryFault, Fault
from simulation.wire.system import WireSystem

CALLS = [
    ("sts", "AssumeRole"),
    ("ecr", "GrantInstanceToExpressConnectRouter"),
    ("ecr", "RevokeInstanceFromExpressConnectRouter"),
    ("ecr", "CreateExpressConnectRouterAssociation"),
    ("ecr", "DescribeExpressConnectRouterAssociation"),
    ("ecr", "DeleteExpressConnectRouterAssociation"),
    ("vpc", "DescribeVpcGrantRulesToEcr"),
    ("mns", "PublishMessage"),
    ("mns", "SendMessage"),
]
KINDS = [
    pytest.param({"kind": "cut", "when": "before"}, id="cut-before"),
    pytest.param({"kind": "cut", "when": "after"}, id="cut-after"),
    pytest.param({"kind": "html", "when": "after"}, id="html-after"),
    pytest.param({"kind": "error", "when": "before"}, id="503-before"),
    pytest.param({"kind": "error", "when": "after"}, id="503-after"),
    pytest.param({"kind": "throttle", "when": "before"}, id="throttled"),
]


def grant_and_revoke(system):
    system.post("grant_vpc")
    system.settle()
    assert "attached" in system.outcomes("CHG-1001")
    system.post("revoke_vpc")
    system.settle()
    assert set(system.outcomes("CHG-1001")) == {"granted", "attached"}
    assert set(system.outcomes("CHG-1008")) == {"revoking", "detached", "revoked"}
    assert system.cloud.ecr.grants() == []
    assert system.cloud.ecr.associations() == []
    assert system.dead_letters() == []
    assert system.dead_letters("ecr-attachments-dead") == []


@pytest.mark.parametrize("fault", KINDS)
@pytest.mark.parametrize(("product", "action"), CALLS, ids=[action for _, action in CALLS])
def test_a_fault_at_any_call_changes_nothing_in_the_end(tmp_path, product, action, fault):
    with WireSystem(tmp_path) as system:
        system.cloud.behaviour.order(Fault(product=product, action=action, times=3, **fault))
        grant_and_revoke(system)


def test_no_association_is_made_twice_where_the_reply_was_lost(tmp_path):
    with WireSystem(tmp_path, associate_twice="accepted") as system:
        system.cloud.behaviour.order(
            Fault(
                product="ecr",
                action="CreateExpressConnectRouterAssociation",
                kind="cut",
                when="after",
                times=2,
            )
        )
        system.post("grant_vpc")
        system.settle()
        assert len(system.cloud.ecr.associations()) == 1


def test_a_slow_answer_is_waited_for(tmp_path):
    with WireSystem(tmp_path) as system:
        slow = Fault(product="ecr", action="*", kind="hang", seconds=0.2, times=4)
        system.cloud.behaviour.order(slow)
        grant_and_revoke(system)


@pytest.mark.parametrize("seed", range(6))
def test_messages_that_come_twice_late_and_out_of_order_change_nothing(tmp_path, seed):
    with WireSystem(tmp_path) as system:
        system.cloud.behaviour.delivery = DeliveryFault(
            duplicate=0.4, delay=0.4, reorder=0.4, seed=seed
        )
        grant_and_revoke(system)


def test_a_cloud_that_stays_away_is_told_to_the_ticket_and_kept_as_a_dead_letter(tmp_path):
    with WireSystem(tmp_path) as system:
        system.cloud.behaviour.order(
            Fault(product="sts", action="AssumeRole", kind="error", times=-1)
        )
        system.post("grant_vpc")
        system.settle(6 * 3600)
        assert "failed" in system.outcomes("CHG-1001")
        problem = system.problem("CHG-1001")
        assert problem["code"] == "cloud_unavailable"
        assert problem["remedy"]
        (letter, *_) = system.dead_letters()
        assert letter["message"]["request_id"] == "CHG-1001"
        assert "cloud_unavailable" in letter["reason"]


def test_an_instance_that_is_attached_twice_is_healed_and_stays_attached(tmp_path):
    """A write that landed late on a cloud that had forgotten its token."""
    with WireSystem(tmp_path, associate_twice="accepted") as system:
        system.post("grant_vpc")
        system.settle()
        (grant,) = system.cloud.ecr.grants()
        system.cloud.ecr.associate(grant.subject, grant.instance_owner_uid)
        system.settle(60)
        assert len(system.cloud.ecr.associations()) == 2
        system.post("grant_vpc", request_id="CHG-2", ticket="CHG-2")
        system.settle()
        assert system.outcomes("CHG-2") == ["granted", "attached"]
        assert [one.status(system.clock.now()) for one in system.cloud.ecr.associations()] == [
            "ACTIVE"
        ]
