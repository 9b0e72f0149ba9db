"""Whoever works out an id that is made here, and uses it first, keeps nothing from being done.

The ids of a bundle's parts, of what takes them back, and of the clean-up's requests follow from
what they are for. A sender, whose tickets are checked, could use one for anything at all.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest

from shared.bundles import undo
from shared.contract import read_bundle, read_request
from shared.ids import own, renamed
from shared.ledger import RequestRecord
from simulation.memory import MemoryLedger
from simulation.wire.system import WireSystem
from tests.attacks.conftest import REGISTRY, access, answer_to, put, revoke, sample

SENDERS = """
senders:
  stranger: {accounts: ['3000400050006000'], ecrs: all, requires: {approval: true}}
"""


@pytest.fixture
def system(tmp_path):
    text = REGISTRY + SENDERS
    with WireSystem(tmp_path, registry=text) as running:
        yield running


def claim(system, request_id, **changes):
    """A sender's request, which is refused or does nothing, has the id from now on."""
    document = revoke("grant_vpc", lease="nobody", request_id=request_id, sender="stranger")
    put(system, {**document, **changes})
    system.settle(60)


def test_a_lease_that_is_over_ends_though_its_revokes_id_was_used(system):
    soon = (system.now() + timedelta(hours=1)).isoformat()
    put(system, sample("grant_vpc", expires_at=soon))
    system.settle(60)
    system.clock.advance(7200)
    system.clean()  # the first run only looks, and notes what it would ask for
    system.settle(60)
    with closing(sqlite3.connect(system.ledger_url.removeprefix("sqlite:///"))) as ledger:
        noted = "".join(row[0] for row in ledger.execute("select document from notes"))
    claimed = set(re.findall(r"expired-[0-9a-f]{24}", noted))
    assert claimed
    for request_id in claimed:
        claim(system, request_id)
        assert system.outcomes(request_id) == ["rejected"]
    assert access(system)[0] != set()
    system.clean()
    system.settle()
    assert access(system) == (set(), set())


@pytest.mark.parametrize("mode", ["best_effort", "all_or_nothing"])
def test_a_bundle_does_not_take_a_strangers_answer_for_its_parts(system, mode):
    """The stranger's request is granted: the part, which is not, is not said to be."""
    given = sample("grant_bundle", mode=mode, ticket="CHG-1010")
    first = read_bundle(given).parts[0]
    theirs = sample("grant_vpc", request_id=first.request_id, instance_id="vpc-bp1payments0main")
    put(system, theirs)
    system.settle(60)
    assert system.outcomes(first.request_id) == ["granted", "attached"]
    put(system, given)
    system.settle()
    answer = answer_to(system, "CHG-1010")
    assert answer["outcome"] == ("partial" if mode == "best_effort" else "failed")
    assert answer["parts"][0]["outcome"] == "rejected"
    assert answer["parts"][0]["code"] == "request_id_reused"
    standing = {subject.instance_id for subject, _ in access(system)[0]}
    assert "vpc-bp1payments0test" not in standing
    assert ("vpc-bp1factory00plc" in standing) is (mode == "best_effort")


def test_a_bundle_is_taken_back_though_the_ids_for_that_were_used(tmp_path):
    """One part fails in the cloud; what takes back the other goes under another id."""
    text = REGISTRY + SENDERS
    with WireSystem(tmp_path, registry=text) as system:
        given = sample("grant_bundle", mode="all_or_nothing")
        given["instances"][1]["instance_id"] = "vpc-bp1factory0gone"
        good, _ = read_bundle(given).parts
        claim(system, undo(good).request_id)
        put(system, given)
        system.settle()
        answer = answer_to(system, "CHG-1010")
        assert answer["outcome"] == "failed"
        assert answer["parts"][0]["outcome"] == "revoked"
        assert access(system) == (set(), set())


def test_a_bundle_of_revokes_is_done_though_its_parts_ids_were_used(system):
    put(system, sample("grant_bundle"))
    system.settle()
    assert len(access(system)[0]) == 2
    given = revoke("grant_bundle", mode=None, request_id="R-10", lease="CHG-1010")
    for part in read_bundle(given).parts:
        claim(system, part.request_id)
    put(system, given)
    system.settle()
    answer = answer_to(system, "R-10")
    assert answer["outcome"] == "completed"
    assert access(system) == (set(), set())


def test_the_other_id_is_the_same_for_whoever_asks_and_names_its_own_lease():
    request = read_request(revoke("grant_vpc", request_id="stray-1", lease="stray-1"))
    theirs = read_request(sample("grant_vpc", request_id="stray-1"))
    ledger = MemoryLedger()
    assert own(ledger, request) == request
    at = datetime(2026, 1, 1, microsecond=123456, tzinfo=timezone.utc)
    record = RequestRecord(
        request=theirs, fingerprint=theirs.fingerprint, received_at=at, sent_at=at
    )
    ledger.requests["stray-1"] = record
    mine = own(ledger, request)
    assert mine == own(ledger, request) == renamed(request, record)
    assert mine.request_id == mine.lease != "stray-1"
    later = record.model_copy(update={"received_at": at + timedelta(microseconds=1)})
    ledger.requests["stray-1"] = later
    assert own(ledger, request) != mine
    assert own(ledger, theirs) == theirs
