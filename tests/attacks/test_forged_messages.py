"""A message says what somebody wants, or that there is something to look at; it proves nothing.

What attach and authorize do follows from the ledger. So a forged result, wake or settle, on the
topic or straight on a queue, gives nobody access, and takes away none that is not asked away.
"""

from __future__ import annotations

import json
from typing import get_args

import pytest

from shared.contract import Outcome, read_request
from simulation.wire.system import ACCOUNT_A, ROOT, WireSystem, demo_world
from tests.attacks.conftest import access, answer_to, put, revoke, sample, writes

OUTCOMES = get_args(Outcome)
VPC = read_request(sample("grant_vpc")).authorization.model_dump()
NEVER = {**VPC, "instance_id": "vpc-bp1payments0test"}


def result(outcome, of=None, **data):
    document = json.loads((ROOT / "events" / "result_granted.json").read_text())
    document |= {"id": f"CHG-1001/{outcome}", "type": f"ecr.authorization.{outcome}"}
    body = {**document["data"], "outcome": outcome, "final": True, "authorization": of or VPC}
    return {**document, "data": {**body, **data}}


def forged(of):
    """Everything that a forger could send about an authorization, and as often as they like."""
    for outcome in OUTCOMES:
        yield result(outcome, of)
        yield {"attempt": 1_000_000, "message": result(outcome, of)}
        yield result(outcome, of, request_id="X-9", association_id="ecr-assoc-other")
    for look in (True, False):
        yield {"wake": of, "look": look}
        yield {"attempt": 999, "message": {"wake": of, "look": look}}
    for bundle in ("CHG-1001", "CHG-1010", "nobody"):
        yield {"settle": bundle}
        yield {"attempt": 999, "message": {"settle": bundle}}


def send_all(system, of, queues=("ecr-attachments", "ecr-requests")):
    for document in forged(of):
        for queue in queues:
            put(system, document, queue)
        if "specversion" in document:
            body = json.dumps(document).encode()
            system.cloud.mns.publish(ACCOUNT_A, "ecr-results", body, document["data"]["outcome"])


def test_about_what_nobody_asked_for_nothing_is_done(system):
    send_all(system, NEVER)
    system.settle()
    assert system.calls("sts", "ecr", "vpc") == []
    assert access(system) == (set(), set())


def test_about_what_stands_nothing_is_changed(system):
    put(system, sample("grant_vpc"))
    system.settle()
    before, done = access(system), writes(system)
    send_all(system, VPC)
    system.settle()
    assert access(system) == before
    assert writes(system) == done


def test_about_what_was_revoked_nothing_comes_back(system):
    put(system, sample("grant_vpc"))
    system.settle()
    put(system, revoke("grant_vpc", request_id="R-1", lease="CHG-1001"))
    system.settle()
    done = writes(system)
    send_all(system, VPC)
    system.settle()
    assert access(system) == (set(), set())
    assert writes(system) == done


def test_a_forged_detached_does_not_bring_the_revoke_forward(tmp_path):
    """The ledger says that the instance is attached still: first it is detached, then revoked."""
    with WireSystem(
        tmp_path, operation_seconds=20.0, revoke_while_attached="association_stays"
    ) as system:
        put(system, sample("grant_vpc"))
        system.settle(120)
        assert access(system)[1] != set()
        put(system, revoke("grant_vpc", request_id="R-1", lease="CHG-1001"))
        for _ in range(5):
            put(system, result("detached", request_id="R-1"))
            put(system, result("revoked", request_id="R-1"))
        system.settle()
        done = writes(system)
        assert done.index("DeleteExpressConnectRouterAssociation") < done.index(
            "RevokeInstanceFromExpressConnectRouter"
        )
        assert access(system) == (set(), set())


def test_a_forged_last_attempt_of_a_revoke_does_not_keep_the_access(tmp_path):
    """The ticket may be told `failed`; what it wanted gone goes all the same."""
    with WireSystem(tmp_path, operation_seconds=20.0) as system:
        put(system, sample("grant_vpc"))
        system.settle(120)
        put(system, revoke("grant_vpc", request_id="R-1", lease="CHG-1001"))
        for outcome in ("revoking", "detached"):
            for queue in ("ecr-attachments", "ecr-requests"):
                last = {"attempt": 1_000_000, "message": result(outcome, request_id="R-1")}
                put(system, last, queue)
        system.settle()
        system.clock.advance(3600)
        system.clean()
        system.settle()
        assert access(system) == (set(), set())


