"""Mappings: what ticketing systems post becomes requests; mistakes are named with their place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import mapping
from shared.contract import read_bundle, read_request
from shared.mapping.times import NoTime, TimeForm

ROOT = Path(__file__).parents[2]
MAPPINGS = mapping.load(ROOT / "mappings")
PAYMENTS = {
    "instance_id": "vpc-bp1payments0main",
    "instance_type": "VPC",
    "instance_region_id": "cn-hangzhou",
    "instance_owner_uid": "2000300040005000",
}


def payload(name):
    return json.loads((ROOT / f"events/tickets/{name}.json").read_text())


def request(name, system=None):
    return MAPPINGS[system or name.partition("_")[0]].request(payload(name))


def refused(document, system="servicenow"):
    with pytest.raises(mapping.Unmapped) as caught:
        MAPPINGS[system].request(document)
    return str(caught.value)


def changed(name, **fields):
    document = payload(name)
    for field, value in fields.items():
        document["record"][field] = {"value": value, "display_value": value}
    return document


def test_a_change_request_of_servicenow():
    made = request("servicenow_grant")
    assert made == {
        **PAYMENTS,
        "request_id": "CHG0031001",
        "action": "grant",
        "ticket": "CHG0031001",
        "requester": "62826bf03710200044e0bfc8bcbe5df1",
        "reason": "Payments VPC needs the leased line to the data centre",
        "ecr_id": "ecr-hz7core4qk2m1",
        "ecr_owner_uid": "1000200030004000",
        "expires_at": "2030-01-01T00:00:00+00:00",
        "approval": {
            "state": "approved",
            "by": ["a8f98bb0eb32010045e1a5115206fe3a"],
            "window_since": "2025-01-01T00:00:00+00:00",
            "window_until": "2029-12-31T16:00:00+00:00",
        },
        "callback": {
            "url": "https://service-now.tickets.example/api/x_ecr/authorization/answers/"
            "c83c5e5347c12200e0ef563dbb9a7190",
            "language": "en",
            "system": "servicenow",
        },
    }
    assert read_request(made).ticket == "CHG0031001"


def test_a_change_request_with_several_instances_is_a_bundle():
    bundle = read_bundle(request("servicenow_bundle"))
    assert bundle.mode == "all_or_nothing"
    assert [one.instance_id for one in bundle.instances] == [
        "vpc-bp1payments0test",
        "vpc-bp1factory00plc",
    ]
    assert bundle.reason == "The plant tests payments: both VPCs or none"  # on one line


def test_an_issue_of_jira_with_its_offset_and_who_of_the_approvers_approved():
    made = read_request(request("jira_grant"))
    assert made.instance_region_id == "ap-southeast-1"
    assert made.expires_at.isoformat() == "2030-01-01T08:00:00+08:00"
    assert made.approval.by == ("5b10a2844c20165700ede31b",)
    assert made.approval.window_until.isoformat() == "2030-01-01T00:00:00+08:00"


def test_an_issue_that_takes_access_away_names_the_lease():
    made = read_request(request("jira_revoke"))
    assert (made.action, made.lease, made.expires_at) == ("revoke", "CHG0031001", None)
    assert made.approval.state == "pending"


def test_an_approval_of_dingtalk_with_a_table_in_a_string_and_times_of_its_zone():
    made = read_request(request("dingtalk_grant"))
    assert (made.instance_type, made.instance_id) == ("VBR", "vbr-bp1factory0line1")
    assert made.expires_at.isoformat() == "2030-01-01T08:00:00+08:00"
    assert made.requested_at.isoformat() == "2026-11-02T06:03:11+00:00"
    assert made.approval.by == ("network0003",)
    assert made.callback.language == "zh"
    assert len(read_bundle(request("dingtalk_bundle")).instances) == 2
    assert read_request(request("dingtalk_revoke")).lease == "202611021340000174321"


@pytest.mark.parametrize(
    ("status", "result", "state"),
    [
        ("COMPLETED", "agree", "approved"),
        ("COMPLETED", "refuse", "rejected"),
        ("RUNNING", "", "pending"),
        ("TERMINATED", None, "rejected"),
    ],
)
def test_what_dingtalk_calls_the_state_of_an_approval(status, result, state):
    document = payload("dingtalk_grant")
    document["instance"] |= {"status": status, "result": result}
    assert MAPPINGS["dingtalk"].request(document)["approval"]["state"] == state


@pytest.mark.parametrize("state", ["requested", "not requested", "", "something new"])
def test_what_is_not_approved_is_never_read_as_approved(state):
    made = MAPPINGS["servicenow"].request(changed("servicenow_grant", approval=state))
    assert made["approval"]["state"] == "pending"


def test_a_ticket_without_a_callback_has_none():
    document = payload("servicenow_grant")
    del document["callback_url"]
    assert "callback" not in MAPPINGS["servicenow"].request(document)


def test_what_is_wrong_is_named_with_the_field_and_its_expression_and_not_repeated():
    told = refused(changed("servicenow_grant", u_ecr_id="whsec_not-to-be-shown"))
    assert told.startswith("servicenow: ecr_id, from `record.u_ecr_id.value`: ")
    assert "whsec" not in told
    told = refused(changed("servicenow_grant", u_ecr_expires_at="tomorrow whsec_x"))
    assert "expires_at, from `record.u_ecr_expires_at.value`: not a time like" in told
    assert "whsec" not in told
    told = refused(changed("servicenow_grant", u_ecr_action="borrow"))
    assert told.endswith("the table action has only grant, revoke")
    told = refused(changed("servicenow_grant", u_ecr_instances="[whsec_x"))
    assert told.endswith(
        "instances, from `from_json(record.u_ecr_instances.value)`: the string is not JSON"
    )


def test_a_field_of_one_of_several_instances_is_named_with_its_number():
    rows = json.loads(payload("servicenow_bundle")["record"]["u_ecr_instances"]["value"])
    rows[1]["region"] = "Hangzhou"
    told = refused(changed("servicenow_bundle", u_ecr_instances=json.dumps(rows)))
    assert "instances.1.instance_region_id, from `item.region`: " in told


def test_what_a_ticket_leaves_empty_is_named_too():
    document = payload("servicenow_grant")
    del document["record"]["u_ecr_owner_uid"]
    assert "ecr_owner_uid, from `record.u_ecr_owner_uid.value`: nothing was found there" in refused(
        document
    )
    told = refused({})
    assert "request_id, from `record.u_ecr_request_id.value || record.number.value`" in told
    assert "callback" not in told


def test_a_type_that_a_function_cannot_take_is_no_accident():
    document = payload("jira_grant")
    document["issue"]["fields"]["customfield_10104"] = {"secret": "whsec_x"}
    told = refused(document, "jira")
    assert told.startswith("jira: instances, from `split(issue.fields.customfield_10104")
    assert told.endswith("split cannot take what was found")


def test_the_request_id_is_known_where_that_much_can_be_read():
    with pytest.raises(mapping.Unmapped) as caught:
        MAPPINGS["servicenow"].request(changed("servicenow_grant", u_ecr_id="x"))
    assert caught.value.request_id == "CHG0031001"


HARDLY = {
    "half a character": "\ud800",
    "huge": 10**5000,
    "small": -(10**5000),
    "infinite": float("inf"),
    "long": "x" * 70000,
}


@pytest.mark.parametrize("kind", HARDLY)
@pytest.mark.parametrize("field", ["u_ecr_id", "u_ecr_action", "u_ecr_expires_at", "approval"])
def test_what_json_hardly_has_is_refused_like_any_other_value(field, kind):
    value = HARDLY[kind]
    document = changed("servicenow_grant", **{field: value})
    if field == "approval":
        assert MAPPINGS["servicenow"].request(document)["approval"]["state"] == "pending"
    else:
        assert refused(document).startswith("servicenow: ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ["servicenow_bundle", "jira_grant", "dingtalk_bundle"])
@given(data=st.data())
def test_whatever_stands_in_a_payload_it_is_a_request_or_refused(name, data):
    document = payload(name)
    places = list(_places(document))
    *way, last = data.draw(st.sampled_from(places))
    holder = document
    for part in way:
        holder = holder[part]
    holder[last] = data.draw(JSON)
    try:
        made = MAPPINGS[name.partition("_")[0]].request(document)
    except mapping.Unmapped:
        return
    (read_bundle if "instances" in made else read_request)(made)


def _places(value, way=()):
    if way:
        yield way
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in entries:
        if isinstance(inner, dict | list):
            yield from _places(inner, (*way, key))
        else:
            yield (*way, key)


FOURTH = """
title: Zammad
tables: {state: {'4': approved, '*': pending}}
times: {at: {forms: '%d.%m.%Y %H:%M', zone: Europe/Berlin}}
request:
  request_id: join('-', ['ZAM', to_string(ticket.id)])
  action: "'grant'"
  ticket: join('-', ['ZAM', to_string(ticket.id)])
  ecr_id: ticket.ecr
  ecr_owner_uid: ticket.owner
  instance_id: ticket.vpc
  instance_type: "'VPC'"
  instance_region_id: ticket.region
  instance_owner_uid: ticket.account
  expires_at: {$from: ticket.until, $time: at}
  attach: '`false`'
  approval:
    state: {$from: ticket.state_id, $table: state}
