"""The console's forms and the queue: once for what is asked, and nothing where it may not be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from urllib.parse import urlencode

import pytest

from demo.signin import COOKIE, SignIn
from functions.intake.handler import build
from localcloud.behaviour import Fault
from localcloud.fc import credentials
from shared.cleanup import brake, notes
from shared.contract import ResultBody, result
from shared.ledger import ResultRecord
from shared.ledger.sql import SqlLedger
from shared.log import captured
from simulation.wire.system import ROOT, WireSystem
from tests.browser.brake import put_on

BASE = "http://127.0.0.1:1"
KEY = "ecr-hz7core4qk2m1:vpc-bp1payments0main:cn-hangzhou:1000200030004000:VPC:2000300040005000"
AT = f"/console/authorizations/{KEY}"


class Person:
    """Somebody with a browser, as intake sees it."""

    def __init__(self, system, sign_in):
        self.system = system
        self.sign_in = sign_in
        fc = system.cloud.fc
        environ = system.environ("ecr-intake") | credentials(fc.session(fc.props("ecr-intake")))
        self.intake = build(environ | sign_in.environment, system.now)

    def ask(self, path, fields=None, who="operator", query=None):
        at = int(self.system.now().timestamp())
        token = self.sign_in.token(who, iat=at, exp=at + 600)
        event = json.loads((ROOT / "events" / "http_post.json").read_text())
        headers = {"Cookie": f"{COOKIE}={token}", "Origin": BASE}
        method = "GET" if fields is None else "POST"
        event |= {"rawPath": path, "headers": headers, "body": urlencode(fields or {}),
                  "queryParameters": query or {}}  # fmt: skip
        event["requestContext"]["http"] |= {"method": method, "path": path}
        return self.intake.answer(json.dumps(event).encode(), None)

    def form(self, kind, **fields):
        """The form as the person is shown it, filled in."""
        query = {"lease": fields["lease"]} if "lease" in fields else {}
        body = self.ask(f"{AT}/{kind}", query=query)["body"]
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', body))
        return {**hidden, "ticket": "CHG-9", **fields}

    def queued(self):
        found = self.system.cloud.mns.queue("1000200030004000", "ecr-requests").peek(1000)
        return [json.loads(one.body).get("request_id") for one in found]


@pytest.fixture
def opened(tmp_path):
    def make(change=lambda text: text):
        registry = change((ROOT / "registry.yaml").read_text())
        system = WireSystem(tmp_path, registry=registry)
        system.__enter__()
        system.post("grant_vpc")
        system.settle()
        sign_in = SignIn(BASE)
        made.append((system, sign_in, Person(system, sign_in)))
        return made[-1][2]

    made = []
    yield make
    for system, sign_in, person in made:
        person.intake.house.close()
        sign_in._server.server_close()
        system.__exit__()


def test_a_form_sent_twice_is_once_in_the_queue_and_named_once_in_the_audit(opened):
    ann = opened()
    form = ann.form("revoke", reason="Over")
    first, second = ann.ask(f"{AT}/revoke", form), ann.ask(f"{AT}/revoke", form)
    assert (first["statusCode"], second["statusCode"]) == (303, 303)
    assert second["headers"]["Location"] == first["headers"]["Location"] + "?asked=before"
    assert ann.queued() == [form["request_id"]]
    ann.system.settle()
    assert ann.system.outcomes(form["request_id"]) == ["revoking", "detached", "revoked"]
    entries = list(ann.intake.house.ledger.entries(KEY))
    (asked,) = [one for one in entries if one.what == "revoke asked in the console"]
    assert asked.facts == {
        "request": form["request_id"],
        "requester": "operator@example.com",
        "subject": "demo-operator",
    }
    named = [one.facts.get("requester") for one in entries if one.what.startswith("revoked ")]
    assert set(named) == {"operator@example.com"}
    record = ann.intake.house.ledger.request(form["request_id"]).request
    assert (record.sender, record.reason, record.requester) == (
        "console", "Over", "operator@example.com"
    )  # fmt: skip


def test_while_the_queue_is_away_nothing_is_lost_and_the_same_form_goes_on(opened):
    ann = opened()
    form = ann.form("revoke")
    ann.system.cloud.behaviour.order(Fault(action="SendMessage", kind="error", times=-1))
    answer = ann.ask(f"{AT}/revoke", form)
    assert answer["statusCode"] == 503
    assert "Nothing is lost" in answer["body"]
    ann.system.cloud.behaviour.clear()
    assert ann.queued() == []
    assert ann.ask(f"{AT}/revoke", form)["statusCode"] == 303
    assert ann.queued() == [form["request_id"]]


def test_while_the_ledger_is_away_a_page_says_so(opened):
    ann = opened()
    ann.intake.house.ledger._engine.dispose()
    ann.intake.house.ledger._engine = SqlLedger("sqlite://")._engine  # another one, of no tables
    with captured():
        ann.intake.house.ledger._engine.dispose()
        answer = ann.ask("/console")
    assert answer["statusCode"] == 503
    assert "does not answer" in answer["body"]


def test_without_a_sender_for_the_console_it_only_shows(opened):
    ann = opened(lambda text: re.sub(r"  console: #.*\n.*\n.*\n", "", text))
    assert ann.ask(AT)["statusCode"] == 200
    answer = ann.ask(f"{AT}/revoke", ann.form("revoke"))
    assert answer["statusCode"] == 422
    assert "sender_unknown" in answer["body"]
    assert ann.queued() == []


def test_a_sender_out_of_whose_scope_it_is_and_a_freeze_are_told_where_it_was_asked(opened):
    narrowed = "  console: # narrowed\n    accounts: ['3000400050006000']\n    ecrs: all\n"
    ann = opened(lambda text: re.sub(r"  console: #.*\n.*\n.*\n", narrowed, text))
    answer = ann.ask(f"{AT}/renew", ann.form("renew", until="2029-12-31"))
    assert (answer["statusCode"], "sender_not_allowed" in answer["body"]) == (422, True)
    assert ann.queued() == []


def test_where_renewals_need_an_approval_the_console_can_revoke_and_no_more(opened):
    strict = "\\g<0>    requires: {approval: true}\n"
    ann = opened(lambda text: re.sub(r"  console: #.*\n.*\n.*\n", strict, text))
    answer = ann.ask(f"{AT}/renew", ann.form("renew", until="2029-12-31"))
    assert (answer["statusCode"], "not_approved" in answer["body"]) == (422, True)
    assert ann.ask(f"{AT}/revoke", ann.form("revoke"))["statusCode"] == 303


def test_what_has_failed_may_be_asked_for_again(opened):
    ann = opened()
    form = ann.form("revoke")
    ann.ask(f"{AT}/revoke", form)
    body = ResultBody(outcome="rejected", final=True, request_id=form["request_id"])
    told = result(body, source="x", time=ann.system.now())
    ann.intake.house.ledger.add_result(ResultRecord(result=told, request_id=form["request_id"]))
    again = ann.form("revoke")
    assert again["request_id"] != form["request_id"]
    assert ann.ask(f"{AT}/revoke", again)["statusCode"] == 303


@pytest.mark.parametrize(
    "fields",
    [
        {"ticket": ""},
        {"ticket": "<b>"},
        {"ticket": "x" * 49},
        {"reason": "a\u202eb"},
        {"reason": "x" * 201},
        {"until": "soon"},
        {"until": ""},
        {"until": "0001-01-01"},
    ],
    ids=str,
)
def test_a_field_that_is_not_what_it_should_be_is_refused_and_comes_back(opened, fields):
    ann = opened()
    answer = ann.ask(f"{AT}/renew", {**ann.form("renew", until="2029-12-31"), **fields})
    assert answer["statusCode"] == 422
    assert 'role="alert"' in answer["body"]
    assert ann.queued() == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console/", 200),
        ("/console/authorizations/x", 404),
        (f"/console/authorizations/{KEY}x", 404),
        ("/console/authorizations/%2e%2e", 404),
        (f"{AT}/destroy", 404),
        (f"{AT}/end", 200),
        ("/console/requests/..", 404),
        ("/console/requests/none", 404),
        ("/console/nothing", 404),
        ("/consoles", 404),
        ("/console/brakes/release", 405),
    ],
)
def test_an_address_that_leads_nowhere_says_so(opened, path, status):
    assert opened().ask(path)["statusCode"] == status


def test_a_cursor_of_another_list_is_refused(opened):
    answer = opened().ask("/console", query={"cursor": "e30"})
    assert (answer["statusCode"], "cursor" in answer["body"]) == (400, True)


def test_what_cannot_be_read_is_said_to_be_so(opened):
    ann = opened()
    ledger = ann.intake.house.ledger
    for key in (brake.BRAKE, notes.LAST_REPORT):
        ledger.put_note(key, "{", 0)
    for path in ("/console/brakes", "/console/drift"):
        assert "cannot be read" in ann.ask(path)["body"]
    assert ann.ask("/console/expiries")["statusCode"] == 200
    put_on(ledger, "CHG-1")
    known = ledger.note(notes.part_key(7, "ecr-hz7core4qk2m1", 0))
    ledger.put_note(notes.part_key(7, "ecr-hz7core4qk2m1", 0), "{}", known[1])
    assert "cannot be read" in ann.ask("/console/brakes")["body"]


def test_a_ticket_never_waits_for_what_only_pages_need(tmp_path):
    code = f"""
import json, sys
from functions.intake.handler import build
from shared.log import logged
from functions.edge import utc_now
sys.path.insert(0, {str(ROOT)!r})
function = build({{
    "FC_ACCOUNT_ID": "1000200030004000", "FC_REGION": "cn-hangzhou",
    "LEDGER_URL": "sqlite:///{tmp_path}/l.db", "CONSOLE": {json.dumps(_told())!r},
    "CONSOLE_SECRET": "s" * 40,
}}, utc_now)
event = json.loads(open("events/http_post.json").read())
print(function.answer(json.dumps(event).encode(), None)["statusCode"])
print([one for one in ("jinja2", "joserfc", "shared.console.door") if one in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-2:] == ["401", "[]"], done.stdout + done.stderr


def _told():
    sign_in = SignIn(BASE)
    sign_in._server.server_close()
    return json.loads(sign_in.environment["CONSOLE"])
