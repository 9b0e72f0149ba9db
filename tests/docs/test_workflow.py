"""The CI workflow: actions pinned by commit, no right but to read, and targets that exist."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.docs.pages import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def workflow(path):
    return yaml.safe_load(path.read_text())


def steps(path):
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


def test_there_is_a_workflow():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_say_their_release(path):
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used
    for one in used:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one
    assert len({one for one in used if "/checkout@" in one}) == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_may_read_and_nothing_else(path):
    document = workflow(path)
    assert document["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in document["jobs"].values())
    assert set(document[True]) <= {"push", "pull_request", "schedule"}  # YAML reads `on` as true
    assert "secrets" not in path.read_text()
    for step in steps(path):
        if "checkout" in step.get("uses", ""):
            assert step["with"] == {"persist-credentials": False}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_runs_make_targets_that_exist_and_no_shell_of_its_own(path):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    run = [step["run"] for step in steps(path) if "run" in step]
    for one in run:
        assert re.fullmatch(r"make [a-z]+", one)
        assert one.removeprefix("make ") in targets
    assert {"make lint", "make types", "make boundaries", "make tests"} <= set(run)


def test_python_is_the_oldest_that_is_promised_and_the_one_that_is_deployed():
    matrix = workflow(FILES[0])["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert matrix == ["3.10", "3.12"]
    assert "python3.12" in (ROOT / "s.yaml").read_text()
    assert 'requires-python = ">=3.10"' in (ROOT / "pyproject.toml").read_text()
