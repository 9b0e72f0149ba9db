"""The clean-up: looks at every authorization, and asks for what is to go; it revokes nothing.

one ECR after the other, as far as the time reaches; the next invocation goes on
    account A's listings and the ledger ── findings, warnings ── what is to be asked for, noted
then, of the whole run
    too much at once?  ── the brake: nothing is asked for, until an operator releases that list
    else               ── part by part onto the request queue: one path, one audit

What is noted in between is one row for each ECR and one for each part of its list, so that a run
costs no more memory for having more of them. Two runs at once do no harm: the one that loses a
conditional write stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from shared.announce import expiring
from shared.cleanup import books
from shared.cleanup.asking import MOST_LOOKS, Asking, Frozen
from shared.cleanup.brake import BRAKE, BrakeOn
from shared.cleanup.findings import Comparison, Finding, Shown, warnings
from shared.cleanup.notes import (
    BOOKS,
    CHAIN,
    LAST_REPORT,
    RUN,
    CleanupRun,
    UnreadableNote,
    found_key,
    list_digest,
    noted,
    overwrite,
    part_key,
    report_key,
)
from shared.cleanup.tally import Tally
from shared.cleanup.telling import first_told, tell
from shared.cleanup.view import View, each_ecr, unknown
from shared.cloud.errors import CloudFailure, NotNow
from shared.ledger import LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from shared.announce import Announcer, Publish
    from shared.audit import Trail
    from shared.authorization import Authorization
    from shared.cleanup.notes import Note, Noted, Part
    from shared.cloud.credentials import Credentials
    from shared.cloud.listings import Listings
    from shared.contract import Model
    from shared.inbox import Send
    from shared.ledger import Ledger
    from shared.registry import Registry

log = structlog.get_logger()

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

    @property
    def view(self) -> View:
        """Account A's."""
        return View(self.ledger, self.listings, self.credentials, self.registry, self.now)

    @property
    def asking(self) -> Asking:
        """The way onto the request queue."""
        return Asking(
            ledger=self.ledger,
            registry=self.registry,
            trail=self.trail,
            send=self.send,
            requests=self.requests,
            attachments=self.attachments,
            now=self.now,
        )

    def run(self, *, dry: bool = False) -> CleanupRun:
        """Go on with the run, or begin one; `outcome` of what it gives is None until it is over.

        Args:
            dry: It only looks and reports, if it is begun now.

        Raises:
            LedgerUnavailable, CloudFailure: The next invocation goes on where this one stopped.
        """
        try:
            released = None if dry else self._ask_for_what_was_released()
            if released is not None:
                return _logged(released)  # a new run would find the same until it has been done
            run, version = self._begun(dry=dry)
            while run.outcome is None and not self.is_late():
                gone_on = self._gone_on(run)
                version = self._put(RUN, gone_on, version)
                if gone_on.tries > run.tries:
                    return _logged(gone_on)  # the cloud asks for patience: the next one goes on
                run = gone_on
            if run.outcome is not None:
                self._tell_all(run, version)
        except AnotherRun:
            log.info("cleanup_left_to_another_run")
            nobody_knows = CleanupRun(id="another", started_at=self.now())
            return noted(self.ledger, RUN, CleanupRun).document or nobody_knows
        return _logged(run)

    # The run -------------------------------------------------------------------------------------

    def _begun(self, *, dry: bool) -> tuple[CleanupRun, int]:
        known, brake = self._noted(RUN, CleanupRun), self._noted(BRAKE, BrakeOn)
        last, version = known.document, known.version
        if last is not None and last.outcome is not None and not last.is_told:
            version = self._tell_all(last, version)
        now = self.now()
        if last is not None and last.outcome is None and not dry and last.is_recent(now, _TOO_OLD):
            return self._still_whole(last), version
        held = brake.document is not None and not brake.document.is_over
        ecrs = tuple(each_ecr(self.ledger, self.registry))
        unreadable = [name for name, it in ((RUN, known), (BRAKE, brake)) if it.is_unreadable]
        for name in unreadable:
            log.error("note_unreadable", note=name)
            self.trail.note(CHAIN, "note unreadable", note=name)
        run = CleanupRun(
            id=f"{now:%Y%m%dT%H%M%S}-{version}",
            started_at=now,
            observes=self._why_it_observes(brake, dry=dry, unreadable=unreadable),
            slot=1 - brake.document.run.slot if brake.document and held else 0,
            ecrs=(*ecrs, BOOKS),
            pending=(*ecrs, BOOKS),
            looked_to=last.looked_to if last is not None else "",
            counts={"note_unreadable": len(unreadable)} if unreadable else {},
        )
        return run, self._put(RUN, run, version)

    def _why_it_observes(
        self, brake: Note[BrakeOn], *, dry: bool, unreadable: list[str]
    ) -> str | None:
        if dry:
            return "a dry run was asked for"
        if self.ledger.note(LAST_REPORT) is None:
            return "it is the first run"
        if self.registry.cleanup.observe:
            return "the registry says so"
        if unreadable:
            return f"what is noted under {' and '.join(unreadable)} cannot be read"
        if brake.document is not None and brake.document.is_open:
            return "an operator has to release or drop what was braked"
        return None

    def _still_whole(self, run: CleanupRun) -> CleanupRun:
        """A run that goes on asking asks for the list that it has counted, or for nothing more."""
        if run.cursor is None:
            return run
        try:
            is_whole = list_digest(self.ledger, run) == run.digest
        except UnreadableNote:
            is_whole = False
        return run if is_whole else self._stopped(run)

    def _stopped(self, run: CleanupRun) -> CleanupRun:
        """Its list is not what it was: the next run finds all anew."""
        self.trail.note(CHAIN, "stopped", run=run.id, asked=run.asked)
        counts = {**run.counts, "note_unreadable": run.counts.get("note_unreadable", 0) + 1}
        ended = {"outcome": "stopped", "counts": counts, "finished_at": self.now()}
        return run.model_copy(update=ended)

    def _gone_on(self, run: CleanupRun) -> CleanupRun:
        """The run one step further: an ECR, the decision, or a part of its list."""
        if run.outcome is not None:
            return run
        if run.pending:
            return self._look(run)
        try:
            return self._decided(run) if run.cursor is None else self._asked(run, run.cursor)
        except UnreadableNote:
            log.exception("list_unreadable", run=run.id)
            return self._stopped(run)

    def _look(self, run: CleanupRun) -> CleanupRun:
        """The run once the next ECR has been looked at, or once more not."""
        ecr_id, rest = run.pending[0], run.pending[1:]
        try:
            shown, troubles = self._shown(ecr_id)
        except NotNow as failure:
            if run.tries < _MOST_TRIES:
                log.info("listing_put_off", ecr_id=ecr_id, cloud_code=failure.cloud_code)
                return run.model_copy(update={"tries": run.tries + 1})
            shown, troubles = unknown(ecr_id, self.now(), failure)

        def keep(number: int, part: Part) -> None:
            self._overwrite(part_key(run.slot, ecr_id, number), part)

        def has_moved(key: str) -> bool:
            return self.view.has_moved(key, shown.at)

        comparison = Comparison(shown, self.registry, self.now(), has_moved)
        tally = Tally(ecr_id, comparison, troubles, keep)
        warned = 0
        for record in self._compared(tally):
            if run.observes is None:
                warned += self._warned(record)
        tally.add_strangers()
        self._overwrite(found_key(run.slot, ecr_id), tally.found())
        update = {"pending": rest, "tries": 0, "warned": run.warned + warned}
        return tally.counted(run).model_copy(update=update)

    def _shown(self, ecr_id: str) -> tuple[Shown, Iterable[Finding]]:
        """Account A's view of an ECR; of the requests on the ledger, what lies there."""
        if ecr_id != BOOKS:
            return self.view.shown(ecr_id)
        now = self.now()
        return Shown(now, is_whole=False), books.lying(self.ledger, self.registry, now)

    def _compared(self, tally: Tally) -> Iterator[Authorization]:
        """Each authorization of the ECR that the ledger knows, once it is in the tally."""
        for key, record in self.view.records(tally.ecr_id):
            tally.met(key)
            if record is None:
                tally.add(Finding("unreadable", key, ticket="the ledger's record"))
                continue
            try:
                tally.add_record(record)
            except (LedgerUnavailable, AnotherRun):
                raise
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
        """The run once it is known whether it may ask for its list. Raises UnreadableNote."""
        run = run.model_copy(
            update={
                "finished_at": self.now(),
                "told": first_told(self.ledger, run),
                "digest": list_digest(self.ledger, run),
            }
        )
        if run.observes is not None:
            self._set_aside_what_is_unreadable(run)
            return run.model_copy(update={"outcome": "observed"})
        if self.registry.cleanup.brake.stops(run.wanted, run.seen):
            run = run.model_copy(update={"outcome": "braked"})
            self._overwrite(BRAKE, BrakeOn(run=run, digest=run.digest or ""))
            self.trail.note(CHAIN, "braked", run=run.id, digest=run.digest, wanted=run.wanted)
            return run
        return run.model_copy(update={"cursor": 0})

    def _set_aside_what_is_unreadable(self, run: CleanupRun) -> None:
        """A run has looked: where nobody knows what was braked, the next one decides anew."""
        known = self._noted(BRAKE, BrakeOn)
        if known.is_unreadable:
            self._put(BRAKE, BrakeOn(run=run, digest="", is_over=True), known.version)

    def _asked(self, run: CleanupRun, cursor: int) -> CleanupRun:
        """The run once the next part of its list is asked for; over where there is none."""
        part = next(self.asking.parts(run, cursor), None)
        over = {"outcome": "asked", "finished_at": self.now()}
        if part is None:
            all_looked = {"looked_to": ""} if run.looked < MOST_LOOKS else {}
            return run.model_copy(update={**over, **all_looked})
        try:
            asked = self.asking.ask(run, part)
        except Frozen:
            return run.model_copy(update=over)
        looked = self.asking.look(run, part)
        return run.model_copy(
            update={
                "cursor": cursor + 1,
                "asked": run.asked + asked,
                "looked": run.looked + len(looked),
                "looked_to": looked[-1] if looked else run.looked_to,
            }
        )

    def _tell_all(self, run: CleanupRun, version: int) -> int:
        """What was decided and noted is told; told again, it is the same to the byte."""
        if run.outcome == "braked":
            tell(self.publish, self.source, "brake", run)
        tell(self.publish, self.source, "swept", run)
        for key in (report_key(run.started_at), LAST_REPORT):
            self._overwrite(key, run)
        return self._put(RUN, run.model_copy(update={"is_told": True}), version)

    # A released list -----------------------------------------------------------------------------

    def _ask_for_what_was_released(self) -> CleanupRun | None:
        """The run that was braked and released, once its list is asked for, or time is over."""
        known = self._noted(BRAKE, BrakeOn)
        brake = known.document
        if brake is None or brake.is_over or brake.holds:
            return None
        if brake.released_by is None:
            self._put(BRAKE, brake.model_copy(update={"is_over": True}), known.version)
            return None
        if self.registry.cleanup.observe or self.registry.frozen(self.now()) is not None:
            return None  # it waits for that to end
        try:
            return self._released(brake, known.version)
        except UnreadableNote:
            log.exception("released_list_unreadable", run=brake.run.id)
            self.trail.note(CHAIN, "list unreadable", run=brake.run.id, asked=brake.asked)
            over = brake.model_copy(update={"is_over": True})
            self._overwrite(BRAKE, over)
            return None

    def _released(self, brake: BrakeOn, version: int) -> CleanupRun | None:
        """None where a freeze has begun meanwhile. Raises UnreadableNote."""
        for part in self.asking.parts(brake.run, brake.cursor):
            if self.is_late():
                return brake.run.model_copy(update={"outcome": None, "asked": brake.asked})
            try:
                asked = self.asking.ask(brake.run, part)
            except Frozen:
                return None
            done = {"cursor": brake.cursor + 1, "asked": brake.asked + asked}
            brake = brake.model_copy(update=done)
            version = self._put(BRAKE, brake, version)
        self._put(BRAKE, brake.model_copy(update={"is_over": True}), version)
        self.trail.note(CHAIN, "asked for what was released", run=brake.run.id, asked=brake.asked)
        return brake.run.model_copy(update={"outcome": "released", "asked": brake.asked})

    # Notes ---------------------------------------------------------------------------------------

    def _noted(self, key: str, kind: type[Noted]) -> Note[Noted]:
        return noted(self.ledger, key, kind)

    def _put(self, key: str, document: Model, version: int) -> int:
        """The note's new version. Raises AnotherRun where somebody was quicker."""
        if not self.ledger.put_note(key, document.model_dump_json(exclude_none=True), version):
            raise AnotherRun
        return version + 1

    def _overwrite(self, key: str, document: Model) -> None:
        """It is noted. Raises AnotherRun where somebody was quicker."""
        if not overwrite(self.ledger, key, document):
            raise AnotherRun


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
