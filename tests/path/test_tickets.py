"""Tickets as ServiceNow, Jira and DingTalk post them: signed, mapped, checked, on the queue."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from shared import mapping
from shared.contract import Bundle, read_bundle, read_request
from shared.log import captured
from simulation.wire.system import ACCOUNT_A, ROOT
from tests.path.intake_client import SECRETS, Door
from tests.path.ticket_senders import HOSTS, NOT_APPROVED, OF_SYSTEMS, TICKETS, opened, payload

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
START = NOW.timestamp()
MAPPINGS = mapping.load(ROOT / "mappings")
PAYMENTS, FACTORY = "2000300040005000", "3000400050006000"


@pytest.fixture(autouse=True, scope="module")
def known_secrets():
    SECRETS.update(OF_SYSTEMS)
    yield
    for name in OF_SYSTEMS:
        del SECRETS[name]


@pytest.fixture
def system(tmp_path):
    with opened(tmp_path, start=START) as running:
        yield running


@pytest.fixture(scope="module")
def of_strict(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("strict"), start=START) as running:
        yield Door(running)


@pytest.fixture
def strict(of_strict):
    """A door at which everything is refused, and nothing of it comes to the queue."""
    before = of_strict.queued()
    yield of_strict
    assert of_strict.queued() == before


@pytest.fixture(scope="module")
def lax(tmp_path_factory):
    """The same, whose senders require nothing."""
    with opened(tmp_path_factory.mktemp("lax"), {}, START) as running:
        yield Door(running)


def post(door, ticket, changes=(), sender=None):
    return door.post(payload(ticket, changes), sender=sender or ticket.partition("_")[0])


def on_the_queue(door):
    found = door.system.cloud.mns.queue(ACCOUNT_A, "ecr-requests").peek(1000)
    return [json.loads(one.body) for one in found]


# What each sample asks for: its id, the action, the instances with their owners, and the lease.
ASKED = {
    "servicenow_grant": (
        "CHG0031001", "grant", {"vpc-bp1payments0main": PAYMENTS}, None, "en",
    ),
    "servicenow_bundle": (
        "CHG0031002", "grant",
        {"vpc-bp1payments0test": PAYMENTS, "vpc-bp1factory00plc": FACTORY}, None, "en",
    ),
    "jira_grant": ("NET-42", "grant", {"vpc-t4npayments0asia": PAYMENTS}, None, "en"),
    "jira_revoke": ("NET-57", "revoke", {"vpc-bp1payments0main": PAYMENTS}, "CHG0031001", "en"),
    "dingtalk_grant": (
        "202611021340000174321", "grant", {"vbr-bp1factory0line1": FACTORY}, None, "zh",
    ),
    "dingtalk_bundle": (
        "202611021345000174322", "grant",
        {"vpc-bp1factory00plc": FACTORY, "vbr-bp1factory0line1": FACTORY}, None, "zh",
    ),
    "dingtalk_revoke": (
        "202611021350000174323", "revoke", {"vbr-bp1factory0line1": FACTORY},
        "202611021340000174321", "zh",
    ),
}  # fmt: skip


def test_every_sample_is_tried():
    assert sorted(ASKED) == TICKETS


@pytest.mark.parametrize("ticket", TICKETS)
def test_a_ticket_is_on_the_queue_as_its_mapping_says_in_its_senders_name(system, ticket):
    door = Door(system)
    name = ticket.partition("_")[0]
    answer = post(door, ticket)
    assert answer.status_code == 202, answer.text
    (message,) = on_the_queue(door)
    read = read_bundle if "instances" in message else read_request
    asked = read(message)
    assert asked == read({**MAPPINGS[name].request(payload(ticket)), "sender": name})
    parts = asked.parts if isinstance(asked, Bundle) else (asked,)
    instances = {one.instance_id: one.instance_owner_uid for one in parts}
    language = asked.callback.language
    assert (asked.request_id, asked.action, instances, asked.lease, language) == ASKED[ticket]
    assert (asked.callback.system, asked.callback.url.split("/")[2]) == (name, HOSTS[name])
    assert asked.approval.state == ("pending" if ticket == "jira_revoke" else "approved")
    told = answer.json()
    assert told["request_id"] == asked.request_id
    assert told["parts"] == [one.request_id for one in parts if isinstance(asked, Bundle)]


@pytest.mark.parametrize("ticket", [one for one in TICKETS if not one.endswith("revoke")])
def test_a_ticket_that_is_posted_has_its_instances_attached(system, ticket):
    door = Door(system)
    post(door, ticket)
    system.settle()
    request_id, _, instances, _, _ = ASKED[ticket]
    last = "completed" if len(instances) > 1 else "attached"
    assert door.get(f"/requests/{request_id}").json()["state"] == last
    attached = {one.subject.instance_id for one in system.cloud.ecr.associations()}
    assert attached == set(instances)


@pytest.mark.parametrize(
    ("grant", "revoke"),
    [("servicenow_grant", "jira_revoke"), ("dingtalk_grant", "dingtalk_revoke")],
)
def test_a_ticket_takes_away_what_another_one_gave_whichever_system_it_is_of(system, grant, revoke):
    door = Door(system)
    post(door, grant)
    system.settle()
    assert len(system.cloud.ecr.grants()) == 1
    assert post(door, revoke).status_code == 202
    system.settle()
    assert not system.cloud.ecr.grants()
    assert door.get(f"/requests/{ASKED[revoke][0]}").json()["state"] == "revoked"


def test_the_same_ticket_again_is_answered_again_and_once_on_the_queue(system):
    door = Door(system)
    for name in HOSTS:
        first, again = post(door, f"{name}_grant"), post(door, f"{name}_grant")
        assert (first.status_code, again.json()) == (202, first.json())
    assert sorted(door.queued()) == sorted(ASKED[f"{name}_grant"][0] for name in HOSTS)


# What the sender requires -------------------------------------------------------------------------

SN, JSM, DT = "servicenow_grant", "jira_grant", "dingtalk_grant"
DECIDED = "issue/fields/customfield_10101/0"
UNFIT = [
    (SN, "not_approved", [("record/approval/value", "requested")]),
    (SN, "not_approved", [("record/approval/value", "rejected")]),
    (SN, "not_approved", [("record/approval/value", "Approved by all")]),
    (SN, "approver_is_requester",
     [("approvals/0/approver/value", "62826bf03710200044e0bfc8bcbe5df1")]),
    (SN, "approver_is_requester", [("approvals/0/state/value", "not_required")]),
    (SN, "approver_is_requester", [("approvals", [])]),
    (SN, "window_closed", [("record/end_date/value", "2026-11-24 11:59:59")]),
    (SN, "window_closed", [("record/start_date/value", "2026-11-24 12:00:30")]),
    (SN, "window_closed", [("record/end_date/value", "")]),
    (JSM, "not_approved", [(f"{DECIDED}/finalDecision", "pending")]),
    (JSM, "not_approved", [(f"{DECIDED}/finalDecision", "declined")]),
    (JSM, "not_approved", [("issue/fields/customfield_10101", None)]),
    (JSM, "approver_is_requester",
     [(f"{DECIDED}/approvers/0/approver/accountId", "5b10a2844c20165700ede21a")]),
    (JSM, "approver_is_requester", [(f"{DECIDED}/approvers/0/approverDecision", "pending")]),
    (JSM, "approver_is_requester", [("issue/fields/reporter", None)]),
    (JSM, "window_closed",
     [("issue/fields/customfield_10111", "2026-11-24T19:59:59.000+0800")]),
    (JSM, "window_closed",
     [("issue/fields/customfield_10110", "2026-11-24T20:00:30.000+0800")]),
    (JSM, "window_closed", [("issue/fields/customfield_10110", None)]),
    (DT, "not_approved", [("instance/status", "RUNNING"), ("instance/result", "")]),
    (DT, "not_approved", [("instance/result", "refuse")]),
    (DT, "not_approved", [("instance/status", "TERMINATED"), ("instance/result", None)]),
    (DT, "approver_is_requester", [("instance/operationRecords/1/userId", "factory0017")]),
    (DT, "approver_is_requester", [("instance/operationRecords/1/result", "NONE")]),
    (DT, "window_closed", [("form/变更窗口", '["2025-01-01 08:00", "2026-11-24 19:59"]')]),
    (DT, "window_closed", [("form/变更窗口", '["2026-11-24 20:01", "2030-01-01 00:00"]')]),
    (DT, "window_closed", [("form/变更窗口", "")]),
]  # fmt: skip


@pytest.mark.parametrize(("ticket", "code", "changes"), UNFIT, ids=range(len(UNFIT)))
def test_a_ticket_that_does_not_show_what_its_sender_requires_is_refused(
    strict, ticket, code, changes
):
    answer = post(strict, ticket, changes)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["remedy"]
    assert strict.get(f"/requests/{ASKED[ticket][0]}").status_code == 404


def test_the_sample_that_nobody_has_approved_yet_is_refused_as_it_is(strict):
    answer = post(strict, NOT_APPROVED)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_approved")


@pytest.mark.parametrize(
    ("ticket", "code", "changes"), UNFIT[::3], ids=[code for _, code, _ in UNFIT[::3]]
)
def test_the_same_ticket_is_taken_where_its_sender_requires_nothing(lax, ticket, code, changes):
    answer = post(lax, ticket, [*changes, *_renumbered(ticket, code)])
    assert answer.status_code == 202, answer.text


def _renumbered(ticket, code):
    """An id for each, so that none is another one's again."""
    place = {SN: "record/number/value", JSM: "issue/key", DT: "instance/businessId"}[ticket]
    number = [entry[:2] for entry in UNFIT[::3]].index((ticket, code))
    return [(place, f"T-{number}-{code[:4]}-{ticket}")]


