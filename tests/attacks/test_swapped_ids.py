"""Whoever swaps an id in a message gets nothing that the registry does not give."""

from __future__ import annotations

import pytest

from simulation.wire.system import WireSystem
from tests.attacks.conftest import access, lie, put, sample, writes

A, PAYMENTS, FACTORY, LABORATORY = (
    "1000200030004000",
    "2000300040005000",
    "3000400050006000",
    "4000500060007000",
)
SWAPS = {
    "the ECR of another tenant": ({"ecr_id": "ecr-sg3edge8wv5n2"}, "ecr_not_allowed", FACTORY),
    "an ECR that nobody knows": ({"ecr_id": "ecr-hz7core4qk2m2"}, "ecr_unknown", PAYMENTS),
    "the owner of the ECR": ({"ecr_owner_uid": PAYMENTS}, "ecr_owner_mismatch", PAYMENTS),
    "an owner that nobody knows": ({"ecr_owner_uid": "9" * 16}, "ecr_owner_mismatch", PAYMENTS),
    "an account that nobody knows": ({"instance_owner_uid": "9" * 16}, "account_unknown", None),
    "account A itself": ({"instance_owner_uid": A}, "account_unknown", None),
    "a region of others": ({"instance_region_id": "cn-shanghai"}, "region_not_allowed", PAYMENTS),
    "an ECR that the account may not": ({}, "ecr_not_allowed", LABORATORY),
}


@pytest.mark.parametrize("what", SWAPS)
def test_a_swapped_id_is_rejected_before_any_call(tmp_path, what):
    changes, code, account = SWAPS[what]
    given = {"request_id": "X-1", **({"instance_owner_uid": account} if account else {}), **changes}
    with WireSystem(tmp_path) as system:
        put(system, sample("grant_vpc", **given))
        system.settle()
        assert system.outcomes("X-1") == ["rejected"]
        assert system.problem("X-1")["code"] == code
        assert system.calls("sts", "ecr", "vpc") == []
        assert access(system) == (set(), set())


@pytest.mark.parametrize("unknown", ["error", "success"])
def test_an_instance_of_another_account_stays_untouched(tmp_path, unknown):
    """The registered account `factory` asks for the VPC of `payments` as if it were its own."""
    with WireSystem(tmp_path, grant_of_unknown_instance=unknown) as system:
        put(system, sample("grant_vpc", request_id="X-2", instance_owner_uid=FACTORY))
        system.settle()
        grants, associations = access(system)
        assert PAYMENTS not in {owner for _, owner in grants}
        assert associations == set()
        assert "attached" not in system.outcomes("X-2")
        signed = {one.account for one in system.cloud.journal if one.product in ("ecr", "vpc")}
        assert PAYMENTS not in signed


@pytest.mark.parametrize(
    "field", ["role_arn", "external_id", "endpoint", "policy", "duration_seconds", "Sender"]
)
def test_a_message_brings_no_role_no_secret_and_no_endpoint(system, field):
    put(system, sample("grant_vpc", **{field: "acs:ram::9999999999999999:role/ecr-authorization"}))
    system.settle()
    assert system.problem("CHG-1001")["code"] == "malformed"
    assert system.calls("sts", "ecr", "vpc") == []


def test_a_senders_name_in_a_message_gives_nothing(system):
    """Who names a sender is held to what that sender may; the registry knows no such one."""
    put(system, sample("grant_vpc", sender="nobody"))
    system.settle()
    assert system.problem("CHG-1001")["code"] == "sender_unknown"
    assert writes(system) == []


def test_each_session_can_do_one_thing_to_one_instance_for_a_quarter_of_an_hour(system):
    asked = []

    def noted(body, question):
        asked.append(question.to_dict())
        return body

    lie(system, "AssumeRole", noted)
    put(system, sample("grant_vpc"))
    system.settle()
    (given,) = asked
    assert "vpc-bp1payments0main" in given["Policy"]
    assert "*" not in given["Policy"]
    assert given["DurationSeconds"] == "900"
    assert given["ExternalId"].startswith("ecr-")
