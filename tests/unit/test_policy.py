"""policy refuses what the registry does not allow, each time with a code and a remedy."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from shared import policy, registry
from shared.contract import read_request

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)
LAB = {
    "instance_owner_uid": "4000500060007000",
    "instance_id": "vpc-bp1labor0bench",
    "ecr_id": "ecr-sg3edge8wv5n2",
}
VBR = {"instance_id": "vbr-bp1labor0line7", "instance_type": "VBR"}


def request(name="grant_vpc", **changes):
    document = json.loads((ROOT / "events" / "requests" / f"{name}.json").read_text())
    return read_request({**document, **changes})


@pytest.fixture(scope="module")
def known():
    return registry.load(ROOT / "registry.yaml")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"ecr_id": "ecr-unknown1"}, "ecr_unknown"),
        ({"ecr_owner_uid": "2000300040005000"}, "ecr_owner_mismatch"),
        ({"instance_owner_uid": "9" * 16}, "account_unknown"),
        ({"instance_region_id": "cn-shanghai"}, "region_not_allowed"),
        ({"expires_at": "2026-11-22T00:00:00Z"}, "expiry_in_the_past"),
        ({**LAB, "ecr_id": "ecr-hz7core4qk2m1"}, "ecr_not_allowed"),
        ({**LAB, **VBR}, "vbr_not_enabled"),
        ({**LAB, "expires_at": None}, "lease_too_long"),
        ({**LAB, "expires_at": "2028-01-01T00:00:00Z"}, "lease_too_long"),
        ({**LAB, "expires_at": "2026-12-24T00:00:00Z"}, None),
    ],
)
def test_a_grant_is_refused_with_the_code_of_its_reason(known, changes, code):
    problem = policy.refusal(request(**changes), known, NOW)
    assert (problem.code if problem else None) == code
    assert problem is None or (problem.message and problem.remedy)


def test_a_vbr_that_is_not_enabled_is_told_the_steps_a_person_must_take(known):
    problem = policy.refusal(request(**{**LAB, **VBR}), known, NOW)
    assert "one entity" in problem.remedy
    assert "customer manager" in problem.remedy


def test_an_instance_that_is_not_listed_is_refused(known):
    account = known.accounts["2000300040005000"]
    listed = account.may[0].model_copy(update={"instances": ("vpc-bp1another0one",)})
    account = account.model_copy(update={"may": (listed,)})
    narrow = known.model_copy(update={"accounts": {"2000300040005000": account}})
    assert policy.refusal(request(), narrow, NOW).code == "instance_not_allowed"


def test_an_instance_of_the_ecrs_own_account_needs_no_authorization(known):
    own = known.accounts["2000300040005000"]
    narrow = known.model_copy(update={"accounts": {"1000200030004000": own}})
    asked = request(instance_owner_uid="1000200030004000")
    assert policy.refusal(asked, narrow, NOW).code == "same_account"


def test_what_may_no_longer_be_given_may_still_be_taken_away(known):
    asked = request("revoke_vpc", instance_region_id="cn-shanghai")
    assert policy.refusal(asked, known, NOW, is_known=True) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"instance_region_id": "cn-shanghai"}, "region_not_allowed"),
        ({"instance_owner_uid": "4000500060007000"}, "ecr_not_allowed"),
    ],
)
def test_a_revoke_of_what_nobody_knows_must_be_within_what_may_be_asked_for(known, changes, code):
    revoke = request("revoke_vpc", **changes)
    assert policy.refusal(revoke, known, NOW).code == code
    assert policy.refusal(revoke, known, NOW, is_known=True) is None
