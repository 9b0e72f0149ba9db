"""What goes into a package, and what is said of it."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from package.audit import audit, verdict
from package.bill import bill
from package.bytecode import DidNotRun, Interpreter, interpreter
from package.deployed import DeployedFunction, functions
from package.folder import BadContents, Contents, Materials, build, pack
from package.libraries import NotAsLocked, installed, lock
from package.native import without_sections
from package.reach import imports, module_name
from package.record import read, record_of

ROOT = Path(__file__).parents[2]
RUNTIME = f"{sys.version_info.major}.{sys.version_info.minor}"
DECLARED = Contents.load(ROOT / "package" / "contents.yaml")
FUNCTION = DeployedFunction("ecr-one", ("functions.one.handler",), "ecr-one", RUNTIME)
FILES = {
    "functions/__init__.py": "",
    "functions/one/__init__.py": "",
    "functions/one/handler.py": "import small\ndef handler(event, context):\n import shared.late\n",
    "functions/two/__init__.py": "",
    "functions/two/handler.py": "import large",
    "shared/__init__.py": "",
    "shared/late.py": "TEXT = 'late'",
    "shared/never.py": "",
    "texts/en.yaml": "a: b",
}
LIBRARIES = {
    "small": {"small/__init__.py": "from . import part", "small/part.py": "", "small/p.pyi": ""},
    "large": {"large/__init__.py": "import small", "large/models.py": ""},
}


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def install(site, name, version="1.0"):
    files = LIBRARIES[name]
    info = f"{name}-{version}.dist-info"
    record = "".join(f"{one},,\n" for one in [*files, f"{info}/METADATA", f"{info}/RECORD"])
    metadata = f"Name: {name}\nVersion: {version}\nLicense-Expression: MIT\n\nWords"
    write(site, {**files, f"{info}/METADATA": metadata, f"{info}/RECORD": record})


def contents(**changes):
    declared = {
        "data": {},
        "by_name": {},
        "only_imported": frozenset(),
        "left_out": ("*.pyi", "*.dist-info/RECORD"),
    }
    return Contents(**{**declared, **changes})


@pytest.fixture
def made_of(tmp_path):
    write(tmp_path, FILES)
    site = tmp_path / "site"
    for name in LIBRARIES:
        install(site, name)
    text = "\n".join(f"{name}==1.0 --hash=sha256:{'0' * 64}" for name in LIBRARIES)
    (tmp_path / "lock.txt").write_text(text)
    libraries = tuple(installed(site, lock(tmp_path / "lock.txt", RUNTIME)))

    def materials(declared=None, by=None):
        return Materials(tmp_path, site, libraries, declared or contents(), by)

    return materials


def names(package):
    return [path.relative_to(package.folder).as_posix() for path in package.files]


def test_a_package_holds_what_its_function_imports_at_once_or_later_and_nothing_else(
    made_of, tmp_path
):
    assert names(build(FUNCTION, made_of(), tmp_path / "out")) == [
        "functions/__init__.py",
        "functions/one/__init__.py",
        "functions/one/handler.py",
        "shared/__init__.py",
        "shared/late.py",
        "small/__init__.py",
        "small/part.py",
        "small-1.0.dist-info/METADATA",
    ]


def test_what_is_imported_by_name_or_read_goes_along_where_it_is_declared(made_of, tmp_path):
    declared = contents(
        by_name={"shared.late": ["large"]},
        data={"shared.late": ["texts"], "shared.never": ["nowhere"]},
        only_imported=frozenset({"large"}),
    )
    found = names(build(FUNCTION, made_of(declared), tmp_path / "out"))
    assert "large/__init__.py" in found
    assert "large/models.py" not in found
    assert "texts/en.yaml" in found


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"left_out": ("small/part.py",)}, "left out, but imported: small/part.py"),
        ({"by_name": {"shared.late": ["small.gone"]}}, "no such modules: small.gone"),
        ({"data": {"shared.late": ["nowhere"]}}, "shared.late reads nowhere"),
    ],
)
def test_contents_that_do_not_fit_are_refused(made_of, tmp_path, declared, reason):
    with pytest.raises(BadContents, match=reason):
        build(FUNCTION, made_of(contents(**declared)), tmp_path / "out")


def test_every_data_file_beside_shipped_modules_is_declared():
    tracked = subprocess.run(
        ["git", "ls-files", "functions", "shared", "mappings", "registry.yaml"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    declared = [name for names_of_one in DECLARED.data.values() for name in names_of_one]
    assert [
        path
        for path in tracked
        if not path.endswith(".py")
        and not any(path == name or path.startswith(f"{name}/") for name in declared)
    ] == []


def test_another_version_than_the_locks_is_refused(made_of, tmp_path):
    made_of()
    (tmp_path / "lock.txt").write_text("small==2.0 --hash=sha256:0\n")
    with pytest.raises(NotAsLocked, match=r"small is 1\.0, not 2\.0"):
        installed(tmp_path / "site", lock(tmp_path / "lock.txt", RUNTIME))
    (tmp_path / "lock.txt").write_text("medium==2.0 --hash=sha256:0\n")
    with pytest.raises(NotAsLocked, match="not installed: medium"):
        installed(tmp_path / "site", lock(tmp_path / "lock.txt", RUNTIME))


def test_two_builds_at_two_times_are_equal_with_their_bytecode_zip_file_and_bill(made_of, tmp_path):
    by, _ = interpreter(RUNTIME, {})
    first = build(FUNCTION, made_of(by=by), tmp_path / "a")
    for path in tmp_path.glob("site/**/*.py"):
        path.touch()
    again = build(FUNCTION, made_of(by=by), tmp_path / "elsewhere" / "b")
    assert names(first) == names(again)
    assert first.digest == again.digest
    zipped = [pack(one, tmp_path / f"{one.folder.name}.zip") for one in (first, again)]
    assert zipped[0].read_bytes() == zipped[1].read_bytes()
    with zipfile.ZipFile(zipped[0]) as opened:
        assert opened.namelist() == names(first)
        assert {one.date_time for one in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert bill(first, first.digest) == bill(again, again.digest)


def test_bytecode_takes_the_place_of_a_librarys_source_and_lies_beside_ours(made_of, tmp_path):
    package = build(FUNCTION, made_of(by=Interpreter(sys.executable)), tmp_path / "out")
    ours = f"shared/__pycache__/late.{sys.implementation.cache_tag}.pyc"
    assert {"small/part.pyc", "shared/late.py", ours} <= set(names(package))
    assert "small/part.py" not in names(package)
    for name in ("small/part.pyc", ours):  # unchecked: file times do not matter
        assert struct.unpack("<I", (package.folder / name).read_bytes()[4:8]) == (1,)
    given = (
        "import sys; sys.path.insert(0, '.'); import small.part, shared.late as it; print(it.TEXT)"
    )
    assert Interpreter(sys.executable).run("-c", given, cwd=package.folder) == "late\n"


def test_what_is_noted_of_a_package_says_for_what_and_of_what_it_was_made(made_of, tmp_path):
    package = build(FUNCTION, made_of(by=Interpreter(sys.executable)), tmp_path / "out")
    made = record_of(package, made_of(by=Interpreter(sys.executable)))
    assert (made.runtime, made.package) == (RUNTIME, package.digest)
    assert made.bytecode.startswith(f"{RUNTIME}.")
    made.write(tmp_path)
    assert read(tmp_path, "ecr-one") == made
    assert record_of(package, made_of()).bytecode is None
    (tmp_path / "shared" / "late.py").write_text("TEXT = 'later'")
    assert record_of(package, made_of()).sources != made.sources


def test_a_source_that_cannot_be_compiled_stops_the_build(made_of, tmp_path):
    (tmp_path / "shared" / "late.py").write_text("import small")
    (tmp_path / "site" / "small" / "part.py").write_text("return 1")
    with pytest.raises(DidNotRun, match="return"):
        build(FUNCTION, made_of(by=Interpreter(sys.executable)), tmp_path / "out")


def test_an_interpreter_of_another_version_or_one_that_does_not_run_is_none(tmp_path):
    broken = tmp_path / f"python{RUNTIME}"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    assert interpreter(RUNTIME, {"PYTHON_RUNTIME": str(broken)})[0] is None
    found, said = interpreter("3.9", {"PYTHON_RUNTIME": sys.executable})
    assert found is None
    assert said == (
        f"no bytecode: PYTHON_RUNTIME={sys.executable} is no Python 3.9; set PYTHON_RUNTIME to one"
    )
    found, said = interpreter(RUNTIME, {"PYTHON_RUNTIME": sys.executable})
    assert found == Interpreter(sys.executable)
    assert said.startswith(f"bytecode of Python {RUNTIME}.")


def test_imports_for_the_type_checker_do_not_count_and_relative_ones_do():
    text = b"""
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import never
else:
    import other
