"""The full audit: account B's word on everything, looked at and not repaired."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta

import pytest

from shared.cleanup import audit as auditing
from shared.cleanup.audit import last_audit
from shared.cleanup.notes import each_told
from shared.cleanup.words import AUDIT, Question, Word, word_key
from shared.cloud.errors import CloudFailure, failure
from shared.contract import AuthorizationId
from simulation.memory import MemoryLedger
from simulation.ports import START
from simulation.system import System, request
from tests.simulation.test_cleanup import DAY, KEY, OTHER, granted, lease, names, system_with

CHANGING = {"grant", "revoke", "associate", "dissociate"}


pytestmark = pytest.mark.usefixtures("no_logs")


def held(*leases):
    """A system whose leases are granted, and some time has gone by."""
    system = granted(system_with(), *(leases or (lease(days=400),)))
    system.ports.now += timedelta(minutes=10)
    system.ports.calls.clear()
    return system


def audited(system, invocations=4, begin=True):
    """The audit after some invocations of the timer, its questions answered in between."""
    run = None
    for number in range(invocations):
        run = system.audit.go_on(begin=begin and number == 0)
        if run is not None and run.outcome is not None:
            break
        system.run(2000)
        system.ports.now += timedelta(minutes=11)
    return run


def only_in_b(system, key):
    """Account A's listings do not show a grant that account B shows."""
    show = system.ports.show

    def without(*given):
        shown = show(*given)
        shown.grants.pop(key, None)
        return shown

    system.ports.show = without


def told(system, run):
    return list(each_told(system.ledger, run))


def test_where_the_three_books_agree_nothing_is_named():
    run = audited(held())
    assert (run.outcome, run.seen, run.asked, names(run)) == ("audited", 1, 1, {})


def test_it_looks_at_account_b_by_the_narrow_session_and_changes_nothing():
    system = held()
    system.ports.grants[OTHER] = START
    policies = []
    assume = system.ports.assume
    system.ports.assume = lambda role, policy, name: (
        policies.append((json.loads(policy)["Statement"][0]["Action"], name))
        or assume(role, policy, name)
    )
    before = dict(system.ports.grants), dict(system.ports.associations)
    record = system.ledger.authorization(KEY)
    audited(system)
    assert set(policies) == {("vpc:DescribeVpcGrantRulesToEcr", "authorize-audit")}
    assert not CHANGING & set(system.ports.calls)
    assert (dict(system.ports.grants), dict(system.ports.associations)) == before
    assert system.ledger.authorization(KEY) == record


def test_a_grant_that_only_account_a_lists_is_named_with_the_request_that_mends_it():
    system = held()
    show = system.ports.show
    given = system.ports.grants.pop(KEY)

    def listed(*asked):
        shown = show(*asked)
        if asked[1] == KEY.split(":")[0]:
            shown.add_grant(AuthorizationId.of_key(KEY), given)
        return shown

    system.ports.show = listed
    run = audited(system)
    assert names(run) == {"only_in_a": 1}
    (found,) = told(system, run)
    assert found.key == KEY
    assert found.request["action"] == "grant"
    assert "account B does not show" in found.sentence


def test_a_grant_that_only_account_b_shows_is_named():
    system = held()
    only_in_b(system, KEY)
    assert names(audited(system)) == {"only_in_b": 1}


def test_a_live_lease_that_account_b_does_not_show_is_named_and_not_given_back():
    system = held()
    system.ports.grants.pop(KEY)
    run = audited(system)
    assert names(run) == {"missing_in_b": 1}
    assert KEY not in system.ports.grants


def test_a_grant_that_was_given_anew_by_hand_is_named_by_its_other_time():
    system = held()
    system.ports.now += 2 * DAY
    system.ports.grants[KEY] = system.ports.now - DAY
    run = audited(system)
    assert names(run) == {"other_time": 1}
    assert "the ledger knows it as given on" in told(system, run)[0].sentence


def test_a_stranger_is_audited_too():
    system = held()
    system.ports.grants[OTHER] = START
    run = audited(system)
    assert (run.asked, run.seen, names(run)) == (2, 2, {})
    look = system.ports.authorized_at
    system.ports.authorized_at = lambda credentials, of: (
        START - 9 * DAY if of.key == OTHER else look(credentials, of)
    )
    run = audited(system)
    assert names(run) == {"other_time": 1}
    (found,) = told(system, run)
    assert (found.key, found.request["action"]) == (OTHER, "revoke")


