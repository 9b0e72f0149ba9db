"""A ticket in, an authorization in account B, the network attached in account A."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from simulation.wire.system import WireSystem

OF_VPC = ("CreateExpressConnectRouterAssociation", "DescribeExpressConnectRouterAssociation")
OF_VBR = ("AttachExpressConnectRouterChildInstance", "DescribeExpressConnectRouterChildInstance")


@pytest.fixture
def system(tmp_path):
    with WireSystem(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "ticket", "calls_of_a"),
    [("grant_vpc", "CHG-1001", OF_VPC), ("grant_vbr", "CHG-1003", OF_VBR)],
)
def test_a_grant_takes_three_calls_in_authorize_and_two_and_a_message_in_attach(
    system, name, ticket, calls_of_a
):
    system.post(name)
    system.settle()
    assert system.outcomes(ticket) == ["granted", "attached"]
    assert system.calls("sts", "ecr", "vpc", "mns") == [
        "AssumeRole",
        "GrantInstanceToExpressConnectRouter",
        "PublishMessage",
        calls_of_a[0],
        "SendMessage",
        calls_of_a[1],
        "PublishMessage",
    ]


def test_a_result_tells_the_ticket_everything_it_needs(system):
    system.post("grant_vpc")
    system.settle()
    granted, attached = system.results
    assert granted["peer_account_uid"] == "1000200030004000"
    assert granted["peer_ecr_id"] == "ecr-hz7core4qk2m1"
    assert granted["authorized_at"]
    assert granted["requester"] == "Network service desk"
    assert attached["association_id"].startswith("ecr-assoc-")
    assert attached["final"]


@pytest.mark.parametrize(
    ("name", "instance"),
    [("grant_vpc", "vpc-bp1payments0main"), ("grant_vbr", "vbr-bp1factory0line1")],
)
def test_a_revoke_detaches_before_it_revokes_and_leaves_nothing(system, name, instance):
    system.post(name)
    system.settle()
    system.cloud.journal.clear()
    document = json.loads(Path(f"events/requests/{name}.json").read_text())
    document.pop("expires_at", None)
    system.post_raw(
        json.dumps(
            {**document, "request_id": "R-1", "action": "revoke", "lease": document["request_id"]}
        ).encode()
    )
    system.settle()
    assert system.outcomes("R-1") == ["revoking", "detached", "revoked"]
    calls = system.calls("ecr", "vpc")
    detach = next(c for c in calls if c.startswith(("Delete", "Detach")))
    revoke = calls.index("RevokeInstanceFromExpressConnectRouter")
    assert calls.index(detach) < revoke
    assert any("GrantRulesToEcr" in call for call in calls[revoke:])
    assert system.cloud.ecr.grants() == []
    assert system.cloud.ecr.associations() == []


@pytest.mark.parametrize(
    ("name", "ticket", "code"),
    [
        ("grant_vbr_not_enabled", "CHG-1004", "vbr_not_enabled"),
        ("grant_account_unknown", "CHG-1005", "account_unknown"),
        ("grant_ecr_not_allowed", "CHG-1006", "ecr_not_allowed"),
        ("malformed", "CHG-1009", "malformed"),
    ],
)
def test_what_may_not_be_is_rejected_without_a_call_to_account_b(system, name, ticket, code):
    system.post(name)
    system.settle()
    assert system.outcomes(ticket) == ["rejected"]
    assert system.problem(ticket)["code"] == code
    assert system.problem(ticket)["remedy"]
    assert system.calls("sts", "ecr", "vpc") == []


def test_the_same_ticket_twice_is_answered_twice_and_done_once(system):
    system.post("grant_vpc")
    system.post("grant_vpc")
    system.settle()
    assert system.calls("ecr").count("GrantInstanceToExpressConnectRouter") == 1
    before = system.calls("sts", "ecr", "vpc")
    system.post("grant_vpc")
    system.settle()
    assert system.calls("sts", "ecr", "vpc") == before
    assert system.results[-1] == system.results[-2]


BAD_BODIES = [
    b"",
    b"nonsense",
    b"\xff\xfe\x00",
    b"[]",
    b"null",
    b'{"request_id": "X-1"}',
    b"{" * 60000,
    b'{"attempt": 0, "message": {}}',
    b'{"specversion": "1.0"}',
    '{"request_id": "\u202e"}'.encode(),
    base64.b64encode(b"not json"),
    b'{"a":"' + b"x" * 65000 + b'"}',
]


def test_bad_messages_are_dead_letters_with_a_reason_and_their_neighbours_are_unharmed(system):
    for body in BAD_BODIES[: len(BAD_BODIES) // 2]:
        system.post_raw(body)
    system.post("grant_vpc")
    for body in BAD_BODIES[len(BAD_BODIES) // 2 :]:
        system.post_raw(body)
    system.settle()
    assert system.outcomes("CHG-1001") == ["granted", "attached"]
    letters = system.dead_letters()
    assert len(letters) == len(BAD_BODIES)
    assert all(letter["reason"] for letter in letters)
    assert system.outcomes("X-1") == ["rejected"]


def test_a_base64_body_is_taken_like_a_plain_one(system):
    body = Path("events/requests/grant_vpc.json").read_bytes()
    system.post_raw(base64.b64encode(body))
    system.settle()
    assert system.outcomes("CHG-1001") == ["granted", "attached"]


def test_a_request_that_attaches_by_hand_ends_with_the_grant(system):
    system.post("grant_attached_by_hand")
    system.settle()
    assert system.outcomes("CHG-1007") == ["granted"]
    assert system.results[-1]["final"]
    assert system.cloud.ecr.associations() == []


REVOKE_BY_HAND = {"request_id": "R-7", "action": "revoke", "lease": "CHG-1007", "attach": True}


def attach_by_hand(system):
    grant = system.cloud.ecr.grants()[0]
    return system.cloud.ecr.associate(grant.subject, grant.instance_owner_uid)


@pytest.mark.parametrize(
    ("by_hand", "outcomes"),
    [
        ("refuse", ["rejected"]),
        ("dissociate", ["revoking", "detached", "revoked"]),
        ("wait", ["revoking"]),
    ],
)
def test_a_revoke_of_what_was_attached_by_hand_does_what_the_registry_says(
    tmp_path, by_hand, outcomes
):
    registry = Path("registry.yaml").read_text().replace("by_hand: wait", f"by_hand: {by_hand}")
    with WireSystem(tmp_path, registry=registry) as system:
        system.post("grant_attached_by_hand")
        system.settle()
        association = attach_by_hand(system)
        system.settle(10)
        system.post("grant_attached_by_hand", **REVOKE_BY_HAND)
        system.settle(600)
        assert system.outcomes("R-7") == outcomes
        if by_hand == "wait":
            system.cloud.ecr.dissociate(association)
            system.settle(7200)
            assert system.outcomes("R-7") == ["revoking", "detached", "revoked"]
        assert bool(system.cloud.ecr.grants()) == (by_hand == "refuse")


def test_what_is_never_detached_by_hand_fails_in_the_end_and_says_what_to_do(tmp_path):
    with WireSystem(tmp_path) as system:
        system.post("grant_attached_by_hand")
        system.settle()
        attach_by_hand(system)
        system.settle(10)
        system.post("grant_attached_by_hand", **REVOKE_BY_HAND)
        system.settle(5 * 86400)
        assert system.outcomes("R-7") == ["revoking", "failed"]
        assert system.problem("R-7")["code"] == "still_attached"
        assert system.cloud.ecr.grants()
        assert len(system.dead_letters("ecr-attachments-dead")) == 1


@pytest.mark.parametrize(
    "changes", [{"instance_owner_uid": "4000500060007000"}, {"instance_region_id": "cn-hangzhou"}]
)
def test_a_revoke_that_names_another_owner_or_region_touches_nothing(system, changes):
    system.post("grant_vpc_other_region")
    system.settle()
    system.post(
        "revoke_vpc",
        request_id="R-1",
        lease="all",
        **{
            "ecr_id": "ecr-sg3edge8wv5n2",
            "instance_id": "vpc-t4npayments0asia",
            "instance_region_id": "ap-southeast-1",
            **changes,
        },
    )
    system.settle()
    assert len(system.cloud.ecr.associations()) == 1
    assert len(system.cloud.ecr.grants()) == 1
