"""`account add | external-id | rotate`: take an account B in, and change the ExternalIds' key."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecrauth import invoking, reach, screen
from ecrauth.commands import options as given
from ecrauth.exits import Exit, Failed
from ecrauth.settings import of

if TYPE_CHECKING:
    from pydantic import SecretStr

    from ecrauth.settings import Settings
    from shared.onboarding import Trust

app = typer.Typer(
    help="Take an account B in; change the key of the ExternalIds.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Uid = Annotated[str, typer.Argument(help="The account's id, 16 digits")]
Next = Annotated[bool, typer.Option("--next", help="By EXTERNAL_ID_KEY_NEXT: a change of keys")]


@app.command("add")
def add(  # noqa: PLR0913 -- the options of a command
    context: typer.Context,
    uid: Uid,
    name: Annotated[str, typer.Option(help="What registry.yaml calls it")] = "new account",
    ecr: Annotated[str, typer.Option(help="The ECR that it may ask for")] = "ecr-…",
    stack_a: Annotated[str | None, typer.Option(help="Account A's stack, where it stands")] = None,
    stack_b: Annotated[str | None, typer.Option(help="Account B's stack, to change it")] = None,
    group: Annotated[str | None, typer.Option(help="A stack group instead of a stack")] = None,
    use_next: Next = False,
    show_external_id: Annotated[
        bool, typer.Option(help="The ExternalId in the command, instead of a shell variable")
    ] = False,
) -> None:
    """Print what account A and account B must deploy for one account B."""
    from shared import onboarding

    settings = of(context)
    secret = _secret(settings, uid, use_next=use_next)
    region, account_a = settings.need("FC_REGION"), settings.need("FC_ACCOUNT_ID")
    known = [one.role_arn.lower() for one in reach.registry(settings).accounts.values()]
    try:
        entry = onboarding.registry_entry(uid, name, ecr, region)
    except ValueError as error:
        raise Failed(error, "give another --name", Exit.USAGE) from None
    screen.line("1. registry.yaml, under `accounts`, then `make check` and `s deploy`:")
    screen.line()
    for one in entry.split("\n"):
        screen.line(one)
    screen.line("2. In account A: the authorize role may assume the role in the account.")
    screen.line()
    roles = [*known, onboarding.role_arn(uid)]
    screen.line("   " + onboarding.stack_a(region, roles, stack_a).shell())
    screen.line()
    screen.line(f"3. In account {uid}: the role, which trusts account A's authorize role alone.")
    screen.line()
    if not show_external_id:
        printed = f"{_again(context)} external-id {uid}" + (" --next" if use_next else "")
        screen.line(f'   {onboarding.VARIABLE}="$({printed})"')
    if group:
        command = onboarding.stack_instance(region, uid, secret, group, change=use_next)
    else:
        command = onboarding.stack_b(region, account_a, secret, stack_b)
    screen.line("   " + command.shell(reveal=show_external_id))


@app.command("external-id")
def show(context: typer.Context, uid: Uid, use_next: Next = False) -> None:
    """Print the account's ExternalId, and nothing else."""
    screen.line(_secret(of(context), uid, use_next=use_next).get_secret_value())


@app.command("rotate")
def rotate(
    context: typer.Context,
    function: Annotated[str, typer.Option(help="The authorize function")] = "ecr-authorize",
    as_json: given.Json = False,
) -> None:
    """Say how a change of keys stands, by asking every account B, and what is to be done next.

    It needs an access key of account A that may invoke the function.
    """
    from shared import onboarding

    found, changing = _asked(of(context), function)
    step, which = onboarding.next_step(found, changing=changing)
    if as_json:
        accounts = [asdict(one) for one in found]
        told = {"changing": changing, "accounts": accounts}
        screen.as_json({**told, "next": step, "for": [one.account_uid for one in which]})
        return
    for one in found:
        code = f" ({one.code})" if one.code else ""
        screen.line(f"{one.account_uid}  {one.trusts:<8}{code}  {one.name}")
    screen.line()
    screen.line(step)
    for one in which:
        following = " --next" if changing else ""
        screen.line(f"  {_again(context)} add {one.account_uid}{following} --stack-b STACK_ID")


def _asked(settings: Settings, function: str) -> tuple[list[Trust], bool]:
    """How all accounts B stand, and whether the function has a next key. Raises Failed.

    Slice by slice: the function's role alone is trusted in accounts B.
    """
    from shared.onboarding import Trust

    found: list[Trust] = []
    while True:
        began = time.monotonic()
        told = _told(settings, function, found[-1].account_uid if found else "")
        try:
            some = [Trust(**one) for one in told["accounts"]]
            changing, is_more = bool(told["changing"]), bool(told["more"])
        except (KeyError, TypeError):
            what = f"{function} did not say how it stands"
            raise Failed(what, "is it the authorize function, and of this release?") from None
        found += some
        if not is_more or not some:
            return found, changing
        time.sleep(max(0.0, 1 - (time.monotonic() - began)))  # STS's quota is by the second


def _told(settings: Settings, function: str, after: str) -> Any:
    """What the function answers about the accounts after one. Raises Failed."""
    event = json.dumps({"check": "external_ids", "after": after}).encode()
    answer = invoking.today(settings, invoking.Call(function, event))
    if answer.error_type:
        what = f"{function} failed: {answer.error_type}"
        raise Failed(what, f"its log has request {answer.request_id}")
    try:
        return json.loads(answer.body)
    except ValueError:
        what = f"{function} did not answer with JSON"
        raise Failed(what, "is it the authorize function?") from None


def _secret(settings: Settings, uid: str, *, use_next: bool) -> SecretStr:
    from pydantic import SecretStr

    from shared.external_ids import external_id

    given.check_account(uid)
    name = "EXTERNAL_ID_KEY_NEXT" if use_next else "EXTERNAL_ID_KEY"
    key = SecretStr(settings.need(name))
    try:
        return external_id(key, uid)
    except ValueError as error:
        raise Failed(f"{name}: {error}", "set the key that the functions have") from None


def _again(context: typer.Context) -> str:
    """How this command is called again: by the same profile, or it would take another key."""
    profile = f" --profile {shlex.quote(context.obj)}" if context.obj else ""
    return f"ecrauth{profile} account"
