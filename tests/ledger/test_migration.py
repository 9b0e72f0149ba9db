"""A ledger of the release before is brought up to date: in pieces, by whoever is there."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import create_engine, text

from shared.authorization import Authorization, Lease
from shared.contract import AuthorizationId
from shared.ledger import OlderLedger, schema
from shared.ledger.schema import PROJECTED, STEPS, Long, migrate, projected
from shared.ledger.sql import SqlLedger
from simulation.wire.system import ROOT

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
COUNT, AT_ONCE = 100, 7
_INSERT = text('INSERT INTO authorizations ("key", version, document) VALUES (:key, 1, :document)')
_UPDATE = text(
    'UPDATE authorizations SET version = version + 1, document = :document WHERE "key" = :key'
)


class Died(Exception):
    """An instance is gone in the middle of something."""


def row(number, days=None, name="vpc-bp1number"):
    # The order of the keys is not that in which the rows are put.
    of = AuthorizationId(
        ecr_id=f"ecr-{number % 3:04d}",
        ecr_owner_uid="1000200030004000",
        instance_id=f"{name}{number:03d}",
        instance_type="VPC",
        instance_region_id="cn-hangzhou",
        instance_owner_uid="2000300040005000",
    )
    end = NOW + timedelta(days=days) if days is not None else None
    lease = Lease(id=f"CHG-{number}", ticket=f"CHG-{number}", since=NOW, expires_at=end)
    record = Authorization(id=of, leases=(lease,)).with_grant("present")
    return {"key": of.key, "document": record.model_dump_json(exclude_defaults=True)}


@pytest.fixture
def engine(url, monkeypatch):
    """A database of the release before, with rows of which one cannot be read."""
    monkeypatch.setattr(schema, "_AT_ONCE", AT_ONCE)
    driver = url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(driver, isolation_level="AUTOCOMMIT")
    migrate(engine, STEPS[:2])
    put(engine, [row(number, number % 5 or None) for number in range(COUNT)])
    put(engine, [{**row(COUNT), "document": "{"}])
    yield engine
    engine.dispose()


def put(engine, rows):
    """As the release before puts them: it knows no more columns."""
    with engine.connect() as connection:
        connection.execute(_INSERT, rows)


def version(engine):
    with engine.connect() as connection:
        return connection.scalar(text("SELECT version FROM schema_version"))


def done(engine):
    """How many rows have their columns."""
    with engine.connect() as connection:
        count = text("SELECT count(*) FROM authorizations WHERE ecr_id IS NOT NULL")
        return connection.scalar(count)


def check_whole(engine, count=COUNT + 1):
    """Every row has the columns of its document, the indexes are there, nothing else is left."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM authorizations")).all()
        left = connection.execute(text("SELECT * FROM schema_progress")).all()
        names = {"sqlite": "SELECT name FROM sqlite_master WHERE type = 'index'",
                 "postgresql": "SELECT indexname FROM pg_indexes"}  # fmt: skip
        indexes = set(connection.execute(text(names[engine.dialect.name])).scalars())
    assert len(rows) == count
    for one in rows:
        columns = {name: getattr(one, name) for name in PROJECTED}
        assert columns == projected(one.key, one.document)
    assert left == []
    wanted = ("ecr", "owner", "instance", "state", "end")
    assert {f"authorizations_{name}" for name in wanted} <= indexes
    assert version(engine) == len(STEPS)


def told(before):
    """The steps, whose every batch is told of before it is done."""

    def batch(connection, after):
        before(after)
        return schema._project(connection, after)

    parts = [batch if part is schema._project else part for part in STEPS[2].parts]
    assert batch in parts
    return (*STEPS[:2], Long(tuple(parts)))


