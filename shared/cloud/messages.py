"""MNS (SMQ): queues and the result topic, by the official SDK made safe for threads and time.

The SDK's account object holds one connection, which is not thread-safe and gets no time-out over
TLS. So each call takes an account object out of a pool for itself alone, and the time-out is set
where http.client reads it.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mns.account import Account
from mns.mns_exception import MNSClientException, MNSServerException
from mns.queue import Message
from mns.topic import TopicMessage

from shared.cloud.errors import OutcomeUnknown, Refused, failure
from shared.contract import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.cloud.credentials import Credentials

TIMEOUT_SECONDS: Final = 10.0
LONGEST_POLL_SECONDS: Final = 30
_LONGEST_DELAY_SECONDS: Final = 604800
_LONGEST_TAG: Final = 16
_BATCH: Final = 16
_NOTHING_THERE: Final = "MessageNotExist"


@dataclass(frozen=True)
class Received:
    """A message taken from a queue; it comes back unless it is deleted by its receipt."""

    body: str
    message_id: str
    receipt: str


@dataclass(frozen=True)
class Subscribed:
    """Where a subscription's messages go, of which tag (empty: of all), and in which form."""

    endpoint: str
    filter_tag: str
    form: str


class Messages:
    """One account's queues and topics in one region.

    Every method may raise CloudFailure; what has no answer is OutcomeUnknown.

    Args:
        endpoint: `https://<account uid>.mns.<region>.aliyuncs.com`.
        credentials: Asked for anew for each call: they may have been renewed.
        timeout_seconds: For connecting and for each read.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Callable[[], Credentials],
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._endpoint = endpoint
        self._provider = _Provider(credentials)
        self._timeout = timeout_seconds
        self._idle: deque[Account] = deque()

    def send(self, queue: str, body: str, delay_seconds: int = 0) -> str:
        """The message is on the queue and seen after the delay. Gives its id."""
        _check_size(body)
        if not 0 <= delay_seconds <= _LONGEST_DELAY_SECONDS:
            raise ValueError(f"a queue delays by 0 to {_LONGEST_DELAY_SECONDS} seconds")
        message = Message(body, delay_seconds)
        return str(self._called(lambda of: _queue(of, queue).send_message(message)).message_id)

    def publish(self, topic: str, body: str, tag: str) -> str:
        """The message is on the topic, for subscribers of its tag. Gives its id."""
        _check_size(body)
        if not 1 <= len(tag) <= _LONGEST_TAG:
            raise ValueError(f"a tag has 1 to {_LONGEST_TAG} characters")
        message = TopicMessage(body, tag)
        sent = self._called(lambda of: of.get_topic(topic).publish_message(message))
        return str(sent.message_id)

    def receive(self, queue: str, wait_seconds: int = 0, most: int = _BATCH) -> list[Received]:
        """Up to `most` messages, waited for at most `wait_seconds` (0 to 30)."""
        wait = min(wait_seconds, LONGEST_POLL_SECONDS)
        count = min(most, _BATCH)
        try:
            found = self._called(
                lambda of: _queue(of, queue).batch_receive_message(count, wait), wait
            )
        except Refused as refused:
            if refused.cloud_code == _NOTHING_THERE:
                return []
            raise
        return [
            Received(_text(one.message_body), one.message_id, one.receipt_handle) for one in found
        ]

    def delete(self, queue: str, receipt: str) -> None:
        """The received message does not come back."""
        self._called(lambda of: _queue(of, queue).delete_message(receipt))

    def release(self, queue: str, receipt: str, seconds: int) -> None:
        """The received message can be received again after so many seconds (1 to 43200)."""
        self._called(lambda of: _queue(of, queue).change_message_visibility(receipt, seconds))

    def lying(self, queue: str) -> int:
        """How many messages lie on the queue, seen and not (GetQueueAttributes)."""
        found = self._called(lambda of: _queue(of, queue).get_attributes())
        counts = (found.active_messages, found.inactive_messages, found.delay_messages)
        return sum(max(0, int(one)) for one in counts)

    def subscription(self, topic: str, name: str) -> Subscribed:
        """How a subscription of the topic stands (GetSubscriptionAttributes)."""
        found = self._called(lambda of: of.get_subscription(topic, name).get_attributes())
        return Subscribed(
            str(found.endpoint), str(found.filter_tag or ""), str(found.notify_content_format)
        )

    def close(self) -> None:
        """Close the connections that are idle."""
        while self._idle:
            self._idle.pop().mns_client.http.conn.close()

    def _called(self, operation: Callable[[Any], Any], wait_seconds: float = 0) -> Any:
        """The operation's answer, given an account object.

        A connection that went stale while the instance was frozen is opened again once: a message
        that goes out twice does no harm here.
        """
        with self._account(self._timeout + wait_seconds) as account:
            for last in (False, True):
                try:
                    return operation(account)
                except MNSServerException as error:
                    raise failure(
                        str(error.type), str(error.message), request_id=error.req_id
                    ) from None
                except MNSClientException as error:
                    if last or "timed out" in str(error.message):
                        raise OutcomeUnknown(str(error.type), "no answer from MNS") from None
        raise AssertionError("unreachable")

    @contextmanager
    def _account(self, timeout_seconds: float) -> Iterator[Any]:
        """An account object with its connection, for one caller at a time."""
        try:
            account = self._idle.pop()
        except IndexError:
            account = Account(self._endpoint, credentials_provider=self._provider)
        connection = account.mns_client.http.conn
        connection.timeout = connection.connection_timeout = timeout_seconds
        if connection.sock is not None:
            connection.sock.settimeout(timeout_seconds)
        try:
            yield account
        finally:
            self._idle.append(account)


def _queue(account: Any, name: str) -> Any:
    queue = account.get_queue(name)
    queue.set_encoding(False)  # the SDK would base64-encode what others read as JSON
    return queue


class _Provider:
    """The credentials as the SDK asks for them: for each request."""

    def __init__(self, credentials: Callable[[], Credentials]) -> None:
        self._credentials = credentials

    def get_credentials(self) -> _Signing:
        return _Signing(self._credentials())


@dataclass(frozen=True)
class _Signing:
    given: Credentials

    def get_access_key_id(self) -> str:
        return self.given.access_key_id

    def get_access_key_secret(self) -> str:
        return self.given.access_key_secret.get_secret_value()

    def get_security_token(self) -> str:
        return self.given.security_token.get_secret_value()


def _check_size(body: str) -> None:
    if len(body.encode("utf-8", "surrogatepass")) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message holds {MAX_MESSAGE_BYTES} bytes at most")


def _text(body: str | bytes) -> str:
    return body.decode() if isinstance(body, bytes) else body
