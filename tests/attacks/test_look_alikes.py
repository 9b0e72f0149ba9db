"""An id is itself: what only looks like it, in any script, is refused."""

from __future__ import annotations

import pytest

from shared.contract import AuthorizationId, BadMessage, read_request, read_settle, read_wake
from tests.attacks.conftest import revoke, sample

IDS = (
    "request_id",
    "ticket",
    "ecr_id",
    "ecr_owner_uid",
    "instance_id",
    "instance_type",
    "instance_region_id",
    "instance_owner_uid",
)
FULL_WIDTH = {ord("0") + n: 0xFF10 + n for n in range(10)}
ARABIC = {ord("0") + n: 0x0660 + n for n in range(10)}
CYRILLIC = str.maketrans("aceopxyCHPMAVB", "асеорхуСНРМАѴВ")
MARKS = {
    "a line's end behind": "{}\n",
    "a line's end before": "\n{}",
    "a carriage return": "{}\r",
    "a blank behind": "{} ",
    "a blank before": " {}",
    "a tab": "{}\t",
    "a no-break space": "{}\u00a0",
    "a zero-width space": "{}\u200b",
    "a zero-width joiner": "{}\u200d",
    "a byte order mark": "\ufeff{}",
    "a right-to-left override": "\u202e{}",
    "a soft hyphen": "{}\u00ad",
    "a combining mark": "{}\u0301",
    "a NUL": "{}\x00",
    "an escape": "\x1b[31m{}",
    "a line separator": "{}\u2028",
    "a colon": "{}:x",
    "a slash": "{}/x",
    "a star": "{}*",
    "a variable of RAM": "{}${{acs:SourceIp}}",
    "a quote": '{}"',
    "a tag letter": "{}\U000e0041",
}


def refused(field, value):
    with pytest.raises(BadMessage) as bad:
        read_request(sample("grant_vpc", **{field: value}))
    assert field in str(bad.value)
    assert str(value) not in str(bad.value)


@pytest.mark.parametrize("mark", MARKS)
def test_an_id_with_anything_about_it_is_refused(mark):
    for field in IDS:
        refused(field, MARKS[mark].format(sample("grant_vpc")[field]))


@pytest.mark.parametrize("script", [FULL_WIDTH, ARABIC, CYRILLIC])
def test_digits_and_letters_of_other_scripts_are_refused(script):
    changed = 0
    for field in IDS:
        value = sample("grant_vpc")[field]
        if value.translate(script) != value:
            refused(field, value.translate(script))
            changed += 1
    assert changed > 3


@pytest.mark.parametrize("field", ["ecr_id", "instance_id", "instance_region_id", "instance_type"])
def test_case_is_part_of_an_id(field):
    refused(field, sample("grant_vpc")[field].swapcase())


@pytest.mark.parametrize(
    "value", [1000200030004000, 1.0, True, [], ["1000200030004000"], {"$ne": ""}, 10**400]
)
def test_an_id_is_text(value):
    for field in IDS:
        refused(field, value)


def test_a_vpc_is_no_vbr():
    with pytest.raises(BadMessage, match="does not fit"):
        read_request(sample("grant_vpc", instance_type="VBR"))


@pytest.mark.parametrize("lease", ["ALL", "All", "all ", "аll", "*", "", "%"])
def test_all_leases_are_named_in_one_way_alone(lease):
    """`ALL` is the id of a lease like any other: it ends no other."""
    document = revoke("grant_vpc", lease=lease, request_id="R-1")
    if lease in ("ALL", "All"):
        assert read_request(document).lease == lease
        return
    with pytest.raises(BadMessage):
        read_request(document)


def test_nobodys_request_is_called_all():
    with pytest.raises(BadMessage, match="no request id"):
        read_request(sample("grant_vpc", request_id="all"))


@pytest.mark.parametrize("mark", MARKS)
def test_wakes_settles_and_keys_are_as_strict(mark):
    of = read_request(sample("grant_vpc")).authorization
    with pytest.raises(BadMessage):
        read_settle({"settle": MARKS[mark].format("CHG-1")})
    for field, value in of.model_dump().items():
        with pytest.raises(BadMessage):
            read_wake({"wake": {**of.model_dump(), field: MARKS[mark].format(value)}})
    with pytest.raises(ValueError, match="."):
        AuthorizationId.of_key(MARKS[mark].format(of.key))


LINES = ["\n", "\r", "\u0085", "\x0b", "\x0c", "\x1b[2J", "\u202e", "\u200b"]


@pytest.mark.parametrize("mark", LINES, ids=ascii)
@pytest.mark.parametrize("field", ["requester", "reason"])
def test_free_text_is_one_visible_line(field, mark):
    refused(field, f"before{mark}after")
