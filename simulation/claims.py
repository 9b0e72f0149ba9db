"""CLAIMS.md: what the campaign lets us say, with its bounds, and what it does not let us say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulation.campaign import MUST_BE_REACHED, unreached
from simulation.scenarios import SCENARIOS

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from simulation.campaign import Tally
    from simulation.wire.campaign import WireTally

_PROMISES = (
    ("A1", "Access is only ever asked for under a recorded lease and a recorded intent."),
    (
        "A2",
        "An authorization has at most one association, but while a write lands late on a cloud "
        "that has forgotten its token; a sweep heals that (C1).",
    ),
    (
        "A3",
        "When `revoked` is made, the lease has ended, and access is gone unless another lease holds it; "
        "when `detached` is made, nothing is attached.",
    ),
    ("A4", "Nothing is revoked or detached while a lease lives whose ticket was told `granted`."),
    (
        "A5",
        "When `granted` is made, the grant is there; when `attached` is made, the association is "
        "there as well, and active.",
    ),
    ("A6", "In one generation at most one association is accepted, while the cloud keeps tokens."),
    ("A7", "Versions only rise; an ended lease never lives again."),
    (
        "A8",
        "Every call into account B bears credentials for that account, instance and action alone.",
    ),
    ("A10", "No call names what the registry does not."),
    ("B1", "Once the queues are drained, before any sweep, access is what the live leases want."),
    (
        "B2",
        "Every request taken has exactly one answer, one that failed or was rejected holds no lease, and "
        "the audit trail verifies.",
    ),
    (
        "C1–C3",
        "After late landings and one sweep (two where something landed late) the same holds again.",
    ),
    (
        "K1",
        "A request of the clean-up ends a lease only past its end, and never one that is exempt.",
    ),
    (
        "K2",
        "Nothing is asked for in a freeze, by a run that observes, by a braked run, or beyond what the "
        "brake lets pass, but what an operator has released; in a freeze nobody gets new access.",
    ),
    ("K3", "What the clean-up names as missing is missing, whatever a listing did not show."),
    (
        "K4",
        "What people have given, taken or detached by hand is mended where the registry says so once "
        "the timer has gone on for two days, and named by the last run where it does not.",
    ),
    ("K5", "A full audit names no difference of what nobody has meddled with."),
    (
        "L3",
        "A lease past its end is gone after one run of the timer; one that is renewed keeps its "
        "access; a braked, frozen, exempt or only observed one lives, and is named.",
    ),
    ("L1", "Once faults stop, the queues drain within 400 deliveries."),
    ("L2", "All copies of a result are equal."),
)
_ASSUMED = (
    "A ClientToken that the cloud remembers gives the first answer again, and has no second effect.",
    "A look shows what is there, or what was there before the last change, if that is not 60 s past.",
    "A cloud that forgets a ClientToken does so after that time.",
    "A write that has no answer lands within 15 minutes or never.",
    "MNS keeps what it has accepted, and delivers it at least once.",
    "The database carries out single conditional writes atomically.",
)
_NOT_SAID = (
    "That a result is published once: it may come twice, equal by id and bytes.",
    "That access ends at once: there are the queue, the detach, and traffic in flight.",
    "That access changed by hand is mended before the timer's next run; or anything about losses inside "
    "MNS.",
    "Anything about the real cloud: the ports imitate it, and its open questions are localcloud's switches.",
    "A9 (no secret is shown) is tested through the wire by tests/path/test_secrets.py, not here.",
)

_WIRE = "## Through the wire"


@dataclass(frozen=True)
class Facts:
    """Where and when a campaign ran."""

    commit: str
    when: datetime
    machine: str
    seconds: float
    first_seed: int


def put(path: Path, *, ports: str | None = None, wire: str | None = None) -> None:
    """Write one half of the document anew; the other one stays as its campaign has written it."""
    before, _, after = path.read_text("utf-8").partition(_WIRE) if path.exists() else ("", "", "")
    halves = (ports or before.rstrip(), wire or (_WIRE + after).rstrip())
    path.write_text("\n\n".join(half.strip() for half in halves) + "\n", "utf-8")


def wire_text(facts: Facts, tally: WireTally) -> str:
    """The half that the campaign through the wire writes."""
    rate = tally.count / facts.seconds
    lines = [
        _WIRE,
        "",
        "The official SDKs against localcloud, which checks signatures, policies and quotas, on a virtual clock; "
        "functions and ledger (SQLite) as shipped. Random schedules: tickets about up to three instances, messages "
        "duplicated, late and out of order, batches repeated, instances that die at any SDK call or ledger "
        "statement, calls cut, throttled and answered with errors before and after their effect, credentials "
        "that run out, roles, accounts and instances that vanish (a role may return), up to three of "
        "localcloud's switches. Then no more faults, and what waits has come again (six hours at most, where "
        "a person has to mend something): access is what the live leases want, before a sweep where "
        "no account has suffered, and after one everywhere (of what is gone for good only: not attached "
        "twice, and its requests are answered or lie in a dead-letter queue); every request has one "
        "answer, all copies are equal to the byte, the audit trail verifies.",
        "",
        f"- Run {facts.when:%Y-%m-%d %H:%M} UTC on {facts.machine}, from commit {facts.commit}, "
        f"in {facts.seconds:.0f} s ({rate:.1f} schedules a second).",
        f"- {tally.count:,} schedules, seeds from {facts.first_seed}; {len(tally.broken)} broke something."
        + (
            f" That means p < {3 / tally.count:.1e} at 95 % *of that distribution of schedules*."
            if tally.count and not tally.broken
            else ""
        ),
        "- A message is duplicated six times in a schedule at most: one that waits comes again, and "
        "would double each time.",
        "",
        "| situation | how often |",
        "|---|---|",
        *(f"| {name} | {count:,} |" for name, count in sorted(tally.reached.items())),
    ]
    return "\n".join(lines)


def ports_text(facts: Facts, tally: Tally, caught: dict[str, tuple[int, str] | None]) -> str:
    """The half that the campaign at the ports writes."""
    total = tally.schedules.total()
    random = tally.schedules["random"]
    lines = [
        "# Claims",
        "",
        "Written by `make simulate`; not by hand. Each sentence was looked at on every schedule that was run: at "
        "every effect (A), at rest before any sweep (B; not where a write was refused or landed late), and "
        "after late landings and a sweep (C). "
        "The shipped code ran, from the inbox down; the ledger was the one in memory, which passes the "
        "contract tests of the SQL ledger; the cloud was imitated at the ports.",
        "",
        f"- Run {facts.when:%Y-%m-%d %H:%M} UTC on {facts.machine}, from commit {facts.commit}, "
        f"in {facts.seconds:.0f} s ({total / facts.seconds:.0f} schedules a second).",
        f"- {total:,} schedules over {len(SCENARIOS)} scenarios: {tally.schedules['single']:,} with no or one "
        f"fault (all there are), {tally.schedules['pair']:,} with two (a share, spread evenly over the first "
        f"fault), {random:,} random ones with up to five, and {tally.schedules['tended']:,} that the timer tends "
        "(random rules, brake, freezes, exemptions; leases that end and are renewed, changes by hand, "
        f"releases, audits; up to six faults); seeds from {facts.first_seed}.",
        f"- {len(tally.broken)} schedules broke an invariant."
        + (
            f" For the first random ones that means p < {3 / random:.1e} at 95 % *of that distribution of "
            "schedules*."
            if random and not tally.broken
            else ""
        ),
        "",
        "| id | held |",
        "|---|---|",
        *(f"| {name} | {promise} |" for name, promise in _PROMISES),
        "",
        "## Bounds",
        "",
        "Faults: crash before and after, call not sent, reply lost, `Conflict.Lock`, throttling, unknown "
        "code, refusal, a write that lands after everything, stale looks, messages twice or late or out of "
        "order, two instances interleaved (at most two standing still at once, for up to 100 s), a cloud "
        "that forgets tokens, a ledger that does not answer, before or after it wrote, messages that are given "
        "up after two attempts, one or two sweeps at once while faults are on.",
        "",
        "Assumed:",
        "",
        *(f"- {one}" for one in _ASSUMED),
        "",
        "Not said:",
        "",
        *(f"- {one}" for one in _NOT_SAID),
        "",
        "## Reached",
        "",
        "A campaign that never meets a situation says nothing about it.",
        "",
        "| situation | how often |",
        "|---|---|",
        *(f"| {name} | {tally.reached[name]:,} |" for name in MUST_BE_REACHED),
        "",
        *(
            ["**Not reached: " + ", ".join(unreached(tally.reached)) + ".**", ""]
            if unreached(tally.reached)
            else []
        ),
        "## Planted bugs",
        "",
        f"{sum(found is not None for found in caught.values())} of {len(caught)} were caught.",
        "",
        "| bug | schedules until caught | by |",
        "|---|---|---|",
        *(
            f"| {name} | {found[0]:,} | {found[1].split(':')[0]} |"
            if found
            else f"| {name} | **not caught** | |"
            for name, found in caught.items()
        ),
        "",
    ]
    return "\n".join(lines)