@pytest.mark.parametrize(
    ("ticket", "change"),
    [
        (SN, ("record/end_date/value", "2026-11-24 12:30:00")),
        (JSM, ("issue/fields/customfield_10111", "2026-11-24T20:30:00.000+0800")),
        (DT, ("form/变更窗口", '["2025-01-01 08:00", "2026-11-24 20:30"]')),
    ],
)
def test_a_window_that_has_closed_since_the_ticket_was_taken_ends_it(system, ticket, change):
    door = Door(system)
    assert post(door, ticket, [change]).status_code == 202
    # It lies on the queue for longer than the window is open: nobody takes it before.
    (message,) = system.cloud.mns.receive(ACCOUNT_A, "ecr-requests", 1)
    system.cloud.mns.delete(ACCOUNT_A, "ecr-requests", message.receipt)
    system.clock.advance(3600)
    system.post_raw(message.body)
    system.settle()
    told = door.get(f"/requests/{ASKED[ticket][0]}").json()
    assert (told["state"], told["problem"]["code"]) == ("rejected", "window_closed")
    assert not system.cloud.ecr.grants()


@pytest.mark.parametrize("ticket", [SN, JSM, DT])
def test_a_ticket_names_no_other_host_for_its_answers_than_its_senders(strict, ticket):
    for url in ("https://evil.example/x", f"https://{HOSTS['jira']}.evil.example/"):
        answer = post(strict, ticket, [("callback_url", url)])
        assert (answer.status_code, answer.json()["code"]) == (422, "callback_not_allowed")
    plain = post(strict, ticket, [("callback_url", f"http://{HOSTS['jira']}/x")])
    assert plain.json()["code"] == "malformed"
    assert "callback.url, from `callback_url`" in plain.json()["detail"]


