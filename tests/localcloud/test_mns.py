"""MNS as the stand-in imitates it, called with the official SDK."""

from __future__ import annotations

import http.server
import json
import threading
import time

import pytest
import requests
from mns.account import Account
from mns.mns_exception import MNSServerException
from mns.queue import Message, QueueMeta
from mns.subscription import SubscriptionMeta
from mns.topic import TopicMessage, TopicMeta

from localcloud.behaviour import DeliveryFault
from localcloud.mns.queue import Queue as PureQueue
from localcloud.server import LocalCloud
from localcloud.world import DeadLetter
from localcloud.world import Queue as Attributes
from tests.localcloud.conftest import A


def account(sdk, uid=A):
    key, secret = sdk.cloud.identity.root_key(uid)
    return Account(sdk.local.url, key, secret)


@pytest.fixture
def mns(sdk):
    return account(sdk)


@pytest.fixture
def queue(mns):
    found = mns.get_queue("ecr-requests")
    found.set_encoding(False)
    return found


def code_of(call, *arguments):
    with pytest.raises(MNSServerException) as refused:
        call(*arguments)
    return refused.value.type


def test_a_message_is_received_once_and_gone_when_it_is_deleted(queue, clock):
    sent = queue.send_message(Message('{"a": "é 中 <&>"}'))
    received = queue.receive_message(0)
    assert received.message_id == sent.message_id
    assert received.message_body == '{"a": "é 中 <&>"}'
    assert received.dequeue_count == 1
    assert code_of(queue.receive_message, 0) == "MessageNotExist"
    queue.delete_message(received.receipt_handle)
    clock.advance(60)
    assert code_of(queue.receive_message, 0) == "MessageNotExist"


def test_a_message_that_is_not_deleted_is_seen_again_with_a_new_receipt(queue, clock):
    queue.send_message(Message("x"))
    first = queue.receive_message(0)
    clock.advance(31)
    again = queue.receive_message(0)
    assert again.dequeue_count == 2
    assert code_of(queue.delete_message, first.receipt_handle) == "MessageNotExist"
    queue.delete_message(again.receipt_handle)


def test_a_receipt_whose_time_is_over_deletes_nothing(queue, clock):
    queue.send_message(Message("x"))
    received = queue.receive_message(0)
    clock.advance(31)
    assert code_of(queue.delete_message, received.receipt_handle) == "ReceiptHandleError"


def test_visibility_can_be_changed(queue, clock):
    queue.send_message(Message("x"))
    received = queue.receive_message(0)
    longer = queue.change_message_visibility(received.receipt_handle, 100)
    assert longer.receipt_handle != received.receipt_handle
    clock.advance(50)
    assert code_of(queue.receive_message, 0) == "MessageNotExist"
    clock.advance(50)
    assert queue.receive_message(0).dequeue_count == 2


def test_a_delayed_message_is_seen_when_its_time_has_come(queue, clock):
    queue.send_message(Message("x", 10))
    assert code_of(queue.receive_message, 0) == "MessageNotExist"
    clock.advance(10)
    assert queue.receive_message(0).message_body == "x"


def test_the_more_urgent_message_comes_first(queue):
    for body, priority in (("slow", 16), ("urgent", 1), ("normal", 8)):
        queue.send_message(Message(body, priority=priority))
    found = [one.message_body for one in queue.batch_receive_message(16, 0)]
    assert found == ["urgent", "normal", "slow"]


def test_batches_are_sent_peeked_received_and_deleted(queue):
    queue.batch_send_message([Message(str(number)) for number in range(5)])
    assert len(queue.batch_peek_message(16)) == 5
    received = queue.batch_receive_message(3, 0)
    assert len(received) == 3
    queue.batch_delete_message([one.receipt_handle for one in received])
    attributes = queue.get_attributes()
    assert (attributes.active_messages, attributes.inactive_messages) == (2, 0)


@pytest.mark.parametrize(
    "message",
    [Message("x" * 65537), Message("x", 604801), Message("x", priority=17)],
    ids=["size", "delay", "priority"],
)
def test_what_no_queue_takes_is_refused(queue, message):
    with pytest.raises(Exception, match="Invalid|range|large"):
        queue.send_message(message)


def test_a_message_older_than_its_retention_is_gone(queue, clock):
    queue.send_message(Message("x"))
    clock.advance(345601)
    assert code_of(queue.receive_message, 0) == "MessageNotExist"


