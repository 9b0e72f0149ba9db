"""One MNS topic: each message pushed to every subscriber whose filter tag fits."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from xml.sax.saxutils import escape

from localcloud.mns.digest import md5

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from localcloud.world import Subscription

LARGEST_MESSAGE: Final = 65536
LONGEST_TAG: Final = 16
NAMESPACE: Final = "http://mns.aliyuncs.com/doc/v1/"


@dataclass(frozen=True)
class Published:
    """A message as the topic keeps it."""

    message_id: str
    body: bytes
    tag: str | None
    at: float
    topic: str
    owner: str

    @property
    def md5(self) -> str:
        """The body's digest."""
        return md5(self.body)


class Push(Protocol):
    """Takes a message to one subscriber; False where it did not take it."""

    def __call__(self, message: Published) -> bool:
        """Push."""


@dataclass
class Subscriber:
    """One subscription and the way to its endpoint."""

    subscription: Subscription
    push: Push
    bury: Callable[[Published], None]


def retry_delays(strategy: str, chance: random.Random) -> list[float]:
    """The seconds before each retry of a push.

    BACKOFF_RETRY: three, 10 to 20 s apart. EXPONENTIAL_DECAY_RETRY: 176, doubling up to 512 s.
    """
    if strategy == "BACKOFF_RETRY":
        return [chance.uniform(10, 20) for _ in range(3)]
    return [float(min(2**power, 512)) for power in range(176)]


def deliver(
    message: Published,
    subscriber: Subscriber,
    later: Callable[[float, Callable[[], None]], None],
    chance: random.Random,
) -> None:
    """Push, and push again as the strategy says; then the dead-letter queue.

    Args:
        message: What is pushed.
        subscriber: To whom.
        later: Runs an action after so many seconds; 0 for the first push.
        chance: The jitter between retries.
    """
    delays = iter(retry_delays(subscriber.subscription.notify_strategy, chance))

    def attempt() -> None:
        if subscriber.push(message):
            return
        delay = next(delays, None)
        if delay is None:
            subscriber.bury(message)
        else:
            later(delay, attempt)

    later(0, attempt)


def content(message: Published, subscription: Subscription) -> bytes:
    """What an HTTP or queue subscriber is sent, in the subscription's format. Pure."""
    form = subscription.notify_content_format
    if form == "SIMPLIFIED":
        return message.body
    fields = {
        "TopicOwner": message.owner,
        "TopicName": message.topic,
        "Subscriber": message.owner,
        "SubscriptionName": subscription.name,
        "MessageId": message.message_id,
        "MessageMD5": message.md5,
        "Message": message.body.decode("utf-8", "replace"),
        "PublishTime": str(int(message.at * 1000)),
    }
    if message.tag:
        fields["MessageTag"] = message.tag
    if form == "JSON":
        return json.dumps(fields).encode()
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return (
        f'<?xml version="1.0" encoding="utf-8"?>'
        f'<Notification xmlns="{NAMESPACE}">{inner}</Notification>'
    ).encode()


def function_event(
    message: Published, name: str, form: str, *, with_tag: bool, in_base64: bool
) -> bytes:
    """What a function with an mns_topic trigger is handed. Pure.

    Args:
        message: The message.
        name: The subscription's name.
        form: `STREAM` (the bare body) or `JSON`.
        with_tag: The switch `topic_event_tag`.
        in_base64: The switch `topic_event_base64`.
    """
    body = base64.b64encode(message.body) if in_base64 else message.body
    if form == "STREAM":
        return body
    fields: dict[str, object] = {
        "TopicOwner": message.owner,
        "Message": body.decode("utf-8", "replace"),
        "Subscriber": message.owner,
        "PublishTime": int(message.at * 1000),
        "SubscriptionName": name,
        "MessageMD5": message.md5,
        "TopicName": message.topic,
        "MessageId": message.message_id,
    }
    if with_tag and message.tag:
        fields["MessageTag"] = message.tag
    return json.dumps(fields).encode()
