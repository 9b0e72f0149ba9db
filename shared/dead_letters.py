"""Dead letters: what lies in a dead-letter queue, why, and how it is given another chance.

Two kinds lie there: ours, with the reason (`shared.inbox`, `shared.notify`), and what EventBridge,
Function Compute or MNS could not hand on, as they left it. Redriving sends the message to its queue
once more, or publishes it on its topic, and then deletes the letter; since every request is done
once and every answer delivered once, a letter redriven twice does no harm.
"""

from __future__ import annotations

import base64
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from shared.cloud.errors import Refused
from shared.contract import BadMessage, read_object
from shared.lines import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.audit import Trail
    from shared.cloud.messages import Received

_SUFFIX: Final = "-dead"
_ANSWERS_DEAD: Final = "ecr-answers-dead"
_TOPIC: Final = "ecr-results"
_TAG: Final = re.compile(r"[a-z_]{1,16}")
_MOST_ATTEMPTS: Final = 1_000_000
_LONGEST_REASON: Final = 1000
_LONGEST_ID: Final = 100
_ROUNDS: Final = 1000
_HIDDEN_NO_MORE_SECONDS: Final = 1


@dataclass(frozen=True)
class DeadLetter:
    """A message that could not be done.

    Args:
        message_id: The dead-letter queue's id of it, by which it is shown and redriven.
        queue: Where it would have to go: a queue, or the topic of results.
        reason: Why it lies here.
        attempt: How often it had come.
        message: What it says, as it would be sent.
        receipt: Deletes it, for as long as it is hidden from others.
        tag: Of a message of the topic: the outcome that it tells. None: it goes to a queue.
    """

    message_id: str
    queue: str
    reason: str
    attempt: int
    message: str
    receipt: str
    tag: str | None = None

    @property
    def request_id(self) -> str | None:
        """The request that it is about, if that can be read."""
        try:
            document = read_object(self.message)
        except BadMessage:
            return None
        data = document.get("data")
        holder = data if isinstance(data, dict) else document
        found = holder.get("request_id")
        return one_line(found, _LONGEST_ID) if isinstance(found, str) else None


class Queues(Protocol):
    """What is needed of MNS; `shared.cloud.messages.Messages` is it."""

    def send(self, queue: str, body: str, delay_seconds: int = 0) -> object:
        """Put a message on a queue."""

    def publish(self, topic: str, body: str, tag: str) -> object:
        """Put a message on a topic."""

    def receive(self, queue: str, wait_seconds: int = 0, most: int = 16) -> list[Received]:
        """Take messages off a queue for a while."""

    def delete(self, queue: str, receipt: str) -> None:
        """Take a received message off for good."""

    def release(self, queue: str, receipt: str, seconds: int) -> None:
        """Let a received message be seen again after so many seconds."""


@dataclass(frozen=True)
class DeadLetters:
    """The letters of one dead-letter queue.

    Args:
        queues: MNS.
        name: The dead-letter queue (`ecr-requests-dead`).
        trail: Where a redrive is noted.
    """

    queues: Queues
    name: str
    trail: Trail

    def all(self) -> list[DeadLetter]:
        """Every letter; they can be taken again a second later."""
        letters = list(self._taken())
        self._release(letters)
        return letters

    def redrive(self, message_ids: set[str] | None, operator: str) -> list[DeadLetter]:
        """Send these letters (None: all) to their queues again; gives those that were there.

        Args:
            message_ids: As `all` shows them.
            operator: Who asks for it, for the audit trail.
        """
        redriven, left = [], []
        for letter in self._taken():
            if message_ids is not None and letter.message_id not in message_ids:
                left.append(letter)
                continue
            self.trail.note(
                f"dead-letters/{self.name}",
                "redriven",
                operator=operator,
                message=letter.message_id,
                request=letter.request_id,
                queue=letter.queue,
            )
            if letter.tag is None:
                self.queues.send(letter.queue, letter.message)
            else:
                self.queues.publish(letter.queue, letter.message, letter.tag)
            with suppress(Refused):  # seen again meanwhile: it is redriven twice, and done once
                self.queues.delete(self.name, letter.receipt)
            redriven.append(letter)
        self._release(left)
        return redriven

    def _taken(self) -> Iterator[DeadLetter]:
        """Each letter once, batch by batch; the first that comes back was hidden for its time."""
        seen: set[str] = set()
        for _ in range(_ROUNDS):
            received = [one for one in self.queues.receive(self.name) if one.message_id not in seen]
            if not received:
                return
            for one in received:
                seen.add(one.message_id)
                yield _read(one, self.name)

    def _release(self, letters: list[DeadLetter]) -> None:
        for letter in letters:
            with suppress(Refused):  # its receipt is over: it can be seen already
                self.queues.release(self.name, letter.receipt, _HIDDEN_NO_MORE_SECONDS)


