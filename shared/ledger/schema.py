"""The ledger's schema, release by release: what is there is brought up to what the code knows.

A step is never changed once it was released; a new one is put at the end. One that takes long is
`Long`: short transactions, between which others write, and which whoever starts next goes on with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from shared.authorization import Authorization
from shared.ledger import NewerLedger, OlderLedger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

Batch = Callable[[Connection, str], "str | None"]
"""Does some rows that come after a place, and gives the last one's; None: there are no more."""


@dataclass(frozen=True)
class Long:
    """A step of several parts, each in a transaction of its own, and of a batch in many."""

    parts: tuple[Sequence[str] | Batch, ...]


Step = Sequence[str] | Long


def _project(connection: Connection, after: str) -> str | None:
    """What is searched for stands beside authorizations that were put before there were columns.

    A document that cannot be read has no state, and is found by nobody who asks for one. A row that
    another instance changes meanwhile is left, and so is what an older release adds: it is over
    when nothing is found from the beginning on.
    """
    unprojected = _NOT_PROJECTED[connection.dialect.name]
    rows = connection.execute(unprojected, {"after": after, "most": _AT_ONCE}).all()
    if not rows:
        return "" if after else None
    connection.execute(
        _PROJECT,
        [{"of": one.key, "as": one.version, **projected(one.key, one.document)} for one in rows],
    )
    return str(rows[-1].place)


def projected(key: str, document: str) -> dict[str, Any]:
    """The columns of the authorization in `document`. Pure."""
    try:
        return columns_of(Authorization.model_validate_json(document))
    except ValidationError:
        ecr_id, instance_id, _, _, _, owner = key.split(":")
        return dict(zip(PROJECTED, (ecr_id, instance_id, owner, None, NO_END), strict=True))


def columns_of(record: Authorization) -> dict[str, Any]:
    """What is searched for of an authorization, as it stands in columns. Pure."""
    of, end = record.id, end_column(record.ends_at)
    values = (of.ecr_id, of.instance_id, of.instance_owner_uid, record.state, end)
    return dict(zip(PROJECTED, values, strict=True))


def end_column(ends_at: datetime | None) -> int:
    """An end as it stands in its column: microseconds since 1970, or NO_END. Pure."""
    return NO_END if ends_at is None else (ends_at - EPOCH) // MICROSECOND


EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND: Final = timedelta(microseconds=1)
PROJECTED: Final = ("ecr_id", "instance_id", "instance_owner_uid", "state", "ends_at")
NO_END: Final = 2**62
"""Later than every moment, so that what has no end comes last and ends before no time."""
_AT_ONCE: Final = 2500
_NOT_PROJECTED: Final = {
    # In the order in which the rows lie in the file: else each batch writes all of its pages.
    "sqlite": text(
        'SELECT "key", version, document, rowid AS place FROM authorizations '
        "WHERE ecr_id IS NULL AND rowid > CAST(:after AS INTEGER) ORDER BY rowid LIMIT :most"
    ),
    "postgresql": text(
        'SELECT "key", version, document, "key" AS place FROM authorizations '
        'WHERE ecr_id IS NULL AND "key" > :after ORDER BY "key" LIMIT :most'
    ),
}
_PROJECT: Final = text(
    f"UPDATE authorizations SET {', '.join(f'{name} = :{name}' for name in PROJECTED)} "  # noqa: S608 -- constants
    'WHERE "key" = :of AND version = :as'
)

STEPS: Final[tuple[Step, ...]] = (
    (
        """CREATE TABLE requests (
            request_id VARCHAR(64) PRIMARY KEY,
            document TEXT NOT NULL,
            received_at BIGINT NOT NULL,
            outcome VARCHAR(16),
            finished_at BIGINT
        )""",
        "CREATE INDEX requests_unfinished ON requests (finished_at, received_at)",
        """CREATE TABLE authorizations (
            "key" VARCHAR(255) {bytewise} PRIMARY KEY,
            version INTEGER NOT NULL,
            document TEXT NOT NULL,
            due_at BIGINT
        )""",
        "CREATE INDEX authorizations_due ON authorizations (due_at)",
        """CREATE TABLE results (
            sequence {serial} PRIMARY KEY,
            result_id VARCHAR(255) NOT NULL UNIQUE,
            request_id VARCHAR(64) NOT NULL,
            document TEXT NOT NULL,
            made_at BIGINT NOT NULL,
            published_at BIGINT
        )""",
        "CREATE INDEX results_of_request ON results (request_id)",
        "CREATE INDEX results_unpublished ON results (published_at, made_at)",
        """CREATE TABLE audit (
            chain VARCHAR(255) {bytewise} NOT NULL,
            sequence INTEGER NOT NULL,
            at BIGINT NOT NULL,
            hash VARCHAR(64) NOT NULL,
            document TEXT NOT NULL,
            PRIMARY KEY (chain, sequence)
        )""",
        """CREATE TABLE turns (
            "key" VARCHAR(255) PRIMARY KEY,
            version INTEGER NOT NULL,
            next_at BIGINT NOT NULL
        )""",
    ),
    (
        "CREATE INDEX audit_at ON audit (at)",
        """CREATE TABLE notes (
            "key" VARCHAR(255) {bytewise} PRIMARY KEY,
            version INTEGER NOT NULL,
            document TEXT NOT NULL
        )""",
    ),
    Long(
        (
            (
                "ALTER TABLE authorizations ADD COLUMN ecr_id VARCHAR(64)",
                "ALTER TABLE authorizations ADD COLUMN instance_id VARCHAR(64)",
                "ALTER TABLE authorizations ADD COLUMN instance_owner_uid VARCHAR(16)",
                "ALTER TABLE authorizations ADD COLUMN state VARCHAR(16)",
                f"ALTER TABLE authorizations ADD COLUMN ends_at BIGINT NOT NULL DEFAULT {NO_END}",
            ),
            _project,
            ('CREATE INDEX authorizations_ecr ON authorizations (ecr_id, "key")',),
            ('CREATE INDEX authorizations_owner ON authorizations (instance_owner_uid, "key")',),
            ("CREATE INDEX authorizations_instance ON authorizations (instance_id)",),
            ('CREATE INDEX authorizations_state ON authorizations (state, "key")',),
            ('CREATE INDEX authorizations_end ON authorizations (ends_at, "key")',),
        )
    ),
)
_WORDS: Final = {
    "sqlite": {"serial": "INTEGER", "bytewise": ""},
    "postgresql": {"serial": "BIGSERIAL", "bytewise": 'COLLATE "C"'},
}
_VERSION: Final = text("SELECT version FROM schema_version")
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)",
    # How far a long step is: its part that is next, and the last place that is done of that.
    """CREATE TABLE IF NOT EXISTS schema_progress (
        part INTEGER NOT NULL,
        done_to VARCHAR(255) NOT NULL
    )""",
)
_PROGRESS: Final = text("SELECT part, done_to FROM schema_progress")
_LOCK: Final = 0x6563725F  # any number, the same for every instance


