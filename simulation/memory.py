"""The ledger in memory: fast, and held to the same contract tests as the SQL one.

Each write goes through `perform`, where a simulation makes it fail, crash, or wait.
"""

from __future__ import annotations

from bisect import insort
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from shared.ledger import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.audit import Entry
    from shared.authorization import Authorization
    from shared.contract import AuthorizationId, Outcome
    from shared.ledger import Order, RequestRecord, ResultRecord, Wanted
    from shared.turns import Turn

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def at_once(_: str, effect: Callable[[], Any]) -> Any:
    """Nothing goes wrong."""
    return effect()


class MemoryLedger:
    """A Ledger that lives as long as the object does."""

    def __init__(self) -> None:
        self.perform: Callable[[str, Callable[[], Any]], Any] = at_once
        self.requests: dict[str, RequestRecord] = {}
        self.records: dict[str, tuple[Authorization, int]] = {}
        self.outbox: dict[str, ResultRecord] = {}
        self.chains: dict[str, list[Entry]] = {}
        self.turns: dict[str, tuple[Turn, int]] = {}
        self.noted: dict[str, tuple[str, int]] = {}
        self.lost_writes = 0
        self.moved = 0

    def close(self) -> None:
        """Nothing is held open."""

    def add_request(self, record: RequestRecord) -> RequestRecord | None:
        """Put if absent."""

        def effect() -> RequestRecord | None:
            known = self.requests.setdefault(record.request.request_id, record)
            return None if known is record else known

        found: RequestRecord | None = self.perform("ledger add_request", effect)
        return found

    def request(self, request_id: str) -> RequestRecord | None:
        """The request with this id."""
        return self.requests.get(request_id)

    def finish_request(
        self, request_id: str, outcome: Outcome, now: datetime
    ) -> RequestRecord | None:
        """Note a request's final result; gives its record where it had none."""

        def effect() -> RequestRecord | None:
            record = self.requests.get(request_id)
            if record is None or record.finished_at is not None:
                return None
            change = {"outcome": outcome, "finished_at": now}
            self.requests[request_id] = record.model_copy(update=change)
            return self.requests[request_id]

        finished: RequestRecord | None = self.perform("ledger finish_request", effect)
        return finished

    def unfinished(
        self, before: datetime, limit: int, after: RequestRecord | None = None
    ) -> list[RequestRecord]:
        """Requests received before a time that have no final result."""

        def place(one: RequestRecord) -> tuple[datetime, str]:
            return one.received_at, one.request.request_id

        found = [
            one
            for one in self.requests.values()
            if one.finished_at is None
            and one.received_at < before
            and (after is None or place(one) > place(after))
        ]
        return sorted(found, key=place)[:limit]

    def authorization(self, key: str) -> tuple[Authorization, int] | None:
        """The authorization's record and its version."""
        return self.records.get(key)

    def put_authorization(self, record: Authorization, version: int) -> bool:
        """Update if `version` is still the record's."""

        def effect() -> bool:
            known = self.records.get(record.id.key)
            if (known[1] if known else 0) != version:
                self.lost_writes += 1
                theirs = known[0].lock if known else None
                ours = theirs is not None and record.lock is not None
                self.moved += ours and theirs.holder == record.lock.holder  # type: ignore[union-attr]
                return False
            self.records[record.id.key] = (record, version + 1)
            return True

        return bool(self.perform("ledger put_authorization", effect))

    def due(self, now: datetime, limit: int) -> list[AuthorizationId]:
        """Authorizations whose `due_at` has come."""
        found = [
            (one.due_at, one.id.key, one)
            for one, _ in self.records.values()
            if one.due_at is not None and one.due_at <= now
        ]
        return [one.id for *_, one in sorted(found, key=lambda row: row[:2])][:limit]

    def authorizations(
        self, prefix: str, after: str, limit: int
    ) -> list[tuple[str, Authorization | None]]:
        """Authorizations by their key."""
        keys = sorted(key for key in self.records if key.startswith(prefix) and key > after)
        return [(key, self.records[key][0]) for key in keys[:limit]]

    def search(
        self, wanted: Wanted, limit: int, after: Place | None = None, order: Order = "key"
    ) -> list[tuple[Place, Authorization | None]]:
        """The authorizations that are looked for, each with its place."""

        def place(key: str, ends_at: datetime | None) -> tuple[bool, datetime, str]:
            by_end = order == "end" and ends_at is not None
            return order == "end" and not by_end, ends_at if by_end else _EPOCH, key

        start = place(after.key, after.ends_at) if after else None
        found = [(place(one.id.key, one.ends_at), one) for one in self._found(wanted)]
        later = [pair for pair in found if start is None or pair[0] > start]
        page = [one for _, one in sorted(later, key=lambda pair: pair[0])[:limit]]
        return [(Place(key=one.id.key, ends_at=one.ends_at), one) for one in page]

    def count(self, wanted: Wanted) -> int:
        """How many authorizations are looked for."""
        return len(list(self._found(wanted)))

    def _found(self, wanted: Wanted) -> Iterator[Authorization]:
        for one, _ in self.records.values():
            before = wanted.ends_before
            if (
                (wanted.ecr_ids is None or one.id.ecr_id in wanted.ecr_ids)
                and (wanted.accounts is None or one.id.instance_owner_uid in wanted.accounts)
                and wanted.instance_id in (None, one.id.instance_id)
                and wanted.state in (None, one.state)
                and (before is None or (one.ends_at is not None and one.ends_at < before))
            ):
                yield one

    def note(self, key: str) -> tuple[str, int] | None:
        """What is noted under a key."""
        return self.noted.get(key)

    def put_note(self, key: str, text: str, version: int) -> bool:
        """Update if `version` is still the note's."""

        def effect() -> bool:
            known = self.noted.get(key)
            if (known[1] if known else 0) != version:
                return False
            self.noted[key] = (text, version + 1)
            return True

        return bool(self.perform("ledger put_note", effect))

    def notes(self, prefix: str, after: str, limit: int) -> list[tuple[str, str]]:
        """Notes by their key."""
        keys = sorted(key for key in self.noted if key.startswith(prefix) and key > after)
        return [(key, self.noted[key][0]) for key in keys[:limit]]

    def add_result(self, record: ResultRecord) -> ResultRecord:
        """Put if absent."""
        found: ResultRecord = self.perform(
            "ledger add_result", lambda: self.outbox.setdefault(record.result.id, record)
        )
        return found

    def mark_published(self, result_id: str, now: datetime) -> None:
        """Note that the result is on the topic."""

        def effect() -> None:
            record = self.outbox.get(result_id)
            if record is not None and record.published_at is None:
                self.outbox[result_id] = record.model_copy(update={"published_at": now})

        self.perform("ledger mark_published", effect)

    def results(self, request_id: str) -> list[ResultRecord]:
        """The results of a request."""
        return [one for one in self.outbox.values() if one.request_id == request_id]

    def unpublished(self, before: datetime, limit: int) -> list[ResultRecord]:
        """Results made before a time and not marked published."""
        return [
            one
            for one in self.outbox.values()
            if one.published_at is None and one.result.time < before
        ][:limit]

    def add_entry(self, entry: Entry) -> bool:
        """Put if absent by (chain, sequence)."""

        def effect() -> bool:
            chain = self.chains.setdefault(entry.chain, [])
            if any(one.sequence == entry.sequence for one in chain):
                return False
            insort(chain, entry, key=lambda one: one.sequence)
            return True

        return bool(self.perform("ledger add_entry", effect))

    def last_entry(self, chain: str) -> Entry | None:
        """The chain's newest entry."""
        entries = self.chains.get(chain)
        return entries[-1] if entries else None

    def entries(self, chain: str | None = None) -> Iterator[Entry]:
        """Every entry, by chain and sequence."""
        chains = sorted(self.chains) if chain is None else [chain]
        return iter([entry for name in chains for entry in self.chains.get(name, [])])

    def heads(self, since: datetime, before: datetime) -> Iterator[tuple[str, int, str]]:
        """Chains that grew in a time, with their last entry in it."""
        for name in sorted(self.chains):
            grown = [entry for entry in self.chains[name] if since <= entry.at < before]
            if grown:
                yield name, grown[-1].sequence, grown[-1].hash

    def turn(self, key: str) -> tuple[Turn, int] | None:
        """The turn with this key."""
        return self.turns.get(key)

    def put_turn(self, key: str, turn: Turn, version: int) -> bool:
        """Update if `version` is still the turn's."""

        def effect() -> bool:
            known = self.turns.get(key)
            if (known[1] if known else 0) != version:
                return False
            self.turns[key] = (turn, version + 1)
            return True

        return bool(self.perform("ledger put_turn", effect))

    def turns_ahead(self, prefix: str, at: datetime, limit: int) -> list[tuple[str, Turn]]:
        """Turns that are given out beyond `at`, the furthest first."""
        found = [
            (key, turn)
            for key, (turn, _) in self.turns.items()
            if key.startswith(prefix) and turn.next_at > at
        ]
        return sorted(found, key=lambda one: (-one[1].next_at.timestamp(), one[0]))[:limit]
