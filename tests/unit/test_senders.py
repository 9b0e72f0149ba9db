"""What a sender may ask for, and what its tickets must show when the work begins."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from shared import policy, registry
from shared.contract import BadMessage, read_request

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
SAMPLE = json.loads((ROOT / "events" / "requests" / "grant_vpc.json").read_text())
SCOPE = {"accounts": ["2000300040005000"], "ecrs": ["ecr-hz7core4qk2m1"]}
WINDOW = {"window_since": "2026-11-24T11:00:00Z", "window_until": "2026-11-24T13:00:00Z"}


def code(given, now=NOW, /, **changes):
    known = registry.load(ROOT / "registry.yaml")
    known = known.model_copy(update={"senders": {"desk": registry.Sender(**{**SCOPE, **given})}})
    problem = policy.refusal(read_request({**SAMPLE, "sender": "desk", **changes}), known, now)
    assert problem is None or problem.remedy
    return problem.code if problem else None


def approval(state="approved", by=("Change board",), **window):
    return {"state": state, "by": list(by), **window}


def test_a_sender_asks_for_its_accounts_and_ecrs_alone():
    assert code({}) is None
    assert code({"accounts": ["3000400050006000"]}) == "sender_not_allowed"
    assert code({"ecrs": ["ecr-sg3edge8wv5n2"]}) == "sender_not_allowed"
    assert code({"accounts": [], "ecrs": "all"}) == "sender_not_allowed"
    assert code({"accounts": "all", "ecrs": "all"}) is None
    assert code({}, sender="nobody") == "sender_unknown"


def test_a_sender_ends_no_lease_outside_its_scope():
    ends = {"action": "revoke", "lease": "CHG-1001", "expires_at": None}
    assert code({}, **ends) is None
    assert code({"ecrs": ["ecr-sg3edge8wv5n2"]}, **ends) == "sender_not_allowed"


def test_who_puts_a_message_on_the_queue_itself_names_no_sender():
    assert code({"accounts": []}, sender=None) is None


def test_a_scope_has_to_be_given():
    with pytest.raises(ValueError, match="accounts"):
        registry.Sender(ecrs="all")


def test_answers_go_to_the_hosts_of_the_sender_alone():
    hosts = {"callback_hosts": ["desk.example.com", "desk.example.com:8443"]}

    def to(url):
        return code(hosts, callback={"url": url, "system": "servicenow"})

    assert to("https://desk.example.com/api") is None
    assert to("https://desk.example.com:8443/api?x=1") is None
    assert to("https://desk.example.com") is None
    assert to("https://desk.example.com.evil.example/") == "callback_not_allowed"
    assert to("https://evil.example/desk.example.com") == "callback_not_allowed"
    assert to("https://desk.example.com:444/") == "callback_not_allowed"


@pytest.mark.parametrize(
    "url",
    [
        "http://desk.example.com/",
        "https://desk.example.com@evil.example/",
        "https://evil.example#desk.example.com",
        "https://evil.example\\desk.example.com",
        "https://DESK.example.com/",
        "https://desk.example.com/\nX: y",
        "https:///desk.example.com",
        "//desk.example.com",
    ],
)
def test_a_callback_that_two_parsers_could_read_in_two_ways_is_refused(url):
    with pytest.raises(BadMessage, match="url"):
        code({}, callback={"url": url, "system": "servicenow"})


def test_a_ticket_has_to_be_approved_where_the_sender_requires_it():
    needs = {"requires": {"approval": True}}
    assert code(needs) == "not_approved"
    assert code(needs, approval=approval("pending")) == "not_approved"
    assert code(needs, approval=approval("rejected")) == "not_approved"
    assert code(needs, approval=approval()) is None


def test_somebody_else_than_the_requester_has_to_approve():
    needs = {"requires": {"another_approver": True}}
    who = SAMPLE["requester"]
    assert code(needs) == "approver_is_requester"
    assert code(needs, approval=approval(by=[who])) == "approver_is_requester"
    assert code(needs, approval=approval(by=[who.upper()])) == "approver_is_requester"
    assert code(needs, approval=approval(by=[who, "Change board"])) is None
    assert code(needs, approval=approval(), requester=None) == "approver_is_requester"


def test_the_change_window_has_to_be_open_when_the_work_begins():
    needs = {"requires": {"open_window": True}}
    assert code(needs, approval=approval()) == "window_closed"
    assert code(needs, approval=approval(**WINDOW)) is None
    early, late = NOW - timedelta(hours=2), NOW + timedelta(hours=1)
    assert code(needs, early, approval=approval(**WINDOW)) == "window_closed"
    assert code(needs, late, approval=approval(**WINDOW)) == "window_closed"


def test_a_revoke_waits_for_nobodys_approval():
    needs = {"requires": {"approval": True, "another_approver": True, "open_window": True}}
    assert code(needs, action="revoke", lease="CHG-1001", expires_at=None) is None
