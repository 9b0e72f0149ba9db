"""What who holds `mns:SendMessage` on the request queue, and nothing else, can do at the most.

They can ask for what the registry allows, and end leases. They name no sender, so that nobody's
approval is looked for: RAM has let them. They cannot see a result, choose a role, or reach beyond
the registry, the freeze or the longest lease.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from localcloud import ram
from localcloud.call import Caller
from simulation.wire.system import ACCOUNT_A, WireSystem, demo_world
from tests.attacks.conftest import REGISTRY, access, put, revoke, sample, writes

LAB = {
    "ecr_id": "ecr-sg3edge8wv5n2",
    "instance_id": "vpc-bp1labor0bench",
    "instance_owner_uid": "4000500060007000",
}
APPROVED = """
senders:
  servicenow: {accounts: all, ecrs: all, requires: {approval: true, another_approver: true}}
"""


def test_they_can_ask_for_what_the_registry_allows_and_end_any_lease(system):
    put(system, sample("grant_vpc"))
    system.settle()
    assert system.outcomes("CHG-1001") == ["granted", "attached"]
    put(system, revoke("grant_vpc", request_id="X-1", lease="CHG-1001"))
    system.settle()
    assert system.outcomes("X-1") == ["revoking", "detached", "revoked"]
    assert access(system) == (set(), set())


def test_they_cannot_make_a_lease_longer_than_the_registry_lets_it_be(system):
    for number, days in enumerate((None, 91, 100_000)):
        end = (system.now() + timedelta(days=days)).isoformat() if days else None
        given = sample("grant_vpc", **LAB, request_id=f"X-{number}", expires_at=end)
        put(system, given)
        system.settle(60)
        assert system.problem(f"X-{number}")["code"] == "lease_too_long"
    assert writes(system) == []


def test_they_cannot_give_new_access_in_a_freeze(tmp_path):
    text = REGISTRY + (
        "\ncleanup: {freezes: [{since: 2020-01-01T00:00:00Z, until: 2099-01-01T00:00:00Z, "
        "reason: Year end}]}\n"
    )
    with WireSystem(tmp_path, registry=text) as system:
        put(system, sample("grant_vpc"))
        put(system, sample("grant_vpc", request_id="X-1", requested_at="2019-01-01T00:00:00Z"))
        put(system, {"attempt": 5, "message": sample("grant_vpc", request_id="X-2")})
        system.settle()
        for request_id in ("CHG-1001", "X-1", "X-2"):
            assert system.problem(request_id)["code"] == "frozen"
        assert writes(system) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "not_approved"),
        ({"approval": {"state": "pending"}}, "not_approved"),
        ({"approval": {"state": "approved"}}, "approver_is_requester"),
        ({"approval": {"state": "approved", "by": ["ada"]}, "requester": "ADA"}, "approver_is_req"),
        ({"approval": {"state": "approved", "by": ["ada"]}, "requester": None}, "approver_is_req"),
        ({"approval": {"state": "Approved", "by": ["bob"]}}, "malformed"),
    ],
)
def test_whoever_names_a_sender_is_held_to_what_its_tickets_must_show(tmp_path, changes, code):
    """What intake has let through is checked once more when the work is begun."""
    with WireSystem(tmp_path, registry=REGISTRY + APPROVED) as system:
        put(system, sample("grant_vpc", sender="servicenow", **changes))
        system.settle()
        assert system.problem("CHG-1001")["code"].startswith(code)
        assert writes(system) == []


def test_without_a_sender_no_approval_is_looked_for_so_the_queue_is_for_intake(tmp_path):
    """The known bound: RAM on the queue is the approval of whoever may send to it."""
    with WireSystem(tmp_path, registry=REGISTRY + APPROVED) as system:
        put(system, sample("grant_vpc"))
        system.settle()
        assert system.outcomes("CHG-1001") == ["granted", "attached"]


def test_they_can_have_others_told_of_a_refusal_and_change_nothing_by_it(system):
    """An id used again, and a message that is none: both are told, both do nothing."""
    put(system, sample("grant_vpc"))
    system.settle()
    before = access(system)
    put(system, sample("grant_vpc", attach=False))
    put(system, {"request_id": "CHG-1001", "ticket": "CHG-1001"})
    put(system, revoke("grant_vpc", lease="CHG-1001"))
    system.settle()
    told = [one for one in system.results if one["request_id"] == "CHG-1001"][2:]
    assert {one["problem"]["code"] for one in told} == {"request_id_reused", "malformed"}
    assert access(system) == before


def test_a_flood_of_refused_requests_keeps_no_other_from_being_done(system):
    for number in range(150):
        put(system, sample("grant_vpc", request_id=f"X-{number}", ecr_owner_uid="9" * 16))
        put(system, b"{")
    put(system, sample("grant_vpc"))
    system.settle(600)
    assert system.outcomes("CHG-1001") == ["granted", "attached"]
    assert len(system.calls("sts")) == 1


def test_the_shipped_policy_of_a_ticketing_system_lets_it_do_no_more():
    (user,) = [one for one in demo_world().account(ACCOUNT_A).users if one.name == "ecr-ticketing"]
    arn = f"acs:ram::{ACCOUNT_A}:user/ecr-ticketing"
    caller = Caller(ACCOUNT_A, arn, "user", "LTAI", policies=tuple(user.policies))
    mns = f"acs:mns:cn-hangzhou:{ACCOUNT_A}:"
    asked = [
        ("mns:SendMessage", f"{mns}/queues/ecr-attachments/messages"),
        ("mns:SendMessage", f"{mns}/queues/ecr-requests-dead/messages"),
        ("mns:SendMessage", f"{mns}/queues/ticketing-results/messages"),
        ("mns:ReceiveMessage", f"{mns}/queues/ecr-requests/messages"),
        ("mns:PublishMessage", f"{mns}/topics/ecr-results/messages"),
        ("mns:SetQueueAttributes", f"{mns}/queues/ecr-requests"),
        ("sts:AssumeRole", "acs:ram::2000300040005000:role/ecr-authorization"),
        ("fc:InvokeFunction", f"acs:fc:cn-hangzhou:{ACCOUNT_A}:functions/ecr-authorize"),
    ]
    for action, resource in asked:
        assert not ram.allowed(caller, action, resource, {}), action
    assert ram.allowed(caller, "mns:SendMessage", f"{mns}/queues/ecr-requests/messages", {})
