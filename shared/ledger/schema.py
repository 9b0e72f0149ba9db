"""The ledger's schema, release by release: what is there is brought up to what the code knows.

A step is never changed once it was released; a new one is put at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from shared.authorization import Authorization
from shared.ledger import NewerLedger, OlderLedger

if TYPE_CHECKING:
    from sqlalchemy import Engine

Step = Sequence["str | Callable[[Connection], None]"]


def _project(connection: Connection) -> None:
    """What is searched for stands beside each authorization that was put before there were columns.

    A document that cannot be read has no state, and is found by nobody who asks for one.
    """
    rows = connection.execute(text('SELECT "key", document FROM authorizations')).all()
    columns = [{"of": row.key, **projected(row.key, row.document)} for row in rows]
    names = ", ".join(f"{name} = :{name}" for name in PROJECTED)
    for start in range(0, len(columns), _AT_ONCE):
        connection.execute(
            text(f'UPDATE authorizations SET {names} WHERE "key" = :of'),  # noqa: S608 -- constants
            columns[start : start + _AT_ONCE],
        )


def projected(key: str, document: str) -> dict[str, Any]:
    """The columns of the authorization in `document`. Pure."""
    try:
        return columns_of(Authorization.model_validate_json(document))
    except ValidationError:
        ecr_id, instance_id, _, _, _, owner = key.split(":")
        return dict(zip(PROJECTED, (ecr_id, instance_id, owner, None, NO_END), strict=True))


def columns_of(record: Authorization) -> dict[str, Any]:
    """What is searched for of an authorization, as it stands in columns. Pure."""
    of, ends_at = record.id, record.ends_at
    end = NO_END if ends_at is None else (ends_at - EPOCH) // MICROSECOND
    values = (of.ecr_id, of.instance_id, of.instance_owner_uid, record.state, end)
    return dict(zip(PROJECTED, values, strict=True))


EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND: Final = timedelta(microseconds=1)
PROJECTED: Final = ("ecr_id", "instance_id", "instance_owner_uid", "state", "ends_at")
NO_END: Final = 2**62
"""Later than every moment, so that what has no end comes last and ends before no time."""
_AT_ONCE: Final = 1000

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
    (
        "ALTER TABLE authorizations ADD COLUMN ecr_id VARCHAR(64)",
        "ALTER TABLE authorizations ADD COLUMN instance_id VARCHAR(64)",
        "ALTER TABLE authorizations ADD COLUMN instance_owner_uid VARCHAR(16)",
        "ALTER TABLE authorizations ADD COLUMN state VARCHAR(16)",
        f"ALTER TABLE authorizations ADD COLUMN ends_at BIGINT NOT NULL DEFAULT {NO_END}",
        _project,
        'CREATE INDEX authorizations_ecr ON authorizations (ecr_id, "key")',
        'CREATE INDEX authorizations_owner ON authorizations (instance_owner_uid, "key")',
        "CREATE INDEX authorizations_instance ON authorizations (instance_id)",
        'CREATE INDEX authorizations_state ON authorizations (state, "key")',
        'CREATE INDEX authorizations_end ON authorizations (ends_at, "key")',
    ),
)
_WORDS: Final = {
    "sqlite": {"serial": "INTEGER", "bytewise": ""},
    "postgresql": {"serial": "BIGSERIAL", "bytewise": 'COLLATE "C"'},
}
_VERSION: Final = text("SELECT version FROM schema_version")
_LOCK: Final = 0x6563725F  # any number, the same for every instance


def migrate(engine: Engine, steps: Sequence[Step] = STEPS) -> None:
    """The schema has every step, each made once, however many instances start together.

    Raises:
        NewerLedger: It has steps that this release does not know.
    """
    version = _version(engine)
    if version is None or version < len(steps):
        with engine.connect() as connection:
            _bring_up(connection, steps)
        version = _version(engine)
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


def _bring_up(connection: Connection, steps: Sequence[Step]) -> None:
    """All steps that are missing, in one transaction that one instance has at a time."""
    dialect = connection.dialect.name
    begin = "BEGIN IMMEDIATE" if dialect == "sqlite" else "BEGIN"
    connection.execute(text(begin))
    try:
        if dialect == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # a step may take long
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        create = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"
        connection.execute(text(create))
        version = connection.scalar(_VERSION)
        if version is None:
            connection.execute(text("INSERT INTO schema_version VALUES (0)"))
        for step in steps[version or 0 :]:
            for statement in step:
                if callable(statement):
                    statement(connection)
                else:
                    connection.execute(text(statement.format(**_WORDS[dialect])))
        if (version or 0) < len(steps):
            connection.execute(text("UPDATE schema_version SET version = :v"), {"v": len(steps)})
        connection.execute(text("COMMIT"))
    except BaseException:
        connection.execute(text("ROLLBACK"))
        raise
