"""The ledger's contract, on SQLite and on a real PostgreSQL: every write is conditional.

Whatever stands behind the interface must pass this.
"""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from shared.announce import unreadable
from shared.audit import Trail, verify
from shared.authorization import Authorization, Lease
from shared.contract import read_request, result
from shared.converge import Step
from shared.ledger import (
    LedgerUnavailable,
    NewerLedger,
    OlderLedger,
    RequestRecord,
    ResultRecord,
    Wanted,
)
from shared.ledger.schema import STEPS, migrate
from shared.ledger.sql import SqlLedger
from shared.turns import Turn, Turns

NOW = datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=timezone.utc)
LATER = NOW + timedelta(seconds=1)
REQUEST = read_request(json.loads(Path("events/requests/grant_vpc.json").read_text()))


def request_record(**changes):
    asked = REQUEST.model_copy(update=changes)
    return RequestRecord(request=asked, fingerprint=asked.fingerprint, received_at=NOW, sent_at=NOW)


def result_record(request_id="CHG-1", reason="x"):
    event = result(unreadable(request_id, reason), source="test", time=NOW)
    return ResultRecord(result=event, request_id=request_id)


def test_a_request_is_put_once_and_the_first_one_stays(ledger):
    assert ledger.add_request(request_record()) is None
    assert ledger.add_request(request_record(reason="another")) == request_record()
    assert ledger.request("CHG-1001") == request_record()
    assert ledger.request("CHG-0") is None


def test_an_authorization_is_changed_only_from_the_version_that_was_read(ledger):
    record = Authorization(id=REQUEST.authorization)
    assert ledger.put_authorization(record, 0)
    assert not ledger.put_authorization(record, 0)
    later = record.next_generation()
    assert ledger.put_authorization(later, 1)
    assert not ledger.put_authorization(record, 1)
    assert ledger.authorization(record.id.key) == (later, 2)


def test_of_many_writers_at_once_one_wins_each_version(url, sql_ledger):
    record = Authorization(id=REQUEST.authorization)
    sql_ledger.put_authorization(record, 0)

    def write(_):
        mine = SqlLedger(url)
        try:
            return mine.put_authorization(record.next_generation(), 1)
        finally:
            mine.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(16))) == 1


def test_instances_that_start_together_all_start(url):
    with ThreadPoolExecutor(8) as pool:
        for opened in pool.map(SqlLedger, [url] * 8):
            opened.close()
    engine = create_engine(_driver(url))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM schema_version")) == 1
    engine.dispose()


def test_a_result_is_added_once_and_says_ever_after_what_it_said_first(ledger):
    first = ledger.add_result(result_record())
    assert ledger.add_result(result_record(reason="another")).result == first.result
    assert [one.result for one in ledger.unpublished(LATER, 10)] == [first.result]
    ledger.mark_published(first.result.id, NOW)
    assert ledger.unpublished(LATER, 10) == []
    assert ledger.add_result(result_record()).published_at is not None
    assert [one.result.body() for one in ledger.results("CHG-1")] == [first.result.body()]


def test_a_request_is_finished_once(ledger):
    ledger.add_request(request_record())
    assert [one.request.request_id for one in ledger.unfinished(LATER, 10)] == ["CHG-1001"]
    assert ledger.unfinished(NOW, 10) == []
    finished = ledger.finish_request("CHG-1001", "attached", NOW)
    assert ledger.finish_request("CHG-1001", "failed", LATER) is None
    found = ledger.request("CHG-1001")
    assert finished == found
    assert (found.outcome, found.finished_at) == ("attached", NOW)
    assert ledger.unfinished(LATER, 10) == []
    assert ledger.finish_request("nobody", "failed", NOW) is None


def test_unfinished_requests_come_oldest_first_and_no_more_than_asked_for(ledger):
    for number in range(5):
        record = request_record(request_id=f"CHG-{number}")
        ledger.add_request(record.model_copy(update={"received_at": NOW - timedelta(days=number)}))
    found = ledger.unfinished(LATER, 3)
    assert [one.request.request_id for one in found] == ["CHG-4", "CHG-3", "CHG-2"]
    rest = ledger.unfinished(LATER, 3, found[-1])
    assert [one.request.request_id for one in rest] == ["CHG-1", "CHG-0"]