def test_a_message_received_too_often_goes_to_the_dead_letter_queue(sdk, mns, queue, clock):
    attributes = sdk.cloud.mns.queue(A, "ecr-requests").attributes
    attributes.dead_letter = DeadLetter(queue="ecr-requests-dead", max_receive_count=2)
    queue.send_message(Message("poison"))
    for _ in range(2):
        queue.receive_message(0)
        clock.advance(31)
    assert code_of(queue.receive_message, 0) == "MessageNotExist"
    dead = mns.get_queue("ecr-requests-dead")
    dead.set_encoding(False)
    assert dead.receive_message(0).message_body == "poison"


def test_a_long_poll_ends_when_a_message_comes(world):
    with LocalCloud(world) as local:
        key, secret = local.cloud.identity.root_key(A)
        polling = Account(local.url, key, secret).get_queue("ecr-requests")
        started = time.monotonic()
        sender = threading.Timer(0.2, lambda: local.cloud.mns.send(A, "ecr-requests", b"eA=="))
        sender.start()
        assert polling.receive_message(10).message_body == b"x"
        assert 0.1 < time.monotonic() - started < 3
        sender.join()


def test_queues_and_topics_are_made_listed_and_deleted(mns):
    made = mns.get_queue("made")
    made.create(QueueMeta(vis_timeout=45))
    assert made.get_attributes().visibility_timeout == 45
    made.set_attributes(QueueMeta(vis_timeout=50))
    assert made.get_attributes().visibility_timeout == 50
    assert any(url.endswith("/made") for url in mns.list_queue()[0])
    made.delete()
    assert code_of(made.get_attributes) == "QueueNotExist"
    assert code_of(made.create, QueueMeta(max_msg_size=2048.5)) == "InvalidArgument"
    topic = mns.get_topic("made")
    topic.create(TopicMeta())
    assert topic.get_attributes().topic_name == "made"
    topic.delete()
    assert code_of(topic.publish_message, TopicMessage("x")) == "TopicNotExist"


def test_a_topic_feeds_the_queues_whose_tag_fits(mns, sdk):
    topic = mns.get_topic("ecr-results")
    topic.publish_message(TopicMessage('{"n": 1}', "granted"))
    topic.publish_message(TopicMessage('{"n": 2}', "detached"))
    topic.publish_message(TopicMessage('{"n": 3}', "attached"))

    def bodies(name):
        return [json.loads(one.body)["n"] for one in sdk.cloud.mns.queue(A, name).peek(9)]

    assert bodies("ecr-attachments") == [1]
    assert bodies("ecr-requests") == [2]
    assert bodies("ticketing-results") == [1, 2, 3]


@pytest.mark.parametrize("form", ["XML", "JSON", "SIMPLIFIED"])
def test_a_subscription_has_the_message_in_its_format(mns, sdk, form):
    topic = mns.get_topic("ecr-results")
    endpoint = f"acs:mns:cn-hangzhou:{A}:queues/ecr-requests-dead"
    meta = SubscriptionMeta(endpoint, notify_content_format=form)
    topic.get_subscription("formed").subscribe(meta)
    assert topic.get_subscription("formed").get_attributes().notify_content_format == form
    topic.publish_message(TopicMessage("a<b", "any"))
    (body,) = [one.body.decode() for one in sdk.cloud.mns.queue(A, "ecr-requests-dead").peek(9)]
    if form == "SIMPLIFIED":
        assert body == "a<b"
    elif form == "JSON":
        fields = json.loads(body)
        assert (fields["Message"], fields["MessageTag"]) == ("a<b", "any")
    else:
        assert "<Message>a&lt;b</Message>" in body
    topic.get_subscription("formed").unsubscribe()
    assert code_of(topic.get_subscription("formed").get_attributes) == "SubscriptionNotExist"


