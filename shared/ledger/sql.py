"""The ledger in SQL, by SQLAlchemy Core: each method is one statement that commits by itself."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    create_engine,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from shared.authorization import Authorization
from shared.contract import Result
from shared.ledger import LedgerUnavailable, RequestRecord, ResultRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection, Engine, Select

_WAL_TRIES: Final = 100
_metadata = MetaData()
_requests = Table(
    "requests",
    _metadata,
    Column("request_id", String(64), primary_key=True),
    Column("document", Text, nullable=False),
)
_authorizations = Table(
    "authorizations",
    _metadata,
    Column("key", String(255), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
)
_results = Table(
    "results",
    _metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("result_id", String(255), nullable=False, unique=True),
    Column("request_id", String(64), nullable=False, index=True),
    Column("document", Text, nullable=False),
    Column("published_at", DateTime(timezone=True), index=True),
)


# Built once: to put a statement together costs more than to run it.
_INSERT: Final = {table: insert(table) for table in _metadata.sorted_tables}
_REQUEST: Final = select(_requests.c.document).where(_requests.c.request_id == bindparam("id"))
_AUTHORIZATION: Final = select(_authorizations.c.document, _authorizations.c.version).where(
    _authorizations.c.key == bindparam("of")
)
_REPLACE: Final = (
    update(_authorizations)
    .where(_authorizations.c.key == bindparam("of"), _authorizations.c.version == bindparam("old"))
    .values(version=bindparam("new"), document=bindparam("content"))
)
_AUTHORIZATIONS: Final = select(_authorizations.c.document).order_by(_authorizations.c.key)
_PUBLISHED: Final = (
    update(_results)
    .where(_results.c.result_id == bindparam("id"), _results.c.published_at.is_(None))
    .values(published_at=bindparam("at"))
)
_RESULTS: Final = select(_results).order_by(_results.c.sequence)
_RESULTS_OF: Final = _RESULTS.where(_results.c.request_id == bindparam("id"))
_RESULT: Final = _RESULTS.where(_results.c.result_id == bindparam("id"))
_UNPUBLISHED: Final = _RESULTS.where(_results.c.published_at.is_(None)).limit(bindparam("most"))


class SqlLedger:
    """A Ledger in the database at `url` (`sqlite:///ledger.db`); its tables are made if missing."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        with self._connection() as connection:
            # Instances start together: each asks for what another may be making.
            for table in _metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def add_request(self, record: RequestRecord) -> RequestRecord | None:
        """Put if absent: None where it was added, else the record that was there before."""
        request_id = record.request.request_id
        row = {"request_id": request_id, "document": record.model_dump_json(exclude_defaults=True)}
        return None if self._inserted(_requests, row) else self.request(request_id)

    def request(self, request_id: str) -> RequestRecord | None:
        """The request with this id."""
        with self._connection() as connection:
            document = connection.scalar(_REQUEST, {"id": request_id})
        return RequestRecord.model_validate_json(document) if document else None

    def authorization(self, key: str) -> tuple[Authorization, int] | None:
        """The authorization's record and its version."""
        with self._connection() as connection:
            row = connection.execute(_AUTHORIZATION, {"of": key}).first()
        return (Authorization.model_validate_json(row.document), row.version) if row else None

    def put_authorization(self, record: Authorization, version: int) -> bool:
        """Update if `version` is still the record's (0: put if absent); False where it is not."""
        document = record.model_dump_json(exclude_defaults=True)
        if version == 0:
            row = {"key": record.id.key, "version": 1, "document": document}
            return self._inserted(_authorizations, row)
        change = {
            "of": record.id.key,
            "old": version,
            "new": version + 1,
            "content": document,
        }
        with self._connection() as connection:
            return connection.execute(_REPLACE, change).rowcount == 1

    def authorizations(self) -> Iterator[Authorization]:
        """Every authorization, ordered by key."""
        with self._connection() as connection:
            for document in connection.execution_options(yield_per=500).scalars(_AUTHORIZATIONS):
                yield Authorization.model_validate_json(document)

    def add_result(self, record: ResultRecord) -> ResultRecord:
        """Put if absent: the record that is there now, be it this one or an earlier one."""
        row = {
            "result_id": record.result.id,
            "request_id": record.request_id,
            "document": record.result.body(),
            "published_at": record.published_at,
        }
        if self._inserted(_results, row):
            return record
        return self._results(_RESULT, id=record.result.id)[0]

    def mark_published(self, result_id: str, now: datetime) -> None:
        """Note that the result is on the topic; noting it twice keeps the first time."""
        with self._connection() as connection:
            connection.execute(_PUBLISHED, {"id": result_id, "at": now})

    def results(self, request_id: str) -> list[ResultRecord]:
        """The results of a request, in the order in which they were added."""
        return self._results(_RESULTS_OF, id=request_id)

    def unpublished(self, limit: int) -> list[ResultRecord]:
        """Results that were added and not yet marked published, the oldest first."""
        return self._results(_UNPUBLISHED, most=limit)

    def _results(self, query: Select[Any], **given: Any) -> list[ResultRecord]:
        with self._connection() as connection:
            rows = connection.execute(query, given).all()
        return [
            ResultRecord(
                result=Result.model_validate_json(row.document),
                request_id=row.request_id,
                published_at=row.published_at,
            )
            for row in rows
        ]

    def _inserted(self, table: Table, row: dict[str, Any]) -> bool:
        with self._connection() as connection:
            try:
                connection.execute(_INSERT[table], row)
            except IntegrityError:
                return False
        return True

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with _available(), self._engine.connect() as connection:
            yield connection


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        # The driver's own words may hold the URL with its password, or a row's content.
        raise LedgerUnavailable(f"the ledger did not answer ({type(error).__name__})") from None


def _engine(url: str) -> Engine:
    """Every statement commits by itself: there is nothing to roll back, nothing held open."""
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_pre_ping=not _is_sqlite(url),
        pool_reset_on_return=None,
    )
    if _is_sqlite(url):
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _is_sqlite(url: str) -> bool:
    return url.startswith("sqlite")


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Readers and one writer at once, and a writer waits for another (milliseconds)."""
    connection.execute("PRAGMA busy_timeout=10000").close()
    for last in (*[False] * _WAL_TRIES, True):
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            break
        except sqlite3.OperationalError:  # another instance is changing the mode: no wait helps
            if last:
                raise
            time.sleep(0.02)
    connection.execute("PRAGMA synchronous=NORMAL").close()