def migrate(engine: Engine, steps: Sequence[Step] = STEPS) -> None:
    """The schema has every step, each made once, however many instances start together.

    Raises:
        NewerLedger: It has steps that this release does not know.
    """
    version = _version(engine)
    if version is None or version < len(steps):
        with engine.connect() as connection:
            while version is None or version < len(steps):
                version = _brought_on(connection, steps)
    _check_not_newer(version, steps)


def check(engine: Engine, steps: Sequence[Step] = STEPS) -> None:
    """The schema is this release's; nothing is changed.

    Raises:
        NewerLedger: It has steps that this release does not know.
        OlderLedger: It has none, or not all: the functions of this release have not been at it.
    """
    version = _version(engine)
    _check_not_newer(version, steps)
    if version is None:
        raise OlderLedger("there is no ledger in this database: LEDGER_URL names another one")
    if version < len(steps):
        raise OlderLedger(
            f"the ledger has schema {version} and this release works with {len(steps)}: use the "
            "release that is deployed, or deploy this one"
        )


def _check_not_newer(version: int | None, steps: Sequence[Step]) -> None:
    if version is not None and version > len(steps):
        raise NewerLedger(
            f"the ledger has schema {version} and this release knows {len(steps)}: "
            "deploy the newer release again, or restore the ledger from before it"
        )


def _version(engine: Engine) -> int | None:
    try:
        with engine.connect() as connection:
            version = connection.scalar(_VERSION)
    except SQLAlchemyError:  # no such table, if the database answers at all
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        return None
    return None if version is None else int(version)


def _brought_on(connection: Connection, steps: Sequence[Step]) -> int:
    """One transaction further, which one instance has at a time; gives the version then.

    Where there was nothing it is the whole schema: a long step has nothing to do there.
    """
    with _alone(connection):
        for statement in _TABLES:
            connection.execute(text(statement))
        version = connection.scalar(_VERSION)
        if version is None:
            for step in steps:
                for part in _parts(step):
                    _make(connection, part)
            connection.execute(text("INSERT INTO schema_version VALUES (:v)"), {"v": len(steps)})
            return len(steps)
        if version < len(steps) and _is_made(connection, _parts(steps[version])):
            version += 1
            connection.execute(text("UPDATE schema_version SET version = :v"), {"v": version})
    return int(version)


def _is_made(connection: Connection, parts: Sequence[Sequence[str] | Batch]) -> bool:
    """Whether a step is, after one part of it more, or one batch of a part."""
    found = connection.execute(_PROGRESS).first()
    part, done_to = (found.part, found.done_to) if found else (0, "")
    last = _make(connection, parts[part], done_to)
    part, done_to = (part + 1, "") if last is None else (part, last)
    connection.execute(text("DELETE FROM schema_progress"))
    if part == len(parts):
        return True
    given = {"part": part, "done_to": done_to}
    connection.execute(text("INSERT INTO schema_progress VALUES (:part, :done_to)"), given)
    return False


def _make(connection: Connection, part: Sequence[str] | Batch, after: str = "") -> str | None:
    """The part, or a batch of it: then the last place that is done."""
    if callable(part):
        return part(connection, after)
    for statement in part:
        connection.execute(text(statement.format(**_WORDS[connection.dialect.name])))
    return None


def _parts(step: Step) -> Sequence[Sequence[str] | Batch]:
    return step.parts if isinstance(step, Long) else (step,)


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """In a transaction that no other instance's migration runs beside."""
    is_postgresql = connection.dialect.name == "postgresql"
    connection.execute(text("BEGIN" if is_postgresql else "BEGIN IMMEDIATE"))
    try:
        if is_postgresql:
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # an index may take long
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        yield
        connection.execute(text("COMMIT"))
    except BaseException:
        connection.execute(text("ROLLBACK"))
        raise
