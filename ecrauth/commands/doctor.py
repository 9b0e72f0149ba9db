"""`ecrauth doctor`: what is wrong with account A and the accounts B, and what mends it."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecrauth import reach, screen
from ecrauth.commands import options as given
from ecrauth.exits import Exit, Failed
from ecrauth.settings import of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ecrauth.settings import Settings
    from shared.doctor.findings import Finding, NotChecked
    from shared.registry import Registry

_ORDER = ("problem", "unknown", "warning")
_EVERY = 10
"""Per cent of the accounts, in a pipe: a line after each."""


def add_to(app: typer.Typer) -> None:
    """The command is one of the app's."""
    app.command()(doctor)


def doctor(
    context: typer.Context,
    account: Annotated[str | None, typer.Option(help="One account B, by its id")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All accounts B of registry.yaml (the default)")
    ] = False,
    function: Annotated[str, typer.Option(help="The authorize function")] = "ecr-authorize",
    as_json: given.Json = False,
) -> None:
    """Say what is wrong, why it matters, and what mends it; change nothing.

    Exit code 0: no problem was found (there may be warnings); 1: there are problems, or something
    gave no answer.
    """
    settings = of(context)
    registry = reach.registry(settings)
    if account is not None and everything:
        raise Failed("--account and --all are one too many", "give one of them", Exit.USAGE)
    uids = _chosen(registry, account)
    began = time.monotonic()
    found, unseen = _account_a(settings, registry)
    found += _accounts_b(settings, function, uids)
    found.sort(key=lambda one: (_ORDER.index(one.level), one.about, one.id))
    seconds = time.monotonic() - began
    if as_json:
        screen.as_json(
            {
                "accounts": len(uids),
                "seconds": round(seconds, 1),
                "findings": [one.model_dump() for one in found],
                "not_checked": [one.model_dump() for one in unseen],
            }
        )
    else:
        _show(found, unseen, len(uids), seconds)
    if any(one.level in ("problem", "unknown") for one in found):
        raise typer.Exit(Exit.ERROR)


def _chosen(registry: Registry, account: str | None) -> list[str]:
    if account is None:
        return sorted(registry.accounts)
    given.check_account(account)
    if account not in registry.accounts:
        raise Failed(f"registry.yaml has no account {account}", "", Exit.UNKNOWN)
    return [account]


def _account_a(settings: Settings, registry: Registry) -> tuple[list[Finding], list[NotChecked]]:
    from shared.cloud.credentials import from_environment
    from shared.cloud.listings import Listings
    from shared.doctor.account_a import AccountA
    from shared.ledger import LedgerUnavailable, NewerLedger, OlderLedger

    with ExitStack() as stack:
        ledger, no_ledger = None, ""
        try:
            ledger = stack.enter_context(reach.ledger(settings))
        except (Failed, LedgerUnavailable, NewerLedger, OlderLedger) as error:
            no_ledger = str(error)
        region = settings.need("FC_REGION")
        messages = reach.messages(settings)
        stack.callback(messages.close)
        return AccountA(
            account_uid=settings.need("FC_ACCOUNT_ID"),
            region=region,
            messages=messages,
            listings=Listings(reach.reached(settings, "EXPRESSCONNECTROUTER"), region),
            credentials=lambda: from_environment(settings.values, None),
            registry=registry,
            ledger=ledger,
            no_ledger=no_ledger,
            now=reach.now,
        ).examined()


def _accounts_b(settings: Settings, function: str, uids: list[str]) -> list[Finding]:
    """Slice by slice, at a pace that leaves STS's quota to the work; what fails stops no other."""
    from shared.doctor.findings import finding
    from shared.doctor.probing import CALLS_A_SECOND, MOST_ACCOUNTS

    found, _, code = _asked(settings, function, [])
    if code:
        return [finding("function_not_answering", function, code=code)]
    with _progress(len(uids)) as done:
        for start in range(0, len(uids), MOST_ACCOUNTS):
            began = time.monotonic()
            some = uids[start : start + MOST_ACCOUNTS]
            told, assumed, code = _asked(settings, function, some)
            found += told
            if code:
                found += [finding("account_not_asked", uid, code=code) for uid in some]
            done(len(some))
            if start + MOST_ACCOUNTS < len(uids):
                time.sleep(max(0.0, assumed / CALLS_A_SECOND - (time.monotonic() - began)))
    return found


def _asked(
    settings: Settings, function: str, uids: list[str]
) -> tuple[list[Finding], int, str | None]:
    """What the function answers for some accounts; a code where it does not."""
    from ecrauth import invoking
    from shared.doctor.findings import Finding

    event = json.dumps({"check": "doctor", "accounts": uids}).encode()
    try:
        answer = invoking.today(settings, invoking.Call(function, event))
        if answer.error_type:
            return [], 0, answer.error_type
        told: dict[str, Any] = json.loads(answer.body)
        return [Finding(**one) for one in told["findings"]], int(told["assumed"]), None
    except Failed as failed:
        code = str(failed).partition(":")[0]
        return [], 0, code if re.fullmatch(r"[A-Za-z.]{1,64}", code) else "no answer"
    except (ValueError, KeyError, TypeError):
        return [], 0, "an answer of another release"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a line for every tenth in a pipe; on the standard error."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("accounts B", total=total)
            yield lambda count: bar.advance(task, count)
        return
    state = {"done": 0, "told": 0}

    def advanced(count: int) -> None:
        state["done"] += count
        if total > _EVERY and state["done"] * 100 >= state["told"] + total * _EVERY:
            state["told"] = state["done"] * 100
            sys.stderr.write(f"doctor: {state['done']} of {total} accounts\n")

    yield advanced


def _show(found: list[Finding], unseen: list[NotChecked], accounts: int, seconds: float) -> None:
    for one in found:
        screen.line(f"{one.level}  {one.about}  {one.what}  [{one.id}]")
        screen.line(f"    why:  {one.why}")
        screen.line(f"    mend: {one.mend}")
    for other in unseen:
        screen.line(f"not checked  {other.what}: {other.why}")
    counts = [(level, sum(one.level == level for one in found)) for level in _ORDER]
    told = ", ".join(f"{count} {level}" for level, count in counts if count) or "nothing is wrong"
    screen.line(f"{accounts} accounts B and account A in {seconds:.1f} s: {told}")