def test_an_instance_that_dies_in_the_middle_leaves_what_is_done_and_the_next_one_does_the_rest(
    engine, url
):
    code = f"""
import os, sys
from sqlalchemy import create_engine
from shared.ledger import schema
from tests.ledger.test_migration import told
schema._AT_ONCE = {AT_ONCE}
real, batches = schema._project, []
def project(connection, after):
    last = real(connection, after)
    batches.append(last)
    if len(batches) == 5:
        os._exit(9)  # in the middle of the transaction: it is never committed
    return last
parts = tuple(project if part is real else part for part in schema.STEPS[2].parts)
steps = (*schema.STEPS[:2], schema.Long(parts))
schema.migrate(create_engine(sys.argv[1], isolation_level="AUTOCOMMIT"), steps)
"""
    driver = url.replace("postgresql://", "postgresql+psycopg://")
    died = subprocess.run([sys.executable, "-c", code, driver], cwd=ROOT, timeout=60, check=False)
    assert died.returncode == 9
    assert (version(engine), done(engine)) == (2, 4 * AT_ONCE)
    with pytest.raises(OlderLedger):
        SqlLedger(url, as_it_is=True)
    batches = []
    migrate(engine, told(batches.append))
    check_whole(engine)
    rest = COUNT + 1 - 4 * AT_ONCE
    assert "" not in batches[:1]  # it goes on from there
    assert len(batches) == -(-rest // AT_ONCE) + 2  # the end, and once more from the beginning
    SqlLedger(url).close()


def test_it_is_done_in_the_end_however_often_an_instance_dies(engine, monkeypatch):
    """Each lives for one transaction, and dies in the next one before it is committed."""
    real = schema._make
    lives = 0
    while version(engine) < len(STEPS):
        made = []

        def make(connection, part, after="", made=made):
            last = real(connection, part, after)
            made.append(part)
            if len(made) == 2:
                raise Died
            return last

        monkeypatch.setattr(schema, "_make", make)
        lives += 1
        try:
            migrate(engine)
        except Died:
            assert version(engine) == 2
    monkeypatch.setattr(schema, "_make", real)
    check_whole(engine)
    assert lives > COUNT // AT_ONCE


def test_of_instances_that_start_at_once_each_batch_is_done_by_one(engine, url):
    batches = []
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: migrate(engine, told(batches.append)), range(6)))
    check_whole(engine)
    # From the beginning twice: at first, and at the end to see that nothing is left.
    assert batches.count("") == 2
    assert len(set(batches)) == len(batches) - 1
    with ThreadPoolExecutor(3) as pool:
        for ledger in pool.map(lambda _: SqlLedger(url), range(3)):
            ledger.close()


def test_between_two_batches_nothing_is_held_and_others_write(engine):
    with engine.connect() as connection, engine.connect() as other:
        impatient = {"sqlite": "PRAGMA busy_timeout=0",
                     "postgresql": "SET lock_timeout = '1ms'"}  # fmt: skip
        other.execute(text(impatient[engine.dialect.name]))
        transactions, at = 0, 2
        while at < len(STEPS):
            at = schema._brought_on(connection, STEPS)
            transactions += 1
            other.execute(_UPDATE, row(transactions % COUNT, 9))
    assert transactions > COUNT // AT_ONCE


def test_what_the_release_before_adds_and_changes_meanwhile_is_done_too(engine):
    with engine.connect() as connection:
        for _ in range(4):  # the columns, and three batches
            schema._brought_on(connection, STEPS)
    # Some of their keys come before those that are done.
    added = [row(number, 3, "vpc-aa1number") for number in range(200, 220)]
    put(engine, added)
    with engine.connect() as connection:
        waiting = text('SELECT "key" FROM authorizations WHERE ecr_id IS NULL')
        keys = set(connection.execute(waiting).scalars())
        changed = [row(number, 30) for number in range(COUNT)]
        for one in changed:
            if one["key"] in keys:
                connection.execute(_UPDATE, one)
    migrate(engine)
    check_whole(engine, COUNT + 1 + len(added))


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_a_row_that_changes_in_the_middle_of_a_batch_keeps_what_it_was_changed_to(
    engine, url, monkeypatch
):
    real, changed = schema.projected, []

    def meanwhile(key, document):
        if key == row(0)["key"] and not changed:
            changed.append(key)
            with engine.connect() as other:
                other.execute(_UPDATE, row(0, 77))
        return real(key, document)

    monkeypatch.setattr(schema, "projected", meanwhile)
    migrate(engine)
    assert changed
    monkeypatch.setattr(schema, "projected", real)
    check_whole(engine)
    ledger = SqlLedger(url)
    record, _ = ledger.authorization(row(0)["key"])
    ledger.close()
    assert record.ends_at == NOW + timedelta(days=77)


def test_a_new_ledger_has_every_step_in_one_transaction(url):
    driver = url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(driver, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        assert schema._brought_on(connection, STEPS) == len(STEPS)
    check_whole(engine, 0)
    engine.dispose()


def test_a_newer_release_that_was_quicker_is_not_set_back(engine):
    with engine.connect() as connection:
        schema._brought_on(connection, STEPS)
        newer = (*STEPS, ["CREATE TABLE newer (x INTEGER)"])
        migrate(engine, newer)
        assert schema._brought_on(connection, STEPS) == len(newer)
    assert version(engine) == len(newer)
