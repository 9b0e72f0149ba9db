"""Every command in the documentation is run, or resolved against what it calls, or is named here.

Run: what reads a system, against localcloud. Resolved: `make` by its targets, `python -m` by its
module, Typer's programs by their tree of commands and options. The rest is in NOT_RUN, with the
reason.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from ecrauth.app import build
from localcloud.cli import app as localcloud_app
from simulation.wire.system import WireSystem
from tests.docs.pages import PAGES, ROOT, Block, blocks, name

ECRAUTH = build(plain=True)
SHELL = ("sh", "bash", "console", "shell")
PROGRAMS = ("make", "python", ".venv/bin/python", "ecrauth", "export", "s", "aliyun", "pg_dump")
NOT_RUN = {
    "aliyun": "needs an account of Alibaba Cloud",
    "s": "needs an account of Alibaba Cloud",
    "pg_dump": "needs PostgreSQL's own tools",
    "pg_restore": "needs PostgreSQL's own tools",
}
# What only reads a system, or does no harm to one: run as it stands.
RUN = (
    "audit verify",
    "cleanup brake",
    "cleanup report",
    "cleanup run --dry",
    "dead-letters list",
    "sweep --dry-run",
)


def commands(block: Block):
    """The command lines of a block: all of a shell's, else those of a known program."""
    for raw in block.text.replace("\\\n", " ").splitlines():
        line = raw.strip().removeprefix("$ ")
        words = re.split(r" {2,}#|\s#\s", line)[0].strip()
        # What a shell puts in place is not looked into.
        first = words.split(" ")[0] if words else ""
        put_in_place = re.fullmatch(r'[A-Z_]+="\$\((.+)\)"', words)
        if put_in_place:
            words = put_in_place[1]
            first = words.split(" ")[0]
        while re.match(r"[A-Z_]+=", first):
            words = words.partition(" ")[2].strip()
            first = words.split(" ")[0]
        if not first or (raw.strip().startswith("#")):
            continue
        if block.language in SHELL or (block.language == "" and first in PROGRAMS):
            yield words


INLINE = re.compile(r"`((?:ecrauth|make|(?:\.venv/bin/)?python -m) [^`]+)`")


def found():
    for path in PAGES:
        if path.name == "CHANGELOG.md":  # it tells of what was, too
            continue
        text = path.read_text()
        for block in blocks(path):
            text = text.replace(block.text, "")
            for line in commands(block):
                yield name(path), line
        for line in INLINE.findall(text):
            yield name(path), " ".join(line.split())


FOUND = sorted(set(found()))
ECRAUTH_LINES = [(page, line) for page, line in FOUND if line.startswith("ecrauth ")]


def tree(app):
    return typer.main.get_command(app)


def resolve(command, words):
    """The command that `words` lead to, whose options are all its own."""
    rest = list(words)
    options = set()
    while rest:
        options |= {one for parameter in command.params for one in parameter.opts}
        options |= {one for parameter in command.params for one in parameter.secondary_opts}
        word = rest.pop(0)
        if word.startswith("-"):
            assert word.partition("=")[0] in options | {"--help"}, f"no option {word}"
        elif hasattr(command, "commands"):
            assert word in command.commands, f"no command {word}"
            command = command.commands[word]
    return command


def split(line):
    """Words up to the first pipe, semicolon or redirection."""
    return shlex.split(re.split(r" [|;<>] ?|; ", line)[0])


def test_there_are_commands():
    assert len(FOUND) > 25
    assert len(ECRAUTH_LINES) > 8


@pytest.mark.parametrize(("page", "line"), FOUND)
def test_a_command_is_one_that_there_is(page, line):
    words = split(line)
    program = words[0]
    if program == "make":
        targets = re.findall(r"^([a-z./]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1] in targets
    elif program in ("python", ".venv/bin/python"):
        assert words[1] == "-m"
        module = words[2]
        assert importlib.util.find_spec(module) is not None
        if module == "localcloud":
            resolve(tree(localcloud_app), words[3:])
        if module == "ecrauth":
            resolve(tree(ECRAUTH), words[3:])
    elif program == "ecrauth":
        resolve(tree(ECRAUTH), words[1:])
    elif program == "export":
        assert "=" in words[1]
    else:
        assert program in NOT_RUN, "a command that is neither run, nor resolved, nor named here"


def test_files_that_commands_name_are_there():
    for page, line in FOUND:
        for word in split(line)[1:]:
            named = word.partition("=")[2] or word
            if re.fullmatch(r"(events|demo|infra|observability|contracts)/[\w/.-]+", named):
                assert (ROOT / named).exists(), f"{page}: {named}"


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    with WireSystem(tmp_path_factory.mktemp("system")) as running:
        running.clean()
        running.post("grant_vpc")
        running.post("malformed")
        running.settle()
        running.clean()
        yield running


@pytest.fixture
def surroundings(system, monkeypatch):
    """What s.yaml gives the authorize function, and an operator's key."""
    key = system.cloud.identity.root_key("1000200030004000")
    given = system.environ("ecr-authorize") | {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": key[0],
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key[1],
        "COLUMNS": "200",
    }
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("ALIBABA_CLOUD_SECURITY_TOKEN", raising=False)


def test_what_is_run_stands_in_the_pages():
    written = {line.removeprefix("ecrauth ") for _, line in ECRAUTH_LINES}
    assert set(RUN) <= written


@pytest.mark.parametrize("line", RUN)
def test_a_command_that_only_reads_runs_as_it_stands(system, surroundings, line):
    system.clock.advance(2)  # what another command had received can be received again
    done = CliRunner().invoke(ECRAUTH, shlex.split(line))
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    "words",
    [
        ["make"],
        [sys.executable, "-m", "localcloud", "check-deployment", "s.yaml"],
        [sys.executable, "-m", "localcloud", "check-world", "demo/world.yaml"],
    ],
    ids=" ".join,
)
def test_a_cheap_command_runs(words):
    environ = os.environ | {"LEDGER_URL": "sqlite://", "EXTERNAL_ID_KEY": "k" * 40}
    done = subprocess.run(
        words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
