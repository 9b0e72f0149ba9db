"""`ecrauth invoke`: call a function as the platform would."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ecrauth import screen
from ecrauth.exits import Failed
from ecrauth.settings import of


def add_to(app: typer.Typer) -> None:
    """The command is one of the app's."""
    app.command()(invoke)


def invoke(  # noqa: PLR0913 -- each is an option
    context: typer.Context,
    function: Annotated[str, typer.Argument(help="Its name: ecr-cleanup")],
    event: Annotated[str, typer.Argument(help="A file, - for the standard input, or JSON itself")],
    service: Annotated[
        str | None, typer.Option(help="The service that it is in, for Function Compute 2.0")
    ] = None,
    qualifier: Annotated[str | None, typer.Option(help="A version or an alias")] = None,
    is_async: Annotated[bool, typer.Option("--async", help="Do not wait for its answer")] = False,
    tail: Annotated[bool, typer.Option("--tail", help="Show the end of its log, too")] = False,
) -> None:
    """Invoke a function with an event (see events/) and print what it answers."""
    from ecrauth import invoking

    body = _event(event)
    call = invoking.Call(function, body, qualifier=qualifier, is_async=is_async, tail=tail)
    answer = invoking.older(of(context), service, call) if service else invoking.today(
        of(context), call
    )  # fmt: skip
    if answer.log:
        sys.stderr.write(answer.log.rstrip("\n") + "\n")
    if is_async:
        screen.line(f"taken (request {answer.request_id})")
        return
    sys.stdout.write(answer.body.decode("utf-8", "replace").rstrip("\n") + "\n")
    if answer.error_type:
        what = f"{function} failed: {answer.error_type}"
        raise Failed(what, f"its log has request {answer.request_id}")


def _event(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    if text.lstrip()[:1] in ("{", "["):
        return text.encode()
    try:
        return Path(text).read_bytes()
    except OSError as error:
        what = f"the event {text} cannot be read ({error.strerror})"
        raise Failed(what, "give a file, - or JSON itself") from None
