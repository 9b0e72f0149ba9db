"""The clean-up through the wire: its own role, account A's real listings, the request queue."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from functions.triggers import BadEvent, timer_options
from localcloud.behaviour import Fault
from localcloud.ecr.state import Subject
from simulation.wire.system import ROOT, WireSystem

DAY = 86400.0
REGISTRY = (ROOT / "registry.yaml").read_text()


def registry(**changes):
    given = "\n".join(f"    {name}: {json.dumps(value)}" for name, value in changes.items())
    return f"{REGISTRY}\ncleanup:\n  rules:\n{given}\n"


@pytest.fixture
def system(tmp_path):
    with WireSystem(tmp_path) as running:
        running.clean()  # the first run only looks
        yield running


def end(system, days):
    return (system.now() + timedelta(days=days)).isoformat()


def told(system, outcome):
    return [one for one in system.results if one["outcome"] == outcome]


def last(system):
    return told(system, "swept")[-1]


def stray(system, instance="vpc-bp1payments0test"):
    """Account B's people grant by hand."""
    subject = Subject(
        ecr_id="ecr-hz7core4qk2m1",
        ecr_owner_uid="1000200030004000",
        instance_id=instance,
        instance_type="VPC",
        instance_region_id="cn-hangzhou",
    )
    system.cloud.ecr.grant(subject, "2000300040005000")


def revoked_by_hand(system, instance="vpc-bp1payments0main"):
    """Account B's people take a grant away by hand."""
    (grant,) = [one for one in system.cloud.ecr.grants() if one.subject.instance_id == instance]
    system.cloud.ecr.revoke(grant.subject)


def standing(system):
    return {grant.subject.instance_id for grant in system.cloud.ecr.grants()}


def test_a_lease_is_warned_of_ends_and_leaves_nothing(system):
    system.post("grant_vpc", expires_at=end(system, 20))
    system.post("grant_vbr", expires_at=end(system, 400))
    system.settle()
    system.clock.advance(10 * DAY)
    system.clean()
    (warned,) = told(system, "expiring")
    assert warned["request_id"] == "CHG-1001"
    system.clock.advance(11 * DAY)
    answer = system.clean()
    assert answer["asked"] == 1
    system.settle()
    assert standing(system) == {"vbr-bp1factory0line1"}
    revoked = next(one for one in told(system, "revoked"))
    assert revoked["ticket"] == "CHG-1001"


def test_what_a_person_granted_by_hand_is_found_by_one_listing_of_each_kind(system):
    stray(system)
    system.clock.advance(60)
    system.cloud.journal.clear()
    system.clean()
    assert last(system)["counts"] == {"unmanaged": 1}
    assert standing(system) == {"vpc-bp1payments0test"}
    calls = system.calls("ecr", "sts", "vpc")
    assert sorted(calls) == [
        "DescribeExpressConnectRouter",  # of the ECR that shows nothing
        *["DescribeExpressConnectRouterAssociation"] * 2,
        *["DescribeExpressConnectRouterChildInstance"] * 2,
        *["DescribeInstanceGrantedToExpressConnectRouter"] * 2,
    ]


@pytest.mark.parametrize("unmanaged", ["adopt", "revoke"])
def test_a_stray_is_adopted_or_revoked_as_the_registry_says(tmp_path, unmanaged):
    with WireSystem(tmp_path, registry=registry(unmanaged=unmanaged)) as system:
        system.clean()
        stray(system)
        system.clock.advance(60)
        assert system.clean()["asked"] == 1
        system.settle()
        assert bool(standing(system)) is (unmanaged == "adopt")
        system.clean()
        assert last(system)["counts"] == {}


@pytest.mark.parametrize("grant_status", ["Active", "ACTIVE", "Available"])
def test_access_that_is_gone_is_given_back_where_the_registry_says_so(tmp_path, grant_status):
    changed = registry(missing="repair")
    with WireSystem(tmp_path, registry=changed, grant_status=grant_status) as system:
        system.clean()
        system.post("grant_vpc")
        system.settle()
        (one,) = system.cloud.ecr.associations()
        system.clock.advance(600)
        system.cloud.ecr.dissociate(one)
        system.clock.advance(600)
        system.clean()
        assert last(system)["counts"] == {"not_attached": 1}
        system.settle()
        assert len(system.cloud.ecr.associations()) == 1


