"""Answers are written back: over localcloud's topic, by TLS, to a system that verifies them."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from demo.receiver import Receiver, Reply
from functions.notify.wiring import Function
from functions.triggers import BadEvent, topic_message
from shared import mapping
from shared.audit import Trail
from shared.cloud.credentials import Credentials
from shared.cloud.messages import Messages
from shared.dead_letters import DeadLetters
from shared.ledger.sql import SqlLedger
from shared.log import captured
from shared.notify.address import BadLoopback, Resolver, loopback_places
from shared.notify.sending import NotYet, Sender, trust
from simulation.wire.system import ACCOUNT_A, ROOT, WireSystem

OLD = "whsec_b2xkLWNhbmFyeS1vZi1zZXJ2aWNlLW5vdw=="
NEW = "whsec_bmV3LWNhbmFyeS1vZi1zZXJ2aWNlLW5vdw=="
JIRA = "whsec_amlyYS1jYW5hcnktamlyYS1jYW5hcnktamlyYQ=="
DINGTALK = "whsec_ZGluZ3RhbGstY2FuYXJ5LWRpbmd0YWxrLWNhbmFyeQ=="
CHAT_PATH = "/services/T0CANARY/B0CANARY"
SERVICENOW = "service-now.tickets.example"
HOSTS = {
    SERVICENOW: [NEW],
    "relay.tickets.example": [JIRA],
    "connector.tickets.example": [DINGTALK],
    "hooks.chat.example": [],
    "oapi.chat.example": [],
}
REGISTRY = yaml.safe_dump(
    yaml.safe_load((ROOT / "registry.yaml").read_text())
    | yaml.safe_load(f"""
senders:
  servicenow: {{accounts: all, ecrs: all, mapping: servicenow, callback_hosts: [{SERVICENOW}]}}
  jira: {{accounts: all, ecrs: all, mapping: jira, callback_hosts: [relay.tickets.example]}}
  dingtalk: {{accounts: all, ecrs: all, mapping: dingtalk,
              callback_hosts: [connector.tickets.example]}}
chats:
  operations: {{system: slack, host: hooks.chat.example, outcomes: [rejected, failed]}}
  plant: {{system: dingtalk_chat, host: oapi.chat.example, language: zh, outcomes: [rejected]}}
