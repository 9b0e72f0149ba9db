"""What must hold, by the ids of the reliability programme: A at every effect, B and C at rest."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from shared.audit import verify
from shared.contract import ALL_LEASES, AuthorizationId, Bundle
from simulation.ports import Watch

if TYPE_CHECKING:
    from shared.authorization import Authorization
    from shared.contract import ResultBody
    from shared.ledger import ResultRecord
    from simulation.memory import MemoryLedger
    from simulation.system import System

_ACTIONS = {
    ("grant", "VPC"): "expressconnectrouter:GrantInstanceToExpressConnectRouter",
    ("grant", "VBR"): "expressconnectrouter:GrantInstanceToExpressConnectRouter",
    ("revoke", "VPC"): "expressconnectrouter:RevokeInstanceFromExpressConnectRouter",
    ("revoke", "VBR"): "expressconnectrouter:RevokeInstanceFromExpressConnectRouter",
    ("look_at_grant", "VPC"): "vpc:DescribeVpcGrantRulesToEcr",
    ("look_at_grant", "VBR"): "vpc:DescribeGrantRulesToEcr",
}


class Broken(BaseException):
    """An invariant does not hold. Not an Exception: the code under test must not swallow it."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant = invariant


def _resources(of: AuthorizationId) -> list[str]:
    place = f"{of.instance_region_id}:{of.instance_owner_uid}"
    if of.instance_type == "VPC":
        return [f"acs:vpc:{place}:vpc/{of.instance_id}"]
    vbr = f"{place}:virtualborderrouter/{of.instance_id}"
    return [f"acs:expressconnect:{vbr}", f"acs:vpc:{vbr}"]


