"""The whole way of a request, at the ports."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.authorization import Lock
from shared.cloud.errors import failure
from shared.contract import read_request
from shared.ledger import RequestRecord
from simulation.system import System, request


def once(name, when, error):
    """Trouble that comes once, at one call."""
    left = [error]

    def trouble(call, at):
        return left.pop() if (call, at) == (name, when) and left else None

    return trouble


@pytest.mark.parametrize("name", ["grant_vpc", "grant_vbr"])
def test_a_grant_ends_attached(name):
    system = System()
    asked = request(name)
    system.post(asked)
    system.run()
    ports = system.ports
    assert ports.outcomes == [(asked["request_id"], "granted"), (asked["request_id"], "attached")]
    assert ports.calls.count("grant") == 1
    assert ports.calls.count("associate") == 1
    assert "look_at_grant" not in ports.calls
    assert ports.published[-1]["data"]["final"]


def test_a_revoke_detaches_first_and_announces_after_a_look_that_shows_nothing():
    system = System()
    system.post(request("grant_vpc"))
    system.run()
    system.ports.calls.clear()
    system.post(request("revoke_vpc"))
    system.run()
    ports = system.ports
    assert [outcome for _, outcome in ports.outcomes[2:]] == ["revoking", "detached", "revoked"]
    assert ports.calls.index("dissociate") < ports.calls.index("revoke")
    assert "look_at_grant" in ports.calls[ports.calls.index("revoke") :]
    assert not ports.grants
    assert not any(system.ledger.authorization(key)[0].open for key in [_key(system)])


def test_two_tickets_hold_one_authorization_until_the_last_one_ends():
    system = System()
    system.post(request("grant_vpc"))
    system.post(request("grant_vpc", request_id="CHG-2", ticket="CHG-2"))
    system.run()
    system.post(request("revoke_vpc"))
    system.run()
    assert system.ports.grants
    held = next(
        one["data"] for one in system.ports.published if one["data"]["outcome"] == "revoked"
    )
    assert held["held_by"] == ["CHG-2"]
    system.post(request("revoke_vpc", request_id="CHG-4", lease="CHG-2"))
    system.run()
    assert not system.ports.grants


def test_a_revoke_that_overtakes_its_grant_wins():
    system = System()
    system.post(request("revoke_vpc"))
    system.run()
    system.post(request("grant_vpc"))
    system.run()
    assert not system.ports.grants
    assert ("CHG-1001", "rejected") in system.ports.outcomes
    assert ("CHG-1008", "revoked") in system.ports.outcomes


def test_a_grant_asked_for_before_a_revoke_of_all_leases_comes_too_late():
    system = System()
    asked_at = system.ports.now.isoformat()
    system.ports.now += timedelta(seconds=5)
    system.post(request("revoke_vpc", lease="all"))
    system.run()
    system.post(request("grant_vpc", requested_at=asked_at))
    system.run()
    assert not system.ports.grants
    system.ports.now += timedelta(seconds=1)
    system.post(request("grant_vpc", request_id="CHG-9"))
    system.run()
    assert system.ports.grants


def test_a_repeated_request_gets_the_same_answer_and_no_cloud_call():
    system = System()
    system.post(request("grant_vpc"))
    system.run()
    system.ports.calls.clear()
    before = len(system.ports.published)
    system.post(request("grant_vpc"))
    system.run()
    assert system.ports.calls == ["publish"]
    assert system.ports.published[before] == system.ports.published[before - 1]


def test_a_request_id_used_for_something_else_is_rejected():
    system = System()
    system.post(request("grant_vpc"))
    system.post(request("grant_vpc", reason="Something else"))
    system.run()
    problem = next(
        one["data"]["problem"] for one in system.ports.published if "problem" in one["data"]
    )
    assert problem["code"] == "request_id_reused"
    assert system.ports.outcomes[-1] == ("CHG-1001", "attached")


EFFECTS = ["assume", "grant", "associate", "publish", "send attachments"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("code", ["Timeout", "Conflict.Lock", "Throttling.User", "InternalError"])
def test_a_grant_survives_any_one_passing_trouble(name, when, code):
    system = System()
    system.ports.trouble = once(name, when, failure(code))
    system.post(request("grant_vpc"))
    system.run()
    assert system.ports.outcomes[-1] == ("CHG-1001", "attached")
    assert sum(len(ids) for ids in system.ports.associations.values()) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "name", ["revoke", "look_at_grant", "dissociate", "look_at_association", "publish"]
)
@pytest.mark.parametrize("code", ["Timeout", "Conflict.Lock", "ServiceUnavailable"])
def test_a_revoke_survives_any_one_passing_trouble(name, when, code):
    system = System()
    system.post(request("grant_vpc"))
    system.run()
    system.ports.trouble = once(name, when, failure(code))
    system.post(request("revoke_vpc"))
    system.run()
    assert system.ports.outcomes[-1] == ("CHG-1008", "revoked")
    assert not system.ports.grants


def test_a_grant_that_the_cloud_refuses_fails_at_once_with_its_remedy():
    system = System()
    system.ports.trouble = lambda name, when: (
        failure("NoPermission", status=403) if name == "assume" else None
    )
    system.post(request("grant_vpc"))
    system.run()
    assert system.ports.outcomes == [("CHG-1001", "failed")]
    assert system.ports.published[0]["data"]["problem"]["code"] == "access_denied"


def test_an_attachment_that_the_cloud_refuses_leaves_no_grant_behind():
    system = System()
    system.ports.trouble = lambda name, when: (
        failure("QuotaExceeded.VpcCountPerEcr") if name == "associate" else None
    )
    system.post(request("grant_vpc"))
    system.run()
    outcomes = [outcome for _, outcome in system.ports.outcomes]
    assert outcomes == ["granted", "failed", "revoking", "detached"]
    assert not system.ports.grants


def test_what_is_never_answered_fails_in_the_end_and_is_a_dead_letter():
    system = System()
    system.ports.trouble = lambda name, when: failure("Timeout") if name == "grant" else None
    system.post(request("grant_vpc"))
    system.run()
    assert ("CHG-1001", "failed") in system.ports.outcomes
    assert len(system.ports.queues["requests-dead"]) == 1
    assert not system.ports.grants


def test_what_giving_up_has_left_to_take_back_is_taken_back_without_a_sweep():
    system = System()
    system.max_attempts = 2
    away = {"look_at_grant": "ServiceUnavailable", "grant": "Timeout"}
    system.ports.trouble = lambda name, when: (
        failure(away[name]) if name in away and when == "after" else None
    )
    system.post(request("grant_vpc"))
    while not system.ports.queues.get("requests-dead"):
        system.run(1, must_drain=False)
    assert system.ports.grants  # granted, never answered, and given up
    system.ports.trouble = lambda name, when: None
    system.run()
    assert system.ports.grants == {}
    assert system.ports.outcomes[0] == ("CHG-1001", "failed")


@pytest.mark.parametrize("name", ["grant_vpc", "revoke_vpc"])
@pytest.mark.parametrize("is_on_the_ledger", [True, False])
def test_what_was_given_up_and_never_told_is_told_when_its_message_comes_again(
    name, is_on_the_ledger
):
    system = System()
    asked = read_request(request(name))
    system.workers["requests"].settler.close(asked.authorization, asked.request_id)
    if is_on_the_ledger:
        system.ledger.add_request(
            RequestRecord(
                request=asked,
                fingerprint=asked.fingerprint,
                received_at=system.ports.now,
                sent_at=system.ports.now,
            )
        )
    for _ in range(2):
        system.post(request(name))
        system.run()
    ids = {event["id"] for event in system.ports.published}
    assert ids == {f"{asked.request_id}/failed"}
    assert system.ports.published[0]["data"]["problem"]["code"] == "gave_up"
    assert system.ledger.request(asked.request_id).outcome == "failed"
    assert not system.ports.calls.count("grant")


def test_what_account_a_attached_by_hand_is_waited_for():
    system = System(by_hand="wait")
    system.post(request("grant_attached_by_hand"))
    system.run()
    assert system.ports.outcomes == [("CHG-1007", "granted")]
    of = read_request(request("grant_attached_by_hand")).authorization
    system.ports.associate(None, of, "by hand")
    system.ports.now += timedelta(minutes=1)
    system.post(
        request(
            "grant_attached_by_hand",
            request_id="R-2",
            action="revoke",
            lease="CHG-1007",
            attach=True,
        )
    )
    for _ in range(3):
        _due, body = (
            system.ports.queues["requests"].pop(0)
            if system.ports.queues["requests"]
            else (None, None)
        )
        if body:
            system.deliver("requests", body)
    assert system.ports.grants
    system.ports.dissociate(None, of, "ecr-assoc-1", "by hand")
    system.run()
    assert system.ports.outcomes[-1] == ("R-2", "revoked")


@pytest.mark.parametrize("its_message", ["comes again", "is lost"])
def test_a_request_whose_answer_was_not_noted_stays_open_no_longer_though_people_are_waited_for(
    its_message,
):
    system, by_hand = System(by_hand="wait"), {"attach": False}
    for name in ("CHG-1", "CHG-2"):
        system.post(request("grant_vpc", request_id=name, ticket=name, **by_hand))
    system.run()
    of = read_request(request("grant_vpc")).authorization
    system.ports.associate(None, of, "by hand")
    system.ports.now += timedelta(minutes=1)
    system.ports.trouble = once("publish", "before", failure("Timeout"))
    system.post(request("revoke_vpc", request_id="R-1", lease="CHG-1"))
    system.run(1, must_drain=False)  # its answer is made: another lease holds
    waiting = system.ports.queues["requests"]
    again = waiting.pop()
    system.post(request("revoke_vpc", request_id="R-2", lease="CHG-2"))
    system.run(3, must_drain=False)
    assert system.ledger.authorization(of.key)[0].request("R-1")
    if its_message == "comes again":
        waiting.append(again)
    else:
        system.ports.now += timedelta(minutes=45)
        system.sweep.run()
    system.run(9, must_drain=False)
    assert ("R-1", "revoked") in system.ports.outcomes
    assert [one.request_id for one in system.ledger.authorization(of.key)[0].open] == ["R-2"]


def test_a_revoke_of_what_is_attached_by_hand_is_refused_where_the_registry_says_so():
    system = System(by_hand="refuse")
    system.post(request("grant_attached_by_hand"))
    system.run()
    of = read_request(request("grant_attached_by_hand")).authorization
    system.ports.associate(None, of, "by hand")
    system.post(
        request(
            "grant_attached_by_hand",
            request_id="R-2",
            action="revoke",
            lease="CHG-1007",
            attach=True,
        )
    )
    system.run()
    assert system.ports.outcomes[-1] == ("R-2", "rejected")
    assert system.ports.grants


def _key(system):
    return read_request(request("grant_vpc")).authorization.key


def test_an_answer_to_another_message_of_the_same_id_is_not_this_requests_answer():
    system = System()
    system.ports.trouble = once("grant", "before", failure("Conflict.Lock"))
    system.post(request("grant_vpc"))
    system.post(request("grant_vpc", reason="Something else"))
    system.run()
    assert ("CHG-1001", "attached") in system.ports.outcomes
    assert system.ledger.request("CHG-1001").outcome == "attached"


def test_a_clock_that_is_ahead_does_not_bar_later_requests():
    system = System()
    system.post(request("revoke_vpc", lease="all", requested_at="2099-01-01T00:00:00Z"))
    system.run()
    system.ports.now += timedelta(days=300)
    system.post(request("grant_vpc"))
    system.run()
    assert ("CHG-1001", "attached") in system.ports.outcomes


def test_the_last_attempt_of_one_ticket_leaves_the_others_alone():
    system = System()
    system.post(request("grant_vpc", request_id="CHG-2", ticket="CHG-2"))
    system.ports.trouble = lambda name, when: failure("Throttling") if name == "assume" else None
    system.run(3, must_drain=False)
    system.ports.queues["requests"].clear()
    last = {"attempt": 8, "message": request("grant_vpc")}
    system.ports.queues["requests"].append((system.ports.now, json.dumps(last)))
    system.run()
    assert system.ports.outcomes == [("CHG-1001", "failed")]
    record, _ = system.ledger.authorization(_key(system))
    assert [lease.id for lease in record.live_leases] == ["CHG-2"]


def test_who_waits_for_a_lock_uses_up_no_attempt():
    system = System()
    system.post(request("grant_vpc"))
    system.run(1, must_drain=False)
    record, version = system.ledger.authorization(_key(system))
    held = Lock(holder="dead", until=system.ports.now + timedelta(minutes=3))
    system.ledger.put_authorization(record.model_copy(update={"lock": held}), version)
    last = {"attempt": 8, "message": request("grant_vpc", request_id="CHG-2", ticket="CHG-2")}
    system.ports.queues["requests"].append((system.ports.now, json.dumps(last)))
    system.run()
    assert ("CHG-2", "attached") in system.ports.outcomes


def test_a_look_that_is_refused_under_by_hand_refuse_is_told_to_the_ticket():
    system = System(by_hand="refuse")
    system.ports.trouble = lambda name, when: (
        failure("NoPermission", status=403) if name == "look_at_association" else None
    )
    system.post(request("revoke_vpc", request_id="R-2"))
    system.run()
    assert system.ports.outcomes == [("R-2", "rejected")]


def test_a_look_that_gets_no_answer_is_told_to_the_ticket_after_the_last_attempt():
    system = System(by_hand="refuse")
    system.ports.trouble = lambda name, when: (
        failure("ServiceUnavailable") if name == "look_at_association" else None
    )
    system.post(request("revoke_vpc", request_id="R-2"))
    system.run(deliveries=20)
    assert system.ports.outcomes == [("R-2", "failed")]


def test_what_a_dead_letter_says_is_kept_whatever_its_script():
    system = System()
    body = json.dumps(request("grant_vpc", note="网" * 15_000), ensure_ascii=False)
    system.ports.queues["requests"] = [(system.ports.now, body)]
    system.run()
    ((_, body),) = system.ports.queues["requests-dead"]
    assert json.loads(body)["message"].count("网") == 15_000
    assert len(body.encode()) <= 65_536


def test_writes_of_one_api_are_paced_and_who_waits_comes_at_its_turn():
    system = System()
    for number in range(4):
        system.post(
            request(
                "grant_vpc",
                request_id=f"CHG-{number}",
                ticket=f"CHG-{number}",
                instance_id=f"vpc-bp1number{number}",
            )
        )
    at = []
    effect = system.ports.perform

    def timed(name, do):
        if name == "grant":
            at.append(system.ports.now)
        return effect(name, do)

    system.ports.perform = timed
    system.run()
    assert len(at) == 4
    assert (at[-1] - at[0]).total_seconds() >= 1
    assert {outcome for _, outcome in system.ports.outcomes} == {"granted", "attached"}


def test_a_hint_of_the_cloud_at_when_to_come_again_is_respected():
    system = System()
    system.ports.trouble = once("grant", "before", failure("Throttling.User", retry_after=40.0))
    system.post(request("grant_vpc"))
    system.run(1, must_drain=False)
    ((due, _),) = system.ports.queues["requests"]
    assert (due - system.ports.now).total_seconds() >= 40
    system.run()
    assert system.ports.outcomes[-1] == ("CHG-1001", "attached")
