"""The stand-in's command line: `python -m localcloud`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path  # noqa: TC003 -- typer reads the annotations
from typing import Annotated, Any

import requests
import typer
from rich.console import Console
from rich.table import Table

from localcloud import worldfile
from localcloud.behaviour import Behaviour, Fault, Switches
from localcloud.clock import VirtualClock
from localcloud.world import WorldError

app = typer.Typer(
    help="Alibaba Cloud on this machine, at the wire: STS, VPC, Express Connect Router, MNS and "
    "Function Compute, for the official SDKs. It checks signatures and RAM policies.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
fault_app = typer.Typer(help="Have things go wrong, on order.", no_args_is_help=True)
switch_app = typer.Typer(help="Settings for what the documents leave open.", no_args_is_help=True)
app.add_typer(fault_app, name="fault")
app.add_typer(switch_app, name="switch")
screen = Console() if sys.stdout.isatty() else Console(width=200)
errors = Console(stderr=True)

Url = Annotated[
    str, typer.Option(envvar="LOCALCLOUD_URL", help="Where it runs, as `up` has printed it")
]
_URL = "http://127.0.0.1:8080"


@app.command()
def up(  # noqa: PLR0913 -- each is an option
    world: Annotated[Path, typer.Option(help="The accounts and what they own (YAML)")],
    s_yaml: Annotated[Path | None, typer.Option(help="Run the functions of this s.yaml")] = None,
    account: Annotated[str, typer.Option(help="The account that they are deployed to")] = "",
    code: Annotated[Path | None, typer.Option(help="Their code, if not what s.yaml says")] = None,
    port: Annotated[int, typer.Option(help="On 127.0.0.1; 0 takes a free one")] = 8080,
    switch: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, see `switch list`")] = None,
    env: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for every function")] = None,
    virtual_clock: Annotated[bool, typer.Option(help="Time moves by `advance` alone")] = False,
) -> None:
    """Serve a world until interrupted."""
    from localcloud.fc import DeploymentError, Functions, load  # noqa: PLC0415 -- quick --help
    from localcloud.server import LocalCloud  # noqa: PLC0415 -- as above

    try:
        known = worldfile.load(world)
        switches = Switches.model_validate(_pairs(switch or []))
        functions = None
        if s_yaml is not None:
            functions = Functions(
                load(s_yaml, os.environ),
                account_uid=account or known.accounts[0].uid,
                code=code,
                root=s_yaml.parent,
                environment=_pairs(env or []),
            )
    except (WorldError, DeploymentError, ValueError) as error:
        raise _failed(error) from None
    clock = VirtualClock(time.time()) if virtual_clock else None
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    cloud = LocalCloud(
        known, clock=clock, behaviour=Behaviour(switches), functions=functions, port=port
    )
    with cloud as local:
        _say_where(local.url, known.accounts, functions)
        over.wait()
    screen.print("stopped")


def _say_where(url: str, accounts: list[Any], functions: Any) -> None:
    screen.print(f"localcloud listens on {url}  (stop it with Ctrl-C)")
    screen.print(f"  {len(accounts)} accounts: {', '.join(one.uid for one in accounts)}")
    if functions is not None:
        names = ", ".join(functions.deployment.functions)
        screen.print(f"  functions: {names}")
    screen.print("For SDKs and functions:")
    for product in ("STS", "VPC", "EXPRESSCONNECTROUTER", "MNS"):
        screen.print(f"  export ALIBABA_CLOUD_ENDPOINT_{product}={url}")
    screen.print(f"  export LOCALCLOUD_URL={url}")


@app.command("check-world")
def check_world(world: Path) -> None:
    """Say what is wrong with a world file, or count what is in it."""
    try:
        known = worldfile.load(world)
    except WorldError as error:
        raise _failed(error) from None
    table = _table("account", "name", "VPCs", "VBRs", "ECRs", "roles", "queues", "topics")
    for one in known.accounts:
        kinds = (one.vpcs, one.vbrs, one.ecrs, one.roles, one.queues, one.topics)
        table.add_row(one.uid, one.name, *(str(len(kind)) for kind in kinds))
    screen.print(table)


@app.command("check-deployment")
def check_deployment(s_yaml: Path) -> None:
    """Say what is wrong with an s.yaml, or list its functions and triggers."""
    from localcloud.fc import DeploymentError, load  # noqa: PLC0415 -- quick --help

    try:
        deployment = load(s_yaml, os.environ)
    except DeploymentError as error:
        raise _failed(error) from None
    table = _table("function", "runtime", "handler", "timeout", "triggers")
    for name, props in deployment.functions.items():
        triggers = ", ".join(f"{one.triggerName} ({one.triggerType})" for one in props.triggers)
        table.add_row(name, props.runtime, props.handler, f"{props.timeout} s", triggers)
    screen.print(table)


@app.command()
def state(url: Url = _URL) -> None:
    """What stands in a running cloud: authorizations, associations, queues."""
    screen.print_json(json.dumps(_asked("GET", url, "state")))


@app.command()
def calls(url: Url = _URL) -> None:
    """The last API calls: when, what, who, and the answer."""
    table = _table("at", "product", "action", "account", "status", "code")
    for one in _asked("GET", url, "calls"):
        at = time.strftime("%H:%M:%S", time.gmtime(one["at"]))
        row = (one["product"], one["action"], one["account"], one["status"], one["code"])
        table.add_row(at, *("" if value is None else str(value) for value in row))
    screen.print(table)


@app.command()
def logs(function: str, url: Url = _URL) -> None:
    """The last lines that a function has printed."""
    printed = _asked("GET", url, "logs")
    if function not in printed:
        raise _failed(f"no function {function!r}: {', '.join(printed) or 'none is run'}")
    for line in printed[function]:
        typer.echo(line)


@app.command()
def advance(seconds: float, url: Url = _URL) -> None:
    """Move a virtual clock."""
    screen.print(_asked("POST", url, "advance", {"seconds": seconds})["now"])


@switch_app.command("list")
def list_switches() -> None:
    """Every switch, its values (the first is the default), and what it settles."""
    table = _table("switch", "values", "what it settles", show_lines=True)
    for name, values, meaning in Switches.described():
        table.add_row(name, values, meaning)
    screen.print(table)


@switch_app.command("set")
def set_switch(setting: list[str], url: Url = _URL) -> None:
    """Set switches of a running cloud: NAME=VALUE."""
    given = {
        name: json.loads(value) if value in ("true", "false") or value.isdigit() else value
        for name, value in _pairs(setting).items()
    }
    screen.print_json(json.dumps(_asked("PATCH", url, "switches", given)))


@fault_app.command("add")
def add_fault(  # noqa: PLR0913 -- each is an option
    kind: Annotated[str, typer.Argument(help="cut, hang, error, throttle or html")],
    product: Annotated[str, typer.Option(help="sts, vpc, ecr, mns, fc or *")] = "*",
    action: Annotated[str, typer.Option(help="An API action, or *")] = "*",
    when: Annotated[str, typer.Option(help="before or after it took effect")] = "before",
    times: Annotated[int, typer.Option(help="How many calls it hits; -1: all")] = 1,
    account: Annotated[str | None, typer.Option(help="Only calls of this account")] = None,
    status: Annotated[int, typer.Option(help="For error: the HTTP status")] = 503,
    code: Annotated[str, typer.Option(help="For error: the code")] = "ServiceUnavailable",
    seconds: Annotated[float, typer.Option(help="For hang: how long")] = 1.0,
    url: Url = _URL,
) -> None:
    """Have the next calls that fit go wrong."""
    try:
        fault = Fault.model_validate(
            {
                "kind": kind,
                "product": product,
                "action": action,
                "when": when,
                "times": times,
                "account": account,
                "status": status,
                "code": code,
                "seconds": seconds,
            }
        )
    except ValueError as error:
        raise _failed(error) from None
    screen.print_json(json.dumps(_asked("POST", url, "faults", fault.model_dump())))


@fault_app.command("delivery")
def deliver(  # noqa: PLR0913 -- each is an option
    duplicate: Annotated[float, typer.Option(help="Chance that a message comes twice")] = 0.0,
    delay: Annotated[float, typer.Option(help="Chance that it comes late")] = 0.0,
    delay_seconds: Annotated[float, typer.Option(help="How late")] = 5.0,
    reorder: Annotated[float, typer.Option(help="Chance that it overtakes another")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed, the same draws")] = 0,
    url: Url = _URL,
) -> None:
    """How queues deliver from now on; without options, faithfully."""
    given = {
        "duplicate": duplicate,
        "delay": delay,
        "delay_seconds": delay_seconds,
        "reorder": reorder,
        "seed": seed,
    }
    screen.print_json(json.dumps(_asked("PUT", url, "delivery", given)))


@fault_app.command("list")
def list_faults(url: Url = _URL) -> None:
    """The faults still to come."""
    screen.print_json(json.dumps(_asked("GET", url, "faults")))


@fault_app.command("clear")
def clear_faults(url: Url = _URL) -> None:
    """No more faults."""
    _asked("DELETE", url, "faults")
    screen.print("no faults")


def _table(*headings: str, show_lines: bool = False) -> Table:
    """A table that breaks the text of its last column before any id."""
    table = Table(show_lines=show_lines)
    for heading in headings[:-1]:
        table.add_column(heading, overflow="fold", no_wrap=heading != "values")
    table.add_column(headings[-1], overflow="fold")
    return table


def _asked(method: str, url: str, control: str, body: Any = None) -> Any:
    try:
        answer = requests.request(method, f"{url}/_localcloud/{control}", json=body, timeout=10)
    except requests.RequestException:
        raise _failed(f"nothing answers on {url}: start it with `up`, or give --url") from None
    document = answer.json()
    if not answer.ok:
        raise _failed(document["error"])
    return document


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
        pairs[name] = value
    return pairs


def _failed(error: object) -> typer.Exit:
    errors.print(str(error), style="red", highlight=False, markup=False)
    return typer.Exit(1)
