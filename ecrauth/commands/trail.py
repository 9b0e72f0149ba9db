"""`ecrauth audit`: what was done, by whom, for which ticket."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ecrauth import reach, screen
from ecrauth.commands import options as given
from ecrauth.exits import Exit, Failed
from ecrauth.settings import of

app = typer.Typer(help="What was done, by whom, for which ticket.", no_args_is_help=True)


@app.command("verify")
def verify_audit(context: typer.Context, as_json: given.Json = False) -> None:
    """Find every altered, missing or reordered entry; exit code 8 where there is one."""
    from shared.audit import verify

    with reach.ledger(of(context)) as ledger:
        faults = verify(ledger)
    if as_json:
        screen.as_json([vars(fault) for fault in faults])
    elif faults:
        screen.table(
            ("chain", "#", "what"), [(one.chain, one.sequence, one.what) for one in faults]
        )
    if faults:
        what = f"the trail has {len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise Failed(what, "compare it with a backup and the seals that are kept", Exit.FAULTY)
    if not as_json:
        screen.line("the trail is whole")


@app.command("show")
def show_audit(context: typer.Context, chain: str, as_json: given.Json = False) -> None:
    """The entries of one chain: an authorization's key, `unaddressed`, `seals`."""
    with reach.ledger(of(context)) as ledger:
        entries = list(ledger.entries(chain))
    if not entries:
        what = f"there is no chain {chain}"
        raise Failed(what, "a chain is an authorization's key: see `ecrauth list`", Exit.UNKNOWN)
    if as_json:
        screen.as_json([entry.model_dump(mode="json") for entry in entries])
        return
    rows = [
        (
            entry.sequence,
            entry.at.isoformat(" ", "seconds"),
            entry.what,
            ", ".join(f"{name}={fact}" for name, fact in entry.facts.items()),
        )
        for entry in entries
    ]
    screen.table(("#", "at", "what", "facts"), rows)


@app.command("export")
def export_audit(
    context: typer.Context,
    chain: Annotated[str | None, typer.Option(help="Of one chain; else of all")] = None,
    output: Annotated[Path | None, typer.Option(help="A file; else the standard output")] = None,
) -> None:
    """Every entry as a line of JSON, with its hash: for an archive, or a look at it elsewhere."""
    count = 0
    with ExitStack() as stack:
        ledger = stack.enter_context(reach.ledger(of(context)))
        try:
            file = stack.enter_context(output.open("x", encoding="utf-8")) if output else sys.stdout
        except FileExistsError:
            raise Failed(f"{output} is there already", "give another name") from None
        except OSError as error:
            raise Failed(f"{output} cannot be written ({error.strerror})") from None
        for entry in ledger.entries(chain):
            file.write(entry.model_dump_json() + "\n")
            count += 1
    if output:
        screen.line(f"{count} entries written to {output}")
