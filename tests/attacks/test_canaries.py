"""Every secret and every stranger's word has a canary in it: none turns up where it must not.

Searched: log lines, results, dead letters, the audit trail, every row of the ledger, the stand-in's
journal, reports, exceptions. Failures of every kind are ordered first, since secrets come out then.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from contextlib import closing
from urllib.parse import quote

import pytest
import structlog
from pydantic import SecretStr

from ecrauth import report
from functions.authorize.handler import build
from localcloud.behaviour import Fault
from shared import log
from shared.cleanup import notes
from shared.cloud.credentials import Credentials
from shared.cloud.sessions import Role
from shared.external_ids import external_id
from shared.ledger import LedgerUnavailable
from shared.ledger.sql import SqlLedger
from simulation.wire.system import ACCOUNT_A, ENVIRON, WireSystem
from tests.attacks.conftest import put, revoke, sample

KEY = SecretStr(ENVIRON["EXTERNAL_ID_KEY"])
ACCOUNTS = ("2000300040005000", "3000400050006000", "4000500060007000")
WORD = "canary-7f3a9c"
"""In everything that a stranger may write and that is refused: it is nobody's to repeat."""


def forms(secret):
    """As it is, in a URL, in JSON, in base64."""
    yield secret
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield base64.b64encode(secret.encode()).decode().rstrip("=")


def check_hidden(secrets, text):
    """None of them is in it, in any form."""
    for secret in secrets:
        for form in forms(secret):
            assert form not in text


def secrets_of(system):
    """Every key that there is: account keys, sessions, tokens, ExternalIds, our own key."""
    identity = system.cloud.identity
    found = {ENVIRON["EXTERNAL_ID_KEY"]}
    found |= {external_id(KEY, uid).get_secret_value() for uid in ACCOUNTS}
    for session in identity.sessions():
        found |= {session.secret, session.token}
    assert len(found) > 8
    return found


def trouble(system):
    """Everything goes wrong once, and account B stops trusting us in the middle."""
    for action in (
        "AssumeRole",
        "GrantInstanceToExpressConnectRouter",
        "DescribeVpcGrantRulesToEcr",
        "CreateExpressConnectRouterAssociation",
        "DescribeExpressConnectRouterAssociation",
        "PublishMessage",
        "SendMessage",
    ):
        for kind in ("cut", "html", "error"):
            for when in ("before", "after"):
                system.cloud.behaviour.order(Fault(action=action, kind=kind, when=when))
    put(system, sample("grant_vpc"))
    put(system, sample("grant_vbr"))
    put(system, sample("grant_bundle"))
    put(system, sample("grant_vpc", request_id="X-1", note=WORD))
    put(system, sample("grant_vpc", request_id="X-2", ecr_id=f"ecr-{WORD}"))
    put(system, sample("grant_vpc", request_id="X-3", **{WORD: 1}))
    put(system, {"wake": {"ecr_id": WORD}})
    put(system, WORD.encode())
    put(system, {"attempt": 1, "message": {"x": WORD}})
    put(system, WORD.encode(), "ecr-attachments")
    system.settle()
    for account in system.cloud.world.accounts:
        for role in account.roles:
            if role.name == "ecr-authorization":
                condition = role.trust["Statement"][0]["Condition"]
                condition["StringEquals"]["sts:ExternalId"] = ["another"]
    put(system, sample("grant_vpc_other_region"))
    put(system, revoke("grant_vpc", request_id="R-1", lease="all"))
    system.settle()
    system.clean()
    system.settle()


