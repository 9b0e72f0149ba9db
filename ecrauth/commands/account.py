"""`account add | external-id | rotate`: take an account B in, and change the ExternalIds' key.

It works by the environment: EXTERNAL_ID_KEY (and EXTERNAL_ID_KEY_NEXT), FC_ACCOUNT_ID, FC_REGION,
REGISTRY_FILE; `rotate` needs an access key of account A that may invoke the function.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ecrauth.commands import options as given

if TYPE_CHECKING:
    from pydantic import SecretStr

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

    secret = _secret(uid, use_next=use_next)
    region, account_a = _set("FC_REGION"), _set("FC_ACCOUNT_ID")
    known = _roles()
    try:
        entry = onboarding.registry_entry(uid, name, ecr, region)
    except ValueError as error:
        _fail(str(error))
    _say("1. registry.yaml, under `accounts`, then `make check` and `s deploy`:")
    _say()
    _say(entry)
    _say("2. In account A: the authorize role may assume the role in the account.")
    _say()
    roles = [*known, onboarding.role_arn(uid)]
    _say("   " + onboarding.stack_a(region, roles, stack_a).shell())
    _say()
    _say(f"3. In account {uid}: the role, which trusts account A's authorize role alone.")
    _say()
    if not show_external_id:
        again = " --next" if use_next else ""
        _say(f'   {onboarding.VARIABLE}="$(ecrauth account external-id {uid}{again})"')
    if group:
        command = onboarding.stack_instance(region, uid, secret, group, change=use_next)
    else:
        command = onboarding.stack_b(region, account_a, secret, stack_b)
    _say("   " + command.shell(reveal=show_external_id))


@app.command("external-id")
def show(uid: Uid, use_next: Next = False) -> None:
    """Print the account's ExternalId, and nothing else."""
    _say(_secret(uid, use_next=use_next).get_secret_value())


@app.command("rotate")
def rotate(
    function: Annotated[str, typer.Option(help="The authorize function")] = "ecr-authorize",
    as_json: given.Json = False,
) -> None:
    """Say how a change of keys stands, by asking every account B, and what is to be done next."""
    from shared import onboarding

    found: list[Trust] = []
    try:
        while True:
            began = time.monotonic()
            told = _invoked(function, found[-1].account_uid if found else "")
            found += [onboarding.Trust(**one) for one in told["accounts"]]
            if not told["more"] or not told["accounts"]:
                break
            time.sleep(max(0.0, 1 - (time.monotonic() - began)))  # STS's quota is by the second
        step, which = onboarding.next_step(found, changing=told["changing"])
    except (KeyError, TypeError):
        _fail("the function did not say how it stands: is it of this release?")
    told = {"changing": told["changing"], "accounts": [asdict(one) for one in found]}
    if as_json:
        _say(json.dumps({**told, "next": step, "for": [one.account_uid for one in which]}))
        return
    for one in found:
        code = f" ({one.code})" if one.code else ""
        _say(f"{one.account_uid}  {one.trusts:<8}{code}  {one.name}")
    _say()
    _say(step)
    for one in which:
        again = " --next" if told["changing"] else ""
        _say(f"  ecrauth account add {one.account_uid}{again} --stack-b STACK_ID")


def _invoked(function: str, after: str) -> dict[str, Any]:
    """What the function answers; its role alone is trusted in accounts B."""
    event = json.dumps({"check": "external_ids", "after": after}).encode()
    from alibabacloud_fc20230330 import models
    from alibabacloud_fc20230330.client import Client
    from darabonba.exceptions import DaraException
    from darabonba.runtime import RuntimeOptions

    from shared.cloud import sdk
    from shared.cloud.credentials import NoCredentials, from_environment
    from shared.cloud.endpoints import BadEndpoint, endpoint

    region, account = _set("FC_REGION"), _set("FC_ACCOUNT_ID")
    try:
        url = endpoint("FC", os.environ, region=region, account=account)
        client = Client(sdk.config(from_environment(os.environ, None), url, region))
        request = models.InvokeFunctionRequest(body=BytesIO(event))
        headers = models.InvokeFunctionHeaders(x_fc_invocation_type="Sync")
        options = RuntimeOptions(read_timeout=150_000, autoretry=False)
        given = client.invoke_function_with_options(function, request, headers, options)
        answer: dict[str, Any] = json.loads(given.body.read())
    except (NoCredentials, BadEndpoint) as error:
        _fail(str(error))
    except DaraException as error:
        _fail(f"{function} cannot be invoked: {getattr(error, 'code', None) or 'no answer'}")
    except ValueError:
        _fail(f"{function} did not answer with JSON")
    return answer


def _secret(uid: str, *, use_next: bool) -> SecretStr:
    if not re.fullmatch(r"[0-9]{16}", uid, re.ASCII):
        _fail("an account's id has 16 digits")
    from pydantic import SecretStr

    from shared.external_ids import external_id

    name = "EXTERNAL_ID_KEY_NEXT" if use_next else "EXTERNAL_ID_KEY"
    try:
        return external_id(SecretStr(_set(name)), uid)
    except ValueError as error:
        _fail(f"{name}: {error}")


def _roles() -> list[str]:
    from shared.registry import BadRegistry, load

    path = Path(os.environ.get("REGISTRY_FILE") or "registry.yaml")
    try:
        return [one.role_arn.lower() for one in load(path).accounts.values()]
    except BadRegistry as error:
        _fail(str(error))


def _set(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        _fail(f"{name} is not set")
    return value


def _say(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def _fail(reason: str) -> NoReturn:
    sys.stderr.write(f"account: {reason}\n")
    raise typer.Exit(1)
