"""`python -m operations`: what an operator does by hand, with the environment of the functions."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path  # noqa: TC003 -- typer reads the annotations
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from functions.cleanup.handler import audit as auditing
from functions.cleanup.handler import cleanup as cleaning
from functions.cleanup.handler import sweep as sweeping
from functions.wiring import House, utc_now
from operations import report
from shared.audit import verify
from shared.cleanup import notes
from shared.cleanup.audit import last_audit
from shared.cloud.credentials import NoCredentials
from shared.cloud.errors import CloudFailure
from shared.dead_letters import DeadLetters
from shared.ledger import LedgerUnavailable, NewerLedger
from shared.registry import BadRegistry

app = typer.Typer(
    help="Look after the authorizations: clean-up, dead letters, sweep, audit trail. Reads the "
    "environment that s.yaml gives the functions (LEDGER_URL, QUEUE, …).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
letters_app = typer.Typer(help="What could not be done, and why.", no_args_is_help=True)
audit_app = typer.Typer(help="What was done, by whom, for which ticket.", no_args_is_help=True)
cleanup_app = typer.Typer(help="What is due, stale or adrift; the brake.", no_args_is_help=True)
app.add_typer(letters_app, name="dead-letters")
app.add_typer(cleanup_app, name="cleanup")
app.add_typer(audit_app, name="audit")
screen = Console() if sys.stdout.isatty() else Console(width=200)
errors = Console(stderr=True)

Queue = Annotated[str, typer.Option(help="The dead-letter queue")]
_REQUESTS_DEAD = "ecr-requests-dead"


@letters_app.command("list")
def list_letters(queue: Queue = _REQUESTS_DEAD) -> None:
    """Every letter with its reason."""
    table = Table()
    for heading in ("message id", "request", "attempts", "reason"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "message id")
    for letter in _letters(queue).all():
        row = (letter.message_id, letter.request_id or "", str(letter.attempt), letter.reason)
        table.add_row(*row)
    screen.print(table)


@letters_app.command("show")
def show_letter(message_id: str, queue: Queue = _REQUESTS_DEAD) -> None:
    """One letter, whole."""
    for letter in _letters(queue).all():
        if letter.message_id == message_id:
            screen.print(f"{letter.reason} (attempt {letter.attempt}, queue {letter.queue})")
            typer.echo(letter.message)
            return
    raise _failed(f"no letter {message_id} in {queue}")


@letters_app.command("redrive")
def redrive(
    message_ids: Annotated[list[str] | None, typer.Argument(help="Which; see `list`")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them")] = False,
    queue: Queue = _REQUESTS_DEAD,
) -> None:
    """Give letters another chance. What was done already is not done again."""
    if every == bool(message_ids):
        raise _failed("give the message ids of letters, or --all")
    wanted = None if every else set(message_ids or ())
    redriven = _letters(queue).redrive(wanted, getpass.getuser())
    screen.print(f"{len(redriven)} redriven")
    if wanted is not None and len(redriven) < len(wanted):
        missing = wanted - {letter.message_id for letter in redriven}
        raise _failed(f"not there: {', '.join(sorted(missing))}")


@app.command()
def sweep() -> None:
    """Pick up what lies: stuck requests, unpublished results, due authorizations."""
    try:
        swept = sweeping(_house()).run()
    except (CloudFailure, LedgerUnavailable) as error:
        raise _failed(error) from None
    screen.print(f"{swept.published} published, {swept.resent} resent, {swept.woken} woken")
    if not swept.is_whole:
        screen.print("more is left for the next sweep")


@cleanup_app.command("run")
def run_cleanup(
    dry: Annotated[bool, typer.Option("--dry", help="Look and report; ask for nothing")] = False,
) -> None:
    """Go on with the clean-up's run, or begin one, as the timer does."""
    screen.print(report.summary(cleaning(_house()).run(dry=dry)))


@cleanup_app.command("audit")
def run_audit() -> None:
    """Begin a full audit, which asks each account B, or go on with it; the timer does the rest."""
    audited = auditing(_house()).go_on(begin=True)
    screen.print(report.summary(audited) if audited else "another one is at it")


