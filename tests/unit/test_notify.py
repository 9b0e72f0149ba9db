"""Where answers may go, what they say, how they are signed and noted; without a network."""

from __future__ import annotations

import ast
import ipaddress
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from shared import mapping
from shared.cloud.messages import Received
from shared.contract import Outcome, read_result
from shared.dead_letters import DeadLetters
from shared.notify import wording
from shared.notify.address import Refused, Resolver, Unresolved, is_public, loopback_places, target
from shared.notify.answering import answer_document
from shared.notify.delivery import SENDING, Deliveries
from shared.notify.sending import NotYet
from shared.notify.signing import Signer

ROOT = Path(__file__).parents[2]
HOST = "tickets.example"
TEXTS = wording.load()

# The host of a URL ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://tickets.example/",
        "HTTPS://tickets.example/",
        "https:/tickets.example/",
        "https://user@tickets.example/",
        "https://user:word@tickets.example/",
        "https://tickets.example@evil.example/",
        "https://evil.example#@tickets.example/",
        "https://evil.example?@tickets.example/",
        "https://evil.example\\@tickets.example/",
        "https://tickets.example.evil.example/",
        "https://eviltickets.example/",
        "https://tickets.example./",
        "https://tickets.example:80/",
        "https://tickets.example:0443/",
        "https://tickets.example:443443/",
        "https://tickets.example:/",
        "https://tickets.example\n/",
        "https://tickets.example/\r\nhost: evil",
        "https://tickets.example/ x",
        "https://TICKETS.example/",
        "https://tickеts.example/",
        "https://[::1]/",
        "https:///tickets.example",
        "",
    ],
)
def test_a_url_that_is_not_plainly_an_allowed_host_is_refused(url):
    with pytest.raises(Refused) as caught:
        target(url, [HOST])
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001",
        "0177.0.0.1", "10.0.0.1", "169.254.169.254", "100.100.100.200", "1.1.1.1", "a..b", "-a.b",
        "tickets.0x7f", "tickets.1", "internal",
    ],
)  # fmt: skip
def test_a_host_that_is_no_public_name_is_refused_though_it_is_on_the_list(host):
    with pytest.raises(Refused):
        target(f"https://{host}/", [host])


def test_a_host_is_allowed_with_its_port_and_no_other():
    assert target("https://tickets.example", [HOST]) == ("tickets.example", 443, "/")
    assert target("https://tickets.example:443/a?b=c", [HOST]).path == "/a?b=c"
    assert target("https://tickets.example:8443/", ["tickets.example:8443"]).port == 8443
    with pytest.raises(Refused):
        target("https://tickets.example/", ["tickets.example:8443"])
    with pytest.raises(Refused):
        target("https://tickets.example/", [])


# Addresses --------------------------------------------------------------------------------------

PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.0.1",  # noqa: S104 -- none is bound
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1",
    "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1",
    "::ffff:100.100.100.200", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2001:10::1", "2002:7f00:1::", "fc00::1",
    "fd00::1", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("text", PRIVATE)
def test_an_address_that_is_not_of_the_public_network_is_refused(text):
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "47.96.0.1", "2606:4700::1", "2400:3200::1"])
def test_a_public_address_is_none_of_those(text):
    assert is_public(ipaddress.ip_address(text))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_as_public_bare_as_hidden_in_ipv6_is_refused(address):
    number = int(address)
    for prefix in (0xFFFF << 32, 0x64FF9B << 96, 0):
        assert not is_public(ipaddress.IPv6Address(prefix | number))
    assert not is_public(ipaddress.IPv6Address((0x2002 << 112) | (number << 80)))
    if is_public(address):
        assert address.is_global


ADDRESSES = st.lists(st.sampled_from(PRIVATE) | st.ip_addresses().map(str), min_size=0, max_size=5)


@given(ADDRESSES)
@example(["8.8.8.8", "127.0.0.1"])
@example(["2606:4700::1", "8.8.8.8"])
def test_one_address_that_is_not_public_refuses_the_name_whatever_stands_beside_it(texts):
    resolver = Resolver(lookup=lambda *_: texts)
    at = target(f"https://{HOST}/", [HOST])
    if not texts:
        with pytest.raises(Unresolved):
            resolver.places(at)
    elif all(is_public(ipaddress.ip_address(one)) for one in texts):
        places = resolver.places(at)
        assert {one.address for one in places} == {str(ipaddress.ip_address(one)) for one in texts}
        assert [":" in one.address for one in places] == sorted(":" in one for one in texts)
    else:
        with pytest.raises(Refused):
            resolver.places(at)


