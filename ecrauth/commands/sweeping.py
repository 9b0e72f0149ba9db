"""`ecrauth sweep`: what nobody works on any more."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ecrauth import reach, screen
from ecrauth.commands import options as given
from ecrauth.settings import of

if TYPE_CHECKING:
    from shared.sweep import Found


def add_to(app: typer.Typer) -> None:
    """The command is one of the app's."""
    app.command()(sweep)


def sweep(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be picked up; do nothing")
    ] = False,
    as_json: given.Json = False,
) -> None:
    """Pick up what lies: results not published, requests not taken, authorizations due."""
    from functions.cleanup.handler import sweep as sweeping

    with reach.house(of(context)) as house:
        if dry_run:
            _show(sweeping(house).look(), as_json=as_json)
            return
        swept = sweeping(house).run()
    if as_json:
        screen.as_json(asdict(swept))
        return
    screen.line(f"{swept.published} published, {swept.resent} resent, {swept.woken} woken")
    if swept.sealed:
        screen.line("the audit trail is sealed up to today")
    if not swept.is_whole:
        screen.line("more is left for the next sweep")


def _show(found: Found, *, as_json: bool) -> None:
    until = found.seal_until.isoformat() if found.seal_until else None
    if as_json:
        screen.as_json({**asdict(found), "seal_until": until})
        return
    rows = [
        *(("publish", one) for one in found.unpublished),
        *(("send again", one) for one in found.lost),
        *(("wake", one) for one in found.due),
        *([("seal", f"the audit trail up to {until}")] if until else []),
    ]
    if rows:
        screen.table(("would", "what"), rows)
    else:
        screen.line("nothing lies")
    if not found.is_whole:
        screen.line("and more than is shown")