try:
    from . import near
except ImportError:
    from ..far import thing
def later():
    with open("x"):
        import a.b
match 1:
    case 1:
        import c
"""
    assert imports(text, "p.q.m", is_package=False) - {"typing", "typing.TYPE_CHECKING"} == {
        *("other", "p.q", "p.q.near", "p.far", "p.far.thing", "a.b", "c")
    }
    assert imports(b"from . import x", "p.q", is_package=True) == {"p.q", "p.q.x"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.py", "a.b"),
        ("a/__init__.py", "a"),
        ("a.py", "a"),
        ("a/_c.cpython-312-x86_64-linux-gnu.so", "a._c"),
        ("a/_d.abi3.so", "a._d"),
        ("a.libs/libcrypto-3a06.so.3", None),
        ("a/cacert.pem", None),
        ("a/b.pyi", None),
    ],
)
def test_a_module_is_named_by_its_file(path, name):
    assert module_name(path) == name


def test_a_native_library_loads_without_what_only_a_debugger_reads(tmp_path):
    import pydantic_core  # noqa: PLC0415 -- its native part is cut

    path = Path(sys.modules["pydantic_core._pydantic_core"].__file__)
    content = path.read_bytes()
    cut = without_sections(content)
    assert len(cut) < len(content)
    assert without_sections(cut) == cut
    (tmp_path / path.name).write_bytes(cut)
    code = "import sys; sys.path[:0] = sys.argv[1:]; import _pydantic_core as it"
    code += "; print(it.__version__)"
    site = sysconfig.get_path("purelib")
    done = Interpreter(sys.executable).run("-c", code, str(tmp_path), site)
    assert done.strip() == pydantic_core.__version__
    assert without_sections(b"no library") == b"no library"


def test_functions_are_those_of_s_yaml_each_with_a_folder_of_its_own():
    found = functions(ROOT / "s.yaml")
    assert {"ecr-authorize", "ecr-attach", "ecr-cleanup"} <= {one.name for one in found}
    assert [one.folder for one in found] == [one.name for one in found]
    assert {one.runtime for one in found} == {"3.12"}


def test_a_bill_names_each_library_with_its_version_and_the_hashes_of_the_lock(made_of, tmp_path):
    package = build(FUNCTION, made_of(), tmp_path / "out")
    document = json.loads(bill(package, package.digest))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    (part,) = document["components"]
    assert (part["name"], part["version"], part["purl"]) == ("small", "1.0", "pkg:pypi/small@1.0")
    assert part["licenses"] == [{"license": {"name": "MIT"}}]
    assert part["properties"] == [{"name": "lock:sha256", "value": "0" * 64}]
    assert document["metadata"]["component"]["hashes"][0]["content"] == package.digest
    assert "timestamp" not in document["metadata"]


CLEAN = {"name": "a", "version": "1", "vulns": []}
SKIPPED = {"name": "b", "skip_reason": "b is not known there"}
FOUND = {"name": "c", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}


@pytest.mark.parametrize(
    ("rows", "text", "is_bad"),
    [
        ([CLEAN], "1 of 1 libraries were looked up; no known vulnerability", False),
        ([CLEAN, SKIPPED], "1 of 2 libraries were looked up, with no known vuln", False),
        ([SKIPPED], "skipped, nothing was looked up: b is not known there", False),
        ([CLEAN, SKIPPED, FOUND], "c 2: CVE-1, mended in 3", True),
    ],
)
def test_an_audit_claims_no_more_than_was_looked_up(rows, text, is_bad):
    found = verdict(json.dumps({"dependencies": rows}), "No known vulnerabilities found")
    assert text in found.text
    assert found.is_bad == is_bad


def test_an_audit_that_reaches_nobody_says_so_and_is_no_failure(monkeypatch, tmp_path):
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    (tmp_path / "lock.txt").write_text(f"requests==2.34.2 --hash=sha256:{'0' * 64}\n")
    found = audit(tmp_path / "lock.txt")
    assert found.text.startswith("skipped")
    assert not found.is_bad


def test_a_lock_without_hashes_is_a_finding(tmp_path):
    (tmp_path / "lock.txt").write_text("requests==2.34.2\n")
    found = audit(tmp_path / "lock.txt")
    assert found.is_bad
    assert "hash" in found.text
