"""What EventBridge hands over becomes messages; what it never sends is named."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.triggers import BadEvent, answer_each, queue_messages
from shared.inbox import Message

EVENTS = Path(__file__).parents[2] / "events"
SAMPLES = sorted(EVENTS.glob("eventbridge_*.json"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_event_is_read(path):
    messages = queue_messages(path.read_bytes())
    assert messages
    for message in messages:
        assert json.loads(message.body)
        assert message.message_id
        assert message.sent_at.tzinfo is timezone.utc


def element(**changes):
    (found, *_) = json.loads((EVENTS / "eventbridge_requests.json").read_text())
    return {**found, **changes}


@pytest.mark.parametrize(
    "event",
    [[element()], element(), [json.dumps(element())], json.dumps(element())],
    ids=["array", "single", "array of strings", "string"],
)
def test_both_modes_and_elements_that_are_strings(event):
    assert queue_messages(json.dumps(event).encode()) == queue_messages(
        json.dumps([element()]).encode()
    )


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2026-01-02T03:04:05Z", 5),
        ("2026-01-02T03:04:05.5Z", 5.5),
        ("2026-01-02T11:04:05.5+08:00", 5.5),
        ("2026-01-02T11:04:05+0800", 5),
    ],
)
def test_times_of_every_form_become_utc(time, seconds):
    (message,) = queue_messages(json.dumps([element(aliyunpublishtime=time)]).encode())
    expected = datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc).timestamp() + seconds
    assert message.sent_at.timestamp() == expected


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"null",
        b"7",
        b"{}",
        b"[{}]",
        b"[[]]",
        b'["x"]',
        b"\xff",
        b"[" * 100_000,
        json.dumps([element(data=None)]).encode(),
        json.dumps([element(data={})]).encode(),
        json.dumps([element(aliyunpublishtime="yesterday")]).encode(),
    ],
    ids=range(12),
)
def test_what_eventbridge_never_sends_is_refused(event):
    with pytest.raises(BadEvent):
        queue_messages(event)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_event_raises_anything_else(event):
    try:
        queue_messages(event)
    except BadEvent:
        pass


class _Inbox:
    def __init__(self, failing=()):
        self.failing = failing
        self.answered = []
        self._lock = threading.Lock()

    def answer(self, message, worker):
        with self._lock:
            self.answered.append(message.body)
        if message.body in self.failing:
            raise OSError(message.body)


def batch(count):
    return [Message(str(n), str(n), datetime.now(timezone.utc)) for n in range(count)]


def test_every_message_has_its_answer_before_a_batch_fails():
    inbox = _Inbox(failing={"0", "3"})
    with pytest.raises(OSError, match="0|3"):
        answer_each(batch(8), inbox, None)
    assert sorted(inbox.answered) == [str(n) for n in range(8)]


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_a_batch_counts_its_messages(count):
    inbox = _Inbox()
    assert answer_each(batch(count), inbox, None) == count
    assert len(inbox.answered) == count
