"""What a package was made of, and for what: written beside it, compared before it is deployed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from package.folder import OURS, digest

if TYPE_CHECKING:
    from pathlib import Path

    from package.folder import Contents, Materials, Package


class NoRecord(Exception):
    """Nothing is noted of the package, or not in this form: it is to be made anew."""


@dataclass(frozen=True)
class Record:
    """A package as it was made.

    Args:
        folder: The name of its folder.
        runtime: The Python that it is for: `3.12`.
        bytecode: The Python whose bytecode it has: `3.12.4`; None where it has none.
        sources: SHA-256 over all that packages are made of.
        package: SHA-256 over what is in it.
    """

    folder: str
    runtime: str
    bytecode: str | None
    sources: str
    package: str

    def write(self, dist: Path) -> None:
        """It stands beside the package, in the folder `dist`."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        (dist / f"{self.folder}.made.json").write_text(text, "utf-8")


def read(dist: Path, folder: str) -> Record:
    """What was noted of a package in the folder `dist`. Raises NoRecord."""
    path = dist / f"{folder}.made.json"
    try:
        given: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return Record(**given)
    except (OSError, ValueError, TypeError):
        raise NoRecord(f"{path.name} is not there, or of another release") from None


def record_of(package: Package, made_of: Materials) -> Record:
    """What is to be noted of a package that has just been made."""
    return Record(
        folder=package.function.folder,
        runtime=package.function.runtime,
        bytecode=made_of.interpreter.version if made_of.interpreter else None,
        sources=sources(made_of.root, made_of.contents),
        package=package.digest,
    )


def sources(root: Path, contents: Contents) -> str:
    """SHA-256 over all that any package is made of: our code, its data, the lock, this room."""
    data = [root / name for names in contents.data.values() for name in names]
    rooms = [root / name for name in (*OURS, "package")]
    found = {root / "requirements" / "runtime.txt", *data}
    for room in [*rooms, *data]:
        found |= {one for one in room.rglob("*") if "__pycache__" not in one.parts}
    return digest(sorted(path for path in found if path.is_file()), root)
