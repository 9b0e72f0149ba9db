"""Intake's door: who cannot sign gets one answer, and who can gets no further than its scope."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
import requests

from shared.log import captured
from tests.attacks.conftest import access
from tests.path.intake_client import BUNDLE, GRANT, SECRETS, Door, opened

TICKET = {**GRANT, "request_id": "CHG-77", "ticket": "CHG-77"}


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """One system for all that is refused: nothing of it leaves a trace."""
    with opened(tmp_path_factory.mktemp("door")) as system:
        yield Door(system)


def v1(raw):
    return "v1," + base64.b64encode(raw).decode()


FORGED = {
    "no signature": {"webhook-signature": ""},
    "a signature of nothing": {"webhook-signature": v1(b"")},
    "a short one": {"webhook-signature": v1(b"x" * 31)},
    "a long one": {"webhook-signature": v1(b"x" * 33)},
    "another one": {"webhook-signature": v1(b"x" * 32)},
    "no base64": {"webhook-signature": "v1,!!!!"},
    "half base64": {"webhook-signature": "v1,AAAA="},
    "no version": {"webhook-signature": "AAAA"},
    "another version": {"webhook-signature": "v2," + "A" * 43 + "="},
    "public-key version": {"webhook-signature": "v1a," + "A" * 86 + "=="},
    "very many": {"webhook-signature": " ".join([v1(b"x" * 32)] * 40)},
    "letters that are none": {"webhook-signature": "v1,\xff\xfe"},
    "no id": {"webhook-id": ""},
    "an id with a dot": {"webhook-id": "msg_1.2"},
    "an id of any length": {"webhook-id": "m" * 200},
    "an id of another message": {"webhook-id": "msg_other"},
    "a time of nothing": {"webhook-timestamp": ""},
    "a time with a fraction": {"webhook-timestamp": "1.5"},
    "a time before all": {"webhook-timestamp": "-1"},
    "a time after all": {"webhook-timestamp": "9" * 11},
    "a time of many digits": {"webhook-timestamp": "9" * 400},
    "a time with a sign": {"webhook-timestamp": "+1764000000"},
    "a time in hexadecimal": {"webhook-timestamp": "0x6925"},
    "a time with blanks": {"webhook-timestamp": "1764000000 x"},
}


@pytest.mark.parametrize("what", FORGED)
def test_whatever_is_wrong_with_a_signature_there_is_one_answer_without_detail(door, what):
    given = {name: value.encode("latin-1") for name, value in FORGED[what].items()}
    answer = door.post(TICKET, headers=given)
    assert answer.status_code == 401
    told = answer.json()
    told.pop("request")
    first = requests.post(door.url + "/requests", data=b"", timeout=20).json()
    first.pop("request")
    assert told == first
    assert door.queued() == []


@pytest.mark.parametrize("seconds", [-301, 301, -86400, 10**9])
def test_a_message_is_good_for_five_minutes_either_way(door, seconds):
    at = door.system.now() + timedelta(seconds=seconds)
    assert door.post(TICKET, at=at).status_code == 401
    assert door.queued() == []


def test_a_signature_is_of_these_bytes_and_no_others(door):
    body = json.dumps(TICKET).encode()
    headers = door.signed(body)
    for other in (body + b" ", body.replace(b"CHG-77", b"CHG-78"), b"", body[:-1], b"\xff" + body):
        answer = requests.post(door.url + "/requests", data=other, headers=headers, timeout=20)
        assert answer.status_code == 401
    assert door.queued() == []


@pytest.mark.parametrize("path", ["/requests/CHG-1/renew", "/requests/CHG-1/cancel", "/requests/x"])
def test_who_cannot_sign_does_not_learn_which_requests_there_are(door, path):
    answer = door.post({"request_id": "X"}, path=path, headers={"webhook-signature": "v1,AAAA"})
    assert answer.status_code in (401, 404, 405)
    reading = requests.get(f"{door.url}/requests/CHG-1", timeout=20)
    assert reading.status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer \xe9", "Bearer " + "x" * 3000, "bearer null"],
    ids=ascii,
)
def test_a_token_that_is_none_reads_nothing(door, header):
    answer = requests.get(
        f"{door.url}/authorizations",
        headers={"Authorization": header.encode("latin-1")},
        timeout=20,
    )
    assert answer.status_code in (401, 431)
    assert "ecr-hz" not in answer.text


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"sender": "another"}, "malformed"),
        ({"part_of": "CHG-1"}, "malformed"),
        ({"role_arn": "acs:ram::1000200030004000:role/x"}, "malformed"),
        ({"ecr_owner_uid": "9" * 16}, "ecr_owner_mismatch"),
        ({"instance_owner_uid": "9" * 16}, "sender_not_allowed"),
        ({"instance_id": "vpc-bp1payments0main\n"}, "malformed"),
    ],
    ids=str,
)
def test_who_can_sign_says_neither_who_he_is_nor_what_is_anothers(door, given, code):
    answer = door.post({**TICKET, **given})
    assert answer.status_code in (400, 403, 422)
    assert answer.json()["code"] in (code, "account_unknown")
    assert door.queued() == []


HOSTS = (
    "https://169.254.169.254/latest",
    "https://100.100.100.200/latest/meta-data",
    "https://localhost/x",
    "https://127.0.0.1/x",
    "https://[::1]/x",
    "https://evil.example/x",
    "http://payments.example.com/x",
    "https://payments.example.com.evil.example/x",
    "https://payments.example.com@evil.example/x",
    "https://payments.example.com:8443/x",
    "https://PAYMENTS.example.com/x",
    "https://payments.example.com#@evil.example",
    "https://payments.example.com\\@evil.example/x",
    "file:///etc/passwd",
    "gopher://127.0.0.1:25/x",
    "//evil.example",
)


@pytest.mark.parametrize("url", HOSTS)
def test_a_callback_anywhere_else_is_refused_at_the_door(door, url):
    callback = {"url": url, "system": "servicenow"}
    answer = door.post({**TICKET, "callback": callback}, sender="payments-desk")
    assert answer.status_code in (400, 403, 422)
    assert answer.json()["code"] in ("malformed", "callback_not_allowed")
    assert door.queued() == []


def test_a_callback_to_a_host_of_its_own_is_taken(tmp_path):
    with opened(tmp_path) as system:
        callback = {"url": "https://payments.example.com/x", "system": "servicenow"}
        answer = Door(system).post({**TICKET, "callback": callback}, sender="payments-desk")
        assert answer.status_code == 202


def test_what_was_refused_is_not_repeated_and_no_secret_is(door):
    word = "canary-webhook-51d0"
    with captured() as lines:
        door.post({**TICKET, word: word})
        door.post({**TICKET, "request_id": word + "\x1b[2J"})
        door.post(word.encode())
        door.post(TICKET, headers={"webhook-id": word + "."})
    shown = json.dumps(lines) + "".join(answer.text for answer in door.answers)
    assert word not in shown
    for secret in SECRETS.values():
        assert secret not in shown
        assert secret.removeprefix("whsec_") not in shown


def test_a_captured_message_that_is_sent_again_is_done_once(tmp_path):
    """Within the five minutes, and beyond them by the note of its id."""
    with opened(tmp_path) as system:
        client = Door(system)
        body = json.dumps(TICKET).encode()
        headers = client.signed(body)
        for _ in range(5):
            requests.post(client.url + "/requests", data=body, headers=headers, timeout=20)
        system.settle(200)
        (before,) = [access(system)]
        calls = len(system.cloud.journal)
        again = requests.post(client.url + "/requests", data=body, headers=headers, timeout=20)
        assert again.status_code == 202
        system.settle()
        assert access(system) == before
        assert [one.product for one in list(system.cloud.journal)[calls:]].count("ecr") == 0
        system.clock.advance(301)
        late = requests.post(client.url + "/requests", data=body, headers=headers, timeout=20)
        assert late.status_code == 401


def test_an_id_of_another_sender_or_bundle_is_neither_taken_nor_told_of(tmp_path):
    with opened(tmp_path) as system:
        client = Door(system)
        assert client.post(BUNDLE).status_code == 202
        system.settle()
        before = access(system)
        parts = client.get("/requests/CHG-1010").json()["parts"]
        for part in parts:
            answer = client.post({**TICKET, "request_id": part["request_id"]})
            assert answer.json()["code"] == "request_id_reused"
            assert "vpc-bp1" not in answer.text.replace("vpc-bp1payments0main", "")
        assert (
            client.post({**TICKET, "request_id": "CHG-1010"}).json()["code"] == "request_id_reused"
        )
        system.settle()
        assert access(system) == before