""")
)
SECRETS = {
    "ANSWER_SECRETS": json.dumps(
        {"servicenow": [OLD, NEW], "jira": [JIRA], "dingtalk": [DINGTALK]}
    ),
    "CHAT_URLS": json.dumps(
        {
            "operations": f"https://hooks.chat.example{CHAT_PATH}",
            "plant": "https://oapi.chat.example/robot/send?access_token=canary",
        }
    ),
}
MAPPINGS = mapping.load(ROOT / "mappings")


@contextmanager
def running(tmp_path, registry=REGISTRY, certified=None, **environment):
    """The whole system and the endpoints of the ticketing systems."""
    receiver = Receiver(tmp_path, HOSTS, lambda: system.clock.now(), certified)  # noqa: PLW0108 -- it is there by then
    tells = {**SECRETS, **receiver.environment, **environment}
    with receiver, WireSystem(tmp_path, registry=registry, tells=tells) as system:
        system.receiver = receiver
        yield system


@pytest.fixture
def system(tmp_path):
    with running(tmp_path) as found:
        yield found


def post(system, ticket, **changes):
    """What intake puts on the queue for a ticket."""
    sender = ticket.partition("_")[0]
    payload = json.loads((ROOT / f"events/tickets/{ticket}.json").read_text())
    made = {**MAPPINGS[sender].request(payload), "sender": sender, **changes}
    system.post_raw(json.dumps(made).encode())
    return made


def told(system, host=SERVICENOW):
    return [one for one in system.receiver.told if one.host == host]


def ended(system, ticket, host=SERVICENOW):
    """The answer that moves the ticket on."""
    (found,) = [
        one.document
        for one in told(system, host)
        if one.document["final"] and one.event_id.startswith(f"{ticket}/")
    ]
    return found


def letters(system):
    """The dead letters of answers, as an operator sees them, and redrives them."""
    key, secret = system.cloud.identity.root_key(ACCOUNT_A)
    credentials = Credentials(key, SecretStr(secret), SecretStr(""))
    ledger = SqlLedger(system.ledger_url)
    return DeadLetters(
        Messages(system.local.url, lambda: credentials),
        "ecr-answers-dead",
        Trail(ledger, system.now),
    )


def reasons(system):
    found = letters(system).all()
    system.clock.advance(2)  # they are hidden for a second
    return [letter.reason for letter in found]


def test_each_result_is_written_back_to_its_ticket_and_moves_it_on(system):
    post(system, "servicenow_grant")
    system.settle_told()
    assert system.receiver.refused == []
    granted, attached = [one.document for one in told(system)]
    assert [one.event_id for one in told(system)] == ["CHG0031001/granted", "CHG0031001/attached"]
    assert told(system)[0].path.endswith("/answers/c83c5e5347c12200e0ef563dbb9a7190")
    assert (granted["final"], "state" in granted) == (False, False)
    assert attached == {
        "event_id": "CHG0031001/attached",
        "number": "CHG0031001",
        "outcome": "attached",
        "final": True,
        "work_notes": "ECR access in place: vpc-bp1payments0main is attached to "
        "ecr-hz7core4qk2m1 (CHG0031001)\nThe access ends on 2030-01-01 00:00 UTC.",
        "state": "0",
        "close_code": "successful",
        "close_notes": "ECR access in place: vpc-bp1payments0main is attached to "
        "ecr-hz7core4qk2m1 (CHG0031001)",
        "u_ecr_expires_at": "2030-01-01 00:00:00",
    }
    assert reasons(system) == []


def test_a_topic_that_delivers_twice_is_answered_once(system):
    again = system.cloud.fc.invoke_async

    def twice(name, event):
        return again(name, event) and again(name, event)

    system.cloud.fc.invoke_async = twice
    post(system, "servicenow_grant")
    system.settle_told()
    runs = [one for one in system.cloud.fc.journal if one.function == "ecr-notify"]
    assert len(runs) == 4
    assert [one.event_id for one in told(system)] == ["CHG0031001/granted", "CHG0031001/attached"]


def test_two_instances_at_one_event_send_it_once(system, tmp_path):
    post(system, "servicenow_grant")
    system.settle_told()
    event = topic_event(system, result(system, "CHG0031001", "attached", id="CHG0031001/other"))
    system.receiver.next_replies.append(Reply(200, seconds=1))
    system.receiver.told.clear()
    first, second = system.built("ecr-notify"), system.built("ecr-notify")
    outcome = []

    def run(function):
        try:
            outcome.append(function.answer(event, None)["told"])
        except Exception as error:  # noqa: BLE001 -- it is what is looked at
            outcome.append(str(error))

    threads = [threading.Thread(target=run, args=(one,)) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    first.close()
    second.close()
    assert {"callback": "told"} in outcome
    assert "callback: another instance is delivering it" in outcome


def result(system, request_id, outcome, **changes):
    found = system.cloud.mns.queue(ACCOUNT_A, "ticketing-results").peek(1000)
    (body,) = [
        json.loads(one.body)
        for one in found
        if json.loads(one.body)["id"] == f"{request_id}/{outcome}"
    ]
    changed = {**body, **changes}
    if "id" in changes:  # not final: any id may stand beside it
        changed["data"] = {**body["data"], "final": False}
    return changed


def topic_event(system, body, **fields):
    sample = json.loads((ROOT / "events/mns_topic_result.json").read_text())
    return json.dumps({**sample, "Message": json.dumps(body), **fields}).encode()


def test_a_receiver_that_is_down_is_waited_for_and_its_dead_letter_redriven(system):
    system.receiver.next_replies.extend([Reply(503)] * 2)
    post(system, "servicenow_grant")
    system.settle_told()
    assert sorted(one.event_id for one in told(system)) == [
        "CHG0031001/attached",
        "CHG0031001/granted",
    ]
    system.receiver.told.clear()
    system.receiver.next_replies.extend([Reply(503)] * 100)
    post(system, "jira_revoke", lease="all")
    system.settle_told()
    assert told(system, "relay.tickets.example") == []
    found = reasons(system)
    assert len(found) == 3  # revoking, detached, revoked
    assert set(found) == {
        "the function did not take it: callback: relay.tickets.example answered 503"
    }
    system.receiver.next_replies.clear()
    assert len(letters(system).redrive(None, "operator")) == 3
    system.settle_told()
    assert ended(system, "NET-57", "relay.tickets.example")["transition"] == {"name": "Resolve"}
    assert len(told(system, "relay.tickets.example")) == 3
    assert reasons(system) == []
    assert system.cloud.ecr.grants() == []


def test_an_answer_that_is_refused_for_good_is_a_dead_letter_at_once(system):
    system.receiver.next_replies.append(Reply(410))
    post(system, "servicenow_grant")
    system.settle_told(0)
    assert reasons(system) == [f"callback: {SERVICENOW} refused the answer with 410"]
    (letter,) = letters(system).all()
    assert (letter.request_id, letter.queue, letter.tag) == ("CHG0031001", "ecr-results", "granted")
    system.clock.advance(2)
    letters(system).redrive({letter.message_id}, "operator")
    system.settle_told()
    assert sorted(one.event_id for one in told(system)) == [
        "CHG0031001/attached",
        "CHG0031001/granted",
    ]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_refusal_and_is_not_followed(system, status):
    elsewhere = f"https://relay.tickets.example:{system.receiver.port}/elsewhere"
    system.receiver.next_replies.append(Reply(status, {"location": elsewhere}))
    post(system, "servicenow_grant", attach=False)
    system.settle_told()
    assert system.receiver.told == []
    assert reasons(system) == [
        f"callback: {SERVICENOW} answered {status}: redirects are not followed"
    ]


def test_a_ticket_of_a_bundle_is_moved_on_by_the_bundles_answer_alone(system):
    post(system, "servicenow_bundle")
    system.settle_told()
    outcomes = [one.document["outcome"] for one in told(system)]
    assert sorted(outcomes) == ["attached", "attached", "completed", "granted", "granted"]
    answer = ended(system, "CHG0031002")
    assert (answer["outcome"], answer["state"]) == ("completed", "0")
    assert answer["work_notes"].splitlines()[1:] == [
        "- vpc-bp1payments0test: attached",
        "- vpc-bp1factory00plc: attached",
    ]
    parts = [one.document for one in told(system) if one.document["outcome"] == "attached"]
    assert not any("state" in one or one["final"] for one in parts)


def test_a_bundle_that_is_refused_before_it_is_begun_is_answered_part_by_part(system):
    made = post(system, "servicenow_bundle", expires_at="2020-01-01T00:00:00Z")
    assert made["mode"] == "all_or_nothing"
    system.settle_told()
    assert [one.document["outcome"] for one in told(system)] == ["rejected"] * 3
    assert ended(system, "CHG0031002")["u_ecr_code"] == "expiry_in_the_past"


def test_a_comment_is_in_chinese_where_the_ticket_asks_for_it(system):
    post(system, "dingtalk_grant")
    system.settle_told()
    answer = ended(system, "202611021340000174321", "connector.tickets.example")
    assert answer["text"].startswith("ECR 接入完成：vbr-bp1factory0line1 已加载到")
    assert answer["remark"] == "已开通"


def test_what_is_refused_is_told_with_its_code_and_to_the_chats(system):
    post(system, "dingtalk_grant", instance_owner_uid="4000500060007000")
    system.settle_told()
    answer = ended(system, "202611021340000174321", "connector.tickets.example")
    assert "（ecr_not_allowed）" in answer["text"]
    assert "处理办法：" in answer["text"]
    (slack,) = told(system, "hooks.chat.example")
    assert (slack.path, slack.event_id) == (CHAT_PATH, None)
    assert slack.document["blocks"][0]["text"]["type"] == "plain_text"
    assert "(ecr_not_allowed)" in slack.document["blocks"][0]["text"]["text"]
    (robot,) = told(system, "oapi.chat.example")
    assert robot.document["text"]["content"].startswith("ECR 申请被拒绝")
    assert robot.path == "/robot/send?access_token=canary"


def test_a_chat_that_answers_200_and_does_not_mean_it_is_told_again_or_is_a_dead_letter(system):
    busy = json.dumps({"errcode": 130101, "errmsg": "send too fast"}).encode()
    wrong = json.dumps({"errcode": 310000, "errmsg": "keywords not in content"}).encode()
    system.receiver.next_replies.extend([Reply(200), Reply(200), Reply(200, body=busy)])
    post(system, "dingtalk_grant", instance_owner_uid="4000500060007000")
    system.settle_told()
    (robot,) = told(system, "oapi.chat.example")  # the next try; the other two are not told again
    assert robot.document["msgtype"] == "text"
    system.receiver.next_replies.extend([Reply(200), Reply(200), Reply(200, body=wrong)])
    post(system, "dingtalk_grant", instance_owner_uid="4000500060007000", request_id="R-2")
    system.settle_told()
    assert reasons(system) == ["chat:plant: dingtalk_chat did not take it"]


def test_a_request_without_callback_is_told_to_nobody(system):
    system.post("grant_vpc")
    system.settle_told()
    assert (system.outcomes("CHG-1001"), system.receiver.told) == (["granted", "attached"], [])
    assert reasons(system) == []


def test_what_the_clean_up_tells_of_itself_is_passed_over(system):
    system.clean()
    system.settle_told()
    assert [one["outcome"] for one in system.results] == ["swept"]
    assert (system.receiver.told, reasons(system)) == ([], [])


def test_another_message_with_a_tickets_id_moves_that_ticket_nowhere(system):
    post(system, "servicenow_grant")
    system.settle_told()
    before = len(told(system))
    post(system, "jira_grant", request_id="CHG0031001")
    system.settle_told()
    assert system.outcomes("CHG0031001")[-1] == "rejected"
    assert len(told(system)) == before
    assert told(system, "relay.tickets.example") == []


def test_a_host_that_was_taken_off_the_list_meanwhile_is_not_called(tmp_path):
    post_registry = REGISTRY.replace(f"- {SERVICENOW}", "- other.tickets.example")
    assert post_registry != REGISTRY
    with running(tmp_path) as system:
        post(system, "servicenow_grant", attach=False)
        system.settle_told()
        body = result(system, "CHG0031001", "granted", id="CHG0031001/granted/late")
        system._registry.write_text(post_registry)
        function = system.built("ecr-notify")
        system.receiver.told.clear()
        assert function.answer(topic_event(system, body), None) == {
            "told": {"callback": "undeliverable"}
        }
        function.close()
        assert system.receiver.told == []
        assert reasons(system) == [f"callback: {SERVICENOW} is not a host that may be written to"]


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data/",
        "https://100.100.100.200/latest/meta-data/",
        "https://2852039166/",
        "https://127.0.0.1/",
        "https://localhost/",
        f"https://{SERVICENOW}.evil.example/",
        f"https://{SERVICENOW}:8443/",
        "https://relay.tickets.example/",
    ],
)
def test_a_callback_elsewhere_is_refused_even_where_it_stands_on_the_ledger(system, url):
    host = url.removeprefix("https://").partition("/")[0]
    made = post(system, "servicenow_grant", callback={"url": url, "system": "servicenow"})
    system.settle_told()
    assert made["callback"]["url"] == url
    assert system.problem("CHG0031001")["code"] == "callback_not_allowed"  # not begun at all
    assert system.receiver.told == [] or host not in {one.host for one in system.receiver.told}
    (reason,) = [one for one in reasons(system) if one.startswith("callback: ")]
    assert "may be written to" in reason or "public network" in reason


def test_a_request_that_names_no_sender_is_not_written_back(system):
    post(system, "servicenow_grant", sender=None, attach=False)
    system.settle_told()
    assert system.outcomes("CHG0031001") == ["granted"]
    assert system.receiver.told == []
    assert reasons(system) == [
        "callback: the request names no sender whose callback could be allowed"
    ]


def test_a_host_that_resolves_to_a_private_address_is_not_called(tmp_path):
    """`localhost.localdomain`-like names of the allow-list: the address decides."""
    with running(tmp_path, CALLBACK_LOOPBACK_HOSTS="") as system:
        function = system.built("ecr-notify")
        sender = function.notifier.sender
        sender._resolver = type(sender._resolver)(lookup=lambda *_: ["93.184.216.34", "10.0.0.7"])
        system._functions["ecr-notify"] = function
        system._over_at["ecr-notify"] = system.clock.now() + 86400
        post(system, "servicenow_grant", attach=False)
        system.settle_told()
        assert reasons(system) == [
            f"callback: {SERVICENOW} has an address that is not of the public network"
        ]


def test_a_certificate_of_another_name_is_not_believed(tmp_path):
    with running(tmp_path, certified=["other.tickets.example"]) as system:
        post(system, "servicenow_grant", attach=False)
        system.settle_told()
        assert system.receiver.told == []
        (reason,) = reasons(system)
        assert reason.endswith(f"callback: {SERVICENOW} did not answer (SSLError)")


def test_an_authority_that_is_not_ours_is_not_believed(tmp_path):
    with running(tmp_path, CALLBACK_CA_FILE="") as system:
        post(system, "servicenow_grant", attach=False)
        system.settle_told()
        assert system.receiver.told == []
        assert "(SSLError)" in reasons(system)[0]


def test_a_proxy_of_the_environment_is_not_used(tmp_path, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with running(tmp_path) as system:
        post(system, "servicenow_grant", attach=False)
        system.settle_told()
        assert len(told(system)) == 1


class Slow:
    """A server that never ends: it sends a byte now and then, or a line too many."""

    def __init__(self, tmp_path, receiver, first, more):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "receiver.pem")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.first, self.more = first, more
        self.context = context
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        with suppress(OSError):
            raw, _ = self.listener.accept()
            with self.context.wrap_socket(raw, server_side=True) as taken:
                taken.recv(65536)
                taken.sendall(self.first)
                for _ in range(2000):
                    taken.sendall(self.more)
                    time.sleep(0.01)

    def close(self):
        self.listener.close()
        self.thread.join(30)


@pytest.mark.parametrize(
    ("first", "more", "became"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x", "told"),  # it has taken it, whatever it says more
        (b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n", b"x" * 9999, "told"),
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 20, "NotYet"),  # headers without end
        (b"nonsense\r\n\r\n", b"", "NotYet"),
    ],
)
def test_a_server_that_never_ends_holds_nobody(tmp_path, first, more, became):
    receiver = Receiver(tmp_path, HOSTS)
    slow = Slow(tmp_path, receiver, first, more)
    places = {SERVICENOW: f"127.0.0.1:{slow.port}"}
    sender = Sender(Resolver(loopback_places(places)), trust(tmp_path / "authority.pem"), 1.0)
    started = time.monotonic()
    try:
        reply = sender.send("POST", f"https://{SERVICENOW}/", [SERVICENOW], b"{}", {})
        assert (reply.status, len(reply.body) <= 65536, became) == (200, True, "told")
    except NotYet:
        assert became == "NotYet"
    assert time.monotonic() - started < 5
    slow.close()
    receiver._server.server_close()


@pytest.mark.parametrize("path", ["//evil.example/x", "/https://evil.example/", "/@evil.example"])
def test_a_path_that_looks_like_a_host_leads_nowhere_else(tmp_path, path):
    receiver = Receiver(tmp_path, HOSTS)
    given = receiver.environment
    places = loopback_places(json.loads(given["CALLBACK_LOOPBACK_HOSTS"]))
    sender = Sender(Resolver(places), trust(Path(given["CALLBACK_CA_FILE"])))
    with receiver:
        sender.send("POST", f"https://hooks.chat.example{path}", ["hooks.chat.example"], b"{}", {})
    (told,) = receiver.told
    assert told.host == "hooks.chat.example"
    assert told.path.lstrip("/") == path.lstrip("/")  # Python's server takes a second one away


def test_no_secret_is_in_a_log_line_or_a_dead_letter(tmp_path):
    with captured() as lines, running(tmp_path) as system:
        system.receiver.next_replies.extend([Reply(500, body=b"echo"), Reply(404), Reply(404)])
        post(system, "servicenow_grant", ecr_owner_uid="1000200030004001")
        post(system, "jira_grant")
        system.settle_told()
        system.receiver.next_replies.extend([Reply(503)] * 40)
        post(system, "jira_revoke", lease="NET-42")
        system.settle_told()
        kept = system.cloud.mns.queue(ACCOUNT_A, "ecr-answers-dead").peek(1000)
        shown = json.dumps(lines) + b"".join(one.body for one in kept).decode()
        assert len(kept) > 1
        outcomes = [one.outcome.body.decode() for one in system.cloud.fc.journal]
    for secret in (OLD, NEW, JIRA, DINGTALK, "CANARY", "access_token", "/answers/"):
        assert secret not in shown
        assert secret not in "".join(outcomes)
    assert any(line["event"] == "result_told" for line in lines)


# The function by itself ---------------------------------------------------------------------------


def test_a_topics_event_is_read_with_attributes_with_a_tag_and_in_base64():
    sample = json.loads((ROOT / "events/mns_topic_result.json").read_text())
    body = sample["Message"]
    for changed in (
        sample,
        {**sample, "key": "value"},
        {**sample, "MessageTag": "granted"},
        {**sample, "Message": base64.b64encode(body.encode()).decode()},
    ):
        assert topic_message(json.dumps(changed).encode()) == body
    for wrong in (
        b"",
        b"[]",
        b"{}",
        b'{"Message": 1}',
        b'{"Message": "%%"}',
        b'{"Message": "//79"}',
    ):
        with pytest.raises(BadEvent):
            topic_message(wrong)


@pytest.mark.parametrize("switch", ["topic_event_tag", "topic_event_base64"])
def test_whatever_form_the_trigger_has_the_result_is_told(tmp_path, switch):
    receiver = Receiver(tmp_path, HOSTS)
    tells = {**SECRETS, **receiver.environment}
    with receiver, WireSystem(tmp_path, registry=REGISTRY, tells=tells, **{switch: True}) as system:
        receiver._now = system.clock.now
        system.receiver = receiver
        post(system, "servicenow_grant", attach=False)
        system.settle_told()
        assert len(told(system)) == 1


def test_a_message_that_is_no_result_is_a_dead_letter(system):
    for body in (
        b"nonsense",
        b'{"type": "ecr.authorization.granted", "data": {"outcome": "granted"}}',
    ):
        system.cloud.mns.publish(ACCOUNT_A, "ecr-results", body, "other")
    system.settle_told()
    found = reasons(system)
    assert len(found) == 2
    assert any(one.startswith("not a result: ") for one in found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALLBACK_LOOPBACK_HOSTS", '{"a.example": "10.0.0.1:443"}'),
        ("CALLBACK_LOOPBACK_HOSTS", '{"a.example": "localhost:443"}'),
        ("CALLBACK_LOOPBACK_HOSTS", '{"a.example": "127.0.0.1"}'),
        ("ANSWER_SECRETS", '{"servicenow": "canary-secret"}'),
        ("ANSWER_SECRETS", "canary-secret"),
        ("ANSWER_SECRETS", '{"servicenow": ["whsec_canary-secret!"]}'),
        ("ANSWER_SECRETS", '{"servicenow": ["whsec_c2hvcnQ="]}'),
        ("ANSWER_SECRETS", '{"servicenow": []}'),
        ("CHAT_URLS", '["canary-secret"]'),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_at_the_start_and_not_repeated(
    system, name, value
):
    environ = system.environ("ecr-notify") | {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "x",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "y",
        name: value,
    }
    with pytest.raises((ValidationError, ValueError, BadLoopback)) as caught:
        Function(environ, system.now)
    assert "canary-secret" not in str(caught.value)


def test_it_imports_no_sdk_of_the_cloud_but_mnss():
    code = (
        "import sys, functions.notify.handler; "
        "print([one for one in sys.modules if one.split('.')[0] in "
        "('alibabacloud_vpc20160428', 'alibabacloud_sts20150401', 'darabonba', 'Tea', "
        "'alibabacloud_tea_openapi', 'alibabacloud_expressconnectrouter20230901', 'requests', "
        "'werkzeug')])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]"