@pytest.mark.parametrize("text", ["fe80::1%eth0", "no address", "8.8.8.8 "])
def test_an_address_that_cannot_be_read_is_refused(text):
    with pytest.raises(Refused):
        Resolver(lookup=lambda *_: [text]).places(target(f"https://{HOST}/", [HOST]))


def test_the_name_is_resolved_once_for_each_answer():
    asked = []

    def lookup(host, port):
        asked.append(host)
        return ["8.8.8.8"] if len(asked) == 1 else ["127.0.0.1"]

    places = Resolver(lookup=lookup).places(target(f"https://{HOST}/", [HOST]))
    assert (places, asked) == ([("8.8.8.8", 443)], [HOST])


def test_only_loopback_may_stand_in_for_a_host():
    assert loopback_places({HOST: "[::1]:8443"})[HOST] == ("::1", 8443)
    for text in ("10.0.0.1:1", "localhost:1", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", ""):
        with pytest.raises(ValueError, match=r"127\.0\.0\.1:PORT"):
            loopback_places({HOST: text})


# Words --------------------------------------------------------------------------------------------


def stable_codes():
    """Every code that a result may bear, as the code has them."""
    found = set()
    for path in [*ROOT.glob("shared/**/*.py"), *ROOT.glob("functions/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                found.add(_code(node))
    return {one for one in found if one}


def _code(call):
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name == "Problem":
        given = [one.value for one in call.keywords if one.arg == "code"]
    elif name in ("Explanation", "_problem"):
        given = call.args[1:2] if name == "Explanation" else call.args[:1]
    else:
        return None
    return given[0].value if given and isinstance(given[0], ast.Constant) else None


def test_the_codes_are_found():
    assert {"ecr_unknown", "throttled", "gave_up", "not_taken_back", "malformed"} <= stable_codes()


@pytest.mark.parametrize("language", wording.LANGUAGES)
def test_every_outcome_and_every_stable_code_has_its_words(language):
    texts = TEXTS[language]
    assert set(texts.headlines) == set(texts.outcomes) == set(get_args(Outcome))
    assert set(texts.codes) == stable_codes()


def result(**data):
    sample = json.loads((ROOT / "events/result_granted.json").read_text())
    return read_result({**sample, "data": {**sample["data"], **data}})


PROBLEM = {
    "code": "throttled",
    "message": "attach: the cloud answered Throttling.User",
    "remedy": "Wait.",
    "cloud_code": "Throttling.User",
    "cloud_request_id": "0A1B",
}


@pytest.mark.parametrize("language", wording.LANGUAGES)
@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_can_be_said_with_and_without_all_that_it_may_tell(language, outcome):
    part = {"request_id": "a", "instance_id": "vpc-abcd", "outcome": "failed", "code": "frozen"}
    for data in (
        {},
        {"problem": PROBLEM, "parts": [part, {**part, "code": None}], "held_by": ["CHG-2"]},
        {"authorization": None, "ticket": None, "peer_ecr_id": None, "action": None},
    ):
        said = wording.say(result(outcome=outcome, **data), TEXTS[language])
        assert said.comment.startswith(said.headline)
        assert "{" not in said.comment


def test_the_words_are_in_the_language_that_was_asked_for():
    failed = result(outcome="failed", problem=PROBLEM, expires_at=None)
    assert wording.say(failed, TEXTS["zh"]).comment.splitlines() == [
        "ECR 申请失败：授权，vpc-bp1payments0main，ecr-hz7core4qk2m1（CHG-1001）",
        "原因：对阿里云的调用过于频繁。（throttled）",
        "详情：attach: the cloud answered Throttling.User",
        "处理办法：请过几分钟用新的申请编号重新提交。",
        "阿里云错误码 Throttling.User，请求 ID 0A1B",
    ]
    assert wording.say(failed, TEXTS["en"]).comment.splitlines()[0] == (
        "ECR request failed: giving access, vpc-bp1payments0main on ecr-hz7core4qk2m1 (CHG-1001)"
    )


@pytest.mark.parametrize("language", wording.LANGUAGES)
def test_a_lease_that_ends_while_others_hold_the_access_is_not_told_as_the_end_of_access(language):
    texts = TEXTS[language]
    ended = wording.say(result(outcome="revoked"), texts).headline
    kept = wording.say(result(outcome="revoked", held_by=["CHG-2"]), texts)
    assert kept.headline != ended
    assert "CHG-2" in kept.comment


def test_a_code_of_a_newer_release_is_told_in_its_own_words():
    newer = {"code": "brand_new", "message": "Something new.", "remedy": "Do this."}
    comment = wording.say(result(outcome="failed", problem=newer), TEXTS["zh"]).comment
    assert "Something new.（brand_new）" in comment
    assert "Do this." in comment


@pytest.mark.parametrize("name", list(mapping.load(ROOT / "mappings")))
@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_system_can_be_told_every_outcome(name, outcome):
    found = mapping.load(ROOT / "mappings")[name]
    for data in ({}, {"authorization": None, "ticket": None, "expires_at": None}):
        document = answer_document(result(outcome=outcome, **data), TEXTS["en"], "en")
        assert found.answer(document).body


# Signatures, notes, letters -----------------------------------------------------------------------

SECRETS = [
    "whsec_" + "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk",
    "whsec_" + "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3",
]


@given(st.text(max_size=40), st.integers(-12, 14))
def test_each_secret_of_a_rotation_verifies_whatever_the_clocks_zone(body, hours):
    now = datetime.now(timezone(timedelta(hours=hours)))
    headers = Signer([SecretStr(one) for one in SECRETS]).headers("CHG-1/granted", now, body)
    for secret in SECRETS:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    assert len(headers["webhook-signature"].split()) == 2


class Notes:
    """A ledger's notes."""

    def __init__(self):
        self.kept = {}

    def note(self, key):
        return self.kept.get(key)

    def put_note(self, key, text, version):
        if self.kept.get(key, ("", 0))[1] != version:
            return False
        self.kept[key] = (text, version + 1)
        return True


class Clock:
    def __init__(self):
        self.at = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def __call__(self):
        return self.at


def test_what_was_delivered_is_not_sent_again_and_what_failed_is():
    deliveries, sent = Deliveries(Notes(), Clock()), []

    def fails():
        raise NotYet("down")

    with pytest.raises(NotYet):
        deliveries.once("CHG-1/granted", "callback", fails)
    assert deliveries.once("CHG-1/granted", "callback", lambda: sent.append(1))
    assert not deliveries.once("CHG-1/granted", "callback", lambda: sent.append(2))
    assert deliveries.once("CHG-1/granted", "chat:x", lambda: sent.append(3))
    assert sent == [1, 3]


def test_who_died_while_sending_is_waited_for_and_then_replaced():
    notes, clock = Notes(), Clock()
    deliveries = Deliveries(notes, clock)

    class Died(BaseException):
        pass

    def dies():
        raise Died

    with pytest.raises(Died):
        deliveries.once("CHG-1/granted", "callback", dies)
    with pytest.raises(NotYet):
        deliveries.once("CHG-1/granted", "callback", lambda: None)
    clock.at += SENDING
    assert deliveries.once("CHG-1/granted", "callback", lambda: None)


def test_a_note_that_cannot_be_read_costs_a_repeat_at_most():
    notes = Notes()
    notes.kept["delivered/CHG-1/granted/callback"] = ("{", 3)
    assert Deliveries(notes, Clock()).once("CHG-1/granted", "callback", lambda: None)


class Queues:
    """A dead-letter queue with one letter, and what is put elsewhere."""

    def __init__(self, body):
        self.letters = [Received(body, "id", "receipt")]
        self.put = []

    def receive(self, queue, wait_seconds=0, most=16):
        return list(self.letters)

    def delete(self, queue, receipt):
        self.letters.clear()

    def release(self, queue, receipt, seconds):
        pass

    def send(self, queue, body, delay_seconds=0):
        self.put.append((queue, body))

    def publish(self, topic, body, tag):
        self.put.append((topic, body, tag))


class NoTrail:
    def note(self, *_, **__):
        pass


BODY = (ROOT / "events/result_granted.json").read_text()
EVENT = json.loads((ROOT / "events/mns_topic_result.json").read_text()) | {"Message": BODY}


@pytest.mark.parametrize(
    ("letter", "reason"),
    [
        ({"topic": "ecr-results", "reason": "gone", "attempt": 1, "message": BODY}, "gone"),
        (
            {
                "requestContext": {"approximateInvokeCount": 9},
                "requestPayload": json.dumps(EVENT),
                "responsePayload": json.dumps({"errorMessage": "down"}),
            },
            "the function did not take it: down",
        ),
        ({"requestPayload": EVENT}, "the function did not take it"),
        (json.loads(BODY), "MNS could not hand it on"),
    ],
)
def test_an_answers_dead_letter_is_read_in_each_form_and_redriven_to_the_topic(letter, reason):
    text = BODY if letter == json.loads(BODY) else json.dumps(letter)
    queues = Queues(text)
    letters = DeadLetters(queues, "ecr-answers-dead", NoTrail())
    (found,) = letters.all()
    assert (found.reason, found.request_id, found.tag) == (reason, "CHG-1001", "granted")
    letters.redrive(None, "operator")
    assert queues.put == [("ecr-results", BODY, "granted")]
    assert queues.letters == []
