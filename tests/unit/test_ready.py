"""What is deployed was made for the runtime that s.yaml names, of the sources that are there."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys

import pytest

from localcloud.fc import DeploymentError, load
from package.folder import OURS, Contents, digest
from package.ready import problems
from package.record import Record, read, sources
from simulation.wire.system import ENVIRON, ROOT

S_YAML = load(ROOT / "s.yaml", {**ENVIRON, "LEDGER_URL": "sqlite:///x"})
FOLDERS = [one.props.code.rpartition("/")[2] for one in S_YAML.resources.values()]
PACKED = (*OURS, "package", "mappings")


@pytest.fixture
def root(tmp_path):
    """A checkout with a package for every function of s.yaml, for its runtime."""
    for name in PACKED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copytree(ROOT / "localcloud", tmp_path / "localcloud", ignore=ignored)
    (tmp_path / "requirements").mkdir()
    for name in ("requirements/runtime.txt", "registry.yaml", "s.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    contents = Contents.load(tmp_path / "package" / "contents.yaml")
    for folder in FOLDERS:
        there = tmp_path / "dist" / folder
        there.mkdir(parents=True)
        (there / "handler.pyc").write_bytes(b"bytecode")
        made = digest(sorted(there.iterdir()), there)
        Record(folder, "3.12", "3.12.4", sources(tmp_path, contents), made).write(tmp_path / "dist")
    return tmp_path


def noted(root, **changes):
    changed = dataclasses.replace(read(root / "dist", "ecr-attach"), **changes)
    changed.write(root / "dist")


def appended(path, text="\n"):
    with path.open("a") as file:
        file.write(text)


def no_record(root):
    (root / "dist" / "ecr-attach.made.json").unlink()


def a_record_of_another_release(root):
    (root / "dist" / "ecr-attach.made.json").write_text('{"runtime": "3.12"}')


def of_another_runtime(root):
    noted(root, runtime="3.10")


def with_other_bytecode(root):
    noted(root, bytecode="3.11.2")


def a_changed_source(root):
    appended(root / "shared" / "converge.py")


def a_new_source(root):
    (root / "functions" / "attach" / "more.py").write_text("")


def a_changed_registry(root):
    appended(root / "registry.yaml")


def a_changed_lock(root):
    appended(root / "requirements" / "runtime.txt")


def a_changed_package(root):
    (root / "dist" / "ecr-attach" / "handler.pyc").write_bytes(b"other")


def half_a_package(root):
    shutil.rmtree(root / "dist" / "ecr-attach")


REFUSED = [
    (no_record, "is not there, or of another release"),
    (a_record_of_another_release, "is not there, or of another release"),
    (of_another_runtime, "made for Python 3.10, and s.yaml names 3.12"),
    (with_other_bytecode, "its bytecode is of Python 3.11.2"),
    (a_changed_source, "the sources have changed"),
    (a_new_source, "the sources have changed"),
    (a_changed_registry, "the sources have changed"),
    (a_changed_lock, "the sources have changed"),
    (a_changed_package, "is not what was made"),
    (half_a_package, "is not what was made"),
]


def deployed(root, resource):
    """What `s deploy` runs before it deploys one: the command lines of s.yaml, where they say."""
    done = [
        subprocess.run(
            ["/bin/sh", "-c", action.run],
            cwd=root / action.path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        for action in resource.actions["pre-deploy"]
    ]
    return max(one.returncode for one in done), "".join(one.stderr for one in done)


@pytest.mark.parametrize("change", [one for one, _ in REFUSED], ids=lambda one: one.__name__)
def test_a_package_that_is_not_what_s_yaml_deploys_is_refused(root, change):
    assert list(problems(root, "ecr-attach", "3.12")) == []
    change(root)
    (told,) = problems(root, "ecr-attach", "3.12")
    assert dict(REFUSED)[change] in told


def test_bytecode_that_is_beside_a_source_is_no_source(root):
    (root / "shared" / "__pycache__").mkdir()
    (root / "shared" / "__pycache__" / "converge.cpython-312.pyc").write_bytes(b"x")
    assert list(problems(root, "ecr-attach", "3.12")) == []


def test_before_s_deploy_each_function_is_looked_at_by_itself(root):
    for resource in S_YAML.resources.values():
        assert deployed(root, resource) == (0, "")
    a_changed_package(root)
    codes = {name: deployed(root, one) for name, one in S_YAML.resources.items()}
    assert [name for name, (code, _) in codes.items() if code] == ["attach"]
    assert codes["attach"][1].endswith("is not what was made: `make package`\n")


def test_a_runtime_that_the_environment_names_is_compared_with(root):
    environ = {**ENVIRON, "LEDGER_URL": "x", "ECR_AUTHORIZATION_RUNTIME": "python3.10"}
    other = load(ROOT / "s.yaml", environ).resources["cleanup"]
    code, told = deployed(root, other)
    assert code == 1
    assert "made for Python 3.12, and s.yaml names 3.10" in told


def test_a_package_without_bytecode_may_be_deployed_and_says_so(root):
    noted(root, bytecode=None)
    code, told = deployed(root, S_YAML.resources["attach"])
    assert code == 0
    assert "has no bytecode" in told


@pytest.mark.parametrize(
    ("action", "wrong"),
    [
        ("- run: x\n          plugin: y", "one of them"),
        ("- path: ./", "one of them"),
        ("- component: fc3 invoke\n          path: ./", "where `run` runs"),
        ("- runn: x", "runn"),
    ],
)
def test_an_action_that_serverless_devs_would_not_run_is_a_mistake(tmp_path, action, wrong):
    text = (ROOT / "s.yaml").read_text()
    given = (
        "- run: .venv/bin/python -m package.ready ecr-attach ${vars.runtime}\n          path: ./"
    )
    assert given in text
    (tmp_path / "s.yaml").write_text(text.replace(given, action))
    with pytest.raises(DeploymentError, match=wrong):
        load(tmp_path / "s.yaml", {**ENVIRON, "LEDGER_URL": "x"})
