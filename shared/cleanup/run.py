"""The clean-up: looks at every authorization, and asks for what is to go; it revokes nothing.

one ECR after the other, as far as the time reaches; the next invocation goes on
    account A's listings and the ledger ── findings, warnings ── what is to be asked for, noted
then, of the whole run
    too much at once?  ── the brake: nothing is asked for, until an operator releases that list
    else               ── each as a request on the request queue: one path, one audit

What is noted in between is one row for each ECR, so that a run costs no more memory for having
more of them. Two runs at once do no harm: the one that loses a conditional write stops.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import structlog

from shared.announce import expiring
from shared.cleanup.findings import Comparison, Finding, Shown, warnings
from shared.cleanup.notes import (
    BRAKE,
    CHAIN,
    LAST_REPORT,
    RUN,
    BrakeOn,
    CleanupRun,
    Rows,
    Told,
    asks_of,
    each_found,
    found_key,
    noted,
    report_key,
    rows_key,
)
from shared.cleanup.tally import Tally
from shared.cloud.errors import CloudFailure, NotNow, Refused
from shared.contract import AuthorizationId, Wake
from shared.ledger import LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from shared.announce import Announcer, Publish
    from shared.audit import Trail
    from shared.authorization import Authorization
    from shared.cleanup.notes import Noted
    from shared.cloud.credentials import Credentials
    from shared.cloud.listings import Listings
    from shared.contract import Model
    from shared.inbox import Send
    from shared.ledger import Ledger
    from shared.registry import Registry

log = structlog.get_logger()

_NO_ECR: Final = "ResourceNotFound.EcrId"
_PAGE: Final = 500
_MOST_PUBLISHED: Final = 40
_ATTACH_LATER_SECONDS: Final = 30
_NOT_TOLD: Final = {"id", "outcome", "ecrs", "pending", "slot", "tries", "told", "is_told"}
_MOST_ASKED: Final = 2000
_MOST_LOOKS: Final = 200
"""In one run: as many as one invocation has the time for. The rest is found again."""
_MOST_TRIES: Final = 5
_TOO_OLD: Final = timedelta(days=1)
"""A run that lay for so long is begun anew: what it has found is no news."""


class AnotherRun(Exception):
    """Another invocation has gone on with the run meanwhile: leave it to that one."""


@dataclass(frozen=True)
class Cleanup:
    """Looks, and asks.

    Args:
        ledger: Where authorizations are, and what a run notes.
        listings: Account A's view.
        credentials: The function's own.
        registry: The rules, the brake, freezes, exemptions.
        announcer: Tells tickets of leases that end soon.
        publish: The result topic, for what concerns no single ticket.
        source: The CloudEvents source: who we are.
        trail: Is told of everything that is asked for.
        send: Puts a message on a queue.
        requests: The request queue's name.
        attachments: The attachment queue's name.
        now: The clock, UTC.
        is_late: The invocation's time is nearly over.
    """

    ledger: Ledger
    listings: Listings
    credentials: Callable[[], Credentials]
    registry: Registry
    announcer: Announcer
    publish: Publish
    source: str
    trail: Trail
    send: Send
    requests: str
    attachments: str
    now: Callable[[], datetime]
    is_late: Callable[[], bool] = lambda: False

    def run(self, *, dry: bool = False) -> CleanupRun:
        """Go on with the run, or begin one; `pending` of what it gives is empty when it is over.

        Args:
            dry: It only looks and reports, if it is begun now.

        Raises:
            LedgerUnavailable, CloudFailure: The next invocation goes on where this one stopped.
        """
        try:
            released = self._ask_for_what_was_released()
            if released is not None:
                return _logged(released)  # a new run would find the same until it has been done
            run, version = self._begun(dry=dry)
            while run.pending and not self.is_late():
                looked = self._look(run)
                version = self._put(RUN, looked, version)
                if looked.pending == run.pending:
                    return _logged(looked)  # the cloud asks for patience: the next one goes on
                run = looked
            if not run.pending:
                run = self._decided(run)
                version = self._put(RUN, run, version)
                self._tell_all(run, version)
        except AnotherRun:
            log.info("cleanup_left_to_another_run")
            found = self._noted(RUN, CleanupRun)
            assert found is not None  # noqa: S101 -- the other one has put it there
            return found[0]
        return _logged(run)

    # The run -------------------------------------------------------------------------------------

    def _begun(self, *, dry: bool) -> tuple[CleanupRun, int]:
        known = self._noted(RUN, CleanupRun)
        if known is not None and known[0].outcome is not None and not known[0].is_told:
            known = known[0], self._tell_all(*known)
        now = self.now()
        if known is not None and known[0].outcome is None and not dry:
            age = now - known[0].started_at
            if timedelta() <= age < _TOO_OLD:
                return known
        brake = self._noted(BRAKE, BrakeOn)
        braked = brake is not None and brake[0].holds
        observes = (
            "a dry run was asked for"
            if dry
            else "it is the first run"
            if self.ledger.note(LAST_REPORT) is None
            else "the registry says so"
            if self.registry.cleanup.observe
            else "an operator has to release or drop what was braked"
            if braked
            else None
        )
        ecrs, version = tuple(self._ecrs()), known[1] if known else 0
        run = CleanupRun(
            id=f"{now:%Y%m%dT%H%M%S}-{version}",
            started_at=now,
            observes=observes,
            slot=1 - brake[0].run.slot if brake and not brake[0].is_over else 0,
            ecrs=ecrs,
            pending=ecrs,
        )
        return run, self._put(RUN, run, version)

    def _ecrs(self) -> Iterator[str]:
        """All ECRs that the registry names, and those that only the ledger still knows."""
        yield from sorted(self.registry.ecrs)
        last = ""
        while page := self.ledger.authorizations("", last, 1):
            ecr_id = page[0][0].split(":")[0]
            if ecr_id not in self.registry.ecrs:
                yield ecr_id
            last = f"{ecr_id}:\x7e"

    def _look(self, run: CleanupRun) -> CleanupRun:
        """The run once the next ECR has been looked at, or once more not."""
        ecr_id, rest = run.pending[0], run.pending[1:]
        try:
            shown, troubles = self._shown(ecr_id)
        except NotNow as failure:
            if run.tries < _MOST_TRIES:
                log.info("listing_put_off", ecr_id=ecr_id, cloud_code=failure.cloud_code)
                return run.model_copy(update={"tries": run.tries + 1})
            shown, troubles = _unknown(ecr_id, self.now(), failure)
        tally = Tally(ecr_id, Comparison(shown, self.registry, self.now()), troubles)
        warned = 0
        for record in self._compared(tally):
            if run.observes is None:
                warned += self._warned(record)
        tally.add_strangers()
        self._overwrite(found_key(run.slot, ecr_id), tally.found)
        if shown.is_whole and shown.exists:
            self._overwrite(rows_key(ecr_id), Rows(rows=shown.rows, at=shown.at))
        changed = tally.counted(run)
        return changed.model_copy(
            update={"pending": rest, "tries": 0, "warned": run.warned + warned}
        )

    def _shown(self, ecr_id: str) -> tuple[Shown, list[Finding]]:
        """Account A's view; one that failed or is suddenly empty says nothing of what is gone."""
        at = self.now()
        ecr = self.registry.ecrs.get(ecr_id)
        if ecr is None:
            return Shown(at, is_whole=False), []
        try:
            shown = self._listed(ecr_id, ecr.owner_uid, at)
        except NotNow:
            raise
        except CloudFailure as failure:
            return _unknown(ecr_id, at, failure)
        if shown.rows == 0 and shown.exists and self._is_suspicious(ecr_id, at):
            return Shown(at, is_whole=False), [Finding("listing_empty", ecr_id)]
        return shown, []

    def _listed(self, ecr_id: str, owner_uid: str, at: datetime) -> Shown:
        """The listings; that the ECR itself is gone is believed only when it is asked for."""
        try:
            shown = self.listings.show(self.credentials(), ecr_id, owner_uid, at)
        except Refused as refused:
            if refused.cloud_code != _NO_ECR:
                raise
            shown = Shown(at, is_whole=False)
        if shown.rows == 0 and not self.listings.exists(self.credentials(), ecr_id):
            return Shown(at, is_whole=False, exists=False)
        return shown

    def _is_suspicious(self, ecr_id: str, at: datetime) -> bool:
        """An empty listing: there were rows not long ago, and leases live that should be in it."""
        before = self._noted(rows_key(ecr_id), Rows)
        if before is None or before[0].rows == 0 or at - before[0].at > _TOO_OLD:
            return False
        return any(record and record.live_leases for _, record in self._records(ecr_id))

    def _records(self, ecr_id: str) -> Iterator[tuple[str, Authorization | None]]:
        """All authorizations of the ECR, page by page."""
        last = ""
        while page := self.ledger.authorizations(f"{ecr_id}:", last, _PAGE):
            yield from page
            last = page[-1][0]

    def _compared(self, tally: Tally) -> Iterator[Authorization]:
        """Each authorization of the ECR that the ledger knows, once it is in the tally."""
        for key, record in self._records(tally.ecr_id):
            tally.met(key)
            if record is None:
                tally.add(Finding("unreadable", key, ticket="the ledger's record"))
                continue
            try:
                tally.add_record(record)
            except Exception:
                log.exception("authorization_not_compared", subject=key)
                tally.add(Finding("unreadable", key, ticket="see the log"))
                continue
            yield record

    def _warned(self, record: Authorization) -> int:
        """One whose ticket cannot be told keeps no other from being told."""
        try:
            return self._warn(record)
        except (CloudFailure, LedgerUnavailable):
            raise
        except Exception:
            log.exception("warning_failed", subject=record.id.key)
            return 0

    def _warn(self, record: Authorization) -> int:
        """Tickets whose leases end soon are told: once for each of the registry's days."""
        count = 0
        for lease, days in warnings(record, self.registry.rules(record.id), self.now()):
            self.announcer.announce(expiring(record, lease), suffix=f"{days}d")
            count += 1
        return count

    # What comes of it ----------------------------------------------------------------------------

    def _decided(self, run: CleanupRun) -> CleanupRun:
        """The run once all that it may ask for is asked for, or the brake is on."""
        told = self._first_findings(run)
        run = run.model_copy(update={"finished_at": self.now(), "told": told})
        asks = self._asks_of(run)
        digest = _digest(asks)
        brake = self.registry.cleanup.brake
        if run.observes is not None:
            run = run.model_copy(update={"outcome": "observed", "digest": digest})
        elif brake.stops(run.wanted, run.seen):
            run = run.model_copy(update={"outcome": "braked", "digest": digest})
            self._overwrite(BRAKE, BrakeOn(run=run, digest=digest))
            self.trail.note(CHAIN, "braked", run=run.id, digest=digest, wanted=run.wanted)
        else:
            asked = self._ask(run, asks)
            looked = self._look_again(run)
            update = {"outcome": "asked", "digest": digest, "asked": asked, "looked": looked}
            run = run.model_copy(update=update)
        return run

    def _first_findings(self, run: CleanupRun) -> tuple[Told, ...]:
        """What is told of a run in full; kept with it, so that it is the same ever after."""
        told = (
            one.model_copy(update={"request": None})
            for found in (each_found(self.ledger, run) if run.counts else ())
            for one in found.told
        )
        return tuple(islice(told, _MOST_PUBLISHED))

    def _tell_all(self, run: CleanupRun, version: int) -> int:
        """What was decided and noted is told; told again, it is the same to the byte."""
        if run.outcome == "braked":
            self._tell("brake", run)
        self._tell("swept", run)
        for key in (report_key(run.started_at), LAST_REPORT):
            self._overwrite(key, run)
        return self._put(RUN, run.model_copy(update={"is_told": True}), version)

    def _ask_for_what_was_released(self) -> CleanupRun | None:
        """The run that was braked and released, once its list is asked for."""
        known = self._noted(BRAKE, BrakeOn)
        if known is None or known[0].is_over or known[0].holds:
            return None
        brake, version = known
        if brake.released_by is not None and self.registry.frozen(self.now()) is not None:
            return None  # it waits for the freeze to end
        asks = self._asks_of(brake.run) if brake.released_by is not None else []
        if asks and _digest(asks) != brake.digest:
            log.error("released_list_has_changed", run=brake.run.id)
            asks = []
        asked = self._ask(brake.run, asks)
        self._put(BRAKE, brake.model_copy(update={"is_over": True}), version)
        if brake.released_by is None:
            return None
        return brake.run.model_copy(update={"outcome": "released", "asked": asked})

    def _asks_of(self, run: CleanupRun) -> list[dict[str, Any]]:
        """What a run would ask for, as it is noted."""
        return asks_of(self.ledger, run) if run.wanted else []

    def _ask(self, run: CleanupRun, asks: list[dict[str, Any]]) -> int:
        """Every request that is due and free is on the queue; asked twice it is done once.

        Args:
            run: Whose they are.
            asks: The very list that was counted, or released.
        """
        asked, now = 0, self.now()
        if self.registry.frozen(now) is not None:
            return 0
        for request in asks[:_MOST_ASKED]:
            of = AuthorizationId(**{name: request[name] for name in AuthorizationId.model_fields})
            if self.registry.exemption(of, request.get("lease"), now) is not None:
                continue
            if request["action"] == "grant" and now - run.started_at > _TOO_OLD:
                continue  # what was to be adopted may be gone: it is looked for again
            self.trail.note(of.key, "asked", run=run.id, request=request["request_id"])
            self.send(self.requests, json.dumps(request))
            asked += 1
        return asked

    def _look_again(self, run: CleanupRun) -> int:
        """Both accounts are looked at anew, where the registry has what is missing repaired."""
        looked = 0
        for found in each_found(self.ledger, run) if run.counts else ():
            for key in found.looks[: max(0, _MOST_LOOKS - looked)]:
                of = AuthorizationId.of_key(key)
                self.trail.note(key, "looked at again", run=run.id)
                self.send(self.requests, Wake(wake=of, look=True).body())
                # Account A's turn comes when account B's side is known: a lease lives.
                self.send(self.attachments, Wake(wake=of).body(), _ATTACH_LATER_SECONDS)
                looked += 1
        return looked

    def _tell(self, outcome: str, run: CleanupRun) -> None:
        """What became of the run is on the topic, with the first findings in full."""
        event = {
            "specversion": "1.0",
            "id": f"{run.id}/{outcome}",
            "source": self.source,
            "type": f"ecr.authorization.{outcome}",
            "subject": CHAIN,
            "time": (run.finished_at or run.started_at).isoformat(),
            "datacontenttype": "application/json",
            "data": {
                "outcome": outcome,
                "request_id": run.id,
                "final": True,
                **run.model_dump(mode="json", exclude_none=True, exclude=_NOT_TOLD),
                "findings": [one.model_dump(exclude_none=True) for one in run.told],
            },
        }
        self.publish(json.dumps(event, separators=(",", ":")), outcome)

    # Notes ---------------------------------------------------------------------------------------

    def _noted(self, key: str, kind: type[Noted]) -> tuple[Noted, int] | None:
        return noted(self.ledger, key, kind)

    def _put(self, key: str, document: Model, version: int) -> int:
        """The note's new version. Raises AnotherRun where somebody was quicker."""
        if not self.ledger.put_note(key, document.model_dump_json(exclude_none=True), version):
            raise AnotherRun
        return version + 1

    def _overwrite(self, key: str, document: Model) -> None:
        known = self.ledger.note(key)
        self._put(key, document, known[1] if known else 0)


def _logged(run: CleanupRun) -> CleanupRun:
    log.info(
        "cleaned_up",
        run=run.id,
        run_outcome=run.outcome,
        left=len(run.pending),
        seen=run.seen,
        asked=run.asked,
    )
    return run


def _unknown(ecr_id: str, at: datetime, failure: CloudFailure) -> tuple[Shown, list[Finding]]:
    return Shown(at, is_whole=False), [Finding("listing_failed", ecr_id, ticket=failure.cloud_code)]


def _digest(asks: list[dict[str, Any]]) -> str:
    """Of all requests that a run would make."""
    names = sorted(
        f"{one['action']} {one['instance_id']} {one['ecr_id']} {one.get('lease')}" for one in asks
    )
    return sha256("\n".join(names).encode()).hexdigest()[:16]
