"""Account B's word in a full audit: the question as a message, and the answer as a note.

clean-up ── {"audit": …, "run": …} ── request queue ── authorize looks at account B ── the note
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, ValidationError
from pydantic_core import to_json

from shared.cleanup.notes import Model, noted
from shared.contract import AuthorizationId, BadMessage
from shared.contract import Model as Strict

if TYPE_CHECKING:
    from shared.ledger import Ledger

AUDIT: Final = "cleanup/audit"
"""Where the audit itself is noted."""
_WORD: Final = "cleanup/word/"


class Question(Strict):
    """A message of the audit: what does account B show of this authorization? Look, do nothing.

    `run` is the audit's id: the answer to another one is no news.
    """

    audit: AuthorizationId
    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]

    def body(self) -> str:
        """The message's body."""
        return self.model_dump_json()


class Word(Model):
    """What account B said.

    Args:
        run: The audit that has asked.
        at: When the look was begun: what it shows is no younger.
        authorized_at: Since when account B shows the grant; None where it shows none.
        code: Why account B could not be looked at, if it could not.
        is_missing: It has been asked for, and is not here yet.
    """

    run: str
    at: datetime
    authorized_at: datetime | None = None
    code: str | None = None
    is_missing: bool = False


class Running(Model):
    """As much of the audit's own note as who answers has to know."""

    id: str
    outcome: str | None = None


def read_question(document: dict[str, Any]) -> Question:
    """The question that a message asks. Raises BadMessage where it is none."""
    try:
        return Question.model_validate_json(to_json(document))
    except ValidationError:
        raise BadMessage("it is no question of an audit") from None


def word_key(key: str) -> str:
    """Where account B's word on an authorization is noted."""
    return _WORD + key


def running_audit(ledger: Ledger) -> str | None:
    """The id of the audit that is under way, if one is."""
    known = noted(ledger, AUDIT, Running).document
    return known.id if known is not None and known.outcome is None else None