def test_a_forged_last_attempt_of_a_grant_leaves_nothing_behind(tmp_path):
    """At most a grant that is under way fails, and is taken back: never more access than asked."""
    with WireSystem(tmp_path, operation_seconds=20.0) as system:
        put(system, sample("grant_vpc"))
        put(system, {"attempt": 1_000_000, "message": result("granted")}, "ecr-attachments")
        put(system, {"attempt": 1_000_000, "message": sample("grant_vpc")})
        system.settle()
        system.clock.advance(3600)
        system.clean()
        system.settle()
        told = system.outcomes("CHG-1001")
        assert ("failed" in told) == (access(system) == (set(), set()))
        assert not {"failed", "attached"} <= set(told)


@pytest.mark.parametrize("lease", ["CHG-1001", "all"])
def test_a_message_kept_and_sent_again_after_the_revoke_gives_nothing(system, lease):
    """Every message that ever was on a queue, plain and as one that comes again."""
    grant = sample("grant_vpc")
    put(system, grant)
    system.settle()
    system.clock.advance(60)
    put(system, revoke("grant_vpc", request_id="R-1", lease=lease))
    system.settle()
    done = writes(system)
    results = [
        json.loads(one.body)
        for one in system.cloud.mns.queue(ACCOUNT_A, "ticketing-results").peek(100)
    ]
    for day in (0, 1, 40):  # tombstones are kept for 30 days, requests for ever
        system.clock.advance(day * 86400)
        for document in (grant, *results):
            for body in (document, {"attempt": 3, "message": document}):
                put(system, body)
                put(system, body, "ecr-attachments")
        system.settle()
        assert access(system) == (set(), set())
        assert writes(system) == done


def test_a_grant_held_back_until_after_its_revoke_gives_nothing(system):
    """Its revoke is the first that the ledger hears of it."""
    put(system, revoke("grant_vpc", request_id="R-1", lease="CHG-1001"))
    system.settle()
    for body in (sample("grant_vpc"), {"attempt": 7, "message": sample("grant_vpc")}):
        put(system, body)
        system.settle()
        assert "granted" not in system.outcomes("CHG-1001")
        assert access(system) == (set(), set())
    assert "GrantInstanceToExpressConnectRouter" not in writes(system)


def test_a_revoke_sent_again_does_not_end_what_was_asked_for_later(system):
    put(system, sample("grant_vpc"))
    system.settle()
    old = revoke("grant_vpc", request_id="R-1", lease="all")
    put(system, old)
    system.settle()
    system.clock.advance(60)
    put(system, sample("grant_vpc", request_id="CHG-2", ticket="CHG-2"))
    system.settle()
    before = access(system)
    assert before[1] != set()
    for body in (
        old,
        {"attempt": 2, "message": old},
        {**old, "requested_at": "2020-01-01T00:00:00Z"},
    ):
        put(system, body)
    system.settle()
    assert access(system) == before


def test_a_part_that_names_somebody_elses_bundle_changes_nothing_of_it(system):
    put(system, sample("grant_bundle"))
    system.settle()
    answer = answer_to(system, "CHG-1010")
    stranger = sample(
        "grant_vpc", request_id="X-1", part_of="CHG-1010", instance_id="vpc-bp1payments0main"
    )
    put(system, {**stranger, "ecr_owner_uid": "9" * 16})
    put(system, {"settle": "CHG-1010"})
    system.settle()
    assert system.outcomes("X-1") == ["rejected"]
    assert answer_to(system, "CHG-1010") == answer


def test_only_our_own_functions_may_publish_results_and_wake_attach():
    """The shipped roles say who may, and the operator; the ticketing system is not among them."""
    account = demo_world().account(ACCOUNT_A)
    may = {
        holder.name
        for holder in [*account.roles, *account.users]
        for policy in holder.policies
        for one in policy["Statement"]
        if "mns:PublishMessage" in str(one["Action"]) or "ecr-attachments/" in str(one["Resource"])
    }
    assert {"ecr-authorize", "ecr-attach"} <= may
    assert may <= {"ecr-authorize", "ecr-attach", "ecr-cleanup", "ecr-operator"}
