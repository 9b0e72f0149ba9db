"""`.venv/bin/ecrauth` as it is typed: quick, completed by the shell, for eyes and for pipes."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ecrauth.__main__ import main
from ecrauth.exits import MEANINGS, Exit
from ecrauth.install import install

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".venv" / "bin" / "ecrauth"
HEAVY = ("sqlalchemy", "structlog", "yaml", "urllib3", "requests", "mns", "fc2",
         "alibabacloud_fc20230330", "shared.contract", "rich")  # fmt: skip
BOXES = "─│╭╮╰╯┏┓┃━"


def typed(*arguments, folder=ROOT, **environ):
    given = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environ}
    return subprocess.run(
        [str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=given,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module", autouse=True)
def _is_installed():
    if not SCRIPT.exists():
        pytest.fail("`make .venv/ready` writes the script")


def test_the_script_runs_from_any_folder(tmp_path):
    done = typed("token", "new", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "token_sha256" in done.stdout


def test_make_writes_the_script_that_is_there(tmp_path):
    (tmp_path / "python").symlink_to(sys.executable)
    install(tmp_path / "ecrauth")
    assert os.access(tmp_path / "ecrauth", os.X_OK)
    assert "ecrauth.install" in (ROOT / "Makefile").read_text()


def test_help_imports_nothing_that_it_does_not_need():
    code = (
        "import sys; from ecrauth.__main__ import main; main(['request', 'grant', '--help']);"
        f"print([one for one in {HEAVY!r} if one in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"


COMMANDS = [
    (), ("request",), ("request", "grant"), ("request", "revoke"), ("request", "renew"),
    ("status",), ("wait",), ("list",), ("dead-letters",), ("dead-letters", "list"),
    ("dead-letters", "show"), ("dead-letters", "redrive"), ("sweep",), ("audit",),
    ("audit", "verify"), ("audit", "show"), ("audit", "export"), ("cleanup",), ("cleanup", "run"),
    ("cleanup", "report"), ("cleanup", "brake"), ("cleanup", "release"), ("cleanup", "drop"),
    ("token",), ("token", "new"), ("token", "secret"), ("invoke",), ("settings",),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_has_help_that_is_plain_in_a_pipe(command, capsys):
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: {' '.join(['ecrauth', *command])} ")
    assert len(shown.splitlines()[2]) > 15
    assert not set(BOXES) & set(shown)
    assert "\x1b" not in shown


def test_the_exit_codes_are_in_the_help_and_in_the_readme():
    told = " ".join(typed("--help").stdout.split())
    readme = (ROOT / "README.md").read_text()
    for code, meaning in MEANINGS.items():
        assert f"{code:d} {meaning}" in told
    table = readme[readme.index("| exit code |") : readme.index("## Looking after it")]
    assert re.findall(r"`(\d)`", table) == [f"{code:d}" for code in Exit]


def on_a_terminal(*arguments):
    """What is shown to eyes."""
    parent, child = pty.openpty()
    given = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [str(SCRIPT), *arguments], stdout=child, stderr=child, stdin=child, env=given, cwd=ROOT
    )
    os.close(child)
    shown = b""
    try:
        while piece := os.read(parent, 65536):
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(parent)
    process.wait(30)
    return shown.decode()


def test_eyes_have_a_table_and_pipes_have_tabs():
    assert set(BOXES) & set(on_a_terminal("settings"))
    assert set(BOXES) & set(on_a_terminal("--help"))
    piped = typed("settings").stdout
    assert piped.splitlines()[0] == "name\tvalue\tfrom\twhat it is"
    assert not set(BOXES) & set(piped)


def test_a_closed_pipe_is_no_error():
    line = f"{SCRIPT} settings | head -1"
    done = subprocess.run(
        ["/bin/sh", "-c", line], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_for_the_shell(tmp_path, shell):
    done = typed(
        "--install-completion", HOME=str(tmp_path), SHELL=f"/bin/{shell}",
        _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1",
    )  # fmt: skip
    if done.returncode:  # the older way names the shell
        done = typed(
            "--install-completion", shell, HOME=str(tmp_path),
            _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = "".join(one.read_text() for one in tmp_path.rglob("*") if one.is_file())
    assert "_ECRAUTH_COMPLETE" in written


def test_the_shell_is_told_what_may_come_next():
    done = typed(
        COMP_WORDS="ecrauth dead-letters re", COMP_CWORD="2", _ECRAUTH_COMPLETE="complete_bash"
    )
    assert done.stdout.split() == ["redrive"]
