"""Every alarm, every code that can be produced, and every finding has a runbook; no other does."""

from __future__ import annotations

import ast
import re

import pytest

from observability.__main__ import read
from shared.cleanup.findings import SENTENCES
from shared.cloud import errors
from shared.intake.problems import STATUS
from tests.docs.pages import ROOT

TEXT = (ROOT / "docs" / "runbooks.md").read_text()
SECTIONS = dict(re.findall(r"^### (.+)\n((?:(?!^#).*\n?)*)", TEXT, re.MULTILINE))
LOGS = ("log", "structlog.get_logger()")


def codes_of_the_cloud():
    found = [*errors._EXACT.values(), *(one for _, one in errors._BY_PREFIX), errors._UNKNOWN]
    return {one.code for one in found}


def codes_written_out():
    """The first argument of `_problem`, and `code=` of any call but of a log line's."""
    for path in [*ROOT.glob("shared/**/*.py"), *ROOT.glob("functions/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            if ast.unparse(node.func).rpartition(".")[0] in LOGS:
                continue
            given = [word.value for word in node.keywords if word.arg == "code"]
            if ast.unparse(node.func) == "_problem":
                given += node.args[:1]
            for one in given:
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    yield one.value


CODES = codes_of_the_cloud() | set(codes_written_out()) | set(STATUS)


def test_codes_are_found():
    assert {
        "malformed",
        "frozen",
        "gave_up",
        "still_attached",
        "throttled",
        "bundle_refused",
    } <= CODES
    assert len(CODES) > 50


def test_runbooks_are_of_what_there_is_and_of_all_of_it():
    alarms = {f"Alarm {name}" for name in read("alarms")}
    named = {f"`{one}`" for one in (*CODES, *SENTENCES)}
    assert sorted(SECTIONS) == sorted(alarms | named)


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_runbook_says_something(heading):
    assert len(SECTIONS[heading].split()) >= 5
