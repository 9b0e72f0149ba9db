"""Work that is dealt out to processes, with a bar that shows how far it has come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console


def gathered(
    screen: Console, what: str, total: int, waiting: list[Any], told: Any
) -> Iterator[Any]:
    """What each process gives, once all have; meanwhile the bar counts what they tell.

    Args:
        screen: Where the bar is shown.
        what: What is counted.
        total: How many are expected.
        waiting: The pool's asynchronous results.
        told: The queue on which processes put how many more they have done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=screen) as progress:
        task = progress.add_task(what, total=total)
        while any(not one.ready() for one in waiting):
            time.sleep(0.2)
            while not told.empty():
                progress.advance(task, told.get())
        while not told.empty():
            progress.advance(task, told.get())
    for one in waiting:
        yield one.get()
