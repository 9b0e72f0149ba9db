"""`python -m package`: dist/<function>, its zip file and its bill of materials, for every function.

Each is built twice, in two folders, and both must be equal.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from package.bill import bill
from package.bytecode import interpreter
from package.deployed import functions
from package.folder import Contents, Materials, build, pack
from package.libraries import installed, lock
from package.record import record_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from package.bytecode import Interpreter
    from package.deployed import DeployedFunction
    from package.folder import Package

ROOT: Final = Path(__file__).parents[1]
CONTENTS: Final = Path(__file__).with_name("contents.yaml")
LOCK: Final = ROOT / "requirements" / "runtime.txt"
_PLATFORMS: Final = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")
_FROM_SOURCE: Final = "alibabacloud-tea"  # it has no wheel; it is pure Python
_IMPORT: Final = """
import sys, time
sys.path.insert(0, sys.argv[1])
before = time.process_time()
for name in sys.argv[2:]:
    __import__(name)
print(time.process_time() - before)
"""


def install(target: Path, runtime: str) -> Path:
    """What the lock names is in `target`, for the runtime and its platform, as pip leaves it."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"),
            *("--target", str(target), "--python-version", runtime, "--implementation", "cp"),
            *(f"--platform={one}" for one in _PLATFORMS),
            *("--only-binary=:all:", f"--no-binary={_FROM_SOURCE}", "--no-compile"),
            *("-r", str(LOCK)),
        ],
        check=True,
    )
    return target


def materials(site: Path, runtime: str, compiled_by: Interpreter | None) -> Materials:
    """What packages for the runtime are made of, with the libraries that are in `site`."""
    libraries = tuple(installed(site, lock(LOCK, runtime)))
    return Materials(ROOT, site, libraries, Contents.load(CONTENTS), compiled_by)


def import_seconds(package: Package, by: Interpreter, rounds: int = 3) -> float:
    """The CPU time that importing its handler takes in a new process, from the package alone."""
    given = ("-c", _IMPORT, str(package.folder), *package.function.entries)
    return median(float(by.run(*given, cwd=package.folder)) for _ in range(rounds))


def main() -> int:
    """Build all; 1 where two builds of one function differ."""
    deployed = functions(ROOT / "s.yaml")
    dist = ROOT / "dist"
    console = Console(stderr=True)
    packages: list[tuple[Package, Interpreter | None]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for runtime in sorted({one.runtime for one in deployed}):
            compiled_by, said = interpreter(runtime, os.environ)
            console.print(f"Python {runtime}: {said}")
            site = install(Path(scratch) / runtime, runtime)
            made_of = materials(site, runtime, compiled_by)
            packages += [
                (_built_twice(one, made_of, dist, Path(scratch)), compiled_by)
                for one in deployed
                if one.runtime == runtime
            ]
        _show(packages, dist)
    return 0


def _built_twice(
    function: DeployedFunction, made_of: Materials, dist: Path, scratch: Path
) -> Package:
    first = build(function, made_of, dist / function.folder)
    again = build(function, made_of, scratch / "again")
    digest = first.digest
    if again.digest != digest:
        raise SystemExit(f"{function.name}: two builds differ: {digest}, {again.digest}")
    pack(first, dist / f"{function.folder}.zip")
    (dist / f"{function.folder}.cdx.json").write_text(bill(first, digest), "utf-8")
    record_of(first, made_of).write(dist)
    shutil.rmtree(again.folder)
    return first


def _show(packages: Iterable[tuple[Package, Interpreter | None]], dist: Path) -> None:
    table = Table()
    for heading in ("function", "files", "libraries", "unpacked", "zipped", "import", "sha256"):
        table.add_column(heading, justify="left" if heading in ("function", "sha256") else "right")
    for package, by in packages:
        zipped = (dist / f"{package.function.folder}.zip").stat().st_size
        table.add_row(
            package.function.name,
            str(len(package.files)),
            str(len(package.libraries)),
            f"{package.size / 1e6:.1f} MB",
            f"{zipped / 1e6:.1f} MB",
            "not measured" if by is None else f"{import_seconds(package, by) * 1000:.0f} ms",
            package.digest[:16],
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    sys.exit(main())
