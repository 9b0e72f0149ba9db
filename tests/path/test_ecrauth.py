"""Every command of `ecrauth`, against the running system."""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from datetime import datetime, timezone

import pytest

from ecrauth.__main__ import main
from ecrauth.settings import NAMES
from localcloud.ecr.state import Subject
from shared import mapping
from shared.contract import read_bundle, read_request
from simulation.wire.system import ROOT, WireSystem, demo_world
from tests.path.intake_client import TOKENS
from tests.path.ticket_senders import OF_SYSTEMS, opened, payload
from tests.path.ticket_senders import TICKETS as APPROVED

KEY = "ecr-hz7core4qk2m1:vpc-bp1payments0main:cn-hangzhou:1000200030004000:VPC:2000300040005000"
GRANT = (
    "request", "grant", "--queue", "--ticket", "CHG-1001", "--ecr", "ecr-hz7core4qk2m1",
    "--ecr-owner", "1000200030004000", "--instance", "vpc-bp1payments0main",
    "--region", "cn-hangzhou", "--instance-owner", "2000300040005000",
)  # fmt: skip


class Done:
    """How a command ended, and what it printed."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        """What was printed last: functions that run in this process print their log before."""
        return json.loads(self.out.splitlines()[-1])


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a command in an environment with nothing in it that was not put there."""
    for name in (*NAMES, "ECRAUTH_PROFILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def command(*arguments, stdin=b""):
        capsys.readouterr()
        before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin))
        try:
            code = main(arguments)
        finally:
            sys.stdin = before
        return Done(code, *capsys.readouterr())

    return command


def environment(system):
    """What an operator sets: no more than that."""
    given = {
        "LEDGER_URL": system.ledger_url,
        "FC_ACCOUNT_ID": "1000200030004000",
        "FC_REGION": "cn-hangzhou",
        "REGISTRY_FILE": str(system._registry),
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI-demo-operator",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "demo-operator-secret",
    }
    for service in ("MNS", "FC", "FC2", "EXPRESSCONNECTROUTER", "STS", "VPC"):
        given[f"ALIBABA_CLOUD_ENDPOINT_{service}"] = system.local.url
    return given


def in_environment(system, monkeypatch):
    for name, value in environment(system).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def system(tmp_path, run, monkeypatch):
    with WireSystem(tmp_path) as running:
        in_environment(running, monkeypatch)
        yield running


# Asking, and following ------------------------------------------------------------------------


def test_a_grant_straight_onto_the_queue_and_its_way(system, run):
    asked = run(*GRANT, "--json")
    assert (asked.code, asked.json["queue"]) == (0, "ecr-requests")
    waiting = run("wait", "CHG-1001", "--timeout", "0")
    assert waiting.code == 6
    system.settle()
    shown = run("status", "CHG-1001")
    assert shown.code == 0
    assert re.search(r"granted\n.*attached\n", shown.out)
    waited = run("wait", "CHG-1001", "--json")
    assert (waited.code, waited.json["state"]) == (0, "attached")
    assert [one["outcome"] for one in waited.json["results"]] == ["granted", "attached"]


def test_who_waits_sees_each_result_as_it_comes(system, run):
    later = threading.Timer(0.8, system.settle)
    later.start()
    waited = run(*GRANT, "--wait", "--timeout", "60")
    later.join()
    assert waited.code == 0, waited.err
    shown = [line.split()[1] for line in waited.out.splitlines() if line.startswith("  2")]
    assert shown == ["granted", "attached"]


def test_a_revoke_and_a_renewal_need_no_more_than_the_grants_id(system, run):
    run(*GRANT, "--expires-at", "2030-01-01T00:00:00Z")
    system.settle()
    renewed = ("request", "renew", "CHG-1001", "--queue", "--ticket", "CHG-1002")
    assert run(*renewed).code == 2
    assert run(*renewed, "--expires-at", "2031-01-01T00:00:00Z").code == 0
    system.settle()
    assert run("wait", "CHG-1002", "--json").json["state"] == "attached"
    (stands,) = run("list", "--json").json
    assert {one["request_id"] for one in stands["leases"]} == {"CHG-1001", "CHG-1002"}
    assert stands["expires_at"].startswith("2031-01-01")
    for lease, ticket in (("CHG-1001", "CHG-1008"), ("CHG-1002", "CHG-1009")):
        assert run("request", "revoke", lease, "--queue", "--ticket", ticket).code == 0
        system.settle()
        assert run("wait", ticket, "--json").json["state"] == "revoked"
    assert system.cloud.ecr.grants() == []
    assert run("request", "revoke", "CHG-none", "--queue", "--ticket", "CHG-1").code == 7


