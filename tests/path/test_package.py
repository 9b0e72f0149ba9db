"""Each function runs from its package alone: a ticket's whole story, and every further function.

The packages are made of the libraries that this environment has, of the locked versions, for its
own Python; `make package` makes them of the runtime's wheels by the same code. The processes have
the package and the standard library on their path, and nothing else.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
import requests

from demo.signin import COOKIE, SignIn
from localcloud.fc import Functions, load
from localcloud.server import LocalCloud
from package.__main__ import materials
from package.deployed import functions
from package.folder import build
from package.libraries import installed, lock
from simulation.wire.system import ACCOUNT_A, ENVIRON, ROOT, demo_world

pytestmark = pytest.mark.xdist_group("packages")  # they are made once
ALONE = (sys.executable, "-S", "-s", "-E", "-B", "-u")
RUNTIME = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = Path(sysconfig.get_path("purelib"))
NOT_PACKED = {"ImportModuleError", "ModuleNotFoundError", "ImportError", "FileNotFoundError"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    made_of = materials(SITE, RUNTIME, None)
    for function in functions(ROOT / "s.yaml"):
        build(function, made_of, folder / "dist" / function.folder)
    return folder


@pytest.fixture
def local(dist, tmp_path):
    environ = {**ENVIRON, "LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db"}
    deployed = Functions(
        load(ROOT / "s.yaml", environ), account_uid=ACCOUNT_A, root=dist, python=ALONE
    )
    with LocalCloud(demo_world(), functions=deployed) as running:
        yield running


def outcomes(local, number):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = local.cloud.mns.queue(ACCOUNT_A, "ticketing-results").peek(100)
        if len(found) >= number:
            break
        time.sleep(0.05)
    return [json.loads(message.body)["data"]["outcome"] for message in found]


def test_a_ticket_gets_its_access_and_gives_it_back_by_packages_alone(local):
    requests = ROOT / "events" / "requests"
    local.cloud.mns.send(ACCOUNT_A, "ecr-requests", (requests / "grant_vpc.json").read_bytes())
    assert outcomes(local, 2) == ["granted", "attached"]
    local.cloud.mns.send(ACCOUNT_A, "ecr-requests", (requests / "revoke_vpc.json").read_bytes())
    assert outcomes(local, 5) == ["granted", "attached", "revoking", "detached", "revoked"]
    assert local.cloud.ecr.grants() == []

    timer = json.dumps({"triggerName": "timer", "payload": '{"dry_run": true}'}).encode()
    cleaned = local.cloud.fc.invoke("ecr-cleanup", timer)
    assert cleaned.error_type is None, cleaned.body

    for name in local.cloud.fc.names:  # whatever it takes: it is started, and answers
        outcome = local.cloud.fc.invoke(name, b"{}")
        answer = json.loads(outcome.body)
        kind = answer.get("errorType") if isinstance(answer, dict) else None
        assert outcome.alive, outcome.body
        assert kind not in NOT_PACKED, outcome.body


def test_such_a_process_finds_nothing_that_is_installed_here():
    done = subprocess.run(
        [*ALONE, "-c", "import sys; print(sys.path); import pydantic"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "site-packages" not in done.stdout
    assert "No module named 'pydantic'" in done.stderr


def test_a_package_holds_no_tests_no_stand_in_and_nothing_that_only_development_needs(dist):
    runtime = {
        one.locked.name for one in installed(SITE, lock(ROOT / "requirements/runtime.txt", RUNTIME))
    }
    for function in functions(ROOT / "s.yaml"):
        folder = dist / "dist" / function.folder
        tops = {path.name for path in folder.iterdir()}
        assert tops.isdisjoint({"localcloud", "tests", "simulation", "ecrauth", "pytest", "rich"})
        assert not [path for path in folder.rglob("*") if path.name in ("tests", "conftest.py")]
        infos = {
            path.name.partition("-")[0].replace("_", "-").lower()
            for path in folder.glob("*.dist-info")
        }
        assert infos <= runtime
        assert (folder / "registry.yaml").is_file()


def test_the_sdk_of_vpcs_is_where_account_b_is_looked_at_and_nowhere_else(dist):
    holding = {path.parent.name for path in dist.glob("dist/*/alibabacloud_vpc20160428")}
    assert holding == {"ecr-authorize"}
    assert not list(dist.glob("dist/*/Crypto"))


def test_the_mappings_are_where_tickets_are_read_and_answered(dist):
    """Senders may name one in a registry.yaml that this repository does not have."""
    have = {folder.name for folder in (dist / "dist").iterdir() if (folder / "mappings").is_dir()}
    assert have == {"ecr-intake", "ecr-notify"}


def test_two_packages_of_one_function_are_equal(dist, tmp_path):
    function = functions(ROOT / "s.yaml")[1]
    again = build(function, materials(SITE, RUNTIME, None), tmp_path / "again")
    first = dist / "dist" / function.folder
    assert {path.relative_to(first) for path in first.rglob("*")} == {
        path.relative_to(again.folder) for path in again.folder.rglob("*")
    }
    for path in again.files:
        other = first / path.relative_to(again.folder)
        assert other.read_bytes() == path.read_bytes()
        assert other.stat().st_mtime == path.stat().st_mtime
        assert other.stat().st_mode == path.stat().st_mode


def test_the_console_is_shown_by_its_package_alone(dist, tmp_path):
    with SignIn("http://127.0.0.1:1") as sign_in:
        environ = {**ENVIRON, "LEDGER_URL": f"sqlite:///{tmp_path}/l.db", **sign_in.environment}
        deployed = Functions(
            load(ROOT / "s.yaml", environ), account_uid=ACCOUNT_A, root=dist, python=ALONE
        )
        with LocalCloud(demo_world(), functions=deployed) as running:
            url, cookie = f"{running.url}/_http/ecr-intake", {COOKIE: sign_in.token("viewer")}
            for path in ("", "/expiries", "/brakes", "/drift", "/doctor"):
                for language in ("en", "zh"):
                    asked = f"{url}/console{path}?lang={language}"
                    answer = requests.get(asked, cookies=cookie, timeout=30)
                    assert answer.status_code == 200, answer.text
            (style,) = re.findall(r'"(/console/assets/console\.[0-9a-f]+\.css)"', answer.text)
            assert requests.get(url + style, timeout=30).status_code == 200
