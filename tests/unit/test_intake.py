"""Intake's own rules: readers, pace, problems, the event, what is told of a request."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from werkzeug.wrappers import Response

from functions.edge import read
from functions.intake import handler as intake
from functions.intake import wiring
from functions.intake.event import NotHttp, request_of, struct
from shared import mapping, registry
from shared.announce import owed, unreadable
from shared.authorization import Authorization, Lease, OpenRequest, Reserved
from shared.cloud.errors import failure
from shared.contract import MAX_MESSAGE_BYTES, Result, read_bundle, read_request, result
from shared.intake import openapi, pace, problems
from shared.intake.door import problem
from shared.intake.page import page
from shared.intake.posting import Posting
from shared.intake.problems import STATUS, Refusal
from shared.intake.readers import reader_of
from shared.intake.routes import ROUTES
from shared.intake.status import Known, status
from shared.intake.webhooks import Signed
from shared.ledger import LedgerUnavailable, RequestRecord, ResultRecord
from shared.log import captured
from shared.policy import VBR_STEPS
from shared.registry import Reader
from simulation.memory import MemoryLedger

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
REQUEST = read_request(json.loads((ROOT / "events/requests/grant_vpc.json").read_text()))
BUNDLE = read_bundle(json.loads((ROOT / "events/requests/grant_bundle.json").read_text()))
SAMPLE = json.loads((ROOT / "events/http_post.json").read_text())


# Who reads ----------------------------------------------------------------------------------------

TOKEN, SECOND = "ecr_0123456789abcdef", "ecr_another-token-here"
READERS = {
    "one": Reader(accounts="all", ecrs="all", token_sha256=(sha256(TOKEN.encode()).hexdigest(),)),
    "two": Reader(
        accounts=(),
        ecrs=(),
        token_sha256=tuple(sha256(one.encode()).hexdigest() for one in ("x" * 20, SECOND)),
    ),
}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (f"Bearer {TOKEN}", "one"),
        (f"bearer  {SECOND}", "two"),
        (f"Bearer {TOKEN}x", None),
        (f"Bearer {TOKEN},Bearer {SECOND}", None),
        (f"Bearer {TOKEN} ", None),
        (f" Bearer {TOKEN}", None),
        (f"Bearer\t{TOKEN}", None),
        (f"Basic {TOKEN}", None),
        (TOKEN, None),
        (READERS["one"].token_sha256[0], None),
        (f"Bearer {READERS['one'].token_sha256[0]}", None),
        ("Bearer é" + "x" * 20, None),
        ("", None),
    ],
)
def test_who_bears_a_token_is_who_the_registry_says(header, name):
    found = reader_of(header, READERS)
    assert (found[0] if found else None) == name


@given(st.text(max_size=80))
def test_no_header_of_any_kind_is_an_exception(text):
    assert reader_of(text, READERS) is None


# Pace ---------------------------------------------------------------------------------------------


def test_a_sender_may_post_so_many_at_once_and_then_so_many_a_minute():
    ledger = MemoryLedger()
    taken = [pace.wait(ledger, "intake/desk", 6, NOW) for _ in range(7)]
    assert taken == [None] * 6 + [timedelta(seconds=10)]
    later = NOW + timedelta(seconds=25)
    assert [pace.wait(ledger, "intake/desk", 6, later) for _ in range(3)] == [
        None, None, timedelta(seconds=5)
    ]  # fmt: skip
    assert pace.wait(ledger, "intake/other", 6, NOW) is None
    idle = NOW + timedelta(days=1)
    assert [pace.wait(ledger, "intake/desk", 6, idle) is None for _ in range(7)].count(True) == 6


# Problems -----------------------------------------------------------------------------------------


def test_what_the_registry_refuses_has_its_code_and_remedy():
    refusal = Refusal("vbr_not_enabled", "Account 1 is not enabled.", VBR_STEPS)
    answer = problem(refusal, "req-1")
    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    assert json.loads(answer.data) == {
        "type": "urn:ecr-authorization:problem:vbr_not_enabled",
        "title": "The request may not be",
        "status": 422,
        "detail": "Account 1 is not enabled.",
        "code": "vbr_not_enabled",
        "remedy": VBR_STEPS,
        "request": "req-1",
    }


@pytest.mark.parametrize(
    ("error", "status_code", "code"),
    [
        (LedgerUnavailable("s3cret"), 503, "ledger_unavailable"),
        (failure("ServiceUnavailable", "s3cret"), 503, "queue_unavailable"),
        (ValueError("s3cret"), 500, "internal"),
        (AssertionError("s3cret"), 500, "internal"),
    ],
)
def test_an_exception_is_a_problem_that_says_nothing_of_it_and_is_logged(error, status_code, code):
    with captured() as lines:
        answer = problem(error, "req-1")
    told = json.loads(answer.data)
    assert (answer.status_code, told["code"], told["request"]) == (status_code, code, "req-1")
    assert "s3cret" not in answer.get_data(as_text=True)
    assert lines[0]["exception"]["type"] == type(error).__name__


def test_every_code_of_a_route_has_its_status_and_is_in_the_document():
    document = openapi.document()
    for route in ROUTES:
        said = document["paths"][route.path][route.method.lower()]["responses"]
        for code in route.codes:
            assert f"`{code}`" in said[str(STATUS[code][0])]["description"]
    assert set(STATUS) - {code for route in ROUTES for code in route.codes} == {
        "method_not_allowed"
    }


def test_the_page_lets_nothing_of_the_document_be_markup():
    document = json.loads(json.dumps(openapi.document()))
    document["info"]["title"] = "<script>alert(1)</script>"
    document["paths"]["/healthz"]["get"]["summary"] = '`<b>` & "x"'
    text = page(document)
    assert "<script" not in text
    assert "<code>&lt;b&gt;</code> &amp; &quot;x&quot;" in text
    assert problems.MEDIA_TYPE == "application/problem+json"


# The event ----------------------------------------------------------------------------------------


def event(**changes):
    return json.dumps({**SAMPLE, **changes}).encode()


def test_the_sample_event_is_a_request():
    request, request_id = request_of(event())
    assert (request.method, request.path) == ("POST", "/requests")
    assert json.loads(request.get_data())["request_id"] == "CHG-1001"
    assert request_id == SAMPLE["requestContext"]["requestId"]


def test_headers_are_found_however_they_are_spelled_and_two_spellings_are_one_header():
    request, _ = request_of(event(headers={"WEBHOOK-ID": "a", "webhook-Id": "b", "X": ["1", "2"]}))
    assert request.headers["webhook-id"] == "a,b"
    assert request.headers["x"] == "1,2"


def test_what_the_headers_say_of_the_body_changes_nothing_about_it():
    lies = {"Content-Length": "1", "Transfer-Encoding": "chunked", "Content-Encoding": "gzip"}
    request, _ = request_of(event(headers=lies, body="whole"))
    assert request.get_data() == b"whole"


def test_a_body_in_base64_is_its_bytes():
    raw = bytes(range(256))
    request, _ = request_of(event(body=base64.b64encode(raw).decode(), isBase64Encoded=True))
    assert request.get_data() == raw


@pytest.mark.parametrize("in_base64", [True, False])
def test_of_a_body_that_is_too_large_one_byte_too_many_is_kept(in_base64):
    raw = b"x" * 10 * MAX_MESSAGE_BYTES
    body = base64.b64encode(raw).decode() if in_base64 else raw.decode()
    request, _ = request_of(event(body=body, isBase64Encoded=in_base64))
    assert len(request.get_data()) == MAX_MESSAGE_BYTES + 1


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/requests/CHG-1", "/requests/CHG-1"),
        ("/requests/a%2Frenew", "/requests/a%2Frenew"),
        ("/requests/%2e%2e", "/requests/.."),
        ("/requests?x=1", "/requests"),
        ("/requests/%E6%97%A5", "/requests/日"),
    ],
)
def test_the_path_is_decoded_once_and_an_encoded_slash_separates_nothing(raw, path):
    request, _ = request_of(event(rawPath=raw))
    assert request.path == path


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b"{}", b'{"requestContext": 1}', b"[" * 100000,
     event(headers=1), event(body="!", isBase64Encoded=True), event(queryParameters=[1])],
    ids=range(10),
)  # fmt: skip
def test_what_is_no_event_of_an_http_trigger_is_refused(raw):
    with pytest.raises(NotHttp):
        request_of(raw)


def test_the_answer_is_always_the_full_struct():
    answer = struct(Response("日", 202, {"X": "y"}, content_type="text/plain; charset=utf-8"))
    assert set(answer) == {"statusCode", "headers", "isBase64Encoded", "body"}
    assert (answer["statusCode"], answer["body"]) == (202, "日")
    assert all(isinstance(value, str) for value in answer["headers"].values())


# Settings -----------------------------------------------------------------------------------------


def test_no_setting_that_is_refused_shows_a_secret():
    environ = {"FC_ACCOUNT_ID": "x", "LEDGER_URL": "postgresql://s3cret", "WEBHOOK_SECRETS": "w3b"}
    with pytest.raises(ValueError, match="account_uid") as bad:
        read(wiring.IntakeSettings, environ)
    assert "s3cret" not in str(bad.value)
    assert "w3b" not in str(bad.value)
    good = read(
        wiring.IntakeSettings, {**environ, "FC_ACCOUNT_ID": "1" * 16, "FC_REGION": "cn-hangzhou"}
    )
    assert "w3b" not in repr(good)
    assert isinstance(good.webhook_secrets, SecretStr)


# What is told of a request ------------------------------------------------------------------------


def received(asked):
    return RequestRecord(request=asked, fingerprint=asked.fingerprint, received_at=NOW, sent_at=NOW)


def told(body, minutes=1):
    event: Result = result(body, source="test", time=NOW + timedelta(minutes=minutes))
    return ResultRecord(result=event, request_id=body.request_id)


ENTRY = OpenRequest(request_id="CHG-1001", action="grant", ticket="CHG-1001", lease="CHG-1001")
LEASE = Lease(id="CHG-1001", ticket="CHG-1001", since=NOW, expires_at=NOW + timedelta(days=9))
OPEN = Authorization(id=REQUEST.authorization, leases=(LEASE,), open=(ENTRY,))
POSTED = Known("CHG-1001", REQUEST, posted_at=NOW)
TAKEN = replace(POSTED, record=received(REQUEST))


def test_what_is_posted_and_not_taken_waits_in_the_queue():
    found = status(POSTED)
    assert (found.state, found.final, found.next.step) == ("posted", False, "queued")
    assert [one.what for one in found.history] == ["posted"]
    assert found.received_at is None


@pytest.mark.parametrize(
    ("record", "step"),
    [
        (None, "begin"),
        (OPEN.model_copy(update={"open": ()}), "begin"),
        (OPEN, "grant"),
        (OPEN.with_grant("unknown"), "look_at_grant"),
        (OPEN.with_grant("settling"), "await_grant"),
        (OPEN.with_grant("present"), "associate"),
        (OPEN.with_grant("present").with_association("creating"), "await_association"),
        (OPEN.with_grant("present").with_association("active"), "done"),
    ],
)
def test_what_happens_next_is_the_step_that_is_next(record, step):
    found = status(replace(TAKEN, authorization=record))
    assert (found.state, found.next.step) == ("received", step)
    assert found.next.message


def test_when_it_happens_is_the_turn_of_that_step_or_when_it_is_looked_after():
    at = NOW + timedelta(seconds=30)
    turn = Reserved(step="grant", at=at)
    record = OPEN.model_copy(update={"turn": turn, "due_at": at + timedelta(minutes=30)})
    found = status(replace(TAKEN, authorization=record)).next
    assert (found.at, found.by) == (at, at + timedelta(minutes=30))
    other = status(replace(TAKEN, authorization=record.with_grant("present"))).next
    assert other.at is None  # the turn is of another step


def test_an_answer_is_told_with_its_results_and_the_end_of_its_lease():
    record = OPEN.with_grant("present").with_association("active", association_id="a-1")
    results = [told(owed(record, ENTRY, "granted")), told(owed(record, ENTRY, "attached"), 2)]
    found = status(replace(TAKEN, authorization=record, results=results))
    assert (found.state, found.final) == ("attached", True)
    assert found.results[1].association_id == "a-1"
    assert (found.next.step, found.next.at) == ("end_of_lease", LEASE.expires_at)
    ended = record.model_copy(update={"leases": (LEASE.model_copy(update={"ended_at": NOW}),)})
    assert status(replace(TAKEN, authorization=ended, results=results)).next is None


def test_a_refusal_is_told_with_its_code_and_remedy():
    found = status(Known("CHG-9", None, results=[told(unreadable("CHG-9", "nonsense"))]))
    assert (found.state, found.final, found.problem.code) == ("rejected", True, "malformed")
    assert found.problem.remedy
    assert found.action is None


def test_a_bundle_is_told_with_each_of_its_parts():
    first, second = BUNDLE.parts
    done = Known(
        first.request_id,
        first,
        record=received(first),
        results=[told(unreadable(first.request_id, "x"))],
    )
    waiting = Known(second.request_id, second)
    known = Known(
        "CHG-1010",
        BUNDLE,
        record=received(BUNDLE),
        parts={first.request_id: done, second.request_id: waiting},
    )
    found = status(known)
    assert found.next.message == "1 of 2 instances have their answer."
    assert [one.state for one in found.parts] == ["rejected", "waiting"]
    assert [one.code for one in found.parts] == ["malformed", None]


# What is posted -----------------------------------------------------------------------------------

PLAIN = json.loads((ROOT / "events/requests/grant_vpc.json").read_text())
CALLBACK = {"url": "https://desk.example.com/CHG-1001", "system": "plain"}
MAPPINGS = mapping.load(ROOT / "mappings")


def posted(document, take="ask", **sender):
    """What a sender's post puts on the queue. Raises Refusal."""
    given = {"accounts": "all", "ecrs": "all", "callback_hosts": ["desk.example.com"], **sender}
    known = registry.load(ROOT / "registry.yaml")
    known = known.model_copy(update={"senders": {"desk": registry.Sender(**given)}})
    sent = []
    ledger = MemoryLedger()
    posting = Posting(
        ledger=ledger,
        registry=known,
        mappings=MAPPINGS,
        systems={"jira", "plain", "servicenow"},
        send=lambda queue, body: sent.append((queue, json.loads(body))),
        queue="ecr-requests",
        now=lambda: NOW,
    )
    if take != "ask":
        ledger.add_request(received(REQUEST))
    path = () if take == "ask" else (REQUEST.request_id,)
    try:
        getattr(posting, take)(Signed("desk", "msg_1"), json.dumps(document).encode(), *path)
    except Refusal:
        assert sent == []
        raise
    ((queue, body),) = sent
    assert queue == "ecr-requests"
    return body


