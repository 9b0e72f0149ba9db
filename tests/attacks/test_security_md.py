"""What SECURITY.md says is covered, is."""

from __future__ import annotations

import re

import pytest

from simulation.wire.system import ROOT

TEXT = (ROOT / "SECURITY.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
THREATS = TEXT.partition("## Threats")[2].partition("## The rules")[0]
RULES = TEXT.partition("## The rules")[2].partition("## What is left")[0]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_is_named_is_there(file, name):
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("table", [THREATS, RULES], ids=["threats", "rules"])
def test_no_threat_and_no_rule_is_without_a_test(table):
    rows = [line for line in table.splitlines() if line.startswith("| ") and "tests |" not in line]
    assert len(rows) >= 14
    assert [row for row in rows if "::test_" not in row] == []


def test_every_file_of_attacks_is_named():
    files = {path.name for path in (ROOT / "tests" / "attacks").glob("test_*.py")}
    named = {file.rpartition("/")[2] for file, _ in NAMED}
    assert files - named == {"test_security_md.py"}
