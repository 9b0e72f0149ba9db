"""Sampled schedules through the wire, on all processes; what they came to, for people."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.table import Table

from simulation.bugs import planted
from simulation.progress import gathered
from simulation.wire.run import minimised, run, told_whole
from simulation.wire.schedules import (
    ACCOUNT_GOES,
    INSTANCE_GOES,
    OVER,
    ROLE_GOES,
    ROLE_RETURNS,
    WireSchedule,
    sampled,
)
from simulation.wire.seams import CALL, EXPIRED

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

MOST_BROKEN = 5
"""How many broken schedules a process looks for, and how many are shown."""
MUST_BE_REACHED = (
    "crashed",
    "batch repeated",
    "message duplicated",
    f"{CALL}: {EXPIRED}",
    f"event: {OVER}",
    f"event: {ACCOUNT_GOES}",
    f"event: {INSTANCE_GOES}",
    f"event: {ROLE_GOES}",
    f"event: {ROLE_RETURNS}",
    "woken by the sweep",
    "answer: failed",
    "answer: rejected",
    "answer: revoked",
)


@dataclass
class WireTally:
    """What part of a campaign came to."""

    count: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[WireSchedule, str]] = field(default_factory=list)

    @property
    def unreached(self) -> list[str]:
        """What a campaign has to reach and did not: then it says less than it seems to."""
        return [name for name in MUST_BE_REACHED if not self.reached[name]]

    def add(self, other: WireTally) -> None:
        """What another part came to, too."""
        self.count += other.count
        self.reached += other.reached
        self.broken += other.broken


def part(seeds: range, until: float, told: Callable[[int], None]) -> WireTally:
    """Run the schedules of `seeds` until they, or the time (monotonic seconds), are over."""
    tally = WireTally()
    for seed in seeds:
        if time.monotonic() > until or len(tally.broken) >= MOST_BROKEN:
            break
        schedule = sampled(seed)
        outcome = run(schedule)
        tally.count += 1
        tally.reached += outcome.reached
        if outcome.broken is not None:
            tally.broken.append((schedule, str(outcome.broken)))
        told(1)
    return tally


def caught(name: str, most: int, first: int = 1) -> tuple[int, str] | None:
    """How many schedules it took to notice a planted bug, and how; None: not in `most`."""
    with planted(name):
        for count in range(1, most + 1):
            outcome = run(sampled(first + count - 1))
            if outcome.broken is not None:
                return count, str(outcome.broken)
    return None


def show(screen: Console, tally: WireTally, took: float, commit: str) -> None:
    """What was reached, and each broken schedule, minimised, with its trace."""
    for schedule, what in tally.broken[:MOST_BROKEN]:
        screen.print(f"BROKEN {what}", style="bold red", markup=False)
        screen.print(told_whole(minimised(schedule), commit), markup=False, highlight=False)
    table = Table(title="Through the wire: what was reached", title_justify="left")
    table.add_column("what")
    table.add_column("how often", justify="right")
    for name, count in sorted(tally.reached.items()):
        table.add_row(name, f"{count:,}")
    screen.print(table)
    screen.print(
        f"{tally.count:,} schedules at {commit} in {took:.0f} s "
        f"({tally.count / took:.1f} a second), {len(tally.broken)} broken"
    )
    if tally.unreached:
        screen.print(f"NOT REACHED: {', '.join(tally.unreached)}", style="yellow")


def replayed(screen: Console, seed: int, commit: str) -> int:
    """Show one schedule whole; 1 where it breaks something."""
    schedule = sampled(seed)
    screen.print(told_whole(schedule, commit), markup=False, highlight=False)
    return int(run(schedule).broken is not None)


def campaign(screen: Console, schedules: int, first: int, until: float) -> WireTally:
    """So many seeds, dealt out to all processes, until the time (monotonic seconds) is over."""
    processes = max(1, min(os.cpu_count() or 1, 8))
    context = multiprocessing.get_context("spawn")  # a server's threads do not survive a fork
    tally = WireTally()
    with context.Manager() as manager, context.Pool(processes) as pool:
        queue = manager.Queue()
        shares = [range(first + one, first + schedules, processes) for one in range(processes)]
        waiting = [pool.apply_async(_share, (share, until, queue)) for share in shares]
        for share in gathered(screen, "schedules through the wire", schedules, waiting, queue):
            tally.add(share)
    return tally


def _share(seeds: range, until: float, queue: Any) -> WireTally:
    return part(seeds, until, queue.put)
