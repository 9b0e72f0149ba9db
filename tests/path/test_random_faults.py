"""CI's share of the schedules through the wire; `python -m simulation --wire` runs the rest."""

from __future__ import annotations

import pytest

from simulation.bugs import planted
from simulation.wire import campaign as wire_campaign
from simulation.wire.run import minimised, run, told_whole
from simulation.wire.schedules import Event, Stop, WireSchedule, sampled

A_ROLE_RETURNS_AFTER_HOURS = 7650


@pytest.mark.parametrize("seed", [*range(1, 25), A_ROLE_RETURNS_AFTER_HOURS])
def test_whatever_goes_wrong_access_is_what_the_leases_want_in_the_end(seed):
    schedule = sampled(seed)
    assert run(schedule).broken is None, told_whole(schedule, "here")


def test_a_seed_is_always_the_same_schedule_and_its_trace():
    assert [sampled(seed) for seed in range(500)] == [sampled(seed) for seed in range(500)]
    schedule = next(one for seed in range(100) if not (one := sampled(seed)).threads and one.stops)
    first, second = (run(schedule, traced=True) for _ in range(2))
    assert first.trace
    assert first.trace == second.trace


@pytest.mark.parametrize(
    "name", ["a result differs when it is repeated", "no answer is taken as not done"]
)
def test_a_planted_bug_is_caught_through_the_wire(name):
    assert wire_campaign.caught(name, 40) is not None


def test_an_instance_that_dies_is_told_to_the_trigger_which_brings_the_batch_again():
    events = (Event("post", "main grant 1", 0.0),)
    outcome = run(WireSchedule(1, events, stops=(Stop("call", 1, "crash after"),)))
    assert outcome.broken is None
    assert outcome.reached["crashed"] == outcome.reached["batch repeated"] == 1


def test_what_a_schedule_does_not_need_to_break_is_taken_out():
    events = [Event("post", f"main {name}", 20.0) for name in ("grant 1", "grant 2", "revoke 1")]
    stops = (Stop("call", 40, "crash after"),)
    broken = WireSchedule(1, tuple(events), switches=(("grant_twice", "error"),), stops=stops)
    with planted("a revoke ignores the other leases"):
        least = minimised(broken)
        told = told_whole(least, "here")
    assert least.stops == least.switches == ()
    assert "broken    C3: main" in told or "broken    B1: main" in told
