"""Small or large, deep or endless: what is made to hurt its reader is refused at once."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.triggers import BadEvent, queue_messages, timer_options
from shared.contract import BadMessage, read_bundle, read_object, read_request, read_result
from shared.inbox import Inbox, Message, Pace, opened
from shared.registry import BadRegistry, load
from tests.attacks.conftest import sample

GOOD = json.dumps(sample("grant_vpc"))
BOMBS = {
    "objects without end": '{"a":' * 13000,
    "objects, closed": '{"a":' * 9000 + "1" + "}" * 9000,
    "arrays": '{"a":' + "[" * 30000,
    "arrays, closed": '{"a":' + "[" * 30000 + "]" * 30000 + "}",
    "a number of 5,000 digits": '{"a":' + "9" * 5000 + "}",
    "not a number": '{"a":NaN}',
    "infinity": '{"a":-Infinity}',
    "half of a character": '{"a":"\\ud800"}',
    "half of a character, raw": '{"a":"\ud800"}',
    "a control character": '{"a":"\x01"}',
    "more than a message holds": '{"a":"' + "x" * 65536 + '"}',
    "more than one": "{}{}",
    "a comment": "{} // x",
    "a NUL behind": "{}\x00",
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("form", ["plain", "base64"])
def test_a_bomb_is_refused_within_a_tenth_of_a_second(name, form):
    body = BOMBS[name]
    if form == "base64":
        body = base64.b64encode(body.encode("utf-8", "surrogatepass")).decode()
    begun = process_time()
    with pytest.raises(BadMessage):
        opened(body)
    assert process_time() - begun < 0.1


@pytest.mark.parametrize(
    "envelope",
    [
        '{"attempt":0,"message":{}}',
        '{"attempt":-1,"message":{}}',
        '{"attempt":1.0,"message":{}}',
        '{"attempt":1e3,"message":{}}',
        '{"attempt":true,"message":{}}',
        '{"attempt":null,"message":{}}',
        '{"attempt":"1","message":{}}',
        '{"attempt":1000001,"message":{}}',
        '{"attempt":' + "9" * 4000 + ',"message":{}}',
        '{"attempt":1,"message":[]}',
        '{"attempt":1,"message":"{}"}',
        '{"attempt":1,"message":null}',
    ],
    ids=lambda text: text[:30],
)
def test_an_envelope_that_is_none_of_ours_is_refused(envelope):
    with pytest.raises(BadMessage):
        opened(envelope)


def test_an_envelope_in_an_envelope_is_no_request():
    inner = json.loads(GOOD)
    for _ in range(20):
        inner = {"attempt": 1, "message": inner}
    _, document = opened(json.dumps(inner))
    with pytest.raises(BadMessage):
        read_request(document)


@pytest.mark.parametrize("field", ["expires_at", "requested_at", "requester", "callback"])
def test_a_number_beyond_all_bounds_is_not_read_as_nothing(field):
    document = read_object(GOOD[:-1] + f',"{field}":1e400}}')
    with pytest.raises(BadMessage, match=field):
        read_request(document)


@pytest.mark.parametrize(
    "moment", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "99999-01-01T00:00:00Z"]
)
def test_the_ends_of_time_break_nothing(moment):
    """Either it is refused, or it can be compared, written and read again."""
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    try:
        asked = read_request(sample("grant_vpc", expires_at=moment))
    except BadMessage:
        return
    assert (asked.expires_at > now) is moment.startswith("9999")
    assert read_request(json.loads(asked.model_dump_json(exclude_none=True))) == asked


def test_of_a_key_given_twice_all_readers_see_the_last():
    """What is checked is what is done: the text is read once, and passed on as it was read."""
    text = GOOD[:-1] + ',"instance_id":"vpc-bp1payments0test"}'
    _, document = opened(text)
    asked = read_request(document)
    assert asked.instance_id == json.loads(text)["instance_id"] == "vpc-bp1payments0test"
    assert asked.authorization.instance_id == asked.instance_id
    assert asked.fingerprint == read_request(json.loads(text)).fingerprint


def test_a_bundle_is_no_bomb():
    one = {
        "instance_id": "vpc-bp1payments0main",
        "instance_type": "VPC",
        "instance_region_id": "cn-hangzhou",
        "instance_owner_uid": "2000300040005000",
    }
    many = [{**one, "instance_id": f"vpc-bp1payments{n:04}"} for n in range(51)]
    for instances in ([], many, [one, one], [{**one, "instances": [one]}], {"0": one}):
        with pytest.raises(BadMessage):
            read_bundle(sample("grant_bundle", instances=instances))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(st.sampled_from([*sample("grant_vpc"), *sample("grant_bundle"), "lease", "x"]), JSON)
def test_whatever_a_field_holds_it_is_read_or_refused(field, value):
    for read, name in ((read_request, "grant_vpc"), (read_bundle, "grant_bundle")):
        try:
            read({**sample(name), field: value})
        except BadMessage as bad:
            assert str(bad).isprintable()  # noqa: PT017 -- both ways are right; another error is not


@given(JSON)
def test_whatever_a_message_is_it_is_read_or_refused(value):
    for read in (read_request, read_bundle, read_result):
        try:
            read(value if isinstance(value, dict) else {"a": value})
        except BadMessage:
            continue


class Nobody:
    """A worker that takes nothing: what comes to it is refused."""

    def take(self, document, sent_at):
        read_request(document)

    def give_up(self, document, problem):
        raise AssertionError

    def refuse(self, bad, digest):
        pass


class Trail:
    def note(self, *_, **__):
        pass


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_buried_with_a_reason_within_what_a_queue_holds(name):
    letters = []
    inbox = Inbox("q", "q-dead", lambda *sent: letters.append(sent), Pace(), lambda: 0.5, Trail())
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    inbox.answer(Message(BOMBS[name], "m-1", now), Nobody())
    ((queue, body),) = letters
    assert queue == "q-dead"
    assert len(body.encode()) <= 65536
    assert json.loads(body)["reason"]


@pytest.mark.parametrize(
    "event",
    [b"", b"[", b"[" * 99_999, b"null", b"1", b'["x"]', b"[[]]", b"\xff", b"{}", b"9" * 5000],
    ids=lambda event: repr(event[:12]),
)
def test_an_event_that_is_none_is_refused(event):
    with pytest.raises(BadEvent):
        queue_messages(event)


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b'"x"',
        b"[" * 100_000,
        b'{"dry_run":1}',
        b'{"dry_run":"false"}',
        b'{"release":"x"}',
        b'{"payload":"{\\"dry_run\\":false,\\"x\\":1}"}',
        b'{"payload":["dry_run"]}',
    ],
    ids=lambda event: repr(event[:24]),
)
def test_a_timers_payload_that_asks_for_more_is_refused(payload):
    with pytest.raises(BadEvent):
        timer_options(payload)


LAUGHS = "a: &a [x,x,x,x]\n" + "\n".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(9)
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "[" * 5000,
        "{a: " * 3000,
        "- " * 3000,
        "? [a]\n: b",
        "? {a: b}\n: c",
        "ecrs: 2026-13-45",
        "ecrs: !!int x",
        "ecrs: !!int '" + "9" * 5000 + "'",
        "ecrs: !!float x",
        "ecrs: !!timestamp x",
        "ecrs: !!binary é",
        "ecrs: !!python/name:os.system",
        "!!python/object/new:os.system [id]",
        "<<: {ecrs: {}}\necrs: {}\naccounts: {}",
        "ecrs: {}\n--- \naccounts: {}",
        "%TAG ! tag:x,2000:\n--- !y\na: b",
        "\x00",
        "ecrs: \x1b[31m",
        "",
        "null",
        "[]",
    ],
    ids=lambda text: repr(text[:24]),
)
def test_a_registry_that_is_a_bomb_or_no_registry_is_refused(tmp_path, text):
    file = tmp_path / "registry.yaml"
    file.write_text(text)
    begun = process_time()
    with pytest.raises(BadRegistry, match=r"registry\.yaml"):
        load(file)
    assert process_time() - begun < 2
