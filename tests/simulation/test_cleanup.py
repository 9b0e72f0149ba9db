"""The clean-up decides and asks: expiry, what is stale, what drifts, and the brakes."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.cleanup.brake import NoSuchBrake, brake_on, decide
from shared.cloud.errors import CloudFailure, failure
from shared.contract import AuthorizationId, read_request
from shared.registry import Brake, CleanupRules, Exemption, Freeze
from simulation.memory import MemoryLedger
from simulation.ports import START
from simulation.system import System, known_registry, request

KEY = read_request(request("grant_vpc")).authorization.key
OTHER = KEY.replace("payments0main", "payments0test")
DAY = timedelta(days=1)


def system_with(brake=None, freezes=(), exemptions=(), observe=False, **rules):
    registry = known_registry()
    cleanup = registry.cleanup.model_copy(
        update={
            "observe": observe,
            "rules": CleanupRules(**rules),
            "freezes": tuple(freezes),
            "exemptions": tuple(exemptions),
            **({"brake": brake} if brake else {}),
        }
    )
    system = System(
        ledger=MemoryLedger(), registry_of=registry.model_copy(update={"cleanup": cleanup})
    )
    system.cleanup.run()  # the first run after deployment only looks
    system.ports.published.clear()
    system.ports.now += timedelta(minutes=15)
    return system


def lease(number=1, days=10, **changes):
    end = None if days is None else (START + timedelta(days=days)).isoformat()
    name = f"CHG-{number}"
    changes = {"request_id": name, "ticket": name, "expires_at": end, **changes}
    return {k: v for k, v in request("grant_vpc", **changes).items() if v is not None}


def granted(system, *requests):
    for one in requests:
        system.post(one)
    system.run()
    return system


def cleaned(system, days=0.0, **options):
    """The run at a later time; what it asked for is done."""
    system.ports.now += timedelta(days=days)
    run = system.cleanup.run(**options)
    system.run()
    return run


def events(system, outcome):
    return [one for one in system.ports.published if one["data"]["outcome"] == outcome]


def names(run):
    return dict(run.counts)


# Expiry -------------------------------------------------------------------------------------------


def test_a_lease_past_its_end_is_ended_through_the_request_queue():
    system = granted(system_with(), lease(days=10))
    assert cleaned(system, days=9).asked == 0
    run = cleaned(system, days=2)
    assert (run.outcome, run.asked) == ("asked", 1)
    assert system.ports.grants == {}
    outcomes = [outcome for _, outcome in system.ports.outcomes]
    assert outcomes[-3:] == ["revoking", "detached", "revoked"]


def test_the_role_of_the_clean_up_calls_nothing_that_changes_a_cloud():
    system = granted(system_with(unmanaged="revoke"), lease(days=1))
    system.ports.grants[OTHER] = system.ports.now
    system.ports.now += 2 * DAY
    system.ports.calls.clear()
    system.cleanup.run()
    changing = {"grant", "revoke", "associate", "dissociate", "assume"}
    assert not changing & set(system.ports.calls)
    assert "send requests" in system.ports.calls


def test_a_live_or_renewed_lease_is_never_ended():
    system = granted(system_with(), lease(1, days=10), lease(2, days=400))
    run = cleaned(system, days=11)
    assert run.asked == 1  # the first lease; the second one keeps the access
    assert KEY in system.ports.grants
    live = system.ledger.authorization(KEY)[0].live_leases
    assert [one.id for one in live] == ["CHG-2"]


def test_a_lease_that_is_renewed_while_it_is_being_swept_keeps_its_access():
    system = granted(system_with(), lease(1, days=1))
    system.ports.now += 2 * DAY
    system.cleanup.run()  # it has asked
    late = system.ports.queues["requests"].pop()
    granted(system, lease(2, days=400))
    system.ports.queues["requests"].append(late)
    system.run()
    assert KEY in system.ports.grants
    assert len(system.ports.standing(KEY)) == 1


def test_two_runs_at_once_ask_once():
    system = granted(system_with(), lease(days=1))
    system.ports.now += 2 * DAY
    system.cleanup.run()
    system.cleanup.run()
    system.run()
    revoked = [id_ for id_, outcome in system.ports.outcomes if outcome == "revoked"]
    assert len(set(revoked)) == 1
    assert system.ports.calls.count("revoke") == 1


def test_warnings_come_once_for_each_of_the_days_and_a_renewal_answers_them():
    system = granted(system_with(warn_days=(14, 3)), lease(days=30))
    for days in (15, 0.5, 0.5, 0.5):
        cleaned(system, days=days)
    (told,) = events(system, "expiring")
    assert told["data"]["request_id"] == "CHG-1"
    assert not told["data"]["final"]
    cleaned(system, days=11)
    assert [one["id"] for one in events(system, "expiring")] == [
        "CHG-1/expiring/14d",
        "CHG-1/expiring/3d",
    ]
    granted(system, lease(2, days=400))
    cleaned(system, days=1)
    assert len(events(system, "expiring")) == 2


def test_the_registry_gives_an_end_to_a_lease_whose_ticket_gives_none():
    registry = known_registry()
    ecr_id = KEY.split(":")[0]
    ecr = registry.ecrs[ecr_id].model_copy(update={"default_lease_days": 30})
    registry = registry.model_copy(update={"ecrs": {**registry.ecrs, ecr_id: ecr}})
    system = System(ledger=MemoryLedger(), registry_of=registry)
    granted(system, lease(days=None))
    (held,) = system.ledger.authorization(KEY)[0].live_leases
    assert held.expires_at == START + timedelta(days=30)
    granted(system, lease(days=None))  # the same request again: the same answer
    assert len(system.ledger.authorization(KEY)[0].leases) == 1


# Exemptions, freezes, observing -------------------------------------------------------------------


def test_an_exempt_lease_is_left_alone_until_the_exemption_ends():
    until = START + timedelta(days=20)
    exempt = Exemption(reason="Migration", until=until, lease="CHG-1")
    system = granted(system_with(exemptions=[exempt]), lease(days=1))
    run = cleaned(system, days=10)
    assert (names(run)["expired"], run.wanted, run.asked) == (1, 0, 0)
    assert KEY in system.ports.grants
    assert cleaned(system, days=15).asked == 1
    assert system.ports.grants == {}


def test_in_a_freeze_nothing_is_asked_for_no_new_access_is_given_and_renewals_are():
    freeze = Freeze(since=START + 2 * DAY, until=START + 10 * DAY, reason="Year end")
    system = granted(system_with(freezes=[freeze]), lease(1, days=3))
    system.ports.now = START + 4 * DAY
    granted(system, lease(2, days=40), lease(3, days=40, instance_id="vpc-bp1payments0test"))
    told = {one["data"]["request_id"]: one["data"] for one in system.ports.published}
    assert told["CHG-2"]["outcome"] == "attached"
    assert told["CHG-3"]["problem"]["code"] == "frozen"
    assert cleaned(system).asked == 0
    assert cleaned(system, days=7).asked == 1


@pytest.mark.parametrize("why", ["first run", "registry", "dry run"])
def test_where_it_only_observes_it_reports_and_asks_for_nothing(why):
    system = system_with(observe=why == "registry", unmanaged="revoke")
    if why == "first run":
        system.ledger.noted.clear()
    granted(system, lease(days=1))
    system.ports.grants[OTHER] = system.ports.now
    run = cleaned(system, days=2, dry=why == "dry run")
    assert (run.outcome, run.wanted, run.asked) == ("observed", 2, 0)
    assert why.split()[0] in run.observes
    assert len(system.ports.grants) == 2
    (swept,) = events(system, "swept")
    assert swept["data"]["counts"] == {"expired": 1, "unmanaged": 1}


def test_a_dry_run_does_not_go_on_with_a_run_that_would_ask():
    system = granted(system_with(), lease(days=1))
    system.ports.now += 2 * DAY
    object.__setattr__(system.cleanup, "is_late", lambda: True)
    assert system.cleanup.run().pending
    object.__setattr__(system.cleanup, "is_late", lambda: False)
    assert cleaned(system, dry=True).outcome == "observed"
    assert KEY in system.ports.grants


# The brake ----------------------------------------------------------------------------------------


def braked():
    system = system_with(brake=Brake(most=2, percent=100, always=0))
    places = ("main", "test", "0003")
    many = [lease(n, days=1, instance_id=f"vpc-bp1payments{p}") for n, p in enumerate(places)]
    granted(system, *many)
    run = cleaned(system, days=2)
    assert run.outcome == "braked"
    return system, run


def test_a_braked_run_has_asked_for_nothing_and_says_so_with_its_list():
    system, run = braked()
    assert (run.wanted, run.asked) == (3, 0)
    assert len(system.ports.grants) == 3
    (told,) = events(system, "brake")
    assert told["data"]["digest"] == run.digest
    assert len(told["data"]["findings"]) == 3


def test_while_the_brake_is_on_later_runs_only_look():
    system, run = braked()
    again = cleaned(system, days=1)
    assert again.outcome == "observed"
    assert len(events(system, "brake")) == 1
    assert brake_on(system.ledger).digest == run.digest


def test_an_operator_releases_that_list_and_no_other():
    system, run = braked()
    with pytest.raises(NoSuchBrake):
        decide(system.ledger, system.trail, "another", "anna", release=True)
    decide(system.ledger, system.trail, run.digest, "anna", release=True)
    released = cleaned(system)
    assert (released.outcome, released.asked) == ("released", 3)
    assert system.ports.grants == {}
    assert cleaned(system, days=0.1).outcome == "asked"
    noted = [one.what for one in system.ledger.entries("clean-up")]
    assert noted == ["braked", "released", "asked for what was released"]


def test_an_operator_drops_a_list_and_the_next_run_decides_anew():
    system, run = braked()
    decide(system.ledger, system.trail, run.digest, "anna", release=False)
    assert cleaned(system).outcome == "braked"
    assert len(system.ports.grants) == 3


def test_a_released_list_spares_what_was_exempted_or_renewed_meanwhile():
    system, run = braked()
    exempt = Exemption(reason="No", until=START + 99 * DAY, lease="CHG-1")
    registry = system.cleanup.registry
    changed = registry.cleanup.model_copy(update={"exemptions": (exempt,)})
    object.__setattr__(system.cleanup, "registry", registry.model_copy(update={"cleanup": changed}))
    granted(system, lease(9, days=99, instance_id="vpc-bp1payments0003"))
    decide(system.ledger, system.trail, run.digest, "anna", release=True)
    assert cleaned(system).asked == 2
    left = {AuthorizationId.of_key(key).instance_id for key in system.ports.grants}
    assert left == {"vpc-bp1payments0003", "vpc-bp1paymentstest"}


@pytest.mark.parametrize(
    ("wanted", "seen", "stops"),
    [(5, 5, False), (6, 20, True), (20, 100, False), (21, 100, True), (51, 10**6, True)],
)
def test_the_brake_stops_at_a_number_a_share_and_never_at_very_few(wanted, seen, stops):
    assert Brake().stops(wanted, seen) is stops


# Drift and what is stale --------------------------------------------------------------------------


def test_a_grant_that_nobody_asked_for_is_reported_adopted_or_revoked_as_the_registry_says():
    for unmanaged, stands in (("report", True), ("adopt", True), ("revoke", False)):
        system = system_with(unmanaged=unmanaged)
        system.ports.grants[OTHER] = system.ports.now - DAY
        assert names(cleaned(system)) == {"unmanaged": 1}
        assert (OTHER in system.ports.grants) is stands
        known = system.ledger.authorization(OTHER)
        assert bool(known and known[0].live_leases) is (unmanaged == "adopt")
        assert "unmanaged" not in names(cleaned(system, days=0.1)) or unmanaged == "report"


def test_a_grant_that_comes_back_by_hand_after_its_revoke_is_named():
    system = granted(system_with(), lease(days=400))
    granted(system, request("revoke_vpc", lease="CHG-1"))
    system.ports.now += DAY
    system.ports.grants[KEY] = system.ports.now - timedelta(hours=1)
    assert names(cleaned(system)) == {"left_behind": 1}


@pytest.mark.parametrize("repairs", [False, True])
def test_access_that_a_live_lease_misses_is_reported_or_given_back(repairs):
    system = granted(system_with(missing="repair" if repairs else "report"), lease(days=400))
    system.ports.now += timedelta(minutes=10)
    system.ports.grants.pop(KEY)
    system.ports.associations.clear()
    run = cleaned(system)
    assert names(run) == {"missing": 1}
    assert run.looked == int(repairs)
    assert (KEY in system.ports.grants) is repairs
    assert names(cleaned(system, days=0.1)) == ({} if repairs else {"missing": 1})


def test_an_association_that_is_gone_or_has_no_grant_is_named():
    system = granted(system_with(), lease(days=400))
    system.ports.now += timedelta(minutes=10)
    standing = system.ports.associations.pop(KEY)
    assert names(cleaned(system)) == {"not_attached": 1}
    system.ports.associations[KEY] = standing
    system.ports.grants.pop(KEY)
    assert names(cleaned(system)) == {"attached_without_grant": 1}


def test_an_instance_that_is_attached_twice_is_named_and_healed():
    system = granted(system_with(), lease(days=400))
    system.ports.now += timedelta(minutes=10)
    system.ports.associations[KEY]["ecr-assoc-999"] = system.ports.now - timedelta(minutes=5)
    assert names(cleaned(system)) == {"attached_twice": 1}
    assert len(system.ports.standing(KEY)) == 1


def test_another_owner_in_account_as_row_is_named():
    system = granted(system_with(), lease(days=400))
    system.ports.now += timedelta(minutes=10)
    other = KEY.replace("2000300040005000", "9000900090009000")
    system.ports.grants[other] = system.ports.grants.pop(KEY)
    assert names(cleaned(system)) == {"owner_mismatch": 1, "unmanaged": 1}


def test_a_grant_that_is_long_not_attached_is_stale_and_its_lease_is_not_ended():
    system = granted(system_with(not_attached_days=30), lease(days=None, attach=False))
    assert names(cleaned(system, days=29)) == {}
    run = cleaned(system, days=2)
    assert names(run) == {"stale_not_attached": 1}
    assert KEY in system.ports.grants


def test_an_ecr_that_is_gone_is_reported_and_nothing_is_revoked():
    system = granted(system_with(unmanaged="revoke"), lease(days=400))
    system.ports.now += timedelta(minutes=10)
    system.ports.gone.add(KEY.split(":")[0])
    run = cleaned(system)
    assert (names(run), run.asked) == ({"ecr_gone": 1}, 0)


@pytest.mark.parametrize(
    ("code", "name"),
    [("InvalidVpcId.NotFound", "instance_gone"), ("NoPermission", "cannot_verify")],
)
def test_an_account_b_that_cannot_be_looked_at_is_named_and_blocks_nothing(code, name):
    system = granted(system_with(missing="repair"), lease(days=400))
    system.ports.now += timedelta(minutes=10)
    system.ports.grants.pop(KEY)
    system.ports.associations.clear()
    system.ports.trouble = lambda call, when: (
        failure(code, status=403) if (call, when) == ("look_at_grant", "before") else None
    )
    cleaned(system)
    assert names(cleaned(system, days=0.01)) == {"missing": 1, name: 1}
    assert system.ports.queues.get("requests-dead", []) == []


def test_a_request_that_has_long_had_no_answer_is_named():
    system = granted(system_with(stuck_hours=24), lease(days=400, attach=False))
    ready = {"ecr-assoc-7": system.ports.now}
    system.ports.associations[KEY] = ready  # by hand
    system.post(request("revoke_vpc", lease="CHG-1"))
    system.run(6, must_drain=False)
    system.ports.now += 2 * DAY
    assert names(system.cleanup.run())["stuck"] == 1


# Listings -----------------------------------------------------------------------------------------


def test_a_listing_that_fails_never_counts_as_gone_and_blocks_no_other():
    system = granted(system_with(missing="repair"), lease(days=1))
    system.ports.now += 2 * DAY
    system.ports.trouble = lambda call, when: (
        failure("ServiceUnavailable.Sometimes") if call == "list_ecr" else None
    )
    run = cleaned(system)
    assert names(run) == {"listing_failed": 2, "expired": 1}
    assert run.looked == 0
    assert run.asked == 1  # what is due is known without the listing


def test_a_listing_that_is_suddenly_empty_never_counts_as_gone():
    system = granted(system_with(missing="repair"), lease(days=400))
    cleaned(system, days=1)
    system.ports.grants.clear()
    system.ports.associations.clear()
    run = cleaned(system, days=0.5)
    assert names(run) == {"listing_empty": 1}
    assert run.looked == 0
    run = cleaned(system, days=1)  # it stays empty: this is no mistake of a moment
    assert names(run) == {"missing": 1}


def test_an_ecr_whose_last_grant_was_revoked_is_empty_without_suspicion():
    system = granted(system_with(), lease(days=1))
    cleaned(system, days=0.1)
    granted(system, request("revoke_vpc", lease="CHG-1"))
    assert names(cleaned(system, days=0.1)) == {}


def test_a_throttled_listing_is_put_off_and_the_run_goes_on_where_it_stopped():
    system = granted(system_with(), lease(days=1))
    system.ports.now += 2 * DAY
    left = [failure("Throttling.User")]
    system.ports.trouble = lambda call, when: left.pop() if call == "list_ecr" and left else None
    first = system.cleanup.run()
    assert first.outcome is None
    assert len(first.pending) == 3  # two ECRs, and the requests
    run = cleaned(system, days=0.01)
    assert (run.id, run.outcome, run.asked) == (first.id, "asked", 1)


def test_a_run_whose_time_is_over_goes_on_with_the_next_ecr():
    system = granted(system_with(), lease(days=1))
    system.ports.now += 2 * DAY
    late = iter([False, True, *[False] * 20])
    object.__setattr__(system.cleanup, "is_late", lambda: next(late))
    first = system.cleanup.run()
    assert len(first.pending) == 2
    second = cleaned(system)
    assert (second.id, second.pending, second.asked) == (first.id, (), 1)


def test_what_was_granted_while_account_a_was_being_listed_is_no_difference():
    system = system_with(missing="repair", unmanaged="revoke")
    show = system.ports.show

    def slow(*given):
        shown = show(*given)
        granted(system, lease(days=400))  # it appears between two pages
        return shown

    system.ports.show = slow
    run = system.cleanup.run()
    assert names(run) == {}
    system.run()
    assert KEY in system.ports.grants


def test_a_clock_that_jumps_ahead_meets_the_brake():
    system = system_with(brake=Brake(most=50, percent=20, always=1))
    granted(system, *(lease(n, days=30, instance_id=f"vpc-bp1number{n}") for n in range(4)))
    assert cleaned(system, days=3650).outcome == "braked"


def test_nothing_to_look_at_is_no_trouble():
    run = cleaned(system_with())
    assert (run.outcome, run.seen, names(run)) == ("asked", 0, {})


def test_what_fails_on_the_way_is_done_by_the_next_invocation():
    system = granted(system_with(), lease(days=1))
    system.ports.now += 2 * DAY
    for call in ("publish", "send requests"):
        system.ports.trouble = lambda name, when, call=call: (
            failure("ServiceUnavailable") if name == call else None
        )
        with pytest.raises(CloudFailure):
            system.cleanup.run()
    system.ports.trouble = lambda name, when: None
    run = cleaned(system)
    assert run.outcome == "asked"
    assert system.ports.grants == {}
    told = events(system, "swept")
    assert len({json.dumps(one, sort_keys=True) for one in told}) == len(
        {one["id"] for one in told}
    )


def test_a_stray_that_a_late_ticket_has_come_to_hold_is_not_revoked():
    system = system_with(unmanaged="revoke")
    system.ports.grants[KEY] = system.ports.now - DAY
    system.cleanup.run()  # it has asked
    late = system.ports.queues["requests"].pop()
    asked_before = (system.ports.now - timedelta(hours=5)).isoformat()  # and approved since
    granted(system, lease(days=400, requested_at=asked_before))
    system.ports.queues["requests"].append(late)
    system.run()
    assert KEY in system.ports.grants
    assert len(system.ledger.authorization(KEY)[0].live_leases) == 1


def test_a_record_that_cannot_be_read_is_no_stranger():
    system = granted(system_with(unmanaged="revoke"), lease(days=400))
    system.ports.now += timedelta(minutes=10)
    pages = system.ledger.authorizations
    system.ledger.authorizations = lambda *given: [(key, None) for key, _ in pages(*given)]
    run = cleaned(system)
    assert (names(run), run.asked) == ({"unreadable": 1}, 0)


def test_a_released_list_that_waits_for_a_freeze_is_the_list_that_was_released():
    system, run = braked()
    decide(system.ledger, system.trail, run.digest, "anna", release=True)
    now = system.ports.now
    freeze = Freeze(since=now, until=now + DAY, reason="x")
    registry = system.cleanup.registry
    frozen = registry.cleanup.model_copy(update={"freezes": (freeze,)})
    frozen = registry.model_copy(update={"cleanup": frozen})
    object.__setattr__(system.cleanup, "registry", frozen)
    cleaned(system, days=0.5)
    released = cleaned(system, days=1)
    assert (released.outcome, released.asked) == ("released", 3)


def test_a_first_run_that_lay_too_long_is_followed_by_one_that_observes():
    system = granted(system_with(), lease(days=1))
    system.ledger.noted.clear()
    object.__setattr__(system.cleanup, "is_late", lambda: True)
    system.cleanup.run()
    object.__setattr__(system.cleanup, "is_late", lambda: False)
    assert cleaned(system, days=3).observes == "it is the first run"


def test_what_policy_would_refuse_is_reported_and_holds_no_brake():
    system = system_with(brake=Brake(most=0, always=0), unmanaged="revoke")
    system.ports.grants[KEY.replace("2000300040005000", "9000900090009000")] = START
    run = cleaned(system)
    assert (names(run), run.wanted, run.outcome) == ({"unmanaged": 1}, 0, "asked")