def test_a_stranger_in_an_account_that_the_registry_does_not_name_is_not_looked_at():
    system = held()
    strange = OTHER.replace("2000300040005000", "9000900090009000")
    system.ports.grants[strange] = START
    run = audited(system)
    assert names(run) == {"cannot_verify": 1}
    assert system.ports.calls.count("look_at_grant") == 1


@pytest.mark.parametrize(
    ("code", "name"),
    [("EntityNotExist.Role", "cannot_verify"), ("InvalidVpcId.NotFound", "instance_gone")],
)
def test_an_account_that_is_closed_is_named_and_blocks_nothing(code, name):
    system = held(lease(days=400), lease(2, days=400, instance_id="vpc-bp1payments0test"))
    assume = system.ports.authorized_at

    def look(credentials, of):
        if of.key == KEY:
            raise failure(code, status=404)
        return assume(credentials, of)

    system.ports.authorized_at = look
    run = audited(system)
    assert (run.outcome, run.seen, names(run)) == ("audited", 2, {name: 1})


def test_an_answer_that_never_comes_is_waited_for_two_hours_and_named():
    system = held()
    system.ports.authorized_at = lambda *_: (_ for _ in ()).throw(failure("ServiceUnavailable"))
    system.audit.go_on(begin=True)
    system.ports.queues["requests"].clear()  # the question is lost
    system.ports.now += timedelta(minutes=30)
    assert system.audit.go_on().outcome is None
    system.ports.now += timedelta(hours=2)
    run = system.audit.go_on()
    assert (run.outcome, names(run)) == ("audited", {"cannot_verify": 1})


def test_a_look_that_has_no_answer_is_tried_again_and_given_up_with_its_code():
    system = held()
    system.ports.trouble = lambda name, when: (
        failure("ServiceUnavailable") if name == "look_at_grant" else None
    )
    run = audited(system, invocations=6)
    assert names(run) == {"cannot_verify": 1}
    word = Word.model_validate_json(system.ledger.note(word_key(KEY))[0])
    assert word.code == "cloud_unavailable"


def test_what_changes_while_it_is_audited_is_no_difference():
    system = held()
    system.audit.go_on(begin=True)
    system.run()
    granted(system, request("revoke_vpc", lease="CHG-1"))
    system.ports.now += timedelta(minutes=11)
    run = system.audit.go_on()
    assert (run.outcome, names(run)) == ("audited", {})


def test_what_is_renewed_while_it_is_audited_waits_for_no_answer():
    system = held()
    system.audit.go_on(begin=True)
    system.run()
    system.ports.now += timedelta(minutes=1)
    granted(system, lease(2, days=500, instance_id="vpc-bp1payments0test"))
    system.ports.now += timedelta(minutes=11)
    run = system.audit.go_on()
    assert (run.outcome, run.seen, names(run)) == ("audited", 1, {})


def many(count):
    return [lease(100 + n, days=400, instance_id=f"vpc-bp1many{n:04d}") for n in range(count)]


def test_it_asks_so_many_in_one_invocation_and_goes_on_with_the_next(monkeypatch):
    monkeypatch.setattr(auditing, "QUESTIONS", 10)
    monkeypatch.setattr(auditing, "_AT_ONCE", 4)
    system = held()
    granted(system, *many(30))
    for number in range(9):
        system.ports.grants[OTHER.replace("payments0test", f"strange{number}")] = START
    system.ports.now += timedelta(minutes=10)
    asked = []
    run = system.audit.go_on(begin=True)
    while run.outcome is None:
        asked.append(run.asked)
        system.run(2000)
        system.ports.now += timedelta(minutes=11)
        run = system.audit.go_on()
    assert len(asked) > 3
    assert max(later - first for first, later in itertools.pairwise(asked)) <= 13
    assert (run.asked, run.seen, names(run)) == (40, 40, {})
    assert system.ports.calls.count("look_at_grant") - 30 <= 40 + 31


def test_an_invocation_whose_time_is_over_leaves_the_rest_to_the_next(monkeypatch):
    monkeypatch.setattr(auditing, "_AT_ONCE", 4)
    system = held(*many(12))
    late = iter([False, True])
    object.__setattr__(system.audit, "is_late", lambda: next(late, False))
    assert system.audit.go_on(begin=True).asked == 4
    run = audited(system, begin=False)
    assert (run.outcome, run.asked, run.seen) == ("audited", 12, 12)


