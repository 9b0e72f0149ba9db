"""Whoever can write the ledger, or sets it back, gets no access that the registry does not give.

They can change what is wanted of what the registry allows, and hide that they did where nobody
keeps the daily seals elsewhere: SECURITY.md says what is left to the deployer.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shared.audit import verify
from shared.contract import read_request
from shared.ledger import LedgerUnavailable
from shared.ledger.sql import SqlLedger
from shared.log import captured
from simulation.wire.system import ROOT, WireSystem
from tests.attacks.conftest import access, put, revoke, sample, writes

OURS = read_request(sample("grant_vpc")).authorization


def file_of(system):
    return Path(system.ledger_url.removeprefix("sqlite:///"))


def tamper(system, statement, *values):
    """The ledger's row is changed past the product, as its database's owner could."""
    with closing(sqlite3.connect(file_of(system))) as connection, connection:
        return connection.execute(statement, values).fetchall()


def planted(of, **changes):
    """A record that says: this was asked for, and is wanted still."""
    lease = {"id": "CHG-666", "ticket": "CHG-666", "since": "2026-01-01T00:00:00Z"}
    return json.dumps({"id": of, "generation": 1, "leases": [lease], **changes})


def plant(system, of, due_at=1):
    key = OURS.model_copy(update=of).key
    document = planted(OURS.model_copy(update=of).model_dump())
    tamper(
        system,
        "insert into authorizations (key, version, document, due_at) values (?, 1, ?, ?)",
        key,
        document,
        due_at,
    )


FORBIDDEN = {
    "a region": {"instance_region_id": "cn-shanghai"},
    "an ECR that the account may not": {
        "ecr_id": "ecr-hz7core4qk2m1",
        "instance_owner_uid": "4000500060007000",
        "instance_id": "vpc-bp1labor0bench",
    },
    "an ECR of nobody": {"ecr_id": "ecr-hz7core4qk2m2"},
    "an account of nobody": {"instance_owner_uid": "9999000000000000"},
    "another owner": {"ecr_owner_uid": "3000400050006000"},
    "a VBR that is not enabled": {
        "ecr_id": "ecr-sg3edge8wv5n2",
        "instance_id": "vbr-bp1labor0line7",
        "instance_type": "VBR",
        "instance_owner_uid": "4000500060007000",
    },
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_lease_written_into_the_ledger_is_held_to_the_registry(tmp_path, what):
    """The sweep finds it due and wakes both workers: none of them gives access."""
    with WireSystem(tmp_path, operation_seconds=0.0) as system:
        system.clean()
        plant(system, FORBIDDEN[what])
        for _ in range(3):
            system.clean()
            system.settle(1800)
            system.clock.advance(3600)
        assert access(system) == (set(), set())
        assert "GrantInstanceToExpressConnectRouter" not in writes(system)
        assert "CreateExpressConnectRouterAssociation" not in writes(system)


def test_what_the_registry_no_longer_allows_is_not_given_back(tmp_path):
    """The lease lives; the registry was narrowed; the grant is gone: it stays gone."""
    text = (ROOT / "registry.yaml").read_text() + "\ncleanup: {rules: {missing: repair}}\n"
    with WireSystem(tmp_path, registry=text) as system:
        put(system, sample("grant_vpc"))
        system.settle()
        system.clean()
        system.settle()
        narrowed = text.replace(
            "regions: [cn-hangzhou, ap-southeast-1]\n      - ecr_id: ecr-sg",
            "regions: [ap-southeast-1]\n      - ecr_id: ecr-sg",
        )
        assert narrowed != text
        (tmp_path / "registry.yaml").write_text(narrowed)
        for name in ("ecr-authorize", "ecr-attach", "ecr-cleanup"):
            system.let_go(name)
        (association,) = system.cloud.ecr.associations()
        system.cloud.ecr.dissociate(association)
        (given,) = system.cloud.ecr.grants()
        system.cloud.ecr.revoke(given.subject)
        system.clock.advance(7200)
        done = writes(system)
        system.clean()
        system.settle()
        assert writes(system) == done
        # It can still be taken away: the account is one that we know.
        put(system, revoke("grant_vpc", request_id="R-1", lease="all"))
        system.settle()
        assert system.outcomes("R-1") == ["revoking", "detached", "revoked"]


def test_a_record_under_another_ones_key_is_not_used(system):
    """It is saved under its own key first, where it is not of that version: nothing is done."""
    put(system, sample("grant_vpc"))
    system.settle()
    done = writes(system)
    other = OURS.model_copy(update={"instance_id": "vpc-bp1payments0test"})
    tamper(system, "update authorizations set document = ?", planted(other.model_dump()))
    with captured():
        put(system, sample("grant_vpc", request_id="CHG-2"))
        put(system, {"wake": OURS.model_dump(), "look": True})
        system.settle(120)
    assert writes(system) == done


def test_a_request_written_into_the_ledger_is_asked_for_and_not_believed(system):
    """The sweep sends it again: policy decides, as about every request."""
    system.clean()  # makes the ledger
    forged = sample("grant_vpc", request_id="X-1", ecr_owner_uid="9" * 16)
    document = {"request": forged, "fingerprint": read_request(forged).fingerprint}
    document |= {"received_at": "2026-01-01T00:00:00Z", "sent_at": "2026-01-01T00:00:00Z"}
    tamper(
        system,
        "insert into requests (request_id, document, received_at) values (?, ?, 1)",
        "X-1",
        json.dumps(document),
    )
    system.clean()
    system.settle()
    assert system.problem("X-1")["code"] == "ecr_owner_mismatch"
    assert access(system) == (set(), set())


@pytest.mark.parametrize(
    "statement",
    [
        "update audit set document = replace(document, 'CHG-1001', 'CHG-9999')",
        "delete from audit where sequence = 2",
        "update audit set sequence = 99 where sequence = 1",
        "update audit set document = 'x' where sequence = 1",
    ],
)
def test_whoever_changes_the_trail_is_found_out(system, statement):
    put(system, sample("grant_vpc"))
    system.settle()
    with closing(SqlLedger(system.ledger_url)) as ledger:
        assert verify(ledger) == []
        tamper(system, statement)
        assert verify(ledger) != []


def test_a_trail_that_is_taken_away_whole_does_not_match_its_seal(system):
    put(system, sample("grant_vpc"))
    system.settle()
    system.clock.advance(2 * 86400)
    system.clean()  # seals the days that are over
    with closing(SqlLedger(system.ledger_url)) as ledger:
        assert verify(ledger) == []
        tamper(system, "delete from audit where chain = ?", OURS.key)
        assert [fault.chain for fault in verify(ledger)] == ["seals"]


def test_a_lost_ledger_reports_and_takes_nothing_away_at_once(tmp_path):
    """Everything looks like nobody's then: the brake holds, and an operator decides."""
    text = (ROOT / "registry.yaml").read_text()
    text += "\ncleanup: {rules: {unmanaged: revoke}, brake: {most: 2, always: 1, percent: 10}}\n"
    with WireSystem(tmp_path, registry=text) as system:
        for number, vpc in enumerate(("vpc-bp1payments0main", "vpc-bp1payments0test")):
            put(system, sample("grant_vpc", request_id=f"CHG-{number}", instance_id=vpc))
        system.settle()
        before = access(system)
        for name in ("ecr-authorize", "ecr-attach", "ecr-cleanup"):
            system.let_go(name)
        for file in tmp_path.glob("ledger.db*"):
            file.unlink()
        for _ in range(3):
            system.clean()
            system.settle(1200)
            system.clock.advance(3600)
        assert access(system) == before
        assert [one["outcome"] for one in system.results if one["outcome"] == "brake"] == ["brake"]