def test_several_instances_make_one_bundle_and_its_outcome_is_the_exit_code(system, run):
    asked = ("--instance", "vpc-bp1payments0test", "--instance", "vpc-bp1nowhere000000")
    assert run(*GRANT[:9], *asked, *GRANT[11:]).code == 0
    system.settle()
    done = run("wait", "CHG-1001")
    assert done.code == 5
    assert "CHG-1001 partial" in done.err
    assert "vpc-bp1payments0test  attached" in done.out


@pytest.mark.parametrize(
    ("sample", "request_id", "code", "said"),
    [
        ("grant_vbr_not_enabled", "CHG-1004", 3, "rejected (vbr_not_enabled): "),
        ("grant_ecr_not_allowed", "CHG-1006", 3, "rejected (ecr_not_allowed): "),
    ],
)
def test_a_refusal_is_an_exit_code_with_the_remedy(system, run, sample, request_id, code, said):
    file = ROOT / "events" / "requests" / f"{sample}.json"
    assert run("request", "grant", "--queue", "--file", str(file)).code == 0
    system.settle()
    request_id = json.loads(file.read_text())["request_id"]
    done = run("wait", request_id)
    assert done.code == code
    assert said in done.err
    assert done.err.count("\n") == 1


def test_what_the_cloud_refuses_is_a_failure(system, run):
    asked = ("--instance", "vpc-bp1nowhere000000")
    run(*GRANT[:9], *asked, *GRANT[11:])
    system.settle()
    done = run("wait", "CHG-1001")
    assert (done.code, "CHG-1001 failed" in done.err) == (4, True)


