"""The doctor's round by the timer: whatever fails in it, no secret comes out, and nothing is lost.

The round asks with every kind of ExternalId there is, so its log, its note and its result are
searched by themselves.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from localcloud.behaviour import Fault
from shared import log
from shared.doctor.canary import ROUND
from shared.external_ids import external_id
from shared.ledger.sql import SqlLedger
from simulation.wire.system import ACCOUNT_A, WireSystem, demo_world
from tests.attacks.conftest import REGISTRY, lie, put
from tests.attacks.test_canaries import KEY, WORD, check_hidden, secrets_of

DAILY = REGISTRY + "doctor: {every_hours: 24}\n"
NOBODY = "0" * 16
"""The doctor tries an ExternalId that is of no account."""
PLACES = ("log", "result", "journal", "letters", "ledger")


def refused_in_words(answer, asked):
    """A refusal that repeats what was asked, as a cloud's sentences do, in HTTP 200."""
    said = f"{WORD} {dict(asked)}"
    return {**answer, "Success": False, "Code": "Mystery.Refusal", "Message": said}


def trouble(system):
    """One account is open, one shut, one answers at random; every call fails in every way once."""
    for account in system.cloud.world.accounts:
        for role in account.roles:
            if role.name == "ecr-authorization":
                condition = role.trust["Statement"][0]["Condition"]
                if account.uid.startswith("2"):
                    condition.clear()
                if account.uid.startswith("3"):
                    condition["StringEquals"]["sts:ExternalId"] = ["another"]
    lie(system, "RevokeInstanceFromExpressConnectRouter", refused_in_words)
    put(system, {"doctor": {"round": WORD, "after": ""}})
    put(system, {"doctor": WORD})
    system.clean()
    for action in ("AssumeRole", "GetCallerIdentity", "PublishMessage", "SendMessage"):
        for kind in ("cut", "html", "error"):
            system.cloud.behaviour.order(Fault(action=action, kind=kind, when="after"))
    system.settle()
    system.clock.advance(25 * 3600)
    system.cloud.behaviour.clear()
    system.clean()
    system.settle()


@pytest.fixture(scope="module")
def after_trouble(tmp_path_factory):
    """What is left behind of it: by its place, the text; and the secrets that there were."""
    folder = tmp_path_factory.mktemp("doctor")
    with (
        log.captured() as lines,
        WireSystem(folder, demo_world(), DAILY, dry_run_answer="success") as system,
    ):
        trouble(system)
        results = system.cloud.mns.queue(ACCOUNT_A, "ticketing-results").peek(1000)
        file = system.ledger_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(file)) as connection:
            ledger = "\n".join(connection.iterdump())
        places = {
            "log": json.dumps(lines),
            "result": "\n".join(one.body.decode() for one in results),
            "journal": repr(list(system.cloud.journal)),
            "letters": json.dumps(system.dead_letters()),
            "ledger": ledger,
        }
        yield places, secrets_of(system) | {external_id(KEY, NOBODY).get_secret_value()}


@pytest.mark.parametrize("place", PLACES)
def test_a_round_of_the_doctor_shows_no_secret_in(after_trouble, place):
    places, secrets = after_trouble
    assert len(places[place]) > 100
    check_hidden(secrets, places[place])


@pytest.mark.parametrize("place", ["log", "result", "journal", "ledger"])
def test_a_round_of_the_doctor_repeats_nobodys_words_in(after_trouble, place):
    places, _ = after_trouble
    assert WORD in places["letters"]
    assert WORD not in places[place]


def test_the_doctors_trouble_was_real(after_trouble):
    places, _ = after_trouble
    for word in ("message_comes_again", "examination_begun", '"examined"', "message_refused"):
        assert word in places["log"]
    for word in ("open_without_external_id", "role_not_trusting", "Mystery.Refusal"):
        assert word in places["result"]
    assert ROUND in places["ledger"]


def test_a_round_that_came_too_often_is_a_dead_letter_and_a_later_timer_goes_on(tmp_path):
    """It is nobody's ticket: nobody is told that it has failed, and nothing of it is lost."""
    silent = Fault(product="mns", action="PublishMessage", kind="error", times=-1)
    with log.captured() as lines, WireSystem(tmp_path, registry=DAILY) as system:
        system.clean()
        system.cloud.behaviour.order(silent)
        system.settle()
        (letter,) = system.dead_letters()
        assert letter["message"]["doctor"]["round"].startswith("doctor-")
        assert letter["attempt"] == 20
        system.cloud.behaviour.clear()
        assert [one for one in system.results if one["outcome"] != "swept"] == []
        system.clock.advance(16 * 60)
        system.clean()
        system.settle()
        told = [one for one in system.results if one["outcome"] != "swept"]
        assert [(one["outcome"], one["accounts"]) for one in told] == [("examined", 3)]
        put(system, letter["message"])  # redriven: its round is over
        system.settle()
        assert [one["outcome"] for one in system.results].count("examined") == 1
        with closing(SqlLedger(system.ledger_url)) as ledger:
            assert json.loads(ledger.note(ROUND)[0])["is_over"]
    assert "give_up_failed" not in json.dumps(lines)
