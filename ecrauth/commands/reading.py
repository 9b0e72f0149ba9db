"""`ecrauth status`, `wait`, `list`: by intake where ECRAUTH_URL is set, else by the ledger."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import typer

from ecrauth import screen
from ecrauth.commands import options as given
from ecrauth.exits import BY_OUTCOME, Exit, Failed, Unreached
from ecrauth.settings import of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ecrauth.settings import Settings

_EVERY_SECONDS: Final = (0.5, 1.0, 2.0, 3.0)


class Told(Protocol):
    """Where what became of requests is read: `door.Door` or `book.Book`."""

    def request(self, request_id: str) -> dict[str, Any]:
        """What became of a request. Raises Failed; UNKNOWN where it is not there."""

    def authorizations(self, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Every authorization that fits."""


def add_to(app: typer.Typer) -> None:
    """The commands are the app's."""
    app.command()(status)
    app.command()(wait)
    app.command("list")(list_authorizations)


def told(settings: Settings) -> Told:
    """Where to read: intake, or the ledger. Raises Failed."""
    if settings.get("ECRAUTH_URL"):
        from ecrauth.door import Door

        return Door(settings)
    if settings.get("LEDGER_URL"):
        from ecrauth.book import Book

        return Book(settings)
    what = "set ECRAUTH_URL and ECRAUTH_TOKEN, or LEDGER_URL, in the environment or a profile"
    raise Failed("there is nowhere to read from", what)


def status(context: typer.Context, request_id: str, as_json: given.Json = False) -> None:
    """What became of a request: each result, what is wrong, and what to do about it."""
    found = told(of(context)).request(request_id)
    if as_json:
        screen.as_json(found)
    else:
        _show(found)


def wait(
    context: typer.Context,
    request_id: str,
    timeout: given.Timeout = given.SECONDS,
    as_json: given.Json = False,
) -> None:
    """Wait until a request has its answer. The exit code is its outcome: see `ecrauth --help`."""
    await_answer(of(context), request_id, timeout, as_json=as_json)


def await_answer(settings: Settings, request_id: str, timeout: float, *, as_json: bool) -> None:
    """The request has its answer, and it is printed.

    Args:
        settings: Where to read.
        request_id: Whose answer.
        timeout: Seconds.
        as_json: Print the whole of it as JSON at the end; else each result as it comes.

    Raises:
        Failed: Its outcome is none of those that were asked for, or the time is over.
    """
    until, shown, found = time.monotonic() + timeout, 0, None
    source = told(settings)
    for pause in _pauses():
        found = _looked(source, request_id) or found
        results = found["results"] if found else []
        if not as_json:
            for one in results[shown:]:
                _result(one)
            shown = len(results)
        if (found and found["final"]) or time.monotonic() >= until:
            break
        time.sleep(min(pause, max(0.0, until - time.monotonic())))
    if as_json:
        screen.as_json(found)
    _end(request_id, found, timeout)


def _pauses() -> Iterator[float]:
    yield from _EVERY_SECONDS
    while True:
        yield _EVERY_SECONDS[-1]


def _looked(source: Told, request_id: str) -> dict[str, Any] | None:
    """What became of it; None where it is not there yet, or nothing answers for a moment."""
    from shared.ledger import LedgerUnavailable, OlderLedger

    try:
        return source.request(request_id)
    except (Unreached, LedgerUnavailable, OlderLedger) as error:
        if sys.stderr.isatty():
            sys.stderr.write(f"ecrauth: {error} (trying again)\n")
        return None
    except Failed as failed:
        if failed.code is Exit.UNKNOWN:
            return None
        raise


def _end(request_id: str, found: dict[str, Any] | None, timeout: float) -> None:
    if found is None:
        what = f"no request {request_id} was there within {timeout:g} s"
        raise Failed(what, "is the id right? one on the queue is there when it is taken",
                     Exit.TIMEOUT)  # fmt: skip
    if not found["final"]:
        what = f"{request_id} has no answer after {timeout:g} s"
        raise Failed(what, f"it goes on; `ecrauth status {request_id}` shows it", Exit.TIMEOUT)
    outcome = str(found["state"])
    code = BY_OUTCOME.get(outcome, Exit.ERROR)
    if code is not Exit.DONE:
        problem = found["results"][-1].get("problem") or {}
        what = f"{request_id} {outcome}" + (f" ({problem['code']})" if problem else "")
        raise Failed(what, str(problem.get("remedy", "")).rstrip("."), code)


def list_authorizations(  # noqa: PLR0913 -- each is an option
    context: typer.Context,
    ecr: given.Ecr = None,
    account: Annotated[str | None, typer.Option(help="Of one account B")] = None,
    instance: Annotated[str | None, typer.Option(help="Of one instance")] = None,
    state: Annotated[
        str | None, typer.Option(help="attached, granted, waiting, ending or revoked")
    ] = None,
    expiring_before: given.Before = None,
    as_json: given.Json = False,
) -> None:
    """What stands: authorizations with their state, leases and ends."""
    query = {
        "ecr_id": ecr,
        "account_uid": account,
        "instance_id": instance,
        "state": state,
        "expiring_before": expiring_before.astimezone().isoformat() if expiring_before else None,
    }
    wanted = {name: value for name, value in query.items() if value}
    found = list(told(of(context)).authorizations(wanted))
    if as_json:
        screen.as_json(found)
        return
    rows = [
        (
            one["ecr_id"],
            one["instance_id"],
            one["instance_region_id"],
            one["instance_owner_uid"],
            one["state"],
            screen.moment(one.get("expires_at")),
            ", ".join(lease["ticket"] for lease in one["leases"]),
        )
        for one in found
    ]
    headings = ("ECR", "instance", "region", "account", "state", "expires at", "tickets")
    screen.table(headings, rows)


def _show(found: dict[str, Any]) -> None:
    screen.line(f"{found['request_id']}  {found['state']}{'' if found['final'] else ' …'}")
    for name in ("action", "ticket", "ecr_id", "instance_id", "lease"):
        if found.get(name):
            screen.line(f"  {name:<12} {found[name]}")
    if found.get("received_at"):
        screen.line(f"  {'received_at':<12} {screen.moment(found['received_at'])}")
    for one in found["results"]:
        _result(one)


def _result(one: dict[str, Any]) -> None:
    problem = one.get("problem") or {}
    code = f"  ({problem['code']})" if problem else ""
    screen.line(f"  {screen.moment(one['at'])}  {one['outcome']}{code}")
    for name in ("message", "remedy"):
        if problem.get(name):
            screen.line(f"      {problem[name]}")
    for part in one.get("parts") or ():
        told_code = f"  ({part['code']})" if part.get("code") else ""
        screen.line(f"      {part['instance_id']}  {part['outcome']}{told_code}")
    sys.stdout.flush()
