"""The shipped RAM policies: enough with all of their statements, and too few without any one."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from datetime import timedelta

import pytest

from localcloud import worldfile
from shared.cloud.errors import CloudFailure
from simulation.wire.system import ROOT, WireSystem

POLICIES = ROOT / "infra" / "policies"
ROLES = {
    "authorize": "ecr-authorize",
    "authorize-assume": "ecr-authorize",
    "attach": "ecr-attach",
    "cleanup": "ecr-cleanup",
    "account-b": "ecr-authorization",
}
STATEMENTS = [
    pytest.param(name, number, id=f"{name}-{number}")
    for name in ROLES
    for number in range(len(json.loads((POLICIES / f"{name}.json").read_text())["Statement"]))
]


def world_without(name, number):
    """The demo's world with one statement taken out of the role that bears the policy."""
    document = json.loads((POLICIES / f"{name}.json").read_text())
    actions = document["Statement"][number]["Action"]
    tails = document["Statement"][number]["Resource"]
    world = worldfile.load(ROOT / "demo" / "world.yaml")
    removed = 0
    for account in world.accounts:
        for holder in [role for role in account.roles if role.name == ROLES[name]]:
            for policy in holder.policies:
                for statement in copy.copy(policy["Statement"]):
                    if statement["Action"] == actions and _tail(statement) == _tail(
                        {"Resource": tails}
                    ):
                        policy["Statement"].remove(statement)
                        removed += 1
    assert removed
    return world


def _tail(statement):
    resources = statement["Resource"]
    listed = resources if isinstance(resources, list) else [resources]
    return [one.rpartition(":")[2] for one in listed]


def whole_story(system):
    """Every kind of work that the roles are for; what of it came out as it must."""
    _clean(system)  # the first run only looks
    system.post("grant_vpc")
    system.post("grant_vbr")
    system.post("malformed")
    # A dead letter of attach: a message that is no result.
    system.cloud.mns.send("1000200030004000", "ecr-attachments", b"no result!")
    system.settle(60)
    # Its grant has to wait for the ECR, for longer than EventBridge repeats a batch.
    system.post("grant_attached_by_hand")
    system.settle()
    system.post("revoke_vpc")
    system.post("grant_vbr", action="revoke", lease="CHG-1003", request_id="R-3")
    system.settle()
    system.post("grant_vbr", request_id="CHG-30", attach=False)
    system.settle()
    for grant in system.cloud.ecr.grants():  # account A's people attach what was granted
        system.cloud.ecr.associate(grant.subject, grant.instance_owner_uid)
    system.settle(200)
    system.post(
        "grant_attached_by_hand", action="revoke", attach=True, lease="all", request_id="R-7"
    )
    system.post("grant_vbr", action="revoke", lease="all", request_id="R-30")
    system.settle()
    soon = (system.now() + timedelta(days=1)).isoformat()
    system.post("grant_vpc", request_id="CHG-40", expires_at=soon)
    system.post("grant_bundle")
    system.post("grant_vpc_other_region")
    system.settle()
    for one in system.cloud.ecr.associations():  # and detach by hand what is ours
        if one.subject.instance_id == "vpc-t4npayments0asia":
            system.cloud.ecr.dissociate(one)
    system.clock.advance(2 * 86400)
    _clean(system)
    system.settle()
    attached = {one.subject.instance_id for one in system.cloud.ecr.associations()}
    standing = {one.subject.instance_id for one in system.cloud.ecr.grants()}
    revoked = ["revoking", "detached", "revoked"]
    return {
        "vpc": system.outcomes("CHG-1001") == ["granted", "attached"],
        "vbr": system.outcomes("CHG-1003") == ["granted", "attached"],
        "granted in the end": system.outcomes("CHG-1007") == ["granted"],
        "bundle": system.outcomes("CHG-1010") == ["completed"],
        "vpc revoked": system.outcomes("CHG-1008") == revoked,
        "vbr revoked": system.outcomes("R-3") == revoked,
        "vpc by hand refused": _still_attached(system, "R-7"),
        "dead letter of requests": len(system.dead_letters()) == 1,
        "dead letter of attachments": len(system.dead_letters("ecr-attachments-dead")) == 1,
        "vbr by hand refused": _still_attached(system, "R-30"),
        "what was over is gone": "vpc-bp1payments0main" not in standing,
        "what was missing is back": "vpc-t4npayments0asia" in attached,
        "the clean-up has told": any(one["outcome"] == "swept" for one in system.results),
        # The others tell whether it mattered; chance in the delays may let one come right all the
        # same, by EventBridge's own repeats. That the call was made and refused is certain.
        "nothing was denied": not [one for one in system.cloud.journal if one.status == 403],
        "the listings were read": not any(
            "listing_failed" in one.get("counts", {}) for one in system.results
        ),
    }


def _clean(system):
    with suppress(CloudFailure):  # what it could not do shows in what has come of it
        system.clean()


def _still_attached(system, request_id):
    told = [one for one in system.results if one["request_id"] == request_id]
    return [one.get("problem", {}).get("code") for one in told] == ["still_attached"]


# An operation lasts longer than EventBridge repeats a batch: what must come again, must be sent.
SLOW = {"operation_seconds": 100.0}


def registry():
    """Revokes look at account A's view before they are taken: `by_hand: refuse`."""
    text = (ROOT / "registry.yaml").read_text().replace("by_hand: wait", "by_hand: refuse")
    return text + "\ncleanup:\n  rules: {missing: repair}\n"


def test_with_all_statements_everything_works(tmp_path):
    with WireSystem(tmp_path, registry=registry(), **SLOW) as system:
        story = whole_story(system)
        assert all(story.values()), story


@pytest.mark.parametrize(("name", "number"), STATEMENTS)
def test_without_any_one_statement_something_fails(tmp_path, name, number):
    with WireSystem(tmp_path, world_without(name, number), registry(), **SLOW) as system:
        story = whole_story(system)
        assert not all(story.values()), "the statement is not needed"


@pytest.mark.parametrize("file", ["account-b-trust", "function-trust"])
def test_without_a_trust_policys_statement_nothing_is_granted(tmp_path, file):
    world = worldfile.load(ROOT / "demo" / "world.yaml")
    other = {"RAM": ["acs:ram::9000900090009000:root"]}
    named = "ecr-authorization" if file == "account-b-trust" else "ecr-authorize"
    for account in world.accounts:
        for role in account.roles:
            if role.name == named:
                role.trust["Statement"][0]["Principal"] = other
    with WireSystem(tmp_path, world) as system:
        system.post("grant_vpc")
        system.settle()
        assert "granted" not in system.outcomes("CHG-1001")


def test_the_ticketing_system_needs_both_of_its_statements():
    document = json.loads((POLICIES / "ticketing.json").read_text())
    actions = [statement["Action"] for statement in document["Statement"]]
    assert actions == ["mns:SendMessage", ["mns:ReceiveMessage", "mns:DeleteMessage"]]
