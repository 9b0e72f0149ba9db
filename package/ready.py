"""`python -m package.ready FUNCTION RUNTIME`: 1 where dist/ has not what is to be deployed.

s.yaml has it run before `s deploy`. Bytecode of another Python is passed over, a library that was
built for another one does not load, and what was made before a change is not the change.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from package.folder import Contents, digest
from package.record import NoRecord, read, sources

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
_USAGE: Final = "usage: python -m package.ready FUNCTION RUNTIME (ecr-authorize python3.12)"


def problems(root: Path, folder: str, runtime: str) -> Iterator[str]:
    """Why the package must not be deployed to the runtime (`3.12`)."""
    dist = root / "dist"
    try:
        made = read(dist, folder)
    except NoRecord as error:
        yield str(error)
        return
    if made.runtime != runtime:
        yield f"it was made for Python {made.runtime}, and s.yaml names {runtime}"
    if made.bytecode is not None and not made.bytecode.startswith(f"{runtime}."):
        yield f"its bytecode is of Python {made.bytecode}, and s.yaml names {runtime}"
    if made.sources != sources(root, Contents.load(root / "package" / "contents.yaml")):
        yield "the sources have changed since it was made"
    there = dist / folder
    files = sorted(path for path in there.rglob("*") if path.is_file())
    if made.package != digest(files, there):
        yield "what is in its folder is not what was made"


def main(arguments: list[str]) -> int:
    """0 where it may be deployed."""
    try:
        folder, runtime = arguments
    except ValueError:
        sys.stderr.write(_USAGE + "\n")
        return 2
    found = list(problems(ROOT, folder, runtime.removeprefix("python")))
    for one in found:
        sys.stderr.write(f"{folder}: {one}: `make package`\n")
    if not found and read(ROOT / "dist", folder).bytecode is None:
        sys.stderr.write(f"{folder}: has no bytecode, every cold start compiles: docs/deploy.md\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
