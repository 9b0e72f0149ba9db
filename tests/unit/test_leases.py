"""Leases hold an authorization; the last one that ends lets it go."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from shared import leases
from shared.authorization import VISIBLE_AFTER, Authorization
from shared.contract import Problem, read_request
from shared.converge import Wanted

REQUESTS = Path(__file__).parents[2] / "events" / "requests"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=timezone.utc)
PROBLEM = Problem(code="quota_exceeded", message="m", remedy="r")


def request(name="grant_vpc", **changes):
    return read_request({**json.loads((REQUESTS / f"{name}.json").read_text()), **changes})


def taken(record, asked, now=NOW):
    return leases.take(record, asked, now, now)


@pytest.fixture
def fresh():
    return Authorization(id=request().authorization)


def outcomes(record):
    return [(entry.request_id, outcome) for entry, outcome in leases.due(record)]


def test_a_new_authorization_is_written_without_a_look(fresh):
    record = taken(fresh, request())
    assert (record.grant.state, record.association.state) == ("absent", "absent")
    assert record.generation == 1
    assert leases.wanted(record, "wait") == Wanted(granted=True, attached=True)


def test_taking_a_request_twice_changes_nothing(fresh):
    record = taken(fresh, request())
    assert taken(record, request()) == record


def test_a_second_ticket_doubts_what_is_remembered(fresh):
    record = taken(fresh, request()).said_granted(NOW)
    record = taken(record, request(request_id="CHG-2"))
    assert record.grant.state == "unknown"
    assert record.generation == 1


def test_the_generation_rises_when_access_goes_from_absent_to_wanted(fresh):
    record = taken(fresh, request())
    record = taken(record, request("revoke_vpc"))
    record = record.saw_association("absent", None, NOW).saw_grant(None, NOW)
    record = taken(record, request(request_id="CHG-2"))
    assert record.generation == 2


def test_a_token_is_one_for_each_action_in_each_generation(fresh):
    one = taken(fresh, request())
    tokens = {one.token(action) for action in ("grant", "revoke", "associate", "dissociate")}
    tokens |= {
        one.next_generation().token("grant"),
        one.with_association("active", association_id="ecr-assoc-1").token("dissociate"),
    }
    assert len(tokens) == 6
    assert all(len(token) == 64 and token.isascii() for token in tokens)
    assert one.token("grant") == taken(one, request(request_id="CHG-2")).token("grant")


def test_an_ended_lease_never_becomes_live(fresh):
    record = taken(taken(fresh, request()), request("revoke_vpc"))
    record = taken(record, request())
    assert not record.live_leases
    assert ("CHG-1001", "rejected") in outcomes(record)


def test_a_revoke_of_a_lease_never_seen_leaves_a_tombstone(fresh):
    record = taken(fresh, request("revoke_vpc"))
    assert record.lease("CHG-1001").ended_at == NOW
    assert not taken(record, request()).live_leases


def test_tombstones_are_kept_longer_than_a_message_can_be(fresh):
    record = taken(fresh, request("revoke_vpc"))
    soon = taken(record, request(request_id="CHG-2"), NOW + timedelta(days=14))
    assert soon.lease("CHG-1001") is not None
    late = taken(record, request(request_id="CHG-3"), NOW + timedelta(days=31))
    assert late.lease("CHG-1001") is None


def test_a_failed_grant_ends_its_lease_and_is_followed_until_nothing_is_left(fresh):
    record = taken(fresh, request()).said_granted(NOW)
    record = leases.fail(record, "CHG-1001", PROBLEM, NOW)
    assert not record.live_leases
    assert outcomes(record)[0] == ("CHG-1001", "granted") or ("CHG-1001", "failed") in outcomes(
        record
    )
    record = leases.announced(record, "CHG-1001", "failed")
    record = record.saw_association("absent", None, NOW)
    assert ("CHG-1001", "detached") in outcomes(record)
    record = leases.announced(record, "CHG-1001", "detached")
    assert not record.open


def test_a_failed_grant_does_not_take_another_tickets_access(fresh):
    record = taken(taken(fresh, request()), request(request_id="CHG-2")).said_granted(NOW)
    record = leases.fail(record, "CHG-2", PROBLEM, NOW)
    assert [lease.id for lease in record.live_leases] == ["CHG-1001"]
    assert ("CHG-2", "detached") not in outcomes(record)


def test_what_is_by_hand_is_left_to_hand_unless_the_registry_says_otherwise(fresh):
    record = taken(fresh, request(attach=False))
    record = taken(record, request("revoke_vpc"))
    assert leases.wanted(record, "wait").left_to_hand
    assert not leases.wanted(record, "dissociate").left_to_hand


def test_a_look_that_contradicts_a_recent_yes_is_looked_at_again(fresh):
    record = taken(fresh, request()).said_granted(NOW)
    assert record.saw_grant(None, NOW).grant.state == "settling"
    revoked = record.said_revoked(NOW)
    assert revoked.saw_grant(NOW, NOW).grant.state == "settling"


def test_a_look_that_contradicts_an_old_yes_means_that_the_token_is_spent(fresh):
    record = taken(fresh, request()).said_granted(NOW)
    later = record.saw_grant(None, NOW + VISIBLE_AFTER)
    assert later.grant.state == "absent"
    assert later.generation == record.generation + 1
    again = record.said_associated("ecr-assoc-1", NOW)
    gone = again.saw_association("absent", None, NOW + VISIBLE_AFTER)
    assert gone.generation == record.generation + 1


def test_a_look_that_agrees_spends_no_token(fresh):
    record = taken(fresh, request()).said_granted(NOW)
    assert record.saw_grant(NOW, NOW + VISIBLE_AFTER).generation == record.generation


def test_a_look_that_shows_once_more_what_was_seen_to_be_gone_is_not_believed():
    """Not for a while: another copy of the cloud's memory may still show it."""
    record = Authorization(id=request().authorization)
    record = record.saw_grant(NOW, NOW).saw_association("active", "assoc-1", NOW)
    gone = record.saw_association("absent", None, NOW).saw_grant(None, NOW)
    assert gone.saw_grant(NOW, NOW).grant.state == "settling"
    assert gone.saw_association("active", "assoc-1", NOW).association.state == "deleting"
    # Another one is another one, and what stays is there.
    later = NOW + VISIBLE_AFTER
    assert gone.saw_grant(NOW + timedelta(seconds=1), NOW).grant.state == "present"
    assert gone.saw_association("active", "assoc-2", NOW).association.state == "active"
    assert gone.saw_grant(NOW, later).grant.state == "present"
    assert gone.saw_association("active", "assoc-1", later).association.state == "active"
