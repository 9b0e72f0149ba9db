"""The operator's commands, against the running system."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from localcloud.ecr.state import Subject
from ecrauth.__main__ import app
from simulation.wire.system import ROOT, WireSystem


@pytest.fixture
def system(tmp_path):
    with WireSystem(tmp_path) as running:
        yield running


def operate_on(system, monkeypatch):
    """The environment is what s.yaml gives the authorize function."""
    fc = system.cloud.fc
    root = system.cloud.identity.root_key("1000200030004000")
    environ = fc.environment(fc.props("ecr-authorize"), None) | {
        "REGISTRY_FILE": str(system._registry),
        "ALIBABA_CLOUD_ACCESS_KEY_ID": root[0],
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": root[1],
        "COLUMNS": "200",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ALIBABA_CLOUD_SECURITY_TOKEN", raising=False)


@pytest.fixture
def operate(system, monkeypatch):
    """Runs a command."""
    operate_on(system, monkeypatch)

    def run(*arguments):
        return CliRunner().invoke(app, list(arguments))

    return run


def test_dead_letters_are_listed_shown_and_redriven(system, operate):
    system.post_raw(b"not json")
    system.post("grant_vpc")
    system.settle()
    (letter,) = system.cloud.mns.queue("1000200030004000", "ecr-requests-dead").peek(10)
    listed = operate("dead-letters", "list")
    assert listed.exit_code == 0, listed.output
    assert "not JSON" in listed.output
    system.clock.advance(2)
    shown = operate("dead-letters", "show", letter.message_id)
    assert "not json" in shown.output
    system.clock.advance(2)
    assert "not there" in operate("dead-letters", "redrive", "M-none").output
    system.clock.advance(2)
    assert "1 redriven" in operate("dead-letters", "redrive", "--all").output
    system.settle()
    assert [one["reason"] for one in system.dead_letters()] == [
        "the message is not JSON in UTF-8"
    ]  # it came, could not be read, and lies there again: nothing is lost
    assert system.outcomes("CHG-1001") == ["granted", "attached"]


def test_a_sweep_by_hand_and_the_trail(system, operate):
    system.post("grant_vpc")
    system.settle()
    swept = operate("sweep")
    assert "0 published, 0 resent, 0 woken" in swept.output
    assert "the trail is whole" in operate("audit", "verify").output
    key = system.results[0]["authorization"]
    chain = (
        f"{key['ecr_id']}:{key['instance_id']}:{key['instance_region_id']}:"
        f"{key['ecr_owner_uid']}:{key['instance_type']}:{key['instance_owner_uid']}"
    )
    shown = operate("audit", "show", chain).output
    for what in ("grant asked", "grant done", "granted announced", "attached announced"):
        assert what in shown


def test_what_is_missing_in_the_environment_is_named(monkeypatch):
    monkeypatch.delenv("LEDGER_URL", raising=False)
    done = CliRunner().invoke(app, ["audit", "verify"])
    assert done.exit_code == 1
    assert "LEDGER_URL" in done.output


def test_letters_must_be_named_or_all_be_meant(operate):
    done = operate("dead-letters", "redrive")
    assert done.exit_code == 1
    assert "--all" in done.output


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


def test_the_report_of_the_clean_up_is_shown_and_written(system, operate, tmp_path):
    with_strays(system)
    assert "has not run" not in operate("cleanup", "run", "--dry").output
    shown = operate("cleanup", "report")
    assert "It only looked, since a dry run was asked for." in shown.output
    assert shown.output.count("unmanaged") == 2
    files = (tmp_path / "report.md", tmp_path / "report.html")
    done = operate("cleanup", "report", "--markdown", str(files[0]), "--html", str(files[1]))
    assert done.exit_code == 0
    for file in files:
        text = file.read_text()
        assert "vpc-bp1payments0test" in text
        assert "Ages of grants" in text
    assert "<svg" in files[1].read_text()
    assert "<script" not in files[1].read_text()
    assert operate("cleanup", "report", "--day", "2001-01-01").exit_code == 1


def test_a_brake_is_shown_released_by_its_digest_and_nothing_else(tmp_path, monkeypatch):
    text = (ROOT / "registry.yaml").read_text()
    text += "\ncleanup:\n  brake: {most: 1, always: 0}\n  rules: {unmanaged: revoke}\n"
    with WireSystem(tmp_path, registry=text) as system:
        operate_on(system, monkeypatch)
        run = lambda *words: CliRunner().invoke(app, ["cleanup", *words])  # noqa: E731
        assert "the brake is off" in run("brake").output
        with_strays(system)
        assert "The brake stopped it: 2 at once" in run("run").output
        shown = run("brake").output
        assert shown.count("vpc-bp1payments0") == 2
        assert run("release", "0000").exit_code == 1
        digest = re.search(r"release ([0-9a-f]{16})", shown)[1]
        assert "released" in run("release", digest).output
        assert "it asked for 2" in run("run").output
        system.settle()
        assert system.cloud.ecr.grants() == []
