"""The full audit: account B is asked for its word on everything, and the three books compared.

one ECR after the other, so many questions in one invocation; the next invocation goes on
    the ledger's authorizations, then what only account A lists ── a question each, on the queue
    authorize looks at account B, under its narrow session, and notes the answer
    when the answers are there, or two hours have gone by ── what differs is named

It looks only, and repairs nothing. Its cursor is noted on the ledger; a question that is asked
twice is answered once. An account that cannot be looked at is named, and blocks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from typing import TYPE_CHECKING, Final

import structlog
from pydantic import ValidationError

from shared.cleanup.differences import Differences, is_of_interest
from shared.cleanup.findings import Finding, Shown, is_in_motion
from shared.cleanup.notes import (
    CHAIN,
    MOST_TOLD,
    CleanupRun,
    Found,
    Model,
    Told,
    UnreadableNote,
    found_key,
    noted,
    overwrite,
)
from shared.cleanup.telling import first_told, tell
from shared.cleanup.view import PAGE, View, each_ecr, unknown
from shared.cleanup.words import AUDIT, Question, Word, word_key
from shared.cloud.errors import NotNow
from shared.contract import AuthorizationId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from shared.announce import Publish
    from shared.audit import Trail
    from shared.authorization import Authorization
    from shared.cloud.credentials import Credentials
    from shared.cloud.listings import Listings
    from shared.inbox import Send
    from shared.ledger import Ledger
    from shared.registry import Registry

    _Row = tuple[str, int, Authorization | None, Word | None]

log = structlog.get_logger()

LAST_AUDIT: Final = "cleanup/audit/last"
SLOT: Final = 2
"""Where what an audit has found is noted: the clean-up's runs have two of their own."""
QUESTIONS: Final = 5000
"""In one invocation; with one every ten minutes, 100,000 in three hours and a half."""
_AT_ONCE: Final = 100
_SPREAD_SECONDS: Final = 300
"""So long the questions of one invocation take to come: tickets do not wait behind them."""
_ANSWERED_AFTER: Final = timedelta(minutes=10)
_NO_ANSWER_AFTER: Final = timedelta(hours=2)
_TOO_OLD: Final = timedelta(days=7)
_MOST_TRIES: Final = 5


class Waiting(Model):
    """An ECR that is asked about.

    Args:
        ecr_id: The ECR.
        begun: When the first question was asked.
        since: When the last one was.
        tries: How often it could not be listed for now.
    """

    ecr_id: str
    begun: datetime
    since: datetime
    tries: int = 0


class AuditRun(CleanupRun):
    """An audit: how far it has come, and what it has come to.

    Args:
        after: The last authorization of the first pending ECR that was asked about.
        asks_strangers: All that the ledger knows of that ECR is asked about; now the others.
        begun: When the first question about that ECR was asked.
        waiting: ECRs whose answers are on their way.
    """

    after: str = ""
    asks_strangers: bool = False
    begun: datetime | None = None
    waiting: tuple[Waiting, ...] = ()


