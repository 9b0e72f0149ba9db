"""What must hold once the faults of a schedule are over, by the ids of the invariants."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from shared.audit import verify
from shared.contract import read_request
from simulation.invariants import Broken
from simulation.wire.schedules import FOR_GOOD, SAMPLES
from simulation.wire.system import ACCOUNT_A

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ledger import Ledger
    from simulation.wire.run import FaultySystem

ATTEMPTS: Final = 20
"""How often a message comes before it is given up, as the functions have it by default."""
REFUSED_BY_POLICY: Final = ("line7",)
Letters = dict[str, list[dict[str, Any]]]


def at_rest(system: FaultySystem, ledger: Ledger) -> Counter[str]:
    """All of it, after a sweep; gives what was reached. Raises Broken."""
    letters = _letters(system)
    access("C", system, ledger, letters)
    reached = _answers(system, letters)
    _ledger(system, ledger, letters)
    for fault in verify(ledger):
        raise Broken("B2", f"the audit trail: {fault}")
    return reached


# Access -------------------------------------------------------------------------------------------


def access(tier: str, system: FaultySystem, ledger: Ledger, letters: Letters | None = None) -> None:
    """Grants and associations are what the live leases want, and the leases what was asked for."""
    names = {"B": ("B1", "B1", "B1"), "C": ("C1", "C2", "C3")}[tier]
    granted = {one.subject.instance_id for one in system.cloud.ecr.grants()}
    attached = Counter(one.subject.instance_id for one in system.cloud.ecr.associations())
    held = dict(_held(system, ledger))
    for name in SAMPLES:
        leases = held.get(name, {})
        example = next((of for of in system.asked if of.split()[0] == name), None)
        if example is None:
            continue
        instance = system.asked[example]["instance_id"]
        if attached[instance] > 1:
            raise Broken(names[0], f"{instance} is attached {attached[instance]} times")
        if system.fate(example) in FOR_GOOD:
            continue
        wanted = (bool(leases), any(leases.values()))
        stands = (instance in granted, attached[instance] == 1)
        if stands != wanted:
            where = (
                1
                if any(there and not asked for there, asked in zip(stands, wanted, strict=True))
                else 2
            )
            raise Broken(
                names[where], f"{name}: granted, attached {stands}, the leases want {wanted}"
            )
        expected = _expected(system, name, letters or _letters(system))
        if expected is not None and set(leases) != expected:
            raise Broken(names[2], f"{name}: live are {sorted(leases)}, asked {sorted(expected)}")


def _held(system: FaultySystem, ledger: Ledger) -> Iterator[tuple[str, dict[str, bool]]]:
    """Of each subject the live leases, and whether they want it attached."""
    for name, asked in system.asked.items():
        found = ledger.authorization(read_request(asked).authorization.key)
        if found is not None:
            yield name.split()[0], {one.id: one.attach for one in found[0].live_leases}


def _expected(system: FaultySystem, subject: str, letters: Letters) -> set[str] | None:
    """The grants that nothing has ended; None where the account has suffered."""
    mine = {of: asked for of, asked in system.asked.items() if of.split()[0] == subject}
    if any(system.fate(of) for of in mine):
        return None
    if subject in REFUSED_BY_POLICY:
        return set()
    ended = {asked["lease"] for asked in mine.values() if asked["action"] == "revoke"}
    cleared = mine.get(f"{subject} revoke all", {}).get("requested_at", "")
    return {
        asked["request_id"]
        for asked in mine.values()
        if asked["action"] == "grant"
        and asked["request_id"] not in ended
        and asked["requested_at"] > cleared
        and not _was_given_up(letters, asked["request_id"])
    }


# Answers ------------------------------------------------------------------------------------------


def _answers(system: FaultySystem, letters: Letters) -> Counter[str]:
    """One distinct answer to each request; copies of a result are equal to the byte."""
    reached: Counter[str] = Counter()
    bodies: dict[str, bytes] = {}
    finals: dict[str, dict[str, Any]] = {}
    for message in system.cloud.mns.queue(ACCOUNT_A, "ticketing-results").peek(10_000):
        event = json.loads(message.body)
        if bodies.setdefault(event["id"], message.body) != message.body:
            raise Broken("L2", f"two results {event['id']} differ")
        data = event["data"]
        if not data["final"]:
            continue
        first = finals.setdefault(data["request_id"], event)
        if first["id"] != event["id"]:
            raise Broken("B2", f"{data['request_id']} is answered {first['id']} and {event['id']}")
    for name, asked in system.asked.items():
        request_id = asked["request_id"]
        if request_id not in finals and not letters.get(request_id):
            raise Broken("L2", f"{request_id} has no answer and lies nowhere")
        data = finals[request_id]["data"] if request_id in finals else {"outcome": "none"}
        outcome = data["outcome"]
        reached[f"answer: {outcome}"] += 1
        if outcome in ("failed", "rejected") and not data.get("problem", {}).get("code"):
            raise Broken("B2", f"{request_id} is {outcome} without a code")
        if system.fate(name) is None and outcome not in _fitting(system, name, letters):
            raise Broken("B2", f"{request_id} is answered {outcome}: {data.get('problem')}")
    return reached


def _fitting(system: FaultySystem, name: str, letters: Letters) -> set[str]:
    subject, action, _ = name.split()
    asked = system.asked[name]
    if subject in REFUSED_BY_POLICY and action == "grant":
        return {"rejected"}
    fitting = {"revoked"}
    if action == "grant":
        fitting = {"attached"} if asked.get("attach", True) else {"granted"}
        if asked["request_id"] not in (_expected(system, subject, letters) or ()):
            fitting.add("rejected")
    if _was_given_up(letters, asked["request_id"]):
        fitting.add("failed")
    return fitting


# Ledger and dead letters --------------------------------------------------------------------------


def _ledger(system: FaultySystem, ledger: Ledger, letters: Letters) -> None:
    """Nothing is locked, unpublished or unfinished, and no letter lies without its reason."""
    later = system.now() + timedelta(days=1)
    for record in ledger.unpublished(later, 10):
        raise Broken("C3", f"{record.result.id} is not published")
    for name, asked in system.asked.items():
        found = ledger.authorization(read_request(asked).authorization.key)
        if found is not None and found[0].lock is not None:
            raise Broken("C3", f"the authorization of {name} is locked")
    for one in ledger.unfinished(later, 10):
        if not letters.get(one.request.request_id):
            raise Broken("B2", f"{one.request.request_id} is not finished on the ledger")
    fates = {asked["request_id"]: system.fate(name) for name, asked in system.asked.items()}
    for request_id, those in letters.items():
        if fates.get(request_id) is None and not _was_given_up(letters, request_id):
            raise Broken("L2", f"a letter of {request_id!r} that was not given up: {those[0]}")


def _letters(system: FaultySystem) -> Letters:
    """What the functions have buried, by the request that it is about."""
    found: Letters = {}
    for queue in ("ecr-requests-dead", "ecr-attachments-dead"):
        for letter in system.dead_letters(queue):
            message = letter["message"] if isinstance(letter["message"], dict) else {}
            about = message.get("data", message)
            found.setdefault(str(about.get("request_id", "")), []).append(letter)
    return found


def _was_given_up(letters: Letters, request_id: str) -> bool:
    return any(letter["attempt"] >= ATTEMPTS for letter in letters.get(request_id, []))
