"""How the demo looks: a live table in a terminal, plain lines where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from demo.story import Ticket

_COLOURS = {"rejected": "yellow", "failed": "red", "attached": "green", "revoked": "green"}


def console() -> Console:
    """The terminal; wide enough for the tables where the output is a pipe."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=160, no_color=True)


def ways(tickets: list[Ticket], now: float) -> Table:
    """Each ticket and how far it has come, with the seconds since it was sent."""
    table = Table(title="Tickets", title_justify="left")
    for heading in ("request", "action", "what", "instance", "way", ""):
        table.add_column(heading, no_wrap=heading != "way")
    for ticket in tickets:
        request = ticket.request
        table.add_row(
            ticket.request_id,
            str(request["action"]),
            ticket.title,
            str(request["instance_id"]),
            way(ticket, now),
            _mark(ticket),
        )
    return table


def way(ticket: Ticket, now: float) -> Text:
    """The results of a ticket so far, and how long each took."""
    if ticket.sent_at is None:
        return Text(f"waits for {ticket.after}", style="dim")
    text = Text("sent")
    if ticket.received_at is not None:
        text.append(" → received")
        text.append(f" {ticket.received_at - ticket.sent_at:.1f}s", style="dim")
    for outcome, at in ticket.seen:
        text.append(" → ")
        text.append(outcome, style=_COLOURS.get(outcome, "cyan"))
        text.append(f" {at - ticket.sent_at:.1f}s", style="dim")
    if not ticket.is_over:
        text.append(f" … {now - ticket.sent_at:.0f}s", style="dim")
    if ticket.seen_code:
        text.append(f" ({ticket.seen_code})")
    return text


def _mark(ticket: Ticket) -> Text:
    if not ticket.is_over:
        return Text("")
    if ticket.is_as_expected:
        return Text("as expected", style="green")
    return Text("NOT AS EXPECTED", style="bold red")


def authorizations(rows: list[dict[str, Any]]) -> Table:
    """What stands in the cloud now, with the columns of account B's console page."""
    table = Table(title="Cross-account authorizations, as the consoles show them")
    table.title_justify = "left"
    columns = {
        "Instance": "instance_id",
        "Type": "instance_type",
        "Region": "instance_region_id",
        "Owner": "instance_owner_uid",
        "Peer Account UID": "ecr_owner_uid",
        "Peer ECR ID": "ecr_id",
        "Authorized At": "authorized_at",
        "Association": "association",
    }
    for heading in columns:
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*(str(row[name]) for name in columns.values()))
    return table
