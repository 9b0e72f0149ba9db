"""What Function Compute hands to a handler, made into messages."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from shared.inbox import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.inbox import Inbox, Worker

_AT_ONCE: Final = 8


class BadEvent(ValueError):
    """The trigger's event has none of the forms that EventBridge sends."""


def queue_messages(event: bytes) -> list[Message]:
    """The messages of an EventBridge event whose source is an MNS queue.

    Streaming sends an array of CloudEvents (also for one), event-driven a single one; an element
    may be a JSON object or a string that holds one.

    Raises:
        BadEvent: It has another form.
    """
    try:
        document = json.loads(event)
        elements = document if isinstance(document, list) else [document]
        return [_message(json.loads(one) if isinstance(one, str) else one) for one in elements]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadEvent("the event is not what EventBridge sends for an MNS queue") from None


def _message(element: dict[str, Any]) -> Message:
    data = element["data"]
    return Message(
        body=str(data["messageBody"]),
        # Not the event's own id: it is another one when a batch is sent again.
        message_id=str(data["messageId"]),
        sent_at=_time(element.get("aliyunpublishtime") or element["time"]),
    )


def _time(text: str) -> datetime:
    for form in ("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"):
        try:
            return datetime.strptime(text, form).astimezone(timezone.utc)
        except ValueError:
            continue
    raise BadEvent("the event's time has an unknown form")


def topic_message(event: bytes) -> str:
    """The body of a topic's message, as an mns_topic trigger hands it over in the form JSON.

    The message's attributes stand beside the fields of MNS; a body that the publisher put into
    base64 is decoded.

    Raises:
        BadEvent: It has another form.
    """
    try:
        body = json.loads(event)["Message"]
        if not body.lstrip().startswith("{"):
            body = base64.b64decode(body, validate=True).decode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadEvent("the event is not what MNS sends for a topic in the form JSON") from None
    return str(body)


@dataclass(frozen=True)
class TimerOptions:
    """What a timer's payload, or who invokes the function by hand, may ask for."""

    dry_run: bool = False
    audit: bool = False


def timer_options(event: bytes) -> TimerOptions:
    """The options in a timer's payload, which is JSON in a string: `{"dry_run": true}`.

    `dry_run` is a run that only looks, `audit` begins a full audit of the accounts B.

    Whoever invokes the function by hand may send the payload alone. An empty payload asks for
    nothing special.

    Raises:
        BadEvent: It asks for something that there is not: nothing is done on a misunderstanding.
    """
    try:
        document = json.loads(event) if event.strip() else {}
        if "payload" in document:
            document = json.loads(document["payload"]) if document["payload"] else {}
        are_known = document.keys() <= {"dry_run", "audit"}
        if are_known and all(type(value) is bool for value in document.values()):
            return TimerOptions(**document)
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    raise BadEvent('the payload may be empty, {"dry_run": true}, or {"audit": true}')


def answer_each(messages: Iterable[Message], inbox: Inbox, worker: Worker) -> int:
    """Every message has its answer; one that cannot be put back fails the batch, after the others.

    Raises:
        Exception: What kept a message from being put back; the trigger delivers the batch again,
            and the messages that have their answer are only repeated.
    """
    batch = list(messages)
    if len(batch) == 1:
        inbox.answer(batch[0], worker)
        return 1
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        futures = [
            pool.submit(copy_context().run, inbox.answer, message, worker) for message in batch
        ]
    for future in futures:
        future.result()
    return len(batch)