def refusal_of(document, take="ask", **sender):
    with pytest.raises(Refusal) as refused:
        posted(document, take, **sender)
    return refused.value


@pytest.mark.parametrize("language", ["en", "zh"])
def test_where_a_request_says_no_language_it_is_its_senders(language):
    asked = {**PLAIN, "callback": CALLBACK}
    assert posted(asked, language=language)["callback"] == {**CALLBACK, "language": language}
    renewal = {"request_id": "CHG-2", "ticket": "CHG-2", "expires_at": "2027-01-01T00:00:00Z"}
    renewal["callback"] = CALLBACK
    assert posted(renewal, "renew", language=language)["callback"]["language"] == language


def test_the_language_that_a_request_says_is_above_its_senders():
    for said, senders in (("en", "zh"), ("zh", "en")):
        asked = {**PLAIN, "callback": {**CALLBACK, "language": said}}
        assert posted(asked, language=senders)["callback"]["language"] == said


def test_a_request_without_a_callback_gets_none_for_its_senders_language():
    assert "callback" not in posted(PLAIN, language="zh")


@pytest.mark.parametrize("ticket", ["servicenow_grant", "jira_grant"])
def test_a_ticket_that_is_mapped_and_says_no_language_has_its_senders(ticket):
    system = ticket.partition("_")[0]
    payload = json.loads((ROOT / f"events/tickets/{ticket}.json").read_text())
    hosts = [payload["callback_url"].split("/")[2]]
    given = {"mapping": system, "callback_hosts": hosts, "language": "zh"}
    posts = {**payload, "callback_language": "en"}
    assert posted(posts, **given)["callback"]["language"] == "en"
    del posts["callback_language"]
    assert posted(posts, **given)["callback"]["language"] == "zh"


