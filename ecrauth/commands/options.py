"""The options that several commands share."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import typer

from ecrauth.exits import Exit, Failed

_MOMENTS = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]

Json = Annotated[bool, typer.Option("--json", help="As JSON")]
File = Annotated[
    str | None, typer.Option(help="A request or bundle in JSON; - is the standard input")
]
Mapping = Annotated[
    str | None,
    typer.Option(help="The file is a ticketing system's own payload; mappings/NAME.yaml reads it"),
]
Straight = Annotated[
    bool, typer.Option("--queue", help="Straight onto the request queue, without intake")
]
Sender = Annotated[
    str | None,
    typer.Option(help="With --queue: the sender of registry.yaml to whose callback answers go"),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the answer, as `ecrauth wait` does")]
SECONDS = 600.0
"""How long an answer is waited for, where nobody says."""
Timeout = Annotated[float, typer.Option(min=0, help="How many seconds to wait for the answer")]
RequestId = Annotated[str | None, typer.Option(help="Its id; else the ticket's number")]
Ticket = Annotated[str | None, typer.Option(help="The ticket's number")]
Lease = Annotated[
    str | None, typer.Argument(help="The request id of the grant whose lease ends, or `all`")
]
Renewed = Annotated[str, typer.Argument(help="The request id of the grant, or of its bundle")]
Requester = Annotated[str | None, typer.Option(help="Who asks")]
Reason = Annotated[str | None, typer.Option(help="Why")]
Ecr = Annotated[str | None, typer.Option("--ecr", help="ecr-…")]
EcrOwner = Annotated[str | None, typer.Option(help="The account that owns the ECR")]
Instances = Annotated[
    list[str] | None, typer.Option("--instance", help="vpc-… or vbr-…; several make one bundle")
]
Region = Annotated[str | None, typer.Option(help="Where the instances are")]
InstanceOwner = Annotated[str | None, typer.Option(help="The account that owns the instances")]
Mode = Annotated[str | None, typer.Option(help="Of a bundle: best_effort or all_or_nothing")]
Attach = Annotated[
    bool | None, typer.Option(help="Attach in account A, too; or leave it to a person")
]
ExpiresAt = Annotated[datetime | None, typer.Option(formats=_MOMENTS, help="When the lease ends")]
Approval = Annotated[str | None, typer.Option(help="approved, pending or rejected")]
ApprovedBy = Annotated[list[str] | None, typer.Option(help="Who approved; may be given again")]
WindowSince = Annotated[
    datetime | None, typer.Option(formats=_MOMENTS, help="The change window's beginning")
]
WindowUntil = Annotated[datetime | None, typer.Option(formats=_MOMENTS, help="Its end")]
CallbackUrl = Annotated[str | None, typer.Option(help="Where answers are written back to")]
CallbackSystem = Annotated[str | None, typer.Option(help="By which mapping: servicenow, …")]
CallbackLanguage = Annotated[str | None, typer.Option(help="en or zh")]
Before = Annotated[datetime | None, typer.Option(formats=_MOMENTS, help="Whose lease ends before")]


def check_account(uid: str) -> None:
    """It is an account's id. Raises Failed."""
    if not re.fullmatch(r"[0-9]{16}", uid, re.ASCII):
        raise Failed("an account's id has 16 digits", "it looks like 2000300040005000", Exit.USAGE)
