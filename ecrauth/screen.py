"""What is printed: tables for eyes, tab-separated lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def line(text: object = "") -> None:
    """One line of text; what cannot be printed is shown as a question mark."""
    sys.stdout.write(f"{printable(text)}\n")


def as_json(document: Any) -> None:
    """A JSON document: indented for eyes, on one line for pipes; what cannot be seen is escaped."""
    indent = 2 if sys.stdout.isatty() else None
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    shown = (one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)
    sys.stdout.write("".join(shown) + "\n")


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], fold: int = -1) -> None:
    """Rows under headings.

    Args:
        headings: A name for each column.
        rows: Their cells.
        fold: The column that is broken into lines where the screen is too narrow.
    """
    cells = [[printable("" if cell is None else cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in (headings, *cells):
            sys.stdout.write("\t".join(row) + "\n")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table()
    for place, heading in enumerate(headings):
        is_folded = place == fold % len(headings)
        shown.add_column(heading, overflow="fold", no_wrap=not is_folded)
    for row in cells:
        shown.add_row(*map(escape, row))
    Console().print(shown)


def moment(text: str | None) -> str:
    """A moment in UTC, to the second; an empty string where there is none."""
    if not text:
        return ""
    at = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def printable(text: object) -> str:
    """The text without what would move a cursor or hide something: it may come from outside."""
    return "".join(one if one.isprintable() else "?" for one in str(text))
