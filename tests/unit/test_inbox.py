"""A message has exactly one answer: done, again later, or the dead-letter queue."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit import Trail
from shared.contract import MAX_MESSAGE_BYTES, BadMessage, Problem
from shared.inbox import Inbox, Message, Pace, opened
from shared.run import Again
from simulation.memory import MemoryLedger

NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


class Recorder:
    """A worker and a queue that note what they are given."""

    def __init__(self, answer=None):
        self.answer, self.taken, self.given_up, self.refused, self.sent = answer, [], [], [], []

    def take(self, document, sent_at):
        self.taken.append(document)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def give_up(self, document, problem):
        self.given_up.append((document, problem))

    def refuse(self, bad, digest):
        self.refused.append(str(bad))

    def send(self, queue, body, delay_seconds=0):
        self.sent.append((queue, json.loads(body), delay_seconds))


def trail():
    return Trail(MemoryLedger(), lambda: NOW)


def answered(body, answer=None, **pace):
    worker = Recorder(answer)
    inbox = Inbox("q", "q-dead", worker.send, Pace(**pace), lambda: 0.5, trail())
    inbox.answer(Message(body, "m-1", NOW), worker)
    return worker


def test_what_is_done_is_sent_nowhere():
    worker = answered('{"a":1}')
    assert worker.taken == [{"a": 1}]
    assert worker.sent == []


@pytest.mark.parametrize("body", ['{"a":1}', base64.b64encode(b'{"a":1}').decode(), ' \n{"a":1}'])
def test_a_body_is_read_plain_or_in_base64(body):
    assert opened(body) == (1, {"a": 1})


@pytest.mark.parametrize("body", ["", "nope", "[1]", "bm9wZQ==", "\ud800", "{" * 70000])
def test_a_body_that_holds_no_object_is_a_dead_letter_with_its_reason(body):
    worker = answered(body)
    assert worker.taken == []
    ((queue, letter, _),) = worker.sent
    assert queue == "q-dead"
    assert letter["reason"]
    assert worker.refused


def test_a_message_that_no_worker_understands_is_a_dead_letter_with_its_reason():
    worker = answered('{"a":1}', BadMessage("a: unknown"))
    assert worker.refused == ["a: unknown"]
    assert worker.sent[0][1]["reason"] == "a: unknown"


def test_what_cannot_be_done_now_comes_again_with_the_count_of_its_attempts():
    worker = answered('{"a":1}', Again("ecr_busy"))
    assert worker.sent == [("q", {"attempt": 2, "message": {"a": 1}}, 1)]
    again = answered(json.dumps(worker.sent[0][1]), Again("ecr_busy"))
    assert again.taken == [{"a": 1}]
    assert again.sent[0][1]["attempt"] == 3


def test_after_the_last_attempt_it_fails_and_is_a_dead_letter():
    problem = Problem(code="ecr_busy", message="m", remedy="r")
    body = json.dumps({"attempt": 5, "message": {"a": 1}})
    worker = answered(body, Again("ecr_busy", failure=problem), max_attempts=5)
    assert worker.given_up == [({"a": 1}, problem)]
    assert worker.sent[0][0] == "q-dead"


def test_a_mistake_of_ours_keeps_the_message():
    worker = answered('{"a":1}', ZeroDivisionError("secret in the text"))
    assert worker.sent[0][1] == {"attempt": 2, "message": {"a": 1}}


def test_a_message_that_cannot_be_put_back_fails_the_batch():
    worker = Recorder(Again("ecr_busy"))

    def broken(queue, body, delay_seconds=0):
        raise ConnectionError

    inbox = Inbox("q", "q-dead", broken, Pace(), lambda: 0.5, trail())
    with pytest.raises(ConnectionError):
        inbox.answer(Message('{"a":1}', "m-1", NOW), worker)


@pytest.mark.parametrize("attempt", [0, -1, True, "2", None, 1.5])
def test_a_count_that_is_none_is_refused(attempt):
    with pytest.raises(BadMessage):
        opened(json.dumps({"attempt": attempt, "message": {}}))


def test_a_dead_letter_always_fits_its_queue():
    worker = answered("x" * MAX_MESSAGE_BYTES)
    assert len(json.dumps(worker.sent[0][1]).encode()) <= MAX_MESSAGE_BYTES


@given(
    st.integers(1, 10**9),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(["error", "cloud", "person"]),
)
def test_a_delay_is_one_that_a_queue_takes(attempt, chance, wait):
    delay = Pace().delay(Again("x", wait=wait), attempt, lambda: chance)
    assert 1 <= delay <= 604800


def test_errors_back_off_exponentially_with_full_jitter():
    pace = Pace(error_seconds=2, error_limit_seconds=60)
    longest = [pace.delay(Again("x"), attempt, lambda: 0.999999) for attempt in range(1, 8)]
    assert longest == [2, 4, 8, 16, 32, 60, 60]
    assert {pace.delay(Again("x"), attempt, lambda: 0.0) for attempt in range(1, 8)} == {1}


def test_the_clouds_own_hint_is_waited_for():
    assert Pace().delay(Again("throttled", hint_seconds=30), 1, lambda: 0.0) == 30
