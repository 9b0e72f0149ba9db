"""Rules of the house that the whole tree keeps: what stands nowhere in the shipped code."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = sorted([*ROOT.glob("functions/**/*.py"), *ROOT.glob("shared/**/*.py")])
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in SHIPPED
]


def name(path):
    return str(path.relative_to(ROOT))


def test_nothing_shipped_knows_of_the_stand_in_or_mocks_a_call():
    pattern = re.compile(r"localcloud|\bif\s+(is_)?local\b|\bmock|\bfake|\bstub", re.IGNORECASE)
    path_tests = [*ROOT.glob("tests/path/*.py"), *ROOT.glob("tests/cloud/*.py")]
    found = [name(path) for path in SHIPPED if pattern.search(path.read_text())]
    mocking = re.compile(r"unittest\.mock|monkeypatch\.setattr|\bMagicMock|\bpatch\(")
    found += [name(path) for path in path_tests if mocking.search(path.read_text())]
    assert found == []


def test_the_stand_in_speaks_for_itself_alone():
    shipped = re.compile(r"^\s*(from|import) (functions|shared)\b", re.MULTILINE)
    found = [
        name(path) for path in ROOT.glob("localcloud/**/*.py") if shipped.search(path.read_text())
    ]
    assert found == []


# Where the wall clock, chance and the environment may enter: at the edges.
SEAMS = {
    "now": {"functions/edge.py"},
    "random": {"functions/wiring.py", "shared/log.py"},
    "uuid4": {"functions/wiring.py"},
    "sleep": {"shared/ledger/sql.py"},  # until another instance has made the schema
    "environ": {
        "functions/authorize/handler.py",
        "functions/attach/handler.py",
        "functions/cleanup/handler.py",
        "functions/notify/handler.py",
        "functions/intake/handler.py",
        "shared/log.py",
    },
}


@pytest.mark.parametrize("what", SEAMS)
def test_time_chance_and_environment_enter_at_the_edge(what):
    users = set()
    for path in SHIPPED:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Attribute) and node.attr == what):
                continue
            if isinstance(node.value, ast.Name) and node.value.id in (
                "datetime",
                "time",
                "random",
                "uuid",
                "os",
            ):
                users.add(name(path))
            if what == "random" and isinstance(node.value, ast.Call):
                users.add(name(path))
    assert users <= SEAMS[what]


def test_what_is_pure_imports_no_sdk_no_io():
    pure = ["converge", "leases", "policy", "authorization"]
    allowed = {
        "__future__",
        "collections",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
        "hashlib",
        "typing",
        "pydantic",
        "shared",
        "re",
    }
    for module in pure:
        tree = ast.parse((ROOT / "shared" / f"{module}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                roots = {(node.module or "").split(".")[0]}
            else:
                continue
            assert roots <= allowed, f"{module}: {roots - allowed}"


def test_every_module_can_be_imported_without_network_or_environment():
    code = f"""
import socket
def refuse(*a, **k): raise AssertionError("a connection at import")
socket.socket.connect = refuse
import importlib
for name in {MODULES!r}:
    importlib.import_module(name)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning:shared", "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_what_is_public_says_what_it_does():
    """A docstring on every public module, class and function that is shipped."""
    bare = []
    for path in SHIPPED:
        tree = ast.parse(path.read_text())
        if path.name != "__init__.py" and ast.get_docstring(tree) is None:
            bare.append(name(path))
    assert bare == []


def test_lock_files_carry_hashes_and_no_address():
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://|index-url|find-links|trusted-host", text)