def test_a_crash_between_asking_and_the_cursor_asks_again_and_is_answered_once():
    system = held()
    put = system.ledger.put_note
    system.ledger.put_note = lambda key, text, version: (
        put(key, text, version) if version == 0 or key != AUDIT else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        system.audit.go_on(begin=True)
    system.ledger.put_note = put
    system.ports.calls.clear()
    run = audited(system)
    assert (run.outcome, run.seen, names(run)) == ("audited", 1, {})
    assert system.ports.calls.count("look_at_grant") == 1


def test_two_invocations_at_once_do_no_harm():
    system = held()
    send, once = system.ports.send, []

    def meanwhile(*given):
        if not once:
            once.append(True)
            system.audit.go_on(begin=True)
        return send(*given)

    object.__setattr__(system.audit, "send", meanwhile)
    run = audited(system)
    assert (run.outcome, run.seen, names(run)) == ("audited", 1, {})
    ended = [one for one in system.ports.published if one["data"]["outcome"] == "audited"]
    assert len({json.dumps(one) for one in ended}) == 1


def test_a_question_of_an_audit_that_is_over_makes_no_call():
    system = held()
    question = Question(audit=AuthorizationId.of_key(KEY), run="audit-of-yesterday").body()
    system.post(json.loads(question))
    system.run()
    assert system.ports.calls.count("look_at_grant") == 0
    assert system.ledger.note(word_key(KEY)) is None


def test_a_message_that_only_looks_like_a_question_is_a_dead_letter():
    system = held()
    system.post({"audit": {"ecr_id": "x"}, "run": "audit-1"})
    system.run()
    assert len(system.ports.queues["requests-dead"]) == 1


def test_the_registry_has_it_begun_every_so_many_days():
    system = held()
    assert audited(system, begin=False) is None
    registry = system.audit.registry
    cleanup = registry.cleanup.model_copy(update={"audit_days": 7})
    changed = registry.model_copy(update={"cleanup": cleanup})
    object.__setattr__(system.audit, "registry", changed)
    first = audited(system, begin=False)
    assert first.outcome == "audited"
    assert audited(system, begin=False) is None
    system.ports.now += 7 * DAY
    assert audited(system, begin=False).id != first.id


def test_its_end_is_told_and_kept():
    system = held()
    system.ports.grants.pop(KEY)
    run = audited(system)
    (event,) = [one for one in system.ports.published if one["data"]["outcome"] == "audited"]
    assert event["data"]["counts"] == {"missing_in_b": 1}
    assert event["data"]["findings"][0]["key"] == KEY
    assert last_audit(system.ledger).id == run.id
    noted = [one.what for one in system.ledger.entries("clean-up")]
    assert noted == ["audit begun", "audited"]


def test_an_end_that_could_not_be_told_is_told_by_the_next_invocation():
    system = held()
    system.ports.trouble = lambda name, when: (
        failure("ServiceUnavailable") if name == "publish" else None
    )
    with pytest.raises(CloudFailure):
        audited(system)
    system.ports.trouble = lambda name, when: None
    assert system.audit.go_on().is_told


def test_an_audit_whose_note_cannot_be_read_is_begun_anew():
    system = held()
    system.ledger.noted[AUDIT] = ("{", 7)
    run = audited(system, begin=False)
    assert (run.outcome, names(run)) == ("audited", {})


def test_a_record_that_cannot_be_read_keeps_no_other_from_being_audited():
    system = held(lease(days=400), lease(2, days=400, instance_id="vpc-bp1payments0test"))
    pages = system.ledger.authorizations
    system.ledger.authorizations = lambda *given: [
        (key, None if key == KEY else record) for key, record in pages(*given)
    ]
    run = audited(system)
    assert (run.outcome, run.seen, names(run)) == ("audited", 1, {})


def test_a_listing_that_fails_takes_nothing_as_missing():
    system = held()
    system.ports.trouble = lambda name, when: (
        failure("ServiceUnavailable") if name == "list_ecr" else None
    )
    run = audited(system)
    assert names(run) == {"listing_failed": 2}


def test_nothing_to_audit_is_no_trouble():
    system = System(ledger=MemoryLedger())
    run = audited(system)
    assert (run.outcome, run.seen, names(run)) == ("audited", 0, {})
