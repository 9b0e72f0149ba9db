"""events.yaml beside the code: every log call is in it, and it names no other."""

from __future__ import annotations

import ast

import pytest

from observability.__main__ import read
from tests.observability.story import ROOT

LEVELS = {"info": "info", "warning": "warning", "error": "error", "exception": "error"}
EVENTS = read("events")["events"]
SHARED = read("events")["shared"]


def calls():
    """Every log call in the shipped code, with its file."""
    for path in [*ROOT.glob("functions/**/*.py"), *ROOT.glob("shared/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            logs = ast.unparse(node.func.value) in ("log", "structlog.get_logger()")
            if logs and node.func.attr in LEVELS:
                yield path, node


def told(node):
    fields = {word.arg for word in node.keywords if word.arg} - {"exc_info"}
    raised = node.func.attr == "exception" or any(word.arg == "exc_info" for word in node.keywords)
    return fields | ({"exception"} if raised else set())


CALLS = list(calls())
"""The code is parsed once."""


@pytest.mark.parametrize(
    ("path", "node"), CALLS, ids=[f"{path.stem}-{node.lineno}" for path, node in CALLS]
)
def test_a_log_call_is_in_the_list_with_its_level_and_fields(path, node):
    (first,) = node.args
    assert isinstance(first, ast.Constant), f"{path}: an event's name is written out"
    known = EVENTS[first.value]
    assert LEVELS[node.func.attr] == known["level"]
    unpacked = any(word.arg is None for word in node.keywords)
    named = set(known["fields"])
    assert told(node) <= named | set(SHARED)
    alike = [other for _, other in CALLS if other.args[0].value == first.value]
    given = set().union(*map(told, alike))
    assert unpacked or named <= given, "the list names a field that the code does not give"


def test_every_event_in_the_list_is_logged_somewhere():
    assert set(EVENTS) == {node.args[0].value for _, node in CALLS}


def test_a_word_means_one_thing():
    meanings = {}
    for event, known in EVENTS.items():
        for field, meaning in known["fields"].items():
            assert meanings.setdefault(field, meaning) == meaning, f"{event}: {field}"
            assert field not in SHARED
