"""MNS (SMQ): queues and the result topic, by the official SDK made safe for threads and time.

The SDK's connection is not thread-safe and gets no time-out over TLS, so each thread has an
account object of its own and the time-out is set where http.client reads it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mns.account import Account
from mns.mns_exception import MNSClientException, MNSServerException
from mns.queue import Message
from mns.topic import TopicMessage

from shared.cloud.errors import OutcomeUnknown, failure
from shared.contract import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

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
        self._local = threading.local()

    def send(self, queue: str, body: str, delay_seconds: int = 0) -> str:
        """The message is on the queue and seen after the delay. Gives its id."""
        _check_size(body)
        if not 0 <= delay_seconds <= _LONGEST_DELAY_SECONDS:
            raise ValueError(f"a queue delays by 0 to {_LONGEST_DELAY_SECONDS} seconds")
        message = Message(body, delay_seconds)
        return str(self._called(lambda: self._queue(queue).send_message(message).message_id))

    def publish(self, topic: str, body: str, tag: str) -> str:
        """The message is on the topic, for subscribers of its tag. Gives its id."""
        _check_size(body)
        if not 1 <= len(tag) <= _LONGEST_TAG:
            raise ValueError(f"a tag has 1 to {_LONGEST_TAG} characters")
        message = TopicMessage(body, tag)
        return str(
            self._called(
                lambda: self._account().get_topic(topic).publish_message(message).message_id
            )
        )

    def receive(self, queue: str, wait_seconds: int = 0, most: int = _BATCH) -> list[Received]:
        """Up to `most` messages, waited for at most `wait_seconds` (0 to 30)."""
        wait = min(wait_seconds, LONGEST_POLL_SECONDS)
        self._account().mns_client.http.conn.timeout = self._timeout + wait
        try:
            found = self._called(
                lambda: self._queue(queue).batch_receive_message(min(most, _BATCH), wait)
            )
        except OutcomeUnknown as unknown:
            if unknown.cloud_code == _NOTHING_THERE:
                return []
            raise
        return [
            Received(_text(one.message_body), one.message_id, one.receipt_handle) for one in found
        ]

    def delete(self, queue: str, receipt: str) -> None:
        """The received message does not come back."""
        self._called(lambda: self._queue(queue).delete_message(receipt))

    def _queue(self, name: str) -> Any:
        queue = self._account().get_queue(name)
        queue.set_encoding(False)  # the SDK would base64-encode what others read as JSON
        return queue

    def _account(self) -> Any:
        account = getattr(self._local, "account", None)
        if account is None:
            account = Account(self._endpoint, credentials_provider=self._provider)
            account.mns_client.http.conn.timeout = self._timeout
            account.mns_client.http.conn.connection_timeout = self._timeout
            self._local.account = account
        return account

    def _called(self, operation: Callable[[], Any]) -> Any:
        """The operation's answer.

        A connection that went stale while the instance was frozen is opened again once: a message
        that goes out twice does no harm here.
        """
        for last in (False, True):
            try:
                return operation()
            except MNSServerException as error:
                raise failure(
                    error.type, str(error.message)[:500], request_id=error.req_id
                ) from None
            except MNSClientException as error:
                if last or "timed out" in str(error.message):
                    raise OutcomeUnknown(str(error.type), "no answer from MNS") from None
        raise AssertionError("unreachable")


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
