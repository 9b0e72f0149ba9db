"""One schedule through the wire: what is asked for and when, and all that goes wrong on the way.

The same seed always gives the same schedule, and the same schedule the same trace, but where the
messages of a batch are worked on by threads, as in Function Compute: the machine orders those.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, NamedTuple, get_args, get_origin

from localcloud.behaviour import Switches
from simulation.wire.seams import CALL, KINDS, STATEMENT
from simulation.wire.system import BUILDERS, ROOT

POST = "post"
OVER = "credentials over"
ROLE_GOES = "role goes"
ROLE_RETURNS = "role returns"
ACCOUNT_GOES = "account goes"
INSTANCE_GOES = "instance goes"
VBR_REFUSED = "VBR refused"
FOR_GOOD = (ROLE_GOES, ACCOUNT_GOES, INSTANCE_GOES)
"""What takes account B's side away; a role may return."""

ACTIONS = {
    "sts": ("AssumeRole",),
    "ecr": (
        "GrantInstanceToExpressConnectRouter",
        "RevokeInstanceFromExpressConnectRouter",
        "CreateExpressConnectRouterAssociation",
        "DescribeExpressConnectRouterAssociation",
        "DeleteExpressConnectRouterAssociation",
        "AttachExpressConnectRouterChildInstance",
        "DescribeExpressConnectRouterChildInstance",
        "DetachExpressConnectRouterChildInstance",
    ),
    "vpc": ("DescribeVpcGrantRulesToEcr", "DescribeGrantRulesToEcr"),
    "mns": ("SendMessage", "PublishMessage"),
}
NUMBERS: dict[str, tuple[float, ...]] = {
    "grant_visible_after_seconds": (3.0, 20.0),
    "token_retention_seconds": (0.0, 30.0),
    "operation_seconds": (0.0, 5.0, 45.0),
    "writes_per_minute": (2, 10),
    "reads_per_minute": (3, 20),
}
PAUSES = (0.0, 0.0, 0.0, 0.5, 2.0, 5.0, 20.0, 200.0, 1000.0, 7200.0)
SAMPLES = {
    "main": "grant_vpc",
    "asia": "grant_vpc_other_region",
    "line": "grant_vbr",
    "plc": "grant_attached_by_hand",
    "bench": "grant_vpc",
    "line7": "grant_vbr_not_enabled",
}
_BENCH = {
    "ecr_id": "ecr-sg3edge8wv5n2",
    "instance_id": "vpc-bp1labor0bench",
    "instance_owner_uid": "4000500060007000",
    "expires_at": "2027-03-01T00:00:00Z",
}


class Event(NamedTuple):
    """What happens, to what; and how many seconds then go by."""

    what: str
    of: str
    pause: float = 0.0


class Ordered(NamedTuple):
    """A fault that localcloud is told to have: see `localcloud.behaviour.Fault`."""

    product: str
    action: str
    kind: Literal["cut", "error", "throttle", "html"]
    when: Literal["before", "after"]
    times: int


class Stop(NamedTuple):
    """What happens at a `call` or a `statement`, by its number: see `simulation.wire.seams`."""

    of: str
    number: int
    kind: str


@dataclass(frozen=True)
class WireSchedule:
    """What is tried.

    Args:
        seed: What it was drawn from; also of the jitter and of how messages are disturbed.
        events: What is asked for, and what becomes of accounts, in order.
        switches: Those that differ from the default.
        delivery: The chances of a message to be duplicated, delayed, reordered.
        faults: What localcloud does to calls.
        stops: What happens to the functions' instances and their ledger.
        threads: The messages of a batch are worked on at once, as deployed; else in turn.
    """

    seed: int
    events: tuple[Event, ...]
    switches: tuple[tuple[str, Any], ...] = ()
    delivery: tuple[float, float, float] = (0.0, 0.0, 0.0)
    faults: tuple[Ordered, ...] = ()
    stops: tuple[Stop, ...] = ()
    threads: bool = False


def sampled(seed: int) -> WireSchedule:
    """A random schedule."""
    chance = random.Random(seed)  # noqa: S311 -- a simulation
    return WireSchedule(
        seed=seed,
        events=tuple(_events(chance)),
        switches=tuple(_switches(chance)),
        delivery=(_rarely(chance), _rarely(chance), _rarely(chance)),
        faults=tuple(_fault(chance) for _ in range(chance.choice((0, 1, 2, 3, 4)))),
        stops=tuple(_stop(chance) for _ in range(chance.choice((0, 1, 1, 2, 3)))),
        threads=chance.random() < 0.2,
    )


