"""MNS (SMQ): the queues and topics of every account."""

from __future__ import annotations

import itertools
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import requests

from localcloud.call import CloudError
from localcloud.clock import VirtualClock
from localcloud.mns.digest import md5
from localcloud.mns.queue import Message, Queue
from localcloud.mns.topic import (
    LARGEST_MESSAGE,
    LONGEST_TAG,
    Published,
    Push,
    Subscriber,
    content,
    deliver,
    function_event,
)
from localcloud.mns.wire import MnsWire

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.behaviour import DeliveryFault
    from localcloud.cloud import Cloud
    from localcloud.world import Account, Subscription
    from localcloud.world import Queue as QueueAttributes

__all__ = ["Message", "Mns", "Published"]

_QUEUE_ENDPOINT: Final = re.compile(
    r"acs:mns:(?P<region>[a-z0-9-]+):(?P<uid>[0-9]{16}):/?queues/(?P<name>[A-Za-z0-9-]+)"
)
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_PUSH_TIMEOUT_SECONDS: Final = 5.0


class Mns:
    """All queues and topics. Names are unique in an account here, whatever the region."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._changed = threading.Condition(cloud.lock)
        self._queues: dict[tuple[str, str], Queue] = {}
        self._topics: dict[tuple[str, str], tuple[str, dict[str, Subscriber]]] = {}
        self._watchers: dict[tuple[str, str], list[Callable[[], None]]] = {}
        self._ids = itertools.count(1)
        self._chance = random.Random(0)  # noqa: S311 -- the jitter of retries
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="mns-push")
        self.wire = MnsWire(cloud, self)
        for account in cloud.world.accounts:
            self.make(account)

    def close(self) -> None:
        """No more pushes."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def make(self, account: Account) -> None:
        """The account's queues, topics and subscriptions are there; what was there stays."""
        for attributes in account.queues:
            if (account.uid, attributes.name) not in self._queues:
                self.create_queue(account.uid, attributes)
        for topic in account.topics:
            if (account.uid, topic.name) not in self._topics:
                self.create_topic(account.uid, topic.name, topic.region)
            for subscription in topic.subscriptions:
                if subscription.name not in self.subscribers(account.uid, topic.name):
                    self.subscribe(account.uid, topic.name, subscription)

    # Queues -----------------------------------------------------------------------------------

    def create_queue(self, account_uid: str, attributes: QueueAttributes) -> None:
        """The queue is there."""
        self._queues[account_uid, attributes.name] = Queue(
            attributes,
            account_uid,
            self._cloud.clock.now,
            lambda: self._cloud.behaviour.delivery,
            lambda name, message: self._bury(account_uid, name, message.body),
        )

    def delete_queue(self, account_uid: str, name: str) -> None:
        """The queue is gone with its messages."""
        self._queues.pop((account_uid, name), None)

    def queue(self, account_uid: str, name: str) -> Queue:
        """The queue. Raises CloudError QueueNotExist."""
        queue = self._queues.get((account_uid, name))
        if queue is None:
            raise CloudError(404, "QueueNotExist", "The queue name you provided is not exist.")
        return queue

    def queues(self, account_uid: str) -> list[Queue]:
        """All queues of an account."""
        return [queue for (uid, _), queue in self._queues.items() if uid == account_uid]

    def send(
        self,
        account_uid: str,
        name: str,
        body: bytes,
        delay: int | None = None,
        priority: int | None = None,
    ) -> Message:
        """The message is on the queue; who waits for it is told when it can be seen."""
        with self._changed:
            message = self.queue(account_uid, name).send(body, delay, priority)
        self._tell(account_uid, name, message.visible_at)
        return message

    def receive(self, account_uid: str, name: str, most: int, wait: float = 0) -> list[Message]:
        """Up to `most` messages, waited for at most `wait` seconds; a virtual clock waits not."""
        patient = not isinstance(self._cloud.clock, VirtualClock)
        with self._changed:
            until = self._cloud.clock.now() + wait
            while True:
                found = self.queue(account_uid, name).receive(most)
                now = self._cloud.clock.now()
                if found or now >= until or not patient:
                    break
                due = self.queue(account_uid, name).next_visible_at()
                self._changed.wait(max(0.0, min(until, due or until) - now) + 0.001)
        for message in found:
            self._tell(account_uid, name, message.visible_at)
        return found

    def delete(self, account_uid: str, name: str, receipt: str) -> None:
        """The received message is gone."""
        with self._changed:
            self.queue(account_uid, name).delete(receipt)

    def depth(self, account_uid: str, name: str) -> tuple[int, int, int]:
        """How many messages are seen, received, delayed."""
        with self._changed:
            return self.queue(account_uid, name).counts()

    def watch(self, account_uid: str, name: str, told: Callable[[], None]) -> None:
        """Have `told` called whenever a message of the queue may have come to be seen."""
        self._watchers.setdefault((account_uid, name), []).append(told)

    def _tell(self, account_uid: str, name: str, at: float) -> None:
        def now_seen() -> None:
            with self._changed:
                self._changed.notify_all()
            for told in self._watchers.get((account_uid, name), []):
                told()

        if at <= self._cloud.clock.now():
            with self._changed:
                self._changed.notify_all()
            at = self._cloud.clock.now()
        self._cloud.clock.call_at(at, now_seen)

    def _bury(self, account_uid: str, name: str, body: bytes) -> None:
        if (account_uid, name) in self._queues:
            self.send(account_uid, name, body)

    # Topics -----------------------------------------------------------------------------------

    def create_topic(self, account_uid: str, name: str, region: str) -> None:
        """The topic is there."""
        self._topics.setdefault((account_uid, name), (region, {}))

    def delete_topic(self, account_uid: str, name: str) -> None:
        """The topic is gone with its subscriptions."""
        self._topics.pop((account_uid, name), None)

    def topics(self, account_uid: str) -> list[str]:
        """The names of an account's topics."""
        return [name for uid, name in self._topics if uid == account_uid]

    def subscribers(self, account_uid: str, topic: str) -> dict[str, Subscriber]:
        """The subscriptions of a topic by name. Raises CloudError TopicNotExist."""
        known = self._topics.get((account_uid, topic))
        if known is None:
            raise CloudError(404, "TopicNotExist", "The topic name you provided is not exist.")
        return known[1]

    def subscribe(self, account_uid: str, topic: str, subscription: Subscription) -> None:
        """Messages of the topic go to the subscription's endpoint too.

        Raises:
            CloudError: The endpoint is none that a topic can push to.
        """
        push = self._push_to(subscription)
        self._add(account_uid, topic, subscription, push)

    def subscribe_function(
        self,
        account_uid: str,
        topic: str,
        subscription: Subscription,
        form: str,
        take: Callable[[bytes], bool],
    ) -> None:
        """Messages of the topic go to a function, as events of its mns_topic trigger.

        Args:
            account_uid: Whose topic it is.
            topic: The topic's name.
            subscription: Its name, filter tag and strategy; the endpoint is not used.
            form: `STREAM` or `JSON`.
            take: Hands the event to Function Compute; False where that did not take it.
        """

        def push(message: Published) -> bool:
            switches = self._cloud.behaviour.switches
            event = function_event(
                message,
                subscription.name,
                form,
                with_tag=switches.topic_event_tag,
                in_base64=switches.topic_event_base64,
            )
            return take(event)

        self._add(account_uid, topic, subscription, push)

    def _add(self, account_uid: str, topic: str, subscription: Subscription, push: Push) -> None:
        def bury(message: Published) -> None:
            if subscription.dead_letter_queue:
                self._bury(account_uid, subscription.dead_letter_queue, message.body)

        with self._changed:
            known = self.subscribers(account_uid, topic)
            known[subscription.name] = Subscriber(subscription, push, bury)

    def publish(self, account_uid: str, topic: str, body: bytes, tag: str | None) -> Published:
        """The message is on its way to every subscriber whose filter tag fits."""
        if len(body) > LARGEST_MESSAGE or len(tag or "") > LONGEST_TAG:
            raise CloudError(400, "InvalidArgument", "The message or its tag is too long.")
        with self._changed:
            known = list(self.subscribers(account_uid, topic).values())
            number = next(self._ids)
        message_id = md5(f"{topic}/{number}".encode())
        now = self._cloud.clock.now()
        message = Published(message_id, body, tag or None, now, topic, account_uid)
        fault = self._cloud.behaviour.delivery
        for subscriber in known:
            if subscriber.subscription.filter_tag in (None, "", message.tag):
                for _ in range(2 if self._happens(fault) else 1):
                    later = self._later(by_thread=subscriber.subscription.endpoint[:4] == "http")
                    deliver(message, subscriber, later, self._chance)
        return message

    def _later(self, *, by_thread: bool) -> Callable[[float, Callable[[], None]], None]:
        """Runs an action now or later; an HTTP push, which may hang, by a thread of its own."""

        def later(seconds: float, action: Callable[[], None]) -> None:
            def run() -> None:
                if by_thread and not isinstance(self._cloud.clock, VirtualClock):
                    self._pool.submit(action)
                else:
                    action()

            if seconds == 0:
                run()
            else:
                self._cloud.clock.call_at(self._cloud.clock.now() + seconds, run)

        return later

    def _happens(self, fault: DeliveryFault) -> bool:
        return fault.duplicate > 0 and self._chance.random() < fault.duplicate

    def _push_to(self, subscription: Subscription) -> Push:
        endpoint = subscription.endpoint
        queue = _QUEUE_ENDPOINT.fullmatch(endpoint)
        if queue is not None:
            return lambda message: self._to_queue(
                queue["uid"], queue["name"], message, subscription
            )
        parts = urlsplit(endpoint)
        if parts.scheme in ("http", "https") and parts.hostname in _LOOPBACK:
            return lambda message: self._to_http(endpoint, message, subscription)
        raise CloudError(
            400,
            "EndpointInvalid",
            "An endpoint here is acs:mns:<region>:<uid>:queues/<name> or a URL on loopback.",
        )

    def _to_queue(
        self, account_uid: str, name: str, message: Published, subscription: Subscription
    ) -> bool:
        try:
            self.send(account_uid, name, content(message, subscription))
        except CloudError:
            return False
        return True

    def _to_http(self, url: str, message: Published, subscription: Subscription) -> bool:
        """The pushes are not signed here, as the cloud's are by its certificate."""
        types = {"JSON": "application/json", "XML": "text/xml", "SIMPLIFIED": "text/plain"}
        headers = {
            "Content-Type": f"{types[subscription.notify_content_format]};charset=utf-8",
            "x-mns-request-id": message.message_id,
            "x-mns-message-id": message.message_id,
            **({"x-mns-message-tag": message.tag} if message.tag else {}),
        }

        try:
            answer = requests.post(
                url,
                data=content(message, subscription),
                headers=headers,
                timeout=_PUSH_TIMEOUT_SECONDS,
            )
        except requests.RequestException:
            return False
        return answer.ok