answer:
  method: PUT
  body:
    article: {body: comment, internal: '`true`'}
    state_id: {$from: outcome, $table: state}
    until: {$from: expires_at, $write: at}
"""


def mapping_file(tmp_path, text, name="zammad"):
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    return path


def test_a_new_system_is_a_new_file_and_no_code(tmp_path):
    mapping_file(tmp_path, FOURTH)
    zammad = mapping.load(tmp_path)["zammad"]
    ticket = {
        "id": 17,
        "ecr": "ecr-hz7core4qk2m1",
        "owner": "1000200030004000",
        "vpc": "vpc-bp1payments0main",
        "region": "cn-hangzhou",
        "account": "2000300040005000",
        "until": "01.07.2029 02:00",
        "state_id": 4,
    }
    made = read_request(zammad.request({"ticket": ticket}))
    assert (made.request_id, made.attach, made.approval.state) == ("ZAM-17", False, "approved")
    assert made.expires_at.isoformat() == "2029-07-01T02:00:00+02:00"
    told = {"comment": "Done.", "outcome": "attached", "expires_at": "2029-07-01T00:00:00Z"}
    answer = zammad.answer(told)
    assert answer.method == "PUT"
    assert answer.body == {
        "article": {"body": "Done.", "internal": True},
        "state_id": "pending",
        "until": "01.07.2029 02:00",
    }


@pytest.mark.parametrize(
    ("found", "instead", "told"),
    [
        ("title: Zammad", "titel: Zammad", "zammad.yaml:2: titel: Extra inputs are not permitted"),
        ("ticket.owner", "ticket..owner", "zammad.yaml:10: request.ecr_owner_uid: not JMESPath"),
        ("ticket.vpc", "tocket(ticket)", "request.instance_id: there is no function tocket"),
        ("ticket.vpc", "to_string()", "request.instance_id: to_string takes 1, not 0"),
        ("ticket.vpc", "17", "request.instance_id: an expression is a string"),
        ("$time: at", "$time: iso", "expires_at.$time: the file declares no time of that name"),
        ("$table: state", "$table: x", "$table: the file declares no table of that name"),
        ("$time: at", "$clock: at", "request.expires_at: $ goes with: "),
        ("Europe/Berlin", "Europe/Bonn", "times.at.zone: Value error, there is no such zone"),
        ("%d.%m.%Y", "%d.%B.%Y", "times.at.forms: Value error, a form has %Y, %m, %d"),
        (", zone: Europe/Berlin", "", "times.at: Value error, a zone is given where a form has no"),
        ("ecr_id: ", "sender: ticket.x\n  ecr_id: ", "request.sender: no field that a ticket may"),
        ("ecr_id: ", "ecr: ticket.x\n  ecr_id: ", "request.ecr: no field that a ticket may fill"),
        ("    state: {", "    stat: x\n    state: {", "request.approval.stat: no field that a"),
        ("'`false`'", "false", "request.attach: an expression is a string"),
        ("method: PUT", "method: DELETE", "answer.method: Input should be"),
        ("title: Zammad", "title: a\ntitle: b", "zammad.yaml:3: not the YAML it should be"),
    ],
)
def test_a_mapping_file_is_checked_when_it_is_loaded(tmp_path, found, instead, told):
    assert found in FOURTH
    path = mapping_file(tmp_path, FOURTH.replace(found, instead, 1))
    with pytest.raises(mapping.BadMapping) as caught:
        mapping.read(path)
    assert told in str(caught.value)
    assert str(caught.value).startswith("zammad.yaml")


def test_every_mistake_of_a_file_is_told_at_once(tmp_path):
    text = FOURTH.replace("ticket.owner", "ticket..owner").replace("ticket.vpc", "gone(x)")
    with pytest.raises(mapping.BadMapping) as caught:
        mapping.read(mapping_file(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 2


def test_a_mapping_without_request_takes_answers_only():
    with pytest.raises(mapping.Unmapped, match="slack only takes answers"):
        MAPPINGS["slack"].request({})


@given(st.integers(0, 4102444800))
def test_what_is_written_in_a_systems_form_is_read_as_the_same_time(seconds):
    for form in (
        TimeForm(forms=("%Y-%m-%d %H:%M:%S",), zone="UTC"),
        TimeForm(forms=("%Y-%m-%dT%H:%M:%S.%f%z",)),
        TimeForm(epoch="milliseconds"),
        TimeForm(forms=("%Y-%m-%d %H:%M:%S",), zone="Asia/Shanghai")
        if seconds > 700000000  # summer times were tried in the years before
        else TimeForm(forms=("%Y-%m-%d %H:%M:%S",), zone="+08:00"),
    ):
        time = TimeForm(epoch="seconds").read(seconds)
        assert form.read(form.write(time)) == time


@pytest.mark.parametrize("value", [True, -1, 1.5, "1e3", "10" * 9, None, [], "１２"])
def test_a_count_of_milliseconds_is_digits(value):
    with pytest.raises(NoTime):
        TimeForm(epoch="milliseconds").read(value)