@pytest.fixture(scope="module")
def after_trouble(tmp_path_factory):
    """What is left behind of it: by its place, the text; and the secrets that there were."""
    places = {}
    with log.captured() as lines, WireSystem(tmp_path_factory.mktemp("canaries")) as system:
        trouble(system)
        places["log"] = json.dumps(lines)
        told = system.cloud.mns.queue(ACCOUNT_A, "ticketing-results").peek(1000)
        places["results"] = "\n".join(one.body.decode() for one in told)
        places["journal"] = repr(list(system.cloud.journal))
        places["letters"] = json.dumps(
            system.dead_letters() + system.dead_letters("ecr-attachments-dead")
        )
        file = system.ledger_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(file)) as connection:
            places["ledger"] = "\n".join(connection.iterdump())
        with closing(SqlLedger(system.ledger_url)) as ledger:
            places["audit"] = repr(list(ledger.entries()))
            run = notes.report(ledger, None)
            told = list(notes.each_told(ledger, run))
            places["reports"] = report.html(run, told) + report.markdown(run, told)
        yield places, secrets_of(system)


PLACES = ("log", "results", "journal", "letters", "ledger", "audit", "reports")


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_shown_in(after_trouble, place):
    places, secrets = after_trouble
    assert len(places[place]) > 300
    check_hidden(secrets, places[place])


@pytest.mark.parametrize("place", ["log", "results", "journal", "ledger", "audit", "reports"])
def test_what_was_refused_is_kept_in_its_dead_letter_alone(after_trouble, place):
    places, _ = after_trouble
    assert WORD in places["letters"]
    assert WORD not in places[place]


def test_the_trouble_was_real(after_trouble):
    places, _ = after_trouble
    for word in ("NoPermission", "OutcomeUnknown", "result_published", "message_comes_again"):
        assert word in places["log"]
    assert "access_denied" in places["results"]


ENVIRONMENT = {
    "LEDGER_URL": "postgresql://ecr:canary-ledger-pw@127.0.0.1:9/ledger",
    "EXTERNAL_ID_KEY": "canary-external-id-key-canary-external",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "canary-access-key-secret",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "canary-security-token",
}


@pytest.mark.parametrize(
    "broken", [{}, {"QUEUE": "!"}, {"REGISTRY_FILE": "/nowhere"}, {"FC_REGION": ""}]
)
def test_a_function_that_cannot_start_tells_no_secret(broken):
    """What it raises, what that was raised from, and what is logged of it."""
    environ = {
        "FC_ACCOUNT_ID": "1000200030004000",
        "FC_REGION": "cn-hangzhou",
        "QUEUE": "q",
        "DEAD_LETTER_QUEUE": "d",
        "RESULT_TOPIC": "t",
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI",
        **ENVIRONMENT,
        **broken,
    }

    def start(*_):
        build(environ)

    with log.captured() as lines, pytest.raises(Exception) as raised:  # noqa: PT011 -- any of them
        log.logged(start)(b"", None)
    shown = json.dumps(lines) + repr(raised.value) + str(raised.value)
    for value in (*ENVIRONMENT.values(), "canary-ledger-pw"):
        assert value not in shown


def test_a_key_of_the_function_itself_is_masked_for_as_long_as_it_lives():
    """However many sessions have come and gone since: those are forgotten first."""
    log.mask_value("canary-lasting-key", always=True)
    with pytest.raises(LedgerUnavailable):
        SqlLedger("postgresql://u:canary%2Fpw@127.0.0.1:9/d")
    log.mask_value("canary-session-secret")
    for number in range(1000):
        log.mask_value(f"session-secret-{number}")
    with log.captured() as lines:
        structlog.get_logger().info("x", note="canary-lasting-key canary/pw session-secret-999")
    assert lines[0]["note"] == "*** *** ***"


@pytest.mark.parametrize(
    "holder",
    [
        Credentials("LTAI", SecretStr("canary-1"), SecretStr("canary-2")),
        Role("acs:ram::2000300040005000:role/x", SecretStr("canary-3")),
        external_id(SecretStr("k" * 32), "2000300040005000"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_holds_a_secret_hides_it(holder):
    for text in (repr(holder), str(holder), f"{holder}", f"{holder!r}"):
        assert "canary" not in text
        assert "ecr-" not in text
