"""The parts of the system as a command reaches them, each with what it needs and nothing more."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ecrauth.exits import Failed, Unreached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecrauth.settings import Settings
    from functions.wiring import House
    from shared.cloud.endpoints import Service
    from shared.cloud.messages import Messages
    from shared.ledger.sql import SqlLedger
    from shared.registry import Registry

_SQLITE = "sqlite:///"


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(timezone.utc)


@contextmanager
def ledger(settings: Settings) -> Iterator[SqlLedger]:
    """The ledger as it is: a command never changes its schema. Raises Failed, LedgerUnavailable."""
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    from shared.ledger.sql import SqlLedger

    url = settings.need("LEDGER_URL")
    if url.startswith(_SQLITE) and not _is_written(Path(url.removeprefix(_SQLITE))):
        raise Unreached("there is no ledger at LEDGER_URL", "the functions write it when they run")
    try:
        found = SqlLedger(url, as_it_is=True)
    except (ArgumentError, NoSuchModuleError):
        raise Failed(
            "LEDGER_URL is no URL of a database", "postgresql://… or sqlite:///…"
        ) from None
    try:
        yield found
    finally:
        found.close()


def _is_written(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def messages(settings: Settings) -> Messages:
    """Account A's queues. Raises Failed, BadEndpoint."""
    from shared.cloud.credentials import from_environment
    from shared.cloud.messages import Messages

    endpoint = reached(settings, "MNS")
    return Messages(endpoint, lambda: from_environment(settings.values, None))


def reached(settings: Settings, service: Service) -> str:
    """The endpoint of a service. Raises Failed, BadEndpoint."""
    from shared.cloud.endpoints import endpoint

    own = settings.get(f"ALIBABA_CLOUD_ENDPOINT_{service}")
    account, region = (
        ("", "") if own else (settings.need("FC_ACCOUNT_ID"), settings.need("FC_REGION"))
    )
    return endpoint(service, settings.values, region=region, account=account)


def registry(settings: Settings) -> Registry:
    """Who is who, as registry.yaml says. Raises BadRegistry."""
    from shared.registry import load

    return load(Path(settings.get("REGISTRY_FILE") or "registry.yaml"))


@contextmanager
def house(settings: Settings) -> Iterator[House]:
    """All that the clean-up function works with. Raises Failed, and what its parts raise."""
    from pydantic import ValidationError

    from functions.wiring import House

    with ledger(settings):
        pass  # a ledger of another release is left as it is
    for name in ("FC_ACCOUNT_ID", "FC_REGION"):
        settings.need(name)
    environ = {
        **settings.values,
        "QUEUE": settings.get("REQUEST_QUEUE"),
        "DEAD_LETTER_QUEUE": settings.get("DEAD_LETTER_QUEUE"),
        "RESULT_TOPIC": settings.get("RESULT_TOPIC"),
    }
    try:
        found = House(environ, now)
    except ValidationError as error:
        names = ", ".join(str(fault["loc"][0]).upper() for fault in error.errors())
        raise Failed(f"wrongly set: {names}", "`ecrauth settings` says what each is") from None
    with _without_log_lines():
        try:
            yield found
        finally:
            found.close()


@contextmanager
def _without_log_lines() -> Iterator[None]:
    """What the work logs is not printed, unless it is about something that has gone wrong."""
    from shared.log import captured, line

    with captured() as lines:
        try:
            yield
        finally:
            for one in lines:
                if one.get("level") in ("warning", "error", "critical"):
                    sys.stderr.write(line(one) + "\n")
