"""What ecrauth sends to intake, and what it makes of the answers: over a socket, verified there."""

from __future__ import annotations

import json
import logging
import os
import threading
from types import SimpleNamespace

import pytest
from standardwebhooks.webhooks import Webhook
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from ecrauth.__main__ import main
from ecrauth.settings import NAMES

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
GRANT = (
    "request", "grant", "--ticket", "CHG-1", "--ecr", "ecr-hz7core4qk2m1",
    "--ecr-owner", "1000200030004000", "--instance", "vpc-bp1payments0main",
    "--region", "cn-hangzhou", "--instance-owner", "2000300040005000",
)  # fmt: skip


def problem(status, **said):
    return Response(json.dumps(said), status, content_type="application/problem+json")


@pytest.fixture
def intake(monkeypatch, tmp_path):
    """A server that keeps what it is asked, and answers what the test has put there."""
    asked, answers = [], []

    @Request.application
    def app(request):
        asked.append(SimpleNamespace(
            method=request.method,
            path=request.full_path.rstrip("?"),
            headers=dict(request.headers),
            body=request.get_data(),
        ))  # fmt: skip
        given = answers.pop(0)
        if isinstance(given, Response):
            return given
        return Response(json.dumps(given), content_type="application/json")

    # Where another test has set our logs up, the server's own lines would stand in the output.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    for name in (*NAMES, "ECRAUTH_PROFILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ECRAUTH_URL", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("ECRAUTH_SECRET", SECRET)
    monkeypatch.setenv("ECRAUTH_TOKEN", "ecr_canary-token")
    yield SimpleNamespace(asked=asked, answers=answers)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(capsys):
    def command(*arguments):
        code = main(arguments)
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return command


def test_what_is_posted_is_a_standard_webhook_that_its_secret_verifies(intake, run):
    intake.answers.append({"request_id": "CHG-1", "status_url": "/requests/CHG-1"})
    done = run(*GRANT, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["request_id"] == "CHG-1"
    (asked,) = intake.asked
    assert (asked.method, asked.path) == ("POST", "/requests")
    sent = Webhook(SECRET).verify(asked.body, asked.headers)
    assert (sent["action"], sent["instance_type"]) == ("grant", "VPC")
    assert "Authorization" not in asked.headers
    assert "sender" not in sent


def test_a_message_that_had_no_answer_is_sent_again_as_the_same_message(intake, run):
    intake.answers += [Response("", 503), problem(429, detail="Too many."), {"request_id": "CHG-1"}]
    assert run(*GRANT).code == 0
    assert len({one.headers["Webhook-Id"] for one in intake.asked}) == 1
    assert len({one.body for one in intake.asked}) == 1


def test_a_renewal_and_a_cancellation_are_posted_to_the_request(intake, run):
    intake.answers += [{"request_id": "CHG-2"}, {"request_id": "CHG-3"}]
    renewed = ("--ticket", "CHG-2", "--expires-at", "2031-01-01T00:00:00Z")
    assert run("request", "renew", "CHG-1", *renewed).code == 0
    assert run("request", "revoke", "CHG-1", "--ticket", "CHG-3", "--reason", "Over").code == 0
    assert [one.path for one in intake.asked] == ["/requests/CHG-1/renew", "/requests/CHG-1/cancel"]
    bodies = [json.loads(one.body) for one in intake.asked]
    assert bodies[0].keys() == {"request_id", "ticket", "expires_at"}
    assert bodies[1] == {"request_id": "CHG-3", "ticket": "CHG-3", "reason": "Over"}


def test_a_refusal_is_told_with_its_code_and_remedy_and_is_not_tried_again(intake, run):
    said = {"detail": "The id is taken.", "code": "request_id_reused", "remedy": "Take another"}
    intake.answers.append(problem(409, title="Conflict", **said))
    done = run(*GRANT)
    assert (done.code, len(intake.asked)) == (1, 1)
    assert done.err == "ecrauth: The id is taken (request_id_reused): Take another\n"


def test_a_reader_bears_a_token_and_what_is_not_there_has_its_code(intake, run):
    intake.answers.append(problem(404, detail="There is no such request.", code="not_found"))
    done = run("status", "a/b?c")
    assert done.code == 7
    assert "canary" not in done.err
    (asked,) = intake.asked
    assert asked.path == "/requests/a%2Fb%3Fc" or asked.path.startswith("/requests/a/b?c")
    assert asked.headers["Authorization"] == "Bearer ecr_canary-token"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Response("<html>", 200), "is no intake"),
        (Response("[]", 200), "is no intake"),
        (Response("<html>", 500), "intake answers 500"),
        (Response("", 302, {"Location": "http://127.0.0.1:9/"}), "intake answers 302"),
    ],
)
def test_what_is_no_intake_is_said_so_and_nothing_is_followed(intake, run, answer, said):
    intake.answers += [answer]
    done = run("status", "CHG-1")
    assert (done.code, len(intake.asked)) == (1, 1)
    assert said in done.err
    assert done.err.count("\n") == 1


def test_intake_may_be_behind_a_path_of_a_gateway(intake, run, monkeypatch):
    base = os.environ["ECRAUTH_URL"]
    for path in ("/network/ecr", "/network/ecr/"):
        monkeypatch.setenv("ECRAUTH_URL", base + path)
        intake.answers.append({"authorizations": []})
        assert run("list").code == 0
    assert {one.path.partition("?")[0] for one in intake.asked} == {"/network/ecr/authorizations"}


@pytest.mark.parametrize(
    "rest", ["/a?s3cret", "/a#b", "/../a", "//a", "/a/%2e", "/a b", "/a\n", "@evil.example/a"]
)
def test_a_url_that_two_parsers_could_read_in_two_ways_is_not_used(intake, run, monkeypatch, rest):
    monkeypatch.setenv("ECRAUTH_URL", os.environ["ECRAUTH_URL"] + rest)
    done = run("list")
    assert (done.code, intake.asked) == (1, [])
    assert "ECRAUTH_URL is not to be used" in done.err
    assert "s3cret" not in done.err


@pytest.mark.parametrize("secret", ["whsec_", "whsec_*", "whsec_a"])
def test_a_secret_that_is_none_is_not_shown(intake, run, monkeypatch, secret):
    monkeypatch.setenv("ECRAUTH_SECRET", secret)
    done = run(*GRANT)
    assert (done.code, intake.asked) == (1, [])
    assert "is no webhook secret" in done.err
