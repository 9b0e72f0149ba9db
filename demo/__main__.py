"""The whole path on this machine: tickets in, authorizations in accounts B, networks attached."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from rich.live import Live

from demo import cleaning, screen, systems
from demo.desk import Desk
from demo.story import Ticket, tickets
from demo.systems import TicketingSystems
from localcloud import worldfile
from localcloud.fc import Functions, load
from localcloud.server import LocalCloud

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from demo.receiver import Told
    from demo.systems import System

ROOT = Path(__file__).parents[1]
ACCOUNT_A = "1000200030004000"
EXTERNAL_ID_KEY = "demo-external-id-key-demo-external-id-key"
LONGEST_SECONDS = 60


def main() -> int:
    """Run the story; 0 where everything became of it that must, else 1."""
    console = screen.console()
    story = tickets()
    with (
        tempfile.TemporaryDirectory() as folder,
        TicketingSystems(Path(folder)) as ticketing,
        deployed(Path(folder), ticketing.environment) as local,
    ):
        console.print(f"localcloud listens on {local.url}: 4 accounts, 2 ECRs, 5 functions\n")
        desk = Desk(local.url)
        show(story, Cast(local, desk, ticketing), console)
        console.print(screen.answers(story))
        wrong = cleaning.show(local, desk, console)
        wrong += [f"an answer was not taken: {why}" for why in ticketing.refused]
        state = requests.get(f"{local.url}/_localcloud/state", timeout=5).json()
        console.print(screen.authorizations(state["authorizations"]))
        dead = state["queues"][f"{ACCOUNT_A}/ecr-requests-dead"][0]
    return verdict(story, state, dead, wrong, console)


@dataclass(frozen=True)
class Cast:
    """Who plays: the cloud, who puts requests on its queue, and the ticketing systems."""

    local: LocalCloud
    desk: Desk
    ticketing: TicketingSystems


def deployed(folder: Path, known: Mapping[str, str]) -> LocalCloud:
    """The demo's world with the functions of s.yaml in it; the ledger is a file in `folder`.

    Args:
        folder: Where the ledger is put.
        known: What the functions have to know of the ticketing systems.
    """
    environ = {
        **os.environ,
        **known,
        "LEDGER_URL": f"sqlite:///{folder}/ledger.db",
        "EXTERNAL_ID_KEY": EXTERNAL_ID_KEY,
        "CLOUD_SECONDS": "1",
    }
    functions = Functions(load(ROOT / "s.yaml", environ), account_uid=ACCOUNT_A, code=ROOT)
    return LocalCloud(worldfile.load(ROOT / "demo" / "world.yaml"), functions=functions)


def received(local: LocalCloud) -> list[str]:
    """The request ids that authorize has taken from its queue so far, as its log says."""
    lines = [json.loads(line) for line in local.cloud.fc.logs("ecr-authorize") if line[:1] == "{"]
    events = ("request_received", "message_refused")
    return [line["request_id"] for line in lines if line.get("event") in events]


def show(story: list[Ticket], cast: Cast, console: Console) -> None:
    """Send the tickets when their time has come; show what becomes of them until all is told."""
    started = time.monotonic()
    live = console.is_terminal
    lines = None if live else console
    table = Live(console=console, refresh_per_second=8) if live else nullcontext()
    with table as view:
        while not all(ticket.is_over for ticket in story):
            now = time.monotonic()
            if now - started > LONGEST_SECONDS:
                break
            send_due(story, cast, lines)
            time.sleep(0.05)
            note_received(story, received(cast.local), time.monotonic(), lines)
            for event in cast.desk.results(wait_seconds=0):
                note(story, event, time.monotonic(), lines)
            note_told(story, cast.ticketing.told, time.monotonic(), lines)
            if view is not None:
                view.update(screen.ways(story, time.monotonic()))
    if not live:
        console.print(screen.ways(story, time.monotonic()))


def send_due(story: list[Ticket], cast: Cast, console: Console | None) -> None:
    """Send every ticket that waits for nothing more."""
    over = {ticket.request_id for ticket in story if ticket.is_over and not ticket.repeats}
    for ticket in story:
        if ticket.sent_at is None and (ticket.after is None or ticket.after in over):
            ticket.sent_at = time.monotonic()
            if ticket.system is None:
                cast.desk.post(ticket.request)
            else:
                post(ticket, ticket.system, f"{cast.local.url}/_http/ecr-intake", console)


def post(ticket: Ticket, system: System, intake: str, console: Console | None) -> None:
    """A system's ticket is posted, signed; what is refused at the door is over."""
    answer = systems.post(intake, ticket.sample, system)
    now = time.monotonic()
    if answer.ok:
        say(ticket, f"posted, {answer.status_code}", now, console)
        return
    ticket.seen_code = answer.json().get("code")
    ticket.seen.append(("refused", now))
    say(ticket, f"refused, {answer.status_code} ({ticket.seen_code})", now, console)