class Invariants(Watch):
    """Tier A: looked at on every call, change and announcement.

    `landing` is set while a write lands late: what it does is not the system's doing.
    """

    def __init__(self, system: System, ledger: MemoryLedger) -> None:
        self.system = system
        self.ledger = ledger
        self.landing = False
        self.generation = 0
        self.accepted: Counter[tuple[str, int]] = Counter()
        self.told: dict[str, str] = {}
        self.ended: dict[str, set[str]] = {}
        self.versions: dict[str, int] = {}
        self.before: dict[str, Authorization] = {}
        self.intended: dict[str, str] = {}
        self.to_end: dict[str, set[str]] = {}
        self.reached: Counter[str] = Counter()
        ledger_put, ledger_add = ledger.put_authorization, ledger.add_result

        def put(record: Any, version: int) -> bool:
            done = ledger_put(record, version)
            if done:
                self._put(record.id.key)
            return done

        def add(record: ResultRecord) -> ResultRecord:
            if record.result.id not in ledger.outbox:
                self._made(record.result.data)
            return ledger_add(record)

        ledger.put_authorization = put  # type: ignore[method-assign]
        ledger.add_result = add  # type: ignore[method-assign]

    # Tier A --------------------------------------------------------------------------------------

    def calls(self, name: str, of: AuthorizationId, credentials: Any) -> None:
        """A1, A4, A8, A10: before a call is made."""
        record = self._record(of.key)
        intended = record and record.lock and self.intended.get(of.key) == record.lock.holder
        if name in ("grant", "associate") and not intended:
            raise Broken("A1", f"{name} of {of.key}, and no lease lived under this lock")
        surplus = len(self.system.ports.standing(of.key)) > 1
        if surplus and name == "dissociate":
            self.reached["a duplicate was healed"] += 1
        if (name == "revoke" or (name == "dissociate" and not surplus)) and record:
            held = [lease.id for lease in record.live_leases if self._was_told(lease.id)]
            if held:
                raise Broken("A4", f"{name} while {held} hold {of.key}")
        if (name, of.instance_type) in _ACTIONS:
            self._check_credentials(name, of, credentials)
        registry = self.system.registry
        account = registry.accounts.get(of.instance_owner_uid)
        ecr = registry.ecrs.get(of.ecr_id)
        if account is None or ecr is None or ecr.owner_uid != of.ecr_owner_uid:
            raise Broken("A10", f"{name} names what the registry does not: {of.key}")

    def changed(self, name: str, of: AuthorizationId) -> None:
        """A2, A6: after a call has changed the cloud."""
        ports = self.system.ports
        if name == "associate" and (ports.tokens_kept or not self.landing):
            if not self.landing and len(ports.standing(of.key)) > 1:
                raise Broken("A2", f"two associations of {of.key}")
            record = self._record(of.key)
            generation = record.generation if record else -1
            if self.landing:
                generation = self.generation
            self.accepted[of.key, generation] += 1
            if self.accepted[of.key, generation] > 1:
                raise Broken("A6", f"two associations accepted in generation {generation}")

    def published(self, event: dict[str, Any]) -> None:
        """L2: before a result is on the topic."""
        body = json.dumps(event, sort_keys=True)
        if self.told.setdefault(event["id"], body) != body:
            raise Broken("L2", f"{event['id']} is told in two ways")

    def _made(self, data: ResultBody) -> None:
        """A3, A5: when a result is made; from then on it says what it says."""
        if data.authorization is None:
            return
        key = data.authorization.key
        record, ports = self._record(key), self.system.ports
        if data.outcome == "granted" and key not in ports.grants:
            raise Broken("A5", f"granted is announced of {key}, and it is not")
        if data.outcome == "attached" and (
            key not in ports.grants or ports.shown(key).state not in ("active", "doubled")
        ):
            raise Broken("A5", f"attached is announced of {key}, and it is not")
        if data.outcome == "detached" and ports.standing(key):
            raise Broken("A3", f"detached is announced of {key}, and it is attached")
        if data.outcome != "revoked" or record is None:
            return
        if not record.live_leases and (key in ports.grants or ports.standing(key)):
            raise Broken("A3", f"revoked is announced of {key}, and access is there")
        entry = record.request(data.request_id)
        ended = self.to_end.get(data.request_id, {entry.lease} if entry else set())
        left = ended & {held.id for held in record.live_leases}
        if left:
            raise Broken("A3", f"revoked is announced, and leases {sorted(left)} are live")

    def _put(self, key: str) -> None:
        record, version = self.ledger.records[key]
        if version <= self.versions.get(key, 0):
            raise Broken("A7", f"the version of {key} did not rise")
        before = self.before.get(key)
        if before and record.generation > before.generation and record.leases == before.leases:
            self.reached["a spent token was replaced"] += 1
        if record.lock is not None and record.live_leases:
            self.intended[key] = record.lock.holder
        for entry in record.open:
            if entry.lease == ALL_LEASES and (
                before is None or not before.request(entry.request_id)
            ):
                was = before.live_leases if before else ()
                held = {one.id for one in was if one.asked_at <= record.cleared_at}
                self.to_end.setdefault(entry.request_id, held)
        self.before[key] = record
        self.versions[key] = version
        ended = self.ended.setdefault(key, set())
        again = {lease.id for lease in record.live_leases} & ended
        if again:
            raise Broken("A7", f"leases {sorted(again)} of {key} are live again")
        ended |= {lease.id for lease in record.leases if not lease.is_live}

    def _check_credentials(self, name: str, of: AuthorizationId, credentials: Any) -> None:
        account, policy = credentials or ("", "")
        try:
            (statement,) = json.loads(policy)["Statement"]
        except ValueError:
            raise Broken("A8", f"{name} without a session policy") from None
        right = {
            "Effect": "Allow",
            "Action": _ACTIONS[name, of.instance_type],
            "Resource": _resources(of),
        }
        if account != of.instance_owner_uid or statement != right:
            raise Broken("A8", f"{name} on {of.key} with credentials for something else")

    def _record(self, key: str) -> Any:
        found = self.ledger.records.get(key)
        return found[0] if found else None

    def _was_told(self, lease_id: str) -> bool:
        return f"{lease_id}/granted" in self.told

    # Tiers B and C -------------------------------------------------------------------------------

    def at_rest(self, tier: str, standing: tuple[str, ...], gone: tuple[str, ...]) -> None:
        """Access is what the live leases want, every request has one answer, the trail is whole.

        Args:
            tier: `B` before any sweep, `C` after late landings and one sweep.
            standing: Keys of authorizations that must be held by a lease.
            gone: Keys of those that must not be.
        """
        ports = self.system.ports
        keys = set(self.ledger.records) | set(ports.grants) | set(ports.associations)
        for key in sorted(keys):
            record = self._record(key)
            live = record.live_leases if record else ()
            self._compare(tier, key, granted=bool(live), attached=any(one.attach for one in live))
            ended = [one.id for one in live if one.expires_at and one.expires_at <= ports.now]
            if tier == "C" and ended:
                raise Broken("L3", f"leases {ended} of {key} are past their end, and live")
            if tier == "C" and record and record.lock is not None:
                raise Broken("C3", f"{key} is locked after a sweep")
        for key in standing:
            record = self._record(key)
            if not (record and record.live_leases):
                raise Broken("C3" if tier == "C" else "B1", f"no lease holds {key} any more")
        for key in gone:
            record = self._record(key)
            if record and record.live_leases:
                raise Broken("C2" if tier == "C" else "B1", f"a lease holds {key} again")
        self._answers()
        faults = verify(self.ledger)
        if faults:
            raise Broken("B2", f"the audit trail: {faults[0]}")

    def _compare(self, tier: str, key: str, *, granted: bool, attached: bool) -> None:
        ports = self.system.ports
        names = {"B": ("B1", "B1", "B1"), "C": ("C1", "C2", "C3")}[tier]
        there = len(ports.standing(key))
        if there > 1:
            raise Broken(names[0], f"{there} associations of {key}")
        if (key in ports.grants and not granted) or (there and not attached):
            raise Broken(names[1], f"access of {key} without a live lease")
        if (granted and key not in ports.grants) or (attached and not there):
            raise Broken(names[2], f"a live lease of {key} without access")

    def _answers(self) -> None:
        for request_id, record in self.ledger.requests.items():
            finals = {
                event["id"]
                for event in self.system.ports.published
                if event["data"]["request_id"] == request_id
                and event["data"]["final"]
                and event["id"] == f"{request_id}/{event['data']['outcome']}"
            }
            if len(finals) != 1:
                raise Broken(
                    "B2", f"{request_id} has {len(finals)} final results: {sorted(finals)}"
                )
            if record.outcome is None:
                raise Broken("B2", f"{request_id} is not finished on the ledger")
            if isinstance(record.request, Bundle):
                self._parts(record.request, record.outcome)
                continue
            known = self._record(record.request.authorization.key)
            lease = known.lease(request_id) if known else None
            if record.outcome in ("failed", "rejected") and lease is not None and lease.is_live:
                raise Broken("B2", f"{request_id} is told {record.outcome}, and its lease is live")

    def _parts(self, bundle: Bundle, outcome: str) -> None:
        """All or nothing: where the bundle failed, no part's lease is left."""
        for part in bundle.parts:
            known = self._record(part.authorization.key)
            lease = known.lease(part.request_id) if known else None
            is_live = lease is not None and lease.is_live
            if outcome in ("failed", "rejected") and is_live:
                raise Broken(
                    "B2", f"{bundle.request_id} is told {outcome}, and a part's lease lives"
                )
            if outcome == "completed" and bundle.action == "grant" and not lease:
                raise Broken(
                    "B2", f"{bundle.request_id} is told completed, and a part has no lease"
                )