def _read(received: Received, name: str) -> DeadLetter:
    """The letter; whatever is not ours was left by who could not hand it on.

    Where it goes follows from where it lies: anybody who may put a letter here could name a queue
    that only the operator may write to.
    """
    found, queue = _object(received.body), name.removesuffix(_SUFFIX)
    if found.keys() == {"queue", "reason", "attempt", "message"}:
        body, attempt = _text(found["message"]), _counted(found["attempt"])
        reason = one_line(found["reason"], _LONGEST_REASON)
        return DeadLetter(received.message_id, queue, reason, attempt, body, received.receipt)
    if name == _ANSWERS_DEAD:
        return _answer(received, found)
    data = found.get("data")
    inner = data.get("messageBody") if isinstance(data, dict) else None
    body = inner if isinstance(inner, str) else received.body
    reason = "the function did not take it from EventBridge"
    return DeadLetter(received.message_id, queue, reason, 1, body, received.receipt)


def _answer(received: Received, found: dict[str, Any]) -> DeadLetter:
    """A result that was not told: ours, Function Compute's outcome, or MNS's bare message."""
    reason, attempt, body = "MNS could not hand it on", 1, received.body
    if found.keys() == {"topic", "reason", "attempt", "message"}:
        reason, attempt = str(found["reason"]), _counted(found["attempt"])
        body = _text(found["message"])
    elif "requestPayload" in found:
        given = found["requestPayload"]
        event = given if isinstance(given, dict) else _object(given)
        body = _decoded(event.get("Message", given))
        reason, attempt = _last_error(found), _count(found)
    data = _object(body).get("data")
    said = data.get("outcome") if isinstance(data, dict) else None
    tag = said if isinstance(said, str) and _TAG.fullmatch(said) else "unknown"
    reason = one_line(reason, _LONGEST_REASON)
    return DeadLetter(received.message_id, _TOPIC, reason, attempt, body, received.receipt, tag)


def _last_error(found: dict[str, Any]) -> str:
    """What the function raised last, as Function Compute has kept it."""
    answered = found.get("responsePayload")
    told = answered if isinstance(answered, dict) else _object(answered)
    message = told.get("errorMessage")
    return f"the function did not take it: {message}" if message else "the function did not take it"


def _count(found: dict[str, Any]) -> int:
    context = found.get("requestContext")
    count = context.get("approximateInvokeCount") if isinstance(context, dict) else None
    return _counted(count)


def _counted(count: object) -> int:
    return count if type(count) is int and 0 < count <= _MOST_ATTEMPTS else 1


def _text(message: object) -> str:
    """As it would be sent: no longer than it was in its letter, which fitted into a queue."""
    if isinstance(message, str):
        return message
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def _decoded(body: object) -> str:
    """A topic's message may be in base64."""
    text = str(body)
    if not text.lstrip().startswith("{"):
        with suppress(ValueError):
            return base64.b64decode(text, validate=True).decode()
    return text


def _object(body: object) -> dict[str, Any]:
    with suppress(BadMessage):
        return read_object(body) if isinstance(body, str) else {}
    return {}
