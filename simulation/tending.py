"""What must hold where the timer tends: the clean-up takes nothing it must not, and leaves nothing.

K1  A request of the clean-up ends a lease only past its end, and never one that is exempt.
K2  Nothing is asked for in a freeze, by a run that observes, by a braked run; nothing beyond what
    the brake lets pass, but what an operator has released. In a freeze nobody gets new access.
K3  What the clean-up names as missing is missing: a listing that failed or was suddenly empty
    takes nothing as gone.
K4  At rest each difference that people have made is mended where the registry says so, and else
    named by the last run.
K5  An audit names no difference of what nobody has meddled with.
L3  At rest no lease is past its end, unless braked, frozen, exempt or only observed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from shared.audit import verify
from shared.authorization import VISIBLE_AFTER
from shared.cleanup.brake import BRAKE, BrakeOn, brake_on
from shared.cleanup.notes import (
    RUN,
    CleanupRun,
    Found,
    Rows,
    each_told,
    noted,
    rows_key,
)
from shared.cleanup.words import AUDIT
from shared.contract import AuthorizationId
from simulation.invariants import Broken, Invariants

if TYPE_CHECKING:
    from datetime import datetime

    from shared.authorization import Authorization, Lease
    from shared.cleanup.findings import Shown
    from shared.contract import ResultBody
    from simulation.memory import MemoryLedger
    from simulation.system import System

OPERATOR = "anna"
_ABSENT = {"missing", "not_attached", "attached_without_grant"}
_IN_B = {"only_in_a", "only_in_b", "missing_in_b", "other_time"}
_UNHELD = {"unmanaged", "left_behind", "attached_without_lease"}


class Tending(Invariants):
    """Looks at every write of the clean-up, and at what it has come to."""

    def __init__(self, system: System, ledger: MemoryLedger) -> None:
        super().__init__(system, ledger)
        self.touched: dict[str, datetime] = {}
        self.attached_by_hand: set[str] = set()
        self.landed_late: set[str] = set()
        self.runs: dict[str, CleanupRun] = {}
        self.released: set[str] = set()
        self.believed_empty: set[str] = set()
        self.cleanup = system.registry.cleanup
        put_note = ledger.put_note

        def put(key: str, text: str, version: int) -> bool:
            done = put_note(key, text, version)
            if done:
                self._noted(key, text)
            return done

        ledger.put_note = put  # type: ignore[method-assign]

    # What is told of it --------------------------------------------------------------------------

    def decided(self, *, release: bool) -> None:
        """An operator has decided about a braked run."""
        self.reached["an operator released" if release else "an operator dropped"] += 1

    def emptied(self, shown: Shown) -> None:
        """A listing is about to be shown empty."""
        for ecr_id in {key.split(":")[0] for key in (*shown.grants, *shown.associations)}:
            rows = noted(self.ledger, rows_key(ecr_id), Rows).document
            if rows is None or rows.rows == 0:
                self.believed_empty.add(ecr_id)
            else:
                self.reached["a listing was suddenly empty"] += 1

    # At every write ------------------------------------------------------------------------------

    def changed(self, name: str, of: AuthorizationId) -> None:
        """A2, A6, but for what people have meddled with."""
        if self.landing:
            self.landed_late.add(of.key)
        if of.key not in self.touched:
            super().changed(name, of)

    def _made(self, data: ResultBody) -> None:
        if data.authorization is None or data.authorization.key not in self.touched:
            super()._made(data)

    def _put(self, key: str) -> None:
        before = self.before.get(key)
        super()._put(key)
        record, _ = self.ledger.records[key]
        for lease in record.leases:
            was = before.lease(lease.id) if before else None
            if was is not None and was.is_live and not lease.is_live:
                self._ended(record, was, lease.ended_by or "")
            if was is None and lease.is_live and not (before and before.live_leases):
                self._begun(key, lease)

    def _ended(self, record: Authorization, lease: Lease, by: str) -> None:
        """K1."""
        asked = self.ledger.requests.get(by)
        if asked is None or not by.startswith(("expired-", "stray-", "adopted-")):
            return
        if asked.request.action != "revoke":
            return  # an adoption that failed
        now = self.system.ports.now
        if lease.expires_at is None or lease.expires_at > now:
            raise Broken(
                "K1", f"{by} ends {lease.id} of {record.id.key}, which is not past its end"
            )
        if self.system.registry.cleanup.exemptions and self._is_exempt(record.id, lease.id, now):
            raise Broken("K1", f"{by} ends {lease.id} of {record.id.key}, which is exempt")
        self.reached["ended by the clean-up"] += 1

    def _begun(self, key: str, lease: Lease) -> None:
        """K2: in a freeze nobody gets new access."""
        asked = self.ledger.requests.get(lease.id)
        if asked is not None and self._is_frozen(asked.received_at):
            raise Broken("K2", f"{lease.id} gets {key} in a freeze")

    def _noted(self, key: str, text: str) -> None:
        if key == RUN:
            run = CleanupRun.model_validate_json(text)
            earlier = self.runs.get(run.id)
            if earlier and earlier.outcome is None and run.outcome is not None:
                self.reached[f"a run {run.outcome}"] += 1
            self.runs[run.id] = run
            self.believed_empty.clear()  # what comes next is another listing
        elif key == BRAKE:
            brake = BrakeOn.model_validate_json(text)
            if brake.released_by == OPERATOR:  # also where its crash kept the operator from knowing
                self.released.add(brake.run.id)
        elif key.startswith("cleanup/found/2/"):
            for one in Found.model_validate_json(text).told:
                self._audited(one.name, one.key)
        elif key.startswith("cleanup/found/") and key.count("/") == 3:
            for one in Found.model_validate_json(text).told:
                self._found(one.name, one.key)
        elif key == AUDIT and '"outcome":"audited"' in text and '"is_told":true' in text:
            self.reached["an audit ended"] += 1

    def _found(self, name: str, key: str) -> None:
        """K3: what is named as missing is missing, now or a moment ago."""
        self.reached[f"found {name}"] += 1
        ecr_id, ports = key.split(":", maxsplit=1)[0], self.system.ports
        if name not in _ABSENT or ecr_id in self.believed_empty:
            return
        record, changed = self._record(key), self.touched.get(key)
        if changed is not None and ports.now - changed <= 2 * VISIBLE_AFTER:
            return
        if record is not None and self._is_at_work(record):
            return
        is_there = bool(ports.standing(key)) if name == "not_attached" else key in ports.grants
        if is_there:
            raise Broken("K3", f"{key} is named {name}, and it is there")

    def _is_at_work(self, record: Authorization) -> bool:
        """Its world has changed a moment ago, or is about to."""
        known = self.system.ports.before.get(record.id.key)
        now = self.system.ports.now
        recent = known is not None and now - known[0] <= 2 * VISIBLE_AFTER
        return recent or record.lock is not None or bool(record.open)

    def _audited(self, name: str, key: str) -> None:
        """K5."""
        self.reached[f"audited {name}"] += 1
        is_sure = (
            key not in self.landed_late and key.split(":", maxsplit=1)[0] not in self.believed_empty
        )
        if name in _IN_B and key not in self.touched and is_sure:
            raise Broken("K5", f"an audit names {key} {name}, and nobody has meddled with it")

    # In the end ----------------------------------------------------------------------------------

    def nothing_too_much(self) -> None:
        """K2: of everything that was asked for."""
        asked: dict[str, set[str]] = defaultdict(set)
        for chain in self.ledger.chains.values():
            for entry in chain:
                if entry.what != "asked":
                    continue
                run_id = str(entry.facts["run"])
                asked[run_id].add(str(entry.facts["request"]))
                if self._is_frozen(entry.at):
                    raise Broken("K2", f"{run_id} asks in a freeze")
        for run_id, names in asked.items():
            if run_id in self.released:
                continue
            run, brake = self.runs[run_id], self.cleanup.brake
            if run.observes is not None or run.outcome in ("observed", "braked"):
                raise Broken("K2", f"{run_id} asks, and it is {run.outcome}: {run.observes}")
            count = len(names)
            allowed = max(min(brake.always, brake.most), run.seen * brake.percent / 100)
            if count > brake.most or count > allowed:
                raise Broken("K2", f"{run_id} asks for {count}, and the brake lets none pass")

    def at_rest_tended(self) -> None:
        """K4, L3 and the answers."""
        ports, ledger = self.system.ports, self.ledger
        run = noted(ledger, RUN, CleanupRun).document
        if run is None or run.outcome is None or not run.is_told:
            raise Broken("K4", "the last run has not ended")
        named: dict[str, Counter[str]] = defaultdict(Counter)
        for one in each_told(ledger, run):
            named[one.key][one.name] += 1
        may_act = run.outcome == "asked" and brake_on(ledger) is None
        for key in sorted({*ledger.records, *ports.grants, *ports.associations}):
            of_ecr = named[key.split(":")[0]]
            is_blind = bool(of_ecr["listing_empty"])  # for a day nothing is concluded from that
            self._at_rest(key, set(named[key]), may_act=may_act, is_blind=is_blind)
        self._answers()
        faults = verify(ledger)
        if faults:
            raise Broken("B2", f"the audit trail: {faults[0]}")

    def _at_rest(self, key: str, named: set[str], *, may_act: bool, is_blind: bool) -> None:
        ports, record, of = self.system.ports, self._record(key), AuthorizationId.of_key(key)
        live: tuple[Lease, ...] = record.live_leases if record else ()
        frozen = self._is_frozen(ports.now)
        for lease in live:
            due = lease.expires_at is not None and lease.expires_at <= ports.now
            if due and may_act and not frozen and not self._is_exempt(of, lease.id, ports.now):
                raise Broken("L3", f"{lease.id} of {key} is past its end, and lives")
            if due and "expired" not in named:
                raise Broken("L3", f"{lease.id} of {key} is past its end, and nobody says so")
            self.reached["frozen or exempt or braked at rest"] += due
        rules, there = self.system.registry.rules(of), bool(ports.standing(key))
        granted, attached = key in ports.grants, any(lease.attach for lease in live)
        if len(ports.standing(key)) > 1 and may_act and rules.missing == "repair":
            raise Broken("C1", f"{key} is attached twice")
        if live and not is_blind and (not granted or (attached and not there)):
            is_mended = may_act and rules.missing == "repair"
            if is_mended or not named & _ABSENT:
                raise Broken("C3", f"a live lease of {key} without access; named: {named}")
        if not live and (granted or there):
            self._unheld(key, of, named, may_act=may_act and not frozen)

    def _unheld(self, key: str, of: AuthorizationId, named: set[str], *, may_act: bool) -> None:
        """Access without a lease: mended where it may be, named in any case."""
        if not named & _UNHELD:
            raise Broken("C2", f"access of {key} without a lease, and nobody says so")
        rules, now = self.system.registry.rules(of), self.system.ports.now
        is_exempt = self._is_exempt(of, None, now)
        left_to_people = key in self.attached_by_hand  # who have to detach it
        if may_act and rules.unmanaged == "revoke" and not is_exempt and not left_to_people:
            raise Broken("C2", f"access of {key} without a lease is not revoked")

    def _is_exempt(self, of: AuthorizationId, lease: str | None, now: datetime) -> bool:
        """By the exemptions as they were given: not by the product's own reading of them."""
        return any(
            now < one.until
            and one.lease in (None, lease)
            and one.instance_id in (None, of.instance_id)
            for one in self.cleanup.exemptions
        )

    def _is_frozen(self, at: datetime) -> bool:
        return any(one.since <= at < one.until for one in self.cleanup.freezes)