@pytest.mark.parametrize("ticket", [SN, JSM, DT])
def test_a_payload_cannot_say_whose_it_is_nor_of_which_bundle(lax, ticket):
    place = {SN: "record/number/value", JSM: "issue/key", DT: "instance/businessId"}[ticket]
    claims = [("sender", "console"), ("part_of", "CHG-9"), (place, f"T-{ticket}")]
    assert post(lax, ticket, claims).status_code == 202
    (found,) = [one for one in on_the_queue(lax) if one["request_id"] == f"T-{ticket}"]
    assert found["sender"] == ticket.partition("_")[0]
    assert "part_of" not in found


# What cannot be read ------------------------------------------------------------------------------

UNREADABLE = [
    (SN, "record/u_ecr_id/value", "ecr_id", "record.u_ecr_id.value"),
    (SN, "record/u_ecr_action/value", "action", "record.u_ecr_action.value"),
    (SN, "record/u_ecr_expires_at/value", "expires_at", "record.u_ecr_expires_at.value"),
    (SN, "record/u_ecr_instances/value", "instances", "from_json(record.u_ecr_instances.value)"),
    (SN, "record/start_date/value", "approval.window_since", "record.start_date.value"),
    (JSM, "issue/fields/customfield_10100/value", "action", "issue.fields.customfield_10100.value"),
    (JSM, "issue/fields/customfield_10103", "ecr_owner_uid", "issue.fields.customfield_10103"),
    (JSM, "issue/fields/customfield_10107", "expires_at", "issue.fields.customfield_10107"),
    (JSM, "issue/fields/customfield_10104", "instances.0.instance_type",
     'split(item, `"-"`)[0]'),
    (DT, "form/操作", "action",
     "instance.formComponentValues[?name=='操作'].value | [0]"),
    (DT, "form/到期时间", "expires_at",
     "instance.formComponentValues[?name=='到期时间'].value | [0]"),
    (DT, "form/网络实例", "instances",
     "from_json(instance.formComponentValues[?name=='网络实例'].value | [0])"),
    (DT, "form/ECR 实例 ID", "ecr_id",
     "instance.formComponentValues[?name=='ECR 实例 ID'].value | [0]"),
]  # fmt: skip