def test_a_file_and_options_are_one_request_and_the_options_are_above_it(system, run):
    raw = (ROOT / "events" / "requests" / "grant_vpc.json").read_bytes()
    done = run(
        "request", "grant", "--queue", "--file", "-", "--request-id", "CHG-7", "--no-attach",
        "--approval", "approved", "--approved-by", "li.si", "--window-until", "2030-01-01",
        "--callback-url", "https://tickets.example/answers", "--callback-system", "servicenow",
        "--sender", "servicenow",
        stdin=raw,
    )  # fmt: skip
    assert done.code == 0, done.err
    (message,) = system.cloud.mns.queue("1000200030004000", "ecr-requests").peek(10)
    sent = json.loads(message.body)
    assert (sent["request_id"], sent["attach"]) == ("CHG-7", False)
    assert sent["approval"]["by"] == ["li.si"]
    assert sent["callback"]["system"] == "servicenow"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (GRANT[:5], "--ecr: is missing"),
        ((*GRANT, "--callback-url", "http://x"), "callback"),
        (("request", "grant", "--file", "nowhere.json"), "cannot be read"),
        (("request", "revoke", "--file", "events/requests/grant_vpc.json"), "asks for 'grant'"),
        (("request", "grant", "--file", "README.md"), "is not JSON"),
        (("wait", "CHG-1", "--timeout", "soon"), "see `ecrauth wait --help`"),
        (("status",), "Missing argument"),
        (("nothing",), "No such command"),
    ],
)
def test_what_is_wrong_is_one_line_with_what_to_do(run, arguments, said, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = run(*arguments)
    assert done.code in (1, 2)
    assert done.out == ""
    assert said in done.err
    assert done.err.count("\n") == 1
    assert done.err.startswith("ecrauth: ")


# A ticketing system's own payload ------------------------------------------------------------

TICKETS = ROOT / "events" / "tickets"
MAPPINGS = mapping.load(ROOT / "mappings")
ACTIONS = {
    path.stem: "revoke" if path.stem.endswith("revoke") else "grant"
    for path in TICKETS.glob("*.json")
}


@pytest.fixture
def by_intake(tmp_path, run, monkeypatch):
    """Intake whose senders are the systems, and an operator who reaches nothing else."""
    monkeypatch.chdir(ROOT)
    with opened(tmp_path) as running:
        monkeypatch.setenv("ECRAUTH_URL", f"{running.local.url}/_http/ecr-intake")
        monkeypatch.setenv("ECRAUTH_TOKEN", TOKENS["network-team"])
        yield running


def asked_by(name, ticket, *more, file=None):
    path = file or TICKETS / f"{ticket}.json"
    return ("request", ACTIONS[ticket], "--mapping", name, "--file", str(path), *more)


def queued(system):
    found = system.cloud.mns.queue("1000200030004000", "ecr-requests").peek(10)
    return [json.loads(one.body) for one in found]


@pytest.mark.parametrize("ticket", ACTIONS)
def test_a_systems_own_payload_goes_straight_onto_the_queue_as_its_mapping_says(
    system, run, monkeypatch, ticket
):
    monkeypatch.chdir(ROOT)
    name = ticket.partition("_")[0]
    made = MAPPINGS[name].request(json.loads((TICKETS / f"{ticket}.json").read_text()))
    done = run(*asked_by(name, ticket, "--queue", "--sender", name, "--json"))
    assert (done.code, done.json["request_id"]) == (0, made["request_id"]), done.err
    assert queued(system) == [{**made, "sender": name}]


def test_what_is_to_be_answered_by_a_callback_names_the_sender_that_is_answered(
    system, run, monkeypatch
):
    monkeypatch.chdir(ROOT)
    done = run(*asked_by("jira", "jira_grant", "--queue"))
    assert (done.code, queued(system)) == (2, [])
    assert done.err.startswith("ecrauth: a callback is answered to a sender")


@pytest.mark.parametrize("ticket", APPROVED)
def test_a_systems_own_payload_is_posted_as_it_is_and_intake_maps_it(
    by_intake, run, monkeypatch, ticket
):
    name = ticket.partition("_")[0]
    monkeypatch.setenv("ECRAUTH_SECRET", OF_SYSTEMS[name])
    done = run(*asked_by(name, ticket))
    assert done.code == 0, done.err
    (sent,) = queued(by_intake)
    made = MAPPINGS[name].request(json.loads((TICKETS / f"{ticket}.json").read_text()))
    read = read_bundle if "instances" in made else read_request
    assert read(sent) == read({**made, "sender": name})
    assert done.out.splitlines()[-1].startswith(f"{made['request_id']} is taken; ")
    by_intake.settle()
    followed = run("wait", made["request_id"], "--json")
    expected = "revoked" if ACTIONS[ticket] == "revoke" else ("attached", "completed")
    assert (followed.code, followed.json["state"] in expected) == (0, True), followed.err


UNREADABLE = [
    ("servicenow_grant", "record/u_ecr_id/value", "ecr_id", "record.u_ecr_id.value"),
    ("jira_grant", "issue/fields/customfield_10107", "expires_at",
     "issue.fields.customfield_10107"),
    ("dingtalk_grant", "form/网络实例", "instances",
     "from_json(instance.formComponentValues[?name=='网络实例'].value | [0])"),
]  # fmt: skip


@pytest.mark.parametrize("way", [(), ("--queue",)], ids=["intake", "queue"])
@pytest.mark.parametrize(("ticket", "place", "field", "expression"), UNREADABLE)
def test_a_ticket_that_cannot_be_read_is_one_line_with_the_field_and_its_expression(
    by_intake, run, tmp_path, way, ticket, place, field, expression
):
    name = ticket.partition("_")[0]
    file = tmp_path / "ticket.json"
    file.write_text(json.dumps(payload(ticket, [(place, "canary-5e71\nof a value")])))
    done = run(*asked_by(name, ticket, *way, file=file))
    assert (done.code, done.out) == (1, "")
    assert f"ecrauth: {name}: {field}, from `{expression}`: " in done.err
    assert done.err.endswith(f": mend the ticket, or mappings/{name}.yaml\n")
    assert done.err.count("\n") == 1
    assert "canary-5e71" not in done.err
    assert queued(by_intake) == []


def test_what_intake_refuses_of_a_ticket_is_one_line_with_its_code(
    by_intake, run, monkeypatch, tmp_path
):
    monkeypatch.setenv("ECRAUTH_SECRET", OF_SYSTEMS["servicenow"])
    file = tmp_path / "ticket.json"
    file.write_text(
        json.dumps(payload("servicenow_grant", [("record/approval/value", "requested")]))
    )
    done = run(*asked_by("servicenow", "servicenow_grant", file=file))
    assert done.code == 1
    assert done.err.startswith("ecrauth: The ticket's approval is pending (not_approved): ")
    assert done.err.count("\n") == 1
    monkeypatch.setenv("ECRAUTH_SECRET", OF_SYSTEMS["jira"])  # it is read by the sender's mapping
    done = run(*asked_by("servicenow", "servicenow_grant"))
    assert (done.code, "(malformed)" in done.err, "jira: " in done.err) == (1, True, True)
    assert queued(by_intake) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (asked_by("remedy", "jira_grant"), 2, "one of: dingtalk, jira, servicenow"),
        (asked_by("slack", "jira_grant"), 2, "no mapping 'slack' reads tickets"),
        (asked_by("jira", "jira_grant")[:4], 2, "give it with --file"),
        (asked_by("jira", "jira_grant", "--ticket", "CHG-1"), 2, "which no option changes"),
        (("request", "revoke", "CHG-1", "--mapping", "jira"), 2, "which no option changes"),
        (("request", "revoke", *asked_by("jira", "jira_grant")[2:]), 2, "asks for 'grant'"),
        (
            asked_by("servicenow", "jira_grant"),
            1,
            "servicenow: ecr_id, from `record.u_ecr_id.value`: nothing was found",
        ),
        (asked_by("jira", "jira_grant", file="README.md"), 1, "is not JSON"),
        (asked_by("jira", "jira_grant", file="nowhere.json"), 1, "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_ticket_or_its_mapping_is_one_line(
    run, monkeypatch, arguments, code, said
):
    monkeypatch.chdir(ROOT)
    done = run(*arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert done.err.startswith("ecrauth: ")
    assert done.err.count("\n") == 1


def test_mappings_that_are_elsewhere_or_wrong_are_named(run, monkeypatch, tmp_path):
    asked = asked_by("jira", "jira_grant", "--queue", "--sender", "jira")
    monkeypatch.chdir(tmp_path)
    missing = run(*asked)
    assert (missing.code, "set MAPPINGS_FOLDER" in missing.err) == (1, True)
    (tmp_path / "jira.yaml").write_text("title: Jira\nrequest: {ticket: '[['}\n")
    monkeypatch.setenv("MAPPINGS_FOLDER", str(tmp_path))
    wrong = run(*asked)
    assert "jira.yaml:2: request.ticket: not JMESPath" in wrong.err
    monkeypatch.setenv("MAPPINGS_FOLDER", str(ROOT / "mappings"))
    assert "FC_ACCOUNT_ID is not set" in run(*asked).err  # it was read, and was to be sent
    assert missing.err.count("\n") == wrong.err.count("\n") == 1


def test_what_stands_is_listed_and_filtered(system, run):
    system.post("grant_vpc", expires_at="2030-01-01T00:00:00Z")
    system.post("grant_vpc_other_region")
    system.settle()
    listed = run("list").out.splitlines()
    assert listed[0].split("\t")[0] == "ECR"
    assert len(listed) == 3
    only = lambda *filters: [one["instance_id"] for one in run("list", "--json", *filters).json]  # noqa: E731
    assert only("--ecr", "ecr-hz7core4qk2m1", "--state", "attached") == ["vpc-bp1payments0main"]
    assert only("--account", "4000500060007000") == []
    assert only("--instance", "vpc-t4npayments0asia") == ["vpc-t4npayments0asia"]
    assert only("--expiring-before", "2030-01-02") == ["vpc-bp1payments0main"]
    assert only("--expiring-before", "2029-01-02") == []
    assert only("--state", "revoked") == []


def test_a_request_that_is_not_there_has_a_code_of_its_own(system, run):
    system.post("grant_vpc")
    system.settle()
    done = run("status", "CHG-none")
    assert (done.code, done.out) == (7, "")
    assert run("wait", "CHG-none", "--timeout", "0").code == 6


# Dead letters, the sweep, the trail ---------------------------------------------------------------


def test_dead_letters_are_listed_shown_and_redriven(system, run):
    system.post_raw(b"not json")
    system.post("grant_vpc")
    system.settle()
    (letter,) = system.cloud.mns.queue("1000200030004000", "ecr-requests-dead").peek(10)
    assert "not JSON" in run("dead-letters", "list").out
    system.clock.advance(2)
    (listed,) = run("dead-letters", "list", "--json").json
    assert listed["message_id"] == letter.message_id
    system.clock.advance(2)
    assert "not json" in run("dead-letters", "show", letter.message_id).out
    system.clock.advance(2)
    assert run("dead-letters", "show", "M-none").code == 7
    system.clock.advance(2)
    missing = run("dead-letters", "redrive", "M-none")
    assert (missing.code, "not there" in missing.err) == (7, True)
    system.clock.advance(2)
    assert "1 redriven" in run("dead-letters", "redrive", "--all").out
    system.settle()
    assert [one["reason"] for one in system.dead_letters()] == [
        "the message is not JSON in UTF-8"
    ]  # it came, could not be read, and lies there again: nothing is lost
    assert system.outcomes("CHG-1001") == ["granted", "attached"]


def test_letters_must_be_named_or_all_be_meant(system, run):
    done = run("dead-letters", "redrive")
    assert (done.code, "--all" in done.err) == (2, True)


def test_a_dry_sweep_says_what_a_sweep_would_do_and_does_nothing(system, run):
    system.post("grant_vpc")
    system.settle()
    system.post("grant_vbr")
    system.settle(0.5)
    ledger = system._functions["ecr-authorize"].house.ledger
    record, version = ledger.authorization(KEY)
    overdue = record.model_copy(update={"due_at": datetime.now(timezone.utc)})
    ledger.put_authorization(overdue, version)
    calls = len(system.cloud.journal)
    done = run("sweep", "--dry-run", "--json")
    assert done.code == 0, done.err
    assert done.json["due"] == [KEY]
    assert f"wake\t{KEY}" in run("sweep", "--dry-run").out
    assert len(system.cloud.journal) == calls
    assert json.loads(run("sweep", "--json").out)["woken"] == 1
    assert run("sweep", "--dry-run", "--json").json["due"] == []


def test_the_trail_is_verified_shown_and_exported(system, run, tmp_path):
    system.post("grant_vpc")
    system.settle()
    assert run("audit", "verify").out == "the trail is whole\n"
    shown = run("audit", "show", KEY).out
    for what in ("grant asked", "grant done", "granted announced", "attached announced"):
        assert what in shown
    assert run("audit", "show", "none").code == 7
    entries = [json.loads(line) for line in run("audit", "export", "--chain", KEY).out.splitlines()]
    assert [one["sequence"] for one in entries] == list(range(1, len(entries) + 1))
    file = tmp_path / "trail.jsonl"
    assert run("audit", "export", "--output", str(file)).code == 0
    assert len(file.read_text().splitlines()) >= len(entries)
    again = run("audit", "export", "--output", str(file))
    assert (again.code, "is there already" in again.err) == (1, True)


def test_a_trail_with_faults_has_a_code_of_its_own(system, run):
    system.post("grant_vpc")
    system.settle()
    ledger = system._functions["ecr-authorize"].house.ledger
    with ledger._engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM audit WHERE sequence = 2")
    done = run("audit", "verify", "--json")
    assert done.code == 8
    assert done.json[0]["what"].startswith("missing")


# The clean-up -------------------------------------------------------------------------------------


def with_strays(system):
    """Two grants that people gave by hand."""
    system.clean()
    for name in ("test", "main"):
        subject = Subject(
            ecr_id="ecr-hz7core4qk2m1",
            ecr_owner_uid="1000200030004000",
            instance_id=f"vpc-bp1payments0{name}",
            instance_type="VPC",
            instance_region_id="cn-hangzhou",
        )
        system.cloud.ecr.grant(subject, "2000300040005000")
    system.clock.advance(120)


def test_the_report_of_the_clean_up_is_shown_and_written(system, run, tmp_path):
    with_strays(system)
    assert "has not run" not in run("cleanup", "run", "--dry").out
    shown = run("cleanup", "report")
    assert "It only looked, since a dry run was asked for." in shown.out
    assert shown.out.count("unmanaged") == 2
    assert len(run("cleanup", "report", "--json").json["findings"]) == 2
    files = (tmp_path / "report.md", tmp_path / "report.html")
    done = run("cleanup", "report", "--markdown", str(files[0]), "--html", str(files[1]))
    assert done.code == 0
    for file in files:
        text = file.read_text()
        assert "vpc-bp1payments0test" in text
        assert "Ages of grants" in text
    assert "<svg" in files[1].read_text()
    assert "<script" not in files[1].read_text()
    assert run("cleanup", "report", "--day", "2001-01-01").code == 7


def test_a_brake_is_shown_released_by_its_digest_and_nothing_else(tmp_path, run, monkeypatch):
    text = (ROOT / "registry.yaml").read_text()
    text += "\ncleanup:\n  brake: {most: 1, always: 0}\n  rules: {unmanaged: revoke}\n"
    with WireSystem(tmp_path, registry=text) as system:
        in_environment(system, monkeypatch)
        with_strays(system)
        assert "the brake is off" in run("cleanup", "brake").out
        assert "The brake stopped it: 2 at once" in run("cleanup", "run").out
        shown = run("cleanup", "brake").out
        assert shown.count("vpc-bp1payments0") == 2
        assert run("cleanup", "release", "0000").code == 1
        digest = re.search(r"release ([0-9a-f]{16})", shown)[1]
        assert "released" in run("cleanup", "release", digest).out
        assert "it asked for 2" in run("cleanup", "run").out
        system.settle()
        assert system.cloud.ecr.grants() == []


# Functions, tokens --------------------------------------------------------------------------------


def test_a_function_is_invoked_by_todays_sdk(system, run, tmp_path):
    done = run("invoke", "ecr-cleanup", str(ROOT / "events" / "timer.json"))
    assert done.code == 0, done.err
    assert done.json["outcome"] == "observed"
    assert "taken (request " in run("invoke", "ecr-cleanup", "{}", "--async").out
    piped = run("invoke", "ecr-cleanup", "-", "--tail", stdin=b'{"payload": ""}')
    assert piped.code == 0, piped.out
    nobody = run("invoke", "ecr-nobody", "{}")
    assert nobody.code == 7
    assert "FunctionNotFound" in nobody.err
    assert run("invoke", "ecr-cleanup", "nowhere.json").code == 1


def test_a_function_that_fails_is_an_error_with_its_answer(system, run):
    done = run("invoke", "ecr-cleanup", "[1]")
    assert done.code == 1
    assert "BadEvent" in done.out
    assert "ecr-cleanup failed: " in done.err


def test_a_service_of_the_older_platform_is_invoked_by_its_sdk(system, run):
    system.cloud.fc.settings.legacy_services["network"] = {"cleanup": "ecr-cleanup"}
    done = run("invoke", "--service", "network", "cleanup", str(ROOT / "events" / "timer.json"))
    assert done.code == 0, done.err
    assert done.json["outcome"] == "observed"
    nobody = run("invoke", "--service", "another", "cleanup", "{}")
    assert nobody.code == 7
    assert "ServiceNotFound" in nobody.err


# What is set --------------------------------------------------------------------------------------


def test_a_profile_is_below_the_environment_and_its_secrets_are_not_shown(system, run, tmp_path):
    folder = tmp_path / ".config" / "ecrauth"
    folder.mkdir(parents=True)
    profile = folder / "local.yaml"
    profile.write_text("REQUEST_QUEUE: another\nECRAUTH_TOKEN: ecr_canary\n")
    profile.chmod(0o600)
    shown = run("--profile", "local", "settings")
    assert f"REQUEST_QUEUE\tanother\t{profile}" in shown.out
    assert "ECRAUTH_TOKEN\t(set)" in shown.out
    secret = environment(system)["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
    assert "canary" not in shown.out
    assert secret not in shown.out
    assert "QueueNotExist" in run("--profile", "local", *GRANT).err
    profile.chmod(0o644)
    assert "chmod 600" in run("--profile", "local", "settings").err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ECRAUTH_URI: x", "has 'ECRAUTH_URI'"),
        ("FC_ACCOUNT_ID: 1000200030004000", "in quotes"),
        ("- a", "is no list of names"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_wrong_profile_is_named(run, tmp_path, text, said):
    profile = tmp_path / "wrong.yaml"
    profile.write_text(text)
    done = run("--profile", str(profile), "settings")
    assert (done.code, said in done.err) == (1, True), done.err


@pytest.mark.parametrize(
    ("given", "arguments", "said"),
    [
        ({}, ("audit", "verify"), "LEDGER_URL is not set"),
        ({}, ("list",), "nowhere to read from"),
        ({"LEDGER_URL": "sqlite:////nowhere/l.db"}, ("audit", "verify"), "there is no ledger at"),
        ({"LEDGER_URL": "s3cret"}, ("audit", "verify"), "is no database's URL"),
        ({"LEDGER_URL": "postgresql://u:s3cret@127.0.0.1:9/x"}, ("list",), "the ledger did not"),
        ({}, GRANT, "FC_ACCOUNT_ID is not set"),
        ({}, (one for one in GRANT if one != "--queue"), "or give --queue"),
        ({"ALIBABA_CLOUD_ENDPOINT_MNS": "http://example.com"}, GRANT, "plain http"),
        ({"ALIBABA_CLOUD_ENDPOINT_MNS": "http://127.0.0.1:9"}, GRANT, "no access key"),
        ({"ECRAUTH_URL": "http://example.com/?s3cret"}, ("status", "x"), "plain http only for"),
        ({"ECRAUTH_URL": "http://127.0.0.1:9"}, ("status", "x"), "ECRAUTH_TOKEN is not set"),
    ],
)  # fmt: skip
def test_what_is_missing_or_wrong_in_the_environment_is_named(
    run, monkeypatch, given, arguments, said
):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    done = run(*arguments)
    assert done.code == 1
    assert said in done.err
    assert done.err.count("\n") == 1
    assert "s3cret" not in done.err


def test_an_empty_file_is_no_ledger(run, monkeypatch, tmp_path):
    file = tmp_path / "empty.db"
    file.touch()
    monkeypatch.setenv("LEDGER_URL", f"sqlite:///{file}")
    assert "there is no ledger at LEDGER_URL" in run("audit", "verify").err
    assert file.stat().st_size == 0


# What an operator's key may do --------------------------------------------------------------------

OPERATOR = 7
"""How many statements its policy has in the template."""


def worked(system, run):
    """Everything that needs the cloud; whether all of it was done."""
    system.post_raw(b"not json")
    system.post("grant_vpc")
    system.settle()
    done = [run("dead-letters", "redrive", "--all").code]
    system.settle()
    ledger = system._functions["ecr-authorize"].house.ledger
    unpublished = ledger.results("CHG-1001")[0]
    with ledger._engine.connect() as connection:
        connection.exec_driver_sql("UPDATE results SET published_at = NULL, made_at = 0")
    assert unpublished.published_at
    done.append(run("sweep").code)
    done.append(run("cleanup", "run", "--dry").code)
    listed = run("cleanup", "report", "--json")
    done.append(run("invoke", "ecr-cleanup", '{"payload": ""}').code)
    seen = run("doctor", "--json")
    done.append(seen.code)
    not_seen = [one for one in seen.json["not_checked"] if "may not call" in one["why"]]
    return not any(done) and not not_seen and "listing_failed" not in listed.json["counts"]


def test_the_operators_policy_is_enough(system, run):
    assert worked(system, run)


@pytest.mark.parametrize("number", range(OPERATOR))
def test_each_statement_of_the_operators_policy_is_needed(tmp_path, run, monkeypatch, number):
    world = demo_world()
    (operator,) = [
        user for account in world.accounts for user in account.users if user.name == "ecr-operator"
    ]
    assert len(operator.policies[0]["Statement"]) == OPERATOR
    del operator.policies[0]["Statement"][number]
    with WireSystem(tmp_path, world) as system:
        in_environment(system, monkeypatch)
        assert not worked(system, run)
