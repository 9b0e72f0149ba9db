"""Lists longer than one invocation, notes that cannot be read, and what lies on the ledger."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.authorization import AssociationSeen, Authorization, GrantSeen, Lease
from shared.cleanup.brake import BRAKE, NoSuchBrake, brake_on, decide
from shared.cleanup.notes import (
    LAST_REPORT,
    RUN,
    UnreadableNote,
    asks_of,
    found_key,
    part_key,
    report,
    rows_key,
)
from shared.cloud.errors import CloudFailure, failure
from shared.contract import AuthorizationId
from shared.registry import Brake, CleanupRules, Freeze
from simulation.ports import START
from simulation.system import request
from tests.simulation.test_cleanup import (
    DAY,
    KEY,
    braked,
    cleaned,
    events,
    granted,
    lease,
    names,
    system_with,
)

ALL = Brake(most=10**6, percent=100, always=0)
NONE = Brake(most=0, percent=0, always=0)
ECR = KEY.split(":")[0]


pytestmark = pytest.mark.usefixtures("no_logs")


def of(number):
    return AuthorizationId.of_key(KEY.replace("payments0main", f"many{number:06d}"))


def filled(count, *, days=1, **options):
    """So many authorizations with access and a lease that ends after some days; no message."""
    system = system_with(**options)
    end = START + timedelta(days=days)
    for number in range(count):
        one = of(number)
        held = Lease(id=f"L-{number}", ticket=f"L-{number}", since=START, expires_at=end)
        seen = GrantSeen(state="present", authorized_at=START)
        known = AssociationSeen(state="active", by_us=True, association_id=f"a-{number}")
        record = Authorization(id=one, leases=(held,), grant=seen, association=known)
        system.ledger.put_authorization(record, 0)
        system.ports.grants[one.key] = START
        system.ports.associations[one.key] = {f"a-{number}": START}
    system.ports.now = START + timedelta(days=days, hours=1)
    return system


def now_and_then(system, steps):
    """Each invocation has the time for so many steps."""
    left = {"steps": 0}

    def is_late():
        left["steps"] -= 1
        return left["steps"] < 0

    object.__setattr__(system.cleanup, "is_late", is_late)

    def invoke():
        left["steps"] = steps
        return system.cleanup.run()

    return invoke


def asked_for(system):
    """The request ids on the queue, each once."""
    bodies = [json.loads(body) for _, body in system.ports.queues.get("requests", [])]
    return [body["request_id"] for body in bodies if "request_id" in body]


# Long lists ---------------------------------------------------------------------------------------


def test_a_list_that_is_allowed_is_asked_for_whole_however_long_it_is():
    system = filled(2345, brake=ALL)
    run = system.cleanup.run()
    assert (run.outcome, run.wanted, run.asked) == ("asked", 2345, 2345)
    assert len(set(asked_for(system))) == 2345


def test_an_allowed_list_longer_than_an_invocation_goes_on_where_it_stopped():
    system = filled(1234, brake=ALL)
    invoke = now_and_then(system, 5)
    runs = [invoke()]
    while runs[-1].outcome is None:
        runs.append(invoke())
    assert len(runs) > 2
    assert len({run.id for run in runs}) == 1
    asked = asked_for(system)
    assert (len(asked), len(set(asked))) == (1234, 1234)


def test_a_released_list_longer_than_an_invocation_is_asked_for_whole_and_once():
    system = filled(1234, brake=NONE)
    run = system.cleanup.run()
    assert (run.outcome, asked_for(system)) == ("braked", [])
    assert len(list(asks_of(system.ledger, run))) == 1234
    decide(system.ledger, system.trail, run.digest, "anna", release=True)
    invoke = now_and_then(system, 4)
    outcomes = []
    while not outcomes or outcomes[-1] != "released":
        outcomes.append(invoke().outcome)
    assert len(outcomes) > 2
    asked = asked_for(system)
    assert (len(asked), len(set(asked))) == (1234, 1234)
    assert brake_on(system.ledger) is None


def test_a_crash_while_a_list_is_asked_for_repeats_a_part_and_loses_none():
    system = filled(250, brake=ALL)
    sent = []

    def trouble(name, when):
        if name == "send requests":
            sent.append(name)
        return failure("ServiceUnavailable") if len(sent) == 150 and when == "after" else None

    system.ports.trouble = trouble
    with pytest.raises(CloudFailure):
        system.cleanup.run()
    system.ports.trouble = lambda name, when: None
    assert system.cleanup.run().outcome == "asked"
    asked = asked_for(system)
    assert len(set(asked)) == 250
    assert len(asked) < 350


def run_into_a_freeze(system):
    """A run whose freeze begins when it has asked for a part of its list."""
    begins = system.ports.now + timedelta(minutes=1)
    freeze = Freeze(since=begins, until=begins + DAY, reason="Year end")
    registry = system.cleanup.registry
    cleanup = registry.cleanup.model_copy(update={"freezes": (freeze,)})
    changed = registry.model_copy(update={"cleanup": cleanup})
    object.__setattr__(system.cleanup, "registry", changed)
    send = system.ports.send

    def slow(*given):
        system.ports.now += timedelta(seconds=0.4)
        send(*given)

    object.__setattr__(system.cleanup, "send", slow)
    try:
        return system.cleanup.run()
    finally:
        object.__setattr__(system.cleanup, "send", send)


def test_a_freeze_that_begins_midway_stops_a_released_list_until_it_ends():
    system = filled(450, brake=NONE)
    run = system.cleanup.run()
    decide(system.ledger, system.trail, run.digest, "anna", release=True)
    while_frozen = run_into_a_freeze(system)
    assert while_frozen.outcome == "observed"
    before = len(asked_for(system))
    assert 100 < before < 200
    system.ports.now += 2 * DAY
    assert system.cleanup.run().outcome == "released"
    assert len(set(asked_for(system))) == 450


def test_a_freeze_that_begins_midway_stops_an_allowed_list_and_the_rest_is_found_again():
    system = filled(450, brake=ALL)
    run = run_into_a_freeze(system)
    assert run.outcome == "asked"
    assert len(asked_for(system)) < 200
    system.ports.queues["requests"].clear()
    system.ports.now += 2 * DAY
    assert system.cleanup.run().asked == 450


@pytest.mark.parametrize("how", ["a dry run", "observe"])
def test_a_dry_run_or_an_observing_one_does_not_ask_for_a_released_list_either(how):
    system, run = braked()
    decide(system.ledger, system.trail, run.digest, "anna", release=True)
    before = system.cleanup.registry
    observing = before.cleanup.model_copy(update={"observe": how == "observe"})
    changed = before.model_copy(update={"cleanup": observing})
    object.__setattr__(system.cleanup, "registry", changed)
    looked = cleaned(system, dry=how == "a dry run")
    assert (looked.outcome, len(system.ports.grants)) == ("observed", 3)
    object.__setattr__(system.cleanup, "registry", before)
    assert cleaned(system).asked == 3


def test_a_list_that_another_invocation_has_written_over_meanwhile_is_not_asked_for():
    system = filled(250, brake=ALL)
    decided = []
    put = system.ledger.put_note

    def late(key, text, version):
        done = put(key, text, version)
        if key == RUN and '"cursor":0' in text and not decided:
            decided.append(True)  # a slow one notes another list of the same ECR
            found, its_version = system.ledger.noted[found_key(0, ECR)]
            other = json.loads(found) | {"parts": []}
            put(found_key(0, ECR), json.dumps(other), its_version)
        return done

    system.ledger.put_note = late
    run = system.cleanup.run()
    assert (run.outcome, run.asked, asked_for(system)) == ("stopped", 0, [])
    assert system.cleanup.run().asked == 250


def test_one_ecr_with_20000_grants_is_looked_at_whole():
    system = filled(20000, days=400, brake=ALL)
    system.ports.now = START + DAY
    run = system.cleanup.run()
    assert (run.seen, names(run)) == (20000, {})


def test_many_looks_are_shared_out_over_the_runs_and_all_have_their_turn():
    system = filled(1100, days=400, missing="repair", brake=ALL)
    system.ports.now = START + DAY
    system.cleanup.run()
    system.ports.grants = {of(0).key: START}
    system.ports.associations = {of(0).key: {"a-0": START}}
    looked = set()
    for _ in range(3):
        system.ports.now += DAY
        run = system.cleanup.run()
        bodies = [json.loads(body) for _, body in system.ports.queues.pop("requests", [])]
        looked |= {body["wake"]["instance_id"] for body in bodies if "wake" in body}
        assert run.looked <= 500
    assert len(looked) == 1099


# Notes that cannot be read ------------------------------------------------------------------------

UNREADABLE = ["", "{", "null", '{"id": 5}', '{"form": "of another release"}']


@pytest.mark.parametrize("text", UNREADABLE)
@pytest.mark.parametrize("key", [RUN, BRAKE])
def test_a_note_that_cannot_be_read_is_named_and_its_run_only_looks(key, text):
    system = granted(system_with(), lease(days=1))
    cleaned(system)
    system.ledger.noted[key] = (text, 3)
    run = cleaned(system, days=2)
    assert (run.outcome, run.asked, names(run)["note_unreadable"]) == ("observed", 0, 1)
    assert key in run.observes
    assert KEY in system.ports.grants
    assert events(system, "swept")[-1]["data"]["counts"]["note_unreadable"] == 1
    after = cleaned(system, days=0.1)
    assert (after.outcome, after.asked) == ("asked", 1)
    assert KEY not in system.ports.grants


def test_a_brake_that_cannot_be_read_lets_nothing_pass_and_the_next_run_brakes_anew():
    system, run = braked()
    version = system.ledger.noted[BRAKE][1]
    system.ledger.noted[BRAKE] = ("{", version)
    with pytest.raises(NoSuchBrake):
        decide(system.ledger, system.trail, run.digest, "anna", release=True)
    with pytest.raises(UnreadableNote):
        brake_on(system.ledger)
    assert cleaned(system).outcome == "observed"
    assert cleaned(system, days=0.1).outcome == "braked"
    assert len(system.ports.grants) == 3


@pytest.mark.parametrize("which", ["part", "found", "gone", "other"])
def test_a_released_list_that_is_not_what_it_was_is_not_asked_for(which):
    system, run = braked()
    decide(system.ledger, system.trail, run.digest, "anna", release=True)
    key = found_key(run.slot, ECR) if which == "found" else part_key(run.slot, ECR, 0)
    text, version = system.ledger.noted[key]
    if which == "gone":
        del system.ledger.noted[key]
    elif which == "other":
        system.ledger.noted[key] = (text.replace("CHG-1", "CHG-7"), version)
    else:
        system.ledger.noted[key] = ("{", version)
    assert cleaned(system).outcome == "braked"  # it is found anew, and braked anew
    assert len(system.ports.grants) == 3
    assert "list unreadable" in [one.what for one in system.ledger.entries("clean-up")]


def test_a_run_whose_list_changes_while_it_is_asked_for_stops_and_the_next_finds_all_again():
    system = filled(450, brake=ALL)
    invoke = now_and_then(system, 5)
    first = invoke()
    assert 0 < first.asked < 450
    key = part_key(first.slot, ECR, 4)
    system.ledger.noted[key] = ("{", system.ledger.noted[key][1])
    object.__setattr__(system.cleanup, "is_late", lambda: False)
    run = system.cleanup.run()
    assert (run.outcome, run.asked, names(run)["note_unreadable"]) == ("stopped", 400, 1)
    system.ports.queues["requests"].clear()
    assert system.cleanup.run().asked == 450


def test_rows_that_cannot_be_read_make_an_empty_listing_suspicious_for_a_day():
    system = granted(system_with(missing="repair"), lease(days=400))
    cleaned(system, days=1)
    system.ports.grants.clear()
    system.ports.associations.clear()
    system.ledger.noted[rows_key(ECR)] = ("{", 1)
    assert names(cleaned(system)) == {"listing_empty": 1}
    assert names(cleaned(system, days=0.5)) == {"listing_empty": 1}
    assert names(cleaned(system, days=1)) == {"missing": 1}


def test_a_report_that_cannot_be_read_is_said_to_be_and_the_next_run_writes_it_anew():
    system = granted(system_with(), lease(days=400))
    system.ledger.noted[LAST_REPORT] = ("{", system.ledger.noted[LAST_REPORT][1])
    with pytest.raises(UnreadableNote):
        report(system.ledger)
    cleaned(system)
    assert report(system.ledger) is not None


def test_a_clock_that_jumps_back_begins_anew():
    system = filled(10, brake=ALL)
    invoke = now_and_then(system, 1)
    first = invoke()
    system.ports.now -= timedelta(hours=30)
    object.__setattr__(system.cleanup, "is_late", lambda: False)
    run = system.cleanup.run()
    assert run.id != first.id
    assert (run.outcome, run.asked) == ("asked", 0)  # nothing is past its end yet


# What lies on the ledger --------------------------------------------------------------------------


def unpublished(system):
    """A result is made, and the topic does not take it."""
    system.ports.trouble = lambda name, when: (
        failure("ServiceUnavailable") if name == "publish" else None
    )
    system.post(lease(days=400))
    system.run(3, must_drain=False)
    system.ports.queues.clear()
    system.ports.trouble = lambda name, when: None


def test_a_result_that_long_is_not_on_the_topic_is_named_with_the_request_that_repeats_it():
    system = system_with()
    unpublished(system)
    system.ports.now += timedelta(minutes=30)
    assert "unpublished" not in names(system.cleanup.run())
    system.ports.now += timedelta(hours=1)
    run = system.cleanup.run()
    assert names(run)["unpublished"] == 1
    (told,) = [one for one in run.told if one.name == "unpublished"]
    assert told.sentence.startswith("Result CHG-1/granted was made on 2026-11-23")


@pytest.mark.parametrize(("stuck", "published"), [(24, None), (None, 1), (None, None)])
def test_stuck_and_unpublished_have_switches_of_their_own(stuck, published):
    system = system_with(stuck_hours=stuck, unpublished_hours=published)
    unpublished(system)
    system.ports.now += 2 * DAY
    found = names(system.cleanup.run())
    assert ("stuck" in found, "unpublished" in found) == (bool(stuck), bool(published))


def test_an_account_may_have_its_own_age_for_what_is_stuck():
    system = system_with(stuck_hours=1)
    unpublished(system)
    registry = system.cleanup.registry
    account = registry.accounts["2000300040005000"]
    patient = account.model_copy(update={"cleanup": CleanupRules(stuck_hours=100)})
    accounts = {**registry.accounts, "2000300040005000": patient}
    changed = registry.model_copy(update={"accounts": accounts})
    object.__setattr__(system.cleanup, "registry", changed)
    system.ports.now += 2 * DAY
    assert "stuck" not in names(system.cleanup.run())
    system.ports.now += 3 * DAY
    assert names(system.cleanup.run())["stuck"] == 1


def test_a_request_that_nobody_has_taken_is_stuck_too_and_its_own_request_mends_it():
    system = system_with()
    system.ports.trouble = lambda name, when: (
        failure("ServiceUnavailable") if name == "assume" else None
    )
    system.post(request("grant_vpc"))
    system.run(1, must_drain=False)
    system.ports.queues.clear()
    system.ports.now += 2 * DAY
    run = system.cleanup.run()
    assert names(run)["stuck"] == 1


def test_a_request_that_cannot_be_read_stops_no_run():
    system = granted(system_with(), lease(days=1))
    object.__setattr__(system.ledger, "unfinished", lambda *_: [object()])
    run = cleaned(system, days=2)
    assert (run.outcome, run.asked, names(run)["unreadable"]) == ("asked", 1, 1)