class Receiver:
    """An HTTP endpoint on loopback that answers as often as told with an error."""

    def __init__(self, failures=0):
        self.taken, self.failures = [], failures
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.taken.append((body, dict(self.headers)))
                bad = len(receiver.taken) <= receiver.failures
                self.send_response(500 if bad else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize(
    ("strategy", "seconds", "pushes"),
    [("BACKOFF_RETRY", 61, 4), ("EXPONENTIAL_DECAY_RETRY", 31, 6)],
)
def test_a_push_that_fails_is_tried_again_as_its_strategy_says(
    mns, clock, strategy, seconds, pushes
):
    receiver = Receiver(failures=99)
    topic = mns.get_topic("ecr-results")
    meta = SubscriptionMeta(receiver.url, notify_strategy=strategy, notify_content_format="JSON")
    topic.get_subscription("http").subscribe(meta)
    topic.publish_message(TopicMessage("x", "any"))
    clock.advance(seconds)
    assert len(receiver.taken) == pushes
    assert receiver.taken[0][1]["x-mns-message-tag"] == "any"
    receiver.close()


def test_a_push_goes_nowhere_but_loopback(mns):
    subscription = mns.get_topic("ecr-results").get_subscription("out")
    meta = SubscriptionMeta("http://192.0.2.1/", notify_content_format="JSON")
    assert code_of(subscription.subscribe, meta) == "EndpointInvalid"


def test_messages_are_doubled_delayed_and_reordered_on_order(sdk, queue, clock):
    sdk.cloud.behaviour.delivery = sdk.cloud.behaviour.delivery.model_copy(
        update={"duplicate": 1.0, "reorder": 0.9, "seed": 3}
    )
    for number in range(8):
        queue.send_message(Message(str(number)))
    found = [one.message_body for one in queue.batch_receive_message(16, 0)]
    assert len(found) == 16
    assert sorted(set(found)) == [str(number) for number in range(8)]
    assert found[::2] != sorted(found[::2])


@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [
        ("root", "wrong", "SignatureDoesNotMatch"),
        ("LTAInobody", "x", "InvalidAccessKeyId.NotFound"),
    ],
)
def test_a_call_that_is_not_signed_right_is_refused(sdk, key, secret, code):
    key = sdk.cloud.identity.root_key(A)[0] if key == "root" else key
    queue = Account(sdk.local.url, key, secret).get_queue("ecr-requests")
    assert code_of(queue.send_message, Message("x")) == code


def test_a_call_that_ram_does_not_allow_is_refused(sdk):
    ticketing = Account(sdk.local.url, "LTAI-demo-ticketing", "demo-ticketing-secret")
    ticketing.get_queue("ecr-requests").send_message(Message("x"))
    forbidden = ticketing.get_queue("ecr-attachments")
    assert code_of(forbidden.send_message, Message("x")) == "AccessDenied"
    topic = ticketing.get_topic("ecr-results")
    assert code_of(topic.publish_message, TopicMessage("forged", "granted")) == "AccessDenied"


def test_a_date_that_is_off_is_refused(sdk, queue):
    sdk.cloud.signing_time = lambda: time.time() + 901
    assert code_of(queue.send_message, Message("x")) == "InvalidDateHeader"


def test_a_body_with_a_document_type_is_refused(sdk):
    answer = requests.post(
        f"{sdk.local.url}/queues/ecr-requests/messages",
        data='<!DOCTYPE a [<!ENTITY b "c">]><Message>&b;</Message>',
        headers={"x-mns-version": "2015-06-06"},
        timeout=5,
    )
    assert answer.status_code == 400
    assert "MissingAuthorizationHeader" in answer.text


def test_a_visibility_changed_to_the_same_moment_makes_no_second_message():
    now = [0.0]
    attributes = Attributes(name="q", region="cn-hangzhou", visibility_seconds=30)
    queue = PureQueue(attributes, A, lambda: now[0], DeliveryFault, lambda *_: None)
    queue.send(b"once")
    (received,) = queue.receive()
    queue.change_visibility(received.receipt, 30)
    assert queue.counts() == (0, 1, 0)
    now[0] = 31.0
    assert queue.counts() == (1, 0, 0)
    assert [one.body for one in queue.receive(16)] == [b"once"]


def test_the_queue_alone_forgets_nothing_under_many_changes_of_visibility():
    now = [0.0]
    attributes = Attributes(name="q", region="cn-hangzhou")
    queue = PureQueue(attributes, A, lambda: now[0], DeliveryFault, lambda *_: None)
    for number in range(50):
        queue.send(str(number).encode(), delay=number % 7)
    seen = set()
    for _ in range(400):
        now[0] += 1
        for message in queue.receive(5):
            if int(message.body) % 3 == 0 and message.receives < 3:
                queue.change_visibility(message.receipt, 2)
            else:
                queue.delete(message.receipt)
                seen.add(int(message.body))
    assert seen == set(range(50))
    assert queue.counts() == (0, 0, 0)
