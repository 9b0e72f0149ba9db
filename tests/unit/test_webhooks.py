"""Who posts: what is right is let in, and everything else is refused alike."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from shared.intake.webhooks import BadSecrets, NotVerified, Webhooks, key_of

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def secret(number):
    return "whsec_" + base64.b64encode(bytes([number]) * 32).decode()


OLD, NEW, OTHER, UNKNOWN = map(secret, range(4))
SECRETS = {"desk": [OLD, NEW], "other": [OTHER]}
BODY = '{"request_id": "CHG-1", "reason": "日本"}'.encode()


def webhooks(secrets=SECRETS, now=NOW):
    return Webhooks(SecretStr(json.dumps(secrets)), ("desk", "other", "third"), lambda: now)


def headers(key=OLD, body=BODY, webhook_id="msg_1", at=NOW, **changes):
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(key).sign(webhook_id, at, body.decode()),
        **changes,
    }


def sender(given_headers, body=BODY, **how):
    try:
        return webhooks(**how).verify(given_headers, body).sender
    except NotVerified:
        return None


@pytest.mark.parametrize(
    ("key", "who"), [(OLD, "desk"), (NEW, "desk"), (OTHER, "other"), (UNKNOWN, None)]
)
def test_whose_secret_verifies_that_is_the_sender(key, who):
    assert sender(headers(key)) == who


def test_a_secret_that_was_taken_away_verifies_no_more():
    assert sender(headers(OLD), secrets={"desk": [NEW]}) is None


def test_without_any_secret_nobody_is_let_in():
    assert sender(headers(), secrets={}) is None


def test_several_signatures_are_looked_through_and_other_versions_passed_over():
    good, bad = headers()["webhook-signature"], headers(UNKNOWN)["webhook-signature"]
    assert sender(headers(**{"webhook-signature": f"v1a,abc {bad} {good}"})) == "desk"
    assert sender(headers(**{"webhook-signature": bad})) is None
    assert sender(headers(**{"webhook-signature": "v2," + good.removeprefix("v1,")})) is None
    assert sender(headers(**{"webhook-signature": " ".join([good] * 9)})) is None


@pytest.mark.parametrize(
    ("seconds", "is_let_in"),
    [(-301, False), (-300, True), (0, True), (300, True), (301, False), (-(10**9), False)],
)
def test_five_minutes_off_is_the_most(seconds, is_let_in):
    at = NOW + timedelta(seconds=seconds)
    assert (sender(headers(at=at)) == "desk") is is_let_in


def test_the_signature_is_of_the_id_the_time_and_every_byte_of_the_body():
    good = headers()
    assert sender(good, BODY + b" ") is None
    assert sender({**good, "webhook-id": "msg_2"}) is None
    later = str(int(NOW.timestamp()) + 1)
    assert sender({**good, "webhook-timestamp": later}) is None


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize(
    "value",
    [None, "", " ", "\x00", "é", "١٢٣", "1e9", "-1", "+1", "1_0", "9" * 12, "NaN", "inf", ",", "v1",
     "v1,", "v1,=", "v1,é", "v1,AAAA", "v1,!!!!", "a.b", "a b", "a,a", "x" * 5000, "v1,A v1"],
)  # fmt: skip
def test_what_is_malformed_in_any_part_is_refused(name, value):
    changed = {**headers(), name: value}
    if value is None:
        del changed[name]
    assert sender(changed) is None


def test_an_id_of_any_printable_kind_is_taken_as_it_is():
    odd = "msg_/+~:!#-_" + "x" * 100
    assert webhooks().verify(headers(webhook_id=odd), BODY).webhook_id == odd


def test_a_body_that_is_no_text_is_refused():
    assert sender(headers(), b"\xff\xfe") is None


NAMES = st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"])
VALUES = st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda b: b.decode("latin-1")))


@given(st.dictionaries(NAMES, VALUES), st.binary(max_size=100), st.sets(NAMES))
def test_whatever_is_in_the_headers_it_is_a_refusal_and_no_exception(found, body, kept):
    good = headers()
    mixed = {**found, **{name: good[name] for name in kept}}
    if len(kept) == 3 and body == BODY:
        return
    with pytest.raises(NotVerified):
        webhooks().verify(mixed, body)


@pytest.mark.parametrize(
    "text",
    ["x", "[]", '{"desk": "whsec_x"}', '{"desk": [1]}', '{"desk": ["whsec_AAAA"]}',
     json.dumps({"desk": ["AAAA" * 10]}), json.dumps({"nobody": [OLD]}),
     json.dumps({"desk": ["whsec_!" + "A" * 40]}), json.dumps({"desk": [OLD], "other": [OLD]}),
     json.dumps({"desk": ["whsec_" + base64.b64encode(b"x" * 65).decode()]})],
    ids=range(10),
)  # fmt: skip
def test_secrets_that_cannot_be_used_are_refused_and_not_shown(text):
    with pytest.raises(BadSecrets) as bad:
        Webhooks(SecretStr(text), ("desk", "other"), lambda: NOW)
    assert "A" * 8 not in str(bad.value)


def test_a_secret_may_be_written_without_its_padding():
    assert key_of(OLD.rstrip("=")) == key_of(OLD) == b"\x00" * 32