def test_after_a_lost_ledger_no_grant_is_said_to_be_attached_that_is_not(tmp_path):
    """The tokens begin anew, and the cloud remembers the old ones: it says yes and does nothing.

    The first ticket may be told `failed`, and then nothing is left behind; the next one is done.
    """
    with WireSystem(tmp_path, token_retention_seconds=86400.0) as system:
        put(system, sample("grant_vpc"))
        system.settle()
        put(system, revoke("grant_vpc", request_id="R-1", lease="all"))
        system.settle()
        for name in ("ecr-authorize", "ecr-attach", "ecr-cleanup"):
            system.let_go(name)
        for file in tmp_path.glob("ledger.db*"):
            file.unlink()
        put(system, sample("grant_vpc", request_id="CHG-2", ticket="CHG-2"))
        system.settle()
        told, (grants, associations) = system.outcomes("CHG-2"), access(system)
        assert ("attached" in told) == bool(grants and associations), told
        assert ("failed" in told) != ("attached" in told)
        put(system, sample("grant_vpc", request_id="CHG-3", ticket="CHG-3"))
        system.settle()
        assert "attached" in system.outcomes("CHG-3")
        assert all(access(system))


def test_a_ledger_that_is_set_back_gives_nothing_back_by_itself(tmp_path):
    """A backup from before the revoke says that the lease lives; what is gone is reported."""
    with WireSystem(tmp_path) as system:
        put(system, sample("grant_vpc"))
        put(system, sample("grant_vpc", request_id="C-2", instance_id="vpc-bp1payments0test"))
        system.settle()
        system.clean()
        system.settle()
        for name in ("ecr-authorize", "ecr-attach", "ecr-cleanup"):
            system.let_go(name)
        with closing(sqlite3.connect(file_of(system))) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
        shutil.copy(file_of(system), tmp_path / "backup.db")
        put(system, revoke("grant_vpc", request_id="R-1", lease="all"))
        system.settle()
        assert len(access(system)[0]) == 1
        for name in ("ecr-authorize", "ecr-attach", "ecr-cleanup"):
            system.let_go(name)
        for file in tmp_path.glob("ledger.db*"):
            file.unlink()
        shutil.copy(tmp_path / "backup.db", file_of(system))
        done = writes(system)
        for _ in range(3):
            system.clean()
            system.settle(1200)
            system.clock.advance(7200)
        assert writes(system) == done
        swept = [one for one in system.results if one["outcome"] == "swept"][-1]
        assert swept["counts"].get("missing") == 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:pa@ss:word@host/db",
        "postgresql://user:password@host:port/db",
        "postgresql:/user:password@host/db",
        "password",
        "",
    ],
)
def test_a_ledgers_url_that_cannot_be_read_is_not_repeated(url):
    with pytest.raises(LedgerUnavailable) as unavailable:
        SqlLedger(url)
    shown = f"{unavailable.value} {unavailable.value.__cause__}"
    assert unavailable.value.__suppress_context__
    assert "pass" not in shown
    assert "word" not in shown