@dataclass(frozen=True)
class Audit:
    """Asks, and compares.

    Args:
        ledger: Where authorizations are, the answers, and the audit's cursor.
        listings: Account A's view.
        credentials: The function's own.
        registry: How often it is due; the rules.
        publish: The result topic.
        source: The CloudEvents source: who we are.
        trail: Is told of its beginning and its end.
        send: Puts a message on a queue.
        requests: The request queue's name.
        now: The clock, UTC.
        is_late: The invocation's time is nearly over.
    """

    ledger: Ledger
    listings: Listings
    credentials: Callable[[], Credentials]
    registry: Registry
    publish: Publish
    source: str
    trail: Trail
    send: Send
    requests: str
    now: Callable[[], datetime]
    is_late: Callable[[], bool] = lambda: False

    @property
    def view(self) -> View:
        """Account A's."""
        return View(self.ledger, self.listings, self.credentials, self.registry, self.now)

    def go_on(self, *, begin: bool = False) -> AuditRun | None:
        """Go on with the audit that is under way; begin one where it is due, or `begin` says so.

        Returns:
            How far it has come; None where none is under way.

        Raises:
            LedgerUnavailable, CloudFailure: The next invocation goes on where this one stopped.
        """
        known = noted(self.ledger, AUDIT, AuditRun)
        run, version = known.document, known.version
        if run is not None and run.outcome is not None and not run.is_told:
            return self._told_of(run, version)
        if run is None or run.outcome is not None or not run.is_recent(self.now(), _TOO_OLD):
            if known.is_unreadable:
                log.error("note_unreadable", note=AUDIT)
                self.trail.note(CHAIN, "note unreadable", note=AUDIT)
            is_cut = run is not None and run.outcome is None
            if not (begin or is_cut or known.is_unreadable or self._is_due()):
                return None
            run = self._begun(version)
            if not self._put(run, version):
                return noted(self.ledger, AUDIT, AuditRun).document
            version += 1
        for gone_on in self._steps(run):
            if not self._put(gone_on, version):
                log.info("audit_left_to_another_run")
                return noted(self.ledger, AUDIT, AuditRun).document
            run, version = gone_on, version + 1
        if not run.pending and not run.waiting:
            run = self._finished(run)
            if self._put(run, version):
                run = self._told_of(run, version + 1)
        log.info(
            "audited",
            run=run.id,
            run_outcome=run.outcome,
            left=len(run.pending),
            asked=run.asked,
            seen=run.seen,
            found=sum(run.counts.values()),
        )
        return run

    def _is_due(self) -> bool:
        days = self.registry.cleanup.audit_days
        if days is None:
            return False
        last = noted(self.ledger, LAST_AUDIT, AuditRun).document
        age = self.now() - last.started_at if last is not None else timedelta.max
        return age >= timedelta(days=days) or age < timedelta()

    def _begun(self, version: int) -> AuditRun:
        now, ecrs = self.now(), tuple(each_ecr(self.ledger, self.registry))
        run = AuditRun(
            id=f"audit-{now:%Y%m%dT%H%M%S}-{version}",
            started_at=now,
            slot=SLOT,
            ecrs=ecrs,
            pending=ecrs,
        )
        self.trail.note(CHAIN, "audit begun", run=run.id)
        return run

    def _steps(self, run: AuditRun) -> Iterator[AuditRun]:
        """The run further and further: what is answered is compared, then more is asked."""
        for waiting in run.waiting:
            if self.is_late():
                return
            if (compared := self._compared(run, waiting)) is not None:
                run = compared
                yield run
        before = run.asked
        while run.pending and run.asked - before < QUESTIONS and not self.is_late():
            asked = self._asked(run, run.asked - before)
            yield asked
            if asked.tries > run.tries:
                return  # the cloud asks for patience
            run = asked

    # Asking --------------------------------------------------------------------------------------

    def _asked(self, run: AuditRun, before: int) -> AuditRun:
        """The run once the next authorizations of its first ECR are asked about."""
        ecr_id, begun = run.pending[0], run.begun or self.now()
        if run.asks_strangers:
            return self._asked_strangers(run, before)
        page = self.ledger.authorizations(f"{ecr_id}:", run.after, _AT_ONCE)
        found = [key for key, record in page if record is not None and is_of_interest(record)]
        self._send(run, found, before)
        run = run.model_copy(update={"asked": run.asked + len(found), "tries": 0, "begun": begun})
        if len(page) == _AT_ONCE:
            return run.model_copy(update={"after": page[-1][0]})
        return run.model_copy(update={"after": "", "asks_strangers": True})

    def _asked_strangers(self, run: AuditRun, before: int) -> AuditRun:
        """The same of what only account A lists; then the ECR waits for its answers."""
        ecr_id, left = run.pending[0], QUESTIONS - before
        try:
            strangers = self._strangers(ecr_id)
        except NotNow:
            if run.tries < _MOST_TRIES:
                return run.model_copy(update={"tries": run.tries + 1})
            strangers = []  # the comparison says so, if it cannot be listed then, either
        found = [key for key in strangers if key > run.after][:left]
        for key in found:
            self._note_as_missing(run, key)
        self._send(run, found, before)
        run = run.model_copy(update={"asked": run.asked + len(found), "tries": 0})
        if len(found) == left:
            return run.model_copy(update={"after": found[-1]})
        now = self.now()
        asked = Waiting(ecr_id=ecr_id, begun=run.begun or now, since=now)
        rest = {"pending": run.pending[1:], "after": "", "asks_strangers": False, "begun": None}
        return run.model_copy(update={**rest, "waiting": (*run.waiting, asked)})

    def _strangers(self, ecr_id: str) -> list[str]:
        """What account A lists, and was not asked about for the ledger's sake."""
        shown, _ = self.view.shown(ecr_id)
        keys = set(shown.grants)
        for key, record in self.view.records(ecr_id):
            if record is None or is_of_interest(record):
                keys.discard(key)
        return sorted(keys)

    def _note_as_missing(self, run: AuditRun, key: str) -> None:
        """Nothing else remembers that it was asked about."""
        known = noted(self.ledger, word_key(key), Word)
        if known.document is None or known.document.run != run.id:
            text = Word(run=run.id, at=self.now(), is_missing=True).model_dump_json()
            self.ledger.put_note(word_key(key), text, known.version)

    def _send(self, run: AuditRun, keys: Iterable[str], before: int) -> None:
        for number, key in enumerate(keys, before):
            question = Question(audit=AuthorizationId.of_key(key), run=run.id)
            self.send(self.requests, question.body(), number * _SPREAD_SECONDS // QUESTIONS)

    # Comparing -----------------------------------------------------------------------------------

    def _compared(self, run: AuditRun, waiting: Waiting) -> AuditRun | None:
        """The run once the ECR is compared; None where answers are still to come."""
        waited = self.now() - waiting.since
        if waited < _ANSWERED_AFTER:
            return None
        patient = waited < _NO_ANSWER_AFTER
        if patient and any(word is None for _, _, word in self._books(run, waiting)):
            return None
        at = self.now()
        try:
            shown, troubles = self.view.shown(waiting.ecr_id)
        except NotNow as failure:
            if waiting.tries < _MOST_TRIES:
                later = waiting.model_copy(update={"tries": waiting.tries + 1})
                others = tuple(later if one == waiting else one for one in run.waiting)
                return run.model_copy(update={"waiting": others})
            shown, troubles = unknown(waiting.ecr_id, at, failure)
        return self._named(run, waiting, shown, troubles)

    def _named(
        self, run: AuditRun, waiting: Waiting, shown: Shown, troubles: list[Finding]
    ) -> AuditRun:
        """The run once all that differs on the ECR is named."""
        differences = Differences(shown, self.registry, self.now())
        told: list[Told] = []
        counts, seen = dict(run.counts), run.seen

        def name(findings: Iterable[Finding]) -> None:
            for finding in findings:
                counts[finding.name] = counts.get(finding.name, 0) + 1
                if len(told) < MOST_TOLD:
                    told.append(Told.of(finding))

        name(troubles)
        for key, record, word in self._books(run, waiting):
            of = AuthorizationId.of_key(key)
            seen += 1
            found = list(differences.of(of, record, word) if word else differences.unanswered(of))
            moved = found and word and not word.code and self.view.has_moved(key, word.at)
            name([] if moved else found)
        found_at = found_key(SLOT, waiting.ecr_id)
        overwrite(self.ledger, found_at, Found(told=tuple(told)))  # quicker ones noted the same
        rest = tuple(one for one in run.waiting if one.ecr_id != waiting.ecr_id)
        return run.model_copy(update={"waiting": rest, "counts": counts, "seen": seen})

    def _books(
        self, run: AuditRun, waiting: Waiting
    ) -> Iterator[tuple[str, Authorization | None, Word | None]]:
        """Every authorization of the ECR that was asked about, with account B's word.

        None where the word is missing. What has changed since is left to the next audit.
        """
        records: Iterator[_Row] = (
            (key, 0, record, None) for key, record in self.view.records(waiting.ecr_id)
        )
        words: Iterator[_Row] = (
            (key, 1, None, word) for key, word in self._words(run, waiting.ecr_id)
        )
        last: _Row | None = None
        for row in merge(records, words, key=lambda one: one[:2]):
            key, _, record, word = row
            if word is not None:
                known = last[2] if last and last[0] == key else None
                yield key, known, None if word.is_missing else word
                last = None
                continue
            yield from _without_word(last, waiting.begun)
            last = (key, 0, record, None)
        yield from _without_word(last, waiting.begun)

    def _words(self, run: AuditRun, ecr_id: str) -> Iterator[tuple[str, Word]]:
        """The answers to this audit's questions, by the keys of the authorizations."""
        prefix, after = word_key(f"{ecr_id}:"), ""
        while page := self.ledger.notes(prefix, after, PAGE):
            for key, text in page:
                try:
                    word = Word.model_validate_json(text)
                except ValidationError:
                    continue  # as if it had not been given
                if word.run == run.id:
                    yield key[len(word_key("")) :], word
            after = page[-1][0]

    # The end -------------------------------------------------------------------------------------

    def _finished(self, run: AuditRun) -> AuditRun:
        told = first_told(self.ledger, run)
        ended = {"outcome": "audited", "finished_at": self.now(), "told": told}
        return run.model_copy(update=ended)

    def _told_of(self, run: AuditRun, version: int) -> AuditRun:
        """It is on the topic, and kept as the last one; told again, it is the same to the byte."""
        tell(self.publish, self.source, "audited", run)
        overwrite(self.ledger, LAST_AUDIT, run)
        self.trail.note(CHAIN, "audited", run=run.id, seen=run.seen, asked=run.asked)
        run = run.model_copy(update={"is_told": True})
        self._put(run, version)
        return run

    def _put(self, run: AuditRun, version: int) -> bool:
        return self.ledger.put_note(AUDIT, run.model_dump_json(exclude_none=True), version)


def last_audit(ledger: Ledger) -> AuditRun | None:
    """The last one that has ended. Raises UnreadableNote."""
    known = noted(ledger, LAST_AUDIT, AuditRun)
    if known.is_unreadable:
        raise UnreadableNote(LAST_AUDIT)
    return known.document


def _without_word(
    row: _Row | None, begun: datetime
) -> Iterator[tuple[str, Authorization | None, Word | None]]:
    """The row's authorization, if it was asked about for certain."""
    record = row[2] if row else None
    if record is not None and is_of_interest(record) and not is_in_motion(record, begun):
        yield record.id.key, record, None
