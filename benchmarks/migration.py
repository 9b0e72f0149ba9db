"""`python -m benchmarks.migration 100000`: a ledger of the release before is brought up to date.

How long the first start takes, on SQLite and PostgreSQL, and how long an instance of the release
before, which goes on working meanwhile, has to wait for one write at most.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.ledger import NOW, urls
from shared.authorization import Authorization, Lease
from shared.contract import AuthorizationId
from shared.ledger.schema import STEPS, migrate
from shared.ledger.sql import SqlLedger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

_AT_ONCE: Final = 5000
_INSERT: Final = text(
    'INSERT INTO authorizations ("key", version, document) VALUES (:key, 1, :document)'
)
_WRITE: Final = text('UPDATE authorizations SET due_at = :at WHERE "key" = :key')


def main(arguments: list[str]) -> int:
    """Measure and print."""
    count = int(arguments[0]) if arguments else 100_000
    with tempfile.TemporaryDirectory() as folder:
        for name, url in urls(Path(folder)):
            took, waited = _measured(url, count)
            told = f"the longest write beside it {waited:.2f} s" if waited else "a write failed"
            print(f"{name}: {count} authorizations in {took:.1f} s, {told}")
    return 0


def _measured(url: str, count: int) -> tuple[float, float | None]:
    driver = url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(driver, isolation_level="AUTOCOMMIT")
    migrate(engine, STEPS[:2])
    rows = list(_rows(count))
    for start in range(0, count, _AT_ONCE):
        with engine.connect() as connection:
            connection.execute(text("BEGIN"))
            connection.execute(_INSERT, rows[start : start + _AT_ONCE])
            connection.execute(text("COMMIT"))
    over = threading.Event()
    waits: list[float | None] = []
    writer = threading.Thread(target=_write_on, args=(engine, rows[0]["key"], over, waits))
    writer.start()
    started = time.perf_counter()
    SqlLedger(url).close()
    took = time.perf_counter() - started
    over.set()
    writer.join()
    engine.dispose()
    failed = None in waits
    return took, None if failed else max(one for one in waits if one is not None)


def _rows(count: int) -> Iterator[dict[str, str]]:
    for number in range(count):
        of = AuthorizationId(
            ecr_id=f"ecr-{number % 20:04d}",
            ecr_owner_uid="1000200030004000",
            instance_id=f"vpc-bp1{number:08d}",
            instance_type="VPC",
            instance_region_id="cn-hangzhou",
            instance_owner_uid=f"{2000300040005000 + number % 500}",
        )
        lease = Lease(id=f"CHG-{number}", ticket=f"CHG-{number}", since=NOW)
        record = Authorization(id=of, leases=(lease,)).with_grant("present")
        yield {"key": of.key, "document": record.model_dump_json(exclude_defaults=True)}


def _write_on(engine: Engine, key: str, over: threading.Event, waits: list[float | None]) -> None:
    """One write after the other until it is over, each with how long it took; None: it failed."""
    number = 0
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("PRAGMA busy_timeout=60000"))
        while not over.wait(0.01):
            number += 1
            started = time.perf_counter()
            try:
                connection.execute(_WRITE, {"at": number, "key": key})
                waits.append(time.perf_counter() - started)
            except SQLAlchemyError:
                waits.append(None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