def test_a_page_that_fails_takes_nothing_as_gone(system):
    system.post("grant_vpc")
    system.settle()
    system.clock.advance(600)
    system.cloud.behaviour.order(
        Fault(
            product="ecr",
            action="DescribeExpressConnectRouterAssociation",
            kind="error",
            when="before",
            times=1,
        )
    )
    system.clean()
    assert last(system)["counts"] == {"listing_failed": 1}


def test_a_dry_run_by_payload_asks_for_nothing(system):
    system.post("grant_vpc", expires_at=end(system, 1))
    system.clock.advance(2 * DAY)
    answer = system.clean('{"dry_run": true}')
    assert answer["outcome"] == "observed"
    assert standing(system) == {"vpc-bp1payments0main"}


@pytest.mark.parametrize(
    "event",
    [
        b"[]",
        b"nonsense",
        b'{"payload": "awesome-fc"}',
        b'{"dryrun": true}',
        b'{"dry_run": 1}',
        b'{"audit": "yes"}',
    ],
)
def test_a_payload_that_is_not_understood_does_nothing(event):
    with pytest.raises(BadEvent):
        timer_options(event)


def written_over(system, statement):
    """Somebody writes to the ledger by hand."""
    with closing(sqlite3.connect(system.ledger_url.removeprefix("sqlite:///"))) as ledger, ledger:
        assert ledger.execute(statement).rowcount == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE requests SET document = '{', finished_at = NULL WHERE request_id = 'CHG-1003'",
        "UPDATE notes SET document = '{' WHERE key = 'cleanup/run'",
        "INSERT INTO notes VALUES ('cleanup/brake', 1, '{')",
        "INSERT INTO notes VALUES ('cleanup/audit', 1, '{')",
    ],
)
def test_what_cannot_be_read_on_the_ledger_stops_no_invocation_for_good(system, statement):
    system.post("grant_vpc", expires_at=end(system, 1))
    system.post("grant_vbr")
    system.settle()
    written_over(system, statement)
    system.clock.advance(2 * DAY)
    for _ in range(2):  # the first one may only look
        system.clean()
        system.settle()
    assert standing(system) == {"vbr-bp1factory0line1"}


# The full audit -----------------------------------------------------------------------------------


def audited(system):
    """The audit that an invocation by hand has begun, once the timer has brought it to its end."""
    answer = system.clean('{"audit": true}')
    while answer["audit"] and answer["audit"]["outcome"] is None:
        system.settle(300)
        system.clock.advance(660)
        answer = system.clean()
    return told(system, "audited")[-1]


def test_a_full_audit_asks_each_account_b_and_changes_nothing(system):
    system.post("grant_vpc")
    system.post("grant_vbr")
    system.settle()
    stray(system)
    system.clock.advance(600)
    system.cloud.journal.clear()
    ended = audited(system)
    assert (ended["seen"], ended.get("counts", {})) == (3, {})
    looks = [call for call in system.calls("vpc") if call.startswith("Describe")]
    assert sorted(looks) == ["DescribeGrantRulesToEcr", *["DescribeVpcGrantRulesToEcr"] * 2]
    changing = ("Grant", "Revoke", "Create", "Delete", "Attach", "Detach")
    assert [call for call in system.calls("ecr") if call.startswith(changing)] == []
    assert standing(system) == {
        "vpc-bp1payments0main",
        "vpc-bp1payments0test",
        "vbr-bp1factory0line1",
    }


def test_an_audit_names_what_account_b_no_longer_shows_and_a_closed_account(system):
    system.post("grant_vpc", attach=False)
    system.post("grant_vbr", attach=False)
    system.settle()
    system.clock.advance(600)
    revoked_by_hand(system)
    account = system.cloud.world.account("3000400050006000")
    account.roles.clear()  # the account is closed
    assert audited(system)["counts"] == {"missing_in_b": 1, "cannot_verify": 1}
    assert "vpc-bp1payments0main" not in standing(system)  # it looks, and repairs nothing


def test_the_timer_of_s_yaml_runs_it(tmp_path):
    with WireSystem(tmp_path) as system:
        props = system.cloud.fc.props("ecr-cleanup")
        (trigger,) = props.triggers
        assert trigger.triggerConfig.cronExpression == "@every 10m"
        sample = json.loads((ROOT / "events" / "timer.json").read_text())
        assert not timer_options(json.dumps(sample).encode()).dry_run
        assert datetime.fromisoformat(sample["triggerTime"].replace("Z", "+00:00"))