@cleanup_app.command("report")
def show_report(
    audit: Annotated[bool, typer.Option("--audit", help="Of the last full audit")] = False,
    day: Annotated[str | None, typer.Option(help="Of a day (2026-11-24); else the last")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write it as Markdown")] = None,
    html: Annotated[Path | None, typer.Option(help="Write it as an HTML file")] = None,
) -> None:
    """What the last run of the clean-up has found."""
    ledger = _house().ledger
    try:
        run = last_audit(ledger) if audit else notes.report(ledger, day)
    except notes.UnreadableNote as error:
        raise _failed(error) from None
    if run is None:
        what = "no audit has ended yet" if audit else "the clean-up has not run yet"
        raise _failed(f"no run of {day}" if day else what)
    told = list(notes.each_told(ledger, run))
    for path, text in ((markdown, report.markdown(run, told)), (html, report.html(run, told))):
        if path is not None:
            path.write_text(text, "utf-8")
            screen.print(f"written to {path}", markup=False)
    if markdown is None and html is None:
        screen.print(report.summary(run))
        table = Table()
        for heading in ("finding", "of", "what"):
            table.add_column(heading, overflow="fold")
        for one in told:
            table.add_row(one.name, one.key, escape(one.sentence))
        screen.print(table)


@cleanup_app.command("brake")
def show_brake() -> None:
    """The list that waits for an operator, if the brake is on."""
    ledger = _house().ledger
    try:
        brake = notes.brake_on(ledger)
        asks = list(notes.asks_of(ledger, brake.run)) if brake else []
    except notes.UnreadableNote as error:
        raise _failed(f"{error}: the next run looks, and the one after it decides anew") from None
    if brake is None:
        screen.print("the brake is off")
        return
    screen.print(report.summary(brake.run))
    table = Table()
    for heading in ("action", "instance", "ECR", "lease", "ticket"):
        table.add_column(heading, overflow="fold")
    for one in asks:
        lease = str(one.get("lease", ""))
        table.add_row(one["action"], one["instance_id"], one["ecr_id"], lease, one["ticket"])
    screen.print(table)
    screen.print(f"cleanup release {brake.digest}, or cleanup drop {brake.digest}")


@cleanup_app.command("release")
def release_brake(digest: str) -> None:
    """Let the next run ask for the braked list with this digest, and for no other."""
    _decide(digest, release=True)


@cleanup_app.command("drop")
def drop_brake(digest: str) -> None:
    """Forget the braked list with this digest; the next run decides anew."""
    _decide(digest, release=False)


def _decide(digest: str, *, release: bool) -> None:
    house = _house()
    try:
        notes.decide(house.ledger, house.trail, digest, getpass.getuser(), release=release)
    except notes.NoSuchBrake as error:
        raise _failed(error) from None
    screen.print("released" if release else "dropped")


@audit_app.command("verify")
def verify_audit() -> None:
    """Find every altered, missing or reordered entry; 1 where there is one."""
    faults = verify(_house().ledger)
    for fault in faults:
        screen.print(f"{fault.chain} {fault.sequence}: {fault.what}", markup=False)
    if faults:
        raise _failed(f"{len(faults)} faults")
    screen.print("the trail is whole")


@audit_app.command("show")
def show_audit(chain: str) -> None:
    """The entries of one chain: an authorization's key, `unaddressed`, `seals`."""
    table = Table()
    for heading in ("#", "at", "what", "facts"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "facts")
    for entry in _house().ledger.entries(chain):
        facts = ", ".join(f"{name}={fact}" for name, fact in entry.facts.items())
        table.add_row(str(entry.sequence), entry.at.isoformat(" ", "seconds"), entry.what, facts)
    screen.print(table)


def _letters(queue: str) -> DeadLetters:
    house = _house()
    return DeadLetters(house.messages, queue, house.trail)


def _house() -> House:
    # An operator has no queue of their own; the settings ask for one.
    defaults = {"QUEUE": "ecr-requests", "DEAD_LETTER_QUEUE": _REQUESTS_DEAD}
    defaults |= {"RESULT_TOPIC": "ecr-results"}
    try:
        return House({**defaults, **os.environ}, utc_now)
    except ValidationError as error:
        names = ", ".join(str(fault["loc"][0]).upper() for fault in error.errors())
        raise _failed(f"the environment lacks, or has wrongly: {names}") from None
    except (BadRegistry, LedgerUnavailable, NewerLedger, NoCredentials, ValueError) as error:
        raise _failed(error) from None


def _failed(error: Any) -> typer.Exit:
    errors.print(str(error), style="red", highlight=False, markup=False)
    return typer.Exit(1)


if __name__ == "__main__":
    try:
        app()
    except (CloudFailure, LedgerUnavailable, NoCredentials) as failure:
        errors.print(str(failure), style="red", highlight=False, markup=False)
        sys.exit(1)