@pytest.mark.parametrize("take", ["ask", "renew", "cancel"])
def test_a_callback_to_a_system_that_nothing_can_be_told_to_is_refused(take):
    asked = PLAIN if take == "ask" else {"request_id": "CHG-2", "ticket": "CHG-2"}
    if take == "renew":
        asked = {**asked, "expires_at": "2027-01-01T00:00:00Z"}
    assert posted({**asked, "callback": CALLBACK}, take)["callback"]["system"] == "plain"
    bad = refusal_of({**asked, "callback": {**CALLBACK, "system": "remedy-desk"}}, take)
    assert (bad.code, bad.details(None).status) == ("callback_system_unknown", 422)
    assert "jira, plain, servicenow" in bad.remedy
    assert "remedy-desk" not in bad.detail + bad.remedy


def test_a_part_of_a_bundle_and_a_sender_are_nobodys_to_post():
    renewal = {"request_id": "CHG-2", "ticket": "CHG-2", "expires_at": "2027-01-01T00:00:00Z"}
    ending = {"request_id": "CHG-2", "ticket": "CHG-2"}
    for field, value in (("part_of", "CHG-9"), ("part_of", None), ("sender", "desk")):
        for take, asked in (("ask", PLAIN), ("renew", renewal), ("cancel", ending)):
            bad = refusal_of({**asked, field: value}, take)
            assert (bad.code, bad.details(None).status) == ("malformed", 422)
            assert field in bad.detail
            assert bad.remedy
    bundle = json.loads((ROOT / "events/requests/grant_bundle.json").read_text())
    assert refusal_of({**bundle, "part_of": "CHG-9"}).code == "malformed"
    bundle["instances"][0]["part_of"] = "CHG-9"
    assert refusal_of(bundle).code == "malformed"


