"""One MNS queue: delay, visibility, priority, retention, dead letters. No I/O, no threads."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from localcloud.call import CloudError
from localcloud.mns.digest import md5

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.behaviour import DeliveryFault
    from localcloud.world import Queue as Attributes

LONGEST_DELAY: Final = 604800
LONGEST_VISIBILITY: Final = 43200
_LOWEST_PRIORITY: Final = 16
_NORMAL_PRIORITY: Final = 8


@dataclass
class Message:
    """A message as the queue keeps it; times in epoch seconds."""

    message_id: str
    body: bytes
    enqueued_at: float
    visible_at: float
    priority: int
    order: float
    receives: int = 0
    first_received_at: float | None = None
    receipt: str = ""
    deleted: bool = False

    @property
    def md5(self) -> str:
        """The body's digest."""
        return md5(self.body)


@dataclass
class Queue:
    """The messages of one queue.

    Args:
        attributes: As the world or CreateQueue gives them.
        account_uid: Whose it is.
        now: The clock.
        delivery: What is ordered to go wrong on the way.
        bury: Takes a message that was received too often to its dead-letter queue.
    """

    attributes: Attributes
    account_uid: str
    now: Callable[[], float]
    delivery: Callable[[], DeliveryFault]
    bury: Callable[[str, Message], None]
    _waiting: list[tuple[float, int, str, Message]] = field(default_factory=list)
    _ready: list[tuple[int, float, int, Message]] = field(default_factory=list)
    _received: dict[str, Message] = field(default_factory=dict)
    _count: itertools.count[int] = field(default_factory=itertools.count)
    _chance: random.Random | None = None

    def send(self, body: bytes, delay: int | None = None, priority: int | None = None) -> Message:
        """The message is on the queue; gives it. It is seen after `delay` seconds.

        Raises:
            CloudError: It is too large, or the delay or the priority is out of range.
        """
        if len(body) > self.attributes.maximum_message_size:
            raise CloudError(400, "InvalidArgument", "The message is larger than the queue takes.")
        delay = self.attributes.delay_seconds if delay is None else delay
        priority = _NORMAL_PRIORITY if priority is None else priority
        if not 0 <= delay <= LONGEST_DELAY or not 1 <= priority <= _LOWEST_PRIORITY:
            raise CloudError(400, "InvalidArgument", "DelaySeconds or Priority is out of range.")
        now = self.now()
        number = next(self._count)
        message_id = md5(f"{self.account_uid}/{self.attributes.name}/{number}".encode())
        message = Message(message_id, body, now, now + delay, priority, float(number))
        self._disturb(message)
        self._put(message)
        return message

    def _disturb(self, message: Message) -> None:
        fault = self.delivery()
        if not (fault.duplicate or fault.delay or fault.reorder):
            return
        if self._chance is None:
            self._chance = random.Random(f"{fault.seed}/{self.attributes.name}")  # noqa: S311 -- replayable
        if self._chance.random() < fault.delay:
            message.visible_at += fault.delay_seconds
        if self._chance.random() < fault.reorder:
            message.order -= self._chance.uniform(0, 10)
        if self._chance.random() < fault.duplicate:
            twin = Message(
                message.message_id,
                message.body,
                message.enqueued_at,
                message.visible_at,
                message.priority,
                message.order + 0.5,
            )
            self._put(twin)

    def receive(self, most: int = 1) -> list[Message]:
        """Up to `most` messages, which are not seen again until their visibility runs out."""
        now = self.now()
        self._ripen(now)
        taken: list[Message] = []
        letter = self.attributes.dead_letter
        while self._ready and len(taken) < most:
            message = heapq.heappop(self._ready)[-1]
            if message.deleted or self._is_over(message, now):
                continue
            if letter is not None and message.receives >= letter.max_receive_count:
                message.deleted = True
                self.bury(letter.queue, message)
                continue
            message.receives += 1
            message.first_received_at = message.first_received_at or now
            self._hide(message, now + self.attributes.visibility_seconds)
            taken.append(message)
        return taken

    def peek(self, most: int = 1) -> list[Message]:
        """Up to `most` messages, which stay seen."""
        self._ripen(self.now())
        now = self.now()
        seen = (one[-1] for one in sorted(self._ready, key=lambda one: one[:3]))
        return [one for one in seen if not one.deleted and not self._is_over(one, now)][:most]

    def delete(self, receipt: str) -> None:
        """The received message is gone.

        Raises:
            CloudError: The receipt is none, or its visibility has run out.
        """
        self._held(receipt).deleted = True
        del self._received[receipt]

    def change_visibility(self, receipt: str, seconds: int) -> Message:
        """The received message is hidden for `seconds` from now; it has a new receipt.

        Raises:
            CloudError: The receipt is none, or its visibility has run out.
        """
        message = self._held(receipt)
        del self._received[receipt]
        self._hide(message, self.now() + seconds)
        return message

    def _held(self, receipt: str) -> Message:
        """The message that was received with this receipt and is hidden still."""
        message = self._received.get(receipt)
        if message is None:
            raise CloudError(404, "MessageNotExist", "Message not exist.")
        if message.visible_at <= self.now():
            raise CloudError(
                400, "ReceiptHandleError", "The receipt handle you provide is expired."
            )
        return message

    def counts(self) -> tuple[int, int, int]:
        """How many messages are seen, received, delayed."""
        now = self.now()
        self._ripen(now)
        active = sum(not one[-1].deleted and not self._is_over(one[-1], now) for one in self._ready)
        waiting = [one for *_, receipt, one in self._waiting if _is_hidden(one, receipt)]
        inactive = sum(one.receives > 0 for one in waiting)
        return active, inactive, len(waiting) - inactive

    def next_visible_at(self) -> float | None:
        """When the next message will be seen that is not seen now."""
        while self._waiting and not _is_hidden(self._waiting[0][3], self._waiting[0][2]):
            heapq.heappop(self._waiting)
        return self._waiting[0][0] if self._waiting else None

    def _put(self, message: Message) -> None:
        if message.visible_at > self.now():
            self._wait(message)
        else:
            self._be_ready(message)

    def _be_ready(self, message: Message) -> None:
        entry = (message.priority, message.order, next(self._count), message)
        heapq.heappush(self._ready, entry)

    def _hide(self, message: Message, until: float) -> None:
        message.visible_at = until
        message.receipt = f"{message.priority}-{message.message_id[:16]}-{next(self._count)}"
        self._received[message.receipt] = message
        self._wait(message)

    def _wait(self, message: Message) -> None:
        entry = (message.visible_at, next(self._count), message.receipt, message)
        heapq.heappush(self._waiting, entry)

    def _ripen(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            _, _, receipt, message = heapq.heappop(self._waiting)
            if _is_hidden(message, receipt):
                self._received.pop(message.receipt, None)
                self._be_ready(message)

    def _is_over(self, message: Message, now: float) -> bool:
        return now - message.enqueued_at > self.attributes.retention_seconds


def _is_hidden(message: Message, receipt: str) -> bool:
    """A message whose visibility was changed waits twice; the entry with its receipt counts."""
    return not message.deleted and message.receipt == receipt
