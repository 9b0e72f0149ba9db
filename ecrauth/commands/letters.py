"""`ecrauth dead-letters`: what could not be done, and another chance for it."""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ecrauth import reach, screen
from ecrauth.commands import options as given
from ecrauth.exits import Exit, Failed
from ecrauth.settings import of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.dead_letters import DeadLetter, DeadLetters

app = typer.Typer(help="What could not be done, and why.", no_args_is_help=True)

Queue = Annotated[str, typer.Option(help="The dead-letter queue")]
_REQUESTS_DEAD = "ecr-requests-dead"


@app.command("list")
def list_letters(
    context: typer.Context, queue: Queue = _REQUESTS_DEAD, as_json: given.Json = False
) -> None:
    """Every letter with its reason. They are hidden from others for a second."""
    with _letters(context, queue) as letters:
        found = letters.all()
    if as_json:
        screen.as_json([_document(letter) for letter in found])
        return
    rows = [(one.message_id, one.request_id, one.attempt, one.reason) for one in found]
    screen.table(("message id", "request", "attempts", "reason"), rows)


@app.command("show")
def show_letter(
    context: typer.Context,
    message_id: str,
    queue: Queue = _REQUESTS_DEAD,
    as_json: given.Json = False,
) -> None:
    """One letter, whole."""
    with _letters(context, queue) as letters:
        found = [letter for letter in letters.all() if letter.message_id == message_id]
    if not found:
        what = f"there is no letter {message_id} in {queue}"
        raise Failed(what, "`ecrauth dead-letters list` names them", Exit.UNKNOWN)
    if as_json:
        screen.as_json(_document(found[0]))
        return
    screen.line(f"{found[0].reason} (attempt {found[0].attempt}, queue {found[0].queue})")
    screen.line(found[0].message)


@app.command("redrive")
def redrive(
    context: typer.Context,
    message_ids: Annotated[list[str] | None, typer.Argument(help="Which; see `list`")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them")] = False,
    queue: Queue = _REQUESTS_DEAD,
) -> None:
    """Give letters another chance. What was done already is not done again."""
    if every == bool(message_ids):
        raise Failed("give the message ids of letters, or --all", code=Exit.USAGE)
    wanted = None if every else set(message_ids or ())
    with _letters(context, queue) as letters:
        redriven = letters.redrive(wanted, getpass.getuser())
    screen.line(f"{len(redriven)} redriven")
    missing = (wanted or set()) - {letter.message_id for letter in redriven}
    if missing:
        raise Failed(f"not there: {', '.join(sorted(missing))}", code=Exit.UNKNOWN)


def _document(letter: DeadLetter) -> dict[str, object]:
    return {
        "message_id": letter.message_id,
        "queue": letter.queue,
        "request_id": letter.request_id,
        "attempt": letter.attempt,
        "reason": letter.reason,
        "message": letter.message,
    }


@contextmanager
def _letters(context: typer.Context, queue: str) -> Iterator[DeadLetters]:
    from shared.audit import Trail
    from shared.dead_letters import DeadLetters

    settings = of(context)
    with reach.ledger(settings) as ledger:
        yield DeadLetters(reach.messages(settings), queue, Trail(ledger, reach.now))