def lighter(schedule: WireSchedule) -> list[WireSchedule]:
    """Every schedule that has one thing less in it."""
    found = []
    for name in ("events", "faults", "stops", "switches"):
        things = getattr(schedule, name)
        found += [
            replace(schedule, **{name: things[:number] + things[number + 1 :]})
            for number in range(len(things))
        ]
    for number, share in enumerate(schedule.delivery):
        if share:
            shares = [
                0.0 if which == number else one for which, one in enumerate(schedule.delivery)
            ]
            found.append(replace(schedule, delivery=(shares[0], shares[1], shares[2])))
    if schedule.threads:
        found.append(replace(schedule, threads=False))
    return found


@cache
def document(name: str) -> dict[str, Any]:
    """The request of a name: `main grant 1`, `main revoke 1`, `main revoke all`."""
    subject, action, which = name.split()
    sample = ROOT / "events" / "requests" / f"{SAMPLES[subject]}.json"
    found: dict[str, Any] = json.loads(sample.read_text("utf-8"))
    if subject == "bench":
        found |= _BENCH
    found |= {"request_id": name.replace(" ", "-"), "action": action, "ticket": subject}
    if action == "revoke":
        found["lease"] = which if which == "all" else f"{subject}-grant-{which}"
        found = {key: found[key] for key in found if key not in ("attach", "expires_at")}
    return found


def _events(chance: random.Random) -> list[Event]:
    subjects = chance.sample(sorted(SAMPLES), chance.choice((1, 2, 2, 3)))
    waiting = [_asked(chance, subject) for subject in subjects]
    names = []
    while any(waiting):
        names.append(chance.choice([one for one in waiting if one]).pop(0))
    events = [Event(POST, name, chance.choice(PAUSES)) for name in names]
    if chance.random() < 0.25:
        _put_in(chance, events, Event(OVER, chance.choice(sorted(BUILDERS))))
    if chance.random() < 0.4:
        _disturb(chance, events, chance.choice(subjects))
    return events


def _asked(chance: random.Random, subject: str) -> list[str]:
    """The requests about one subject, in the order in which they are made."""
    names = [f"{subject} grant 1"]
    for share, name in (
        (0.2, "grant 1"),
        (0.5, "grant 2"),
        (0.6, "revoke 1"),
        (0.1, "revoke 1"),
        (0.2, "revoke all"),
        (0.2, "revoke 2"),
        (0.3, "grant 3"),
    ):
        if chance.random() < share:
            names.append(f"{subject} {name}")
    if chance.random() < 0.1:  # a revoke before its grant
        names.insert(0, f"{subject} revoke 1")
    return names


def _disturb(chance: random.Random, events: list[Event], subject: str) -> None:
    """One account B loses something, for good or for a while."""
    uid = document(f"{subject} grant 1")["instance_owner_uid"]
    kinds = [ROLE_GOES, ROLE_GOES, ACCOUNT_GOES, INSTANCE_GOES]
    kind = chance.choice(kinds + [VBR_REFUSED] * (subject == "line"))
    if kind == VBR_REFUSED:
        events.insert(0, Event(kind, uid))
        return
    at = _put_in(chance, events, Event(kind, subject if kind == INSTANCE_GOES else uid))
    if kind == ROLE_GOES and chance.random() < 0.5:
        _put_in(chance, events, Event(ROLE_RETURNS, uid), at + 1)


def _put_in(chance: random.Random, events: list[Event], event: Event, first: int = 0) -> int:
    at = chance.randint(first, len(events))
    events.insert(at, event._replace(pause=chance.choice(PAUSES)))
    return at


def _switches(chance: random.Random) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in chance.sample(sorted(Switches.model_fields), chance.choice((0, 1, 2, 3))):
        kind = Switches.model_fields[name].annotation
        if kind is bool:
            found.append((name, not Switches.model_fields[name].default))
        elif get_origin(kind) is Literal:
            found.append((name, chance.choice(get_args(kind)[1:])))
        else:
            found.append((name, chance.choice(NUMBERS[name])))
    return found


def _rarely(chance: random.Random) -> float:
    return chance.choice((0.0, 0.0, 0.3))


def _fault(chance: random.Random) -> Ordered:
    product = chance.choice(sorted(ACTIONS))
    kind = chance.choice(("cut", "error", "throttle", "html"))
    # What is throttled has not been done: that is what the answer says.
    when = "before" if kind == "throttle" else chance.choice(("before", "after"))
    return Ordered(product, chance.choice(ACTIONS[product]), kind, when, chance.randint(1, 3))


def _stop(chance: random.Random) -> Stop:
    of = chance.choice((CALL, STATEMENT))
    number = chance.randrange(*((30,) if of == CALL else (160,)))
    return Stop(of, number, chance.choice(KINDS[of]))
