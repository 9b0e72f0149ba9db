"""A message in, and exactly one answer for it: done, again later, or the dead-letter queue.

A message that must come again is sent to its own queue once more, delayed, with a count of its
attempts: `{"attempt": 2, "message": {…}}`. No function ever waits.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from shared.cloud.errors import CloudFailure
from shared.contract import MAX_MESSAGE_BYTES, BadMessage, Problem, read_object
from shared.ledger import LedgerUnavailable
from shared.log import correlated
from shared.problems import GAVE_UP, told_of
from shared.run import Again

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.audit import Trail
    from shared.contract import Wake

log = structlog.get_logger()

_EXPONENT_LIMIT: Final = 30
_MOST_ATTEMPTS: Final = 1_000_000
_KEPT_CHARACTERS: Final = 10_000  # of up to six bytes each, with their escapes
_UNCOUNTED: Final = ("lock", "turn")
"""Waits that end by themselves, and say nothing of the work: they use up no attempt."""


@dataclass(frozen=True)
class Message:
    """One message of a queue, whatever brought it.

    Args:
        body: As the sender wrote it, or base64 of that.
        message_id: The queue's id of it.
        sent_at: When it was put on the queue, UTC.
    """

    body: str
    message_id: str
    sent_at: datetime


class Worker(Protocol):
    """What a function does with the messages of its queue."""

    def take(self, document: dict[str, Any], sent_at: datetime) -> Again | None:
        """Do what the message asks; None when nothing is left to do now. May raise BadMessage."""

    def give_up(self, document: dict[str, Any], problem: Problem) -> Wake | None:
        """Tell of a message whose last attempt is over; gives what goes on with the rest."""

    def refuse(self, bad: BadMessage, digest: str) -> None:
        """Tell whoever can be told that a message was none of ours."""


class Send(Protocol):
    """Puts a message on a queue, to be seen after `delay_seconds`; may raise CloudFailure."""

    def __call__(self, queue: str, body: str, delay_seconds: int = 0) -> object:
        """Send."""


@dataclass(frozen=True)
class Pace:
    """How long until a message comes again, in seconds, and how often it may.

    Errors back off exponentially with full jitter; an operation of the cloud is looked at again
    at a slowly growing interval; a person is given days.
    """

    max_attempts: int = 20
    error_seconds: float = 1.0
    error_limit_seconds: float = 120.0
    cloud_seconds: float = 5.0
    cloud_limit_seconds: float = 60.0
    person_seconds: float = 60.0
    person_limit_seconds: float = 6 * 3600.0

    def delay(self, again: Again, attempt: int, chance: Callable[[], float]) -> int:
        """Whole seconds, at least one: what a queue can delay by.

        Args:
            again: Why the message must come again.
            attempt: How often it has come, from 1.
            chance: A draw from [0, 1).
        """
        power = min(max(attempt - 1, 0), _EXPONENT_LIMIT)
        if again.wait in ("cloud", "lock"):
            seconds = min(self.cloud_limit_seconds, self.cloud_seconds * 1.5**power)
        elif again.wait == "turn":
            seconds = 0.0
        elif again.wait == "person":
            seconds = min(self.person_limit_seconds, self.person_seconds * 2.0**power)
        else:
            seconds = min(self.error_limit_seconds, self.error_seconds * 2.0**power) * chance()
        if again.hint_seconds is not None:
            seconds += again.hint_seconds
        return max(1, math.ceil(seconds))


@dataclass(frozen=True)
class Inbox:
    """Answers for each message of one queue.

    Args:
        queue: The queue's own name, where messages come again.
        dead_letter_queue: Where a message goes that can never be done, with the reason.
        send: Puts a message on a queue.
        pace: How long until it comes again.
        chance: A draw from [0, 1), for the jitter.
        trail: Where each dead letter is noted.
    """

    queue: str
    dead_letter_queue: str
    send: Send
    pace: Pace
    chance: Callable[[], float]
    trail: Trail

    def answer(self, message: Message, worker: Worker) -> None:
        """The message is done, will come again, or is a dead letter with its reason.

        Raises:
            Exception: It could not even be put back: the trigger must deliver it again.
        """
        with correlated(message_id=message.message_id):
            self._answer(message, worker)

    def _answer(self, message: Message, worker: Worker) -> None:
        try:
            attempt, document = opened(message.body)
        except BadMessage as bad:
            self._refuse(message, worker, bad)
            return
        try:
            again = worker.take(document, message.sent_at)
        except BadMessage as bad:
            self._refuse(message, worker, bad)
            return
        except CloudFailure as failure:
            log.exception("message_failed", attempt=attempt)
            code = failure.explanation.code
            again = Again(code, hint_seconds=failure.retry_after, failure=told_of(failure))
        except Exception as error:
            log.exception("message_failed", attempt=attempt)
            again = Again(type(error).__name__)
        if again is not None:
            self._again(document, worker, attempt, again)

    def _again(self, document: dict[str, Any], worker: Worker, attempt: int, again: Again) -> None:
        if again.wait in _UNCOUNTED:
            attempt -= 1
        if attempt >= self.pace.max_attempts:
            self._give_up(document, worker, attempt, again)
            return
        delay = self.pace.delay(again, attempt, self.chance)
        body = json.dumps({"attempt": attempt + 1, "message": document}, separators=(",", ":"))
        self.send(self.queue, body, delay)
        log.info("message_comes_again", cause=again.reason, attempt=attempt, delay_seconds=delay)

    def _give_up(
        self, document: dict[str, Any], worker: Worker, attempt: int, again: Again
    ) -> None:
        problem = again.failure or GAVE_UP
        rest = None
        try:
            rest = worker.give_up(document, problem)
        except (LedgerUnavailable, CloudFailure):
            raise
        except Exception:
            log.exception("give_up_failed")
        if rest is not None:
            self.send(self.queue, rest.body(), math.ceil(self.pace.cloud_seconds))
        self._bury(document, f"{again.reason}: {problem.message}", attempt)

    def _refuse(self, message: Message, worker: Worker, bad: BadMessage) -> None:
        digest = sha256(message.message_id.encode()).hexdigest()[:12]
        worker.refuse(bad, digest)
        self._bury(message.body, str(bad), 1)

    def _bury(self, content: object, reason: str, attempt: int) -> None:
        letter = {"queue": self.queue, "reason": reason, "attempt": attempt, "message": content}
        body = _dumped(letter)
        if len(body.encode()) > MAX_MESSAGE_BYTES:
            text = content if isinstance(content, str) else _dumped(content)
            letter |= {"message": text[:_KEPT_CHARACTERS], "reason": f"{reason} (cut to fit)"}
            body = _dumped(letter)
        chain = f"dead-letters/{self.dead_letter_queue}"
        self.trail.note(chain, "dead letter", attempt=attempt, reason=reason[:500])
        self.send(self.dead_letter_queue, body)
        log.error("message_dead", reason=reason, attempt=attempt)


def _dumped(value: object) -> str:
    """JSON, short; characters as they are, but for halves of one, which UTF-8 cannot hold."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def opened(body: str) -> tuple[int, dict[str, Any]]:
    """How often the message has come, and what it says. Pure.

    Senders may have base64-encoded the body: some SDKs do so by default.

    Raises:
        BadMessage: It holds no JSON object.
    """
    document = read_object(_plain(body))
    if document.keys() == {"attempt", "message"}:
        attempt, inner = document["attempt"], document["message"]
        counts = type(attempt) is int and 1 <= attempt <= _MOST_ATTEMPTS
        if not counts or not isinstance(inner, dict):
            raise BadMessage("the message says that it comes again, but not as we say it")
        return attempt, inner
    return 1, document


def _plain(body: str) -> str | bytes:
    if body.lstrip()[:1] in ("{", "["):
        return body
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return body
