"""How the demo looks: a live table in a terminal, plain lines where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from demo.story import Ticket

_COLOURS = {
    "rejected": "yellow",
    "refused": "yellow",
    "failed": "red",
    "attached": "green",
    "revoked": "green",
}


def console() -> Console:
    """The terminal; wide enough for the tables where the output is a pipe."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=160, no_color=True)


def ways(tickets: list[Ticket], now: float) -> Table:
    """Each ticket and how far it has come, with the seconds since it was sent."""
    table = Table(title="Tickets", title_justify="left")
    for heading in ("request", "from", "action", "what", "instance", "way", ""):
        table.add_column(heading, no_wrap=heading != "way")
    for ticket in tickets:
        request = ticket.request
        table.add_row(
            ticket.request_id,
            ticket.system.title if ticket.system else "the queue",
            str(request["action"]),
            ticket.title,
            ticket.instance,
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
    if ticket.told_at is not None and ticket.is_over:
        text.append(" → ")
        text.append("written back", style="bold")
        text.append(f" {ticket.told_at - ticket.sent_at:.1f}s", style="dim")
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


def answers(tickets: list[Ticket]) -> Table:
    """What each ticketing system was told, and what it does with its ticket then."""
    table = Table(title="Written back, each with a signature that its system has verified")
    table.title_justify = "left"
    for heading in ("system", "ticket", "outcome", "the ticket's state", "comment"):
        table.add_column(heading, no_wrap=heading != "comment")
    for ticket in tickets:
        for told in ticket.told:
            table.add_row(
                ticket.system.title if ticket.system else "",
                ticket.request_id,
                str(told["outcome"]),
                _state(told),
                _comment(told),
            )
    return table


def _state(told: dict[str, Any]) -> str:
    """The field of the system's own by which its ticket moves on; none: it stays as it is."""
    transition = told.get("transition", {}).get("name")
    closed = [str(told[name]) for name in ("state", "close_code", "remark") if told.get(name)]
    return str(transition or " ".join(closed))


def _comment(told: dict[str, Any]) -> str:
    """The first line of the comment, in whatever field the system has it."""
    text = told.get("work_notes") or told.get("text")
    if text is None:
        text = told["comment"]["body"]["content"][0]["content"][0]["text"]
    return str(text).splitlines()[0]


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