def test_pages_of_requests_that_came_at_one_moment_leave_none_out(ledger):
    for number in range(7):
        ledger.add_request(request_record(request_id=f"CHG-{number}"))
    found, last = [], None
    while page := ledger.unfinished(LATER, 2, last):
        found += [one.request.request_id for one in page]
        last = page[-1]
    assert sorted(found) == [f"CHG-{number}" for number in range(7)]


def test_what_is_due_is_found_the_longest_due_first(ledger):
    for number in range(4):
        of = REQUEST.authorization.model_copy(update={"instance_id": f"vpc-bp1number{number}"})
        due_at = NOW - timedelta(hours=number) if number else None
        ledger.put_authorization(Authorization(id=of, due_at=due_at), 0)
    found = [one.instance_id for one in ledger.due(NOW - timedelta(hours=1), 10)]
    assert found == ["vpc-bp1number3", "vpc-bp1number2", "vpc-bp1number1"]
    assert len(ledger.due(NOW, 2)) == 2


def test_authorizations_are_paged_by_key_within_one_ecr(ledger):
    for ecr_id in ("ecr-aaaa", "ecr-aaaa1", "ecr-bbbb"):
        for number in range(5):
            of = REQUEST.authorization.model_copy(
                update={"ecr_id": ecr_id, "instance_id": f"vpc-bp1number{number}"}
            )
            ledger.put_authorization(Authorization(id=of), 0)
    found, last = [], ""
    while page := ledger.authorizations("ecr-aaaa:", last, 2):
        found += [record.id for _, record in page]
        last = page[-1][0]
    assert {of.ecr_id for of in found} == {"ecr-aaaa"}
    assert [of.instance_id for of in found] == [f"vpc-bp1number{number}" for number in range(5)]
    assert len(ledger.authorizations("", "", 100)) == 15


