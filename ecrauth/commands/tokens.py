"""`ecrauth token`: what a reader and a sender are known by."""

from __future__ import annotations

import base64
import secrets
from hashlib import sha256

import typer

from ecrauth import screen
from ecrauth.commands import options as given

app = typer.Typer(help="Make what readers and senders are known by.", no_args_is_help=True)

_BYTES = 32


@app.command("new")
def new_token(as_json: given.Json = False) -> None:
    """A bearer token for a reader, and its sha256 for registry.yaml; it is shown this once."""
    token = f"ecr_{secrets.token_urlsafe(_BYTES)}"
    digest = sha256(token.encode()).hexdigest()
    if as_json:
        screen.as_json({"token": token, "token_sha256": digest})
        return
    screen.line(f"token         {token}")
    screen.line(f"token_sha256  {digest}")


@app.command("secret")
def new_secret(as_json: given.Json = False) -> None:
    """A webhook secret for a sender (Standard Webhooks); it is shown this once."""
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(_BYTES)).decode()}"
    if as_json:
        screen.as_json({"secret": secret})
    else:
        screen.line(secret)
