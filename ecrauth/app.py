"""The commands put together, with the options that all of them have."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ecrauth import screen
from ecrauth.commands import (
    account,
    cleanup,
    doctor,
    functions,
    letters,
    reading,
    requests,
    sweeping,
    tokens,
    trail,
)
from ecrauth.exits import MEANINGS
from ecrauth.settings import NAMES, SECRET, folder, of

_HELP = (
    "Ask for cross-account ECR authorizations, follow them, and look after the system. "
    "It works by the environment, or a profile: `ecrauth settings` lists the names."
)
_EPILOG = "Exit codes: " + "; ".join(f"{code:d} {meaning}" for code, meaning in MEANINGS.items())

Profile = Annotated[
    str | None,
    typer.Option(help="A profile by its name or file; else ECRAUTH_PROFILE, else `default`"),
]


def build(*, plain: bool) -> typer.Typer:
    """The command line.

    Args:
        plain: Help and errors without boxes and colour.
    """
    app = typer.Typer(
        name="ecrauth",
        help=_HELP,
        epilog=_EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None if plain else "rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_with_settings)
    app.add_typer(requests.app, name="request")
    app.add_typer(account.app, name="account")
    reading.add_to(app)
    app.add_typer(letters.app, name="dead-letters")
    sweeping.add_to(app)
    app.add_typer(cleanup.app, name="cleanup")
    app.add_typer(trail.app, name="audit")
    app.add_typer(tokens.app, name="token")
    functions.add_to(app)
    doctor.add_to(app)
    app.command("settings")(show_settings)
    return app


def _with_settings(context: typer.Context, profile: Profile = None) -> None:
    context.obj = profile


def show_settings(context: typer.Context) -> None:
    """What can be set, what is, and where; secrets are not shown."""
    found = of(context)
    rows = [
        (
            name,
            "(set)" if name in SECRET and found.get(name) else found.get(name),
            found.sources.get(name, ""),
            meaning,
        )
        for name, meaning in NAMES.items()
    ]
    screen.table(("name", "value", "from", "what it is"), rows)
    if not found.sources:
        screen.line(f"Nothing is set. Profiles are files like {folder(os.environ)}/default.yaml")