def note_told(story: list[Ticket], told: list[Told], now: float, console: Console | None) -> None:
    """Write down what was written back to each ticket; its system has verified the signature."""
    for one in told:
        event_id = one.event_id or ""
        for ticket in story:
            is_its = event_id.rpartition("/")[0] == ticket.request_id and not ticket.repeats
            if is_its and one.document not in ticket.told:
                ticket.told.append(one.document)
                ticket.told_at = now
                say(ticket, f"written back: {one.document['outcome']}", now, console)


def note_received(
    story: list[Ticket], taken: list[str], now: float, console: Console | None
) -> None:
    """Write down when each ticket was seen to have been received."""
    for request_id in {ticket.request_id for ticket in story}:
        sent = [one for one in story if one.request_id == request_id and one.sent_at is not None]
        for ticket in sent[: taken.count(request_id)]:
            if ticket.received_at is None:
                ticket.received_at = now
                say(ticket, "received", now, console)


def say(ticket: Ticket, what: str, now: float, console: Console | None) -> None:
    """One plain line, where there is no terminal to show a live table in."""
    if console is not None:
        console.print(f"{now - (ticket.sent_at or now):5.1f}s  {ticket.request_id}  {what}")


def note(story: list[Ticket], event: dict[str, Any], now: float, console: Console | None) -> None:
    """Write a result to the ticket that it answers: the first that is sent and still waits.

    A result may come twice, equal by its id and its bytes; the second one is none.
    """
    data = event["data"]
    ours = [
        ticket
        for ticket in story
        if ticket.request_id == data["request_id"]
        and ticket.sent_at is not None
        and event["id"] not in ticket.seen_ids
    ]
    waiting = [ticket for ticket in ours if not ticket.is_over]
    for ticket in (waiting or [one for one in ours if not one.repeats])[:1]:
        ticket.seen_ids.add(event["id"])
        ticket.seen.append((data["outcome"], now))
        ticket.seen_code = data.get("problem", {}).get("code")
        code = f" ({ticket.seen_code})" if ticket.seen_code else ""
        say(ticket, f"{data['outcome']}{code}", now, console)


def verdict(
    story: list[Ticket],
    state: dict[str, Any],
    dead: int,
    wrong: list[str],
    console: Console,
) -> int:
    """Say whether all is as it must be; `wrong` is what is known not to be."""
    wrong += [ticket.title for ticket in story if not ticket.is_as_expected]
    standing = {row["instance_id"]: row["association"] for row in state["authorizations"]}
    must_stand = {
        "vpc-t4npayments0asia": "ACTIVE",
        "vbr-bp1factory0line1": "ACTIVE",
        "vpc-bp1payments0test": "ACTIVE",
        "vpc-bp1factory00plc": "ACTIVE",
        "vpc-bp1labor0bench": "",  # made by hand: the registry says to report it
    }
    if standing != must_stand:
        wrong.append("what stands in the cloud")
    if dead != 1:
        wrong.append("the malformed message is the one dead letter")
    if wrong:
        console.print(f"NOT AS EXPECTED: {', '.join(wrong)}")
        return 1
    console.print("All as expected: every ticket has its answer, and nothing else stands.")
    console.print("`make up` keeps such a system running, with its console in your browser.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
