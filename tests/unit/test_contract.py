"""What travels is strict: what is not exactly right is refused, in words and without its values."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract import (
    BadMessage,
    ResultBody,
    read_bundle,
    read_object,
    read_request,
    read_result,
    result,
)

EVENTS = Path(__file__).parents[2] / "events"
GOOD = json.loads((EVENTS / "requests" / "grant_vpc.json").read_text())
REVOKE = json.loads((EVENTS / "requests" / "revoke_vpc.json").read_text())


@pytest.mark.parametrize("name", [p.stem for p in sorted((EVENTS / "requests").glob("*.json"))])
def test_every_sample_request_is_one_but_the_malformed(name):
    document = json.loads((EVENTS / "requests" / f"{name}.json").read_text())
    if name == "malformed":
        with pytest.raises(BadMessage) as bad:
            read_request(document)
        assert bad.value.request_id == document["request_id"]
    elif "instances" in document:
        assert read_bundle(document).request_id == document["request_id"]
    else:
        assert read_request(document).request_id == document["request_id"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ecr_id", "ecr-HZ7CORE4"),
        ("ecr_id", "ecr-hz7core4qk2m1 "),
        ("ecr_id", "ecr-hz7core4qk2m1\n"),
        ("ecr_id", "есr-hz7core4qk2m1"),  # Cyrillic look-alikes
        ("instance_id", "vpc-"),
        ("instance_id", "cen-bp1payments0main"),
        ("instance_id", "vpc-../../main"),
        ("instance_type", "TR"),
        ("instance_type", "VBR"),
        ("instance_owner_uid", "123"),
        ("instance_owner_uid", 2000300040005000),
        ("instance_owner_uid", "２" * 16),  # full-width digits
        ("instance_owner_uid", "٢" * 16),  # Arabic-Indic digits
        ("instance_region_id", "cn_hangzhou"),
        ("instance_region_id", "cn-hangzhou/../.."),
        ("ticket", "CHG 1"),
        ("ticket", "C"),
        ("requester", "line\nbreak"),
        ("requester", "\x1b[31mred"),
        ("requester", "x" * 201),
        ("attach", "yes"),
        ("attach", 1),
        ("expires_at", "2030-01-01T00:00:00"),
        ("expires_at", 1893456000),
        ("expires_at", "tomorrow"),
        ("request_id", "all"),
        ("request_id", "../x"),
        ("lease", "CHG-1"),
        ("action", "delete"),
        ("role_arn", "acs:ram::2000300040005000:role/ecr-authorization"),
        ("external_id", "x"),
    ],
)
def test_what_has_another_form_is_refused(field, value):
    with pytest.raises(BadMessage):
        read_request({**GOOD, field: value})


def test_a_revoke_names_its_lease_or_all():
    assert read_request(REVOKE).lease == "CHG-1001"
    assert read_request({**REVOKE, "lease": "all"}).lease == "all"
    without = {key: value for key, value in REVOKE.items() if key != "lease"}
    with pytest.raises(BadMessage, match="names the lease"):
        read_request(without)


def test_a_refusal_names_the_field_and_never_the_value():
    with pytest.raises(BadMessage) as bad:
        read_request({**GOOD, "ecr_owner_uid": "s3cret-value", "tok3n": "s3cret-value"})
    assert "ecr_owner_uid" in str(bad.value)
    assert "tok3n" in str(bad.value)
    assert "s3cret-value" not in str(bad.value)


def test_a_field_name_from_outside_is_shown_only_where_it_is_plain():
    with pytest.raises(BadMessage) as bad:
        read_request({**GOOD, "\x1b[2Jfake\nlog line": 1})
    assert "\x1b" not in str(bad.value)
    assert "\n" not in str(bad.value)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b"",
        b"nope",
        b"[]",
        b'"text"',
        b"NaN",
        b'{"a": NaN}',
        b"[" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a": "' + b"x" * 65536 + b'"}',
    ],
)
def test_what_is_no_json_object_of_a_message_size_is_refused(body):
    with pytest.raises(BadMessage):
        read_object(body)


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_no_body_does_worse_than_be_refused(body):
    try:
        read_request(read_object(body))
    except BadMessage:
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "lease", "x"]), json_values))
def test_no_change_of_a_request_does_worse_than_be_refused(changes):
    try:
        read_request({**GOOD, **changes})
    except BadMessage:
        pass


def test_equal_content_has_one_fingerprint_however_it_was_written():
    turned = dict(reversed(list(GOOD.items())))
    spelled = {**GOOD, "attach": True, "expires_at": "2030-01-01T00:00:00+00:00"}
    prints = {read_request(one).fingerprint for one in (GOOD, turned, spelled)}
    assert len(prints) == 1
    assert read_request({**GOOD, "reason": "another"}).fingerprint not in prints


def test_a_result_is_the_same_bytes_each_time_and_reads_back():
    body = ResultBody(
        outcome="rejected",
        final=True,
        request_id="CHG-1",
    )
    at = datetime(2026, 11, 23, tzinfo=timezone.utc)
    event = result(body, source="test", time=at)
    assert event.id == "CHG-1/rejected"
    assert event.body() == read_result(read_object(event.body())).body()


def test_the_sample_result_is_one():
    read_result(json.loads((EVENTS / "result_granted.json").read_text()))
