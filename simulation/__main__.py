"""`python -m simulation`: run the campaign, replay one seed, write CLAIMS.md."""

from __future__ import annotations

import multiprocessing
import os
import platform
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from simulation import campaign, claims
from simulation.progress import gathered
from simulation.schedule import Schedule
from simulation.wire import campaign as wire_campaign

ROOT = Path(__file__).parents[1]
screen = Console() if sys.stdout.isatty() else Console(width=120, no_color=True)


def main(  # noqa: PLR0913 -- each is an option
    minutes: Annotated[float, typer.Option(help="Stop after so long")] = 5.0,
    schedules: Annotated[int, typer.Option(help="Stop after so many; half of them random")] = 20000,
    seed: Annotated[int, typer.Option(help="The first seed of the random schedules")] = 1,
    replay: Annotated[int | None, typer.Option(help="Run this seed alone, and show it")] = None,
    replay_tended: Annotated[int | None, typer.Option(help="The same, tended by the timer")] = None,
    bugs: Annotated[bool, typer.Option(help="Plant the bugs, too")] = True,
    most: Annotated[int, typer.Option(help="Schedules to catch each planted bug in")] = 20000,
    write: Annotated[bool, typer.Option("--claims", help="Write CLAIMS.md")] = False,
    wire: Annotated[int, typer.Option(help="Run so many through the wire instead")] = 0,
    replay_wire: Annotated[int | None, typer.Option(help="Run this seed through the wire")] = None,
) -> None:
    """Let faults loose on the shipped code, and look at what must hold."""
    campaign.quiet()
    if replay_wire is not None:
        raise typer.Exit(wire_campaign.replayed(screen, replay_wire, _commit()))
    if replay is not None:
        raise typer.Exit(_replayed(campaign.sampled(replay)))
    if replay_tended is not None:
        raise typer.Exit(_replayed(campaign.tended(replay_tended)))
    started = time.monotonic()
    if wire:
        found = wire_campaign.campaign(screen, wire, seed, started + minutes * 60)
        took = time.monotonic() - started
        wire_campaign.show(screen, found, took, _commit())
        if write:
            claims.put(ROOT / "CLAIMS.md", wire=claims.wire_text(_facts(took, seed), found))
        raise typer.Exit(int(bool(found.broken or found.unreached)))
    processes = max(1, min(os.cpu_count() or 1, 8))
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        tally = _run(pool, processes, schedules, seed, started + minutes * 60)
        took = time.monotonic() - started
        caught = _caught(pool, most) if bugs else {}
    for schedule, what in _one_of_each(tally.broken):
        screen.print(f"BROKEN {what}", style="bold red", markup=False)
        screen.print(campaign.told_whole(campaign.minimised(schedule), _commit()), markup=False)
    _show(tally, caught, took)
    missing = campaign.unreached(tally.reached)
    if write:
        text = claims.ports_text(_facts(took, seed), tally, caught)
        claims.put(ROOT / "CLAIMS.md", ports=text)
    uncaught = [name for name, found in caught.items() if found is None]
    if missing:
        screen.print(f"NOT REACHED: {', '.join(missing)}", style="yellow")
    if uncaught:
        screen.print(f"NOT CAUGHT: {', '.join(uncaught)}", style="yellow")
    raise typer.Exit(1 if tally.broken or missing else 0)


def _run(pool: Any, processes: int, schedules: int, seed: int, until: float) -> campaign.Tally:
    """The exhaustive half, the random half, and a tenth more that the timer tends."""
    queue = multiprocessing.get_context("fork").Manager().Queue()
    half, tenth = schedules // 2, schedules // 10
    shares = [
        ("exhaustive", number, processes, half // processes, seed, until, queue)
        for number in range(processes)
    ]
    shares += [
        ("random", number, processes, half, seed, until, queue) for number in range(processes)
    ]
    shares += [
        ("tended", number, processes, tenth, seed, until, queue) for number in range(processes)
    ]
    tally = campaign.Tally()
    waiting = [pool.apply_async(_share, (share,)) for share in shares]
    for part in gathered(screen, "schedules", schedules + tenth, waiting, queue):
        tally.add(part)
    return tally


def _share(given: tuple[str, int, int, int, int, float, Any]) -> campaign.Tally:
    kind, number, of, count, seed, until, queue = given
    if kind == "random":
        return campaign.part(campaign.seeded(seed, count, number, of), until, queue.put)
    if kind == "tended":
        return campaign.part(campaign.tending(seed, count, number, of), until, queue.put)
    limited = (one for _, one in zip(range(count), campaign.exhaustive(number, of), strict=False))
    return campaign.part(limited, until, queue.put)


def _caught(pool: Any, most: int) -> dict[str, tuple[int, str] | None]:
    names = campaign.ALL_BUGS
    found: dict[str, tuple[int, str] | None] = {}
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=screen
    ) as bar:
        task = bar.add_task("planted bugs", total=len(names))
        waiting = {name: pool.apply_async(campaign.caught, (name, most)) for name in names}
        for name, one in waiting.items():
            found[name] = one.get()
            bar.advance(task)
    return found


def _one_of_each(broken: list[tuple[Schedule, str]]) -> list[tuple[Schedule, str]]:
    """The first schedule that broke each invariant: a hundred of one kind say no more than one."""
    first: dict[str, tuple[Schedule, str]] = {}
    for schedule, what in broken:
        first.setdefault(what.partition(":")[0], (schedule, what))
    return list(first.values())


def _replayed(schedule: Schedule) -> int:
    """Show one schedule whole; 1 where it breaks something."""
    screen.print(campaign.told_whole(schedule, _commit()), markup=False, highlight=False)
    return int(campaign.simulated(schedule).broken is not None)


def _show(tally: campaign.Tally, caught: dict[str, Any], took: float) -> None:
    table = Table(title="What was run and reached", title_justify="left")
    table.add_column("what")
    table.add_column("how often", justify="right")
    for name, count in [*tally.schedules.items(), *sorted(tally.reached.items())]:
        table.add_row(name, campaign.shown(count))
    screen.print(table)
    if caught:
        table = Table(title="Planted bugs", title_justify="left")
        table.add_column("bug")
        table.add_column("schedules until caught", justify="right")
        table.add_column("by")
        for name, found in caught.items():
            count, what = found or (0, "")
            row = (campaign.shown(count), what.split(":")[0]) if found else ("not caught", "")
            table.add_row(name, *row)
        screen.print(table)
    total = tally.schedules.total()
    screen.print(
        f"{campaign.shown(total)} schedules in {took:.0f} s ({total / took:.0f} a second), "
        f"{len(tally.broken)} broken"
    )


def _facts(took: float, seed: int) -> claims.Facts:
    return claims.Facts(
        commit=_commit(),
        when=datetime.now(timezone.utc),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, "
        f"Python {platform.python_version()}",
        seconds=took,
        first_seed=seed,
    )


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 -- the developer's own git
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    typer.run(main)
