"""What is logged of how things stand, and of how long a request took."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from shared.announce import waits
from shared.cleanup.brake import BrakeOn
from shared.cleanup.findings import SENTENCES
from shared.cleanup.gauges import DRIFT, STALE, UNSEEN, gauges
from shared.cleanup.notes import CleanupRun
from shared.contract import read_request
from shared.ledger import RequestRecord

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)
ASKED = {
    "request_id": "CHG-1",
    "action": "grant",
    "ticket": "CHG-1",
    "ecr_id": "ecr-hz7core4qk2m1",
    "ecr_owner_uid": "1000200030004000",
    "instance_id": "vpc-bp1payments0main",
    "instance_type": "VPC",
    "instance_region_id": "cn-hangzhou",
    "instance_owner_uid": "2000300040005000",
}


def record(**changes):
    return RequestRecord(
        request=read_request({**ASKED, **changes}),
        fingerprint="f",
        received_at=NOW - timedelta(seconds=10),
        sent_at=NOW - timedelta(seconds=12.5),
    )


def test_every_finding_is_in_one_of_the_gauges_or_is_an_expiry():
    assert sorted([*DRIFT, *STALE, *UNSEEN, "expired"]) == sorted(SENTENCES)


def test_a_run_is_told_in_numbers():
    run = CleanupRun(
        id="r",
        started_at=NOW,
        seen=9,
        counts={"unmanaged": 2, "missing": 1, "stuck": 4, "listing_failed": 5, "expired": 6},
        ends={"1": 1, "7": 2, "30": 4, "none": 8},
    )
    assert gauges(run, BrakeOn(run=run, digest="d"), record(), NOW) == {
        "run": "r",
        "seen": 9,
        "drift": 3,
        "stale": 4,
        "unseen": 5,
        "expiring_in_7_days": 3,
        "brake_on": 1,
        "oldest_waiting_seconds": 10.0,
    }
    calm = gauges(run, None, None, NOW)
    assert (calm["brake_on"], calm["oldest_waiting_seconds"]) == (0, 0.0)


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, 12.5),
        ({"requested_at": (NOW - timedelta(minutes=1)).isoformat()}, 60.0),
        ({"requested_at": (NOW + timedelta(minutes=1)).isoformat()}, 0.0),
    ],
    ids=["by its message", "by its ticket", "by a clock that is ahead"],
)
def test_a_request_waits_since_it_was_asked_and_since_it_was_received(changes, asked):
    assert waits(record(**changes), NOW) == {
        "since_asked_seconds": asked,
        "since_received_seconds": 10.0,
        "queued_seconds": 2.5,
    }