@pytest.mark.parametrize(("ticket", "place", "field", "expression"), UNREADABLE, ids=str)
def test_a_ticket_that_cannot_be_read_names_the_field_and_its_expression_and_not_the_value(
    strict, ticket, place, field, expression
):
    with captured() as lines:
        answer = post(strict, ticket, [(place, "canary-5e71 of a value")])
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed")
    assert f"{field}, from `{expression}`: " in answer.json()["detail"]
    assert "canary-5e71" not in answer.text
    assert "canary-5e71" not in json.dumps(lines)


def test_what_a_ticket_leaves_out_is_named_with_where_it_was_looked_for(strict):
    answer = post(strict, SN, [("record/u_ecr_owner_uid/value", None)])
    assert answer.json()["code"] == "malformed"
    told = "ecr_owner_uid, from `record.u_ecr_owner_uid.value`: nothing was found there"
    assert told in answer.json()["detail"]


@pytest.mark.parametrize("sender", HOSTS)
def test_a_sender_speaks_its_own_systems_words_alone(strict, sender):
    """Neither another system's payload is taken from it, nor a request in our words."""
    others = [one for one in (SN, JSM, DT) if not one.startswith(sender)]
    answers = [post(strict, ticket, sender=sender) for ticket in others]
    ours = json.loads((ROOT / "events/requests/grant_vpc.json").read_text())
    answers.append(strict.post(ours, sender=sender))
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (422, "malformed")
        assert f"{sender}: " in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"<xml/>", b'"text"'])
def test_a_ticket_that_is_no_json_object_is_refused_by_its_code(strict, body):
    for sender in HOSTS:
        answer = strict.post(body, sender=sender)
        assert (answer.status_code, answer.json()["code"]) == (400, "not_json")
