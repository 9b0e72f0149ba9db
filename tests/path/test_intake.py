"""Every route of intake, through Function Compute's event form, on the whole system."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import requests
from jsonschema import Draft202012Validator
from jsonschema.validators import extend
from pydantic import SecretStr
from sqlalchemy import create_engine

from functions.intake.handler import build
from localcloud.behaviour import Fault
from shared.intake import openapi
from shared.intake.routes import ROUTES
from shared.log import captured
from simulation.wire.system import ROOT
from tests.path.intake_client import BUNDLE, GRANT, SECRETS, TOKENS, Door, opened

Validator = extend(Draft202012Validator, {"pattern": lambda *_: ()})


@pytest.fixture
def system(tmp_path):
    with opened(tmp_path) as running:
        yield running


@pytest.fixture
def door(system):
    client = Door(system)
    yield client
    for answer in client.answers:
        check_documented(answer)


def check_documented(answer):
    """No 5xx but what a test expects; what comes is what the document says."""
    path = answer.request.path_url.partition("?")[0].removeprefix("/_http/ecr-intake")
    document = openapi.document()
    found = [
        operation
        for template, methods in document["paths"].items()
        for method, operation in methods.items()
        if method.upper() == answer.request.method and _fits(template, path)
    ]
    if not found:
        assert answer.status_code in (404, 405)
        return
    said = found[0]["responses"][str(answer.status_code)]
    kind = answer.headers["content-type"].partition(";")[0]
    schema = said["content"][kind]["schema"]
    if kind.endswith("json"):
        Validator({**schema, "components": document["components"]}).validate(answer.json())


def _fits(template, path):
    wanted, given = template.split("/"), path.rstrip("/").split("/")
    return len(wanted) == len(given) and all(
        one == other or one.startswith("{") for one, other in zip(wanted, given, strict=True)
    )


def test_a_request_that_is_posted_ends_attached_and_is_told_of_all_the_way(system, door):
    answer = door.post(GRANT)
    assert answer.status_code == 202
    assert answer.json() == {
        "request_id": "CHG-1001",
        "status_url": "/requests/CHG-1001",
        "parts": [],
    }
    assert answer.headers["Location"] == "/requests/CHG-1001"
    told = door.get("/requests/CHG-1001").json()
    assert (told["state"], told["final"], told["next"]["step"]) == ("posted", False, "queued")
    assert told["sender"] == "network-desk"
    system.settle()
    assert system.outcomes("CHG-1001") == ["granted", "attached"]
    told = door.get("/requests/CHG-1001").json()
    assert (told["state"], told["final"]) == ("attached", True)
    assert [one["outcome"] for one in told["results"]] == ["granted", "attached"]
    whats = [one["what"] for one in told["history"]]
    assert whats == ["posted", "received", "granted", "attached"]
    (standing,) = door.get("/authorizations", state="attached").json()["authorizations"]
    assert standing["instance_id"] == "vpc-bp1payments0main"
    assert [lease["request_id"] for lease in standing["leases"]] == ["CHG-1001"]


def test_the_same_webhook_or_request_again_has_the_same_answer_and_is_once_in_the_queue(door):
    first = door.post(GRANT, webhook_id="msg_a")
    assert door.post(GRANT, webhook_id="msg_a").json() == first.json()
    assert door.post(GRANT, webhook_id="msg_b").json() == first.json()
    assert door.queued() == ["CHG-1001"]


def test_an_id_used_for_something_else_is_refused(system, door):
    door.post(GRANT, webhook_id="msg_a")
    other = {**GRANT, "reason": "Another"}
    assert door.post(other).json()["code"] == "request_id_reused"
    again = door.post({**GRANT, "request_id": "CHG-2"}, webhook_id="msg_a")
    assert (again.status_code, again.json()["code"]) == (409, "webhook_id_reused")
    system.post("grant_vbr")  # straight onto the queue
    system.settle()
    taken = {**GRANT, "request_id": "CHG-1003"}
    assert door.post(taken).json()["code"] == "request_id_reused"


def test_what_the_registry_refuses_for_good_is_refused_here_and_calls_nothing(system, door):
    before = len(system.cloud.journal)
    refused = door.post({**GRANT, "ecr_id": "ecr-nobody1", "request_id": "CHG-2"})
    assert (refused.status_code, refused.json()["code"]) == (422, "ecr_unknown")
    assert refused.json()["remedy"]
    scoped = {**GRANT, "instance_owner_uid": "3000400050006000", "request_id": "CHG-3"}
    foreign = door.post(scoped, sender="payments-desk")
    assert foreign.json()["code"] == "sender_not_allowed"
    late = door.post({**GRANT, "expires_at": "2020-01-01T00:00:00Z"})
    assert late.json()["code"] == "expiry_in_the_past"
    hosts = {"url": "https://169.254.169.254/latest", "system": "servicenow"}
    ssrf = door.post({**GRANT, "callback": hosts}, sender="payments-desk")
    assert ssrf.json()["code"] == "callback_not_allowed"
    assert door.queued() == []
    assert len(system.cloud.journal) == before
    assert door.get("/requests/CHG-2").status_code == 404  # it leaves nothing behind


def test_a_callback_is_taken_where_a_mapping_answers_its_system_and_only_there(system, door):
    callback = {"url": "https://payments.example.com/CHG-1001", "system": "slak"}
    refused = door.post({**GRANT, "callback": callback}, sender="payments-desk")
    assert (refused.status_code, refused.json()["code"]) == (422, "callback_system_unknown")
    answering = [path.stem for path in (ROOT / "mappings").glob("*.yaml")]  # all of them do
    assert all(name in refused.json()["remedy"] for name in answering)
    assert door.queued() == []
    assert door.get("/requests/CHG-1001").status_code == 404
    taken = {**GRANT, "callback": {**callback, "system": "slack"}}
    assert door.post(taken, sender="payments-desk").status_code == 202
    (message,) = system.cloud.mns.queue("1000200030004000", "ecr-requests").peek(9)
    assert json.loads(message.body)["callback"] == {**callback, "system": "slack", "language": "en"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "not_json"),
        (b"[]", 400, "not_json"),
        (b"{", 400, "not_json"),
        (b'{"a":' * 30000, 413, "too_large"),
        (b'{"a":' * 10000, 400, "not_json"),
        (b'{"request_id": 1%s}' % (b"0" * 60000), 400, "not_json"),
        (b'{"request_id": 1%s}' % (b"0" * 4299), 422, "malformed"),
        (b'{"a": 1e999999}', 422, "malformed"),
        (b'{"request_id": "\\u0000"}', 422, "malformed"),
        (b"x" * 65537, 413, "too_large"),
        (json.dumps({**GRANT, "extra": 1}).encode(), 422, "malformed"),
        (json.dumps({**GRANT, "sender": "payments-desk"}).encode(), 422, "malformed"),
        (json.dumps({**GRANT, "part_of": "CHG-9"}).encode(), 422, "malformed"),
        (json.dumps({**GRANT, "request_id": "ＣＨＧ-1"}).encode(), 422, "malformed"),
        (json.dumps({**GRANT, "request_id": "../x"}).encode(), 422, "malformed"),
        (json.dumps({**GRANT, "request_id": "all"}).encode(), 422, "malformed"),
    ],
    ids=range(16),
)
def test_a_body_that_is_no_request_is_refused_by_a_code(door, body, status, code):
    answer = door.post(body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert door.queued() == []


def test_a_body_of_another_kind_comes_in_base64_and_is_verified_by_its_bytes(system, door):
    answer = door.post(GRANT, headers={"content-type": "application/octet-stream"})
    assert answer.status_code == 202
    system.settle()
    assert system.outcomes("CHG-1001") == ["granted", "attached"]


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1," + "A" * 43 + "="},
        {"webhook-id": "msg_other"},
        {"webhook-id": "a.b"},
        {"webhook-timestamp": "1"},
        {"webhook-timestamp": "NaN"},
        {"webhook-timestamp": "1e9"},
    ],
    ids=str,
)
def test_who_does_not_prove_who_he_is_is_not_let_in_and_not_told_why(door, change):
    answer = door.post(GRANT, headers=change)
    assert answer.status_code == 401
    told = answer.json()
    told.pop("request")
    assert told == {
        "type": "urn:ecr-authorization:problem:unauthorized",
        "title": "Not let in",
        "status": 401,
        "code": "unauthorized",
        "detail": "The request does not prove who sent it.",
        "remedy": "Compare the secret or token, the signature and the clock with README.md.",
    }


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_stale_or_future_message_is_not_let_in(system, door, seconds):
    at = system.now() + timedelta(seconds=seconds)
    assert door.post(GRANT, at=at).status_code == 401
    at = system.now() + timedelta(seconds=seconds * 0.9)
    assert door.post(GRANT, at=at).status_code == 202


def test_a_replayed_message_is_answered_and_not_done_again(system, door):
    door.post(GRANT, webhook_id="msg_a")
    system.settle()
    before = len(system.results)
    assert door.post(GRANT, webhook_id="msg_a").status_code == 202
    system.settle()
    assert len(system.results) == before
    headers = door.signed(json.dumps(GRANT).encode(), webhook_id="msg_a")
    system.clock.advance(400)
    assert door.post(GRANT, headers=headers).status_code == 401


def test_a_bundle_has_its_parts(system, door):
    answer = door.post(BUNDLE)
    assert answer.status_code == 202
    assert len(answer.json()["parts"]) == 2
    told = door.get("/requests/CHG-1010").json()
    assert [part["state"] for part in told["parts"]] == ["waiting"] * 2
    system.settle()
    told = door.get("/requests/CHG-1010").json()
    assert (told["state"], told["final"]) == ("completed", True)
    assert {part["state"] for part in told["parts"]} == {"attached"}
    part = door.get(f"/requests/{answer.json()['parts'][0]}").json()
    assert (part["part_of"], part["state"]) == ("CHG-1010", "attached")


def test_a_bundle_of_which_all_or_one_too_many_is_refused_is_refused_here(door):
    foreign = {**BUNDLE, "ecr_id": "ecr-sg3edge8wv5n2"}
    assert door.post(foreign).json()["code"] == "region_not_allowed"
    some = {**BUNDLE, "mode": "best_effort", "instances": [*BUNDLE["instances"]]}
    some["instances"][1] = {**some["instances"][1], "instance_region_id": "cn-shanghai"}
    assert door.post({**some, "mode": "all_or_nothing"}).status_code == 422
    assert door.post(some).status_code == 202  # each is told of by itself


def test_a_lease_is_renewed_and_cancelled_by_the_id_of_its_request(system, door):
    door.post({**GRANT, "expires_at": (system.now() + timedelta(days=3)).isoformat()})
    system.settle()
    until = (system.now() + timedelta(days=30)).isoformat()
    renewal = {"request_id": "CHG-1100", "ticket": "CHG-1100", "expires_at": until}
    answer = door.post(renewal, "/requests/CHG-1001/renew")
    assert (answer.status_code, answer.json()["request_id"]) == (202, "CHG-1100")
    assert door.post(renewal, "/requests/CHG-1001/renew").json() == answer.json()
    system.settle()
    assert system.outcomes("CHG-1100")[-1] == "attached"
    soon = (system.now() + timedelta(days=7)).isoformat()
    assert door.get("/authorizations", expiring_before=soon).json()["authorizations"] == []
    for lease, request_id in (("CHG-1001", "R-1"), ("CHG-1100", "R-2")):
        gone = {"request_id": request_id, "ticket": request_id, "reason": "Over"}
        assert door.post(gone, f"/requests/{lease}/cancel").status_code == 202
        system.settle()
        assert system.outcomes(request_id)[-1] == "revoked"
    assert not system.cloud.ecr.grants()
    again = door.post({"request_id": "R-3", "ticket": "R-3"}, "/requests/R-1/cancel")
    assert again.json()["code"] == "not_a_grant"


def test_a_bundle_is_renewed_and_cancelled_as_one(system, door):
    door.post(BUNDLE)
    system.settle()
    renewal = {"request_id": "CHG-2", "ticket": "CHG-2", "expires_at": "2031-01-01T00:00:00Z"}
    assert len(door.post(renewal, "/requests/CHG-1010/renew").json()["parts"]) == 2
    system.settle()
    assert set(system.outcomes("CHG-2")) == {"completed"}
    for lease, one in (("CHG-1010", "R-1"), ("CHG-2", "R-2")):
        path = f"/requests/{lease}/cancel"
        assert door.post({"request_id": one, "ticket": one}, path).status_code == 202
        system.settle()
    assert not system.cloud.ecr.grants()


def test_what_is_out_of_scope_reads_as_not_there(system, door):
    factory = {
        **GRANT,
        "request_id": "CHG-7",
        "instance_id": "vpc-bp1factory00plc",
        "instance_owner_uid": "3000400050006000",
    }
    door.post(factory)
    door.post(GRANT)
    system.settle()
    foreign = door.get("/requests/CHG-7", reader="payments-team")
    missing = door.get("/requests/CHG-0", reader="payments-team")
    assert foreign.status_code == missing.status_code == 404
    assert {**foreign.json(), "request": 0} == {**missing.json(), "request": 0}
    assert door.get("/requests/CHG-7").status_code == 200
    mine = door.get("/authorizations", reader="payments-team").json()["authorizations"]
    assert [one["instance_id"] for one in mine] == ["vpc-bp1payments0main"]
    theirs = {"account_uid": "3000400050006000", "reader": "payments-team"}
    assert door.get("/authorizations", **theirs).json()["authorizations"] == []
    renewal = {"request_id": "CHG-8", "ticket": "CHG-8", "expires_at": "2031-01-01T00:00:00Z"}
    for what, body in (("renew", renewal), ("cancel", {"request_id": "R-9", "ticket": "R-9"})):
        path = f"/requests/CHG-7/{what}"
        assert door.post(body, path, sender="payments-desk").status_code == 404
    assert len(system.cloud.ecr.grants()) == 2


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer " + "é" * 20])
def test_who_bears_no_token_reads_nothing(door, header):
    given = {"Authorization": header.encode()} if header else {}
    answer = door.get("/requests/CHG-1", reader=None, headers=given)
    assert answer.status_code == 401
    assert door.get("/authorizations", reader=None, headers=given).status_code == 401
    assert door.get("/healthz", reader=None).status_code == 200


def test_a_list_is_paged_by_cursors_that_fit_no_other_list(system, door):
    for number in range(5):
        door.post({**GRANT, "request_id": f"CHG-{number}", "instance_id": f"vpc-bp1none{number}"})
    system.settle(60)
    first = door.get("/authorizations", limit=2).json()
    found = first["authorizations"]
    cursor = first["next"]
    while cursor:
        page = door.get("/authorizations", limit=2, cursor=cursor).json()
        found += page["authorizations"]
        cursor = page.get("next")
    assert len({one["instance_id"] for one in found}) == len(found) == 5
    bad = [
        {"cursor": first["next"], "state": "attached"},
        {"cursor": first["next"][:-4]},
        {"cursor": "A" * 3000},
        {"cursor": "W10"},
        {"cursor": "\x00"},
        {"limit": 0},
        {"limit": "1,2"},
        {"state": "nonsense"},
        {"expiring_before": "yesterday"},
        {"expiring_before": "2026-01-01T00:00:00"},
        {"unknown": "1"},
    ]
    for query in bad:
        assert door.get("/authorizations", **query).json()["code"] in ("bad_query", "url_too_long")


def test_a_sender_that_is_too_fast_is_told_when_to_come_again(system, door):
    for _ in range(30):
        assert door.post(GRANT, sender="payments-desk").status_code == 202
    answer = door.post(GRANT, sender="payments-desk")
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert answer.headers["Retry-After"] == "2"
    assert door.post({**GRANT, "request_id": "CHG-2"}).status_code == 202  # others are not held up
    system.clock.advance(2)
    assert door.post(GRANT, sender="payments-desk").status_code == 202


def test_a_crash_between_note_and_queue_is_made_good_by_posting_again(system, door):
    system.cloud.behaviour.order(Fault(action="SendMessage", kind="error", times=-1))
    answer = door.post(GRANT, webhook_id="msg_a")
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
    assert answer.headers["Retry-After"]
    assert door.queued() == []
    told = door.get("/requests/CHG-1001").json()
    assert told["state"] == "posted"
    system.cloud.behaviour.clear()
    assert door.post(GRANT, webhook_id="msg_a").status_code == 202
    assert door.queued() == ["CHG-1001"]
    system.settle()
    assert system.outcomes("CHG-1001") == ["granted", "attached"]


@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/requests/", "/requests/%2e%2e", "/requests/..%2f..%2fhealthz",
     "/x//healthz", "/requests/%00", "/requests/%ff", "/requests/a%2Frenew",
     "/requests/CHG-1/other", "/healthz/..", "/HEALTHZ", "/requests/CHG%0a1",
     "/requests/" + "é" * 9],
)  # fmt: skip
def test_what_there_is_not_is_not_found_by_any_way_of_writing_it(door, path):
    session = requests.Session()
    prepared = requests.Request(
        "GET", door.url + path, headers={"Authorization": f"Bearer {TOKENS['network-team']}"}
    ).prepare()
    prepared.url = door.url + path
    answer = session.send(prepared, timeout=20)
    # A path that is known by another method is told so.
    assert answer.status_code == (405 if path == "/requests/" else 404), answer.text


def test_methods_and_sizes_beyond_the_limits_are_problems_of_ours(door):
    answer = door.keep(requests.get(door.url + "/requests", timeout=20))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert door.post({}, "/healthz").status_code == 405
    assert door.get("/healthz", headers={"x": "y" * 6500}).json()["code"] == "headers_too_long"
    assert door.get("/healthz", q="y" * 3100).json()["code"] == "url_too_long"


def test_the_document_and_its_page_are_open_and_fetch_nothing(door):
    document = door.get("/openapi.json", reader=None).json()
    assert document == json.loads(json.dumps(openapi.document()))
    page = door.get("/docs", reader=None)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "<script" not in page.text
    assert "http://" not in page.text
    for route in ROUTES:
        assert route.path in page.text


def test_every_unexpected_exception_is_one_problem_with_the_id_of_the_request(system, door):
    function = system.built("ecr-intake")
    system._functions["ecr-intake"] = function
    engine, function.house.ledger._engine = function.house.ledger._engine, None
    with captured() as lines:
        answer = door.get("/healthz")
    function.house.ledger._engine = engine
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.json()["request"]
    assert "Traceback" not in answer.text
    assert [one for one in lines if one["event"] == "http_failed"]


def test_a_ledger_that_is_away_is_told_so_by_whatever_is_asked(system, door):
    door.get("/healthz")
    engine = system._functions["ecr-intake"].house.ledger._engine
    engine.dispose()
    broken = create_engine("sqlite:////nowhere/at/all.db")
    system._functions["ecr-intake"].house.ledger._engine = broken
    answers = [door.get("/healthz"), door.get("/requests/CHG-1"), door.post(GRANT)]
    system._functions["ecr-intake"].house.ledger._engine = engine
    broken.dispose()
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["code"] for answer in answers} == {"ledger_unavailable"}


def test_no_secret_is_in_an_answer_or_a_log_line(tmp_path):
    with captured() as lines, opened(tmp_path) as system:
        door = Door(system)
        door.post(GRANT)
        door.post(GRANT, headers={"webhook-signature": SECRETS["network-desk"]})
        door.post({**GRANT, "reason": SECRETS["payments-desk"], "request_id": "CHG-2"})
        door.get("/requests/CHG-1001")
        door.get("/requests/CHG-1001", reader=None, headers={"Authorization": "Bearer wrong" * 3})
        door.get("/authorizations")
        system.settle()
        answers = "".join(answer.text + str(answer.headers) for answer in door.answers)
        bad = {**system.environ("ecr-intake"), "WEBHOOK_SECRETS": '{"nobody": ["whsec_canary9"]}'}
        with pytest.raises(ValueError, match="nobody") as refused:
            build(bad, system.now)
    assert "canary9" not in str(refused.value)
    for secret in (*SECRETS.values(), *TOKENS.values()):
        bare = SecretStr(secret.removeprefix("whsec_")).get_secret_value()
        assert bare not in json.dumps(lines)
        assert bare not in answers or secret == SECRETS["payments-desk"]


def test_of_many_at_once_with_one_id_one_is_taken_and_the_same_ones_have_its_answer(door):
    given = [GRANT if number % 2 else {**GRANT, "reason": "Another"} for number in range(12)]
    bodies = [json.dumps(one).encode() for one in given]
    headers = [door.signed(body) for body in bodies]

    def post(number):
        url = f"{door.url}/requests"
        return requests.post(url, data=bodies[number], headers=headers[number], timeout=20)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(post, range(12)))
    taken = {number % 2 for number, one in enumerate(answers) if one.status_code == 202}
    assert len(taken) == 1
    assert {one.status_code for one in answers} == {202, 409}
    assert [one.status_code for one in answers].count(202) == 6
    assert set(door.queued()) == {"CHG-1001"}
    sent = door.system.cloud.mns.queue("1000200030004000", "ecr-requests").peek(1000)
    assert len({one.body for one in sent}) == 1  # and whatever is there twice is the same


def test_a_message_with_two_of_one_header_is_none_of_ours(system, door):
    body = json.dumps(GRANT)
    signed = door.signed(body.encode())
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        event = {
            "rawPath": "/requests",
            "headers": {**signed, name.title(): signed[name]},
            "body": body,
            "requestContext": {"requestId": "r", "http": {"method": "POST"}},
        }
        answer = system.invoke("ecr-intake", json.dumps(event).encode())
        assert answer["statusCode"] == 401
    assert door.queued() == []


@pytest.mark.parametrize("event", [b"", b"null", b'{"rawPath": "/"}', b"\xff", b"[" * 9000])
def test_what_is_no_http_event_is_answered_in_the_full_struct(system, event):
    answer = system.invoke("ecr-intake", event)
    assert answer["statusCode"] == 400
    assert set(answer) == {"statusCode", "headers", "isBase64Encoded", "body"}
