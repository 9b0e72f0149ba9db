"""A world file's mistakes are named with their line; the command line works a running cloud."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from localcloud import worldfile
from localcloud.behaviour import Switches
from localcloud.world import WorldError

ROOT = Path(__file__).parents[2]
WORLD = ROOT / "demo" / "world.yaml"
GOOD = """\
regions: [cn-hangzhou]
accounts:
  - uid: '1000200030004000'
    name: one
    vpcs:
      - {id: vpc-bp1one0one, region: cn-hangzhou, cidr: 10.0.0.0/8}
"""


def test_a_small_world_is_enough(tmp_path):
    path = tmp_path / "world.yaml"
    path.write_text(GOOD)
    assert worldfile.load(path).accounts[0].vpcs[0].id == "vpc-bp1one0one"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("uid: '1000200030004000'", "uid: '12'", r"world\.yaml:3: accounts\.0\.uid"),
        ("uid: '1000200030004000'", "uid: 1000200030004000", r"world\.yaml:3: accounts\.0\.uid"),
        ("name: one", "nam: one", r"world\.yaml:\d: accounts\.0\.nam"),
        ("cidr: 10.0.0.0/8", "cidr: ten", r"world\.yaml:6: accounts\.0\.vpcs\.0\.cidr"),
        ("id: vpc-bp1one0one", "id: one", r"world\.yaml:6: accounts\.0\.vpcs\.0\.id"),
        ("region: cn-hangzhou", "region: cn-nowhere", "cn-nowhere of account"),
        ("name: one", "name: [", "line"),
        ("name: one", "name: *x", "alias"),
        ("accounts:", "acounts:", r"world\.yaml:\d: acounts"),
        (
            "    vpcs:",
            "    roles:\n      - {name: r, trust: {file: none.json}}\n    vpcs:",
            r"world\.yaml:\d: accounts\.0\.roles\.0\.trust: none\.json: No such file",
        ),
        (
            "    vpcs:",
            "    users:\n      - {name: u, policies: [{Version: '2'}]}\n    vpcs:",
            r"world\.yaml:\d: accounts\.0\.users\.0\.policies\.0",
        ),
    ],
    ids=range(11),
)
def test_a_mistake_is_named_with_its_place(tmp_path, before, after, says):
    assert before in GOOD
    path = tmp_path / "world.yaml"
    path.write_text(GOOD.replace(before, after, 1))
    with pytest.raises(WorldError, match=says):
        worldfile.load(path)


@pytest.mark.parametrize("text", ["", "7", "[]", "\x00", "a: [" * 5000], ids=range(5))
def test_what_is_no_world_at_all_is_refused(tmp_path, text):
    path = tmp_path / "world.yaml"
    path.write_text(text)
    with pytest.raises(WorldError, match=r"world\.yaml"):
        worldfile.load(path)


def command(*arguments, url="http://127.0.0.1:9"):
    return subprocess.run(
        [sys.executable, "-m", "localcloud", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "LOCALCLOUD_URL": url, "NO_COLOR": "1", "COLUMNS": "200"},
        timeout=60,
    )


@contextmanager
def running(*options):
    """A cloud on a free port, as `up` starts it; yields its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "localcloud", "up", "--world", str(WORLD), "--port", "0", *options],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline()).group()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 0


def test_help_is_good_on_its_own():
    shown = command("--help")
    assert shown.returncode == 0
    for name in ("up", "check-world", "state", "calls", "advance", "fault", "switch"):
        assert name in shown.stdout


def test_every_switch_is_listed_and_documented():
    shown = command("switch", "list").stdout
    readme = (ROOT / "localcloud" / "README.md").read_text()
    for name, _values, meaning in Switches.described():
        assert name in shown
        assert f"`{name}`" in readme
        assert meaning


def test_a_running_cloud_is_worked_from_the_command_line():
    with running("--virtual-clock", "--switch", "grant_twice=error") as url:
        state = json.loads(command("state", url=url).stdout)
        assert state["authorizations"] == []
        assert requests.get(f"{url}/_localcloud/switches", timeout=5).json()["grant_twice"] == (
            "error"
        )
        command("switch", "set", "retry_after_header=true", "operation_seconds=3", url=url)
        switches = requests.get(f"{url}/_localcloud/switches", timeout=5).json()
        assert switches["retry_after_header"] is True
        assert switches["operation_seconds"] == 3
        command("fault", "add", "cut", "--product", "sts", "--when", "after", url=url)
        (fault,) = json.loads(command("fault", "list", url=url).stdout)
        assert (fault["kind"], fault["product"], fault["when"]) == ("cut", "sts", "after")
        command("fault", "clear", url=url)
        assert json.loads(command("fault", "list", url=url).stdout) == []
        delivery = json.loads(command("fault", "delivery", "--duplicate", "0.5", url=url).stdout)
        assert delivery["duplicate"] == 0.5
        before = state["now"]
        assert command("advance", "3600", url=url).stdout.strip() > before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("state",), "nothing answers"),
        (("check-world", "none.yaml"), "No such file"),
        (("up", "--world", "none.yaml"), "No such file"),
        (("up", "--world", str(WORLD), "--switch", "colour=red"), "colour"),
        (("up", "--world", str(WORLD), "--switch", "grant_twice=perhaps"), "grant_twice"),
        (("fault", "add", "meteor"), "kind"),
    ],
    ids=lambda value: " ".join(value[:2]) if type(value) is tuple else "",
)
def test_a_mistake_ends_with_a_sentence_and_a_status(arguments, says):
    done = command(*arguments)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistake_in_a_running_cloud_changes_nothing():
    with running() as url:
        for arguments in (("switch", "set", "colour=red"), ("advance", "5"), ("logs", "nobody")):
            done = command(*arguments, url=url)
            assert done.returncode == 1
            assert "Traceback" not in done.stderr


def test_the_world_of_the_demo_is_counted():
    shown = command("check-world", str(WORLD))
    assert shown.returncode == 0
    assert shown.stdout.count("account B") == 3
