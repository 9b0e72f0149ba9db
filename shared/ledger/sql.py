"""The ledger in SQL, by SQLAlchemy Core: each method is one statement that commits by itself.

SQLite (`sqlite:///ledger.db`, WAL) is embedded and for one machine; PostgreSQL
(`postgresql://USER:PASSWORD@HOST/DATABASE`: RDS, PolarDB) is shared by all instances.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic import ValidationError
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    bindparam,
    create_engine,
    event,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from shared.audit import Entry
from shared.authorization import Authorization
from shared.contract import AuthorizationId, Result
from shared.ledger import LedgerUnavailable, Place, RequestRecord, ResultRecord
from shared.ledger.schema import (
    EPOCH,
    MICROSECOND,
    NO_END,
    PROJECTED,
    check,
    columns_of,
    end_column,
    migrate,
)
from shared.log import mask_value
from shared.turns import Turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import URL, ColumnElement, Connection, Engine, Select

    from shared.contract import Outcome
    from shared.ledger import Order, Wanted

log = structlog.get_logger()

_WAL_TRIES: Final = 100
_LAST: Final = "\x7f"
"""Comes after every character of a key."""


class _Utc(TypeDecorator[datetime]):
    """A moment, kept as microseconds since 1970: the same in every database, and ordered."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Any) -> int | None:
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: int | None, _: Any) -> datetime | None:
        return None if value is None else EPOCH + value * MICROSECOND


