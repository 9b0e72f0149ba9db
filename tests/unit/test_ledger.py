"""The ledger: every write is conditional, and instances that start together do no harm."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import pytest

from shared.announce import unreadable
from shared.authorization import Authorization
from shared.contract import read_request, result
from shared.ledger import LedgerUnavailable, RequestRecord, ResultRecord
from shared.ledger.sql import SqlLedger

NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)
REQUEST = read_request(json.loads(Path("events/requests/grant_vpc.json").read_text()))


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def ledger(url):
    opened = SqlLedger(url)
    yield opened
    opened.close()


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


def test_of_many_writers_at_once_one_wins_each_version(url, ledger):
    record = Authorization(id=REQUEST.authorization)
    ledger.put_authorization(record, 0)

    def write(_):
        mine = SqlLedger(url)
        try:
            return mine.put_authorization(record.next_generation(), 1)
        finally:
            mine.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(16))) == 1


def test_instances_that_start_together_all_start(tmp_path):
    for number in range(5):
        url = f"sqlite:///{tmp_path}/ledger{number}.db"
        with ThreadPoolExecutor(8) as pool:
            for opened in pool.map(SqlLedger, [url] * 8):
                opened.close()


def test_a_result_is_added_once_and_says_ever_after_what_it_said_first(ledger):
    first = ledger.add_result(result_record())
    assert ledger.add_result(result_record(reason="another")).result == first.result
    assert [one.result for one in ledger.unpublished(10)] == [first.result]
    ledger.mark_published(first.result.id, NOW)
    assert ledger.unpublished(10) == []
    assert ledger.add_result(result_record()).published_at is not None
    assert [one.result.body() for one in ledger.results("CHG-1")] == [first.result.body()]


def test_a_ledger_that_cannot_be_reached_says_so_without_its_url():
    with pytest.raises(LedgerUnavailable) as unavailable:
        SqlLedger("sqlite:////nowhere/at/all/secret-in-path.db")
    assert "secret" not in str(unavailable.value)
    assert unavailable.value.__suppress_context__
