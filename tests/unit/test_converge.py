"""converge, over the whole of its state space."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from shared.authorization import AssociationState, GrantState
from shared.converge import EFFECTS, WAITS, Seen, Step, Wanted, converge

WANTED = [Wanted(*flags) for flags in product((False, True), repeat=3)]
SEEN = [Seen(*both) for both in product(get_args(GrantState), get_args(AssociationState))]
SPACE = list(product(WANTED, SEEN))

# What a step does to what is there, when the cloud does it: every state that may follow.
FOLLOWS = {
    Step.GRANT: lambda seen: [Seen("present", seen.association), Seen("unknown", seen.association)],
    Step.REVOKE: lambda seen: [Seen("unknown", seen.association)],
    Step.LOOK_AT_GRANT: lambda seen: [
        Seen(state, seen.association) for state in ("absent", "present", "settling")
    ],
    Step.AWAIT_GRANT: lambda seen: [Seen("unknown", seen.association)],
    Step.ASSOCIATE: lambda seen: [Seen(seen.grant, "creating"), Seen(seen.grant, "unknown")],
    Step.DISSOCIATE: lambda seen: [Seen(seen.grant, "deleting"), Seen(seen.grant, "unknown")],
    Step.LOOK_AT_ASSOCIATION: lambda seen: [
        Seen(seen.grant, state) for state in ("absent", "creating", "active", "doubled", "deleting")
    ],
    Step.AWAIT_ASSOCIATION: lambda seen: [Seen(seen.grant, "unknown")],
    Step.AWAIT_DETACH_BY_HAND: lambda seen: [Seen(seen.grant, "unknown")],
}


@pytest.mark.parametrize(("wanted", "seen"), SPACE)
def test_every_state_has_one_next_step(wanted, seen):
    assert isinstance(converge(wanted, seen), Step)


@pytest.mark.parametrize(("wanted", "seen"), SPACE)
def test_an_effect_is_asked_for_only_where_both_its_premises_are_known(wanted, seen):
    step = converge(wanted, seen)
    if step is Step.GRANT:
        assert wanted.granted
        assert seen.grant == "absent"
    if step is Step.ASSOCIATE:
        assert wanted.attached
        assert (seen.grant, seen.association) == ("present", "absent")
    if step is Step.DISSOCIATE:
        assert seen.association == "doubled" or not wanted.granted
        assert seen.association in ("active", "doubled")
    if step is Step.REVOKE:
        assert not wanted.granted
        assert (seen.grant, seen.association) == ("present", "absent")


@pytest.mark.parametrize(("wanted", "seen"), SPACE)
def test_detach_comes_before_revoke(wanted, seen):
    if converge(wanted, seen) is Step.REVOKE:
        assert seen.association == "absent"


@pytest.mark.parametrize(("wanted", "seen"), SPACE)
def test_it_is_done_exactly_where_what_is_wanted_is_there(wanted, seen):
    if wanted.granted:
        attached = seen.association == "active" or not wanted.attached
        is_there = seen.grant == "present" and attached
    else:
        is_there = (seen.grant, seen.association) == ("absent", "absent")
    assert (converge(wanted, seen) is Step.DONE) == is_there


@pytest.mark.parametrize(("wanted", "seen"), SPACE)
def test_from_every_state_done_can_be_reached(wanted, seen):
    reached, border = {seen}, [seen]
    while border:
        state = border.pop()
        step = converge(wanted, state)
        if step is Step.DONE:
            return
        for after in FOLLOWS[step](state):
            if after not in reached:
                reached.add(after)
                border.append(after)
    pytest.fail("no way leads to what is wanted")


@pytest.mark.parametrize("wanted", WANTED)
def test_what_is_left_to_hand_is_never_dissociated(wanted):
    steps = {converge(wanted, seen) for seen in SEEN}
    if wanted.left_to_hand and not wanted.granted:
        assert Step.DISSOCIATE not in steps
        assert Step.AWAIT_DETACH_BY_HAND in steps


def test_each_step_belongs_to_the_worker_whose_account_it_acts_in():
    in_b = {Step.GRANT, Step.REVOKE, Step.LOOK_AT_GRANT, Step.AWAIT_GRANT}
    assert {step for step in Step if step.worker == "authorize"} == in_b


def test_a_step_is_an_effect_or_a_wait_or_neither_but_never_both():
    assert not EFFECTS & WAITS
    assert {step for step in Step if step.has_effect} == EFFECTS
