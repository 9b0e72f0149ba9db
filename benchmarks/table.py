"""What a benchmark says, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]


@dataclass
class Row:
    """One measurement beside what one would do instead.

    Args:
        what: What was measured.
        unit: Of `ours` and `bare`.
        ours: The shipped code's.
        bare: The same by hand, in the same run.
        target: The ratio that is aimed at, if any.
        note: What is to be known with it.
    """

    what: str
    unit: str
    ours: float
    bare: float
    target: float | None
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours to theirs; below one is better than by hand."""
        return self.ours / self.bare

    @property
    def is_met(self) -> bool:
        """Whether the ratio is within its target."""
        return self.target is None or self.ratio <= self.target


def show(rows: list[Row]) -> None:
    """Print the rows as a table."""
    console = Console()
    table = Table(show_lines=True)
    for heading in ("measured", "ours", "bare", "ratio", "target", "note"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        colour = "green" if row.is_met else "yellow"
        table.add_row(
            row.what,
            f"{row.ours:.1f} {row.unit}",
            f"{row.bare:.1f} {row.unit}",
            f"[{colour}]{row.ratio:.2f}[/]",
            "" if row.target is None else f"{row.target:.2f}",
            row.note,
        )
    (console if console.is_terminal else Console(width=140, no_color=True)).print(table)