# The start ----------------------------------------------------------------------------------------


def test_an_instance_whose_ledger_is_away_answers_that_and_starts_when_it_is_back(
    monkeypatch, tmp_path
):
    environ = {
        "FC_ACCOUNT_ID": "1000200030004000",
        "FC_REGION": "cn-hangzhou",
        "LEDGER_URL": "sqlite:////nowhere/at/all/ledger.db",
        "WEBHOOK_SECRETS": "",
        "REGISTRY_FILE": str(ROOT / "registry.yaml"),
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    intake.function.cache_clear()
    health = event(rawPath="/healthz")
    asked = json.loads(health)
    asked["requestContext"]["http"]["method"] = "GET"
    health = json.dumps(asked).encode()
    with captured():
        intake.initializer(None)
        away = intake.handler(health, None)
        monkeypatch.setenv("LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
        back = intake.handler(health, None)
    intake.function().house.close()
    intake.function.cache_clear()
    assert (away["statusCode"], json.loads(away["body"])["code"]) == (503, "ledger_unavailable")
    assert (back["statusCode"], json.loads(back["body"])) == (200, {"status": "ok"})


class Busy(MemoryLedger):
    def put_turn(self, key, turn, version):
        return False


def test_where_others_post_in_its_name_at_every_moment_a_sender_has_to_wait():
    assert pace.wait(Busy(), "intake/desk", 60, NOW) == timedelta(seconds=1)