# What statements need to know of the tables; schema.py makes them, with their indexes.
_metadata = MetaData()
_requests = Table(
    "requests",
    _metadata,
    Column("request_id", String(64), primary_key=True),
    Column("document", Text),
    Column("received_at", _Utc),
    Column("outcome", String(16)),
    Column("finished_at", _Utc),
)
_authorizations = Table(
    "authorizations",
    _metadata,
    Column("key", String(255), primary_key=True),
    Column("version", Integer),
    Column("document", Text),
    Column("due_at", _Utc),
    # What is searched for, kept beside the document (`schema.columns_of`).
    Column("ecr_id", String(64)),
    Column("instance_id", String(64)),
    Column("instance_owner_uid", String(16)),
    Column("state", String(16)),
    Column("ends_at", BigInteger),
)
_results = Table(
    "results",
    _metadata,
    # One id counts per database: results are told in the order in which they were added.
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("result_id", String(255)),
    Column("request_id", String(64)),
    Column("document", Text),
    Column("made_at", _Utc),
    Column("published_at", _Utc),
)
_audit = Table(
    "audit",
    _metadata,
    Column("chain", String(255), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at", _Utc),
    Column("hash", String(64)),
    Column("document", Text),
)
_turns = Table(
    "turns",
    _metadata,
    Column("key", String(255), primary_key=True),
    Column("version", Integer),
    Column("next_at", _Utc),
)
_notes = Table(
    "notes",
    _metadata,
    Column("key", String(255), primary_key=True),
    Column("version", Integer),
    Column("document", Text),
)

# Built once: to put a statement together costs more than to run it.
_INSERT: Final = {table: insert(table) for table in _metadata.sorted_tables}
_REQUESTS: Final = select(_requests.c.document, _requests.c.outcome, _requests.c.finished_at)
_REQUEST: Final = _REQUESTS.where(_requests.c.request_id == bindparam("id"))
_UNFINISHED: Final = (
    _REQUESTS.add_columns(_requests.c.received_at, _requests.c.request_id)
    .where(
        _requests.c.finished_at.is_(None),
        _requests.c.received_at < bindparam("old"),
        tuple_(_requests.c.received_at, _requests.c.request_id)
        > tuple_(bindparam("at", type_=_Utc), bindparam("id")),
    )
    .order_by(_requests.c.received_at, _requests.c.request_id)
    .limit(bindparam("most"))
)
_FINISH: Final = (
    update(_requests)
    .where(_requests.c.request_id == bindparam("id"), _requests.c.finished_at.is_(None))
    .values(outcome=bindparam("final"), finished_at=bindparam("now"))
    .returning(_requests.c.document, _requests.c.outcome, _requests.c.finished_at)
)
_AUTHORIZATION: Final = select(_authorizations.c.document, _authorizations.c.version).where(
    _authorizations.c.key == bindparam("of")
)
_REPLACE: Final = (
    update(_authorizations)
    .where(_authorizations.c.key == bindparam("of"), _authorizations.c.version == bindparam("old"))
    .values(
        version=bindparam("new"),
        document=bindparam("content"),
        due_at=bindparam("due"),
        **{name: bindparam(f"in_{name}") for name in PROJECTED},
    )
)
_DUE: Final = (
    select(_authorizations.c.key)
    .where(_authorizations.c.due_at <= bindparam("now"))
    .order_by(_authorizations.c.due_at)
    .limit(bindparam("most"))
)
_PAGE: Final = (
    select(_authorizations.c.key, _authorizations.c.document)
    .where(
        _authorizations.c.key > bindparam("after"),
        _authorizations.c.key < bindparam("end"),
    )
    .order_by(_authorizations.c.key)
    .limit(bindparam("most"))
)
_FOUND: Final = select(_authorizations.c.key, _authorizations.c.ends_at, _authorizations.c.document)
_NOTE: Final = select(_notes.c.document, _notes.c.version).where(_notes.c.key == bindparam("of"))
_NOTES: Final = (
    select(_notes.c.key, _notes.c.document)
    .where(_notes.c.key > bindparam("after"), _notes.c.key < bindparam("end"))
    .order_by(_notes.c.key)
    .limit(bindparam("most"))
)
_REWRITE: Final = (
    update(_notes)
    .where(_notes.c.key == bindparam("of"), _notes.c.version == bindparam("old"))
    .values(version=bindparam("new"), document=bindparam("content"))
)
_PUBLISHED: Final = (
    update(_results)
    .where(_results.c.result_id == bindparam("id"), _results.c.published_at.is_(None))
    .values(published_at=bindparam("now"))
)
_RESULTS: Final = select(_results).order_by(_results.c.sequence)
_RESULTS_OF: Final = _RESULTS.where(_results.c.request_id == bindparam("id"))
_RESULT: Final = _RESULTS.where(_results.c.result_id == bindparam("id"))
_UNPUBLISHED: Final = _RESULTS.where(
    _results.c.published_at.is_(None), _results.c.made_at < bindparam("old")
).limit(bindparam("most"))
_LAST_ENTRY: Final = (
    select(_audit)
    .where(_audit.c.chain == bindparam("of"))
    .order_by(_audit.c.sequence.desc())
    .limit(1)
)
_ENTRIES: Final = select(_audit).order_by(_audit.c.chain, _audit.c.sequence)
_GROWN: Final = (
    select(_audit.c.chain, func.max(_audit.c.sequence))
    .where(_audit.c.at >= bindparam("start"), _audit.c.at < bindparam("end"))
    .group_by(_audit.c.chain)
)
_HEADS: Final = (
    select(_audit.c.chain, _audit.c.sequence, _audit.c.hash)
    .where(tuple_(_audit.c.chain, _audit.c.sequence).in_(_GROWN))
    .order_by(_audit.c.chain)
)
_TURN: Final = select(_turns.c.next_at, _turns.c.version).where(_turns.c.key == bindparam("of"))
_AHEAD: Final = (
    select(_turns.c.key, _turns.c.next_at)
    .where(
        _turns.c.key > bindparam("start"),
        _turns.c.key < bindparam("end"),
        _turns.c.next_at > bindparam("at"),
    )
    .order_by(_turns.c.next_at.desc(), _turns.c.key)
    .limit(bindparam("most"))
)
_TAKE_TURN: Final = (
    update(_turns)
    .where(_turns.c.key == bindparam("of"), _turns.c.version == bindparam("old"))
    .values(version=bindparam("new"), next_at=bindparam("next"))
)


class SqlLedger:
    """A Ledger in the database at `url`, whose schema is made or brought up to date.

    Args:
        url: Where it is.
        as_it_is: The schema is checked and never changed: for who looks at a ledger that others
            work with.

    Raises:
        NewerLedger: A newer release has been at it.
        OlderLedger: It is not this release's, and is to be left as it is.
        LedgerUnavailable: It cannot be reached.
    """

    def __init__(self, url: str, *, as_it_is: bool = False) -> None:
        password = password_of(url)
        if password:
            mask_value(url, always=True)
            mask_value(password, always=True)
        self._engine = _engine(url)
        try:
            with _available():
                (check if as_it_is else migrate)(self._engine)
        except BaseException:
            self._engine.dispose()
            raise

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    # Requests ------------------------------------------------------------------------------------

    def add_request(self, record: RequestRecord) -> RequestRecord | None:
        """Put if absent: None where it was added, else the record that was there before."""
        request_id = record.request.request_id
        row = {
            "request_id": request_id,
            "document": record.model_dump_json(exclude_defaults=True),
            "received_at": record.received_at,
        }
        return None if self._inserted(_requests, row) else self.request(request_id)

    def request(self, request_id: str) -> RequestRecord | None:
        """The request with this id."""
        with self._connection() as connection:
            row = connection.execute(_REQUEST, {"id": request_id}).first()
        return _request(row) if row else None

    def finish_request(
        self, request_id: str, outcome: Outcome, now: datetime
    ) -> RequestRecord | None:
        """Note a request's final result: its record; None where it had one, which it keeps."""
        given = {"id": request_id, "final": outcome, "now": now}
        with self._connection() as connection:
            row = connection.execute(_FINISH, given).first()
        return _request(row) if row else None

    def unfinished(
        self, before: datetime, limit: int, after: RequestRecord | None = None
    ) -> list[RequestRecord]:
        """Requests received before a time that have no final result, the oldest first.

        One that cannot be read is logged, and cuts no page short.
        """
        at, last = (after.received_at, after.request.request_id) if after else (EPOCH, "")
        found: list[RequestRecord] = []
        while (left := limit - len(found)) > 0:
            given = {"old": before, "most": left, "at": at, "id": last}
            with self._connection() as connection:
                rows = connection.execute(_UNFINISHED, given).all()
            found += _readable(rows)
            if len(rows) < left:
                break
            at, last = rows[-1].received_at, rows[-1].request_id
        return found

    # Authorizations ------------------------------------------------------------------------------

    def authorization(self, key: str) -> tuple[Authorization, int] | None:
        """The authorization's record and its version: how often it was put."""
        with self._connection() as connection:
            row = connection.execute(_AUTHORIZATION, {"of": key}).first()
        return (Authorization.model_validate_json(row.document), row.version) if row else None

    def put_authorization(self, record: Authorization, version: int) -> bool:
        """Update if `version` is still the record's (0: put if absent); False where it is not."""
        document = record.model_dump_json(exclude_defaults=True)
        key, due_at = record.id.key, record.due_at
        columns = columns_of(record)
        if version == 0:
            row = {"key": key, "version": 1, "document": document, "due_at": due_at, **columns}
            return self._inserted(_authorizations, row)
        change = {
            "of": key,
            "old": version,
            "new": version + 1,
            "content": document,
            "due": due_at,
            **{f"in_{name}": value for name, value in columns.items()},
        }
        return self._replaced(_REPLACE, change)

    def due(self, now: datetime, limit: int) -> list[AuthorizationId]:
        """Authorizations whose `due_at` has come, the longest due first."""
        with self._connection() as connection:
            keys = connection.scalars(_DUE, {"now": now, "most": limit}).all()
        return [AuthorizationId.of_key(key) for key in keys]

    def authorizations(
        self, prefix: str, after: str, limit: int
    ) -> list[tuple[str, Authorization | None]]:
        """Authorizations by their key; None for one that cannot be read."""
        given = {"after": max(after, prefix), "end": prefix + _LAST, "most": limit}
        with self._connection() as connection:
            rows = connection.execute(_PAGE, given).all()
        return [(row.key, _authorization(row.document)) for row in rows]

    def search(
        self, wanted: Wanted, limit: int, after: Place | None = None, order: Order = "key"
    ) -> list[tuple[Place, Authorization | None]]:
        """Those that are looked for, each with its place; None for one that cannot be read."""
        columns: tuple[Column[Any], ...] = (_authorizations.c.key,)
        place: tuple[Any, ...] = (after.key,) if after else ()
        if order == "end":
            columns = (_authorizations.c.ends_at, *columns)
            place = (end_column(after.ends_at), *place) if after else ()
        query = _FOUND.where(*_fitting(wanted))
        if place:
            query = query.where(tuple_(*columns) > tuple_(*place))
        with self._connection() as connection:
            rows = connection.execute(query.order_by(*columns).limit(limit)).all()
        return [(_place(row), _authorization(row.document)) for row in rows]

    def count(self, wanted: Wanted) -> int:
        """How many authorizations are looked for."""
        query = select(func.count()).select_from(_authorizations).where(*_fitting(wanted))
        with self._connection() as connection:
            return int(connection.scalar(query) or 0)

    # Notes of the clean-up -----------------------------------------------------------------------

    def note(self, key: str) -> tuple[str, int] | None:
        """What is noted under a key, and its version."""
        with self._connection() as connection:
            row = connection.execute(_NOTE, {"of": key}).first()
        return (row.document, row.version) if row else None

    def put_note(self, key: str, text: str, version: int) -> bool:
        """Update if `version` is still the note's (0: put if absent); False where it is not."""
        if version == 0:
            return self._inserted(_notes, {"key": key, "version": 1, "document": text})
        change = {"of": key, "old": version, "new": version + 1, "content": text}
        return self._replaced(_REWRITE, change)

    def notes(self, prefix: str, after: str, limit: int) -> list[tuple[str, str]]:
        """Notes by their key: the key, and what is noted."""
        given = {"after": max(after, prefix), "end": prefix + _LAST, "most": limit}
        with self._connection() as connection:
            rows = connection.execute(_NOTES, given).all()
        return [(row.key, row.document) for row in rows]

    # Results: the outbox -------------------------------------------------------------------------

    def add_result(self, record: ResultRecord) -> ResultRecord:
        """Put if absent: the record that is there now, be it this one or an earlier one."""
        row = {
            "result_id": record.result.id,
            "request_id": record.request_id,
            "document": record.result.body(),
            "made_at": record.result.time,
            "published_at": record.published_at,
        }
        if self._inserted(_results, row):
            return record
        return self._results(_RESULT, id=record.result.id)[0]

    def mark_published(self, result_id: str, now: datetime) -> None:
        """Note that the result is on the topic; noting it twice keeps the first time."""
        with self._connection() as connection:
            connection.execute(_PUBLISHED, {"id": result_id, "now": now})

    def results(self, request_id: str) -> list[ResultRecord]:
        """The results of a request, in the order in which they were added."""
        return self._results(_RESULTS_OF, id=request_id)

    def unpublished(self, before: datetime, limit: int) -> list[ResultRecord]:
        """Results made before a time and not marked published, the oldest first."""
        return self._results(_UNPUBLISHED, old=before, most=limit)

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

    # The audit trail -----------------------------------------------------------------------------

    def add_entry(self, entry: Entry) -> bool:
        """Put if absent by (chain, sequence); False where there is one."""
        row = {
            "chain": entry.chain,
            "sequence": entry.sequence,
            "at": entry.at,
            "hash": entry.hash,
            "document": entry.model_dump_json(),
        }
        return self._inserted(_audit, row)

    def last_entry(self, chain: str) -> Entry | None:
        """The chain's newest entry."""
        with self._connection() as connection:
            row = connection.execute(_LAST_ENTRY, {"of": chain}).first()
        return _entry(row) if row else None

    def entries(self, chain: str | None = None) -> Iterator[Entry]:
        """Every entry, or those of one chain, by chain and sequence."""
        query = _ENTRIES if chain is None else _ENTRIES.where(_audit.c.chain == chain)
        for row in self._streamed(query):
            yield _entry(row)

    def heads(self, since: datetime, before: datetime) -> Iterator[tuple[str, int, str]]:
        """Chains that grew in a time, by name, with sequence and hash of their last entry in it."""
        with self._connection() as connection:
            for row in connection.execute(_HEADS, {"start": since, "end": before}):
                yield row.chain, row.sequence, row.hash

    # Turns ---------------------------------------------------------------------------------------

    def turn(self, key: str) -> tuple[Turn, int] | None:
        """The turn with this key, and its version."""
        with self._connection() as connection:
            row = connection.execute(_TURN, {"of": key}).first()
        return (Turn(next_at=row.next_at), row.version) if row else None

    def put_turn(self, key: str, turn: Turn, version: int) -> bool:
        """Update if `version` is still the turn's (0: put if absent); False where it is not."""
        if version == 0:
            return self._inserted(_turns, {"key": key, "version": 1, "next_at": turn.next_at})
        change = {"of": key, "old": version, "new": version + 1, "next": turn.next_at}
        return self._replaced(_TAKE_TURN, change)

    def turns_ahead(self, prefix: str, at: datetime, limit: int) -> list[tuple[str, Turn]]:
        """Turns that are given out beyond `at`, the furthest first."""
        given = {"start": prefix, "end": prefix + _LAST, "at": at, "most": limit}
        with self._connection() as connection:
            rows = connection.execute(_AHEAD, given).all()
        return [(row.key, Turn(next_at=row.next_at)) for row in rows]

    # Statements ----------------------------------------------------------------------------------

    def _inserted(self, table: Table, row: dict[str, Any]) -> bool:
        with self._connection() as connection:
            try:
                connection.execute(_INSERT[table], row)
            except IntegrityError:
                return False
        return True

    def _replaced(self, change: Any, values: dict[str, Any]) -> bool:
        with self._connection() as connection:
            return connection.execute(change, values).rowcount == 1

    def _streamed(self, query: Select[Any]) -> Iterator[Any]:
        """Rows as they are asked for: a cursor of PostgreSQL lives within a transaction."""
        level = "AUTOCOMMIT" if self._engine.dialect.name == "sqlite" else "REPEATABLE READ"
        with self._connection() as connection:
            options = connection.execution_options(isolation_level=level, yield_per=500)
            yield from options.execute(query)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with _available(), self._engine.connect() as connection:
            yield connection


def _request(row: Any) -> RequestRecord:
    record = RequestRecord.model_validate_json(row.document)
    return record.model_copy(update={"outcome": row.outcome, "finished_at": row.finished_at})


def _readable(rows: Iterable[Any]) -> Iterator[RequestRecord]:
    for row in rows:
        try:
            yield _request(row)
        except ValidationError:
            log.error("request_unreadable", request_id=row.request_id)  # noqa: TRY400 -- its content


def _authorization(document: str) -> Authorization | None:
    try:
        return Authorization.model_validate_json(document)
    except ValidationError:
        return None


def _fitting(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    table = _authorizations.c
    if wanted.ecr_ids is not None:
        yield table.ecr_id.in_(wanted.ecr_ids)
    if wanted.accounts is not None:
        yield table.instance_owner_uid.in_(wanted.accounts)
    if wanted.instance_id is not None:
        yield table.instance_id == wanted.instance_id
    if wanted.state is not None:
        yield table.state == wanted.state
    if wanted.ends_before is not None:
        yield table.ends_at < end_column(wanted.ends_before)


def _place(row: Any) -> Place:
    known = None if row.ends_at == NO_END else EPOCH + row.ends_at * MICROSECOND
    return Place(key=row.key, ends_at=known)


def _entry(row: Any) -> Entry:
    """The entry; one that cannot be read is told by what its row says, and is never whole."""
    try:
        return Entry.model_validate_json(row.document)
    except ValidationError:
        bare = {"chain": row.chain, "sequence": row.sequence, "at": row.at, "hash": row.hash}
        return Entry(what="cannot be read", facts={}, previous="", **bare)


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        # The driver's own words may hold the URL with its password, or a row's content.
        raise LedgerUnavailable(f"the ledger did not answer ({type(error).__name__})") from None


def _engine(url: str) -> Engine:
    """Every statement commits by itself: there is nothing to roll back, nothing held open."""
    if url.startswith("sqlite"):
        engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    return create_engine(
        _parsed(url).set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
        pool_pre_ping=True,  # an instance that was frozen finds its connections dead
        pool_size=8,
        connect_args={
            "connect_timeout": 5,
            "options": "-c statement_timeout=10000 -c lock_timeout=10000",
            # A server that is silently gone is noticed before the function's time is over.
            "keepalives_idle": 5,
            "keepalives_interval": 5,
            "keepalives_count": 2,
            "tcp_user_timeout": 15000,
        },
    )


def password_of(url: str) -> str:
    """The password in a database's URL; empty where there is none, or it is no URL."""
    try:
        return str(make_url(url).password or "")
    except (ArgumentError, ValueError):
        return ""


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):  # whose words may hold a part of the password
        raise LedgerUnavailable("LEDGER_URL is no database's URL") from None


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
