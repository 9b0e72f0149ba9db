"""The dead letter of an answer: the result as it stood on the topic, and why nobody got it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_REASON: Final = 1000


@dataclass(frozen=True)
class AnswerLetters:
    """Puts results that can never be delivered onto the dead-letter queue.

    Args:
        queue: `ecr-answers-dead`.
        topic: Where a redrive publishes them again.
        send: Puts a message on a queue.
    """

    queue: str
    topic: str
    send: Callable[[str, str], object]

    def bury(self, body: str, reason: str) -> None:
        """The result lies in the dead letters. May raise CloudFailure."""
        letter = {
            "topic": self.topic,
            "reason": reason[:_MOST_REASON],
            "attempt": 1,
            "message": body,
        }
        self.send(self.queue, json.dumps(letter, separators=(",", ":"), ensure_ascii=False))
