from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.bundles import NOT_TAKEN_BACK, settled, undo
from shared.contract import BadMessage, Problem, ResultBody, read_bundle

ROOT = Path(__file__).parents[2]
SAMPLE = json.loads((ROOT / "events" / "requests" / "grant_bundle.json").read_text())
REFUSED = Problem(code="region_not_allowed", message="No.", remedy="Ask.")


def bundle(**changes):
    return read_bundle({**SAMPLE, **changes})


def told(request, outcome, problem=None):
    return ResultBody(
        outcome=outcome,
        final=True,
        request_id=request.request_id,
        action=request.action,
        problem=problem,
    )


def answers(of, *outcomes):
    return {
        part.request_id: outcome
        and told(part, outcome, REFUSED if outcome in ("rejected", "failed") else None)
        for part, outcome in zip(of.parts, outcomes, strict=True)
    }


def test_a_part_is_a_request_whose_id_follows_from_the_bundle_and_the_instance():
    one, other = bundle().parts
    assert one.request_id.startswith("CHG-1010.")
    assert one.request_id != other.request_id
    turned = bundle(instances=list(reversed(SAMPLE["instances"])))
    assert {part.request_id for part in turned.parts} == {one.request_id, other.request_id}
    assert {part.part_of for part in turned.parts} == {"CHG-1010"}


def test_a_revoke_of_a_bundle_names_the_leases_of_its_parts():
    given = {"action": "revoke", "mode": "best_effort", "expires_at": None}
    ends = bundle(request_id="R-1", lease="CHG-1010", **given)
    assert [part.lease for part in ends.parts] == [part.request_id for part in bundle().parts]
    everything = bundle(request_id="R-1", lease="all", **given)
    assert {part.lease for part in everything.parts} == {"all"}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"instances": []}, "instances"),
        ({"instances": [SAMPLE["instances"][0]] * 2}, "twice"),
        ({"request_id": "C" * 49}, "48"),
        ({"action": "revoke", "lease": "all", "expires_at": None}, "all_or_nothing"),
        ({"instance_id": "vpc-bp1payments0main"}, "instance_id"),
    ],
)
def test_a_bundle_that_cannot_be_is_refused_with_the_field_that_is_wrong(changes, word):
    with pytest.raises(BadMessage, match=word):
        bundle(**changes)


def test_a_bundle_is_answered_once_all_of_its_parts_are():
    of = bundle(mode="best_effort")
    assert settled(of, {}).answer is None
    assert settled(of, answers(of, "attached", None)).answer is None
    assert settled(of, answers(of, "attached", "granted")).answer.outcome == "completed"


def test_best_effort_keeps_what_came_and_names_what_did_not():
    of = bundle(mode="best_effort")
    answer = settled(of, answers(of, "attached", "rejected")).answer
    assert answer.outcome == "partial"
    assert [(part.outcome, part.code) for part in answer.parts] == [
        ("attached", None),
        ("rejected", "region_not_allowed"),
    ]
    assert answer.problem == REFUSED
    assert settled(of, answers(of, "rejected", "rejected")).answer.outcome == "rejected"
    assert settled(of, answers(of, "failed", "rejected")).answer.outcome == "failed"


def test_all_or_nothing_takes_back_the_others_before_it_is_answered():
    of = bundle()
    good, _ = of.parts
    owed = settled(of, answers(of, "attached", "failed"))
    assert owed.answer is None
    assert [ask.lease for ask in owed.asks] == [good.request_id]
    assert [ask.action for ask in owed.asks] == ["revoke"]
    asked = {**answers(of, "attached", "failed"), undo(good).request_id: None}
    assert settled(of, asked).asks == ()
    assert settled(of, asked).answer is None
    over = {**asked, undo(good).request_id: told(undo(good), "revoked")}
    answer = settled(of, over).answer
    assert answer.outcome == "failed"
    assert [part.outcome for part in answer.parts] == ["revoked", "failed"]


def test_all_or_nothing_takes_back_what_is_still_under_way():
    of = bundle()
    asks = settled(of, answers(of, None, "rejected")).asks
    assert [ask.lease for ask in asks] == [of.parts[0].request_id]


def test_one_that_is_rejected_because_it_is_taken_back_is_not_to_blame():
    of = bundle()
    back = undo(of.parts[0])
    found = {
        **answers(of, "rejected", "failed"),
        back.request_id: told(back, "revoked"),
    }
    answer = settled(of, found).answer
    assert [part.outcome for part in answer.parts] == ["revoked", "failed"]
    assert answer.problem == REFUSED


def test_a_part_that_cannot_be_taken_back_is_told():
    of = bundle()
    back = undo(of.parts[0])
    found = {**answers(of, "attached", "failed"), back.request_id: told(back, "failed", REFUSED)}
    assert settled(of, found).answer.problem == NOT_TAKEN_BACK
