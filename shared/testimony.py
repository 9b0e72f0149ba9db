"""What account B shows, for the full audit: looked at by authorize's role, noted, and no more.

A look that is refused is an answer, too: an account that is closed blocks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from shared import policy
from shared.cleanup.notes import noted, overwrite
from shared.cleanup.words import Word, read_question, running_audit, word_key
from shared.cloud.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.cleanup.words import Question
    from shared.contract import AuthorizationId
    from shared.ledger import Ledger
    from shared.registry import Registry

log = structlog.get_logger()


@dataclass(frozen=True)
class Testimony:
    """Answers the audit's questions.

    Args:
        ledger: Where answers are noted.
        registry: What may be looked at.
        look: Since when account B shows the grant; None where it shows none.
        now: The clock, UTC.
    """

    ledger: Ledger
    registry: Registry
    look: Callable[[AuthorizationId], datetime | None]
    now: Callable[[], datetime]

    def take(self, document: dict[str, Any]) -> None:
        """Account B's word is noted, unless nobody waits for it, or it is there already.

        Raises:
            BadMessage: The message is no question.
            CloudFailure, LedgerUnavailable: It is to be asked again later.
        """
        question = read_question(document)
        if self._is_awaited(question):
            self._note(question, self._word(question))

    def give_up(self, document: dict[str, Any], code: str) -> None:
        """It is noted that account B could not be looked at."""
        question = read_question(document)
        if self._is_awaited(question):
            self._note(question, Word(run=question.run, at=self.now(), code=code))

    def _is_awaited(self, question: Question) -> bool:
        if running_audit(self.ledger) != question.run:
            return False
        known = noted(self.ledger, word_key(question.audit.key), Word).document
        return known is None or known.run != question.run or known.is_missing

    def _word(self, question: Question) -> Word:
        of, at = question.audit, self.now()
        if self.ledger.authorization(of.key) is None:
            problem = policy.place_refusal(of, self.registry)
            if problem is not None:  # no message names a place that the registry does not
                return Word(run=question.run, at=at, code=problem.code)
        try:
            return Word(run=question.run, at=at, authorized_at=self.look(of))
        except Refused as refused:
            log.info("account_not_verified", subject=of.key, cloud_code=refused.cloud_code)
            return Word(run=question.run, at=at, code=refused.explanation.code)

    def _note(self, question: Question, word: Word) -> None:
        """One of two answers to the same question is enough, whichever was quicker."""
        overwrite(self.ledger, word_key(question.audit.key), word)
