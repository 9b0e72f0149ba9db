"""The libraries that are installed in a folder, file by file, and the lock that they come from."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_LONGEST_NAME: Final = 80
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class NotAsLocked(Exception):
    """What is installed is not what the lock names."""


@dataclass(frozen=True)
class Locked:
    """One line of the lock: a version, and the hashes of the files that it may come from."""

    name: str
    version: str
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Library:
    """An installed library: its files, as paths from the folder that it is installed in."""

    locked: Locked
    files: tuple[str, ...]
    licence: str | None


def lock(path: Path, runtime: str) -> dict[str, Locked]:
    """What the lock names for the runtime (`3.12`), by name."""
    environment = {
        "python_version": runtime,
        "python_full_version": f"{runtime}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
    }
    found: dict[str, Locked] = {}
    text = re.sub(r"\\\n", " ", path.read_text("utf-8"))
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        requirement = Requirement(line.split("--hash")[0].strip())
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        name = canonicalize_name(requirement.name)
        (version,) = requirement.specifier
        found[name] = Locked(name, version.version, tuple(sorted(_HASH.findall(line))))
    return found


def installed(folder: Path, named: Mapping[str, Locked]) -> list[Library]:
    """The libraries of `named` in the folder, sorted.

    Raises:
        NotAsLocked: One is missing, or has another version.
    """
    found = {}
    for record in folder.glob("*.dist-info/RECORD"):
        metadata = HeaderParser().parsestr((record.parent / "METADATA").read_text("utf-8"))
        name = canonicalize_name(metadata["Name"])
        if name not in named:
            continue
        if metadata["Version"] != named[name].version:
            raise NotAsLocked(f"{name} is {metadata['Version']}, not {named[name].version}")
        licence = metadata["License-Expression"] or _short(metadata["License"])
        found[name] = Library(named[name], tuple(sorted(_files(record))), licence)
    missing = sorted(set(named) - set(found))
    if missing:
        raise NotAsLocked("not installed: " + ", ".join(missing))
    return [found[name] for name in sorted(found)]


def _files(record: Path) -> Iterator[str]:
    """The library's files, without what lies outside of the folder and what Python has made."""
    for path, *_ in csv.reader(record.read_text("utf-8").splitlines()):
        outside = path.startswith(("../", "/", "bin/"))
        if not outside and not path.endswith(".pyc"):
            yield path


def _short(licence: str | None) -> str | None:
    """A licence's name; some put the whole text there."""
    return licence if licence and "\n" not in licence and len(licence) < _LONGEST_NAME else None