def test_an_authorization_that_cannot_be_read_is_listed_as_such(url, sql_ledger):
    sql_ledger.put_authorization(Authorization(id=REQUEST.authorization), 0)
    engine = create_engine(_driver(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE authorizations SET document = '{'"))
    engine.dispose()
    assert sql_ledger.authorizations("", "", 10) == [(REQUEST.authorization.key, None)]


# What is searched for -----------------------------------------------------------------------------

ECRS = ("ecr-aaaa", "ecr-bbbb")
OWNERS = ("2000300040005000", "3000400050006000")


def standing(number):
    """One of many: in turn waiting, granted, attached, ending, revoked; some end, some do not."""
    of = REQUEST.authorization.model_copy(
        update={
            "ecr_id": ECRS[number % 2],
            "instance_id": f"vpc-bp1number{number:03}",
            "instance_owner_uid": OWNERS[number // 2 % 2],
        }
    )
    ends = [NOW + timedelta(days=number), None][number % 3 == 0]
    ended_at = NOW if number % 5 > 2 else None
    lease = Lease(id=f"R-{number}", ticket="CHG", since=NOW, expires_at=ends, ended_at=ended_at)
    record = Authorization(id=of, leases=(lease,))
    if number % 5 in (1, 2, 3):
        record = record.with_grant("present")
    return record.with_association("active") if number % 5 == 2 else record


STATES = ("waiting", "granted", "attached", "ending", "revoked")


@pytest.fixture
def filled(ledger):
    for number in range(40):
        ledger.put_authorization(standing(number), 0)
    return ledger


def found(ledger, limit=7, order="key", **wanted):
    """Page by page, all that fit; counted as many as were found."""
    everything, place = [], None
    while page := ledger.search(Wanted(**wanted), limit, place, order):
        everything += [record for _, record in page]
        place = page[-1][0]
    assert len(everything) == ledger.count(Wanted(**wanted))
    return everything


@pytest.mark.parametrize("number", range(5))
def test_each_state_is_found_by_its_word(filled, number):
    assert standing(number).state == STATES[number]
    assert {one.state for one in found(filled, state=STATES[number])} == {STATES[number]}
    assert len(found(filled, state=STATES[number])) == 8


def test_all_are_found_in_pages_by_their_key(filled):
    keys = [one.id.key for one in found(filled)]
    assert len(keys) == 40
    assert keys == sorted(keys)


def test_what_is_searched_for_narrows_what_is_found(filled):
    assert {one.id.ecr_id for one in found(filled, ecr_ids=("ecr-aaaa",))} == {"ecr-aaaa"}
    assert len(found(filled, ecr_ids=ECRS)) == 40
    assert found(filled, ecr_ids=()) == []
    assert {one.id.instance_owner_uid for one in found(filled, accounts=OWNERS[:1])} == {OWNERS[0]}
    (one,) = found(filled, instance_id="vpc-bp1number007")
    assert one == standing(7)
    both = found(filled, ecr_ids=("ecr-bbbb",), accounts=OWNERS[1:], state="attached")
    assert {one.id.instance_id for one in both} == {"vpc-bp1number007", "vpc-bp1number027"}


def test_what_ends_soon_is_found_by_its_end_and_what_has_no_end_is_last(filled):
    soon = found(filled, order="end", ends_before=NOW + timedelta(days=12))
    assert [one.ends_at for one in soon] == [
        NOW + timedelta(days=day) for day in (1, 2, 5, 7, 10, 11)
    ]
    ends = [one.ends_at for one in found(filled, order="end")]
    known = [end for end in ends if end is not None]
    assert ends == sorted(known) + [None] * (40 - len(known))


def test_what_is_found_follows_each_change_of_the_record(ledger):
    record = standing(2)
    ledger.put_authorization(record, 0)
    assert len(found(ledger, state="attached")) == 1
    lease = record.leases[0].model_copy(update={"ended_at": NOW})
    ledger.put_authorization(record.model_copy(update={"leases": (lease,)}), 1)
    assert found(ledger, state="attached") == []
    assert len(found(ledger, state="ending")) == 1
    assert found(ledger, ends_before=NOW + timedelta(days=999)) == []


def test_a_ledger_of_before_there_was_a_search_is_searched_like_any_other(url):
    engine = create_engine(_driver(url), isolation_level="AUTOCOMMIT")
    migrate(engine, STEPS[:2])
    row = 'INSERT INTO authorizations ("key", version, document) VALUES (:key, 1, :document)'
    with engine.connect() as connection:
        for number in range(20):
            record = standing(number)
            given = {"key": record.id.key, "document": record.model_dump_json()}
            connection.execute(text(row), given)
        connection.execute(text(row), {"key": standing(20).id.key, "document": "{"})
    engine.dispose()
    ledger = SqlLedger(url)
    try:
        assert len(found(ledger, state="attached")) == 4
        assert len(found(ledger, ends_before=NOW + timedelta(days=12))) == 6
        assert found(ledger, instance_id="vpc-bp1number020") == [None]
        assert {one.state for one in found(ledger) if one} == set(STATES)
    finally:
        ledger.close()


def test_a_request_that_cannot_be_read_cuts_no_page_of_the_unfinished_short(url, sql_ledger):
    for number in range(5):
        one = request_record(request_id=f"CHG-{number}")
        at = NOW - timedelta(days=9 - number)
        sql_ledger.add_request(one.model_copy(update={"received_at": at}))
    engine = create_engine(_driver(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE requests SET document = '{' WHERE request_id = 'CHG-1'"))
    engine.dispose()
    found = sql_ledger.unfinished(LATER, 3)
    assert [one.request.request_id for one in found] == ["CHG-0", "CHG-2", "CHG-3"]
    assert [one.request.request_id for one in sql_ledger.unfinished(LATER, 3, found[-1])] == [
        "CHG-4"
    ]


def test_a_note_is_changed_only_from_the_version_that_was_read(ledger):
    assert ledger.note("brake") is None
    assert ledger.put_note("brake", "on", 0)
    assert not ledger.put_note("brake", "again", 0)
    assert ledger.put_note("brake", "off", 1)
    assert not ledger.put_note("brake", "on", 1)
    assert ledger.note("brake") == ("off", 2)


def test_a_turn_is_given_to_one_of_many_at_once(url, sql_ledger):
    def take(_):
        mine = SqlLedger(url)
        try:
            return Turns(mine).reserve(Authorization(id=REQUEST.authorization), Step.GRANT, NOW)
        finally:
            mine.close()

    with ThreadPoolExecutor(4) as pool:
        moments = sorted(pool.map(take, range(12)))
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(gaps) >= timedelta(seconds=0.1)
    assert moments[-1] >= NOW + 11 * timedelta(seconds=0.5)
    assert sql_ledger.turn(f"ecr/{REQUEST.ecr_id}/b")[1] == 12


def test_grants_of_vpcs_and_of_vbrs_wait_for_one_api_and_associations_each_for_its_own(ledger):
    def moments(step, ecr_ids):
        found = []
        for number, kind in enumerate(("VPC", "VBR") * 3):
            instance = f"{kind.lower()}-bp1one"
            changed = {
                "instance_type": kind,
                "instance_id": instance,
                "ecr_id": ecr_ids[number % 2],
            }
            of = REQUEST.authorization.model_copy(update=changed)
            found.append(Turns(ledger).reserve(Authorization(id=of), step, NOW))
        return sorted(found)

    granted = moments(Step.GRANT, ("ecr-a", "ecr-b"))
    gaps = [later - earlier for earlier, later in itertools.pairwise(granted)]
    assert min(gaps) >= timedelta(seconds=60 / 120)  # the quota of the API
    associated = moments(Step.ASSOCIATE, ("ecr-a", "ecr-b"))
    assert associated[:2] == [NOW, NOW]


def test_turns_that_are_given_out_ahead_are_found_the_furthest_first(ledger):
    for key, seconds in (("api/2/grant/VPC", 9), ("api/1/grant/VPC", 30), ("ecr/x/b", 60)):
        assert ledger.put_turn(key, Turn(next_at=NOW + timedelta(seconds=seconds)), 0)
    assert ledger.put_turn("api/3/grant/VPC", Turn(next_at=NOW), 0)
    ahead = ledger.turns_ahead("api/", NOW, 5)
    assert [(key, (turn.next_at - NOW).total_seconds()) for key, turn in ahead] == [
        ("api/1/grant/VPC", 30),
        ("api/2/grant/VPC", 9),
    ]
    assert [key for key, _ in ledger.turns_ahead("api/", NOW, 1)] == ["api/1/grant/VPC"]


# The audit trail ----------------------------------------------------------------------------------


def noted(ledger, chains=3, entries=4, now=NOW):
    trail = Trail(ledger, lambda: now)
    for number in range(entries):
        for chain in range(chains):
            trail.note(f"chain-{chain}", "granted", number=number, ticket=None)
    return trail


def test_each_entry_bears_the_hash_of_the_one_before(ledger):
    noted(ledger)
    first, second, *_ = ledger.entries("chain-1")
    assert (first.sequence, first.previous) == (1, "")
    assert (second.sequence, second.previous) == (2, first.hash)
    assert second.facts == {"number": 1}
    assert verify(ledger) == []


def test_many_writers_make_one_chain(url, sql_ledger):
    def write(_):
        mine = SqlLedger(url)
        try:
            noted(mine, chains=2, entries=5)
        finally:
            mine.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert [entry.sequence for entry in sql_ledger.entries("chain-0")] == list(range(1, 21))
    assert verify(sql_ledger) == []


TAMPERING = {
    "made unreadable": "UPDATE audit SET document = 'nonsense' "
    "WHERE chain = 'chain-1' AND sequence = 4",
    "altered": "UPDATE audit SET document = replace(document, 'granted', 'revoked') "
    "WHERE chain = 'chain-1' AND sequence = 2",
    "altered with its hash": "UPDATE audit SET hash = 'x' WHERE chain = 'chain-1' AND sequence = 4",
    "missing": "DELETE FROM audit WHERE chain = 'chain-1' AND sequence = 2",
    "missing the first": "DELETE FROM audit WHERE chain = 'chain-1' AND sequence = 1",
    "missing the last": "DELETE FROM audit WHERE chain = 'chain-1' AND sequence = 4",
    "missing whole": "DELETE FROM audit WHERE chain = 'chain-1'",
}
REORDERED = (
    "UPDATE audit SET sequence = 99 WHERE chain = 'chain-1' AND sequence = 2",
    "UPDATE audit SET sequence = 2 WHERE chain = 'chain-1' AND sequence = 3",
    "UPDATE audit SET sequence = 3 WHERE chain = 'chain-1' AND sequence = 99",
)


@pytest.mark.parametrize("statements", [*((one,) for one in TAMPERING.values()), REORDERED])
def test_what_is_altered_missing_or_reordered_is_found(url, sql_ledger, statements):
    noted(sql_ledger)
    tomorrow = NOW + timedelta(days=1, hours=1)
    assert Trail(sql_ledger, lambda: tomorrow).seal()
    assert verify(sql_ledger) == []
    engine = create_engine(_driver(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
    assert verify(sql_ledger)


def test_a_chain_whose_last_entry_cannot_be_read_goes_on(url, sql_ledger):
    noted(sql_ledger)
    engine = create_engine(_driver(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE audit SET document = '{' WHERE sequence = 4"))
    engine.dispose()
    noted(sql_ledger, entries=1)
    assert [one.sequence for one in sql_ledger.entries("chain-1")] == [1, 2, 3, 4, 5]
    assert {fault.sequence for fault in verify(sql_ledger)} == {4}


def test_a_day_is_sealed_once_and_not_before_it_is_over(ledger):
    noted(ledger)
    midnight = datetime(2026, 11, 24, tzinfo=timezone.utc)
    early = Trail(ledger, lambda: midnight + timedelta(minutes=59))
    assert early.seal()  # the days before it
    assert not early.seal()
    late = Trail(ledger, lambda: midnight + timedelta(hours=1))
    assert late.seal()
    assert not late.seal()
    noted(ledger, chains=5, now=midnight + timedelta(hours=2))  # the next day goes on
    assert verify(ledger) == []
    assert Trail(ledger, lambda: midnight + timedelta(days=3, hours=1)).seal()
    assert verify(ledger) == []
    empty, first, later = ledger.entries("seals")
    assert [one.facts["chains"] for one in (empty, first, later)] == [0, 3, 5]
    assert later.facts["since"] == first.facts["until"] == midnight.isoformat()


# The schema ---------------------------------------------------------------------------------------


def test_a_newer_ledger_is_refused(url, sql_ledger):
    engine = create_engine(_driver(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = :v"), {"v": len(STEPS) + 1})
    engine.dispose()
    with pytest.raises(NewerLedger, match="deploy the newer release"):
        SqlLedger(url)


def test_who_only_looks_changes_no_schema(url):
    with pytest.raises(OlderLedger, match="LEDGER_URL names another"):
        SqlLedger(url, as_it_is=True)
    engine = create_engine(_driver(url), isolation_level="AUTOCOMMIT")
    migrate(engine, STEPS[:1])
    with pytest.raises(OlderLedger, match=r"has schema 1 and this release works with"):
        SqlLedger(url, as_it_is=True)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version FROM schema_version")) == 1
    engine.dispose()
    SqlLedger(url).close()
    SqlLedger(url, as_it_is=True).close()


def test_an_older_ledger_is_brought_up_with_what_is_in_it(url):
    steps = [["CREATE TABLE a (x INTEGER)"], ["ALTER TABLE a ADD COLUMN y INTEGER"]]
    engine = create_engine(_driver(url), isolation_level="AUTOCOMMIT")
    migrate(engine, steps[:1])
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO a VALUES (7)"))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: migrate(engine, steps), range(6)))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT x, y FROM a")).all() == [(7, None)]
    engine.dispose()


def test_a_step_that_fails_leaves_the_ledger_as_it_was(url):
    steps = [["CREATE TABLE a (x INTEGER)", "CREATE TABLE b (nonsense"]]
    engine = create_engine(_driver(url), isolation_level="AUTOCOMMIT")
    with pytest.raises(SQLAlchemyError):
        migrate(engine, steps)
    migrate(engine, [["CREATE TABLE a (x INTEGER)"]])
    engine.dispose()


def _driver(url):
    return url.replace("postgresql://", "postgresql+psycopg://")


def test_a_ledger_that_cannot_be_reached_says_so_without_its_url():
    with pytest.raises(LedgerUnavailable) as unavailable:
        SqlLedger("sqlite:////nowhere/at/all/secret-in-path.db")
    assert "secret" not in str(unavailable.value)
    assert unavailable.value.__suppress_context__


def test_a_database_that_is_not_there_is_named_by_nothing_secret():
    with pytest.raises(LedgerUnavailable) as unavailable:
        SqlLedger("postgresql://ledger:s3cret@127.0.0.1:9/ledger")
    assert "s3cret" not in f"{unavailable.value!r}"


def test_notes_are_told_page_by_page_by_their_keys(ledger):
    for key in ("word/b:1", "word/a:2", "word/a:1", "words", "word/c"):
        ledger.put_note(key, key.upper(), 0)
    assert ledger.notes("word/a:", "", 9) == [("word/a:1", "WORD/A:1"), ("word/a:2", "WORD/A:2")]
    assert ledger.notes("word/", "", 2) == ledger.notes("word/a:", "", 9)
    assert [key for key, _ in ledger.notes("word/", "word/a:2", 9)] == ["word/b:1", "word/c"]
