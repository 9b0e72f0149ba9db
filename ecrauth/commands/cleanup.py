"""`ecrauth cleanup`: what is due, stale or adrift; the brake."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from ecrauth import reach, screen
from ecrauth.commands import options as given
from ecrauth.exits import Exit, Failed
from ecrauth.settings import of

app = typer.Typer(help="What is due, stale or adrift; the brake.", no_args_is_help=True)


@app.command("run")
def run_cleanup(
    context: typer.Context,
    dry: Annotated[bool, typer.Option("--dry", help="Look and report; ask for nothing")] = False,
) -> None:
    """Go on with the clean-up's run, or begin one, as the timer does."""
    from ecrauth import report
    from functions.cleanup.handler import cleanup as cleaning

    with reach.house(of(context)) as house:
        screen.line(report.summary(cleaning(house).run(dry=dry)))


@app.command("audit")
def run_audit(context: typer.Context) -> None:
    """Begin a full audit, which asks each account B, or go on with it; the timer does the rest."""
    from ecrauth import report
    from functions.cleanup.handler import audit as auditing

    with reach.house(of(context)) as house:
        audited = auditing(house).go_on(begin=True)
    screen.line(report.summary(audited) if audited else "another one is at it")


@app.command("report")
def show_report(  # noqa: PLR0913 -- each is an option
    context: typer.Context,
    audit: Annotated[bool, typer.Option("--audit", help="Of the last full audit")] = False,
    day: Annotated[str | None, typer.Option(help="Of a day (2026-11-24); else the last")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write it as Markdown")] = None,
    html: Annotated[Path | None, typer.Option(help="Write it as an HTML file")] = None,
    as_json: given.Json = False,
) -> None:
    """What the last run of the clean-up has found."""
    from ecrauth import report
    from shared.cleanup import notes
    from shared.cleanup.audit import last_audit

    with reach.ledger(of(context)) as ledger:
        run = last_audit(ledger) if audit else notes.report(ledger, day)
        if run is None:
            what = "no audit has ended yet" if audit else "the clean-up has not run yet"
            raise Failed(f"no run of {day}" if day else what, code=Exit.UNKNOWN)
        told = list(notes.each_told(ledger, run))
    if as_json:
        findings = [one.model_dump(mode="json") for one in told]
        screen.as_json({**run.model_dump(mode="json"), "findings": findings})
    for path, text in ((markdown, report.markdown(run, told)), (html, report.html(run, told))):
        if path is not None:
            path.write_text(text, "utf-8")
            screen.line(f"written to {path}")
    if not (markdown or html or as_json):
        screen.line(report.summary(run))
        screen.table(("finding", "of", "what"), [(one.name, one.key, one.sentence) for one in told])


@app.command("brake")
def show_brake(context: typer.Context) -> None:
    """The list that waits for an operator, if the brake is on."""
    from ecrauth import report
    from shared.cleanup import notes
    from shared.cleanup.brake import brake_on

    with reach.ledger(of(context)) as ledger:
        brake = brake_on(ledger)
        asks = list(notes.asks_of(ledger, brake.run)) if brake else []
    if brake is None:
        screen.line("the brake is off")
        return
    screen.line(report.summary(brake.run))
    names = ("action", "instance_id", "ecr_id", "lease", "ticket")
    rows = [[one.get(name, "") for name in names] for one in asks]
    screen.table(("action", "instance", "ECR", "lease", "ticket"), rows)
    screen.line(f"cleanup release {brake.digest}, or cleanup drop {brake.digest}")


@app.command("release")
def release_brake(context: typer.Context, digest: str) -> None:
    """Let the next run ask for the braked list with this digest, and for no other."""
    _decide(context, digest, release=True)


@app.command("drop")
def drop_brake(context: typer.Context, digest: str) -> None:
    """Forget the braked list with this digest; the next run decides anew."""
    _decide(context, digest, release=False)


def _decide(context: typer.Context, digest: str, *, release: bool) -> None:
    from shared.audit import Trail
    from shared.cleanup.brake import decide

    with reach.ledger(of(context)) as ledger:
        trail = Trail(ledger, reach.now)
        decide(ledger, trail, digest, getpass.getuser(), release=release)
    screen.line("released" if release else "dropped")
